//! Requests of all protocols, and parameters that make none.

use super::*;
use crate::aws::operation::{operation, operations};
use serde_json::json;

fn encoded(name: &str, parameters: Value) -> Result<Request, EncodeFault> {
    let Value::Object(parameters) = parameters else {
        panic!("parameters are an object");
    };
    encode(operation(name).unwrap(), &parameters, "123456789012")
}

fn body(name: &str, parameters: Value) -> String {
    String::from_utf8(encoded(name, parameters).unwrap().body).unwrap()
}

#[track_caller]
fn check_fault(name: &str, parameters: Value, wanted: &str) {
    assert_eq!(encoded(name, parameters).unwrap_err().to_string(), wanted);
}

#[test]
fn lists_of_ec2_are_counted_and_its_names_begin_with_capitals() {
    assert_eq!(
        body(
            "ec2.ModifyInstanceAttribute",
            json!({"InstanceId": "i-1", "Groups": ["sg-1", "sg-2"]})
        ),
        "Action=ModifyInstanceAttribute&Version=2016-11-15&InstanceId=i-1&GroupId.1=sg-1&GroupId.2=sg-2"
    );
    assert_eq!(
        body(
            "ec2.DescribeSecurityGroupRules",
            json!({"Filters": [{"Name": "group-id", "Values": ["sg-1"]}]})
        ),
        "Action=DescribeSecurityGroupRules&Version=2016-11-15&Filter.1.Name=group-id&Filter.1.Value.1=sg-1"
    );
}

#[test]
fn lists_of_rds_are_named_by_their_elements() {
    assert_eq!(
        body(
            "rds.ModifyDBSnapshotAttribute",
            json!({"DBSnapshotIdentifier": "s", "AttributeName": "restore", "ValuesToRemove": ["all"]})
        ),
        "Action=ModifyDBSnapshotAttribute&Version=2014-10-31&DBSnapshotIdentifier=s&AttributeName=restore\
         &ValuesToRemove.AttributeValue.1=all"
    );
}

#[test]
fn documents_may_be_values_or_text() {
    let policy = json!({"Version": "2012-10-17", "Statement": []});
    let put = |document: Value| {
        body(
            "iam.PutUserPolicy",
            json!({"UserName": "a", "PolicyName": "b", "PolicyDocument": document}),
        )
    };
    assert_eq!(put(policy.clone()), put(policy.to_string().into()));
    assert!(put(policy).ends_with(
        "&PolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D"
    ));
}

#[test]
fn buckets_are_asked_with_their_owner_and_a_checksum() {
    let request = encoded(
        "s3.PutPublicAccessBlock",
        json!({"Bucket": "a-bucket", "PublicAccessBlockConfiguration": {"BlockPublicAcls": true}}),
    )
    .unwrap();
    assert_eq!(request.target(), "/a-bucket?publicAccessBlock");
    assert_eq!(
        request.header("x-amz-expected-bucket-owner"),
        Some("123456789012")
    );
    assert_eq!(
        request.header("x-amz-sdk-checksum-algorithm"),
        Some("SHA256")
    );
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"
    );
    let request = encoded("s3control.GetPublicAccessBlock", json!({})).unwrap();
    assert_eq!(request.header("x-amz-account-id"), Some("123456789012"));
}

#[test]
fn a_grant_carries_its_type_as_an_attribute() {
    let policy = json!({"Owner": {"ID": "o"}, "Grants": [
        {"Grantee": {"Type": "CanonicalUser", "ID": "<&>"}, "Permission": "READ"}]});
    let body = body(
        "s3.PutBucketAcl",
        json!({"Bucket": "a-bucket", "AccessControlPolicy": policy}),
    );
    assert!(
        body.contains("xsi:type=\"CanonicalUser\"><ID>&lt;&amp;&gt;</ID></Grantee>"),
        "{body}"
    );
}

#[test]
fn what_is_not_in_the_table_is_refused() {
    check_fault(
        "iam.GetUser",
        json!({"Name": "a"}),
        "there is no parameter Name",
    );
    check_fault(
        "sts.GetCallerIdentity",
        json!({"A": 1}),
        "there is no parameter A",
    );
    check_fault(
        "ec2.RevokeSecurityGroupIngress",
        json!({"IpPermissions": [{"FromPort": 1, "Port": 2}]}),
        "there is no parameter IpPermissions.1.Port",
    );
    check_fault(
        "iam.GetRole",
        json!({}),
        "the parameter RoleName is missing",
    );
    check_fault(
        "iam.GetRole",
        json!({"RoleName": null}),
        "the parameter RoleName is missing",
    );
    check_fault(
        "iam.GetRole",
        json!({"RoleName": 7}),
        "the parameter RoleName is not text",
    );
    check_fault(
        "ec2.StopInstances",
        json!({"InstanceIds": "i-1"}),
        "the parameter InstanceIds is not a list",
    );
    check_fault(
        "ec2.StopInstances",
        json!({"InstanceIds": ["i-1"], "Force": "yes"}),
        "the parameter Force is not true or false",
    );
    check_fault(
        "lambda.PutFunctionConcurrency",
        json!({"FunctionName": "f", "ReservedConcurrentExecutions": 0.5}),
        "the parameter ReservedConcurrentExecutions is not a whole number",
    );
    check_fault(
        "iam.GetRole",
        json!({"RoleName": {"$from": {"step": "a", "path": "/b"}}}),
        "the parameter RoleName is not text",
    );
}

