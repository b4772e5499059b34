//! The sets of rules that are in force one after the other, and what is asked of the service meanwhile.
//!
//! An epoch is the time during which one set is in force. It ends when another set is ready, compiled and checked, and when
//! all workers have finished what they began: no record is seen by two sets and none by neither.

use super::assignment::Assignment;
use super::desk::{Decisions, Desk, decide};
use super::door::Door;
use super::driver::{Ended, Request};
use super::holding::Holding;
use super::http::Control;
use super::opening::{threads, worker_settings};
use super::partitions::Partitions;
use super::rules::Prepared;
use super::service::ServeError;
use super::status::Status;
use super::versions::{NotNow, Versions};
use crate::config::{BusKind, Config, InexactRules, Place};
use crate::remediation::policies::Again;
use crate::terminal::ColorChoice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tripline_core::port::Store;
use tripline_host::grant::kv::Stores;

/// How long after rules could not be loaded that is tried again.
const LOOKS_AGAIN: Duration = Duration::from_secs(30);

/// Refuses rules that would see only a part of what they must see, or says which they are.
pub(super) fn check_exact(
    config: &Config,
    partitions: &Partitions,
    prepared: &Prepared,
) -> Result<(), ServeError> {
    if partitions.count() > 1 {
        // What it keeps apart is not known, so it may be as it is meant.
        for plugin in prepared.plugins().remembering() {
            tracing::warn!(
                plugin,
                "plugin remembers the events of one partition at a time"
            );
        }
    }
    let inexact = partitions.inexact(&prepared.rules);
    match (inexact.is_empty(), config.nats.inexact_rules) {
        (true, _) => Ok(()),
        (false, InexactRules::Refuse) => Err(ServeError::Inexact(inexact)),
        (false, InexactRules::Allow) => {
            for rule in inexact {
                tracing::warn!(rule, "rule sees the events of one partition at a time");
            }
            Ok(())
        }
    }
}

/// Sets a flag when it goes, also by a panic: threads that look at it must not wait for ever.
struct Sets<'f>(&'f AtomicBool);

impl Drop for Sets<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whoever wants to hear how a reload went.
type Asker = oneshot::Sender<Result<String, String>>;

/// One set of rules after the other.
pub(super) struct Epochs<'s> {
    pub(super) config: &'s Config,
    pub(super) color: ColorChoice,
    /// What plugins keep for later.
    pub(super) stores: &'s Arc<Stores>,
    pub(super) partitions: &'s Partitions,
    pub(super) assignment: &'s Assignment,
    pub(super) store: &'s dyn Store,
    pub(super) door: &'s Door,
    /// Where members have their rules from each other.
    pub(super) versions: Option<&'s Versions>,
    pub(super) status: &'s Status,
    pub(super) desk: &'s Desk,
    pub(super) decisions: Decisions,
    pub(super) control: &'s Mutex<Receiver<Control>>,
    /// For what is heard too early.
    pub(super) back: Sender<Control>,
    pub(super) remediation: Option<&'s crate::remediation::Remediation>,
    pub(super) learning: Option<&'s crate::remediation::learning::Learning>,
}

/// What comes after an epoch.
enum Next {
    Rules(Arc<Prepared>, Vec<Asker>),
    End,
    Failed,
}

