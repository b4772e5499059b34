//! What the rules say of the records of one batch.
//!
//! Runs on any thread, several batches at a time. Knows nothing of what came before: what rules remember is told to them
//! later, in order, by the worker. Relies on the evaluator for every verdict. A record that is no event becomes a dead
//! letter here; nothing in a record can stop the others.

use super::bound::bounded;
use super::{BLOCK, Tally};
use crate::evaluate::{Evaluator, Observations, RuleIndex, RuleSet};
use crate::event::{Event, Malformed, Parser, PluginFailure};
use crate::limits::{
    DEAD_LETTER_BYTES_MAX, FUTURE_SECONDS_MAX, UNDECIDED_KEPT_MAX, WATERMARK_WITNESSES,
};
use crate::port::{
    DeadLetter, DeadReason, Delivered, KeptEvent, Partition, Record, RecordKind, Sequence,
};
use crate::rule::kind::{EventKey, EventTime, Kind, Period, StoredEvent};
use crate::wire::{Finding, PluginMemories};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Puts what plugins said beside the events of a batch.
pub trait Answers {
    /// The event whose record begins at this place of the buffer, with the answers about it.
    fn beside<'e>(&'e mut self, event: Event<'e>, start: usize) -> Event<'e>;
    /// The plugins that gave no answer about that record.
    fn failed(&self, start: usize) -> &[PluginFailure];
}

/// No rule asks a plugin.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAnswers;

impl Answers for NoAnswers {
    fn beside<'e>(&'e mut self, event: Event<'e>, _: usize) -> Event<'e> {
        event
    }

    fn failed(&self, _: usize) -> &[PluginFailure] {
        &[]
    }
}

/// What rules that remember are told of one event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observed {
    pub(super) event: Arc<StoredEvent>,
    pub(super) has_time: bool,
    pub(super) taken: EventTime,
    pub(super) observations: Observations,
}

/// Records up to a place at which what rules remember moves forward, or up to the end of the batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Block {
    /// In the order of the records.
    pub(super) observed: Vec<Observed>,
    /// The newest of its events.
    pub(super) newest: BTreeSet<(EventTime, EventKey)>,
    /// When the bus took the last of its records.
    pub(super) taken: EventTime,
    /// The time of the tick that ends it.
    pub(super) tick: Option<EventTime>,
    /// It ends where what rules remember moves forward.
    pub(super) is_whole: bool,
}

/// What the rules say of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examined {
    /// The number that the worker gave the batch.
    pub number: u64,
    /// The last of its records.
    pub through: Sequence,
    pub(super) findings: Vec<Finding>,
    pub(super) events: Vec<KeptEvent>,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) blocks: Vec<Block>,
    /// What became of its records.
    pub tally: Tally,
    /// What the plugins that remember and were asked about the batch remember after it.
    pub plugins: PluginMemories,
}

impl Examined {
    /// What the rules say of no record.
    pub fn nothing(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Adds what the rules say of the records that follow in the same batch.
    pub fn append(&mut self, mut next: Self) {
        self.through = next.through;
        self.findings.append(&mut next.findings);
        self.events.append(&mut next.events);
        self.dead.append(&mut next.dead);
        self.blocks.append(&mut next.blocks);
        self.plugins.append(&mut next.plugins);
        self.tally += &next.tally;
    }
}

/// One thread's tools.
pub struct Examiner<'r> {
    rules: &'r RuleSet,
    partition: Partition,
    parser: Parser,
    evaluator: Evaluator<'r>,
    observations: Observations,
    /// Whether any rule remembers anything, so that time and observations matter.
    remembers: bool,
    /// By rule, whether a finding of it may cite events that it observed earlier.
    cites: Vec<bool>,
    /// By rule, events on which it could not be decided that were kept.
    undecided_kept: BTreeMap<u32, u32>,
}

impl<'r> Examiner<'r> {
    /// Tools for one more thread.
    pub fn new(rules: &'r RuleSet, partition: Partition) -> Self {
        let cites = rules.rules().iter().map(|rule| {
            let kind = rule.rule.memory.as_ref().map(|memory| &memory.kind);
            !matches!(
                kind,
                None | Some(
                    Kind::FirstSeen(_)
                        | Kind::Rare(_)
                        | Kind::Insight(_)
                        | Kind::Entity(_)
                        | Kind::Scored
                )
            )
        });
        Self {
            rules,
            partition,
            parser: Parser::new(),
            evaluator: Evaluator::new(rules),
            observations: Observations::default(),
            remembers: !rules.remembering().is_empty(),
            cites: cites.collect(),
            undecided_kept: BTreeMap::new(),
        }
    }

