//! Any text as a plugin's manifest: reading never panics, every report points into the file, and a manifest that is taken
//! asks for no more than any host gives.

use std::sync::Arc;
use tripline_core::diagnostic::{Palette, Source};
use tripline_host::batch::COLUMNS_MAX;
use tripline_host::manifest::{Capability, Limits, Manifest};

/// Holds the input to the claims above.
pub(crate) fn run(text: &str) {
    let source = Arc::new(Source {
        name: "plugin.toml".to_owned(),
        text: text.to_owned(),
    });
    let read = Manifest::read(&source);
    let again = Manifest::read(&source);
    match (read, again) {
        (Ok(manifest), Ok(again)) => {
            assert_eq!(manifest, again);
            assert_eq!(manifest.limits, manifest.limits.least(Limits::MOST));
            assert!(manifest.reads.len() <= COLUMNS_MAX && manifest.writes.len() <= COLUMNS_MAX);
            for capability in Capability::ALL {
                let asks = manifest.asks.has(capability);
                assert!(!asks || manifest.world.may_import(capability));
            }
        }
        (Err(reports), Err(_)) => {
            assert!(!reports.is_empty(), "it is refused without a word");
            for report in reports {
                let span = report.diagnostic.span;
                assert!(span.start <= span.end && span.end as usize <= text.len() + 1);
                report.render(Palette::PLAIN);
                report.to_json();
            }
        }
        _ => panic!("the same text is read in two ways"),
    }
}
