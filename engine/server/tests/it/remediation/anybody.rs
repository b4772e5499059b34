//! Actions on anybody's API, and events that nobody believes.

use super::Service;
use crate::harness::Folder;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// An identity provider with one user: its status, and what was asked of it.
#[derive(Default)]
struct Provider {
    is_suspended: bool,
    /// Method and path, and the key by which a request is known again.
    changes: Vec<(String, String)>,
}

fn serve(provider: &Arc<Mutex<Provider>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address");
    let provider = provider.clone();
    // It ends with the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.expect("a connection"), &provider);
        }
    });
    address
}

fn answer(mut stream: TcpStream, provider: &Mutex<Provider>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let read = reader.read_line(&mut line).expect("text");
        if read == 0 || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let found = lines.iter().filter_map(|line| line.split_once(": "));
        let mut found = found.filter(|(one, _)| one.eq_ignore_ascii_case(name));
        found
            .next()
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default()
    };
    let length = header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    let mut words = lines.first().map_or("", String::as_str).split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let mut provider = provider.lock().expect("is not poisoned");
    let status = match (method, path) {
        _ if header("authorization") != "SSWS s3cret" => 401,
        ("GET", "/api/v1/users/00u1") => 200,
        (
            "POST",
            "/api/v1/users/00u1/lifecycle/suspend" | "/api/v1/users/00u1/lifecycle/unsuspend",
        ) => {
            provider.is_suspended = path.ends_with("/suspend");
            let line = format!("{method} {path}");
            provider.changes.push((line, header("idempotency-key")));
            200
        }
        _ => 404,
    };
    let word = if provider.is_suspended {
        "SUSPENDED"
    } else {
        "ACTIVE"
    };
    let text = json!({ "status": word }).to_string();
    let length = text.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    );
}

const RULE: &str = r#"
id = "test-user-reported"
name = "A user reported something"
description = "What the policy answers."
severity = "high"
status = "test"
authors = ["Tripline"]
when = 'event.?eventType.orValue("") == "user.account.report_suspicious_activity_by_enduser"'

[finding]
dedup_key = ["event.uuid"]
"#;

const POLICY: &str = r#"
[remediation.suspend]
version = "1.0.0"
description = "Suspends a user who reports what somebody else did in their name."
runbook = "https://runbooks.example.com/suspend"
owner = "identity"
on_finding = ["test-user-reported"]
when = 'event.outcome.result == "SUCCESS"'
action = "http.request"

[remediation.suspend.params]
target = '"okta"'
resource = '"urn:okta:user:" + event.target[0].id'
method = '"POST"'
path = '"/api/v1/users/" + event.target[0].id + "/lifecycle/suspend"'
is_idempotent = 'true'
undo_method = '"POST"'
undo_path = '"/api/v1/users/" + event.target[0].id + "/lifecycle/unsuspend"'
check_path = '"/api/v1/users/" + event.target[0].id'
check_pointer = '"/status"'
check_value = '"SUSPENDED"'

[remediation.suspend.stage]
mode = "auto"

[remediation.suspend.limits]
per_policy = { max = 5, window = "10m" }
per_account = { max = 5, window = "10m" }
"#;

fn reported(number: u32, user: &str, with: &[(&str, Value)]) -> String {
    let mut event = json!({
        "uuid": format!("00000000-0000-4000-8000-{number:012}"),
        "eventID": format!("00000000-0000-4000-8000-{number:012}"),
        "eventType": "user.account.report_suspicious_activity_by_enduser",
        "eventTime": jiff::Timestamp::now().to_string(),
        "outcome": { "result": "SUCCESS" },
        "target": [{ "id": user, "type": "User" }],
    });
    for (name, value) in with {
        event[*name] = value.clone();
    }
    event.to_string()
}

#[test]
fn an_api_of_anybody_is_acted_on_and_only_for_events_that_are_believed() {
    let provider = Arc::new(Mutex::new(Provider::default()));
    let address = serve(&provider);
    let folder = Folder::new("remediation-anybody");
    let path = folder.path();
    folder.file("rules/reported.toml", RULE);
    folder.file("policies/suspend.toml", POLICY);
    folder.file("okta.secret", "s3cret\n");
    folder.file(
        "tripline.toml",
        format!(
            "data = \"{path}/data\"\nrules.paths = [\"{path}/rules\"]\nhttp.listen = \"127.0.0.1:0\"\nengine.commit_every = \"20ms\"\n\
             [sinks.file]\ntype = \"file\"\npath = \"{path}/findings.jsonl\"\n\
             [remediation]\nenabled = true\npolicies = [\"{path}/policies\"]\nendpoint = \"http://127.0.0.1:9\"\n\
             [remediation.http.okta]\nurl = \"http://{address}\"\nprefix = \"SSWS \"\nsecret_file = \"{path}/okta.secret\"\n\
             allow = [\"GET /api/v1/users/*\", \"POST /api/v1/users/*/lifecycle/suspend\", \"POST /api/v1/users/*/lifecycle/unsuspend\"]\n"
        ),
    );
    let service = Service::start_in(&path, "AKIDEXAMPLE", "secret");
    service.publish(&[reported(1, "00u1", &[])]);
    let id = service.wait_for("suspend", "succeeded");
    let look = || {
        let provider = provider.lock().expect("is not poisoned");
        (provider.is_suspended, provider.changes.clone())
    };
    let (is_suspended, changes) = look();
    assert!(is_suspended);
    let suspend = "POST /api/v1/users/00u1/lifecycle/suspend".to_owned();
    assert_eq!(changes, [(suspend, format!("{id}-request"))]);
    let said = json!({ "by": "ops", "reason": "it was a drill" }).to_string();
    let (status, text) = service
        .post(&format!("/v1/remediation/actions/{id}/revert"), said)
        .expect("it answers");
    assert_eq!(status, 200, "{text}");
    service.wait_state(&id, "reverted");
    let (is_suspended, changes) = look();
    assert!(!is_suspended);
    assert_eq!(changes.len(), 2, "{changes:?}");

    // What somebody pushed through a channel that nobody has named, what is long past, and a path that leads elsewhere.
    let ingest = json!({ "channel": "partner", "sender": "default", "verified": "key" });
    let old = json!("2020-01-01T00:00:00Z");
    service.publish(&[
        reported(2, "00u2", &[("ingest", ingest)]),
        reported(3, "00u3", &[("eventTime", old)]),
        reported(4, "../admins", &[]),
    ]);
    let suppressed = service.wait_for("suspend", "suppressed");
    service.wait_considered();
    let action = service.get(&format!("/v1/remediation/actions/{suppressed}"));
    let reason = action["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("too old: "), "{reason}");
    let of = |user: &str| {
        let actions = service.actions();
        let mut all = actions.iter();
        all.any(|one| {
            one["resource"]
                .as_str()
                .is_some_and(|arn| arn.ends_with(user))
        })
    };
    assert!(of("00u1") && of("00u3") && !of("00u2") && !of("admins"));
    assert_eq!(look().1.len(), 2);
}
