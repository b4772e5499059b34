//! The parsed form: one flat list of 16-byte nodes in the order of the text.
//!
//! A key is followed by its value; a container by what is in it. Every value knows the node after it, so that
//! skipping is one step. Nodes hold offsets, never values: the bytes of the event stay the only copy. A tree
//! of boxed values was rejected (five times the time of the parse), and so was keeping only positions of
//! structural characters: every look-up would read the text again.

use super::number::Form;
use super::text::Text;
use crate::limits;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    Null = 0,
    False = 1,
    True = 2,
    Integer = 3,
    Double = 4,
    String = 5,
    Array = 6,
    Object = 7,
    Key = 8,
}

/// Set beside the tag of a string or key with escapes.
const ESCAPED: u32 = 0x10;
const TAG_BITS: u32 = 8;

// The offset shares its word with the tag.
const _: () = assert!(limits::EVENT_BYTES_MAX <= 1 << (32 - TAG_BITS));

/// One value or key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(16))]
pub(super) struct Node {
    /// Offset of the first byte, in the upper 24 bits; tag and flags in the lower 8. For strings and keys
    /// the first byte after the quote.
    head: u32,
    /// Offset after the last byte; for strings and keys that of the closing quote.
    end: u32,
    /// Values: the node after this value and all that is in it. Keys: a number that only keys of the same
    /// object have.
    link: u32,
    /// Containers: how many entries or elements. Keys: their hash. Otherwise 0.
    extra: u32,
}

impl Node {
    #[inline(always)]
    pub(super) fn scalar(tag: Tag, start: usize, end: usize, index: usize) -> Node {
        Node {
            head: (start as u32) << TAG_BITS | tag as u32,
            end: end as u32,
            link: index as u32 + 1,
            extra: 0,
        }
    }

    #[inline(always)]
    pub(super) fn key(start: usize, end: usize, owner: u32) -> Node {
        Node {
            head: (start as u32) << TAG_BITS | Tag::Key as u32,
            end: end as u32,
            link: owner,
            extra: 0,
        }
    }

    #[inline(always)]
    pub(super) fn set_hash(&mut self, hash: u32) {
        self.extra = hash;
    }

    #[inline(always)]
    pub(super) fn escaped_if(self, escaped: bool) -> Node {
        Node {
            head: self.head | if escaped { ESCAPED } else { 0 },
            ..self
        }
    }

    #[inline(always)]
    pub(super) fn closed(self, end: usize, next: usize, count: u32) -> Node {
        Node {
            head: self.head,
            end: end as u32,
            link: next as u32,
            extra: count,
        }
    }

    #[inline(always)]
    pub(super) fn tag(self) -> Tag {
        match self.head & 0xF {
            0 => Tag::Null,
            1 => Tag::False,
            2 => Tag::True,
            3 => Tag::Integer,
            4 => Tag::Double,
            5 => Tag::String,
            6 => Tag::Array,
            7 => Tag::Object,
            _ => Tag::Key,
        }
    }

    #[inline(always)]
    pub(super) fn is_object(self) -> bool {
        self.head & 0xF == Tag::Object as u32
    }

    #[inline(always)]
    pub(super) fn is_container(self) -> bool {
        matches!(self.tag(), Tag::Array | Tag::Object)
    }

    #[inline(always)]
    pub(super) fn is_string(self) -> bool {
        self.head & 0xF == Tag::String as u32
    }

    #[inline(always)]
    pub(super) fn is_escaped(self) -> bool {
        self.head & ESCAPED != 0
    }

    #[inline(always)]
    pub(super) fn start(self) -> usize {
        (self.head >> TAG_BITS) as usize
    }

    #[inline(always)]
    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    /// The node after this value. Not for keys.
    #[inline(always)]
    pub(super) fn next(self) -> u32 {
        self.link
    }

    /// A number that only keys of the same object have.
    #[inline(always)]
    pub(super) fn owner(self) -> u32 {
        self.link
    }

