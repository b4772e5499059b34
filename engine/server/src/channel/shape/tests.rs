//! Events that fit, that are mapped, and what is not kept of them.

use super::{SchemaFile, Shape};
use axum::http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tripline_core::event::Parser;

fn shape(text: &str, folder: &Path) -> Shape {
    let file: SchemaFile = toml::from_str(text).expect("sound");
    file.validate().expect("sound");
    Shape::new(&file, folder).expect("sound")
}

/// What a shape makes of an event, or why it does not.
fn apply(shape: &Shape, event: &Value, headers: &[(&str, &str)]) -> Result<Value, String> {
    let text = event.to_string();
    let mut parser = Parser::new();
    let root = parser.parse(text.as_bytes()).expect("JSON").root();
    let headers: BTreeMap<String, String> = headers
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let shaped = shape
        .apply(root, &headers)
        .map_err(|misfit| format!("{}: {}", misfit.code, misfit.words))?;
    Ok(serde_json::from_slice(&shaped.bytes).expect("JSON"))
}

#[test]
fn fields_are_made_by_cel_and_others_stay() {
    let shape = shape(
        r#"
        [map]
        eventName = 'event.action'
        "userIdentity.userName" = 'event.who.name.lowerAscii()'
        "userIdentity.tags" = '[event.n, event.n + 1]'
        eventTime = 'string(timestamp(event.at))'
        nothing = 'event.?missing.orValue(null)'
        "#,
        Path::new("."),
    );
    let event = json!({
        "action": "login", "who": {"name": "ALICE"}, "at": 1_767_323_045, "n": 7, "userIdentity": {"type": "x"}, "big": 12345678901234567890_u64,
        "eventName": "theirs",
    });
    let made = apply(&shape, &event, &[]).expect("mapped");
    assert_eq!(
        made,
        json!({
            "action": "login", "who": {"name": "ALICE"}, "at": 1_767_323_045, "n": 7, "big": 12345678901234567890_u64, "eventName": "login",
            "userIdentity": {"type": "x", "userName": "alice", "tags": [7, 8]}, "eventTime": "2026-01-02T03:04:05Z",
        })
    );
    let words = apply(&shape, &json!({"action": "login"}), &[]).expect_err("not mapped");
    assert!(words.starts_with("unmapped: "), "{words}");
}

#[test]
fn mistakes_of_a_mapping_are_told() {
    let told = |text: &str| {
        let file: SchemaFile = toml::from_str(text).expect("TOML");
        let found = file
            .validate()
            .and_then(|()| Shape::new(&file, Path::new(".")).map(drop));
        found.expect_err("a mistake")
    };
    for (text, words) in [
        ("map.a = 'event.'", "schema.map.\"a\": `event.`"),
        ("map.a = 'nothing.x'", "nothing"),
        ("map.eventID = '1'", "is the engine's"),
        ("map.\"a..b\" = '1'", "empty part"),
        ("mode = \"reject\"", "needs schema.file"),
        ("file = \"missing.json\"", "missing.json: cannot be read"),
        ("headers = [\"Authorization\"]", "holds a secret"),
    ] {
        let found = told(text);
        assert!(found.contains(words), "{found}\ndoes not say\n{words}");
    }
}

