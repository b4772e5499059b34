//! One run: a producer, a log, a store, workers, a sink, and everything that goes wrong between them.
//!
//! All that happens stands in one queue, ordered by virtual time and by the order in which it was put there, so the same
//! seed gives the same run, byte for byte. The world does what a driver does with effects, only that it takes its time,
//! answers out of order, fails, and dies. It checks while it runs, and compares with the auditor in the end.

mod compare;

use crate::auditor::InForce;
use crate::bus::{Kept, SimBus};
use crate::chance::Chance;
use crate::faults::{Faults, Length, Report};
use crate::workload::Workload;
use std::collections::BTreeMap;
use tripline_core::evaluate::RuleSet;
use tripline_core::pipeline::{
    Effect, Examiner, Input, NoAnswers, Outbox, OutboxEffect, OutboxInput, OutboxSettings,
    SendFault, StopReason, Worker, WorkerSettings,
};
use tripline_core::port::{
    Delivered, FaultClass, Outgoing, Partition, ReadMax, RecordKind, Sequence, Store,
};
use tripline_core::rule::kind::{EventTime, Period};
use tripline_store::memory::MemoryStore;

/// What happens at a time.
enum Happening {
    /// The producer sends something.
    Produce,
    /// What was written becomes durable, and the producer hears of so many.
    Synced { written: Vec<u64> },
    /// A worker is told something.
    Worker(u32, Input),
    /// A read reaches the log.
    Read(u32, u64, Sequence, ReadMax),
    /// An effect of a worker reaches the store.
    Store(u32, Effect),
    /// An outbox is told something.
    Outbox(u32, OutboxInput),
    /// An effect of an outbox reaches the store or the sink.
    Out(u32, OutboxEffect),
    /// A process starts.
    Start,
}

/// One process.
struct Process<'r> {
    rules: &'r RuleSet,
    worker: Worker<'r>,
    examiner: Examiner<'r>,
    batches: BTreeMap<u64, Delivered>,
    outbox: Outbox,
    /// Its clock is off by so much, in microseconds.
    skew: i64,
    /// A `Woken` is on its way at this time.
    wake: Option<EventTime>,
    outbox_wake: Option<EventTime>,
    /// It drains, and another starts with other rules when it is done.
    is_reloading: bool,
}

/// A run.
pub struct World<'r> {
    rules: [&'r RuleSet; 2],
    current: usize,
    in_force: Vec<InForce<'r>>,
    chance: Chance,
    faults: Faults,
    now: EventTime,
    queue: BTreeMap<(EventTime, u64), Happening>,
    next: u64,
    bus: SimBus,
    store: MemoryStore,
    processes: BTreeMap<u32, Process<'r>>,
    next_process: u32,
    workload: Workload,
    to_produce: u64,
    /// Numbered records that were written and not yet acknowledged; sent again when the acknowledgement is lost.
    unacknowledged: BTreeMap<u64, Vec<u8>>,
    next_record: u64,
    acknowledged: Vec<Vec<u8>>,
    /// What the sink has, by id, with the highest revision.
    sink: BTreeMap<String, (u32, u64)>,
    positions: Sequence,
    report: Report,
    is_quiet: bool,
    trace: Option<String>,
}

const SECOND: i64 = 1_000_000;
const START: i64 = 1_767_225_600 * SECOND;

