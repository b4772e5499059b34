//! What an IAM policy in a request newly allows: everything, everybody, another account, or a way to become more.
//!
//! Policies are found in the parameters of the request under the names that AWS gives them, and by their looks below any
//! other name; they come as objects, as JSON text, and as JSON text that was URL-encoded once or twice. Attaching one of
//! AWS's own administrator policies counts as what it allows. What the policy replaced is not known from the event: all
//! that it allows counts as new.
//!
//! The judgement is of the document alone. A `Deny` in the same document is looked at; conditions, boundaries and
//! policies of the organisation are not evaluated, except for the conditions that name who may come.

mod document;
mod escalation;
mod judge;
mod pattern;

use judge::{Judge, Verdict};
use serde_json::Value;
use tripline_plugin::{Batch, Columns, Enricher, Fault, export_enricher, fields, writes};

fields! {
    struct Reads {
        account: symbol,
        parameters: json,
    }
}

writes! {
    struct Writes {
        grants: symbol,
        admin: bool,
        public: bool,
        cross_account: bool,
        escalation: symbol,
        accounts: text,
        statement: json,
        problem: text,
    }
}

/// The plugin.
#[derive(Debug, Default)]
pub struct IamPolicies {
    accounts: Vec<String>,
}

impl Enricher for IamPolicies {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        let accounts = config["accounts"].as_array().into_iter().flatten();
        self.accounts = accounts
            .filter_map(|account| Some(account.as_str()?.to_owned()))
            .collect();
        Ok(())
    }

    fn enrich(&mut self, batch: &Batch<'_>) -> Result<Columns, Fault> {
        let reads = Reads::of(batch)?;
        let mut writes = Writes::of(batch);
        for row in batch.rows() {
            let Some(parameters) = reads.parameters.get(row) else {
                continue;
            };
            if !document::may_hold_one(parameters) {
                continue;
            }
            let Ok(parameters) = serde_json::from_str::<Value>(parameters) else {
                continue;
            };
            let judge = Judge {
                home: reads.account.get(row),
                accounts: &self.accounts,
            };
            let found = document::find(&parameters);
            if let Some(problem) = found.problem {
                writes.problem.set(row, problem);
            }
            let mut verdict = Verdict::default();
            for document in &found.documents {
                verdict.join(judge.document(document));
            }
            if let Some(arn) = found.attached {
                verdict.join(judge.attached(arn));
            }
            if found.documents.is_empty() && found.attached.is_none() {
                continue;
            }
            write(&mut writes, row, &verdict);
        }
        Ok(writes.into())
    }
}

export_enricher!(IamPolicies);

fn write(writes: &mut Writes, row: usize, verdict: &Verdict) {
    writes.grants.set(row, verdict.grants());
    writes.admin.set(row, verdict.admin);
    writes.public.set(row, verdict.public);
    writes.cross_account.set(row, !verdict.foreign.is_empty());
    writes.escalation.set_some(row, verdict.escalation);
    if !verdict.foreign.is_empty() {
        writes.accounts.set(row, &verdict.foreign.join(" "));
    }
    if let Some(statement) = &verdict.statement {
        writes.statement.set(row, &statement.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        tripline_plugin_vectors::check_enricher::<IamPolicies>(env!("CARGO_MANIFEST_DIR"));
    }
}
