//! What people said of findings, and what follows for rules.
//!
//! A label belongs to a rule and an event, so that it survives every edit of the rule; one that names only a finding
//! id holds for one version. Labelled true and not found is a miss, unless the event was not among what was read:
//! then nothing follows. A rule that is not in force misses everything.
//!
//! Verdicts: fewer than `LABELS_MIN` labels say nothing. A rule that missed a true positive is to be tuned. One with
//! only false positives, `FALSE_RETIRE` of them, is to be retired. One of which less than `PRECISION_KEEP` is true is
//! to be tuned; all others are kept. Half is where a person who looks at a finding is more often right than wrong.

use super::keep::{EventName, Keeper, KeptFinding};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::hash::RandomState;
use thiserror::Error;
use tripline_core::evaluate::RuleSet;

use crate::scan::record_id::id_number;
use crate::terminal::counted;

/// Labels of findings that a verdict needs.
pub(crate) const LABELS_MIN: u64 = 5;
/// False positives, and nothing else, that retire a rule.
pub(crate) const FALSE_RETIRE: u64 = 10;
/// The share of true positives from which a rule is kept.
pub(crate) const PRECISION_KEEP: f64 = 0.5;

/// Labels in one file.
const LABELS_MAX: usize = 1_000_000;

/// Why labels could not be read.
#[derive(Debug, Error)]
pub(crate) enum LabelError {
    #[error("{path}:{line}: {reason}")]
    Line {
        path: String,
        line: usize,
        reason: String,
    },
    #[error("{0}: holds no label")]
    Empty(String),
}

/// What a person said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
}

impl Truth {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::True => "true_positive",
            Self::False => "false_positive",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        match word
            .trim()
            .to_ascii_lowercase()
            .replace(['-', ' '], "_")
            .as_str()
        {
            "true_positive" | "tp" | "true" => Some(Self::True),
            "false_positive" | "fp" | "false" => Some(Self::False),
            _ => None,
        }
    }
}

/// A line as it is written; what else a line of a scan holds is passed over.
#[derive(Default, Deserialize)]
struct Line {
    #[serde(default)]
    rule_id: String,
    event_id: Option<String>,
    finding_id: Option<String>,
    #[serde(default)]
    label: String,
    note: Option<String>,
}

/// What a label is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    Event(String),
    Finding(u128),
}

/// One label.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) rule: String,
    pub(crate) about: About,
    pub(crate) truth: Truth,
    pub(crate) note: Option<String>,
}

/// What became of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Found,
    Missed,
    /// The event is not among what was read.
    NotRead,
    /// No rule of this id is in force.
    NoRule,
}

impl Outcome {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Missed => "not_found",
            Self::NotRead => "not_read",
            Self::NoRule => "no_rule",
        }
    }
}

/// Reads a file of labels: JSON lines, or CSV with a header.
pub(crate) fn read(path: &str, text: &str) -> Result<Vec<Label>, LabelError> {
    let fault = |line: usize, reason: String| LabelError::Line {
        path: path.to_owned(),
        line,
        reason,
    };
    let lines = if text.trim_start().starts_with('{') {
        json_lines(text)
    } else {
        csv_lines(text)
    };
    let mut labels = Vec::new();
    let mut said: BTreeMap<(String, About), Truth> = BTreeMap::new();
    for (number, line) in lines {
        let label = line
            .and_then(label_of)
            .map_err(|reason| fault(number, reason))?;
        let key = (label.rule.clone(), label.about.clone());
        match said.insert(key, label.truth) {
            Some(before) if before != label.truth => {
                let words = "an earlier line says the opposite of the same finding";
                return Err(fault(number, words.to_owned()));
            }
            Some(_) => {}
            None => labels.push(label),
        }
        if labels.len() > LABELS_MAX {
            return Err(fault(number, format!("more than {LABELS_MAX} labels")));
        }
    }
    if labels.is_empty() {
        return Err(LabelError::Empty(path.to_owned()));
    }
    Ok(labels)
}

