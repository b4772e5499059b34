//! Senders that prove who they are without a secret of ours: certificates, tokens of an issuer, subjects of NATS.

use super::channels::push;
use super::encrypted::Authority;
use super::nats::ask;
use super::service::Service;
use super::{Folder, event, folder, run};
use crate::harness::Ran;
use crate::launcher::{NatsServer, Place};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A channel of a file that is written here.
fn made(folder: &Folder, id: &str, sender: &str) {
    let name = format!("data/channels/{id}.toml");
    let text = format!("source = \"partner\"\n[[senders]]\nname = \"partner\"\n{sender}");
    folder.file(&name, text);
}

/// Why requests of a channel were refused.
fn refused(service: &Service, id: &str) -> Value {
    service.get(&format!("/v1/channels/{id}"))["seen"]["refused"].clone()
}

/// What the engine says of an event of this id.
fn ingest(service: &Service, answer: &Value) -> Value {
    let id = answer["event_ids"][0].as_str().expect("an id").to_owned();
    service.wait_evaluated();
    let found = service.get(&format!("/v1/events/{id}"));
    found.get("event").unwrap_or(&found)["ingest"].clone()
}

/// The page for a partner.
fn page(folder: &Folder, id: &str) -> String {
    let data = format!("{}/data", folder.path());
    let ran = run(&["channels", "page", id, "--data", &data]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

/// A port that nobody has now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn certificates_say_who_pushes() {
    let place = Folder::new("proofs-certificates-files");
    let (authority, stranger) = (
        Authority::new(&place, "authority"),
        Authority::new(&place, "stranger"),
    );
    let server = authority.sign("server", "localhost", false);
    let partner = authority.sign("partner", "partner.example.com", false);
    let other = authority.sign("other", "other.example.com", false);
    let expired = authority.sign("expired", "partner.example.com", true);
    let forged = stranger.sign("forged", "partner.example.com", false);
    let port = free_port();
    let (cert, key) = &server;
    let folder = folder(
        "proofs-certificates",
        &format!(
            "[channels]\nlisten = \"127.0.0.1:{port}\"\ntls_cert_file = \"{cert}\"\ntls_key_file = \"{key}\"\ntls_client_ca_file = \"{}\"\n",
            authority.file
        ),
    );
    made(
        &folder,
        "named",
        "type = \"certificate\"\nnames = [\"Partner.example.com\"]\n",
    );
    let output = Command::new("openssl")
        .args([
            "x509",
            "-noout",
            "-fingerprint",
            "-sha256",
            "-in",
            &partner.0,
        ])
        .output();
    let ran: Ran = output.expect("openssl runs").into();
    let (_, print) = ran.stdout.trim().split_once('=').expect("a fingerprint");
    made(
        &folder,
        "pinned",
        &format!("type = \"certificate\"\nsha256 = [\"{print}\"]\n"),
    );
    made(
        &folder,
        "both",
        &format!(
            "type = \"certificate\"\nsha256 = [\"{print}\"]\nnames = [\"other.example.com\"]\n"
        ),
    );
    let service = Service::start(&folder);
    let send = |id: &str, client: Option<&(String, String)>| -> (i32, Value) {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "--cacert", &authority.file]);
        if let Some((cert, key)) = client {
            curl.args(["--cert", cert, "--key", key]);
        }
        let url = format!("https://localhost:{port}/v1/channels/{id}/events");
        let output = curl
            .args(["--data-binary", &event(1, "Stop", 1), &url])
            .output();
        let ran: Ran = output.expect("curl runs").into();
        (
            ran.code,
            serde_json::from_str(&ran.stdout).unwrap_or(Value::Null),
        )
    };
    for id in ["named", "pinned"] {
        let (code, answer) = send(id, Some(&partner));
        assert_eq!(
            (code, &answer["accepted"]),
            (0, &json!(1)),
            "{id}: {answer}"
        );
        let said = ingest(&service, &answer);
        assert_eq!(said["verified"], "certificate", "{said}");
        let subject = match id {
            "named" => "partner.example.com".to_owned(),
            _ => print.replace(':', "").to_lowercase(),
        };
        assert_eq!(said["subject"], json!(subject));
    }
    for (id, client) in [
        ("named", Some(&other)),
        ("pinned", Some(&other)),
        ("both", Some(&partner)),
        ("both", Some(&other)),
        ("named", None),
    ] {
        assert_eq!(send(id, client).1["error"], "unauthorized", "{id}");
    }
    assert_eq!(
        refused(&service, "named"),
        json!({"no_proof": 1, "unknown_certificate": 1})
    );
    let shown = service.get("/v1/channels/named")["senders"][0].clone();
    assert_eq!(
        (&shown["type"], &shown["names"]),
        (&json!("certificate"), &json!(["Partner.example.com"])),
        "{shown}"
    );
    assert!(page(&folder, "named").contains("--cert client.pem"));
    let data = format!("{}/data", folder.path());
    let ran = run(&[
        "channels", "rotate", "named", "--sender", "partner", "--data", &data,
    ]);
    assert!(
        ran.code == 2 && ran.stderr.contains("renewed where it comes from"),
        "{}",
        ran.stderr
    );
    for client in [&expired, &forged] {
        let (code, answer) = send("named", Some(client));
        assert!(
            code != 0 && answer.is_null(),
            "the handshake fails: {answer}"
        );
    }
    assert_eq!(service.terminate(), Some(0));
}

