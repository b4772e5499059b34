//! A plugin that is loaded: what worker threads call.
//!
//! Shared between threads as it is; calls do not wait for each other. By default each call has an instance of its own,
//! so that nothing is carried from one batch to the next. Whatever the plugin does, the answer is a value: rows, faults
//! of rows, or a fault of the whole call.

use crate::answer::{self, Decision, Decoded, Enriched, Hit, Outcome, Step};
use crate::batch::part::Rows;
use crate::batch::{BatchView, ColumnKind};
use crate::bisect::{self, Pieces};
use crate::breaker::{Admission, Breaker, BreakerState, ROWS_OF_A_TRAP};
use crate::engine::Running;
use crate::fault::Fault;
use crate::grant::Shared;
use crate::grant::events::{EventRows, Value};
use crate::grant::log::CallLog;
use crate::grant::reads::{Answering, Asking};
use crate::instance::{Bounds, Pre, World, ended};
use crate::limits::{CHUNK_BYTES_MAX, DECODER_STATE_BYTES_MAX, SUBJECT_BYTES_MAX};
use crate::manifest::{Limits, Manifest};
use crate::proposal::Proposal;
use crate::run::{Instances, Remembered};
use crate::state::State;
use crate::statistics::{Counters, Statistics};
use crate::world::{convert, proposed, types};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use wasmtime::Store;

/// A packed batch, and the events that it was packed from.
#[derive(Clone)]
pub struct Batch<'b> {
    /// As `wit/README.md` describes it, with the columns that the manifest's `reads` names.
    pub bytes: &'b [u8],
    /// How many rows it has.
    pub rows: usize,
    /// The events, for plugins that were granted to look at them.
    pub events: Option<Arc<dyn EventRows>>,
    /// When nobody waits for the answer any more. Without it the plugin's own deadline is the only one.
    pub until: Option<Instant>,
}

/// What a batch brought: an answer, and the rows that have none.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// For the rows that have one.
    pub value: T,
    /// The rows that have none, and why. Usually empty.
    pub faulted: Vec<(Range<usize>, Fault)>,
}

/// Takes what plugins write.
pub type LogSink = dyn Fn(&CallLog) + Send + Sync;

/// A plugin that is loaded.
pub struct Plugin {
    pub(crate) running: Arc<Running>,
    pub(crate) manifest: Manifest,
    pub(crate) digest: crate::cache::Digest,
    pub(crate) limits: Limits,
    pub(crate) bounds: Bounds,
    pub(crate) reads: Vec<ColumnKind>,
    pub(crate) writes: Vec<ColumnKind>,
    pub(crate) pre: Pre,
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Option<String>,
    pub(crate) log: Option<Arc<LogSink>>,
    pub(crate) breaker: Breaker,
    pub(crate) started: Instant,
    pub(crate) counters: Counters,
    pub(crate) instances: Instances,
    /// What a stateful detector remembers of whatever is asked without a memory.
    pub(crate) memory: Remembered,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Plugin");
        told.field("name", &self.manifest.name.as_str());
        told.finish_non_exhaustive()
    }
}

type Told<T> = wasmtime::Result<Result<T, types::Fault>>;

impl Plugin {
    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of its component.
    pub fn digest(&self) -> &crate::cache::Digest {
        &self.digest
    }

    /// What bounds its calls: the smaller of what it asked for and what it was granted.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How long a call may take.
    pub fn deadline(&self) -> Duration {
        self.bounds.deadline
    }

    /// What it was granted, and its counters.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What it did so far.
    pub fn statistics(&self) -> Statistics {
        self.counters.so_far()
    }

    /// Counts that answers about so many rows are of no use after all.
    pub fn count_unusable(&self, fault: &Fault, rows: usize) {
        self.counters.failed(fault);
        self.counters.faulted(rows);
    }

    /// Whether it is switched off, and how often it was.
    pub fn breaker(&self) -> (BreakerState, u64) {
        (self.breaker.state(), self.breaker.opened())
    }

    /// Facts beside events.
    pub fn enrich(&self, batch: &Batch<'_>) -> Result<Answer<Enriched>, Fault> {
        let rows = batch.rows;
        let pieces = self.ask(batch, |world, store, bytes, rows| {
            let World::Enricher(world) = world else {
                return Err(Fault::Misfit("it is no enricher"));
            };
            let told = world
                .tripline_plugin_enrich()
                .call_enrich(&mut *store, bytes);
            let columns = self.told(told, store)?;
            if columns.len() > self.bounds.output {
                return Err(self.too_much(columns.len()));
            }
            Enriched::check(columns, rows, &self.writes)
        })?;
        if let [_] = pieces.pieces.as_slice() {
            return self.merge(pieces, |mut parts| match parts.pop() {
                Some((_, whole)) => Ok(whole),
                None => Err(Fault::host("a piece was lost")),
            });
        }
        self.merge(pieces, |parts| self.join(parts, rows))
    }

