//! Threads that say what the rules say of batches, plugins asked before.
//!
//! A panic in here is our own mistake and must not be everybody's outage: the batch is gone over again record by record, and
//! the record at which it happens is set aside. Plugins that remember go back to what they remembered before the batch then, and
//! before that record: what they remember follows from the log alone.

use super::status::Status;
use super::traced;
use crate::input::reader::Batch;
use crate::input::split::{Piece, PieceKind};
use crate::plugins::{self, Gatherer, Plugins};
use crate::remediation::learning::Learning;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, PoisonError};
use tracing::Span;
use tripline_core::evaluate::RuleSet;
use tripline_core::event::{Event, Parser, PluginFailure};
use tripline_core::pipeline::{Answers, Examined, Examiner, Input, NoAnswers};
use tripline_core::port::{Delivered, Partition, RecordKind, Sequence};
use tripline_core::wire::PluginMemories;

/// A batch to examine.
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) delivered: Delivered,
    pub(super) how: How,
    /// Of the batch on its way.
    pub(super) span: Span,
}

/// What is to be done with it.
#[derive(Clone, Copy)]
pub(super) enum How {
    Examine { known: Sequence },
    SetAside { starts: u32 },
}

/// Batches that wait for a thread, and buffers that wait for a batch.
#[derive(Default)]
pub(super) struct Jobs {
    waiting: Mutex<(VecDeque<Job>, bool)>,
    changed: Condvar,
    buffers: Mutex<Vec<Delivered>>,
}

impl Jobs {
    pub(super) fn put(&self, job: Job) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0.push_back(job);
        self.changed.notify_one();
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1 = true;
        self.changed.notify_all();
    }

    fn take(&self) -> Option<Job> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = waiting.0.pop_front() {
                return Some(job);
            }
            if waiting.1 {
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A buffer that was used before, if there is one: large ones are dear to get from the system.
    pub(super) fn buffer(&self) -> Delivered {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.pop().unwrap_or_default()
    }

    fn give_back(&self, mut delivered: Delivered) {
        delivered.clear();
        self.buffers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(delivered);
    }
}

/// What batches are examined with.
pub(super) struct Examining<'e> {
    rules: &'e RuleSet,
    partition: Partition,
    plugins: &'e Plugins<'e>,
    jobs: &'e Jobs,
    status: &'e Status,
    learning: Option<&'e Learning>,
    tools: Tools<'e>,
    /// What plugins remembered before the batch at hand.
    before: PluginMemories,
}

impl<'e> Examining<'e> {
    pub(super) fn new(
        (rules, partition): (&'e RuleSet, Partition),
        (plugins, memories): (&'e Plugins<'e>, PluginMemories),
        jobs: &'e Jobs,
        (status, learning): (&'e Status, Option<&'e Learning>),
    ) -> Self {
        Self {
            rules,
            partition,
            plugins,
            jobs,
            status,
            learning,
            tools: Tools::new(rules, partition, plugins, &memories),
            before: memories,
        }
    }

    /// Works until there is nothing more to do.
    pub(super) fn run(mut self, answers: &Sender<Input>) {
        while let Some(job) = self.jobs.take() {
            // Nobody listens any more when the worker was stopped.
            let _ = answers.send(self.one(job));
        }
    }

    /// What the rules say of a batch.
    pub(super) fn one(&mut self, mut job: Job) -> Input {
        let span = traced::evaluate(&job.span, job.delivered.records.len());
        let tools = &mut self.tools;
        let examined = match catch_unwind(AssertUnwindSafe(|| tools.work(&mut job))) {
            Ok(examined) => examined,
            Err(_) => {
                *tools = Tools::new(self.rules, self.partition, self.plugins, &self.before);
                self.status
                    .set(|now| *now.faults.entry("panic").or_default() += 1);
                tools.one_by_one(&mut job, std::mem::take(&mut self.before))
            }
        };
        drop(span);
        self.before = tools.memories();
        if let Some(learning) = self.learning {
            // Before it is committed, so that nothing that was taken is missing.
            learning.see(&job.delivered);
        }
        self.jobs.give_back(job.delivered);
        Input::Examined(Box::new(examined))
    }
}

struct Tools<'r> {
    rules: &'r RuleSet,
    partition: Partition,
    plugins: &'r Plugins<'r>,
    examiner: Examiner<'r>,
    gatherer: Option<Gatherer<'r>>,
    of_rules: Vec<Option<usize>>,
    batch: Batch,
}

