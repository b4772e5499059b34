//! How the service does, as its threads say it and as people and machines ask.

use super::resends::Resends;
use super::rules::Prepared;
use crate::plugins::Hosted;
use crate::telemetry::Counts;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tripline_core::pipeline::Tally;
use tripline_core::port::{Sequence, Span};
use tripline_core::rule::kind::EventTime;
use tripline_host::Statistics;
use tripline_host::breaker::BreakerState;
use tripline_host::grant::metrics::Reading;

/// How the service does.
#[derive(Default)]
pub(crate) struct Status {
    now: Mutex<StatusNow>,
    pub(crate) stored: Stored,
    pub(crate) resends: Resends,
    pub(crate) descriptions: Descriptions,
    pub(super) in_force: InForce,
    traces: OnceLock<Arc<Counts>>,
}

/// The same at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusNow {
    /// What workers that ended came to since the process started.
    pub(crate) ended: Work,
    /// Workers that run, by partition.
    pub(crate) working: BTreeMap<u32, Work>,
    /// What each log has, and how far it is evaluated.
    pub(crate) logs: Vec<LogStatus>,
    pub(crate) rules: u64,
    pub(crate) rules_off: u64,
    pub(crate) rules_version: String,
    pub(crate) reloads: u64,
    pub(crate) reloads_refused: u64,
    pub(crate) last_reload_fault: Option<String>,
    pub(crate) commits: u64,
    pub(crate) commits_failed: u64,
    pub(crate) findings_new: u64,
    pub(crate) findings_renewed: u64,
    pub(crate) appended: u64,
    pub(crate) appended_bytes: u64,
    pub(crate) refused: BTreeMap<&'static str, u64>,
    pub(crate) sinks: BTreeMap<String, SinkStatus>,
    /// What was decided, by effect.
    pub(crate) decisions: BTreeMap<&'static str, u64>,
    /// Of these, without an answer in time.
    pub(crate) decisions_by_default: u64,
    /// Of processes that share their work: how far the ledger is followed, and why it is not further.
    pub(crate) ledger: Option<(Sequence, Option<String>)>,
    /// Why nothing is committed, while nothing is.
    pub(crate) commit_fault: Option<String>,
    /// Dead letters of records and findings that were set aside.
    pub(crate) dead_letters: u64,
    /// Sinks that the store knows and the configuration does not.
    pub(crate) sinks_unknown: Vec<String>,
    pub(crate) is_ready: bool,
    pub(crate) is_draining: bool,
    pub(crate) faults: BTreeMap<&'static str, u64>,
}

/// What a worker came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    pub(crate) tally: Tally,
    /// Findings by the id of their rule.
    pub(crate) findings_by_rule: BTreeMap<String, u64>,
    pub(crate) event_time: Option<EventTime>,
    pub(crate) state_bytes: u64,
    pub(crate) waits_for_sinks: bool,
}

/// How far a partition is.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogStatus {
    /// What its log has, unless that cannot be asked now.
    pub(crate) span: Option<Span>,
    pub(crate) fault: Option<String>,
    /// What came of the records up to here is stored.
    pub(crate) position: Sequence,
}

impl LogStatus {
    /// Records that are not evaluated yet.
    pub(crate) fn lag(&self) -> u64 {
        let last = self.span.map_or(0, |span| span.last.0);
        last.saturating_sub(self.position.0)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.span.map_or(0, |span| span.bytes)
    }
}

impl StatusNow {
    /// Everything since the process started.
    pub(crate) fn work(&self) -> Work {
        let mut all = self.ended.clone();
        for one in self.working.values() {
            all.add(one);
        }
        all
    }

    /// Records of all logs that are not evaluated yet, by whomever.
    pub(crate) fn lag(&self) -> u64 {
        self.logs.iter().map(LogStatus::lag).sum()
    }

    /// Whether a worker waits for the slowest sink.
    pub(crate) fn waits_for_sinks(&self) -> bool {
        self.working.values().any(|one| one.waits_for_sinks)
    }
}

impl Work {
    /// Adds what another one came to. What it remembers is added while both run; times are those of the one behind.
    pub(crate) fn add(&mut self, other: &Self) {
        self.tally += &other.tally;
        for (rule, count) in &other.findings_by_rule {
            *self.findings_by_rule.entry(rule.clone()).or_default() += count;
        }
        self.event_time = match (self.event_time, other.event_time) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.state_bytes += other.state_bytes;
    }
}

/// How a sink does.
#[derive(Clone, Debug, Default)]
pub(crate) struct SinkStatus {
    pub(crate) position: Sequence,
    pub(crate) waiting: u64,
    pub(crate) sent: u64,
    pub(crate) set_aside: u64,
    pub(crate) failures: u32,
    pub(crate) last_fault: Option<String>,
}

impl Status {
    /// What it is now.
    pub(crate) fn get(&self) -> StatusNow {
        self.lock().clone()
    }

    /// Changes it.
    pub(crate) fn set(&self, change: impl FnOnce(&mut StatusNow)) {
        change(&mut self.lock());
    }

