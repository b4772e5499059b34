//! Bodies and files that are no events yet: a decoder plugin makes events of their bytes.
//!
//! What it passes over is an entry too, so that it is counted and told. A decoder that fails makes the whole body fail, for what it would
//! have made of the rest is not known; nothing of it is taken then.

use super::{Entry, Unreadable, json};
use crate::input::through::{CHUNK_BYTES, MakeEvents};

/// How often a decoder is called for each chunk that a body has: one that takes little at a time would take for ever.
const CALLS_MAX: usize = 4;

/// What a decoder made of a body.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// One JSON object a line.
    events: Vec<u8>,
    /// Why parts were passed over.
    bad: Vec<String>,
}

/// Why nothing was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecoderFault {
    /// The decoder failed; it may be mended.
    Failed(String),
    /// The events are more bytes than they may be.
    TooLarge,
}

/// Makes events of a text; they may have so many bytes together.
pub(crate) fn decoded(
    decoder: &dyn MakeEvents,
    text: &[u8],
    bytes_max: u64,
) -> Result<Decoded, DecoderFault> {
    let mut made = Decoded {
        events: Vec::new(),
        bad: Vec::new(),
    };
    let mut state = Vec::new();
    let mut rest = text;
    let mut begins = 0;
    for _ in 0..CALLS_MAX * (text.len() / CHUNK_BYTES + 1) {
        let chunk = &rest[..rest.len().min(CHUNK_BYTES)];
        let is_last = chunk.len() == rest.len();
        let one = decoder.make(chunk, &state, is_last);
        let mut one = one.map_err(DecoderFault::Failed)?;
        if is_last {
            one = one.at_the_end(chunk.len());
        }
        let is_stuck = one.consumed == 0 && !is_last;
        if is_stuck || one.consumed > chunk.len() {
            let words = format!("{} makes nothing of {CHUNK_BYTES} bytes", decoder.name());
            return Err(DecoderFault::Failed(words));
        }
        made.events.extend_from_slice(&one.events);
        if made.events.last().is_some_and(|last| *last != b'\n') {
            made.events.push(b'\n');
        }
        made.bad.extend(one.bad.iter().map(|bad| bad.told(begins)));
        let told: usize = made.bad.iter().map(String::len).sum();
        if (made.events.len() + told) as u64 > bytes_max {
            return Err(DecoderFault::TooLarge);
        }
        if is_last {
            return Ok(made);
        }
        rest = &rest[one.consumed..];
        begins += one.consumed as u64;
        state = one.state;
    }
    let words = format!("{} takes too little at a time", decoder.name());
    Err(DecoderFault::Failed(words))
}

impl Decoded {
    /// The events, and after them what was passed over. Nothing when there are more than may be.
    pub(crate) fn entries(&self, event_bytes_max: usize, most: usize) -> Option<Vec<Entry<'_>>> {
        let mut entries = json(&self.events, event_bytes_max, most)?;
        let bad = self.bad.iter().map(|words| {
            Entry::broken(Unreadable {
                code: "undecodable",
                words: words.clone(),
            })
        });
        entries.extend(bad);
        (entries.len() <= most).then_some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES, DecoderFault, decoded};
    use crate::input::through::{Made, MakeEvents, PassedOver};

    /// Each line `x` becomes the event `{"a":"x","n":its number}`; empty ones are passed over.
    struct Lines;

    impl MakeEvents for Lines {
        fn name(&self) -> &str {
            "lines"
        }

        fn make(&self, chunk: &[u8], state: &[u8], last: bool) -> Result<Made, String> {
            let end = match last {
                true => chunk.len(),
                false => memchr::memrchr(b'\n', chunk).map_or(0, |at| at + 1),
            };
            let mut count: u64 = String::from_utf8_lossy(state).parse().unwrap_or(0);
            let (mut events, mut bad) = (String::new(), Vec::new());
            let mut offset = 0;
            for line in String::from_utf8_lossy(&chunk[..end]).lines() {
                count += 1;
                let at = offset;
                offset += line.len() as u64 + 1;
                match line {
                    "" => bad.push(PassedOver {
                        offset: at,
                        message: format!("line {count} is empty"),
                    }),
                    "trap" => return Err("it trapped".to_owned()),
                    _ => events.push_str(&format!("{{\"a\":{},\"n\":{count}}}\n", line.len())),
                }
            }
            Ok(Made {
                consumed: match chunk.ends_with(b"half") {
                    true => end - 4,
                    false => end,
                },
                events: events.into_bytes(),
                bad,
                state: count.to_string().into_bytes(),
            })
        }
    }

    #[test]
    fn a_text_is_made_events_in_chunks() {
        let line = format!("{}\n", "x".repeat(99));
        let count = 3 * CHUNK_BYTES / 100;
        let text = format!("{}\n{}", line.repeat(count), "y".repeat(5));
        let made = decoded(&Lines, text.as_bytes(), 1 << 30).expect("nothing fails");
        let entries = made.entries(1024, count + 2).expect("as many as may be");
        assert_eq!(entries.len(), count + 2);
        let body = |at: usize| String::from_utf8_lossy(entries[at].body.as_ref().expect("one"));
        assert_eq!(body(count - 1), format!("{{\"a\":99,\"n\":{count}}}"));
        assert_eq!(body(count), format!("{{\"a\":5,\"n\":{}}}", count + 2));
        let why = entries[count + 1].body.as_ref().expect_err("it is empty");
        assert_eq!(
            (why.code, why.words.as_str()),
            (
                "undecodable",
                format!("byte {}: line {} is empty", count * 100, count + 1).as_str()
            )
        );
        assert!(made.entries(1024, count + 1).is_none());
    }

    #[test]
    fn what_is_left_at_the_end_is_told() {
        let made = decoded(&Lines, b"one\nhalf", 1000).expect("nothing fails");
        let words = "byte 4: the input ends in the midst of something: 4 bytes left";
        assert_eq!(made.bad, [words]);
    }

    #[test]
    fn a_decoder_that_fails_makes_nothing() {
        let failed = |words: &str| DecoderFault::Failed(words.to_owned());
        let made = |text: &str, most| decoded(&Lines, text.as_bytes(), most).expect_err("a fault");
        assert_eq!(made("one\ntrap\n", 1000), failed("it trapped"));
        assert_eq!(made("one\ntwo\n", 20), DecoderFault::TooLarge);
        let long = "x".repeat(CHUNK_BYTES + 1);
        let words = "lines makes nothing of 1048576 bytes";
        assert_eq!(made(&long, 1000), failed(words));
    }
}
