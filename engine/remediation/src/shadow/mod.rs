//! What resources were before something happened: the shadow state.
//!
//! Most events say what something is now, or only that it is gone; what it was, nobody asks in time. So every event that says
//! how something is set is folded into the last few versions of it, by the time of the event and then by its id: the order in
//! which events arrive makes no difference, as long as nothing is put out for want of room. Failed events fold nothing.
//!
//! A version that a finding is about is doubted, and is nobody's last-known-good: else the second change of somebody who makes
//! two would be answered by putting back the first.
//!
//! Values are held as text. A parsed one takes several times the room, and is needed only when something has gone wrong.

mod facts;
mod stored;

pub use stored::{ImportFault, StoredFault};

use crate::action::{Known, LastKnown};
use crate::plan::canonical;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Versions of an aspect of a resource. Four: one that is bad, one before it, and two for what arrives late.
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

/// When something was said and by which event: the order of versions.
type Said = (i64, Box<str>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    value: Box<str>,
    is_doubted: bool,
}

/// The aspects of resources, each with its last few versions.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    bounds: Bounds,
    entries: BTreeMap<Key, BTreeMap<Said, Version>>,
    /// Aspects by when they changed last, to find which changed least recently.
    changed: BTreeSet<(Said, Key)>,
    bytes: usize,
    counts: Counts,
}

/// What an entry takes besides its names and values: nodes of the two maps, by estimate.
const ENTRY_BYTES: usize = 128;
const VERSION_BYTES: usize = 64;

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
        self.take(event, false)
    }

    /// Takes in an event that a finding is about: what it says is never given as what was good.
    pub fn doubt(&mut self, event: &Value) -> bool {
        self.take(event, true)
    }

    fn take(&mut self, event: &Value, is_doubted: bool) -> bool {
        let Some((time, id)) = facts::said(event) else {
            return false;
        };
        let facts = facts::of(event);
        for fact in &facts {
            self.put(
                &fact.arn,
                fact.aspect.as_ref(),
                time,
                id,
                &fact.value,
                is_doubted,
            );
        }
        !facts.is_empty()
    }

    /// Takes in one version of an aspect.
    pub fn put(
        &mut self,
        arn: &str,
        aspect: &str,
        time: i64,
        event: &str,
        value: &Value,
        is_doubted: bool,
    ) {
        let value = self.held(value);
        let version = Version { value, is_doubted };
        self.insert((arn.into(), aspect.into()), (time, event.into()), version);
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

    fn insert(&mut self, key: Key, said: Said, version: Version) {
        let versions = self.entries.entry(key.clone()).or_default();
        let latest = versions.keys().next_back().cloned();
        if latest.is_none() {
            self.bytes += ENTRY_BYTES + key.0.len() + key.1.len();
        }
        match versions.get_mut(&said) {
            // An event that is seen again says the same; a doubt stays, whichever came first.
            Some(held) => held.is_doubted |= version.is_doubted,
            None => {
                self.bytes += VERSION_BYTES + said.1.len() + version.value.len();
                versions.insert(said, version);
            }
        }
        while versions.len() > self.bounds.versions_max.max(1) {
            // Doubted ones go first: else a few bad changes would leave no good one.
            let doubted = versions.iter().find(|one| one.1.is_doubted);
            let oldest = doubted.or_else(|| versions.first_key_value());
            let Some(said) = oldest.map(|one| one.0.clone()) else {
                break;
            };
            if let Some(version) = versions.remove(&said) {
                self.bytes -= VERSION_BYTES + said.1.len() + version.value.len();
            }
        }
        let now = versions.keys().next_back().cloned();
        if now != latest {
            if let Some(latest) = latest {
                self.changed.remove(&(latest, key.clone()));
            }
            if let Some(now) = now {
                self.changed.insert((now, key));
            }
        }
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.entries.len() > self.bounds.entries_max || self.bytes > self.bounds.bytes_max {
            let Some((_, key)) = self.changed.pop_first() else {
                return;
            };
            if let Some(versions) = self.entries.remove(&key) {
                self.bytes -= ENTRY_BYTES + key.0.len() + key.1.len();
                for (said, version) in versions {
                    self.bytes -= VERSION_BYTES + said.1.len() + version.value.len();
                }
                self.counts.evicted += 1;
            }
        }
    }

    /// Takes in all that another state knows. What either doubts is doubted.
    pub fn absorb(&mut self, other: Self) {
        for (key, versions) in other.entries {
            for (said, version) in versions {
                self.insert(key.clone(), said, version);
            }
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
        while let Some(((arn, aspect), versions)) = rest.next() {
            let is_gone = |aspect: &str, versions: &BTreeMap<Said, Version>| {
                let latest = versions.values().next_back();
                aspect == facts::EXISTS && latest.is_some_and(|last| &*last.value == "false")
            };
            let mut gone = is_gone(aspect, versions);
            while let Some(((_, aspect), versions)) = rest.next_if(|next| next.0.0 == *arn) {
                gone |= is_gone(aspect, versions);
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
        let versions = self.entries.get(&key)?;
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
