//! What becomes of memory when rules change between two runs.

use super::world::{Run, at, rule, rule_set};
use tripline_core::rule::kind::EventTime;
use tripline_core::state::{Kept, StateSettings, Told};

fn event(number: usize, second: i64) -> String {
    format!(
        "{{\"eventID\":\"e{number}\",\"eventTime\":\"{}\",\"kind\":\"a\",\"user\":\"u\",\"host\":\"h\"}}",
        at(second)
    )
}

/// Sees `count` events under one rule, the same number under the other; gives what became of the memory, and what is
/// found in the second run.
fn changed(before: &str, after: &str, count: usize) -> (Kept, Vec<Told>) {
    let (before, after) = (
        rule_set(&[rule("probe", before)]),
        rule_set(&[rule("probe", after)]),
    );
    let mut run = Run::new(&before);
    for number in 0..count {
        run.take(&event(number, number as i64));
    }
    run.state.complete(at(count as i64));
    run.state.take_told();
    let bytes = run.state.snapshot("").expect("written");
    let mut run = Run::new(&after);
    let restored = run.state.restore(&bytes).expect("read");
    assert_eq!(restored.rules.len(), 1);
    for number in 0..count {
        run.take(&event(1000 + number, 100 + number as i64));
    }
    (restored.rules[0].1, run.end())
}

const COUNT: &str = "when = 'event.kind == \"a\"'\ngroup_by = ['event.user']\n[threshold]\nwindow = \"1h\"\nis = \">= 4\"\n";

#[test]
fn what_does_not_change_the_meaning_keeps_the_memory() {
    let title = format!("{COUNT}[finding]\ntitle = \"another\"\n");
    let severity = COUNT.replace("when =", "risk_score = 9\nwhen =");
    for after in [
        COUNT.to_owned(),
        title,
        severity,
        COUNT.replace("1h", "2h"),
        COUNT.replace(">= 4", ">= 3"),
        COUNT.replace("event.kind == \"a\"", "( event.kind   == \"a\" )"),
        COUNT.replace("'event.user'", "'(event . user)'"),
        COUNT.replace("when =", "lateness = \"1h\"\ngroups_max = 9\nwhen ="),
        format!("{COUNT}[suppress]\nwindow = \"1h\"\n"),
    ] {
        // Two before and two after: only together they are enough.
        let (kept, found) = changed(COUNT, &after, 2);
        assert_eq!((kept, found.len()), (Kept::Kept, 1), "{after}");
    }
}

#[test]
fn what_changes_the_meaning_drops_the_memory() {
    let distinct = "when = 'event.kind == \"a\"'\ngroup_by = ['event.user']\n[threshold]\nwindow = \"1h\"\n\
                    measure = \"distinct\"\nof = 'event.host'\nis = \">= 4\"\n";
    let by_host = COUNT.replace("event.user", "event.host");
    let first = "when = 'event.kind == \"a\"'\ngroup_by = ['event.user']\n[first_seen]\nof = ['event.host']\nlearning = \"0s\"\n";
    let both = "when = 'event.kind == \"a\"'\n[first_seen]\nof = ['event.user', 'event.host']\nlearning = \"0s\"\n";
    let learning = format!("{first}learning_of_group = \"1s\"\n");
    let rare = "when = 'event.kind == \"a\"'\n[rare]\nof = ['event.user', 'event.host']\nwindow = \"1h\"\nfewer_than = 2\n";
    let rare_by = "when = 'event.kind == \"a\"'\n[rare]\nof = ['event.user']\nby = 'event.host'\nwindow = \"1h\"\nfewer_than = 2\n";
    let steps = |second: &str| {
        format!(
            "group_by = ['event.host']\n[sequence]\nwithin = \"1h\"\n[[sequence.step]]\nname = \"one\"\nwhen = 'event.kind == \"a\"'\n\
             [[sequence.step]]\nname = \"two\"\n{second}\n"
        )
    };
    for (before, after) in [
        (
            COUNT,
            COUNT.replace("kind == \"a\"", "user == \"u\"").as_str(),
        ),
        (COUNT, by_host.as_str()),
        (COUNT, distinct),
        (
            COUNT,
            COUNT
                .replace("window", "over = \"session\"\nwindow")
                .as_str(),
        ),
        (COUNT, first),
        (first, both),
        (both, first),
        (first, learning.as_str()),
        (rare, rare_by),
        (
            steps("when = 'true'").as_str(),
            steps("when = 'true'\nrepeat = 2").as_str(),
        ),
        (
            steps("when = 'true'").as_str(),
            steps("when = 'true'\ngroup_by = ['event.user']").as_str(),
        ),
    ] {
        let (kept, _) = changed(before, after, 2);
        assert_eq!(kept, Kept::Changed, "{before}\n{after}");
    }
    assert_eq!(
        changed(COUNT, &by_host, 2).1,
        [],
        "nothing of the old memory counts"
    );
}

