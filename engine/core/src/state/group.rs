//! The memory of one group, whatever the kind of its rule.

use super::lane::Timer;
use crate::rule::kind::{
    AbsenceGroup, Asked, EventTime, Firing, Kind, Observed, RareGroup, RiskGroup, SequenceGroup,
    TemporalGroup, TemporalWaitGroup, ThresholdGroup,
};
use serde::{Deserialize, Serialize};

/// The memory of one group. First-seen rules have a table of keys instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum GroupMemory {
    Threshold(ThresholdGroup),
    Sequence(SequenceGroup),
    Temporal(TemporalGroup),
    Absence(AbsenceGroup),
    Rare(RareGroup),
    Risk(RiskGroup),
    /// When a group of a first-seen rule began.
    Began(EventTime),
    /// Of a temporal rule with `without`. What is new comes last, so that older snapshots mean what they meant; it is
    /// larger than the others, which are not to grow with it.
    TemporalWait(Box<TemporalWaitGroup>),
    /// All series of an insight, as they are written: only snapshots have it, under the key 0.
    Insight(Vec<u8>),
    /// What the entities of a profile usually do, in the same way.
    Entities(Vec<u8>),
}

/// A group in its table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) memory: GroupMemory,
    /// The last observation.
    pub(super) last: EventTime,
    /// The earliest timer that will look at it.
    pub(super) timer: Option<EventTime>,
    /// About how many bytes it takes; found again after a restart.
    #[serde(skip)]
    pub(super) bytes: u32,
}

/// What a step came to.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) firing: Option<Firing>,
    pub(super) dropped: u64,
}

impl Group {
    /// An empty one for a rule of this kind.
    pub(super) fn new(kind: &Kind, now: EventTime) -> Self {
        let memory = match kind {
            Kind::Threshold(_) => GroupMemory::Threshold(ThresholdGroup::default()),
            Kind::Sequence(_) => GroupMemory::Sequence(SequenceGroup::default()),
            Kind::Temporal(kind) if kind.without.is_some() => {
                GroupMemory::TemporalWait(Box::default())
            }
            Kind::Temporal(_) => GroupMemory::Temporal(TemporalGroup::default()),
            Kind::Absence(_) => GroupMemory::Absence(AbsenceGroup::default()),
            Kind::FirstSeen(_) => GroupMemory::Began(now),
            Kind::Rare(_) => GroupMemory::Rare(RareGroup::default()),
            Kind::Risk(_) => GroupMemory::Risk(RiskGroup::default()),
            // These have no groups.
            Kind::Insight(_) | Kind::Scored => GroupMemory::Insight(Vec::new()),
            Kind::Entity(_) => GroupMemory::Entities(Vec::new()),
        };
        Self {
            memory,
            last: now,
            timer: None,
            bytes: 0,
        }
    }

    /// All series of an insight, or all entities of a profile, as they are written.
    pub(super) fn written(memory: GroupMemory) -> Self {
        Self {
            memory,
            last: EventTime::MIN,
            timer: None,
            bytes: 0,
        }
    }

    /// An observation comes.
    pub(super) fn observe(
        &mut self,
        kind: &Kind,
        observed: &Observed<'_>,
        began: EventTime,
        asked: Asked<'_>,
    ) -> Step {
        let only = |firing| Step { firing, dropped: 0 };
        match (kind, &mut self.memory) {
            (Kind::Threshold(kind), GroupMemory::Threshold(group)) => {
                only(kind.observe(group, observed))
            }
            (Kind::Sequence(kind), GroupMemory::Sequence(group)) => {
                let step = kind.observe(group, observed, asked);
                Step {
                    firing: step.firing,
                    dropped: step.dropped,
                }
            }
            (Kind::Temporal(kind), GroupMemory::Temporal(group)) => {
                only(kind.observe(group, observed))
            }
            (Kind::Temporal(kind), GroupMemory::TemporalWait(group)) => Step {
                firing: None,
                dropped: kind.observe_without(group, observed),
            },
            (Kind::Absence(kind), GroupMemory::Absence(group)) => {
                let step = kind.observe(group, observed, asked);
                Step {
                    firing: step.firing,
                    dropped: step.dropped,
                }
            }
            (Kind::Rare(kind), GroupMemory::Rare(group)) => {
                only(kind.observe(group, observed, began))
            }
            (Kind::Risk(kind), GroupMemory::Risk(group)) => only(kind.observe(group, observed)),
            // A restored group is only kept when it is of its rule's kind.
            _ => Step::default(),
        }
    }

