//! References, logins, manifests of artifacts, and blobs on disk; registries themselves are in the server's tests.

use super::client::parameters;
use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn references_name_their_registry() {
    let pinned = format!("@sha256:{HEX}");
    for (text, registry, repository) in [
        (
            "registry.example/acme/geo:1.4.2",
            "registry.example",
            "acme/geo",
        ),
        ("localhost/geo:latest", "localhost", "geo"),
        (
            "localhost:5000/a/b/c-d.e__f:x",
            "localhost:5000",
            "a/b/c-d.e__f",
        ),
        ("[::1]:5000/geo:1", "[::1]:5000", "geo"),
        ("host:5000/geo:v1_2", "host:5000", "geo"),
    ] {
        let found = Reference::new(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(
            (&*found.registry, &*found.repository),
            (registry, repository)
        );
        assert_eq!(found.to_string(), text);
        assert_eq!(found.digest(), None);
    }
    let both = Reference::new(&format!("a.example/geo:1.0{pinned}")).expect("it is one");
    assert_eq!(both.to_string(), format!("a.example/geo{pinned}"));
    assert_eq!(both.digest(), Some(Digest::of(b"")));
    for bad in [
        "",
        "geo:1",
        "acme/geo:1",
        "a.example/geo",
        "a.example/:1",
        "a.example/Geo:1",
        "a.example/-geo:1",
        "a.example/a//b:1",
        "a.example/a/../b:1",
        "a.example/geo:",
        "a.example/geo:.1",
        "a.example/geo:1 2",
        "a.example/geo@sha256:12",
        "a.example:0/geo:1",
        "a.example:port/geo:1",
        "user@a.example/geo:1",
        "https://a.example/geo:1",
        "-a.example/geo:1",
        "a..example/geo:1",
        "[::1/geo:1",
        "a.example/geo?x=1:1",
        &format!("a.example/{}:1", "x".repeat(256)),
        &format!("a.example/x:{}", "1".repeat(129)),
    ] {
        assert_eq!(Reference::new(bad), None, "{bad}");
    }
}

#[test]
fn plain_http_is_for_this_machine() {
    for (registry, is) in [
        ("localhost", true),
        ("localhost:5000", true),
        ("127.0.0.1:5000", true),
        ("[::1]:5000", true),
        ("127.0.0.1.example:5000", false),
        ("localhost.example", false),
        ("10.0.0.1:5000", false),
    ] {
        let reference = Reference::new(&format!("{registry}/geo:1")).expect("it is one");
        assert_eq!(reference.is_loopback(), is, "{registry}");
    }
}

#[test]
fn logins_are_for_one_registry() {
    let login = |user: &str| Login {
        user: user.to_owned(),
        password: "b:c".to_owned(),
    };
    let docker = r#"{"auths":{"a.example":{"auth":"dTpiOmM="},"https://b.example":{"auth":"dTpiOmM="},
        "https://index.docker.io/v1/":{"auth":"dTpiOmM="},"bad.example":{"auth":"x"},"empty.example":{}},
        "credHelpers":{"c.example":"ecr"}}"#;
    let credentials = Credentials {
        given: Some(("own.example".to_owned(), login("me"))),
        docker: Some(docker.to_owned()),
    };
    assert_eq!(credentials.of("own.example"), Ok(login("me")));
    for registry in ["a.example", "b.example", "docker.io"] {
        assert_eq!(credentials.of(registry), Ok(login("u")), "{registry}");
    }
    for (registry, words) in [
        ("c.example", "a program of its own"),
        ("d.example", "`docker login d.example`"),
        ("own.example:5000", "`docker login own.example:5000`"),
        ("empty.example", "`docker login empty.example`"),
        ("bad.example", "is no login"),
    ] {
        let why = credentials.of(registry).expect_err("there is none");
        assert!(why.contains(words), "{registry}: {why}");
    }
    assert!(Credentials::default().of("a.example").is_err());
    // A password reaches no message.
    assert!(!format!("{:?}", credentials.given).contains("b:c"));
    assert_eq!(login("u").header(), "Basic dTpiOmM=");
}

