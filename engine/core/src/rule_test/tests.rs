//! Timelines of every kind of rule: what fires, when, and what does not.

use super::run_tests;
use crate::rule::{File, load};
use jiff::civil::date;

const HEAD: &str = r#"id = "probe"
name = "Probe"
description = "A probe."
severity = "low"
status = "experimental"
"#;

const EVENTS: &str = r#"
[events.a]
json = '{"kind": "a", "user": "u1", "n": 1}'
[events.b]
json = '{"kind": "b", "user": "u1", "n": 2}'
[events.other]
json = '{"kind": "a", "user": "u2", "n": 1}'
[events.c]
json = '{"kind": "c", "user": "u1", "n": 9}'
"#;

/// Runs the tests of a rule written below the usual head, and gives what failed.
fn failures(rule: &str, tests: &str) -> Vec<String> {
    failures_among(&[], rule, tests)
}

fn failures_among(others: &[(&str, &str)], rule: &str, tests: &str) -> Vec<String> {
    let mut files: Vec<File> = others
        .iter()
        .map(|(id, text)| File::found(format!("{id}.toml"), HEAD.replace("probe", id) + text))
        .collect();
    let used: String = EVENTS
        .split("\n[")
        .filter(|event| !event.is_empty())
        .filter(|event| {
            let name = event
                .trim_start_matches("events.")
                .split(']')
                .next()
                .unwrap_or("");
            tests.contains(&format!("\"{name}\""))
        })
        .map(|event| format!("\n[{event}"))
        .collect();
    files.push(File::found(
        "probe.toml",
        format!("{HEAD}{rule}\n{used}\n{tests}"),
    ));
    let catalog = load(&files, date(2026, 1, 1));
    let texts: Vec<String> = catalog
        .reports
        .iter()
        .map(|report| report.render(crate::diagnostic::Palette::PLAIN))
        .collect();
    assert!(texts.is_empty(), "{}", texts.join("\n"));
    let results = run_tests(&catalog);
    assert!(!results.is_empty());
    results
        .into_iter()
        .flat_map(|result| {
            result
                .failure
                .into_iter()
                .flat_map(|failure| failure.mismatches)
        })
        .collect()
}

fn check(rule: &str, tests: &str) {
    assert_eq!(
        failures(rule, tests),
        Vec::<String>::new(),
        "{rule}\n{tests}"
    );
}

#[test]
fn threshold_fires_when_it_comes_to_hold_and_again_after_it_ceased() {
    let rule = r#"
when = 'event.kind == "a"'
group_by = ['event.user']
[threshold]
window = "5m"
is = ">= 3"
[finding]
title = "{window.count} by {event.user}"
"#;
    check(
        rule,
        r#"
[[test]]
name = "three in five minutes, and three more an hour later"
findings = [
  { at = "2m", group = ["u1"], count = 3, title = "3 by u1" },
  { at = "1h2m", group = ["u1"], count = 3 },
]
[[test.timeline]]
event = "a"
repeat = 6
every = "1m"
[[test.timeline]]
at = "1h"
event = "a"
repeat = 3
every = "1m"

[[test]]
name = "too far apart: the window is shorter than five minutes"
findings = []
[[test.timeline]]
event = "a"
repeat = 9
every = "2m30s"

[[test]]
name = "two users"
findings = []
[[test.timeline]]
event = "a"
repeat = 2
[[test.timeline]]
event = "other"
repeat = 2

[[test]]
name = "out of order, and the same event three times"
findings = [{ at = "4m", count = 3 }]
[[test.timeline]]
at = "4m"
event = "a"
[[test.timeline]]
at = "1m"
event = "a"
repeat = 3
set = { eventID = "same" }
[[test.timeline]]
at = "0s"
event = "a"
"#,
    );
}

#[test]
fn threshold_leaves_out_what_is_later_than_its_lateness() {
    let rule = "when = 'event.kind == \"a\"'\nlateness = \"1m\"\n[threshold]\nwindow = \"1h\"\nis = \">= 2\"\n";
    check(
        rule,
        r#"
[[test]]
name = "two minutes late"
findings = []
[[test.timeline]]
at = "10m"
event = "a"
[[test.timeline]]
at = "8m"
event = "a"

[[test]]
name = "less than a minute late"
findings = [{ at = "10m" }]
[[test.timeline]]
at = "10m"
event = "a"
[[test.timeline]]
at = "9m30s"
event = "a"
"#,
    );
}

