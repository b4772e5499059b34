//! Bytes to nodes: one walk that checks everything.
//!
//! Relies on [`Marks`] for where strings begin and end, so that the walk touches no byte within ordinary strings,
//! and on nothing else: it reads every byte outside of strings, so no part of an event is trusted for being
//! skipped later. Must never recurse, and never allocate once its memory has the size of the largest events.
//!
//! The list of quotes is the only index. Listing colons, commas and brackets as well (as simdjson does) was
//! rejected: in compact text they are found right behind a quote, where the walk looks anyway.

use super::document::Document;
use super::identity::ENVELOPE_KEY;
use super::key::{self, KeyMemory, KeyTable, Seen};
use super::node::{Node, Nodes, Tag};
use super::number::{self, Form};
use super::reason::{Malformed, Reason};
use super::structural::{END, Marks};
use super::text;
use crate::limits;

/// Parses one event after the other in memory that it keeps.
pub struct Parser {
    marks: Marks,
    nodes: Nodes,
    keys: KeyMemory,
    frames: Frames,
    /// Hash of the key that makes an object an envelope.
    envelope: u32,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser {
            marks: Marks::default(),
            nodes: Nodes::default(),
            keys: KeyMemory::default(),
            frames: Frames::default(),
            envelope: key::hash(ENVELOPE_KEY.as_bytes()),
        }
    }
}

impl Parser {
    /// A parser without memory so far.
    pub fn new() -> Parser {
        Parser::default()
    }

    /// A parser for every way this processor has to find strings.
    #[cfg(test)]
    pub(super) fn of_every_way() -> impl Iterator<Item = Parser> {
        Marks::of_every_way().map(|marks| Parser {
            marks,
            ..Parser::default()
        })
    }

    /// Parses `bytes`, which must be one JSON object and white space around it.
    pub fn parse<'d>(&'d mut self, bytes: &'d [u8]) -> Result<Document<'d>, Malformed> {
        if bytes.len() > limits::EVENT_BYTES_MAX {
            return Err(Malformed::new(Reason::TooLong, limits::EVENT_BYTES_MAX));
        }
        let text = self.marks.scan(bytes)?;
        let mut walk = Walk {
            bytes,
            strings: self.marks.strings().iter(),
            specials: self.marks.specials(),
            next_special: self.marks.specials()[0],
            nodes: self.nodes.start(bytes.len()),
            keys: self.keys.start(self.marks.strings().len()),
            frames: &mut self.frames.0,
            depth: 0,
            top: Frame::default(),
            at: 0,
            filled: 0,
            doubtful: false,
        };
        walk.run()?;
        let (filled, doubtful) = (walk.filled, walk.doubtful);
        // Asked of every event, and known here without a look at its keys.
        let may_be_envelope = doubtful
            || walk
                .keys
                .may_have(walk.nodes, self.envelope, Node::owner_of(0));
        self.nodes.finish(filled);
        if doubtful {
            key::check_by_sorting(self.nodes.filled(), text)?;
        }
        self.keys.finish(!doubtful, may_be_envelope);
        Ok(Document::new(text, self.nodes.filled(), &self.keys))
    }
}

/// An open array or object: whether it is an object (upper bit), its node, and how many entries or elements it has so
/// far (lower half). One word, because it is written and read again within a few instructions.
#[derive(Clone, Copy, Default)]
struct Frame(u64);

impl Frame {
    const OBJECT: u64 = 1 << 63;

    #[inline(always)]
    fn array(node: usize) -> Frame {
        Frame((node as u64) << 32)
    }

    #[inline(always)]
    fn object(node: usize) -> Frame {
        Frame((node as u64) << 32 | Frame::OBJECT)
    }

    #[inline(always)]
    fn node(self) -> usize {
        ((self.0 & !Frame::OBJECT) >> 32) as usize
    }

