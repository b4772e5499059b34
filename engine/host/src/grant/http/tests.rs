//! Requests go where they may, and nowhere else.
//!
//! Servers are on loopback and started by the tests; `Names` stands in for the network, answers names as the test says,
//! and lets loopback be reached where a test needs an answer.

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

#[test]
fn what_is_granted_is_sent_and_comes_back() {
    let server = serve(vec![
        answer("200 OK\r\nX-Kind: a", "hello"),
        answer("404 Not Found", ""),
    ]);
    let port = server.port;
    let client = client(&entry("api.example.com", port, ""));
    let mut request = get(&format!("http://api.example.com:{port}/v1/x?q=1"));
    request.method = "POST".into();
    request.body = b"{}".to_vec();
    request.headers = vec![("X-Mine".into(), "yes".into())];
    let response = send(&client, &request).expect("it is granted");
    assert_eq!(
        (response.status, response.body.as_slice()),
        (200, b"hello".as_slice())
    );
    assert!(
        response.headers.contains(&("x-kind".into(), "a".into())),
        "{response:?}"
    );
    let asked = server.asked()[0].to_ascii_lowercase();
    for part in [
        "post /v1/x?q=1 http/1.1",
        "x-mine: yes",
        &format!("host: api.example.com:{port}"),
        "accept-encoding: identity",
        "\r\n\r\n{}",
    ] {
        assert!(asked.contains(part), "{part} is not in {asked}");
    }
    let gone = send(
        &client,
        &get(&format!("http://api.example.com:{port}/v1/gone")),
    );
    assert_eq!(gone.expect("an answer is an answer").status, 404);
}

#[test]
fn what_is_not_granted_is_refused_before_anything_is_sent() {
    let server = serve(vec![]);
    let port = server.port;
    let client = client(&entry("api.example.com", port, ""));
    let denied = |url: String, method: &str| {
        let mut request = get(&url);
        request.method = method.into();
        check_fault(send(&client, &request), FaultKind::Denied, "is not granted");
    };
    denied(format!("http://other.example.com:{port}/v1/x"), "GET");
    denied(format!("http://example.com:{port}/v1/x"), "GET");
    denied(
        format!("http://api.example.com.evil.com:{port}/v1/x"),
        "GET",
    );
    denied("http://api.example.com/v1/x".into(), "GET");
    denied(format!("https://api.example.com:{port}/v1/x"), "GET");
    denied(format!("http://api.example.com:{port}/v2/x"), "GET");
    denied(format!("http://api.example.com:{port}/v1"), "GET");
    denied(format!("http://api.example.com:{port}/V1/x"), "GET");
    denied(format!("http://api.example.com:{port}/v1/x"), "DELETE");
    denied(format!("http://127.0.0.1:{port}/v1/x"), "GET");
    denied(format!("http://[::1]:{port}/v1/x"), "GET");
    assert!(server.asked().is_empty());
}

