//! Actions and the shadow state on events that somebody made up: a clear fault, never a panic, and never a plan of hundreds of
//! steps.

use crate::actions::{ACTION_ID, Before, Case, Services, cases};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tripline_remediation::action::{Action, Context, PlanFault, Planned};
use tripline_remediation::shadow::{Bounds, Shadow};

/// What is put in the place of something.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!("")),
        Just(json!({})),
        Just(json!([])),
        Just(json!([[[]]])),
        Just(json!(-1)),
        Just(json!(1e300)),
        Just(json!(u64::MAX)),
        Just(json!("0.0.0.0/0")),
        Just(json!("::/0/0")),
        Just(json!("arn:aws:iam::aws:policy/x")),
        Just(json!("arn:aws:::::")),
        Just(json!("\u{0}\u{1b}[2J\u{202e}ß")),
        Just(json!("%7B%zz%")),
        Just(json!("*")),
        Just(json!("x".repeat(100_000))),
        Just(json!(vec!["sgr-1"; 5000])),
        Just(json!([{"Effect": "Allow", "Principal": {"AWS": [[["*"]]]}}])),
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
    ]
}

/// How many places a value has.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(members) => members.values().map(places).sum(),
        _ => 0,
    }
}

/// Puts something in one place, or takes what is there away.
fn change(value: &mut Value, place: &mut usize, odd: &Option<Value>) -> bool {
    if *place == 0 {
        *value = odd.clone().unwrap_or_default();
        return true;
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(item, place, odd)),
        Value::Object(members) => {
            let names: Vec<_> = members.keys().cloned().collect();
            names.iter().any(|name| {
                if *place == 0 && odd.is_none() {
                    members.shift_remove(name);
                    return true;
                }
                change(&mut members[name], place, odd)
            })
        }
        _ => false,
    }
}

fn changed(value: &Value, changes: &[(usize, Option<Value>)]) -> Value {
    let mut value = value.clone();
    for (place, odd) in changes {
        let mut place = place % places(&value);
        change(&mut value, &mut place, odd);
    }
    value
}

fn planned(
    case: &Case,
    event: &Value,
    parameters: &Map<String, Value>,
    state: &Value,
    known: &Value,
) -> Result<Planned, PlanFault> {
    let context = Context {
        account: "111122223333",
        region: "eu-central-1",
        action_id: ACTION_ID,
        event_time: 1_772_360_430_000_000,
        event,
        parameters,
        last_known: &Before(known),
    };
    case.action.plan(&context, &mut Services::new(state))
}

fn is_plain(letter: char) -> bool {
    !letter.is_control() && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
}

fn is_fine(planned: Result<Planned, PlanFault>) -> bool {
    match planned {
        Ok(Planned::Plan(plan)) => {
            let is_short = plan.summary.len() <= 512 && plan.summary.chars().all(is_plain);
            is_short
                && (1..=101).contains(&plan.steps.len())
                && plan.steps.iter().all(|step| {
                    step.summary.len() <= 512
                        && step.summary.chars().all(is_plain)
                        && step.inverse.len() <= 100
                })
                && !plan.verify.is_empty()
                && plan.hash().len() == 64
        }
        Ok(Planned::Nothing(why)) => !why.is_empty(),
        Err(fault) => fault.to_string().len() < 5000,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn made_up_events_are_faults_and_not_panics(
        which in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<usize>(), prop::option::of(odd())), 1..4),
    ) {
        let cases = all();
        let case = &cases[which.index(cases.len())];
        let event = changed(&case.whole["event"], &changes);
        if let Ok(mut parameters) = case.action.parameters_of(&event) {
            parameters.extend(case.whole["set"].as_object().unwrap().clone());
            let (state, known) = (&case.whole["state"], &case.whole["known"]);
            prop_assert!(is_fine(planned(case, &event, &parameters, state, known)));
        }
        let other = Action::all()[other.index(Action::all().len())];
        let _ = other.parameters_of(&event);
        let mut shadow = Shadow::new(Bounds::default());
        shadow.fold(&event);
        let again = Shadow::from_bytes(&shadow.to_bytes(), Bounds::default()).unwrap();
        prop_assert_eq!(again.to_bytes(), shadow.to_bytes());
    }

    #[test]
    fn made_up_parameters_state_and_memory_are_faults_and_not_panics(
        which in any::<prop::sample::Index>(),
        parameters in prop::collection::vec((any::<usize>(), prop::option::of(odd())), 0..2),
        state in prop::collection::vec((any::<usize>(), prop::option::of(odd())), 0..3),
        known in prop::collection::vec((any::<usize>(), prop::option::of(odd())), 0..2),
    ) {
        let cases = all();
        let case = &cases[which.index(cases.len())];
        let own = changed(&json!(case.parameters()), &parameters);
        let state = changed(&case.whole["state"], &state);
        let known = changed(&case.whole["known"], &known);
        let own = own.as_object().cloned().unwrap_or_default();
        let found = planned(case, &case.whole["event"], &own, &state, &known);
        prop_assert!(is_fine(found));
    }
}

