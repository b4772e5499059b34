//! Where plugins come from: what a component says of its making, versions that go back, and registries.

use crate::harness::Folder;
use crate::plugins::{SCAN, enricher, good, install, run, site, tools, under};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// `client.wasm` beside a rule that asks it, signed by `acme.key`, and the key that operators trust.
fn signed(name: &str) -> (Folder, String) {
    let folder = site(name, "");
    good(&folder, &["plugin", "keygen", "acme"]);
    sign(&folder, "client.wasm");
    let public = std::fs::read_to_string(under(&folder, "acme.pub")).expect("a key");
    let key = public.lines().nth(1).expect("its second line").to_owned();
    (folder, key)
}

fn sign(folder: &Folder, component: &str) {
    good(folder, &["plugin", "sign", component, "--key", "acme.key"]);
}

#[test]
fn a_component_says_what_it_is_made_of_and_the_signature_covers_it() {
    let (folder, _) = signed("origin");
    let ran = good(&folder, &["plugin", "inspect", "client.wasm"]);
    for wanted in [
        "made with   Rust, rustc 1.",
        "packages    3: ",
        "\n              acme-client-plugin 0.1.0: Apache-2.0, local\n",
        "\n              wit-bindgen 0.",
    ] {
        assert!(ran.stdout.contains(wanted), "{wanted}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("not read"), "{}", ran.stdout);
    let path = under(&folder, "client.wasm");
    let bytes = std::fs::read(&path).expect("the component");
    let verify = ["plugin", "verify", "client.wasm", "--key", "acme.pub"];
    good(&folder, &verify);
    // Of each list a byte is changed, and of the licenses one that leaves them readable.
    for section in [".dep-v0", "tripline:licenses", "Apache-2.0 WITH LLVM"] {
        let places = bytes.windows(section.len());
        let at = places.into_iter().position(|one| one == section.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{section} is there"));
        let mut changed = bytes.clone();
        changed[at + 1] ^= 2;
        std::fs::write(&path, changed).expect("it is written");
        let ran = run(&folder, &verify);
        assert_eq!(ran.code, 1, "{section}: {}", ran.stdout);
    }
}

/// What strangers write into sections reaches no terminal as it is.
#[test]
fn what_a_component_says_is_made_printable() {
    let folder = Folder::new("hostile-origin");
    let mut bytes = std::fs::read(enricher()).expect("the component");
    let mut custom = |name: &str, data: &[u8]| {
        let length = 1 + name.len() + data.len();
        bytes.extend([
            0,
            (length & 0x7f) as u8 | 0x80,
            (length >> 7) as u8,
            name.len() as u8,
        ]);
        bytes.extend(name.as_bytes());
        bytes.extend(data);
    };
    custom("authors", b"\x1b[31mroot\nplugin      good/one");
    custom("revision", &[b'x'; 5000]);
    custom(
        "tripline:licenses",
        b"{\"acme-client 0.1.0\":\"\\u001b[2J\"}",
    );
    std::fs::write(under(&folder, "client.wasm"), bytes).expect("it is written");
    let ran = good(&folder, &["plugin", "inspect", "client.wasm"]);
    assert!(!ran.stdout.contains('\x1b'), "{:?}", ran.stdout);
    let lines = ran.stdout.lines();
    assert_eq!(lines.filter(|line| line.contains("good/one")).count(), 1);
    assert!(!ran.stdout.contains("\nplugin      good/one"));
    let told = "not read    `revision`: longer than 4096 bytes";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
}

/// The component in this version, signed, in the place of the one that is there.
fn in_version(folder: &Folder, version: &str) {
    let mut bytes = std::fs::read(enricher()).expect("the component");
    let was = b"version = \"0.1.0\"";
    let places = bytes.windows(was.len());
    let at = places.into_iter().position(|one| one == was);
    let at = at.expect("the manifest is there") + b"version = \"".len();
    assert_eq!(version.len(), 5);
    bytes[at..at + 5].copy_from_slice(version.as_bytes());
    std::fs::write(under(folder, "client.wasm"), bytes).expect("it is written");
    sign(folder, "client.wasm");
}

/// Trusts the key; `more` is of the plugin.
fn trusting(folder: &Folder, key: &str, more: &str) {
    let text = format!(
        "[trust]\nkeys = [{{ key = \"{key}\", names = [\"acme/*\"], capabilities = [] }}]\n\
         [plugins.client]\npath = \"client.wasm\"\n{more}"
    );
    folder.file("plugins.toml", text);
}

fn runs(folder: &Folder) {
    assert_eq!(good(folder, SCAN).stdout.lines().count(), 1);
}

/// Neither `scan` nor `inspect` takes the plugin, and both say why.
fn is_off(folder: &Folder, why: &str) {
    for arguments in [SCAN, &["plugin", "inspect", "--plugins", "plugins.toml"]] {
        let ran = run(folder, arguments);
        assert_ne!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(why), "{arguments:?}: {why}: {all}");
    }
}

#[test]
fn versions_do_not_go_back_unnoticed() {
    let (folder, key) = signed("rollback");
    trusting(&folder, &key, "");
    in_version(&folder, "0.2.0");
    runs(&folder);
    in_version(&folder, "0.1.9");
    is_off(
        &folder,
        "version 0.1.9 is older than 0.2.0, which ran before; to go back, pin it",
    );
    // Unless the operator means these very bytes.
    let inspected = run(&folder, &["plugin", "inspect", "client.wasm"]);
    let digest = inspected
        .stdout
        .lines()
        .find_map(|line| line.trim().strip_prefix("digest"));
    let digest = digest.expect("it is told").trim().to_owned();
    trusting(&folder, &key, &format!("digest = \"{digest}\"\n"));
    runs(&folder);
    // Which does not make it forget what ran.
    trusting(&folder, &key, "");
    is_off(&folder, "older than 0.2.0");
    in_version(&folder, "0.2.0");
    runs(&folder);
    in_version(&folder, "0.3.0");
    runs(&folder);
    in_version(&folder, "0.2.0");
    is_off(&folder, "version 0.2.0 is older than 0.3.0");
    // A record that somebody changed is no record.
    let cache = under(&folder, "cache/tripline/plugins");
    let entries = std::fs::read_dir(cache)
        .expect("the cache")
        .filter_map(Result::ok);
    let mut records =
        entries.filter(|one| one.path().extension().is_some_and(|it| it == "version"));
    let record = records.next().expect("it is remembered").path();
    assert!(records.next().is_none());
    let text = std::fs::read(&record).expect("the record");
    let end = text.len() - b"0.3.0".len();
    std::fs::write(&record, [&text[..end], b"0.1.0"].concat()).expect("it is written");
    is_off(&folder, "is not this host's");
    // Another cache knows of nothing.
    good(&folder, &[SCAN, &["--plugin-cache", "other"]].concat());
}

#[test]
fn an_operator_says_from_which_version_on() {
    let (folder, key) = signed("version-min");
    trusting(&folder, &key, "version_min = \"0.1.5\"\n");
    in_version(&folder, "0.1.4");
    let why = "version 0.1.4 is older than 0.1.5, the least that the operator's file allows (`version_min`)";
    is_off(&folder, why);
    in_version(&folder, "0.1.5");
    runs(&folder);
    // It counts for what nobody signed, too, whose versions are not remembered.
    std::fs::remove_file(under(&folder, "client.wasm.minisig")).expect("it goes");
    let unsigned = |least: &str| {
        let text = format!(
            "[trust]\nunsigned = \"allow\"\n[plugins.client]\npath = \"client.wasm\"\nversion_min = \"{least}\"\n"
        );
        folder.file("plugins.toml", text);
    };
    unsigned("1.0.0");
    is_off(&folder, "version 0.1.5 is older than 1.0.0");
    std::fs::copy(enricher(), under(&folder, "client.wasm")).expect("the component is there");
    unsigned("0.1.0");
    runs(&folder);
}

/// Debian's registry, unpacked into the folder of tools, once for all tests.
fn registry_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(unpacked_registry)
}

fn unpacked_registry() -> PathBuf {
    let folder = tools().join("docker-registry");
    let program = folder.join("usr/bin/docker-registry");
    if program.exists() {
        return program;
    }
    let what = "the registry of the tests (Debian's package docker-registry)";
    let downloads = tools().join("docker-registry-package");
    std::fs::create_dir_all(&downloads).expect("a folder for the package");
    let words =
        "cd \"$1\" && apt-get download -qq docker-registry && dpkg -x docker-registry_*.deb \"$2\"";
    let (from, to) = (
        downloads.display().to_string(),
        folder.display().to_string(),
    );
    install("sh", &["-c", words, "sh", &from, &to], what);
    assert!(program.exists(), "{what} has no program");
    program
}

/// A registry on this machine, until it is dropped.
struct Registry {
    child: Child,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a registry that keeps its things in the folder; `auth` is a part of its settings.
fn registry(folder: &Folder, auth: &str) -> Registry {
    let kept = under(folder, "registry").display().to_string();
    // Port 0 is not told by the registry, so that a free one is taken here.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let settings = format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {kept}\nhttp:\n  addr: {address}\n{auth}"
    );
    folder.file("registry.yml", settings);
    let mut child = Command::new(registry_program())
        .arg("serve")
        .arg(under(folder, "registry.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the registry starts");
    let log = child.stderr.take().expect("its log");
    let mut registry = Registry { child, address };
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    let mut seen = Vec::new();
    let is_up = lines.by_ref().any(|line| {
        seen.push(line.clone());
        line.contains("listening on")
    });
    let ended = registry.child.try_wait();
    assert!(is_up, "the registry does not start ({ended:?}): {seen:#?}");
    // What it writes has to go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    registry
}

/// What follows `oci = "` in an output.
fn pinned(text: &str) -> String {
    let rest = text.split_once("oci = \"").map(|(_, rest)| rest);
    let rest = rest.unwrap_or_else(|| panic!("{text}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn plugins_are_pushed_pulled_and_run_from_a_registry() {
    let (folder, key) = signed("registry");
    let registry = registry(&folder, "");
    let reference = format!("{}/acme/client:0.1.0", registry.address);
    let ran = good(&folder, &["plugin", "push", &reference, "client.wasm"]);
    assert!(ran.stdout.contains("with its signature"), "{}", ran.stdout);
    let pin = pinned(&ran.stdout);
    let again = good(&folder, &["plugin", "push", &reference, "client.wasm"]);
    assert_eq!(
        pinned(&again.stdout),
        pin,
        "the same bytes, the same digest"
    );
    let ran = good(
        &folder,
        &["plugin", "pull", &reference, "-o", "pulled.wasm"],
    );
    assert_eq!(pinned(&ran.stdout), pin);
    let read = |name: &str| std::fs::read(under(&folder, name)).expect("it is there");
    assert_eq!(read("pulled.wasm"), read("client.wasm"));
    assert_eq!(read("pulled.wasm.minisig"), read("client.wasm.minisig"));
    good(
        &folder,
        &["plugin", "verify", "pulled.wasm", "--key", "acme.pub"],
    );
    let operator = |oci: &str| {
        let text = format!(
            "[trust]\nkeys = [{{ key = \"{key}\", names = [\"acme/*\"], capabilities = [] }}]\n\
             [plugins.client]\noci = \"{oci}\"\n"
        );
        folder.file("plugins.toml", text);
    };
    operator(&pin);
    runs(&folder);
    // A tag is not for an operator's file.
    operator(&reference);
    is_off(&folder, "is no artifact with a digest");
    // What is not there, and what is not signed.
    let none = format!("{}/acme/none:1.0", registry.address);
    let ran = run(&folder, &["plugin", "pull", &none]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("the registry says 404"),
        "{}",
        ran.stderr
    );
    std::fs::copy(enricher(), under(&folder, "bare.wasm")).expect("it is copied");
    let bare = format!("{}/acme/bare:1", registry.address);
    let ran = good(&folder, &["plugin", "push", &bare, "bare.wasm"]);
    operator(&pinned(&ran.stdout));
    is_off(&folder, "the component has no signature");
    // What a host would not load is not pushed.
    folder.file("text.wasm", "hello");
    let ran = run(&folder, &["plugin", "push", &bare, "text.wasm"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    // Without the registry it comes from the cache, and without that not at all.
    drop(registry);
    operator(&pin);
    runs(&folder);
    let ran = run(&folder, &[SCAN, &["--plugin-cache", "empty"]].concat());
    assert_ne!(ran.code, 0);
    let ran = run(&folder, &["plugin", "pull", &reference]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no answer"), "{}", ran.stderr);
}

#[test]
fn a_registry_that_wants_to_know_who_asks_is_told() {
    let (folder, _) = signed("registry-login");
    // The password is `abc`.
    let hash = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
    folder.file("htpasswd", format!("ada:{hash}\n"));
    let path = under(&folder, "htpasswd").display().to_string();
    let auth = format!("auth:\n  htpasswd:\n    realm: tests\n    path: {path}\n");
    let registry = registry(&folder, &auth);
    let reference = format!("{}/acme/client:0.1.0", registry.address);
    let push = ["plugin", "push", &reference, "client.wasm"];
    let with = |password: &str| {
        let output = crate::harness::tripline(&push)
            .current_dir(folder.path())
            .env("DOCKER_CONFIG", under(&folder, "docker"))
            .env("TRIPLINE_REGISTRY", &registry.address)
            .env("TRIPLINE_REGISTRY_USER", "ada")
            .env("TRIPLINE_REGISTRY_PASSWORD", password)
            .output();
        crate::harness::Ran::from(output.expect("the binary runs"))
    };
    let without = |wanted: &str| {
        let output = crate::harness::tripline(&["plugin", "pull", &reference])
            .current_dir(folder.path())
            .env("DOCKER_CONFIG", under(&folder, "docker"))
            .output();
        let ran = crate::harness::Ran::from(output.expect("the binary runs"));
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(wanted), "{wanted}: {all}");
    };
    assert_eq!(with("wrong").code, 2);
    let ran = with("abc");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    without("it wants to know who asks: `docker login 127.0.0.1:");
    let config = format!(
        r#"{{"auths":{{"{}":{{"auth":"YWRhOmFiYw=="}}}}}}"#,
        registry.address
    );
    folder.file("docker/config.json", config);
    without("pulled client.wasm (with its signature): acme/client 0.1.0");
}
