//! What plugins answer, as plain values, and the checks that make answers of what they gave back.
//!
//! Whatever the contract promises is checked here once, so that nobody behind has to doubt it. What is merely too long to
//! show is cut; what contradicts the contract is refused as a whole, since a plugin that gets one row wrong is not to be
//! believed about the others.

use crate::batch::{BatchFault, BatchView, Cell, ColumnKind};
use crate::fault::Fault;
use crate::grant::events::Value;
use crate::limits::{
    ATTRIBUTES_MAX, BAD_MAX, DECODER_STATE_BYTES_MAX, EVIDENCE_MAX, JSON_DEPTH_MAX, LINE_BYTES_MAX,
    STEPS_MAX,
};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use tripline_core::diagnostic::Printable;

/// Names and values, each name once.
pub type Attributes = Vec<(String, Value)>;

/// Facts beside events: a batch whose every cell was read once.
#[derive(Clone, Debug, PartialEq)]
pub struct Enriched {
    bytes: Vec<u8>,
    rows: usize,
    kinds: Vec<ColumnKind>,
}

impl Enriched {
    pub(crate) fn check(bytes: Vec<u8>, rows: usize, kinds: &[ColumnKind]) -> Result<Self, Fault> {
        let wrong = |fault: BatchFault| Fault::output(fault.to_string());
        let view = BatchView::read(&bytes, rows, kinds).map_err(wrong)?;
        for column in view.columns() {
            for row in 0..rows {
                if let Some(Cell::Json(text)) = column.cell(row).map_err(wrong)? {
                    check_json(text)?;
                }
            }
        }
        drop(view);
        Ok(Self {
            bytes,
            rows,
            kinds: kinds.to_vec(),
        })
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The batch itself.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The cells. Fails only when the host's own code is wrong.
    pub fn view(&self) -> Result<BatchView<'_>, BatchFault> {
        BatchView::read(&self.bytes, self.rows, &self.kinds)
    }
}

/// Whether a cell is JSON that rules can read.
fn check_json(text: &str) -> Result<(), Fault> {
    let value: Json = serde_json::from_str(text)
        .map_err(|why| Fault::output(format!("a value that is to be JSON is none: {why}")))?;
    match depth(&value) > JSON_DEPTH_MAX {
        true => Err(Fault::output(format!(
            "a JSON value nests deeper than {JSON_DEPTH_MAX}"
        ))),
        false => Ok(()),
    }
}

/// How deep a value nests; 0 for what holds nothing.
pub fn depth(value: &Json) -> usize {
    let inner = match value {
        Json::Array(items) => items.iter().map(depth).max(),
        Json::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names that rule files use.
pub enum Severity {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

/// What a detector found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// From 0 to 1, how sure the plugin is.
    pub score: f64,
    /// One line for people.
    pub title: String,
    /// What it is filed under.
    pub dedup_key: Option<String>,
    /// What the plugin saw.
    pub evidence: Attributes,
}

/// A finding about one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// A row that is there.
    pub row: u32,
    /// What was found.
    pub finding: Finding,
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// No opinion.
    Abstain,
    /// It may be done.
    Allow,
    /// A person has to agree.
    RequireApproval,
    /// It must not be done.
    Deny,
}

/// The answer for one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The answer.
    pub effect: Effect,
    /// Why, in one line.
    pub reason: String,
    /// What else is to be kept in mind.
    pub obligations: Attributes,
}

/// A part of an input that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Bytes from the start of the chunk.
    pub offset: u64,
    /// Why.
    pub message: String,
}

/// What became of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes of the chunk are done with.
    pub consumed: u32,
    /// The events, one JSON object a line; not checked.
    pub events: Vec<u8>,
    /// What was passed over.
    pub bad: Vec<Bad>,
    /// Given back with the next chunk.
    pub state: Vec<u8>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Unique within the plan.
    pub id: String,
    /// What a person is shown before agreeing.
    pub summary: String,
    /// Whether it can be taken back.
    pub reversible: bool,
    /// What executing it needs.
    pub arguments: Attributes,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whether anything is different now.
    pub changed: bool,
    /// For people.
    pub message: String,
    /// What taking it back needs.
    pub undo_token: Option<String>,
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
}

