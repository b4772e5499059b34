//! Drives the worker of a partition: does what its effects say, and tells it what came of that.
//!
//! Reading is done here, because the worker has nothing to do until it is done; what waits for the disk is done by another
//! thread, and evaluation by others. A wait for records is a thread too, as a log can only be waited for by blocking.
//!
//! Each of those threads costs a hand-over there and back, which for a single event is more than the work. So a few records
//! that come while nothing else is under way are evaluated, committed and waited for right here. While that commit waits for
//! the disk whatever comes is not read; then it is more than a few, and goes the other way.

use super::clock::{now, until};
use super::examiners::{Examining, How, Job, Jobs};
use super::place;
use super::status::{Status, Work};
use super::traced::{Batches, Committing, Reading};
use super::versions::InForce;
use crate::causes::with_causes;
use crate::config::Place;
use crate::plugins::Plugins;
use crate::remediation::learning::Learning;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tracing::Span;
use tripline_core::evaluate::RuleSet;
use tripline_core::pipeline::{Effect, Input, StartFault, StopReason, Worker, WorkerSettings};
use tripline_core::port::{
    Bus, Checkpoint, Commit, Delivered, FaultClass, NewRecord, PortFault, RecordKind, Sequence,
    Store,
};
use tripline_core::rule::kind::EventTime;
use tripline_core::state::Restored;

/// What the driver works with during an epoch.
pub(crate) struct Engine<'e> {
    pub(crate) rules: &'e RuleSet,
    /// Which version they are, where members have them from each other.
    pub(crate) in_force: Option<InForce<'e>>,
    pub(crate) plugins: &'e Plugins<'e>,
    pub(crate) bus: &'e dyn Bus,
    pub(crate) store: &'e dyn Store,
    pub(crate) settings: WorkerSettings,
    pub(crate) threads: usize,
    pub(crate) status: &'e Status,
    /// Where the partition begins when nobody has worked on it yet.
    pub(crate) start: Place,
    /// Learns what resources are like, when findings are answered.
    pub(crate) learning: Option<&'e Learning>,
}

/// What somebody asks of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Finish what was begun, and end.
    Drain,
}

/// How an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As it was asked to; everything is durable.
    Drained,
    /// What was to be done again is done, or the partition needs another version of the rules.
    OtherRules,
    /// Another process has the partition.
    Fenced,
    /// The log or the store cannot be trusted any more.
    Fault,
}

