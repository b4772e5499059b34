//! Any text as an operator's file: reading never panics, every report points into the file, and what comes of a grant is
//! within what was asked for, granted, and allowed to the key.
//!
//! The input is a manifest and an operator's file, separated by NUL.

use std::sync::Arc;
use tripline_core::diagnostic::{Palette, Source};
use tripline_host::manifest::{Capability, Limits, Manifest};
use tripline_host::operator::{Operator, Rights, rights};

/// What the key of the second question may have.
const CEILING: [Capability; 3] = [Capability::Log, Capability::Lookup, Capability::Http];

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source {
        name: name.to_owned(),
        text: text.to_owned(),
    })
}

/// Holds the input to the claims above.
pub(crate) fn run(text: &str) {
    let (manifest, file) = text.split_once('\0').unwrap_or(("", text));
    let manifest = Manifest::read(&source("plugin.toml", manifest)).ok();
    let operator = match Operator::read(&source("plugins.toml", file)) {
        Ok(operator) => operator,
        Err(reports) => {
            assert!(!reports.is_empty(), "it is refused without a word");
            for report in reports {
                let span = report.diagnostic.span;
                assert!(span.start <= span.end && span.end as usize <= file.len() + 1);
                report.render(Palette::PLAIN);
                report.to_json();
            }
            return;
        }
    };
    for plugin in &operator.plugins {
        assert_eq!(plugin.limits, plugin.limits.least(Limits::MOST));
        let Some(manifest) = &manifest else {
            continue;
        };
        match plugin.configuration(manifest) {
            Ok(None) => assert!(manifest.settings.is_empty()),
            Ok(Some(json)) => {
                let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
                let settings = json.as_object().expect("it is an object");
                assert!(
                    manifest
                        .settings
                        .iter()
                        .all(|one| settings.contains_key(&one.name))
                );
                assert_eq!(settings.len(), manifest.settings.len());
            }
            Err(reports) => assert!(!reports.is_empty(), "it is refused without a word"),
        }
        let (given, missing) = rights(&manifest.asks, &plugin.grant, &Capability::ALL);
        let (below, _) = rights(&manifest.asks, &plugin.grant, &CEILING);
        let (none, _) = rights(&manifest.asks, &plugin.grant, &[]);
        assert_eq!(none, Rights::default());
        for capability in Capability::ALL {
            assert!(!given.has(capability) || manifest.asks.has(capability));
            assert!(!below.has(capability) || given.has(capability));
            assert!(!below.has(capability) || CEILING.contains(&capability));
            let is_missed = missing.iter().any(|one| one.capability == capability);
            assert!(given.has(capability) || is_missed || !manifest.asks.has(capability));
        }
        let grant = &plugin.grant;
        assert!(
            given
                .lookup
                .iter()
                .all(|table| grant.lookup.contains(table))
        );
        assert!(
            given
                .metrics
                .iter()
                .all(|name| manifest.asks.metrics.contains(name))
        );
        assert!(
            given
                .http
                .asked
                .iter()
                .all(|ask| manifest.asks.http.contains(ask))
        );
        assert!(
            given
                .http
                .granted
                .iter()
                .all(|one| grant.http.contains(one))
        );
        if let Some(kv) = given.kv {
            let granted = grant.kv.expect("it was granted");
            let asked = manifest.asks.kv.expect("it was asked for");
            assert!(kv.bytes <= granted.bytes.min(asked.bytes));
            assert!(kv.ttl_ms_max <= granted.ttl_ms_max.min(asked.ttl_ms_max));
        }
    }
}