#[test]
fn thresholds_of_every_measure() {
    let run = |table: &str, findings: &str| {
        let rule = format!("when = 'event.kind in [\"a\", \"b\", \"c\"]'\n[threshold]\n{table}\n");
        let tests = format!(
            "
[[test]]
name = \"a a b c within a minute\"
findings = {findings}
[[test.timeline]]
event = \"a\"
repeat = 2
every = \"10s\"
[[test.timeline]]
at = \"20s\"
event = \"b\"
[[test.timeline]]
at = \"30s\"
event = \"c\"
"
        );
        check(&rule, &tests);
    };
    let window = "window = \"1m\"";
    run(
        &format!("{window}\nmeasure = \"distinct\"\nof = 'event.kind'\nis = \">= 3\""),
        "[{ at = \"30s\", count = 3 }]",
    );
    run(
        &format!("{window}\nmeasure = \"distinct\"\nof = 'event.kind'\nis = \"> 3\""),
        "[]",
    );
    run(
        &format!(
            "{window}\nmeasure = \"share\"\nof = 'event.kind == \"a\"'\nis = \"<= 0.5\"\nevents_min = 4"
        ),
        "[{ at = \"30s\" }]",
    );
    run(
        &format!("{window}\nmeasure = \"sum\"\nof = 'event.n'\nis = \">= 13\""),
        "[{ at = \"30s\" }]",
    );
    run(
        &format!("{window}\nmeasure = \"average\"\nof = 'event.n'\nis = \"> 3\""),
        "[{ at = \"30s\" }]",
    );
    run(
        &format!("{window}\nmeasure = \"median\"\nof = 'event.n'\nis = \"> 1\""),
        "[{ at = \"30s\" }]",
    );
    run(
        &format!("{window}\nmeasure = \"median\"\nof = 'event.n'\nis = \"> 1.5\""),
        "[]",
    );
    run(
        &format!(
            "{window}\nmeasure = \"percentile\"\npercentile = 50\nof = 'event.n'\nis = \">= 2\""
        ),
        "[]",
    );
    run(
        &format!(
            "{window}\nmeasure = \"percentile\"\npercentile = 75\nof = 'event.n'\nis = \">= 2\""
        ),
        "[{ at = \"20s\" }]",
    );
    run(
        &format!("{window}\nover = \"tumbling\"\nis = \"< 5\""),
        "[{ at = \"1m\", count = 4 }]",
    );
    run(
        &format!("{window}\nover = \"tumbling\"\nis = \"< 4\""),
        "[]",
    );
    run(
        "window = \"15s\"\nover = \"session\"\nis = \"== 4\"",
        "[{ at = \"45s\", count = 4 }]",
    );
    run(
        "window = \"15s\"\nover = \"session\"\nis = \">= 4\"",
        "[{ at = \"30s\", count = 4 }]",
    );
}

#[test]
fn many_are_not_few_because_not_all_are_kept() {
    let rule = |is: &str| {
        format!(
            "when = 'event.kind == \"a\"'\n[threshold]\nwindow = \"1d\"\nover = \"tumbling\"\nis = \"{is}\"\n"
        )
    };
    let tests = |findings: &str| {
        format!(
            "
[[test]]
name = \"six thousand\"
findings = {findings}
[[test.timeline]]
event = \"a\"
repeat = 6000
every = \"1s\"
"
        )
    };
    check(&rule("< 5000"), &tests("[]"));
    check(&rule("== 5000"), &tests("[]"));
    check(&rule("<= 6000"), &tests("[{ at = \"1d\", count = 6000 }]"));
    check(&rule("!= 5000"), &tests("[{ at = \"1d\" }]"));
}

#[test]
fn an_event_may_end_one_sequence_and_begin_another() {
    let rule = r#"
group_by = ['event.user']
[sequence]
within = "10m"
[[sequence.step]]
name = "one"
when = 'event.kind == "a"'
[[sequence.step]]
name = "two"
when = 'event.kind in ["a", "b"]'
"#;
    check(
        rule,
        r#"
[[test]]
name = "alone it is not two"
findings = []
[[test.timeline]]
event = "a"

[[test]]
name = "each ends what the one before began"
findings = [{ at = "1m", count = 2 }, { at = "2m", count = 2 }]
[[test.timeline]]
event = "a"
repeat = 3
every = "1m"

[[test]]
name = "what a newer one stands for is not taken as well"
findings = [{ at = "1m", count = 2 }, { at = "2m", count = 2 }]
[[test.timeline]]
event = "a"
repeat = 2
every = "1m"
[[test.timeline]]
at = "2m"
event = "b"
[[test.timeline]]
at = "3m"
event = "b"

[[test]]
name = "in one second"
findings = [{ at = "0s", count = 2 }]
[[test.timeline]]
event = "a"
repeat = 2
"#,
    );
}

#[test]
fn sequences_follow_captures_repetition_and_until() {
    let rule = r#"
group_by = ['event.user']
[sequence]
within = "10m"
until = 'event.kind == "stop"'
[[sequence.step]]
name = "first"
when = 'event.kind == "a"'
repeat = 2
[[sequence.step]]
name = "then"
when = 'event.kind == "b" && event.n == step.first.n + 1'
[finding]
title = "{step.first.kind} then {event.kind}"
"#;
    check(
        rule,
        r#"
[[test]]
name = "two, then the other"
findings = [{ at = "3m", count = 3, title = "a then b" }]
[[test.timeline]]
event = "a"
repeat = 2
every = "1m"
[[test.timeline]]
at = "3m"
event = "b"

[[test]]
name = "in one second, whatever the order of arrival"
findings = [{ at = "0s", count = 3 }]
[[test.timeline]]
event = "b"
[[test.timeline]]
event = "a"
repeat = 2

[[test]]
name = "another number"
findings = []
[[test.timeline]]
event = "a"
repeat = 2
[[test.timeline]]
at = "1m"
event = "b"
set = { n = 3 }

[[test]]
name = "one is not two"
findings = []
[[test.timeline]]
event = "a"
[[test.timeline]]
at = "1m"
event = "b"

[[test]]
name = "too late"
findings = []
[[test.timeline]]
event = "a"
repeat = 2
[[test.timeline]]
at = "10m"
event = "b"

[[test]]
name = "stopped in between"
findings = []
[[test.timeline]]
event = "a"
repeat = 2
[[test.timeline]]
at = "1m"
event = "a"
set = { kind = "stop" }
[[test.timeline]]
at = "2m"
event = "b"
"#,
    );
    let apart = rule.replace("within", "ties = \"apart\"\nwithin");
    check(
        &apart,
        r#"
[[test]]
name = "in one second nothing is after another"
findings = [{ at = "1s" }]
[[test.timeline]]
event = "a"
repeat = 2
[[test.timeline]]
event = "b"
[[test.timeline]]
at = "1s"
event = "b"
"#,
    );
}

