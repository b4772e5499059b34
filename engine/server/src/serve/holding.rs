//! The workers of the partitions that this process holds, while one set of rules is in force.
//!
//! One thread a partition, which takes it over and drives it until it is drained, fenced off or fails. What is assigned and
//! free is begun; what is another's is drained, with what its rules remember kept at the end, so that the other goes on from
//! there. It must never hold what it was told to let go, nor say that it let go what still runs.

use super::assignment::Assignment;
use super::driver::{DriveFault, Driven, Ended, Engine, Request, drive};
use super::partitions::Partitions;
use super::rules::Prepared;
use super::status::Status;
use super::versions::{InForce, NotNow, Until, Versions};
use crate::causes::with_causes;
use crate::config::Place;
use crate::plugins::Plugins;
use crate::remediation::learning::Learning;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tripline_core::pipeline::WorkerSettings;
use tripline_core::port::{FaultClass, Partition, PortFault, Store};
use tripline_core::state::{Kept, Restored};

/// How often it is looked what is assigned.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// How long after a take-over that did not work, or a fence, the next one is tried.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a partition is begun anew because it needs other rules first, before that waits.
const VERSIONS_TRIED: usize = 3;

/// What workers work with.
pub(super) struct Holding<'h> {
    pub(super) prepared: &'h Prepared,
    pub(super) plugins: &'h Plugins<'h>,
    /// Where members have their rules from each other.
    pub(super) versions: Option<&'h Versions>,
    pub(super) partitions: &'h Partitions,
    pub(super) assignment: &'h Assignment,
    pub(super) store: &'h dyn Store,
    pub(super) status: &'h Status,
    /// Of every worker; its partition is put in.
    pub(super) settings: WorkerSettings,
    /// Threads that evaluate, for all workers together.
    pub(super) threads: usize,
    /// Where a partition begins that nobody has worked on yet.
    pub(super) start: Place,
    /// Learns what resources are like, when findings are answered.
    pub(super) learning: Option<&'h Learning>,
}

/// What ended, and how.
type Report = (u32, Result<Ended, DriveFault>);

