//! What a session may do: the actions of one plan on the resources of that plan, and nothing else.
//!
//! The role that remediation takes on may do much. A session that is made for a plan may do what its calls need, so that
//! whoever gets hold of it can repeat the plan and no more. A name that comes from an event must not become a pattern:
//! names with characters that no resource has are refused.

use super::endpoint::{Partition, is_account};
use super::operation::{Operation, operation};
use crate::plan::Call;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The longest policy that a session takes; STS counts characters.
const POLICY_CHARACTERS_MAX: usize = 2_048;
/// The longest name that a session takes.
const NAME_CHARACTERS_MAX: usize = 64;

/// Why there is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// No operation is called so.
    #[error("there is no operation {0}")]
    Operation(String),
    /// A value cannot be a part of an ARN; the operation and the parameter.
    #[error("{0} has a value of {1} that no resource can be called")]
    Name(String, String),
    /// It is longer than STS takes, even with any resource.
    #[error("what the plan needs is longer than a session's policy may be")]
    TooLong,
}

/// The name of a session for an action, as `rem-01J...`: what events say who did it.
pub fn session_name(action: &str) -> String {
    let is_taken = |one: char| one.is_ascii_alphanumeric() || "_+=,.@-".contains(one);
    let taken = |one: char| if is_taken(one) { one } else { '-' };
    let name = format!("rem-{action}");
    name.chars().take(NAME_CHARACTERS_MAX).map(taken).collect()
}

/// The policy of a session that makes these calls, those of checks, preconditions and inverses among them. Resources are
/// named where the calls name them. A policy that would be too long names any resource instead, for the same actions.
///
/// Calls of what is no service of AWS, as `http.request`, need nothing.
pub fn session_policy<'a>(
    calls: impl IntoIterator<Item = &'a Call>,
) -> Result<String, PolicyFault> {
    let mut needed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in calls {
        if call.operation.starts_with("http.") {
            continue;
        }
        let found = operation(&call.operation);
        let found = found.ok_or_else(|| PolicyFault::Operation(call.operation.clone()))?;
        for (action, arn) in needs(found, call)? {
            needed.entry(action).or_default().insert(arn);
        }
    }
    for arns in needed.values_mut().filter(|arns| arns.contains("*")) {
        *arns = [String::from("*")].into();
    }
    let exact = written(&needed);
    if exact.chars().count() <= POLICY_CHARACTERS_MAX {
        return Ok(exact);
    }
    for arns in needed.values_mut() {
        *arns = [String::from("*")].into();
    }
    let wide = written(&needed);
    match wide.chars().count() <= POLICY_CHARACTERS_MAX {
        true => Ok(wide),
        false => Err(PolicyFault::TooLong),
    }
}

/// Actions that are allowed on the same resources stand in one statement.
fn written(needed: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut statements: BTreeMap<&BTreeSet<String>, Vec<&str>> = BTreeMap::new();
    for (action, arns) in needed {
        statements.entry(arns).or_default().push(action);
    }
    let one_or_all = |all: Vec<&str>| match all.as_slice() {
        [one] => json!(one),
        all => json!(all),
    };
    let statements: Vec<_> = statements
        .into_iter()
        .map(|(arns, actions)| {
            let arns = arns.iter().map(String::as_str).collect();
            json!({"Effect": "Allow", "Action": one_or_all(actions), "Resource": one_or_all(arns)})
        })
        .collect();
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn needs(operation: &Operation, call: &Call) -> Result<Vec<(String, String)>, PolicyFault> {
    let mut all = Vec::new();
    for template in &operation.arns {
        for arn in filled(operation, call, template)? {
            all.push((operation.iam_action.to_owned(), arn));
        }
    }
    for action in &operation.iam_also {
        if *action == "iam:PassRole" {
            let roles = roles(operation, call)?;
            all.extend(roles.into_iter().map(|role| ((*action).to_owned(), role)));
        } else {
            all.push(((*action).to_owned(), "*".to_owned()));
        }
    }
    if call.parameters.contains_key("TagSpecifications") {
        all.push(("ec2:CreateTags".to_owned(), "*".to_owned()));
    }
    Ok(all)
}

/// What a request acts on, as far as its operation says: ARNs, `*` for what is not known. None when it cannot be told.
pub fn acted_on(call: &Call) -> Vec<String> {
    let Some(operation) = super::operation(&call.operation) else {
        return Vec::new();
    };
    let all = operation.arns.iter();
    all.flat_map(|template| filled(operation, call, template).unwrap_or_default())
        .collect()
}

/// The ARNs of a template. A list gives one for each of its elements; what is not known is `*`.
fn filled(operation: &Operation, call: &Call, template: &str) -> Result<Vec<String>, PolicyFault> {
    let partition = Partition::of(&call.region).name();
    let account = Some(call.account.as_str()).filter(|account| is_account(account));
    let region = Some(call.region.as_str()).filter(|region| is_name(region) && !region.is_empty());
    let mut all = vec![String::new()];
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        rest = after;
        let values = match name {
            "partition" => vec![partition.to_owned()],
            "account" => vec![account.unwrap_or("*").to_owned()],
            "region" => vec![region.unwrap_or("*").to_owned()],
            name => {
                let values = values(operation, call, name)?;
                if values.iter().any(|value| value.starts_with("arn:")) {
                    return Ok(values);
                }
                values
            }
        };
        all = all
            .iter()
            .flat_map(|start| {
                values
                    .iter()
                    .map(move |value| format!("{start}{before}{value}"))
            })
            .collect();
    }
    for arn in &mut all {
        arn.push_str(rest);
    }
    Ok(all)
}