#[test]
fn temporal_steps_come_in_any_order() {
    let rule = r#"
group_by = ['event.user']
[temporal]
within = "10m"
[[temporal.step]]
name = "one"
when = 'event.kind == "a"'
[[temporal.step]]
name = "two"
when = 'event.kind == "b"'
repeat = 2
"#;
    check(
        rule,
        r#"
[[test]]
name = "b a b, and nothing before another full set"
findings = [{ at = "2m", count = 3 }]
[[test.timeline]]
event = "b"
[[test.timeline]]
at = "1m"
event = "a"
[[test.timeline]]
at = "2m"
event = "b"
[[test.timeline]]
at = "3m"
event = "b"

[[test]]
name = "of two users"
findings = []
[[test.timeline]]
event = "b"
repeat = 2
[[test.timeline]]
event = "other"
"#,
    );
}

#[test]
fn what_must_not_come_near_the_first_step() {
    let test = |name: &str, findings: &str, events: &[(&str, &str)]| {
        let mut text = format!("[[test]]\nname = \"{name}\"\nfindings = {findings}\n");
        for (at, kind) in events {
            text.push_str(&format!(
                "[[test.timeline]]\nat = \"{at}\"\nevent = \"{kind}\"\n"
            ));
        }
        text
    };
    let tests = [
        test(
            "told when the time of the first step is up",
            "[{ at = \"20m\", count = 2 }]",
            &[("10m", "a"), ("12m", "b")],
        ),
        test(
            "before it",
            "[]",
            &[("1m", "c"), ("10m", "a"), ("12m", "b")],
        ),
        test(
            "after it",
            "[]",
            &[("10m", "a"), ("12m", "b"), ("19m", "c")],
        ),
        test(
            "in between",
            "[]",
            &[("10m", "a"), ("11m", "c"), ("12m", "b")],
        ),
        test("at once", "[]", &[("10m", "c"), ("10m", "a"), ("12m", "b")]),
        test(
            "just too far on both sides",
            "[{ at = \"20m\" }]",
            &[("0s", "c"), ("10m", "a"), ("12m", "b"), ("20m", "c")],
        ),
        test(
            "near the second step alone",
            "[{ at = \"20m\" }]",
            &[("2m", "b"), ("0s", "c"), ("10m", "a"), ("20m", "c")],
        ),
        test(
            "near one event of the first step and not another",
            "[{ at = \"20m\", count = 2 }]",
            &[("10m", "a"), ("18m", "a"), ("19m", "b"), ("27m", "c")],
        ),
        test(
            "near the earlier one",
            "[{ at = \"22m\" }]",
            &[("0s", "c"), ("9m", "a"), ("12m", "a"), ("13m", "b")],
        ),
        test(
            "once for all that came together",
            "[{ at = \"20m\" }]",
            &[("10m", "a"), ("11m", "a"), ("12m", "b"), ("13m", "a")],
        ),
        test("never together", "[]", &[("10m", "a"), ("20m", "b")]),
    ];
    check(
        r#"
group_by = ['event.user']
[temporal]
within = "10m"
without = 'event.kind == "c"'
[[temporal.step]]
name = "one"
when = 'event.kind == "a"'
[[temporal.step]]
name = "two"
when = 'event.kind == "b"'
"#,
        &tests.concat(),
    );
}

#[test]
fn absence_on_either_side() {
    let rule = |order: &str| {
        format!(
            "when = 'event.kind == \"a\"'\ngroup_by = ['event.user']\n[absence]\nof = 'event.kind == \"b\"'\nwithin = \"1h\"\norder = \"{order}\"\n"
        )
    };
    let alone = |findings: &str| {
        format!(
            "
[[test]]
name = \"alone\"
findings = {findings}
[[test.timeline]]
at = \"2h\"
event = \"a\"
"
        )
    };
    let with = |findings: &str, at: &str| {
        format!(
            "
[[test]]
name = \"with the other\"
findings = {findings}
[[test.timeline]]
at = \"2h\"
event = \"a\"
[[test.timeline]]
at = \"{at}\"
event = \"b\"
"
        )
    };
    let after = rule("after") + "lateness = \"2h\"\n";
    let after = after.replacen("lateness = \"2h\"\n", "", 1).replacen(
        "group_by",
        "lateness = \"2h\"\ngroup_by",
        1,
    );
    let before = rule("before").replacen("group_by", "lateness = \"2h\"\ngroup_by", 1);
    let either = rule("either").replacen("group_by", "lateness = \"2h\"\ngroup_by", 1);
    let missed_later = "[{ at = \"3h\", group = [\"u1\"], count = 1 }]";
    let missed_at_once = "[{ at = \"2h\" }]";
    check(&after, &alone(missed_later));
    check(&after, &with("[]", "2h59m59s"));
    check(&after, &with("[]", "2h"));
    check(&after, &with(missed_later, "3h"));
    check(&after, &with(missed_later, "1h30m"));
    check(&before, &alone(missed_at_once));
    check(&before, &with("[]", "1h30m"));
    check(&before, &with("[]", "2h"));
    check(&before, &with(missed_at_once, "1h"));
    check(&before, &with(missed_at_once, "2h30m"));
    check(&either, &alone(missed_later));
    check(&either, &with("[]", "1h30m"));
    check(&either, &with("[]", "2h30m"));
    check(&either, &with(missed_later, "3h30m"));
}