#[test]
fn addresses_are_read_narrowly() {
    let refused = [
        "",
        "/v1",
        "//a.com/",
        "ftp://a.com/",
        "HTTP://a.com/",
        "http:/a.com",
        "http://",
        "http:///x",
        "http://user@a.com/",
        "http://user:pw@a.com/",
        "http://a.com@b.com/",
        "http://a.com#@b.com/",
        "http://a.com\\@b.com/",
        "http://a.com:0/",
        "http://a.com:/",
        "http://a.com:99999/",
        "http://a.com:+80/",
        "http://a.com:80:80/",
        "http://a.com /",
        "http://a.com/\r\nHost: b",
        "http://a.com/ HTTP/1.1",
        "http://a.com/x#y",
        "http://a.com/../x",
        "http://a.com/v1/../x",
        "http://a.com/v1/./x",
        "http://a.com/v1/..",
        "http://a.com/v1/%2e%2e/x",
        "http://a.com/v1/.%2E/x",
        "http://a.com/v1/..;/x",
        "http://a.com/v1%2f..%2fx",
        "http://a.com/v1/%5c../x",
        "http://a.com/v1//x",
        "http://a.com/v1/%00",
        "http://a.com/v1/%252e%252e/x",
        "http://a.com/%zz",
        "http://a.com/%",
        "http://a.com/v1\\x",
        "http://a.com/é",
        "http://é.com/",
        "http://a..com/",
        "http://.com/",
        "http://a.com./",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://017700000001/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://127.0.0.1./",
        "http://127.0.0.01/",
        "http://1.2.3.4.5/",
        "http://[::1/",
        "http://::1/",
        "http://[::ffff:127.0.0.1%25eth0]/",
        "http://[v1.x]/",
        "http://[127.0.0.1]/",
        "http://a.com/?a b",
        "http://a.com/?{{secret:t}}",
        "http://a.com/{{secret:t}}",
        "http://{{secret:t}}/",
    ];
    for url in refused {
        assert!(Address::new(url).is_err(), "{url}");
    }
    assert!(Address::new(&format!("http://a.com/{}", "x".repeat(9000))).is_err());
    let read = |url: &str| Address::new(url).expect(url).to_string();
    assert_eq!(read("https://A.Example.com"), "https://a.example.com/");
    assert_eq!(
        read("https://a.com:443/v1/x%20y?q=%2F..&z"),
        "https://a.com/v1/x%20y?q=%2F..&z"
    );
    assert_eq!(read("http://a.com:8080?q"), "http://a.com:8080/?q");
    assert_eq!(read("http://127.0.0.1/"), "http://127.0.0.1/");
    assert_eq!(
        read("http://[::FFFF:7f00:1]/"),
        "http://[::ffff:127.0.0.1]/"
    );
    assert_eq!(read("http://a.com/v1/...x/..y"), "http://a.com/v1/...x/..y");
}

#[test]
fn only_public_addresses_are_reached() {
    let check = |address: &str, expected: bool| {
        assert_eq!(
            is_public(address.parse().expect(address)),
            expected,
            "{address}"
        );
    };
    let private = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "169.254.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:0:53aa:64c:0:0:0:1",
        "2001:db8::1",
        "2001:10::1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2002:a9fe:a9fe::1",
        "2607:f8b0::5efe:a00:1",
        "2607:f8b0::200:5efe:7f00:1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
        "::ffff:0:127.0.0.1",
    ];
    for address in private {
        check(address, false);
    }
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.255.255",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "2001:4860:4860::8888",
        "64:ff9b::808:808",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
    ];
    for address in public {
        check(address, true);
    }
}

#[test]
fn names_that_lead_inside_are_refused() {
    let inside = |answers: &[&[&str]]| {
        let parse = |one: &&str| one.parse().expect("an address");
        let answers = answers
            .iter()
            .map(|answer| answer.iter().map(parse).collect())
            .collect();
        Names {
            answers: BTreeMap::from([("api.example.com".to_owned(), answers)]),
            is_strict: true,
            ..Names::default()
        }
    };
    let server = serve(vec![]);
    let port = server.port;
    let url = format!("http://api.example.com:{port}/v1/x");
    for answer in [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "fd00:ec2::254",
    ] {
        let client = client_with(
            &entry("api.example.com", port, ""),
            600,
            inside(&[&[answer]]),
        );
        check_fault(
            send(&client, &get(&url)),
            FaultKind::Denied,
            "not on the public internet",
        );
        let client = client_with(
            &entry("api.example.com", port, ""),
            600,
            inside(&[&["8.8.8.8", answer]]),
        );
        check_fault(
            send(&client, &get(&url)),
            FaultKind::Denied,
            "not on the public internet",
        );
    }
    let nobody = client_with(&entry("api.example.com", port, ""), 600, inside(&[&[]]));
    check_fault(
        send(&nobody, &get(&url)),
        FaultKind::Unavailable,
        "has no address",
    );
    // Granted exactly, and still inside.
    let literal = client_with(&entry("127.0.0.1", port, ""), 600, inside(&[&[]]));
    let request = get(&format!("http://127.0.0.1:{port}/v1/x"));
    check_fault(
        send(&literal, &request),
        FaultKind::Denied,
        "not on the public internet",
    );
    assert!(server.asked().is_empty());
}