#[test]
fn memory_goes_to_the_rule_it_was_of_and_to_no_other() {
    let kind = |kind: &str| COUNT.replace("\"a\"", &format!("\"{kind}\""));
    let before = rule_set(&[
        rule("gone", COUNT),
        rule("stays", COUNT),
        rule("other", &kind("b")),
    ]);
    let mut run = Run::new(&before);
    for number in 0..3 {
        run.take(&event(number, number as i64));
    }
    run.state.complete(at(10));
    let bytes = run.state.snapshot("").expect("written");
    // In another order, with new ones among them that look the same.
    let after = rule_set(&[
        rule("new", COUNT),
        rule("other", &kind("b")),
        rule("stays", COUNT),
    ]);
    let mut run = Run::new(&after);
    let restored = run.state.restore(&bytes).expect("read");
    let mut became = restored.rules.clone();
    became.sort_by(|left, right| left.0.cmp(&right.0));
    let name = |name: &str| name.to_owned();
    assert_eq!(
        became,
        [
            (name("gone"), Kept::Absent),
            (name("other"), Kept::Kept),
            (name("stays"), Kept::Kept)
        ]
    );
    run.take(&event(99, 20));
    let found = run.end();
    let ids: Vec<&str> = found
        .iter()
        .map(|told| told.finding.rule_id.as_str())
        .collect();
    assert_eq!(ids, ["stays"]);
}

#[test]
fn findings_left_open_are_told_when_their_rule_is_gone_for_long_or_its_key_changes() {
    let suppressed = |by: &str| {
        format!("when = 'event.kind == \"a\"'\n[suppress]\nwindow = \"1d\"\nby = ['{by}']\n")
    };
    let before = rule_set(&[
        rule("gone", &suppressed("event.user")),
        rule("rekeyed", &suppressed("event.user")),
        rule("stays", &suppressed("event.user")),
    ]);
    let mut run = Run::new(&before);
    for number in 0..3 {
        run.take(&event(number, number as i64));
    }
    run.state.complete(at(10));
    assert_eq!(run.state.take_told(), []);
    let bytes = run.state.snapshot("").expect("written");
    let after = rule_set(&[
        rule("rekeyed", &suppressed("event.host")),
        rule("stays", &suppressed("event.user")),
    ]);
    let mut run = Run::new(&after);
    let restored = run.state.restore(&bytes).expect("read");
    let counted = |finding: &tripline_core::wire::Finding| {
        let count = finding
            .suppressed
            .as_ref()
            .map(|suppressed| suppressed.count);
        (finding.rule_id.clone(), count)
    };
    assert_eq!(restored.ended, [], "the rule may come back");
    let told = run.state.take_told();
    let told: Vec<_> = told.iter().map(|told| counted(&told.finding)).collect();
    assert_eq!(told, [("rekeyed".to_owned(), Some(2))]);
    run.take(&event(99, 20));
    run.state.complete(EventTime::MAX);
    let told: Vec<_> = run
        .end()
        .iter()
        .map(|told| counted(&told.finding))
        .collect();
    let (rekeyed, stays) = (("rekeyed".to_owned(), None), ("stays".to_owned(), Some(3)));
    assert!(told.contains(&rekeyed) && told.contains(&stays), "{told:?}");
    for (days, kept, ended) in [(89, Kept::Absent, None), (91, Kept::Gone, Some(2))] {
        let mut run = Run::new(&after);
        run.state.restore(&bytes).expect("read");
        run.state.complete(at(days * 86_400));
        run.state.take_told();
        let later = run.state.snapshot("").expect("written");
        let restored = Run::new(&after).state.restore(&later).expect("read");
        assert!(
            restored.rules.contains(&("gone".to_owned(), kept)),
            "{restored:?}"
        );
        let told: Vec<_> = restored.ended.iter().map(|one| counted(one).1).collect();
        assert_eq!(told, Vec::from_iter(ended.map(Some)));
    }
}