    /// Findings that the slowest sink has yet to take.
    pub(crate) fn undelivered(&self) -> u64 {
        let newest = self.stored.newest();
        let now = self.lock();
        let slowest = now.sinks.values().map(|sink| sink.position.0).min();
        slowest.map_or(0, |slowest| newest.0.saturating_sub(slowest))
    }

    /// Spans are sent, and this is what becomes of them.
    pub(crate) fn tell_traces(&self, counts: Arc<Counts>) {
        // There is one collector in a process, so nobody was before.
        let _ = self.traces.set(counts);
    }

    /// What becomes of spans, when some are sent.
    pub(super) fn traces(&self) -> Option<&Counts> {
        self.traces.get().map(Arc::as_ref)
    }

    // A thread that panicked while it wrote a number has not made the other numbers wrong.
    fn lock(&self) -> MutexGuard<'_, StatusNow> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whoever sends findings that there are new ones.
#[derive(Default)]
pub(crate) struct Stored {
    newest: AtomicU64,
    changed: (Mutex<u64>, Condvar),
    /// With which span findings up to a number were stored.
    by: Mutex<VecDeque<(Sequence, String)>>,
}

/// Commits of which it is remembered with which span they were made.
const COMMITS_REMEMBERED: usize = 256;

impl Stored {
    /// The newest number in the store is this.
    pub(crate) fn tell(&self, newest: Sequence) {
        self.newest.fetch_max(newest.0, Ordering::Relaxed);
        *self
            .changed
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.1.notify_all();
    }

    /// Findings up to this were stored with the span that is named.
    pub(crate) fn tell_by(&self, newest: Sequence, span: String) {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        by.push_back((newest, span));
        let excess = by.len().saturating_sub(COMMITS_REMEMBERED);
        by.drain(..excess);
    }

    /// The name of the span with which a finding was stored, if it was lately and here.
    pub(crate) fn by(&self, number: Sequence) -> Option<String> {
        let by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        let place = by.partition_point(|(newest, _)| *newest < number);
        by.get(place).map(|(_, span)| span.clone())
    }

    /// The newest number in the store is this, and nobody needs to be woken.
    pub(crate) fn know(&self, newest: Sequence) {
        self.newest.fetch_max(newest.0, Ordering::Relaxed);
    }

    /// The newest number in the store.
    pub(crate) fn newest(&self) -> Sequence {
        Sequence(self.newest.load(Ordering::Relaxed))
    }

    /// How often something was told.
    pub(crate) fn told(&self) -> u64 {
        *self
            .changed
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was told after `told`, or for this long.
    pub(crate) fn wait(&self, told: u64, at_most: Duration) {
        let guard = self
            .changed
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .1
            .wait_timeout_while(guard, at_most, |now| *now == told);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// What each rule in force is about, by its id.
#[derive(Clone, Default)]
pub(crate) struct Descriptions(Arc<Mutex<Arc<BTreeMap<String, String>>>>);

impl Descriptions {
    /// They changed.
    pub(crate) fn set(&self, descriptions: BTreeMap<String, String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(descriptions);
    }

    /// As they are now.
    pub(super) fn get(&self) -> Arc<BTreeMap<String, String>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The rules in force and the plugins that they ask, as long as they are.
#[derive(Default)]
pub(super) struct InForce(Mutex<Weak<Prepared>>);

impl InForce {
    /// Others are.
    pub(super) fn set(&self, prepared: &Arc<Prepared>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(prepared);
    }

    /// How each plugin does since it was started, by its alias.
    pub(super) fn plugins(&self) -> BTreeMap<String, PluginStatus> {
        let prepared = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade();
        let Some(prepared) = prepared else {
            return BTreeMap::new();
        };
        let mut plugins = BTreeMap::new();
        for (alias, reason) in &prepared.off {
            plugins.insert(alias.clone(), PluginStatus::Off(reason.clone()));
        }
        for (alias, reason) in &prepared.started.absent {
            plugins.insert(alias.clone(), PluginStatus::NotStarted(reason.clone()));
        }
        for one in &prepared.started.running {
            plugins.insert(one.alias.clone(), PluginStatus::of(one));
        }
        plugins
    }
}

/// How a plugin does.
pub(super) enum PluginStatus {
    /// It is not let run, and why.
    Off(String),
    /// It could not be started, and why.
    NotStarted(String),
    Running(Running),
}

impl PluginStatus {
    /// Of one that runs.
    pub(super) fn of(one: &Hosted) -> Self {
        let (state, opened) = one.plugin.breaker();
        let metrics = one.plugin.shared().metrics();
        Self::Running(Running {
            did: one.plugin.statistics(),
            state,
            opened,
            readings: metrics.readings(),
            readings_refused: metrics.refused(),
        })
    }
}

/// How a plugin that runs does.
pub(super) struct Running {
    pub(super) did: Statistics,
    pub(super) state: BreakerState,
    /// How often its breaker opened.
    pub(super) opened: u64,
    /// Its own counters.
    pub(super) readings: Vec<Reading>,
    /// What it told under names that are not its own, or that was no number.
    pub(super) readings_refused: u64,
}
