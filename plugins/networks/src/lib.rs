//! What kind of network the source address of an event is of, and what the site's tables say of it.
//!
//! The kind is told by the address alone and by the registries of special-purpose addresses; country, autonomous system,
//! organisation and zone come from the table `networks`, which the operator fills from whatever source they have a
//! licence for. No such data is in the plugin: it would be old on the day after, and large.

mod address;

use address::{Address, Network};
use std::net::IpAddr;
use tripline_plugin::{Batch, Columns, Enricher, Fault, export_enricher, fields, lookup, writes};

/// The table that is asked.
const TABLE: &str = "networks";

fields! {
    struct Reads {
        source: text,
    }
}

writes! {
    struct Writes {
        class: symbol,
        version: int,
        internal: bool,
        country: symbol,
        asn: int,
        organisation: symbol,
        zone: symbol,
    }
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Networks {
    internal: Vec<Network>,
    is_asking: bool,
}

impl Enricher for Networks {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        let networks = config["internal"].as_array().into_iter().flatten();
        let network = |text: &serde_json::Value| {
            let network = text.as_str().and_then(Network::parse);
            network.ok_or_else(|| Fault::invalid_config(format!("{text} is no network")))
        };
        self.internal = networks.map(network).collect::<Result<_, _>>()?;
        self.is_asking = config["table"].as_bool().unwrap_or(true);
        Ok(())
    }

    fn enrich(&mut self, batch: &Batch<'_>) -> Result<Columns, Fault> {
        let reads = Reads::of(batch)?;
        let mut writes = Writes::of(batch);
        let mut public: Vec<(String, Vec<usize>)> = Vec::new();
        for row in batch.rows() {
            let Some(source) = reads.source.get(row) else {
                continue;
            };
            let address = Address::parse(source);
            writes.class.set(row, address.class());
            let Some(ip) = address.ip() else {
                continue;
            };
            writes.version.set(row, if ip.is_ipv4() { 4 } else { 6 });
            let is_ours = self.internal.iter().any(|network| network.contains(ip));
            writes
                .internal
                .set(row, is_ours || address.is_of_the_site());
            if address.is_public() || is_ours {
                remember(&mut public, ip, row);
            }
        }
        if self.is_asking && !public.is_empty() {
            ask(&public, &mut writes)?;
        }
        Ok(writes.into())
    }
}

export_enricher!(Networks);

/// Rows of the same address are asked for once.
fn remember(public: &mut Vec<(String, Vec<usize>)>, ip: IpAddr, row: usize) {
    let text = ip.to_string();
    // Batches are small, and most have a handful of addresses; the newest is the likeliest.
    match public.iter_mut().rev().find(|(known, _)| *known == text) {
        Some((_, rows)) => rows.push(row),
        None => public.push((text, vec![row])),
    }
}

fn ask(public: &[(String, Vec<usize>)], writes: &mut Writes) -> Result<(), Fault> {
    let names = lookup::columns(TABLE)?;
    let keys: Vec<&str> = public.iter().map(|(address, _)| address.as_str()).collect();
    let found = lookup::find(TABLE, &keys)?;
    let found = found.batch()?;
    for (column, name) in names.iter().enumerate() {
        for (key, (_, rows)) in public.iter().enumerate() {
            let Some(cell) = found.cell(column, key) else {
                continue;
            };
            for row in rows.iter().copied() {
                match name.as_str() {
                    "country" => writes.country.set_some(row, cell.as_text()),
                    "asn" => writes.asn.set_some(row, number(cell)),
                    "organisation" | "organization" => {
                        writes.organisation.set_some(row, cell.as_text());
                    }
                    "zone" => writes.zone.set_some(row, cell.as_text()),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// Tables write it as 64500, `64500` or `AS64500`.
fn number(cell: tripline_plugin::Cell<'_>) -> Option<i64> {
    let digits = |text: &str| text.trim_start_matches(['A', 'S', 'a', 's']).parse().ok();
    cell.as_int().or_else(|| cell.as_text().and_then(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        tripline_plugin_vectors::check_enricher::<Networks>(env!("CARGO_MANIFEST_DIR"));
    }

    #[test]
    fn a_network_that_is_none_is_refused() {
        let config = r#"{"internal": ["198.51.100.0/33"], "table": false}"#;
        let fault = Networks::default().configure(config).expect_err("33 bits");
        assert_eq!(fault.message, "\"198.51.100.0/33\" is no network");
    }
}