    /// The number of the keys of the object at `index`. No other container of the event has it.
    #[inline(always)]
    pub(super) fn owner_of(index: usize) -> u32 {
        index as u32 | 1 << 31
    }

    /// The hash of this key.
    #[inline(always)]
    pub(super) fn hash(self) -> u32 {
        self.extra
    }

    /// Entries or elements of this container.
    #[inline(always)]
    pub(super) fn count(self) -> u32 {
        self.extra
    }

    /// The text of this string or key.
    #[inline(always)]
    pub(super) fn text(self, text: &str) -> Text<'_> {
        Text::new(&text[self.start()..self.end()], self.is_escaped())
    }

    /// The text of this string or key, when nobody has called the bytes text yet.
    pub(super) fn text_in(self, bytes: &[u8]) -> Text<'_> {
        let body = bytes.get(self.start()..self.end()).map(std::str::from_utf8);
        Text::new(
            body.and_then(Result::ok).unwrap_or_default(),
            self.is_escaped(),
        )
    }

    pub(super) fn form(self) -> Option<Form> {
        match self.tag() {
            Tag::Integer => Some(Form::Integer),
            Tag::Double => Some(Form::Double),
            _ => None,
        }
    }
}

/// A list that grew beyond this many nodes is given back after an event that did not need it.
const NODES_KEPT_MAX: usize = 1 << 16;

/// How much room to make when `wanted` is needed: some more than that, so that events of growing size do not each
/// need new memory, but no more than that when it is given back after the event anyway.
pub(super) fn room_for(wanted: usize, kept_max: usize) -> usize {
    if wanted > kept_max {
        wanted
    } else {
        wanted.next_power_of_two()
    }
}

/// The nodes of one event, in memory that is kept from event to event.
#[derive(Default)]
pub(super) struct Nodes {
    /// Always initialised to its whole length, which is room, not content.
    room: Vec<Node>,
    filled: usize,
}

impl Nodes {
    /// Forgets the last event and gives room for what a text of `bytes` bytes can hold at most: a node takes
    /// two bytes of text, a digit and its comma or two brackets; only brackets that nobody has closed yet take one.
    pub(super) fn start(&mut self, bytes: usize) -> &mut [Node] {
        let wanted = bytes / 2 + limits::EVENT_DEPTH_MAX + 4;
        let too_large = self.room.len() > NODES_KEPT_MAX && wanted <= NODES_KEPT_MAX;
        if wanted > self.room.len() || too_large {
            self.room = vec![Node::default(); room_for(wanted, NODES_KEPT_MAX)];
        }
        self.filled = 0;
        &mut self.room
    }

    pub(super) fn finish(&mut self, filled: usize) {
        self.filled = filled;
    }

    #[inline(always)]
    pub(super) fn filled(&self) -> &[Node] {
        &self.room[..self.filled]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_keeps_what_it_is_given() {
        let mut node = Node::key(limits::EVENT_BYTES_MAX - 1, limits::EVENT_BYTES_MAX, 7);
        node.set_hash(0xFFFF_FFFF);
        assert_eq!(size_of::<Node>(), 16);
        assert_eq!(node.tag(), Tag::Key);
        assert_eq!(node.start(), limits::EVENT_BYTES_MAX - 1);
        assert_eq!(node.end(), limits::EVENT_BYTES_MAX);
        assert_eq!(
            (node.owner(), node.hash(), node.is_escaped()),
            (7, 0xFFFF_FFFF, false)
        );
        assert!(node.escaped_if(true).is_escaped());
        assert_eq!(node.escaped_if(true).tag(), Tag::Key);
    }

    #[test]
    fn memory_of_a_large_event_is_given_back() {
        let mut nodes = Nodes::default();
        nodes.start(1 << 20);
        assert!(nodes.room.len() > NODES_KEPT_MAX);
        nodes.start(1000);
        assert!(nodes.room.len() <= NODES_KEPT_MAX);
    }
}
