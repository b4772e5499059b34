//! One thread's work: parse, evaluate, shape and render the findings of a batch.
//!
//! What leaves a batch is small: one mark per record, and the findings as text. A record that turns out to
//! hold many (a delivery file on one line, several values on one line) is taken apart here, in parallel, so
//! positions are given later, in the ordered stage. Duplicates are evaluated like any other record: who was
//! first is known only in order.

use super::accounting::{REJECTIONS_SHOWN, Rejection};
use super::statistics::{RuleTimes, Statistics};
use crate::input::reader::Batch;
use crate::input::resolve::Input;
use crate::input::split::{Ending, Piece, PieceKind, Splitter};
use crate::output::{Format, Rendered, Sighting};
use crate::pipeline::Worker;
use crate::scan::progress::Counters;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::{Event, Kind, Malformed, Parser, Reason};
use tripline_core::limits::EVENT_BYTES_MAX;
use tripline_core::rule::Severity;

/// Whether records are told apart by their event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dedup {
    ById,
    Off,
}

/// What became of one record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    /// Its id, as far as duplicates are looked for.
    Evaluated(u128),
    Rejected(Rejection),
}

/// A finding, its place counted in records of the batch.
pub(crate) struct Found {
    pub(crate) record: u32,
    pub(crate) rule: u32,
    pub(crate) severity: Severity,
    pub(crate) rendered: Rendered,
}

/// A rule that could not be decided, or not be excused, for a record of the batch.
pub(crate) struct Undecided {
    pub(crate) record: u32,
    pub(crate) rule: u32,
    /// Why, when somebody wants to know.
    pub(crate) fault: Option<String>,
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
pub(crate) struct Examined {
    pub(crate) marks: Vec<Mark>,
    pub(crate) found: Vec<Found>,
    /// Only with statistics: without, a foreign log would fill memory with rules that cannot be decided on it.
    pub(crate) undecided: Vec<Undecided>,
    /// Record and number of undecided rules, without statistics.
    pub(crate) undecided_counts: Vec<(u32, u32)>,
    /// Record and number of rules of other sources that could not be decided.
    pub(crate) not_applicable: Vec<(u32, u32)>,
    /// The same by rule, with statistics; of all records, duplicates too. Empty or one for each rule.
    pub(crate) not_applicable_by_rule: Vec<u32>,
    /// Record and rule of findings that an exception excused.
    pub(crate) excused: Vec<(u32, u32)>,
    pub(crate) rejected: Vec<RejectedHere>,
}

/// What all threads share.
pub(crate) struct Examination<'r> {
    pub(crate) rules: &'r RuleSet,
    pub(crate) inputs: &'r [Input],
    pub(crate) format: &'r Format,
    pub(crate) counters: Counters,
    pub(crate) dedup: Dedup,
    pub(crate) statistics: Statistics,
    pub(crate) times: &'r RuleTimes,
    /// Keys for ids that are not UUIDs; random, so that nobody can make two ids look the same.
    pub(crate) hash_states: [RandomState; 2],
}

/// One thread's tools.
pub(crate) struct Examiner<'r> {
    shared: &'r Examination<'r>,
    parser: Parser,
    evaluator: Evaluator<'r>,
    evaluated: u64,
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
    event: &'d Event<'d>,
    bytes: &'d [u8],
    place: Place<'d>,
}

impl<'r> Examination<'r> {
    /// Tools for one more thread.
    pub(crate) fn examiner(&'r self) -> Examiner<'r> {
        Examiner {
            shared: self,
            parser: Parser::new(),
            evaluator: Evaluator::new(self.rules),
            evaluated: 0,
        }
    }
}

impl Worker for Examiner<'_> {
    type Output = Examined;

