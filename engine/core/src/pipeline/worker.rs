//! The worker of one partition: which records are read when, what is remembered in which order, what is committed.
//!
//! Relies on the driver to do what the effects say, each once, and to answer each with one input. Records are read in
//! order, one read at a time; batches are examined side by side and come back in any order; from there on everything is
//! in the order of the log again. One commit is on its way at a time; what comes meanwhile is staged for the next, so
//! the commits of a busy stream are large by themselves.
//!
//! A snapshot of what rules remember is only kept when everything that was found up to its place is durable: who goes on
//! from it will not find that again. Whatever comes after it is done again, and leads to the same findings, which
//! the store has already.

use super::BLOCK;
use super::bound::bounded;
use super::clock::EventClock;
use super::examine::{Block, Examined, is_from_the_future};
use super::step::{Effect, Input, StartFault, StopReason, WorkerSettings};
use super::tally::Tally;
use crate::evaluate::RuleSet;
use crate::limits::{
    CAREFUL_RECORDS, COMMIT_BYTES_MAX, RETRY_FIRST_MS, RETRY_LONGEST_MS, STARTS_BEFORE_CARE,
    STARTS_BEFORE_SETTING_ASIDE, WATERMARK_WITNESSES,
};
use crate::port::{Checkpoint, Commit, Epoch, FaultClass, Partition, Sequence, SnapshotKept};
use crate::rule::kind::{EventKey, EventTime, Period};
use crate::state::{Restored, State, StateSettings, Telling};
use crate::wire::PluginMemories;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a worker keeps with the state of the rules.
#[derive(Default, Serialize, Deserialize)]
struct ClockKept {
    clock: EventClock,
    open: BTreeSet<(EventTime, EventKey)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    plugins: PluginMemories,
}

impl ClockKept {
    /// What a note says. One that no worker wrote says what plugins remember, or nothing: then no time has come yet.
    fn of(note: &str) -> Result<Self, serde_json::Error> {
        if note.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(note).or_else(|fault| {
            let plugins = serde_json::from_str(note).map_err(|_| fault)?;
            Ok(Self {
                plugins,
                ..Self::default()
            })
        })
    }
}

/// Whether a worker can go on from a snapshot that was written elsewhere.
pub fn goes_on_from(rules: &RuleSet, bytes_max: usize, snapshot: &[u8]) -> Result<(), StartFault> {
    let partition = Partition::default();
    let settings = StateSettings {
        bytes_max,
        telling: Telling::AtOnce,
        future: EventTime::MAX,
    };
    let became = State::new(rules, settings)
        .restore(snapshot)
        .map_err(|source| {
            let source = Box::new(source);
            StartFault::Snapshot { partition, source }
        })?;
    let clock = ClockKept::of(&became.note);
    clock
        .map(drop)
        .map_err(|source| StartFault::Clock { partition, source })
}

/// What is to become durable next.
#[derive(Default)]
struct Staged {
    commit: Commit,
    bytes: usize,
}

impl Staged {
    /// Whether there is more than a position in it.
    fn is_loaded(&self) -> bool {
        !(self.commit.findings.is_empty() && self.commit.dead.is_empty())
    }
}

/// A snapshot on its way.
struct SnapshotInFlight {
    kept: SnapshotKept,
    /// The commit with which all that was found up to its place is durable.
    after_commit: u64,
    is_handed_out: bool,
}

/// A commit on its way.
struct InFlight {
    commit: Box<Commit>,
    failures: u32,
    /// Not before this time.
    again_at: Option<EventTime>,
}

/// Whether a worker still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Ended,
}

