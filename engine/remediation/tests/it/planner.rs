//! Plans of plugins: what a policy must say, what a plugin is told, and what of its plan is refused.

use crate::actions::Before;
use serde_json::{Map, Value, json};
use std::sync::Mutex;
use tripline_core::wire::Finding;
use tripline_remediation::action::{Asking, Pinned, PlanFault, Planned, Planner, Reads};
use tripline_remediation::ask::Questions;
use tripline_remediation::engine::{Policies, plan, plan_with, propose};
use tripline_remediation::guard::{Protected, protected_of};
use tripline_remediation::machine::Proposal;
use tripline_remediation::plan::{Answer, Call, Class, Plan, Risk};
use tripline_remediation::policy::load;

const POLICY: &str = r#"
[remediation.tag]
version = "1.0.0"
description = "Tag it."
runbook = "https://runbooks.example/tag"
owner = "security"
on_finding = ["bad"]
when = 'event.eventName == "RunInstances"'
action = "plugin:tagger"
plugin_digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
risk = "medium"

[remediation.tag.params]
resource = "'arn:aws:ec2:eu-central-1:' + event.recipientAccountId + ':instance/i-1'"
resource_kind = "'aws.ec2.instance'"
fingerprint = "'untagged'"
value = "event.eventName"
"#;

fn event() -> Value {
    json!({
        "eventName": "RunInstances", "eventSource": "ec2.amazonaws.com", "awsRegion": "eu-central-1",
        "eventTime": "2026-01-01T00:00:00Z", "recipientAccountId": "123456789012",
        "eventVersion": "1.08", "eventID": "e", "userIdentity": {"type": "Root"},
    })
}

fn proposed(policy: &str, event: &Value) -> Result<Proposal, String> {
    let mut loaded = load([("p.toml", policy)]);
    let questions = Questions::of(&mut loaded, "2026-01-01".parse().unwrap());
    assert!(loaded.reports.is_empty(), "{:?}", loaded.reports);
    let policies = Policies {
        policies: loaded.policies,
        questions,
        ..Policies::default()
    };
    let finding: Finding = serde_json::from_value(json!({
        "version": 1, "finding_id": "f", "rule_id": "bad", "rule_version": "v", "rule_name": "Bad",
        "severity": "high", "title": "bad", "dedup_key": [], "event_id": "e",
    }))
    .unwrap();
    let event = event.to_string();
    let mut all = propose(
        &policies,
        &Protected::default(),
        &finding,
        event.as_bytes(),
        0,
    );
    all.remove(0).proposal
}

/// A plugin that always proposes this, after it asked that.
struct Fake {
    plan: Value,
    asks: &'static str,
    told: Mutex<Option<Value>>,
}

impl Planner for Fake {
    fn knows(&self, plugin: &Pinned) -> Result<(), String> {
        match plugin.name == "tagger" {
            true => Ok(()),
            false => Err("there is no such plugin".to_owned()),
        }
    }

    fn plan(
        &self,
        _: &Pinned,
        subject: &Value,
        asking: &mut Asking<'_>,
    ) -> Result<Planned, PlanFault> {
        *self.told.lock().unwrap() = Some(subject.clone());
        let answer = asking(self.asks, Map::new());
        answer.map_err(|why| PlanFault::Read("plugin:tagger".to_owned(), why))?;
        let plan: Plan = serde_json::from_value(self.plan.clone()).unwrap();
        Ok(Planned::Plan(Box::new(plan)))
    }
}

struct Services(Vec<Call>);

impl Reads for Services {
    fn read(&mut self, call: &Call) -> Result<Answer, String> {
        self.0.push(call.clone());
        Ok(Answer::Done(json!({})))
    }
}

fn call(operation: &str, parameters: Value) -> Value {
    // Where a plugin wants a request to go does not matter.
    json!({"operation": operation, "account": "999999999999", "region": "mars", "parameters": parameters})
}

fn good() -> Value {
    let tags = json!({"Resources": ["i-1"], "Tags": []});
    let back = json!({"id": "untag", "summary": "remove it", "class": "remove", "call": call("ec2.DeleteTags", tags.clone())});
    json!({
        "action": "aws.iam.deny_all", "resource": {"arn": "", "kind": "", "account": "", "region": ""},
        "summary": "tag\u{1b}[2J it", "risk": "low", "diff": [], "preconditions": [],
        "steps": [{"id": "tag", "summary": "tag it", "class": "set", "call": call("ec2.CreateTags", tags), "inverse": [back]}],
        "verify": [{"call": call("ec2.DescribeTags", json!({})), "expect": [{"has": ["/Tags", {}]}]}],
        "is_rolled_back": true,
    })
}

fn planned(
    policy: &str,
    change: impl FnOnce(&mut Value),
    asks: &'static str,
) -> (Result<Planned, PlanFault>, Vec<Call>, Option<Value>) {
    let proposal = proposed(policy, &event()).expect("it is proposed");
    let mut plan = good();
    change(&mut plan);
    let fake = Fake {
        plan,
        asks,
        told: Mutex::default(),
    };
    let mut services = Services(Vec::new());
    let before = json!([]);
    let planned = plan_with(
        Some(&fake),
        &proposal,
        "act-1",
        &Before(&before),
        &mut services,
    );
    (planned, services.0, fake.told.into_inner().unwrap())
}

