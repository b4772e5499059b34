//! {{description}}
//!
//! An instance is tagged with the finding that it is suspected for.

use serde_json::{Value, json};
use tripline_plugin::propose::{Change, Check, Class, Draft, InverseStep, Proposal, Risk, Step};
use tripline_plugin::{Fault, Planner, export_planner, reads};

#[derive(Default)]
struct Plugin {
    key: String,
}

impl Planner for Plugin {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        self.key = config["key"].as_str().unwrap_or_default().to_owned();
        Ok(())
    }

    /// What is to be done now. The same subject and the same answers have to give the same plan.
    fn plan(&mut self, subject: &str) -> Result<Proposal, Fault> {
        let subject: Value = serde_json::from_str(subject)
            .map_err(|error| Fault::invalid_input(error.to_string()))?;
        let arn = subject["resource"]["arn"].as_str().unwrap_or_default();
        let (_, id) = arn
            .rsplit_once(":instance/")
            .ok_or_else(|| Fault::invalid_input("the resource is no instance"))?;
        let rule = subject["finding"]["rule_id"].as_str().unwrap_or("unknown");

        // 1. What is the state?
        let question = json!({"Filters": [
            {"Name": "resource-id", "Values": [id]},
            {"Name": "key", "Values": [self.key]},
        ]});
        let answer = reads::read("ec2.DescribeTags", &question)?;
        let answer: Value =
            serde_json::from_str(&answer).map_err(|error| Fault::internal(error.to_string()))?;
        if !answer["done"].is_object() {
            let code = answer["refused"]["code"].as_str().unwrap_or("nothing of use");
            return Err(Fault::unavailable(format!("EC2 says {code}")));
        }
        let before = &answer["done"]["Tags"][0]["Value"];
        if before.as_str() == Some(rule) {
            return Ok(Proposal::Nothing("it is tagged already".to_owned()));
        }

        // 2. What is done, how is it taken back, and how is it seen to have worked?
        let tag = |value: &Value| json!({"Resources": [id], "Tags": [{"Key": self.key, "Value": value}]});
        let back = match before.is_string() {
            true => InverseStep::new("restore", "put the tag back", Class::Set, "ec2.CreateTags", tag(before)),
            false => InverseStep::new(
                "remove",
                "remove the tag",
                Class::Remove,
                "ec2.DeleteTags",
                json!({"Resources": [id], "Tags": [{"Key": self.key}]}),
            ),
        };
        let after = Value::from(rule);
        let step = Step::new(
            "tag",
            format!("tag {id} with {} = {rule}", self.key),
            Class::Set,
            "ec2.CreateTags",
            tag(&after),
        );
        let draft = Draft::new(format!("tag {id} as suspect"), Risk::Low)
            .change(Change::new(format!("tag {}", self.key), before, &after))
            .step(step.inverse(back))
            .verify(Check::new("ec2.DescribeTags", &question).has("/Tags", json!({"Value": rule})));
        Ok(draft.into())
    }
}

export_planner!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use tripline_plugin::testing;

    #[test]
    fn an_instance_is_tagged_once() {
        let mut plugin = Plugin::default();
        plugin.configure(r#"{"key": "suspect"}"#).expect("it is sound");
        let subject = json!({
            "resource": {"arn": "arn:aws:ec2:eu-central-1:123456789012:instance/i-0a"},
            "finding": {"rule_id": "bad"},
        });
        let subject = subject.to_string();
        testing::services(|_, _| Ok(r#"{"done": {"Tags": []}}"#.to_owned()));
        let Ok(Proposal::Draft(draft)) = plugin.plan(&subject) else {
            panic!("it plans");
        };
        assert_eq!(draft.steps[0].inverse[0].operation, "ec2.DeleteTags");
        testing::services(|_, _| Ok(r#"{"done": {"Tags": [{"Value": "bad"}]}}"#.to_owned()));
        assert!(matches!(plugin.plan(&subject), Ok(Proposal::Nothing(_))));
    }
}
