//! What a plugin of a service was granted, over reloads and swapped files: what it keeps, what it counts, and what is said of it when
//! it does not run.

use super::folder;
use super::service::Service;
use crate::harness::Folder;
use crate::plugins::{good, under};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// An enricher that says how many events it was asked about so far, counts them for the operator, and wants a table.
pub(super) fn counter() -> &'static Path {
    static BUILT: OnceLock<(Folder, PathBuf)> = OnceLock::new();
    counting_by(&BUILT, 1)
}

/// One of the same name that counts in other steps.
pub(super) fn counting_by(built: &'static OnceLock<(Folder, PathBuf)>, step: u32) -> &'static Path {
    let (_, path) = built.get_or_init(|| {
        let folder = Folder::new(&format!("counter-{step}"));
        good(&folder, &["plugin", "new", "acme/counter"]);
        let source = r#"//! Counts.

use tripline_plugin::{Batch, Columns, Enricher, Fault, export_enricher, fields, kv, log, metrics, writes};

fields! { struct Reads { event_name: symbol } }
writes! { struct Writes { seen: int } }

#[derive(Default)]
struct Counter;

impl Enricher for Counter {
    fn enrich(&mut self, batch: &Batch<'_>) -> Result<Columns, Fault> {
        let reads = Reads::of(batch)?;
        let mut writes = Writes::of(batch);
        for row in batch.rows() {
            writes.seen.set(row, kv::add("seen", 1, 60_000)?);
            metrics::add("asked", 2);
            let name = reads.event_name.get(row).unwrap_or_default();
            metrics::observe("length", name.len() as f64);
            metrics::observe("unknown", 1.0);
            log::warn("asked", &[]);
        }
        Ok(writes.into())
    }
}

export_enricher!(Counter);
"#;
        let source = source.replace("(\"seen\", 1,", &format!("(\"seen\", {step},"));
        std::fs::write(under(&folder, "counter/src/lib.rs"), source).expect("it is written");
        let manifest = under(&folder, "counter/plugin.toml");
        let text = std::fs::read_to_string(&manifest).expect("there is a manifest");
        let text = text
            .replace(
                r#"["sourceIPAddress:text", "userAgent:symbol"]"#,
                r#"["eventName:symbol"]"#,
            )
            .replace(r#"["is_private:bool", "program:symbol"]"#, r#"["seen:int"]"#)
            .replace(
                "[capabilities]",
                "[capabilities]\nlog = true\nkv = { bytes = \"64KiB\", ttl_max = \"1d\" }\n\
                 metrics = [\"asked\", \"length\"]\nlookup = [\"names\"]",
            );
        std::fs::write(&manifest, text).expect("it is written");
        good(&folder, &["plugin", "build", "counter"]);
        let path = under(&folder, "counter/acme-counter.wasm");
        (folder, path)
    });
    path
}

pub(super) const OPERATOR: &str = "[trust]\nunsigned = \"allow\"\n[plugins.counter]\npath = \"counter.wasm\"\n\
    [plugins.counter.grant]\nlog = true\nmetrics = true\nkv = { bytes = \"64KiB\", ttl_max = \"1d\" }\n\
    lookup = { names = \"names.csv\" }\n";

pub(super) const RULE: &str = r#"
id = "counted"
name = "Counted"
description = "The counter was asked."
severity = "low"
status = "experimental"
authors = ["Tripline"]
when = 'enrich.counter.seen > 0'

[finding]
title = "number {enrich.counter.seen}"
"#;

fn site(name: &str) -> Folder {
    let folder = folder(name, "");
    std::fs::copy(counter(), under(&folder, "counter.wasm")).expect("the component is there");
    folder.file("plugins.toml", OPERATOR);
    folder.file("names.csv", "name,owner\na,b\n");
    folder.file("rules/counted.toml", RULE);
    let path = folder.path();
    let config = std::fs::read_to_string(format!("{path}/tripline.toml")).expect("it is there");
    let plugins = format!("rules.plugins = \"{path}/plugins.toml\"\n");
    folder.file("tripline.toml", plugins + &config);
    folder
}

fn event(id: &str) -> String {
    format!(r#"{{"eventID":"{id}","eventTime":"2026-01-06T10:00:00Z","eventName":"Login"}}"#)
}

/// The titles of what the counter's rule found, oldest first.
fn titles(service: &Service) -> Vec<String> {
    let page = service.get("/v1/findings?limit=1000&rule=counted");
    let mut titles: Vec<String> = page["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["title"].as_str().expect("a title").to_owned())
        .collect();
    titles.reverse();
    titles
}

fn status(service: &Service) -> Value {
    service.get("/v1/status")["plugins"]["counter"].clone()
}

#[test]
fn what_a_plugin_keeps_outlives_reloads_and_what_it_counts_is_told() {
    let folder = site("granted-kept");
    let service = Service::start(&folder);
    service.publish(&[event("a"), event("b")]);
    service.wait_evaluated();
    let told = status(&service);
    assert_eq!(told["metrics"]["asked"]["total"], 4, "{told}");
    assert_eq!(
        told["metrics"]["length"]["observed"],
        json!({"count": 2, "sum": 10.0, "least": 5.0, "greatest": 5.0}),
        "{told}"
    );
    assert_eq!(told["metrics_refused"], 2, "{told}");
    let metrics = service.text("/metrics");
    for line in [
        "tripline_plugin_up{plugin=\"counter\"} 1\n",
        "tripline_plugin_metric_total{plugin=\"counter\",name=\"asked\"} 4\n",
        "tripline_plugin_metric_observed_count{plugin=\"counter\",name=\"length\"} 2\n",
        "tripline_plugin_metric_observed_sum{plugin=\"counter\",name=\"length\"} 10\n",
        "tripline_plugin_metrics_refused_total{plugin=\"counter\"} 2\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    assert_eq!(service.post("/v1/reload", "").0, 200);
    service.publish(&[event("c")]);
    service.wait_evaluated();
    assert_eq!(titles(&service), ["number 1", "number 2", "number 3"]);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_file_that_is_swapped_while_it_runs_changes_nothing_until_it_is_read_again() {
    let folder = site("granted-swapped");
    let service = Service::start(&folder);
    service.publish(&[event("a")]);
    service.wait_evaluated();
    // Over the file itself, as a careless copy does it, and as a replacement.
    let component = std::fs::read(counter()).expect("the component");
    for (number, swapped) in [b"no component".to_vec(), component[..1000].to_vec()]
        .into_iter()
        .enumerate()
    {
        match number {
            0 => std::fs::write(under(&folder, "counter.wasm"), swapped).expect("written"),
            _ => {
                std::fs::write(under(&folder, "other"), swapped).expect("written");
                std::fs::rename(under(&folder, "other"), under(&folder, "counter.wasm"))
                    .expect("renamed");
            }
        }
        service.publish(&[event(&format!("after {number}"))]);
        service.wait_evaluated();
        let (code, text) = service.post("/v1/reload", "");
        assert_eq!(code, 409, "{text}");
        assert_eq!(status(&service)["state"], "on");
    }
    service.publish(&[event("b")]);
    service.wait_evaluated();
    assert_eq!(
        titles(&service).last().map(String::as_str),
        Some("number 4")
    );
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_plugin_that_does_not_start_is_seen_and_its_rule_undecided() {
    let folder = site("granted-absent");
    std::fs::remove_file(under(&folder, "names.csv")).expect("it was there");
    let service = Service::start(&folder);
    service.publish(&[event("a")]);
    service.wait_evaluated();
    let told = status(&service);
    assert_eq!(told["state"], "not started", "{told}");
    let reason = told["reason"].as_str().expect("a reason");
    assert!(reason.contains("names.csv"), "{reason}");
    service.wait_until("its silence is counted", || {
        let tally = &service.get("/v1/status")["tally"];
        (&tally["plugin_faults"], &tally["undecided"]) == (&json!(1), &json!(1))
    });
    let metrics = service.text("/metrics");
    let line = "tripline_plugin_up{plugin=\"counter\"} 0\n";
    assert!(metrics.contains(line), "{metrics}");
    assert_eq!(service.terminate(), Some(0));
    // Of one that is not let run the service says so too.
    let refused = OPERATOR.replace("\"allow\"", "\"refuse\"");
    folder.file("plugins.toml", refused);
    let service = Service::start(&folder);
    let told = status(&service);
    assert_eq!(told["state"], "off", "{told}");
    assert!(
        told["reason"]
            .as_str()
            .is_some_and(|why| why.contains("sign")),
        "{told}"
    );
    assert_eq!(service.terminate(), Some(0));
}

/// A reload that would take a plugin away is refused, as one with a mistake in a rule is.
#[test]
fn a_reload_that_breaks_a_plugin_is_refused_with_its_name() {
    let folder = site("granted-broken");
    let service = Service::start(&folder);
    let names = under(&folder, "names.csv");
    std::fs::remove_file(&names).expect("it was there");
    for (operator, why) in [
        (
            OPERATOR.to_owned(),
            "the plugin `counter` did not start: the table `names` cannot be read",
        ),
        (
            format!("{OPERATOR}[plugins.counter.limits]\nmemory = \"1KiB\"\n"),
            "the plugin `counter` did not start: ",
        ),
        (
            OPERATOR.replace("\"allow\"", "\"refuse\""),
            "the plugin `counter` is off: the component has no signature",
        ),
    ] {
        folder.file("plugins.toml", operator);
        let (code, text) = service.post("/v1/reload", "");
        assert_eq!(code, 409, "{text}");
        assert!(text.contains(why), "{text}");
    }
    service.publish(&[event("a")]);
    service.wait_evaluated();
    assert_eq!(titles(&service), ["number 1"]);
    assert_eq!(service.terminate(), Some(0));
    // Status says why of one that does not run.
    folder.file("plugins.toml", OPERATOR);
    let service = Service::start(&folder);
    let told = crate::plugins::run(&folder, &["status", "--url", &service.url()]);
    let why = "plugin     counter: not started: the table `names` cannot be read";
    assert!(told.stdout.contains(why), "{}", told.stdout);
    assert_eq!(service.terminate(), Some(0));
}
