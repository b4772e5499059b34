//! Where decisions are asked for and made.
//!
//! Questions wait in one queue, which outlives the rules: while other rules are put in force they wait a moment longer. Each
//! has a deadline; who waits longer gets the stated default, and a thread that comes to the question later passes it over.
//! Threads that decide do nothing else, so that a backlog of events holds up no decision. Plugins are asked about all events
//! of a question at once, and have most of its time but not all: so the answer tells which of them took too long.

use super::examiners::Beside;
use crate::input::reader::Batch;
use crate::input::split::{Piece, PieceKind};
use crate::plugins::{Gatherer, Plugins};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tripline_core::evaluate::{Decision, DecisionDefaults, Evaluator, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::pipeline::Answers;

/// Most questions that wait; more are refused at once, which is better than late.
const WAITING_MAX: usize = 10_000;

/// How long a thread waits before it looks whether other rules are in force.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// How many tenths of what is left of its time a question gives to plugins.
const PLUGINS_OF_TEN: u32 = 9;

/// How decisions are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decisions {
    pub(crate) defaults: DecisionDefaults,
    pub(crate) deadline: Duration,
    /// Somebody decides at all.
    pub(crate) has_threads: bool,
}

/// What is decided about the events of a question, in their order; or that something of ours broke.
pub(crate) type Decided = Result<Vec<Decision>, ()>;

/// Events that somebody asks about, each of which is one.
pub(crate) struct Question {
    pub(crate) events: Vec<Vec<u8>>,
    pub(crate) until: Instant,
    pub(crate) answer: oneshot::Sender<Decided>,
}

/// Where questions wait.
#[derive(Default)]
pub(crate) struct Desk {
    waiting: Mutex<VecDeque<Question>>,
    changed: Condvar,
}

impl Desk {
    /// Asks, unless too many others do.
    pub(crate) fn ask(&self, question: Question) -> Result<(), Question> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            return Err(question);
        }
        waiting.push_back(question);
        self.changed.notify_one();
        Ok(())
    }

    fn take(&self) -> Option<Question> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = self
            .changed
            .wait_timeout_while(waiting, LOOKS_EVERY, |all| all.is_empty());
        let (mut waiting, _) = patience.unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }
}

/// Decides until other rules are in force.
pub(super) fn decide(
    desk: &Desk,
    (rules, plugins): (&RuleSet, &Plugins<'_>),
    defaults: DecisionDefaults,
    is_over: &AtomicBool,
) {
    let mut decider = Decider::new(rules, plugins);
    while !is_over.load(Ordering::Relaxed) {
        let Some(question) = desk.take() else {
            continue;
        };
        if question.answer.is_closed() || question.until <= Instant::now() {
            continue;
        }
        let decided = catch_unwind(AssertUnwindSafe(|| decider.decide(&question, defaults)));
        let answer = decided.map_err(|_| decider = Decider::new(rules, plugins));
        // Whoever asked may have gone.
        let _ = question.answer.send(answer);
    }
}

struct Decider<'r> {
    parser: Parser,
    evaluator: Evaluator<'r>,
    gatherer: Option<Gatherer<'r>>,
    of_rules: Vec<Option<usize>>,
}

impl<'r> Decider<'r> {
    fn new(rules: &'r RuleSet, plugins: &'r Plugins<'r>) -> Self {
        Self {
            parser: Parser::new(),
            evaluator: Evaluator::for_decisions(rules),
            // Also when none of them runs: then that is told of each.
            gatherer: (!rules.plugins().is_empty()).then(|| plugins.gatherer()),
            of_rules: plugins.of_rules(rules),
        }
    }

    fn decide(&mut self, question: &Question, defaults: DecisionDefaults) -> Vec<Decision> {
        let mut beside = self.beside(question);
        let mut start = 0;
        let mut decisions = Vec::with_capacity(question.events.len());
        for bytes in &question.events {
            decisions.push(match self.parser.parse(bytes) {
                Ok(document) => {
                    let event = Event::new(document);
                    let event = match &mut beside {
                        Some(beside) => beside.beside(event, start),
                        None => event,
                    };
                    self.evaluator.decide(&event, defaults)
                }
                // It was an event when it was asked about.
                Err(_) => Decision::without_rules(defaults.undecided),
            });
            start += bytes.len();
        }
        decisions
    }

    /// What plugins say of the events, as if these followed each other in a buffer.
    fn beside(&mut self, question: &Question) -> Option<Beside> {
        let gatherer = self.gatherer.as_mut()?;
        let mut batch = Batch {
            buffer: Vec::new(),
            pieces: Vec::new(),
        };
        for event in &question.events {
            let start = batch.buffer.len();
            batch.buffer.extend_from_slice(event);
            batch.pieces.push(Piece {
                kind: PieceKind::Record,
                start,
                end: batch.buffer.len(),
                line: 1,
                offset: 0,
            });
        }
        let now = Instant::now();
        let left = question.until.saturating_duration_since(now);
        let until = now + left * PLUGINS_OF_TEN / 10;
        let mut askers = [(&mut self.evaluator, self.of_rules.as_slice())];
        Some(Beside::new(gatherer.gather_until(
            until,
            &batch,
            &mut askers,
        )))
    }
}
