//! Evaluates a stretch of the log again, by the rules that are in force now.
//!
//! The same worker does it as in the service, on a log that ends where the stretch does and a store whose position stays
//! where it is. Findings have their identity from what they are about, so what was found before is there already and is
//! not found twice. Rules that remember begin with nothing where the stretch begins, and what they remember in the end is
//! thrown away: that of the service stays as it is.
//!
//! It must never move a position, keep a snapshot or write to the log. Rejected: to set the position back, by which sinks
//! and rules that remember would see time run backwards; and another way of evaluating, which would find something else.

use super::bus::{self, Opened};
use super::driver::{Ended, Engine, Request, drive};
use super::epochs::check_exact;
use super::opening::{open_store, threads, worker_settings};
use super::partitions::Partitions;
use super::place;
use super::rules::Prepared;
use super::service::{ServeError, make_folder};
use super::status::Status;
use crate::config::{Config, Place};
use crate::terminal::ColorChoice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tripline_core::pipeline::WorkerSettings;
use tripline_core::port::{
    Appended, Bus, Checkpoint, Commit, Committed, DeadFilter, DeadLetter, DeadNumber, Delivered,
    Durability, Epoch, FindingFilter, FindingPage, NewRecord, Outgoing, Partition, PortFault,
    ReadMax, Sequence, SnapshotKept, Span, Store, StoredFinding,
};
use tripline_core::rule::kind::EventTime;

/// Which records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) from: Place,
    /// The last one, or the time before which it was taken; as far as the service has come when not given.
    pub(crate) to: Option<Place>,
    /// Of all partitions when not given.
    pub(crate) partition: Option<u32>,
}

/// What came of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replayed {
    pub(crate) partition: u32,
    /// The first and the last record; nothing when there was none.
    pub(crate) records: Option<(u64, u64)>,
    pub(crate) events: u64,
    pub(crate) new: u64,
    pub(crate) renewed: u64,
    pub(crate) not_set_aside: u64,
    /// Records of the stretch that the log no longer has.
    pub(crate) lost: u64,
}

/// Evaluates a stretch again. `told` gets what came of each partition when it is done.
pub(crate) fn replay(
    config: &Config,
    color: ColorChoice,
    stretch: Stretch,
    mut told: impl FnMut(Replayed),
) -> Result<(), ServeError> {
    if config.store.shared {
        return Err(ServeError::Replay(
            "the store is shared by several processes (`shared` of [store]), which would be fenced off; let a process with a data folder of its own evaluate it, as `tripline serve` does with `start` of [nats]".to_owned(),
        ));
    }
    let prepared = Prepared::read(config, Arc::default(), color)?;
    make_folder(&config.data)?;
    let Opened { logs, .. } = bus::open(config)?;
    let partitions = Partitions::new(logs, &config.nats.partition_by);
    check_exact(config, &partitions, &prepared)?;
    let store = open_store(config).map_err(ServeError::Store)?;
    let is_record = |place: Place| matches!(place, Place::Record(_));
    let names_record = is_record(stretch.from) || stretch.to.is_some_and(is_record);
    if names_record && partitions.count() > 1 && stretch.partition.is_none() {
        return Err(ServeError::Replay(
            "every partition has records of these numbers; say of which with --partition, or give times".to_owned(),
        ));
    }
    if let Some(number) = stretch.partition.filter(|one| *one >= partitions.count()) {
        return Err(ServeError::Replay(format!(
            "there is no partition {number}; there are {}, from 0",
            partitions.count()
        )));
    }
    for (partition, log) in partitions.all() {
        if stretch.partition.is_none_or(|one| one == partition.0) {
            let again = Again {
                config,
                prepared: &prepared,
                partition,
            };
            told(again.run(log.as_ref(), &store, stretch)?);
        }
    }
    Ok(())
}

struct Again<'a> {
    config: &'a Config,
    prepared: &'a Prepared,
    partition: Partition,
}

