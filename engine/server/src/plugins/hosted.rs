//! A plugin of the host, as rules ask it.

use super::answers::RowAnswer;
use super::gather::{Ask, Remember, pack};
use crate::input::through::{Made, MakeEvents, PassedOver};
use serde_json::{Map, Value, json};
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tripline_core::event::{Event, FieldPath, Json, Number, Parser};
use tripline_core::rule::Effect;
use tripline_core::wire::PluginMemory;
use tripline_host::answer::depth;
use tripline_host::batch::{BatchView, Cell, ColumnKind};
use tripline_host::grant::events::{EventRows, Value as EventValue};
use tripline_host::limits::{ANSWER_BYTES_MAX, JSON_DEPTH_MAX};
use tripline_host::manifest::{Capability, InstanceMode, World};
use tripline_host::{Answer, Batch, Disposition, Fault, Plugin, Remembered, answer};

/// Times that a batch is asked again when the plugin says that it may work later.
const RETRIES_MAX: u32 = 1;
/// Longest wait before asking again: threads that evaluate are waiting.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Times that a test asks again when an answer came too late. The deadline is one of the clock, and the machine that a test runs on may
/// have had other things to do; a plugin that is too slow is so each time.
const LATE_MAX: u32 = 2;

/// Asks, and again while the answer comes too late.
fn patiently<T>(ask: impl Fn() -> Result<T, Fault>) -> Result<T, String> {
    let mut late = 0;
    loop {
        match ask() {
            Err(Fault::Deadline { .. }) if late < LATE_MAX => late += 1,
            answer => return answer.map_err(|fault| fault.to_string()),
        }
    }
}

/// A plugin that runs.
pub(crate) struct Hosted {
    pub(crate) alias: String,
    pub(crate) plugin: Plugin,
    reads: Vec<(FieldPath, ColumnKind)>,
}

impl fmt::Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.alias)
    }
}

impl Hosted {
    pub(crate) fn new(alias: String, plugin: Plugin) -> Self {
        let reads = plugin.manifest().reads.iter();
        let reads = reads.map(|column| (FieldPath::dotted(&column.name), column.kind));
        Self {
            alias,
            reads: reads.collect(),
            plugin,
        }
    }

    /// The batch of some events.
    pub(crate) fn packed(&self, events: &[&[u8]]) -> Result<Vec<u8>, String> {
        pack(&self.reads, events)
    }

    /// Reads every cell of a batch, as native code would, and counts those that have a value.
    pub(crate) fn read(&self, batch: &Batch<'_>) -> Result<usize, String> {
        let kinds: Vec<ColumnKind> = self.reads.iter().map(|(_, kind)| *kind).collect();
        let broken = |fault: tripline_host::batch::BatchFault| fault.to_string();
        let view = BatchView::read(batch.bytes, batch.rows, &kinds).map_err(broken)?;
        let mut values = 0;
        for column in view.columns() {
            for row in 0..batch.rows {
                values += usize::from(column.cell(row).map_err(broken)?.is_some());
            }
        }
        Ok(values)
    }

    /// Asks about a batch, and gives what kept it from being answered.
    pub(crate) fn call(&self, batch: &Batch<'_>) -> Result<(), String> {
        self.called(batch).map_err(|fault| fault.to_string())
    }

    /// The same for a test, which asks again when the answer came too late.
    pub(crate) fn call_patiently(&self, batch: &Batch<'_>) -> Result<(), String> {
        patiently(|| self.called(batch))
    }

    fn called(&self, batch: &Batch<'_>) -> Result<(), Fault> {
        match self.plugin.manifest().world {
            World::Enricher => self.plugin.enrich(batch).map(drop),
            World::Scorer => self.plugin.score(batch).map(drop),
            World::Detector | World::StatefulDetector => self.plugin.detect(batch).map(drop),
            World::Policy => self.plugin.decide(batch).map(drop),
            World::Decoder | World::Remediator | World::Planner => Err(Fault::Misfit(
                "plugins of its kind are not asked about events",
            )),
        }
    }

    /// Asks about some events for a test; at most as many as a batch has.
    pub(crate) fn ask_events(&self, events: &[&[u8]]) -> Result<Vec<RowAnswer>, String> {
        let bytes = self.packed(events)?;
        let batch = Batch {
            bytes: &bytes,
            rows: events.len(),
            events: Some(kept(events)),
            until: None,
        };
        patiently(|| self.once(&batch))
    }

