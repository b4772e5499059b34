//! Channels of a service: real clients, everything that must be refused, and what becomes of events when the process is killed.

use super::killed::{position, settled, wait_for_commit};
use super::nats::member;
use super::service::Service;
use super::{Folder, event, events, folder, run, tripline};
use crate::harness::Ran;
use crate::launcher::{NatsServer, Place};
use crate::plugins::python_with;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use ureq::Agent;

/// A channel with a key, made by the command; the key.
pub(super) fn channel(folder: &Folder, id: &str, more: &str) -> String {
    let secrets = secrets(folder, id, &["--auth", "key"]);
    append(folder, id, more);
    secrets["key"].clone()
}

/// A channel made by the command; what it shows once, by name.
pub(super) fn secrets(folder: &Folder, id: &str, arguments: &[&str]) -> BTreeMap<String, String> {
    let data = format!("{}/data", folder.path());
    let mut all = vec![
        "channels", "new", id, "--source", "partner", "--data", &data,
    ];
    all.extend(arguments);
    let ran = run(&all);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let pairs = ran
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(": "));
    pairs
        .map(|(what, text)| (what.to_owned(), text.to_owned()))
        .collect()
}

/// Puts settings into a channel's file: tables behind its senders, others before.
pub(super) fn append(folder: &Folder, id: &str, more: &str) {
    let name = format!("data/channels/{id}.toml");
    let path = format!("{}/{name}", folder.path());
    let text = std::fs::read_to_string(&path).expect("a file");
    let text = match more.starts_with('[') {
        true => format!("{text}\n{more}"),
        false => format!("{more}\n{text}"),
    };
    folder.file(&name, text);
}

/// Status, answer and head of the answer to a request with these headers.
pub(super) fn push(
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Value, BTreeMap<String, String>) {
    let config = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    let mut request = config.new_agent().post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.send(body).expect("it answers");
    let text = answer.body_mut().read_to_string().expect("text");
    let head = answer
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let head = head.collect();
    (
        answer.status().as_u16(),
        serde_json::from_str(&text).unwrap_or(Value::Null),
        head,
    )
}

fn to(service: &Service, id: &str) -> String {
    format!("{}/v1/channels/{id}/events", service.url())
}

pub(super) fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