    fn work(&mut self, input: usize, batch: &Batch) -> Examined {
        let mut out = Examined::default();
        out.marks.reserve(batch.pieces.len());
        let file = &self.shared.inputs[input].name;
        for piece in &batch.pieces {
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
                PieceKind::Fault(fault) => reject(fault.into(), fault.to_string(), place, &mut out),
            }
        }
        self.shared
            .counters
            .events
            .fetch_add(out.marks.len() as u64, Ordering::Relaxed);
        self.shared
            .counters
            .findings
            .fetch_add(out.found.len() as u64, Ordering::Relaxed);
        out
    }

    fn bytes(output: &Examined) -> usize {
        let rendered: usize = output
            .found
            .iter()
            .map(|one| one.rendered.text.capacity())
            .sum();
        rendered
            + size_of_val(output.marks.as_slice())
            + size_of_val(output.found.as_slice())
            + size_of_val(output.undecided.as_slice())
            + size_of_val(output.undecided_counts.as_slice())
            + size_of_val(output.not_applicable.as_slice())
            + size_of_val(output.not_applicable_by_rule.as_slice())
    }
}

impl Examiner<'_> {
    /// Examines one record, or gives back the pieces that it turns out to hold.
    fn record(
        &mut self,
        bytes: &[u8],
        place: Place<'_>,
        out: &mut Examined,
    ) -> Result<(), Vec<Piece>> {
        let document = match self.parser.parse(bytes) {
            Ok(document) => document,
            Err(malformed) => {
                if let Some(pieces) = pieces_within(bytes) {
                    return Err(pieces);
                }
                refuse(malformed, place, out);
                return Ok(());
            }
        };
        let event = Event::new(document);
        if let Some(pieces) = delivery_within(&event) {
            return Err(pieces);
        }
        let shared = self.shared;
        let number = out.marks.len() as u32;
        out.marks.push(Mark::Evaluated(match shared.dedup {
            Dedup::ById => id_number(event.id().as_str(), &shared.hash_states),
            Dedup::Off => 0,
        }));
        let record = Record {
            number,
            event: &event,
            bytes,
            place,
        };
        judge(&mut self.evaluator, shared, &record, out);
        if shared.statistics.samples(self.evaluated) {
            shared.times.sample(&mut self.evaluator, &event);
        }
        self.evaluated += 1;
        Ok(())
    }

    /// Examines what a record was found to hold.
    fn pieces(&mut self, bytes: &[u8], pieces: &[Piece], place: Place<'_>, out: &mut Examined) {
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
                        reject(malformed, detail, here, out);
                    }
                }
                PieceKind::Fault(fault) => reject(fault.into(), fault.to_string(), here, out),
            }
        }
    }
}

/// Evaluates a record, and shapes and renders what is found.
fn judge(
    evaluator: &mut Evaluator<'_>,
    shared: &Examination<'_>,
    record: &Record<'_>,
    out: &mut Examined,
) {
    let Record {
        number,
        event,
        bytes,
        place,
    } = *record;
    let verdicts = evaluator.evaluate(event);
    let silent = verdicts.matched.is_empty()
        && verdicts.excused.is_empty()
        && verdicts.indeterminate.is_empty()
        && verdicts.not_applicable.is_empty()
        && verdicts.exception_faults.is_empty();
    if silent {
        return;
    }
    let matched = verdicts.matched.to_vec();
    out.excused
        .extend(verdicts.excused.iter().map(|rule| (number, rule.0)));
    if !verdicts.not_applicable.is_empty() {
        let count = verdicts.not_applicable.len() as u32;
        out.not_applicable.push((number, count));
    }
    if shared.statistics == Statistics::Wanted {
        if !verdicts.not_applicable.is_empty() {
            out.not_applicable_by_rule
                .resize(shared.rules.rules().len(), 0);
        }
        for rule in verdicts.not_applicable {
            out.not_applicable_by_rule[rule.0 as usize] += 1;
        }
        let undecided = [verdicts.indeterminate, verdicts.exception_faults].concat();
        for rule in undecided {
            let fault = Some(evaluator.fault(rule, event));
            out.undecided.push(Undecided {
                record: number,
                rule: rule.0,
                fault,
            });
        }
    } else {
        let count = verdicts.indeterminate.len() + verdicts.exception_faults.len();
        if count > 0 {
            out.undecided_counts.push((number, count as u32));
        }
    }
    for rule in matched {
        let finding = evaluator.finding(rule, event);
        let rendered = shared.format.render(&Sighting {
            finding: &finding,
            rule: rule.0 as usize,
            rules: shared.rules,
            event,
            bytes,
            file: place.file,
            physical_line: place.line,
        });
        let severity = Severity::from_word(&finding.severity)
            .unwrap_or(shared.rules.rules()[rule.0 as usize].rule.severity);
        out.found.push(Found {
            record: number,
            rule: rule.0,
            severity,
            rendered,
        });
    }
}