#[test]
fn first_seen_learns_and_forgets() {
    let rule = r#"
when = 'has(event.user)'
[first_seen]
of = ['event.user', 'event.kind']
history = "10d"
learning = "2d"
"#;
    check(
        rule,
        r#"
[[test]]
name = "new after learning, not again, and again when forgotten"
findings = [{ at = "3d" }, { at = "20d" }]
[[test.timeline]]
event = "a"
[[test.timeline]]
at = "1d"
event = "b"
[[test.timeline]]
at = "3d"
event = "other"
[[test.timeline]]
at = "4d"
event = "other"
[[test.timeline]]
at = "9d"
event = "b"
[[test.timeline]]
at = "20d"
event = "a"
"#,
    );
    let grouped = r#"
when = 'has(event.user)'
group_by = ['event.user']
[first_seen]
of = ['event.kind']
learning = "0s"
learning_of_group = "1d"
"#;
    check(
        grouped,
        r#"
[[test]]
name = "a new user learns for a day"
findings = [{ at = "2d", group = ["u1"] }]
[[test.timeline]]
event = "a"
[[test.timeline]]
at = "1h"
event = "b"
[[test.timeline]]
at = "2d"
event = "c"
[[test.timeline]]
at = "2d"
event = "other"
"#,
    );
}

#[test]
fn rare_counts_sights_or_those_who_see() {
    let rule = "when = 'has(event.user)'\n[rare]\nof = ['event.kind']\nwindow = \"30d\"\nfewer_than = 3\nlearning = \"0s\"\n";
    check(
        rule,
        r#"
[[test]]
name = "twice rare, then common"
findings = [{ at = "0s", count = 1 }, { at = "1h", count = 2 }]
[[test.timeline]]
event = "a"
repeat = 5
every = "1h"
"#,
    );
    let by = format!("{rule}by = 'event.user'\n").replace("fewer_than = 3", "fewer_than = 2");
    check(
        &by,
        r#"
[[test]]
name = "rare as long as one user does it"
findings = [{ at = "0s" }, { at = "1h" }]
[[test.timeline]]
event = "a"
repeat = 2
every = "1h"
[[test.timeline]]
at = "2h"
event = "other"
[[test.timeline]]
at = "3h"
event = "a"
"#,
    );
}

#[test]
fn detections_feed_other_rules_and_signals_are_no_findings() {
    let signal = "when = 'event.kind == \"a\"'\nsignal = true\nrisk_score = 30\n";
    let burst = "rules = [\"signal\"]\ngroup_by = ['event.user']\nsignal = true\n[threshold]\nwindow = \"5m\"\nis = \">= 2\"\n";
    let rule = r#"
[sequence]
within = "1h"
[[sequence.step]]
name = "burst"
rules = ["burst"]
group_by = ['event.user']
[[sequence.step]]
name = "end"
when = 'event.kind == "b"'
group_by = ['event.user']
"#;
    let tests = r#"
[[test]]
name = "a burst, then the end"
findings = [{ at = "2m", count = 2 }]
[[test.timeline]]
event = "a"
repeat = 2
every = "1m"
[[test.timeline]]
at = "2m"
event = "b"

[[test]]
name = "no burst"
findings = []
[[test.timeline]]
event = "a"
[[test.timeline]]
at = "2m"
event = "b"
"#;
    let failed = failures_among(&[("signal", signal), ("burst", burst)], rule, tests);
    assert_eq!(failed, Vec::<String>::new());
    let risk = "rules = [\"sig*\"]\ngroup_by = ['event.user']\n[risk]\nthreshold = 75\nhalf_life = \"1h\"\n[finding]\ntitle = \"{window.value}\"\n";
    let tests = r#"
[[test]]
name = "three at once are enough, and quiet until it fell"
findings = [{ at = "0s", count = 3, title = "90.0" }, { at = "10h", count = 6 }]
[[test.timeline]]
event = "a"
repeat = 4
[[test.timeline]]
at = "10h"
event = "a"
repeat = 3

[[test]]
name = "spread out it is not"
findings = []
[[test.timeline]]
event = "a"
repeat = 6
every = "1h"
"#;
    let failed = failures_among(&[("signal", signal)], risk, tests);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(
        failed[0].starts_with("finding 2, count") || failed[0].contains("title"),
        "{failed:?}"
    );
}