/// Why an epoch cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveFault {
    #[error("cannot take the partition over")]
    TakeOver(#[source] PortFault),
    #[error(transparent)]
    Start(#[from] StartFault),
}

/// How driving a partition ended.
pub(crate) type Driven = Result<Ended, DriveFault>;

/// How often the status is brought up to date while there is work.
const STATUS_EVERY: Duration = Duration::from_millis(200);

/// How often it is looked whether sinks have caught up.
const SINKS_LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a thread waits for a record before it looks whether it is still wanted.
const WAITS: Duration = Duration::from_millis(100);

/// So many records, of so many bytes together, and so many findings are a few.
const FEW_RECORDS: usize = 16;
const FEW_BYTES: usize = 64 * 1024;
const FEW_FINDINGS: usize = 64;

/// Complaints of one kind are told this often; the others are counted.
const COMPLAINS_EVERY: Duration = Duration::from_secs(30);

/// Drives a partition until it is drained or cannot go on. `told` gets what became of what rules remembered.
pub(crate) fn drive(
    engine: &Engine<'_>,
    requests: &Receiver<Request>,
    told: impl FnOnce(Restored),
) -> Driven {
    let partition = engine.settings.partition;
    let checkpoint = engine
        .store
        .take_over(partition)
        .and_then(|checkpoint| begin(engine, checkpoint))
        .map_err(DriveFault::TakeOver)?;
    tracing::info!(
        partition = partition.0,
        epoch = checkpoint.epoch.0,
        position = checkpoint.position.0,
        "partition taken over"
    );
    if let Some(in_force) = &engine.in_force
        && let Some(ended) = in_force.settle((partition, checkpoint.epoch), engine.rules)?
    {
        return Ok(ended);
    }
    let settings = WorkerSettings {
        plugins_remember: engine.plugins.remember(),
        ..engine.settings
    };
    let (worker, restored) = Worker::start(engine.rules, settings, checkpoint, now())?;
    for plugin in engine.plugins.strangers(worker.plugins()) {
        tracing::warn!(
            plugin,
            partition = partition.0,
            "it is another plugin now, and begins to remember anew"
        );
    }
    let threads = match settings.plugins_remember {
        // They are asked about the records in their order, which only one thread sees.
        true => 1,
        false => engine.threads.max(1),
    };
    if let Some(restored) = restored {
        told(restored);
    }
    let jobs = Jobs::default();
    let (inputs, inbox) = channel();
    let (to_store, store_inbox) = channel();
    let (arm, armed) = channel();
    let examining = |memories| {
        let rules = (engine.rules, partition);
        let beside = (engine.status, engine.learning);
        Examining::new(rules, (engine.plugins, memories), &jobs, beside)
    };
    let to_do = AtomicUsize::new(0);
    let storing = || Storing {
        engine,
        complaints: Complaints::default(),
    };
    let ended = thread::scope(|scope| {
        for _ in 0..threads {
            let inputs = inputs.clone();
            let (examining, memories) = (&examining, worker.plugins().clone());
            scope.spawn(move || examining(memories).run(&inputs));
        }
        let to_worker = inputs.clone();
        let (storing_there, to_do) = (storing(), &to_do);
        scope.spawn(move || storing_there.run(&store_inbox, &to_worker, to_do));
        let to_worker = inputs.clone();
        scope.spawn(move || wait_for_records(engine.bus, &armed, &to_worker));
        // Plugins take their time, and those that remember are asked by one thread alone.
        let is_asked_nothing = engine.rules.plugins().is_empty();
        let driver = Driver {
            engine,
            examining: is_asked_nothing.then(|| examining(worker.plugins().clone())),
            worker,
            jobs: &jobs,
            examined_elsewhere: 0,
            storing: storing(),
            to_store,
            to_do,
            arm,
            batches: BTreeMap::new(),
            traced: Batches::new(partition),
            wake: None,
            found_none_after: None,
            told_status: None,
            waits_for_sinks: false,
            is_asked: false,
            complaints: Complaints::default(),
        };
        // The others end when nobody has work for them.
        let _guard = ClosesJobs(&jobs);
        driver.run(&inbox, requests)
    });
    Ok(ended)
}

/// Puts a partition that nobody has committed anything of where it is to begin, for good: what comes while nobody runs is
/// not new to whoever runs next.
fn begin(engine: &Engine<'_>, mut checkpoint: Checkpoint) -> Result<Checkpoint, PortFault> {
    // The first commit begins the count of starts anew, so they are as many as epochs only before it.
    let was_committed = u64::from(checkpoint.starts) != checkpoint.epoch.0;
    if was_committed || checkpoint.position != Sequence(0) || engine.start == Place::First {
        return Ok(checkpoint);
    }
    checkpoint.position = place::before(engine.bus, engine.start)?;
    engine.store.set_now(now());
    engine.store.commit(&Commit {
        partition: engine.settings.partition,
        epoch: checkpoint.epoch,
        position: checkpoint.position,
        is_well_started: true,
        ..Commit::default()
    })?;
    Ok(checkpoint)
}

/// What came of waiting for records.
enum Waited {
    /// This is to be looked at first.
    Told(Input),
    /// Nothing came.
    InVain,
    /// Somebody else waits, or nobody can.
    Elsewhere,
}

struct Driver<'d, 'e> {
    engine: &'d Engine<'e>,
    worker: Worker<'e>,
    jobs: &'d Jobs,
    /// Batches that other threads examine.
    examined_elsewhere: usize,
    /// Examines a few records here.
    examining: Option<Examining<'d>>,
    /// Makes a few findings durable here.
    storing: Storing<'d, 'e>,
    to_store: Sender<(Effect, Option<Committing>)>,
    /// Effects that the thread which waits for the disk has yet to do.
    to_do: &'d AtomicUsize,
    arm: Sender<Sequence>,
    batches: BTreeMap<u64, (Delivered, Span)>,
    traced: Batches,
    wake: Option<EventTime>,
    found_none_after: Option<Sequence>,
    told_status: Option<Instant>,
    waits_for_sinks: bool,
    /// Somebody wants it to end.
    is_asked: bool,
    complaints: Complaints,
}

impl Driver<'_, '_> {
    fn run(mut self, inbox: &Receiver<Input>, requests: &Receiver<Request>) -> Ended {
        let mut input = Some(Input::Woken);
        let mut is_draining = false;
        let catches_up = self.engine.in_force.is_some_and(|one| one.catches_up());
        loop {
            self.is_asked |= requests.try_recv().is_ok();
            let is_over = self.is_asked || (catches_up && self.worker.is_caught_up());
            if !is_draining && is_over {
                is_draining = true;
                if let Some(ended) = self.step(Input::Drain) {
                    return self.end(ended);
                }
            }
            if let Some(next) = input.take() {
                if let Input::Examined(_) = next {
                    self.examined_elsewhere -= 1;
                }
                if let Some(ended) = self.step(next) {
                    return self.end(ended);
                }
            }
            let is_due = self
                .told_status
                .is_none_or(|at| at.elapsed() >= STATUS_EVERY);
            if is_due {
                self.tell_status();
            }
            // A sink that catches up lets reading go on, though nothing is committed.
            if is_due || self.waits_for_sinks {
                let waiting = self.engine.status.undelivered();
                self.tell_waiting(waiting);
                if let Some(ended) = self.step(Input::Undelivered(waiting)) {
                    return self.end(ended);
                }
            }
            let longest = match self.waits_for_sinks {
                true => SINKS_LOOK_EVERY,
                false => STATUS_EVERY,
            };
            let mut patience = self.wake.map_or(longest, until).min(longest);
            if let Some(after) = self.found_none_after.take() {
                match self.wait_here(after, patience, inbox) {
                    Waited::Told(next) => {
                        input = Some(next);
                        continue;
                    }
                    Waited::InVain => patience = Duration::ZERO,
                    Waited::Elsewhere => {}
                }
            }
            match inbox.recv_timeout(patience) {
                Ok(next) => input = Some(next),
                Err(RecvTimeoutError::Timeout) => {
                    let is_due = self.wake.is_some_and(|at| at <= now());
                    if is_due {
                        self.wake = None;
                        input = Some(Input::Woken);
                    }
                }
                // Not before this end of the channel goes.
                Err(RecvTimeoutError::Disconnected) => return self.end(Ended::Fault),
            }
        }
    }

    /// Whether nothing is under way that somebody else has yet to tell of.
    fn is_quiet(&self) -> bool {
        self.examined_elsewhere == 0 && self.to_do.load(Ordering::Acquire) == 0
    }

    /// Sees to it that records which come are noticed. It waits for them here when nobody has anything else to tell, and
    /// else lets the thread for that do it.
    fn wait_here(&mut self, after: Sequence, at_most: Duration, inbox: &Receiver<Input>) -> Waited {
        if !self.is_quiet() {
            // Whoever waits ends after this does.
            let _ = self.arm.send(after);
            return Waited::Elsewhere;
        }
        self.found_none_after = Some(after);
        // What was told last may still be on its way from there to here, but no longer after this.
        if let Ok(input) = inbox.try_recv() {
            return Waited::Told(input);
        }
        match self.engine.bus.wait(after, at_most.min(WAITS)) {
            Ok(true) => Waited::Told(Input::Woken),
            Ok(false) => Waited::InVain,
            // The worker looks by itself in time.
            Err(_) => {
                self.found_none_after = None;
                Waited::Elsewhere
            }
        }
    }

    fn end(mut self, ended: Ended) -> Ended {
        let ended = match ended {
            // It has caught up, and nobody wants it to end.
            Ended::Drained if !self.is_asked => Ended::OtherRules,
            ended => ended,
        };
        self.tell_status();
        let partition = self.engine.settings.partition.0;
        self.engine.status.set(|now| {
            // Whoever goes on says whether it can.
            now.commit_fault = None;
            if let Some(work) = now.working.remove(&partition) {
                // What it remembers is somebody else's now, or its own when it runs again.
                now.ended.add(&Work {
                    event_time: None,
                    state_bytes: 0,
                    ..work
                });
            }
        });
        ended
    }

    /// One step of the worker and of what follows at once.
    fn step(&mut self, input: Input) -> Option<Ended> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if input == Input::Committed {
                let waiting = Input::Undelivered(self.engine.status.undelivered());
                for effect in self.worker.step(now(), waiting) {
                    if let Some(ended) = self.follow(effect, &mut inputs) {
                        return Some(ended);
                    }
                }
            }
            for effect in self.worker.step(now(), input) {
                if let Some(ended) = self.follow(effect, &mut inputs) {
                    return Some(ended);
                }
            }
        }
        None
    }

    /// Does what the worker asks for, or lets it be done. `inputs` gets what came of it at once.
    fn follow(&mut self, effect: Effect, inputs: &mut VecDeque<Input>) -> Option<Ended> {
        match effect {
            Effect::Fetch { number, after, max } => {
                inputs.push_back(self.fetch(number, after, max));
            }
            Effect::Examine { number, known } => {
                inputs.extend(self.examine(number, How::Examine { known }));
            }
            Effect::SetAside { number, starts } => {
                inputs.extend(self.examine(number, How::SetAside { starts }));
            }
            Effect::Wake { at } => self.wake = Some(at),
            Effect::Drained => return Some(Ended::Drained),
            Effect::Stop(StopReason::Fenced) => return Some(Ended::Fenced),
            Effect::Stop(StopReason::Fault) => return Some(Ended::Fault),
            Effect::Commit(commit) => {
                let traced = Some(self.traced.commit(commit.position));
                let is_little = commit.findings.len() <= FEW_FINDINGS && commit.dead.is_empty();
                let effect = Effect::Commit(commit);
                if is_little && self.batches.is_empty() && self.is_quiet() {
                    inputs.extend(self.storing.one(effect, traced));
                } else {
                    self.store(effect, traced);
                }
            }
            effect @ (Effect::KeepSnapshot { .. }
            | Effect::Release { .. }
            | Effect::AppendTick { .. }) => self.store(effect, None),
        }
        None
    }

    fn store(&mut self, effect: Effect, traced: Option<Committing>) {
        self.to_do.fetch_add(1, Ordering::AcqRel);
        let _ = self.to_store.send((effect, traced));
    }

    fn fetch(&mut self, number: u64, after: Sequence, max: tripline_core::port::ReadMax) -> Input {
        self.found_none_after = None;
        let mut delivered = self.jobs.buffer();
        let reading = Reading::begin();
        if let Err(fault) = self.engine.bus.read(after, max, &mut delivered) {
            self.complaints.tell("read", &fault);
            self.engine
                .status
                .set(|now| *now.faults.entry("read").or_default() += 1);
            return Input::FetchFailed(fault.class);
        }
        for (range, why) in &delivered.lost {
            tracing::error!(from = range.start, to = range.end - 1, why, "records lost");
        }
        let records = delivered.records.len();
        let through = delivered.records.last().map_or(after, |last| last.sequence);
        if records == 0 {
            self.found_none_after = Some(after);
        } else {
            let span = self.traced.read(&reading, (after, through), records);
            self.batches.insert(number, (delivered, span));
        }
        Input::Fetched {
            number,
            through,
            records,
        }
    }

    /// What the rules say of a batch, if it is examined here.
    fn examine(&mut self, number: u64, how: How) -> Option<Input> {
        let (delivered, span) = self.batches.remove(&number)?;
        let few = delivered.records.len() <= FEW_RECORDS && delivered.buffer.len() <= FEW_BYTES;
        let job = Job {
            number,
            delivered,
            how,
            span,
        };
        let is_quiet = few && self.is_quiet();
        if let Some(examining) = self.examining.as_mut().filter(|_| is_quiet) {
            return Some(examining.one(job));
        }
        self.examined_elsewhere += 1;
        self.jobs.put(job);
        None
    }

    /// Says when reading begins and ceases to wait for sinks.
    fn tell_waiting(&mut self, waiting: u64) {
        let waits = waiting > self.engine.settings.undelivered_max;
        self.waits_for_sinks = waits;
        let partition = self.engine.settings.partition.0;
        self.engine.status.set(|now| {
            let work = now.working.entry(partition).or_default();
            if waits && !work.waits_for_sinks {
                tracing::warn!(partition, waiting, "evaluation waits for the slowest sink");
            } else if !waits && work.waits_for_sinks {
                tracing::info!(partition, "evaluation goes on");
            }
            work.waits_for_sinks = waits;
        });
    }

    fn tell_status(&mut self) {
        self.told_status = Some(Instant::now());
        let own = self.worker.tally();
        let rules = self.engine.rules.rules();
        let state_bytes = self.worker.state().map_or(0, |state| state.bytes() as u64);
        let by_rule = own.by_rule.iter().map(|(rule, count)| {
            let id = rules[*rule as usize].rule.id.to_string();
            (id, *count)
        });
        let mut work = Work {
            tally: own.clone(),
            findings_by_rule: by_rule.collect(),
            event_time: self.worker.event_time(),
            state_bytes,
            waits_for_sinks: false,
        };
        let partition = self.engine.settings.partition.0;
        self.engine.status.set(|now| {
            let before = now.working.entry(partition).or_default();
            work.waits_for_sinks = before.waits_for_sinks;
            *before = work;
            now.is_ready = true;
        });
    }
}

