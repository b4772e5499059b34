//! What became of every record.
//!
//! Invariant: read = matched + unmatched + duplicates + rejected, for every input and for the run. A record is
//! one value of an input, or one stretch of text that is none; each is read once and counted in one place.
//! What rules that remember find is about many records, so no record is matched by it. How many they observed is
//! counted apart: observed records are among the matched and unmatched ones, never among duplicates.
//! Faults of whole inputs (no permission, compression cut short) are counted apart: nobody knows how many
//! records they cost.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tripline_core::event::Reason;
use tripline_core::state::StateCounters;

use crate::input::split::Fault;

/// Records of each kind of rejection that are shown one by one.
pub(crate) const REJECTIONS_SHOWN: usize = 3;

/// Why a record was not evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rejection {
    /// The event parser refused it.
    Event(Reason),
    /// A broken record hides what follows it.
    Unseparable,
    /// UTF-16 or UTF-32.
    WideCharacters,
    /// A decoder passed over it.
    Undecodable,
}

impl Rejection {
    /// Stable name, as counted.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Event(reason) => reason.as_str(),
            Self::Unseparable => "unseparable",
            Self::WideCharacters => "not_utf8",
            Self::Undecodable => "undecodable",
        }
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Truncated => Self::Event(Reason::Truncated),
            Fault::TooLong => Self::Event(Reason::TooLong),
            Fault::Syntax => Self::Event(Reason::Syntax),
            Fault::Unseparable => Self::Unseparable,
            Fault::WideCharacters => Self::WideCharacters,
        }
    }
}

/// One rejected record, to be shown.
#[derive(Clone, Debug)]
pub(crate) struct RejectedRecord {
    pub(crate) file: String,
    /// Its position among the records of its file, from 1.
    pub(crate) position: u64,
    pub(crate) physical_line: u64,
    /// Byte of the (decompressed) file.
    pub(crate) offset: u64,
    pub(crate) rejection: Rejection,
    /// What exactly is wrong.
    pub(crate) detail: String,
}

impl RejectedRecord {
    /// `file:position: reason: detail`, with the line and byte where it is.
    pub(crate) fn to_text(&self) -> String {
        let Self {
            file,
            position,
            physical_line,
            offset,
            rejection,
            detail,
        } = self;
        // Where it stood in what the decoder made tells nobody anything.
        if *rejection == Rejection::Undecodable {
            return format!("{file}:{position}: {}: {detail}", rejection.as_str());
        }
        let line = if physical_line == position {
            String::new()
        } else {
            format!("line {physical_line}, ")
        };
        format!(
            "{file}:{position}: {}: {detail} ({line}byte {offset})",
            rejection.as_str()
        )
    }
}

/// Counts of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) read: u64,
    pub(crate) matched: u64,
    pub(crate) unmatched: u64,
    pub(crate) duplicates: u64,
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    /// Those that a rule that remembers was told of: some of the matched and unmatched. Those that all of them left out,
    /// late ones for instance, are not among them; they are counted with the state.
    pub(crate) observed: u64,
}

impl Counts {
    /// All rejected records.
    pub(crate) fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Whether every record is accounted for.
    pub(crate) fn balance(&self) -> bool {
        self.read == self.matched + self.unmatched + self.duplicates + self.rejected_total()
            && self.observed <= self.matched + self.unmatched
    }

    fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.matched += other.matched;
        self.unmatched += other.unmatched;
        self.duplicates += other.duplicates;
        self.observed += other.observed;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "read": self.read,
            "matched": self.matched,
            "unmatched": self.unmatched,
            "duplicates": self.duplicates,
            "rejected": self.rejected_total(),
            "rejected_by_reason": self.rejected,
            "observed": self.observed,
        })
    }
}