#[test]
fn exceptions_hold_for_detections_too() {
    let signal = "when = 'event.kind == \"a\"'\nsignal = true\n";
    let rule = r#"
rules = ["signal"]
[threshold]
window = "5m"
is = ">= 2"
[[exceptions]]
name = "known"
when = 'event.user == "u2"'
owner = "secops@example.com"
reason = "Does this all day."
"#;
    let tests = r#"
[[test]]
name = "one who is excused, and one who is not"
findings = [{ at = "10m", count = 2 }]
[[test.timeline]]
event = "other"
repeat = 9
[[test.timeline]]
at = "10m"
event = "a"
repeat = 2
"#;
    let failed = failures_among(&[("signal", signal)], rule, tests);
    assert_eq!(failed, Vec::<String>::new());
}

#[test]
fn a_condition_on_a_detection_that_errs_is_told() {
    let signal = "when = 'event.kind == \"a\"'\nsignal = true\n";
    let rule = "rules = [\"signal\"]\nwhen = 'event.absent == 1'\n[threshold]\nwindow = \"5m\"\nis = \">= 1\"\n";
    let tests = r#"
[[test]]
name = "a field that is not there"
findings = [{ at = "0s" }]
[[test.timeline]]
event = "a"
"#;
    let failed = failures_among(&[("signal", signal)], rule, tests);
    assert_eq!(
        failed,
        [
            "expected 1 finding, found no finding",
            "an event was left out: event.absent is absent",
        ]
    );
}

#[test]
fn suppression_counts_and_reopens() {
    let rule = r#"
when = 'has(event.user)'
[suppress]
window = "1h"
[finding]
dedup_key = ['event.user']
severity = 'event.kind == "c" ? "high" : "low"'
"#;
    check(
        rule,
        r#"
[[test]]
name = "counted within the hour, new after it"
findings = [{ at = "0s", suppressed = 3 }, { at = "1h", suppressed = 0 }]
[[test.timeline]]
event = "a"
repeat = 5
every = "15m"

[[test]]
name = "what gets worse is told"
findings = [
  { at = "0s", severity = "low", suppressed = 1 },
  { at = "20m", severity = "high", suppressed = 1 },
]
[[test.timeline]]
event = "a"
[[test.timeline]]
at = "10m"
event = "b"
[[test.timeline]]
at = "20m"
event = "c"
[[test.timeline]]
at = "30m"
event = "a"
"#,
    );
}

#[test]
fn a_failing_timeline_says_what_differs() {
    let rule = "when = 'event.kind == \"a\"'\n[threshold]\nwindow = \"5m\"\nis = \">= 2\"\n";
    let failed = failures(
        rule,
        r#"
[[test]]
name = "wrong in everything"
findings = [{ at = "1m", count = 3 }, { at = "9m" }]
[[test.timeline]]
event = "a"
repeat = 2
"#,
    );
    assert_eq!(
        failed,
        [
            "expected 2 findings, found 1 finding",
            "finding 1, at: expected 1m, found 0s",
            "finding 1, count: expected 3, found 2",
        ]
    );
}