#[test]
fn no_value_leaves_its_place() {
    for name in [
        "../other", "a/b", "a?acl", "a#b", "a\nb", "a%2fb", "..", "", "ab..cd", "b\u{e9}b",
    ] {
        check_fault(
            "s3.GetBucketPolicy",
            json!({"Bucket": name}),
            "the parameter Bucket has a value that a path cannot hold",
        );
    }
    for name in ["..", ".", "", "a\0", "../x", "x/../y", "a\\b"] {
        check_fault(
            "lambda.RemovePermission",
            json!({"FunctionName": "f", "StatementId": name}),
            "the parameter StatementId has a value that a path cannot hold",
        );
    }
    let request = encoded(
        "lambda.RemovePermission",
        json!({"FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:f?x#y/z", "StatementId": "a b",
               "Qualifier": "1&b=c"}),
    )
    .unwrap();
    assert_eq!(
        request.target(),
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Af%3Fx%23y%2Fz/policy/a%20b\
         ?Qualifier=1%26b%3Dc"
    );
    check_fault(
        "s3.PutBucketAcl",
        json!({"Bucket": "a-bucket", "ACL": "private\r\nx-evil: 1"}),
        "the parameter ACL has a value that a header cannot hold",
    );
    check_fault(
        "s3.PutBucketLifecycleConfiguration",
        json!({"Bucket": "a-bucket", "LifecycleConfiguration": {"Rules": [{"ID": "\u{1}", "Status": "Enabled"}]}}),
        "the parameter LifecycleConfiguration.Rules.1.ID has a value that XML cannot hold",
    );
    let body = body("iam.GetUser", json!({"UserName": "a&Action=DeleteUser\0"}));
    assert_eq!(
        body,
        "Action=GetUser&Version=2010-05-08&UserName=a%26Action%3DDeleteUser%00"
    );
}

#[test]
fn a_request_does_not_show_what_it_carries() {
    let parameters = json!({"UserName": "a", "Password": "hunter2"});
    let request = encoded("iam.CreateLoginProfile", parameters).unwrap();
    assert!(!format!("{request:?}").contains("hunter2"));
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    let large = "x".repeat(BODY_BYTES_MAX);
    check_fault(
        "iam.GetUser",
        json!({"UserName": large}),
        "the parameters are larger than a request may be",
    );
}

#[test]
fn every_required_parameter_is_asked_for() {
    for operation in operations().filter(|operation| !operation.required.is_empty()) {
        let fault = encode(operation, &Map::new(), "").unwrap_err();
        assert!(
            matches!(fault, EncodeFault::Missing(_)),
            "{}",
            operation.name
        );
    }
}

mod hostile {
    use super::*;
    use crate::aws::xml::Element;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-c./%?#&=<>\\\\\"\\r\\n\\x00é ]{0,12}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let name = prop_oneof![
                "[A-Z][a-z]{0,6}",
                Just("Rules".to_owned()),
                Just("ID".to_owned())
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..3)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_request_is_well_formed_or_refused(
            place in 0_usize..1_000,
            values in prop::collection::vec(value(), 12),
            text in "[a-c./%?#&=<>\\\\\"\\r\\n\\x00é -]{0,12}",
        ) {
            let all: Vec<_> = operations().collect();
            let operation = all[place % all.len()];
            let members = operation.input.map_or(&[][..], |input| operation.service.members(input));
            let mut parameters = Map::new();
            for (member, value) in members.iter().zip(values) {
                // Where a text is wanted there is one, so that not everything is refused for its kind.
                let is_text = matches!(member.kind, Kind::Text | Kind::Policy);
                let value = if is_text { text.clone().into() } else { value };
                parameters.insert(member.name.to_owned(), value);
            }
            if let Ok(request) = encode(operation, &parameters, "123456789012") {
                let target = request.target();
                prop_assert!(target.starts_with('/'));
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%/?&=".contains(&byte);
                prop_assert!(target.bytes().all(is_plain), "{}", target);
                let path = operation.path.split('?').next().unwrap_or_default();
                prop_assert_eq!(request.path.split('/').count(), path.split('/').count());
                prop_assert!(request.path.split('/').all(|part| part != "." && part != ".."));
                for (name, value) in &request.headers {
                    prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", name);
                }
                if request.header("content-type") == Some("application/xml") {
                    let body = std::str::from_utf8(&request.body).unwrap();
                    prop_assert!(Element::read(body).is_ok(), "{}", body);
                }
            }
        }
    }
}
