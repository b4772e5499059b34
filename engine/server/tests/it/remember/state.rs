//! State from one run to the next, and death at any moment.

use super::*;

#[test]
fn state_goes_on_from_one_scan_to_the_next() {
    let folder = workplace("remember-state");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let whole = scan(&folder, &[&path("all.jsonl"), "--state", &path("whole")]);
    let mut parts = BTreeSet::new();
    for number in 0..4 {
        let log = path(&format!("logs/{number}.jsonl"));
        let found = scan(&folder, &[&log, "--state", &path("parts")]);
        assert!(parts.is_disjoint(&found), "a finding came in two scans");
        parts.extend(found);
    }
    assert!(
        parts == whole,
        "{} in parts, {} in one",
        parts.len(),
        whole.len()
    );
    // Once more is nothing new.
    let again = scan(&folder, &[&path("all.jsonl"), "--state", &path("whole")]);
    assert_eq!(again, BTreeSet::new());
}

#[test]
fn a_scan_that_dies_at_any_moment_changes_nothing() {
    let folder = workplace("remember-death");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let first = scan(&folder, &[&path("logs/0.jsonl"), "--state", &path("sound")]);
    let second = scan(
        &folder,
        &[
            &path("logs/1.jsonl"),
            &path("logs/2.jsonl"),
            "--state",
            &path("sound"),
        ],
    );
    assert!(!first.is_empty() && !second.is_empty());
    let again = scan(&folder, &[&path("logs/0.jsonl"), "--state", &path("state")]);
    assert_eq!(again, first);
    let rules = path("rules");
    let (mut died, mut pause) = (0, Duration::from_millis(2));
    // Longer and longer, until a scan is faster than its death.
    let completed = loop {
        let mut child = tripline(&[
            "scan",
            "--rules",
            &rules,
            "--format",
            "jsonl",
            "--now",
            "2030-01-01T00:00:00Z",
            "--state",
            &path("state"),
            &path("logs/1.jsonl"),
            &path("logs/2.jsonl"),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
        let stdout = child.stdout.take().expect("it has standard output");
        let reader = std::thread::spawn(|| std::io::read_to_string(stdout).unwrap_or_default());
        std::thread::sleep(pause);
        let _ = child.kill();
        let status = child.wait().expect("it ends");
        let text = reader.join().expect("the reader ends");
        if status.success() {
            break findings(&text);
        }
        died += 1;
        pause = pause * 5 / 4 + Duration::from_millis(1);
    };
    assert!(died >= 3, "it died only {died} times");
    // The last one may have died between its snapshot and its end; then all was found before.
    assert!(
        completed == second || completed.is_empty(),
        "{} findings, not {}",
        completed.len(),
        second.len()
    );
    let read = |name: &str| std::fs::read(path(name)).expect("there is a snapshot");
    assert!(read("state/state.snapshot") == read("sound/state.snapshot"));
}

#[test]
fn state_that_cannot_be_read_is_refused_and_kept() {
    let folder = workplace("remember-damage");
    let path = |name: &str| format!("{}/{name}", folder.path());
    scan(&folder, &[&path("logs/0.jsonl"), "--state", &path("state")]);
    let snapshot = path("state/state.snapshot");
    let mut bytes = std::fs::read(&snapshot).expect("there is a snapshot");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&snapshot, &bytes).expect("it can be written");
    let rules = path("rules");
    let ran = run(&[
        "scan",
        "--rules",
        &rules,
        "--state",
        &path("state"),
        &path("logs/1.jsonl"),
    ]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("state.snapshot") && ran.stderr.contains("checksum"),
        "{}",
        ran.stderr
    );
    assert_eq!(std::fs::read(&snapshot).expect("it is still there"), bytes);
}

#[test]
fn a_changed_rule_begins_anew_and_the_others_go_on() {
    let folder = workplace("remember-change");
    let path = |name: &str| format!("{}/{name}", folder.path());
    scan(&folder, &[&path("logs/0.jsonl"), "--state", &path("state")]);
    let burst = path("rules/burst/rule.toml");
    let text = std::fs::read_to_string(&burst).expect("the rule is there");
    std::fs::write(
        &burst,
        text.replace("readOnly == false", "readOnly != true"),
    )
    .expect("it can be written");
    std::fs::remove_dir_all(path("rules/no-end")).expect("the rule can go");
    let rules = path("rules");
    let ran = run(&[
        "scan",
        "--rules",
        &rules,
        "--state",
        &path("state"),
        &path("logs/1.jsonl"),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("the rule `burst` looks at something else now"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("the rule `no-end` is not in force"),
        "{}",
        ran.stderr
    );
    assert!(
        !ran.stderr.contains("`new-call`") && !ran.stderr.contains("`reads`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_was_scanned_before_is_told_when_it_comes_late() {
    let folder = workplace("remember-again");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let (rules, all, state) = (path("rules"), path("all.jsonl"), path("state"));
    let scan = [
        "scan",
        "--rules",
        &rules,
        "--now",
        "2030-01-01T00:00:00Z",
        "--state",
        &state,
        &all,
    ];
    let hint = "scanned before with this state";
    assert!(!run(&scan).stdout.contains(hint));
    let again = run(&scan);
    assert!(again.stdout.contains(hint), "{}", again.stdout);
    assert!(again.stdout.starts_with("0 findings"), "{}", again.stdout);
}

#[test]
fn state_stays_where_it_was_when_findings_or_events_are_lost() {
    let folder = workplace("remember-lost");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let whole = scan(&folder, &[&path("all.jsonl"), "--state", &path("whole")]);
    let (rules, state, all) = (path("rules"), path("state"), path("all.jsonl"));
    let arguments = [
        "scan", "--rules", &rules, "--format", "jsonl", "--state", &state, &all,
    ];
    // Nobody takes more than the first finding.
    let mut child = tripline(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("it has standard output"));
    stdout
        .read_line(&mut String::new())
        .expect("it finds something");
    drop(stdout);
    let ended = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("the state is left as it was"), "{told}");
    // The end of an input is missing.
    folder.file("broken.jsonl.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    let broken = path("broken.jsonl.gz");
    let ran = run(&[&arguments[..], &[&broken]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the state is left as it was"),
        "{}",
        ran.stderr
    );
    // Statistics that cannot be written are known before anything is told.
    let nowhere = path("nowhere/stats.txt");
    let ran = run(&[&arguments[..], &["--stats-output", &nowhere]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert!(scan(&folder, &[&all, "--state", &state]) == whole);
}

#[test]
fn what_earlier_scans_left_out_is_not_told_again() {
    let folder = workplace("remember-counts");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let (rules, state) = (path("rules"), path("state"));
    let mut late = Vec::new();
    for log in ["logs/0.jsonl", "logs/0.jsonl", "logs/1.jsonl"] {
        let ran = run(&["scan", "--rules", &rules, "--state", &state, &path(log)]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        late.push((ran.stdout + &ran.stderr).contains("came later than"));
    }
    assert_eq!(late, [false, true, false]);
}

/// The state's own files are no input, even where its folder is scanned, and nothing else of the folder is left out.
#[test]
fn state_among_the_input_is_left_out() {
    let folder = workplace("remember-inside");
    let path = |name: &str| format!("{}/{name}", folder.path());
    for state in ["logs/state", "logs"] {
        for round in 0..2 {
            let ran = run(&[
                "scan",
                "--rules",
                &path("rules"),
                "--now",
                "2030-01-01T00:00:00Z",
                "--state",
                &path(state),
                &path("logs"),
            ]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            let told = ran.stderr.contains("its files are no input");
            assert_eq!(told, round > 0, "{}", ran.stderr);
            assert!(ran.stdout.contains(" + 0 rejected"), "{}", ran.stdout);
        }
        std::fs::remove_file(path(&format!("{state}/state.snapshot"))).expect("it is there");
    }
    let state = path("logs/state");
    let ran = run(&["scan", "--rules", &path("rules"), "--state", &state, &state]);
    assert!(
        ran.code == 2 && ran.stderr.contains("holds no file to read"),
        "{ran:?}"
    );
}

/// A link that somebody laid where the state is written does not lead it elsewhere.
#[cfg(unix)]
#[test]
fn state_is_not_written_through_a_link() {
    let folder = workplace("remember-link");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let scan = || {
        run(&[
            "scan",
            "--rules",
            &path("rules"),
            "--now",
            "2030-01-01T00:00:00Z",
            "--state",
            &path("state"),
            &path("logs/0.jsonl"),
        ])
    };
    let theirs = folder.file("theirs", "theirs");
    let writing = path("state/state.snapshot.writing");
    std::fs::create_dir(path("state")).expect("it can be made");
    std::os::unix::fs::symlink(&theirs, &writing).expect("a link");
    let ran = scan();
    assert!(
        ran.code == 2 && ran.stderr.contains("state.snapshot.writing"),
        "{ran:?}"
    );
    assert_eq!(
        std::fs::read_to_string(&theirs).expect("it is there"),
        "theirs"
    );
    assert!(!std::path::Path::new(&path("state/state.snapshot")).exists());
    std::fs::remove_file(&writing).expect("it can go");
    folder.file("state/state.snapshot.writing", "of a run that died");
    let ran = scan();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!std::path::Path::new(&writing).exists());
}

/// What was counted on a finding of a rule that is gone for good is told, as there is no rule to tell it of any more.
#[test]
fn what_was_counted_for_a_rule_that_is_gone_is_told() {
    let folder = Folder::new("remember-gone");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let head = |id: &str| {
        format!(
            "id = \"{id}\"\nname = \"Rule {id}\"\ndescription = \"A probe.\"\nseverity = \"low\"\n\
             status = \"experimental\"\nwhen = 'event.eventName == \"Seen\"'\n"
        )
    };
    let suppressed = head("gone") + "[suppress]\nwindow = \"1d\"\nby = ['event.eventName']\n";
    folder.file("rules/gone/rule.toml", suppressed);
    let counted = "group_by = ['event.eventName']\n[threshold]\nwindow = \"1m\"\nis = \">= 9\"\n";
    folder.file("rules/stays/rule.toml", head("stays") + counted);
    let scan = |day: &str| {
        let event = |number: u8| {
            format!(
                "{{\"eventID\":\"{day}-{number}\",\"eventName\":\"Seen\",\"eventTime\":\"{day}T0{number}:00:00Z\"}}\n"
            )
        };
        let input = folder.file("in.jsonl", (0..4).map(event).collect::<String>());
        let ran = run(&[
            "scan",
            "--rules",
            &path("rules"),
            "--state",
            &path("state"),
            "--now",
            "2030-01-01T00:00:00Z",
            &input,
        ]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stderr
    };
    // The last event waits for what may come late.
    scan("2024-01-01");
    std::fs::remove_dir_all(path("rules/gone")).expect("the rule can go");
    let told = scan("2024-06-01");
    assert!(
        told.contains("`gone` is not in force") && !told.contains("more detections"),
        "{told}"
    );
    let told = scan("2024-06-02");
    assert!(
        told.contains("`gone` was not in force for 90 days"),
        "{told}"
    );
    let words = "state: 2 more detections of the rule `gone` until 2024-01-01T02:00:00Z belonged to its finding ";
    assert!(
        told.contains(words) && told.contains("(Rule gone)"),
        "{told}"
    );
    assert!(!scan("2024-06-03").contains("gone"));
}
