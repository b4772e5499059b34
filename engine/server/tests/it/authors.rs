//! What authors of plugins meet on their way: templates, names, test vectors and mistakes.

use crate::harness::{Folder, Ran, tripline};
use crate::plugins::{UNSIGNED, enricher, good, run, site, under};
use std::process::Command;

/// Runs something of a project, with what cargo builds kept for all projects of a folder.
fn ran(folder: &Folder, arguments: &[&str]) -> Ran {
    let output = tripline(arguments)
        .current_dir(folder.path())
        .env("XDG_CACHE_HOME", under(folder, "cache"))
        .env("CARGO_TARGET_DIR", under(folder, "target"))
        .output();
    output.expect("the binary runs").into()
}

fn done(folder: &Folder, arguments: &[&str]) -> Ran {
    let ran = ran(folder, arguments);
    assert_eq!(ran.code, 0, "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
    ran
}

/// Each kind under a name that its program, or what it is built with, has for something else.
#[test]
fn rust_templates_of_every_kind_build_and_pass_whatever_they_are_called() {
    let folder = Folder::new("every-kind");
    for (kind, name) in [
        ("enricher", "tripline/plugin"),
        ("detector", "serde/json"),
        ("stateful-detector", "acme/detector"),
        ("scorer", "acme/self"),
        ("policy", "acme/decision"),
        ("decoder", "acme/lines"),
        ("remediator", "wit/bindgen"),
        ("planner", "acme/proposal"),
    ] {
        let (owner, short) = name.split_once('/').expect("two parts");
        done(&folder, &["plugin", "new", "--kind", kind, name]);
        done(&folder, &["plugin", "build", short]);
        let told = done(&folder, &["plugin", "test", short]);
        assert!(told.stdout.ends_with("passed, 0 failed\n"), "{kind}");
        assert!(told.stdout.len() > "9 passed".len(), "{}", told.stdout);
        // The unit tests that a template brings.
        let tested = Command::new("cargo")
            .args(["test", "--quiet"])
            .current_dir(under(&folder, short))
            .env("CARGO_TARGET_DIR", under(&folder, "target"))
            .output();
        let tested: Ran = tested.expect("cargo runs").into();
        assert_eq!(tested.code, 0, "{kind}\n{}{}", tested.stdout, tested.stderr);
        measures(&folder, short, kind);
        if kind == "decoder" {
            tells_what_was_passed_over(&folder, short);
        }
        let component = format!("{short}/{owner}-{short}.wasm");
        assert!(under(&folder, &component).exists(), "{component}");
    }
}

/// Every kind is measured beside a plugin of its world that answers nothing.
fn measures(folder: &Folder, short: &str, kind: &str) {
    let told = done(folder, &["plugin", "bench", short, "--time", "10"]).stdout;
    let what = match kind {
        "decoder" => "bytes a call   ns an event",
        "planner" | "remediator" => "case     ns a plan",
        _ => "rows a call   ns an event",
    };
    for part in [what, "times empty", "as the manifest says", "KiB of memory"] {
        assert!(told.contains(part), "{kind}: no `{part}` in\n{told}");
    }
    let tables = told.matches("times empty").count();
    let wanted = if matches!(kind, "planner" | "stateful-detector") {
        1
    } else {
        2
    };
    assert_eq!(tables, wanted, "{kind}\n{told}");
}

/// Whoever counts something else is shown what the decoder says of each part, and where it begins.
fn tells_what_was_passed_over(folder: &Folder, short: &str) {
    let vectors = format!("{short}/tests/more.toml");
    folder.file(
        &vectors,
        "[[case]]\nname = \"odd\"\nchunk = \"a=1\\nodd\\n\"\nbad = 0\n",
    );
    let told = ran(folder, &["plugin", "test", short]);
    assert_eq!(told.code, 1, "{}", told.stdout);
    let expected = "bad: wanted 0, got 1\n  passed over: {\"offset\":4,\"message\":\"not a line of `name=value` pairs\"}\n";
    assert!(told.stdout.contains(expected), "{}", told.stdout);
}

/// A project whose component is built, with other test vectors.
fn project(name: &str, vectors: &str) -> Folder {
    let folder = Folder::new(name);
    good(&folder, &["plugin", "new", "acme/client"]);
    std::fs::copy(enricher(), under(&folder, "client/acme-client.wasm")).expect("built");
    folder.file("client/tests/basics.toml", vectors);
    folder
}

#[test]
fn mistakes_in_test_vectors_are_told_where_they_are() {
    let check = |vectors: &str, code: i32, expected: &[&str]| {
        let folder = project("vectors", vectors);
        let ran = run(&folder, &["plugin", "test", "client"]);
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        let told = ran.stdout + &ran.stderr;
        for part in expected {
            assert!(told.contains(part), "no `{part}` in\n{told}");
        }
    };
    let case = "[[case]]\nname = \"nothing\"\nevent = '{}'\n";
    check(
        &format!("{case}colums = {{}}\n"),
        2,
        &["client/tests/basics.toml:4:1", "Did you mean `columns`?"],
    );
    check(
        &format!("{case}fault = \"no room\"\n"),
        1,
        &[
            "FAILED client/tests/basics.toml:1: nothing",
            "fault: wanted \"no room\", but it did not fail; it gave columns {",
        ],
    );
    check(
        &format!("{case}hit = true\n"),
        1,
        &["wanted `hit`, but a plugin of this kind gives `columns`, `fault`"],
    );
    check(
        &format!("[limits]\nmemroy = \"1MiB\"\n{case}columns = {{}}\n"),
        2,
        &["client/tests/basics.toml (as an operator's file)", "memroy"],
    );
    let folder = project("no-vectors", "");
    std::fs::remove_file(under(&folder, "client/tests/basics.toml")).expect("it was there");
    let ran = run(&folder, &["plugin", "test", "client"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    let told = "client/tests: there is no file of cases in it";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

/// An enricher that writes a line, and asks for what `capabilities` says.
fn writing(folder: &Folder, capabilities: &str) {
    let path = under(folder, "client/src/lib.rs");
    let source = std::fs::read_to_string(&path).expect("a source");
    let source = source.replace(
        "let mut writes = Writes::of(batch);",
        "let mut writes = Writes::of(batch);\n        tripline_plugin::log::info(\"asked\", &[]);",
    );
    std::fs::write(path, source).expect("written");
    let path = under(folder, "client/plugin.toml");
    let manifest = std::fs::read_to_string(&path).expect("a manifest");
    let (before, after) = manifest
        .split_once("[capabilities]")
        .expect("it says what it asks for");
    let rest = after.split_once('\n').map_or("", |(_, rest)| rest);
    std::fs::write(
        path,
        format!("{before}[capabilities]\n{capabilities}\n{rest}"),
    )
    .expect("written");
}

#[test]
fn what_cannot_run_is_told_when_it_is_built_and_when_it_is_looked_at() {
    let folder = Folder::new("unfit");
    done(&folder, &["plugin", "new", "acme/client"]);
    writing(&folder, "");
    let told = ran(&folder, &["plugin", "build", "client"]);
    assert_eq!(told.code, 2, "{}", told.stderr);
    let expected =
        "the component imports `log`, which `[capabilities]` of plugin.toml does not ask for";
    assert!(told.stderr.contains(expected), "{}", told.stderr);
    assert!(!under(&folder, "client/acme-client.wasm").exists());
    writing(&folder, "log = true");
    done(&folder, &["plugin", "build", "client"]);
    let operator =
        "[trust]\nunsigned = \"allow\"\n[plugins.client]\npath = \"client/acme-client.wasm\"\n";
    folder.file("plugins.toml", operator);
    let why = "cannot run  it imports what it was not granted: `tripline:plugin/log@1.0.0`; its operator grants `log` under `grant`";
    let inspect = ["plugin", "inspect", "--plugins", "plugins.toml"];
    let told = ran(&folder, &inspect);
    assert_eq!(told.code, 1, "{}", told.stdout);
    assert!(told.stdout.contains(why), "{}", told.stdout);
    let check = ["check", "--plugins", "plugins.toml", "rules/"];
    folder.file("rules/seen/rule.toml", SEEN);
    let told = ran(&folder, &check);
    assert_eq!(told.code, 1, "{}{}", told.stdout, told.stderr);
    let expected = "error: plugin `client` cannot run: it imports what it was not granted";
    assert!(told.stderr.contains(expected), "{}", told.stderr);
    assert!(told.stdout.contains("1 rule: 1 error"), "{}", told.stdout);
    folder.file(
        "plugins.toml",
        format!("{operator}[plugins.client.grant]\nlog = true\n"),
    );
    done(&folder, &inspect);
    done(&folder, &check);
    done(&folder, &["plugin", "inspect", "client"]);
}

#[test]
fn a_plugin_that_is_asked_in_two_ways_is_told_to_have_one() {
    let folder = site("two-ways", UNSIGNED);
    let rule = SEEN.replace("\"Pacu\"'", "\"Pacu\" && policy.client.effect == \"deny\"'");
    folder.file("asked/seen/rule.toml", rule);
    let ran = run(&folder, &["check", "--plugins", "plugins.toml", "asked/"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let help = "help: no plugin that is called `client` answers as `policy`\n";
    assert!(ran.stdout.contains(help), "{}", ran.stdout);
}

const SEEN: &str = r#"
id = "seen"
name = "Something was seen"
description = "It was seen."
severity = "low"
status = "experimental"
when = 'event.eventName == "GetCallerIdentity" && enrich.client.program == "Pacu"'
"#;

/// Whoever chooses user agents is a stranger: a plugin that gives up on what its cases do not have fails its test.
#[test]
fn a_plugin_that_traps_on_what_no_case_has_fails_its_test() {
    let folder = Folder::new("nonsense");
    good(&folder, &["plugin", "new", "acme/brittle"]);
    let source = under(&folder, "brittle/src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("there is a source");
    let whole = "    let program = agent.split([' ', '/']).next()?;\n";
    assert!(text.contains(whole), "{text}");
    let brittle = format!("    assert!(agent.len() < 10_000);\n{whole}");
    std::fs::write(&source, text.replace(whole, &brittle)).expect("it is written");
    good(&folder, &["plugin", "build", "brittle"]);
    let ran = run(&folder, &["plugin", "test", "brittle"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    for words in [
        "(columns full of nonsense are no trap)",
        "userAgent = \"éééééééééééééééééééé\"… (40000 bytes): the plugin trapped: unreachable",
    ] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    assert!(ran.stdout.ends_with(", 1 failed\n"), "{}", ran.stdout);
}
