//! One thread's work: parse, evaluate, shape and render the findings of a batch.
//!
//! What leaves a batch is small: one mark per record, and the findings as text. A record that turns out to
//! hold many (a delivery file on one line, several values on one line) is taken apart here, in parallel, so
//! positions are given later, in the ordered stage. Duplicates are evaluated like any other record: who was
//! first is known only in order.
//!
//! A few bytes of batch can be much text of findings: many rules may match every event, and each finding holds
//! the event again. So a batch is left as soon as its findings take too much memory, and gone on with
//! when they are handed on, from the record and the finding where it was left.

mod judge;

use super::accounting::{REJECTIONS_SHOWN, Rejection};
use super::nested::{delivery_within, pieces_within};
use super::outlet::Shape;
use super::record_id::id_number;
use super::remember::Observed;
use super::report::Strictness;
use super::statistics::{RuleTimes, Statistics};
use crate::input::reader::Batch;
use crate::input::resolve::Input;
use crate::input::split::{Piece, PieceKind};
use crate::input::through::passed_over;
use crate::pipeline::{Resume, Worker};
use crate::plugins::{Answers, Gatherer, Plugins};
use crate::scan::progress::Counters;
use judge::{judge, judge_beside};
use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use tripline_core::evaluate::{Evaluator, Observations, RuleSet};
use tripline_core::event::{Event, Malformed, Parser, Reason};
use tripline_core::rule::Severity;
use tripline_core::wire::PluginMemories;

/// Whether records are told apart by their event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dedup {
    ById,
    Off,
}

/// Text of findings that a batch may hold before it is left; one more finding may come on top.
pub(crate) const FINDINGS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// About how long the words of a fault are.
const FAULT_BYTES: usize = 48;

/// What became of one record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    /// Its id, as far as duplicates are looked for.
    Evaluated(u128),
    /// More findings of the last record of what was handed on before.
    Continued,
    Rejected(Rejection),
}

/// A finding, its place counted in records of the batch.
pub(crate) struct Found<T> {
    pub(crate) record: u32,
    pub(crate) rule: u32,
    pub(crate) severity: Severity,
    pub(crate) shaped: T,
}

/// What another version of the rules finds in the same records.
#[derive(Default)]
pub(crate) struct Beside<T> {
    pub(crate) found: Vec<Found<T>>,
    pub(crate) observed: Vec<Observed>,
}

/// A rejected record of the batch that may be shown.
pub(crate) struct RejectedHere {
    pub(crate) record: u32,
    pub(crate) physical_line: u64,
    pub(crate) offset: u64,
    pub(crate) rejection: Rejection,
    pub(crate) detail: String,
}

/// Everything there is to say about a batch, in the order of its records.
#[derive(Default)]
pub(crate) struct Examined<T> {
    pub(crate) marks: Vec<Mark>,
    pub(crate) found: Vec<Found<T>>,
    /// What the baseline finds, if there is one.
    pub(crate) beside: Beside<T>,
    /// Record and number of rules that could not be decided, or not be excused.
    pub(crate) undecided: Vec<(u32, u32)>,
    /// How often which rule could not be decided and why, with statistics; of all records, duplicates too. One
    /// entry for each record and rule would fill memory on a foreign log.
    pub(crate) undecided_by_fault: BTreeMap<(u32, String), u64>,
    /// Record and number of rules of other sources that could not be decided.
    pub(crate) not_applicable: Vec<(u32, u32)>,
    /// The same by rule, with statistics; of all records, duplicates too. Empty or one for each rule.
    pub(crate) not_applicable_by_rule: Vec<u32>,
    /// Record and rule of findings that an exception excused.
    pub(crate) excused: Vec<(u32, u32)>,
    /// Record and number of rules that pass it over, because a plugin gave no answer.
    pub(crate) skipped: Vec<(u32, u32)>,
    /// Records that match a rule whose findings come later, or which is only a signal.
    pub(crate) quietly: Vec<u32>,
    /// What rules that remember are told.
    pub(crate) observed: Vec<Observed>,
    pub(crate) rejected: Vec<RejectedHere>,
    /// What plugins remember after the batch, if some do.
    pub(crate) memories: PluginMemories,
    /// Bytes of the shaped findings.
    found_bytes: usize,
    /// Records begun of the piece at hand, those passed over too.
    begun: u32,
    /// Where in the piece at hand to begin.
    from: Resume,
    /// Where in the piece at hand it was left.
    left: Option<Resume>,
}

