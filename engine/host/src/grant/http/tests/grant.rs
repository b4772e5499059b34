//! What was granted is sent, and nothing else.

use super::*;

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
