//! Where one JSON value ends, found while its bytes are still arriving.
//!
//! A pushdown recogniser of JSON's structure: brackets, commas, colons, strings. It does not look into
//! numbers, escapes or text, which the event parser judges later; but whatever it calls broken is
//! certainly not JSON, so nothing valid is ever cut or refused here. Its memory is one bit for each level
//! of nesting. It never goes back: every byte is looked at once however the input is cut into chunks.
//!
//! Counting brackets alone was rejected: a record that lost its end would swallow all that follow it.

use memchr::memchr3;

/// The key of a delivery file's list of records.
const WRAPPER_KEY: &[u8] = b"Records";

/// Deepest nesting followed. The parser refuses far less; this only bounds the stack of bits (2 MiB).
const DEPTH_MAX: usize = 16 * 1024 * 1024;

/// Place in the lines of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// The physical line, from 1.
    pub(super) line: u64,
    /// Blanks at the start of this line.
    pub(super) indent: u32,
    /// Whether nothing but blanks has been on this line so far.
    pub(super) fresh: bool,
}

impl Cursor {
    pub(super) fn start() -> Self {
        Self {
            line: 1,
            indent: 0,
            fresh: true,
        }
    }

    /// Passes over one byte of white space; `false` when `byte` is something else.
    #[inline]
    pub(super) fn blank(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' => {
                self.line += 1;
                self.indent = 0;
                self.fresh = true;
            }
            b' ' | b'\t' => self.indent += u32::from(self.fresh),
            b'\r' => {}
            _ => return false,
        }
        true
    }
}

/// What looking through some bytes came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// All bytes are looked through and the value goes on.
    More,
    /// The value ended just before the place reached.
    End,
    /// What stands at the place reached cannot be there.
    Broken,
    /// A string goes over the end of its line, at the place reached.
    OpenString,
    /// The place reached starts another value, by its indentation; this one lacks its end.
    Restart,
    /// The list of a delivery file opened just before the place reached.
    Wrapped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Key,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Text(Role),
    Escape(Role),
    Scalar,
}

/// Whether the list of a delivery file is looked for at the value's first level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapper {
    Sought,
    Ignored,
}

/// One value being looked through.
#[derive(Clone, Debug)]
pub(super) struct Structure {
    /// One bit per level: set for an object.
    levels: Vec<u64>,
    depth: usize,
    expect: Expect,
    wrapper: Wrapper,
    /// How many bytes of the wrapper's key the key being read has matched; `None` when it differs.
    key_matched: Option<usize>,
    /// Indentation at which an opening brace starts another value.
    restart_indent: Option<u32>,
    first_line_over: bool,
}

impl Structure {
    /// Before the first byte of a value. `restart_indent` says at which indentation, first on a later
    /// line, a `{` cannot belong to this value any more.
    pub(super) fn new(wrapper: Wrapper, restart_indent: Option<u32>) -> Self {
        Self {
            levels: Vec::new(),
            depth: 0,
            expect: Expect::Value,
            wrapper,
            key_matched: None,
            restart_indent,
            first_line_over: false,
        }
    }

    /// Whether the value is complete if nothing follows: true of a bare number or word only.
    pub(super) fn may_end_here(&self) -> bool {
        self.depth == 0 && self.expect == Expect::Scalar
    }

