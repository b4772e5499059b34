//! Where plugins come from: what a component says of its making, versions that go back, and registries.

use crate::harness::Folder;
use crate::plugins::{SCAN, enricher, good, run, site, under};

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
        "\n              acme-client 0.1.0: Apache-2.0, local\n",
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
