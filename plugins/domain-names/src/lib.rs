//! Host names that a program made up, and names that carry data.
//!
//! A name is scored by its registered label: how unlike a written language its pairs of letters are, how evenly its
//! letters are spread, how many digits stand among them, and how long it is. Names whose labels in front are long and
//! look encoded are told apart: they carry data out through lookups.

mod name;
mod pairs;

use name::{Ignored, Judged, judge};
use tripline_plugin::{Batch, Detector, Fault, Hit, Severity, export_detector, fields};

fields! {
    struct Reads {
        name: text,
        source: text,
        code: symbol,
    }
}

/// The plugin.
#[derive(Debug)]
pub struct DomainNames {
    threshold: f64,
    ignored: Ignored,
}

impl Default for DomainNames {
    fn default() -> Self {
        Self {
            threshold: 0.8,
            ignored: Ignored::default(),
        }
    }
}

impl Detector for DomainNames {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        self.threshold = config["threshold"].as_f64().unwrap_or(0.8);
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(Fault::invalid_config("`threshold` is not from 0 to 1"));
        }
        let domains = config["ignored"].as_array().into_iter().flatten();
        self.ignored = domains.filter_map(serde_json::Value::as_str).collect();
        Ok(())
    }

    fn detect(&mut self, batch: &Batch<'_>) -> Result<Vec<Hit>, Fault> {
        let reads = Reads::of(batch)?;
        let mut hits = Vec::new();
        let mut last: Option<(&str, Option<Judged<'_>>)> = None;
        for row in batch.rows() {
            let Some(name) = reads.name.get(row) else {
                continue;
            };
            // Resolvers ask the same name again at once.
            let judged = match last {
                Some((known, judged)) if known == name => judged,
                _ => judge(name, &self.ignored),
            };
            last = Some((name, judged));
            let Some(judged) = judged.filter(|judged| judged.score >= self.threshold) else {
                continue;
            };
            hits.push(hit(row, &judged, &reads));
        }
        Ok(hits)
    }
}

export_detector!(DomainNames);

fn hit(row: usize, judged: &Judged<'_>, reads: &Reads<'_>) -> Hit {
    let title = match judged.carries_data {
        true => "a host name carries data",
        false => "a host name looks made up by a program",
    };
    let severity = match judged.carries_data {
        true => Severity::High,
        false => Severity::Medium,
    };
    let code = reads.code.get(row);
    let mut hit = Hit::new(row, severity, title)
        .score(judged.score)
        .evidence("domain", judged.domain)
        .evidence("label", judged.label)
        .evidence("entropy", judged.entropy)
        .evidence("answer", code)
        .evidence("source", reads.source.get(row));
    // Programs that make up names ask many of them: what belongs together is the machine, and for data the domain.
    let key = match (judged.carries_data, reads.source.get(row)) {
        (false, Some(source)) => source,
        _ => judged.domain,
    };
    hit = hit.dedup_key(key);
    hit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        tripline_plugin_vectors::check_detector::<DomainNames>(env!("CARGO_MANIFEST_DIR"));
    }

    #[test]
    fn a_threshold_outside_is_refused() {
        let fault = DomainNames::default()
            .configure(r#"{"threshold": 2}"#)
            .expect_err("2");
        assert_eq!(fault.message, "`threshold` is not from 0 to 1");
    }
}
