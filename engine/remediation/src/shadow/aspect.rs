//! The versions of one aspect of a resource, of which a few are held, and which of those that are not were doubted.

use std::collections::{BTreeMap, BTreeSet};

/// When something was said and by which event: the order of versions.
pub(super) type Said = (i64, Box<str>);

/// Microseconds. So much later than an event, whoever would doubt it has done so: younger versions are held beside those that
/// the bounds allow, as a batch of changes is taken in before the first of them is found to be bad.
const SETTLES_AFTER: i64 = 10 * 60 * 1_000_000;

/// Versions of an aspect are never more than this, however young they are.
const YOUNG_MAX: usize = 32;

/// Doubts whose versions are not held. Of older ones it is only known when the last of them was.
const DOUBTS_MAX: usize = 32;

/// What is taken for each version and each doubt besides texts: nodes of maps, by estimate.
const VERSION_BYTES: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) value: Box<str>,
    pub(super) is_doubted: bool,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Aspect {
    pub(super) versions: BTreeMap<Said, Version>,
    /// What was doubted and is not held any more: the same event may come again.
    pub(super) doubts: BTreeSet<Said>,
    /// The last of the doubts that there was no room for. What is said up to there and is not held may be one of them.
    pub(super) forgotten: Option<Said>,
}

impl Aspect {
    /// Bytes, by estimate.
    pub(super) fn bytes(&self) -> usize {
        let versions = self.versions.iter();
        let versions: usize = versions
            .map(|(said, version)| VERSION_BYTES + said.1.len() + version.value.len())
            .sum();
        let doubts = self.doubts.iter().chain(&self.forgotten);
        versions
            + doubts
                .map(|said| VERSION_BYTES + said.1.len())
                .sum::<usize>()
    }

    /// When it changed last.
    pub(super) fn latest(&self) -> Option<&Said> {
        self.versions.keys().next_back()
    }

    /// Whether something that is not held was doubted, or may have been.
    fn was_doubted(&self, said: &Said) -> bool {
        self.doubts.contains(said) || self.forgotten.as_ref().is_some_and(|last| said <= last)
    }

    /// Takes in a version. Whether it, or a doubt of it, is new.
    pub(super) fn take(&mut self, said: Said, version: Version, versions_max: usize) -> bool {
        let was_doubted = self.was_doubted(&said);
        let is_new = match self.versions.get_mut(&said) {
            // An event that is seen again says the same; a doubt stays, whichever came first.
            Some(held) => {
                let is_new = version.is_doubted && !held.is_doubted;
                held.is_doubted |= version.is_doubted;
                is_new
            }
            None if was_doubted => false,
            None => {
                self.versions.insert(said, version);
                true
            }
        };
        self.make_room(versions_max.max(1));
        is_new
    }

    /// Takes over what another one knows of doubts.
    pub(super) fn doubt(&mut self, others: &Self, versions_max: usize) {
        for said in &others.doubts {
            match self.versions.get_mut(said) {
                Some(held) => held.is_doubted = true,
                None => self.put_out(said.clone()),
            }
        }
        // What the other one may have doubted and forgotten.
        for (said, held) in &mut self.versions {
            let is_known = others.versions.contains_key(said);
            held.is_doubted |=
                !is_known && others.forgotten.as_ref().is_some_and(|last| said <= last);
        }
        self.forgotten = self.forgotten.take().max(others.forgotten.clone());
        self.make_room(versions_max.max(1));
    }

    pub(super) fn make_room(&mut self, versions_max: usize) {
        while self.versions.len() > versions_max {
            // Doubted ones go first: else a few bad changes would leave no good one.
            let doubted = self.versions.iter().find(|one| one.1.is_doubted);
            if let Some(said) = doubted.map(|one| one.0.clone()) {
                self.versions.remove(&said);
                self.put_out(said);
                continue;
            }
            let latest = self.latest().map_or(0, |said| said.0);
            let settled = latest.saturating_sub(SETTLES_AFTER);
            let settled = self.versions.keys().take_while(|said| said.0 <= settled);
            if settled.count() < versions_max && self.versions.len() <= YOUNG_MAX {
                return;
            }
            self.versions.pop_first();
        }
    }

    /// Keeps of a doubted version that it was doubted.
    fn put_out(&mut self, said: Said) {
        self.doubts.insert(said);
        if self.doubts.len() > DOUBTS_MAX {
            self.forgotten = self.forgotten.take().max(self.doubts.pop_first());
        }
    }
}
