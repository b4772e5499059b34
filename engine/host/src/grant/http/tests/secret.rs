//! Secrets are filled in where they belong, and shown nowhere.

use super::*;

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
