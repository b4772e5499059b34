//! Actions: each plans what a case says, and nothing where it is as it should be.
//!
//! A case is a file in `plans/`: an event, what the services answer, what was known before, and the plan. The plan is written anew
//! when `TRIPLINE_BLESS` is set, and then read by a person.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tripline_remediation::action::{
    Action, Context, Kind, Known, LastKnown, PlanFault, Planned, Reads, answering, operations,
};
use tripline_remediation::plan::{Answer, Call, Check, Class, Plan, Step, is_like};

pub(crate) const ACTION_ID: &str = "act-7f3a";

/// A case of a file.
pub(crate) struct Case {
    pub(crate) path: PathBuf,
    pub(crate) whole: Value,
    pub(crate) action: Action,
}

/// Services as a list of what they answer to what. It keeps what it was asked.
pub(crate) struct Services<'a> {
    answers: &'a [Value],
    pub(crate) asked: Vec<Call>,
}

impl<'a> Services<'a> {
    pub(crate) fn new(answers: &'a Value) -> Self {
        Self {
            answers: answers.as_array().map_or(&[], Vec::as_slice),
            asked: Vec::new(),
        }
    }
}

impl Reads for Services<'_> {
    fn read(&mut self, call: &Call) -> Result<Answer, String> {
        self.asked.push(call.clone());
        let parameters = Value::Object(call.parameters.clone());
        let fits = |answer: &&Value| {
            answer["operation"] == json!(call.operation)
                && answer
                    .get("like")
                    .is_none_or(|like| is_like(&parameters, like))
        };
        let answer = self.answers.iter().find(fits);
        let answer = answer.ok_or("the case says nothing of it")?;
        Ok(match answer.get("done") {
            Some(done) => Answer::Done(done.clone()),
            None => Answer::Refused {
                code: answer["refused"].as_str().unwrap_or_default().to_owned(),
                message: "no".to_owned(),
            },
        })
    }
}

/// What a case says that was known.
pub(crate) struct Before<'a>(pub(crate) &'a Value);

impl LastKnown for Before<'_> {
    fn before(&self, arn: &str, aspect: &str, time: i64) -> Option<Known> {
        let known = self.0.as_array()?.iter();
        let mut known =
            known.filter(|one| one["arn"] == json!(arn) && one["aspect"] == json!(aspect));
        Some(Known {
            value: known.next()?["value"].clone(),
            time: time - 1,
            event: "earlier".to_owned(),
        })
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/plans");
    let files = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let whole: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let action = Action::parse(whole["action"].as_str().unwrap()).unwrap();
        Case {
            path,
            whole,
            action,
        }
    };
    paths.into_iter().map(read).collect()
}

impl Case {
    pub(crate) fn parameters(&self) -> Map<String, Value> {
        let mut parameters = self.action.parameters_of(&self.whole["event"]).unwrap();
        parameters.extend(self.whole["set"].as_object().unwrap().clone());
        parameters
    }

    pub(crate) fn planned(
        &self,
        parameters: &Map<String, Value>,
        reads: &mut dyn Reads,
        known: &Value,
    ) -> Result<Planned, PlanFault> {
        let event = &self.whole["event"];
        let text = |names: [&str; 2]| {
            let named = names.iter().find_map(|name| event[*name].as_str());
            named.unwrap_or_default()
        };
        let time: jiff::Timestamp = text(["eventTime", "time"]).parse().unwrap_or_default();
        let context = Context {
            account: text(["recipientAccountId", "account"]),
            region: text(["awsRegion", "region"]),
            action_id: ACTION_ID,
            event_time: time.as_microsecond(),
            event,
            parameters,
            last_known: &Before(known),
        };
        self.action.plan(&context, reads)
    }

    pub(crate) fn plan(&self) -> Plan {
        let mut services = Services::new(&self.whole["state"]);
        let known = &self.whole["known"];
        match self.planned(&self.parameters(), &mut services, known) {
            Ok(Planned::Plan(plan)) => *plan,
            other => panic!("{}: {other:?}", self.path.display()),
        }
    }
}

