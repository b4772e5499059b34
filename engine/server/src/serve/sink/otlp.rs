//! Findings as log records of OpenTelemetry, by OTLP over HTTP with JSON.

use super::Sink;
use super::http::{agent, post};
use crate::config::SinkConfig;
use jiff::Timestamp;
use serde_json::{Value, json};
use tripline_core::pipeline::SendFault;
use tripline_core::port::Outgoing;
use ureq::Agent;

/// A collector.
pub(super) struct Otlp {
    agent: Agent,
    url: String,
}

impl Otlp {
    pub(super) fn new(config: &SinkConfig) -> Self {
        Self {
            agent: agent(config.timeout.as_ref()),
            url: config.url.clone().unwrap_or_default(),
        }
    }
}

impl Sink for Otlp {
    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendFault> {
        let now = super::super::now().micros();
        let records: Vec<Value> = batch.iter().map(|one| record(one, now)).collect();
        let body = json!({
            "resourceLogs": [{
                "resource": { "attributes": [attribute("service.name", "tripline")] },
                "scopeLogs": [{
                    "scope": { "name": "tripline.findings", "version": env!("CARGO_PKG_VERSION") },
                    "logRecords": records,
                }],
            }],
        });
        post(&self.agent, &self.url, &[], body.to_string().as_bytes())
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn record(outgoing: &Outgoing, now_micros: i64) -> Value {
    let finding = &outgoing.finding;
    let time = finding
        .event_time
        .as_deref()
        .and_then(|time| time.parse::<Timestamp>().ok());
    let time = time.map_or(now_micros, Timestamp::as_microsecond);
    // The numbers of the specification: INFO, INFO3, WARN, ERROR, FATAL.
    let (number, text) = match finding.severity.as_str() {
        "critical" => (21, "FATAL"),
        "high" => (17, "ERROR"),
        "medium" => (13, "WARN"),
        "low" => (11, "INFO3"),
        _ => (9, "INFO"),
    };
    let mut attributes = vec![
        attribute("tripline.finding.id", &finding.finding_id),
        attribute("tripline.finding.severity", &finding.severity),
        attribute("tripline.rule.id", &finding.rule_id),
        attribute("tripline.rule.name", &finding.rule_name),
        attribute("tripline.rule.version", &finding.rule_version),
        attribute("tripline.event.id", &finding.event_id),
    ];
    for tag in &finding.attack {
        attributes.push(attribute("tripline.attack", tag));
    }
    for (key, value) in &finding.context {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        attributes.push(attribute(&format!("tripline.context.{key}"), &text));
    }
    json!({
        // Numbers of 64 bits are texts in its JSON.
        "timeUnixNano": (i128::from(time) * 1000).to_string(),
        "observedTimeUnixNano": (i128::from(now_micros) * 1000).to_string(),
        "severityNumber": number,
        "severityText": text,
        "body": { "stringValue": finding.title },
        "attributes": attributes,
    })
}