    /// No other container of the event has this number; of an object it is [`Node::owner_of`] its node.
    #[inline(always)]
    fn owner(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    fn is_object(self) -> bool {
        self.0 & Frame::OBJECT != 0
    }

    /// The bracket that ends it.
    #[inline(always)]
    fn closing(self) -> u8 {
        if self.is_object() { b'}' } else { b']' }
    }

    #[inline(always)]
    fn count(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    fn add_one(&mut self) {
        self.0 += 1;
    }
}

/// Memory for all that can be open at once.
struct Frames([Frame; limits::EVENT_DEPTH_MAX]);

impl Default for Frames {
    fn default() -> Frames {
        Frames([Frame::default(); limits::EVENT_DEPTH_MAX])
    }
}

struct Walk<'p> {
    bytes: &'p [u8],
    /// Strings not read yet.
    strings: std::slice::Iter<'p, [u32; 2]>,
    /// Specials from the first one that no string read so far has.
    specials: &'p [u32],
    /// The first of `specials`.
    next_special: u32,
    nodes: &'p mut [Node],
    keys: KeyTable<'p>,
    /// Enclosing containers, outermost first, without the innermost.
    frames: &'p mut [Frame; limits::EVENT_DEPTH_MAX],
    depth: usize,
    /// The innermost open container.
    top: Frame,
    /// Next byte to read.
    at: usize,
    /// Nodes written.
    filled: usize,
    /// Some key could not be told from others cheaply.
    doubtful: bool,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Malformed> {
        match self.byte_after_space()? {
            b'{' => self.open(Tag::Object, Frame::object(self.filled))?,
            b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I' => {
                return Err(Malformed::new(Reason::NotAnObject, self.at));
            }
            _ => return Err(self.syntax()),
        }
        let mut opened = true;
        loop {
            // Behind a bracket that opens there may be the one that closes; behind a comma there may not.
            if !(opened && self.byte_after_space()? == self.top.closing()) {
                if self.top.is_object() {
                    self.key()?;
                }
                self.top.add_one();
                opened = self.value()?;
                if opened {
                    continue;
                }
            }
            opened = false;
            while self.byte_or_space() != b',' {
                if self.byte_after_space()? == b',' {
                    break;
                }
                if self.byte_after_space()? != self.top.closing() {
                    return Err(self.syntax());
                }
                self.close();
                if self.depth == 0 {
                    return self.nothing_follows();
                }
            }
            self.at += 1;
        }
    }

    /// Reads the value at the cursor. True when it was opened and what is in it follows.
    #[inline(always)]
    fn value(&mut self) -> Result<bool, Malformed> {
        let byte = self.byte_after_space()?;
        if byte == b'"' {
            let (start, end, escaped) = self.string()?;
            self.push(Node::scalar(Tag::String, start, end, self.filled).escaped_if(escaped));
            return Ok(false);
        }
        match byte {
            b'{' => {
                self.open(Tag::Object, Frame::object(self.filled))?;
                return Ok(true);
            }
            b'[' => {
                self.open(Tag::Array, Frame::array(self.filled))?;
                return Ok(true);
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal(Tag::True, b"true")?,
            b'f' => self.literal(Tag::False, b"false")?,
            b'n' => self.literal(Tag::Null, b"null")?,
            _ => return Err(no_value(self.bytes, self.at)),
        }
        Ok(false)
    }

    /// Reads a key with its colon.
    #[inline(always)]
    fn key(&mut self) -> Result<(), Malformed> {
        if self.byte_or_space() != b'"' && self.byte_after_space()? != b'"' {
            return Err(self.syntax());
        }
        let (start, end, escaped) = self.string()?;
        let owner = self.top.owner();
        let mut node = Node::key(start, end, owner).escaped_if(escaped);
        let hash = if escaped {
            hash_escaped(self.bytes, node)
        } else {
            key::hash_within(self.bytes, start, end)
        };
        node.set_hash(hash);
        let index = self.filled;
        self.push(node);
        match self.keys.insert(self.nodes, self.bytes, index, hash, owner) {
            Seen::No => {}
            // The rest of the text, without a closing quote, is no key yet.
            Seen::Yes if end >= self.bytes.len() => {
                return Err(Malformed::new(Reason::Truncated, self.bytes.len()));
            }
            Seen::Yes => return Err(Malformed::new(Reason::DuplicateKey, start - 1)),
            Seen::Unknown => self.doubtful = true,
        }
        if self.byte_or_space() != b':' && self.byte_after_space()? != b':' {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    /// Reads the string whose opening quote is at the cursor: start and end of its body, and whether it has
    /// escapes. The next string of the list is that string: all before were read. The end of an unclosed string
    /// is [`END`], and so the cursor is behind the text, which whoever reads the next byte finds out.
    #[inline(always)]
    fn string(&mut self) -> Result<(usize, usize, bool), Malformed> {
        let [open, end] = self.strings.next().copied().unwrap_or([END, END]);
        debug_assert_eq!(open as usize, self.at);
        let mut escaped = false;
        if self.next_special < end {
            self.specials = check_specials(self.bytes, self.specials, end)?;
            self.next_special = self.specials[0];
            if end == END {
                return Err(Malformed::new(Reason::Truncated, self.bytes.len()));
            }
            escaped = true;
        }
        self.at = end as usize + 1;
        Ok((open as usize + 1, end as usize, escaped))
    }

    #[inline(always)]
    fn number(&mut self) -> Result<(), Malformed> {
        let (end, form) = number::check(self.bytes, self.at)
            .map_err(|(reason, offset)| Malformed::new(reason, offset))?;
        let tag = match form {
            Form::Integer => Tag::Integer,
            Form::Double => Tag::Double,
        };
        self.push(Node::scalar(tag, self.at, end, self.filled));
        self.at = end;
        Ok(())
    }

    #[inline(always)]
    fn literal(&mut self, tag: Tag, word: &'static [u8]) -> Result<(), Malformed> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word) {
            return Err(no_literal(self.bytes, self.at, word));
        }
        self.push(Node::scalar(tag, self.at, end, self.filled));
        self.at = end;
        Ok(())
    }

    #[inline(always)]
    fn open(&mut self, tag: Tag, opened: Frame) -> Result<(), Malformed> {
        let Some(frame) = self.frames.get_mut(self.depth) else {
            return Err(Malformed::new(Reason::TooDeep, self.at));
        };
        *frame = self.top;
        self.depth += 1;
        self.top = opened;
        self.push(Node::scalar(tag, self.at, self.at, self.filled));
        self.at += 1;
        Ok(())
    }

    #[inline(always)]
    fn close(&mut self) {
        self.at += 1;
        let node = &mut self.nodes[self.top.node()];
        *node = node.closed(self.at, self.filled, self.top.count());
        self.depth -= 1;
        self.top = self.frames[self.depth % limits::EVENT_DEPTH_MAX];
    }

    #[inline(always)]
    fn push(&mut self, node: Node) {
        self.nodes[self.filled] = node;
        self.filled += 1;
    }

    /// The byte at the cursor, or white space when there is none.
    #[inline(always)]
    fn byte_or_space(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(b' ')
    }

    /// The byte at the cursor, which first moves over white space.
    #[inline(always)]
    fn byte_after_space(&mut self) -> Result<u8, Malformed> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte > b' ' => Ok(*byte),
            _ => {
                self.at = space_end(self.bytes, self.at);
                match self.bytes.get(self.at) {
                    Some(byte) => Ok(*byte),
                    None => Err(Malformed::new(Reason::Truncated, self.bytes.len())),
                }
            }
        }
    }

