//! The shadow state: what it makes of events, in any order, within bounds, and over its bytes.

use crate::stage;
use crate::world::{Cloud, Faults, World};
use proptest::prelude::*;
use serde_json::{Value, json};
use tripline_remediation::action::LastKnown;
use tripline_remediation::shadow::{Bounds, Shadow, StoredFault};

fn event(second: u32, service: &str, name: &str, asked: Value, answered: Value) -> Value {
    json!({
        "eventTime": format!("2026-03-01T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60),
        "eventID": format!("id-{second}"),
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": name,
        "awsRegion": "eu-central-1",
        "recipientAccountId": "111122223333",
        "requestParameters": asked,
        "responseElements": answered,
    })
}

/// A time after all events.
const LATER: i64 = i64::MAX;

fn folded(events: &[Value]) -> Shadow {
    let mut shadow = Shadow::new(Bounds::default());
    for event in events {
        shadow.fold(event);
    }
    shadow
}

fn known(shadow: &Shadow, arn: &str, aspect: &str) -> Option<Value> {
    shadow.before(arn, aspect, LATER).map(|known| known.value)
}

#[test]
fn each_kind_of_event_says_what_it_says() {
    let document = json!({"Version": "2012-10-17", "Statement": []});
    let text = document.to_string();
    let iam = "arn:aws:iam::111122223333:";
    let here =
        |service: &str, rest: &str| format!("arn:aws:{service}:eu-central-1:111122223333:{rest}");
    let trail = here("cloudtrail", "trail/audit");
    let none = Value::Null;
    for (event, arn, aspect, value) in [
        (
            event(
                1,
                "iam",
                "CreateRole",
                json!({"roleName": "web", "assumeRolePolicyDocument": text}),
                none.clone(),
            ),
            format!("{iam}role/web"),
            "assume_role_policy",
            document.clone(),
        ),
        (
            event(
                1,
                "iam",
                "UpdateAssumeRolePolicy",
                json!({"roleName": "web", "policyDocument": text}),
                none.clone(),
            ),
            format!("{iam}role/web"),
            "assume_role_policy",
            document.clone(),
        ),
        (
            event(
                1,
                "iam",
                "PutGroupPolicy",
                json!({"groupName": "ops", "policyName": "p", "policyDocument": text}),
                none.clone(),
            ),
            format!("{iam}group/ops"),
            "inline_policy/p",
            document.clone(),
        ),
        (
            event(
                1,
                "iam",
                "DeleteUserPolicy",
                json!({"userName": "ann", "policyName": "p"}),
                none.clone(),
            ),
            format!("{iam}user/ann"),
            "inline_policy/p",
            none.clone(),
        ),
        (
            event(
                1,
                "iam",
                "CreatePolicy",
                json!({}),
                json!({"policy": {"arn": format!("{iam}policy/x"), "defaultVersionId": "v1"}}),
            ),
            format!("{iam}policy/x"),
            "default_version",
            json!("v1"),
        ),
        (
            event(
                1,
                "iam",
                "CreatePolicyVersion",
                json!({"policyArn": format!("{iam}policy/x"), "setAsDefault": true}),
                json!({"policyVersion": {"versionId": "v7"}}),
            ),
            format!("{iam}policy/x"),
            "default_version",
            json!("v7"),
        ),
        (
            event(
                1,
                "s3",
                "PutBucketPolicy",
                json!({"bucketName": "reports", "bucketPolicy": document}),
                none.clone(),
            ),
            "arn:aws:s3:::reports".to_owned(),
            "bucket_policy",
            document.clone(),
        ),
        (
            event(
                1,
                "s3",
                "PutBucketAcl",
                json!({"bucketName": "reports", "x-amz-acl": ["private"], "Host": "h"}),
                none.clone(),
            ),
            "arn:aws:s3:::reports".to_owned(),
            "bucket_acl",
            json!({"x-amz-acl": ["private"]}),
        ),
        (
            event(
                1,
                "s3",
                "PutBucketPublicAccessBlock",
                json!({"bucketName": "reports", "PublicAccessBlockConfiguration": {"xmlns": "x", "BlockPublicAcls": true}}),
                none.clone(),
            ),
            "arn:aws:s3:::reports".to_owned(),
            "public_access_block",
            json!({"BlockPublicAcls": true}),
        ),
        (
            event(
                1,
                "s3",
                "PutBucketLifecycle",
                json!({"bucketName": "reports", "LifecycleConfiguration": {"Rule": {"ID": "x"}}}),
                none.clone(),
            ),
            "arn:aws:s3:::reports".to_owned(),
            "lifecycle",
            json!({"Rule": {"ID": "x"}}),
        ),
        (
            event(
                1,
                "cloudtrail",
                "CreateTrail",
                json!({"name": "audit"}),
                json!({"trailARN": trail, "name": "audit", "s3BucketName": "logs", "kmsKeyId": null, "isMultiRegionTrail": true}),
            ),
            trail.clone(),
            "trail",
            json!({"Name": "audit", "S3BucketName": "logs", "IsMultiRegionTrail": true}),
        ),
        (
            event(
                1,
                "cloudtrail",
                "PutEventSelectors",
                json!({"trailName": "audit", "eventSelectors": [{"readWriteType": "All", "dataResources": [{"type": "AWS::S3::Object", "values": ["arn:aws:s3"]}]}]}),
                none.clone(),
            ),
            trail.clone(),
            "event_selectors",
            json!({"EventSelectors": [{"ReadWriteType": "All", "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]}]}),
        ),
        (
            event(
                1,
                "cloudtrail",
                "PutInsightSelectors",
                json!({"trailName": trail, "insightSelectors": [{"insightType": "ApiCallRateInsight"}]}),
                none.clone(),
            ),
            trail,
            "insight_selectors",
            json!({"InsightSelectors": [{"InsightType": "ApiCallRateInsight"}]}),
        ),
        (
            event(
                1,
                "lambda",
                "PutFunctionConcurrency20171031",
                json!({"functionName": "f", "reservedConcurrentExecutions": 5}),
                none.clone(),
            ),
            here("lambda", "function:f"),
            "concurrency",
            json!(5),
        ),
        (
            event(
                1,
                "guardduty",
                "CreateDetector",
                json!({"enable": true, "findingPublishingFrequency": "SIX_HOURS"}),
                json!({"detectorId": "d1"}),
            ),
            here("guardduty", "detector/d1"),
            "detector",
            json!({"FindingPublishingFrequency": "SIX_HOURS"}),
        ),
        (
            event(
                1,
                "config",
                "PutConfigurationRecorder",
                json!({"configurationRecorder": {"name": "default", "roleARN": "r"}}),
                none.clone(),
            ),
            here("config", "config-recorder/default"),
            "recorder",
            json!({"name": "default", "roleARN": "r"}),
        ),
        (
            event(
                1,
                "logs",
                "PutRetentionPolicy",
                json!({"logGroupName": "/a", "retentionInDays": 90}),
                none.clone(),
            ),
            here("logs", "log-group:/a"),
            "retention",
            json!(90),
        ),
    ] {
        let shadow = folded(std::slice::from_ref(&event));
        assert_eq!(known(&shadow, &arn, aspect), Some(value), "{event}");
        let mut failed = event.clone();
        failed["errorCode"] = json!("AccessDenied");
        assert!(folded(&[failed]).is_empty());
    }
}

#[test]
fn flow_logs_stay_known_when_they_are_deleted() {
    let asked = json!({"CreateFlowLogsRequest": {
        "ResourceId": [{"tag": 1, "content": "vpc-1"}, {"tag": 2, "content": "vpc-2"}],
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "ClientToken": "t",
        "LogDestinationType": "s3",
        "LogDestination": "arn:aws:s3:::flows",
    }});
    let made = json!({"CreateFlowLogsResponse": {"flowLogIdSet": {"item": ["fl-1", "fl-2"]}}});
    let deleted = json!({"DeleteFlowLogsRequest": {"FlowLogId": {"tag": 1, "content": "fl-2"}}});
    let shadow = folded(&[
        event(1, "ec2", "CreateFlowLogs", asked, made),
        event(2, "ec2", "DeleteFlowLogs", deleted, json!({})),
    ]);
    let arn = "arn:aws:ec2:eu-central-1:111122223333:vpc-flow-log/fl-2";
    let definition = json!({
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "LogDestinationType": "s3",
        "LogDestination": "arn:aws:s3:::flows",
        "ResourceId": "vpc-2",
    });
    assert_eq!(known(&shadow, arn, "flow_log"), Some(definition));
}

fn trust(second: u32, role: &str, who: usize) -> Value {
    let document = json!({"Statement": [{"Principal": {"AWS": who.to_string()}}]}).to_string();
    let asked = json!({"roleName": role, "policyDocument": document});
    event(second, "iam", "UpdateAssumeRolePolicy", asked, Value::Null)
}

fn trusted(shadow: &Shadow, time: i64) -> Option<String> {
    let arn = "arn:aws:iam::111122223333:role/web";
    let known = shadow.before(arn, "assume_role_policy", time)?;
    Some(
        known.value["Statement"][0]["Principal"]["AWS"]
            .as_str()?
            .to_owned(),
    )
}

fn at(second: i64) -> i64 {
    let start: jiff::Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    start.as_microsecond() + second * 1_000_000
}

#[test]
fn what_was_before_is_what_was_said_last_before() {
    let shadow = folded(&[
        trust(10, "web", 1),
        trust(30, "web", 3),
        trust(20, "web", 2),
    ]);
    assert_eq!(trusted(&shadow, at(5)), None);
    assert_eq!(trusted(&shadow, at(10)), None);
    assert_eq!(trusted(&shadow, at(11)), Some("1".to_owned()));
    assert_eq!(trusted(&shadow, at(30)), Some("2".to_owned()));
    assert_eq!(trusted(&shadow, at(31)), Some("3".to_owned()));
}

#[test]
fn the_second_of_two_bad_changes_is_not_answered_by_the_first() {
    let mut shadow = folded(&[
        trust(10, "web", 1),
        trust(20, "web", 2),
        trust(21, "web", 3),
    ]);
    assert_eq!(trusted(&shadow, at(21)), Some("2".to_owned()));
    shadow.doubt(&trust(20, "web", 2));
    assert_eq!(trusted(&shadow, at(21)), Some("1".to_owned()));
    // A doubt outlives what is seen again, bytes, and many more bad changes.
    shadow.fold(&trust(20, "web", 2));
    for second in 40..60 {
        shadow.doubt(&trust(second, "web", 9));
    }
    let again = Shadow::from_bytes(&shadow.to_bytes(), Bounds::default()).unwrap();
    assert_eq!(trusted(&again, at(100)), Some("3".to_owned()));
    assert_eq!(trusted(&again, at(21)), Some("1".to_owned()));
}

#[test]
fn changes_that_were_taken_in_before_the_first_is_doubted_leave_the_good_one() {
    let bad: Vec<Value> = (20..40).map(|second| trust(second, "web", 9)).collect();
    let mut shadow = folded(&[trust(10, "web", 1)]);
    for event in &bad {
        shadow.fold(event);
    }
    for event in &bad {
        assert!(shadow.doubt(event), "it is new");
        assert!(!shadow.doubt(event), "it is not");
    }
    assert_eq!(trusted(&shadow, at(100)), Some("1".to_owned()));
    // Of those that nobody doubted for ten minutes no more are held than the bounds say.
    let few = folded(
        &(0..20)
            .map(|one| trust(one * 700, "web", 1))
            .collect::<Vec<_>>(),
    );
    let versions = few.to_bytes();
    let versions = String::from_utf8(versions).expect("JSON");
    assert_eq!(versions.matches("id-").count(), 4, "{versions}");
}

#[test]
fn what_was_doubted_is_doubted_when_it_comes_again_after_it_was_put_out() {
    for bad in [6, 30, 200] {
        let mut shadow = folded(&[trust(10, "web", 1)]);
        for second in 20..20 + bad {
            shadow.doubt(&trust(second, "web", 9));
        }
        let bytes = shadow.to_bytes();
        let again = Shadow::from_bytes(&bytes, Bounds::default()).unwrap();
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!(again.bytes(), shadow.bytes());
        let mut other = folded(&[trust(10, "web", 1), trust(21, "web", 9)]);
        other.absorb(again.clone());
        for mut shadow in [shadow, again, other] {
            for second in 20..20 + bad {
                shadow.fold(&trust(second, "web", 9));
            }
            assert_eq!(trusted(&shadow, at(300)), Some("1".to_owned()), "{bad}");
        }
    }
}

#[test]
fn a_doubt_outlives_a_restart() {
    let action = "\"aws.iam.restore_trust_policy\"\nwhen = \"event.eventName != ''\"";
    let text = stage::text_with(stage::WIDE);
    let text = text.replace("\"aws.lambda.stop_invocations\"", action);
    let world = World::new(1, Faults::default(), Cloud::default());
    let folder = stage::folder();
    let begin = || {
        let engine = stage::open(folder.path(), &world, stage::settings()).expect("opens");
        engine.set_policies(stage::policies_of(&text));
        engine
    };
    let bad = trust(20, "web", 2);
    let finding = stage::finding("one", "function.bad", &bad);
    let considered = begin().consider(&finding, bad.to_string().as_bytes());
    let considered = considered.expect("is considered");
    assert!(considered[0].action.is_some(), "{considered:?}");
    let engine = begin();
    // As it was kept before anything was found.
    let kept = [trust(10, "web", 1), bad, trust(21, "web", 3)];
    engine.shadow().absorb(folded(&kept));
    assert_eq!(trusted(&engine.shadow(), at(21)), Some("1".to_owned()));
}

#[test]
fn only_the_last_versions_are_held_and_the_least_recent_aspect_goes_first() {
    let mut shadow = Shadow::new(Bounds {
        versions_max: 2,
        entries_max: 2,
        ..Bounds::default()
    });
    for hour in [1, 2, 3] {
        shadow.fold(&trust(hour * 3600, "web", hour as usize));
    }
    assert_eq!(trusted(&shadow, at(2 * 3600)), None);
    assert_eq!(trusted(&shadow, at(3 * 3600)), Some("2".to_owned()));
    shadow.fold(&trust(20_000, "api", 1));
    shadow.fold(&trust(20_001, "job", 1));
    assert_eq!((shadow.len(), shadow.counts().evicted), (2, 1));
    assert_eq!(trusted(&shadow, LATER), None);
}

#[test]
fn bytes_are_bounded_and_add_up() {
    let mut shadow = Shadow::new(Bounds {
        bytes_max: 20_000,
        ..Bounds::default()
    });
    for second in 0..500 {
        shadow.fold(&trust(second, &format!("role-{second}"), 1));
        assert!(shadow.bytes() <= 20_000);
    }
    assert_eq!(shadow.counts().evicted, 500 - shadow.len() as u64);
    let again = Shadow::from_bytes(&shadow.to_bytes(), Bounds::default()).unwrap();
    assert_eq!(
        (again.bytes(), again.counts()),
        (shadow.bytes(), shadow.counts())
    );
    // Less room than before is made by putting out what changed least recently.
    let bounds = Bounds {
        entries_max: 3,
        ..Bounds::default()
    };
    let small = Shadow::from_bytes(&shadow.to_bytes(), bounds).unwrap();
    assert_eq!(small.len(), 3);
    let none = Bounds {
        entries_max: 0,
        ..Bounds::default()
    };
    let empty = Shadow::from_bytes(&shadow.to_bytes(), none).unwrap();
    assert_eq!((empty.len(), empty.bytes()), (0, 0));
}

#[test]
fn a_value_that_is_too_large_hides_older_ones() {
    let bounds = Bounds {
        value_bytes_max: 100,
        ..Bounds::default()
    };
    let mut shadow = Shadow::new(bounds);
    shadow.fold(&trust(1, "web", 1));
    let document = json!({"Statement": ["x".repeat(200)]}).to_string();
    let asked = json!({"roleName": "web", "policyDocument": document});
    shadow.fold(&event(
        2,
        "iam",
        "UpdateAssumeRolePolicy",
        asked,
        Value::Null,
    ));
    assert_eq!(shadow.counts().too_large, 1);
    for shadow in [
        &shadow,
        &Shadow::from_bytes(&shadow.to_bytes(), bounds).unwrap(),
    ] {
        assert_eq!(trusted(shadow, LATER), None);
        assert_eq!(trusted(shadow, at(2)), Some("1".to_owned()));
    }
}

#[test]
fn bytes_of_others_are_refused() {
    let bounds = Bounds::default();
    let damaged = Shadow::from_bytes(b"{\"version\":1}", bounds);
    assert!(matches!(damaged, Err(StoredFault::Damaged(_))));
    assert!(matches!(
        Shadow::from_bytes(b"", bounds),
        Err(StoredFault::Damaged(_))
    ));
    let newer = Shadow::from_bytes(b"{\"version\":2,\"entries\":7}", bounds);
    assert!(matches!(newer, Err(StoredFault::Version(2))));
    let whole = folded(&[trust(1, "web", 1)]).to_bytes();
    for end in 0..whole.len() {
        assert!(Shadow::from_bytes(&whole[..end], bounds).is_err());
    }
}

#[test]
fn described_state_is_taken_in_whole_or_not_at_all() {
    let mut shadow = Shadow::new(Bounds::default());
    let lines = r#"
{"arn": "arn:aws:iam::111122223333:role/web", "aspect": "assume_role_policy", "value": {"Statement": [{"Principal": {"AWS": "7"}}]}, "time": "2026-01-01T00:00:00Z"}

{"arn": "arn:aws:s3:::reports", "aspect": "exists", "value": true, "time": "2026-01-01T00:00:00Z"}
"#;
    assert_eq!(shadow.import(lines).unwrap(), 2);
    assert_eq!(trusted(&shadow, at(0)), Some("7".to_owned()));
    for (bad, line) in [
        (
            r#"{"arn": "x", "aspect": "a", "value": 1, "time": "2026-01-01T00:00:00Z"}"#,
            1,
        ),
        (
            r#"{"arn": "arn:x", "aspect": "", "value": 1, "time": "2026-01-01T00:00:00Z"}"#,
            1,
        ),
        (
            r#"{"arn": "arn:x", "aspect": "a", "value": 1, "time": "yesterday"}"#,
            1,
        ),
        (
            r#"{"arn": "arn:x", "aspect": "a", "time": "2026-01-01T00:00:00Z"}"#,
            1,
        ),
        (
            "{\"arn\": \"arn:x\", \"aspect\": \"a\", \"value\": 1, \"time\": \"2026-01-01T00:00:00Z\"}\nnonsense",
            2,
        ),
    ] {
        let fault = shadow.import(bad).unwrap_err();
        assert_eq!(fault.line, line, "{fault}");
        assert_eq!(shadow.len(), 2);
    }
}

#[test]
fn the_inventory_counts_what_is_there() {
    let user = |second, name: &str, user: &str| {
        event(second, "iam", name, json!({"userName": user}), Value::Null)
    };
    let instances =
        json!({"instancesSet": {"items": [{"instanceId": "i-1"}, {"instanceId": "i-2"}]}});
    let gone = json!({"instancesSet": {"items": [{"instanceId": "i-1"}]}});
    let shadow = folded(&[
        user(1, "CreateUser", "ann"),
        user(2, "CreateUser", "ben"),
        user(3, "DeleteUser", "ben"),
        event(
            4,
            "iam",
            "PutUserPolicy",
            json!({"userName": "ann", "policyName": "a", "policyDocument": "{}"}),
            Value::Null,
        ),
        event(5, "ec2", "TerminateInstances", json!({}), gone),
        event(4, "ec2", "RunInstances", json!({}), instances),
        trust(6, "web", 1),
    ]);
    let inventory: Vec<_> = shadow.inventory().into_iter().collect();
    let expected = [
        ("aws.ec2.instance", 1),
        ("aws.iam.role", 1),
        ("aws.iam.user", 1),
    ];
    assert_eq!(
        inventory,
        expected.map(|(kind, count)| (kind.to_owned(), count))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_arrival_makes_no_difference(
        seconds in prop::collection::vec((0u32..40, 0usize..3, any::<bool>()), 1..60),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let roles = ["web", "api", "job"];
        let make = |(second, role, is_doubted): &(u32, usize, bool)| {
            // One event says one thing, so all there is to it follows from when it was.
            let is_doubted = *is_doubted && second % 3 == 0;
            (trust(second * 3 + *role as u32, roles[*role], *second as usize), is_doubted)
        };
        let fold = |events: &[(Value, bool)]| {
            let mut shadow = Shadow::new(Bounds::default());
            for (event, is_doubted) in events {
                match is_doubted {
                    true => shadow.doubt(event),
                    false => shadow.fold(event),
                };
            }
            shadow
        };
        let mut events: Vec<_> = seconds.iter().map(make).collect();
        // What is doubted is doubted whenever it is seen.
        let doubted: Vec<_> = events.iter().filter(|one| one.1).map(|one| one.0.clone()).collect();
        for one in &mut events {
            one.1 = doubted.contains(&one.0);
        }
        let forth = fold(&events);
        let place = shuffled.index(events.len());
        events.rotate_left(place);
        events.reverse();
        let back = fold(&events);
        prop_assert_eq!(forth.to_bytes(), back.to_bytes());
        prop_assert_eq!(forth.bytes(), back.bytes());
        let again = Shadow::from_bytes(&forth.to_bytes(), Bounds::default()).unwrap();
        prop_assert_eq!(again.to_bytes(), forth.to_bytes());
        let (one, other) = events.split_at(place);
        let mut both = fold(one);
        both.absorb(fold(other));
        prop_assert_eq!(both.to_bytes(), forth.to_bytes());
        prop_assert_eq!(both.bytes(), forth.bytes());
    }
}