#[test]
fn what_a_plugin_plans_goes_to_the_resource_of_the_policy() {
    let (planned, asked, told) = planned(POLICY, |_| {}, "ec2.DescribeTags");
    let Ok(Planned::Plan(plan)) = planned else {
        panic!("{planned:?}");
    };
    let told = told.unwrap();
    assert_eq!(told["parameters"], json!({"value": "RunInstances"}));
    assert_eq!(told["action-id"], "act-1");
    assert_eq!(told["finding"]["rule_id"], "bad");
    assert_eq!(
        told["resource"]["arn"],
        "arn:aws:ec2:eu-central-1:123456789012:instance/i-1"
    );
    let inverse = &plan.steps[0].inverse[0];
    for call in [
        &asked[0],
        &plan.steps[0].call,
        &inverse.call,
        &plan.verify[0].call,
    ] {
        assert_eq!(
            (call.account.as_str(), call.region.as_str()),
            ("123456789012", "eu-central-1")
        );
    }
    assert_eq!(plan.action, "plugin:tagger");
    assert_eq!(plan.resource.kind, "aws.ec2.instance");
    assert_eq!(plan.risk, Risk::Medium);
    assert!(!plan.summary.contains('\u{1b}'));
}

#[test]
fn what_a_plugin_may_not_do_is_refused() {
    let check = |change: fn(&mut Value), expected: &str| match planned(
        POLICY,
        change,
        "ec2.DescribeTags",
    )
    .0
    {
        Err(PlanFault::Refused(why)) => assert!(why.contains(expected), "{why}"),
        other => panic!("{expected}: {other:?}"),
    };
    check(|plan| plan["steps"] = json!([]), "it does nothing");
    check(
        |plan| plan["steps"][0]["call"]["operation"] = json!("ec2.TerminateInstances"),
        "is not known",
    );
    check(
        |plan| plan["steps"][0]["call"] = call("ec2.DescribeTags", json!({})),
        "only reads, and is no step",
    );
    check(
        |plan| plan["steps"][0]["call"] = call("sts.AssumeRole", json!({})),
        "is about credentials",
    );
    check(
        |plan| plan["steps"][0]["call"] = call("ec2.CreateTags", json!({})),
        "lacks the parameter",
    );
    check(
        |plan| plan["verify"][0]["call"]["operation"] = json!("ec2.CreateTags"),
        "does not only read",
    );
    check(
        |plan| plan["steps"][0]["inverse"] = json!([]),
        "cannot be taken back",
    );
    check(
        |plan| plan["steps"][0]["class"] = json!("irreversible"),
        "cannot be taken back",
    );
    check(
        |plan| plan["steps"][0]["call"]["parameters"]["Tags"] = json!("x".repeat(1 << 20)),
        "of at most 1048576",
    );
    let key = |plan: &mut Value| {
        plan["steps"][0]["call"] = call("iam.DeleteAccessKey", json!({"AccessKeyId": "AKIA"}));
    };
    check(key, "cannot be taken back");
    let allowing = POLICY.replace(
        "risk = \"medium\"",
        "risk = \"medium\"\nallow_irreversible = true\napproval = { quorum = 2 }",
    );
    match planned(&allowing, key, "ec2.DescribeTags").0 {
        Ok(Planned::Plan(plan)) => assert_eq!(plan.steps[0].class, Class::Irreversible),
        other => panic!("{other:?}"),
    }
    for asks in ["ec2.CreateTags", "ec2.DescribeEverything"] {
        let (planned, asked, _) = planned(POLICY, |_| {}, asks);
        assert!(matches!(planned, Err(PlanFault::Read(..))), "{planned:?}");
        assert_eq!(asked, []);
    }
}

#[test]
fn nobody_plans_without_who_runs_plugins() {
    let proposal = proposed(POLICY, &event()).expect("it is proposed");
    let before = json!([]);
    match plan(
        &proposal,
        "act-1",
        &Before(&before),
        &mut Services(Vec::new()),
    ) {
        Err(PlanFault::Refused(why)) => assert!(why.contains("nobody runs plugins"), "{why}"),
        other => panic!("{other:?}"),
    }
    let mut loaded = load([("p.toml", POLICY)]);
    loaded.check_plugins(None);
    assert!(loaded.policies.is_empty());
    assert!(
        loaded.reports[0]
            .diagnostic
            .message
            .contains("no plugins are declared")
    );
}

#[test]
fn a_resource_is_one_of_the_account_of_the_event() {
    let check = |arn: &str, expected: &str| {
        let policy = POLICY.replace(
            "\"'arn:aws:ec2:eu-central-1:' + event.recipientAccountId + ':instance/i-1'\"",
            &format!("\"'{arn}'\""),
        );
        match proposed(&policy, &event()) {
            Ok(proposal) => assert_eq!(
                (proposal.subject.resource.arn.as_str(), ""),
                (arn, expected)
            ),
            Err(why) => assert!(
                !expected.is_empty() && why.contains(expected),
                "{arn}: {why}"
            ),
        }
    };
    check("arn:aws:s3:::bucket", "");
    check(
        "arn:aws:ec2:eu-central-1:210987654321:instance/i-1",
        "not of the account of the event",
    );
    check("i-1", "no ARN");
    check("arn:aws:ec2:eu central:123456789012:instance/i-1", "no ARN");
    check(
        "arn:aws:ec2:eu.central:123456789012:instance/i-1",
        "no region",
    );
}

#[test]
fn what_is_protected_is_no_part_of_a_plan() {
    let protected = Protected {
        arns: vec!["arn:aws:ec2:*:security-group/sg-kept".to_owned()],
        ..Protected::default()
    };
    let mut plan: Plan = serde_json::from_value(good()).unwrap();
    assert_eq!(protected_of(&plan, &protected), None);
    plan.steps[0].call = Call {
        operation: "ec2.RevokeSecurityGroupIngress".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        parameters: json!({"GroupId": "sg-kept"}).as_object().unwrap().clone(),
    };
    let why = protected_of(&plan, &protected).expect("it is protected");
    assert!(why.contains("sg-kept"), "{why}");
}
