//! The record of an insight, in the shape that CloudTrail gives its own, with ours beside it.
//!
//! A start and an end share an id, and each has an id of its own, both made of the rule, the series and the minute: told again
//! after a crash, the record is the same to the byte. What CloudTrail has is where CloudTrail has it; what only we know is in
//! the object `insight`. Shapes: the chapter of the CloudTrail user guide on record contents for Insights events. Must never
//! hold more of an event than the names that the rule asks for.

use super::chart::Chart;
use super::detect::{Band, Change, ChangeKind, Test};
use crate::rule::kind::{Counted, EventTime, Insight};
use crate::rule::{Rule, Selector};
use crate::selector::ast::{Expr, ExprKind};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Most names of one attribution that are told, as CloudTrail does.
const NAMES_TOLD: usize = 5;

/// What CloudTrail's shape is filled with.
const EVENT_VERSION: &str = "1.11";

/// A record, ready to be read as an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its own id.
    pub id: String,
    /// When it was known: the end of the last minute that it took.
    pub known: EventTime,
    /// The first minute of what is unusual.
    pub start: EventTime,
    /// The JSON.
    pub bytes: Vec<u8>,
    /// What is unusual begins with it; else it ends.
    pub begins: bool,
    /// Events, or errors, in the minutes that were looked at.
    pub observed: f64,
    /// How surprising it is.
    pub surprise: f64,
    /// The parts of the key.
    pub key: Vec<String>,
    /// The hash of the key.
    pub group: u128,
}

/// Names of the parts of a key, as records have them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeyNames(pub(super) Vec<String>);

/// One attribution: its name, and what comes most often now and usually, per minute.
pub(super) struct Attribution {
    pub(super) name: String,
    pub(super) insight: Vec<(String, f64)>,
    pub(super) baseline: Vec<(String, f64)>,
}

/// What a record is made of.
pub(super) struct Telling<'t> {
    pub(super) rule: &'t Rule,
    pub(super) insight: &'t Insight,
    pub(super) names: &'t KeyNames,
    pub(super) key: Vec<&'t str>,
    /// The hash of the key.
    pub(super) hash: u128,
    pub(super) change: &'t Change,
    /// What was expected of its last minute.
    pub(super) band: Band,
    pub(super) attributions: Vec<Attribution>,
    pub(super) chart: Chart,
}

impl KeyNames {
    /// Of the parts of a rule's key: the field that each reads first, or its number.
    pub(super) fn of(group_by: &[Selector]) -> Self {
        let name = |(number, selector): (usize, &Selector)| {
            field_of(&selector.expr).unwrap_or_else(|| format!("part{}", number + 1))
        };
        Self(group_by.iter().enumerate().map(name).collect())
    }
}

/// The path of the first field of the event that an expression reads.
fn field_of(expr: &Expr) -> Option<String> {
    if let Some(path) = path_of(expr) {
        return Some(path);
    }
    let mut found = None;
    expr.for_each_child(&mut |child| {
        if found.is_none() {
            found = field_of(child);
        }
    });
    found
}

fn path_of(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Select { operand, field, .. } | ExprKind::Has { operand, field, .. } => {
            match &operand.kind {
                ExprKind::Ident(name) if name == "event" => Some(field.clone()),
                _ => Some(format!("{}.{field}", path_of(operand)?)),
            }
        }
        _ => None,
    }
}