impl Again<'_> {
    fn run(
        &self,
        log: &dyn Bus,
        store: &dyn Store,
        stretch: Stretch,
    ) -> Result<Replayed, ServeError> {
        let partition = self.partition;
        let position = store.position(partition).map_err(ServeError::Store)?;
        let after = place::before(log, stretch.from).map_err(ServeError::Log)?;
        let last = match stretch.to {
            None => position,
            Some(Place::Record(number)) => Sequence(number),
            Some(place) => place::before(log, place).map_err(ServeError::Log)?,
        };
        // What comes then was not evaluated once yet, and the service will.
        let last = last.min(position);
        let mut replayed = Replayed {
            partition: partition.0,
            records: None,
            events: 0,
            new: 0,
            renewed: 0,
            not_set_aside: 0,
            lost: 0,
        };
        if after >= last {
            return Ok(replayed);
        }
        let (request, requests) = channel();
        let kept = Kept {
            store,
            position,
            begin: after,
            new: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
            dead: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        };
        let part = Part { log, last, request };
        let status = Status::default();
        let plugins = self.prepared.plugins();
        let threads = threads(self.config);
        let engine = Engine {
            rules: &self.prepared.rules,
            in_force: None,
            plugins: &plugins,
            bus: &part,
            store: &kept,
            settings: WorkerSettings {
                partition,
                ..worker_settings(self.config, threads)
            },
            threads,
            status: &status,
            start: Place::First,
            learning: None,
        };
        match drive(&engine, &requests, |_| {})? {
            Ended::Drained => {}
            Ended::Fenced => return Err(ServeError::Fenced),
            // Only members ever ask for other rules, and a shared store is not replayed.
            Ended::Fault | Ended::OtherRules => return Err(ServeError::Failed),
        }
        // A worker that ends leaves what it could not store to the next start, and there is none here.
        if kept.has_failed.into_inner() {
            return Err(ServeError::NotStored);
        }
        replayed.records = Some((after.0 + 1, last.0));
        let tally = status.get().work().tally;
        (replayed.events, replayed.lost) = (tally.events, tally.lost);
        replayed.new = kept.new.into_inner();
        replayed.renewed = kept.renewed.into_inner();
        replayed.not_set_aside = kept.dead.into_inner();
        Ok(replayed)
    }
}

/// The log, as if it ended where the stretch does.
struct Part<'p> {
    log: &'p dyn Bus,
    last: Sequence,
    request: Sender<Request>,
}

impl Bus for Part<'_> {
    fn append(&self, _: &[NewRecord<'_>]) -> Result<Appended, PortFault> {
        // A tick that nobody waits for: time passes by the ticks that the stretch has.
        Ok(Appended {
            first: self.last.next(),
            durability: self.durability(),
        })
    }

    fn read(&self, after: Sequence, max: ReadMax, into: &mut Delivered) -> Result<(), PortFault> {
        if after >= self.last {
            // Whoever drives has gone when nobody listens.
            let _ = self.request.send(Request::Drain);
            return Ok(());
        }
        let left = usize::try_from(self.last.0 - after.0).unwrap_or(usize::MAX);
        let max = ReadMax {
            records: max.records.min(left),
            ..max
        };
        self.log.read(after, max, into)?;
        // Where some are missing, the last ones may lie behind the end.
        into.records.retain(|one| one.sequence <= self.last);
        if into.records.is_empty() {
            let _ = self.request.send(Request::Drain);
        }
        Ok(())
    }

    fn wait(&self, after: Sequence, at_most: Duration) -> Result<bool, PortFault> {
        match after >= self.last {
            true => {
                std::thread::sleep(at_most);
                Ok(false)
            }
            false => self.log.wait(after, at_most),
        }
    }

    fn span(&self) -> Result<Span, PortFault> {
        self.log.span()
    }

    fn release(&self, _: Sequence) -> Result<(), PortFault> {
        Ok(())
    }

    fn durability(&self) -> Durability {
        self.log.durability()
    }
}

