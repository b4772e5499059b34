//! {{description}}

use tripline_plugin::{Batch, Detector, Fault, Hit, Severity, export_detector, fields};

fields! {
    /// `reads` in plugin.toml, in the same order.
    struct Reads {
        event_name: symbol,
        source_address: text,
        arn: text,
    }
}

#[derive(Default)]
struct Plugin {
    names: Vec<String>,
}

impl Detector for Plugin {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        let names = config["names"].as_array();
        let names = names.ok_or_else(|| Fault::invalid_config("`names` is no list"))?;
        let names = names
            .iter()
            .filter_map(|name| Some(name.as_str()?.to_owned()));
        self.names = names.collect();
        Ok(())
    }

    fn detect(&mut self, batch: &Batch<'_>) -> Result<Vec<Hit>, Fault> {
        let reads = Reads::of(batch)?;
        let is_found = reads
            .event_name
            .map(|name| self.names.iter().any(|is| is == name));
        let mut hits = Vec::new();
        for row in batch.rows() {
            if is_found.get(row) != Some(&true) {
                continue;
            }
            let name = reads.event_name.get(row).unwrap_or_default();
            let mut hit = Hit::new(row, Severity::High, format!("{name} was called"))
                .evidence("address", reads.source_address.get(row));
            if let Some(arn) = reads.arn.get(row) {
                hit = hit.dedup_key(arn);
            }
            hits.push(hit);
        }
        Ok(hits)
    }
}

export_detector!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use tripline_plugin::Columns;

    #[test]
    fn configured_names_are_found() {
        let mut plugin = Plugin::default();
        plugin
            .configure(r#"{"names": ["StopLogging"]}"#)
            .expect("the names are a list");
        let bytes = Columns::new(2)
            .with_symbol([Some("GetObject"), Some("StopLogging")])
            .with_text([None, Some("198.51.100.7")])
            .with_text([None, None])
            .pack();
        let batch = Batch::read(&bytes).expect("the batch is sound");
        let hits = plugin.detect(&batch).expect("nothing fails");
        let rows: Vec<u32> = hits.iter().map(|hit| hit.row).collect();
        assert_eq!(rows, [1]);
    }
}