fn label_of(line: Line) -> Result<Label, String> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let truth = Truth::from_word(&line.label).ok_or_else(|| {
        format!(
            "label `{}`: give true_positive or false_positive",
            line.label
        )
    })?;
    if line.rule_id.is_empty() {
        return Err("no rule_id".to_owned());
    }
    let about = match (given(&line.event_id), given(&line.finding_id)) {
        (Some(event), _) => About::Event(event),
        (None, Some(finding)) => match u128::from_str_radix(&finding, 16) {
            Ok(number) if finding.len() == 32 => About::Finding(number),
            _ => return Err(format!("finding_id `{finding}`: not 32 hexadecimal digits")),
        },
        (None, None) => return Err("neither event_id nor finding_id".to_owned()),
    };
    Ok(Label {
        rule: line.rule_id,
        about,
        truth,
        note: given(&line.note),
    })
}

type Lines = Vec<(usize, Result<Line, String>)>;

fn json_lines(text: &str) -> Lines {
    let lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    let read = |line: &str| serde_json::from_str(line).map_err(|error| json_words(&error));
    lines.map(|(number, line)| (number, read(line))).collect()
}

/// What is wrong with a line. It was read by itself, so that only the column says where.
fn json_words(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let words = error.to_string();
    match words.strip_suffix(&format!(" at line {line} column {column}")) {
        Some(words) => format!("{words} (column {column})"),
        None => words,
    }
}

fn csv_lines(text: &str) -> Lines {
    let mut rows = csv_rows(text.trim_start_matches('\u{feff}')).into_iter();
    let Some((_, Ok(head))) = rows.next() else {
        return Vec::new();
    };
    let head: Vec<String> = head.iter().map(|name| name.trim().to_owned()).collect();
    if !head.iter().any(|name| name == "rule_id") || !head.iter().any(|name| name == "label") {
        let words =
            "the first line must name the columns: rule_id, event_id or finding_id, label, note";
        return vec![(1, Err(words.to_owned()))];
    }
    let line = |row: Vec<String>| {
        let mut line = Line::default();
        if row.len() != head.len() {
            return Err(format!("{} values under {} columns", row.len(), head.len()));
        }
        for (name, value) in head.iter().zip(row) {
            match name.as_str() {
                "rule_id" => line.rule_id = value,
                "event_id" => line.event_id = Some(value),
                "finding_id" => line.finding_id = Some(value),
                "label" => line.label = value,
                "note" => line.note = Some(value),
                _ => {}
            }
        }
        Ok(line)
    };
    rows.map(|(number, row)| (number, row.and_then(line)))
        .collect()
}

/// Rows of CSV with the line on which each begins. Quoted values may hold commas, line ends and doubled quotes.
fn csv_rows(text: &str) -> Vec<(usize, Result<Vec<String>, String>)> {
    let mut rows = Vec::new();
    let (mut row, mut value, mut quoted) = (Vec::new(), String::new(), false);
    let (mut line, mut begun) = (1, 1);
    let mut chars = text.chars().peekable();
    while let Some(one) = chars.next() {
        line += usize::from(one == '\n');
        match one {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                value.push('"');
            }
            '"' if quoted || value.is_empty() => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut value)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut value));
                let whole = std::mem::take(&mut row);
                if whole != [String::new()] {
                    rows.push((begun, Ok(whole)));
                }
                begun = line;
            }
            other => value.push(other),
        }
    }
    if quoted {
        rows.push((begun, Err("a quote is not closed".to_owned())));
    } else if !value.is_empty() || !row.is_empty() {
        row.push(value);
        rows.push((begun, Ok(row)));
    }
    rows
}

/// Numbers under which the records of labelled events are awaited.
pub(crate) fn awaited<'l>(
    labels: &'l [Label],
    states: &'l [RandomState; 2],
) -> impl Iterator<Item = u128> + 'l {
    labels.iter().filter_map(move |label| match &label.about {
        About::Event(id) => Some(id_number(id, states)),
        About::Finding(_) => None,
    })
}

/// What the labels of one rule come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleLabels {
    pub(crate) true_found: u64,
    pub(crate) true_missed: u64,
    pub(crate) false_found: u64,
    pub(crate) not_read: u64,
}

impl RuleLabels {
    /// The share of labelled findings that are true.
    pub(crate) fn precision(&self) -> Option<f64> {
        let found = self.true_found + self.false_found;
        (found > 0).then(|| self.true_found as f64 / found as f64)
    }

    /// The share of true labels whose event was read that are found.
    pub(crate) fn recall(&self) -> Option<f64> {
        let all = self.true_found + self.true_missed;
        (all > 0).then(|| self.true_found as f64 / all as f64)
    }

