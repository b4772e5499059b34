//! Plans how a security group is closed to the whole world, but for the ports that may be open.
//!
//! Each rule is a step of its own: one request that revokes several is refused as a whole when one of them is gone already.

mod rule;

use rule::Rule;
use serde_json::{Value, json};
use tripline_plugin::propose::{Change, Check, Class, Draft, InverseStep, Proposal, Risk, Step};
use tripline_plugin::{Fault, FaultKind, Planner, export_planner, reads};

/// Most rules of one plan: the host takes no more steps.
const RULES_MAX: usize = 100;

const DESCRIBE: &str = "ec2.DescribeSecurityGroupRules";

/// See the crate.
#[derive(Default)]
pub struct OpenRules {
    allow: Vec<String>,
}

impl Planner for OpenRules {
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let config: Value = serde_json::from_str(config)
            .map_err(|error| Fault::invalid_config(error.to_string()))?;
        let allow = config["allow"].as_array();
        let allow = allow.ok_or_else(|| Fault::invalid_config("`allow` is no list"))?;
        for one in allow {
            let one = one.as_str().unwrap_or_default();
            if !rule::is_port(one) {
                let words = format!("`allow`: `{one}` is no port, such as tcp/443 or icmp/*");
                return Err(Fault::invalid_config(words));
            }
            self.allow.push(one.to_owned());
        }
        Ok(())
    }

    fn plan(&mut self, subject: &str) -> Result<Proposal, Fault> {
        let subject: Value = serde_json::from_str(subject)
            .map_err(|error| Fault::invalid_input(error.to_string()))?;
        let arn = subject["resource"]["arn"].as_str().unwrap_or_default();
        let group = group_of(arn).ok_or_else(|| {
            Fault::invalid_input("the resource is no security group: its ARN has none")
        })?;
        let question = json!({"Filters": [{"Name": "group-id", "Values": [group]}]});
        let Some(answer) = described(&question)? else {
            return Ok(Proposal::Nothing("the security group is gone".to_owned()));
        };
        let rules = answer["SecurityGroupRules"].as_array();
        let mut open: Vec<Rule<'_>> = rules
            .into_iter()
            .flatten()
            .filter_map(Rule::open)
            .filter(|rule| !self.allow.iter().any(|port| rule.is_of(port)))
            .collect();
        // The order of answers is nobody's promise, and the same state has to give the same plan.
        open.sort_by_key(|rule| rule.id);
        open.dedup_by_key(|rule| rule.id);
        match open.len() {
            0 => Ok(Proposal::Nothing(
                "no rule lets the whole world in but to ports that may be open".to_owned(),
            )),
            count if count > RULES_MAX => Err(Fault::new(
                FaultKind::Limit,
                format!(
                    "{count} rules of {group} let the whole world in; a plan has at most {RULES_MAX} steps"
                ),
            )),
            _ => Ok(draft(group, &question, &open).into()),
        }
    }
}

/// The id of a security group, by its ARN.
fn group_of(arn: &str) -> Option<&str> {
    let (_, group) = arn.rsplit_once(":security-group/")?;
    let id = group.strip_prefix("sg-")?;
    let is_id =
        !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then_some(group)
}

/// What EC2 says of the rules; nothing when it knows no such group.
fn described(question: &Value) -> Result<Option<Value>, Fault> {
    let answer = reads::read(DESCRIBE, question)?;
    let mut answer: Value =
        serde_json::from_str(&answer).map_err(|error| Fault::internal(error.to_string()))?;
    if answer["done"].is_object() {
        return Ok(Some(answer["done"].take()));
    }
    match answer["refused"]["code"].as_str() {
        Some("InvalidGroup.NotFound") => Ok(None),
        Some(code @ ("RequestLimitExceeded" | "Throttling" | "InternalError" | "Unavailable")) => {
            Err(Fault::unavailable(format!("EC2 says {code}")))
        }
        Some(code) => Err(Fault::new(FaultKind::Denied, format!("EC2 says {code}"))),
        None => Err(Fault::internal("EC2 says nothing of use")),
    }
}

fn draft(group: &str, question: &Value, open: &[Rule<'_>]) -> Draft {
    let count = open.len();
    let summary = match count {
        1 => format!("revoke the rule of {group} that lets the whole world in"),
        _ => format!("revoke the {count} rules of {group} that let the whole world in"),
    };
    let mut draft = Draft::new(summary, Risk::Medium).containment();
    let mut held = Check::new(DESCRIBE, question);
    let mut gone = Check::new(DESCRIBE, question);
    let list = "/SecurityGroupRules";
    for (number, rule) in (1..).zip(open) {
        let words = rule.words();
        let back = InverseStep::new(
            "authorize",
            format!("add the rule {words} to {group} again, under a new id"),
            Class::Set,
            "ec2.AuthorizeSecurityGroupIngress",
            rule.authorized(group),
        );
        let step = Step::new(
            format!("revoke_{number}"),
            format!(
                "revoke {words} ({}) from {group}; open connections stay open",
                rule.id
            ),
            Class::Remove,
            "ec2.RevokeSecurityGroupIngress",
            json!({"GroupId": group, "SecurityGroupRuleIds": [rule.id]}),
        );
        let step = step.done_when(&[
            "InvalidPermission.NotFound",
            "InvalidSecurityGroupRuleId.NotFound",
            "InvalidGroup.NotFound",
        ]);
        let back = back.done_when(&["InvalidPermission.Duplicate"]);
        held = held.has(list, rule.seen());
        gone = gone.has_not(list, json!({"SecurityGroupRuleId": rule.id}));
        draft = draft
            .change(Change::new(
                format!("ingress {words}"),
                rule.value,
                Value::Null,
            ))
            .step(step.inverse(back));
    }
    draft.precondition(held).verify(gone)
}

export_planner!(OpenRules);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_by_their_arns() {
        let arn = "arn:aws:ec2:eu-central-1:123456789012:security-group/sg-0a1b";
        assert_eq!(group_of(arn), Some("sg-0a1b"));
        for bad in [
            "",
            "sg-1",
            "arn:aws:ec2:a:1:security-group/sg-",
            "x:security-group/sg-1/../2",
        ] {
            assert_eq!(group_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_vectors_pass() {
        tripline_plugin_vectors::check_planner::<OpenRules>(env!("CARGO_MANIFEST_DIR"));
    }
}