    /// What a policy says of an event, for a test.
    pub(crate) fn decide(&self, events: &[&[u8]]) -> Result<Value, String> {
        let bytes = self.packed(events)?;
        let batch = Batch {
            bytes: &bytes,
            rows: events.len(),
            events: Some(kept(events)),
            until: None,
        };
        let answer = patiently(|| self.plugin.decide(&batch))?;
        if let Some((_, fault)) = answer.faulted.first() {
            return Err(fault.to_string());
        }
        let decision = answer.value.into_iter().flatten().next();
        let decision = decision.ok_or("no decision came")?;
        let effect = effect_word(decision.effect);
        Ok(Value::Object(decision_json(effect, &decision)))
    }

    fn once(&self, batch: &Batch<'_>) -> Result<Vec<RowAnswer>, Fault> {
        let rows = batch.rows;
        match self.plugin.manifest().world {
            World::Enricher => {
                let answer = self.plugin.enrich(batch)?;
                let broken =
                    |fault: tripline_host::batch::BatchFault| Fault::Host(fault.to_string());
                let view = answer.value.view().map_err(broken)?;
                let facts = (0..rows).map(|row| self.facts(&view, row));
                Ok(with_faults(facts.collect(), &answer.faulted))
            }
            World::Scorer => {
                let Answer { value, faulted } = self.plugin.score(batch)?;
                let facts = value.into_iter().map(|score| {
                    let mut facts = Map::new();
                    facts.insert("score".to_owned(), json!(score));
                    RowAnswer::Facts(facts)
                });
                Ok(with_faults(facts.collect(), &faulted))
            }
            World::Detector | World::StatefulDetector => {
                Ok(with_hits(self.plugin.detect(batch)?, rows))
            }
            World::Policy => {
                let Answer { value, faulted } = self.plugin.decide(batch)?;
                let said = value.into_iter().map(|decision| {
                    let said = decision.and_then(|one| Some((rule_effect(one.effect)?, one)));
                    match said {
                        Some((effect, decision)) => {
                            RowAnswer::Decision(decision_json(effect.as_str(), &decision))
                        }
                        None => RowAnswer::Nothing,
                    }
                });
                Ok(with_faults(said.collect(), &faulted))
            }
            World::Decoder | World::Remediator | World::Planner => {
                Err(Fault::Misfit("rules cannot ask it"))
            }
        }
    }

    fn facts(&self, view: &BatchView<'_>, row: usize) -> RowAnswer {
        let mut facts = Map::new();
        let writes = &self.plugin.manifest().writes;
        for (column, declared) in view.columns().iter().zip(writes) {
            let value = match column.cell(row) {
                Ok(None) => Value::Null,
                Ok(Some(Cell::Bool(value))) => json!(value),
                Ok(Some(Cell::Int(value))) => json!(value),
                Ok(Some(Cell::Float(value))) => json!(value),
                Ok(Some(Cell::Text(value))) => json!(value),
                // The host let it through, so it is JSON.
                Ok(Some(Cell::Json(text))) => match serde_json::from_str(text) {
                    Ok(value) => value,
                    Err(fault) => return RowAnswer::Failed(fault.to_string()),
                },
                Err(fault) => return RowAnswer::Failed(fault.to_string()),
            };
            facts.insert(declared.name.clone(), value);
        }
        RowAnswer::Facts(facts)
    }
}

impl Ask for Hosted {
    fn reads(&self) -> &[(FieldPath, ColumnKind)] {
        &self.reads
    }

    /// A fresh instance for each call remembers nothing, and what it may ask is read-only.
    fn is_pure(&self) -> bool {
        let rights = self.plugin.shared().rights();
        let asks = [
            Capability::Clock,
            Capability::Random,
            Capability::Events,
            Capability::Kv,
            Capability::Http,
            Capability::Metrics,
        ];
        self.plugin.manifest().instance == InstanceMode::PerBatch
            && !asks.into_iter().any(|one| rights.has(one))
    }

    fn rows_max(&self) -> usize {
        self.plugin.limits().batch as usize
    }

    fn ask(&self, bytes: &[u8], records: &[&[u8]], until: Option<Instant>) -> Vec<RowAnswer> {
        if self.remembers() {
            let why = "it remembers, and is asked only about all events in their order";
            return vec![RowAnswer::Failed(why.to_owned()); records.len()];
        }
        self.asked_by(|batch| self.once(batch), bytes, records, until)
    }

    fn remembers(&self) -> bool {
        self.plugin.manifest().world == World::StatefulDetector
    }

