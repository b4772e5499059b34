//! Findings as one SARIF 2.1.0 document, written while they come.
//!
//! The rules come first, then results one by one, so that memory does not grow with findings. A region's
//! `startLine` is the physical line, which is what an editor opens; the record's position is a property.

use super::{Rendered, Sighting};
use crate::scan::accounting::Accounting;
use crate::terminal::printable_json;
use serde_json::{Value, json};
use std::io::{self, Write};
use tripline_core::evaluate::RuleSet;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Longest part of a record that is quoted; viewers show a few lines.
const SNIPPET_BYTES_MAX: usize = 64 * 1024;

/// Everything before the first result.
pub(crate) fn begin(rules: &RuleSet, out: &mut dyn Write) -> io::Result<()> {
    let driver = json!({
        "name": "Tripline",
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": (0..rules.rules().len()).map(|rule| descriptor(rules, rule)).collect::<Vec<_>>(),
    });
    writeln!(
        out,
        "{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{{"
    )?;
    let driver = printable_json(&driver.to_string());
    writeln!(out, "\"tool\":{{\"driver\":{driver}}},")?;
    writeln!(out, "\"columnKind\":\"unicodeCodePoints\",\"results\":[")
}

/// Everything after the last result.
pub(crate) fn end(accounting: &Accounting, out: &mut dyn Write) -> io::Result<()> {
    let notifications: Vec<Value> = accounting
        .notices()
        .map(|text| json!({ "level": "warning", "message": { "text": text } }))
        .collect();
    let invocation = json!({
        "executionSuccessful": accounting.faults_total == 0,
        "toolExecutionNotifications": notifications,
    });
    let invocation = printable_json(&invocation.to_string());
    writeln!(out, "],\"invocations\":[{invocation}],")?;
    writeln!(out, "\"properties\":{}}}]}}", accounting.to_json())
}

fn descriptor(rules: &RuleSet, index: usize) -> Value {
    let rule = &rules.rules()[index].rule;
    let mut tags: Vec<String> = rule.attack.iter().map(ToString::to_string).collect();
    tags.extend(rule.tags.iter().cloned());
    tags.push("security".to_owned());
    tags.sort();
    tags.dedup();
    let severity = rule.severity.as_str();
    let mut descriptor = json!({
        "id": rule.id.as_str(),
        "name": rule.name,
        "shortDescription": { "text": rule.name },
        "fullDescription": { "text": rule.description },
        "defaultConfiguration": { "level": level(severity) },
        "properties": { "tags": tags, "severity": severity, "security-severity": score(severity) },
    });
    if let Some(runbook) = &rule.runbook {
        descriptor["help"] = json!({ "text": runbook });
    }
    if let Some(reference) = rule.references.first() {
        descriptor["helpUri"] = json!(reference);
    }
    descriptor
}

/// One result.
pub(crate) fn result(sighting: &Sighting<'_>) -> Rendered {
    let finding = sighting.finding;
    let quoted = &sighting.bytes[..sighting.bytes.len().min(SNIPPET_BYTES_MAX)];
    let result = json!({
        "ruleId": finding.rule_id,
        "ruleIndex": sighting.rule,
        "level": level(&finding.severity),
        "message": { "text": finding.title },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(sighting.file) },
                "region": {
                    "startLine": sighting.physical_line,
                    "snippet": { "text": String::from_utf8_lossy(quoted) },
                },
            },
        }],
        "partialFingerprints": { "findingId/v1": finding.finding_id },
    });
    let properties = json!({
        "severity": finding.severity,
        "security-severity": score(&finding.severity),
        "rule_version": finding.rule_version,
        "event_id": finding.event_id,
        "event_time": finding.event_time,
        "dedup_key": finding.dedup_key,
        "context": finding.context,
    });
    let mut out = Rendered::default();
    let (result, properties) = (result.to_string(), properties.to_string());
    out.json(&result[..result.len() - 1]);
    out.push(",\"properties\":");
    out.json(&properties[..properties.len() - 1]);
    out.push(",\"record\":");
    out.mark_position();
    out.push("}}");
    out
}

fn level(severity: &str) -> &'static str {
    match severity {
        "critical" | "high" => "error",
        "medium" => "warning",
        _ => "note",
    }
}

/// The number that code hosts sort security findings by.
fn score(severity: &str) -> &'static str {
    match severity {
        "critical" => "9.5",
        "high" => "8.0",
        "medium" => "5.5",
        "low" => "3.0",
        _ => "0.5",
    }
}

/// A path as a relative URI reference, or an absolute `file:` one.
fn uri(path: &str) -> String {
    let mut out = String::new();
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("logs/a b.json"), "logs/a%20b.json");
        assert_eq!(uri("/var/log/ä"), "file:///var/log/%C3%A4");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }
}
