//! `PutAuditEvents`, the data plane of CloudTrail channels, as AWS's own clients speak it.
//!
//! Shapes, limits and codes are those of the service model (`cloudtrail-data`, 2021-08-11) and of the user guide for what an
//! event must hold. The record has the event's fields at its top, where rules look for them, and around them what the service
//! adds; a sender cannot set those. Sizes of the parts are checked as they come, in bytes.

use super::{Entry, Unreadable};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use tripline_core::event::{Json, Kind, Parser};

/// Entries of one request.
pub(crate) const ENTRIES_MAX: usize = 100;

/// Bytes of one request.
pub(crate) const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A whole request that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) name: &'static str,
    pub(crate) words: String,
}

impl Exception {
    pub(crate) fn new(name: &'static str, words: impl Into<String>) -> Self {
        Self {
            name,
            words: words.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    audit_events: Vec<Given>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    id: String,
    event_data: String,
    event_data_checksum: Option<String>,
}

/// Where a request arrived, as its records say it.
pub(crate) struct Around<'c> {
    pub(crate) arn: &'c str,
    pub(crate) region: &'c str,
    /// The account that events must be of; any if it is empty.
    pub(crate) account: &'c str,
    pub(crate) time: &'c str,
}

/// The entries of a request: the id of each, and what it says.
pub(crate) fn read(
    body: &[u8],
    around: &Around<'_>,
) -> Result<Vec<(String, Entry<'static>)>, Exception> {
    let invalid = |words: String| Exception::new("ValidationException", words);
    if body.len() > REQUEST_BYTES_MAX {
        return Err(invalid(format!(
            "the request is longer than {REQUEST_BYTES_MAX} bytes"
        )));
    }
    let request: Request = serde_json::from_slice(body)
        .map_err(|why| Exception::new("SerializationException", why.to_string()))?;
    let given = request.audit_events;
    if given.is_empty() || given.len() > ENTRIES_MAX {
        return Err(invalid(format!(
            "auditEvents has {} entries; 1 to {ENTRIES_MAX} are taken",
            given.len()
        )));
    }
    let mut ids = BTreeSet::new();
    for one in &given {
        let is_id = (1..=128).contains(&one.id.len())
            && one
                .id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_id {
            return Err(invalid(
                "an id has 1 to 128 letters, digits, - and _".to_owned(),
            ));
        }
        if !ids.insert(one.id.as_str()) {
            return Err(Exception::new(
                "DuplicatedAuditEventId",
                format!("two entries have the id {}", one.id),
            ));
        }
    }
    drop(ids);
    let entries = given.into_iter().map(|one| {
        let entry = entry(&one, around).unwrap_or_else(Entry::broken);
        (one.id, entry)
    });
    Ok(entries.collect())
}

fn entry(given: &Given, around: &Around<'_>) -> Result<Entry<'static>, Unreadable> {
    let no = |code: &'static str, words: String| Unreadable { code, words };
    if let Some(checksum) = &given.event_data_checksum {
        let digest = STANDARD.encode(Sha256::digest(given.event_data.as_bytes()));
        if *checksum != digest {
            let words = "eventDataChecksum is not the base64 of the SHA-256 of eventData";
            return Err(no("InvalidChecksum", words.to_owned()));
        }
    }
    let mut parser = Parser::new();
    let document = parser
        .parse(given.event_data.as_bytes())
        .map_err(|why| no("InvalidData", why.to_string()))?;
    let event = document.root();
    check(event, around)?;
    let raw = |key: &str| {
        event
            .get(key)
            .and_then(|value| serde_json::from_slice(value.raw()).ok())
    };
    let mut more: Vec<(&'static str, Value)> = vec![
        ("eventVersion", raw("version").unwrap_or(Value::Null)),
        ("eventCategory", "ActivityAuditLog".into()),
        ("eventType", "ActivityLog".into()),
        ("awsRegion", around.region.into()),
        (
            "metadata",
            json!({ "ingestionTime": around.time, "channelARN": around.arn }),
        ),
    ];
    // Nobody knows where a call was made but the sender.
    if event.get("awsRegion").is_some() {
        more.retain(|(key, _)| *key != "awsRegion");
    }
    Ok(Entry {
        id: Some(given.id.clone()),
        shown_id: Some(given.id.clone()),
        body: Ok(given.event_data.clone().into_bytes().into()),
        more,
    })
}

/// Longest texts, in bytes.
const TEXTS: [(&[&str], usize, bool); 9] = [
    (&["version"], 256, true),
    (&["userIdentity", "type"], 128, true),
    (&["userIdentity", "principalId"], 1024, true),
    (&["userAgent"], 1024, false),
    (&["eventSource"], 1024, true),
    (&["eventName"], 1024, true),
    (&["UID"], 1024, true),
    (&["errorCode"], 256, false),
    (&["errorMessage"], 256, false),
];

/// Longest parts, in bytes of JSON.
const PARTS: [(&str, usize); 3] = [
    ("requestParameters", 100 * 1024),
    ("responseElements", 100 * 1024),
    ("additionalEventData", 28 * 1024),
];

fn check(event: Json<'_>, around: &Around<'_>) -> Result<(), Unreadable> {
    let no = |code: &'static str, words: String| Err(Unreadable { code, words });
    if event.kind() != Kind::Object {
        return no("InvalidData", "eventData is no object".to_owned());
    }
    let text = |path: &[&str]| {
        let found = path.iter().try_fold(event, |within, key| within.get(key))?;
        (found.kind() != Kind::Null).then_some(found)
    };
    for (path, most, is_required) in TEXTS {
        let name = path.join(".");
        match text(path) {
            None if is_required => return no("FieldNotFound", format!("{name} is missing")),
            None => {}
            Some(value) => match value.as_text() {
                None => return no("InvalidData", format!("{name} is no text")),
                Some(text) if text.decode().len() > most => {
                    return no(
                        "FieldTooLong",
                        format!("{name} is longer than {most} bytes"),
                    );
                }
                Some(_) => {}
            },
        }
    }
    for (name, most) in PARTS {
        if let Some(value) = text(&[name])
            && value.raw().len() > most
        {
            return no(
                "FieldTooLong",
                format!("{name} is longer than {most} bytes"),
            );
        }
    }
    let texts = |name: &str| {
        let found = text(&[name]).and_then(Json::as_text);
        found.map(|text| text.decode().into_owned())
    };
    match texts("eventTime") {
        None => return no("FieldNotFound", "eventTime is missing".to_owned()),
        Some(time) if !is_time(&time) => {
            return no(
                "InvalidData",
                "eventTime is not yyyy-MM-DDTHH:mm:ssZ".to_owned(),
            );
        }
        Some(_) => {}
    }
    if let Some(address) = texts("sourceIPAddress")
        && address.parse::<std::net::IpAddr>().is_err()
    {
        return no("InvalidData", "sourceIPAddress is no address".to_owned());
    }
    match texts("recipientAccountId") {
        None => no("FieldNotFound", "recipientAccountId is missing".to_owned()),
        Some(account) if !around.account.is_empty() && account != around.account => {
            let words = "recipientAccountId is not the account of the channel".to_owned();
            no("InvalidRecipient", words)
        }
        Some(_) => Ok(()),
    }
}

fn is_time(text: &str) -> bool {
    let plain = text.strip_suffix('Z').unwrap_or(text);
    jiff::civil::DateTime::strptime("%Y-%m-%dT%H:%M:%S", plain).is_ok()
        || text.parse::<jiff::Timestamp>().is_ok()
}