#[test]
fn schemas_warn_or_keep_out() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("s.json"),
        r#"{"type":"object","required":["action"],"properties":{"action":{"type":"string"},"password":{"maxLength":3}}}"#,
    )
    .expect("written");
    let rejecting = shape("file = \"s.json\"\nmode = \"reject\"", folder.path());
    assert!(apply(&rejecting, &json!({"action": "x"}), &[]).is_ok());
    let words = apply(&rejecting, &json!({"action": 1}), &[]).expect_err("kept out");
    assert!(words.starts_with("schema: at /action: "), "{words}");
    let words = apply(
        &rejecting,
        &json!({"action": "x", "password": "hunter2"}),
        &[],
    )
    .expect_err("kept out");
    assert!(!words.contains("hunter2"), "{words}");
    let warning = shape("file = \"s.json\"", folder.path());
    let text = json!({"action": 1}).to_string();
    let mut parser = Parser::new();
    let root = parser.parse(text.as_bytes()).expect("JSON").root();
    let shaped = warning.apply(root, &BTreeMap::new()).expect("taken");
    assert!(
        shaped
            .warning
            .is_some_and(|words| words.contains("/action"))
    );
    std::fs::write(folder.path().join("s.json"), r#"{"type": 7}"#).expect("written");
    let file: SchemaFile = toml::from_str("file = \"s.json\"").expect("TOML");
    assert!(Shape::new(&file, folder.path()).is_err());
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let shape = shape(
        "redact = [\"user.password\", \"*.token\"]\nredact_secrets = true",
        Path::new("."),
    );
    let event = json!({
        "user": {"name": "a", "password": "hunter2"}, "word": "stays", "list": [{"token": "t1"}, {"deep": {"token": {"a": 1}}}],
        "note": "key is ghp_0123456789abcdefghijklmnopqrstuvwxyz and more", "id": "AKIAIOSFODNN7EXAMPLE",
        "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "half": "-----BEGIN PRIVATE KEY-----\nMIIE",
        "aws": "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "big": 12345678901234567890_u64,
        "secretAccessKey": "anything", "ghp_0123456789abcdefghijklmnopqrstuvwxyz": 1,
    });
    let text = event.to_string();
    let mut parser = Parser::new();
    let root = parser.parse(text.as_bytes()).expect("JSON").root();
    let kept: Value = serde_json::from_slice(&shape.redacted(root).expect("something is redacted"))
        .expect("JSON");
    let hidden = "[redacted]";
    assert_eq!(
        kept,
        json!({
            "user": {"name": "a", "password": hidden}, "word": "stays", "list": [{"token": hidden}, {"deep": {"token": hidden}}],
            "note": "key is [redacted] and more", "id": "AKIAIOSFODNN7EXAMPLE", "pem": hidden, "half": hidden, "aws": hidden, "jwt": hidden, "secretAccessKey": hidden, "[redacted]": 1,
            "big": 12345678901234567890_u64,
        })
    );
}

#[test]
fn presets_make_the_common_record() {
    let github = shape("preset = \"github-webhook\"", Path::new("."));
    let mut headers = HeaderMap::new();
    headers.insert("x-github-event", HeaderValue::from_static("member"));
    headers.insert("authorization", HeaderValue::from_static("secret"));
    assert_eq!(github.headers(&headers).len(), 1);
    let event = json!({"action": "added", "sender": {"login": "octocat", "type": "User"}, "organization": {"login": "acme"}});
    let made = apply(&github, &event, &[("x-github-event", "member")]).expect("mapped");
    assert_eq!(
        (
            &made["eventName"],
            &made["eventSource"],
            &made["userIdentity"]["userName"],
            &made["recipientAccountId"]
        ),
        (
            &json!("member.added"),
            &json!("github.com"),
            &json!("octocat"),
            &json!("acme")
        )
    );
    let ping = apply(
        &github,
        &json!({"zen": "Keep it"}),
        &[("x-github-event", "ping")],
    )
    .expect("mapped");
    assert_eq!(
        (&ping["eventName"], &ping["recipientAccountId"]),
        (&json!("ping"), &Value::Null)
    );
    let okta = shape("preset = \"okta-event-hook\"", Path::new("."));
    assert_eq!(okta.list(), Some("data.events"));
    let event = json!({
        "uuid": "u", "published": "2026-01-02T03:04:05.678Z", "eventType": "user.session.start", "actor": {"id": "00u", "type": "User", "alternateId": "a@example.com"},
        "client": {"ipAddress": "203.0.113.9", "userAgent": {"rawUserAgent": "Mozilla"}}, "outcome": {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"},
    });
    let made = apply(&okta, &event, &[]).expect("mapped");
    assert_eq!(
        (
            &made["eventName"],
            &made["sourceIPAddress"],
            &made["errorCode"],
            &made["userAgent"]
        ),
        (
            &json!("user.session.start"),
            &json!("203.0.113.9"),
            &json!("INVALID_CREDENTIALS"),
            &json!("Mozilla")
        )
    );
    let ocsf = shape("preset = \"ocsf\"", Path::new("."));
    let event = json!({
        "class_uid": 6003, "time": 1_767_323_045_678_u64, "metadata": {"uid": "m", "product": {"name": "P"}},
        "api": {"operation": "DeleteTrail", "service": {"name": "cloudtrail.amazonaws.com"}, "request": {"data": {"name": "t"}}},
        "actor": {"user": {"name": "alice", "type": "IAMUser", "account": {"uid": "111122223333"}}}, "src_endpoint": {"ip": "203.0.113.9"},
        "cloud": {"region": "eu-central-1", "account": {"uid": "111122223333"}},
    });
    let made = apply(&ocsf, &event, &[]).expect("mapped");
    assert_eq!(
        (
            &made["eventName"],
            &made["eventSource"],
            &made["eventTime"],
            &made["requestParameters"]["name"],
            &made["metadata"]["uid"]
        ),
        (
            &json!("DeleteTrail"),
            &json!("cloudtrail.amazonaws.com"),
            &json!("2026-01-02T03:04:05Z"),
            &json!("t"),
            &json!("m")
        )
    );
}