/// The store, as if the partition had come as far as where the stretch begins, and remembered nothing.
struct Kept<'k> {
    store: &'k dyn Store,
    /// Where the partition is, and stays.
    position: Sequence,
    begin: Sequence,
    new: AtomicU64,
    renewed: AtomicU64,
    /// Records that were set aside when they were evaluated first.
    dead: AtomicU64,
    /// The last commit was not taken.
    has_failed: AtomicBool,
}

impl Store for Kept<'_> {
    fn take_over(&self, partition: Partition) -> Result<Checkpoint, PortFault> {
        let taken = self.store.take_over(partition)?;
        Ok(Checkpoint {
            epoch: taken.epoch,
            position: self.begin,
            starts: 0,
            snapshot: None,
        })
    }

    fn commit(&self, commit: &Commit) -> Result<Committed, PortFault> {
        let committed = self.store.commit(&Commit {
            position: self.position,
            is_well_started: true,
            dead: Vec::new(),
            ..commit.clone()
        });
        self.has_failed.store(committed.is_err(), Ordering::Relaxed);
        let committed = committed?;
        self.new.fetch_add(committed.new, Ordering::Relaxed);
        self.renewed.fetch_add(committed.renewed, Ordering::Relaxed);
        let dead = commit.dead.len() as u64;
        self.dead.fetch_add(dead, Ordering::Relaxed);
        Ok(committed)
    }

    fn keep_snapshot(&self, _: Partition, _: Epoch, _: &SnapshotKept) -> Result<(), PortFault> {
        Ok(())
    }

    fn position(&self, partition: Partition) -> Result<Sequence, PortFault> {
        self.store.position(partition)
    }

    fn outgoing(&self, after: Sequence, max: usize) -> Result<Vec<Outgoing>, PortFault> {
        self.store.outgoing(after, max)
    }

    fn newest(&self) -> Result<Sequence, PortFault> {
        self.store.newest()
    }

    fn sink_position(&self, sink: &str) -> Result<Sequence, PortFault> {
        self.store.sink_position(sink)
    }

    fn sink_reached(
        &self,
        sink: &str,
        position: Sequence,
        dead: &[DeadLetter],
    ) -> Result<(), PortFault> {
        self.store.sink_reached(sink, position, dead)
    }

    fn sinks(&self) -> Result<Vec<(String, Sequence)>, PortFault> {
        self.store.sinks()
    }

    fn forget_sink(&self, sink: &str) -> Result<bool, PortFault> {
        self.store.forget_sink(sink)
    }

    fn finding(&self, id: &str) -> Result<Option<StoredFinding>, PortFault> {
        self.store.finding(id)
    }

    fn findings(&self, filter: &FindingFilter) -> Result<FindingPage, PortFault> {
        self.store.findings(filter)
    }

    fn event(&self, id: &str) -> Result<Option<Vec<u8>>, PortFault> {
        self.store.event(id)
    }

    fn dead_letters(
        &self,
        filter: &DeadFilter,
    ) -> Result<Vec<(DeadNumber, DeadLetter)>, PortFault> {
        self.store.dead_letters(filter)
    }

    fn dead_letter(&self, number: DeadNumber) -> Result<Option<DeadLetter>, PortFault> {
        self.store.dead_letter(number)
    }

    fn drop_dead_letters(&self, numbers: &[DeadNumber]) -> Result<u64, PortFault> {
        self.store.drop_dead_letters(numbers)
    }

    fn dead_given_way(&self) -> Result<u64, PortFault> {
        self.store.dead_given_way()
    }

    fn forget_before(&self, time: EventTime) -> Result<u64, PortFault> {
        self.store.forget_before(time)
    }

    fn set_now(&self, now: EventTime) {
        self.store.set_now(now);
    }
}
