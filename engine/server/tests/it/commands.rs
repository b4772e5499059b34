//! Commands and their exit codes.

use crate::harness::{Folder, data, other, run, run_with_stdin, seen, tripline};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

#[test]
fn fail_on_a_severity() {
    let rules = data("rules");
    let check = |severity: &str, event: &str, code: i32| {
        let arguments = ["scan", "--rules", &rules, "--fail-on", severity, "-"];
        assert_eq!(
            run_with_stdin(&arguments, event.as_bytes()).code,
            code,
            "{severity}"
        );
    };
    check("high", &seen(1), 1);
    check("low", &seen(1), 1);
    check("critical", &seen(1), 0);
    check("informational", &other(1), 0);
    assert_eq!(run(&["scan", "--fail-on", "bad", "-"]).code, 2);
}

#[test]
fn usage_is_checked() {
    assert_eq!(run(&[]).code, 2);
    assert_eq!(run(&["scan"]).code, 2);
    assert_eq!(run(&["scan", "--format", "xml", "-"]).code, 2);
    assert_eq!(run(&["scan", "--rules", "nowhere", "-"]).code, 2);
    assert_eq!(run(&["scan", "--list", "nofile", "-"]).code, 2);
    assert_eq!(run(&["--help"]).code, 0);
    assert_eq!(run(&["--version"]).code, 0);
}

const COMMANDS: [&[&str]; 13] = [
    &["scan"],
    &["backtest"],
    &["check"],
    &["test"],
    &["explain"],
    &["fmt"],
    &["rules"],
    &["rules", "list"],
    &["rules", "show"],
    &["coverage"],
    &["schema"],
    &["sample"],
    &["completions"],
];

#[test]
fn every_help_has_examples_and_exit_codes() {
    for command in COMMANDS {
        let ran = run(&[command, &["--help"]].concat());
        assert_eq!(ran.code, 0);
        for words in ["Examples:\n  tripline ", "Exit codes:\n  0    "] {
            assert!(
                ran.stdout.contains(words),
                "{command:?} lacks {words:?}:\n{}",
                ran.stdout
            );
        }
    }
}

/// A command's help tells of the codes that it ends with, and of no other.
#[test]
fn every_help_has_its_own_exit_codes() {
    for command in COMMANDS {
        let help = run(&[command, &["--help"]].concat()).stdout;
        let (_, codes) = help.split_once("Exit codes:\n").expect("exit codes");
        let codes: Vec<&str> = codes
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter_map(|line| line.split(' ').next())
            .filter(|word| !word.is_empty())
            .collect();
        let wanted: &[&str] = match command[0] {
            "scan" => &["0", "1", "2", "3", "130"],
            "backtest" => &["0", "1", "2", "130"],
            "check" | "test" | "explain" | "fmt" => &["0", "1", "2"],
            _ => &["0", "2"],
        };
        assert_eq!(codes, wanted, "{command:?}");
    }
}

/// Every example of every help is understood, whether or not its files exist here.
#[test]
fn help_examples_are_understood() {
    let folder = Folder::new("examples");
    for command in COMMANDS {
        let help = run(&[command, &["--help"]].concat()).stdout;
        let examples = help.lines().filter_map(|line| line.strip_prefix("  "));
        let examples = examples.filter(|line| line.contains("tripline ") && !line.starts_with(' '));
        for example in
            examples.filter(|line| line.starts_with("tripline ") || line.contains("| tripline "))
        {
            let start = example.rfind("tripline ").unwrap_or(0);
            let words = example[start..].split("     ").next().unwrap_or("");
            let words = words.split(" > ").next().unwrap_or("");
            let words = words.split(" | ").next().unwrap_or("");
            let arguments: Vec<String> = words
                .split_whitespace()
                .skip(1)
                .map(|word| word.replace('\'', ""))
                .collect();
            let output = tripline(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
                .current_dir(folder.path())
                .output()
                .expect("the binary runs");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!stderr.contains("Usage:"), "{example}: {stderr}");
            assert_ne!(output.status.code(), Some(101), "{example}: {stderr}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let text: String = (0..50_000)
        .map(|number| format!("{}\n", seen(number)))
        .collect();
    let folder = Folder::new("pipe");
    let path = folder.file("events.json", text);
    for format in ["pretty", "jsonl", "sarif"] {
        let mut child = tripline(&["scan", "--rules", &data("rules"), "--format", format, &path])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut first = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("it has standard output"));
        reader.read_line(&mut first).expect("a line");
        drop(reader);
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert!(
            !stderr.contains("panicked") && !stderr.contains("error"),
            "{stderr}"
        );
    }
}

#[cfg(unix)]
#[test]
fn findings_come_while_input_is_open_and_an_interrupt_gives_the_summary() {
    let mut child = tripline(&["scan", "--rules", &data("rules"), "--format", "jsonl", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it has standard input");
    stdin
        .write_all(format!("{}\n", seen(1)).as_bytes())
        .expect("it reads");
    let mut stdout = BufReader::new(child.stdout.take().expect("it has standard output"));
    let mut line = String::new();
    stdout
        .read_line(&mut line)
        .expect("a finding, with standard input still open");
    assert!(line.contains("\"rule_id\":\"seen\""), "{line}");
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()));
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .expect("standard error")
        .read_to_string(&mut stderr)
        .expect("text");
    assert!(
        stderr.contains("interrupted") && stderr.contains("1 record read"),
        "{stderr}"
    );
    drop(stdin);
}

#[test]
fn findings_go_to_a_file() {
    let folder = Folder::new("output");
    let input = folder.file("in.json", seen(1));
    let output = format!("{}/out.jsonl", folder.path());
    let arguments = [
        "scan",
        "--rules",
        &data("rules"),
        "--format",
        "jsonl",
        "--output",
        &output,
        &input,
    ];
    let ran = run(&arguments);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(
        std::fs::read_to_string(&output)
            .expect("the file")
            .lines()
            .count(),
        1
    );
    let nowhere = format!("{}/no/such/out", folder.path());
    assert_eq!(
        run(&[
            "scan",
            "--rules",
            &data("rules"),
            "--output",
            &nowhere,
            &input
        ])
        .code,
        2
    );
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("tripline"), "{shell}");
    }
}

/// A rule in UTF-16 is a mistake like others: told, and the other rules are used.
#[test]
fn a_rule_that_is_no_text_is_switched_off() {
    let folder = Folder::new("wide");
    let rule = |id: &str| {
        format!(
            "id = \"{id}\"\nname = \"a\"\ndescription = \"a\"\nseverity = \"low\"\nstatus = \"test\"\nwhen = 'has(event.n)'\n"
        )
    };
    let wide: Vec<u8> = rule("wide")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    folder.file(
        "rules/wide/rule.toml",
        [&[0xff, 0xfe], wide.as_slice()].concat(),
    );
    folder.file("rules/good/rule.toml", rule("good"));
    let rules = format!("{}/rules", folder.path());
    let check = run(&["check", &rules]);
    assert_eq!(check.code, 1);
    assert!(
        check
            .stdout
            .contains("error[E0001]: this file is not UTF-8 text"),
        "{}",
        check.stdout
    );
    let scan = run_with_stdin(&["scan", "--rules", &rules, "-"], seen(1).as_bytes());
    assert_eq!(scan.code, 0, "{}", scan.stderr);
    assert!(scan.stdout.contains("1 finding"), "{}", scan.stdout);
}
