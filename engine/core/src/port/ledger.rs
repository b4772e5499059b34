//! The ledger: what several processes that share the work agree on, in one order that all of them see alike.
//!
//! Whoever follows it from its beginning and does what each entry says comes to the same store as everybody else. An entry
//! has a key, and may demand which entry of that key was the newest: of two processes that both believe to own something,
//! one gets its entry in, and the other learns that it does not own it any more.

use super::{PortFault, Sequence};
use crate::rule::kind::EventTime;
use std::time::Duration;

/// An entry as it is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place; larger than that of every entry before it. Places have holes.
    pub place: Sequence,
    /// When the ledger took it, by a clock that everybody sees alike.
    pub taken: EventTime,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The ledger, and what is kept beside it. Shared by threads and by processes.
pub trait Ledger: Send + Sync {
    /// Appends an entry under a key, and returns its place when it is as durable as the ledger is. With `expected`, only if
    /// the newest entry of the key is at that place (0: there is none); a fault of class `Fenced` if it is another one. After
    /// a fault of class `Retry` the entry may be there all the same, or may yet come.
    fn append(
        &self,
        key: &str,
        expected: Option<Sequence>,
        entry: &[u8],
    ) -> Result<Sequence, PortFault>;

    /// The place of the newest entry of a key; 0 when there is none.
    fn newest(&self, key: &str) -> Result<Sequence, PortFault>;

    /// The place of the newest entry of all; 0 when there is none.
    fn last(&self) -> Result<Sequence, PortFault>;

    /// The place that the ledger begins with: all entries from there on are there, none before it is. 1 when nothing was ever
    /// purged.
    fn first(&self) -> Result<Sequence, PortFault>;

    /// Forgets every entry up to a place, for good. Never the newest one of a key, which whoever appends is held against: that
    /// is for the caller to see to.
    fn purge(&self, through: Sequence) -> Result<(), PortFault>;

    /// The entries after a place, in order, some of them at least if there are any; does not wait for any. A ledger that lost
    /// one has a fault of class `Stop`: what follows means nothing without it.
    fn read(&self, after: Sequence) -> Result<Vec<Entry>, PortFault>;

    /// Waits until there is an entry after a place, or for this long. Whether there is one.
    fn wait(&self, after: Sequence, at_most: Duration) -> Result<bool, PortFault>;

    /// Keeps bytes under a name, in the place of what was kept under it. Whoever reads meanwhile gets either whole, or a
    /// fault of class `Retry`.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), PortFault>;

    /// What is kept under a name.
    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, PortFault>;

    /// The names under which something is kept.
    fn names(&self) -> Result<Vec<String>, PortFault>;

    /// Forgets what is kept under a name, if anything is.
    fn forget(&self, name: &str) -> Result<(), PortFault>;
}

/// What a process that shares the work says of itself, again and again.
pub trait Members: Send + Sync {
    /// Says it: others see it for some seconds.
    fn announce(&self, name: &str, words: &[u8]) -> Result<(), PortFault>;

    /// Says nothing any more: others need not wait for it to fall silent.
    fn leave(&self, name: &str) -> Result<(), PortFault>;

    /// What everybody said lately, by name.
    fn present(&self) -> Result<Vec<(String, Vec<u8>)>, PortFault>;
}