/// What to do with the next record.
enum Step {
    /// It was handed on before.
    Pass,
    /// So many of its findings were handed on before.
    GoOn(u32),
    Begin,
    /// There is no room for more.
    Leave,
}

impl<T> Examined<T> {
    fn next_record(&mut self, findings_bytes_max: usize) -> Step {
        let record = self.begun;
        if record < self.from.record {
            self.begun += 1;
            return Step::Pass;
        }
        if self.found_bytes > findings_bytes_max {
            self.left = Some(
                Resume {
                    record,
                    ..self.from
                }
                .at_finding(0),
            );
            return Step::Leave;
        }
        self.begun += 1;
        if record == self.from.record && self.from.finding > 0 {
            return Step::GoOn(self.from.finding);
        }
        Step::Begin
    }
}

/// What all threads share.
pub(crate) struct Examination<'r, S> {
    pub(crate) rules: &'r RuleSet,
    /// Another version of the rules, evaluated beside them.
    pub(crate) baseline: Option<&'r RuleSet>,
    pub(crate) inputs: &'r [Input],
    pub(crate) shape: &'r S,
    pub(crate) counters: Counters,
    pub(crate) dedup: Dedup,
    pub(crate) strictness: Strictness,
    pub(crate) statistics: Statistics,
    pub(crate) findings_bytes_max: usize,
    pub(crate) times: &'r RuleTimes,
    /// The plugins that the rules ask.
    pub(crate) plugins: &'r Plugins<'r>,
    /// What those of them that remember did so before. There is one thread when some do.
    pub(crate) memories: PluginMemories,
    /// The answers about batches that were left, by where their bytes lie, which is where they stay until the batch is gone
    /// on with. Asking once more would be one question too many for plugins that count, remember or ask others.
    pub(crate) answered: Mutex<BTreeMap<usize, Answers>>,
    /// Keys for ids that are not UUIDs; random, so that nobody can make two ids look the same.
    pub(crate) hash_states: [RandomState; 2],
}

/// One thread's tools.
pub(crate) struct Examiner<'r, S> {
    shared: &'r Examination<'r, S>,
    parser: Parser,
    evaluator: Evaluator<'r>,
    baseline: Option<Evaluator<'r>>,
    observations: Observations,
    /// What asks plugins, when some rule does, and where the plugins of the rules and of the baseline are.
    asking: Option<Asking<'r>>,
    evaluated: u64,
}

/// Asking plugins about a batch, and their answers.
struct Asking<'r> {
    gatherer: Gatherer<'r>,
    of_rules: Vec<Option<usize>>,
    of_baseline: Vec<Option<usize>>,
    answers: Answers,
    parser: Parser,
    /// Where the buffer of the batch begins.
    buffer: usize,
}

/// Where a record stands.
#[derive(Clone, Copy)]
struct Place<'p> {
    file: &'p str,
    line: u64,
    offset: u64,
}

/// A record that is an event.
struct Record<'d> {
    /// Its place among the records of the batch.
    number: u32,
    /// Its findings that were handed on before.
    given: u32,
    event: &'d Event<'d>,
    bytes: &'d [u8],
    place: Place<'d>,
}

impl<'r, S> Examination<'r, S> {
    /// Tools for one more thread.
    pub(crate) fn examiner(&'r self) -> Examiner<'r, S> {
        // Also when none of them runs: then that is told of each.
        let asks = |rules: &RuleSet| !rules.plugins().is_empty();
        let is_asking = asks(self.rules) || self.baseline.is_some_and(asks);
        Examiner {
            shared: self,
            parser: Parser::new(),
            evaluator: Evaluator::new(self.rules),
            baseline: self.baseline.map(Evaluator::new),
            observations: Observations::default(),
            asking: is_asking.then(|| Asking {
                gatherer: self.plugins.gatherer_in_order(&self.memories),
                of_rules: self.plugins.of_rules(self.rules),
                of_baseline: self
                    .baseline
                    .map_or_else(Vec::new, |rules| self.plugins.of_rules(rules)),
                answers: Answers::default(),
                parser: Parser::new(),
                buffer: 0,
            }),
            evaluated: 0,
        }
    }
}

impl<S: Shape> Worker for Examiner<'_, S> {
    type Output = Examined<S::Shaped>;

