//! Requests that are let in and requests that are not, with the vectors that the authors of the schemes publish.

use super::super::file::{ChannelFile, SenderFile};
use super::{Asked, Denied, Early, Sender, Verified, by_body, early};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::path::Path;
use tripline_core::rule::kind::EventTime;

/// A channel with these senders, and secrets by the names of their files.
fn senders(text: &str, secrets: &[(&str, &str)]) -> Vec<Sender> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, secret) in secrets {
        std::fs::write(folder.path().join(name), secret).expect("written");
    }
    let text = format!("source = \"x\"\n{text}");
    let file = ChannelFile::parse(Path::new("c.toml"), &text).expect("a sound file");
    let new = |one: &SenderFile| Sender::new(one, folder.path()).expect("a sound sender");
    file.senders.iter().map(new).collect()
}

fn headers(all: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (
            HeaderName::from_bytes(name.as_bytes()).expect("a name"),
            HeaderValue::from_str(value).expect("a value"),
        )
    };
    all.iter().map(pair).collect()
}

fn at(seconds: i64) -> EventTime {
    EventTime::from_micros(seconds * 1_000_000)
}

/// Who a POST is, as far as it can be told.
fn who(
    senders: &[Sender],
    path_and_query: (&str, &str),
    headers: &HeaderMap,
    body: &[u8],
    now: EventTime,
) -> Result<Verified, Denied> {
    let asked = Asked {
        method: &Method::POST,
        path: path_and_query.0,
        query: path_and_query.1,
        headers,
        certificate: None,
        now,
    };
    match early(senders, asked) {
        Early::Known(verified) => Ok(verified),
        Early::Denied(why) => Err(why),
        Early::Body => by_body(senders, asked, body),
    }
}

const HERE: (&str, &str) = ("/v1/channels/c/events", "");

/// The SHA-256 of `secret-key`.
const KEY: &str = "85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa";

#[test]
fn keys_are_taken_where_keys_usually_are() {
    let all = senders(
        &format!("[[senders]]\nname = \"a\"\ntype = \"key\"\nkeys = [{{ sha256 = \"{KEY}\" }}]"),
        &[],
    );
    for (name, value, is_in) in [
        ("authorization", "Bearer secret-key", true),
        ("authorization", "Splunk secret-key", true),
        ("authorization", "secret-key", true),
        // x:secret-key
        ("authorization", "Basic eDpzZWNyZXQta2V5", true),
        ("x-api-key", "secret-key", true),
        ("authorization", "Bearer secret-kez", false),
        ("authorization", "Digest secret-key", false),
        ("x-other", "secret-key", false),
    ] {
        let found = who(&all, HERE, &headers(&[(name, value)]), b"", at(0));
        assert_eq!(found.is_ok(), is_in, "{name}: {value}: {found:?}");
    }
    assert_eq!(
        who(&all, HERE, &headers(&[]), b"", at(0)),
        Err(Denied::Missing)
    );
}

#[test]
fn keys_and_senders_end() {
    let all = senders(
        &format!(
            "[[senders]]\nname = \"a\"\ntype = \"key\"\nkeys = [{{ sha256 = \"{KEY}\", expires = 1970-01-01T00:01:00Z }}]"
        ),
        &[],
    );
    let given = headers(&[("x-api-key", "secret-key")]);
    assert!(who(&all, HERE, &given, b"", at(59)).is_ok());
    assert_eq!(who(&all, HERE, &given, b"", at(60)), Err(Denied::Expired));
    let all = senders(
        &format!(
            "[[senders]]\nname = \"a\"\ntype = \"key\"\nexpires = \"1970-01-01T00:01:00Z\"\nkeys = [{{ sha256 = \"{KEY}\" }}]"
        ),
        &[],
    );
    assert!(who(&all, HERE, &given, b"", at(59)).is_ok());
    assert_eq!(who(&all, HERE, &given, b"", at(60)), Err(Denied::Expired));
}

