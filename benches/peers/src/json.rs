//! Events as JSON, of the size and with about as many fields as real ones have.

use crate::rule::Row;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Bytes of an event.
const BYTES: usize = 980;

/// The event of a row, with some thirty fields that the rule does not read.
pub(crate) fn event(row: &Row) -> Vec<u8> {
    let attributes: serde_json::Map<String, Value> = (0..14)
        .map(|number| {
            (
                format!("attribute{number}"),
                json!(format!("value-{number}")),
            )
        })
        .collect();
    let mut event = json!({
        "eventVersion": "1.08",
        "eventTime": "2026-01-06T10:00:00Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": row.event_name,
        "awsRegion": "eu-west-1",
        "sourceIPAddress": row.address,
        "userAgent": "aws-cli/2.15.0",
        "mfa": row.mfa,
        "errorCode": row.error_code,
        "policyArn": row.policy,
        "requestID": "7f0e4f3c-0d1a-4f2b-9a49-8ad0b7b1a001",
        "eventID": "e1c2a0de-5c0e-4c86-bb7a-6d3a1f9d0002",
        "readOnly": false,
        "managementEvent": true,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
        "attributes": attributes,
        "padding": "",
    });
    let missing = BYTES.saturating_sub(event.to_string().len());
    event["padding"] = json!("x".repeat(missing));
    event.to_string().into_bytes()
}

#[derive(Deserialize)]
struct Event<'e> {
    #[serde(rename = "eventName", borrow)]
    event_name: Cow<'e, str>,
    #[serde(rename = "errorCode", borrow)]
    error_code: Option<Cow<'e, str>>,
    mfa: Option<bool>,
    #[serde(rename = "sourceIPAddress", borrow)]
    address: Cow<'e, str>,
    #[serde(rename = "policyArn", borrow)]
    policy: Option<Cow<'e, str>>,
}

/// Parses the event and asks the native rule.
pub(crate) fn finds(event: &[u8]) -> bool {
    let event: Event<'_> = serde_json::from_slice(event).expect("it is JSON");
    crate::rule::finds(&Row {
        event_name: event.event_name.into_owned(),
        error_code: event.error_code.map(|text| text.into_owned()),
        mfa: event.mfa,
        address: event.address.into_owned(),
        policy: event.policy.map(|text| text.into_owned()),
    })
}
