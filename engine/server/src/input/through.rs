//! Inputs that are no events yet: a decoder plugin makes events of their bytes.
//!
//! Stands between decompression and splitting. What a decoder leaves of a chunk comes again in front of the next; what it
//! passes over becomes a line that is no event, so that it is counted and reported like any rejected record. A decoder
//! that fails ends its input as a fault: what it would have made of the rest is not known.

use std::fmt;

/// Bytes that are given to a decoder at a time: events are at most so long.
pub(crate) const CHUNK_BYTES: usize = 1024 * 1024;

/// How the text begins that stands for what a decoder passed over. An input that begins like that too has its own words told
/// as the reason why it is no event, and no more.
const PASSED_OVER: &str = "\u{0}passed over by ";

/// Why a decoder passed over what this line stands for; nothing of any other line.
pub(crate) fn passed_over(line: &[u8]) -> Option<String> {
    if line.first() != Some(&b'"') {
        return None;
    }
    let text: String = serde_json::from_slice(line).ok()?;
    text.strip_prefix(PASSED_OVER).map(str::to_owned)
}

/// A part of an input that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PassedOver {
    /// Bytes from the start of the chunk.
    pub(crate) offset: u64,
    /// Why.
    pub(crate) message: String,
}

impl PassedOver {
    /// Of a chunk that begins at this byte of the input.
    pub(crate) fn told(&self, begins: u64) -> String {
        let Self { offset, message } = self;
        format!("byte {}: {message}", begins.saturating_add(*offset))
    }
}

/// What became of a chunk.
pub(crate) struct Made {
    /// Bytes that are done with.
    pub(crate) consumed: usize,
    /// One JSON object a line.
    pub(crate) events: Vec<u8>,
    /// Parts that were passed over.
    pub(crate) bad: Vec<PassedOver>,
    pub(crate) state: Vec<u8>,
}

impl Made {
    /// Of the last chunk of an input: what was left of it comes to nobody any more, so it was passed over.
    pub(crate) fn at_the_end(mut self, chunk: usize) -> Self {
        if let Some(left @ 1..) = chunk.checked_sub(self.consumed) {
            let bytes = if left == 1 { "byte" } else { "bytes" };
            self.bad.push(PassedOver {
                offset: self.consumed as u64,
                message: format!("the input ends in the midst of something: {left} {bytes} left"),
            });
            self.consumed = chunk;
        }
        self
    }
}

/// Makes events of bytes.
pub(crate) trait MakeEvents: Send + Sync {
    /// The name of the decoder.
    fn name(&self) -> &str;
    /// Takes the next chunk of an input.
    fn make(&self, chunk: &[u8], state: &[u8], last: bool) -> Result<Made, String>;
}

impl fmt::Debug for dyn MakeEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One input on its way through a decoder.
#[derive(Default)]
pub(super) struct Through {
    chunk: Vec<u8>,
    /// How much of the chunk is filled.
    filled: usize,
    /// The byte of the input that the chunk begins at.
    begins: u64,
    state: Vec<u8>,
    /// Events that were made and not yet taken.
    made: Vec<u8>,
    taken: usize,
    is_over: bool,
}