impl Epochs<'_> {
    /// Runs until it is asked to end.
    pub(super) fn run(&self, first: Arc<Prepared>) -> Result<(), ServeError> {
        let mut prepared = first;
        let mut askers: Vec<Asker> = Vec::new();
        loop {
            self.begin(&prepared);
            for asker in askers.drain(..) {
                let words = format!(
                    "{} rules in force, version {}",
                    prepared.rules.rules().len(),
                    prepared.version
                );
                // Whoever asked may be gone.
                let _ = asker.send(Ok(words));
            }
            match self.epoch(&prepared)? {
                Next::Rules(next, who) => {
                    prepared = next;
                    askers = who;
                    self.status.set(|now| {
                        now.reloads += 1;
                        now.last_reload_fault = None;
                    });
                }
                Next::End => return Ok(()),
                Next::Failed => return Err(ServeError::Failed),
            }
        }
    }

    fn begin(&self, prepared: &Arc<Prepared>) {
        let rules = prepared.rules.rules().len();
        tracing::info!(
            rules,
            off = prepared.broken.len(),
            version = prepared.version,
            "rules in force"
        );
        for file in &prepared.broken {
            tracing::error!(file, "rules of this file are off");
        }
        self.assignment.tell(|words| {
            prepared.version.clone_into(&mut words.rules);
            let is_published = self
                .versions
                .is_none_or(|versions| versions.published() == prepared.texts);
            if is_published {
                words.lacks_rules.clear();
            }
        });
        self.status.descriptions.set(prepared.descriptions());
        self.status.in_force.set(prepared);
        self.status.set(|now| {
            now.rules = rules as u64;
            now.rules_off = prepared.broken.len() as u64;
            now.rules_version = prepared.version.clone();
        });
    }

    /// Runs until other rules are ready, or the end.
    fn epoch(&self, prepared: &Prepared) -> Result<Next, ServeError> {
        let plugins = prepared.plugins();
        let threads = threads(self.config);
        let holding = Holding {
            prepared,
            plugins: &plugins,
            versions: self.versions,
            partitions: self.partitions,
            assignment: self.assignment,
            store: self.store,
            settings: worker_settings(self.config, threads),
            start: match self.config.bus.kind {
                BusKind::Embedded => Place::First,
                BusKind::Nats => self.config.nats.start,
            },
            threads,
            status: self.status,
            learning: self.learning,
        };
        let (request, requests) = channel();
        let next = Mutex::new(None);
        let is_over = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            scope.spawn(|| self.listen(prepared, &request, &next, &is_over));
            for _ in 0..self.config.decisions.threads {
                scope.spawn(|| {
                    let rules = (&prepared.rules, &plugins);
                    decide(self.desk, rules, self.decisions.defaults, &is_over);
                });
            }
            let _guard = Sets(&is_over);
            holding.run(&requests)
        })?;
        match ended {
            Ended::Drained => Ok(next
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .unwrap_or(Next::End)),
            Ended::Fenced => Err(ServeError::Fenced),
            Ended::Fault | Ended::OtherRules => Err(ServeError::Failed),
        }
    }

    /// Hears what is asked of the service, until something ends the epoch.
    fn listen(
        &self,
        prepared: &Prepared,
        request: &Sender<Request>,
        next: &Mutex<Option<Next>>,
        is_over: &AtomicBool,
    ) {
        let mut looks_at = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            let comes = match self.heard(Duration::from_millis(100)) {
                Some(Control::Shutdown) => {
                    self.status.set(|now| now.is_draining = true);
                    self.assignment.tell(|words| words.leaves = true);
                    Next::End
                }
                Some(Control::Failed) => {
                    // The worker hears of it by its next tick or commit; nobody should wait for that.
                    tracing::error!("the log takes nothing any more; the service ends");
                    Next::Failed
                }
                Some(Control::Reload(asker)) => match self.reload() {
                    Ok(prepared) => {
                        self.door.decoders.forget();
                        Next::Rules(prepared, self.askers(asker))
                    }
                    Err(words) => {
                        tracing::error!(fault = words, "reload refused; the rules in force stay");
                        self.status.set(|now| {
                            now.reloads_refused += 1;
                            now.last_reload_fault = Some(words.clone());
                        });
                        for asker in self.askers(asker) {
                            let _ = asker.send(Err(words.clone()));
                        }
                        continue;
                    }
                },
                None if Instant::now() < looks_at => continue,
                None => match self.published(prepared) {
                    Ok(None) => continue,
                    Ok(Some(prepared)) => Next::Rules(prepared, Vec::new()),
                    Err(words) => {
                        looks_at = Instant::now() + LOOKS_AGAIN;
                        tracing::error!(
                            fault = words,
                            "published rules not taken; partitions are left to others"
                        );
                        self.status
                            .set(|now| now.last_reload_fault = Some(words.clone()));
                        self.assignment.tell(|now| now.lacks_rules = words);
                        continue;
                    }
                },
            };
            *next.lock().unwrap_or_else(PoisonError::into_inner) = Some(comes);
            let _ = request.send(Request::Drain);
            return;
        }
    }

    /// Whoever asked for a reload, and all who did while it was prepared: one is enough for all of them.
    fn askers(&self, first: Option<Asker>) -> Vec<Asker> {
        let mut askers: Vec<Asker> = first.into_iter().collect();
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let mut others = Vec::new();
        while let Ok(next) = control.try_recv() {
            match next {
                Control::Reload(asker) => askers.extend(asker),
                other => others.push(other),
            }
        }
        for other in others {
            // This end of the channel is there as long as the other is.
            let _ = self.back.send(other);
        }
        askers
    }

    /// The rules that are published, if they are others than those in force here.
    fn published(&self, prepared: &Prepared) -> Result<Option<Arc<Prepared>>, String> {
        let Some(versions) = self.versions else {
            return Ok(None);
        };
        match versions.published() {
            Some(published) if prepared.texts.as_ref() != Some(&published) => {
                match versions.load(&published) {
                    Ok(prepared) => Ok(Some(prepared)),
                    // Asked again at once, and partitions are kept meanwhile.
                    Err(NotNow::Soon(words)) => {
                        tracing::debug!(fault = words, "published rules not taken yet");
                        Ok(None)
                    }
                    Err(NotNow::Lacks(words)) => Err(words),
                }
            }
            _ => {
                // What could not be loaded for a partition is tried again.
                let lacks = &self.assignment;
                if lacks.lacked_for(LOOKS_AGAIN) {
                    lacks.tell(|now| now.lacks_rules.clear());
                }
                Ok(None)
            }
        }
    }

    fn heard(&self, at_most: Duration) -> Option<Control> {
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control.recv_timeout(at_most).ok()
    }

    /// Rules to go on with. One mistake refuses all of them: who reloads looks at the answer, and half of a change is
    /// worse than none.
    fn reload(&self) -> Result<Arc<Prepared>, String> {
        let told = |fault: &dyn std::error::Error| crate::causes::with_causes(fault);
        // Read before anything is put in force, so that what cannot be read changes nothing.
        let policies = match self.remediation {
            Some(engine) => {
                let again = Again::read(self.config).map_err(|fault| told(&fault))?;
                Some((engine, again))
            }
            None => None,
        };
        let prepared = match self.versions {
            Some(versions) => versions.publish_own()?,
            None => self.read_own()?,
        };
        if let Some((engine, again)) = policies {
            let (count, wrong) = again.put(engine);
            for complaint in wrong {
                tracing::error!(complaint, "policy");
            }
            tracing::info!(count, "policies in force");
        }
        Ok(prepared)
    }

    /// The rules of our own files.
    fn read_own(&self) -> Result<Arc<Prepared>, String> {
        let prepared = Prepared::read(self.config, self.stores.clone(), self.color)
            .map_err(|fault| crate::causes::with_causes(&fault))?;
        check_exact(self.config, self.partitions, &prepared)
            .map_err(|fault| crate::causes::with_causes(&fault))?;
        match prepared.refusal() {
            None => Ok(Arc::new(prepared)),
            Some(words) => Err(words),
        }
    }
}
