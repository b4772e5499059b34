//! Splunk's acknowledgements: numbers of requests that are durable, each read once.
//!
//! A request is answered when it is durable, so its number is true from the start; one that is not known is false, and whoever
//! hears that sends again, which is told by the ids of events. So nothing is lost when numbers are forgotten: those of a
//! process that ended, and those that nobody asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Senders, by what they call themselves, whose numbers are kept; the one that was silent for longest gives way.
const SENDERS_MAX: usize = 1024;

/// Numbers of one sender that were not read; the oldest give way. Splunk keeps as many by default for a channel of its kind.
const NUMBERS_MAX: usize = 10_000;

/// The numbers.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    now: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By channel, and what the sender calls itself.
    senders: BTreeMap<(String, String), Numbers>,
    uses: u64,
}

#[derive(Debug, Default)]
struct Numbers {
    next: u64,
    unread: BTreeSet<u64>,
    used: u64,
}

impl Acks {
    /// The number of a request that is durable.
    pub(crate) fn give(&self, channel: &str, sender: &str) -> u64 {
        let mut known = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        known.uses += 1;
        let used = known.uses;
        let key = (channel.to_owned(), sender.to_owned());
        if !known.senders.contains_key(&key) && known.senders.len() >= SENDERS_MAX {
            let oldest = known.senders.iter().min_by_key(|(_, one)| one.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                known.senders.remove(&oldest);
            }
        }
        let numbers = known.senders.entry(key).or_default();
        let number = numbers.next;
        numbers.next += 1;
        numbers.used = used;
        numbers.unread.insert(number);
        if numbers.unread.len() > NUMBERS_MAX {
            numbers.unread.pop_first();
        }
        number
    }

    /// Whether each of these is durable; those that are, are forgotten by that.
    pub(crate) fn read(&self, channel: &str, sender: &str, wanted: &[u64]) -> Vec<(u64, bool)> {
        let mut known = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (channel.to_owned(), sender.to_owned());
        let mut numbers = known.senders.get_mut(&key);
        let mut read = |number: &u64| {
            let numbers = numbers.as_deref_mut();
            numbers.is_some_and(|numbers| numbers.unread.remove(number))
        };
        wanted.iter().map(|one| (*one, read(one))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Acks, NUMBERS_MAX, SENDERS_MAX};

    #[test]
    fn each_is_read_once_and_by_its_own_sender() {
        let acks = Acks::default();
        assert_eq!((acks.give("a", "s"), acks.give("a", "s")), (0, 1));
        assert_eq!(acks.give("a", "other"), 0);
        assert_eq!(acks.read("b", "s", &[0]), [(0, false)]);
        assert_eq!(
            acks.read("a", "s", &[0, 1, 7]),
            [(0, true), (1, true), (7, false)]
        );
        assert_eq!(acks.read("a", "s", &[0]), [(0, false)]);
        assert_eq!(acks.read("a", "other", &[0]), [(0, true)]);
    }

    #[test]
    fn what_nobody_reads_gives_way() {
        let acks = Acks::default();
        for _ in 0..=NUMBERS_MAX {
            acks.give("a", "s");
        }
        assert_eq!(acks.read("a", "s", &[0, 1]), [(0, false), (1, true)]);
        for number in 0..SENDERS_MAX {
            acks.give("a", &number.to_string());
        }
        assert_eq!(acks.read("a", "s", &[2]), [(2, false)]);
    }
}