/// The worker of one partition.
pub struct Worker<'r> {
    settings: WorkerSettings,
    epoch: Epoch,
    state: Option<State<'r>>,
    clock: EventClock,
    /// The newest events since what rules remember moved forward.
    open: BTreeSet<(EventTime, EventKey)>,
    /// What plugins remember of the records up to `applied`; also of those that no rule asks now.
    plugins: PluginMemories,
    /// What records up to here lead to was durable when it started.
    known: Sequence,
    /// Starts since the last commit.
    starts: u32,
    /// There were so many that some record must be to blame.
    was_killed: bool,
    phase: Phase,
    /// The last record read.
    fetched: Sequence,
    next_batch: u64,
    is_fetching: bool,
    /// The last read found nothing.
    is_at_end: bool,
    fetch_failures: u32,
    fetch_again_at: Option<EventTime>,
    /// Batches being examined, and those that wait for earlier ones.
    in_flight: usize,
    waiting: BTreeMap<u64, Box<Examined>>,
    next_to_apply: u64,
    /// Everything up to here is staged, on its way, or durable.
    applied: Sequence,
    staged: Staged,
    committing: Option<InFlight>,
    /// Commits handed out, and how many of them are durable.
    commits: u64,
    commits_durable: u64,
    /// Everything up to here is durable.
    committed: Sequence,
    committed_at: EventTime,
    snapshot: Option<SnapshotInFlight>,
    snapshot_position: Option<Sequence>,
    snapshot_at: EventTime,
    /// The last snapshot of a worker that drains could not be kept: the next one does more again.
    gave_up_snapshot: bool,
    /// The last record that the bus was told is no longer needed.
    released: Sequence,
    /// The bus may have forgotten that, and needs to hear it before it can take anything when it is full.
    is_told: bool,
    /// Some rule waits for time to pass.
    ticks: bool,
    is_ticking: bool,
    /// When what rules remember moved forward last, or a tick was appended.
    moved_at: EventTime,
    undelivered: u64,
    tally: Tally,
}

impl<'r> Worker<'r> {
    /// A worker that goes on from a checkpoint; what became of what its rules remembered.
    pub fn start(
        rules: &'r RuleSet,
        settings: WorkerSettings,
        checkpoint: Checkpoint,
        now: EventTime,
    ) -> Result<(Self, Option<Restored>), StartFault> {
        let partition = settings.partition;
        let mut worker = Self {
            settings,
            epoch: checkpoint.epoch,
            state: None,
            clock: EventClock::default(),
            open: BTreeSet::new(),
            plugins: PluginMemories::new(),
            known: checkpoint.position,
            starts: checkpoint.starts,
            was_killed: checkpoint.starts > STARTS_BEFORE_CARE,
            phase: Phase::Running,
            fetched: checkpoint.position,
            next_batch: 0,
            is_fetching: false,
            is_at_end: false,
            fetch_failures: 0,
            fetch_again_at: None,
            in_flight: 0,
            waiting: BTreeMap::new(),
            next_to_apply: 0,
            applied: checkpoint.position,
            staged: Staged::default(),
            committing: None,
            commits: 0,
            commits_durable: 0,
            committed: checkpoint.position,
            committed_at: now,
            snapshot: None,
            snapshot_position: None,
            snapshot_at: now,
            gave_up_snapshot: false,
            released: checkpoint.position,
            is_told: false,
            ticks: false,
            is_ticking: false,
            moved_at: now,
            undelivered: 0,
            tally: Tally::default(),
        };
        worker.ticks = State::is_needed(rules);
        if !(worker.ticks || settings.plugins_remember) {
            return Ok((worker, None));
        }
        let mut state = State::new(
            rules,
            StateSettings {
                bytes_max: settings.state_bytes_max,
                telling: Telling::AtOnce,
                // Told by the time at which the bus took an event, not by that of the start.
                future: EventTime::MAX,
            },
        );
        let mut restored = None;
        if let Some(kept) = checkpoint.snapshot {
            let became = state.restore(&kept.bytes).map_err(|source| {
                let source = Box::new(source);
                StartFault::Snapshot { partition, source }
            })?;
            let clock = ClockKept::of(&became.note)
                .map_err(|source| StartFault::Clock { partition, source })?;
            worker.clock = clock.clock;
            worker.open = clock.open;
            worker.plugins = clock.plugins;
            worker.fetched = kept.position;
            worker.applied = kept.position;
            worker.snapshot_position = Some(kept.position);
            restored = Some(became);
        }
        worker.state = Some(state);
        Ok((worker, restored))
    }

