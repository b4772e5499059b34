//! Files that channels take themselves: each once, whatever happens, and none left out for the sake of another.

use super::channels::{append, bearer, channel, push};
use super::doors::{client, clients};
use super::nats::{connect, member, stream_settings};
use super::service::Service;
use super::{Folder, event, folder, run, tripline};
use crate::launcher::{NatsServer, Place};
use serde_json::{Value, json};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use tripline_bus::nats::{NatsBus, NatsConnection};
use tripline_core::port::{Bus, Delivered, Partition, ReadMax, RecordKind, Sequence};

/// A channel that takes files.
fn made(folder: &Folder, id: &str, pull: &str) {
    let name = format!("data/channels/{id}.toml");
    folder.file(
        &name,
        format!("source = \"aws\"\nids = \"own\"\n[pull]\nevery = \"1s\"\n{pull}"),
    );
}

/// Delivery file of so many events from a number on.
fn delivery(from: u64, count: u64) -> String {
    let all: Vec<String> = (from..from + count)
        .map(|number| event(number, "Look", number))
        .collect();
    format!("{{\"Records\":[{}]}}", all.join(","))
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).expect("packed");
    packed.finish().expect("packed")
}

fn about(service: &Service, id: &str) -> Value {
    service.get(&format!("/v1/channels/{id}"))
}

/// Records in the log: no rule remembers these events, so nothing else is there.
fn records(service: &Service) -> Option<u64> {
    service.get("/v1/status")["partitions"][0]["last"].as_u64()
}

#[test]
fn files_of_a_folder_are_taken_once() {
    let files = Folder::new("pulled-folder-files");
    let folder = folder("pulled-folder", "");
    files.file("2026/01/a.json.gz", packed(&delivery(0, 10)));
    files.file("2026/01/b.json", delivery(10, 10));
    let zstd = zstd::stream::encode_all(delivery(20, 10).as_bytes(), 1).expect("packed");
    files.file("2026/02/c.jsonl.zst", zstd);
    // The first of it comes in another file too.
    let lines = [
        event(9, "Look", 9),
        event(30, "Look", 30),
        event(99, "Stop", 1),
    ];
    files.file("d.jsonl", lines.join("\n"));
    files.file("broken.json.gz", &packed(&delivery(0, 100))[..50]);
    files.file("nothing.json", "this is no event");
    files.file("long.json.gz", packed(&"x".repeat(3 << 20)));
    files.file("CloudTrail-Digest/e.json", delivery(500, 5));
    files.file("f.txt", delivery(600, 5));
    let elsewhere = Folder::new("pulled-folder-elsewhere");
    let secret = elsewhere.file("secret.json", delivery(700, 5));
    symlink(&secret, format!("{}/link.json", files.path())).expect("a link");
    symlink(elsewhere.path(), format!("{}/links", files.path())).expect("a link");
    let pull = format!(
        "type = \"folder\"\npath = \"{}\"\ninflated_max_mib = 2\n",
        files.path()
    );
    made(&folder, "files", &pull);
    made(
        &folder,
        "missing",
        "type = \"folder\"\npath = \"not-there\"\n",
    );
    let service = Service::start(&folder);
    let is_done = |service: &Service, known: u64| {
        service.wait_until("a round over all files is over", || {
            about(service, "files")["pulled"]["files_known"] == json!(known)
        });
    };
    is_done(&service, 7);
    let seen = about(&service, "files");
    assert_eq!(seen["pulled"]["files_taken"], json!(4), "{seen}");
    assert_eq!(seen["pulled"]["files_broken"], json!(3), "{seen}");
    assert_eq!(seen["seen"]["refused"], json!({"file_broken": 3}));
    assert_eq!(
        (&seen["seen"]["accepted"], &seen["seen"]["duplicates"]),
        (&json!(32), &json!(1)),
        "{seen}"
    );
    service.wait_until("the folder that is not there is told", || {
        let words = about(&service, "missing")["pulled"]["last_error"]["message"].clone();
        words
            .as_str()
            .is_some_and(|words| words.contains("not-there"))
    });
    service.wait_evaluated();
    let kept = service.get("/v1/events/e-99");
    let ingest = &kept.get("event").unwrap_or(&kept)["ingest"];
    assert_eq!(
        (&ingest["verified"], &ingest["subject"]),
        (&json!("folder"), &json!("d.jsonl")),
        "{kept}"
    );
    // Nothing again after a restart but what is new or was changed, of which only the new events are.
    assert_eq!(service.terminate(), Some(0));
    files.file("2026/01/b.json", delivery(16, 20));
    files.file("g.json", delivery(40, 10));
    let service = Service::start(&folder);
    // The changed one is another one.
    is_done(&service, 9);
    let seen = about(&service, "files");
    assert_eq!(
        (&seen["seen"]["accepted"], &seen["pulled"]["files_broken"]),
        (&json!(15), &json!(0)),
        "{seen}"
    );
    assert_eq!(service.terminate(), Some(0));
}