/// A key of an issuer, by its name.
struct Signer {
    kid: &'static str,
    key: Ed25519KeyPair,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let key = Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key");
        Self { kid, key }
    }

    fn published(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x})
    }

    fn token(&self, audience: &str) -> String {
        let head = json!({"alg": "EdDSA", "kid": self.kid}).to_string();
        let claims = json!({
            "iss": "https://issuer.example.com", "aud": audience, "sub": "robot", "exp": 4_102_444_800u64,
        });
        let parts = [head, claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
        let signed = parts.join(".");
        let signature = self.key.sign(signed.as_bytes());
        format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[test]
fn tokens_of_an_issuer_say_who_pushes() {
    let (first, second) = (Signer::new("first"), Signer::new("second"));
    let set = Mutex::new(json!({"keys": [first.published()]}));
    let asked = AtomicUsize::new(0);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let folder = folder("proofs-tokens", "");
    let issuer =
        "type = \"jwt\"\nissuer = \"https://issuer.example.com\"\naudience = \"tripline\"\n";
    made(
        &folder,
        "tokens",
        &format!("{issuer}jwks_url = \"http://{address}/jwks\"\n"),
    );
    let both = json!({"keys": [second.published()]}).to_string();
    folder.file("data/channels/jwks.json", both);
    made(
        &folder,
        "filed",
        &format!("{issuer}jwks_file = \"jwks.json\"\n"),
    );
    let service = Service::start(&folder);
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).expect("a request");
                if bytes[..read].starts_with(b"END") {
                    return;
                }
                asked.fetch_add(1, Ordering::Relaxed);
                let body = set.lock().expect("never poisoned").to_string();
                let said = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(said.as_bytes()).expect("answered");
            }
        });
        let send = |id: &str, token: &str| {
            let url = format!("{}/v1/channels/{id}/events", service.url());
            let (status, answer, _) = push(
                &url,
                &[("authorization", token)],
                event(1, "Stop", 1).as_bytes(),
            );
            (status, answer)
        };
        let (status, answer) = send("tokens", &first.token("tripline"));
        assert_eq!((status, &answer["accepted"]), (200, &json!(1)), "{answer}");
        let said = ingest(&service, &answer);
        assert_eq!(
            (&said["verified"], &said["subject"]),
            (&json!("jwt"), &json!("robot"))
        );
        assert_eq!(send("tokens", &first.token("other")).0, 401);
        assert_eq!(send("filed", &second.token("tripline")).0, 200);
        assert_eq!(send("filed", &first.token("tripline")).0, 401);
        // A key that is not known is asked for, but not again within a minute, whatever comes.
        *set.lock().expect("never poisoned") = json!({"keys": [second.published()]});
        for _ in 0..5 {
            assert_eq!(send("tokens", &second.token("tripline")).0, 401);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(
            refused(&service, "tokens"),
            json!({"bad_token": 5, "token_claims": 1})
        );
        let shown = service.get("/v1/channels/tokens")["senders"][0].clone();
        assert_eq!(
            (&shown["type"], &shown["audience"]),
            (&json!("jwt"), &json!("tripline")),
            "{shown}"
        );
        assert!(page(&folder, "tokens").contains("A token of `https://issuer.example.com`"));
        let mut last = std::net::TcpStream::connect(address).expect("connects");
        last.write_all(b"END").expect("said");
    });
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn whoever_may_publish_on_a_subject_pushes() {
    let place = Place::new("proofs-subjects");
    let server = NatsServer::start(place.path(), "");
    let folder = folder(
        "proofs-subjects",
        &format!(
            "[channels]\nnats_subject = \"in.channels\"\n[nats]\nurls = [\"{}\"]\n",
            server.url()
        ),
    );
    made(&folder, "subjects", "type = \"nats\"\n");
    made(
        &folder,
        "over",
        "type = \"nats\"\nexpires = 2020-01-01T00:00:00Z\n",
    );
    let key = super::channels::channel(&folder, "keyed", "");
    assert!(!key.is_empty());
    let service = Service::start(&folder);
    let send =
        |id: &str, body: &str| ask(&server, &format!("in.channels.{id}"), body).expect("an answer");
    let lines = super::events(30).join("\r\n");
    for accepted in [30, 0] {
        let answer = send("subjects", &lines);
        assert_eq!(
            (
                &answer["status"],
                &answer["body"]["accepted"],
                &answer["body"]["duplicates"]
            ),
            (&json!(200), &json!(accepted), &json!(30 - accepted)),
            "{answer}"
        );
        assert_eq!(answer["body"]["durability"], "fsync");
        assert_eq!(ingest(&service, &answer["body"])["verified"], "nats");
    }
    for id in ["keyed", "nothing", "over"] {
        let answer = send(id, &lines);
        assert_eq!(
            (&answer["status"], &answer["body"]["error"]),
            (&json!(401), &json!("unauthorized")),
            "{id}"
        );
    }
    let answer = send("subjects", "nonsense");
    assert_eq!(
        (
            &answer["status"],
            &answer["body"]["first_rejected"][0]["code"]
        ),
        (&json!(422), &json!("malformed"))
    );
    service.wait_for(30);
    assert_eq!(service.terminate(), Some(0));
}
