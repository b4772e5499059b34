//! Actions of the catalogue, from the event to what the emulator tells afterwards, and back again.

use super::moto::Moto;
use super::proxy::Does;
use super::{ACCOUNT, Ground, Policy, ROLE, Service};
use serde_json::{Value, json};
use std::time::Duration;

/// How an action is taken back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Back {
    /// All is as it was before.
    Same,
    /// It cannot be: this says why not.
    Never(&'static str),
}

struct Case {
    /// The state, as `world.py` calls it, and the policy.
    name: &'static str,
    action: &'static str,
    event: (&'static str, &'static str),
    /// How things are when it is done; `ID` stands for the action.
    good: Value,
    back: Back,
    /// More of the policy.
    more: &'static str,
    /// Whether it is put back as it was seen to be before.
    has_past: bool,
}

fn case(
    name: &'static str,
    action: &'static str,
    event: (&'static str, &'static str),
    good: Value,
) -> Case {
    Case {
        name,
        action,
        event,
        good,
        back: Back::Same,
        more: "",
        has_past: false,
    }
}

/// What is put back as an earlier event said it was.
fn from_past(
    name: &'static str,
    action: &'static str,
    event: (&'static str, &'static str),
    good: Value,
) -> Case {
    Case {
        has_past: true,
        ..case(name, action, event, good)
    }
}

fn cases() -> Vec<Case> {
    let denied = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Deny", "Action": "*", "Resource": "*" }],
    });
    let older = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Deny", "Action": ["*"], "Resource": ["*"], "Condition": "older sessions" },
        ],
    });
    let own = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }],
    });
    let blocked = json!({
        "BlockPublicAcls": true, "IgnorePublicAcls": true,
        "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
    });
    let isolated = json!({ "groups": ["quarantine"], "volumes": 1, "snapshots": 1, "tagged": 1 });
    vec![
        case(
            "trail",
            "aws.cloudtrail.start_logging",
            ("cloudtrail", "StopLogging"),
            json!(true),
        ),
        case(
            "access_key",
            "aws.iam.deactivate_access_key",
            ("iam", "CreateAccessKey"),
            json!(["Inactive"]),
        ),
        case(
            "deny_all",
            "aws.iam.deny_all",
            ("ec2", "DeleteVpc"),
            json!([denied, own]),
        ),
        case(
            "sessions",
            "aws.iam.revoke_sessions",
            ("ec2", "DeleteKeyPair"),
            json!([older, own]),
        ),
        case(
            "bucket_block",
            "aws.s3.block_public_access",
            ("s3", "DeleteBucketPublicAccessBlock"),
            blocked,
        ),
        case(
            "bucket_policy",
            "aws.s3.remove_public_statements",
            ("s3", "PutBucketPolicy"),
            json!(["own"]),
        ),
        case(
            "ingress",
            "aws.ec2.revoke_ingress_rule",
            ("ec2", "AuthorizeSecurityGroupIngress"),
            json!(["tcp 443-443 10.0.0.0/8"]),
        ),
        Case {
            more: "[remediation.instance.params]\nquarantine_group = 'event.requestParameters.quarantine'\n",
            ..case(
                "instance",
                "aws.ec2.isolate_instance",
                ("ec2", "ModifyInstanceAttribute"),
                isolated,
            )
        },
        case(
            "kms_key",
            "aws.kms.restore_key",
            ("kms", "ScheduleKeyDeletion"),
            json!("Enabled"),
        ),
        case(
            "snapshot",
            "aws.ec2.unshare_snapshot",
            ("ec2", "ModifySnapshotAttribute"),
            json!([]),
        ),
        case(
            "image",
            "aws.ec2.unshare_image",
            ("ec2", "ModifyImageAttribute"),
            json!([]),
        ),
        case(
            "db_snapshot",
            "aws.rds.unshare_snapshot",
            ("rds", "ModifyDBSnapshotAttribute"),
            json!([]),
        ),
        Case {
            back: Back::Never("nobody knows the password"),
            ..case(
                "login",
                "aws.iam.delete_login_profile",
                ("iam", "CreateLoginProfile"),
                json!("NoSuchEntity"),
            )
        },
        case(
            "membership",
            "aws.iam.remove_user_from_group",
            ("iam", "AddUserToGroup"),
            json!([]),
        ),
        case(
            "attached",
            "aws.iam.detach_policy",
            ("iam", "AttachUserPolicy"),
            json!([]),
        ),
        case(
            "secret",
            "aws.secretsmanager.restore_secret",
            ("secretsmanager", "DeleteSecret"),
            json!(false),
        ),
        case(
            "event_rule",
            "aws.events.enable_rule",
            ("events", "DisableRule"),
            json!("ENABLED"),
        ),
        case(
            "metadata",
            "aws.ec2.require_imdsv2",
            ("ec2", "ModifyInstanceMetadataOptions"),
            json!("required"),
        ),
        case(
            "ebs",
            "aws.ec2.enable_ebs_encryption",
            ("ec2", "DisableEbsEncryptionByDefault"),
            json!(true),
        ),
        from_past(
            "trust",
            "aws.iam.restore_trust_policy",
            ("iam", "UpdateAssumeRolePolicy"),
            json!("arn:aws:iam::123456789012:root"),
        ),
        from_past(
            "flow_logs",
            "aws.ec2.recreate_flow_logs",
            ("ec2", "DeleteFlowLogs"),
            json!(["REJECT"]),
        ),
        case(
            "function",
            "aws.lambda.stop_invocations",
            ("lambda", "UpdateFunctionCode"),
            json!(0),
        ),
    ]
}

