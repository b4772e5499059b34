//! Where decisions are asked for and made.
//!
//! Questions wait in one queue, which outlives the rules: while other rules are put in force they wait a moment longer. Each
//! has a deadline; who waits longer gets the stated default, and a thread that comes to the question later passes it over.
//! Threads that decide do nothing else, so that a backlog of events holds up no decision.

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
        let Some(mut question) = desk.take() else {
            continue;
        };
        if question.answer.is_closed() || question.until <= Instant::now() {
            continue;
        }
        let decided = catch_unwind(AssertUnwindSafe(|| {
            decider.decide(&mut question.events, defaults)
        }));
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
            evaluator: Evaluator::new(rules),
            gatherer: (!plugins.is_empty()).then(|| plugins.gatherer()),
            of_rules: plugins.of_rules(rules),
        }
    }

    fn decide(&mut self, events: &mut [Vec<u8>], defaults: DecisionDefaults) -> Vec<Decision> {
        events
            .iter_mut()
            .map(|event| self.one(event, defaults))
            .collect()
    }

    fn one(&mut self, event: &mut Vec<u8>, defaults: DecisionDefaults) -> Decision {
        let mut beside = self.gatherer.as_mut().map(|gatherer| {
            let end = event.len();
            let batch = Batch {
                buffer: std::mem::take(event),
                pieces: vec![Piece {
                    kind: PieceKind::Record,
                    start: 0,
                    end,
                    line: 1,
                    offset: 0,
                }],
            };
            let mut askers = [(&mut self.evaluator, self.of_rules.as_slice())];
            let answers = gatherer.gather(&batch, 0, &mut askers);
            *event = batch.buffer;
            Beside::new(answers)
        });
        let Ok(document) = self.parser.parse(event) else {
            // It was an event when it was asked about.
            return Decision::without_rules(defaults.undecided);
        };
        let event = Event::new(document);
        let event = match &mut beside {
            Some(beside) => beside.beside(event, 0),
            None => event,
        };
        self.evaluator.decide(&event, defaults)
    }
}