/// The records of a delivery file that came as one record, or in the envelope of one.
fn delivery_within(event: &Event<'_>) -> Option<Vec<Piece>> {
    let root = event.root();
    if root.get("eventID").is_some() {
        return None;
    }
    let list = root.get("Records")?;
    if list.kind() != Kind::Array {
        return None;
    }
    let before = &event.document().bytes()[..root.offset()];
    let lines = memchr::memchr_iter(b'\n', before).count() as u64;
    let mut pieces = pieces_within(root.raw())?;
    for piece in &mut pieces {
        piece.start += before.len();
        piece.end += before.len();
        piece.offset += before.len() as u64;
        piece.line += lines;
    }
    Some(pieces)
}

/// What a record turns out to hold, when it is not one event.
pub(crate) fn pieces_of(parser: &mut Parser, bytes: &[u8]) -> Option<Vec<Piece>> {
    match parser.parse(bytes) {
        Ok(document) => delivery_within(&Event::new(document)),
        Err(_) => pieces_within(bytes),
    }
}

/// The pieces of a text that is no single record: a delivery file, or several whole values.
fn pieces_within(bytes: &[u8]) -> Option<Vec<Piece>> {
    let mut splitter = Splitter::new(EVENT_BYTES_MAX);
    let mut pieces = Vec::new();
    splitter.split(bytes, Ending::Last, &mut pieces);
    let is_object = |one: &Piece| one.kind == PieceKind::Record && bytes[one.start] == b'{';
    let several = pieces.len() > 1 && pieces.iter().all(is_object);
    (several || splitter.found_wrapper()).then_some(pieces)
}

fn refuse(malformed: Malformed, place: Place<'_>, out: &mut Examined) {
    let offset = place.offset + malformed.offset as u64;
    let place = Place { offset, ..place };
    reject(
        Rejection::Event(malformed.reason),
        malformed.reason.sentence(),
        place,
        out,
    );
}

fn reject(rejection: Rejection, detail: String, place: Place<'_>, out: &mut Examined) {
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

/// 128 bits that stand for an event id: the id itself when it is a UUID, as nearly all are.
fn id_number(id: &str, states: &[RandomState; 2]) -> u128 {
    uuid(id.as_bytes()).unwrap_or_else(|| {
        let [high, low] = states;
        u128::from(high.hash_one(id)) << 64 | u128::from(low.hash_one(id))
    })
}

fn uuid(id: &[u8]) -> Option<u128> {
    if id.len() != 36 {
        return None;
    }
    let mut number = 0u128;
    for (at, byte) in id.iter().enumerate() {
        let digit = match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => byte - b'0',
            (_, b'a'..=b'f') => byte - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::{id_number, uuid};
    use std::hash::RandomState;

    #[test]
    fn ids_become_numbers() {
        let states = [RandomState::new(), RandomState::new()];
        let number = |id| id_number(id, &states);
        assert_eq!(uuid(b"00000000-0000-0000-0000-0000000000ff"), Some(255));
        assert_eq!(uuid(b"00000000-0000-0000-0000-0000000000fF"), None);
        assert_eq!(uuid(b"00000000x0000-0000-0000-0000000000ff"), None);
        assert_eq!(number("event-1"), number("event-1"));
        assert_ne!(number("event-1"), number("event-2"));
    }
}