    #[inline(always)]
    fn nothing_follows(&self) -> Result<(), Malformed> {
        let at = space_end(self.bytes, self.at);
        if at == self.bytes.len() {
            Ok(())
        } else {
            Err(Malformed::new(Reason::Syntax, at))
        }
    }

    // Cold paths are given values, not the walk, which then lives in registers.
    #[inline(always)]
    fn syntax(&self) -> Malformed {
        Malformed::new(Reason::Syntax, self.at)
    }
}

#[cold]
#[inline(never)]
fn no_value(bytes: &[u8], at: usize) -> Malformed {
    let is_word = |word: &&[u8]| bytes[at..].starts_with(word);
    if [&b"NaN"[..], b"Infinity", b"+Infinity"].iter().any(is_word) {
        Malformed::new(Reason::NotANumber, at)
    } else {
        Malformed::new(Reason::Syntax, at)
    }
}

/// The first byte at or after `at` that is no white space.
#[inline(never)]
fn space_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

#[cold]
#[inline(never)]
fn no_literal(bytes: &[u8], at: usize, word: &[u8]) -> Malformed {
    let rest = &bytes[at..];
    let same = rest
        .iter()
        .zip(word)
        .take_while(|(one, other)| one == other)
        .count();
    if same == rest.len() {
        return Malformed::new(Reason::Truncated, bytes.len());
    }
    Malformed::new(Reason::Syntax, at)
}

/// Checks the escapes of the string that ends at `end`, refuses control characters, and gives the `specials`
/// after it.
#[inline(never)]
fn check_specials<'p>(bytes: &[u8], specials: &'p [u32], end: u32) -> Result<&'p [u32], Malformed> {
    let limit = (end as usize).min(bytes.len());
    let mut left = specials;
    // The list ends with `END`, which is no smaller than `end`.
    while left[0] < end {
        let at = left[0] as usize;
        if bytes[at] != b'\\' {
            return Err(Malformed::new(Reason::Syntax, at));
        }
        let Some(after) = text::check_escape(bytes, at, limit) else {
            return Err(match end {
                END => Malformed::new(Reason::Truncated, bytes.len()),
                _ => Malformed::new(Reason::Syntax, at),
            });
        };
        while (left[0] as usize) < after {
            left = &left[1..];
        }
    }
    Ok(left)
}

#[cold]
#[inline(never)]
fn hash_escaped(bytes: &[u8], node: Node) -> u32 {
    key::hash(node.text_in(bytes).decode().as_bytes())
}