/// The ids of the rules in force, and what checking and compiling says of all, by code.
fn compiled(files: &[(&str, &str)]) -> (Vec<String>, Vec<(&'static str, String)>) {
    let files: Vec<File> = files
        .iter()
        .map(|(path, text)| match *path {
            "site.toml" => File::found(*path, *text),
            id => File::found(format!("{id}.toml"), HEAD.replace("probe", id) + text),
        })
        .collect();
    let catalog = load(&files, date(2026, 1, 1));
    let (set, found) = crate::evaluate::RuleSet::of_catalog(&catalog);
    let ids = set.rules().iter().map(|rule| rule.rule.id.to_string());
    let all = catalog.reports.iter().chain(&found);
    let complaints = all.map(|report| {
        (
            report.diagnostic.code.as_str(),
            report.diagnostic.message.clone(),
        )
    });
    (ids.collect(), complaints.collect())
}

#[test]
fn what_never_happens_or_always_does_is_told() {
    let codes = |files: &[(&str, &str)]| -> Vec<&str> {
        compiled(files).1.iter().map(|(code, _)| *code).collect()
    };
    let sequence = "[sequence]\nwithin = \"1m\"\n[[sequence.step]]\nname = \"a\"\nwhen = 'event.kind == \"a\"'\n[[sequence.step]]\nname = \"b\"\n";
    let asks = format!("{sequence}when = 'event.user == step.a.user'\n");
    assert_eq!(codes(&[("probe", &asks)]), ["W2003"]);
    let narrowed = format!("{sequence}when = 'event.kind == \"b\" && event.user == step.a.user'\n");
    assert_eq!(codes(&[("probe", &narrowed)]), Vec::<&str>::new());
    let burst = "rules = [\"single\"]\n[threshold]\nwindow = \"1m\"\nis = \">= 2\"\n";
    let single = "when = 'event.kind == \"a\"'\n";
    let off =
        "[[override]]\nrule = \"single\"\ndisabled = true\nowner = \"us\"\nreason = \"noise\"\n";
    assert_eq!(
        codes(&[("single", single), ("probe", burst)]),
        Vec::<&str>::new()
    );
    assert_eq!(
        codes(&[("single", single), ("probe", burst), ("site.toml", off)]),
        ["W0005"]
    );
    let signal = format!("{single}signal = true\n[suppress]\nwindow = \"1h\"\n");
    assert_eq!(codes(&[("probe", &signal)]), ["E0014"]);
}

/// A rule that takes what cannot be is not in force, and what only it feeds is told to be silent.
#[test]
fn rules_that_are_fed_by_nothing_or_by_themselves_are_off() {
    let burst =
        |rules: &str| format!("rules = {rules}\n[threshold]\nwindow = \"1m\"\nis = \">= 2\"\n");
    let check = |files: &[(&str, String)], codes: &[&str], ids: &[&str]| {
        let files: Vec<(&str, &str)> = files.iter().map(|(id, text)| (*id, &**text)).collect();
        let (in_force, complaints) = compiled(&files);
        let found: Vec<&str> = complaints.iter().map(|(code, _)| *code).collect();
        assert_eq!(found, codes, "{files:?}\n{complaints:?}");
        assert_eq!(in_force, ids, "{files:?}");
    };
    let single = ("single", "when = 'event.kind == \"a\"'\n".to_owned());
    for (rules, codes, ids) in [
        ("['single']", &[][..], &["single", "probe"][..]),
        ("['single', 'probe']", &["E0019"], &["single"]),
        ("['probe']", &["E0019"], &["single"]),
        ("['pro*']", &["E0019"], &["single"]),
        ("['single', 'pro*']", &["E0019"], &["single"]),
        ("['*']", &[], &["single", "probe"]),
        ("['gone']", &["E0018"], &["single"]),
        ("['gone-*']", &["E0018"], &["single"]),
        ("['single', 'gone']", &["E0018"], &["single"]),
    ] {
        check(&[single.clone(), ("probe", burst(rules))], codes, ids);
    }
    let after = ("after", burst("['probe']"));
    check(
        &[("probe", burst("['gone']")), after.clone(), single.clone()],
        &["E0018", "W0005"],
        &["after", "single"],
    );
    let circle = [("probe", burst("['back']")), ("back", burst("['probe']"))];
    let [probe, back] = circle.clone();
    check(&circle, &["E0019", "E0019"], &[]);
    // Of two circles with a rule between them, that rule is in none.
    check(
        &[
            probe,
            back,
            ("between", burst("['probe']")),
            ("one", burst("['other', 'between']")),
            ("other", burst("['one']")),
            ("last", burst("['other', 'single']")),
            single.clone(),
        ],
        &["E0019", "E0019", "E0019", "E0019", "W0005"],
        &["between", "last", "single"],
    );
    // A rule with a mistake is there all the same: what takes its detections is silent, and right.
    check(
        &[
            ("probe", burst("['wrong']")),
            ("wrong", "when = 'event.'\n".to_owned()),
        ],
        &["E1001", "W0005"],
        &["probe"],
    );
}

/// What asks, measures or groups by what cannot be is refused.
#[test]
fn what_cannot_be_asked_or_measured_is_refused() {
    let head = "source = 'aws.cloudtrail'\nwhen = 'event.eventName == \"A\"'\n";
    let counted = "[threshold]\nwindow = '1m'\nis = '>= 2'\n";
    let measured = |measure: &str, of: &str| {
        format!(
            "{head}[threshold]\nwindow = '1m'\nis = '>= 0.5'\nmeasure = '{measure}'\nof = '{of}'\n"
        )
    };
    let title = |text: &str| format!("{head}{counted}[finding]\ntitle = '{text}'\n");
    let key = |text: &str| format!("{head}{counted}[finding]\ndedup_key = ['{text}']\n");
    let severity = |text: &str| format!("{head}{counted}[finding]\nseverity = '{text}'\n");
    let grouped = |text: &str| format!("{head}group_by = ['{text}']\n{counted}");
    let counted_values = |of: &str, is: &str, over: &str| {
        format!(
            "{head}group_by = ['event.awsRegion', 'event.requestParameters.ids']\n[threshold]\nwindow = '1m'\n\
             is = '{is}'\nover = '{over}'\nmeasure = 'distinct'\nof = '{of}'\n"
        )
    };
    let steps = |more: &str| {
        format!(
            "source = 'aws.cloudtrail'\ngroup_by = ['event.awsRegion']\n[temporal]\nwithin = '1m'\n\
             [[temporal.step]]\nname = 'a'\nwhen = 'event.eventName == \"A\"'\n[[temporal.step]]\n\
             name = 'b'\nwhen = 'event.eventName == \"B\"'\n{more}"
        )
    };
    let good: &[&str] = &[];
    for (rule, expected) in [
        (
            title("{window.count} {window.value} {window.start} {window.end}"),
            good,
        ),
        (
            title("{window.cuont}"),
            &["E2004: `window` has no field `cuont`"],
        ),
        (
            title("{window[\"cuont\"]}"),
            &["E2004: `window` has no field `cuont`"],
        ),
        (
            key("window.started"),
            &["E2004: `window` has no field `started`"],
        ),
        (key("string(window.start)"), good),
        (severity("window.count > 9 ? \"high\" : \"low\""), good),
        (severity("event.eventName"), good),
        (
            severity("window.count"),
            &["E2005: expected string, found int"],
        ),
        (
            measured("sum", "event.eventName"),
            &["E2005: expected a number, found string"],
        ),
        (measured("sum", "double(event.eventName)"), good),
        (measured("sum", "event.requestParameters.size"), good),
        (
            measured("average", "event.readOnly"),
            &["E2005: expected a number, found bool"],
        ),
        (measured("percentile", "size(event.eventName)"), good),
        (
            measured("sum", "event.?requestParameters.?n"),
            &["E2005: expected a number, found optional_type(dyn)"],
        ),
        (
            measured("share", "event.eventName"),
            &["E2005: expected bool, found string"],
        ),
        (measured("share", "event.eventName == \"A\""), good),
        (
            measured("distinct", "[]"),
            &["E0005: an empty list stands for no value, so no event is ever counted"],
        ),
        (measured("distinct", "[event.eventName]"), good),
        (counted_values("event.readOnly", ">= 2", "tumbling"), good),
        (counted_values("event.readOnly", "> 1", "sliding"), good),
        (
            counted_values("event.readOnly", ">= 3", "sliding"),
            &["E0014: `>= 3` never holds of a count that is at most 2"],
        ),
        (
            counted_values("event.eventName == \"A\"", "> 2", "sliding"),
            &["E0014: `> 2` never holds of a count that is at most 2"],
        ),
        (
            counted_values("event.eventName == \"A\"", "< 3", "tumbling"),
            &["E0014: `< 3` always holds of a count that is at most 2"],
        ),
        (
            counted_values(
                "[event.readOnly, event.eventName == \"A\"]",
                "== 3",
                "session",
            ),
            &["E0014: `== 3` never holds of a count that is at most 2"],
        ),
        (counted_values("event.awsRegion", ">= 1", "sliding"), good),
        (
            counted_values("event.awsRegion", ">= 2", "sliding"),
            &["E0014: `>= 2` never holds of a count that is at most 1"],
        ),
        // A list may put an event into several groups with several values each.
        (
            counted_values("event.requestParameters.ids", ">= 2", "sliding"),
            good,
        ),
        (counted_values("event.eventName", ">= 2", "sliding"), good),
        (
            severity("event.eventName == \"A\" ? \"hihg\" : \"low\""),
            &["E2007: `hihg` is no severity"],
        ),
        (
            severity("{\"A\": \"high\", \"B\": \"Low\"}[event.eventName]"),
            &["E2007: `Low` is no severity"],
        ),
        (
            severity("event.?requestParameters.?level.orValue(\"severe\")"),
            &["E2007: `severe` is no severity"],
        ),
        (severity("[\"low\", \"high\"][size(\"hihg\") - 4]"), good),
        (
            grouped("[\"a\"].exists(step, step == event.awsRegion)"),
            good,
        ),
        (
            grouped("[\"a\"].map(window, window + event.awsRegion)"),
            good,
        ),
        (
            grouped("[step.a].map(step, step)"),
            &["E0020: there is no step `a` to ask about here"],
        ),
        (
            title("{[\"a\"].exists(step, step == event.awsRegion)}"),
            good,
        ),
        (
            title("{[1].map(window, window + 1)}"),
            &["E0020: a variable called `window` hides what the rule knows as `window`"],
        ),
        (
            grouped("[]"),
            &["E0005: an empty list stands for no value, so no event is ever counted"],
        ),
        (grouped("[event.awsRegion]"), good),
        (
            steps("group_by = ['[]']\n"),
            &["E0005: an empty list stands for no value, so no event is ever counted"],
        ),
        (
            title("{step.a.eventName}"),
            &["E0020: there is no step `a` to ask about here"],
        ),
        (
            steps("[finding]\ntitle = '{[1].map(step, step)} {cel.bind(step, 1, step)}'\n"),
            &[
                "E0020: a variable called `step` hides what the rule knows as `step`",
                "E0020: a variable called `step` hides what the rule knows as `step`",
            ],
        ),
    ] {
        let (in_force, complaints) = compiled(&[("probe", &rule)]);
        let found: Vec<String> = complaints
            .iter()
            .map(|(code, message)| format!("{code}: {message}"))
            .collect();
        assert_eq!(found, expected, "{rule}");
        assert_eq!(in_force.is_empty(), !expected.is_empty(), "{rule}");
    }
}

/// What helps differs by why a step is not known.
#[test]
fn questions_about_steps_that_are_not_known_are_answered() {
    let step = |kind: &str, name: &str, when: &str| {
        format!("[[{kind}.step]]\nname = '{name}'\nwhen = 'event.kind == \"{name}\"{when}'\n")
    };
    let ordered = |kind: &str, first: &str| {
        let steps = step(kind, "a", first) + &step(kind, "b", "");
        format!("group_by = ['event.user']\n[{kind}]\nwithin = '1m'\n{steps}")
    };
    let asks = " && event.user == step.b.user";
    for (rule, expected) in [
        (
            ordered("sequence", asks),
            "Nothing has happened before this.",
        ),
        (
            ordered("temporal", asks),
            "Steps in any order know nothing of one another; `[sequence]` has an order.",
        ),
        (
            ordered("sequence", "").replace("'event.user'", "'step.a.user'"),
            "Keys and values are computed of each event by itself.",
        ),
        (
            "when = 'event.user == step.a.user'\n[threshold]\nwindow = '1m'\nis = '>= 2'\n"
                .to_owned(),
            "`[threshold]` has no steps; `event` is the event at hand.",
        ),
        (
            ordered("sequence", "") + "[finding]\ntitle = '{step.c.user}'\n",
            "Steps that are known here: a, b.",
        ),
    ] {
        let file = File::found("probe.toml", HEAD.to_owned() + &rule);
        let catalog = load(&[file], date(2026, 1, 1));
        let found = crate::evaluate::check_rules(&catalog);
        let unknown = found
            .iter()
            .find(|one| one.diagnostic.code.as_str() == "E0020");
        let help = unknown.map(|one| one.diagnostic.help.as_slice());
        assert_eq!(help, Some(&[expected.to_owned()][..]), "{rule}\n{found:?}");
    }
}

/// Tests that cannot be run fail, and say why.
#[test]
fn refused_tests_fail_with_their_mistake() {
    let rule = "when = 'event.kind == \"a\"'\n";
    let event = "[events.a]\njson = '{\"kind\": \"a\"}'\n[events.bad]\njson = '{'\n";
    let good = "[[test]]\nname = 'good'\nevent = 'a'\nexpect = 'match'\n";
    let bad = "[[test]]\nname = 'bad'\nevent = 'bad'\nexpect = 'match'\n[[test]]\nevent = 'a'\nexpect = 'match'\n\
               [[test]]\nname = 'unknown'\nevent = 'b'\nexpect = 'match'\n\
               [[test]]\nname = 'both'\nevent = 'a'\ntimeline = [{ event = 'a' }]\nfindings = []\n";
    let results = |rule: &str, tests: &str| -> Vec<String> {
        let file = File::found("probe.toml", format!("{HEAD}{rule}{event}{tests}"));
        let results = run_tests(&load(&[file], date(2026, 1, 1)));
        results
            .into_iter()
            .map(|result| {
                let failure = result.failure.map(|failure| failure.mismatches.join("; "));
                format!(
                    "{}: {}",
                    result.name,
                    failure.unwrap_or("passed".to_owned())
                )
            })
            .collect()
    };
    let because = "the test is not run, as it has a mistake";
    assert_eq!(
        results(rule, &format!("{bad}{good}")),
        [
            format!("bad: {because}: its events have mistakes"),
            format!("test 2: {because}: a test needs the key `name`"),
            format!("unknown: {because}: there is no event `b`"),
            format!(
                "both: {because}: a test has a timeline or one event, and `event` belongs to one event"
            ),
            "good: passed".to_owned(),
        ]
    );
    // A rule with a mistake is off, so nothing is known of what it says.
    assert_eq!(
        results("when = 'event.kind == \"a\" && 1'\n", good),
        ["good: the rule has a mistake: `&&` joins conditions, this is a int"]
    );
}

#[test]
fn values_that_are_lists_are_their_elements() {
    let threshold = "when = 'event.kind == \"a\"'\n[threshold]\nwindow = \"1h\"\nmeasure = \"distinct\"\nof = 'event.ids'\nis = \">= 3\"\n";
    let tests = |findings: &str, ids: [&str; 2]| {
        let [first, second] = ids;
        format!(
            "
[[test]]
name = \"two events\"
findings = {findings}
[[test.timeline]]
event = \"a\"
set = {{ ids = {first} }}
[[test.timeline]]
at = \"1m\"
event = \"a\"
set = {{ ids = {second} }}
"
        )
    };
    check(
        threshold,
        &tests("[{ at = \"1m\", count = 3 }]", ["['x', 'y']", "['y', 'z']"]),
    );
    check(threshold, &tests("[]", ["['x', 'y']", "['y', 'x']"]));
    check(
        threshold,
        &tests("[{ at = \"0s\", count = 3 }]", ["['x', 'y', 'z']", "['x']"]),
    );
    let first_seen =
        "when = 'event.kind == \"a\"'\n[first_seen]\nof = ['event.ids']\nlearning = \"30s\"\n";
    check(
        first_seen,
        &tests("[{ at = \"1m\" }]", ["['x', 'y']", "['y', 'z']"]),
    );
    check(first_seen, &tests("[]", ["['x', 'y']", "['y', 'x']"]));
    // A value that is not there is no value: the event is left out, and a failing test says why.
    let failed = failures(
        first_seen,
        r#"
[[test]]
name = "no ids"
findings = [{ at = "0s" }]
[[test.timeline]]
event = "a"
"#,
    );
    assert_eq!(
        failed,
        [
            "expected 1 finding, found no finding",
            "an event was left out: event.ids is absent"
        ]
    );
}

#[test]
fn a_rule_that_asks_is_tested_with_timelines() {
    let asks = r#"when = 'event.n == 1 && insight.state == "unknown"'"#;
    let one = r#"
[[test]]
name = "one event"
event = "a"
expect = "match"
"#;
    let failed = failures(asks, one);
    assert_eq!(
        failed,
        [
            "the rule asks what is known at the event's time, which one event does not tell: write a `[[test.timeline]]`"
        ]
    );
}