fn check_attributes(attributes: &Attributes, most: usize, what: &str) -> Result<(), Fault> {
    if attributes.len() > most {
        let is = attributes.len();
        return Err(Fault::output(format!(
            "{is} {what} instead of at most {most}"
        )));
    }
    let names: BTreeSet<&str> = attributes.iter().map(|(name, _)| name.as_str()).collect();
    if names.len() < attributes.len() {
        return Err(Fault::output(format!("a name stands twice in {what}")));
    }
    let is_number = |value: &Value| !matches!(value, Value::Float(value) if !value.is_finite());
    match attributes.iter().all(|(_, value)| is_number(value)) {
        true => Ok(()),
        false => Err(Fault::output(format!("a number in {what} is not finite"))),
    }
}

/// Hits are ordered by row, at most one a row, and about rows that are there.
pub(crate) fn check_hits(mut hits: Vec<Hit>, rows: usize) -> Result<Vec<Hit>, Fault> {
    let mut next = 0;
    for hit in &mut hits {
        let row = hit.row as usize;
        if row >= rows {
            return Err(Fault::output(format!("a hit on row {row} of {rows}")));
        }
        if row < next {
            return Err(Fault::output(format!(
                "the hit on row {row} is out of order"
            )));
        }
        next = row + 1;
        let finding = &mut hit.finding;
        // This refuses NaN too.
        if !(0.0..=1.0).contains(&finding.score) {
            let score = finding.score;
            return Err(Fault::output(format!("the score {score} of row {row}")));
        }
        check_attributes(&finding.evidence, EVIDENCE_MAX, "entries of evidence")?;
        cut(&mut finding.title);
    }
    Ok(hits)
}

/// One number a row; NaN is no opinion.
pub(crate) fn check_scores(scores: Vec<f64>, rows: usize) -> Result<Vec<Option<f64>>, Fault> {
    check_rows(scores.len(), rows, "scores")?;
    let check = |(row, score): (usize, f64)| match score {
        score if score.is_nan() => Ok(None),
        score if score.is_finite() => Ok(Some(score)),
        score => Err(Fault::output(format!("the score {score} of row {row}"))),
    };
    scores.into_iter().enumerate().map(check).collect()
}

/// One decision a row.
pub(crate) fn check_decisions(
    mut decisions: Vec<Decision>,
    rows: usize,
) -> Result<Vec<Decision>, Fault> {
    check_rows(decisions.len(), rows, "decisions")?;
    for decision in &mut decisions {
        check_attributes(&decision.obligations, ATTRIBUTES_MAX, "obligations")?;
        // It is shown to whoever asked, on a terminal perhaps.
        cut(&mut decision.reason);
        decision.reason = Printable(&decision.reason).to_string();
        cut(&mut decision.reason);
    }
    Ok(decisions)
}

fn check_rows(is: usize, rows: usize, what: &str) -> Result<(), Fault> {
    match is == rows {
        true => Ok(()),
        false => Err(Fault::output(format!("{is} {what} for {rows} rows"))),
    }
}

/// No more is consumed than was given, and what was passed over lies within it.
pub(crate) fn check_decoded(mut decoded: Decoded, chunk: usize) -> Result<Decoded, Fault> {
    let consumed = decoded.consumed as usize;
    if consumed > chunk {
        let what = format!("{consumed} bytes consumed of {chunk}");
        return Err(Fault::output(what));
    }
    let state = decoded.state.len();
    if state > DECODER_STATE_BYTES_MAX {
        return Err(Fault::output(format!("a state of {state} bytes")));
    }
    if decoded.bad.len() > BAD_MAX {
        let is = decoded.bad.len();
        return Err(Fault::output(format!("{is} parts that were passed over")));
    }
    for bad in &mut decoded.bad {
        if bad.offset > chunk as u64 {
            let offset = bad.offset;
            return Err(Fault::output(format!("a bad part at {offset} of {chunk}")));
        }
        cut(&mut bad.message);
    }
    Ok(decoded)
}

/// Steps have ids of their own.
pub(crate) fn check_steps(mut steps: Vec<Step>) -> Result<Vec<Step>, Fault> {
    if steps.len() > STEPS_MAX {
        let is = steps.len();
        return Err(Fault::output(format!("a plan of {is} steps")));
    }
    let ids: BTreeSet<&str> = steps.iter().map(|step| step.id.as_str()).collect();
    if ids.len() < steps.len() || ids.contains("") {
        return Err(Fault::output("steps without ids of their own"));
    }
    for step in &mut steps {
        check_attributes(&step.arguments, ATTRIBUTES_MAX, "arguments")?;
        cut(&mut step.summary);
    }
    Ok(steps)
}

pub(crate) fn check_outcome(mut outcome: Outcome) -> Outcome {
    cut(&mut outcome.message);
    outcome
}
