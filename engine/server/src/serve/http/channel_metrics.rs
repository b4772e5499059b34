//! Channels in the text format of Prometheus.

use super::metrics::{family, label, label_with};
use crate::serve::door::Door;

/// Writes what was seen of every channel.
pub(super) fn render(door: &Door, out: &mut String) {
    let channels = door.registry.now();
    let seen: Vec<_> = channels
        .by_id
        .iter()
        .map(|(id, channel)| (id.as_str(), channel.live.seen()))
        .collect();
    let mut events = Vec::new();
    let mut refused = Vec::new();
    let mut last = Vec::new();
    let mut bytes = Vec::new();
    let mut silent = Vec::new();
    for (id, one) in &seen {
        let mut count = |outcome: &str, reason: &str, value: u64| {
            let labels = [("channel", *id), ("outcome", outcome), ("reason", reason)];
            events.push((label_with(&labels), value as f64));
        };
        count("accepted", "", one.accepted);
        count("duplicate", "", one.duplicates);
        count("set_aside", "", one.set_aside);
        for (why, value) in &one.rejected {
            count("rejected", why, *value);
        }
        for (why, value) in &one.refused {
            let labels = label_with(&[("channel", *id), ("reason", *why)]);
            refused.push((labels, *value as f64));
        }
        bytes.push((label("channel", id), one.bytes as f64));
        if let Some((time, _)) = &one.last_event {
            last.push((label("channel", id), time.micros() as f64 / 1e6));
        }
    }
    for (id, channel) in &channels.by_id {
        let is_silent = channel.live.silence().was_told;
        silent.push((label("channel", id), f64::from(u8::from(is_silent))));
    }
    for (name, kind, help, samples) in [
        (
            "tripline_channel_events_total",
            "counter",
            "Events that were pushed, by what became of them.",
            &events,
        ),
        (
            "tripline_channel_requests_refused_total",
            "counter",
            "Requests of which nothing was taken, by why.",
            &refused,
        ),
        (
            "tripline_channel_bodies_bytes",
            "counter",
            "Bytes of requests that were let in, as they came.",
            &bytes,
        ),
        (
            "tripline_channel_last_event_timestamp_seconds",
            "gauge",
            "When the last event was taken.",
            &last,
        ),
        (
            "tripline_channel_silent",
            "gauge",
            "1 while nothing comes for longer than silent_after.",
            &silent,
        ),
    ] {
        family(out, name, kind, help, samples);
    }
    let mut put = Vec::new();
    let mut failures = Vec::new();
    for (name, _, one) in door.intake.destinations.seen() {
        put.push((label("destination", name), one.events as f64));
        failures.push((label("destination", name), one.failures as f64));
    }
    for (name, help, samples) in [
        (
            "tripline_destination_events_total",
            "Events that are durable in a destination of channels.",
            &put,
        ),
        (
            "tripline_destination_failures_total",
            "Tries of putting events into a destination of channels that failed.",
            &failures,
        ),
    ] {
        family(out, name, "counter", help, samples);
    }
    let (known, full) = door.intake.ids.count();
    for (name, kind, help, value) in [
        (
            "tripline_channel_ids",
            "gauge",
            "Ids of events that are known, so that they are taken once.",
            known as f64,
        ),
        (
            "tripline_channel_ids_forgotten_early_total",
            "counter",
            "How often ids were forgotten before their time, because there were too many (channels.remember_max).",
            full as f64,
        ),
    ] {
        family(out, name, kind, help, &[(String::new(), value)]);
    }
}
