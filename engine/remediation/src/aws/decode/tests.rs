//! Answers of all protocols, and what is none.

use super::*;
use crate::aws::operation::{operation, operations};
use proptest::prelude::*;
use serde_json::json;

fn read(name: &str, body: &str) -> Result<Value, DecodeFault> {
    let decoded = decode(operation(name).unwrap(), 200, &[], body.as_bytes())?;
    match decoded.answer {
        Answer::Done(value) => Ok(value),
        refused @ Answer::Refused { .. } => panic!("{refused:?}"),
    }
}

#[track_caller]
fn check(name: &str, body: &str, wanted: Value) {
    assert_eq!(read(name, body).unwrap(), wanted);
}

#[test]
fn names_of_the_wire_become_those_of_the_api() {
    check(
        "ec2.DescribeSecurityGroups",
        "<DescribeSecurityGroupsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>\
         <securityGroupInfo><item><groupId>sg-1</groupId><ipPermissions><item><fromPort>22</fromPort>\
         <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges><groups/></item></ipPermissions></item>\
         </securityGroupInfo></DescribeSecurityGroupsResponse>",
        json!({"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": [
            {"FromPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "UserIdGroupPairs": []}]}]}),
    );
    check(
        "guardduty.GetDetector",
        r#"{"status": "ENABLED", "serviceRole": "r", "unknown": {"a": 1}, "updatedAt": null}"#,
        json!({"Status": "ENABLED", "ServiceRole": "r"}),
    );
}

#[test]
fn policies_are_values() {
    check(
        "iam.GetUserPolicy",
        "<GetUserPolicyResponse><GetUserPolicyResult><UserName>a</UserName><PolicyName>b</PolicyName>\
         <PolicyDocument>%7B%22Version%22%3A%222012-10-17%22%7D</PolicyDocument></GetUserPolicyResult>\
         </GetUserPolicyResponse>",
        json!({"UserName": "a", "PolicyName": "b", "PolicyDocument": {"Version": "2012-10-17"}}),
    );
    check(
        "s3.GetBucketPolicy",
        r#"{"Version":"2012-10-17"}"#,
        json!({"Policy": {"Version": "2012-10-17"}}),
    );
    check(
        "lambda.GetPolicy",
        r#"{"Policy":"{\"Statement\":[]}","RevisionId":"x"}"#,
        json!({"Policy": {"Statement": []}, "RevisionId": "x"}),
    );
    check(
        "lambda.GetPolicy",
        r#"{"Policy":"{broken"}"#,
        json!({"Policy": "{broken"}),
    );
    let deep = format!(
        "{}{}",
        "{\"a\":".repeat(70),
        "1".to_owned() + &"}".repeat(70)
    );
    check("s3.GetBucketPolicy", &deep, json!({"Policy": deep}));
}

#[test]
fn times_are_rfc_3339() {
    check(
        "cloudtrail.GetTrailStatus",
        r#"{"IsLogging":true,"StartLoggingTime":1700000000.123,"StopLoggingTime":1700000000}"#,
        json!({"IsLogging": true, "StartLoggingTime": "2023-11-14T22:13:20.123Z",
               "StopLoggingTime": "2023-11-14T22:13:20Z"}),
    );
    let huge = r#"{"StartLoggingTime":1e300}"#;
    check(
        "cloudtrail.GetTrailStatus",
        huge,
        json!({"StartLoggingTime": 1e300}),
    );
}

#[test]
fn a_grantee_has_its_type() {
    check(
        "s3.GetBucketAcl",
        "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant>\
         <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\"><URI>u</URI></Grantee>\
         <Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>",
        json!({"Owner": {"ID": "o"}, "Grants": [{"Grantee": {"URI": "u", "Type": "Group"}, "Permission": "READ"}]}),
    );
    check(
        "s3.GetBucketLocation",
        "<LocationConstraint xmlns=\"a\">eu-west-1</LocationConstraint>",
        json!({"LocationConstraint": "eu-west-1"}),
    );
}

#[test]
fn nothing_is_an_empty_answer_where_nothing_is_said() {
    check("s3.PutPublicAccessBlock", "", json!({}));
    check("cloudtrail.StartLogging", "{}", json!({}));
    check("cloudtrail.StartLogging", "", json!({}));
    check(
        "iam.DetachUserPolicy",
        "<DetachUserPolicyResponse/>",
        json!({}),
    );
}

#[test]
fn a_good_status_with_nonsense_is_no_answer() {
    for (name, body) in [
        ("iam.DetachUserPolicy", ""),
        ("iam.DetachUserPolicy", "<html><body>Welcome</body></html>"),
        ("iam.DetachUserPolicy", "<AttachUserPolicyResponse/>"),
        ("iam.GetUser", "<GetUserResponse/>"),
        ("cloudtrail.StartLogging", "<html/>"),
        ("cloudtrail.StartLogging", "[]"),
        ("kms.DescribeKey", r#"{"KeyMetadata": []}"#),
        ("kms.DescribeKey", r#"{"KeyMetadata": {"KeyId": {}}}"#),
        ("guardduty.GetDetector", "\u{7f}"),
    ] {
        let fault = read(name, body).unwrap_err();
        assert!(matches!(fault, DecodeFault::Form(_)), "{name} {body}");
    }
    let long = vec![b' '; BODY_BYTES_MAX + 1];
    let found = decode(operation("kms.DescribeKey").unwrap(), 200, &[], &long);
    assert_eq!(found.unwrap_err(), DecodeFault::TooLarge);
    let many = format!("{{\"a\":[0{}]}}", ",0".repeat(COMMAS_MAX + 1));
    assert_eq!(
        read("kms.DescribeKey", &many).unwrap_err(),
        DecodeFault::TooLarge
    );
    let invalid = decode(operation("kms.DescribeKey").unwrap(), 200, &[], b"\xff");
    assert!(invalid.is_err());
}

#[track_caller]
fn check_refusal(
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
    code: &str,
    message: &str,
    retry: Retry,
) {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let found = decode(
        operation("iam.GetUser").unwrap(),
        status,
        &headers,
        body.as_bytes(),
    )
    .unwrap();
    let (code, message) = (code.to_owned(), message.to_owned());
    assert_eq!(
        (found.answer, found.retry),
        (Answer::Refused { code, message }, retry)
    );
}

#[test]
fn every_form_of_a_refusal_is_read() {
    let body = "<ErrorResponse xmlns=\"a\"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>no such user \
                &amp; more</Message></Error><RequestId>r</RequestId></ErrorResponse>";
    check_refusal(
        404,
        &[],
        body,
        "NoSuchEntity",
        "no such user & more",
        Retry::Never,
    );
    let body = "<?xml version=\"1.0\"?><Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>m</Message>\
                </Error></Errors><RequestID>r</RequestID></Response>";
    check_refusal(
        503,
        &[],
        body,
        "RequestLimitExceeded",
        "m",
        Retry::Throttled,
    );
    let body = "<Error><Code>NoSuchBucketPolicy</Code><Message>m</Message><BucketName>b</BucketName></Error>";
    check_refusal(404, &[], body, "NoSuchBucketPolicy", "m", Retry::Never);
    let body = r#"{"__type":"com.amazonaws.kms#KMSInvalidStateException:http://x/","message":"m"}"#;
    check_refusal(
        400,
        &[],
        body,
        "KMSInvalidStateException",
        "m",
        Retry::Never,
    );
    let headers = [(
        "X-Amzn-ErrorType",
        "TooManyRequestsException:http://internal/",
    )];
    check_refusal(
        429,
        &headers,
        r#"{"Message":"m"}"#,
        "TooManyRequestsException",
        "m",
        Retry::Throttled,
    );
    let body = r#"{"__type":"ExpiredTokenException","Message":"m"}"#;
    check_refusal(
        400,
        &[],
        body,
        "ExpiredTokenException",
        "m",
        Retry::Signature,
    );
    let page = "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>";
    check_refusal(500, &[], page, "HttpStatus500", "", Retry::Passing);
    check_refusal(404, &[], "", "HttpStatus404", "", Retry::Never);
    check_refusal(301, &[], "{broken", "HttpStatus301", "", Retry::Never);
    let body =
        "<ErrorResponse><Error><Code>EntityTemporarilyUnmodifiable</Code></Error></ErrorResponse>";
    check_refusal(
        409,
        &[],
        body,
        "EntityTemporarilyUnmodifiable",
        "",
        Retry::Passing,
    );
    let headers = [("x-amzn-ErrorType", "ResourceConflictException")];
    let message = "An update is in progress for resource: f";
    let body = json!({"Message": message}).to_string();
    check_refusal(
        409,
        &headers,
        &body,
        "ResourceConflictException",
        message,
        Retry::Passing,
    );
    let message = "The statement id (a) provided already exists";
    let body = json!({"Message": message}).to_string();
    check_refusal(
        409,
        &headers,
        &body,
        "ResourceConflictException",
        message,
        Retry::Never,
    );
    let body = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired: 1 is now earlier \
                than 2</Message></Error></ErrorResponse>";
    let message = "Signature expired: 1 is now earlier than 2";
    check_refusal(
        403,
        &[],
        body,
        "SignatureDoesNotMatch",
        message,
        Retry::Signature,
    );
}

#[test]
fn a_refusal_is_never_longer_than_it_may_be() {
    let long = "x".repeat(5_000);
    let body = format!(r#"{{"__type":"{long}","message":"a\u0000\n{long}"}}"#);
    let found = decode(operation("iam.GetUser").unwrap(), 400, &[], body.as_bytes()).unwrap();
    let Answer::Refused { code, message } = found.answer else {
        panic!("it was refused");
    };
    assert_eq!((code.len(), message.len()), (128, 1024));
    assert!(message.starts_with("ax"));
}

#[test]
fn the_name_of_a_request_is_found() {
    let of = |headers: &[(String, String)], body: &str| {
        let operation = operation("iam.DetachUserPolicy").unwrap();
        decode(operation, 200, headers, body.as_bytes())
            .unwrap()
            .request_id
    };
    let body = "<DetachUserPolicyResponse><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\
                </DetachUserPolicyResponse>";
    assert_eq!(of(&[], body).as_deref(), Some("r"));
    let headers = [("X-Amzn-RequestId".to_owned(), "h".to_owned())];
    assert_eq!(of(&headers, body).as_deref(), Some("h"));
    assert_eq!(of(&[], "<DetachUserPolicyResponse/>"), None);
}

proptest! {
    #[test]
    fn nothing_panics(
        place in 0_usize..1_000,
        status in prop_oneof![Just(200_u16), 100..600_u16],
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            "[<>/&;{}\":,a-c0-9\\[\\] ]{0,60}".prop_map(String::into_bytes),
        ],
    ) {
        let all: Vec<_> = operations().collect();
        let _ = decode(all[place % all.len()], status, &[], &body);
    }
}

#[test]
fn what_the_tables_do_not_know_is_told() {
    let of = |name: &str, body: &str| {
        decode(operation(name).unwrap(), 200, &[], body.as_bytes())
            .unwrap()
            .unknown
    };
    let body = "<LifecycleConfiguration><Rule><ID>a</ID><Newer>1</Newer></Rule><Rule><Newer/></Rule>\
                </LifecycleConfiguration>";
    assert_eq!(of("s3.GetBucketLifecycleConfiguration", body), ["Newer"]);
    assert_eq!(
        of(
            "guardduty.GetDetector",
            r#"{"status":"a","newer":1,"old":null}"#
        ),
        ["newer"]
    );
    let body = "<GetUserResponse><GetUserResult/><ResponseMetadata/></GetUserResponse>";
    assert!(of("iam.GetUser", body).is_empty());
    let many: Map<_, _> = (0..100)
        .map(|number| (format!("n{number}"), json!(1)))
        .collect();
    assert_eq!(
        of("guardduty.GetDetector", &Value::Object(many).to_string()).len(),
        8
    );
}

#[test]
fn flow_logs_of_which_none_could_be_made_are_refused() {
    let of = |ids: &str| {
        let body = format!(
            "<CreateFlowLogsResponse><flowLogIdSet>{ids}</flowLogIdSet><unsuccessful><item><error><code>400</code>\
             <message>no access</message></error></item></unsuccessful></CreateFlowLogsResponse>"
        );
        decode(
            operation("ec2.CreateFlowLogs").unwrap(),
            200,
            &[],
            body.as_bytes(),
        )
        .unwrap()
        .answer
    };
    let refused = Answer::Refused {
        code: "400".to_owned(),
        message: "no access".to_owned(),
    };
    assert_eq!(of(""), refused);
    assert!(matches!(of("<item>fl-1</item>"), Answer::Done(_)));
}
