//! The wire of AWS against what the vendor's own client writes and reads: see `aws_vectors.py`, which made the data.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use tripline_remediation::aws::{
    Credentials, Operation, Protocol, Request, Retry, decode, encode, endpoint, operation,
    operations, sign,
};
use tripline_remediation::plan::Answer;

const REQUESTS: &str = include_str!("aws_requests.json");
const ANSWERS: &str = include_str!("aws_answers.json");
/// What the emulator says that is in no answer of the API.
const INVENTED: [(&str, &[&str]); 5] = [
    (
        "cloudtrail.CreateTrail",
        &["HasCustomEventSelectors", "HasInsightSelectors"],
    ),
    (
        "cloudtrail.UpdateTrail",
        &["HasCustomEventSelectors", "HasInsightSelectors"],
    ),
    ("lambda.CreateFunctionUrlConfig", &["LastModifiedTime"]),
    ("config.DescribeConfigurationRecorders", &["status"]),
    ("secretsmanager.DescribeSecret", &["SecretVersionsToStages"]),
];
const REGION: &str = "eu-central-1";
const ACCOUNT: &str = "123456789012";

/// What the vendor's client sends.
#[derive(Deserialize)]
struct Sent {
    operation: String,
    parameters: Map<String, Value>,
    method: String,
    host: String,
    path: String,
    query: Vec<(String, String)>,
    headers: BTreeMap<String, String>,
    authorization: Option<String>,
    body: String,
}

/// What a service answers, and what the vendor's client makes of it.
#[derive(Deserialize)]
struct Received {
    operation: String,
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
    done: Option<Value>,
    refused: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    code: String,
    message: String,
}

fn sent() -> Vec<(&'static Operation, Sent)> {
    let all: Vec<Sent> = serde_json::from_str(REQUESTS).unwrap();
    let all = all.into_iter();
    all.map(|sent| (operation(&sent.operation).unwrap(), sent))
        .collect()
}

/// The body as a value that is the same for all ways of writing it.
fn meaning(protocol: Protocol, body: &str) -> Value {
    match protocol {
        Protocol::Query | Protocol::Ec2 => {
            let mut pairs: Vec<_> = body.split('&').collect();
            pairs.sort_unstable();
            // Python writes spaces as `+` and leaves some characters alone, both of which mean the same.
            let plain = |pair: &str| pair.replace('+', "%20").replace("%7E", "~");
            pairs.into_iter().map(plain).collect()
        }
        Protocol::Json | Protocol::RestJson if !body.is_empty() => {
            serde_json::from_str(body).unwrap()
        }
        _ => body.replace("&quot;", "\"").into(),
    }
}

#[test]
fn every_operation_is_written_as_by_the_client_of_the_vendor() {
    let all = sent();
    let names: BTreeSet<_> = all.iter().map(|(operation, _)| &operation.name).collect();
    assert_eq!(names.len(), operations().count());
    for (operation, sent) in all {
        let name = &operation.name;
        let request = encode(operation, &sent.parameters, ACCOUNT)
            .unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let to = endpoint(&operation.service, REGION, ACCOUNT, None).unwrap();
        assert_eq!(request.method, sent.method, "{name}");
        assert_eq!(to.host, sent.host, "{name}");
        assert_eq!(request.path, sent.path, "{name}");
        let sorted = |query: &[(String, String)]| {
            let mut query = query.to_vec();
            query.sort();
            query
        };
        assert_eq!(sorted(&request.query), sorted(&sent.query), "{name}");
        let protocol = operation.service.protocol;
        let body = String::from_utf8(request.body).unwrap();
        assert_eq!(
            meaning(protocol, &body),
            meaning(protocol, &sent.body),
            "{name}"
        );
        let mut headers: BTreeMap<_, _> = request.headers.into_iter().collect();
        // The vendor's client says no type of what it sends to S3. Ours does, as some services in between want one.
        if protocol == Protocol::RestXml {
            headers.remove("content-type");
        }
        // The sum is over our body, which escapes quotes.
        let mut wanted = sent.headers;
        if body != sent.body {
            let sums = [
                headers.remove("x-amz-checksum-sha256"),
                wanted.remove("x-amz-checksum-sha256"),
            ];
            assert_eq!(sums[0].is_some(), sums[1].is_some(), "{name}");
        }
        assert_eq!(headers, wanted, "{name}");
    }
}