    /// What plugins remember where it goes on: whoever asks them about the batches that follow gives it to them first.
    pub fn plugins(&self) -> &PluginMemories {
        &self.plugins
    }

    /// Takes in what happened, and says what is to be done now.
    pub fn step(&mut self, now: EventTime, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.phase == Phase::Ended {
            return effects;
        }
        if !self.is_told {
            self.is_told = true;
            let needed = match &self.state {
                Some(_) => self.snapshot_position.unwrap_or_default(),
                None => self.committed,
            };
            if needed > Sequence(0) {
                let before = needed.min(self.committed).next();
                effects.push(Effect::Release { before });
            }
        }
        match input {
            Input::Woken => self.is_at_end = false,
            Input::Fetched {
                number,
                through,
                records,
            } => self.fetched((number, through, records), &mut effects),
            Input::FetchFailed(class) => {
                self.is_fetching = false;
                if let Some(reason) = stops(class) {
                    return self.stop(reason);
                }
                self.fetch_again_at = Some(now.plus(backoff(self.fetch_failures)));
                self.fetch_failures += 1;
            }
            Input::Examined(examined) => {
                self.in_flight -= 1;
                self.waiting.insert(examined.number, examined);
                while let Some(next) = self.waiting.remove(&self.next_to_apply) {
                    self.next_to_apply += 1;
                    self.apply(now, *next);
                }
            }
            Input::Committed => {
                if let Some(done) = self.committing.take() {
                    if done.commit.position > self.committed || done.commit.is_well_started {
                        self.starts = 0;
                    }
                    self.committed = self.committed.max(done.commit.position);
                    self.commits_durable += 1;
                    self.committed_at = now;
                }
            }
            Input::CommitFailed(class) => {
                if let Some(reason) = stops(class) {
                    return self.stop(reason);
                }
                if let Some(failed) = &mut self.committing {
                    failed.again_at = Some(now.plus(backoff(failed.failures)));
                    failed.failures += 1;
                    if self.phase == Phase::Draining && failed.failures >= DRAIN_TRIES {
                        // What is not durable is done again after the next start.
                        self.phase = Phase::Ended;
                        return vec![Effect::Drained];
                    }
                }
            }
            Input::SnapshotKept => {
                if let Some(done) = self.snapshot.take() {
                    self.snapshot_position = Some(done.kept.position);
                    let before = done.kept.position.min(self.committed).next();
                    effects.push(Effect::Release { before });
                }
                self.snapshot_at = now;
            }
            Input::SnapshotFailed(class) => {
                if let Some(reason) = stops(class) {
                    return self.stop(reason);
                }
                // The one before is still there; the next one is tried when its time comes.
                self.snapshot = None;
                self.snapshot_at = now;
                self.gave_up_snapshot = self.phase == Phase::Draining;
            }
            Input::Ticked => {
                self.is_ticking = false;
                self.is_at_end = false;
            }
            Input::Undelivered(count) => self.undelivered = count,
            Input::Drain => self.phase = Phase::Draining,
        }
        self.go_on(now, &mut effects);
        effects
    }

    fn stop(&mut self, reason: StopReason) -> Vec<Effect> {
        self.phase = Phase::Ended;
        vec![Effect::Stop(reason)]
    }

    fn fetched(
        &mut self,
        (number, through, records): (u64, Sequence, usize),
        effects: &mut Vec<Effect>,
    ) {
        self.is_fetching = false;
        self.fetch_failures = 0;
        self.fetch_again_at = None;
        if records == 0 {
            self.is_at_end = true;
            return;
        }
        let is_first = self.fetched == self.known;
        self.fetched = through;
        self.next_batch += 1;
        self.in_flight += 1;
        let starts = self.starts;
        effects.push(if is_first && starts > STARTS_BEFORE_SETTING_ASIDE {
            Effect::SetAside { number, starts }
        } else {
            let known = self.known;
            Effect::Examine { number, known }
        });
    }