#[test]
fn what_is_pushed_is_found_once_and_says_where_it_came_from() {
    let folder = folder("channels-push", "");
    let key = channel(&folder, "billing", "");
    let service = Service::start(&folder);
    let (url, key) = (to(&service, "billing"), bearer(&key));
    let lines = events(30).join("\n");
    let (status, answer, _) = push(&url, &[("authorization", &key)], lines.as_bytes());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["accepted"], &answer["durability"]),
        (&json!(30), &json!("fsync"))
    );
    let array = format!("[{}]", events(31).join(",\n"));
    let (status, answer, _) = push(&url, &[("authorization", &key)], array.as_bytes());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["accepted"], &answer["duplicates"]),
        (&json!(1), &json!(30))
    );
    service.wait_for(31);
    let found = service.get("/v1/findings?rule=stopped&limit=100");
    let found = found["findings"].as_array().expect("a list");
    assert_eq!(found.len(), 11);
    let id = found[0]["finding_id"].as_str().expect("an id");
    let whole = service.text(&format!("/v1/findings/{id}"));
    for words in [
        r#""channel":"billing""#,
        r#""sender":"default""#,
        r#""verified":"key""#,
        r#""address":"127.0.0.1""#,
    ] {
        assert!(
            whole.replace("\": \"", "\":\"").contains(words),
            "{words} is not in {whole}"
        );
    }
    // A partner asks with its own key, and learns nothing of others.
    let agent: Agent = Agent::config_builder().proxy(None).build().new_agent();
    let own = agent
        .get(format!("{}/v1/channels/billing/status", service.url()))
        .header("authorization", &key);
    let own = own
        .call()
        .expect("it answers")
        .body_mut()
        .read_to_string()
        .expect("text");
    let own: Value = serde_json::from_str(&own).expect("JSON");
    assert_eq!(
        (&own["accepted"], &own["duplicates"]),
        (&json!(31), &json!(30))
    );
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn nobody_else_gets_in_and_nothing_of_it_is_stored() {
    let folder = folder("channels-refused", "");
    let key = channel(
        &folder,
        "billing",
        "[allow]\nevent_sources = [\"*.billing.com\"]\naccounts = [\"111122223333\"]\n",
    );
    let other = channel(&folder, "other", "");
    let hooks = secrets(&folder, "hooks", &["--auth", "standard-webhooks"]);
    let limited = channel(
        &folder,
        "limited",
        "[limits]\nevents_per_second = 5\nburst_seconds = 1\nevent_max_kib = 1\nbody_max_kib = 4\ninflated_max_kib = 8\nevents_max = 20\n",
    );
    let inside = channel(&folder, "inside", "[allow]\naddresses = [\"10.0.0.0/8\"]\n");
    let paused = channel(&folder, "paused", "paused = true\n");
    let service = Service::start(&folder);
    let sound =
        br#"{"eventID":"1","eventSource":"a.billing.com","recipientAccountId":"111122223333"}"#;
    let no: (u16, Value) = (
        401,
        json!({"error": "unauthorized", "message": "this request proves no sender of this channel"}),
    );
    for (what, id, key) in [
        ("a wrong key", "billing", "tl_00000000_x"),
        ("the key of another channel", "billing", other.as_str()),
        ("a key where signatures are wanted", "hooks", key.as_str()),
        ("a channel that is not there", "nothing", key.as_str()),
        ("a path trick", "..%2fbilling", key.as_str()),
        ("an address that is not allowed", "inside", inside.as_str()),
    ] {
        let (status, answer, _) =
            push(&to(&service, id), &[("authorization", &bearer(key))], sound);
        assert_eq!((status, answer), no.clone(), "{what}");
    }
    let (status, answer, _) = push(&to(&service, "billing"), &[], sound);
    assert_eq!((status, answer), no.clone(), "no key at all");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let secret = hooks["secret"].strip_prefix("whsec_").expect("a secret");
    let secret =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, secret).expect("base64");
    let sign = |id: &str, time: u64, body: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key");
        mac.update(format!("{id}.{time}.").as_bytes());
        mac.update(body);
        let bytes = mac.finalize().into_bytes();
        format!(
            "v1,{}",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
        )
    };
    let signed = |id: &str, time: u64, signature: &str, body: &[u8]| {
        let time = time.to_string();
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", signature),
        ];
        let (status, answer, _) = push(&to(&service, "hooks"), &headers, body);
        (status, answer)
    };
    assert_eq!(
        signed("m1", now, "v1,AAAA", sound),
        no,
        "a forged signature"
    );
    assert_eq!(
        signed("m2", now, &sign("m1", now, sound), sound),
        no,
        "the signature of another message"
    );
    assert_eq!(
        signed("m1", now - 4_000, &sign("m1", now - 4_000, sound), sound),
        no,
        "signed long ago"
    );
    assert_eq!(
        signed("m1", now + 4_000, &sign("m1", now + 4_000, sound), sound),
        no,
        "signed in the future"
    );
    let (status, answer) = signed("m1", now, &sign("m1", now, sound), sound);
    assert_eq!((status, &answer["accepted"]), (200, &json!(1)));
    let (status, answer) = signed("m1", now, &sign("m1", now, sound), sound);
    assert_eq!(
        (status, &answer["accepted"], &answer["duplicates"]),
        (200, &json!(0), &json!(1)),
        "replayed"
    );
    let rejected = |id: &str, key: &str, body: &[u8]| {
        let (status, answer, head) =
            push(&to(&service, id), &[("authorization", &bearer(key))], body);
        let code = answer["first_rejected"][0]["code"]
            .as_str()
            .or(answer["error"].as_str());
        (
            status,
            code.unwrap_or("").to_owned(),
            head.get("retry-after").cloned(),
        )
    };
    let code = |status: u16, code: &str| (status, code.to_owned(), None);
    assert_eq!(
        rejected(
            "billing",
            &key,
            br#"{"eventID":"2","eventSource":"evil.com","recipientAccountId":"111122223333"}"#
        ),
        code(422, "event_source_not_allowed")
    );
    assert_eq!(
        rejected(
            "billing",
            &key,
            br#"{"eventID":"3","eventSource":"a.billing.com","recipientAccountId":"999"}"#
        ),
        code(422, "account_not_allowed")
    );
    for malformed in [
        &b"{"[..],
        b"[1,2",
        b"\xff\xfe",
        b"{\"a\":}",
        b"nonsense",
        b"[[1]]",
        b"{\"eventID\":\"x\",\"eventID\":\"y\"",
    ] {
        assert_eq!(
            rejected("other", &other, malformed),
            code(422, "malformed"),
            "{malformed:?}"
        );
    }
    for empty in [&b""[..], b"  \n", b"[]"] {
        assert_eq!(rejected("other", &other, empty).0, 400, "{empty:?}");
    }
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2_000));
    assert_eq!(
        rejected("limited", &limited, long.as_bytes()),
        code(422, "malformed")
    );
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000));
    assert_eq!(
        rejected("limited", &limited, long.as_bytes()),
        code(413, "too_large")
    );
    let bomb = {
        use std::io::Write;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&vec![b' '; 1 << 20]).expect("packed");
        packed.finish().expect("packed")
    };
    assert_eq!(rejected("limited", &limited, &bomb), code(413, "too_large"));
    assert_eq!(rejected("limited", &limited, &bomb[..20]).0, 400);
    assert_eq!(
        rejected("paused", &paused, sound),
        (503, "paused".to_owned(), Some("60".to_owned()))
    );
    let many = (0..12)
        .map(|number| format!("{{\"eventID\":\"n{number}\"}}"))
        .collect::<Vec<_>>()
        .join("\n");
    assert_eq!(
        rejected("limited", &limited, many.as_bytes()).0,
        200,
        "a burst is taken, and paid for"
    );
    let (status, code, retry) = rejected("limited", &limited, b"{\"eventID\":\"late\"}");
    assert_eq!((status, code.as_str()), (429, "quota"));
    let seconds: u32 = retry.expect("when to come again").parse().expect("seconds");
    assert!((1..=3).contains(&seconds), "{seconds}");
    // Nothing of all that is in the log but what was said to be taken.
    let status = service.get("/v1/status");
    assert_eq!(
        status["partitions"][0]["last"].as_u64(),
        Some(13),
        "{status}"
    );
    let seen = service.get("/v1/channels/billing");
    for (why, count) in [("unknown_key", 2), ("no_proof", 1)] {
        assert_eq!(seen["seen"]["refused"][why], json!(count), "{seen}");
    }
    assert_eq!(
        seen["seen"]["rejected"],
        json!({"account_not_allowed": 1, "event_source_not_allowed": 1})
    );
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn no_sender_sets_what_the_engine_says_or_takes_the_id_of_another() {
    let folder = folder("channels-owned", "");
    let (key, other) = (channel(&folder, "one", ""), channel(&folder, "two", ""));
    let service = Service::start(&folder);
    let forged = br#"{"eventID":"e-0","eventName":"Stop","who":"x","ingest":{"channel":"two","verified":"root"},"metadata":{"channelARN":"arn"}}"#;
    let (_, first, _) = push(
        &to(&service, "one"),
        &[("authorization", &bearer(&key))],
        forged,
    );
    let (_, second, _) = push(
        &to(&service, "two"),
        &[("authorization", &bearer(&other))],
        forged,
    );
    assert_eq!(
        (&first["accepted"], &second["accepted"]),
        (&json!(1), &json!(1))
    );
    assert_ne!(first["event_ids"], second["event_ids"]);
    let (_, changed, _) = push(
        &to(&service, "one"),
        &[("authorization", &bearer(&key))],
        br#"{"eventID":"e-0","eventName":"Look"}"#,
    );
    assert_eq!(
        changed["first_rejected"][0]["code"], "id_reused",
        "{changed}"
    );
    service.wait_for(2);
    let id = first["event_ids"][0].as_str().expect("an id");
    let kept = service.get(&format!("/v1/events/{id}"));
    let kept = kept.get("event").unwrap_or(&kept);
    assert_eq!(kept["ingest"]["channel"], "one", "{kept}");
    assert_eq!(kept["ingest"]["verified"], "key");
    assert_eq!(kept["ingest"]["id"], "e-0");
    // Whoever gives a key for a body cannot give it for another one.
    let with = |name: &str, body: &[u8]| {
        let headers = [
            ("authorization", bearer(&key)),
            ("idempotency-key", name.to_owned()),
        ];
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let (status, answer, _) = push(&to(&service, "one"), &headers, body);
        (
            status,
            answer["accepted"].as_u64(),
            answer["duplicates"].as_u64(),
        )
    };
    assert_eq!(with("k1", b"{\"a\":1}\n{\"a\":1}"), (200, Some(2), Some(0)));
    assert_eq!(with("k1", b"{\"a\":1}\n{\"a\":1}"), (200, Some(0), Some(2)));
    assert_eq!(with("k1", b"{\"a\":2}").0, 422);
    assert_eq!(with("k2", b"{\"a\":1}"), (200, Some(1), Some(0)));
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn channels_come_change_and_go_while_the_service_runs() {
    let folder = folder("channels-live", "");
    let service = Service::start(&folder);
    let data = format!("{}/data", folder.path());
    let key = channel(&folder, "later", "");
    let status = |key: &str| {
        push(
            &to(&service, "later"),
            &[("authorization", &bearer(key))],
            b"{\"a\":1}",
        )
        .0
    };
    service.wait_until("the channel is open", || status(&key) == 200);
    let ran = run(&[
        "channels", "rotate", "later", "--sender", "default", "--data", &data,
    ]);
    let new = ran
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("  key: "))
        .expect("a key")
        .to_owned();
    service.wait_until("the new key counts", || status(&new) == 200);
    assert_eq!(status(&key), 200, "the old one still counts");
    assert_eq!(
        run(&[
            "channels", "rotate", "later", "--sender", "default", "--finish", "--data", &data
        ])
        .code,
        0
    );
    service.wait_until("the old key no longer counts", || status(&key) == 401);
    assert_eq!(status(&new), 200);
    assert_eq!(
        run(&["channels", "pause", "later", "--data", &data]).code,
        0
    );
    service.wait_until("it is paused", || status(&new) == 503);
    assert_eq!(
        run(&["channels", "resume", "later", "--data", &data]).code,
        0
    );
    service.wait_until("it goes on", || status(&new) == 200);
    let sound = std::fs::read_to_string(format!("{data}/channels/later.toml")).expect("a file");
    folder.file("data/channels/later.toml", "sorce = 1\n");
    service.wait_until("the broken file is told", || {
        service.get("/v1/channels")["broken"][0]["channel"] == "later"
    });
    assert_eq!(status(&new), 200, "the channel stays as it was");
    let listed = run(&["channels", "list", "--data", &data]);
    assert_eq!(listed.code, 1);
    assert!(
        listed.stderr.contains("later.toml") && listed.stderr.contains("sorce"),
        "{}",
        listed.stderr
    );
    folder.file("data/channels/later.toml", &sound);
    service.wait_until("nothing is broken", || {
        service.get("/v1/channels")["broken"] == json!([])
    });
    let tested = run(&["channels", "test", "later", "--url", &service.url()]);
    assert!(
        tested.stdout.contains("taken, durable: fsync"),
        "{}{}",
        tested.stdout,
        tested.stderr
    );
    let shown = run(&["channels", "status", "later", "--url", &service.url()]);
    assert!(shown.stdout.contains("unknown_key: "), "{}", shown.stdout);
    let page = run(&[
        "channels",
        "page",
        "later",
        "--data",
        &data,
        "--url",
        "https://events.example.com",
    ]);
    assert!(
        page.stdout
            .contains("https://events.example.com/v1/channels/later/events"),
        "{}",
        page.stdout
    );
    std::fs::remove_file(format!("{data}/channels/later.toml")).expect("removed");
    service.wait_until("it is closed", || status(&new) == 401);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn events_take_the_form_of_the_channel_and_misfits_are_set_aside_until_it_is_mended() {
    let folder = folder("channels-shape", "");
    let hooks = secrets(&folder, "github", &["--auth", "github"]);
    append(
        &folder,
        "github",
        "[schema]\npreset = \"github-webhook\"\nredact = [\"*.email\"]\n",
    );
    let key = channel(
        &folder,
        "app",
        "[schema]\ninvalid = \"dead-letter\"\nredact = [\"password\"]\nkeep_sent = true\n[schema.map]\neventName = 'event.did'\n",
    );
    append(&folder, "app", "id_field = \"n\"\n");
    let service = Service::start(&folder);
    let body = br#"{"action":"Stop","sender":{"login":"octocat","email":"o@example.com"}}"#;
    let mut mac = Hmac::<Sha256>::new_from_slice(hooks["secret"].as_bytes()).expect("a key");
    mac.update(body);
    let hex: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let signature = format!("sha256={hex}");
    let headers = [
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-event", "member"),
    ];
    let (status, answer, _) = push(&to(&service, "github"), &headers, body);
    assert_eq!(status, 200, "{answer}");
    let lines = "{\"n\":1,\"did\":\"Stop\",\"password\":\"hunter2\"}\n{\"n\":2,\"password\":\"hunter2\"}\n{\"n\":3,\"did\":\"Stop\"}";
    let (status, answer, _) = push(
        &to(&service, "app"),
        &[("authorization", &bearer(&key))],
        lines.as_bytes(),
    );
    assert_eq!(
        (status, &answer["accepted"], &answer["set_aside"]),
        (200, &json!(2), &json!(1)),
        "{answer}"
    );
    let aside = answer["event_ids"][1].as_str().expect("an id").to_owned();
    service.wait_evaluated();
    let letters = service.get("/v1/dead-letters");
    let letter = &letters["dead_letters"][0];
    assert_eq!(
        (&letter["reason"]["kind"], &letter["reason"]["channel"]),
        (&json!("channel"), &json!("app")),
        "{letters}"
    );
    let number = letter["number"].as_u64().expect("a number");
    let whole = service.text(&format!("/v1/dead-letters/{number}"));
    assert!(
        !whole.contains("hunter2") && whole.contains("[redacted]"),
        "{whole}"
    );
    let (status, again) = service.post(&format!("/v1/dead-letters/{number}/retry"), "");
    assert_eq!(status, 409, "nothing was mended: {again}");
    let path = format!("{}/data/channels/app.toml", folder.path());
    let mended = std::fs::read_to_string(&path)
        .expect("a file")
        .replace("'event.did'", "'event.?did.orValue(\"Stop\")'");
    folder.file("data/channels/app.toml", mended);
    service.wait_until("it is mended", || {
        service
            .post(&format!("/v1/dead-letters/{number}/retry"), "")
            .0
            == 200
    });
    service.wait_evaluated();
    assert_eq!(service.get("/v1/dead-letters")["dead_letters"], json!([]));
    let kept = service.get(&format!("/v1/events/{aside}"));
    let kept = kept.get("event").unwrap_or(&kept);
    assert_eq!(
        (
            &kept["eventName"],
            &kept["password"],
            &kept["ingest"]["channel"]
        ),
        (&json!("Stop"), &json!("[redacted]"), &json!("app"))
    );
    let sent = &kept["ingest"]["sent"];
    assert_eq!(sent, r#"{"n":2,"password":"[redacted]"}"#, "{kept}");
    // Sent again it is what it was, and no second event.
    let (_, answer, _) = push(
        &to(&service, "app"),
        &[("authorization", &bearer(&key))],
        lines.as_bytes(),
    );
    assert_eq!(answer["duplicates"], 3, "{answer}");
    let found = service.get("/v1/findings?rule=stopped&limit=100");
    assert_eq!(
        found["findings"].as_array().map(Vec::len),
        Some(3),
        "{found}"
    );
    assert_eq!(service.terminate(), Some(0));
}

/// The rule about channels from which nothing comes any more.
const SILENT: &str =
    include_str!("../../../../../rules/tripline/tripline-channel-silent/rule.toml");

#[test]
fn a_channel_that_falls_silent_is_found() {
    let folder = folder("channels-silent", "");
    folder.file("rules/silent.toml", SILENT);
    let key = channel(&folder, "quiet", "silent_after = \"2s\"\n");
    let service = Service::start(&folder);
    let found = |count: usize| {
        let found = service.get("/v1/findings?rule=tripline-channel-silent&limit=10");
        found["findings"].as_array().map(Vec::len) == Some(count)
    };
    service.wait_until("silence is found", || found(1));
    assert!(
        service
            .text("/metrics")
            .contains("tripline_channel_silent{channel=\"quiet\"} 1")
    );
    let (status, _, _) = push(
        &to(&service, "quiet"),
        &[("authorization", &bearer(&key))],
        b"{\"a\":1}",
    );
    assert_eq!(status, 200);
    service.wait_until("it goes on", || {
        service
            .text("/metrics")
            .contains("tripline_channel_silent{channel=\"quiet\"} 0")
    });
    service.wait_until("it is found again when it falls silent again", || found(2));
    assert!(service.text("/metrics").contains(
        "tripline_channel_events_total{channel=\"quiet\",outcome=\"accepted\",reason=\"\"} 1"
    ));
    assert_eq!(service.terminate(), Some(0));
}

/// Processes that share the work: what comes in through any of them counts, one of them tells, and when it is killed another one goes on.
#[test]
fn silence_is_found_once_whoever_takes_the_events() {
    let place = Place::new("channels-silent-shared");
    let server = NatsServer::start(place.path(), "");
    let folders = ["channels-silent-one", "channels-silent-two"].map(|name| member(name, &server));
    folders[0].file("rules/silent.toml", SILENT);
    folders[1].file("rules/silent.toml", SILENT);
    let key = channel(&folders[0], "quiet", "silent_after = \"8s\"\n");
    let file = format!("{}/data/channels/quiet.toml", folders[0].path());
    let text = std::fs::read_to_string(file).expect("a file");
    folders[1].file("data/channels/quiet.toml", text);
    let services = folders.each_ref().map(Service::start);
    let found = |service: &Service| {
        let found = service.get("/v1/findings?rule=tripline-channel-silent&limit=10");
        found["findings"].as_array().map_or(0, Vec::len)
    };
    let send = |service: &Service, number: u64| {
        let (status, answer, _) = push(
            &to(service, "quiet"),
            &[("authorization", &bearer(&key))],
            event(number, "Look", number).as_bytes(),
        );
        assert_eq!(status, 200, "{answer}");
    };
    let says = |service: &Service, is_silent: u8| {
        let line = format!("tripline_channel_silent{{channel=\"quiet\"}} {is_silent}");
        service.text("/metrics").contains(&line)
    };
    // As long as one of them takes something, nobody is silent for the other.
    for number in 0..12 {
        send(&services[(number / 6) as usize], number);
        thread::sleep(Duration::from_secs(2));
    }
    assert_eq!(services.each_ref().map(found), [0, 0]);
    services[0].wait_until("silence is found", || found(&services[0]) == 1);
    for service in &services {
        service.wait_until("all know of it", || says(service, 1) && found(service) == 1);
    }
    // The one whose name comes first tells; who it is is seen by its lines only, so both are tried.
    let [one, two] = services;
    one.kill();
    send(&two, 100);
    two.wait_until("it goes on", || says(&two, 0));
    two.wait_until("the one that is left finds it", || found(&two) == 2);
    let again = Service::start(&folders[0]);
    again.wait_until("who comes back knows", || says(&again, 1));
    two.kill();
    send(&again, 101);
    again.wait_until("it goes on", || says(&again, 0));
    again.wait_until("the one that came back finds it", || found(&again) == 3);
    assert_eq!(again.terminate(), Some(0));
}

#[test]
fn what_nobody_signed_says_nothing() {
    let folder = folder("channels-unsigned", "");
    let hooks = secrets(&folder, "github", &["--auth", "github"]);
    let key = channel(
        &folder,
        "app",
        "[allow]\nevent_sources = [\"app\"]\n[schema.map]\neventSource = '\"app\"'\n",
    );
    let service = Service::start(&folder);
    let body = br#"{"action":"x"}"#;
    let mut mac = Hmac::<Sha256>::new_from_slice(hooks["secret"].as_bytes()).expect("a key");
    mac.update(body);
    let hex: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let signature = format!("sha256={hex}");
    let sign = ("x-hub-signature-256", signature.as_str());
    let (status, answer, _) = push(&to(&service, "github"), &[sign], body);
    assert_eq!((status, &answer["accepted"]), (200, &json!(1)));
    // A captured request, dressed up as others.
    for more in [
        vec![("idempotency-key", "1")],
        vec![
            ("ce-specversion", "1.0"),
            ("ce-id", "99"),
            ("ce-source", "iam.amazonaws.com"),
            ("ce-type", "Forged"),
        ],
    ] {
        let headers: Vec<(&str, &str)> = [sign].into_iter().chain(more).collect();
        let (status, answer, _) = push(&to(&service, "github"), &headers, body);
        assert_eq!(
            (status, &answer["accepted"], &answer["duplicates"]),
            (200, &json!(0), &json!(1)),
            "{headers:?}"
        );
    }
    // How a channel does is told to whoever proves who it is, and claiming to is no proof.
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent();
    for (name, value) in [
        ("x-hub-signature-256", "sha256=00"),
        ("authorization", "AWS4-HMAC-SHA256 x"),
    ] {
        let asked = agent.get(format!("{}/v1/channels/github/status", service.url()));
        let answer = asked.header(name, value).call().expect("it answers");
        assert_eq!(answer.status().as_u16(), 401, "{name}");
    }
    // What a mapping makes goes before what an envelope says, and what is allowed is asked of the result.
    let event = [
        ("authorization", &*bearer(&key)),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "iam.amazonaws.com"),
        ("ce-type", "Stop"),
        ("content-type", "application/json"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let event: Vec<(&str, &str)> = event
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let (status, answer, _) = push(&to(&service, "app"), &event, b"{}");
    assert_eq!(status, 200, "{answer}");
    service.wait_evaluated();
    let id = answer["event_ids"][0].as_str().expect("an id");
    let kept = service.get(&format!("/v1/events/{id}"));
    let kept = kept.get("event").unwrap_or(&kept);
    assert_eq!(kept["eventSource"], "app", "{kept}");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_small_body_cannot_become_many_events() {
    let folder = folder("channels-many", "");
    let key = channel(
        &folder,
        "okta",
        "[limits]\nevents_max = 1000\n[schema]\npreset = \"okta-event-hook\"\n",
    );
    let service = Service::start(&folder);
    let list = format!(
        "{{\"data\":{{\"events\":[{}]}}}}\n",
        vec!["{}"; 80_000].join(",")
    );
    for text in [
        list.repeat(2),
        "1\n".repeat(2_000_000),
        format!("{{\"Records\":[{}]}}", vec!["{}"; 80_000].join(",")),
    ] {
        let packed = {
            use std::io::Write;
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            packed.write_all(text.as_bytes()).expect("packed");
            packed.finish().expect("packed")
        };
        let (status, answer, _) = push(
            &to(&service, "okta"),
            &[("authorization", &bearer(&key))],
            &packed,
        );
        assert_eq!((status, &answer["error"]), (413, &json!("too_large")));
    }
    // The log may have ticks of the clock.
    service.wait_evaluated();
    assert_eq!(service.get("/v1/status")["tally"]["events"], json!(0));
    assert_eq!(service.terminate(), Some(0));
}

/// A folder of Python with the clients that are tried, and its programs.
pub(crate) fn clients() -> PathBuf {
    let wanted = [
        "boto3==1.44.8",
        "awscli==1.46.3",
        "cloudevents==2.2.0",
        "standardwebhooks==1.1.0",
    ];
    python_with("clients", &wanted)
}

#[test]
fn unchanged_clients_push_and_everything_arrives_once() {
    let folder = folder("channels-clients", "");
    let limits = "[limits]\nbody_max_kib = 4096\nrequests_at_once = 64\n";
    let account = ["--auth", "sigv4", "--account", "111122223333"];
    let (boto3, cli) = (
        secrets(&folder, "boto3", &account),
        secrets(&folder, "awscli", &account),
    );
    let hooks = secrets(&folder, "hooks", &["--auth", "standard-webhooks"]);
    let (cloud, curl) = (
        channel(&folder, "cloud", limits),
        channel(&folder, "curl", limits),
    );
    let service = Service::start(&folder);
    let bin = clients();
    let script = format!("{}/tests/it/clients/push.py", env!("CARGO_MANIFEST_DIR"));
    let (url, count) = (service.url(), "10000");
    let python = |arguments: &[&str]| {
        let output = Command::new(bin.join("python"))
            .arg(&script)
            .args(arguments)
            .output();
        let ran: Ran = output.expect("python runs").into();
        assert_eq!(
            (ran.code, ran.stdout.trim()),
            (0, count),
            "{arguments:?}: {}",
            ran.stderr
        );
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let (id, secret) = (&boto3["access key id"], &boto3["secret access key"]);
            python(&["boto3", &url, "boto3", count, id, secret]);
        });
        scope.spawn(|| {
            let (id, secret) = (&cli["access key id"], &cli["secret access key"]);
            python(&["awscli", &url, "awscli", count, id, secret]);
        });
        scope.spawn(|| python(&["cloudevents", &url, "cloud", count, &cloud]));
        scope.spawn(|| python(&["standardwebhooks", &url, "hooks", count, &hooks["secret"]]));
    });
    let lines: Vec<String> = (0..10_000)
        .map(|number| event(number, "Look", number))
        .collect();
    let file = folder.file("lines.jsonl", lines.join("\n"));
    let output = Command::new("curl")
        .args([
            "-sS",
            "--fail-with-body",
            "-H",
            &format!("Authorization: {}", bearer(&curl)),
        ])
        .args(["--data-binary", &format!("@{file}"), &to(&service, "curl")])
        .output();
    let ran: Ran = output.expect("curl runs").into();
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    // The program itself, once: each start of it takes most of a second.
    let entries: Vec<Value> = (0..100)
        .map(|number| {
            let data = json!({
                "version": "1.0", "userIdentity": {"type": "User", "principalId": "p"}, "eventSource": "cli.example.com", "eventName": "Look",
                "eventTime": "2026-01-02T03:04:05Z", "UID": format!("{number}"), "recipientAccountId": "111122223333",
            });
            json!({"id": format!("cli-{number}"), "eventData": data.to_string()})
        })
        .collect();
    let file = folder.file("entries.json", Value::from(entries).to_string());
    let output = Command::new(bin.join("aws"))
        .args([
            "cloudtrail-data",
            "put-audit-events",
            "--endpoint-url",
            &url,
        ])
        .args([
            "--channel-arn",
            "arn:aws:cloudtrail:eu-central-1:111122223333:channel/awscli",
        ])
        .args([
            "--audit-events",
            &format!("file://{file}"),
            "--region",
            "eu-central-1",
        ])
        .env("AWS_ACCESS_KEY_ID", &cli["access key id"])
        .env("AWS_SECRET_ACCESS_KEY", &cli["secret access key"])
        .output();
    let ran: Ran = output.expect("aws runs").into();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        answer["successful"].as_array().map(Vec::len),
        Some(100),
        "{answer}"
    );
    service.wait_for(5 * 10_000 + 100);
    for (id, count) in [
        ("boto3", 10_000),
        ("awscli", 10_100),
        ("cloud", 10_000),
        ("hooks", 10_000),
        ("curl", 10_000),
    ] {
        assert_eq!(
            service.get(&format!("/v1/channels/{id}"))["seen"]["accepted"],
            json!(count),
            "{id}"
        );
    }
    // 100 of each of the four that have events of push.py are named "Stop", and found.
    let found = settled(&service);
    let stopped = found
        .values()
        .filter(|(_, what)| what.contains("stopped"))
        .count();
    assert_eq!(stopped, 400);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn the_published_description_holds() {
    let folder = folder("channels-described", "");
    let key = channel(&folder, "described", "");
    let service = Service::start(&folder);
    let program = python_with("schemathesis", &["schemathesis==4.32.5"]).join("st");
    // It cannot guess which channels there are.
    let mut described = service.get("/openapi.json");
    for path in described["paths"]
        .as_object_mut()
        .expect("paths")
        .values_mut()
    {
        for operation in path.as_object_mut().expect("operations").values_mut() {
            let parameters = operation
                .get_mut("parameters")
                .and_then(Value::as_array_mut);
            let Some(parameters) = parameters else {
                continue;
            };
            // It would give one key to many bodies.
            parameters.retain(|one| one["name"] != "Idempotency-Key");
            for parameter in parameters {
                if parameter["name"] == "id" {
                    parameter["schema"] = json!({ "type": "string", "enum": ["described"] });
                }
            }
        }
    }
    let file = folder.file("openapi.json", described.to_string());
    let output = Command::new(program)
        .args([
            "run",
            &file,
            "--url",
            &service.url(),
            "--no-color",
            "--seed",
            "1",
        ])
        // More is taken than is described, AWS says 403 where others say 401, and an id that is used for something else is
        // refused, which no description can say.
        .args([
            "--exclude-checks",
            "negative_data_rejection,missing_required_header,positive_data_acceptance",
        ])
        .args([
            "--max-examples",
            "30",
            "-H",
            &format!("Authorization: {}", bearer(&key)),
        ])
        .current_dir(folder.path())
        .output();
    let ran: Ran = output.expect("it runs").into();
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("Tested: 8"), "{}", ran.stdout);
    assert_eq!(service.terminate(), Some(0));
}

