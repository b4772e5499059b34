//! {{description}}

use tripline_plugin::{Batch, Decision, Fault, Policy, export_policy, fields};

fields! {
    /// `reads` in plugin.toml, in the same order.
    struct Reads {
        event_name: symbol,
        identity_type: symbol,
        arn: text,
    }
}

#[derive(Default)]
struct Plugin {
    guarded: Vec<String>,
    approvers: String,
}

impl Policy for Plugin {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        let guarded = config["guarded"].as_array();
        let guarded = guarded.ok_or_else(|| Fault::invalid_config("`guarded` is no list"))?;
        let guarded = guarded
            .iter()
            .filter_map(|name| Some(name.as_str()?.to_owned()));
        self.guarded = guarded.collect();
        self.approvers = config["approvers"].as_str().unwrap_or_default().to_owned();
        Ok(())
    }

    /// One decision a row, in the order of the rows. Without an opinion the policy abstains.
    fn decide(&mut self, batch: &Batch<'_>) -> Result<Vec<Decision>, Fault> {
        let reads = Reads::of(batch)?;
        let decide = |row| {
            let name = reads.event_name.get(row).unwrap_or_default();
            if !self.guarded.iter().any(|is| is == name) {
                return Decision::abstain();
            }
            if reads.identity_type.get(row) == Some("Root") {
                return Decision::deny(format!("the root user does not call {name}"));
            }
            let who = reads.arn.get(row).unwrap_or("somebody");
            Decision::require_approval(format!("{who} calls {name}"))
                .obligation("approvers", self.approvers.as_str())
        };
        Ok(batch.rows().map(decide).collect())
    }
}

export_policy!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use tripline_plugin::{Columns, Effect};

    #[test]
    fn the_root_user_is_refused_and_others_are_approved() {
        let mut plugin = Plugin::default();
        plugin
            .configure(r#"{"guarded": ["StopLogging"], "approvers": "security"}"#)
            .expect("the names are a list");
        let bytes = Columns::new(3)
            .with_symbol([Some("StopLogging"), Some("StopLogging"), Some("GetObject")])
            .with_symbol([Some("Root"), Some("IAMUser"), Some("Root")])
            .with_text([None, None, None])
            .pack();
        let batch = Batch::read(&bytes).expect("the batch is sound");
        let decisions = plugin.decide(&batch).expect("nothing fails");
        let effects: Vec<Effect> = decisions.iter().map(|one| one.effect).collect();
        assert_eq!(
            effects,
            [Effect::Deny, Effect::RequireApproval, Effect::Abstain]
        );
    }
}