fn all() -> &'static [Case] {
    static ALL: std::sync::OnceLock<Vec<Case>> = std::sync::OnceLock::new();
    ALL.get_or_init(cases)
}

#[test]
fn many_things_in_one_event_are_refused() {
    let item = |number: usize| {
        json!({
            "groupId": "sg-0a",
            "securityGroupRuleId": format!("sgr-{number}"),
            "ipProtocol": "tcp",
            "fromPort": number,
            "toPort": number,
            "cidrIpv4": "0.0.0.0/0",
        })
    };
    let event = |count: usize| {
        let items: Vec<_> = (0..count).map(item).collect();
        json!({
            "eventSource": "ec2.amazonaws.com",
            "eventName": "AuthorizeSecurityGroupIngress",
            "requestParameters": {"groupId": "sg-0a"},
            "responseElements": {"securityGroupRuleSet": {"items": items}},
        })
    };
    assert!(Action::RevokeIngressRule.parameters_of(&event(100)).is_ok());
    let many = Action::RevokeIngressRule.parameters_of(&event(101));
    assert!(matches!(many, Err(PlanFault::Refused(_))), "{many:?}");
}

#[test]
fn who_cannot_be_contained_is_not() {
    let identity = |kind: &str, arn: &str| {
        json!({
            "eventSource": "sts.amazonaws.com",
            "eventName": "GetCallerIdentity",
            "userIdentity": {
                "type": kind,
                "arn": arn,
                "sessionContext": {"sessionIssuer": {"type": "Role", "arn": arn, "userName": "x"}},
            },
        })
    };
    for (kind, arn) in [
        ("Root", "arn:aws:iam::111122223333:root"),
        ("AWSService", "x"),
        ("AWSAccount", "x"),
        (
            "AssumedRole",
            "arn:aws:iam::111122223333:role/aws-service-role/ecs.amazonaws.com/x",
        ),
        (
            "AssumedRole",
            "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/x",
        ),
    ] {
        for action in [Action::DenyAll, Action::RevokeSessions] {
            let parameters = action.parameters_of(&identity(kind, arn)).unwrap();
            assert!(parameters.is_empty(), "{kind} {arn}: {parameters:?}");
            let subject = action.subject("111122223333", "eu-central-1", &parameters);
            assert!(matches!(subject, Err(PlanFault::Lacks(_))));
        }
    }
}

#[test]
fn somebody_of_another_account_is_not_looked_for_in_this_one() {
    let event = |account: &str| {
        json!({
            "eventSource": "ec2.amazonaws.com",
            "eventName": "RunInstances",
            "recipientAccountId": "111122223333",
            "userIdentity": {
                "type": "AssumedRole",
                "accountId": account,
                "arn": format!("arn:aws:sts::{account}:assumed-role/admin/i-0abc"),
                "sessionContext": {"sessionIssuer": {
                    "type": "Role",
                    "accountId": account,
                    "arn": format!("arn:aws:iam::{account}:role/admin"),
                    "userName": "admin",
                }},
            },
        })
    };
    for action in [
        Action::DenyAll,
        Action::RevokeSessions,
        Action::DisassociateInstanceProfile,
    ] {
        let own = action.parameters_of(&event("111122223333")).unwrap();
        assert!(!own.is_empty());
        let other = action.parameters_of(&event("999988887777")).unwrap();
        assert!(other.is_empty(), "{other:?}");
    }
}
