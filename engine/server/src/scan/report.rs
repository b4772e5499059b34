//! The ordered stage: gives positions, drops duplicates, counts, hands on.
//!
//! Runs in input order whatever the number of threads, one batch at a time, so all that is counted and
//! handed on here is the same in every run. Must stay light: what is heavy (parsing, evaluating, rendering)
//! was done by the threads.

use super::accounting::{Accounting, Counts, InputAccount, RejectedRecord};
use super::examine::{Dedup, Examined, Mark, RejectedHere};
use super::outlet::{Outlet, Placed, Shape, Side};
use super::remember::Remembering;
use super::statistics::RuleCounts;
use crate::causes::with_causes;
use crate::input::decode::InputFault;
use crate::input::resolve::{Input, Mention};
use crate::output;
use crate::pipeline::dedup::{IDS_REMEMBERED, RecentIds, Sighting};
use crate::pipeline::{Delivery, Flow, Sink};
use crate::state_folder::StateFault;
use std::io;
use tripline_core::evaluate::RuleSet;
use tripline_core::event::{Event, Parser};
use tripline_core::insight::Record;
use tripline_core::rule::Severity;
use tripline_core::state::Told;

/// Whether rejected input ends the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    Tolerant,
    Strict,
}

/// What findings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Findings {
    /// They are shown.
    Shown,
    /// Rules only learn; nothing is found.
    Learnt,
}

/// Where a record stands, as it is kept with an event.
pub(crate) struct Place<'p> {
    file: &'p str,
    position: u64,
    physical_line: u64,
}

impl<'p> Place<'p> {
    /// In one text; the name of the file comes last, as it may hold anything.
    pub(crate) fn write(file: &str, position: u64, physical_line: u64) -> String {
        format!("{position} {physical_line} {file}")
    }

    fn read(text: &'p str) -> Option<Self> {
        let (position, rest) = text.split_once(' ')?;
        let (physical_line, file) = rest.split_once(' ')?;
        Some(Self {
            file,
            position: position.parse().ok()?,
            physical_line: physical_line.parse().ok()?,
        })
    }
}

/// What an outlet takes.
type Shaped<O> = <<O as Outlet>::Shape as Shape>::Shaped;

/// Counts, and hands findings on.
pub(crate) struct Reporter<'r, O: Outlet> {
    inputs: &'r [Input],
    shape: &'r O::Shape,
    pub(crate) outlet: O,
    strictness: Strictness,
    recent: Option<RecentIds>,
    pub(crate) accounting: Accounting,
    pub(crate) rules: Vec<RuleCounts>,
    remembering: Option<Remembering<'r>>,
    parser: Parser,
    rule_set: &'r RuleSet,
    telling: Findings,
    /// Counts of the input at hand, and the position of its last record.
    counts: Counts,
    position: u64,
    /// Whether the last record was a duplicate.
    again: bool,
    /// Highest severity found.
    pub(crate) worst: Option<Severity>,
    /// Something could not be opened or read to its end, so nobody knows what was missed.
    pub(crate) unread: bool,
    /// Another version of the rules, and what it remembers.
    baseline: Option<(&'r RuleSet, Option<Remembering<'r>>)>,
}

