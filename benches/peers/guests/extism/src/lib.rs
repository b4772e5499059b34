//! The rule for extism: an event as JSON, as its users do, and a packed batch in one call.

#[path = "../../../../plugins/guest/src/find.rs"]
mod find;

use extism_pdk::{FnResult, plugin_fn};
use serde::Deserialize;
use std::borrow::Cow;
use tripline_plugin::Batch;

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

/// One byte: whether the event is found.
#[plugin_fn]
pub fn event(input: Vec<u8>) -> FnResult<Vec<u8>> {
    let event: Event<'_> = serde_json::from_slice(&input)?;
    let found = find::finds(
        &event.event_name,
        event.error_code.as_deref(),
        event.mfa,
        Some(&*event.address),
        event.policy.as_deref(),
    );
    Ok(vec![u8::from(found)])
}

/// The rows that are found, four bytes each.
#[plugin_fn]
pub fn batch(input: Vec<u8>) -> FnResult<Vec<u8>> {
    let mut rows = Vec::new();
    // SAFETY: the host made the batch, whose texts are UTF-8.
    let batch = unsafe { Batch::from_host(&input) };
    let found =
        batch.and_then(|batch| find::find(&batch, |row| rows.extend((row as u32).to_le_bytes())));
    found.map_err(|fault| extism_pdk::Error::msg(fault.message))?;
    Ok(rows)
}