/// What of each resource is called.
fn tag(name: &str) -> String {
    format!("a-{}", name.replace('_', "-"))
}

/// Waits until the action of a policy is done; somebody agrees where somebody must.
fn done(service: &Service, policy: &str, seed: &str) -> String {
    service.wait_until(&format!("{policy} is decided"), || {
        let state = service.newest(policy).map(|one| one["state"].clone());
        !state.is_none_or(|state| state == "proposed")
    });
    let newest = service.newest(policy).expect("it is there");
    if newest["state"] == "awaiting_approval" {
        let id = newest["id"].as_str().expect("an id");
        let voted = service.vote(id, "alice", seed);
        assert_eq!(voted.code, 0, "{}", voted.stderr);
    }
    service.wait_for(policy, "succeeded")
}

/// Makes states bad, waits until all are answered, and has all of that taken back. `meanwhile` is called before anything was
/// done, with `true` when everything is, and when all is as before.
fn done_and_taken_back(
    service: &Service,
    moto: &Moto,
    cases: &[&Case],
    seed: &str,
    meanwhile: &dyn Fn(bool),
) {
    let events: Vec<Value> = cases
        .iter()
        .map(|case| moto.set(case.name, &tag(case.name)))
        .collect();
    let state = |case: &Case| moto.get(case.name, &tag(case.name));
    let before: Vec<Value> = cases.iter().map(|case| state(case)).collect();
    meanwhile(false);
    // What was seen before it was made bad is put back.
    let past = cases.iter().filter(|case| case.has_past);
    let past: Vec<String> = past
        .map(|case| moto.again("past", &tag(case.name)).to_string())
        .collect();
    if !past.is_empty() {
        service.publish(&past);
        service.wait_considered();
    }
    // Somebody says each of them again, as another event: it is the same bad state, and one action.
    let again = events.iter().map(|event| {
        let mut event = event.clone();
        event["eventID"] = json!(format!("again-{}", event["eventID"]));
        event
    });
    let all: Vec<String> = events
        .iter()
        .cloned()
        .chain(again)
        .map(|one| one.to_string())
        .collect();
    service.publish(&all);
    let mut ids = Vec::new();
    for case in cases {
        ids.push(done(service, case.name, seed));
        assert_eq!(state(case), case.good, "{}", case.name);
    }
    meanwhile(true);
    for (case, id) in cases.iter().zip(&ids) {
        let arguments = [
            "remediate",
            "revert",
            id,
            "--by",
            "bob",
            "--reason",
            "a test",
        ];
        match case.back {
            Back::Same => {
                service.good(&arguments);
            }
            Back::Never(why) => {
                let ran = service.command(&arguments);
                assert_eq!(ran.code, 2, "{why}: {}", ran.stdout);
            }
        }
    }
    for ((case, id), before) in cases.iter().zip(&ids).zip(&before) {
        if case.back == Back::Same {
            service.wait_state(id, "reverted");
            assert_eq!(&state(case), before, "{}", case.name);
        }
    }
    meanwhile(false);
}

