//! How the service does: health, metrics in the text format of Prometheus, and the same as JSON.

use super::answer::{Refusal, json};
use super::channel_metrics;
use super::plugins;
use super::readiness::why_not;
use super::{Shared, blocking, part};
use crate::causes::with_causes;
use crate::serve::status::{LogStatus, StatusNow};
use crate::telemetry::Counts;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json as value};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use tripline_core::port::Partition;

/// Whether the process lives.
pub(super) async fn health() -> Response {
    json(&value!({ "status": "alive" }))
}

/// Everything, for people and programs.
pub(super) async fn status(State(api): State<Shared>) -> Result<Response, Refusal> {
    let now = now_of(api.clone()).await?;
    let sinks: serde_json::Map<String, Value> = now
        .sinks
        .iter()
        .map(|(name, sink)| {
            let shown = value!({
                "position": sink.position.0,
                "waiting": sink.waiting,
                "sent": sink.sent,
                "set_aside": sink.set_aside,
                "failures": sink.failures,
                "last_fault": sink.last_fault,
            });
            (name.clone(), shown)
        })
        .collect();
    let work = now.work();
    let versions = api.versions.as_deref();
    let partitions: Vec<Value> = (0..)
        .zip(&now.logs)
        .map(|(number, log): (u32, _)| {
            value!({
                "partition": number,
                "first": log.span.map(|span| span.first.0),
                "last": log.span.map(|span| span.last.0),
                "bytes": log.bytes(),
                "fault": log.fault,
                "position": log.position.0,
                "lag": log.lag(),
                "held": now.working.contains_key(&number),
                "rules": versions.and_then(|all| all.of(Partition(number))).map(|(after, version)| value!({ "version": version, "after": after.0 })),
            })
        })
        .collect();
    let published = versions.and_then(|all| all.published());
    let others = api.assignment.others();
    let members: serde_json::Map<String, Value> = others
        .iter()
        .map(|(name, words)| {
            (
                name.clone(),
                serde_json::to_value(words).unwrap_or_default(),
            )
        })
        .collect();
    let destinations: serde_json::Map<String, Value> = api
        .door
        .intake
        .destinations
        .seen()
        .map(|(name, kind, seen)| {
            let fault = seen
                .last_fault
                .map(|(time, words)| value!({ "time": time.to_string(), "message": words }));
            let shown = value!({
                "type": kind,
                "events": seen.events,
                "bytes": seen.bytes,
                "failures": seen.failures,
                "last_error": fault,
            });
            (name.to_owned(), shown)
        })
        .collect();
    let (asked, seen) = (api.clone(), now.clone());
    let why_not = blocking(move || Ok(why_not(&asked, &seen))).await?;
    let why_not = why_not.map(|why| why.words);
    Ok(json(&value!({
        "ready": why_not.is_none(),
        "not_ready": why_not,
        "draining": now.is_draining,
        "rules": { "in_force": now.rules, "off": now.rules_off, "version": now.rules_version, "published": published, "reloads": now.reloads, "reloads_refused": now.reloads_refused, "last_reload_fault": now.last_reload_fault },
        "log": { "bytes": now.logs.iter().map(LogStatus::bytes).sum::<u64>(), "durability": api.partitions.durability().as_str() },
        "partitions": partitions,
        "ledger": now.ledger.as_ref().map(|(place, held_up)| value!({ "followed_to": place.0, "held_up": held_up })),
        "member": api.assignment.me(),
        "others": members,
        "lag": now.lag(),
        "event_time": work.event_time.map(|time| time.to_string()),
        "tally": work.tally,
        "findings": { "new": now.findings_new, "renewed": now.findings_renewed, "by_rule": work.findings_by_rule },
        "state_bytes": work.state_bytes,
        "refused": now.refused,
        "decisions": { "by_effect": now.decisions, "by_default": now.decisions_by_default },
        "faults": now.faults,
        "commit_fault": now.commit_fault,
        "waits_for_sinks": now.waits_for_sinks(),
        "dead_letters": now.dead_letters,
        "plugins": plugins::shown(&plugins::of(&api)),
        "destinations": destinations,
        "sinks_not_configured": now.sinks_unknown,
        "sinks": sinks,
    })))
}

/// Forgets a sink that the configuration no longer has, and what it had yet to take.
pub(super) async fn forget_sink(
    State(api): State<Shared>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let name = part(name)?;
    if api.sinks.contains(&name) {
        let words = format!("the sink `{name}` is in the configuration; take it out there first");
        return Err(Refusal::conflict(words));
    }
    blocking(move || match api.store.forget_sink(&name)? {
        false => Err(Refusal::not_found("the store knows no sink of this name")),
        true => {
            api.status
                .set(|now| now.sinks_unknown.retain(|one| *one != name));
            Ok(json(&value!({ "forgotten": name })))
        }
    })
    .await
}

