//! What is learnt from history: whoever goes on from it says what one run over everything says.

use crate::harness::{Folder, run};
use std::fmt::Write as _;

/// Series by name of the call, told from the second surprise on so that there is something to compare.
pub(crate) const RULE: &str = r#"
id = "calls"
name = "Calls"
description = "A probe."
severity = "low"
status = "test"
when = 'true'
group_by = ['event.eventName']

[insight]
direction = "both"
is = ">= 2"

[insight.attributions]
who = 'event.who'

[finding]
title = '{event.insight.explanation}'
"#;

const PROFILE: &str = r#"
id = "habits"
name = "Habits"
description = "A probe."
severity = "low"
status = "test"
when = 'true'
group_by = ['event.who']

[entity]
of = ['event.eventName']
"#;

/// Minutes of so many days from 2026-01-05 on: calls of three names by chance, with a burst every other night from the
/// fifth day on.
pub(crate) fn days(from: u64, to: u64) -> String {
    let mut text = String::new();
    let chance = |number: u64, salt: u64| {
        let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xD6E8_FEB8);
        mixed = (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ mixed >> 29) % 1000
    };
    for minute in from * 1440..to * 1440 {
        for (salt, name) in [(1, "Start"), (2, "Stop"), (3, "Look")] {
            let (day, of_day) = (minute / 1440, minute % 1440);
            let is_burst = day >= 5 && day % 2 == 1 && (1430..1440).contains(&of_day) && salt < 3;
            let calls = u64::from(chance(minute, salt) < 60 * salt) + u64::from(is_burst) * 9;
            for call in 0..calls {
                let (hour, rest, second) = (of_day / 60, of_day % 60, call * 5);
                let _ = writeln!(
                    text,
                    "{{\"eventID\":\"{minute}-{salt}-{call}\",\"eventTime\":\"2026-01-{:02}T{hour:02}:{rest:02}:{second:02}Z\",\
                     \"eventName\":\"{name}\",\"who\":\"user-{}\"}}",
                    day + 5,
                    minute % 7
                );
            }
        }
    }
    text
}

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.file("rules/calls.toml", RULE);
    folder.file("rules/habits.toml", PROFILE);
    folder.file("a.jsonl", days(0, 8));
    folder.file("b.jsonl", days(8, 12));
    folder
}

