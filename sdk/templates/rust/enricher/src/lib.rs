//! {{description}}

use std::net::IpAddr;
use tripline_plugin::{Batch, Columns, Enricher, Fault, export_enricher, fields, writes};

fields! {
    /// `reads` in plugin.toml, in the same order.
    struct Reads {
        source_address: text,
        user_agent: symbol,
    }
}

writes! {
    /// `writes` in plugin.toml, in the same order.
    struct Writes {
        is_private: bool,
        program: symbol,
    }
}

#[derive(Default)]
struct Plugin;

impl Enricher for Plugin {
    fn enrich(&mut self, batch: &Batch<'_>) -> Result<Columns, Fault> {
        let reads = Reads::of(batch)?;
        let mut writes = Writes::of(batch);
        let program = reads.user_agent.map(program);
        for row in batch.rows() {
            let is_private = reads.source_address.get(row).and_then(is_private);
            writes.is_private.set_some(row, is_private);
            writes
                .program
                .set_some(row, program.get(row).copied().flatten());
        }
        Ok(writes.into())
    }
}

export_enricher!(Plugin);

/// Whether an address belongs to a private network; nothing when it is none.
fn is_private(address: &str) -> Option<bool> {
    match address.parse().ok()? {
        IpAddr::V4(address) => Some(address.is_private() || address.is_loopback()),
        IpAddr::V6(address) => Some(address.is_unique_local() || address.is_loopback()),
    }
}

/// The first program of a user agent, without its version.
fn program(agent: &str) -> Option<&str> {
    let program = agent.split([' ', '/']).next()?;
    (!program.is_empty()).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_and_programs_are_told() {
        let bytes = Columns::new(2)
            .with_text([Some("10.0.0.7"), Some("sts.amazonaws.com")])
            .with_symbol([Some("aws-cli/2.17.1"), None])
            .pack();
        let batch = Batch::read(&bytes).expect("the batch is sound");
        let written = Plugin.enrich(&batch).expect("nothing fails").pack();
        let written = Batch::read(&written).expect("the batch is sound");
        let is_private = written.bool(0).expect("the first column");
        assert_eq!((is_private.get(0), is_private.get(1)), (Some(true), None));
        let program = written.symbol(1).expect("the second column");
        assert_eq!((program.get(0), program.get(1)), (Some("aws-cli"), None));
    }
}
