//! Where plugins come from: what a component says of its making, versions that go back, and registries.

use crate::harness::Folder;
use crate::plugins::{enricher, good, run, under};

/// `client.wasm` in a new folder, signed by `acme.key`, and the key that operators trust.
fn signed(name: &str) -> (Folder, String) {
    let folder = Folder::new(name);
    std::fs::copy(enricher(), under(&folder, "client.wasm")).expect("the component is there");
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
