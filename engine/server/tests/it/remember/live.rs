//! Input that does not end.

use super::*;

#[test]
fn live_input_is_told_before_it_ends_and_once() {
    let folder = workplace("remember-live");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let whole = scan(&folder, &[&path("all.jsonl")]);
    let rules = path("rules");
    let ran = run(&[
        "scan",
        "--live",
        "--rules",
        &rules,
        "--format",
        "jsonl",
        &path("all.jsonl"),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let id = |line: &str| {
        let finding: Value = serde_json::from_str(line).expect("a line is JSON");
        (
            finding["finding_id"].to_string(),
            finding["revision"].as_u64().unwrap_or(0),
        )
    };
    let told: Vec<(String, u64)> = ran.stdout.lines().map(id).collect();
    let first: BTreeSet<String> = told
        .iter()
        .filter(|(_, revision)| *revision == 0)
        .map(|(id, _)| id.clone())
        .collect();
    let wanted: BTreeSet<String> = whole.iter().map(|line| id(line).0).collect();
    assert!(
        first == wanted,
        "{} told, {} wanted",
        first.len(),
        wanted.len()
    );
    assert!(
        told.iter().any(|(_, revision)| *revision == 1),
        "nothing was told again"
    );
}

#[test]
fn live_input_that_is_interrupted_goes_on_from_there() {
    live_input_goes_on_after("-TERM");
    // Under `nohup`, tests and what they start are meant to outlive their terminal.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if ignored.is_some_and(|mask| mask & 1 == 1) {
        println!("skipped: SIGHUP is ignored here");
    } else {
        live_input_goes_on_after("-HUP");
    }
}

fn live_input_goes_on_after(signal: &str) {
    let folder = workplace("remember-interrupted");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let live = |state: &str| {
        let mut arguments = vec!["scan", "--live", "--format", "jsonl"]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        arguments.extend(["--now", "2030-01-01T00:00:00Z", "--rules"].map(str::to_owned));
        arguments.extend([path("rules"), "--state".to_owned(), path(state)]);
        arguments
    };
    let told = |stdout: &str| -> BTreeSet<String> {
        let id = |line: &str| {
            let finding: Value = serde_json::from_str(line).expect("a line is JSON");
            format!("{} {}", finding["finding_id"], finding["revision"])
        };
        stdout.lines().map(id).collect()
    };
    let whole = [live("whole"), vec![path("all.jsonl")]].concat();
    let whole = run(&whole.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    // Input that does not end, until something was found.
    let endless = [live("parts"), vec!["-".to_owned()]].concat();
    let endless: Vec<&str> = endless.iter().map(String::as_str).collect();
    let mut child = tripline(&endless)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it has standard input");
    for number in 0..2 {
        let log = std::fs::read(path(&format!("logs/{number}.jsonl"))).expect("a log");
        stdin
            .write_all(&log)
            .and_then(|()| stdin.write_all(b"\n"))
            .expect("it reads");
    }
    let mut stdout = BufReader::new(child.stdout.take().expect("it has standard output"));
    let mut first = String::new();
    stdout.read_line(&mut first).expect("it finds something");
    let pid = child.id().to_string();
    let asked = std::process::Command::new("kill")
        .args([signal, &pid])
        .status();
    assert!(asked.expect("kill runs").success());
    stdout.read_to_string(&mut first).expect("it ends");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(130));
    drop(stdin);
    let before = told(&first);
    assert!(!before.is_empty());
    // All of it again: what was read before is known, and told no second time.
    let rest = [live("parts"), vec![path("all.jsonl")]].concat();
    let rest = run(&rest.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(rest.code, 0, "{}", rest.stderr);
    let after = told(&rest.stdout);
    assert!(before.is_disjoint(&after), "a finding was told twice");
    let both: BTreeSet<String> = before.union(&after).cloned().collect();
    let whole = told(&whole.stdout);
    assert!(
        both == whole,
        "{} and {} of {}",
        before.len(),
        after.len(),
        whole.len()
    );
}
