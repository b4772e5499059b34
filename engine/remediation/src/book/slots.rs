//! When actions did something in a scope, for its cap.

use std::collections::{BTreeSet, HashMap};

/// How many begins are remembered of one scope: more than any cap allows, see `policy`.
const SLOTS_MAX: usize = crate::policy::CAP_MAX as usize;

/// What happened lately in a scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Slots {
    by_time: BTreeSet<(i64, String)>,
    pub(super) times: HashMap<String, i64>,
    /// What is older than this is of no cap; microseconds.
    keep: i64,
}

impl Slots {
    /// How many others than one action began after a time, and when the oldest of them did. Most of what is remembered did,
    /// so the others are counted.
    pub(super) fn after(&self, time: i64, but: &str) -> (u32, Option<i64>) {
        let since = (time.saturating_add(1), String::new());
        let older = self.by_time.range(..&since).count();
        let own = usize::from(self.times.get(but).is_some_and(|at| *at > time));
        let mut later = self.by_time.range(&since..);
        let oldest = later.find(|(_, id)| id != but).map(|(at, _)| *at);
        let count = self.by_time.len() - older - own;
        (u32::try_from(count).unwrap_or(u32::MAX), oldest)
    }

    /// An action did something at a time, or may still do it until then.
    pub(super) fn stamp(&mut self, id: &str, at: i64, keep: i64, now: i64) {
        self.keep = self.keep.max(keep);
        match self.times.get(id) {
            Some(old) if *old == at => {}
            old => {
                if let Some(old) = old {
                    self.by_time.remove(&(*old, id.to_owned()));
                }
                self.by_time.insert((at, id.to_owned()));
                self.times.insert(id.to_owned(), at);
            }
        }
        let oldest = now.saturating_sub(self.keep);
        while let Some((at, id)) = self.by_time.first()
            && (*at < oldest || self.times.len() > SLOTS_MAX)
        {
            let (at, id) = (*at, id.clone());
            self.by_time.remove(&(at, id.clone()));
            self.times.remove(&id);
        }
    }

    pub(super) fn is_over(&self, now: i64) -> bool {
        let newest = self.by_time.last().map(|(at, _)| *at);
        newest.is_none_or(|at| at < now.saturating_sub(self.keep))
    }
}