/// Stops the worker when the thread that it waits for is gone by a mistake of ours. At an orderly end nobody listens.
struct StopsWorker<'s>(&'s Sender<Input>);

impl Drop for StopsWorker<'_> {
    fn drop(&mut self) {
        let _ = self.0.send(Input::FetchFailed(FaultClass::Stop));
    }
}

/// Lets the threads that examine end, however the worker ends.
struct ClosesJobs<'j>(&'j Jobs);

impl Drop for ClosesJobs<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Does what waits for the disk.
struct Storing<'d, 'e> {
    engine: &'d Engine<'e>,
    complaints: Complaints,
}

impl Storing<'_, '_> {
    /// All that comes, in order.
    fn run(
        mut self,
        effects: &Receiver<(Effect, Option<Committing>)>,
        to_worker: &Sender<Input>,
        to_do: &AtomicUsize,
    ) {
        let _guard = StopsWorker(to_worker);
        while let Ok((effect, traced)) = effects.recv() {
            let input = self.one(effect, traced);
            if let Some(input) = input {
                // Nobody listens any more when the worker was stopped.
                let _ = to_worker.send(input);
            }
            to_do.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// One effect; what is to be told of it.
    fn one(&mut self, effect: Effect, traced: Option<Committing>) -> Option<Input> {
        let (status, bus) = (self.engine.status, self.engine.bus);
        let partition = self.engine.settings.partition;
        match effect {
            Effect::Commit(commit) => Some(self.commit(&commit, traced)),
            Effect::KeepSnapshot { epoch, snapshot } => {
                let kept = self.engine.store.keep_snapshot(partition, epoch, &snapshot);
                Some(match kept {
                    Ok(()) => Input::SnapshotKept,
                    Err(fault) => {
                        self.complaints.tell("snapshot", &fault);
                        status.set(|now| *now.faults.entry("snapshot").or_default() += 1);
                        Input::SnapshotFailed(fault.class)
                    }
                })
            }
            Effect::Release { before } => {
                if let Err(fault) = bus.release(before) {
                    self.complaints.tell("release", &fault);
                }
                None
            }
            Effect::AppendTick { at } => {
                let tick = NewRecord {
                    kind: RecordKind::Tick,
                    taken: at,
                    attributes: b"",
                    payload: b"",
                };
                Some(match bus.append(&[tick]) {
                    // A log that takes nothing any more is opened anew, by whoever starts the service again.
                    Err(fault) if fault.class == FaultClass::Stop => {
                        self.complaints.tell("tick", &fault);
                        Input::FetchFailed(FaultClass::Stop)
                    }
                    Err(fault) => {
                        self.complaints.tell("tick", &fault);
                        Input::Ticked
                    }
                    Ok(_) => Input::Ticked,
                })
            }
            _ => None,
        }
    }

    fn commit(&mut self, commit: &Commit, traced: Option<Committing>) -> Input {
        let (status, store) = (self.engine.status, self.engine.store);
        store.set_now(now());
        match store.commit(commit) {
            Ok(committed) => {
                let newest = store.newest().unwrap_or_default();
                status.set(|now| {
                    now.commit_fault = None;
                    now.dead_letters += commit.dead.len() as u64;
                    now.commits += 1;
                    now.findings_new += committed.new;
                    now.findings_renewed += committed.renewed;
                });
                let found = committed.new + committed.renewed;
                let by = traced.as_ref().and_then(|traced| traced.done(found));
                if found > 0 {
                    if let Some(by) = by {
                        status.stored.tell_by(newest, by);
                    }
                    status.stored.tell(newest);
                }
                Input::Committed
            }
            Err(fault) => {
                self.complaints.tell("commit", &fault);
                if let Some(traced) = &traced {
                    traced.failed(&with_causes(&fault));
                }
                status.set(|now| {
                    now.commits_failed += 1;
                    now.commit_fault = Some(with_causes(&fault));
                });
                Input::CommitFailed(fault.class)
            }
        }
    }
}

/// Tells the worker of records that come after the place that it found nothing after.
fn wait_for_records(bus: &dyn Bus, armed: &Receiver<Sequence>, to_worker: &Sender<Input>) {
    while let Ok(mut after) = armed.recv() {
        loop {
            // Only the newest place matters: whoever waited for each of them would fall behind, and end late.
            loop {
                match armed.try_recv() {
                    Ok(newer) => after = newer,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            match bus.wait(after, WAITS) {
                Ok(true) => {
                    let _ = to_worker.send(Input::Woken);
                    break;
                }
                // The worker looks by itself in time.
                Err(_) => break,
                Ok(false) => {}
            }
        }
    }
}

/// Tells of faults, each kind now and then.
#[derive(Default)]
struct Complaints(BTreeMap<&'static str, (Option<Instant>, u64)>);

impl Complaints {
    fn tell(&mut self, doing: &'static str, fault: &PortFault) {
        let (told, untold) = self.0.entry(doing).or_default();
        if told.is_some_and(|at| at.elapsed() < COMPLAINS_EVERY) && fault.class != FaultClass::Stop
        {
            *untold += 1;
            return;
        }
        *told = Some(Instant::now());
        let more = std::mem::take(untold);
        tracing::error!(
            doing,
            fault = with_causes(fault),
            more,
            "store or log failed"
        );
    }
}