impl<'r> World<'r> {
    /// A run of a seed.
    pub fn new(seed: u64, length: Length, rules: [&'r RuleSet; 2], faults: Option<Faults>) -> Self {
        let mut chance = Chance::new(seed);
        let drawn = Faults::drawn(&mut chance);
        let workload = Workload::new(chance.branch(), 400);
        let mut world = Self {
            rules,
            current: 0,
            in_force: vec![InForce {
                after: 0,
                rules: rules[0],
            }],
            chance,
            faults: faults.unwrap_or(drawn),
            now: EventTime::from_micros(START),
            queue: BTreeMap::new(),
            next: 0,
            bus: SimBus::default(),
            store: MemoryStore::default(),
            processes: BTreeMap::new(),
            next_process: 0,
            workload,
            to_produce: length.records,
            unacknowledged: BTreeMap::new(),
            next_record: 0,
            acknowledged: Vec::new(),
            sink: BTreeMap::new(),
            positions: Sequence(0),
            report: Report::default(),
            is_quiet: false,
            trace: None,
        };
        world.after_ms(0, Happening::Start);
        world.after_ms(1, Happening::Produce);
        world
    }

    /// The same with everything that happens written down.
    pub fn traced(mut self) -> Self {
        self.trace = Some(String::new());
        self
    }

    fn after_ms(&mut self, millis: i64, happening: Happening) {
        self.at(self.now.plus(Period::from_millis(millis)), happening);
    }

    fn at(&mut self, time: EventTime, happening: Happening) {
        self.next += 1;
        self.queue
            .insert((time.max(self.now), self.next), happening);
    }

    /// How long something takes: mostly little, at times long.
    fn takes_ms(&mut self) -> i64 {
        match self.chance.below(20) {
            0 => self.chance.within(50, 3_000),
            1..=4 => self.chance.within(5, 50),
            _ => self.chance.within(0, 5),
        }
    }

    fn happens(&mut self, per_thousand: u32) -> bool {
        !self.is_quiet && self.chance.often(per_thousand)
    }

    fn note(&mut self, words: std::fmt::Arguments<'_>) {
        let text = format!("{} {words}\n", self.now);
        for byte in text.bytes() {
            self.report.trace = (self.report.trace ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if let Some(trace) = &mut self.trace {
            trace.push_str(&text);
        }
    }

    fn wrong(&mut self, words: String) {
        self.note(format_args!("WRONG {words}"));
        self.report.violations.push(words);
    }

    /// Runs to the end, and says what it came to; with the trace when it was asked for.
    pub fn run(mut self) -> (Report, Option<String>) {
        // Faults stop when everything was produced; then it has this long to come to rest, and time to pass for all
        // that waits for time.
        let mut quiet_until = None;
        while let Some(((time, _), happening)) = self.queue.pop_first() {
            self.now = time;
            self.report.steps += 1;
            self.happen(happening);
            let is_produced = self.to_produce == 0 && self.unacknowledged.is_empty();
            if is_produced && quiet_until.is_none() {
                self.is_quiet = true;
                quiet_until = Some(self.now.plus(Period::from_seconds(2 * 3600)));
            }
            if quiet_until.is_some_and(|until| self.now >= until)
                || self.report.steps > STEPS_MAX
                || !self.report.violations.is_empty()
            {
                break;
            }
            self.disturb();
        }
        self.compare();
        (self.report, self.trace)
    }

    fn disturb(&mut self) {
        if self.is_quiet || self.processes.is_empty() {
            return;
        }
        if self.chance.seldom(self.faults.crash) {
            self.report.crashes += 1;
            self.note(format_args!("crash"));
            self.crash();
        } else if self.chance.seldom(self.faults.takeover) {
            self.report.takeovers += 1;
            self.note(format_args!("take-over"));
            self.start();
        } else if self.chance.seldom(self.faults.reload)
            && self.processes.len() == 1
            && let Some((&number, process)) = self.processes.iter_mut().next()
            && !process.is_reloading
        {
            self.report.reloads += 1;
            process.is_reloading = true;
            self.note(format_args!("reload"));
            self.after_ms(0, Happening::Worker(number, Input::Drain));
        }
    }

    /// All processes are gone, and what was not durable with them.
    fn crash(&mut self) {
        self.processes.clear();
        let mut chance = self.chance.branch();
        self.bus.crash(&mut chance);
        // What reached the store and was not done yet is done or not, as chance has it.
        let on_their_way: Vec<_> = self
            .queue
            .iter()
            .filter(|(_, one)| matches!(one, Happening::Store(..)))
            .map(|(key, _)| *key)
            .collect();
        for key in on_their_way {
            if let Some(Happening::Store(_, effect)) = self.queue.remove(&key)
                && chance.often(500)
            {
                // Nobody hears how it ended.
                let _ = self.store_effect(&effect);
            }
        }
        self.queue.retain(|_, one| {
            matches!(
                one,
                Happening::Produce | Happening::Synced { .. } | Happening::Start
            )
        });
        // The producer hears nothing of what it sent, and sends it again.
        for happening in self.queue.values_mut() {
            if let Happening::Synced { written } = happening {
                written.clear();
            }
        }
        let pause = self.chance.within(1, 2_000);
        self.after_ms(pause, Happening::Start);
    }

    fn start(&mut self) {
        let mut checkpoint = match self.store.take_over(Partition(0)) {
            Ok(checkpoint) => checkpoint,
            Err(fault) => return self.wrong(format!("cannot take over: {fault}")),
        };
        if checkpoint.position > self.bus.last() {
            let words = format!(
                "position {} is beyond the log, which ends at {}",
                checkpoint.position,
                self.bus.last()
            );
            return self.wrong(words);
        }
        let skew = match self.happens(self.faults.clock) {
            true => self.chance.within(-600, 5) * SECOND / 10,
            false => 0,
        };
        let rules = self.rules[self.current];
        let settings = WorkerSettings {
            partition: Partition(0),
            read: ReadMax {
                records: self.chance.within(1, 60) as usize,
                bytes: 1 << 20,
            },
            in_flight_max: self.chance.within(1, 5) as usize,
            commit_every: Period::from_millis(self.chance.within(1, 2_000)),
            snapshot_every: Period::from_seconds(self.chance.within(1, 60)),
            tick_every: Period::from_seconds(self.chance.within(1, 20)),
            state_bytes_max: 256 << 20,
            undelivered_max: 1_000_000,
            plugins_remember: false,
        };
        // A few kills in a row are nothing here: records that kill have a test of their own.
        checkpoint.starts = checkpoint.starts.min(2);
        let now = EventTime::from_micros(self.now.micros() + skew);
        let (worker, _) = match Worker::start(rules, settings, checkpoint, now) {
            Ok(started) => started,
            Err(fault) => return self.wrong(format!("cannot start: {fault}")),
        };
        let position = self.store.sink_position("sink").unwrap_or_default();
        let outbox = OutboxSettings {
            sink: "sink".to_owned(),
            batch: 5,
            tries_max: None,
            waiting_max: None,
        };
        let number = self.next_process;
        self.next_process += 1;
        let process = Process {
            rules,
            worker,
            examiner: Examiner::new(rules, Partition(0)),
            batches: BTreeMap::new(),
            outbox: Outbox::new(outbox, position),
            skew,
            wake: None,
            outbox_wake: None,
            is_reloading: false,
        };
        self.processes.insert(number, process);
        self.note(format_args!("start {number}"));
        self.after_ms(0, Happening::Worker(number, Input::Woken));
        self.after_ms(0, Happening::Outbox(number, OutboxInput::Woken));
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start if self.processes.is_empty() => self.start(),
            Happening::Start => {}
            Happening::Produce => self.produce(),
            Happening::Synced { written } => self.synced(&written),
            Happening::Worker(number, input) => self.worker(number, input),
            Happening::Read(number, batch, after, max) => self.read(number, batch, after, max),
            Happening::Store(number, effect) => {
                let answer = match &effect {
                    Effect::Commit(_) => self.commit(&effect),
                    _ => self.keep(&effect),
                };
                let takes = self.takes_ms();
                self.after_ms(takes, Happening::Worker(number, answer));
            }
            Happening::Outbox(number, input) => self.outbox(number, input),
            Happening::Out(number, effect) => self.out(number, effect),
        }
    }

    fn produce(&mut self) {
        if self.processes.is_empty() {
            return self.after_ms(100, Happening::Produce);
        }
        let mut written = Vec::new();
        let again: Vec<u64> = self.unacknowledged.keys().copied().collect();
        for number in again {
            written.push(number);
        }
        for _ in 0..self.chance.below(8).min(self.to_produce) {
            self.to_produce -= 1;
            let payload = self.workload.next(self.now);
            self.unacknowledged.insert(self.next_record, payload);
            written.push(self.next_record);
            self.next_record += 1;
        }
        for number in &written {
            let kept = Kept {
                kind: RecordKind::Event,
                taken: self.now,
                payload: self.unacknowledged[number].clone(),
            };
            self.bus.write(kept);
        }
        let takes = self.takes_ms();
        self.after_ms(takes, Happening::Synced { written });
    }

    fn synced(&mut self, written: &[u64]) {
        self.bus.sync();
        if !self.happens(self.faults.acknowledgement) {
            for number in written {
                if let Some(payload) = self.unacknowledged.remove(number) {
                    self.report.acknowledged += 1;
                    self.acknowledged.push(payload);
                }
            }
        }
        for number in self.processes.keys().copied().collect::<Vec<_>>() {
            self.after_ms(0, Happening::Worker(number, Input::Woken));
        }
        if self.to_produce > 0 || !self.unacknowledged.is_empty() {
            let pause = match self.chance.below(30) {
                0 => self.chance.within(20_000, 120_000),
                _ => self.chance.within(100, 9_000),
            };
            self.after_ms(pause, Happening::Produce);
        }
    }

    fn read(&mut self, number: u32, batch: u64, after: Sequence, max: ReadMax) {
        let answer = if self.happens(self.faults.read) {
            Input::FetchFailed(FaultClass::Retry)
        } else {
            let delivered = self.bus.read(after, max);
            let through = delivered.records.last().map_or(after, |last| last.sequence);
            let records = delivered.records.len();
            // Whoever was taken over from may find nothing: it can no longer commit.
            let is_newest = self.processes.keys().next_back() == Some(&number);
            if !delivered.lost.is_empty() && is_newest {
                self.wrong(format!(
                    "records after {after} were needed and are released"
                ));
            }
            if let Some(process) = self.processes.get_mut(&number) {
                process.batches.insert(batch, delivered);
            }
            Input::Fetched {
                number: batch,
                through,
                records,
            }
        };
        let takes = self.takes_ms();
        self.after_ms(takes, Happening::Worker(number, answer));
    }

    fn commit(&mut self, effect: &Effect) -> Input {
        if self.happens(self.faults.commit) {
            return Input::CommitFailed(*self.chance.one(&[FaultClass::Retry, FaultClass::Full]));
        }
        match self.store_effect(effect) {
            Err(class) => Input::CommitFailed(class),
            Ok(()) if self.happens(self.faults.commit_unsure) => {
                Input::CommitFailed(FaultClass::Retry)
            }
            Ok(()) => Input::Committed,
        }
    }

    fn keep(&mut self, effect: &Effect) -> Input {
        if self.happens(self.faults.snapshot) {
            return Input::SnapshotFailed(FaultClass::Retry);
        }
        match self.store_effect(effect) {
            Err(class) => Input::SnapshotFailed(class),
            Ok(()) => Input::SnapshotKept,
        }
    }

    /// Does in the store what an effect asks for.
    fn store_effect(&mut self, effect: &Effect) -> Result<(), FaultClass> {
        let done = match effect {
            Effect::Commit(commit) => {
                if commit.position > self.bus.last() {
                    self.wrong(format!(
                        "{} is committed and not durable in the log",
                        commit.position
                    ));
                }
                let done = self.store.commit(commit).map(|_| ());
                if done.is_ok() {
                    if commit.position < self.positions {
                        self.wrong(format!("the position went back to {}", commit.position));
                    }
                    self.positions = commit.position;
                }
                done
            }
            Effect::KeepSnapshot { epoch, snapshot } => {
                self.store.keep_snapshot(Partition(0), *epoch, snapshot)
            }
            _ => Ok(()),
        };
        for number in self.processes.keys().copied().collect::<Vec<_>>() {
            self.after_ms(0, Happening::Outbox(number, OutboxInput::Woken));
        }
        done.map_err(|fault| fault.class)
    }

    fn worker(&mut self, number: u32, input: Input) {
        let Some(process) = self.processes.get_mut(&number) else {
            return;
        };
        let now = EventTime::from_micros(self.now.micros() + process.skew);
        if input == Input::Woken && process.wake.is_some_and(|at| at <= self.now) {
            process.wake = None;
        }
        let effects = process.worker.step(now, input);
        for effect in effects {
            self.effect(number, effect);
        }
    }

    fn effect(&mut self, number: u32, effect: Effect) {
        let words = match &effect {
            Effect::Commit(one) => format!(
                "commit {} findings {} dead {}",
                one.position,
                one.findings.len(),
                one.dead.len()
            ),
            Effect::KeepSnapshot { snapshot, .. } => format!("snapshot {}", snapshot.position),
            Effect::Wake { .. } => String::new(),
            other => format!("{other:?}"),
        };
        if !words.is_empty() {
            self.note(format_args!("{number} {words}"));
        }
        let takes = self.takes_ms();
        match effect {
            Effect::Fetch {
                number: batch,
                after,
                max,
            } => {
                self.after_ms(takes, Happening::Read(number, batch, after, max));
            }
            Effect::Examine {
                number: batch,
                known,
            } => {
                let Some(process) = self.processes.get_mut(&number) else {
                    return;
                };
                let Some(delivered) = process.batches.remove(&batch) else {
                    return self.wrong(format!("batch {batch} was not read"));
                };
                let examined = process
                    .examiner
                    .examine(batch, &delivered, known, &mut NoAnswers);
                let input = Input::Examined(Box::new(examined));
                self.after_ms(takes, Happening::Worker(number, input));
            }
            Effect::SetAside { .. } => self.wrong("a record was set aside".to_owned()),
            Effect::Commit(_) | Effect::KeepSnapshot { .. } => {
                self.after_ms(takes, Happening::Store(number, effect));
            }
            Effect::Release { before } => self.bus.release(before),
            Effect::AppendTick { at } => {
                let kept = Kept {
                    kind: RecordKind::Tick,
                    taken: at,
                    payload: Vec::new(),
                };
                self.bus.write(kept);
                self.bus.sync();
                self.after_ms(takes, Happening::Worker(number, Input::Ticked));
            }
            Effect::Wake { at } => {
                let Some(process) = self.processes.get_mut(&number) else {
                    return;
                };
                let at = EventTime::from_micros(at.micros() - process.skew).max(self.now);
                if process.wake.is_none_or(|planned| at < planned) {
                    process.wake = Some(at);
                    self.at(at, Happening::Worker(number, Input::Woken));
                }
            }
            Effect::Drained => self.drained(number),
            Effect::Stop(StopReason::Fenced) => {
                self.processes.remove(&number);
                if self.processes.is_empty() {
                    self.wrong("the only process was fenced off".to_owned());
                }
            }
            Effect::Stop(reason) => self.wrong(format!("a worker stopped: {reason:?}")),
        }
    }

    fn drained(&mut self, number: u32) {
        let Some(process) = self.processes.remove(&number) else {
            return;
        };
        if !process.is_reloading {
            return self.wrong("a worker drained by itself".to_owned());
        }
        if !self.processes.is_empty() {
            // Another one took over meanwhile; it goes on with the rules as they were.
            return;
        }
        debug_assert!(std::ptr::eq(process.rules, self.rules[self.current]));
        let position = process.worker.committed();
        self.current = 1 - self.current;
        let rules = self.rules[self.current];
        self.in_force.push(InForce {
            after: position.0,
            rules,
        });
        self.start();
    }

    fn outbox(&mut self, number: u32, input: OutboxInput) {
        let Some(process) = self.processes.get_mut(&number) else {
            return;
        };
        if input == OutboxInput::Woken && process.outbox_wake.is_some_and(|at| at <= self.now) {
            process.outbox_wake = None;
        }
        let now = self.now;
        for effect in process.outbox.step(now, input) {
            let takes = self.takes_ms();
            self.after_ms(takes, Happening::Out(number, effect));
        }
    }

    fn out(&mut self, number: u32, effect: OutboxEffect) {
        let answer = match effect {
            OutboxEffect::Load { after, max } => {
                let found = self.store.outgoing(after, max).unwrap_or_default();
                let newest = self.store.newest().unwrap_or_default();
                OutboxInput::Loaded(found, newest)
            }
            OutboxEffect::Send(batch) => match self.happens(self.faults.sink) {
                true => {
                    let retry = SendFault::Retry {
                        detail: "busy".to_owned(),
                        after: None,
                    };
                    let refused = SendFault::Refused {
                        detail: "too long".to_owned(),
                    };
                    // The sink may have taken what it is said not to have taken.
                    if self.chance.often(300) {
                        self.take(&batch);
                        OutboxInput::SendFailed(retry)
                    } else if batch.len() == 1 {
                        OutboxInput::SendFailed(retry)
                    } else {
                        OutboxInput::SendFailed(if self.chance.often(500) {
                            retry
                        } else {
                            refused
                        })
                    }
                }
                false => {
                    self.take(&batch);
                    OutboxInput::Sent
                }
            },
            OutboxEffect::Save { position, dead } => {
                match self.store.sink_reached("sink", position, &dead) {
                    Ok(()) => OutboxInput::Saved,
                    Err(fault) => OutboxInput::StoreFailed(fault.class),
                }
            }
            OutboxEffect::Wake { at, .. } => {
                let Some(process) = self.processes.get_mut(&number) else {
                    return;
                };
                if process.outbox_wake.is_none_or(|planned| at < planned) {
                    process.outbox_wake = Some(at);
                    self.at(at, Happening::Outbox(number, OutboxInput::Woken));
                }
                return;
            }
            OutboxEffect::Drained | OutboxEffect::Stop => return,
        };
        let takes = self.takes_ms();
        self.after_ms(takes, Happening::Outbox(number, answer));
    }

    fn take(&mut self, batch: &[Outgoing]) {
        for one in batch {
            self.report.delivered += 1;
            let count = one.finding.suppressed.as_ref().map_or(0, |one| one.count);
            let kept = self.sink.entry(one.finding.finding_id.clone()).or_default();
            if one.finding.revision >= kept.0 {
                *kept = (one.finding.revision, count);
            }
        }
    }
}

/// More than any run takes that comes to rest.
const STEPS_MAX: u64 = 400_000;