#[test]
fn challenges_are_taken_apart() {
    let found = parameters(r#"realm="https://a.example/token",service="a, b", scope=x"#);
    let wanted = [
        ("realm", "https://a.example/token"),
        ("service", "a, b"),
        ("scope", "x"),
    ];
    let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(found, wanted);
    for text in ["", "=", "realm=\"", "\"\"\"", ",,,"] {
        parameters(text);
    }
}

#[test]
fn artifacts_that_are_no_plugins_are_told_apart() {
    let text = |config: &str, layers: &str| {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"x","size":1}},"layers":[{layers}]}}"#
        )
    };
    let layer = |kind: &str, digest: &str, size: u64| {
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#)
    };
    let digest = format!("sha256:{HEX}");
    let good = layer(COMPONENT_TYPE, &digest, 5);
    let found = layer_of(text(CONFIG_TYPE, &good).as_bytes());
    assert_eq!(found, Ok((Digest::of(b""), 5, None)));
    let check = |text: String, why: &str| {
        let found = layer_of(text.as_bytes()).expect_err(why);
        assert!(found.contains(why), "{found}");
    };
    check("{}".to_owned(), "not that of an artifact");
    check(text("image", &good), "its config is `image`");
    check(text(CONFIG_TYPE, ""), "it has 0 layers");
    check(
        text(CONFIG_TYPE, &format!("{good},{good}")),
        "it has 2 layers",
    );
    check(
        text(CONFIG_TYPE, &layer("tar", &digest, 5)),
        "its layer is `tar`",
    );
    check(
        text(CONFIG_TYPE, &layer(COMPONENT_TYPE, "md5:1", 5)),
        "is no SHA-256",
    );
    check(
        text(CONFIG_TYPE, &layer(COMPONENT_TYPE, &digest, 1 << 40)),
        "at most",
    );
}

#[test]
fn blobs_are_held_against_their_names() {
    let folder = std::env::temp_dir().join(format!("tripline-blobs-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let blobs = Blobs::open(&folder).expect("it opens");
    let digest = Digest::of(b"hello");
    assert_eq!(blobs.get(digest, 100), None);
    blobs.put(digest, b"hello").expect("it is written");
    assert_eq!(blobs.get(digest, 5).as_deref(), Some(b"hello".as_slice()));
    assert_eq!(blobs.get(digest, 4), None);
    let path = folder.join(format!("{}.blob", crate::engine::hex(&digest.0)));
    std::fs::write(&path, b"hellp").expect("it is written");
    assert_eq!(blobs.get(digest, 100), None);
    let none = Blobs::default();
    none.put(digest, b"hello").expect("nothing is kept");
    assert_eq!(none.get(digest, 100), None);
    let _ = std::fs::remove_dir_all(&folder);
}

/// Answers requests on this machine until it is dropped, and keeps their heads.
struct Server {
    registry: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the first line of a request and its head, and gives status and headers, and the body.
    fn new(answer: impl Fn(&str, &str) -> (String, Vec<u8>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let registry = listener.local_addr().expect("an address").to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = heads.clone();
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let mut reader = BufReader::new(&stream);
                let (mut head, mut line) = (String::new(), String::new());
                while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                    head += &line;
                    line.clear();
                }
                let (status, body) = answer(head.lines().next().unwrap_or_default(), &head);
                kept.lock().expect("it is kept").push(head);
                let length = body.len();
                let top = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
                );
                let _ = (&stream).write_all(&[top.as_bytes(), &body].concat());
            }
        });
        Self { registry, heads }
    }

    fn pull(&self, which: &str, credentials: Credentials) -> Result<Pulled, String> {
        let reference = Reference::new(&format!("{}/acme/geo{which}", self.registry));
        let reference = reference.expect("it is one");
        let registry = Registry::of(&reference, credentials, PlainHttp::Loopback);
        let pulled = registry
            .expect("it opens")
            .pull(&reference, &Blobs::default());
        pulled.map_err(|fault| fault.to_string())
    }
}

