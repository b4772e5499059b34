//! What resources were before something happened: the shadow state.
//!
//! Most events say what something is now, or only that it is gone; what it was, nobody asks in time. So every event that says
//! how something is set is folded into the last few versions of it, by the time of the event and then by its id: the order in
//! which events arrive makes no difference, as long as nothing is put out for want of room. Failed events fold nothing.
//!
//! A version that a finding is about is doubted, and is nobody's last-known-good: else the second change of somebody who makes
//! two would be answered by putting back the first. It stays doubted when it is not held any more, as events may come again.
//!
//! Values are held as text. A parsed one takes several times the room, and is needed only when something has gone wrong.

mod aspect;
mod facts;
mod stored;

pub use stored::{ImportFault, StoredFault};

use crate::action::{Known, LastKnown};
use crate::plan::canonical;
use aspect::{Aspect, Said, Version};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Versions of an aspect of a resource. Four: one that is bad, one before it, and two for what arrives late. Those of the
    /// last ten minutes before the latest are held beside them, up to 32 in all, as they may still be doubted.
    pub versions_max: usize,
    /// Aspects of resources.
    pub entries_max: usize,
    /// Bytes of names and values.
    pub bytes_max: usize,
    /// Bytes of one value: of a larger one only that there was one is held. AWS bounds documents of policies at 20 KiB.
    pub value_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            versions_max: 4,
            entries_max: 200_000,
            bytes_max: 256 << 20,
            value_bytes_max: 64 << 10,
        }
    }
}

/// What was counted since the state was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Aspects that were put out for want of room.
    pub evicted: u64,
    /// Values that were larger than a value may be: of those it is known only that there was one.
    pub too_large: u64,
}

/// A resource's ARN and an aspect of it, as `assume_role_policy`.
type Key = (Box<str>, Box<str>);

/// The aspects of resources, each with its last few versions.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    bounds: Bounds,
    entries: BTreeMap<Key, Aspect>,
    /// Aspects by when they changed last, to find which changed least recently.
    changed: BTreeSet<(Said, Key)>,
    bytes: usize,
    counts: Counts,
}

/// What an entry takes besides its names and versions: nodes of the two maps, by estimate.
const ENTRY_BYTES: usize = 128;

impl Shadow {
    /// A state that knows nothing.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Takes in an event of CloudTrail. Whether it said something about a resource's state.
    pub fn fold(&mut self, event: &Value) -> bool {
        self.take(event, false).0
    }

    /// Takes in an event that a finding is about: what it says is never given as what was good. Whether that was not known yet.
    pub fn doubt(&mut self, event: &Value) -> bool {
        self.take(event, true).1
    }

    /// Whether an event says something of a resource, and whether that, or a doubt of it, is new.
    fn take(&mut self, event: &Value, is_doubted: bool) -> (bool, bool) {
        let Some((time, id)) = facts::said(event) else {
            return (false, false);
        };
        let facts = facts::of(event);
        let mut is_new = false;
        for fact in &facts {
            is_new |= self.put(
                &fact.arn,
                fact.aspect.as_ref(),
                time,
                id,
                &fact.value,
                is_doubted,
            );
        }
        (!facts.is_empty(), is_new)
    }

    /// Takes in one version of an aspect. Whether it, or a doubt of it, is new.
    pub fn put(
        &mut self,
        arn: &str,
        aspect: &str,
        time: i64,
        event: &str,
        value: &Value,
        is_doubted: bool,
    ) -> bool {
        let value = self.held(value);
        let version = Version { value, is_doubted };
        self.insert((arn.into(), aspect.into()), (time, event.into()), version)
    }

    /// A value as it is held: nothing where it is too large, so that no older one passes for the last.
    fn held(&mut self, value: &Value) -> Box<str> {
        let value = canonical(value);
        if value.len() > self.bounds.value_bytes_max {
            self.counts.too_large += 1;
            return Box::default();
        }
        value.into()
    }