#[test]
fn every_action_plans_what_its_cases_say() {
    let is_blessed = std::env::var_os("TRIPLINE_BLESS").is_some();
    let mut tried = BTreeSet::new();
    for case in cases() {
        let name = case.path.display();
        tried.insert(case.action);
        let found = case.action.parameters_of(&case.whole["event"]);
        assert_eq!(json!(found.unwrap()), case.whole["parameters"], "{name}");
        let plan = serde_json::to_value(case.plan()).unwrap();
        if is_blessed {
            let mut whole = case.whole.clone();
            whole["plan"] = plan;
            let text = serde_json::to_string_pretty(&whole).unwrap();
            std::fs::write(&case.path, text + "\n").unwrap();
        } else {
            assert_eq!(plan, case.whole["plan"], "{name}");
        }
    }
    let all: BTreeSet<_> = Action::all().iter().copied().collect();
    let left: Vec<_> = all.difference(&tried).collect();
    assert!(left.is_empty(), "without a case: {left:?}");
}

#[test]
fn nothing_is_done_about_what_is_as_it_should_be() {
    for case in cases() {
        let mut services = Services::new(&case.whole["fixed"]);
        let planned = case.planned(&case.parameters(), &mut services, &case.whole["known"]);
        let name = case.path.display();
        assert!(
            matches!(planned, Ok(Planned::Nothing(_))),
            "{name}: {planned:?}"
        );
        assert!(!services.asked.is_empty(), "{name}: decided without asking");
    }
}

#[test]
fn what_takes_a_plan_back_holds_what_was_there() {
    fn holds(value: &Value, wanted: &Value) -> bool {
        value == wanted
            || match value {
                Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
                Value::Object(members) => members.values().any(|member| holds(member, wanted)),
                _ => false,
            }
    }
    for case in cases() {
        let plan = case.plan();
        let inverse = plan.steps.iter().flat_map(|step| &step.inverse);
        let inverse: Vec<_> = inverse.map(|step| json!(step.call.parameters)).collect();
        for wanted in case.whole["pre_image"].as_array().unwrap() {
            let is_there = inverse.iter().any(|one| holds(one, wanted));
            assert!(
                is_there,
                "{}: {wanted} is not in {inverse:?}",
                case.path.display()
            );
        }
    }
}

/// The `$from` of a value.
fn sources(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(step) = members.get("$from") {
                found.push(step["step"].as_str().unwrap().to_owned());
                assert!(step["path"].as_str().unwrap().starts_with('/'));
            }
            members.values().for_each(|member| sources(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| sources(item, found)),
        _ => {}
    }
}

#[test]
fn plans_are_whole() {
    for case in cases() {
        let plan = case.plan();
        let name = case.path.display().to_string();
        assert_eq!(plan.action, case.action.name());
        assert_eq!(plan.risk, case.action.risk());
        assert_eq!(plan.resource.kind, case.action.resource_kind());
        assert!(
            !plan.summary.is_empty() && plan.summary.len() <= 512,
            "{name}"
        );
        assert!(!plan.diff.is_empty(), "{name}: no diff");
        assert!(!plan.preconditions.is_empty(), "{name}: no precondition");
        assert!(!plan.verify.is_empty(), "{name}: nothing is verified");
        assert!(!plan.steps.is_empty(), "{name}: no step");
        if case.action.is_containment() {
            assert!(!plan.is_rolled_back, "{name}: containment stays");
        }
        let mut ids = BTreeSet::new();
        let mut asked = Services::new(&case.whole["state"]);
        let _ = case.planned(&case.parameters(), &mut asked, &case.whole["known"]);
        let mut calls: Vec<&Call> = asked.asked.iter().collect();
        for step in &plan.steps {
            step_is_whole(&name, step, &mut ids);
            calls.push(&step.call);
            calls.extend(step.probe.iter().map(|probe| &probe.call));
            for inverse in &step.inverse {
                step_is_whole(&name, inverse, &mut BTreeSet::new());
                assert!(inverse.inverse.is_empty());
                let mut found = Vec::new();
                sources(&json!(inverse.call.parameters), &mut found);
                assert!(found.iter().all(|id| *id == step.id), "{name}: {found:?}");
                calls.push(&inverse.call);
            }
        }
        calls.extend(plan.preconditions.iter().map(|check| &check.call));
        calls.extend(plan.verify.iter().map(|check| &check.call));
        let own = case.action.operations();
        for call in calls {
            assert!(
                own.contains(&call.operation.as_str()),
                "{name}: {}",
                call.operation
            );
            assert!(operations().contains(&call.operation.as_str()));
            assert_eq!(call.account.len(), 12, "{name}");
            assert!(!call.region.is_empty(), "{name}");
            if call.operation.starts_with("iam.") {
                assert_eq!(call.region, "us-east-1", "{name}");
            }
        }
        checks_are_whole(&name, &plan.preconditions);
        checks_are_whole(&name, &plan.verify);
    }
}