#[test]
fn a_name_is_asked_for_once_a_connection() {
    let server = serve(vec![answer("200 OK", "a")]);
    let port = server.port;
    // The second answer would be refused; it is never asked for.
    let answers = vec![
        vec![LOOPBACK],
        vec!["169.254.169.254".parse().expect("an address")],
    ];
    let names = Names {
        answers: BTreeMap::from([("api.example.com".to_owned(), answers)]),
        ..Names::default()
    };
    let client = client_with(&entry("api.example.com", port, ""), 600, names);
    let request = get(&format!("http://api.example.com:{port}/v1/x"));
    assert_eq!(
        send(&client, &request)
            .expect("the first answer is good")
            .status,
        200
    );
    check_fault(
        send(&client, &request),
        FaultKind::Denied,
        "not on the public internet",
    );
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn production_reaches_nothing_inside() {
    let server = serve(vec![]);
    let port = server.port;
    for host in ["localhost", "127.0.0.1"] {
        let rights = granted(&entry(host, port, ""));
        let client = Client::new(rights, Secrets::default(), 600).expect("no encryption");
        let request = get(&format!("http://{host}:{port}/v1/x"));
        check_fault(
            send(&client, &request),
            FaultKind::Denied,
            "not on the public internet",
        );
    }
    assert!(server.asked().is_empty());
}

#[test]
fn redirects_are_checked_one_by_one() {
    let follow = |to: &str| {
        let server = serve(vec![redirect(to), answer("200 OK", "there")]);
        let port = server.port;
        let client = client(&entry("api.example.com", port, ""));
        let found = send(
            &client,
            &get(&format!("http://api.example.com:{port}/v1/x")),
        );
        (found, server.asked().len())
    };
    let (found, asked) = follow("/v1/y");
    assert_eq!(
        (found.expect("it is granted").body, asked),
        (b"there".to_vec(), 2)
    );
    for (to, why) in [
        ("/v2/y", "is not granted"),
        ("http://169.254.169.254/latest/meta-data", "is not granted"),
        ("http://other.example.com/v1/x", "is not granted"),
        ("https://api.example.com/v1/x", "is not granted"),
        ("//other.example.com/v1/x", "redirect is refused"),
        ("file:///etc/passwd", "redirect is refused"),
        ("/v1/../v2", "redirect is refused"),
        ("y", "redirect is refused"),
    ] {
        let (found, asked) = follow(to);
        check_fault(found, FaultKind::Denied, why);
        assert_eq!(asked, 1, "{to}");
    }
    let server = serve(vec![redirect("/v1/x"); 10]);
    let port = server.port;
    let client = client(&entry("api.example.com", port, ""));
    let url = format!("http://api.example.com:{port}/v1/x");
    check_fault(
        send(&client, &get(&url)),
        FaultKind::Limit,
        "more than 5 redirects",
    );
    assert_eq!(server.asked().len(), 6);
}

#[test]
fn what_changes_something_is_not_sent_twice() {
    let server = serve(vec![
        answer("307 Temporary Redirect\r\nLocation: /v1/y", ""),
        answer("303 See Other\r\nLocation: /v1/z", ""),
        answer("200 OK", "done"),
    ]);
    let port = server.port;
    let client = client(&entry("api.example.com", port, ""));
    let mut request = get(&format!("http://api.example.com:{port}/v1/x"));
    request.method = "POST".into();
    request.body = b"once".to_vec();
    assert_eq!(
        send(&client, &request)
            .expect("the redirect is the answer")
            .status,
        307
    );
    assert_eq!(
        send(&client, &request)
            .expect("its result is asked for")
            .body,
        b"done"
    );
    assert!(server.asked()[2].starts_with("GET /v1/z ") && !server.asked()[2].contains("once"));
}

#[test]
fn headers_of_the_host_are_refused() {
    let client = client(&entry("api.example.com", 9, ""));
    let check = |name: &str, value: &str, kind: FaultKind| {
        let mut request = get("http://api.example.com:9/v1/x");
        request.headers = vec![(name.into(), value.into())];
        let fault = send(&client, &request).expect_err(name);
        assert_eq!(fault.kind, kind, "{name:?}: {value:?}: {fault}");
        assert!(!fault.message.contains(['\r', '\n']), "{fault:?}");
    };
    for name in [
        "Host",
        "host",
        "Content-Length",
        "CONTENT_LENGTH",
        "Transfer-Encoding",
        "Transfer_Encoding",
        "Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Keep-Alive",
        "Proxy-Authorization",
        "Proxy-Connection",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X_Forwarded_For",
        "Forwarded",
        "Via",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-Url",
        "Accept-Encoding",
        "X-Real-IP",
    ] {
        check(name, "x", FaultKind::Denied);
    }
    for name in [
        "",
        " ",
        "a b",
        "a:b",
        "a\r\nHost",
        "a\0",
        "é",
        "Host ",
        " Host",
        "Host:",
        "a\t",
    ] {
        check(name, "x", FaultKind::InvalidInput);
    }
    for value in [
        "a\r\nHost: b",
        "a\nb",
        "a\rb",
        "a\0b",
        "é",
        " a",
        "a ",
        "\u{7f}",
    ] {
        check("X-Mine", value, FaultKind::InvalidInput);
    }
    check("X-Mine", &"x".repeat(40_000), FaultKind::Limit);
    let mut request = get("http://api.example.com:9/v1/x");
    request.headers = vec![("X-A".into(), "x".into()); 65];
    check_fault(send(&client, &request), FaultKind::Limit, "65 headers");
}

#[test]
fn requests_are_bounded() {
    let client = client(&entry("api.example.com", 9, ""));
    let with = |method: &str, body: usize| {
        let mut request = get("http://api.example.com:9/v1/x");
        request.method = method.into();
        request.body = vec![b'x'; body];
        send(&client, &request)
    };
    check_fault(
        with("POST", (1 << 20) + 1),
        FaultKind::Limit,
        "a body of 1048577 bytes",
    );
    check_fault(with("GET", 1), FaultKind::InvalidInput, "has no body");
    check_fault(with("get", 0), FaultKind::InvalidInput, "no method");
    check_fault(
        with("GET / HTTP/1.1\r\n", 0),
        FaultKind::InvalidInput,
        "no method",
    );
    check_fault(with("CONNECT", 0), FaultKind::InvalidInput, "no method");
    let late = client.send(&get("http://api.example.com:9/v1/x"), Duration::ZERO, 0);
    check_fault(late, FaultKind::Timeout, "no time is left");
}

#[test]
fn answers_are_bounded() {
    let check = |answer: Vec<u8>, kind: FaultKind, expected: &str| {
        let server = serve(vec![answer]);
        let port = server.port;
        let client = client(&entry("api.example.com", port, ""));
        check_fault(
            send(
                &client,
                &get(&format!("http://api.example.com:{port}/v1/x")),
            ),
            kind,
            expected,
        );
    };
    check(
        answer("200 OK", &"x".repeat((4 << 20) + 1)),
        FaultKind::Limit,
        "too large",
    );
    let lie = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        .iter()
        .copied();
    check(
        lie.chain(std::iter::repeat_n(b'x', 5 << 20)).collect(),
        FaultKind::Limit,
        "too large",
    );
    check(
        answer(&format!("200 OK\r\nX: {}", "x".repeat(40_000)), ""),
        FaultKind::Limit,
        "too large",
    );
    let many: String = (0..70).map(|at| format!("\r\nX{at}: x")).collect();
    check(
        answer(&format!("200 OK{many}"), ""),
        FaultKind::Limit,
        "more than 64 headers",
    );
    check(b"nonsense\r\n\r\n".to_vec(), FaultKind::Unavailable, "");
    check(Vec::new(), FaultKind::Unavailable, "");
}

#[test]
fn who_does_not_prove_who_it_is_gets_nothing() {
    let server = serve(vec![answer("200 OK", "in the clear"); 2]);
    let port = server.port;
    let rights = granted(&entry("api.example.com", port, "").replace("\"http\"", "\"https\""));
    let network = Arc::new(Names::default());
    let Ok(client) = Client::with_network(rights, Secrets::default(), 600, network) else {
        eprintln!("skipped: this machine has no certificates of authorities");
        return;
    };
    let mut request = get(&format!("https://api.example.com:{port}/v1/x"));
    request.timeout_ms = 2000;
    request.headers = vec![("X-Mine".into(), "private".into())];
    let fault = send(&client, &request).expect_err("it is no TLS");
    assert!(fault.kind.is_retried(), "{fault}");
    assert!(!server.asked().join("").contains("private"));
}

#[test]
fn nobody_is_waited_for_without_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = listener.local_addr().expect("it is bound").port();
    let client = client(&entry("api.example.com", port, ""));
    let mut request = get(&format!("http://api.example.com:{port}/v1/x"));
    request.timeout_ms = 200;
    let start = Instant::now();
    check_fault(send(&client, &request), FaultKind::Timeout, "in time");
    request.timeout_ms = 0;
    let short = client.send(&request, Duration::from_millis(200), 0);
    check_fault(short, FaultKind::Timeout, "in time");
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn secrets_are_filled_in_where_they_are_bound_and_nowhere_else() {
    let token = ", secrets = { token = { env = \"T\" } }";
    let echo = format!("you sent {SECRET} and s3cr3t%2Fvalue%2B1, \"s3cr3t\\/value+1\"");
    let server = serve(vec![answer(&format!("200 OK\r\nX-Echo: {SECRET}"), &echo)]);
    let port = server.port;
    let entries = format!(
        "{}, {}",
        entry("api.example.com", port, token),
        entry("other.example.com", port, "")
    );
    let client = client(&entries);
    let mut request = get(&format!("http://api.example.com:{port}/v1/x"));
    request.method = "POST".into();
    request.headers = vec![("Authorization".into(), "Bearer {{secret:token}}".into())];
    request.body = b"{\"key\":\"{{secret:token}}\"}".to_vec();
    let response = send(&client, &request).expect("it is bound");
    let asked = &server.asked()[0];
    assert!(asked.contains(&format!("Bearer {SECRET}\r\n")), "{asked}");
    assert!(
        asked.ends_with(&format!("{{\"key\":\"{SECRET}\"}}")),
        "{asked}"
    );
    let shown = format!("{response:?}{}", String::from_utf8_lossy(&response.body));
    assert!(
        !shown.contains(SECRET) && !shown.contains("s3cr3t"),
        "{shown}"
    );
    assert!(
        response
            .headers
            .contains(&("x-echo".into(), "{{secret:token}}".into()))
    );

    request.url = format!("http://other.example.com:{port}/v1/x");
    check_fault(
        send(&client, &request),
        FaultKind::Denied,
        "no secret `token` is bound to http://other",
    );
    request.url = format!("http://api.example.com:{port}/v1/x");
    for (value, kind, expected) in [
        ("{{secret:nope}}", FaultKind::Denied, "no secret `nope`"),
        ("{{secret:}}", FaultKind::Denied, "no secret ``"),
        ("{{secret:token", FaultKind::InvalidInput, "has no end"),
        (
            "{{secret:{{secret:token}}}}",
            FaultKind::Denied,
            "no secret",
        ),
    ] {
        request.headers = vec![("Authorization".into(), value.into())];
        check_fault(send(&client, &request), kind, expected);
    }
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn secrets_do_not_follow_redirects_and_hide_in_no_encoding() {
    let token = ", secrets = { token = { env = \"T\" } }";
    let server = serve(vec![answer("200 OK\r\nContent-Encoding: gzip", "x")]);
    let port = server.port;
    let mut request = get(&format!("http://api.example.com:{port}/v1/x"));
    request.headers = vec![("Authorization".into(), "{{secret:token}}".into())];
    let found = send(&client(&entry("api.example.com", port, token)), &request);
    check_fault(found, FaultKind::Denied, "is encoded");

    let target = serve(vec![answer("200 OK", "x")]);
    let to = format!("http://other.example.com:{}/v1/x", target.port);
    let server = serve(vec![redirect(&to)]);
    let port = server.port;
    let entries = format!(
        "{}, {}",
        entry("api.example.com", port, token),
        entry("other.example.com", target.port, "")
    );
    request.url = format!("http://api.example.com:{port}/v1/x");
    let found = send(&client(&entries), &request);
    check_fault(
        found,
        FaultKind::Denied,
        "no secret `token` is bound to http://other",
    );
    assert!(target.asked().is_empty());
}

#[test]
fn secrets_do_not_make_requests_or_answers_grow() {
    let token = ", secrets = { token = { env = \"T\" } }";
    let server = serve(vec![answer("200 OK", &"12345678".repeat(500_000))]);
    let port = server.port;
    let rights = granted(&entry("api.example.com", port, token));
    let with = |value: String| {
        let secret = move |_: &SecretSource| Some(value.clone());
        let secrets = Secrets::gather(&rights, &secret).expect("the secret is sound");
        let network = Arc::new(Names::default());
        Client::with_network(rights.clone(), secrets, 600, network).expect("no encryption")
    };
    let mut request = get(&format!("http://api.example.com:{port}/v1/x"));
    let short = with("12345678".into());
    check_fault(
        send(&short, &request),
        FaultKind::Limit,
        "the answer is too large",
    );
    request.method = "POST".into();
    request.body = "{{secret:token}}".repeat(60_000).into_bytes();
    let long = with("x".repeat(8000));
    check_fault(
        send(&long, &request),
        FaultKind::Limit,
        "too large with its secrets",
    );
    request.body.clear();
    request.headers = vec![("X-Mine".into(), "{{secret:token}}".repeat(10))];
    check_fault(
        send(&long, &request),
        FaultKind::Limit,
        "too large with its secrets",
    );
}

#[test]
fn secrets_that_cannot_be_used_are_named_and_never_shown() {
    let rights = granted(&entry(
        "api.example.com",
        9,
        ", secrets = { token = { env = \"T\" } }",
    ));
    let check = |value: Option<&str>, expected: &str| {
        let secret = |_: &SecretSource| value.map(str::to_owned);
        let Err((name, why)) = Secrets::gather(&rights, &secret) else {
            panic!("{expected}");
        };
        assert_eq!(
            (name.as_str(), why.contains(expected)),
            ("token", true),
            "{why}"
        );
    };
    check(None, "not there");
    check(Some(""), "fewer than 8");
    check(Some("1234567"), "fewer than 8");
    check(Some(&"x".repeat(9000)), "more than 8 KiB");
    check(Some("12345678\n"), "characters that headers cannot");
    check(Some("12345678\r\nX: y"), "characters that headers cannot");
}

#[test]
fn requests_are_counted() {
    let server = serve(vec![answer("200 OK", ""); 4]);
    let port = server.port;
    let client = client_with(&entry("api.example.com", port, ""), 2, Names::default());
    let request = get(&format!("http://api.example.com:{port}/v1/x"));
    let at = |now_ms: u64| client.send(&request, Duration::from_secs(10), now_ms);
    assert!(at(1_000_000).is_ok() && at(1_000_000).is_ok());
    let fault = at(1_000_000).expect_err("the bucket is empty");
    assert_eq!(
        (fault.kind, fault.retry_after_ms),
        (FaultKind::Limit, Some(30_000))
    );
    assert_eq!(at(1_029_999).expect_err("not yet").retry_after_ms, Some(1));
    assert!(at(1_030_000).is_ok());
    assert!(at(1).is_err(), "a clock that goes back gives nothing");
    assert!(at(30_001).is_ok());
}