impl Holding<'_> {
    /// Works until it is asked to drain, or cannot go on.
    pub(super) fn run(&self, requests: &Receiver<Request>) -> Result<Ended, DriveFault> {
        let (report, reports) = channel();
        thread::scope(|scope| {
            let mut running: BTreeMap<u32, Sender<Request>> = BTreeMap::new();
            let mut leaving: BTreeSet<u32> = BTreeSet::new();
            let mut not_before: BTreeMap<u32, Instant> = BTreeMap::new();
            let mut end: Option<Result<Ended, DriveFault>> = None;
            loop {
                if end.is_none() && requests.try_recv().is_ok() {
                    end = Some(Ok(Ended::Drained));
                }
                let assigned = self.assignment.assigned();
                if self.assignment.is_shared() && self.assignment.is_known() {
                    // Whoever is given nothing takes events and answers all the same.
                    self.status.set(|now| now.is_ready = true);
                }
                if end.is_none() {
                    let free = self.assignment.free();
                    for number in free {
                        let is_due = not_before
                            .get(&number)
                            .is_none_or(|at| *at <= Instant::now());
                        if running.contains_key(&number) || !is_due {
                            continue;
                        }
                        let (request, asked) = channel();
                        running.insert(number, request);
                        self.tell(&running);
                        let report = report.clone();
                        scope.spawn(move || {
                            let _reports = Reports(number, &report);
                            let ended = self.drive(Partition(number), &asked);
                            // Whoever listens goes after all reports.
                            let _ = report.send((number, ended));
                        });
                    }
                }
                for (number, request) in &running {
                    let is_over = end.is_some() || !assigned.contains(number);
                    if is_over && leaving.insert(*number) {
                        // It may have ended by itself; then the report is on its way.
                        let _ = request.send(Request::Drain);
                    }
                }
                if running.is_empty()
                    && let Some(end) = end
                {
                    return end;
                }
                let (number, ended) = match reports.recv_timeout(LOOKS_EVERY) {
                    Ok(report) => report,
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => continue,
                };
                // A thread that panicked reports twice.
                if running.remove(&number).is_none() {
                    continue;
                }
                leaving.remove(&number);
                self.tell(&running);
                if let Some(why) = self.fatal(number, ended) {
                    // The first reason counts; the others drain.
                    end = match end {
                        Some(Err(first)) => Some(Err(first)),
                        _ => Some(why),
                    };
                } else {
                    not_before.insert(number, Instant::now() + PAUSE);
                }
            }
        })
    }

    /// Says what is held now.
    fn tell(&self, running: &BTreeMap<u32, Sender<Request>>) {
        let holds = running.keys().copied().collect();
        self.assignment.tell(|words| words.holds = holds);
    }

    /// Why nothing can go on any more, if it cannot.
    fn fatal(
        &self,
        partition: u32,
        ended: Result<Ended, DriveFault>,
    ) -> Option<Result<Ended, DriveFault>> {
        let is_shared = self.assignment.is_shared();
        match ended {
            Ok(Ended::Drained) => {
                if is_shared {
                    tracing::info!(partition, "partition let go");
                }
                None
            }
            Ok(Ended::Fenced) if is_shared => {
                tracing::warn!(partition, "another process took the partition over");
                None
            }
            Err(DriveFault::TakeOver(fault))
                if is_shared && !matches!(fault.class, FaultClass::Stop | FaultClass::Reject) =>
            {
                let fault = with_causes(&fault);
                tracing::warn!(partition, fault, "partition not taken over yet");
                None
            }
            other => Some(other),
        }
    }

    fn drive(&self, partition: Partition, requests: &Receiver<Request>) -> Driven {
        let Some(versions) = self.versions else {
            return self.drive_with((self.prepared, self.plugins), None, partition, requests);
        };
        let wanted = self.prepared.texts.as_deref().unwrap_or_default();
        for _ in 0..VERSIONS_TRIED {
            let before = match versions.before(partition, wanted) {
                Ok(before) => before,
                Err(NotNow::Soon(words)) => return Err(later(words)),
                Err(NotNow::Lacks(words)) => {
                    self.assignment.lacks(partition, &words);
                    return Err(later(words));
                }
            };
            let ended = match &before {
                None => {
                    let in_force = versions.in_force(wanted, Until::Asked);
                    let rules = (self.prepared, self.plugins);
                    self.drive_with(rules, Some(in_force), partition, requests)?
                }
                Some(before) => {
                    let version = before.texts.as_deref().unwrap_or_default();
                    tracing::info!(
                        partition = partition.0,
                        version,
                        "records are done again with an earlier version of the rules"
                    );
                    let in_force = versions.in_force(version, Until::CaughtUp(wanted));
                    let rules = (before.as_ref(), &before.plugins());
                    self.drive_with(rules, Some(in_force), partition, requests)?
                }
            };
            if ended != Ended::OtherRules {
                return Ok(ended);
            }
        }
        Err(later(format!(
            "what its rules remember is not kept yet, so version {wanted} of them cannot go on"
        )))
    }

    fn drive_with(
        &self,
        (prepared, plugins): (&Prepared, &Plugins<'_>),
        in_force: Option<InForce<'_>>,
        partition: Partition,
        requests: &Receiver<Request>,
    ) -> Driven {
        let share = self.partitions.count() as usize;
        let engine = Engine {
            rules: &prepared.rules,
            in_force,
            plugins,
            bus: self.partitions.log(partition),
            store: self.store,
            settings: WorkerSettings {
                partition,
                // The same wherever it runs: what gives way to a bound must not depend on who works.
                state_bytes_max: self.settings.state_bytes_max / share,
                ..self.settings
            },
            threads: self.threads.div_ceil(share),
            status: self.status,
            start: self.start,
            learning: self.learning,
        };
        drive(&engine, requests, |restored| {
            tell_restored(partition, restored);
        })
    }
}

/// A partition that cannot be worked on yet.
fn later(words: String) -> DriveFault {
    DriveFault::TakeOver(PortFault::new(FaultClass::Retry, words))
}

/// Reports a thread that panicked as one that cannot go on; at any other end this comes second, and nobody listens.
struct Reports<'r>(u32, &'r Sender<Report>);

impl Drop for Reports<'_> {
    fn drop(&mut self) {
        let _ = self.1.send((self.0, Ok(Ended::Fault)));
    }
}

/// Says what became of what rules remembered.
fn tell_restored(partition: Partition, restored: Restored) {
    let partition = partition.0;
    for (rule, kept) in restored.rules {
        let words = match kept {
            Kept::Kept => continue,
            Kept::Changed => "it looks at something else now, and begins to remember anew",
            Kept::Absent => "it is not in force; what it remembers is kept for it, up to 90 days",
            Kept::Crowded => "it is not in force, and there is no room for what it remembers",
            Kept::Gone => "it was not in force for 90 days; what it remembered is dropped",
        };
        tracing::warn!(rule, partition, words, "memory of a rule changed");
    }
}
