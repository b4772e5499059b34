//! What processes that share the work know together of files that were taken, so that whoever goes on takes none again.
//!
//! ```text
//! stream PREFIX-files-ledger, key = channel, entry = "CHANNEL HEX": a file of it was taken
//! ```
//!
//! It is said after the events of a file are durable, and heard before a round. What the process before did not come to say is
//! told by the ids of events, which are read from the log then.

use super::bus::files_ledger;
use crate::causes::with_causes;
use crate::config::Config;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tripline_bus::nats::NatsLedger;
use tripline_core::port::{Ledger, Sequence};

/// The ledger, and what was heard that nobody asked for yet.
pub(super) struct SharedFiles {
    ledger: NatsLedger,
    now: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    after: Sequence,
    /// By channel.
    keys: HashMap<String, Vec<u128>>,
}

impl SharedFiles {
    pub(super) fn open(config: &Config) -> Result<Self, String> {
        Ok(Self {
            ledger: files_ledger(config)?,
            now: Mutex::default(),
        })
    }

    /// The files of a channel that were taken since this was asked before.
    pub(super) fn hear(&self, channel: &str) -> Result<Vec<u128>, String> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |fault| with_causes(&fault);
        let last = self.ledger.last().map_err(told)?;
        while now.after < last {
            let entries = self.ledger.read(now.after).map_err(told)?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                now.after = entry.place;
                if let Some((channel, key)) = parse(&entry.bytes) {
                    now.keys.entry(channel.to_owned()).or_default().push(key);
                }
            }
        }
        Ok(now.keys.remove(channel).unwrap_or_default())
    }

    /// Says that a file was taken.
    pub(super) fn say(&self, channel: &str, key: u128) -> Result<(), String> {
        let entry = format!("{channel} {key:032x}");
        let appended = self.ledger.append(channel, None, entry.as_bytes());
        appended.map(|_| ()).map_err(|fault| with_causes(&fault))
    }
}

fn parse(bytes: &[u8]) -> Option<(&str, u128)> {
    let (channel, key) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    Some((channel, u128::from_str_radix(key, 16).ok()?))
}
