//! Asking plugins about a batch of records before the records are evaluated.
//!
//! A batch is gone over twice when rules ask plugins: here, to find which records await which plugins and to pack the
//! fields that those read; and again when the answers are there. The first time only the conditions of rules that ask
//! are evaluated. Keeping every parsed record for the second time was rejected: the records of a batch do not fit the
//! caches, and parsing again costs less than fetching.
//!
//! Plugins are called with as many rows as they take at a time, in the order of the records. The answers of one
//! record are one JSON text, which the evaluator reads like an event.
//!
//! A plugin that remembers is asked only by a gatherer that sees all batches of a stream in their order, and holds what the
//! plugin remembers of it. Others give no answer for it: what they see is not the stream.

use super::answers::{Answers, RowAnswer};
use super::memo::Memo;
use crate::input::reader::Batch;
use crate::input::split::{Piece, PieceKind};
use crate::scan::nested::{delivery_within, pieces_within};
use std::time::Instant;
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::{Event, FieldId, FieldPath, FieldPlan, FieldSet, Parser, Slots};
use tripline_core::wire::{PluginMemories, PluginMemory};
use tripline_host::batch::{BatchWriter, ColumnKind, ColumnWriter};

/// What asks a plugin: the host, or a test.
pub(crate) trait Ask: Sync {
    /// The fields that it reads, in the order of its columns.
    fn reads(&self) -> &[(FieldPath, ColumnKind)];
    /// How many rows it takes at a time.
    fn rows_max(&self) -> usize;
    /// Whether the same fields always have the same answer.
    fn is_pure(&self) -> bool;
    /// Its answers, one a row; `records` are the records of the rows as they came. Nobody waits for it after `until`.
    fn ask(&self, batch: &[u8], records: &[&[u8]], until: Option<Instant>) -> Vec<RowAnswer>;
    /// Whether it remembers what it was asked: then it is asked through `with_memory`, and `ask` gives no answers.
    fn remembers(&self) -> bool {
        false
    }
    /// The plugin with what it remembers of a stream of its own, which goes on from what was kept.
    fn with_memory(&self, _: Option<&PluginMemory>) -> Option<Box<dyn Remember + '_>> {
        None
    }
    /// Its own name, under which its memory is kept.
    fn own_name(&self) -> &str {
        ""
    }
}

/// A plugin that remembers, in the midst of a stream.
pub(crate) trait Remember {
    /// As of plugins that do not remember; the batches of the stream in their order.
    fn ask(&mut self, batch: &[u8], records: &[&[u8]], until: Option<Instant>) -> Vec<RowAnswer>;
    /// What it remembers now; nothing before its first answer.
    fn memory(&self) -> Option<PluginMemory>;
}

/// The plugins that the rules ask, and those of a baseline beside them.
pub(crate) struct Plugins<'p> {
    names: Vec<String>,
    /// Those that are asked and do not run.
    absent: Vec<String>,
    asked: Vec<&'p dyn Ask>,
    /// The fields of all of them together.
    plan: FieldPlan,
    fields: Vec<Vec<(FieldId, ColumnKind)>>,
}

