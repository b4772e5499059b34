//! What was not granted is not there.

use crate::guest::{
    CONFIGURE, PRELUDE, REALLOC, batch, component_of, data, echo, enrich, host, load_into,
    manifest, module, numbers, shared,
};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tripline_host::grant::events::{EventRows, Value};
use tripline_host::manifest::Limits;
use tripline_host::operator::Rights;
use tripline_host::{Batch, Fault, LoadError, Loading, TrapKind};
use wit_parser::Resolve;

/// The contract, and a world of ours.
fn contract(world: &str) -> Resolve {
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    resolve.push_dir(folder).expect("the contract parses");
    let wasi = "package wasi:cli@0.2.0; interface environment { ready: func() -> u32; }";
    resolve.push_str("wasi.wit", wasi).expect("it parses");
    let text = format!("package test:guest; world guest {{ {world} }}");
    resolve.push_str("guest.wit", &text).expect("it parses");
    resolve
}

fn guest(world: &str, imports: &str, parts: &str) -> Vec<u8> {
    let module = format!("(module {imports} {PRELUDE} {REALLOC} {CONFIGURE} {parts})");
    component_of(&contract(world), "test:guest/guest", &module)
}

const ENRICHER: &str = "include tripline:plugin/enricher@1.0.0;";

fn echo_parts() -> String {
    enrich("(call $answer (local.get $at) (local.get $bytes))")
}

const CLOCK: &str = r#"(import "tripline:plugin/clock@1.0.0" "now-ms" (func $now (result i64)))"#;

#[test]
fn an_import_that_was_not_granted_is_named() {
    let component = guest(ENRICHER, CLOCK, &echo_parts());
    let load = |rights| load_into(host(), &component, manifest("enricher", ""), rights);
    match load(Rights::default()) {
        Err(LoadError::NotGranted { imports, .. }) => {
            assert_eq!(imports, ["tripline:plugin/clock@1.0.0"]);
        }
        other => panic!("{other:?}"),
    }
    let rights = Rights {
        clock: true,
        ..Rights::default()
    };
    load(rights).expect("it loads");
}