    fn work(
        &mut self,
        input: usize,
        batch: &Batch,
        from: Resume,
    ) -> (Examined<S::Shaped>, Option<Resume>) {
        let mut out = Examined {
            from,
            ..Examined::default()
        };
        out.marks.reserve(batch.pieces.len() - from.piece);
        self.ask(batch, from);
        let file = &self.shared.inputs[input].name;
        for (number, piece) in batch.pieces.iter().enumerate().skip(from.piece) {
            if number > from.piece {
                out.from = Resume::piece(number);
            }
            out.begun = 0;
            let place = Place {
                file,
                line: piece.line,
                offset: piece.offset,
            };
            match piece.kind {
                PieceKind::Record => {
                    let bytes = &batch.buffer[piece.start..piece.end];
                    if let Err(inner) = self.record(bytes, place, &mut out) {
                        self.pieces(bytes, &inner, place, &mut out);
                    }
                }
                PieceKind::Fault(fault) => {
                    self.reject(fault.into(), fault.to_string(), place, &mut out);
                }
            }
            if out.left.is_some() || self.stops_after(&out) {
                break;
            }
        }
        self.count(&out);
        let left = out.left.take();
        if left.is_some() {
            self.keep_answers();
        } else if let Some(asking) = &self.asking {
            out.memories = asking.gatherer.memories();
        }
        (out, left)
    }

    fn bytes(output: &Examined<S::Shaped>) -> usize {
        let entry = size_of::<((u32, String), u64)>() + FAULT_BYTES;
        output.found_bytes
            + output.undecided_by_fault.len() * entry
            + size_of_val(output.marks.as_slice())
            + size_of_val(output.found.as_slice())
            + size_of_val(output.beside.found.as_slice())
            + size_of_val(output.undecided.as_slice())
            + size_of_val(output.skipped.as_slice())
            + size_of_val(output.not_applicable.as_slice())
            + size_of_val(output.not_applicable_by_rule.as_slice())
            + output
                .observed
                .iter()
                .chain(&output.beside.observed)
                .map(Observed::heap_bytes)
                .sum::<usize>()
    }
}

impl Asking<'_> {
    /// The event of a record with the answers about it beside it.
    fn answered<'e>(&'e mut self, event: Event<'e>, bytes: &[u8]) -> Event<'e> {
        let start = (bytes.as_ptr() as usize).wrapping_sub(self.buffer);
        self.answers.beside(event, start, &mut self.parser)
    }
}