#[test]
fn what_the_catalogue_promises_is_done_verified_and_taken_back() {
    let cases = cases();
    let policies: Vec<Policy<'_>> = cases
        .iter()
        .map(|case| Policy {
            more: case.more,
            shipped: match case.name {
                "trail" => "aws-cloudtrail-trail-stopped",
                "ingress" => "aws-ec2-security-group-open-to-world",
                _ => "",
            },
            ..Policy::auto(case.name, case.action, case.event)
        })
        .collect();
    let ground = Ground::new("remediation-catalogue", &policies);
    let seed = ground.approver("alice", "arn:aws:iam::123456789012:user/alice");
    let (moto, proxy) = (&ground.moto, &ground.proxy);
    let service = ground.start();

    // The world is no better than it is.
    proxy.on(
        "iam.DeleteLoginProfile",
        3,
        Does::Refuse(409, "EntityTemporarilyUnmodifiable"),
    );
    proxy.on("iam.UpdateAccessKey", 1, Does::DropAnswer);
    proxy.on("ec2.RevokeSecurityGroupIngress", 1, Does::DropAnswer);
    proxy.on("cloudtrail.StartLogging", 1, Does::Reset);
    proxy.on("kms.EnableKey", 2, Does::Refuse(400, "ThrottlingException"));
    proxy.on("s3.PutPublicAccessBlock", 1, Does::Refuse(503, "SlowDown"));
    proxy.on("iam.DetachUserPolicy", 1, Does::Expire);
    proxy.on("iam.RemoveUserFromGroup", 1, Does::Twice);
    proxy.on("events.EnableRule", 1, Does::Delay(Duration::from_secs(3)));
    proxy.on(
        "ec2.DescribeImageAttribute",
        1,
        Does::Stale(Duration::from_secs(3)),
    );
    proxy.on("ec2.CreateSnapshots", 1, Does::DropAnswer);
    proxy.on(
        "lambda.PutFunctionConcurrency",
        1,
        Does::Refuse(429, "TooManyRequestsException"),
    );
    proxy.on("sts.AssumeRole", 1, Does::Reset);

    let (unsigned, signed): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| case.name == "function");
    for (checks, cases) in [(true, signed), (false, unsigned)] {
        moto.checks(checks);
        let attackers = |is_denied: bool| {
            let wanted = json!(if is_denied { "AccessDenied" } else { "" });
            for name in ["deny_all", "sessions"].iter().filter(|_| checks) {
                assert_eq!(moto.again("attack", &tag(name)), wanted, "{name}");
            }
        };
        done_and_taken_back(&service, moto, &cases, &seed, &attackers);
    }

    assert_eq!(service.actions().len(), cases.len(), "one for each");
    planned(&service, &ground);
    // Everything that was done comes back as events, as it does where a trail is kept.
    // The pause after an action is over, so it is not that which holds anything back.
    std::thread::sleep(Duration::from_millis(1_200));
    let done = proxy.done().len();
    let actions = service.actions();
    service.publish(&proxy.events(ROLE));
    service.wait_considered();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(proxy.done().len(), done, "nothing more was done");
    let known: Vec<&Value> = actions.iter().map(|one| &one["id"]).collect();
    let new = service.actions();
    let new: Vec<&Value> = new
        .iter()
        .filter(|one| !known.contains(&&one["id"]))
        .collect();
    assert!(new.len() >= 5, "they were looked at: {new:#?}");
    for one in new {
        let reason = one["reason"].as_str().unwrap_or_default();
        assert!(
            one["state"] == "suppressed" && reason.contains("own event"),
            "{one:#}"
        );
    }
    // The service's own trail has shown every request that the journal tells of.
    let whole = ground.verify();
    let counts = whole
        .split_once("that changed something: ")
        .expect("a count")
        .1;
    let counts = counts.lines().next().unwrap_or_default();
    let (made, seen) = counts
        .split_once(", of which the service's own trail has shown ")
        .expect("two counts");
    assert_eq!(made, seen, "{whole}");
}