const COMPONENT: &[u8] = b"hello";

fn manifest() -> Vec<u8> {
    let artifact = Artifact {
        schema_version: 2,
        media_type: None,
        config: Descriptor::of(CONFIG_TYPE, b"{}"),
        layers: vec![Descriptor::of(COMPONENT_TYPE, COMPONENT)],
        annotations: BTreeMap::from([(SIGNATURE_ANNOTATION.to_owned(), "signed".to_owned())]),
    };
    serde_json::to_vec(&artifact).expect("it is JSON")
}

/// A registry that does as it should, with another answer where `odd` has one.
fn odd(odd: impl Fn(&str, &str) -> Option<(String, Vec<u8>)> + Send + 'static) -> Server {
    Server::new(move |line, head| match odd(line, head) {
        Some(answer) => answer,
        None if line.contains("/manifests/") => ("200 OK".to_owned(), manifest()),
        None => ("200 OK".to_owned(), COMPONENT.to_vec()),
    })
}

#[test]
fn what_is_pulled_is_what_was_asked_for() {
    let good = odd(|_, _| None);
    let pulled = good.pull(":1.0", Credentials::default()).expect("it comes");
    assert_eq!(pulled.component, COMPONENT);
    assert_eq!(pulled.signature.as_deref(), Some("signed"));
    assert_eq!(pulled.digest, Digest::of(&manifest()));
    let pinned = format!("@{}", pulled.digest);
    assert_eq!(good.pull(&pinned, Credentials::default()), Ok(pulled));
    let check = |server: Server, which: &str, why: &str| {
        let found = server.pull(which, Credentials::default()).expect_err(why);
        assert!(found.contains(why), "{why}: {found}");
    };
    let other = format!("@{}", Digest::of(b"other"));
    check(good, &other, "was asked for");
    let blob = |status: &'static str, body: &'static [u8]| {
        odd(move |line, _| {
            let is_blob = line.contains("/blobs/");
            is_blob.then(|| (status.to_owned(), body.to_vec()))
        })
    };
    check(blob("200 OK", b"hellp"), ":1", "was asked for");
    check(blob("200 OK", b"hell"), ":1", "was asked for");
    check(blob("200 OK", b"hello, world"), ":1", "longer than 5 bytes");
    check(
        blob(
            "404 Not Found",
            br#"{"errors":[{"message":"blob unknown"}]}"#,
        ),
        ":1",
        "the registry says 404: blob unknown",
    );
    // Its words stay on their line and move no cursor.
    check(
        blob(
            "404 Not Found",
            br#"{"errors":[{"message":"gone\n\u001b[2Kverified"}]}"#,
        ),
        ":1",
        r"the registry says 404: gone\u{a}\u{1b}[2Kverified",
    );
    let long = odd(|_, _| Some(("200 OK".to_owned(), vec![b' '; OCI_MANIFEST_BYTES_MAX + 1])));
    check(long, ":1", "longer than 1048576 bytes");
    check(
        odd(|_, _| Some(("200 OK".to_owned(), b"{}".to_vec()))),
        ":1",
        "it is no plugin",
    );
    let nobody = Server {
        registry: "127.0.0.1:1".to_owned(),
        heads: Arc::default(),
    };
    check(nobody, ":1", "no answer");
}

#[test]
fn one_that_takes_the_question_and_says_nothing_is_not_waited_for_long() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = Server {
        registry: listener.local_addr().expect("an address").to_string(),
        heads: Arc::default(),
    };
    let begun = std::time::Instant::now();
    let fault = silent
        .pull(":1", Credentials::default())
        .expect_err("it says nothing");
    assert!(fault.contains("no answer"), "{fault}");
    let took = begun.elapsed();
    assert!(took < 3 * crate::limits::OCI_ANSWER_TIMEOUT, "{took:?}");
}

