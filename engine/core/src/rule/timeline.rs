//! Tests of rules that remember: events at times, and the findings wanted.
//!
//! Times are written as people think of them: `+5m` after the moment before, `5m` after the start. Events come in the
//! order written, which need not be the order of time; so tests can say what late events do. Holds what is
//! wanted and runs nothing.

use super::kind::{EventTime, PERIODS_ARE, Period, integer};
use super::model::Severity;
use super::place::Place;
use super::read::{Fields, Reader, span_of};
use super::sample::Samples;
use super::shape::{MOMENT, WANTED};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::{TIMELINE_EVENTS_MAX, TIMELINE_MOMENTS_MAX};
use serde_json::{Map, Value};
use toml::de::DeTable;

/// When timelines start: 2026-01-01T00:00:00Z.
pub const TIMELINE_START: EventTime = EventTime::from_micros(1_767_225_600_000_000);

/// Events at times, and what is wanted of the rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// What happens, in the order of arrival.
    pub moments: Vec<Moment>,
    /// The findings wanted, in the order of time; all of them.
    pub findings: Vec<Wanted>,
}

/// One event, or several in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// The event as JSON text; without one, time only passes.
    pub event_json: Option<String>,
    /// What plugins say of it.
    pub facts: Option<super::sample::TestFacts>,
    /// The id that the event keeps instead of being given one.
    pub keeps_id: bool,
    /// Time of the first, after the start.
    pub at: Period,
    /// How many.
    pub repeat: u64,
    /// Time from one to the next.
    pub every: Period,
}

impl Moment {
    /// Time of the last event.
    pub fn end(&self) -> Period {
        let length = self
            .every
            .micros()
            .saturating_mul(self.repeat.saturating_sub(1) as i64);
        EventTime::from_micros(self.at.micros().saturating_add(length))
            .since(EventTime::from_micros(0))
    }
}

/// A finding that is wanted; what is not said is not compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// When, after the start.
    pub at: Option<Period>,
    /// The parts of the group's key, as text.
    pub group: Option<Vec<String>>,
    /// How many events.
    pub count: Option<u64>,
    /// The title.
    pub title: Option<String>,
    /// The severity.
    pub severity: Option<Severity>,
    /// The parts of the de-duplication key.
    pub dedup_key: Option<Vec<String>>,
    /// How many later detections are counted on it.
    pub suppressed: Option<u64>,
    /// Where it is written.
    pub place: Place,
}

/// Reads `timeline` and `findings` of a test.
pub(super) fn read_timeline(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    samples: &mut Samples<'_>,
) -> Option<Timeline> {
    let before = reader.errors();
    let tables = fields.tables("timeline");
    if !reader.within(
        "moments of a timeline",
        tables.len(),
        TIMELINE_MOMENTS_MAX,
        fields.span,
    ) {
        return None;
    }
    let mut moments: Vec<Moment> = Vec::with_capacity(tables.len());
    for (table, span) in tables {
        let fields = Fields::open(reader, table, &MOMENT, span);
        let last = moments.last().map_or(Period::ZERO, Moment::end);
        moments.extend(read_moment(reader, &fields, samples, last));
    }
    let events: u64 = moments.iter().map(|moment| moment.repeat).sum();
    reader.within(
        "events of a timeline",
        events as usize,
        TIMELINE_EVENTS_MAX,
        fields.span,
    );
    if let Some(value) = fields.value("timeline")
        && reader.errors() == before
        && moments.iter().all(|moment| moment.event_json.is_none())
    {
        let message = "nothing happens in this timeline";
        reader.report(
            Diagnostic::new(Code::TestShape, span_of(value), message)
                .with_help("Give at least one of its moments an `event`."),
        );
    }
    let mut wanted: Vec<Wanted> = Vec::new();
    for (table, span) in fields.tables("findings") {
        let fields = Fields::open(reader, table, &WANTED, span);
        let next = read_wanted(reader, &fields);
        let last = wanted.iter().rev().find_map(|one| one.at);
        if let (Some(at), Some(last)) = (next.at, last)
            && at < last
        {
            let message = format!("a finding at {at} cannot come after one at {last}");
            let at = fields.value("at").map_or(span, span_of);
            reader.report(
                Diagnostic::new(Code::TestShape, at, message)
                    .with_help("Findings are compared in the order of time: write them in it."),
            );
        }
        wanted.push(next);
    }
    (reader.errors() == before).then_some(Timeline {
        moments,
        findings: wanted,
    })
}

fn read_moment(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    samples: &mut Samples<'_>,
    last: Period,
) -> Option<Moment> {
    let at = match fields.text("at") {
        None => last,
        Some((text, span)) => match read_at(text, last) {
            Some(at) => at,
            None => {
                reader.report(
                    Diagnostic::new(Code::PeriodSyntax, span, "`at` is no time of a timeline")
                        .with_caret("expected such as `+5m`, after the moment before, or `5m`, after the start")
                        .with_help(PERIODS_ARE),
                );
                return None;
            }
        },
    };
    let repeat = integer(reader, fields, "repeat", 1, TIMELINE_EVENTS_MAX as u64)?;
    let every = match fields.text("every") {
        None => Period::ZERO,
        Some((text, span)) => match Period::parse(text) {
            Some(every) => every,
            None => {
                reader.report(
                    Diagnostic::new(Code::PeriodSyntax, span, "`every` is no period")
                        .with_help(PERIODS_ARE),
                );
                return None;
            }
        },
    };
    let event_json = match fields.text("event") {
        None => None,
        Some((name, span)) => {
            let text = samples.event(reader, name, span)?;
            Some(match fields.table("set") {
                None => text,
                Some((set, _)) => {
                    let text = super::sample::changed(reader, &text, set)?;
                    refuse_time(reader, set, &text);
                    text
                }
            })
        }
    };
    let keeps_id = fields
        .table("set")
        .is_some_and(|(set, _)| set.contains_key("eventID"));
    Some(Moment {
        event_json,
        facts: super::sample::read_facts(reader, fields),
        keeps_id,
        at,
        repeat: repeat.unwrap_or(1),
        every,
    })
}

