//! The store: findings, the events that they cite, dead letters, and how far each partition has come.
//!
//! One commit moves a partition forward: its new position and everything that came of the records up to there become
//! durable together or not at all. So a crash never leaves a finding without its position or a position without its
//! findings, and doing the records after the position again is harmless: findings have their identity from what they
//! are about, and the store takes each once.

use super::{PortFault, Sequence};
use crate::rule::kind::EventTime;
use crate::wire::Finding;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A part of the events, with a log of its own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Partition(pub u32);

/// How often a partition was taken over. Who holds an older one than the store knows is fenced off.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// Where a partition stands when it is taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The epoch of whoever took it over now.
    pub epoch: Epoch,
    /// What came of the records up to here is durable.
    pub position: Sequence,
    /// How often it was taken over since its position last moved, or a commit said that the start went well: more than a
    /// few times, and some record after it kills the process.
    pub starts: u32,
    /// What its rules remembered, and up to which record.
    pub snapshot: Option<SnapshotKept>,
}

/// What the rules of a partition remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotKept {
    /// It has seen the records up to here.
    pub position: Sequence,
    /// As `State::snapshot` writes it.
    pub bytes: Vec<u8>,
}

/// An event that a finding cites, or may come to cite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptEvent {
    /// Its id.
    pub id: String,
    /// The document.
    #[serde(with = "serde_bytes_text")]
    pub bytes: Vec<u8>,
}

/// Why a record was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum DeadReason {
    /// It is no event.
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// A rule could not be decided on it.
    Undecided {
        /// The rule.
        rule: String,
        /// What it stumbled over.
        detail: String,
    },
    /// A plugin gave no answer about it.
    Plugin {
        /// The plugin.
        plugin: String,
        /// What it did instead.
        detail: String,
    },
    /// The process died each time it came to this record.
    Fatal {
        /// How often.
        starts: u32,
    },
    /// It came through a channel that does not take it as it is: it does not fit the schema, or cannot be mapped.
    Channel {
        /// The channel.
        channel: String,
        /// Why, in one word.
        code: String,
        /// Why.
        detail: String,
    },
    /// A sink refused a finding, or did not take it in the time and tries that it has.
    Sink {
        /// The sink.
        sink: String,
        /// What it answered.
        detail: String,
    },
}

/// A record or a finding that was set aside so that the others go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it comes from.
    pub partition: Partition,
    /// Its place there; of a finding, its place among what goes out.
    pub sequence: Sequence,
    /// When the bus took it, microseconds after 1970; of a finding, when it was set aside.
    pub taken: EventTime,
    /// Why.
    pub reason: DeadReason,
    /// How many bytes it has; what is kept of them may be less.
    pub bytes: u64,
    /// What the bus knew of it.
    #[serde(with = "serde_bytes_text")]
    pub attributes: Vec<u8>,
    /// Its bytes, cut where they are too many to keep.
    #[serde(with = "serde_bytes_text")]
    pub payload: Vec<u8>,
}

/// The number of a dead letter in the store; later ones have larger numbers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct DeadNumber(pub u64);

/// Which dead letters.
#[derive(Clone, Debug, Default)]
pub struct DeadFilter {
    /// Those after this number.
    pub after: DeadNumber,
    /// At most so many.
    pub max: usize,
}

/// What becomes durable together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The partition.
    pub partition: Partition,
    /// The epoch of whoever commits.
    pub epoch: Epoch,
    /// What came of the records up to here is in this commit or in earlier ones. Never less than before: a commit that
    /// goes back is refused (`Reject`).
    pub position: Sequence,
    /// The start went well although the position does not move: there is nothing after it, or the end is orderly.
    pub is_well_started: bool,
    /// What was found; each is taken unless the store has it already (`supersedes`).
    pub findings: Vec<Finding>,
    /// Events that these findings cite or later ones may.
    pub events: Vec<KeptEvent>,
    /// What was set aside.
    pub dead: Vec<DeadLetter>,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Findings that the store did not have.
    pub new: u64,
    /// Findings that it had, with less counted on them.
    pub renewed: u64,
}

/// A finding as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFinding {
    /// Its place among what goes out; larger than that of everything stored before it.
    pub number: Sequence,
    /// The finding as it was stored last.
    pub finding: Finding,
}

/// A finding on its way to sinks: every version of it that was stored, in order.
pub type Outgoing = StoredFinding;

/// Which findings, newest first by the number of their newest version.
#[derive(Clone, Debug, Default)]
pub struct FindingFilter {
    /// Of this rule.
    pub rule: Option<String>,
    /// At least this severe: the words of these severities.
    pub severities: Vec<String>,
    /// Stored before this number.
    pub before: Option<Sequence>,
    /// Of events at or after this time. Findings that do not say when their event happened are not among them.
    pub since: Option<EventTime>,
    /// At most so many; the store may give fewer.
    pub max: usize,
}

impl FindingFilter {
    /// Whether a finding is one of them, leaving `before` and `max` aside.
    pub fn takes(&self, finding: &Finding) -> bool {
        if self
            .rule
            .as_ref()
            .is_some_and(|rule| *rule != finding.rule_id)
        {
            return false;
        }
        if !self.severities.is_empty() && !self.severities.contains(&finding.severity) {
            return false;
        }
        let Some(since) = self.since else {
            return true;
        };
        // Compared as times: as texts, a time with a fraction sorts before the same second without one.
        let time: Option<Timestamp> = finding
            .event_time
            .as_ref()
            .and_then(|text| text.parse().ok());
        time.is_some_and(|time| time >= since.to_timestamp())
    }
}