fn step_is_whole(name: &str, step: &Step, ids: &mut BTreeSet<String>) {
    assert!(ids.insert(step.id.clone()), "{name}: {} twice", step.id);
    let is_letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    assert!(
        step.id.len() <= 40 && step.id.bytes().all(is_letter),
        "{}",
        step.id
    );
    assert!(!step.summary.is_empty() && step.summary.len() <= 512);
    assert_eq!(
        step.class == Class::Create,
        step.probe.is_some(),
        "{name}: {}",
        step.id
    );
    if step.class == Class::Token {
        let text = json!(step.call.parameters).to_string();
        assert!(
            text.contains(&format!("{ACTION_ID}-{}", step.id)),
            "{name}: no token"
        );
    }
    if step.class == Class::Remove && step.id != "unblock" {
        assert!(
            !step.done_codes.is_empty(),
            "{name}: {} has no code",
            step.id
        );
    }
    // An association has no tags: it is told by what it associates. Nor has a request to anybody; in a cluster a name tells.
    let has_tags = !["associate", "request", "undo"].contains(&step.id.as_str())
        && step.call.operation != "http.request";
    if matches!(step.class, Class::Create | Class::Token) && has_tags {
        let text = json!(step.call.parameters).to_string();
        assert!(
            text.contains("tripline-action"),
            "{name}: {} has no tag",
            step.id
        );
    }
}