/// How it does, with the log as it is at this moment: threads tell the rest a few times a second.
async fn now_of(api: Shared) -> Result<StatusNow, Refusal> {
    blocking(move || {
        let mut now = api.status.get();
        for (partition, log) in api.partitions.all() {
            let position = api.store.position(partition)?;
            // What is known here is told also while a server is away.
            let (span, fault) = match log.span() {
                Ok(span) => (Some(span), None),
                Err(fault) => (None, Some(with_causes(&fault))),
            };
            now.logs.push(LogStatus {
                span,
                fault,
                position,
            });
        }
        Ok(now)
    })
    .await
}

/// Metrics.
pub(super) async fn metrics(State(api): State<Shared>) -> Result<Response, Refusal> {
    let plugins = plugins::of(&api);
    let door = api.door.clone();
    let remediation = api.remediation.clone();
    let mut text = render(&now_of(api.clone()).await?);
    plugins::render(&plugins, &mut text);
    channel_metrics::render(&door, &mut text);
    if let Some(traces) = api.status.traces() {
        render_traces(traces, &mut text);
    }
    if let Some(engine) = remediation {
        text = blocking(move || {
            super::remediation::render(&engine, &mut text);
            Ok(text)
        })
        .await?;
    }
    Ok((
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response())
}

/// What becomes of spans.
fn render_traces(traces: &Counts, out: &mut String) {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    family(
        out,
        "tripline_spans_sent_total",
        "counter",
        "Spans that the collector took.",
        &[(String::new(), read(&traces.sent))],
    );
    let dropped = [
        ("full", read(&traces.dropped_full)),
        ("refused", read(&traces.dropped_refused)),
    ];
    let dropped = dropped.map(|(reason, count)| (label("reason", reason), count));
    family(
        out,
        "tripline_spans_dropped_total",
        "counter",
        "Spans that were dropped: the queue was full, or the collector did not take them.",
        &dropped,
    );
}

/// One family of metrics.
pub(super) fn family(
    out: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: &[(String, f64)],
) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(out, "{name}{labels} {value}");
    }
}

/// A label whose value may be anything.
pub(super) fn label(key: &str, value: &str) -> String {
    label_with(&[(key, value)])
}

/// Several of them.
pub(super) fn label_with(labels: &[(&str, &str)]) -> String {
    let each = labels.iter().map(|(key, value)| {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        format!("{key}=\"{value}\"")
    });
    format!("{{{}}}", each.collect::<Vec<String>>().join(","))
}

