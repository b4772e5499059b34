//! The records of a chunk: JSON objects, one after another, whatever stands between them.
//!
//! An array of objects and an object a line are the same here, since commas, white space and the brackets of an array around
//! objects are passed over. So a large array is read as it comes, and all that is remembered between chunks is whether one
//! is open: an array within it is bad, and so is one that does not end, since something is missing then. Objects are cut out
//! by counting braces outside of texts; whether one is JSON is decided afterwards.

use serde_json::Value;

/// The longest record. Okta's are a few kilobytes; what is longer is passed over, so that input never stands still.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Records, with where they begin.
#[derive(Clone, Debug)]
pub(crate) struct Records<'c> {
    chunk: &'c [u8],
    at: usize,
    /// Whether an array is open.
    is_open: bool,
    is_last: bool,
    /// Whether something bad was found in this chunk, which may have been the end of an array.
    has_bad: bool,
}

/// What is remembered while an array is open.
const OPEN: &[u8] = b"[";

impl<'c> Records<'c> {
    pub(crate) fn new(chunk: &'c [u8], state: &[u8], is_last: bool) -> Self {
        Self {
            chunk,
            at: 0,
            is_open: state == OPEN,
            is_last,
            has_bad: false,
        }
    }

    /// What the next chunk has to be read with.
    pub(crate) fn state(&self) -> &'static [u8] {
        if self.is_open { OPEN } else { b"" }
    }

    /// Up to where records were given out.
    pub(crate) fn consumed(&self) -> u32 {
        self.at as u32
    }

    /// Up to the next object, or over what is none: where that begins, and what is wrong with it.
    fn skip(&mut self) -> Option<(usize, &'static str)> {
        while let Some(byte) = self.chunk.get(self.at) {
            let start = self.at;
            match byte {
                b'{' => return None,
                b',' | b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'[' if !self.is_open => {
                    self.is_open = true;
                    self.at += 1;
                }
                b']' if self.is_open => {
                    self.is_open = false;
                    self.at += 1;
                }
                b'[' | b']' => {
                    // All of them at once: what is bad a million times is one part that is bad.
                    let rest = &self.chunk[start..];
                    let is_bracket = |byte: &u8| b"[], \t\r\n".contains(byte);
                    let length = rest.iter().position(|byte| !is_bracket(byte));
                    self.at += length.unwrap_or(rest.len());
                    return Some((start, "brackets that hold no objects"));
                }
                _ => {
                    let rest = &self.chunk[start..];
                    let length = rest.iter().position(|byte| *byte == b'\n' || *byte == b'{');
                    let is_known =
                        length.is_some() || self.is_last || rest.len() > RECORD_BYTES_MAX;
                    if !is_known {
                        return None;
                    }
                    self.at += length.unwrap_or(rest.len());
                    return Some((start, "not a JSON object"));
                }
            }
        }
        if self.is_open && self.is_last && !self.has_bad {
            self.is_open = false;
            return Some((self.at, "the input ends within an array"));
        }
        None
    }
}

impl Iterator for Records<'_> {
    type Item = (usize, Result<Value, &'static str>);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((start, why)) = self.skip() {
            self.has_bad = true;
            return Some((start, Err(why)));
        }
        let start = self.at;
        let rest = self
            .chunk
            .get(start..)
            .filter(|rest| rest.first() == Some(&b'{'))?;
        let Some(length) = object(&rest[..rest.len().min(RECORD_BYTES_MAX)]) else {
            if rest.len() > RECORD_BYTES_MAX {
                // A line after all that was looked at is the next place where a record may begin: to begin with the very
                // next one would read the same bytes again and again.
                let beyond = &rest[RECORD_BYTES_MAX..];
                let line = beyond.iter().position(|byte| *byte == b'\n');
                self.at += line.map_or(rest.len(), |line| RECORD_BYTES_MAX + line + 1);
                return Some((start, Err("an object that is too long")));
            }
            if self.is_last {
                self.at = self.chunk.len();
                self.has_bad = true;
                return Some((start, Err("the input ends within an object")));
            }
            return None;
        };
        self.at += length;
        let value = serde_json::from_slice(&rest[..length]);
        Some((start, value.map_err(|_| "not JSON")))
    }
}

/// The length of the object that the bytes begin with; nothing when it does not end.
fn object(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunk: &str, is_last: bool, expected: (usize, usize, u32)) {
        let mut records = Records::new(chunk.as_bytes(), b"", is_last);
        let (mut good, mut bad) = (0, 0);
        for (_, record) in records.by_ref() {
            match record {
                Ok(_) => good += 1,
                Err(_) => bad += 1,
            }
        }
        assert_eq!((good, bad, records.consumed()), expected, "{chunk}");
    }

    #[test]
    fn records() {
        check("[{\"a\":\"}\"},{}]", true, (2, 0, 14));
        check("{}\n{\"a\":{}}\n", false, (2, 0, 12));
        check("{}\n{\"a\":", false, (1, 0, 3));
        check("{}\n{\"a\":", true, (1, 1, 8));
        check("{a}{}", true, (1, 1, 5));
        check("x\n{}", true, (1, 1, 4));
        check("x", false, (0, 0, 0));
        check("x", true, (0, 1, 1));
        check("", true, (0, 0, 0));
        check("[]\n[ ]\n", true, (0, 0, 7));
        check("[{}]\n[{},{}]", true, (3, 0, 12));
        check("{\"a\":\"\\\"}\"}", true, (1, 0, 11));
    }

    #[test]
    fn brackets_that_are_no_array_of_objects_are_bad() {
        let deep = "[".repeat(900_000);
        check(&deep, true, (0, 1, 900_000));
        check(&deep, false, (0, 1, 900_000));
        check("]]]\n{}", true, (1, 1, 6));
        check("[[{}]]", true, (1, 2, 6));
        check("[", true, (0, 1, 1));
        check("[{}, nonsense]", true, (1, 1, 14));
        check("[{},{}", true, (2, 1, 6));
        check("[{}", false, (1, 0, 3));
        let mut open = Records::new(b"[{},", b"", false);
        assert_eq!(open.by_ref().count(), 1);
        let mut rest = Records::new(b"{}]", open.state(), true);
        assert_eq!(rest.by_ref().filter(|(_, one)| one.is_ok()).count(), 1);
        assert_eq!((open.state(), rest.state()), (&b"["[..], &b""[..]));
    }

    #[test]
    fn what_never_ends_does_not_stand_still() {
        let endless = format!("{{\"a\":\"{}", "x".repeat(RECORD_BYTES_MAX));
        check(&endless, false, (0, 1, endless.len() as u32));
        let nested = "{".repeat(RECORD_BYTES_MAX + 1);
        check(&nested, false, (0, 1, nested.len() as u32));
        let lines = "{\n".repeat(RECORD_BYTES_MAX);
        let mut records = Records::new(lines.as_bytes(), b"", false);
        assert_eq!(records.by_ref().count(), 1);
    }
}