/// The rest of the catalogue, without the insight selectors of trails: the emulator adds those that are put to those that are there.
fn others() -> Vec<Case> {
    let blocked = json!({
        "BlockPublicAcls": true, "IgnorePublicAcls": true,
        "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
    });
    let of_trail = |event| ("cloudtrail", event);
    vec![
        from_past(
            "trail_gone",
            "aws.cloudtrail.recreate_trail",
            of_trail("DeleteTrail"),
            json!([["logs-a-trail-gone", true]]),
        ),
        from_past(
            "trail_moved",
            "aws.cloudtrail.restore_trail",
            of_trail("UpdateTrail"),
            json!([["logs-a-trail-moved", true]]),
        ),
        from_past(
            "selectors",
            "aws.cloudtrail.restore_event_selectors",
            of_trail("PutEventSelectors"),
            json!(["All"]),
        ),
        case(
            "recorder",
            "aws.config.start_recorder",
            ("config", "StopConfigurationRecorder"),
            json!([true]),
        ),
        from_past(
            "recorder_gone",
            "aws.config.recreate_recorder",
            ("config", "DeleteConfigurationRecorder"),
            json!([true]),
        ),
        case(
            "profile",
            "aws.ec2.disassociate_instance_profile",
            ("s3", "ListBuckets"),
            json!([]),
        ),
        case(
            "mining",
            "aws.ec2.stop_instances",
            ("ec2", "RunInstances"),
            json!("stopped"),
        ),
        case(
            "detector",
            "aws.guardduty.enable_detector",
            ("guardduty", "UpdateDetector"),
            json!("ENABLED"),
        ),
        from_past(
            "detector_gone",
            "aws.guardduty.recreate_detector",
            ("guardduty", "DeleteDetector"),
            json!(["FIFTEEN_MINUTES"]),
        ),
        Case {
            back: Back::Never("nobody but its owner can tell the device's codes"),
            ..case(
                "mfa",
                "aws.iam.deactivate_mfa_device",
                ("iam", "EnableMFADevice"),
                json!(0),
            )
        },
        case(
            "quarantine",
            "aws.iam.quarantine_user",
            ("sts", "GetCallerIdentity"),
            json!(["AWSCompromisedKeyQuarantineV3"]),
        ),
        case(
            "inline",
            "aws.iam.remove_inline_policy",
            ("iam", "PutRolePolicy"),
            json!([]),
        ),
        case(
            "url",
            "aws.lambda.delete_function_url",
            ("lambda", "CreateFunctionUrlConfig"),
            json!("ResourceNotFoundException"),
        ),
        case(
            "permission",
            "aws.lambda.remove_permission",
            ("lambda", "AddPermission"),
            json!([]),
        ),
        from_past(
            "retention",
            "aws.logs.restore_retention",
            ("logs", "PutRetentionPolicy"),
            json!([365]),
        ),
        Case {
            more: "[remediation.account.params]\nquarantine_unit = 'event.requestParameters.unit'\nmanagement_account = '\"123456789012\"'\n",
            ..case(
                "account",
                "aws.organizations.move_account",
                ("iam", "CreateUser"),
                json!("ORGANIZATIONAL_UNIT"),
            )
        },
        case(
            "database",
            "aws.rds.make_private",
            ("rds", "ModifyDBInstance"),
            json!(false),
        ),
        case(
            "account_block",
            "aws.s3.block_account_public_access",
            ("s3", "DeleteAccountPublicAccessBlock"),
            blocked,
        ),
        case(
            "acl",
            "aws.s3.remove_public_grants",
            ("s3", "PutBucketAcl"),
            json!(["owner FULL_CONTROL"]),
        ),
        case(
            "document",
            "aws.ssm.unshare_document",
            ("ssm", "ModifyDocumentPermission"),
            json!([]),
        ),
    ]
}