fn checks_are_whole(name: &str, checks: &[Check]) {
    for check in checks {
        assert!(!check.expect.is_empty(), "{name}: {}", check.call.operation);
        // Nothing fills in what a step answered where something is only asked.
        let mut found = Vec::new();
        sources(&json!(check), &mut found);
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn what_is_read_holds_before_a_plan_and_not_what_it_ends_with() {
    for case in cases() {
        let plan = case.plan();
        let name = case.path.display();
        let mut services = Services::new(&case.whole["state"]);
        let holds = |check: &Check, services: &mut Services<'_>| {
            let answer = services.read(&check.call);
            answer.is_ok_and(|answer| check.holds(&answer))
        };
        for check in &plan.preconditions {
            assert!(holds(check, &mut services), "{name}: {check:?}");
        }
        let is_done = plan.verify.iter().all(|check| holds(check, &mut services));
        assert!(!is_done, "{name}: it is as wanted before anything is done");
    }
}

#[test]
fn changed_state_does_not_pass_for_what_was_read() {
    for case in cases() {
        let plan = case.plan();
        let mut services = Services::new(&case.whole["fixed"]);
        let mut holds = |check: &Check| {
            let answer = services.read(&check.call);
            answer.is_ok_and(|answer| check.holds(&answer))
        };
        let all = plan.preconditions.iter().all(&mut holds);
        assert!(!all, "{}", case.path.display());
    }
}

#[test]
fn actions_describe_themselves() {
    let mut names = BTreeSet::new();
    for &action in Action::all() {
        assert_eq!(Action::parse(action.name()), Some(action));
        assert!(names.insert(action.name()), "{} twice", action.name());
        assert!(action.about().ends_with('.'));
        // What others than AWS make of it is no event that is known here.
        let is_aws = action.name().starts_with("aws.");
        let is_others = ["http.", "kubernetes."]
            .iter()
            .any(|of| action.name().starts_with(of));
        assert_eq!(is_aws, !is_others);
        assert_eq!(is_aws, !action.makes().is_empty());
        let sorted: BTreeSet<_> = action.operations().iter().collect();
        assert_eq!(sorted.len(), action.operations().len(), "{}", action.name());
        for trigger in action.triggers() {
            assert!(answering(trigger.0, trigger.1).contains(&action));
            assert!(!action.answers(trigger.0, &format!("{}s", trigger.1)));
            assert!(!action.answers("other.amazonaws.com", trigger.1));
        }
        let mut names = BTreeSet::new();
        for parameter in action.parameters() {
            assert!(names.insert(parameter.name) && !parameter.about.is_empty());
        }
    }
    assert_eq!(Action::parse("aws.ec2.terminate_everything"), None);
    assert!(Action::RemovePermission.answers("lambda.amazonaws.com", "AddPermission20150331v2"));
    assert!(!Action::RemovePermission.answers("lambda.amazonaws.com", "AddPermissionX"));
}

#[test]
fn each_operation_that_an_action_names_causes_an_event_that_it_tells() {
    // Names of events differ from those of operations only here.
    let event_name = |operation: &str| match operation {
        "s3.PutPublicAccessBlock" => "PutBucketPublicAccessBlock".to_owned(),
        "s3.DeletePublicAccessBlock" => "DeleteBucketPublicAccessBlock".to_owned(),
        "s3control.PutPublicAccessBlock" => "PutAccountPublicAccessBlock".to_owned(),
        "s3control.DeletePublicAccessBlock" => "DeleteAccountPublicAccessBlock".to_owned(),
        other => other.split_once('.').unwrap().1.to_owned(),
    };
    for action in Action::all() {
        for operation in action.operations() {
            let name = event_name(operation);
            let is_read = ["Get", "List", "Describe"];
            if !operation.starts_with("http.")
                && !is_read.iter().any(|prefix| name.starts_with(prefix))
            {
                let is_told = action.makes().iter().any(|made| made.1 == name);
                assert!(is_told, "{}: {name}", action.name());
            }
        }
    }
}

#[test]
fn failed_and_reading_events_are_refused() {
    for case in cases() {
        let mut failed = case.whole["event"].clone();
        failed["errorCode"] = json!("AccessDenied");
        let refused = case.action.parameters_of(&failed);
        assert!(
            matches!(refused, Err(PlanFault::Refused(_))),
            "{}",
            case.path.display()
        );
        if !case.action.triggers().is_empty() {
            let mut reading = case.whole["event"].clone();
            reading["readOnly"] = json!(true);
            let refused = case.action.parameters_of(&reading);
            assert!(matches!(refused, Err(PlanFault::Refused(_))));
            let mut other = case.whole["event"].clone();
            other["eventName"] = json!("SomethingElse");
            let refused = case.action.parameters_of(&other);
            assert!(matches!(refused, Err(PlanFault::Refused(_))));
        }
    }
}

#[test]
fn what_was_not_known_is_not_guessed() {
    for case in cases() {
        let knows = !case.whole["known"].as_array().unwrap().is_empty();
        let mut services = Services::new(&case.whole["state"]);
        let planned = case.planned(&case.parameters(), &mut services, &json!([]));
        // A policy that nobody knew of is removed, and a detector has settings of its own.
        let is_lenient = matches!(
            case.action,
            Action::RemoveInlinePolicy | Action::RecreateDetector
        );
        let is_unknown = matches!(planned, Err(PlanFault::Unknown(_)));
        assert_eq!(is_unknown, knows && !is_lenient, "{}", case.path.display());
    }
}

#[test]
fn ten_events_about_one_bad_state_are_one() {
    for case in cases() {
        let parameters = case.parameters();
        let account = "111122223333";
        let one = case.action.subject(account, "eu-central-1", &parameters);
        let mut later = case.whole["event"].clone();
        later["eventID"] = json!("another");
        later["eventTime"] = json!("2027-01-01T00:00:00Z");
        let mut again = case.action.parameters_of(&later).unwrap();
        again.extend(case.whole["set"].as_object().unwrap().clone());
        let other = case.action.subject(account, "eu-central-1", &again);
        assert_eq!(one, other);
        assert_eq!(one.unwrap().fingerprint.len(), 64);
    }
}

#[test]
fn a_rule_that_is_added_again_has_one_fingerprint_whatever_its_id() {
    let all = cases();
    let case = all
        .iter()
        .find(|case| case.path.ends_with("revoke_modified_rule.json"));
    let case = case.unwrap();
    let first = case.parameters();
    let mut second = first.clone();
    second.insert("rule_ids".to_owned(), json!(["sgr-0123"]));
    let mut third = first.clone();
    third.insert(
        "rules".to_owned(),
        json!([{"protocol": "tcp", "from_port": 22}]),
    );
    let [first, second, third] = [first, second, third].map(|parameters| {
        let subject = case
            .action
            .subject("111122223333", "eu-central-1", &parameters);
        subject.unwrap().fingerprint
    });
    assert_eq!(first, second);
    assert_ne!(first, third);
}

#[test]
fn bad_state_of_before_the_event_is_not_put_back() {
    for case in cases()
        .into_iter()
        .filter(|case| case.action == Action::RestoreTrustPolicy)
    {
        let mut known = case.whole["known"].clone();
        known[0]["value"] = case.whole["parameters"]["document"].clone();
        let mut services = Services::new(&case.whole["state"]);
        let planned = case.planned(&case.parameters(), &mut services, &known);
        assert!(matches!(planned, Err(PlanFault::Unknown(_))), "{planned:?}");
    }
}

#[test]
fn services_that_say_no_are_a_fault_and_not_a_plan() {
    for case in cases() {
        let refused = operations()
            .iter()
            .map(|operation| json!({"operation": operation, "refused": "AccessDenied"}));
        let refused = Value::Array(refused.collect());
        for answers in [refused, json!([])] {
            let mut services = Services::new(&answers);
            let planned = case.planned(&case.parameters(), &mut services, &case.whole["known"]);
            let name = case.path.display();
            assert!(
                matches!(planned, Err(PlanFault::Read(..))),
                "{name}: {planned:?}"
            );
        }
    }
}

#[test]
fn parameters_of_other_kinds_or_names_are_refused() {
    for case in cases() {
        let good = case.parameters();
        let plan = |parameters: &Map<String, Value>| {
            let mut services = Services::new(&case.whole["state"]);
            case.planned(parameters, &mut services, &case.whole["known"])
        };
        let mut more = good.clone();
        more.insert("unheard_of".to_owned(), json!(1));
        assert!(matches!(plan(&more), Err(PlanFault::Refused(_))));
        for parameter in case.action.parameters() {
            if parameter.is_required {
                let mut less = good.clone();
                less.remove(parameter.name);
                let planned = plan(&less);
                let name = parameter.name;
                let lacks = matches!(planned, Err(PlanFault::Lacks(_)));
                assert!(lacks, "{} without {name}: {planned:?}", case.path.display());
            }
            if parameter.kind != Kind::Json {
                let mut odd = good.clone();
                odd.insert(parameter.name.to_owned(), json!({"a": [1]}));
                assert!(matches!(plan(&odd), Err(PlanFault::Refused(_))));
            }
            if parameter.kind == Kind::Text {
                for text in [
                    "a\u{1b}[2J",
                    "x\ny",
                    "../../..",
                    "a b;c",
                    "ä",
                    &"x".repeat(5000),
                ] {
                    let mut odd = good.clone();
                    odd.insert(parameter.name.to_owned(), json!(text));
                    let planned = plan(&odd);
                    let is_fine = matches!(planned, Err(PlanFault::Refused(_)));
                    let name = parameter.name;
                    let path = case.path.display();
                    assert!(is_fine, "{path} {name} {text:?}: {planned:?}");
                }
            }
        }
    }
}