    /// Takes the next batch in the order of the log.
    fn apply(&mut self, now: EventTime, examined: Examined) {
        self.tally += &examined.tally;
        self.applied = examined.through;
        self.plugins.extend(examined.plugins);
        for event in &examined.events {
            self.staged.bytes += event.bytes.len();
        }
        for letter in &examined.dead {
            self.staged.bytes += letter.payload.len();
        }
        self.staged.bytes += examined.findings.len() * FINDING_BYTES;
        let commit = &mut self.staged.commit;
        commit.findings.extend(examined.findings);
        commit.events.extend(examined.events);
        commit.dead.extend(examined.dead);
        if self.state.is_some() {
            for block in examined.blocks {
                self.remember(now, block);
            }
        }
    }

    /// What rules that remember make of a stretch of the log.
    fn remember(&mut self, now: EventTime, block: Block) {
        let Some(state) = &mut self.state else { return };
        for observed in block.observed {
            let observations = observed.observations;
            for fault in &observations.faults {
                state.fault(fault.rule, &fault.reason);
            }
            state.groups_cut(observations.groups_cut);
            if observations.all.is_empty() {
                continue;
            }
            if !observed.has_time {
                state.timeless();
            } else if is_from_the_future(observed.event.time, observed.taken) {
                state.from_the_future();
            } else {
                state.observe(&observed.event, &observations.all);
            }
        }
        self.open.extend(block.newest);
        while self.open.len() > WATERMARK_WITNESSES {
            self.open.pop_first();
        }
        if !block.is_whole {
            return;
        }
        self.moved_at = now;
        self.clock
            .note(&std::mem::take(&mut self.open), block.taken);
        if let Some(at) = block.tick {
            self.clock.tick(at);
        }
        let Some(reached) = self.clock.reached() else {
            return;
        };
        state.advance(reached);
        for told in state.take_told() {
            *self.tally.by_rule.entry(told.rule.0).or_default() += 1;
            self.staged.bytes += FINDING_BYTES + told.event.bytes.len();
            let commit = &mut self.staged.commit;
            commit.events.push(crate::port::KeptEvent {
                id: told.event.key.to_string(),
                bytes: told.event.bytes.to_vec(),
            });
            commit.findings.push(bounded(told.finding));
        }
    }

    /// Whatever can be done now.
    fn go_on(&mut self, now: EventTime, effects: &mut Vec<Effect>) {
        self.commit(now, effects);
        self.take_snapshot(now, effects);
        if self.phase == Phase::Draining {
            if self.is_done() {
                self.phase = Phase::Ended;
                effects.push(Effect::Drained);
            } else {
                self.wake(now, effects);
            }
            return;
        }
        self.fetch(now, effects);
        self.tick(now, effects);
        self.wake(now, effects);
    }

    /// Whether the process died again and again of what comes now.
    fn is_careful(&self) -> bool {
        let done = self.fetched.0.saturating_sub(self.known.0);
        self.was_killed && done < CAREFUL_RECORDS
    }

    /// Findings that sinks will have to take as soon as they are durable.
    fn on_their_way(&self) -> u64 {
        let committing = self.committing.as_ref().map(|one| &one.commit.findings);
        (self.staged.commit.findings.len() + committing.map_or(0, Vec::len)) as u64
    }

