//! What program, tool and system a user agent stands for.
//!
//! User agents are what clients say of themselves: good for telling what is usual, never for trusting anything. They
//! are read as the grammar has it, products and comments, and each different one of a batch once.

mod agent;
mod products;

use tripline_plugin::{Batch, Columns, Enricher, Fault, export_enricher, fields, writes};

fields! {
    struct Reads {
        user_agent: symbol,
    }
}

writes! {
    struct Writes {
        kind: symbol,
        program: symbol,
        version: symbol,
        major: int,
        system: symbol,
        language: symbol,
        command: symbol,
        attack_tool: bool,
    }
}

/// The plugin.
#[derive(Debug, Default)]
pub struct UserAgents;

impl Enricher for UserAgents {
    fn enrich(&mut self, batch: &Batch<'_>) -> Result<Columns, Fault> {
        let reads = Reads::of(batch)?;
        let mut writes = Writes::of(batch);
        let agents = reads.user_agent.map(agent::Agent::read);
        for row in batch.rows() {
            let Some(agent) = agents.get(row) else {
                continue;
            };
            writes.kind.set(row, agent.kind);
            writes.program.set_some(row, agent.program);
            writes.version.set_some(row, agent.version);
            writes.major.set_some(row, agent.major());
            writes.system.set_some(row, agent.system);
            writes.language.set_some(row, agent.language);
            writes.command.set_some(row, agent.command.as_deref());
            writes.attack_tool.set(row, agent.is_attack_tool);
        }
        Ok(writes.into())
    }
}

export_enricher!(UserAgents);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        tripline_plugin_vectors::check_enricher::<UserAgents>(env!("CARGO_MANIFEST_DIR"));
    }
}
