//! How plugins do, as JSON and as metrics.

use super::Api;
use super::metrics::{family, label, label_with};
use crate::plugins::Tried;
use crate::serve::status::{PluginStatus, Running};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tripline_host::breaker::BreakerState;
use tripline_host::grant::metrics::Reading;

/// Those that rules ask, those that are declared and do not run, and the decoders of channels; by alias.
pub(super) fn of(api: &Api) -> BTreeMap<String, PluginStatus> {
    let mut plugins = api.status.in_force.plugins();
    for (alias, tried) in api.door.decoders.tried() {
        let status = match tried {
            Tried::Runs(hosted) => PluginStatus::of(&hosted),
            Tried::Failed(_, reason) => PluginStatus::NotStarted(reason),
            Tried::Starting => PluginStatus::NotStarted("it is being started".to_owned()),
        };
        plugins.insert(alias, status);
    }
    plugins
}

/// By alias.
pub(super) fn shown(plugins: &BTreeMap<String, PluginStatus>) -> Value {
    let each = plugins.iter().map(|(alias, one)| {
        let shown = match one {
            PluginStatus::Off(reason) => json!({ "state": "off", "reason": reason }),
            PluginStatus::NotStarted(reason) => json!({ "state": "not started", "reason": reason }),
            PluginStatus::Running(one) => running(one),
        };
        (alias.clone(), shown)
    });
    Value::Object(each.collect())
}

fn running(one: &Running) -> Value {
    let did = &one.did;
    let faults = did.faults.iter();
    let faults: Map<String, Value> = faults
        .map(|(name, count)| (name.as_str().to_owned(), json!(count)))
        .collect();
    let metrics = one.readings.iter();
    let metrics: Map<String, Value> = metrics
        .map(|reading| (reading.name.clone(), metric(reading)))
        .collect();
    json!({
        "events": did.rows,
        "events_without_answer": did.rows_faulted,
        "calls": did.calls,
        "faults": faults,
        "seconds": did.time.as_secs_f64(),
        "instances": did.instances,
        "memory_bytes_max": did.memory_bytes_max,
        "state": state(one.state),
        "switched_off": one.opened,
        "metrics": metrics,
        "metrics_refused": one.readings_refused,
    })
}

/// A counter of a plugin's own.
fn metric(reading: &Reading) -> Value {
    let observed = &reading.observed;
    json!({
        "total": reading.total,
        "observed": {
            "count": observed.count,
            "sum": observed.sum,
            "least": observed.least,
            "greatest": observed.greatest,
        },
    })
}

fn state(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "on",
        BreakerState::Open => "switched off",
        BreakerState::Probing => "on trial",
    }
}

/// In the text format of Prometheus.
pub(super) fn render(plugins: &BTreeMap<String, PluginStatus>, out: &mut String) {
    if plugins.is_empty() {
        return;
    }
    let up = plugins.iter().map(|(alias, one)| {
        let is_up = matches!(one, PluginStatus::Running(_));
        (label("plugin", alias), f64::from(u8::from(is_up)))
    });
    family(
        out,
        "tripline_plugin_up",
        "gauge",
        "1 when a plugin runs; 0 when it is off or did not start: `/v1/status` says why.",
        &up.collect::<Vec<_>>(),
    );
    let running = plugins.iter();
    let running: Vec<(&String, &Running)> = running
        .filter_map(|(alias, one)| match one {
            PluginStatus::Running(one) => Some((alias, one)),
            _ => None,
        })
        .collect();
    if running.is_empty() {
        return;
    }
    let mut each = |name: &str, kind: &str, help: &str, value: fn(&Running) -> f64| {
        let samples = running.iter();
        let samples = samples.map(|(alias, one)| (label("plugin", alias), value(one)));
        family(out, name, kind, help, &samples.collect::<Vec<_>>());
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
    each(
        "tripline_plugin_metrics_refused_total",
        "counter",
        "Values that a plugin told under a name that its manifest does not have, or that are no numbers.",
        |one| one.readings_refused as f64,
    );
    let by_name = running.iter().flat_map(|(alias, one)| {
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
    let mut own = |name: &str, kind: &str, help: &str, value: fn(&Reading) -> f64| {
        let samples = running.iter().flat_map(|(alias, one)| {
            one.readings.iter().map(|reading| {
                let labels = label_with(&[("plugin", alias), ("name", &reading.name)]);
                (labels, value(reading))
            })
        });
        let samples: Vec<(String, f64)> = samples.collect();
        if !samples.is_empty() {
            family(out, name, kind, help, &samples);
        }
    };
    own(
        "tripline_plugin_metric_total",
        "counter",
        "What a plugin added to a counter of its own.",
        |one| one.total as f64,
    );
    own(
        "tripline_plugin_metric_observed_count",
        "counter",
        "How often a plugin told a value of its own.",
        |one| one.observed.count as f64,
    );
    own(
        "tripline_plugin_metric_observed_sum",
        "gauge",
        "Those values together; they may be negative.",
        |one| one.observed.sum,
    );
    own(
        "tripline_plugin_metric_observed_least",
        "gauge",
        "The least of them.",
        |one| one.observed.least,
    );
    own(
        "tripline_plugin_metric_observed_greatest",
        "gauge",
        "The greatest of them.",
        |one| one.observed.greatest,
    );
}
