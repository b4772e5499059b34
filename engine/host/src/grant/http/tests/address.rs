//! Which addresses are reached.

use super::*;

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
