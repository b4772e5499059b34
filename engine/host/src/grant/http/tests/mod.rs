//! Requests go where they may, and nowhere else.
//!
//! Servers are on loopback and started by the tests; `Names` stands in for the network, answers names as the test says,
//! and lets loopback be reached where a test needs an answer.

mod address;
mod bound;
mod grant;
mod redirect;
mod secret;

use super::network::{Network, is_public};
use super::*;
use crate::manifest::{Asks, Capability, HttpAsk};
use crate::operator::{Grant, Operator, SecretSource, rights};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tripline_core::diagnostic::Source;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[derive(Debug, Default)]
struct Names {
    /// What a name is, the first time, the second time and so on; the last answer stays.
    answers: BTreeMap<String, Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
    /// As in production: not even loopback.
    is_strict: bool,
}

impl Network for Names {
    fn resolve(&self, name: &str, _patience: Duration) -> io::Result<Vec<IpAddr>> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.answers.get(name) {
            None => Ok(vec![LOOPBACK]),
            Some(answers) => Ok(answers[asked.min(answers.len() - 1)].clone()),
        }
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        is_public(address) || (address == LOOPBACK && !self.is_strict)
    }
}

/// A server that answers each connection with the next of `answers`, and keeps what was asked.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

fn serve(answers: Vec<Vec<u8>>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = listener.local_addr().expect("it is bound").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = asked.clone();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            let mut reader = BufReader::new(stream);
            let mut request = String::new();
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                request.push_str(&line);
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            let _ = reader.read_exact(&mut body);
            request.push_str(&String::from_utf8_lossy(&body));
            kept.lock().expect("nobody panicked").push(request);
            let _ = reader.get_mut().write_all(&answer);
        }
    });
    Server { port, asked }
}

impl Server {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

fn redirect(to: &str) -> Vec<u8> {
    answer(&format!("302 Found\r\nLocation: {to}"), "")
}

/// Grants in the form of operator files; the manifest asks for the same.
fn granted(entries: &str) -> HttpRights {
    let text = format!("[plugins.a]\npath = \"a\"\n[plugins.a.grant]\nhttp = [{entries}]");
    let source = Source {
        name: "plugins.toml".into(),
        text,
    };
    let operator = Operator::read(&Arc::new(source));
    let mut operator = operator.unwrap_or_else(|reports| panic!("{:?}", reports[0].diagnostic));
    let grant: Grant = std::mem::take(&mut operator.plugins[0].grant);
    let http = grant.http.iter().map(|grant| HttpAsk {
        target: grant.target.clone(),
        secrets: grant.secrets.iter().map(|(name, _)| name.clone()).collect(),
    });
    let asks = Asks {
        http: http.collect(),
        ..Asks::default()
    };
    rights(&asks, &grant, &Capability::ALL).0.http
}

fn entry(host: &str, port: u16, rest: &str) -> String {
    let methods = "methods = [\"GET\", \"POST\"]";
    format!(
        "{{ scheme = \"http\", host = \"{host}\", port = {port}, {methods}, paths = [\"/v1/*\"] {rest} }}"
    )
}

const SECRET: &str = "s3cr3t/value+1";

fn client_with(entries: &str, per_minute: u64, names: Names) -> Client {
    let rights = granted(entries);
    let secret = |_: &SecretSource| Some(SECRET.to_owned());
    let secrets = Secrets::gather(&rights, &secret).expect("the secrets are sound");
    Client::with_network(rights, secrets, per_minute, Arc::new(names)).expect("no encryption")
}

fn client(entries: &str) -> Client {
    client_with(entries, 600, Names::default())
}

fn get(url: &str) -> Request {
    Request {
        method: "GET".into(),
        url: url.into(),
        ..Request::default()
    }
}

fn send(client: &Client, request: &Request) -> Result<Response, Fault> {
    client.send(request, Duration::from_secs(10), 1_000_000)
}

fn check_fault(found: Result<Response, Fault>, kind: FaultKind, expected: &str) {
    let fault = found.expect_err(expected);
    assert!(
        fault.kind == kind && fault.message.contains(expected),
        "wanted {expected}: {fault}"
    );
}
