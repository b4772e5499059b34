//! Components that attack the compiler, and the child that stands in for it.

use crate::guest::{component, echo, folder, jail, load_into, manifest, settings};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tripline_host::jail::{CompileFault, Jail};
use tripline_host::limits::{BODY_BYTES_MAX, COMPONENT_BYTES_MAX};
use tripline_host::operator::Rights;
use tripline_host::scan::{ScanFault, scan};
use tripline_host::{Compiler, Host, LoadError, Meter};

fn in_component(module: &str) -> Vec<u8> {
    wat::parse_str(format!("(component (core module {module}))")).expect("text")
}

/// One function with 20,000 locals and 20,000 branches: 310 KB that made a compiler ask for 26 GB.
fn locals_bomb() -> Vec<u8> {
    let locals = "i32 ".repeat(20_000);
    let mut body = String::new();
    for local in 0..20_000 {
        body.push_str(&format!(
            "(if (local.get {local}) (then (local.set {local} (i32.const 1))))"
        ));
    }
    in_component(&format!("(func (local {locals}) {body})"))
}

/// One function with 400,000 additions: 1.9 MB that took a compiler 47 seconds and 2 GB.
fn additions_bomb() -> Vec<u8> {
    let mut body = "(local.get 0)".to_owned();
    for number in 0..400_000 {
        body.push_str(&format!("(i32.const {})(i32.add)", number % 10_000));
    }
    in_component(&format!("(func (param i32) (result i32) {body})"))
}

