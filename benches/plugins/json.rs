//! Rows as events in JSON, of the size and with about as many fields as real ones have.

use crate::rule::Row;
use serde_json::{Value, json};

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