    fn fetch(&mut self, now: EventTime, effects: &mut Vec<Effect>) {
        let is_careful = self.is_careful();
        let in_flight_max = if is_careful {
            1
        } else {
            self.settings.in_flight_max
        };
        let busy = self.in_flight + self.waiting.len() >= in_flight_max;
        let full = self.staged.bytes > COMMIT_BYTES_MAX
            || self.undelivered > self.settings.undelivered_max
            || self.on_their_way() > self.settings.undelivered_max.max(ON_THEIR_WAY_MIN)
            // Who goes on one record at a time wants each of them behind it before the next.
            || (is_careful && self.committed < self.applied.max(self.known));
        let waits = self.fetch_again_at.is_some_and(|at| at > now);
        if self.is_fetching || self.is_at_end || busy || full || waits {
            return;
        }
        self.is_fetching = true;
        let mut max = self.settings.read;
        if is_careful {
            // What was done before did not kill it.
            let again = self.known.0.saturating_sub(self.fetched.0);
            max.records = max
                .records
                .min(usize::try_from(again).unwrap_or(usize::MAX).max(1));
        }
        effects.push(Effect::Fetch {
            number: self.next_batch,
            after: self.fetched,
            max,
        });
    }

    fn commit(&mut self, now: EventTime, effects: &mut Vec<Effect>) {
        if let Some(failed) = &mut self.committing {
            if failed.again_at.is_some_and(|at| at <= now) {
                failed.again_at = None;
                effects.push(Effect::Commit(failed.commit.clone()));
            }
            return;
        }
        let is_loaded = self.staged.is_loaded();
        // A commit shows that the start went well, also when there was nothing to do, and when it ends in order.
        let is_well = match self.phase {
            Phase::Draining => self.starts > 0 && self.in_flight == 0,
            _ => self.starts > 1 && self.is_at_end && !self.is_fetching,
        };
        let is_ahead = self.applied > self.committed;
        let is_due = now >= self.committed_at.plus(self.settings.commit_every)
            || self.phase == Phase::Draining
            || self.is_careful()
            || self.staged.bytes > COMMIT_BYTES_MAX;
        if !(is_loaded || is_well || is_ahead && is_due) {
            return;
        }
        self.commits += 1;
        let mut commit = Box::new(std::mem::take(&mut self.staged).commit);
        commit.partition = self.settings.partition;
        commit.epoch = self.epoch;
        commit.is_well_started = is_well;
        // While old records are done again, the position is where it was.
        commit.position = self.applied.max(self.committed);
        effects.push(Effect::Commit(commit.clone()));
        self.committing = Some(InFlight {
            commit,
            failures: 0,
            again_at: None,
        });
    }

    /// Begins a snapshot when it is due, and hands it out when all that was found up to there is durable.
    fn take_snapshot(&mut self, now: EventTime, effects: &mut Vec<Effect>) {
        let Some(state) = &self.state else {
            if self.committed.0 >= self.released.0 + RELEASE_RECORDS {
                self.released = self.committed;
                let before = self.committed.next();
                effects.push(Effect::Release { before });
            }
            return;
        };
        let is_new = self
            .snapshot_position
            .is_none_or(|kept| self.applied > kept);
        let is_due = now >= self.snapshot_at.plus(self.settings.snapshot_every)
            || self.snapshot_position.is_none()
            || (self.phase == Phase::Draining && self.in_flight == 0 && !self.is_fetching);
        if self.snapshot.is_none() && is_new && is_due && !self.gave_up_snapshot {
            let note = serde_json::to_string(&ClockKept {
                clock: self.clock.clone(),
                open: self.open.clone(),
                plugins: self.plugins.clone(),
            });
            let bytes = note.ok().and_then(|note| state.snapshot(&note).ok());
            // Without one more is done again after a restart, and nothing is lost.
            self.snapshot_at = now;
            self.gave_up_snapshot = bytes.is_none() && self.phase == Phase::Draining;
            self.snapshot = bytes.map(|bytes| SnapshotInFlight {
                kept: SnapshotKept {
                    position: self.applied,
                    bytes,
                },
                after_commit: self.commits + u64::from(self.staged.is_loaded()),
                is_handed_out: false,
            });
        }
        if let Some(begun) = &mut self.snapshot
            && !begun.is_handed_out
            && self.committed >= begun.kept.position.min(self.applied)
            && self.commits_durable >= begun.after_commit
        {
            begun.is_handed_out = true;
            effects.push(Effect::KeepSnapshot {
                epoch: self.epoch,
                snapshot: Box::new(begun.kept.clone()),
            });
        }
    }

