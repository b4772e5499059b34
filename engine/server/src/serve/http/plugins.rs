//! How plugins do, as JSON and as metrics.

use super::metrics::{family, label, label_with};
use crate::serve::status::PluginStatus;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tripline_host::breaker::BreakerState;

/// By alias.
pub(super) fn shown(plugins: &BTreeMap<String, PluginStatus>) -> Value {
    let each = plugins.iter().map(|(alias, one)| {
        let did = &one.did;
        let faults = did.faults.iter();
        let faults: Map<String, Value> = faults
            .map(|(name, count)| (name.as_str().to_owned(), json!(count)))
            .collect();
        let shown = json!({
            "events": did.rows,
            "events_without_answer": did.rows_faulted,
            "calls": did.calls,
            "faults": faults,
            "seconds": did.time.as_secs_f64(),
            "instances": did.instances,
            "memory_bytes_max": did.memory_bytes_max,
            "state": state(one.state),
            "switched_off": one.opened,
        });
        (alias.clone(), shown)
    });
    Value::Object(each.collect())
}

fn state(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "on",
        BreakerState::Open => "off",
        BreakerState::Probing => "on trial",
    }
}

/// In the text format of Prometheus.
pub(super) fn render(plugins: &BTreeMap<String, PluginStatus>, out: &mut String) {
    if plugins.is_empty() {
        return;
    }
    let mut each = |name: &str, kind: &str, help: &str, value: fn(&PluginStatus) -> f64| {
        let samples: Vec<(String, f64)> = plugins
            .iter()
            .map(|(alias, one)| (label("plugin", alias), value(one)))
            .collect();
        family(out, name, kind, help, &samples);
    };
    each(
        "tripline_plugin_events_total",
        "counter",
        "Events that a plugin was asked about.",
        |one| one.did.rows as f64,
    );
    each(
        "tripline_plugin_events_without_answer_total",
        "counter",
        "Events about which a plugin gave no answer.",
        |one| one.did.rows_faulted as f64,
    );
    each(
        "tripline_plugin_calls_total",
        "counter",
        "Calls into a plugin.",
        |one| one.did.calls as f64,
    );
    each(
        "tripline_plugin_seconds_total",
        "counter",
        "Time within calls, by the clock, instances being made included.",
        |one| one.did.time.as_secs_f64(),
    );
    each(
        "tripline_plugin_instances_total",
        "counter",
        "Instances of a plugin that were made.",
        |one| one.did.instances as f64,
    );
    each(
        "tripline_plugin_memory_max_bytes",
        "gauge",
        "The most memory that an instance had.",
        |one| one.did.memory_bytes_max as f64,
    );
    each(
        "tripline_plugin_off",
        "gauge",
        "1 while a plugin is switched off because it trapped again and again.",
        |one| f64::from(u8::from(one.state == BreakerState::Open)),
    );
    each(
        "tripline_plugin_switched_off_total",
        "counter",
        "How often it was.",
        |one| one.opened as f64,
    );
    let by_name = plugins.iter().flat_map(|(alias, one)| {
        let faults = one.did.faults.iter();
        faults.map(|(name, count)| {
            let labels = label_with(&[("plugin", alias), ("fault", name.as_str())]);
            (labels, *count as f64)
        })
    });
    let by_name: Vec<(String, f64)> = by_name.collect();
    family(
        out,
        "tripline_plugin_calls_failed_total",
        "counter",
        "Calls that failed, by what went wrong.",
        &by_name,
    );
}
