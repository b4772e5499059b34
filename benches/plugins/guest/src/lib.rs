//! The rule of the measurements, as a plugin: eight sensitive actions that succeeded, without a second factor, from an
//! address outside, or with an administrator's policy. `benches/plugins/rule.rs` is the same for the host.

mod find;

use tripline_plugin::{Batch, Detector, Fault, Hit, Severity, export_detector};

#[derive(Default)]
struct Sensitive;

impl Detector for Sensitive {
    fn detect(&mut self, batch: &Batch<'_>) -> Result<Vec<Hit>, Fault> {
        let mut hits = Vec::new();
        find::find(batch, |row| {
            hits.push(Hit::new(row, Severity::High, "sensitive action"));
        })?;
        Ok(hits)
    }
}

export_detector!(Sensitive);
