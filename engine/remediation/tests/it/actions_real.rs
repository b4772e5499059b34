//! Actions against logs of real attacks: which one answers which event, and what it takes from it. Skipped where the logs are not
//! at hand.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tripline_remediation::action::{Action, LastKnown, PlanFault, answering};
use tripline_remediation::shadow::{Bounds, Shadow};

/// The events of each file; none where there are no logs.
fn logs() -> Option<BTreeMap<String, Vec<Value>>> {
    let Some(shared) = std::env::var_os("TRIPLINE_SHARED") else {
        println!("skipped: no real logs at hand; set TRIPLINE_SHARED");
        return None;
    };
    let folder = PathBuf::from(shared).join("data/events/stratus");
    let mut logs = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let events = lines.map(|line| serde_json::from_str(line).unwrap());
        logs.insert(name, events.collect());
    }
    Some(logs)
}

/// What the actions that are about what was done make of an event.
fn answers(event: &Value) -> Vec<(Action, Map<String, Value>)> {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let mut all = Vec::new();
    for action in answering(text("eventSource"), text("eventName")) {
        match action.parameters_of(event) {
            Ok(parameters) => {
                let subject =
                    action.subject(text("recipientAccountId"), text("awsRegion"), &parameters);
                let subject = subject.unwrap();
                assert!(subject.resource.arn.starts_with("arn:aws"));
                assert_eq!(subject.fingerprint.len(), 64);
                all.push((action, parameters));
            }
            Err(PlanFault::Refused(_)) => {}
            Err(fault) => panic!("{}: {fault}", action.name()),
        }
    }
    all
}

#[test]
fn each_change_of_a_real_attack_is_answered_by_its_action() {
    let Some(logs) = logs() else { return };
    let asked = |event: &Value, pointer: &str| {
        event
            .pointer(&format!("/requestParameters/{pointer}"))
            .cloned()
            .unwrap()
    };
    // What each file's events must be answered with: the event's name, the action, and what it must have taken from where.
    type Taken = fn(&Value) -> Value;
    let key: Taken = |event| {
        json!({
            "user_name": event["requestParameters"]["userName"],
            "access_key_id": event["responseElements"]["accessKey"]["accessKeyId"],
        })
    };
    let attached: Taken = |event| {
        let asked = &event["requestParameters"];
        let (kind, name) = match asked.get("userName") {
            Some(name) => ("user", name),
            None => ("role", &asked["roleName"]),
        };
        json!({
            "principal_kind": kind,
            "principal_name": name,
            "policy_arn": asked["policyArn"],
        })
    };
    let function: Taken = |event| json!({"function": event["requestParameters"]["functionName"]});
    let expected: &[(&str, &str, Action, Taken)] = &[
        (
            "aws.persistence.iam-backdoor-user",
            "CreateAccessKey",
            Action::DeactivateAccessKey,
            key,
        ),
        (
            "aws.persistence.iam-backdoor-user",
            "CreateAccessKey",
            Action::DeleteAccessKey,
            key,
        ),
        (
            "aws.persistence.iam-create-admin-user",
            "CreateAccessKey",
            Action::DeactivateAccessKey,
            key,
        ),
        (
            "aws.persistence.iam-create-admin-user",
            "CreateAccessKey",
            Action::DeleteAccessKey,
            key,
        ),
        (
            "aws.persistence.iam-create-admin-user",
            "AttachUserPolicy",
            Action::DetachPolicy,
            attached,
        ),
        (
            "aws.persistence.iam-create-backdoor-role",
            "AttachRolePolicy",
            Action::DetachPolicy,
            attached,
        ),
        (
            "aws.defense-evasion.cloudtrail-event-selectors",
            "PutEventSelectors",
            Action::RestoreEventSelectors,
            |event| json!({"trail": event["responseElements"]["trailARN"]}),
        ),
        (
            "aws.defense-evasion.vpc-remove-flow-logs",
            "DeleteFlowLogs",
            Action::RecreateFlowLogs,
            |event| {
                let id =
                    &event["requestParameters"]["DeleteFlowLogsRequest"]["FlowLogId"]["content"];
                json!({"flow_log_ids": [id]})
            },
        ),
        (
            "aws.exfiltration.ec2-security-group-open-port-22-ingress",
            "AuthorizeSecurityGroupIngress",
            Action::RevokeIngressRule,
            |event| {
                let rule = &event["responseElements"]["securityGroupRuleSet"]["items"][0];
                json!({
                    "group_id": event["requestParameters"]["groupId"],
                    "rule_ids": [rule["securityGroupRuleId"]],
                    "rules": [{
                        "protocol": "tcp",
                        "from_port": 22,
                        "to_port": 22,
                        "cidr": rule["cidrIpv4"],
                    }],
                })
            },
        ),
        (
            "aws.exfiltration.ec2-share-ebs-snapshot",
            "ModifySnapshotAttribute",
            Action::UnshareSnapshot,
            |event| {
                let added =
                    &event["requestParameters"]["createVolumePermission"]["add"]["items"][0];
                json!({
                    "snapshot_id": event["requestParameters"]["snapshotId"],
                    "shared_with": [{"UserId": added["userId"]}],
                })
            },
        ),
        (
            "aws.exfiltration.rds-share-snapshot",
            "ModifyDBSnapshotAttribute",
            Action::UnshareDbSnapshot,
            |event| {
                json!({
                    "snapshot": event["requestParameters"]["dBSnapshotIdentifier"],
                    "shared_with": event["requestParameters"]["valuesToAdd"],
                })
            },
        ),
        (
            "aws.persistence.lambda-backdoor-function",
            "AddPermission20150331v2",
            Action::RemovePermission,
            |event| {
                json!({
                    "function": event["requestParameters"]["functionName"],
                    "statement_id": event["requestParameters"]["statementId"],
                })
            },
        ),
        (
            "aws.persistence.lambda-layer-extension",
            "UpdateFunctionConfiguration20150331v2",
            Action::StopInvocations,
            function,
        ),
        (
            "aws.persistence.lambda-overwrite-code",
            "UpdateFunctionCode20150331v2",
            Action::StopInvocations,
            function,
        ),
        (
            "aws.execution.ec2-user-data",
            "StartInstances",
            Action::StopInstances,
            |event| {
                let item = &event["requestParameters"]["instancesSet"]["items"][0];
                json!({"instance_ids": [item["instanceId"]]})
            },
        ),
    ];
    let mut found = 0;
    for (file, events) in &logs {
        for event in events {
            for (action, parameters) in answers(event) {
                let name = &event["eventName"];
                let one = expected
                    .iter()
                    .find(|one| one.0 == file && json!(one.1) == *name && one.2 == action);
                let Some(one) = one else {
                    panic!("{file}: {name} is answered by {}", action.name());
                };
                found += 1;
                for (member, value) in (one.3)(event).as_object().unwrap() {
                    assert!(!value.is_null(), "{file}: {member}");
                    assert_eq!(&parameters[member], value, "{file}: {member}");
                }
            }
        }
    }
    assert_eq!(found, expected.len());
    let selectors = &logs["aws.defense-evasion.cloudtrail-event-selectors"][0];
    let bad = &answers(selectors)[0].1["bad"]["EventSelectors"][0];
    assert_eq!(
        bad["ReadWriteType"],
        asked(selectors, "eventSelectors/0/readWriteType")
    );
    assert_eq!(bad["IncludeManagementEvents"], json!(false));
}