    /// What asks whether events await plugins.
    pub fn evaluator(&mut self) -> &mut Evaluator<'r> {
        &mut self.evaluator
    }

    /// What the rules say of the records of a batch. What records up to `known` lead to at once is stored already: they
    /// are only told to rules that remember.
    pub fn examine(
        &mut self,
        number: u64,
        delivered: &Delivered,
        known: Sequence,
        answers: &mut dyn Answers,
    ) -> Examined {
        let mut out = Examined {
            number,
            ..Examined::default()
        };
        out.tally.lost = delivered
            .lost
            .iter()
            .map(|(range, _)| range.end - range.start)
            .sum();
        let mut block = Block::default();
        for record in &delivered.records {
            out.through = record.sequence;
            block.taken = record.taken;
            match record.kind {
                RecordKind::Event => {
                    self.record(record, delivered, known, (answers, &mut block), &mut out);
                }
                RecordKind::Tick => {
                    out.tally.ticks += 1;
                    block.tick = Some(record.taken);
                }
            }
            if block.tick.is_some() || record.sequence.0.is_multiple_of(BLOCK) {
                block.is_whole = true;
                out.blocks.push(std::mem::take(&mut block));
                block.taken = record.taken;
            }
        }
        out.blocks.push(block);
        out
    }

    /// A record that is set aside without being looked at, because the process dies of it.
    pub fn set_aside(&self, number: u64, delivered: &Delivered, starts: u32) -> Examined {
        let mut out = Examined {
            number,
            ..Examined::default()
        };
        for record in &delivered.records {
            out.through = record.sequence;
            out.tally.fatal += 1;
            let letter = self.letter(record, delivered, DeadReason::Fatal { starts });
            out.dead.push(letter);
            let is_whole = record.sequence.0.is_multiple_of(BLOCK);
            out.blocks.push(Block {
                taken: record.taken,
                is_whole,
                ..Block::default()
            });
        }
        out
    }

    fn letter(&self, record: &Record, delivered: &Delivered, reason: DeadReason) -> DeadLetter {
        let payload = delivered.payload(record);
        let kept = payload.len().min(DEAD_LETTER_BYTES_MAX);
        DeadLetter {
            partition: self.partition,
            sequence: record.sequence,
            taken: record.taken,
            reason,
            bytes: payload.len() as u64,
            attributes: delivered.attributes(record).to_vec(),
            payload: payload[..kept].to_vec(),
        }
    }

    fn record(
        &mut self,
        record: &Record,
        delivered: &Delivered,
        known: Sequence,
        (answers, block): (&mut dyn Answers, &mut Block),
        out: &mut Examined,
    ) {
        let bytes = delivered.payload(record);
        let is_new = record.sequence > known;
        if is_new {
            out.tally.bytes += bytes.len() as u64;
        } else {
            out.tally.again += 1;
            if !self.remembers {
                return;
            }
        }
        if let Some(reason) = set_aside_by_channel(delivered.attributes(record)) {
            if is_new {
                if let DeadReason::Channel { code, .. } = &reason {
                    *out.tally.malformed.entry(code.clone()).or_default() += 1;
                }
                out.dead.push(self.letter(record, delivered, reason));
            }
            return;
        }
        let mut parser = std::mem::take(&mut self.parser);
        match parser.parse(bytes) {
            Ok(document) => {
                let start = record.payload.start;
                let failed = answers.failed(start);
                if is_new {
                    out.tally.plugin_faults += failed.len() as u64;
                    for failure in failed {
                        let reason = DeadReason::Plugin {
                            plugin: failure.plugin.clone(),
                            detail: failure.reason.clone(),
                        };
                        out.dead.push(self.letter(record, delivered, reason));
                    }
                }
                let event = answers.beside(Event::new(document), start);
                self.event((record, is_new), &event, delivered, (block, out));
            }
            Err(malformed) if is_new => self.malformed(record, delivered, malformed, out),
            Err(_) => {}
        }
        self.parser = parser;
    }

    fn malformed(
        &self,
        record: &Record,
        delivered: &Delivered,
        malformed: Malformed,
        out: &mut Examined,
    ) {
        let word = malformed.reason.as_str().to_owned();
        *out.tally.malformed.entry(word).or_default() += 1;
        let reason = DeadReason::Malformed {
            detail: format!(
                "{} at byte {}",
                malformed.reason.sentence(),
                malformed.offset
            ),
        };
        out.dead.push(self.letter(record, delivered, reason));
    }

    fn event(
        &mut self,
        (record, is_new): (&Record, bool),
        event: &Event<'_>,
        delivered: &Delivered,
        (block, out): (&mut Block, &mut Examined),
    ) {
        let verdicts = self.evaluator.evaluate(event);
        let tally = &mut out.tally;
        let matched: Vec<RuleIndex> = verdicts.matched.to_vec();
        let mut undecided: Vec<RuleIndex> = Vec::new();
        if is_new {
            tally.events += 1;
            tally.matched += u64::from(!matched.is_empty());
            tally.excused += verdicts.excused.len() as u64;
            tally.not_applicable += verdicts.not_applicable.len() as u64;
            tally.skipped += verdicts.skipped.len() as u64;
            undecided.extend(
                verdicts
                    .indeterminate
                    .iter()
                    .chain(verdicts.exception_faults),
            );
            tally.undecided += undecided.len() as u64;
        }
        if self.remembers {
            self.remember(record, event, delivered, (block, out), is_new);
        }
        if !is_new {
            return;
        }
        let before = out.findings.len();
        for rule in matched {
            if self.rules.rules()[rule.0 as usize].finds_at_once() {
                *out.tally.by_rule.entry(rule.0).or_default() += 1;
                out.findings
                    .push(bounded(self.evaluator.finding(rule, event)));
            }
        }
        if out.findings.len() > before {
            keep(event, delivered.payload(record), out);
        }
        for rule in undecided {
            self.undecided(rule, (record, event), delivered, out);
        }
    }

    /// Notes the time of an event, and what rules that remember are told of it.
    fn remember(
        &mut self,
        record: &Record,
        event: &Event<'_>,
        delivered: &Delivered,
        (block, out): (&mut Block, &mut Examined),
        is_new: bool,
    ) {
        let time = event.time().map(EventTime::from);
        // What a broken clock says does not move time.
        if let Some(time) = time.filter(|time| !is_from_the_future(*time, record.taken)) {
            let is_old = block.newest.len() == WATERMARK_WITNESSES
                && block
                    .newest
                    .first()
                    .is_some_and(|(oldest, _)| time <= *oldest);
            if !is_old {
                block
                    .newest
                    .insert((time, EventKey::new(event.id().as_str())));
                if block.newest.len() > WATERMARK_WITNESSES {
                    block.newest.pop_first();
                }
            }
        }
        self.evaluator.observe(event, &mut self.observations);
        if self.observations.is_empty() {
            return;
        }
        let observations = std::mem::take(&mut self.observations);
        let bytes = delivered.payload(record);
        if is_new {
            out.tally.observed += 1;
            let cites = |rule: RuleIndex| self.cites[rule.0 as usize];
            if observations.all.iter().any(|one| cites(one.rule)) {
                keep(event, bytes, out);
            }
        }
        block.observed.push(Observed {
            event: Arc::new(StoredEvent {
                key: EventKey::new(event.id().as_str()),
                time: time.unwrap_or_default(),
                bytes: bytes.into(),
                origin: "".into(),
            }),
            has_time: time.is_some(),
            taken: record.taken,
            observations,
        });
    }

    /// Keeps the first few events on which a rule could not be decided, so that its author can see them.
    fn undecided(
        &mut self,
        rule: RuleIndex,
        (record, event): (&Record, &Event<'_>),
        delivered: &Delivered,
        out: &mut Examined,
    ) {
        // One that was set aside before and is tried again has no other place to be.
        if !delivered.attributes(record).starts_with(RETRIED) {
            let kept = self.undecided_kept.entry(rule.0).or_default();
            if *kept >= UNDECIDED_KEPT_MAX {
                return;
            }
            *kept += 1;
        }
        let reason = DeadReason::Undecided {
            rule: self.rules.rules()[rule.0 as usize].rule.id.to_string(),
            detail: self.evaluator.fault(rule, event),
        };
        out.dead.push(self.letter(record, delivered, reason));
    }
}

