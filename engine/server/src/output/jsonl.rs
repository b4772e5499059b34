//! One JSON object per finding and line. Fields are only ever added.
//!
//! `event` holds the record's own bytes; `line` is its place among the records of its file, from 1. What is not
//! printable is written as escapes in all other fields, and in `event` too where a terminal would get it.

use super::{Rendered, Sighting, on_one_line};
use serde_json::{Value, json};

/// The line of one finding.
pub(crate) fn finding(sighting: &Sighting<'_>) -> Rendered {
    let finding = sighting.finding;
    let mut out = Rendered::default();
    out.push("{\"rule_id\":");
    out.json_text(&finding.rule_id);
    for (name, text) in [
        ("severity", &finding.severity),
        ("title", &finding.title),
        ("event_id", &finding.event_id),
    ] {
        field(&mut out, name);
        out.json_text(text);
    }
    field(&mut out, "event_time");
    match &finding.event_time {
        Some(time) => out.json_text(time),
        None => out.push("null"),
    }
    field(&mut out, "file");
    out.json_text(sighting.file);
    field(&mut out, "line");
    out.mark_position();
    for (name, text) in [
        ("rule_name", &finding.rule_name),
        ("rule_version", &finding.rule_version),
        ("finding_id", &finding.finding_id),
    ] {
        field(&mut out, name);
        out.json_text(text);
    }
    for (name, value) in [
        ("dedup_key", json!(finding.dedup_key)),
        ("context", Value::Object(finding.context.clone())),
        ("attack", json!(finding.attack)),
        ("notes", json!(finding.notes)),
        ("version", json!(finding.version)),
    ] {
        field(&mut out, name);
        out.json(&value.to_string());
    }
    if let Some(pattern) = &finding.pattern {
        field(&mut out, "pattern");
        out.json(&json!(pattern).to_string());
    }
    if let Some(suppressed) = &finding.suppressed {
        field(&mut out, "suppressed");
        out.json(&json!(suppressed).to_string());
    }
    if finding.revision > 0 {
        field(&mut out, "revision");
        out.push(&finding.revision.to_string());
    }
    field(&mut out, "event");
    on_one_line(sighting.bytes, &mut out.text);
    out.push("}\n");
    out
}

fn field(out: &mut Rendered, name: &str) {
    out.push(",\"");
    out.push(name);
    out.push("\":");
}