#[test]
fn what_a_world_does_not_have_cannot_be_granted() {
    let world = "include tripline:plugin/policy@1.0.0; import tripline:plugin/clock@1.0.0;";
    let decide = format!(
        r#"{} (func (export "tripline:plugin/decide@1.0.0#decide") (param i32 i32) (result i32)
            (i32.const 1024))"#,
        data(1024, &[0; 12])
    );
    let component = guest(world, CLOCK, &decide);
    let rights = Rights {
        clock: true,
        ..Rights::default()
    };
    match load_into(host(), &component, manifest("policy", ""), rights) {
        Err(LoadError::NotGranted { imports, .. }) => {
            assert_eq!(imports, ["tripline:plugin/clock@1.0.0"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn wasi_is_refused_with_a_hint() {
    let world = format!("{ENRICHER} import wasi:cli/environment@0.2.0;");
    let import = r#"(import "wasi:cli/environment@0.2.0" "ready" (func (result i32)))"#;
    let component = guest(&world, import, &echo_parts());
    let error = load_into(
        host(),
        &component,
        manifest("enricher", ""),
        Rights::default(),
    )
    .expect_err("there is no WASI");
    assert_eq!(
        error.to_string(),
        "it imports what no host has: `wasi:cli/environment@0.2.0`; there is no WASI: build for \
         `wasm32-unknown-unknown`, or with the toolchain's `--stub-wasi`"
    );
}

#[test]
fn another_world_than_the_manifest_says_is_refused() {
    let component = guest(ENRICHER, "", &echo_parts());
    let error = load_into(
        host(),
        &component,
        manifest("detector", ""),
        Rights::default(),
    )
    .expect_err("it is no detector");
    assert_eq!(
        error.to_string(),
        "the manifest says `detector`, but the component exports `tripline:plugin/enrich@1.0.0`, \
         `tripline:plugin/setup@1.0.0`; a plugin of that world exports `setup`, `detect`"
    );
}

#[test]
fn a_function_that_is_newer_than_the_host_is_named() {
    let folder = crate::guest::folder("contract-1.1");
    std::fs::create_dir_all(&folder).expect("a folder");
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    for entry in std::fs::read_dir(contract).expect("the contract") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            let text = std::fs::read_to_string(&path).expect("text");
            let text = text.replace("tripline:plugin@1.0.0", "tripline:plugin@1.1.0");
            let text = text.replace(
                "now-ms: func() -> u64;",
                "now-ms: func() -> u64; zone: func() -> u32;",
            );
            std::fs::write(folder.join(path.file_name().expect("a name")), text).expect("written");
        }
    }
    let mut resolve = Resolve::default();
    resolve.push_dir(&folder).expect("it parses");
    let later = |text: &str| text.replace("@1.0.0", "@1.1.0");
    let rights = Rights {
        clock: true,
        ..Rights::default()
    };
    // What it has in common with this host is enough.
    let module = later(&format!(
        "(module {CLOCK} {PRELUDE} {REALLOC} {CONFIGURE} {})",
        echo_parts()
    ));
    let component = component_of(&resolve, "tripline:plugin/enricher", &module);
    load_into(host(), &component, manifest("enricher", ""), rights.clone()).expect("it loads");
    let import = r#"(import "tripline:plugin/clock@1.1.0" "zone" (func (result i32)))"#;
    let module = later(&format!(
        "(module {import} {PRELUDE} {REALLOC} {CONFIGURE} {})",
        echo_parts()
    ));
    let component = component_of(&resolve, "tripline:plugin/enricher", &module);
    match load_into(host(), &component, manifest("enricher", ""), rights) {
        Err(LoadError::Contract(what)) => assert!(what.contains("zone"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_logged_reaches_the_sink_even_before_a_trap() {
    let import = r#"(import "tripline:plugin/log@1.0.0" "write"
        (func $log (param i32 i32 i32 i32 i32)))"#;
    let parts = format!(
        "{} {}",
        data(2000, b"last words"),
        enrich(
            "(call $log (i32.const 4) (i32.const 2000) (i32.const 10) (i32.const 0) (i32.const 0))
            unreachable"
        )
    );
    let component = guest(ENRICHER, import, &parts);
    let rights = Rights {
        log: true,
        ..Rights::default()
    };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let loading = Loading {
        component: &component,
        manifest: manifest("enricher", ""),
        limits: Limits::MOST,
        shared: shared(rights),
        config: None,
        log: Some(Arc::new(move |log| {
            let messages = log.lines.iter().map(|line| line.message.clone());
            sink.lock().expect("the lines").extend(messages);
        })),
    };
    let plugin = host().load(loading).expect("it loads");
    let bytes = numbers(&[1]);
    plugin.enrich(&batch(&bytes, 1)).expect_err("a trap");
    assert_eq!(*lines.lock().expect("the lines"), ["last words"]);
}

#[test]
fn too_much_chance_is_a_trap() {
    let import =
        r#"(import "tripline:plugin/random@1.0.0" "bytes" (func $chance (param i32 i32)))"#;
    let body = |count: u32| {
        enrich(&format!(
            "(call $chance (i32.const {count}) (i32.const 100)) (call $answer (local.get $at) (local.get $bytes))"
        ))
    };
    let rights = Rights {
        random: true,
        ..Rights::default()
    };
    let check = |count: u32, expected: Result<(), Fault>| {
        let component = guest(ENRICHER, import, &body(count));
        let manifest = manifest("enricher", "");
        let plugin = load_into(host(), &component, manifest, rights.clone()).expect("it loads");
        let bytes = numbers(&[1]);
        assert_eq!(plugin.enrich(&batch(&bytes, 1)).map(drop), expected);
    };
    check(4096, Ok(()));
    let kind = TrapKind::Import;
    check(4097, Err(Fault::Trap { kind }));
}

struct Events(Vec<i64>);

impl EventRows for Events {
    fn rows(&self) -> u32 {
        self.0.len() as u32
    }

    fn get(&self, row: u32, _path: &str) -> Value {
        Value::Int(self.0[row as usize])
    }

    fn raw(&self, row: u32) -> Vec<u8> {
        self.0[row as usize].to_string().into_bytes()
    }
}

#[test]
fn parts_of_a_batch_see_the_events_of_their_own_rows() {
    // Fails when the value of a row is not that of its event, and on 13.
    let import = r#"(import "tripline:plugin/events@1.0.0" "get"
        (func $get (param i32 i32 i32 i32)))"#;
    let each = crate::guest::each_row(
        "(call $get (local.get $row) (i32.const 2000) (i32.const 6) (i32.const 96))
        (if (i32.load8_u (i32.const 96)) (then unreachable))
        (if (i64.ne (i64.load (i32.const 112)) (i64.load (local.get $data))) (then unreachable))
        (if (i64.eq (i64.load (local.get $data)) (i64.const 13)) (then unreachable))",
    );
    let component = guest(
        ENRICHER,
        import,
        &format!("{} {each}", data(2000, b"number")),
    );
    let rights = Rights {
        events: true,
        ..Rights::default()
    };
    let manifest = manifest("enricher", "");
    let plugin = load_into(host(), &component, manifest, rights).expect("it loads");
    let values: Vec<i64> = (10..42).collect();
    let bytes = numbers(&values);
    let batch = Batch {
        bytes: &bytes,
        rows: values.len(),
        events: Some(Arc::new(Events(values))),
        until: None,
    };
    let answer = plugin.enrich(&batch).expect("an answer");
    let rows = answer.faulted.iter().flat_map(|(rows, _)| rows.clone());
    assert_eq!(rows.collect::<Vec<_>>(), [3]);
}

#[test]
fn a_guest_without_imports_needs_nothing() {
    let component = crate::guest::component("enricher", &echo());
    let scanned = tripline_host::scan::scan(&component).expect("it is sound");
    assert!(
        scanned
            .imports
            .iter()
            .all(|name| name == "tripline:plugin/types@1.0.0")
    );
    assert_eq!(module("").matches("import").count(), 0);
}