fn values(operation: &Operation, call: &Call, path: &str) -> Result<Vec<String>, PolicyFault> {
    let mut parts = path.split('.');
    let first = parts.next().and_then(|name| call.parameters.get(name));
    let value = parts
        .try_fold(first, |value, name| Some(value?.get(name)))
        .flatten();
    let any = || Ok(vec!["*".to_owned()]);
    let one = |value: &Value| match value.as_str() {
        // What an earlier step answers is not known yet.
        None => Ok("*".to_owned()),
        Some(text) if text.is_empty() || !is_name(text) => {
            Err(PolicyFault::Name(operation.name.clone(), path.to_owned()))
        }
        // An alias of a key, or a function with its account or its version: another name than that in the ARN.
        Some(text) if !text.starts_with("arn:") && is_other_name(operation, text) => {
            Ok("*".to_owned())
        }
        Some(text) => Ok(text.to_owned()),
    };
    match value {
        None => any(),
        Some(Value::Array(items)) if items.is_empty() => any(),
        Some(Value::Array(items)) => items.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
    }
}

fn is_other_name(operation: &Operation, text: &str) -> bool {
    match operation.service.name {
        "kms" => text.starts_with("alias/"),
        "lambda" => text.contains(':'),
        _ => false,
    }
}

/// Whether a text can stand in an ARN as it is: no pattern and no variable of a policy.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_/:#-".contains(&byte);
    text.len() <= 512 && text.bytes().all(is_part)
}

/// The roles that a call hands on. A profile of an instance does not say which role it holds.
fn roles(operation: &Operation, call: &Call) -> Result<BTreeSet<String>, PolicyFault> {
    let mut found = BTreeSet::new();
    search(&call.parameters, &mut found);
    if let Some(role) = found.iter().find(|role| !is_name(role)) {
        let name = operation.name.clone();
        return Err(PolicyFault::Name(name, role.clone()));
    }
    if operation.name == "ec2.AssociateIamInstanceProfile" {
        let any = "arn:{partition}:iam::{account}:role/*";
        found.extend(filled(operation, call, any)?);
    }
    Ok(found)
}

