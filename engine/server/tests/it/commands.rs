//! Commands and their exit codes.

use crate::harness::{Folder, Ran, data, other, run, run_with_stdin, seen, tripline};
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

/// A rule without tests that does not compile is told, and does not pass.
#[test]
fn tests_of_a_rule_that_does_not_compile_fail() {
    let folder = Folder::new("test-broken");
    let rule = std::fs::read_to_string(data("rules/seen/rule.toml")).expect("the rule");
    let typed = rule.replace(r#"event.eventName == "Seen""#, "1 + \"a\" == 2");
    assert_ne!(rule, typed);
    let path = folder.file("rules/seen/rule.toml", typed);
    for format in ["text", "json"] {
        let ran = run(&["test", "--format", format, &path]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("rule.toml:"), "{}", ran.stderr);
    }
}

#[test]
fn usage_is_checked() {
    assert_eq!(run(&[]).code, 2);
    assert_eq!(run(&["scan"]).code, 2);
    assert_eq!(run(&["scan", "--format", "xml", "-"]).code, 2);
    assert_eq!(run(&["scan", "--rules", "nowhere", "-"]).code, 2);
    assert_eq!(run(&["scan", "--list", "nofile", "-"]).code, 2);
    for command in [
        &["scan", "-"][..],
        &["check"],
        &["backtest", "--against", "-"],
    ] {
        let ran = run(&[command, &["--now", "garbage"]].concat());
        assert!(
            ran.code == 2 && ran.stderr.contains("such as 2024-06-01T00:00:00Z"),
            "{ran:?}"
        );
    }
    assert_eq!(run(&["--help"]).code, 0);
    assert_eq!(run(&["--version"]).code, 0);
}

const COMMANDS: [&[&str]; 15] = [
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
    &["sigma"],
    &["sigma", "convert"],
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

/// What follows the options is as wide as the terminal, and examples and codes are never broken.
#[test]
fn every_help_fits_narrow_terminals() {
    let commands = COMMANDS.into_iter().chain([&[][..]]);
    for command in commands {
        let with = |columns: &str| {
            let arguments = [command, &["--help"]].concat();
            let output = tripline(&arguments).env("COLUMNS", columns).output();
            let ran = Ran::from(output.expect("the binary runs"));
            let (_, tail) = ran.stdout.split_once("Print help").expect("options");
            tail.to_owned()
        };
        let indented = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.starts_with("  "));
            lines.map(str::to_owned).collect()
        };
        let (narrow, wide) = (with("80"), with("100"));
        assert_eq!(indented(&narrow), indented(&wide), "{command:?}");
        for (text, width) in [(&narrow, 80), (&wide, 100)] {
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                let (line, next) = (pair[0], pair[1]);
                assert!(line.chars().count() <= width, "{command:?}: {line}");
                // A line ends early only where a word would not fit, or a paragraph ends.
                let word = next.split(' ').next().unwrap_or_default();
                let fits = line.chars().count() + 1 + word.chars().count() <= width;
                let flows = |line: &str| !line.is_empty() && !line.starts_with(' ');
                assert!(!(flows(line) && flows(next) && fits), "{command:?}: {line}");
            }
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
            "check" | "test" | "explain" | "fmt" | "sigma" => &["0", "1", "2"],
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

/// A run never empties what it reads, by whatever name it is called, nor writes two things to one file.
#[cfg(unix)]
#[test]
fn nothing_that_is_read_is_written_over() {
    let folder = Folder::new("overwriting");
    let rule = std::fs::read_to_string(data("rules/seen/rule.toml")).expect("the rule");
    let files = [
        ("logs/in.jsonl", format!("{}\n", seen(1))),
        ("rules/seen/rule.toml", rule.clone()),
        ("rules/seen/event.json", seen(1)),
        ("old/seen/rule.toml", rule),
        ("list.csv", "value\na\n".to_owned()),
        ("expect.toml", "others = \"none\"\n".to_owned()),
        (
            "labels.csv",
            "rule_id,event_id,label\nseen,id-1,tp\n".to_owned(),
        ),
    ];
    for (name, text) in &files {
        folder.file(name, text);
    }
    let at = |name: &str| format!("{}/{name}", folder.path());
    std::os::unix::fs::symlink("logs/in.jsonl", at("soft.jsonl")).expect("a link");
    std::fs::hard_link(at("logs/in.jsonl"), at("hard.jsonl")).expect("a link");
    std::os::unix::fs::symlink("new.out", at("soft.out")).expect("a link");
    std::fs::create_dir(at("state")).expect("a folder");
    let scan = "scan --rules rules --list l=list.csv --no-progress";
    let backtest = "backtest --rules rules --against logs --baseline old --expect expect.toml --labels labels.csv";
    for (command, words) in [
        (format!("{scan} logs -o logs/in.jsonl"), "reads this file"),
        (
            format!("{scan} logs -o ./rules/../soft.jsonl"),
            "as logs/in.jsonl",
        ),
        (
            format!("{scan} logs --stats-output hard.jsonl"),
            "as logs/in.jsonl",
        ),
        (format!("{scan} soft.jsonl -o hard.jsonl"), "as soft.jsonl"),
        (
            format!("{scan} logs -o rules/seen/rule.toml"),
            "reads this file",
        ),
        (
            format!("{scan} logs -o rules/seen/event.json"),
            "reads this file",
        ),
        (format!("{scan} logs -o list.csv"), "reads this file"),
        (
            format!("{scan} logs -o new.out --stats-output ./soft.out"),
            "--output goes to the same",
        ),
        (
            format!("{scan} logs --state state -o state/state.snapshot"),
            "is kept in state",
        ),
        (
            format!("{scan} logs --state fresh -o fresh/state.snapshot"),
            "is kept in fresh",
        ),
        (format!("{backtest} -o expect.toml"), "reads this file"),
        (format!("{backtest} -o labels.csv"), "reads this file"),
        (
            format!("{backtest} -o old/seen/rule.toml"),
            "reads this file",
        ),
        (
            format!("{backtest} --propose hard.jsonl"),
            "as logs/in.jsonl",
        ),
        (
            format!("{backtest} --propose new.out -o new.out"),
            "goes to the same",
        ),
    ] {
        let arguments: Vec<&str> = command.split_whitespace().collect();
        let output = tripline(&arguments).current_dir(folder.path()).output();
        let ran = Ran::from(output.expect("the binary runs"));
        assert_eq!(ran.code, 2, "{command}: {ran:?}");
        assert!(ran.stderr.contains(words), "{command}: {}", ran.stderr);
        for (name, text) in &files {
            let now = std::fs::read_to_string(at(name)).expect("it is there");
            assert_eq!(&now, text, "{command} changed {name}");
        }
        assert!(!std::path::Path::new(&at("new.out")).exists(), "{command}");
    }
    // Streams are files too.
    let open = |name: &str| {
        std::fs::File::options()
            .append(true)
            .read(true)
            .open(at(name))
    };
    let ran = tripline(&[
        "scan",
        "--rules",
        &data("rules"),
        "-",
        "-o",
        &at("hard.jsonl"),
    ])
    .stdin(open("logs/in.jsonl").expect("it opens"))
    .output();
    let ran = Ran::from(ran.expect("the binary runs"));
    assert!(
        ran.code == 2 && ran.stderr.contains("as <stdin>"),
        "{ran:?}"
    );
    let ran = tripline(&["scan", "--rules", &data("rules"), &at("logs")])
        .stdout(open("hard.jsonl").expect("it opens"))
        .output();
    let ran = Ran::from(ran.expect("the binary runs"));
    assert!(
        ran.code == 2 && ran.stderr.contains("standard output"),
        "{ran:?}"
    );
    // What is only beside them is written, and again.
    for _ in 0..2 {
        let ran = run(&[
            "scan",
            "--rules",
            &data("rules"),
            &at("logs"),
            "-o",
            &at("new.out"),
        ]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
}

/// Standard output under the name of a device is standard output: what is in the file that it goes to stays.
#[cfg(unix)]
#[test]
fn what_goes_to_a_device_loses_nothing() {
    let folder = Folder::new("devices");
    let at = |name: &str| format!("{}/{name}", folder.path());
    folder.file("logs/in.jsonl", format!("{}\n", seen(1)));
    let rules = data("rules");
    let into = |arguments: &[&str], name: &str| -> Ran {
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(at(name));
        let ran = tripline(arguments)
            .current_dir(folder.path())
            .stdout(file.expect("it opens"))
            .output();
        ran.expect("the binary runs").into()
    };
    folder.file("out", "before\n");
    let scan = ["scan", "--rules", &rules, "--format", "jsonl", "logs", "-o"];
    for device in ["/dev/stdout", "/proc/self/fd/1", "/dev/null", "/dev/stderr"] {
        if device.starts_with("/proc") && !std::path::Path::new(device).exists() {
            continue;
        }
        let ran = into(&[&scan[..], &[device]].concat(), "out");
        assert_eq!(ran.code, 0, "{device}: {ran:?}");
        assert_eq!(
            ran.stderr.contains("\"rule_id\""),
            device == "/dev/stderr",
            "{ran:?}"
        );
    }
    let ran = into(
        &["sample", "--events", "3", "--manifest", "/dev/stdout"],
        "out",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let backtest = [
        "backtest",
        "--rules",
        &rules,
        "--against",
        "logs",
        "--propose",
        "/dev/stdout",
    ];
    let ran = into(&backtest, "out");
    assert_eq!(ran.code, 0, "{ran:?}");
    let all = std::fs::read_to_string(at("out")).expect("it is there");
    assert!(all.starts_with("before\n{"), "{all}");
    assert_eq!(all.matches("\"rule_id\":\"seen\"").count(), 2, "{all}");
    assert!(all.contains("seed") && all.contains("Proposed"), "{all}");
    // What is read stays what it was, under whatever name it would be written.
    let ran = into(&[&scan[..], &["/dev/stdout"]].concat(), "logs/in.jsonl");
    assert!(
        ran.code == 2 && ran.stderr.contains("standard output goes to"),
        "{ran:?}"
    );
    let text = std::fs::read_to_string(at("logs/in.jsonl")).expect("it is there");
    assert_eq!(text, format!("{}\n", seen(1)));
    // A pipe between the two ends of one run would only wait.
    let made = std::process::Command::new("mkfifo")
        .arg(at("pipe"))
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let ran = run(&["scan", "--rules", &rules, &at("pipe"), "-o", &at("pipe")]);
    assert!(
        ran.code == 2 && ran.stderr.contains("reads this file"),
        "{ran:?}"
    );
}

/// Links to what is not there yet, and folders that are reached in several ways, hide nothing either.
#[cfg(unix)]
#[test]
fn links_to_nothing_hide_no_file() {
    let folder = Folder::new("dangling");
    let at = |name: &str| format!("{}/{name}", folder.path());
    folder.file("logs/in.jsonl", seen(1));
    folder.file("beside/nothing", "");
    for (target, link) in [
        ("kept", "state"),
        ("state/state.snapshot", "soft"),
        ("beside/../kept", "roundabout"),
        ("circle", "circle"),
    ] {
        std::os::unix::fs::symlink(target, at(link)).expect("a link");
    }
    for output in [
        "soft",
        "kept/state.snapshot",
        "beside/../kept/new",
        "roundabout/new",
    ] {
        let ran = run(&[
            "scan",
            "--rules",
            &data("rules"),
            "--state",
            &at("state"),
            &at("logs"),
            "-o",
            &at(output),
        ]);
        assert!(
            ran.code == 2 && ran.stderr.contains("is kept in"),
            "{output}: {ran:?}"
        );
        assert!(!std::path::Path::new(&at("kept")).exists(), "{output}");
    }
    let ran = run(&[
        "scan",
        "--rules",
        &data("rules"),
        &at("logs"),
        "-o",
        &at("circle"),
    ]);
    assert!(
        ran.code == 2 && ran.stderr.contains("cannot be written"),
        "{ran:?}"
    );
}

/// Tests of a rule that is not there are tests that failed.
#[test]
fn tests_of_no_rule_fail() {
    let folder = Folder::new("orphans");
    let tests =
        "[[test]]\nname = \"one\"\nevent = \"a\"\nexpect = \"match\"\n[events.a]\njson = '{}'\n";
    let path = folder.file("tests.toml", format!("rule = \"not-there\"\n{tests}"));
    let ran = run(&["test", &path]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout.starts_with("FAILED not-there: one\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains("there is no rule `not-there` to test\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.ends_with("0 passed, 1 failed\n"),
        "{}",
        ran.stdout
    );
    let path = folder.file("tests.toml", tests);
    let ran = run(&["test", &path]);
    assert!(
        ran.stdout.starts_with("FAILED no rule: one\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.ends_with("0 passed, 1 failed\n"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_configuration_is_checked_with_the_files_that_it_names() {
    let folder = Folder::new("config-checked");
    let token = format!("{}/token", folder.path());
    folder.file("rules/empty.toml", "");
    let text = format!(
        "[http]\ntoken_file = \"{token}\"\n[rules]\npaths = [\"{0}/rules\", \"{0}/none\"]\n[sinks.x]\ntype = \"webhook\"\n\
         url = \"https://x.example\"\nsecret_file = \"{0}/secret\"\n[remediation]\nkill_file = \"{0}/stop\"\n",
        folder.path()
    );
    let config = folder.file("tripline.toml", text);
    let check = || run(&["config", "--check", &config]);
    let ran = check();
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    for missing in ["http.token_file", "rules.paths", "sinks.x.secret_file"] {
        let line = format!("\n  {missing}: ");
        assert!(ran.stderr.contains(&line), "{missing}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("kill_file"), "{}", ran.stderr);
    for missing in ["token", "secret", "none"] {
        folder.file(missing, "x");
    }
    let ran = check();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("[sinks.x]"), "{}", ran.stdout);
}