/// How often the process is killed.
const ROUNDS: usize = 100;

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_nothing_is_twice() {
    let folder = folder("channels-killed", "");
    let key = channel(&folder, "killed", "[limits]\nrequests_at_once = 64\n");
    let all = events(6_000);
    let first = Service::start(&folder);
    let url = std::sync::Mutex::new(first.url());
    let (acknowledged, kills) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let service = thread::scope(|scope| {
        let mut service = first;
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                let (all, url, key) = (&all, &url, &key);
                let (acknowledged, kills) = (&acknowledged, &kills);
                scope.spawn(move || {
                    let own: Vec<&String> = all.iter().skip(sender).step_by(8).collect();
                    let chunks = own.chunks(3);
                    let last = chunks.len() - 1;
                    for (number, chunk) in chunks.enumerate() {
                        // So that something is left to be sent whenever the process is killed.
                        while kills.load(Ordering::Relaxed) < number * ROUNDS / last {
                            thread::sleep(Duration::from_millis(2));
                        }
                        let body: Vec<&str> = chunk.iter().map(|one| one.as_str()).collect();
                        // Until it is acknowledged, as a sender must.
                        while !is_taken(
                            &url.lock().expect("never poisoned").clone(),
                            key,
                            &body.join("\n"),
                        ) {
                            thread::sleep(Duration::from_millis(10));
                        }
                        acknowledged.fetch_add(chunk.len(), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for round in 0..ROUNDS {
            if round % 5 == 4 {
                wait_for_commit(|| position(&service));
            }
            thread::sleep(Duration::from_millis(5 + (round * 37 % 60) as u64));
            assert!(
                !senders.iter().all(thread::ScopedJoinHandle::is_finished),
                "all was sent before kill {round}"
            );
            service.kill();
            service = Service::start(&folder);
            *url.lock().expect("never poisoned") = service.url();
            kills.store(round + 1, Ordering::Relaxed);
        }
        service
    });
    assert_eq!(acknowledged.into_inner(), all.len());
    service.wait_evaluated();
    let found = settled(&service);
    let stopped: Vec<&String> = found
        .iter()
        .filter(|(_, (_, what))| what.contains("stopped"))
        .map(|(id, _)| id)
        .collect();
    let dead = service.get("/v1/dead-letters");
    let count = dead["dead_letters"].as_array().map(Vec::len);
    assert_eq!(count, Some(0), "{dead}");
    assert_eq!(stopped.len(), all.len() / 3);
    assert_eq!(service.terminate(), Some(0));
}

/// Whether a body was taken, now or before.
fn is_taken(url: &str, key: &str, body: &str) -> bool {
    let config = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    let request = config
        .new_agent()
        .post(format!("{url}/v1/channels/killed/events"));
    let sent = request
        .header("authorization", bearer(key))
        .send(body.as_bytes());
    match sent {
        Ok(answer) => answer.status().as_u16() == 200,
        Err(_) => false,
    }
}

#[test]
fn a_command_that_cannot_be_done_says_why() {
    let folder = folder("channels-words", "");
    let data = format!("{}/data", folder.path());
    let ran = run(&["channels", "new", "A", "--source", "x", "--data", &data]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("3 to 64 lower-case letters"),
        "{}",
        ran.stderr
    );
    let ran = run(&["channels", "pause", "nothing", "--data", &data]);
    assert!(
        ran.stderr.contains("there is no channel \"nothing\""),
        "{}",
        ran.stderr
    );
    let output = tripline(&["channels", "test", "nothing", "--url", "http://127.0.0.1:1"]).output();
    let ran: Ran = output.expect("it runs").into();
    assert!(ran.stderr.contains("no service answers"), "{}", ran.stderr);
}