#[test]
fn the_rest_of_the_catalogue_is_done_verified_and_taken_back() {
    let cases = others();
    let policies: Vec<Policy<'_>> = cases
        .iter()
        .map(|case| Policy {
            more: case.more,
            // Only the account that manages others moves them.
            account: if case.name == "account" {
                ACCOUNT
            } else {
                "{account}"
            },
            ..Policy::auto(case.name, case.action, case.event)
        })
        .collect();
    let ground = Ground::new("remediation-rest", &policies);
    let seed = ground.approver("alice", "arn:aws:iam::123456789012:user/alice");
    let service = ground.start();
    // Of these the emulator calculates other signatures than any client, or asks for a permission of another name; and there
    // is one recorder and one detector of a region, so what makes one again comes before and after what needs one.
    let unsigned = [
        "recorder_gone",
        "detector_gone",
        "url",
        "permission",
        "account_block",
    ];
    let of = |name: &str| match name {
        "detector" => 2,
        name => usize::from(unsigned.contains(&name)),
    };
    for (turn, checks) in [true, false, false].into_iter().enumerate() {
        ground.moto.checks(checks);
        let cases: Vec<&Case> = cases.iter().filter(|case| of(case.name) == turn).collect();
        done_and_taken_back(&service, &ground.moto, &cases, &seed, &|_| {});
    }
    assert_eq!(service.actions().len(), cases.len(), "one for each");
    planned(&service, &ground);
    ground.verify();
}

/// That each request that changed something is in the plan of the action in whose session it was sent, as a step or as what
/// takes a step back, and that nothing was done without one.
pub(super) fn planned(service: &Service, ground: &Ground) {
    let mut plans = std::collections::HashMap::new();
    for one in ground.proxy.done() {
        let id = one.session.strip_prefix("rem-");
        let id = id.unwrap_or_else(|| panic!("in no action's session: {one:?}"));
        let steps = plans.entry(id.to_owned()).or_insert_with(|| {
            let action = service.get(&format!("/v1/remediation/actions/{id}"));
            action["record"]["plan"][0]["steps"].clone()
        });
        let is_there = steps.as_array().into_iter().flatten().any(|step| {
            let inverse = step["inverse"].as_array().into_iter().flatten();
            [step]
                .into_iter()
                .chain(inverse)
                .any(|step| step["call"]["operation"] == one.operation.as_str())
        });
        assert!(is_there, "not planned: {one:?} {steps:#}");
        // The session may do that, and not all that the role may.
        let needed = match one.operation.split_once('.').expect("a name") {
            ("s3", "PutPublicAccessBlock" | "DeletePublicAccessBlock") => {
                "s3:PutBucketPublicAccessBlock".to_owned()
            }
            ("s3control", _) => "s3:PutAccountPublicAccessBlock".to_owned(),
            (service, name) => format!("{service}:{name}"),
        };
        let may: Value = serde_json::from_str(&one.may).expect("a policy of the session");
        let actions = may["Statement"].as_array().into_iter().flatten();
        let actions = actions.flat_map(|statement| match &statement["Action"] {
            Value::Array(several) => several.clone(),
            one => vec![one.clone()],
        });
        let actions: Vec<Value> = actions.collect();
        let is_wide = |action: &Value| action.as_str().is_none_or(|name| name.ends_with('*'));
        assert!(
            actions.contains(&json!(needed)) && !actions.iter().any(is_wide),
            "{one:?}"
        );
    }
}