impl Through {
    /// Gives the next bytes of events; `read` gives the next bytes of the input, none at its end.
    pub(super) fn read<E>(
        &mut self,
        decoder: &dyn MakeEvents,
        buffer: &mut [u8],
        mut read: impl FnMut(&mut [u8]) -> Result<usize, E>,
        fault: impl Fn(String) -> E,
    ) -> Result<usize, E> {
        while self.taken == self.made.len() {
            if self.is_over {
                return Ok(0);
            }
            self.chunk.resize(CHUNK_BYTES, 0);
            // One reading: whoever waits for the events of a pipe is not to wait for a full chunk.
            let length = read(&mut self.chunk[self.filled..])?;
            self.filled += length;
            let last = length == 0;
            let chunk = &self.chunk[..self.filled];
            let mut made = decoder.make(chunk, &self.state, last).map_err(&fault)?;
            if last {
                made = made.at_the_end(self.filled);
            }
            let is_stuck = made.consumed == 0 && self.filled == CHUNK_BYTES;
            if is_stuck || made.consumed > self.filled {
                let words = format!("{} makes nothing of {CHUNK_BYTES} bytes", decoder.name());
                return Err(fault(words));
            }
            let begins = self.begins;
            self.begins += made.consumed as u64;
            self.chunk.copy_within(made.consumed..self.filled, 0);
            self.filled -= made.consumed;
            self.state = made.state;
            self.made = made.events;
            self.taken = 0;
            for bad in made.bad {
                if !self.made.is_empty() && self.made.last() != Some(&b'\n') {
                    self.made.push(b'\n');
                }
                // Text is no event, so this is counted as a rejected record.
                let line = format!("{PASSED_OVER}{}: {}", decoder.name(), bad.told(begins));
                let line = serde_json::Value::String(line);
                self.made.extend(line.to_string().into_bytes());
                self.made.push(b'\n');
            }
            self.is_over = last;
        }
        let length = buffer.len().min(self.made.len() - self.taken);
        buffer[..length].copy_from_slice(&self.made[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line `x` becomes the event `{"a":"x"}`; empty ones are bad.
    struct Lines;

    impl MakeEvents for Lines {
        fn name(&self) -> &str {
            "lines"
        }

        fn make(&self, chunk: &[u8], state: &[u8], last: bool) -> Result<Made, String> {
            let end = match last {
                true => chunk.len(),
                false => chunk
                    .iter()
                    .rposition(|byte| *byte == b'\n')
                    .map_or(0, |at| at + 1),
            };
            let (mut events, mut bad) = (String::new(), Vec::new());
            let mut count = state.first().copied().unwrap_or(0);
            let mut offset = 0;
            for line in String::from_utf8_lossy(&chunk[..end]).lines() {
                count += 1;
                match line {
                    "" => bad.push(PassedOver {
                        offset,
                        message: format!("line {count} is empty"),
                    }),
                    "trap" => return Err("it trapped".to_owned()),
                    _ => events.push_str(&format!("{{\"a\":\"{line}\"}}\n")),
                }
                offset += line.len() as u64 + 1;
            }
            Ok(Made {
                consumed: match last && chunk.ends_with(b"half") {
                    true => end - 4,
                    false => end,
                },
                events: events.into_bytes(),
                bad,
                state: vec![count],
            })
        }
    }

    fn through(text: &str, portion: usize) -> Result<String, String> {
        let mut rest = text.as_bytes();
        let (mut through, mut out) = (Through::default(), Vec::new());
        let mut buffer = [0; 7];
        loop {
            let read = |into: &mut [u8]| {
                let length = rest.len().min(portion).min(into.len());
                into[..length].copy_from_slice(&rest[..length]);
                rest = &rest[length..];
                Ok(length)
            };
            match through.read(&Lines, &mut buffer, read, |fault| fault)? {
                0 => return Ok(String::from_utf8(out).expect("text")),
                length => out.extend(&buffer[..length]),
            }
        }
    }

    #[test]
    fn portions_make_no_difference() {
        let expected = "{\"a\":\"one\"}\n\"\\u0000passed over by lines: byte 4: line 2 is empty\"\n{\"a\":\"three\"}\n";
        let told = expected.lines().map(|line| passed_over(line.as_bytes()));
        let told: Vec<Option<String>> = told.collect();
        let words = "lines: byte 4: line 2 is empty".to_owned();
        assert_eq!(told, [None, Some(words), None]);
        let sorted = |text: String| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        for portion in [1, 2, 5, 100] {
            let made = through("one\n\nthree", portion).expect("nothing fails");
            assert_eq!(sorted(made), sorted(expected.to_owned()), "{portion}");
        }
    }

    #[test]
    fn what_is_left_at_the_end_is_no_event_and_told() {
        let made = through("one\nhalf", 100).expect("nothing fails");
        let told = "\"\\u0000passed over by lines: byte 4: the input ends in the midst of something: 4 bytes left\"";
        assert_eq!(made.lines().last(), Some(told), "{made}");
    }

    #[test]
    fn what_cannot_be_made_sense_of_is_a_fault() {
        assert_eq!(through("one\ntrap\n", 100), Err("it trapped".to_owned()));
        let long = "x".repeat(CHUNK_BYTES + 1);
        let fault = through(&long, CHUNK_BYTES).expect_err("no line ends");
        assert_eq!(fault, "lines makes nothing of 1048576 bytes");
    }
}
