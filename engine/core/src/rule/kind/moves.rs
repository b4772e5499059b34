//! What the steps of all kinds are given, and what they give back.

use super::period::EventTime;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The name of an event in few bytes: nearly all are UUIDs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKey {
    /// A UUID in lower case with hyphens, as 16 bytes.
    Uuid([u8; 16]),
    /// Any other name.
    Text(Arc<str>),
}

/// Where the hyphens of a UUID stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl EventKey {
    /// The key of an event of this name.
    pub fn new(id: &str) -> Self {
        Self::uuid(id.as_bytes()).unwrap_or_else(|| Self::Text(id.into()))
    }

    fn uuid(id: &[u8]) -> Option<Self> {
        if id.len() != 36 {
            return None;
        }
        let (mut bytes, mut digits) = ([0u8; 16], 0);
        for (at, byte) in id.iter().enumerate() {
            let digit = match byte {
                b'-' if HYPHENS.contains(&at) => continue,
                _ if HYPHENS.contains(&at) => return None,
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
            digits += 1;
        }
        Some(Self::Uuid(bytes))
    }

    /// Bytes that this key has beside its own.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Uuid(_) => 0,
            Self::Text(text) => text.len() + 16,
        }
    }
}

/// The name as the event has it.
impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Uuid(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// An event that is kept, because a finding may be about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its name.
    pub key: EventKey,
    /// When it happened.
    pub time: EventTime,
    /// The document that it came in.
    pub bytes: Box<[u8]>,
    /// What the caller wants to find again with it, such as its place in a file; nothing here reads it.
    pub origin: Box<str>,
}

impl StoredEvent {
    /// About how much memory it takes.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>() + 32 + self.bytes.len() + self.origin.len() + self.key.heap_bytes()
    }
}

/// What was computed of an event when it was observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Captured {
    /// Nothing.
    #[default]
    Nothing,
    /// The hash of a value.
    Hash(u128),
    /// A number.
    Number(f64),
    /// Whether something holds.
    Flag(bool),
    /// What a series counts.
    Counted(CountedOf),
    /// What an entity does, and with whom it is compared, as hashes.
    Sight {
        /// What.
        value: u64,
        /// With whom.
        peers: u64,
    },
}

/// What a series is told of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountedOf {
    /// The event is an error.
    pub is_error: bool,
    /// The bits of a number, or the hash of a value.
    pub value: u32,
    /// Whose it is: the hash of each attribution, in order; 0 beyond them.
    pub names: [u64; 3],
}

impl CountedOf {
    /// The number that is counted.
    pub fn number(self) -> f64 {
        f64::from(f32::from_bits(self.value))
    }
}

impl Captured {
    /// The hash; of what has none, one that stands for it.
    pub fn hash(self) -> u128 {
        match self {
            Self::Hash(hash) => hash,
            Self::Number(number) => u128::from(number.to_bits()),
            Self::Flag(flag) => u128::from(flag),
            Self::Sight { value, peers } => u128::from(value) << 64 | u128::from(peers),
            Self::Nothing | Self::Counted(_) => 0,
        }
    }

    /// As a number.
    pub fn number(self) -> f64 {
        match self {
            Self::Number(number) => number,
            Self::Flag(true) => 1.0,
            _ => 0.0,
        }
    }
}

/// One event, or one detection, as a step sees it.
#[derive(Clone, Debug)]
pub struct Observed<'o> {
    /// Which input of the rule it is.
    pub input: usize,
    /// The event, or the event of the detection.
    pub event: &'o Arc<StoredEvent>,
    /// Tells the detections of different rules apart; 0 for an event.
    pub detected_by: u64,
    /// What was computed of it.
    pub captured: Captured,
}

impl Observed<'_> {
    /// When it happened. Of a detection that came later than its event, the caller makes an event of that time.
    pub fn time(&self) -> EventTime {
        self.event.time
    }
}

/// Answers whether an event meets the condition of an input, given the events of earlier steps in order.
pub type Asked<'a> = &'a mut dyn FnMut(&Arc<StoredEvent>, usize, &[Arc<StoredEvent>]) -> bool;

/// Most events that a finding cites.
pub const CITED_MAX: usize = 100;

/// What a rule that remembers found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    /// When it came to hold.
    pub time: EventTime,
    /// The event that the finding is about: the last one, or the one that something else did not follow.
    pub event: Arc<StoredEvent>,
    /// When what was found began.
    pub start: EventTime,
    /// How many events are in it.
    pub count: u64,
    /// What was compared: the count, a share, a sum, a score.
    pub value: f64,
    /// The events of the steps, by the numbers of the inputs.
    pub steps: Vec<(u16, Arc<StoredEvent>)>,
    /// The latest events in it, at most [`CITED_MAX`].
    pub cited: Vec<EventKey>,
}

impl Firing {
    /// A firing about one event alone.
    pub fn of_event(event: &Arc<StoredEvent>) -> Self {
        Self {
            time: event.time,
            event: event.clone(),
            start: event.time,
            count: 1,
            value: 1.0,
            steps: Vec::new(),
            cited: vec![event.key.clone()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EventKey;

    #[test]
    fn keys_are_the_names_they_were() {
        for id in [
            "00000000-0000-4000-8000-0123456789ab",
            "00000000-0000-4000-8000-0123456789AB",
            "00000000-0000-4000-8000-0123456789a",
            "0000000000000-4000-8000-0123456789ab",
            "sha256:12",
            "",
        ] {
            assert_eq!(EventKey::new(id).to_string(), id);
        }
        let packed = EventKey::new("00000000-0000-4000-8000-0123456789ab");
        assert!(matches!(packed, EventKey::Uuid(_)));
        assert_eq!(size_of::<EventKey>(), 24);
    }
}