/// One input's account.
#[derive(Clone, Debug)]
pub(crate) struct InputAccount {
    pub(crate) file: String,
    pub(crate) counts: Counts,
    /// What went wrong with the input as a whole: short name and words.
    pub(crate) fault: Option<(&'static str, String)>,
}

/// The account of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounting {
    pub(crate) total: Counts,
    /// Inputs that hold something worth telling, and as many others as are kept.
    pub(crate) inputs: Vec<InputAccount>,
    pub(crate) inputs_read: u64,
    pub(crate) inputs_empty: u64,
    /// Faults of whole inputs, and of folders on the way to them.
    pub(crate) faults: Vec<(String, String)>,
    pub(crate) faults_total: u64,
    /// Records shown one by one.
    pub(crate) rejections: Vec<RejectedRecord>,
    pub(crate) findings: BTreeMap<&'static str, u64>,
    /// Those of rules that remember.
    pub(crate) findings_of_memory: u64,
    /// Verdicts that could not be decided.
    pub(crate) indeterminate: u64,
    /// Verdicts that could not be decided because the event is of another source than the rule.
    pub(crate) not_applicable: u64,
    /// Verdicts of rules that pass an event over of which a plugin gave no answer.
    pub(crate) skipped: u64,
    /// Findings that an exception excused.
    pub(crate) excused: u64,
    /// What became of what rules remember; nothing when none does.
    pub(crate) state: Option<StateCounters>,
    /// What waits at the end is kept for another scan.
    pub(crate) state_is_kept: bool,
}

/// Accounts of inputs kept for `--stats`; further ones are only in the total.
const INPUT_ACCOUNTS_MAX: usize = 10_000;

/// Faults of inputs that are kept with their words.
const FAULTS_KEPT_MAX: usize = 1000;

impl Accounting {
    /// Closes the account of an input.
    pub(crate) fn close(&mut self, account: InputAccount) {
        debug_assert!(account.counts.balance(), "{account:?}");
        self.inputs_read += 1;
        self.inputs_empty += u64::from(account.counts.read == 0 && account.fault.is_none());
        self.total.add(&account.counts);
        if let Some((_, words)) = &account.fault {
            self.fault(account.file.clone(), words.clone());
        }
        if self.inputs.len() < INPUT_ACCOUNTS_MAX {
            self.inputs.push(account);
        }
    }

    /// Notes that something could not be read.
    pub(crate) fn fault(&mut self, file: String, words: String) {
        self.faults_total += 1;
        if self.faults.len() < FAULTS_KEPT_MAX {
            self.faults.push((file, words));
        }
    }

    /// Notes a rejected record that may be shown.
    pub(crate) fn show_rejection(&mut self, record: RejectedRecord) {
        let same = self
            .rejections
            .iter()
            .filter(|one| one.rejection == record.rejection)
            .count();
        if same < REJECTIONS_SHOWN {
            self.rejections.push(record);
        }
    }

    /// Whether nothing of the input was lost.
    pub(crate) fn is_complete(&self) -> bool {
        self.faults_total == 0 && self.total.rejected_total() == 0
    }

    /// All findings.
    pub(crate) fn findings_total(&self) -> u64 {
        self.findings.values().sum()
    }

    /// What a person should know: rejected records and faults.
    pub(crate) fn notices(&self) -> impl Iterator<Item = String> {
        let rejections = self.rejections.iter().map(RejectedRecord::to_text);
        let faults = self
            .faults
            .iter()
            .map(|(file, words)| format!("{file}: {words}"));
        rejections.chain(faults)
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Value {
        let mut account = json!({
            "records": self.total.to_json(),
            "inputs": { "read": self.inputs_read, "empty": self.inputs_empty, "faults": self.faults_total },
            "findings": self.findings_total(),
            "findings_by_severity": self.findings,
            "findings_of_rules_that_remember": self.findings_of_memory,
            "indeterminate": self.indeterminate,
            "not_applicable": self.not_applicable,
            "excused": self.excused,
        });
        if self.skipped > 0 {
            account["skipped"] = json!(self.skipped);
        }
        if let Some(state) = &self.state {
            account["state"] = json!(state);
        }
        account
    }
}