    /// What is found in events. What a stateful detector remembers is in this plugin.
    pub fn detect(&self, batch: &Batch<'_>) -> Result<Answer<Vec<Hit>>, Fault> {
        self.detect_remembering(batch, &self.memory)
    }

    /// What is found in events of a stream that has a memory of its own.
    pub fn detect_remembering(
        &self,
        batch: &Batch<'_>,
        memory: &Remembered,
    ) -> Result<Answer<Vec<Hit>>, Fault> {
        let pieces = self.ask_with(Some(memory), batch, |world, store, bytes, rows| {
            let told = match world {
                World::Detector(world) => world
                    .tripline_plugin_detect()
                    .call_evaluate(&mut *store, bytes),
                World::StatefulDetector(world) => world
                    .tripline_plugin_detect()
                    .call_evaluate(&mut *store, bytes),
                _ => return Err(Fault::Misfit("it is no detector")),
            };
            let hits = self.told(told, store)?.into_iter().map(convert::hit_in);
            answer::check_hits(hits.collect(), rows)
        })?;
        self.merge(pieces, |parts| {
            let mut all = Vec::new();
            for (rows, hits) in parts {
                let first = rows.start as u32;
                all.extend(hits.into_iter().map(|hit| Hit {
                    row: hit.row + first,
                    ..hit
                }));
            }
            Ok(all)
        })
    }

    /// How unusual events are; nothing where the plugin has no opinion.
    pub fn score(&self, batch: &Batch<'_>) -> Result<Answer<Vec<Option<f64>>>, Fault> {
        let rows = batch.rows;
        let pieces = self.ask(batch, |world, store, bytes, rows| {
            let World::Scorer(world) = world else {
                return Err(Fault::Misfit("it is no scorer"));
            };
            let told = world.tripline_plugin_score().call_score(&mut *store, bytes);
            answer::check_scores(self.told(told, store)?, rows)
        })?;
        self.merge(pieces, |parts| {
            let mut all = vec![None; rows];
            for (rows, scores) in parts {
                all[rows].copy_from_slice(&scores);
            }
            Ok(all)
        })
    }

    /// Whether things may be done; nothing for the rows that faulted.
    pub fn decide(&self, batch: &Batch<'_>) -> Result<Answer<Vec<Option<Decision>>>, Fault> {
        let rows = batch.rows;
        let pieces = self.ask(batch, |world, store, bytes, rows| {
            let World::Policy(world) = world else {
                return Err(Fault::Misfit("it is no policy"));
            };
            let told = world
                .tripline_plugin_decide()
                .call_decide(&mut *store, bytes);
            let decisions = self.told(told, store)?.into_iter();
            answer::check_decisions(decisions.map(convert::decision_in).collect(), rows)
        })?;
        self.merge(pieces, |parts| {
            let mut all = vec![None; rows];
            for (rows, decisions) in parts {
                for (place, decision) in all[rows].iter_mut().zip(decisions) {
                    *place = Some(decision);
                }
            }
            Ok(all)
        })
    }

    /// Events from the next chunk of an input.
    pub fn decode(&self, chunk: &[u8], state: &[u8], last: bool) -> Result<Decoded, Fault> {
        if chunk.len() > CHUNK_BYTES_MAX || state.len() > DECODER_STATE_BYTES_MAX {
            return Err(Fault::Misfit("the chunk or the state is too long"));
        }
        self.once(|world, store| {
            let World::Decoder(world) = world else {
                return Err(Fault::Misfit("it is no decoder"));
            };
            let decode = world.tripline_plugin_decode();
            let told = decode.call_decode(&mut *store, chunk, state, last);
            let decoded = convert::decoded_in(self.told(told, store)?);
            if decoded.events.len() > self.bounds.output {
                return Err(self.too_much(decoded.events.len()));
            }
            answer::check_decoded(decoded, chunk.len())
        })
    }

    /// The steps for a finding, given as its JSON.
    pub fn plan(&self, finding: &str) -> Result<Vec<Step>, Fault> {
        self.once(|world, store| {
            let World::Remediator(world) = world else {
                return Err(Fault::Misfit("it is no remediator"));
            };
            let remediate = world.tripline_plugin_remediate();
            let told = remediate.call_plan(&mut *store, finding);
            let steps = self.told(told, store)?.into_iter();
            answer::check_steps(steps.map(convert::step_in).collect())
        })
    }