impl<'r> Tools<'r> {
    fn new(
        rules: &'r RuleSet,
        partition: Partition,
        plugins: &'r Plugins<'r>,
        memories: &PluginMemories,
    ) -> Self {
        Self {
            rules,
            partition,
            plugins,
            examiner: Examiner::new(rules, partition),
            // Also when none of them runs: then that is told of each.
            gatherer: (!rules.plugins().is_empty()).then(|| plugins.gatherer_in_order(memories)),
            of_rules: plugins.of_rules(rules),
            batch: Batch {
                buffer: Vec::new(),
                pieces: Vec::new(),
            },
        }
    }

    /// What plugins remember of the records so far.
    fn memories(&self) -> PluginMemories {
        self.gatherer
            .as_ref()
            .map(Gatherer::memories)
            .unwrap_or_default()
    }

    fn work(&mut self, job: &mut Job) -> Examined {
        let known = match job.how {
            How::SetAside { starts } => {
                return self.examiner.set_aside(job.number, &job.delivered, starts);
            }
            How::Examine { known } => known,
        };
        let number = job.number;
        let Some(gatherer) = &mut self.gatherer else {
            return self
                .examiner
                .examine(number, &job.delivered, known, &mut NoAnswers);
        };
        let events = job
            .delivered
            .records
            .iter()
            .filter(|one| one.kind == RecordKind::Event);
        let pieces = events.map(|record| Piece {
            kind: PieceKind::Record,
            start: record.payload.start,
            end: record.payload.end,
            line: record.sequence.0,
            offset: 0,
        });
        self.batch.pieces.clear();
        self.batch.pieces.extend(pieces);
        self.batch.buffer = std::mem::take(&mut job.delivered.buffer);
        let mut askers = [(self.examiner.evaluator(), self.of_rules.as_slice())];
        let answers = gatherer.gather(&self.batch, 0, &mut askers);
        job.delivered.buffer = std::mem::take(&mut self.batch.buffer);
        let memories = gatherer.memories();
        let mut beside = Beside::new(answers);
        let mut examined = self
            .examiner
            .examine(number, &job.delivered, known, &mut beside);
        examined.plugins = memories;
        examined
    }

    /// Each record by itself, those at which something of ours breaks set aside.
    fn one_by_one(&mut self, job: &mut Job, mut before: PluginMemories) -> Examined {
        let mut whole = Examined::nothing(job.number);
        // What was lost is told once, with the first record.
        let mut lost = std::mem::take(&mut job.delivered.lost);
        for record in &job.delivered.records {
            let mut single = Job {
                number: job.number,
                delivered: Delivered {
                    buffer: job.delivered.buffer.clone(),
                    records: vec![record.clone()],
                    lost: std::mem::take(&mut lost),
                },
                how: job.how,
                span: job.span.clone(),
            };
            let examined = match catch_unwind(AssertUnwindSafe(|| self.work(&mut single))) {
                Ok(examined) => examined,
                Err(_) => {
                    *self = Self::new(self.rules, self.partition, self.plugins, &before);
                    self.examiner.set_aside(job.number, &single.delivered, 0)
                }
            };
            before = self.memories();
            whole.append(examined);
        }
        whole
    }
}

/// Answers of plugins beside the events of a batch.
pub(super) struct Beside {
    answers: plugins::Answers,
    parser: Parser,
}

impl Beside {
    pub(super) fn new(answers: plugins::Answers) -> Self {
        Self {
            answers,
            parser: Parser::new(),
        }
    }
}

impl Answers for Beside {
    fn beside<'e>(&'e mut self, event: Event<'e>, start: usize) -> Event<'e> {
        self.answers.beside(event, start, &mut self.parser)
    }

    fn failed(&self, start: usize) -> &[PluginFailure] {
        self.answers.of(start).map_or(&[], |(_, failed)| failed)
    }
}