impl Telling<'_> {
    /// The record.
    pub(super) fn record(&self) -> Record {
        let change = self.change;
        let begins = change.kind == ChangeKind::Start;
        let shared = self.id("shared");
        let id = self.id(if begins { "start" } else { "end" });
        let (start, known) = (
            minute_time(change.start.0),
            minute_time(change.minute.0 + 1),
        );
        let told = if begins {
            start
        } else {
            minute_time(change.start.0 + change.duration_minutes)
        };
        let mut record = Map::new();
        let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
        put("eventVersion", json!(EVENT_VERSION));
        put("eventTime", json!(seconds(told)));
        put("eventID", json!(id));
        put("eventType", json!("AwsCloudTrailInsight"));
        put("eventCategory", json!("Insight"));
        put("sharedEventID", json!(shared));
        for name in ["awsRegion", "recipientAccountId"] {
            if let Some(text) = self.part(name) {
                put(name, json!(text));
            }
        }
        put("insightDetails", self.details(begins));
        put("insight", self.own());
        Record {
            id,
            known,
            start,
            bytes: Value::Object(record).to_string().into_bytes(),
            begins,
            observed: change.observed,
            surprise: change.score,
            key: self.key.iter().map(|part| (*part).to_owned()).collect(),
            group: self.hash,
        }
    }

    /// The part of the key of this name.
    fn part(&self, name: &str) -> Option<&str> {
        let at = self.names.0.iter().position(|one| one == name)?;
        self.key.get(at).copied().filter(|text| !text.is_empty())
    }

    fn details(&self, begins: bool) -> Value {
        let change = self.change;
        let mut details = Map::new();
        let mut put = |name: &str, value: Value| details.insert(name.to_owned(), value);
        put("state", json!(if begins { "Start" } else { "End" }));
        for name in ["eventSource", "eventName"] {
            if let Some(text) = self.part(name) {
                put(name, json!(text));
            }
        }
        put("insightType", json!(self.insight_type()));
        if let Some(code) = self.error_code() {
            put("errorCode", json!(code));
        }
        let statistics = json!({
            "baseline": { "average": change.baseline_average },
            "insight": { "average": change.insight_average },
            "insightDuration": change.duration_minutes,
            "baselineDuration": change.baseline_duration_minutes,
        });
        let mut context = json!({ "statistics": statistics });
        if !self.attributions.is_empty() {
            let all: Vec<Value> = self.attributions.iter().map(Attribution::told).collect();
            context["attributions"] = json!(all);
        }
        put("insightContext", context);
        Value::Object(details)
    }

    /// The error that comes most often, of insights about errors.
    fn error_code(&self) -> Option<&str> {
        if !self.is_about_errors() {
            return None;
        }
        let codes = self.attributions.iter();
        let mut codes = codes.filter(|one| one.name == "errorCode");
        let named = codes.next().into_iter().flat_map(|one| &one.insight);
        let mut named = named.filter(|(code, _)| code != "null");
        self.part("errorCode")
            .or_else(|| named.next().map(|(code, _)| code.as_str()))
    }

    fn is_about_errors(&self) -> bool {
        matches!(self.insight.value, Counted::Errors | Counted::ErrorShare)
    }

    fn insight_type(&self) -> &'static str {
        match self.insight.value {
            Counted::Count => "ApiCallRateInsight",
            Counted::Errors | Counted::ErrorShare => "ApiErrorRateInsight",
            Counted::Distinct => "DistinctCountInsight",
            Counted::Sum => "SumInsight",
            Counted::Average => "AverageInsight",
            Counted::Max => "MaxInsight",
            Counted::Min => "MinInsight",
        }
    }

    /// What only we know.
    fn own(&self) -> Value {
        let change = self.change;
        let key = self.names.0.iter().zip(&self.key);
        let key: Map<String, Value> = key
            .map(|(name, text)| (name.clone(), json!(text)))
            .collect();
        json!({
            "rule": self.rule.id.as_str(),
            "key": key,
            "test": test_name(change.test),
            "windowMinutes": change.window_minutes,
            "windows": change.windows.iter().map(|(minutes, surprise)| {
                json!({ "minutes": minutes, "surprise": round(f64::from(*surprise)) })
            }).collect::<Vec<_>>(),
            "observed": change.observed,
            "expected": change.expected,
            "expectedAMinute": {
                "average": self.band.expected,
                "low": self.band.low,
                "high": self.band.high,
            },
            "probability": change.probability,
            "surprise": change.score,
            "score": 1.0 - 10f64.powf(-change.score),
            "explanation": self.explanation(),
            "chart": self.chart.told(seconds(minute_time(self.chart.from()))),
        })
    }

    /// In one sentence, for people.
    fn explanation(&self) -> String {
        let change = self.change;
        let what = match (self.is_about_errors(), self.insight.value) {
            (true, _) => "errors",
            (_, Counted::Distinct) => "different values",
            (_, Counted::Sum) => "in sum",
            (_, Counted::Average) => "on average",
            (_, Counted::Max) => "at most",
            (_, Counted::Min) => "at least",
            _ => "events",
        };
        let (window, observed) = (change.window_minutes, number(change.observed));
        let minutes = if window == 1 { "minute" } else { "minutes" };
        let is_measured = self.insight.value.is_measured();
        let mut text = match change.kind {
            ChangeKind::End | ChangeKind::Absorbed if is_measured => format!(
                "{} {what} for {} minutes",
                number(change.insight_average),
                change.duration_minutes
            ),
            ChangeKind::Start => format!("{observed} {what} in {window} {minutes}"),
            ChangeKind::End | ChangeKind::Absorbed => format!(
                "{} {what} a minute for {} minutes",
                number(change.insight_average),
                change.duration_minutes
            ),
        };
        let (expected, baseline) = (number(change.expected), number(change.baseline_average));
        let usual = match (change.kind, change.test) {
            (ChangeKind::Start, Test::Errors) => {
                format!(", where {expected} of as many calls are expected")
            }
            (ChangeKind::Start, _) if is_measured => {
                format!(", where {expected} is expected and {baseline} is usual")
            }
            _ if is_measured => format!(", where {baseline} is usual"),
            (ChangeKind::Start, _) => {
                format!(", where {expected} are expected and {baseline} a minute are usual")
            }
            _ => format!(", where {baseline} are usual"),
        };
        text.push_str(&usual);
        if change.kind == ChangeKind::Absorbed {
            text.push_str("; this has become usual");
        }
        if let Some((of, name, average)) = self.top() {
            text.push_str(&format!(
                "; most of it by {of} {name} ({} a minute)",
                number(average)
            ));
        }
        text
    }

    /// The name that comes most often, of the first attribution, and how often.
    fn top(&self) -> Option<(&str, &str, f64)> {
        let first = self.attributions.first()?;
        let (name, average) = first.insight.first()?;
        Some((&first.name, name, *average))
    }

    fn id(&self, what: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.rule.id.as_str());
        hash.update([0]);
        hash.update(self.hash.to_le_bytes());
        hash.update(self.change.start.0.to_le_bytes());
        hash.update(what);
        uuid(&hash.finalize())
    }
}