    /// Does a step, or says what it would do.
    pub fn execute(&self, step: &Step, key: &str, mode: ExecuteMode) -> Result<Outcome, Fault> {
        let is_dry = mode == ExecuteMode::DryRun;
        self.once(|world, store| {
            let World::Remediator(world) = world else {
                return Err(Fault::Misfit("it is no remediator"));
            };
            let remediate = world.tripline_plugin_remediate();
            let step = convert::step_out(step);
            let told = remediate.call_execute(&mut *store, &step, key, is_dry);
            let outcome = convert::outcome_in(self.told(told, store)?);
            Ok(answer::check_outcome(outcome))
        })
    }

    /// Takes a step back.
    pub fn undo(&self, step: &Step, token: &str) -> Result<Outcome, Fault> {
        self.once(|world, store| {
            let World::Remediator(world) = world else {
                return Err(Fault::Misfit("it is no remediator"));
            };
            let remediate = world.tripline_plugin_remediate();
            let step = convert::step_out(step);
            let told = remediate.call_undo(&mut *store, &step, token);
            let outcome = convert::outcome_in(self.told(told, store)?);
            Ok(answer::check_outcome(outcome))
        })
    }

    /// What is to be done about a subject, given as JSON. Services are asked through `answering`, on this thread.
    pub fn propose(&self, subject: &str, answering: &mut Answering<'_>) -> Result<Proposal, Fault> {
        if subject.len() > SUBJECT_BYTES_MAX {
            return Err(Fault::Misfit("the subject is too long"));
        }
        let (asking, questions) = Asking::new();
        thread::scope(|scope| {
            let proposing = scope.spawn(move || {
                self.once_asking(Some(asking), |world, store| {
                    let World::Planner(world) = world else {
                        return Err(Fault::Misfit("it is no planner"));
                    };
                    let propose = world.tripline_plugin_propose();
                    let told = propose.call_plan(&mut *store, subject);
                    let proposal = proposed::proposal_in(self.told(told, store)?)?;
                    proposal.asks_only(&self.shared.rights().reads)
                })
            });
            // They end with the call, whatever becomes of it.
            for question in questions {
                question.answer(answering);
            }
            let proposal = proposing.join();
            proposal.unwrap_or_else(|_| Err(Fault::host("a call was lost")))
        })
    }

    /// What a stateful detector remembers, to be kept over restarts; nothing before it answered for the first time.
    pub fn remembered(&self) -> Option<Arc<[u8]>> {
        self.memory.saved()
    }

    fn too_much(&self, is: usize) -> Fault {
        let most = self.bounds.output;
        Fault::output(format!("{is} bytes instead of at most {most}"))
    }