impl<'r, O: Outlet> Reporter<'r, O> {
    /// A reporter before the first finding.
    pub(crate) fn new(
        (inputs, rule_set): (&'r [Input], &'r RuleSet),
        (shape, outlet): (&'r O::Shape, O),
        (dedup, strictness): (Dedup, Strictness),
        (telling, remembering): (Findings, Option<Remembering<'r>>),
    ) -> Self {
        Self {
            inputs,
            shape,
            outlet,
            strictness,
            recent: (dedup == Dedup::ById).then(|| RecentIds::new(IDS_REMEMBERED)),
            accounting: Accounting::default(),
            rules: vec![RuleCounts::default(); rule_set.rules().len()],
            remembering,
            parser: Parser::new(),
            rule_set,
            telling,
            counts: Counts::default(),
            position: 0,
            again: false,
            worst: None,
            unread: false,
            baseline: None,
        }
    }

    /// Another version of the rules is evaluated beside them.
    pub(crate) fn beside(
        mut self,
        rules: &'r RuleSet,
        remembering: Option<Remembering<'r>>,
    ) -> Self {
        self.baseline = Some((rules, remembering));
        self
    }

    /// Notes something on the way to inputs that could not be followed.
    pub(crate) fn unresolved(&mut self, path: String, error: &io::Error) {
        self.accounting.fault(path, error.to_string());
        self.unread = true;
    }

    /// Ends the account of an input that was cut short. Inputs are closed in order, so it is the one after
    /// those that are.
    pub(crate) fn close_unfinished(&mut self) {
        if self.counts != Counts::default() {
            self.close(self.accounting.inputs_read as usize, None);
        }
    }

    fn batch(&mut self, input: usize, examined: Examined<Shaped<O>>) -> Flow {
        let file = &self.inputs[input].name;
        let mut found = examined.found.into_iter().peekable();
        let mut undecided = examined.undecided.into_iter().peekable();
        let mut not_applicable = examined.not_applicable.into_iter().peekable();
        let mut excused = examined.excused.into_iter().peekable();
        let mut skipped = examined.skipped.into_iter().peekable();
        let mut rejected = examined.rejected.into_iter().peekable();
        let mut observed = examined.observed.into_iter().peekable();
        let mut beside = examined.beside.found.into_iter().peekable();
        let mut observed_beside = examined.beside.observed.into_iter().peekable();
        let mut quietly = examined.quietly.into_iter().peekable();
        for (record, mark) in (0u32..).zip(&examined.marks) {
            let begins = !matches!(mark, Mark::Continued);
            self.position += u64::from(begins);
            self.counts.read += u64::from(begins);
            let again = match mark {
                Mark::Evaluated(id) => {
                    let again = self.is_again(*id);
                    if !again {
                        self.outlet.record(*id);
                    }
                    again
                }
                Mark::Continued => self.again,
                Mark::Rejected(rejection) => {
                    *self.counts.rejected.entry(rejection.as_str()).or_default() += 1;
                    if let Some(one) = rejected.next_if(|one| one.record == record) {
                        self.show(file, one);
                    }
                    if self.strictness == Strictness::Strict {
                        return Flow::Stop;
                    }
                    continue;
                }
            };
            self.again = again;
            let mut any = quietly.next_if(|at| *at == record).is_some() && !again;
            while let Some(one) = found.next_if(|one| one.record == record) {
                if !again {
                    any = true;
                    let placed = self.placed((Side::Rules, one.rule), one.severity, file);
                    self.finding(&placed, one.shaped);
                }
            }
            while let Some(one) = beside.next_if(|one| one.record == record) {
                if !again {
                    let placed = self.placed((Side::Baseline, one.rule), one.severity, file);
                    self.finding(&placed, one.shaped);
                }
            }
            if let Some(one) = observed_beside.next_if(|one| one.record == record)
                && !again
                && let Some((_, Some(remembering))) = &mut self.baseline
            {
                remembering.observe(one, file, self.position);
            }
            if let Some(one) = observed.next_if(|one| one.record == record)
                && !again
                && let Some(remembering) = &mut self.remembering
            {
                let told = remembering.observe(one, file, self.position);
                self.counts.observed += u64::from(told);
            }
            if let Some((_, count)) = undecided.next_if(|(at, _)| *at == record)
                && !again
            {
                self.accounting.indeterminate += u64::from(count);
            }
            if let Some((_, count)) = not_applicable.next_if(|(at, _)| *at == record)
                && !again
            {
                self.accounting.not_applicable += u64::from(count);
            }
            if let Some((_, count)) = skipped.next_if(|(at, _)| *at == record)
                && !again
            {
                self.accounting.skipped += u64::from(count);
            }
            while let Some((_, rule)) = excused.next_if(|(at, _)| *at == record) {
                if !again {
                    self.accounting.excused += 1;
                    self.rules[rule as usize].excused += 1;
                }
            }
            // A record that goes on has been counted as matched.
            if begins {
                self.counts.duplicates += u64::from(again);
                self.counts.matched += u64::from(any);
                self.counts.unmatched += u64::from(!again && !any);
            }
        }
        for (rule, count) in self.rules.iter_mut().zip(&examined.not_applicable_by_rule) {
            rule.not_applicable += u64::from(*count);
        }
        for ((rule, fault), count) in examined.undecided_by_fault {
            self.rules[rule as usize].undecided(fault, count);
        }
        if let Some(remembering) = &mut self.remembering {
            remembering.plugins_came_to(examined.memories);
        }
        self.tell_all(Remembering::told);
        match self.outlet.batch() {
            Flow::Continue => self.save_meanwhile(),
            Flow::Stop => Flow::Stop,
        }
    }

    /// Writes what is remembered from time to time. What was found comes first: twice is better than never.
    fn save_meanwhile(&mut self) -> Flow {
        let remembering = self.remembering.as_mut();
        let Some(remembering) = remembering.filter(|one| one.is_save_due()) else {
            return Flow::Continue;
        };
        let flow = self.outlet.flush();
        if matches!(flow, Flow::Continue) {
            remembering.save_meanwhile();
        }
        flow
    }

    fn placed<'p>(
        &self,
        (side, rule): (Side, u32),
        severity: Severity,
        file: &'p str,
    ) -> Placed<'p> {
        Placed {
            side,
            rule,
            severity,
            file,
            position: self.position,
        }
    }

    fn show(&mut self, file: &str, one: RejectedHere) {
        self.accounting.show_rejection(RejectedRecord {
            file: file.to_owned(),
            position: self.position,
            physical_line: one.physical_line,
            offset: one.offset,
            rejection: one.rejection,
            detail: one.detail,
        });
    }

    fn is_again(&mut self, id: u128) -> bool {
        let recent = self.recent.as_mut();
        recent.is_some_and(|recent| recent.note(id) == Sighting::Again)
    }