/// Refused within the time that a scan may take.
fn check(bytes: &[u8], expected: &ScanFault) {
    let begun = Instant::now();
    assert_eq!(scan(bytes).as_ref(), Err(expected));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn bombs_are_refused_by_the_scan() {
    check(&locals_bomb(), &ScanFault::Locals { is: 20_000 });
    match scan(&additions_bomb()) {
        Err(ScanFault::Body { is }) => assert!(is > BODY_BYTES_MAX),
        other => panic!("{other:?}"),
    }
    let functions = "(func)".repeat(50_000);
    check(&in_component(&functions), &ScanFault::Functions);
    let modules = "(core module)".repeat(65);
    let bytes = wat::parse_str(format!("(component {modules})")).expect("text");
    check(&bytes, &ScanFault::CoreModules);
}

#[test]
fn what_is_no_component_is_refused() {
    check(b"", &ScanFault::NoComponent);
    check(b"\0asm", &ScanFault::NoComponent);
    check(b"#!/bin/sh\n", &ScanFault::NoComponent);
    check(b"\x7fELF\x02\x01\x01\0", &ScanFault::NativeCode);
    check(
        &wat::parse_str("(module)").expect("text"),
        &ScanFault::CoreModule,
    );
    let is = COMPONENT_BYTES_MAX + 1;
    check(&vec![0; is], &ScanFault::TooLong { is });
    let sound = component("enricher", &echo());
    for length in 8..sound.len() {
        // Cut between two sections it may be sound; it never panics.
        let _ = scan(&sound[..length]);
    }
    assert!(matches!(
        scan(&sound[..sound.len() / 2]),
        Err(ScanFault::Invalid { .. })
    ));
}

#[test]
fn native_code_is_not_loaded() {
    let sound = component("enricher", &echo());
    let code = jail().compile(&sound, Meter::Time).expect("it compiles");
    check(&code, &ScanFault::NativeCode);
    let host = Host::open(settings()).expect("the host opens");
    let refused = load_into(&host, &code, manifest("enricher", ""), Rights::default());
    assert!(matches!(
        refused,
        Err(LoadError::Scan(ScanFault::NativeCode))
    ));
}

fn section(name: &str, text: &[u8]) -> Vec<u8> {
    let mut content = vec![name.len() as u8];
    content.extend(name.as_bytes());
    content.extend(text);
    assert!(content.len() < 128);
    let mut bytes = vec![0, content.len() as u8];
    bytes.extend(content);
    bytes
}

#[test]
fn the_manifest_is_taken_out() {
    let sound = component("enricher", &echo());
    let name = "tripline:manifest";
    let with = |sections: &[&[u8]]| {
        let mut bytes = sound.clone();
        for text in sections {
            bytes.extend(section(name, text));
        }
        scan(&bytes)
    };
    let manifest = |sections: &[&[u8]]| with(sections).map(|scanned| scanned.manifest);
    assert_eq!(manifest(&[]), Ok(None));
    assert_eq!(manifest(&[b"[plugin]"]), Ok(Some("[plugin]".to_owned())));
    assert_eq!(manifest(&[b"a", b"b"]), Err(ScanFault::ManifestTwice));
    assert_eq!(manifest(&[b"a", b"a"]), Err(ScanFault::ManifestTwice));
    assert_eq!(manifest(&[b"\xff"]), Err(ScanFault::ManifestNotText));
    let scanned = with(&[]).expect("it is sound");
    assert_eq!(
        scanned.exports,
        [
            "tripline:plugin/enrich@1.0.0",
            "tripline:plugin/setup@1.0.0"
        ]
    );
    assert!(scanned.functions >= 4 && scanned.core_modules >= 1);
}

#[test]
fn the_child_compiles_what_this_host_runs() {
    let mut settings = settings();
    settings.compiler = Compiler::Jail(jail());
    settings.cache = Some(folder("compiled-in-a-child"));
    let host = Host::open(settings).expect("the host opens");
    let sound = component("enricher", &echo());
    load_into(&host, &sound, manifest("enricher", ""), Rights::default()).expect("it loads");
    assert_eq!(host.cache_counts().unwritten, 0);
}

fn program(path: &str, arguments: &[&str]) -> Jail {
    Jail {
        environment: Vec::new(),
        program: PathBuf::from(path),
        arguments: arguments.iter().map(Into::into).collect(),
    }
}

#[test]
fn a_child_that_dies_is_the_compile_limit() {
    let sound = component("enricher", &echo());
    let check = |jail: Jail, expected: &str| match jail.compile(&sound, Meter::Time) {
        Err(CompileFault::Limit { how }) => assert_eq!(how, expected),
        other => panic!("{other:?}"),
    };
    check(program("/bin/sh", &["-c", "exit 3"]), "it ended with 3");
    check(program("/bin/sh", &["-c", "kill -9 $$"]), "it was killed");
    check(
        program("/bin/sh", &["-c", "kill -6 $$"]),
        "it aborted, as it does without memory",
    );
    let slow = program("/bin/sh", &["-c", "exec sleep 60"]);
    let begun = Instant::now();
    match slow.compile_within(&sound, Meter::Time, Duration::from_millis(200)) {
        Err(CompileFault::Limit { how }) => assert_eq!(how, "it took longer than 0.2 s"),
        other => panic!("{other:?}"),
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_child_that_talks_nonsense_is_no_compiler() {
    let sound = component("enricher", &echo());
    let check = |jail: Jail| {
        assert!(matches!(
            jail.compile(&sound, Meter::Time),
            Err(CompileFault::Child(_))
        ));
    };
    check(program("/bin/sh", &["-c", "cat >/dev/null; echo nonsense"]));
    check(program("/bin/sh", &["-c", "cat >/dev/null"]));
    check(program("/nowhere/compiler", &[]));
}

#[test]
fn what_the_compiler_refuses_is_told() {
    let broken = b"\0asm\x0d\0\x01\0\xff";
    match jail().compile(broken, Meter::Time) {
        Err(CompileFault::Refused(why)) => assert!(!why.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bombs_kill_the_child_alone() {
    for bomb in [locals_bomb(), additions_bomb()] {
        let begun = Instant::now();
        match jail().compile(&bomb, Meter::Time) {
            Err(CompileFault::Limit { how }) => {
                eprintln!("{} bytes: {how} after {:?}", bomb.len(), begun.elapsed());
            }
            other => panic!("{:?}", other.map(|code| code.len())),
        }
    }
}