/// The time of a moment is said by `at`, and written over what `set` gives.
fn refuse_time(reader: &mut Reader, set: &DeTable<'_>, event_json: &str) {
    let Ok(event) = serde_json::from_str::<Map<String, Value>>(event_json) else {
        return;
    };
    let (record, set) = match (event.get("detail"), set.get("detail")) {
        (Some(Value::Object(record)), inner) if is_enveloped(&event) => {
            (record, inner.and_then(|inner| inner.get_ref().as_table()))
        }
        _ => (&event, Some(set)),
    };
    let time = time_field(record);
    let Some((key, _)) = set.and_then(|set| set.get_key_value(time)) else {
        return;
    };
    let message = format!("`{time}` is set, and the time of a moment is said by `at`");
    reader.report(
        Diagnostic::new(Code::TestShape, span_of(key), message)
            .with_help("Take it out: `at = \"5m\"` is so long after the start of the timeline."),
    );
}

fn read_at(text: &str, last: Period) -> Option<Period> {
    match text.strip_prefix('+') {
        Some(later) => {
            let sum = last.micros().checked_add(Period::parse(later)?.micros())?;
            Some(EventTime::from_micros(sum).since(EventTime::from_micros(0)))
        }
        None => Period::parse(text),
    }
}

fn read_wanted(reader: &mut Reader, fields: &Fields<'_, '_>) -> Wanted {
    let at = fields.text("at").and_then(|(text, span)| {
        let at = Period::parse(text);
        if at.is_none() {
            reader.report(
                Diagnostic::new(Code::PeriodSyntax, span, "`at` is no time of a timeline")
                    .with_caret("expected such as `5m`, after the start")
                    .with_help(PERIODS_ARE),
            );
        }
        at
    });
    let count = integer(reader, fields, "count", 1, u64::from(u32::MAX)).flatten();
    let suppressed = integer(reader, fields, "suppressed", 0, u64::from(u32::MAX)).flatten();
    Wanted {
        at,
        group: super::suite::read_texts(reader, fields, "group"),
        count,
        title: fields.string("title"),
        severity: fields
            .text("severity")
            .and_then(|(word, _)| Severity::from_word(word)),
        dedup_key: super::suite::read_texts(reader, fields, "dedup_key"),
        suppressed,
        place: reader.place(fields.span),
    }
}

/// Whether a test's table is one of a timeline.
pub(super) fn is_timeline(table: &DeTable<'_>) -> bool {
    table.contains_key("timeline") || table.contains_key("findings")
}

/// Says what a test with a timeline may not have, and lacks.
pub(super) fn check_keys(reader: &mut Reader, table: &DeTable<'_>, fields: &Fields<'_, '_>) {
    for key in ["event", "expect", "title", "severity", "dedup_key"] {
        if let Some(value) = table.get(key) {
            let message =
                format!("a test has a timeline or one event, and `{key}` belongs to one event");
            reader.report(
                Diagnostic::new(Code::TestShape, span_of(value), message)
                    .with_help("Say it of the moments and of `findings`."),
            );
        }
    }
    for key in ["timeline", "findings"] {
        if !table.contains_key(key) {
            let message = format!("a test with a timeline needs `{key}`");
            let help = match key {
                "timeline" => "Add `[[test.timeline]]` with `event` and `at`.",
                _ => "Add `[[test.findings]]`, or `findings = []` when nothing should be found.",
            };
            reader.report(Diagnostic::new(Code::TestShape, fields.span, message).with_help(help));
        }
    }
}

/// The text of an event at a time, under a name. The time goes where the source has it.
pub fn at_time(event_json: &str, time: EventTime, id: Option<&str>) -> Option<String> {
    let mut event: Map<String, Value> = serde_json::from_str(event_json).ok()?;
    let enveloped = is_enveloped(&event);
    let record = match event.get_mut("detail") {
        Some(Value::Object(record)) if enveloped => record,
        _ => &mut event,
    };
    let field = time_field(record);
    record.insert(field.to_owned(), Value::String(time.to_string()));
    if let Some(id) = id {
        record.insert("eventID".to_owned(), Value::String(id.to_owned()));
    }
    serde_json::to_string(&event).ok()
}

/// Whether it is an envelope with the record in it.
fn is_enveloped(event: &Map<String, Value>) -> bool {
    event.get("detail-type").is_some_and(Value::is_string)
}

/// Where a record has its time.
fn time_field(record: &Map<String, Value>) -> &'static str {
    if record.contains_key("@timestamp") && !record.contains_key("eventTime") {
        "@timestamp"
    } else {
        "eventTime"
    }
}