    fn insert(&mut self, key: Key, said: Said, version: Version) -> bool {
        let versions_max = self.bounds.versions_max;
        self.change(key, |aspect| aspect.take(said, version, versions_max))
    }

    /// Changes an aspect, and counts what it takes.
    fn change<T>(&mut self, key: Key, does: impl FnOnce(&mut Aspect) -> T) -> T {
        let aspect = self.entries.entry(key.clone()).or_default();
        let (latest, bytes) = (aspect.latest().cloned(), aspect.bytes());
        let done = does(aspect);
        let now = aspect.latest().cloned();
        self.bytes = self.bytes + aspect.bytes() - bytes;
        if latest.is_none() {
            self.bytes += ENTRY_BYTES + key.0.len() + key.1.len();
        }
        if now != latest {
            if let Some(latest) = latest {
                self.changed.remove(&(latest, key.clone()));
            }
            if let Some(now) = now {
                self.changed.insert((now, key));
            }
        }
        self.make_room();
        done
    }

    fn make_room(&mut self) {
        while self.entries.len() > self.bounds.entries_max || self.bytes > self.bounds.bytes_max {
            let Some((_, key)) = self.changed.pop_first() else {
                return;
            };
            if let Some(aspect) = self.entries.remove(&key) {
                self.bytes -= ENTRY_BYTES + key.0.len() + key.1.len() + aspect.bytes();
                self.counts.evicted += 1;
            }
        }
    }

    /// Takes in all that another state knows. What either doubts is doubted.
    pub fn absorb(&mut self, other: Self) {
        let versions_max = self.bounds.versions_max;
        for (key, others) in other.entries {
            self.change(key, |aspect| {
                // Doubts first, of what is held already too: else good versions would make room for bad ones.
                let (doubted, good): (Vec<_>, Vec<_>) = others
                    .versions
                    .iter()
                    .map(|(said, version)| (said.clone(), version.clone()))
                    .partition(|one| one.1.is_doubted);
                aspect.doubt(&others, versions_max);
                for (said, version) in doubted.into_iter().chain(good) {
                    aspect.take(said, version, versions_max);
                }
            });
        }
        let (own, others) = (self.counts, other.counts);
        self.counts = Counts {
            evicted: own.evicted.max(others.evicted),
            too_large: own.too_large.max(others.too_large),
        };
    }

    /// How many aspects of resources are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes are held, by estimate.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many resources are known of each kind, as `aws.iam.role`; without those that are gone.
    pub fn inventory(&self) -> BTreeMap<String, u64> {
        let mut inventory = BTreeMap::new();
        let mut rest = self.entries.iter().peekable();
        while let Some(((arn, aspect), known)) = rest.next() {
            let is_gone = |aspect: &str, known: &Aspect| {
                let latest = known.versions.values().next_back();
                aspect == facts::EXISTS && latest.is_some_and(|last| &*last.value == "false")
            };
            let mut gone = is_gone(aspect, known);
            while let Some(((_, aspect), known)) = rest.next_if(|next| next.0.0 == *arn) {
                gone |= is_gone(aspect, known);
            }
            if let (false, Some(kind)) = (gone, facts::kind(arn)) {
                *inventory.entry(kind.to_owned()).or_default() += 1;
            }
        }
        inventory
    }
}

impl LastKnown for Shadow {
    fn before(&self, arn: &str, aspect: &str, time: i64) -> Option<Known> {
        let key: Key = (arn.into(), aspect.into());
        let versions = &self.entries.get(&key)?.versions;
        let earlier = versions.range(..(time, Box::from(""))).rev();
        let mut good = earlier.filter(|(_, version)| !version.is_doubted);
        let ((time, event), version) = good.next()?;
        Some(Known {
            value: serde_json::from_str(&version.value).ok()?,
            time: *time,
            event: event.to_string(),
        })
    }
}
