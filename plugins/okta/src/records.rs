//! The records of a chunk: JSON objects, one after another, whatever stands between them.
//!
//! An array of objects and an object a line are the same here, since brackets, commas and white space around objects are
//! passed over. So a large array is read as it comes, and nothing has to be remembered between chunks. Objects are cut
//! out by counting braces outside of texts; whether one is JSON is decided afterwards.

use serde_json::Value;

/// The longest record. Okta's are a few kilobytes; what is longer is passed over, so that input never stands still.
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Records, with where they begin.
#[derive(Clone, Debug)]
pub(crate) struct Records<'c> {
    chunk: &'c [u8],
    at: usize,
    is_last: bool,
}

impl<'c> Records<'c> {
    pub(crate) fn new(chunk: &'c [u8], is_last: bool) -> Self {
        let at = 0;
        Self { chunk, at, is_last }
    }

    /// Up to where records were given out.
    pub(crate) fn consumed(&self) -> u32 {
        self.at as u32
    }

    /// Up to the next object, or to what is none: the end of that.
    fn skip(&mut self) -> Option<(usize, usize)> {
        while let Some(byte) = self.chunk.get(self.at) {
            match byte {
                b'{' => return None,
                b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                _ => {
                    let start = self.at;
                    let rest = &self.chunk[start..];
                    let length = rest.iter().position(|byte| *byte == b'\n' || *byte == b'{');
                    let is_known =
                        length.is_some() || self.is_last || rest.len() > RECORD_BYTES_MAX;
                    if !is_known {
                        return None;
                    }
                    self.at += length.unwrap_or(rest.len());
                    return Some((start, self.at));
                }
            }
        }
        None
    }
}

impl Iterator for Records<'_> {
    type Item = (usize, Result<Value, &'static str>);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((start, _)) = self.skip() {
            return Some((start, Err("not a JSON object")));
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
        let mut records = Records::new(chunk.as_bytes(), is_last);
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
        check("{\"a\":\"\\\"}\"}", true, (1, 0, 11));
    }

    #[test]
    fn what_never_ends_does_not_stand_still() {
        let endless = format!("{{\"a\":\"{}", "x".repeat(RECORD_BYTES_MAX));
        check(&endless, false, (0, 1, endless.len() as u32));
        let nested = "{".repeat(RECORD_BYTES_MAX + 1);
        check(&nested, false, (0, 1, nested.len() as u32));
        let lines = "{\n".repeat(RECORD_BYTES_MAX);
        let mut records = Records::new(lines.as_bytes(), false);
        assert_eq!(records.by_ref().count(), 1);
    }
}
