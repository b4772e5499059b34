//! Forgetting: what is older than retention, and dead letters that nobody wants any more.
//!
//! In batches, each whole, with the state let go in between, so that commits go on. They are synced together at the end:
//! what a crash brings back is forgotten the next time. Needs no room that commits are refused for. It must never
//! forget what a known sink has yet to take, nor an event before a finding that cites it.

use super::fault::of_database;
use super::{EmbeddedStore, layout};
use crate::limits::FORGET_BATCH_MAX;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeSet;
use tripline_core::port::{DeadNumber, PortFault};
use tripline_core::rule::kind::EventTime;

/// As much of a finding as forgetting it needs.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    finding_id: Cow<'a, str>,
}

/// What a batch did.
#[derive(Default)]
struct Forgotten {
    findings: u64,
    /// Nothing more is to be forgotten.
    last: bool,
    /// Where the next batch begins.
    from: u64,
}

fn fault(fault: fjall::Error) -> PortFault {
    of_database("forget what the store has no more use for", fault)
}

impl EmbeddedStore {
    pub(super) fn forget(&self, time: EventTime) -> Result<u64, PortFault> {
        let mut findings = 0;
        let mut from = 0;
        loop {
            let (done, _) = self.forget_findings(time, from)?;
            findings += done.findings;
            from = done.from;
            if done.last {
                break;
            }
        }
        let limit = match self.oldest_finding(from)? {
            Some(stamp) => time.min(EventTime::from_micros(stamp)),
            None => time,
        };
        while !self.forget_events(limit)? {}
        from = 0;
        let writes = loop {
            let (done, writes) = self.forget_dead(time, from)?;
            from = done.from;
            if done.last {
                break writes;
            }
        };
        self.sync(writes)?;
        Ok(findings)
    }

    /// Oldest first. They are in the order of their stamps, so the first that stays is the last to look at.
    fn forget_findings(&self, time: EventTime, from: u64) -> Result<(Forgotten, u64), PortFault> {
        self.write(|state, batch, _| {
            let taken = state.sinks.values().copied().min().unwrap_or(u64::MAX);
            let mut done = Forgotten {
                last: true,
                from,
                ..Forgotten::default()
            };
            let range = self.parts.outgoing.range(from.to_be_bytes()..);
            for (place, entry) in range.enumerate() {
                if place == FORGET_BATCH_MAX {
                    done.last = false;
                    break;
                }
                let (key, value) = entry.into_inner().map_err(fault)?;
                let number = layout::key_number("a finding", &key)?;
                let (stamp, json) = layout::read_outgoing(&value)?;
                if number > taken || stamp >= time.micros() {
                    break;
                }
                let named: Named<'_> = serde_json::from_slice(json)
                    .map_err(|fault| layout::damaged("a finding").because(fault))?;
                let id = named.finding_id.as_ref();
                let newest = self.parts.findings.get(id).map_err(fault)?;
                let newest = newest.map(|value| layout::read_number("a finding's number", &value));
                if newest.transpose()? == Some(number) {
                    batch.remove(&self.parts.findings, id);
                    done.findings += 1;
                }
                batch.remove(&self.parts.outgoing, key);
                done.from = number + 1;
            }
            Ok(done)
        })
    }

    fn oldest_finding(&self, from: u64) -> Result<Option<i64>, PortFault> {
        let first = self.parts.outgoing.range(from.to_be_bytes()..).next();
        let Some(entry) = first else {
            return Ok(None);
        };
        let (_, value) = entry.into_inner().map_err(fault)?;
        Ok(Some(layout::read_outgoing(&value)?.0))
    }

    /// Whether nothing more is to be forgotten.
    fn forget_events(&self, limit: EventTime) -> Result<bool, PortFault> {
        let (last, _) = self.write(|_, batch, _| {
            let end = layout::hour_kept(limit).to_be_bytes().to_vec();
            for (place, entry) in self.parts.event_hours.range(..end).enumerate() {
                if place == FORGET_BATCH_MAX {
                    return Ok(false);
                }
                let key = entry.key().map_err(fault)?;
                let (_, id) = layout::read_event_hour(&key)?;
                batch.remove(&self.parts.events, id);
                batch.remove(&self.parts.event_hours, key.clone());
            }
            Ok(true)
        })?;
        Ok(last)
    }

    fn forget_dead(&self, time: EventTime, from: u64) -> Result<(Forgotten, u64), PortFault> {
        self.write(|state, batch, after| {
            let mut done = Forgotten {
                last: true,
                from: from.max(state.dead_oldest),
                ..Forgotten::default()
            };
            let range = self.parts.dead.range(done.from.to_be_bytes()..);
            for (place, entry) in range.enumerate() {
                if place == FORGET_BATCH_MAX {
                    done.last = false;
                    break;
                }
                let (key, value) = entry.into_inner().map_err(fault)?;
                let (stamp, _) = layout::read_dead(&value)?;
                if stamp >= time.micros() {
                    break;
                }
                done.from = layout::key_number("a dead letter", &key)? + 1;
                after.counters.dead_kept = after.counters.dead_kept.saturating_sub(1);
                batch.remove(&self.parts.dead, key);
            }
            after.dead_oldest = done.from;
            Ok(done)
        })
    }

    pub(super) fn remove_dead(&self, numbers: &[DeadNumber]) -> Result<u64, PortFault> {
        self.change(|_, batch, after| {
            let mut removed = 0;
            let numbers: BTreeSet<u64> = numbers.iter().map(|number| number.0).collect();
            for number in numbers {
                let key = number.to_be_bytes();
                if self.parts.dead.contains_key(key).map_err(fault)? {
                    batch.remove(&self.parts.dead, key);
                    removed += 1;
                }
            }
            after.counters.dead_kept = after.counters.dead_kept.saturating_sub(removed);
            Ok(removed)
        })
    }
}