#[test]
fn every_request_is_signed_as_by_the_client_of_the_vendor() {
    let credentials = Credentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        token: Some("a+token/of==".to_owned()),
        expires: None,
    };
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let mut count = 0;
    for (operation, sent) in sent() {
        let Some(wanted) = sent.authorization else {
            assert!(operation.is_unsigned, "{}", operation.name);
            continue;
        };
        let mut request = Request {
            method: operation.method,
            path: sent.path,
            query: sent.query,
            headers: sent.headers.into_iter().collect(),
            body: sent.body.into_bytes(),
        };
        let to = endpoint(&operation.service, REGION, ACCOUNT, None).unwrap();
        sign(&mut request, &operation.service, &to, &credentials, now);
        assert_eq!(
            request.header("authorization"),
            Some(wanted.as_str()),
            "{}",
            operation.name
        );
        count += 1;
    }
    assert!(count > 170);
}

/// Whether what we read is what the vendor's client reads, but for what is documented: policies are values, and times are
/// text to the millisecond.
fn is_alike(ours: &Value, theirs: &Value) -> bool {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let alike = |(name, ours): (&String, &Value)| {
                theirs
                    .get(name)
                    .is_some_and(|theirs| is_alike(ours, theirs))
            };
            ours.len() == theirs.len() && ours.iter().all(alike)
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(ours, theirs)| is_alike(ours, theirs))
        }
        (Value::Object(_), Value::String(text)) => {
            serde_json::from_str::<Value>(text).is_ok_and(|theirs| theirs == *ours)
        }
        _ if ours == theirs => true,
        _ => time(ours).zip(time(theirs)).is_some_and(|(ours, theirs)| {
            (ours.as_microsecond() - theirs.as_microsecond()).abs() <= 1_000
        }),
    }
}

#[test]
fn every_answer_is_read_as_by_the_client_of_the_vendor() {
    let all: Vec<Received> = serde_json::from_str(ANSWERS).unwrap();
    let mut names = BTreeSet::new();
    for received in &all {
        let operation = operation(&received.operation).unwrap();
        let headers: Vec<_> = received.headers.clone().into_iter().collect();
        let found = decode(
            operation,
            received.status,
            &headers,
            received.body.as_bytes(),
        );
        let found =
            found.unwrap_or_else(|fault| panic!("{}: {fault}\n{}", operation.name, received.body));
        match (&found.answer, &received.done, &received.refused) {
            (Answer::Done(ours), Some(theirs), None) => {
                assert!(
                    is_alike(ours, theirs),
                    "{}\n{ours}\n{theirs}\n{}",
                    operation.name,
                    received.body
                );
            }
            (Answer::Refused { code, message }, None, Some(theirs)) => {
                assert_eq!(
                    (code, message),
                    (&theirs.code, &theirs.message),
                    "{}",
                    operation.name
                );
                assert_eq!(found.retry, Retry::Never, "{}", operation.name);
            }
            _ => panic!("{}: {found:?}", operation.name),
        }
        for unknown in &found.unknown {
            let mut invented = INVENTED.iter().filter(|(name, _)| *name == operation.name);
            let is_invented = invented.any(|(_, names)| names.contains(&unknown.as_str()));
            assert!(is_invented, "{} {unknown}", operation.name);
        }
        assert!(found.request_id.is_some(), "{}", operation.name);
        names.insert(&operation.name);
    }
    assert!(names.len() > 120, "{}", names.len());
}
