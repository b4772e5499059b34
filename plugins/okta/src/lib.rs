//! Okta's System Log as events of the form of CloudTrail.
//!
//! So that rules about people, addresses and failures hold for both: who did it stands in `userIdentity`, from where in
//! `sourceIPAddress`, what in `eventName` under the source `okta.com`, and how it ended in `errorCode`. Takes what the API
//! and its exports give: an array of events, or an event a line; also wrapped by EventBridge, under `detail`.

mod event;
mod records;

use tripline_plugin::{Decoded, Decoder, Fault, export_decoder, metrics};

/// The plugin.
#[derive(Debug)]
pub struct Okta {
    is_keeping: bool,
}

impl Default for Okta {
    fn default() -> Self {
        Self { is_keeping: true }
    }
}

impl Decoder for Okta {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        self.is_keeping = config["original"].as_bool().unwrap_or(true);
        Ok(())
    }

    fn decode(&mut self, chunk: &[u8], state: &[u8], last: bool) -> Result<Decoded, Fault> {
        let mut decoded = Decoded::default();
        let mut count = 0;
        let mut records = records::Records::new(chunk, state, last);
        for (offset, record) in records.by_ref() {
            let record = match record {
                Ok(record) => record,
                Err(message) => {
                    decoded.bad(offset, message);
                    continue;
                }
            };
            match event::of(record, self.is_keeping) {
                Ok(event) => {
                    decoded.event(&event.to_string());
                    count += 1;
                }
                Err(message) => decoded.bad(offset, message),
            }
        }
        decoded.consumed = records.consumed();
        decoded.state = records.state().to_vec();
        metrics::add("events_total", count);
        metrics::add("bad_total", decoded.bad.len() as u64);
        Ok(decoded)
    }
}

export_decoder!(Okta);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        tripline_plugin_vectors::check_decoder::<Okta>(env!("CARGO_MANIFEST_DIR"));
    }
}