    /// Looks through `bytes` from `at`, which is moved to the place reached.
    pub(super) fn advance(&mut self, bytes: &[u8], at: &mut usize, cursor: &mut Cursor) -> Seen {
        while let Some(&byte) = bytes.get(*at) {
            match self.expect {
                Expect::Text(role) => {
                    let rest = &bytes[*at..];
                    let length = memchr3(b'"', b'\\', b'\n', rest);
                    let body = &rest[..length.unwrap_or(rest.len())];
                    if role == Role::Key {
                        self.match_key(body);
                    }
                    *at += body.len();
                    match length.map(|length| rest[length]) {
                        None => return Seen::More,
                        Some(b'"') => {
                            *at += 1;
                            if self.close_text(role) {
                                return Seen::End;
                            }
                        }
                        Some(b'\\') => {
                            *at += 1;
                            self.key_matched = None;
                            self.expect = Expect::Escape(role);
                        }
                        Some(_) => return Seen::OpenString,
                    }
                }
                Expect::Escape(_) if byte == b'\n' => return Seen::OpenString,
                Expect::Escape(role) => {
                    *at += 1;
                    self.expect = Expect::Text(role);
                }
                Expect::Scalar => match byte {
                    b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n' => {
                        if self.close_value() {
                            return Seen::End;
                        }
                    }
                    b'"' | b'{' | b'[' | b':' => return Seen::Broken,
                    _ => *at += 1,
                },
                _ if cursor.blank(byte) => *at += 1,
                _ => {
                    if let Some(seen) = self.token(byte, at, cursor) {
                        return seen;
                    }
                }
            }
        }
        Seen::More
    }

    /// Takes one structural byte, or the first byte of a string or scalar.
    #[inline]
    fn token(&mut self, byte: u8, at: &mut usize, cursor: &mut Cursor) -> Option<Seen> {
        if cursor.fresh {
            if self.starts_another(byte, cursor.indent) {
                return Some(Seen::Restart);
            }
            cursor.fresh = false;
        }
        match (self.expect, byte) {
            (Expect::Value | Expect::ValueOrEnd, b'"') => self.expect = Expect::Text(Role::Value),
            (Expect::Value | Expect::ValueOrEnd, b'{' | b'[') => {
                if self.depth == DEPTH_MAX {
                    return Some(Seen::Broken);
                }
                let wraps = byte == b'[' && self.is_wrapper_list();
                self.open(byte == b'{');
                if wraps {
                    *at += 1;
                    // The caller goes through the list; this value goes on after its end.
                    self.close_value_of_list();
                    return Some(Seen::Wrapped);
                }
            }
            (Expect::Key | Expect::KeyOrEnd, b'"') => {
                self.expect = Expect::Text(Role::Key);
                let sought = self.wrapper == Wrapper::Sought && self.depth == 1;
                self.key_matched = sought.then_some(0);
            }
            (Expect::Colon, b':') => self.expect = Expect::Value,
            (Expect::CommaOrEnd, b',') => {
                self.expect = if self.in_object() {
                    Expect::Key
                } else {
                    Expect::Value
                };
            }
            (Expect::KeyOrEnd, b'}') | (Expect::ValueOrEnd, b']') => return self.close(at),
            (Expect::CommaOrEnd, b'}') if self.in_object() => return self.close(at),
            (Expect::CommaOrEnd, b']') if !self.in_object() => return self.close(at),
            (Expect::Value | Expect::ValueOrEnd, b'}' | b']' | b',' | b':') => {
                return Some(Seen::Broken);
            }
            (Expect::Value | Expect::ValueOrEnd, _) => {
                self.expect = Expect::Scalar;
                return None;
            }
            _ => return Some(Seen::Broken),
        }
        *at += 1;
        None
    }

    /// The first thing on a new line says whether another value starts here.
    fn starts_another(&mut self, byte: u8, indent: u32) -> bool {
        let Some(restart_indent) = self.restart_indent else {
            return false;
        };
        if self.depth == 0 {
            return false;
        }
        if !self.first_line_over {
            self.first_line_over = true;
            // `{` alone on its line and a body that is not indented: indentation says nothing here.
            let alone = self.depth == 1 && matches!(self.expect, Expect::KeyOrEnd);
            if alone && indent <= restart_indent && byte != b'{' {
                self.restart_indent = None;
                return false;
            }
        }
        byte == b'{' && indent == restart_indent
    }

    fn is_wrapper_list(&self) -> bool {
        self.depth == 1 && self.in_object() && self.key_matched == Some(WRAPPER_KEY.len())
    }

    fn match_key(&mut self, body: &[u8]) {
        if let Some(matched) = self.key_matched {
            let same = WRAPPER_KEY[matched..].starts_with(body);
            self.key_matched = same.then(|| matched + body.len());
        }
    }

    fn open(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.levels.len() {
            self.levels.push(0);
        }
        self.levels[word] = self.levels[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        self.expect = if object {
            Expect::KeyOrEnd
        } else {
            Expect::ValueOrEnd
        };
    }

    fn close(&mut self, at: &mut usize) -> Option<Seen> {
        *at += 1;
        self.depth -= 1;
        self.close_value().then_some(Seen::End)
    }

    fn close_value_of_list(&mut self) {
        self.depth -= 1;
        self.key_matched = None;
        self.expect = Expect::CommaOrEnd;
    }

    /// Ends a string; `true` when it was the whole value.
    fn close_text(&mut self, role: Role) -> bool {
        match role {
            Role::Key => {
                self.expect = Expect::Colon;
                false
            }
            Role::Value => self.close_value(),
        }
    }

    /// Ends a value; `true` when it was the outermost.
    fn close_value(&mut self) -> bool {
        self.expect = Expect::CommaOrEnd;
        self.depth == 0
    }

    fn in_object(&self) -> bool {
        self.depth > 0 && self.levels[(self.depth - 1) / 64] >> ((self.depth - 1) % 64) & 1 == 1
    }
}
