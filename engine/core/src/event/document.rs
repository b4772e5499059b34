//! Cursors into a parsed event.
//!
//! Relies on the walk for the shape of the node list. Cursors are small and `Copy`, borrow everything from the
//! event and the parser, and never allocate. Asking a value for what it is not gives `None`, not an error.

use super::key::{KeyHash, KeyIndex, KeyMemory};
use super::node::{Node, Tag};
use super::number::{self, Number};
use super::text::Text;

/// One parsed JSON text.
#[derive(Clone, Copy)]
pub struct Document<'d> {
    text: &'d str,
    nodes: &'d [Node],
    keys: &'d KeyMemory,
}

impl<'d> Document<'d> {
    pub(super) fn new(text: &'d str, nodes: &'d [Node], keys: &'d KeyMemory) -> Document<'d> {
        Document { text, nodes, keys }
    }

    /// False only when the root does not have the key of envelopes.
    pub(super) fn may_be_envelope(self) -> bool {
        self.keys.may_be_envelope()
    }

    /// The whole object.
    pub fn root(self) -> Json<'d> {
        self.at(0)
    }

    /// The text that was parsed.
    pub fn bytes(self) -> &'d [u8] {
        self.text.as_bytes()
    }

    /// The value with this index, which [`Json::node_index`] or [`super::Slots`] gave for this document.
    pub fn at(self, node_index: u32) -> Json<'d> {
        Json {
            document: self,
            index: node_index,
            _spare: Spare::Byte,
        }
    }

    #[inline(always)]
    fn node(self, index: u32) -> Node {
        self.nodes[index as usize]
    }
}

/// What kind of value a [`Json`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One value of an event.
#[derive(Clone, Copy)]
pub struct Json<'d> {
    document: Document<'d>,
    index: u32,
    _spare: Spare,
}

/// A byte with one meaning, where there is room anyway: what a cursor is one of many kinds of tells the kinds apart by the
/// other meanings, and needs no room for that.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Spare {
    Byte,
}

impl<'d> Json<'d> {
    /// What kind of value this is.
    #[inline]
    pub fn kind(self) -> Kind {
        match self.node().tag() {
            Tag::Null => Kind::Null,
            Tag::False | Tag::True => Kind::Bool,
            Tag::Integer | Tag::Double => Kind::Number,
            Tag::String | Tag::Key => Kind::String,
            Tag::Array => Kind::Array,
            Tag::Object => Kind::Object,
        }
    }

    /// The value of `true` or `false`.
    #[inline]
    pub fn as_bool(self) -> Option<bool> {
        match self.node().tag() {
            Tag::False => Some(false),
            Tag::True => Some(true),
            _ => None,
        }
    }

    /// The value of a string.
    #[inline]
    pub fn as_text(self) -> Option<Text<'d>> {
        let node = self.node();
        if node.is_string() {
            Some(node.text(self.document.text))
        } else {
            None
        }
    }

    /// The value of a number.
    pub fn as_number(self) -> Option<Number> {
        let form = self.node().form()?;
        Some(number::read(self.raw(), form))
    }

    /// The value of an integer that fits.
    #[inline]
    pub fn as_integer(self) -> Option<i64> {
        if self.node().tag() != Tag::Integer {
            return None;
        }
        match number::read(self.raw(), number::Form::Integer) {
            Number::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The value under `key`, when this is an object that has it.
    pub fn get(self, key: &str) -> Option<Json<'d>> {
        self.get_hashed(key, KeyHash::of(key))
    }

    /// As [`Self::get`], for a key whose hash is known.
    #[inline]
    pub fn get_hashed(self, key: &str, KeyHash(hash): KeyHash) -> Option<Json<'d>> {
        let node = self.node();
        if !node.is_object() {
            return None;
        }
        let nodes = self.document.nodes;
        let mut at = self.index as usize + 1;
        while at < node.next() as usize {
            let [candidate, value] = nodes.get(at..at + 2)? else {
                return None;
            };
            if candidate.hash() == hash && candidate.text(self.document.text).eq_str(key) {
                return Some(self.document.at(at as u32 + 1));
            }
            // Not always `value.next()`: the processor need not wait for a value's node to find the next key.
            at = if value.is_container() {
                value.next() as usize
            } else {
                at + 2
            };
        }
        None
    }

    /// The elements of an array; none for other values.
    pub fn elements(self) -> Elements<'d> {
        let node = self.node();
        let next = if node.tag() == Tag::Array {
            node.next()
        } else {
            0
        };
        Elements {
            document: self.document,
            at: self.index + 1,
            next,
            left: self.count_of(Tag::Array),
        }
    }

    /// The keys and values of an object in the order of the text; none for other values.
    pub fn entries(self) -> Entries<'d> {
        let node = self.node();
        let next = if node.is_object() { node.next() } else { 0 };
        Entries {
            document: self.document,
            at: self.index + 1,
            next,
            left: self.count_of(Tag::Object),
        }
    }

    /// How many elements or entries there are; 0 for other values.
    pub fn len(self) -> usize {
        self.count_of(Tag::Array) + self.count_of(Tag::Object)
    }

    /// Whether there are no elements or entries.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The exact bytes of the value, quotes and brackets included.
    pub fn raw(self) -> &'d [u8] {
        let node = self.node();
        let quote = usize::from(node.is_string());
        &self.document.bytes()[node.start() - quote..node.end() + quote]
    }

    /// Where [`Json::raw`] begins in the text.
    pub fn offset(self) -> usize {
        let node = self.node();
        node.start() - usize::from(node.is_string())
    }

    /// Names this value within its document.
    pub fn node_index(self) -> u32 {
        self.index
    }

    /// The document this value is in.
    pub fn document(self) -> Document<'d> {
        self.document
    }

    /// The nodes and the text of the document.
    #[inline(always)]
    pub(super) fn nodes(self) -> (&'d [Node], &'d str) {
        (self.document.nodes, self.document.text)
    }

    /// The keys of the document, when they can be looked up.
    #[inline(always)]
    pub(super) fn keys(self) -> Option<KeyIndex<'d>> {
        self.document.keys.index()
    }

    #[inline(always)]
    fn node(self) -> Node {
        self.document.node(self.index)
    }

    fn count_of(self, tag: Tag) -> usize {
        let node = self.node();
        if node.tag() == tag {
            node.count() as usize
        } else {
            0
        }
    }
}

impl std::fmt::Debug for Json<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(self.raw()))
    }
}

impl std::fmt::Debug for Document<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.text)
    }
}

/// The elements of an array.
#[derive(Clone)]
pub struct Elements<'d> {
    document: Document<'d>,
    at: u32,
    next: u32,
    left: usize,
}

impl<'d> Iterator for Elements<'d> {
    type Item = Json<'d>;

    #[inline]
    fn next(&mut self) -> Option<Json<'d>> {
        if self.at >= self.next {
            return None;
        }
        let element = self.document.at(self.at);
        self.at = self.document.node(self.at).next();
        self.left -= 1;
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}

/// The keys and values of an object.
#[derive(Clone)]
pub struct Entries<'d> {
    document: Document<'d>,
    at: u32,
    next: u32,
    left: usize,
}

impl<'d> Iterator for Entries<'d> {
    type Item = (Text<'d>, Json<'d>);

    #[inline]
    fn next(&mut self) -> Option<(Text<'d>, Json<'d>)> {
        if self.at >= self.next {
            return None;
        }
        let key = self.document.node(self.at).text(self.document.text);
        let value = self.document.at(self.at + 1);
        self.at = self.document.node(self.at + 1).next();
        self.left -= 1;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}