    /// The inputs are at their end, all of them: what rules that remember found until then.
    pub(crate) fn finish_remembering(&mut self) {
        self.tell_all(Remembering::finish);
    }

    fn tell_all(&mut self, mut told_by: impl FnMut(&mut Remembering<'r>) -> Vec<Told>) {
        let told = self.remembering.as_mut().map(&mut told_by);
        self.tell(Side::Rules, self.rule_set, told.unwrap_or_default());
        if let Some((rules, Some(remembering))) = &mut self.baseline {
            let (rules, told) = (*rules, told_by(remembering));
            self.tell(Side::Baseline, rules, told);
        }
    }

    /// Records of insights since the last call, where they are kept.
    pub(crate) fn insights(&mut self) -> Vec<Record> {
        let remembering = self.remembering.as_mut();
        remembering.map(Remembering::insights).unwrap_or_default()
    }

    /// What insights explained, where they were asked to.
    pub(crate) fn explained(&mut self) -> Vec<serde_json::Value> {
        let remembering = self.remembering.as_mut();
        remembering.map(Remembering::explained).unwrap_or_default()
    }

    /// Notes what became of what was remembered.
    pub(crate) fn note_state(&mut self) {
        if let Some(remembering) = &self.remembering {
            self.accounting.state = Some(remembering.counters());
            self.accounting.state_is_kept = remembering.keeps();
        }
    }

    /// Gives back the memory of what was remembered, which nobody asks any more.
    pub(crate) fn forget(&mut self) {
        self.remembering = None;
        if let Some((_, remembering)) = &mut self.baseline {
            *remembering = None;
        }
    }

    /// Whether an interruption is an end like any other.
    pub(crate) fn is_live(&self) -> bool {
        self.remembering.as_ref().is_some_and(Remembering::is_live)
    }

    /// Writes what is remembered to where it is kept, if it is.
    pub(crate) fn save_state(&self) -> Result<(), StateFault> {
        match &self.remembering {
            Some(remembering) => remembering.save(),
            None => Ok(()),
        }
    }

    /// Hands on what rules that remember found.
    fn tell(&mut self, side: Side, rules: &RuleSet, told: Vec<Told>) {
        for one in told {
            let (Some(place), Ok(document)) = (
                Place::read(&one.event.origin),
                self.parser.parse(&one.event.bytes),
            ) else {
                continue;
            };
            let shaped = self.shape.shape(&output::Sighting {
                finding: &one.finding,
                rule: one.rule.0 as usize,
                description: &rules.rules()[one.rule.0 as usize].rule.description,
                event: &Event::new(document),
                bytes: &one.event.bytes,
                file: place.file,
                physical_line: place.physical_line,
            });
            let severity = Severity::from_word(&one.finding.severity);
            let declared = rules.rules()[one.rule.0 as usize].rule.severity;
            let placed = Placed {
                side,
                rule: one.rule.0,
                severity: severity.unwrap_or(declared),
                file: place.file,
                position: place.position,
            };
            self.finding(&placed, shaped);
        }
    }

    fn finding(&mut self, placed: &Placed<'_>, shaped: Shaped<O>) {
        if self.telling == Findings::Learnt {
            return;
        }
        self.outlet.finding(placed, shaped);
        if placed.side == Side::Baseline {
            return;
        }
        self.rules[placed.rule as usize].matches += 1;
        let remembers = self.rule_set.rules()[placed.rule as usize].rule.remembers();
        self.accounting.findings_of_memory += u64::from(remembers);
        *self
            .accounting
            .findings
            .entry(placed.severity.as_str())
            .or_default() += 1;
        self.worst = self.worst.max(Some(placed.severity));
    }

    fn close(&mut self, input: usize, fault: Option<InputFault>) {
        let input = &self.inputs[input];
        let fault = fault.map(|fault| {
            // A folder may hold what was never meant to be read; a log cut short was.
            self.unread |= !fault.is_other_format() || input.mention == Mention::Named;
            (fault.as_str(), with_causes(&fault))
        });
        self.accounting.close(InputAccount {
            file: input.name.clone(),
            counts: std::mem::take(&mut self.counts),
            fault,
        });
        self.position = 0;
    }
}

impl<O: Outlet> Sink<Examined<Shaped<O>>> for Reporter<'_, O> {
    fn take(&mut self, delivery: Delivery<Examined<Shaped<O>>>) -> Flow {
        match delivery {
            Delivery::Output(input, examined) => self.batch(input, examined),
            Delivery::End(input, fault) => {
                let failed = fault.is_some();
                self.close(input, fault);
                let fatal = failed && self.strictness == Strictness::Strict;
                if fatal { Flow::Stop } else { Flow::Continue }
            }
        }
    }

    fn pause(&mut self) -> Flow {
        match self.outlet.flush() {
            Flow::Continue => self.save_meanwhile(),
            Flow::Stop => Flow::Stop,
        }
    }
}