    fn tick(&mut self, now: EventTime, effects: &mut Vec<Effect>) {
        let is_due = now >= self.moved_at.plus(self.settings.tick_every);
        let is_idle = self.is_at_end && self.in_flight == 0 && self.waiting.is_empty();
        if !self.ticks || self.is_ticking || !is_idle || !is_due {
            return;
        }
        self.is_ticking = true;
        self.moved_at = now;
        effects.push(Effect::AppendTick { at: now });
    }

    /// When there is something to do without anything happening. A time that has come already is none of these: what
    /// was due then is begun, or waits for something that happens.
    fn wake(&self, now: EventTime, effects: &mut Vec<Effect>) {
        let settings = &self.settings;
        let ahead = self.committing.is_none() && self.applied > self.committed;
        let may_tick = self.ticks && !self.is_ticking && self.is_at_end;
        let may_keep = self.state.is_some()
            && self.snapshot.is_none()
            && self
                .snapshot_position
                .is_none_or(|kept| self.applied > kept);
        let dues = [
            ahead.then(|| self.committed_at.plus(settings.commit_every)),
            self.committing.as_ref().and_then(|one| one.again_at),
            self.fetch_again_at,
            may_tick.then(|| self.moved_at.plus(settings.tick_every)),
            may_keep.then(|| self.snapshot_at.plus(settings.snapshot_every)),
        ];
        let next = dues.into_iter().flatten().filter(|due| *due > now).min();
        let latest = now.plus(settings.tick_every);
        let at = next.map_or(latest, |next| next.min(latest));
        effects.push(Effect::Wake { at });
    }

    fn is_done(&self) -> bool {
        let durable = self.committing.is_none() && self.committed >= self.applied;
        let kept = self.state.is_none()
            || self.gave_up_snapshot
            || self.snapshot_position >= Some(self.applied);
        let idle = !self.is_fetching && self.in_flight == 0 && !self.is_ticking;
        idle && self.starts == 0
            && durable
            && !self.staged.is_loaded()
            && self.snapshot.is_none()
            && kept
    }

    /// What became of the records since it started.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What rules remember, if any do.
    pub fn state(&self) -> Option<&State<'r>> {
        self.state.as_ref()
    }

    /// Everything up to here is durable.
    pub fn committed(&self) -> Sequence {
        self.committed
    }

    /// Whether all that was durable when it started is in what its rules remember, as far as the bus still has it.
    pub fn is_caught_up(&self) -> bool {
        let is_idle = self.in_flight == 0 && self.waiting.is_empty() && !self.is_fetching;
        self.applied >= self.known || (self.is_at_end && is_idle)
    }

    /// How far event time has come.
    pub fn event_time(&self) -> Option<EventTime> {
        self.clock.reached()
    }
}

/// Tries of a commit for which a worker that drains waits: some seconds.
const DRAIN_TRIES: u32 = 6;

/// Records after which the bus is told that it may forget them, where no rule remembers anything.
const RELEASE_RECORDS: u64 = 16 * BLOCK;

/// So many findings may wait for a commit however few may wait for sinks: fewer would make many small commits.
const ON_THEIR_WAY_MIN: u64 = 1_000;

/// About how many bytes a finding takes beside its event.
const FINDING_BYTES: usize = 1024;

/// Whether a fault is the end of the worker.
fn stops(class: FaultClass) -> Option<StopReason> {
    match class {
        FaultClass::Fenced => Some(StopReason::Fenced),
        FaultClass::Stop | FaultClass::Reject => Some(StopReason::Fault),
        FaultClass::Retry | FaultClass::Full => None,
    }
}

/// How long to wait after so many failures before this one.
fn backoff(failures: u32) -> Period {
    let millis = RETRY_FIRST_MS << failures.min(20);
    Period::from_millis(millis.min(RETRY_LONGEST_MS))
}
