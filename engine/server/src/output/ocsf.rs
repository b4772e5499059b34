//! Findings as OCSF 1.3 events of class Detection Finding (2004), one JSON object per line.
//!
//! Only fields that the class defines; what it has no place for is under `unmapped`. The event itself
//! is the evidence, as it was.

use super::{Rendered, Sighting, on_one_line};
use serde_json::{Map, Value, json};

/// Version of OCSF that is written.
const OCSF_VERSION: &str = "1.3.0";

/// The line of one finding. `now_ms` stands for the time of an event that has none.
pub(crate) fn finding(sighting: &Sighting<'_>, now_ms: i64) -> Rendered {
    let finding = sighting.finding;
    let (severity_id, severity) = severity(&finding.severity);
    let time = sighting
        .event
        .time()
        .map_or(now_ms, |time| time.as_millisecond());
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("activity_id", json!(1));
    put("activity_name", json!("Create"));
    put("category_uid", json!(2));
    put("category_name", json!("Findings"));
    put("class_uid", json!(2004));
    put("class_name", json!("Detection Finding"));
    put("type_uid", json!(200_401));
    put("type_name", json!("Detection Finding: Create"));
    put("time", json!(time));
    put("severity_id", json!(severity_id));
    put("severity", json!(severity));
    put("status_id", json!(1));
    put("status", json!("New"));
    put("message", json!(finding.title));
    put("metadata", metadata(sighting));
    put(
        "finding_info",
        json!({
            "uid": finding.finding_id,
            "title": finding.title,
            "desc": sighting.description,
            "created_time": time,
            "types": ["Threat Detection"],
            "analytic": {
                "uid": finding.rule_id,
                "name": finding.rule_name,
                "version": finding.rule_version,
                "type_id": 1,
                "type": "Rule",
            },
            "attacks": finding.attack.iter().map(|tag| attack(tag)).collect::<Vec<_>>(),
        }),
    );
    put("observables", observables(sighting));
    if let Some(cloud) = cloud(sighting) {
        put("cloud", cloud);
    }
    let mut out = Rendered::default();
    let text = Value::Object(fields).to_string();
    out.json(&text[..text.len() - 1]);
    out.push(",\"evidences\":[");
    evidence(sighting, &mut out);
    out.push("],\"unmapped\":");
    unmapped(sighting, &mut out);
    out.push("}\n");
    out
}

/// OCSF's numbers for severities.
fn severity(name: &str) -> (u8, &'static str) {
    match name {
        "informational" => (1, "Informational"),
        "low" => (2, "Low"),
        "medium" => (3, "Medium"),
        "high" => (4, "High"),
        "critical" => (5, "Critical"),
        _ => (0, "Unknown"),
    }
}

fn metadata(sighting: &Sighting<'_>) -> Value {
    let mut metadata = json!({
        "version": OCSF_VERSION,
        "product": {
            "name": "Tripline",
            "vendor_name": "Tripline",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "uid": sighting.finding.finding_id,
        "event_code": sighting.finding.rule_id,
    });
    if let Some(time) = &sighting.finding.event_time {
        metadata["original_time"] = json!(time);
    }
    if sighting.text_at(&["awsRegion"]).is_some() {
        metadata["profiles"] = json!(["cloud"]);
    }
    metadata
}

/// `TA0005/T1562.008` in OCSF's words.
fn attack(tag: &str) -> Value {
    let (tactic, technique) = tag.split_once('/').unwrap_or((tag, ""));
    let mut attack = json!({ "tactic": { "uid": tactic } });
    if !technique.is_empty() {
        let whole = technique.split('.').next().unwrap_or(technique);
        attack["technique"] = json!({ "uid": whole });
        if whole != technique {
            attack["sub_technique"] = json!({ "uid": technique });
        }
    }
    attack
}

fn observables(sighting: &Sighting<'_>) -> Value {
    let mut observables = Vec::new();
    if let Some(address) = sighting.text_at(&["sourceIPAddress"])
        && address.parse::<std::net::IpAddr>().is_ok()
    {
        observables.push(json!({
            "name": "evidences.src_endpoint.ip", "type_id": 2, "type": "IP Address", "value": address,
        }));
    }
    if let Some(actor) = sighting.actor() {
        observables.push(json!({
            "name": "evidences.actor.user.uid", "type_id": 4, "type": "User Name", "value": actor,
        }));
    }
    Value::Array(observables)
}

fn cloud(sighting: &Sighting<'_>) -> Option<Value> {
    let region = sighting.text_at(&["awsRegion"])?;
    let mut cloud = json!({ "provider": "AWS", "region": region });
    if let Some(account) = sighting.text_at(&["recipientAccountId"]) {
        cloud["account"] = json!({ "uid": account, "type_id": 10, "type": "AWS Account" });
    }
    Some(cloud)
}

fn evidence(sighting: &Sighting<'_>, out: &mut Rendered) {
    let mut evidence = Map::new();
    if let Some(operation) = sighting.text_at(&["eventName"]) {
        let mut api = json!({ "operation": operation });
        if let Some(service) = sighting.text_at(&["eventSource"]) {
            api["service"] = json!({ "name": service });
        }
        evidence.insert("api".to_owned(), api);
    }
    if let Some(actor) = sighting.actor() {
        evidence.insert("actor".to_owned(), json!({ "user": { "uid": actor } }));
    }
    if let Some(address) = sighting.text_at(&["sourceIPAddress"]) {
        // A service's name stands here as often as an address.
        let key = if address.parse::<std::net::IpAddr>().is_ok() {
            "ip"
        } else {
            "name"
        };
        evidence.insert("src_endpoint".to_owned(), json!({ key: address }));
    }
    let text = Value::Object(evidence).to_string();
    out.json(&text[..text.len() - 1]);
    out.push(if text.len() > 2 {
        ",\"data\":"
    } else {
        "\"data\":"
    });
    on_one_line(sighting.bytes, &mut out.text);
    out.push("}");
}

fn unmapped(sighting: &Sighting<'_>, out: &mut Rendered) {
    let finding = sighting.finding;
    let fields = json!({
        "event_id": finding.event_id,
        "dedup_key": finding.dedup_key,
        "context": finding.context,
        "file": sighting.file,
    });
    let text = fields.to_string();
    out.json(&text[..text.len() - 1]);
    out.push(",\"line\":");
    out.mark_position();
    out.push("}");
}