fn render(now: &StatusNow) -> String {
    let mut out = String::new();
    let mut single = |name: &str, kind: &str, help: &str, value: f64| {
        family(&mut out, name, kind, help, &[(String::new(), value)]);
    };
    let work = now.work();
    let tally = &work.tally;
    for (name, help, value) in [
        (
            "tripline_events_appended_total",
            "Events taken into the log by this process.",
            now.appended,
        ),
        (
            "tripline_events_appended_bytes",
            "Bytes of them.",
            now.appended_bytes,
        ),
        (
            "tripline_events_evaluated_total",
            "Records that are events and were evaluated.",
            tally.events,
        ),
        (
            "tripline_events_matched_total",
            "Events that a rule about single events matches.",
            tally.matched,
        ),
        (
            "tripline_events_observed_total",
            "Events that rules that remember were told of.",
            tally.observed,
        ),
        (
            "tripline_events_again_total",
            "Records done again after a restart.",
            tally.again,
        ),
        (
            "tripline_events_lost_total",
            "Records that the log no longer had when they were to be read.",
            tally.lost,
        ),
        (
            "tripline_verdicts_undecided_total",
            "Verdicts that could not be decided.",
            tally.undecided,
        ),
        (
            "tripline_verdicts_not_applicable_total",
            "Verdicts on events of other sources.",
            tally.not_applicable,
        ),
        (
            "tripline_verdicts_excused_total",
            "Matches that an exception excused.",
            tally.excused,
        ),
        (
            "tripline_verdicts_skipped_total",
            "Verdicts passed over because a plugin gave no answer.",
            tally.skipped,
        ),
        (
            "tripline_plugin_faults_total",
            "Plugins that gave no answer about an event.",
            tally.plugin_faults,
        ),
        (
            "tripline_records_fatal_total",
            "Records set aside because the process died of them.",
            tally.fatal,
        ),
        (
            "tripline_dead_letters_total",
            "Records and findings set aside.",
            now.dead_letters,
        ),
        (
            "tripline_commits_total",
            "Commits made durable.",
            now.commits,
        ),
        (
            "tripline_commits_failed_total",
            "Commits that failed and were tried again.",
            now.commits_failed,
        ),
        (
            "tripline_findings_new_total",
            "Findings stored for the first time.",
            now.findings_new,
        ),
        (
            "tripline_findings_renewed_total",
            "Findings stored again because more was counted on them.",
            now.findings_renewed,
        ),
        (
            "tripline_reloads_total",
            "Rule sets put in force while running.",
            now.reloads,
        ),
        (
            "tripline_reloads_refused_total",
            "Rule sets that were refused.",
            now.reloads_refused,
        ),
    ] {
        let kind = if name.ends_with("_total") || name.ends_with("_bytes") {
            "counter"
        } else {
            "gauge"
        };
        single(name, kind, help, value as f64);
    }
    for (name, help, value) in [
        ("tripline_rules", "Rules in force.", now.rules as f64),
        (
            "tripline_rules_off",
            "Rule files with errors, whose rules are off.",
            now.rules_off as f64,
        ),
        (
            "tripline_partitions_held",
            "Partitions that this process works on.",
            now.working.len() as f64,
        ),
        (
            "tripline_log_lag",
            "Records in the log that are not evaluated yet.",
            now.lag() as f64,
        ),
        (
            "tripline_commits_failing",
            "1 while the store takes no commit.",
            f64::from(u8::from(now.commit_fault.is_some())),
        ),
        (
            "tripline_waits_for_sinks",
            "1 while evaluation waits for the slowest sink.",
            f64::from(u8::from(now.waits_for_sinks())),
        ),
        (
            "tripline_log_size_bytes",
            "What the log takes.",
            now.logs.iter().map(LogStatus::bytes).sum::<u64>() as f64,
        ),
        (
            "tripline_state_size_bytes",
            "About what rules remember.",
            work.state_bytes as f64,
        ),
        (
            "tripline_ready",
            "1 when events are taken and evaluated.",
            f64::from(u8::from(now.is_ready && !now.is_draining)),
        ),
    ] {
        single(name, "gauge", help, value);
    }
    if let Some(time) = work.event_time {
        let help = "How far event time has come, seconds after 1970.";
        single(
            "tripline_event_time_seconds",
            "gauge",
            help,
            time.micros() as f64 / 1e6,
        );
    }
    let each = |values: Vec<(&str, f64)>, key: &str| -> Vec<(String, f64)> {
        values
            .into_iter()
            .map(|(name, value)| (label(key, name), value))
            .collect()
    };
    let malformed = tally
        .malformed
        .iter()
        .map(|(reason, count)| (reason.as_str(), *count as f64))
        .collect();
    family(
        &mut out,
        "tripline_events_malformed_total",
        "counter",
        "Records that are no events, by reason.",
        &each(malformed, "reason"),
    );
    let refused = now
        .refused
        .iter()
        .map(|(reason, count)| (*reason, *count as f64))
        .collect();
    family(
        &mut out,
        "tripline_events_refused_total",
        "counter",
        "Records that were not taken into the log, by reason.",
        &each(refused, "reason"),
    );
    let decisions = now
        .decisions
        .iter()
        .map(|(effect, count)| (*effect, *count as f64))
        .collect();
    family(
        &mut out,
        "tripline_decisions_total",
        "counter",
        "Decisions about events that were asked about, by effect.",
        &each(decisions, "effect"),
    );
    let faults = now
        .faults
        .iter()
        .map(|(reason, count)| (*reason, *count as f64))
        .collect();
    family(
        &mut out,
        "tripline_faults_total",
        "counter",
        "Faults of the log, the store and our own, by kind.",
        &each(faults, "kind"),
    );
    let by_rule = work
        .findings_by_rule
        .iter()
        .map(|(rule, count)| (rule.as_str(), *count as f64))
        .collect();
    family(
        &mut out,
        "tripline_rule_findings_total",
        "counter",
        "Findings by rule, as they were found.",
        &each(by_rule, "rule"),
    );
    let sinks = |value: fn(&super::super::status::SinkStatus) -> f64| -> Vec<(String, f64)> {
        now.sinks
            .iter()
            .map(|(name, sink)| (label("sink", name), value(sink)))
            .collect()
    };
    family(
        &mut out,
        "tripline_sink_waiting",
        "gauge",
        "Findings that a sink has yet to take.",
        &sinks(|one| one.waiting as f64),
    );
    family(
        &mut out,
        "tripline_sink_sent_total",
        "counter",
        "Findings that a sink took.",
        &sinks(|one| one.sent as f64),
    );
    family(
        &mut out,
        "tripline_sink_set_aside_total",
        "counter",
        "Findings that a sink will never take.",
        &sinks(|one| one.set_aside as f64),
    );
    family(
        &mut out,
        "tripline_sink_failures",
        "gauge",
        "Failures of a sink since it last took something.",
        &sinks(|one| f64::from(one.failures)),
    );
    out
}