    /// Whether it holds nothing that an observation could be asked about.
    pub(super) fn is_idle(&self) -> bool {
        match &self.memory {
            GroupMemory::Sequence(group) => group.is_idle(),
            GroupMemory::Absence(group) => group.is_idle(),
            _ => true,
        }
    }

    /// Whether it is as good as none: only what will be forgotten some time is worth keeping.
    pub(super) fn remembers_nothing(&self, kind: &Kind) -> bool {
        self.forgotten_after(kind) == EventTime::MIN
    }

    /// When it has to be looked at again, if nothing comes.
    pub(super) fn deadline(&self, kind: &Kind) -> Option<EventTime> {
        match (kind, &self.memory) {
            (Kind::Threshold(kind), GroupMemory::Threshold(group)) => kind.deadline(group),
            (Kind::Absence(kind), GroupMemory::Absence(group)) => kind.deadline(group),
            (Kind::Temporal(kind), GroupMemory::TemporalWait(group)) => kind.deadline(group),
            _ => None,
        }
    }

    /// Its time is up.
    pub(super) fn close(&mut self, kind: &Kind, now: EventTime) -> Option<Firing> {
        match (kind, &mut self.memory) {
            (Kind::Threshold(kind), GroupMemory::Threshold(group)) => kind.close(group, now),
            (Kind::Absence(kind), GroupMemory::Absence(group)) => kind.close(group, now),
            (Kind::Temporal(kind), GroupMemory::TemporalWait(group)) => kind.close(group, now),
            _ => None,
        }
    }

    /// When it can be forgotten.
    pub(super) fn forgotten_after(&self, kind: &Kind) -> EventTime {
        match (kind, &self.memory) {
            (Kind::Threshold(kind), GroupMemory::Threshold(group)) => kind.forgotten_after(group),
            (Kind::Sequence(kind), GroupMemory::Sequence(group)) => kind.forgotten_after(group),
            (Kind::Temporal(kind), GroupMemory::Temporal(group)) => kind.forgotten_after(group),
            (Kind::Temporal(kind), GroupMemory::TemporalWait(group)) => kind.waits_until(group),
            (Kind::Absence(kind), GroupMemory::Absence(group)) => kind.forgotten_after(group),
            (Kind::Rare(kind), GroupMemory::Rare(group)) => kind.forgotten_after(group),
            (Kind::Risk(kind), GroupMemory::Risk(group)) => kind.forgotten_after(group),
            // A group that was away for longer than history is as good as new, and has to learn again.
            (Kind::FirstSeen(kind), GroupMemory::Began(_)) => self.last.plus(kind.history),
            _ => EventTime::MIN,
        }
    }

    /// About how many bytes it takes, as it is noted: a place of its own, what hangs on it, and its timer.
    pub(super) fn bytes_taken(&self) -> u32 {
        let timer = self.timer.map_or(0, |_| TIMER_BYTES);
        u32::try_from(size_of::<Self>() + 16 + timer + self.heap_bytes()).unwrap_or(u32::MAX)
    }

    fn heap_bytes(&self) -> usize {
        match &self.memory {
            GroupMemory::Threshold(group) => group.heap_bytes(),
            GroupMemory::Sequence(group) => group.heap_bytes(),
            GroupMemory::Temporal(group) => group.heap_bytes(),
            GroupMemory::Absence(group) => group.heap_bytes(),
            GroupMemory::Rare(group) => group.heap_bytes(),
            GroupMemory::Risk(group) => group.heap_bytes(),
            GroupMemory::Began(_) => 0,
            GroupMemory::Insight(bytes) | GroupMemory::Entities(bytes) => bytes.len(),
            GroupMemory::TemporalWait(group) => size_of::<TemporalWaitGroup>() + group.heap_bytes(),
        }
    }
}

/// An entry in the tree of timers, whose nodes are about two thirds full.
const TIMER_BYTES: usize = size_of::<Timer>() * 3 / 2;
