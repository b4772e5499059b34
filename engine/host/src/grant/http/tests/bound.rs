//! Headers, sizes, times and counts.

use super::*;

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