/// Findings that a filter takes, as far as the store looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindingPage {
    /// The findings, newest first.
    pub found: Vec<StoredFinding>,
    /// What to ask `before` to go on; absent when there are no more. There may be some although none are here: a store
    /// looks at no more than so many at a time.
    pub next: Option<Sequence>,
}

/// Whether a finding is to be stored although one with its id is there: when more was counted on it. The revision of what
/// is stored then is one more than that of what is there, whatever it was when it was told: after a restart the
/// same thing may be told in fewer or more steps.
pub fn supersedes(new: &Finding, old: &Finding) -> bool {
    let count = |finding: &Finding| finding.suppressed.as_ref().map_or(0, |one| one.count);
    count(new) > count(old)
}

/// What the pipeline keeps. Shared by the threads of one process; one process at a time has it open.
pub trait Store: Send + Sync {
    /// Takes a partition over: its epoch is one more than before, and whoever had it is fenced off.
    fn take_over(&self, partition: Partition) -> Result<Checkpoint, PortFault>;

    /// Makes a commit durable. A fault of class `Fenced` when the epoch is not that of the last take-over. Findings of
    /// one commit are taken in order, as if each had a commit of its own.
    fn commit(&self, commit: &Commit) -> Result<Committed, PortFault>;

    /// Keeps what rules remember in the place of what was kept before; fenced like a commit. One that has seen fewer
    /// records than the one kept is left aside. One that has seen records after the partition's position is refused
    /// (`Reject`): what came of these would be missing after a restart.
    fn keep_snapshot(
        &self,
        partition: Partition,
        epoch: Epoch,
        snapshot: &SnapshotKept,
    ) -> Result<(), PortFault>;

    /// How far a partition has come: what came of the records up to here is durable. 0 when it was never taken over.
    fn position(&self, partition: Partition) -> Result<Sequence, PortFault>;

    /// What goes out after a number, in order, at most `max`; fewer when they are long. Only what is durable, so that
    /// no sink is told what a loss of power takes back.
    fn outgoing(&self, after: Sequence, max: usize) -> Result<Vec<Outgoing>, PortFault>;

    /// The newest number among what goes out; 0 when there is none.
    fn newest(&self) -> Result<Sequence, PortFault>;

    /// How far a sink has come; 0 when it is new.
    fn sink_position(&self, sink: &str) -> Result<Sequence, PortFault>;

    /// A sink has come so far, and these are the findings among them that it will never take. How far it has come outlives the end of
    /// the process; a loss of power may set it back, and then it is sent again what it has. What it will never take is durable. From the first time on
    /// the store knows the sink, and keeps for it what it has yet to take. A sink never goes back: a smaller position
    /// changes nothing; one that the store has not come to is refused (`Reject`).
    fn sink_reached(
        &self,
        sink: &str,
        position: Sequence,
        dead: &[DeadLetter],
    ) -> Result<(), PortFault>;

    /// The sinks that the store knows, and how far each has come.
    fn sinks(&self) -> Result<Vec<(String, Sequence)>, PortFault>;

    /// Forgets a sink that is gone for good, so that nothing is kept for it any more. Whether it was known.
    fn forget_sink(&self, sink: &str) -> Result<bool, PortFault>;

    /// The finding of this id.
    fn finding(&self, id: &str) -> Result<Option<StoredFinding>, PortFault>;

    /// Findings, newest first.
    fn findings(&self, filter: &FindingFilter) -> Result<FindingPage, PortFault>;

    /// The event of this id, if a finding cites it or might have.
    fn event(&self, id: &str) -> Result<Option<Vec<u8>>, PortFault>;

    /// Dead letters, oldest first.
    fn dead_letters(&self, filter: &DeadFilter)
    -> Result<Vec<(DeadNumber, DeadLetter)>, PortFault>;

    /// The dead letter of this number.
    fn dead_letter(&self, number: DeadNumber) -> Result<Option<DeadLetter>, PortFault>;

    /// Forgets dead letters: they were done again, or nobody wants them. How many there were.
    fn drop_dead_letters(&self, numbers: &[DeadNumber]) -> Result<u64, PortFault>;

    /// How many dead letters gave way to newer ones, ever.
    fn dead_given_way(&self) -> Result<u64, PortFault>;

    /// Forgets what was stored before this time, as `set_now` told it then: findings, their events, dead letters. What
    /// known sinks have yet to take stays, with its events. An event goes after the last finding that cites it, and may
    /// stay up to an hour longer. How many findings went.
    fn forget_before(&self, time: EventTime) -> Result<u64, PortFault>;

    /// The time to stamp on what is stored from now on. Stores read no clock. It never goes back: an earlier time than
    /// that of what is stored already changes nothing.
    fn set_now(&self, now: EventTime);
}

/// Bytes as text where they are text, else as a list of numbers: dead letters are read by people.
mod serde_bytes_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either<'a> {
        Text(std::borrow::Cow<'a, str>),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Either::Text(text.into()).serialize(to),
            Err(_) => Either::Bytes(bytes.to_vec()).serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Either::deserialize(from)? {
            Either::Text(text) => text.into_owned().into_bytes(),
            Either::Bytes(bytes) => bytes,
        })
    }
}