#[test]
fn a_run_after_learning_says_what_one_run_says() {
    let folder = folder("learnt");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let (rules, state) = (path("rules"), path("state"));
    let learn = ["insights", "learn", "--rules", &rules, "--state", &state];
    let ran = run(&[&learn[..], &[&path("a.jsonl")]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for wanted in [
        "calls: 3 series from ",
        "habits: 21 habits of entities",
        "kept in ",
    ] {
        assert!(ran.stdout.contains(wanted), "{wanted}\n{}", ran.stdout);
    }
    let show = ["insights", "show", "--rules", &rules, "--format", "jsonl"];
    let after = run(&[&show[..], &["--state", &state, &path("b.jsonl")]].concat());
    let whole = run(&[&show[..], &[&path("a.jsonl"), &path("b.jsonl")]].concat());
    assert_eq!((after.code, whole.code), (0, 0), "{}", after.stderr);
    // The burst at the end of the eighth day goes on in the first part, and ends in the second.
    let (after, whole): (Vec<&str>, Vec<&str>) = (
        after.stdout.lines().collect(),
        whole.stdout.lines().collect(),
    );
    assert!(
        after.len() >= 6 && whole.len() > after.len(),
        "{}",
        after.len()
    );
    assert!(after[0].contains("\"state\":\"End\""), "{}", after[0]);
    assert_eq!(after, whole[whole.len() - after.len()..]);
    // A scan goes on from the same, and finds what begins in the second part.
    let scan = [
        "scan", "--rules", &rules, "--format", "jsonl", "--state", &state,
    ];
    let ran = run(&[&scan[..], &[&path("b.jsonl")]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let starts = after
        .iter()
        .filter(|line| line.contains("\"state\":\"Start\""));
    assert_eq!(ran.stdout.lines().count(), starts.count(), "{}", ran.stdout);
}

#[test]
fn learning_goes_on_and_what_cannot_be_read_changes_nothing() {
    let folder = folder("learnt-on");
    let path = |name: &str| format!("{}/{name}", folder.path());
    let rules = path("rules");
    let learn = |state: &str, inputs: &[&str]| {
        let mut arguments = vec!["insights", "learn", "--rules", &rules, "--state", state];
        arguments.extend(inputs);
        run(&arguments)
    };
    let snapshot = |state: &str| std::fs::read(format!("{state}/state.snapshot"));
    let (parts, whole) = (path("parts"), path("whole"));
    let (a, b) = (path("a.jsonl"), path("b.jsonl"));
    assert_eq!(learn(&whole, &[&a, &b]).code, 0);
    assert_eq!(learn(&parts, &[&a]).code, 0);
    folder.file("cut.json.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03cut");
    let before = snapshot(&parts).expect("it is there");
    let ran = learn(&parts, &[&b, &path("cut.json.gz")]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the state is left as it was"),
        "{}",
        ran.stderr
    );
    assert_eq!(snapshot(&parts).expect("it is there"), before);
    assert_eq!(learn(&parts, &[&b]).code, 0);
    let ran = learn(&parts, &[&a]);
    assert!(ran.stdout.contains(" too late to count"), "{}", ran.stdout);
    folder.file(
        "plain/plain.toml",
        "id = \"plain\"\nname = \"Plain\"\ndescription = \"A probe.\"\nseverity = \"low\"\n\
         status = \"test\"\nwhen = 'true'\n",
    );
    let ran = run(&[
        "insights",
        "learn",
        "--rules",
        &path("plain"),
        "--state",
        &parts,
        &a,
    ]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("no rule of the kind insight"),
        "{}",
        ran.stderr
    );
}

/// Rules about measurements: the average size of answers, and the lowest of free space.
const MEASURED: &str = r#"
id = "sizes"
name = "Sizes"
description = "A probe."
severity = "low"
status = "test"
when = 'has(event.size)'
group_by = ['event.eventName']

[insight]
value = "average"
of = 'event.size'
direction = "both"
is = ">= 3"

[insight.attributions]
who = 'event.who'

[finding]
title = '{event.insight.explanation}'
"#;

/// Two readings a minute that swing with the day, below and above 0, ten times as large for half an hour of the eighth day.
fn sizes(from: u64, to: u64) -> String {
    let mut text = String::new();
    for minute in from * 1440..to * 1440 {
        let (day, of_day) = (minute / 1440, minute % 1440);
        let swing = (of_day as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let odd = if day == 7 && (1425..1440).contains(&of_day) {
            300.0
        } else {
            0.0
        };
        for half in 0..2 {
            let noise = (minute * 7919 + half * 104_729) % 1000;
            let size = -20.0 + 30.0 * swing + noise as f64 / 100.0 + odd;
            let (hour, rest, second) = (of_day / 60, of_day % 60, half * 30);
            let _ = writeln!(
                text,
                "{{\"eventID\":\"{minute}-{half}\",\"eventTime\":\"2026-01-{:02}T{hour:02}:{rest:02}:{second:02}Z\",\
                 \"eventName\":\"Read\",\"who\":\"user-{half}\",\"size\":{size:.2}}}",
                day + 5
            );
        }
    }
    text
}

#[test]
fn measurements_are_watched_and_go_on_from_what_was_learnt() {
    let folder = Folder::new("learnt-sizes");
    let path = |name: &str| format!("{}/{name}", folder.path());
    folder.file("rules/sizes.toml", MEASURED);
    folder.file("a.jsonl", sizes(0, 8));
    folder.file("b.jsonl", sizes(8, 9));
    let (rules, state) = (path("rules"), path("state"));
    let show = ["insights", "show", "--rules", &rules, "--format", "jsonl"];
    let whole = run(&[&show[..], &[&path("a.jsonl"), &path("b.jsonl")]].concat());
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let lines: Vec<&str> = whole.stdout.lines().collect();
    let [start, end] = lines.as_slice() else {
        panic!("{}", whole.stdout);
    };
    let start: serde_json::Value = serde_json::from_str(start).expect("a record");
    assert_eq!(start["eventTime"], "2026-01-12T23:45:00Z");
    assert_eq!(start["insightDetails"]["insightType"], "AverageInsight");
    let words = start["insight"]["explanation"]
        .as_str()
        .expect("a sentence");
    assert!(
        words.contains(" on average in 1 minute, where ") && words.contains("who user-"),
        "{words}"
    );
    let chart = &start["insight"]["chart"];
    assert_eq!(
        chart["values"].as_array().map(Vec::len),
        chart["high"].as_array().map(Vec::len)
    );
    assert!(chart["values"][0].as_f64() < Some(0.0), "{chart}");
    let told: serde_json::Value = serde_json::from_str(end).expect("a record");
    let statistics = &told["insightDetails"]["insightContext"]["statistics"];
    assert_eq!(statistics["insightDuration"], 15, "{statistics}");
    let learn = ["insights", "learn", "--rules", &rules, "--state", &state];
    assert_eq!(run(&[&learn[..], &[&path("a.jsonl")]].concat()).code, 0);
    let after = run(&[&show[..], &["--state", &state, &path("b.jsonl")]].concat());
    assert_eq!(after.stdout.lines().collect::<Vec<_>>(), [*end]);
}