    fn with_memory(&self, kept: Option<&PluginMemory>) -> Option<Box<dyn Remember + '_>> {
        let state = kept.map(|one| Remembered::of(one.state.clone()));
        let remembering = Remembering {
            hosted: self,
            state: state.unwrap_or_default(),
        };
        self.remembers().then(|| Box::new(remembering) as _)
    }

    fn own_name(&self) -> &str {
        self.plugin.manifest().name.as_str()
    }
}

/// A detector that remembers, in the midst of a stream.
struct Remembering<'h> {
    hosted: &'h Hosted,
    state: Remembered,
}

impl Remember for Remembering<'_> {
    fn ask(&mut self, bytes: &[u8], records: &[&[u8]], until: Option<Instant>) -> Vec<RowAnswer> {
        let once = |batch: &Batch<'_>| {
            let answer = self.hosted.plugin.detect_remembering(batch, &self.state)?;
            Ok(with_hits(answer, batch.rows))
        };
        self.hosted.asked_by(once, bytes, records, until)
    }

    fn memory(&self) -> Option<PluginMemory> {
        Some(PluginMemory {
            plugin: self.hosted.own_name().to_owned(),
            state: self.state.saved()?,
        })
    }
}

impl Hosted {
    /// Without what is too long to stand beside an event: it would push the answers of others out.
    fn bounded(&self, mut answers: Vec<RowAnswer>) -> Vec<RowAnswer> {
        for answer in &mut answers {
            let (RowAnswer::Facts(said) | RowAnswer::Hit(said) | RowAnswer::Decision(said)) =
                answer
            else {
                continue;
            };
            let bytes = text_bytes(said);
            if bytes > ANSWER_BYTES_MAX {
                let fault = Fault::Output(format!(
                    "{bytes} bytes about one event; at most {ANSWER_BYTES_MAX} are taken"
                ));
                self.plugin.count_unusable(&fault, 1);
                *answer = RowAnswer::Failed(fault.to_string());
            }
        }
        answers
    }

    /// Asks about a batch, and again where that may help.
    fn asked_by(
        &self,
        once: impl Fn(&Batch<'_>) -> Result<Vec<RowAnswer>, Fault>,
        bytes: &[u8],
        records: &[&[u8]],
        until: Option<Instant>,
    ) -> Vec<RowAnswer> {
        let rows = records.len();
        let batch = Batch {
            bytes,
            rows,
            events: self.plugin.shared().rights().events.then(|| kept(records)),
            until,
        };
        let in_time = |after| until.is_none_or(|until| Instant::now() + after < until);
        let mut retries = 0;
        loop {
            let fault = match once(&batch) {
                Ok(answers) => return self.bounded(answers),
                Err(fault) => fault,
            };
            match fault.disposition() {
                Disposition::Retry { after }
                    if retries < RETRIES_MAX && after <= WAIT_MAX && in_time(after) =>
                {
                    retries += 1;
                    thread::sleep(after);
                }
                _ => return vec![RowAnswer::Failed(fault.to_string()); rows],
            }
        }
    }
}

impl MakeEvents for Hosted {
    fn name(&self) -> &str {
        &self.alias
    }

    fn make(&self, chunk: &[u8], state: &[u8], last: bool) -> Result<Made, String> {
        let made = self.plugin.decode(chunk, state, last);
        let made = made.map_err(|fault| format!("{}: {fault}", self.alias))?;
        Ok(Made {
            consumed: made.consumed as usize,
            events: made.events,
            bad: made
                .bad
                .into_iter()
                .map(|bad| PassedOver {
                    offset: bad.offset,
                    message: bad.message,
                })
                .collect(),
            state: made.state,
        })
    }
}

fn with_hits(answer: Answer<Vec<answer::Hit>>, rows: usize) -> Vec<RowAnswer> {
    let mut all = vec![RowAnswer::Nothing; rows];
    for hit in answer.value {
        all[hit.row as usize] = RowAnswer::Hit(hit_json(&hit.finding));
    }
    with_faults(all, &answer.faulted)
}

fn with_faults(
    mut answers: Vec<RowAnswer>,
    faulted: &[(std::ops::Range<usize>, Fault)],
) -> Vec<RowAnswer> {
    for (rows, fault) in faulted {
        answers[rows.clone()].fill(RowAnswer::Failed(fault.to_string()));
    }
    answers
}

/// About how much text it is, without escapes.
fn text_bytes(said: &Map<String, Value>) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(|item| 1 + of(item)).sum(),
            Value::Object(fields) => text_bytes(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        }
    }
    said.iter()
        .map(|(name, value)| name.len() + 4 + of(value))
        .sum()
}

