//! {{description}}
//!
//! Blocks the address that a finding is about, by asking a service of the house to.

use tripline_plugin::http::{self, Request};
use tripline_plugin::{Fault, Outcome, Remediator, Step, Value, export_remediator};

#[derive(Default)]
struct Plugin {
    url: String,
}

impl Plugin {
    /// Asks the service; an address that is so already is no trouble, so a step may be done twice.
    fn ask(&self, method: &str, address: &str, key: &str) -> Result<(), Fault> {
        let request = Request::new(method, format!("{}{address}", self.url))
            // The host fills the secret in; the plugin never sees it.
            .header("authorization", "Bearer {{secret:token}}")
            .header("idempotency-key", key);
        let response = http::send(&request)?;
        match response.status {
            200..=299 => Ok(()),
            404 if method == "DELETE" => Ok(()),
            429 | 500..=599 => Err(Fault::unavailable(format!("it says {}", response.status))),
            status => Err(Fault::internal(format!("it says {status}"))),
        }
    }
}

impl Remediator for Plugin {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: serde_json::Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        self.url = config["url"].as_str().unwrap_or_default().to_owned();
        Ok(())
    }

    /// The steps. Nothing is asked outside: this is what a person agrees to.
    fn plan(&mut self, finding: &str) -> Result<Vec<Step>, Fault> {
        let finding: serde_json::Value = serde_json::from_str(finding)
            .map_err(|error| Fault::invalid_input(error.to_string()))?;
        let address = finding["evidence"]["address"].as_str().unwrap_or_default();
        // It becomes a part of a URL.
        let address: std::net::IpAddr = address
            .parse()
            .map_err(|_| Fault::invalid_input("the finding has no `evidence.address`"))?;
        let step = Step::new("block", format!("block {address}"))
            .reversible()
            .argument("address", address.to_string());
        Ok(vec![step])
    }

    /// Does a step, or with `dry_run` says what it would do.
    fn execute(
        &mut self,
        step: &Step,
        idempotency_key: &str,
        dry_run: bool,
    ) -> Result<Outcome, Fault> {
        let address = address(step)?;
        if dry_run {
            return Ok(Outcome::unchanged(format!("would block {address}")));
        }
        self.ask("PUT", address, idempotency_key)?;
        Ok(Outcome::changed(format!("blocked {address}")).undo_token(idempotency_key))
    }

    /// Takes a step back.
    fn undo(&mut self, step: &Step, undo_token: &str) -> Result<Outcome, Fault> {
        let address = address(step)?;
        self.ask("DELETE", address, undo_token)?;
        Ok(Outcome::changed(format!("{address} is not blocked any more")))
    }
}

export_remediator!(Plugin);

fn address(step: &Step) -> Result<&str, Fault> {
    match step.argument_named("address") {
        Some(Value::Text(address)) => Ok(address),
        _ => Err(Fault::invalid_input("the step has no `address`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tripline_plugin::http::Response;
    use tripline_plugin::testing;

    #[test]
    fn an_address_is_blocked_and_let_through_again() {
        let mut plugin = Plugin::default();
        plugin
            .configure(r#"{"url": "https://firewall.example.com/v1/blocked/"}"#)
            .expect("it is sound");
        let steps = plugin
            .plan(r#"{"evidence": {"address": "198.51.100.7"}}"#)
            .expect("it plans");
        let dry = plugin.execute(&steps[0], "k1", true).expect("nothing is asked");
        assert!(!dry.changed);
        testing::answer_with(|request| {
            assert!(request.url.ends_with("/v1/blocked/198.51.100.7"));
            let status = if request.method == "PUT" { 201 } else { 404 };
            Ok(Response { status, headers: Vec::new(), body: Vec::new() })
        });
        let done = plugin.execute(&steps[0], "k1", false).expect("it answers");
        assert_eq!(done.undo_token.as_deref(), Some("k1"));
        assert!(plugin.undo(&steps[0], "k1").expect("it answers").changed);
        testing::answer_with(|_| Ok(Response { status: 503, headers: Vec::new(), body: Vec::new() }));
        assert!(plugin.execute(&steps[0], "k2", false).is_err());
        assert!(plugin.plan(r#"{"evidence": {"address": "../admin"}}"#).is_err());
    }
}
