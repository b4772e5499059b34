//! The stream of the demo: nine days of a small company with one burst on the last night.
//!
//! Days are invented as all samples are. The burst is made of calls that they have: somebody who is not usually awake at that
//! hour starts instances, one every few seconds. Always the same.

use serde_json::{Value, json};
use tripline_core::sample::{Generator, Options};

/// Enough for series to be known, few enough to be read at once.
const EVENTS: u64 = 20_000;
const DAYS: u32 = 9;

/// When the burst begins: minutes after the start of the sample.
const BURST_MINUTE: i64 = 8 * 1440 + 2 * 60 + 12;
const BURST_CALLS: i64 = 70;
/// Seconds from one call to the next.
const BURST_EVERY: i64 = 9;

/// The events, as JSON lines. They are kept for as long as the process lives.
pub(crate) fn demo() -> &'static [u8] {
    let options = Options {
        events: EVENTS,
        days: DAYS,
        accounts: 2,
        incidents: 0,
        seed: 11,
        ..Options::default()
    };
    let mut text = Vec::new();
    let mut call: Option<Value> = None;
    for record in Generator::new(&options) {
        if call.is_none() && holds(&record.bytes, "\"eventName\":\"RunInstances\"") {
            call = serde_json::from_slice(&record.bytes).ok();
        }
        text.extend_from_slice(&record.bytes);
        text.push(b'\n');
    }
    for number in 0..BURST_CALLS {
        let Some(call) = &mut call else { break };
        let seconds = BURST_MINUTE * 60 + number * BURST_EVERY;
        let time = options.start + jiff::SignedDuration::from_secs(seconds);
        call["eventID"] = json!(format!("b0000000-0000-4000-8000-{number:012x}"));
        call["eventTime"] = json!(time.to_string());
        if let Some(call) = call.as_object_mut() {
            call.remove("errorCode");
            call.remove("errorMessage");
        }
        text.extend_from_slice(call.to_string().as_bytes());
        text.push(b'\n');
    }
    text.leak()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}