impl<'p> Plugins<'p> {
    /// No plugins.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::new(Vec::new(), Vec::new())
    }

    /// Plugins by name, in any order, and those that do not run.
    pub(crate) fn new(named: Vec<(String, &'p dyn Ask)>, absent: Vec<String>) -> Self {
        let mut set = FieldSet::new();
        let (names, asked): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let of_plugin = |plugin: &&dyn Ask| {
            let reads = plugin.reads().iter();
            let ids = reads.map(|(path, kind)| (set.intern(path), *kind));
            ids.collect()
        };
        let fields = asked.iter().map(of_plugin).collect();
        Self {
            names,
            absent,
            asked,
            plan: set.plan(),
            fields,
        }
    }

    /// Where the plugins of a rule set are among these, by the number that the rule set gives them. One that is not there
    /// gives no answers.
    pub(crate) fn of_rules(&self, rules: &RuleSet) -> Vec<Option<usize>> {
        let at = |name: &String| self.names.iter().position(|one| one == name);
        rules.plugins().iter().map(at).collect()
    }

    /// Asks about one event.
    pub(crate) fn about(&self, event: &[u8], rules: &RuleSet) -> Answers {
        let batch = Batch {
            buffer: event.to_vec(),
            pieces: vec![Piece {
                kind: PieceKind::Record,
                start: 0,
                end: event.len(),
                line: 1,
                offset: 0,
            }],
        };
        let mut evaluator = Evaluator::new(rules);
        let places = self.of_rules(rules);
        let mut askers = [(&mut evaluator, places.as_slice())];
        self.gatherer().gather(&batch, 0, &mut askers)
    }

    /// Whether some of them remember what they were asked.
    pub(crate) fn remember(&self) -> bool {
        self.remembering().next().is_some()
    }

    /// Those that do.
    pub(crate) fn remembering(&self) -> impl Iterator<Item = &str> {
        let named = self.names.iter().zip(&self.asked);
        let remembering = named.filter(|(_, plugin)| plugin.remembers());
        remembering.map(|(name, _)| name.as_str())
    }

    /// Those that begin to remember anew, because what is kept under their name is another plugin's.
    pub(crate) fn strangers(&self, kept: &PluginMemories) -> Vec<&str> {
        let named = self.names.iter().zip(&self.asked);
        let strange = named.filter(|(name, plugin)| {
            kept.get(*name)
                .is_some_and(|memory| plugin.remembers() && memory.plugin != plugin.own_name())
        });
        strange.map(|(name, _)| name.as_str()).collect()
    }

    /// What is kept between batches. One per thread. Plugins that remember give no answers.
    pub(crate) fn gatherer(&self) -> Gatherer<'_> {
        self.gatherer_with(|_, _| None)
    }

    /// The same for all batches of a stream in their order, with what plugins remember of it so far.
    pub(crate) fn gatherer_in_order(&self, kept: &PluginMemories) -> Gatherer<'_> {
        let gatherer = self.gatherer_with(|name, plugin| {
            let kept = kept.get(name).filter(|one| one.plugin == plugin.own_name());
            plugin.with_memory(kept)
        });
        // One that does not run now may do so the next time.
        let absent = self.absent.iter();
        let untouched = absent.filter_map(|name| Some((name.clone(), kept.get(name)?.clone())));
        Gatherer {
            untouched: untouched.collect(),
            ..gatherer
        }
    }

    fn gatherer_with<'g>(
        &'g self,
        remembering: impl Fn(&str, &'g dyn Ask) -> Option<Box<dyn Remember + 'g>>,
    ) -> Gatherer<'g> {
        type Part<'q> = (
            (&'q Vec<(FieldId, ColumnKind)>, &'q &'q dyn Ask),
            &'q String,
        );
        let queue = |((fields, plugin), name): Part<'g>| Queue {
            memo: plugin.is_pure().then(Memo::new),
            remembering: remembering(name, *plugin),
            records: Vec::new(),
            columns: fields
                .iter()
                .map(|(_, kind)| ColumnWriter::new(*kind))
                .collect(),
        };
        Gatherer {
            plugins: self,
            untouched: PluginMemories::new(),
            parser: Parser::new(),
            slots: Slots::new(),
            queues: self
                .fields
                .iter()
                .zip(&self.asked)
                .zip(&self.names)
                .map(queue)
                .collect(),
            writer: BatchWriter::default(),
            awaiting: Vec::new(),
            awaited: Vec::new(),
            absent: Vec::new(),
            until: None,
            depth: 0,
        }
    }
}

/// Why a plugin that did not start gives no answer.
const NOT_RUNNING: &str = "it did not start";