    fn told<T>(&self, told: Told<T>, store: &mut Store<State>) -> Result<T, Fault> {
        match told {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(fault)) => Err(Fault::Guest(convert::fault_in(fault))),
            Err(error) => Err(ended(&error, store, &self.bounds)),
        }
    }

    /// Asks about a batch; where it fails on some rows, about the others.
    fn ask<T>(
        &self,
        batch: &Batch<'_>,
        call: impl Fn(&World, &mut Store<State>, &[u8], usize) -> Result<T, Fault>,
    ) -> Result<Pieces<T>, Fault> {
        self.ask_with(None, batch, call)
    }

    fn ask_with<T>(
        &self,
        memory: Option<&Remembered>,
        batch: &Batch<'_>,
        call: impl Fn(&World, &mut Store<State>, &[u8], usize) -> Result<T, Fault>,
    ) -> Result<Pieces<T>, Fault> {
        if batch.rows as u64 > self.limits.batch {
            return Err(Fault::Misfit("the batch has too many rows"));
        }
        self.counters.asked(batch.rows);
        // Before the breaker hears of it: whether the plugin behaves is not known by that.
        if let Err(fault) = self.within(Instant::now(), batch.until) {
            self.counters.failed(&fault);
            self.counters.faulted(batch.rows);
            return Err(fault);
        }
        let admitted = self.admit(batch.rows)?;
        let whole = 0..batch.rows;
        let mut pieces = bisect::ask(batch.rows, |rows| {
            if rows == whole {
                let (events, until) = (batch.events.clone(), batch.until);
                return self.run(memory, events, None, until, |world, store| {
                    call(world, store, batch.bytes, batch.rows)
                });
            }
            let bytes = self.part(batch, rows.clone())?;
            let events = batch.events.clone();
            let events = events.map(|events| window(events, &rows));
            self.run(memory, events, None, batch.until, |world, store| {
                call(world, store, &bytes, rows.len())
            })
        });
        self.tell(admitted, &pieces);
        for piece in &pieces.pieces {
            if piece.answer.is_err() {
                self.counters.faulted(piece.rows.len());
            }
        }
        // Without any answer there is one fault, not one for each row.
        match pieces.has_answers() || pieces.pieces.len() > 1 {
            true => Ok(pieces),
            false => match pieces.pieces.pop().map(|piece| piece.answer) {
                Some(Err(fault)) => Err(fault),
                _ => Err(Fault::host("a piece was lost")),
            },
        }
    }

    /// Asks once; what fails is not asked again.
    fn once<T>(
        &self,
        call: impl Fn(&World, &mut Store<State>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.once_asking(None, call)
    }

    /// The same, with a way to ask services.
    fn once_asking<T>(
        &self,
        asking: Option<Asking>,
        call: impl Fn(&World, &mut Store<State>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.counters.asked(0);
        let admitted = self.admit(0)?;
        let answer = self.run(None, None, asking, None, call);
        let now = self.started.elapsed();
        match &answer {
            Err(fault) if fault.is_to_blame() => {
                self.breaker.trapped(admitted, now, ROWS_OF_A_TRAP);
            }
            _ => self.breaker.answered(admitted, now),
        }
        answer
    }

    fn admit(&self, rows: usize) -> Result<Admission, Fault> {
        match self.breaker.admit(self.started.elapsed()) {
            Admission::Open { after } => {
                let fault = Fault::Unavailable { after };
                self.counters.failed(&fault);
                self.counters.faulted(rows);
                Err(fault)
            }
            admitted => Ok(admitted),
        }
    }

    /// Tells the breaker what became of a batch.
    fn tell<T>(&self, admitted: Admission, pieces: &Pieces<T>) {
        let mut failed = pieces
            .pieces
            .iter()
            .filter_map(|piece| piece.answer.as_ref().err());
        let is_to_blame = failed.any(Fault::is_to_blame);
        let rows = pieces.pieces.last().map_or(0, |piece| piece.rows.end);
        let now = self.started.elapsed();
        match is_to_blame && !pieces.has_answers() {
            true => self.breaker.trapped(admitted, now, rows),
            false => self.breaker.answered(admitted, now),
        }
    }

    /// Some rows of a batch, as a batch.
    fn part(&self, batch: &Batch<'_>, rows: Range<usize>) -> Result<Vec<u8>, Fault> {
        let broken = |_| Fault::Misfit("the batch is not sound");
        let view = BatchView::read(batch.bytes, batch.rows, &self.reads).map_err(broken)?;
        let mut part = Rows::new(&self.reads);
        part.push(&view, rows).map_err(broken)?;
        Ok(part.pack())
    }

    fn merge<T, U>(
        &self,
        pieces: Pieces<T>,
        merge: impl FnOnce(Vec<(Range<usize>, T)>) -> Result<U, Fault>,
    ) -> Result<Answer<U>, Fault> {
        let mut parts = Vec::new();
        let mut faulted = Vec::new();
        for piece in pieces.pieces {
            match piece.answer {
                Ok(part) => parts.push((piece.rows, part)),
                Err(fault) => faulted.push((piece.rows, fault)),
            }
        }
        let value = merge(parts)?;
        Ok(Answer { value, faulted })
    }

    /// One batch of the parts, without values where there is none.
    fn join(&self, parts: Vec<(Range<usize>, Enriched)>, rows: usize) -> Result<Enriched, Fault> {
        let broken = |_| Fault::host("a checked part is not sound");
        let mut joined = Rows::new(&self.writes);
        let mut next = 0;
        for (rows, part) in parts {
            joined.push_absent(rows.start - next);
            let view = part.view().map_err(broken)?;
            joined.push(&view, 0..rows.len()).map_err(broken)?;
            next = rows.end;
        }
        joined.push_absent(rows - next);
        Enriched::check(joined.pack(), rows, &self.writes)
    }
}

/// Whether a step is done or only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecuteMode {
    /// It is done.
    Real,
    /// Only what it would do is told.
    DryRun,
}

/// Some rows of a batch's events, numbered from 0.
struct Window {
    events: Arc<dyn EventRows>,
    first: u32,
    rows: u32,
}

fn window(events: Arc<dyn EventRows>, rows: &Range<usize>) -> Arc<dyn EventRows> {
    Arc::new(Window {
        events,
        first: rows.start as u32,
        rows: rows.len() as u32,
    })
}

impl EventRows for Window {
    fn rows(&self) -> u32 {
        self.rows
    }

    fn get(&self, row: u32, path: &str) -> Value {
        self.events.get(self.first + row, path)
    }

    fn raw(&self, row: u32) -> Vec<u8> {
        self.events.raw(self.first + row)
    }
}