    /// What to do with the rule, and why.
    pub(crate) fn verdict(&self) -> (&'static str, String) {
        let found = self.true_found + self.false_found;
        let precision = self.precision().unwrap_or(0.0);
        let findings = counted(found, "labelled finding");
        let verb = if self.true_found == 1 { "is" } else { "are" };
        let share = format!("{} of {findings} {verb} true", self.true_found);
        if self.true_missed > 0 {
            let (missed, verb) = (
                self.true_missed,
                if self.true_missed == 1 { "is" } else { "are" },
            );
            let words = format!("{missed} labelled true {verb} not found");
            return ("tune", words);
        }
        if found < LABELS_MIN {
            let words = format!("{findings}; a verdict needs {LABELS_MIN}");
            return ("undecided", words);
        }
        if self.true_found == 0 && self.false_found >= FALSE_RETIRE {
            return ("retire", format!("none of {findings} is true"));
        }
        if precision < PRECISION_KEEP {
            return ("tune", share);
        }
        ("keep", share)
    }
}

/// Labels with what became of each.
pub(crate) struct LabelReport {
    pub(crate) labels: Vec<(Label, Outcome)>,
    /// By rule id, for those with labels.
    pub(crate) rules: BTreeMap<String, RuleLabels>,
    /// What is said of findings, by their number.
    pub(crate) said: HashMap<u32, Truth>,
}

/// Finds what labels are about.
pub(crate) fn judge(
    labels: Vec<Label>,
    (rules, keeper): (&RuleSet, &Keeper),
    findings: &[KeptFinding],
    states: &[RandomState; 2],
) -> LabelReport {
    let number = |id: &str| {
        rules
            .rules()
            .iter()
            .position(|one| one.rule.id.as_str() == id)
    };
    let mut by_event: HashMap<(u32, EventName), Vec<usize>> = HashMap::new();
    let mut by_id: HashMap<(u32, u128), Vec<usize>> = HashMap::new();
    for (at, label) in labels.iter().enumerate() {
        let Some(rule) = number(&label.rule) else {
            continue;
        };
        match &label.about {
            About::Event(id) => {
                if let Some(name) = keeper.event_name(id) {
                    let key = (rule as u32, name);
                    by_event.entry(key).or_default().push(at);
                }
            }
            About::Finding(id) => by_id.entry((rule as u32, *id)).or_default().push(at),
        }
    }
    let mut found = vec![false; labels.len()];
    let mut said = HashMap::new();
    for (place, finding) in (0u32..).zip(findings) {
        let events = by_event.get(&(finding.rule, finding.event));
        let ids = by_id.get(&(finding.rule, finding.finding_id));
        for at in events.into_iter().chain(ids).flatten() {
            found[*at] = true;
            said.insert(place, labels[*at].truth);
        }
    }
    let mut of_rules: BTreeMap<String, RuleLabels> = BTreeMap::new();
    let mut judged = Vec::with_capacity(labels.len());
    for (label, found) in labels.into_iter().zip(found) {
        let outcome = match &label.about {
            _ if number(&label.rule).is_none() => Outcome::NoRule,
            _ if found => Outcome::Found,
            About::Event(id) if !keeper.came(id_number(id, states)) => Outcome::NotRead,
            About::Event(_) | About::Finding(_) => Outcome::Missed,
        };
        let rule = of_rules.entry(label.rule.clone()).or_default();
        match (outcome, label.truth) {
            (Outcome::Found, Truth::True) => rule.true_found += 1,
            (Outcome::Found, Truth::False) => rule.false_found += 1,
            (Outcome::Missed | Outcome::NoRule, Truth::True) => rule.true_missed += 1,
            (Outcome::Missed | Outcome::NoRule, Truth::False) => {}
            (Outcome::NotRead, _) => rule.not_read += 1,
        }
        judged.push((label, outcome));
    }
    LabelReport {
        labels: judged,
        rules: of_rules,
        said,
    }
}

impl LabelReport {
    /// Whether something labelled true is missing.
    pub(crate) fn misses(&self) -> bool {
        let missed = |(label, outcome): &(Label, Outcome)| {
            label.truth == Truth::True && matches!(outcome, Outcome::Missed | Outcome::NoRule)
        };
        self.labels.iter().any(missed)
    }
}

#[cfg(test)]
mod tests;