#[test]
fn redirects_lead_nowhere_else_without_need() {
    let redirect = |to: &'static str| {
        odd(move |line, _| {
            let is_blob = line.contains("/blobs/");
            is_blob.then(|| {
                (
                    format!("307 Temporary Redirect\r\nlocation: {to}"),
                    Vec::new(),
                )
            })
        })
    };
    for (to, why) in [
        ("http://127.0.0.1:1/x", "it leads to plain HTTP"),
        ("//elsewhere.example/x", "it leads to plain HTTP"),
        ("ftp://elsewhere.example/x", "it leads to plain HTTP"),
        ("https://me@elsewhere.example/x", "it holds a login"),
        ("/v2/acme/geo/blobs/again", "there are too many"),
        ("", "it is no address"),
    ] {
        let found = redirect(to).pull(":1", Credentials::default());
        let found = found.expect_err(why);
        assert!(found.contains(why), "{to}: {found}");
    }
}

#[test]
fn logins_reach_the_registry_that_they_are_for() {
    let login = Login {
        user: "u".to_owned(),
        password: "b:c".to_owned(),
    };
    let basic = || {
        odd(|_, head| {
            let has = head
                .to_ascii_lowercase()
                .contains("authorization: basic dtpiomm=");
            let status = "401 Unauthorized\r\nwww-authenticate: Basic realm=\"x\"";
            (!has).then(|| (status.to_owned(), Vec::new()))
        })
    };
    let server = basic();
    let own = Credentials {
        given: Some((server.registry.clone(), login.clone())),
        docker: None,
    };
    assert!(server.pull(":1", own).is_ok());
    let server = basic();
    let others = Credentials {
        given: Some(("other.example".to_owned(), login.clone())),
        docker: None,
    };
    let found = server.pull(":1", others).expect_err("it has no login");
    assert!(found.contains("TRIPLINE_REGISTRY_PASSWORD"), "{found}");
    let heads = server.heads.lock().expect("they are kept").join("");
    assert!(
        !heads.to_ascii_lowercase().contains("authorization"),
        "{heads}"
    );
    // A token, from a place that the registry names.
    let server = Server::new(|line, head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.unwrap_or_default();
        let has = |text: &str| head.contains(text);
        if line.starts_with("GET /token?service=a%20b&scope=repository:acme/geo:pull ") {
            assert!(has("authorization: Basic dTpiOmM="), "{head}");
            return ("200 OK".to_owned(), br#"{"token":"t0"}"#.to_vec());
        }
        if !has("authorization: Bearer t0") {
            let status = format!(
                "401 Unauthorized\r\nwww-authenticate: Bearer realm=\"http://{host}/token\",service=\"a b\",scope=\"repository:acme/geo:pull\""
            );
            return (status, Vec::new());
        }
        match line.contains("/manifests/") {
            true => ("200 OK".to_owned(), manifest()),
            false => ("200 OK".to_owned(), COMPONENT.to_vec()),
        }
    });
    let own = Credentials {
        given: Some((server.registry.clone(), login.clone())),
        docker: None,
    };
    server.pull(":1", own).expect("it comes");
    // Nothing is told to a place without HTTPS.
    let server = odd(|_, _| {
        let status =
            "401 Unauthorized\r\nwww-authenticate: Bearer realm=\"http://elsewhere.example/token\"";
        Some((status.to_owned(), Vec::new()))
    });
    let own = Credentials {
        given: Some((server.registry.clone(), login)),
        docker: None,
    };
    let found = server.pull(":1", own).expect_err("it is refused");
    assert!(found.contains("is not HTTPS"), "{found}");
}
