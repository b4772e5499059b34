//! Secrets in the fields of events, and those fields without them.
//!
//! A secret is told by its form – keys of AWS, tokens of GitHub, GitLab, Slack, Stripe, Google and others, web tokens,
//! private keys, passwords in addresses – or by the name of its field. What it is replaced by names the kind and no byte
//! of it. The fingerprint lets two events with the same
//! secret be told; it is given of random secrets only, since a password could be found from it by trying.
//!
//! Only fields with a secret are given back: where there is no column, the field is as it was.

mod find;
mod forms;
mod redact;

use redact::{Redacted, Redactor};
use tripline_plugin::{Batch, Columns, Enricher, Fault, export_enricher, fields, writes};

fields! {
    struct Reads {
        request_parameters: json,
        response_elements: json,
        user_agent: text,
        error_message: text,
    }
}

writes! {
    struct Writes {
        found: symbol,
        count: int,
        place: symbol,
        fingerprint: text,
        request_parameters: json,
        response_elements: json,
        user_agent: text,
        error_message: text,
    }
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Secrets {
    redactor: Redactor,
}

impl Enricher for Secrets {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        let names = config["names"].as_array().into_iter().flatten();
        let names = names.filter_map(serde_json::Value::as_str);
        let generic = config["generic"].as_bool().unwrap_or(true);
        self.redactor = Redactor::new(names, generic);
        Ok(())
    }

    fn enrich(&mut self, batch: &Batch<'_>) -> Result<Columns, Fault> {
        let reads = Reads::of(batch)?;
        let mut writes = Writes::of(batch);
        for row in batch.rows() {
            let parts = [
                ("requestParameters", reads.request_parameters.get(row), true),
                ("responseElements", reads.response_elements.get(row), true),
                ("userAgent", reads.user_agent.get(row), false),
                ("errorMessage", reads.error_message.get(row), false),
            ];
            let mut count = 0;
            let mut first: Option<(&str, Redacted)> = None;
            for (place, text, is_json) in parts {
                let Some(text) = text else {
                    continue;
                };
                let redacted = match is_json {
                    true => self.redactor.json(text),
                    false => self.redactor.text(text),
                };
                let Some(redacted) = redacted else {
                    continue;
                };
                count += redacted.count;
                match place {
                    "requestParameters" => writes.request_parameters.set(row, &redacted.text),
                    "responseElements" => writes.response_elements.set(row, &redacted.text),
                    "userAgent" => writes.user_agent.set(row, &redacted.text),
                    _ => writes.error_message.set(row, &redacted.text),
                }
                first.get_or_insert((place, redacted));
            }
            if let Some((place, redacted)) = first {
                writes.found.set(row, redacted.kind);
                writes.count.set(row, count);
                writes.place.set(row, place);
                let fingerprint = redacted.fingerprint.as_deref();
                writes.fingerprint.set_some(row, fingerprint);
            }
        }
        Ok(writes.into())
    }
}

export_enricher!(Secrets);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        tripline_plugin_vectors::check_enricher::<Secrets>(env!("CARGO_MANIFEST_DIR"));
    }
}