fn search(members: &Map<String, Value>, found: &mut BTreeSet<String>) {
    for value in members.values() {
        match value {
            Value::String(text) if text.starts_with("arn:") && text.contains(":role/") => {
                found.insert(text.clone());
            }
            Value::Object(members) => search(members, found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str, parameters: Value) -> Call {
        let Value::Object(parameters) = parameters else {
            panic!("parameters are an object");
        };
        Call {
            operation: operation.to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            parameters,
        }
    }

    #[track_caller]
    fn check(calls: &[Call], statements: Value) {
        let policy: Value = serde_json::from_str(&session_policy(calls).unwrap()).unwrap();
        assert_eq!(
            policy,
            json!({"Version": "2012-10-17", "Statement": statements})
        );
    }

    #[test]
    fn a_plan_may_do_what_it_says() {
        let rule = json!({"GroupId": "sg-1", "SecurityGroupRuleIds": ["sgr-1"]});
        check(
            &[
                call("ec2.RevokeSecurityGroupIngress", rule),
                call("ec2.DescribeSecurityGroupRules", json!({})),
                call("http.request", json!({})),
            ],
            json!([
                {"Effect": "Allow", "Action": "ec2:DescribeSecurityGroupRules", "Resource": "*"},
                {"Effect": "Allow", "Action": "ec2:RevokeSecurityGroupIngress", "Resource": [
                    "arn:aws:ec2:eu-central-1:123456789012:security-group-rule/*",
                    "arn:aws:ec2:eu-central-1:123456789012:security-group/sg-1"]}
            ]),
        );
        let user = json!({"UserName": "a"});
        let put = json!({"UserName": "a", "PolicyName": "b", "PolicyDocument": {}});
        check(
            &[call("iam.GetUser", user), call("iam.PutUserPolicy", put)],
            json!([{"Effect": "Allow", "Action": ["iam:GetUser", "iam:PutUserPolicy"], "Resource": [
                "arn:aws:iam::123456789012:user/*/a", "arn:aws:iam::123456789012:user/a"]}]),
        );
    }

    #[test]
    fn an_arn_stands_for_itself_and_what_is_not_known_for_anything() {
        let resource = |operation: &str, parameters: Value| {
            let policy = session_policy([&call(operation, parameters)]).unwrap();
            let policy: Value = serde_json::from_str(&policy).unwrap();
            policy["Statement"][0]["Resource"].clone()
        };
        let trail = "arn:aws:cloudtrail:eu-west-1:999999999999:trail/a";
        assert_eq!(
            resource("cloudtrail.StartLogging", json!({"Name": trail})),
            json!(trail)
        );
        assert_eq!(
            resource("kms.EnableKey", json!({"KeyId": "alias/a"})),
            json!("arn:aws:kms:eu-central-1:123456789012:key/*")
        );
        assert_eq!(
            resource("ec2.StopInstances", json!({"InstanceIds": ["i-1", "i-2"]})),
            json!([
                "arn:aws:ec2:eu-central-1:123456789012:instance/i-1",
                "arn:aws:ec2:eu-central-1:123456789012:instance/i-2"
            ])
        );
        assert_eq!(
            resource(
                "ec2.StartInstances",
                json!({"InstanceIds": [{"$from": {"step": "a", "path": "/b"}}]})
            ),
            json!("arn:aws:ec2:eu-central-1:123456789012:instance/*")
        );
        assert_eq!(
            resource("rds.DescribeDBInstances", json!({})),
            json!("arn:aws:rds:eu-central-1:123456789012:db:*")
        );
    }

    #[test]
    fn roles_that_are_handed_on_are_named() {
        let role = "arn:aws:iam::123456789012:role/flow";
        let policy = session_policy([&call(
            "ec2.CreateFlowLogs",
            json!({"DeliverLogsPermissionArn": role, "TagSpecifications": []}),
        )])
        .unwrap();
        assert!(
            policy.contains(&format!(r#""Action":"iam:PassRole","Resource":"{role}""#)),
            "{policy}"
        );
        assert!(policy.contains("ec2:CreateTags"));
        let policy =
            session_policy([&call("cloudtrail.UpdateTrail", json!({"Name": "a"}))]).unwrap();
        assert!(!policy.contains("PassRole"));
    }

    #[test]
    fn a_name_is_no_pattern() {
        for name in ["*", "a?", "${aws:username}", "a\"", "", "a b"] {
            let fault = session_policy([&call("iam.GetUser", json!({"UserName": name}))]);
            let wanted = PolicyFault::Name("iam.GetUser".to_owned(), "UserName".to_owned());
            assert_eq!(fault.unwrap_err(), wanted);
        }
        let fault = session_policy([&call("iam.DeleteUser", json!({}))]).unwrap_err();
        assert_eq!(fault.to_string(), "there is no operation iam.DeleteUser");
    }

    #[test]
    fn a_policy_is_never_longer_than_it_may_be() {
        let ids: Vec<_> = (0..100).map(|number| format!("i-{number:017}")).collect();
        let policy =
            session_policy([&call("ec2.StopInstances", json!({"InstanceIds": ids}))]).unwrap();
        assert!(policy.contains(r#""Action":"ec2:StopInstances","Resource":"*""#));
        let all: Vec<_> = super::super::operations()
            .map(|operation| call(&operation.name, json!({})))
            .collect();
        assert_eq!(session_policy(&all).unwrap_err(), PolicyFault::TooLong);
    }

    #[test]
    fn names_of_sessions_are_taken_by_sts() {
        assert_eq!(session_name("01JABC"), "rem-01JABC");
        assert_eq!(session_name("a/b c"), "rem-a-b-c");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }
}
