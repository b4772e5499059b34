//! Who an identity is: owner, team and whether it is privileged.
//!
//! The table `identities` is the site's, exported from wherever it keeps its inventory. Its keys are ARNs without a
//! session, or names; its columns `owner`, `team` and `privileged`. An identity is looked up by the most exact key
//! first: the ARN, then the name within its account (`111122223333/alice`), then the bare name.

mod arn;

use arn::Principal;
use std::collections::BTreeMap;
use tripline_plugin::{
    Batch, Columns, Enricher, Fault, SymbolColumn, TextColumn, export_enricher, fields, lookup,
    writes,
};

/// The table that is asked.
const TABLE: &str = "identities";

fields! {
    struct Reads {
        kind: symbol,
        arn: text,
        user_name: text,
        principal_id: text,
        account: symbol,
        invoked_by: symbol,
    }
}

writes! {
    struct Writes {
        name: text,
        kind: symbol,
        session: text,
        owner: symbol,
        team: symbol,
        privileged: bool,
        known: bool,
    }
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Identities {
    privileged: Vec<String>,
}

impl Enricher for Identities {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        let names = config["privileged"].as_array().into_iter().flatten();
        let names = names.filter_map(|name| Some(name.as_str()?.to_owned()));
        self.privileged = names.collect();
        Ok(())
    }

    fn enrich(&mut self, batch: &Batch<'_>) -> Result<Columns, Fault> {
        let reads = Reads::of(batch)?;
        let mut writes = Writes::of(batch);
        // Rows by the principal they are about: most batches are about a few.
        let mut rows: BTreeMap<Principal<'_>, Vec<usize>> = BTreeMap::new();
        for row in batch.rows() {
            let Some(principal) = reads.principal(row) else {
                continue;
            };
            if let Some(session) = principal.session {
                writes.session.set(row, session);
            }
            let principal = Principal {
                session: None,
                ..principal
            };
            rows.entry(principal).or_default().push(row);
        }
        let facts = ask(rows.keys())?;
        for ((principal, rows), facts) in rows.iter().zip(&facts) {
            let is_listed = self.privileged.iter().any(|name| name == principal.name);
            let is_privileged = match facts.privileged {
                Some(privileged) => Some(privileged || is_listed),
                None if is_listed || principal.kind == "root" => Some(true),
                None => facts.is_known.then_some(false),
            };
            for row in rows.iter().copied() {
                writes.name.set(row, principal.name);
                writes.kind.set(row, principal.kind);
                writes.owner.set_some(row, facts.owner.as_deref());
                writes.team.set_some(row, facts.team.as_deref());
                writes.privileged.set_some(row, is_privileged);
                writes.known.set(row, facts.is_known);
            }
        }
        Ok(writes.into())
    }
}

export_enricher!(Identities);

impl<'b> Reads<'b> {
    fn principal(&self, row: usize) -> Option<Principal<'b>> {
        let text = |column: &TextColumn<'b>| column.get(row).filter(|text| !text.is_empty());
        let symbol = |column: &SymbolColumn<'b>| column.get(row).filter(|text| !text.is_empty());
        let account = symbol(&self.account).unwrap_or_default();
        let kind = symbol(&self.kind).unwrap_or_default();
        if let Some(principal) = text(&self.arn).and_then(Principal::of_arn) {
            return Some(principal);
        }
        if kind == "Root" {
            return Some(Principal::named("root", "root", account));
        }
        if let Some(service) = symbol(&self.invoked_by) {
            return Some(Principal::named("service", service, account));
        }
        if let Some(name) = text(&self.user_name) {
            let kind = if kind == "IAMUser" { "user" } else { "other" };
            return Some(Principal::named(kind, name, account));
        }
        let id = text(&self.principal_id)?;
        let (name, session) = match id.split_once(':') {
            Some((name, session)) => (name, Some(session)),
            None => (id, None),
        };
        let principal = Principal::named("other", name, account);
        Some(Principal {
            session,
            ..principal
        })
    }
}

/// What the table says of a principal.
#[derive(Clone, Debug, Default)]
struct Facts {
    is_known: bool,
    owner: Option<String>,
    team: Option<String>,
    privileged: Option<bool>,
}

fn ask<'p>(
    principals: impl ExactSizeIterator<Item = &'p Principal<'p>>,
) -> Result<Vec<Facts>, Fault> {
    let mut facts = vec![Facts::default(); principals.len()];
    if facts.is_empty() {
        return Ok(facts);
    }
    let keys: Vec<String> = principals.flat_map(|principal| principal.keys()).collect();
    let names = lookup::columns(TABLE)?;
    // Three keys for each principal; a batch of the most rows may need two calls.
    for (chunk, keys) in keys.chunks(arn::KEYS * 1024).enumerate() {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = lookup::find(TABLE, &keys)?;
        let found = found.batch()?;
        for key in 0..keys.len() {
            let facts = &mut facts[chunk * 1024 + key / arn::KEYS];
            let cells = (0..names.len()).map(|column| found.cell(column, key));
            let cells: Vec<_> = cells.collect();
            if facts.is_known || cells.iter().all(Option::is_none) {
                continue;
            }
            facts.is_known = true;
            for (name, cell) in names.iter().zip(cells) {
                let text = cell.and_then(|cell| cell.as_text());
                match name.as_str() {
                    "owner" => facts.owner = text.map(str::to_owned),
                    "team" => facts.team = text.map(str::to_owned),
                    "privileged" => facts.privileged = cell.and_then(|cell| cell.as_bool()),
                    _ => {}
                }
            }
        }
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        tripline_plugin_vectors::check_enricher::<Identities>(env!("CARGO_MANIFEST_DIR"));
    }
}