#[test]
fn memory_of_a_rule_that_is_not_in_force_waits_for_it() {
    let first = COUNT.replace(
        "[threshold]\nwindow = \"1h\"\nis = \">= 4\"",
        "[first_seen]\nof = ['event.host']\nlearning = \"0s\"",
    );
    let both = rule_set(&[
        rule("away", COUNT),
        rule("new", &first),
        rule("stays", COUNT),
    ]);
    let one = rule_set(&[rule("stays", COUNT)]);
    let mut run = Run::new(&both);
    for number in 0..3 {
        run.take(&event(number, number as i64));
    }
    // Two were seen and one waits.
    run.state.complete(at(1));
    assert_eq!(run.state.take_told().len(), 1, "of the first-seen rule");
    let mut bytes = run.state.snapshot("").expect("written");
    let whole = bytes.len();
    for _ in 0..2 {
        let mut run = Run::new(&one);
        let restored = run.state.restore(&bytes).expect("read");
        let away = restored
            .rules
            .iter()
            .filter(|(_, kept)| *kept == Kept::Absent);
        assert_eq!(away.count(), 2);
        assert!(run.state.bytes() > 0);
        bytes = run.state.snapshot("").expect("written");
        assert_eq!(bytes.len(), whole);
    }
    let mut run = Run::new(&both);
    let restored = run.state.restore(&bytes).expect("read");
    assert!(restored.rules.iter().all(|(_, kept)| *kept == Kept::Kept));
    assert_eq!(run.state.snapshot("").expect("written").len(), whole);
    run.take(&event(99, 20));
    let found = run.end();
    let ids = found.iter().map(|told| told.finding.rule_id.as_str());
    assert_eq!(
        ids.collect::<Vec<_>>(),
        ["away", "stays"],
        "the host is known"
    );
}

#[test]
fn memory_of_rules_that_are_not_in_force_leaves_room_for_the_others() {
    let both = rule_set(&[rule("away", COUNT), rule("stays", COUNT)]);
    let one = rule_set(&[rule("stays", COUNT)]);
    let mut run = Run::new(&both);
    for number in 0..3000 {
        let user = format!("\"user\":\"u{number}\"");
        run.take(&event(number, number as i64).replace("\"user\":\"u\"", &user));
    }
    run.state.complete(at(3000));
    let bytes = run.state.snapshot("").expect("written");
    for (mebibytes, became) in [(16, Kept::Absent), (0, Kept::Crowded)] {
        let bytes_max = (mebibytes << 20) + 100_000;
        let settings = StateSettings {
            bytes_max,
            ..StateSettings::default()
        };
        let mut run = Run::with(&one, settings);
        let restored = run.state.restore(&bytes).expect("read");
        let away = restored.rules.iter().find(|(id, _)| id == "away");
        assert_eq!(away.map(|(_, kept)| *kept), Some(became));
    }
}
