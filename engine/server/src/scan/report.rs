//! The ordered stage: gives positions, drops duplicates, counts, writes.
//!
//! Runs in input order whatever the number of threads, one batch at a time, so all that is counted and
//! written here is the same in every run. Must stay light: what is heavy (parsing, evaluating, rendering)
//! was done by the threads.

use super::accounting::{Accounting, Counts, InputAccount, RejectedRecord};
use super::examine::{Dedup, Examined, Mark, RejectedHere};
use super::progress::Progress;
use super::statistics::RuleCounts;
use crate::input::decode::InputFault;
use crate::input::resolve::{Input, Mention};
use crate::output::{Format, Rendered};
use crate::pipeline::dedup::{IDS_REMEMBERED, RecentIds, Sighting};
use crate::pipeline::{Delivery, Flow, Sink};
use std::io::{self, Write};
use tripline_core::rule::Severity;

/// Rendered findings are handed to the operating system in portions of this size.
const WRITE_BYTES: usize = 64 * 1024;

/// Whether rejected input ends the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    Tolerant,
    Strict,
}

/// Where findings go.
pub(crate) struct Reporter<'r> {
    inputs: &'r [Input],
    format: &'r Format,
    out: Box<dyn Write + Send>,
    pending: Vec<u8>,
    progress: Progress,
    strictness: Strictness,
    recent: Option<RecentIds>,
    pub(crate) accounting: Accounting,
    pub(crate) rules: Vec<RuleCounts>,
    /// Counts of the input at hand, and the position of its last record.
    counts: Counts,
    position: u64,
    /// Whether the last record was a duplicate.
    again: bool,
    written: u64,
    /// Highest severity found.
    pub(crate) worst: Option<Severity>,
    /// Something could not be opened or read to its end, so nobody knows what was missed.
    pub(crate) unread: bool,
    /// Why writing stopped, if it did.
    pub(crate) write_fault: Option<io::Error>,
}

impl<'r> Reporter<'r> {
    /// A reporter before the first finding; `rules` is their number.
    pub(crate) fn new(
        (inputs, rules): (&'r [Input], usize),
        format: &'r Format,
        out: Box<dyn Write + Send>,
        progress: Progress,
        (dedup, strictness): (Dedup, Strictness),
    ) -> Self {
        Self {
            inputs,
            format,
            out,
            pending: Vec::new(),
            progress,
            strictness,
            recent: (dedup == Dedup::ById).then(|| RecentIds::new(IDS_REMEMBERED)),
            accounting: Accounting::default(),
            rules: vec![RuleCounts::default(); rules],
            counts: Counts::default(),
            position: 0,
            again: false,
            written: 0,
            worst: None,
            unread: false,
            write_fault: None,
        }
    }

    /// Notes something on the way to inputs that could not be followed.
    pub(crate) fn unresolved(&mut self, path: String, error: &io::Error) {
        self.accounting.fault(path, error.to_string());
        self.unread = true;
    }

    /// Writes text right away.
    pub(crate) fn write(&mut self, text: &[u8]) -> Flow {
        self.pending.extend_from_slice(text);
        self.flush()
    }

    /// Ends the account of an input that was cut short. Inputs are closed in order, so it is the one after
    /// those that are.
    pub(crate) fn close_unfinished(&mut self) {
        if self.counts != Counts::default() {
            self.close(self.accounting.inputs_read as usize, None);
        }
    }

    fn batch(&mut self, input: usize, examined: Examined) -> Flow {
        let file = &self.inputs[input].name;
        let mut found = examined.found.into_iter().peekable();
        let mut undecided = examined.undecided.into_iter().peekable();
        let mut not_applicable = examined.not_applicable.into_iter().peekable();
        let mut excused = examined.excused.into_iter().peekable();
        let mut rejected = examined.rejected.into_iter().peekable();
        for (record, mark) in (0u32..).zip(&examined.marks) {
            let begins = !matches!(mark, Mark::Continued);
            self.position += u64::from(begins);
            self.counts.read += u64::from(begins);
            let again = match mark {
                Mark::Evaluated(id) => self.is_again(*id),
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
            let mut any = false;
            while let Some(one) = found.next_if(|one| one.record == record) {
                if !again {
                    any = true;
                    self.finding(one.rule, one.severity, &one.rendered);
                }
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
        if self.pending.len() >= WRITE_BYTES {
            self.flush()
        } else {
            Flow::Continue
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

    fn finding(&mut self, rule: u32, severity: Severity, rendered: &Rendered) {
        if self.written > 0 {
            self.pending
                .extend_from_slice(self.format.separator().as_bytes());
        }
        self.written += 1;
        let (before, after) = rendered.text.split_at(rendered.position_at);
        self.pending.extend_from_slice(before);
        self.pending
            .extend_from_slice(self.position.to_string().as_bytes());
        self.pending.extend_from_slice(after);
        self.rules[rule as usize].matches += 1;
        *self
            .accounting
            .findings
            .entry(severity.as_str())
            .or_default() += 1;
        self.worst = self.worst.max(Some(severity));
    }

    fn close(&mut self, input: usize, fault: Option<InputFault>) {
        let input = &self.inputs[input];
        let fault = fault.map(|fault| {
            // A folder may hold what was never meant to be read; a log cut short was.
            self.unread |= !fault.is_other_format() || input.mention == Mention::Named;
            (fault.as_str(), words(&fault))
        });
        self.accounting.close(InputAccount {
            file: input.name.clone(),
            counts: std::mem::take(&mut self.counts),
            fault,
        });
        self.position = 0;
    }

    fn flush(&mut self) -> Flow {
        if self.pending.is_empty() {
            return Flow::Continue;
        }
        let Self {
            out,
            pending,
            progress,
            ..
        } = self;
        let written = progress.aside(|| out.write_all(pending).and_then(|()| out.flush()));
        self.pending.clear();
        match written {
            Ok(()) => Flow::Continue,
            Err(error) => {
                self.write_fault = Some(error);
                Flow::Stop
            }
        }
    }
}

impl Sink<Examined> for Reporter<'_> {
    fn take(&mut self, delivery: Delivery<Examined>) -> Flow {
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
        self.flush()
    }
}

/// A fault with its cause.
fn words(fault: &InputFault) -> String {
    match std::error::Error::source(fault) {
        Some(cause) => format!("{fault}: {cause}"),
        None => fault.to_string(),
    }
}
