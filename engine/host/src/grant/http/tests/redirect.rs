//! Answers that lead elsewhere.

use super::*;

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