/// How the attributes of a record begin that was a dead letter before.
const RETRIED: &[u8] = br#"{"retried":true"#;

/// The attributes of a record that is appended again after it was set aside, of those that it had.
pub fn retried(attributes: &[u8]) -> Vec<u8> {
    match attributes {
        _ if attributes.starts_with(RETRIED) => attributes.to_vec(),
        [b'{', b'}'] | [] => [RETRIED, b"}"].concat(),
        [b'{', rest @ ..] => [RETRIED, b",", rest].concat(),
        // Nobody of ours writes them otherwise.
        _ => attributes.to_vec(),
    }
}

/// Why the channel that a record came through set it aside, if it did. Attributes of such records begin with the reason, so that
/// those of all others need not be read.
fn set_aside_by_channel(attributes: &[u8]) -> Option<DeadReason> {
    #[derive(serde::Deserialize)]
    struct SetAside {
        dead: Why,
        channel: String,
    }
    #[derive(serde::Deserialize)]
    struct Why {
        code: String,
        detail: String,
    }
    if !attributes.starts_with(br#"{"dead":"#) {
        return None;
    }
    let kept: SetAside = serde_json::from_slice(attributes).ok()?;
    Some(DeadReason::Channel {
        channel: kept.channel,
        code: kept.dead.code,
        detail: kept.dead.detail,
    })
}

/// Whether an event claims to have happened well after it was taken.
pub(super) fn is_from_the_future(time: EventTime, taken: EventTime) -> bool {
    time > taken.plus(Period::from_seconds(FUTURE_SECONDS_MAX))
}

/// Keeps an event that a finding cites, or may come to cite; once for each record.
fn keep(event: &Event<'_>, bytes: &[u8], out: &mut Examined) {
    let id = event.id();
    if out
        .events
        .last()
        .is_some_and(|last| last.id == id.as_str() && last.bytes == bytes)
    {
        return;
    }
    out.events.push(KeptEvent {
        id: id.into_string(),
        bytes: bytes.to_vec(),
    });
}