/// A record of Okta's System Log.
fn of_okta(number: u32) -> String {
    format!(
        "{{\"uuid\":\"00000000-0000-4000-8000-{number:012}\",\"published\":\"2026-01-06T10:00:00.000Z\",\"eventType\":\"user.session.start\",\
         \"severity\":\"INFO\",\"actor\":{{\"id\":\"u1\",\"type\":\"User\",\"alternateId\":\"a@example.com\"}},\
         \"outcome\":{{\"result\":\"SUCCESS\"}}}}"
    )
}

/// A decoder makes events of files under any name, and of bodies; what it passes over is told, and nothing is taken while it is not there.
#[test]
fn what_a_decoder_makes_is_taken_once() {
    let files = Folder::new("pulled-decoder-files");
    let place = Folder::new("pulled-decoder-plugins");
    let folder = folder("pulled-decoder", "");
    let declared = "[trust]\nunsigned = \"allow\"\n";
    place.file("plugins.toml", declared);
    let log = format!("[{},{},{{\"no\":1}}]", of_okta(1), of_okta(2));
    files.file("system.log", &log);
    files.file(
        "b.gz",
        packed(&(3..200).map(of_okta).collect::<Vec<_>>().join("\n")),
    );
    files.file("c.json", "no record of Okta");
    let key = channel(&folder, "okta", "decoder = \"okta\"\n");
    let pull = format!(
        "[pull]\ntype = \"folder\"\npath = \"{}\"\nevery = \"1s\"\n",
        files.path()
    );
    append(&folder, "okta", &pull);
    let config = format!("{}/tripline.toml", folder.path());
    let mut command = tripline(&["serve", "--config", &config]);
    command.env(
        "TRIPLINE__RULES__PLUGINS",
        format!("{}/plugins.toml", place.path()),
    );
    let service = Service::start_by(command);
    let send = |service: &Service, body: &str| {
        let url = format!("{}/v1/channels/okta/events", service.url());
        push(&url, &[("authorization", &bearer(&key))], body.as_bytes())
    };
    // The plugin is not there yet.
    service.wait_until("its absence is told", || {
        let told = about(&service, "okta")["pulled"]["last_error"]["message"].clone();
        told.as_str()
            .is_some_and(|words| words.contains("there is no plugin `okta`"))
    });
    let (status, answer, head) = send(&service, &log);
    assert_eq!(
        (status, &answer["error"], head.contains_key("retry-after")),
        (503, &json!("busy"), true)
    );
    let okta = format!("{}/../../plugins/okta", env!("CARGO_MANIFEST_DIR"));
    let component = format!("{}/okta.wasm", place.path());
    let ran = run(&["plugin", "build", &okta, "--output", &component]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let granted = "[plugins.okta]\npath = \"okta.wasm\"\n[plugins.okta.grant]\nmetrics = true\n";
    place.file("plugins.toml", format!("{declared}{granted}"));
    service.wait_until(
        "all files are taken, and the one that holds nothing is told",
        || {
            let pulled = about(&service, "okta")["pulled"].clone();
            (&pulled["files_taken"], &pulled["files_broken"]) == (&json!(2), &json!(1))
        },
    );
    let seen = about(&service, "okta");
    assert_eq!(seen["seen"]["accepted"], json!(199), "{seen}");
    assert_eq!(
        seen["seen"]["rejected"],
        json!({"undecodable": 2}),
        "{seen}"
    );
    // What came in a file is not taken again from a body.
    let found = of_okta(200).replace("user.session.start", "Stop");
    let (status, answer, _) = send(&service, &format!("[{},{},7]", of_okta(199), found));
    assert_eq!(
        (
            status,
            &answer["accepted"],
            &answer["duplicates"],
            &answer["rejected"]
        ),
        (200, &json!(1), &json!(1), &json!(1)),
        "{answer}"
    );
    let why = &answer["first_rejected"][0];
    assert_eq!(
        (&why["index"], &why["code"]),
        (&json!(2), &json!("undecodable"))
    );
    service.wait_evaluated();
    let id = answer["event_ids"][1].as_str().expect("an id");
    let kept = service.get(&format!("/v1/events/{id}"));
    let kept = kept.get("event").unwrap_or(&kept);
    assert_eq!(
        (
            &kept["eventName"],
            &kept["userIdentity"]["type"],
            &kept["ingest"]["verified"]
        ),
        (&json!("Stop"), &json!("OktaUser"), &json!("key")),
        "{kept}"
    );
    assert_eq!(service.terminate(), Some(0));
}

/// Files, and how often the process is killed while it takes them.
const FILES: u64 = 300;
const KILLS: u64 = 12;

#[test]
fn a_kill_makes_no_file_be_taken_twice_or_left_out() {
    let files = Folder::new("pulled-killed-files");
    let folder = folder("pulled-killed", "");
    for number in 0..FILES {
        let name = format!("{number:05}.json.gz");
        files.file(&name, packed(&delivery(10 * number, 10)));
    }
    thread::sleep(Duration::from_secs(2));
    let pull = format!("type = \"folder\"\npath = \"{}\"\n", files.path());
    made(&folder, "files", &pull);
    for kill in 0..KILLS {
        let service = Service::start(&folder);
        thread::sleep(Duration::from_millis(20 + kill * 31 % 100));
        service.kill();
    }
    let service = Service::start(&folder);
    service.wait_until("all are taken", || {
        about(&service, "files")["pulled"]["files_known"] == json!(FILES)
    });
    assert_eq!(records(&service), Some(10 * FILES));
    service.wait_evaluated();
    assert_eq!(service.terminate(), Some(0));
}

/// Events in the logs of members; each is there once.
fn events_on(server: &NatsServer) -> usize {
    let connection = NatsConnection::open(&connect(server)).expect("connects");
    let mut ids = Vec::new();
    for number in 0..4 {
        let mut settings = stream_settings("tripline");
        settings.partition = Partition(number);
        settings.stream.bytes_max = 512 << 20;
        settings.stream.age_max = Some(Duration::from_secs(7 * 86_400));
        settings.stream.event_bytes_max = 960 << 10;
        let (bus, _) = NatsBus::open(&connection, &settings).expect("opens");
        let last = bus.span().expect("a span").last;
        let mut after = Sequence(0);
        while after < last {
            let mut delivered = Delivered::default();
            let most = ReadMax {
                records: 10_000,
                bytes: 16 << 20,
            };
            bus.read(after, most, &mut delivered).expect("reads");
            for record in &delivered.records {
                after = record.sequence;
                if record.kind == RecordKind::Event {
                    let event: Value =
                        serde_json::from_slice(delivered.payload(record)).expect("JSON");
                    ids.push(event["eventID"].as_str().expect("an id").to_owned());
                }
            }
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an event is there twice");
    count
}

#[test]
fn whoever_goes_on_takes_no_file_again() {
    let place = Place::new("pulled-shared");
    let server = NatsServer::start(place.path(), "");
    let files = Folder::new("pulled-shared-files");
    for number in 0..FILES {
        let name = format!("{number:05}.json.gz");
        files.file(&name, packed(&delivery(10 * number, 10)));
    }
    thread::sleep(Duration::from_secs(2));
    let pull = format!("type = \"folder\"\npath = \"{}\"\n", files.path());
    let folders = ["pulled-member-one", "pulled-member-two"].map(|name| member(name, &server));
    for folder in &folders {
        made(folder, "files", &pull);
    }
    let services = folders.each_ref().map(Service::start);
    // They agree on who takes files before one of them does.
    let known = |service: &Service| about(service, "files")["pulled"].clone();
    let taken = |service: &Service| known(service)["files_taken"].as_u64().unwrap_or(0);
    let sent = || services.iter().position(|service| taken(service) >= 20);
    services[0].wait_until("some are taken by one of both", || sent().is_some());
    let sender = sent().expect("one of both");
    let [one, two] = services;
    let (sender, other) = match sender {
        0 => (one, two),
        _ => (two, one),
    };
    assert_eq!(taken(&other), 0, "one of both takes files");
    sender.kill();
    other.wait_until("all are taken", || {
        known(&other)["files_known"] == json!(FILES)
    });
    assert_eq!(events_on(&server), 10 * FILES as usize);
    assert!(taken(&other) < FILES, "what the other said is heard");
    files.file("new.json", delivery(10 * FILES, 10));
    other.wait_until("a new one is taken", || {
        known(&other)["files_known"] == json!(FILES + 1)
    });
    assert_eq!(events_on(&server), 10 * FILES as usize + 10);
    assert_eq!(other.terminate(), Some(0));
}

/// A server that speaks as S3 does, until it is dropped.
struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let child = Command::new(clients().join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let server = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("moto does not listen");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_of_a_bucket_are_taken_once() {
    let folder = folder("pulled-bucket", "");
    let server = Moto::start();
    // More than are in one list.
    client(&["s3", &server.url, "1050", "trails", "one"], "1050");
    folder.file("data/channels/aws.credentials", "id\nsecret\n");
    let pull = |prefix: &str, endpoint: &str, credentials: &str| {
        format!(
            "type = \"s3\"\nbucket = \"trails\"\nprefix = \"{prefix}/\"\nregion = \"eu-central-1\"\nendpoint = \"{endpoint}\"\ncredentials_file = \"{credentials}\"\n"
        )
    };
    made(
        &folder,
        "bucket",
        &pull("one", &server.url, "aws.credentials"),
    );
    made(&folder, "secretless", &pull("one", &server.url, "nothing"));
    made(
        &folder,
        "nowhere",
        &pull("one", "http://127.0.0.1:1", "aws.credentials"),
    );
    let service = Service::start(&folder);
    service.wait_until("all are taken", || {
        about(&service, "bucket")["pulled"]["files_taken"] == json!(1050)
    });
    service.wait_until("a round over all files is over", || {
        about(&service, "bucket")["pulled"]["files_known"] == json!(1051)
    });
    let seen = about(&service, "bucket");
    assert_eq!(seen["seen"]["refused"], json!({"file_broken": 1}), "{seen}");
    for (id, words) in [
        ("secretless", "nothing: cannot be read"),
        ("nowhere", "refused"),
    ] {
        let seen = about(&service, id);
        let told = seen["pulled"]["last_error"]["message"]
            .as_str()
            .unwrap_or("");
        assert!(told.contains(words), "{seen}");
        assert_eq!(seen["pulled"]["files_taken"], json!(0));
    }
    service.wait_evaluated();
    let found = service.get("/v1/findings?rule=stopped&limit=1000");
    assert_eq!(found["findings"].as_array().map(Vec::len), Some(105));
    assert_eq!(service.terminate(), Some(0));
    client(&["s3", &server.url, "5", "trails", "two"], "5");
    made(
        &folder,
        "more",
        &pull("two", &server.url, "aws.credentials"),
    );
    let service = Service::start(&folder);
    service.wait_until("new ones are taken", || {
        about(&service, "more")["pulled"]["files_taken"] == json!(5)
    });
    service.wait_until("a round is over", || {
        about(&service, "bucket")["pulled"]["last_round"].is_string()
    });
    let seen = ["bucket", "more"].map(|id| about(&service, id)["seen"]["accepted"].clone());
    assert_eq!(seen, [json!(0), json!(50)]);
    assert_eq!(service.terminate(), Some(0));
}