/// An evaluator, and where the plugins of its rules are.
pub(crate) type Asker<'a, 'r> = (&'a mut Evaluator<'r>, &'a [Option<usize>]);

/// The rows of one plugin that are to be asked next.
struct Queue<'p> {
    memo: Option<Memo>,
    remembering: Option<Box<dyn Remember + 'p>>,
    /// Numbers among the awaiting records, and what stands for their fields.
    records: Vec<(u32, u128)>,
    columns: Vec<ColumnWriter>,
}

/// Bytes of text after which a plugin is asked without waiting for more rows: a few large fields must not make a batch
/// that its memory cannot take.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Asks plugins about batches.
pub(crate) struct Gatherer<'p> {
    plugins: &'p Plugins<'p>,
    /// What is kept of plugins that do not run.
    untouched: PluginMemories,
    parser: Parser,
    slots: Slots,
    queues: Vec<Queue<'p>>,
    writer: BatchWriter,
    /// Where the awaiting records begin and end in the buffer.
    awaiting: Vec<(usize, usize)>,
    /// The plugins that the record at hand awaits.
    awaited: Vec<usize>,
    /// Those of them that do not run.
    absent: Vec<String>,
    /// When nobody waits for answers any more.
    until: Option<Instant>,
    depth: u32,
}

