//! The native rule on events that serde reads: only the five fields, borrowed where they have no escapes.

use crate::rule::{is_bad, is_sensitive};
use serde::Deserialize;
use std::borrow::Cow;

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
    is_sensitive(&event.event_name)
        && event.error_code.is_none()
        && is_bad(event.mfa, &event.address, event.policy.as_deref())
}