/// As rules have it; nothing where there is no opinion.
fn rule_effect(effect: answer::Effect) -> Option<Effect> {
    match effect {
        answer::Effect::Abstain => None,
        answer::Effect::Allow => Some(Effect::Allow),
        answer::Effect::RequireApproval => Some(Effect::RequireApproval),
        answer::Effect::Deny => Some(Effect::Deny),
    }
}

fn decision_json(effect: &str, decision: &answer::Decision) -> Map<String, Value> {
    let obligations = decision.obligations.iter();
    let obligations: Map<String, Value> = obligations
        .map(|(name, value)| (name.clone(), value_json(value)))
        .collect();
    let mut said = Map::new();
    said.insert("effect".to_owned(), json!(effect));
    said.insert("reason".to_owned(), json!(decision.reason));
    said.insert("obligations".to_owned(), Value::Object(obligations));
    said
}

/// The words of `wit/decide.wit`.
fn effect_word(effect: answer::Effect) -> &'static str {
    match effect {
        answer::Effect::Abstain => "abstain",
        answer::Effect::Allow => "allow",
        answer::Effect::RequireApproval => "require-approval",
        answer::Effect::Deny => "deny",
    }
}

/// The words of rule files.
fn severity_word(severity: answer::Severity) -> &'static str {
    match severity {
        answer::Severity::Informational => "informational",
        answer::Severity::Low => "low",
        answer::Severity::Medium => "medium",
        answer::Severity::High => "high",
        answer::Severity::Critical => "critical",
    }
}

fn hit_json(finding: &answer::Finding) -> Map<String, Value> {
    let evidence = finding.evidence.iter();
    let evidence: Map<String, Value> = evidence
        .map(|(name, value)| (name.clone(), value_json(value)))
        .collect();
    let mut hit = Map::new();
    hit.insert(
        "severity".to_owned(),
        json!(severity_word(finding.severity)),
    );
    hit.insert("score".to_owned(), json!(finding.score));
    hit.insert("title".to_owned(), json!(finding.title));
    hit.insert("dedup_key".to_owned(), json!(finding.dedup_key));
    hit.insert("evidence".to_owned(), Value::Object(evidence));
    hit
}

pub(crate) fn value_json(value: &EventValue) -> Value {
    match value {
        EventValue::Null => Value::Null,
        EventValue::Boolean(value) => json!(value),
        EventValue::Int(value) => json!(value),
        EventValue::Float(value) => json!(value),
        EventValue::Text(value) => json!(value),
        EventValue::Bytes(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            match serde_json::from_str(&text) {
                Ok(value) if depth(&value) <= JSON_DEPTH_MAX => value,
                _ => json!(text),
            }
        }
    }
}

/// The events of a batch, for a plugin that may look at them.
struct Kept(Vec<Vec<u8>>);

pub(crate) fn kept(records: &[&[u8]]) -> Arc<dyn EventRows> {
    Arc::new(Kept(records.iter().map(|one| one.to_vec()).collect()))
}

impl EventRows for Kept {
    fn rows(&self) -> u32 {
        self.0.len() as u32
    }

    fn get(&self, row: u32, path: &str) -> EventValue {
        let mut parser = Parser::new();
        let Ok(document) = parser.parse(&self.0[row as usize]) else {
            return EventValue::Null;
        };
        let mut at = Event::new(document).root();
        for key in path.split('.') {
            match at.get(key) {
                Some(inner) => at = inner,
                None => return EventValue::Null,
            }
        }
        event_value(at)
    }

    fn raw(&self, row: u32) -> Vec<u8> {
        self.0[row as usize].clone()
    }
}

fn event_value(json: Json<'_>) -> EventValue {
    if let Some(value) = json.as_bool() {
        return EventValue::Boolean(value);
    }
    if let Some(text) = json.as_text() {
        return EventValue::Text(text.decode().into_owned());
    }
    match json.as_number() {
        Some(Number::Int(value)) => EventValue::Int(value),
        Some(Number::Uint(value)) => EventValue::Float(value as f64),
        Some(Number::Double(value)) => EventValue::Float(value),
        None if json.raw() == b"null" => EventValue::Null,
        None => EventValue::Bytes(json.raw().to_vec()),
    }
}