impl Gatherer<'_> {
    /// Asks about the records of a batch from a piece on, for somebody who waits so long.
    pub(crate) fn gather_until(
        &mut self,
        until: Instant,
        batch: &Batch,
        askers: &mut [Asker<'_, '_>],
    ) -> Answers {
        self.until = Some(until);
        let answers = self.gather(batch, 0, askers);
        self.until = None;
        answers
    }

    /// What the plugins that remember do so after the batches so far.
    pub(crate) fn memories(&self) -> PluginMemories {
        let named = self.plugins.names.iter().zip(&self.queues);
        let kept = named.filter_map(|(name, queue)| {
            let memory = queue.remembering.as_ref()?.memory()?;
            Some((name.clone(), memory))
        });
        let untouched = self.untouched.iter();
        let untouched = untouched.map(|(name, memory)| (name.clone(), memory.clone()));
        kept.chain(untouched).collect()
    }

    /// Asks about the records of a batch from a piece on.
    pub(crate) fn gather(
        &mut self,
        batch: &Batch,
        from_piece: usize,
        askers: &mut [Asker<'_, '_>],
    ) -> Answers {
        self.awaiting.clear();
        let mut answers = Answers::default();
        for piece in &batch.pieces[from_piece..] {
            if matches!(piece.kind, PieceKind::Record) {
                let place = (piece.start, piece.end);
                self.record(&batch.buffer, place, askers, &mut answers);
            }
        }
        for plugin in 0..self.queues.len() {
            self.flush(plugin, &batch.buffer, &mut answers);
        }
        answers.finish(&self.awaiting);
        answers
    }

    /// One record, or those that it turns out to hold; those of which cannot be made sense are told later.
    fn record(
        &mut self,
        buffer: &[u8],
        (start, end): (usize, usize),
        askers: &mut [Asker<'_, '_>],
        answers: &mut Answers,
    ) {
        let bytes = &buffer[start..end];
        let mut parser = std::mem::take(&mut self.parser);
        let within = match parser.parse(bytes) {
            Err(_) => pieces_within(bytes, usize::MAX),
            Ok(document) => {
                let event = Event::new(document);
                let within = delivery_within(&event, usize::MAX);
                if within.is_none() {
                    self.event(&event, (start, end), askers, (buffer, answers));
                }
                within
            }
        };
        self.parser = parser;
        // Records within records within records are no records.
        if self.depth == 1 {
            return;
        }
        self.depth = 1;
        for piece in within.iter().flatten() {
            if matches!(piece.kind, PieceKind::Record) {
                let place = (start + piece.start, start + piece.end);
                self.record(buffer, place, askers, answers);
            }
        }
        self.depth = 0;
    }

    fn event(
        &mut self,
        event: &Event<'_>,
        place: (usize, usize),
        askers: &mut [Asker<'_, '_>],
        (buffer, answers): (&[u8], &mut Answers),
    ) {
        self.awaited.clear();
        self.absent.clear();
        for (evaluator, places) in askers {
            let names = evaluator.plugin_names();
            for plugin in evaluator.awaits(event).plugins {
                let plugin = plugin.0 as usize;
                match places[plugin] {
                    Some(at) if !self.awaited.contains(&at) => self.awaited.push(at),
                    Some(_) => {}
                    None if !self.absent.contains(&names[plugin]) => {
                        self.absent.push(names[plugin].clone());
                    }
                    None => {}
                }
            }
        }
        if self.awaited.is_empty() && self.absent.is_empty() {
            return;
        }
        let number = self.awaiting.len() as u32;
        self.awaiting.push(place);
        for name in &self.absent {
            // Said, lest it look like one that found nothing.
            answers.add(number, name, RowAnswer::Failed(NOT_RUNNING.to_owned()));
        }
        self.plugins.plan.extract(event.root(), &mut self.slots);
        for number_awaited in 0..self.awaited.len() {
            let at = self.awaited[number_awaited];
            let queue = &mut self.queues[at];
            let fields = &self.plugins.fields[at];
            let mut key = 0;
            if let Some(memo) = &queue.memo {
                let nodes = fields.iter().map(|(field, _)| self.slots.get(*field));
                key = memo.key(nodes.map(|node| node.map(|node| event.document().at(node))));
                if let Some(answer) = memo.get(key) {
                    answers.add(number, &self.plugins.names[at], answer.clone());
                    continue;
                }
            }
            queue.records.push((number, key));
            for ((field, _), column) in fields.iter().zip(&mut queue.columns) {
                let node = self.slots.get(*field);
                column.push_field(node.map(|node| event.document().at(node)));
            }
            let text: usize = queue.columns.iter().map(ColumnWriter::arena_bytes).sum();
            let is_full = queue.records.len() >= self.plugins.asked[at].rows_max();
            if is_full || text > TEXT_BYTES_MAX {
                self.flush(at, buffer, answers);
            }
        }
    }

    fn flush(&mut self, plugin: usize, buffer: &[u8], answers: &mut Answers) {
        let queue = &mut self.queues[plugin];
        let rows = queue.records.len();
        if rows == 0 {
            return;
        }
        let place = |(record, _): &(u32, u128)| self.awaiting[*record as usize];
        let raw = queue.records.iter().map(place);
        let raw: Vec<&[u8]> = raw.map(|(start, end)| &buffer[start..end]).collect();
        let packed = self.writer.pack(rows, queue.columns.iter());
        let said = match &mut queue.remembering {
            Some(remembering) => remembering.ask(packed, &raw, self.until),
            None => self.plugins.asked[plugin].ask(packed, &raw, self.until),
        };
        let name = &self.plugins.names[plugin];
        debug_assert_eq!(said.len(), rows);
        for ((record, key), answer) in queue.records.iter().zip(said) {
            if let Some(memo) = &mut queue.memo {
                memo.keep(*key, &answer);
            }
            answers.add(*record, name, answer);
        }
        queue.records.clear();
        queue.columns.iter_mut().for_each(ColumnWriter::clear);
    }
}

/// The batch of some events with these fields.
pub(super) fn pack(reads: &[(FieldPath, ColumnKind)], events: &[&[u8]]) -> Result<Vec<u8>, String> {
    let columns = reads.iter().map(|(_, kind)| ColumnWriter::new(*kind));
    let mut columns: Vec<ColumnWriter> = columns.collect();
    let mut parser = Parser::new();
    for event in events {
        let document = parser
            .parse(event)
            .map_err(|malformed| malformed.to_string())?;
        let root = Event::new(document).root();
        for ((path, _), column) in reads.iter().zip(&mut columns) {
            let mut keys = path.keys().iter();
            column.push_field(keys.try_fold(root, |at, key| at.get(key)));
        }
    }
    let mut writer = BatchWriter::default();
    Ok(writer.pack(events.len(), columns.iter()).to_vec())
}