#[test]
fn failed_and_reading_events_of_real_attacks_are_answered_by_nothing() {
    let Some(logs) = logs() else { return };
    let (mut failed, mut reading) = (0, 0);
    for event in logs.values().flatten() {
        let has_failed = event.get("errorCode").is_some_and(|code| !code.is_null());
        let is_reading = event["readOnly"] == json!(true);
        if !has_failed && !is_reading {
            continue;
        }
        assert!(answers(event).is_empty());
        for action in Action::all() {
            let is_refused = matches!(action.parameters_of(event), Err(PlanFault::Refused(_)));
            assert!(is_refused || (!has_failed && action.triggers().is_empty()));
        }
        failed += usize::from(has_failed);
        reading += usize::from(is_reading && !has_failed);
    }
    assert!(
        failed > 10 && reading > 50,
        "{failed} failed, {reading} read"
    );
}

#[test]
fn stolen_credentials_of_an_instance_lead_to_its_role_and_to_itself() {
    let Some(logs) = logs() else { return };
    let events = &logs["aws.credential-access.ec2-steal-instance-credentials"];
    let mut found = 0;
    for event in events {
        let arn = event["userIdentity"]["arn"].as_str().unwrap_or_default();
        let Some((_, session)) = arn.split_once(":assumed-role/") else {
            continue;
        };
        let (role, session) = session.split_once('/').unwrap();
        if !session.starts_with("i-") || event.get("errorCode").is_some() {
            continue;
        }
        let parameters = Action::RevokeSessions.parameters_of(event).unwrap();
        assert_eq!(parameters["role_name"], json!(role));
        let parameters = Action::DenyAll.parameters_of(event).unwrap();
        assert_eq!(parameters["principal_kind"], json!("role"));
        assert_eq!(parameters["principal_name"], json!(role));
        if event.pointer("/requestParameters/instanceId").is_none() {
            let parameters = Action::DisassociateInstanceProfile
                .parameters_of(event)
                .unwrap();
            assert!(
                parameters["instance_id"]
                    .as_str()
                    .unwrap()
                    .starts_with("i-")
            );
        }
        found += 1;
    }
    assert!(found > 0);
}

#[test]
fn real_logs_are_folded_the_same_in_any_order() {
    let Some(logs) = logs() else { return };
    let mut events: Vec<&Value> = logs.values().flatten().collect();
    let mut forth = Shadow::new(Bounds::default());
    let said = events.iter().filter(|event| forth.fold(event)).count();
    // A role and a user were made, and selectors were put; the other changes say nothing of what was.
    assert_eq!(said, 3);
    events.reverse();
    let mut back = Shadow::new(Bounds::default());
    for event in events {
        back.fold(event);
    }
    assert_eq!(forth.to_bytes(), back.to_bytes());

    let role = &logs["aws.persistence.iam-create-backdoor-role"];
    let role = role
        .iter()
        .find(|event| event["eventName"] == json!("CreateRole"));
    let arn = role.unwrap()["responseElements"]["role"]["arn"]
        .as_str()
        .unwrap();
    let trust = forth.before(arn, "assume_role_policy", i64::MAX).unwrap();
    assert_eq!(
        trust.value["Statement"][0]["Action"],
        json!("sts:AssumeRole")
    );
}