impl<S: Shape> Examiner<'_, S> {
    /// Whether nothing that follows will be looked at.
    fn stops_after(&self, out: &Examined<S::Shaped>) -> bool {
        let rejected = matches!(out.marks.last(), Some(Mark::Rejected(_)));
        rejected && self.shared.strictness == Strictness::Strict
    }

    /// Keeps what plugins said for whoever goes on with the batch.
    fn keep_answers(&mut self) {
        if let (Some(asking), Ok(mut kept)) = (&mut self.asking, self.shared.answered.lock()) {
            kept.insert(asking.buffer, std::mem::take(&mut asking.answers));
        }
    }

    /// Asks plugins about a batch, unless they were asked before it was left.
    fn ask(&mut self, batch: &Batch, from: Resume) {
        let Some(asking) = &mut self.asking else {
            return;
        };
        asking.buffer = batch.buffer.as_ptr() as usize;
        if from != Resume::default()
            && let Ok(mut kept) = self.shared.answered.lock()
            && let Some(answers) = kept.remove(&asking.buffer)
        {
            asking.answers = answers;
            return;
        }
        let mut askers = vec![(&mut self.evaluator, asking.of_rules.as_slice())];
        if let Some(baseline) = &mut self.baseline {
            askers.push((baseline, asking.of_baseline.as_slice()));
        }
        asking.answers = asking.gatherer.gather(batch, from.piece, &mut askers);
    }

    fn count(&self, out: &Examined<S::Shaped>) {
        let again = usize::from(matches!(out.marks.first(), Some(Mark::Continued)));
        let counters = &self.shared.counters;
        let events = (out.marks.len() - again) as u64;
        counters.events.fetch_add(events, Ordering::Relaxed);
        let findings = out.found.len() as u64;
        counters.findings.fetch_add(findings, Ordering::Relaxed);
    }

    /// Examines one record, or gives back the pieces that it turns out to hold.
    fn record(
        &mut self,
        bytes: &[u8],
        place: Place<'_>,
        out: &mut Examined<S::Shaped>,
    ) -> Result<(), Vec<Piece>> {
        let document = match self.parser.parse(bytes) {
            Ok(document) => document,
            Err(malformed) => {
                if let Some(pieces) = pieces_within(bytes, usize::MAX) {
                    return Err(pieces);
                }
                match passed_over(bytes) {
                    Some(why) => self.reject(Rejection::Undecodable, why, place, out),
                    None => self.refuse(malformed, place, out),
                }
                return Ok(());
            }
        };
        let event = Event::new(document);
        if let Some(pieces) = delivery_within(&event, usize::MAX) {
            return Err(pieces);
        }
        let shared = self.shared;
        let number = out.marks.len() as u32;
        let given = match out.next_record(shared.findings_bytes_max) {
            Step::Pass | Step::Leave => return Ok(()),
            Step::GoOn(given) => {
                out.marks.push(Mark::Continued);
                given
            }
            Step::Begin => {
                out.marks.push(Mark::Evaluated(match shared.dedup {
                    Dedup::ById => id_number(event.id().as_str(), &shared.hash_states),
                    Dedup::Off => 0,
                }));
                0
            }
        };
        let event = match &mut self.asking {
            Some(asking) => asking.answered(event, bytes),
            None => event,
        };
        let record = Record {
            number,
            given,
            event: &event,
            bytes,
            place,
        };
        judge(&mut self.evaluator, shared, &record, out);
        if let Some(evaluator) = &mut self.baseline
            && out.left.is_none()
        {
            judge_beside(evaluator, &mut self.observations, shared, &record, out);
        }
        if given == 0 {
            self.evaluator.observe(&event, &mut self.observations);
            if !self.observations.is_empty() {
                let told = &mut self.observations;
                let observed = Observed::new(number, &event, bytes, place.line, told);
                out.observed.push(observed);
            }
            if shared.statistics.samples(self.evaluated) {
                shared.times.sample(&mut self.evaluator, &event);
            }
            self.evaluated += 1;
        }
        Ok(())
    }

    /// Examines what a record was found to hold.
    fn pieces(
        &mut self,
        bytes: &[u8],
        pieces: &[Piece],
        place: Place<'_>,
        out: &mut Examined<S::Shaped>,
    ) {
        for piece in pieces {
            let here = Place {
                file: place.file,
                line: place.line + piece.line - 1,
                offset: place.offset + piece.offset,
            };
            match piece.kind {
                PieceKind::Record => {
                    let text = &bytes[piece.start..piece.end];
                    // A list within a list is not taken apart again: it is a record like any other.
                    if self.record(text, here, out).is_err() {
                        let malformed = Rejection::Event(Reason::NotAnObject);
                        let detail = "records within a record".to_owned();
                        self.reject(malformed, detail, here, out);
                    }
                }
                PieceKind::Fault(fault) => self.reject(fault.into(), fault.to_string(), here, out),
            }
            if out.left.is_some() || self.stops_after(out) {
                break;
            }
        }
    }

    fn refuse(&self, malformed: Malformed, place: Place<'_>, out: &mut Examined<S::Shaped>) {
        let offset = place.offset + malformed.offset as u64;
        let place = Place { offset, ..place };
        self.reject(
            Rejection::Event(malformed.reason),
            malformed.reason.sentence(),
            place,
            out,
        );
    }

    fn reject(
        &self,
        rejection: Rejection,
        detail: String,
        place: Place<'_>,
        out: &mut Examined<S::Shaped>,
    ) {
        match out.next_record(self.shared.findings_bytes_max) {
            Step::Pass | Step::Leave => return,
            Step::GoOn(_) | Step::Begin => {}
        }
        let record = out.marks.len() as u32;
        out.marks.push(Mark::Rejected(rejection));
        let shown = out
            .rejected
            .iter()
            .filter(|one| one.rejection == rejection)
            .count();
        if shown < REJECTIONS_SHOWN {
            let Place {
                line: physical_line,
                offset,
                ..
            } = place;
            out.rejected.push(RejectedHere {
                record,
                physical_line,
                offset,
                rejection,
                detail,
            });
        }
    }
}

#[cfg(test)]
mod tests;