impl Attribution {
    fn told(&self) -> Value {
        let named = |all: &[(String, f64)]| -> Vec<Value> {
            let all = all.iter().take(NAMES_TOLD);
            all.map(|(name, average)| json!({ "value": name, "average": average }))
                .collect()
        };
        json!({
            "attribute": self.name,
            "insight": named(&self.insight),
            "baseline": named(&self.baseline),
        })
    }
}

/// As records have it.
pub(super) fn test_name(test: Test) -> &'static str {
    match test {
        Test::Up => "up",
        Test::Down => "down",
        Test::Errors => "errors",
    }
}

/// To three decimals.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// When a minute begins.
pub(super) fn minute_time(minute: u32) -> EventTime {
    EventTime::from_micros(i64::from(minute) * 60_000_000)
}

/// As CloudTrail writes times: to the second.
pub(super) fn seconds(time: EventTime) -> String {
    let timestamp = jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default();
    timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Few digits, as many as say something.
pub(super) fn number(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.2}"),
        size if size >= 0.0001 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    };
    if text.contains('.') && !text.contains('e') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

/// 128 bits of a hash as a UUID of version 8, which is for ids of one's own making.
fn uuid(hash: &[u8]) -> String {
    let mut bytes: [u8; 16] = hash[..16].try_into().unwrap_or([0; 16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = |range: std::ops::Range<usize>| -> String {
        bytes[range]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    format!(
        "{}-{}-{}-{}-{}",
        hex(0..4),
        hex(4..6),
        hex(6..8),
        hex(8..10),
        hex(10..16)
    )
}