#[test]
fn standard_webhooks_are_verified_as_their_authors_sign() {
    // The example of the specification.
    let all = senders(
        "[[senders]]\nname = \"a\"\ntype = \"hmac\"\nscheme = \"standard-webhooks\"\nsecret_files = [\"old\", \"s\"]",
        &[
            ("old", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ("s", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ],
    );
    let body = br#"{"test": 2432232314}"#;
    let given = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];
    let found = who(&all, HERE, &headers(&given), body, at(1_614_265_330)).expect("let in");
    assert_eq!(
        found.message.as_deref(),
        Some("msg_p5jXN8AQM9LWM0D4loKWxJek")
    );
    let later = |seconds: i64| {
        who(
            &all,
            HERE,
            &headers(&given),
            body,
            at(1_614_265_330 + seconds),
        )
    };
    assert!(later(300).is_ok() && later(-300).is_ok());
    assert_eq!(later(301), Err(Denied::Time));
    assert_eq!(later(-301), Err(Denied::Time));
    let mut other = given;
    other[0].1 = "msg_other";
    assert_eq!(
        who(&all, HERE, &headers(&other), body, at(1_614_265_330)),
        Err(Denied::Signature)
    );
    assert_eq!(
        who(&all, HERE, &headers(&given), b"{}", at(1_614_265_330)),
        Err(Denied::Signature)
    );
    assert_eq!(
        who(&all, HERE, &headers(&given[..2]), body, at(1_614_265_330)),
        Err(Denied::Missing)
    );
}

#[test]
fn github_slack_and_stripe_are_verified_as_they_document() {
    let github = senders(
        "[[senders]]\nname = \"a\"\ntype = \"hmac\"\nscheme = \"github\"\nsecret_files = [\"s\"]",
        &[("s", "It's a Secret to Everybody")],
    );
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let given = headers(&[("x-hub-signature-256", signature)]);
    assert!(who(&github, HERE, &given, b"Hello, World!", at(0)).is_ok());
    assert_eq!(
        who(&github, HERE, &given, b"Hello, World?", at(0)),
        Err(Denied::Signature)
    );
    let slack = senders(
        "[[senders]]\nname = \"a\"\ntype = \"hmac\"\nscheme = \"slack\"\nsecret_files = [\"s\"]",
        &[("s", "8f742231b10e8888abcd99yyyzzz85a5")],
    );
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let given = headers(&[
        ("x-slack-request-timestamp", "1531420618"),
        (
            "x-slack-signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        ),
    ]);
    assert!(who(&slack, HERE, &given, body, at(1_531_420_618)).is_ok());
    assert_eq!(
        who(&slack, HERE, &given, body, at(1_531_421_618)),
        Err(Denied::Time)
    );
    let stripe = senders(
        "[[senders]]\nname = \"a\"\ntype = \"hmac\"\nscheme = \"stripe\"\nsecret_files = [\"s\"]\ntolerance = \"10m\"",
        &[("s", "whsec_test_secret_0123")],
    );
    // openssl dgst -sha256 -hmac whsec_test_secret_0123 over `1700000000.{}`.
    let given = headers(&[(
        "stripe-signature",
        "t=1700000000,v0=00,v1=00,v1=a775949c9d573b4191ed89341b629d170bf8c26606ee418e5b521f069dfb5262",
    )]);
    assert!(who(&stripe, HERE, &given, b"{}", at(1_700_000_600)).is_ok());
    assert_eq!(
        who(&stripe, HERE, &given, b"{}", at(1_700_000_601)),
        Err(Denied::Time)
    );
}

#[test]
fn signatures_can_be_described() {
    let all = senders(
        "[[senders]]\nname = \"a\"\ntype = \"hmac\"\nscheme = \"custom\"\nsecret_files = [\"s\"]\n\
         [senders.custom]\nheader = \"x-sig\"\nprefix = \"v1:\"\nalgorithm = \"sha512\"\nencoding = \"base64\"\n\
         message = \"{id}|{timestamp}|{body}|end\"\ntimestamp_header = \"x-time\"\nid_header = \"x-id\"",
        &[("s", "0123456789abcdef0123")],
    );
    // printf '7|1700000000|{"a":1}|end' | openssl dgst -sha512 -hmac 0123456789abcdef0123 -binary | base64 -w0
    let given = |signature: &str| {
        headers(&[
            ("x-sig", signature),
            ("x-time", "1700000000"),
            ("x-id", "7"),
        ])
    };
    let sound = "v1:DLjOPB096cKCS8qfNKIURyKUFvyhnGE4ucdYTZBDNbVNICe5L+iPAYoOfqzJNYhgAGyupRDKogTucylFA4yCjQ==";
    let found = who(&all, HERE, &given(sound), br#"{"a":1}"#, at(1_700_000_100)).expect("let in");
    assert_eq!(
        (found.message.as_deref(), found.how.as_ref()),
        (Some("7"), "hmac:custom")
    );
    for wrong in ["v1:", "v1:!!", "v2:DLjOPB096cKCS8qfNKIU", ""] {
        assert!(who(&all, HERE, &given(wrong), br#"{"a":1}"#, at(1_700_000_100)).is_err());
    }
}

/// As botocore 1.44 signed it: the credentials, time and request are invented.
#[test]
fn aws_signatures_are_verified_as_botocore_makes_them() {
    let all = senders(
        "[[senders]]\nname = \"a\"\ntype = \"sigv4\"\naccess_key_id = \"TLKAEXAMPLEEXAMPLE12\"\nsecret_files = [\"old\", \"s\"]",
        &[
            ("old", "xxxxxxxxxxxxxxxxxxxxxxxx"),
            ("s", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        ],
    );
    let query = "channelArn=arn%3Aaws%3Acloudtrail%3Aus-east-1%3A111122223333%3Achannel%2Fbilling&externalId=x%3Dy";
    let body = br#"{"auditEvents": []}"#;
    let given = headers(&[
        ("host", "127.0.0.1:7878"),
        ("content-type", "application/json"),
        ("x-amz-date", "20260102T030405Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=TLKAEXAMPLEEXAMPLE12/20260102/us-east-1/cloudtrail-data/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=9fdf9ff1cde854ed66dd33e5bdf9592c2dd61b00f0385c01d7652c7d48232677",
        ),
    ]);
    let path = ("/PutAuditEvents", query);
    let time = at(1_767_323_045);
    let found = who(&all, path, &given, body, time).expect("let in");
    assert_eq!(found.region.as_deref(), Some("us-east-1"));
    assert_eq!(who(&all, path, &given, b"{}", time), Err(Denied::Signature));
    assert_eq!(
        who(&all, ("/PutAuditEvents", &query[1..]), &given, body, time),
        Err(Denied::Signature)
    );
    assert_eq!(
        who(&all, ("/Other", query), &given, body, time),
        Err(Denied::Signature)
    );
    assert_eq!(
        who(&all, path, &given, body, at(1_767_323_045 + 301)),
        Err(Denied::Time)
    );
}
