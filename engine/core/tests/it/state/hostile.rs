//! Events and rules made to hurt: everything is bounded, counted, and takes nothing from other rules.

use super::world::{Run, at, rule, rule_set};
use tripline_core::evaluate::RuleSet;
use tripline_core::limits::{
    GROUP_TEXT_CHARS_MAX, GROUPS_PER_EVENT_MAX, OPEN_FINDINGS_MAX, PARTIALS_MAX, RISK_RULES_MAX,
};
use tripline_core::rule::kind::EventTime;
use tripline_core::state::{RuleCounters, StateCounters, StateSettings};

/// A rule that must find what it finds, whatever happens to the others.
const BYSTANDER: &str = "when = 'event.kind == \"b\"'\ngroup_by = ['event.user']\n[threshold]\nwindow = \"1h\"\nis = \">= 2\"\n";

fn with_bystander(body: &str) -> RuleSet {
    rule_set(&[rule("probe", body), rule("bystander", BYSTANDER)])
}

fn event(number: usize, second: i64, fields: &str) -> String {
    format!(
        "{{\"eventID\":\"00000000-0000-4000-8000-{number:012x}\",\"eventTime\":\"{}\",{fields}}}",
        at(second)
    )
}

const SEEN: &str = "\"kind\":\"b\",\"user\":\"x\"";

/// Sends two of the bystander's events around `attack`, and wants it to find them. Gives the counters.
fn survive(
    set: &RuleSet,
    settings: StateSettings,
    attack: impl FnOnce(&mut Run<'_>),
) -> (StateCounters, usize) {
    let mut run = Run::with(set, settings);
    run.take(&event(0xffff_0001, 0, SEEN));
    attack(&mut run);
    run.take(&event(0xffff_0002, 1, SEEN));
    run.state.complete(EventTime::MAX);
    run.state.finish();
    let counters = run.state.counters();
    let found = run.end();
    let (own, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|told| told.finding.rule_id == "bystander");
    assert_eq!(own.len(), 1, "the bystander lost its finding");
    (counters, others.len())
}

fn of<'c>(counters: &'c StateCounters, id: &str) -> &'c RuleCounters {
    let found = counters.rules.iter().find(|(one, _)| one == id);
    &found.expect("a rule that remembers").1
}

fn lasting(late: &str) -> String {
    format!(
        "lateness = \"{late}\"\nwhen = 'event.kind == \"a\"'\n[threshold]\nwindow = \"1h\"\nis = \">= 1\"\n"
    )
}

#[test]
fn clocks_that_run_backwards_are_late_and_counted() {
    let set = with_bystander(&lasting("5s"));
    let (counters, _) = survive(&set, StateSettings::default(), |run| {
        for second in 0..200i64 {
            run.take(&event(second as usize, 400 - second, "\"kind\":\"a\""));
            run.advance();
        }
    });
    let probe = of(&counters, "probe");
    assert_eq!((probe.observed, probe.late, probe.detections), (6, 194, 1));
}

#[test]
fn events_of_no_time_of_long_ago_and_of_the_future_are_told_apart() {
    let set = with_bystander(&lasting("0s"));
    let settings = StateSettings {
        future: at(1000),
        ..StateSettings::default()
    };
    let (counters, found) = survive(&set, settings, |run| {
        run.take("{\"kind\":\"a\"}");
        run.take("{\"kind\":\"a\",\"eventTime\":\"9999-12-30T00:00:00Z\"}");
        run.take("{\"kind\":\"a\",\"eventTime\":\"0000-01-01T00:00:00Z\",\"eventID\":\"0\"}");
        run.take("{\"kind\":\"a\",\"eventTime\":\"1970-01-01T00:00:00Z\",\"eventID\":\"1\"}");
        run.take(&event(2, 1000, "\"kind\":\"a\""));
        run.take(&event(3, 1001, "\"kind\":\"a\""));
    });
    assert_eq!((counters.timeless, counters.future), (1, 2));
    let probe = of(&counters, "probe");
    assert_eq!((probe.observed, probe.late, found), (3, 0, 3));
}

#[test]
fn with_no_lateness_events_of_one_time_all_count() {
    let set = with_bystander(
        "lateness = \"0s\"\nwhen = 'event.kind == \"a\"'\n[threshold]\nwindow = \"1m\"\nis = \">= 9\"\n",
    );
    let (counters, found) = survive(&set, StateSettings::default(), |run| {
        for number in 0..9 {
            run.take(&event(number, 1, "\"kind\":\"a\""));
            run.advance();
        }
    });
    assert_eq!((counters.late(), found), (0, 1));
}

#[test]
fn conditions_about_steps_that_cannot_be_decided_count_once_an_observation() {
    let body = "group_by = ['event.user']\n[sequence]\nwithin = \"1h\"\n[[sequence.step]]\nname = \"one\"\n\
                when = 'event.kind == \"a\"'\n[[sequence.step]]\nname = \"two\"\n\
                when = 'event.kind == \"c\" && event.host == step.one.host'\n";
    let set = with_bystander(body);
    let (counters, found) = survive(&set, StateSettings::default(), |run| {
        for number in 0..3 {
            run.take(&event(number, 0, "\"kind\":\"a\",\"user\":\"u\""));
        }
        run.take(&event(3, 0, "\"kind\":\"a\",\"user\":\"u\",\"host\":\"x\""));
        run.take(&event(4, 1, "\"kind\":\"c\",\"user\":\"u\",\"host\":\"y\""));
        run.take(&event(5, 2, "\"kind\":\"c\",\"user\":\"u\",\"host\":\"x\""));
    });
    // The last event goes on with the newest sequence, and asks about no other.
    let probe = of(&counters, "probe");
    assert_eq!(
        (probe.observed, probe.faults, probe.undecided, found),
        (6, 0, 1, 1),
        "{probe:?}"
    );
    let reasons: Vec<_> = probe.reasons.iter().collect();
    assert!(matches!(reasons[..], [(_, 1)]), "{reasons:?}");
}

#[test]
fn keys_that_cannot_be_computed_are_faults_with_few_short_reasons() {
    let body = "when = 'event.kind == \"a\"'\ngroup_by = ['event.user']\n[threshold]\nwindow = \"1h\"\n\
                measure = \"sum\"\nof = 'event.n'\nis = \">= 1\"\n";
    let set = with_bystander(body);
    let (counters, found) = survive(&set, StateSettings::default(), |run| {
        run.take(&event(0, 0, "\"kind\":\"a\",\"n\":1"));
        run.take(&event(1, 0, "\"kind\":\"a\",\"n\":1,\"user\":[]"));
        for number in 2..40 {
            let text = format!("{number}{}", "é".repeat(100_000));
            run.take(&event(
                number,
                0,
                &format!("\"kind\":\"a\",\"user\":\"u\",\"n\":\"{text}\""),
            ));
        }
        run.take(&event(40, 0, "\"kind\":\"a\",\"user\":\"u\",\"n\":2"));
    });
    let probe = of(&counters, "probe");
    assert_eq!((probe.faults, probe.observed, found), (40, 1, 1));
    let longest = probe.reasons.keys().map(String::len).max();
    assert!(
        probe.reasons.len() <= 8 && longest < Some(1000),
        "{longest:?}"
    );
}

#[test]
fn values_that_are_absent_are_faults_and_not_new() {
    for table in [
        "[first_seen]\nof = ['event.region']\nlearning = \"0s\"\n",
        "[rare]\nof = ['event.user']\nby = 'event.region'\nwindow = \"1h\"\nfewer_than = 2\nlearning = \"0s\"\n",
        "[threshold]\nmeasure = \"distinct\"\nof = 'event.region'\nwindow = \"1h\"\nis = \">= 1\"\n",
    ] {
        let set = with_bystander(&format!("when = 'event.kind == \"a\"'\n{table}"));
        let (counters, found) = survive(&set, StateSettings::default(), |run| {
            run.take(&event(0, 0, "\"kind\":\"a\",\"user\":\"u\""));
        });
        assert_eq!((of(&counters, "probe").faults, found), (1, 0), "{table}");
    }
}

#[test]
fn numbers_beyond_all_bounds_stay_numbers() {
    for (measure, is) in [
        ("sum", "> 1"),
        ("average", "> 1"),
        ("median", "> 1"),
        ("percentile", "> 1"),
    ] {
        let body = format!(
            "when = 'event.kind == \"a\"'\n[threshold]\nwindow = \"1h\"\nmeasure = \"{measure}\"\n\
             of = 'event.n'\nis = \"{is}\"\n"
        );
        let set = with_bystander(&body);
        let (counters, found) = survive(&set, StateSettings::default(), |run| {
            let numbers = [
                "1e308",
                "1e308",
                "-1e308",
                "-1e308",
                "1e308",
                "18446744073709551615",
                "99999999999999999999999",
                "\"NaN\"",
                "-0.0",
            ];
            for (number, n) in numbers.iter().enumerate() {
                let fields = format!("\"kind\":\"a\",\"n\":{n}");
                run.take(&event(number, number as i64 - 50, &fields));
            }
            run.state.complete(at(-1));
            for told in run.state.take_told() {
                let text = serde_json::to_string(&told.finding).expect("a finding is JSON");
                let read: tripline_core::wire::Finding =
                    serde_json::from_str(&text).expect("and reads");
                assert_eq!(read, told.finding);
                run.told.push(told);
            }
        });
        let probe = of(&counters, "probe");
        assert_eq!(
            (probe.faults, probe.detections),
            (1, found as u64),
            "{probe:?}"
        );
        assert!(found > 0);
    }
}

#[test]
fn keys_of_a_megabyte_stay_within_memory() {
    let body = "when = 'event.kind == \"a\"'\ngroup_by = ['event.user']\n[rare]\nof = ['event.user']\n\
                window = \"1h\"\nfewer_than = 9\nlearning = \"0s\"\n[suppress]\nwindow = \"1d\"\nby = ['event.user']\n\
                [finding]\ntitle = \"{event.user}\"\n";
    let set = with_bystander(body);
    let settings = StateSettings {
        bytes_max: 8 << 20,
        ..StateSettings::default()
    };
    let (counters, found) = survive(&set, settings, |run| {
        for number in 0..24 {
            let user = format!("{number:05}{}", "u".repeat(1 << 20));
            let fields = format!("\"kind\":\"a\",\"user\":\"{user}\"");
            run.take(&event(number, number as i64 - 100, &fields));
            assert!(run.state.bytes() <= 8 << 20, "{}", run.state.bytes());
        }
        run.state.complete(at(0));
        let told = run.state.take_told();
        let group =
            |told: &tripline_core::state::Told| told.finding.pattern.clone().expect("one").group;
        for one in told.iter().filter(|one| one.finding.rule_id == "probe") {
            assert!(group(one)[0].chars().count() <= GROUP_TEXT_CHARS_MAX + 1);
        }
        run.told.extend(told);
    });
    assert!(counters.forced > 0);
    assert!(of(&counters, "probe").evicted > 0, "open findings gave way");
    assert_eq!(found as u64, of(&counters, "probe").findings);
}

/// Kinds with a group, or a value, for each user.
fn flooded() -> Vec<(&'static str, String)> {
    let when = "when = 'event.kind == \"a\"'\n";
    let step = |name: &str, kind: &str| {
        format!("step]]\nname = \"{name}\"\nwhen = 'event.kind == \"{kind}\"'\n")
    };
    let (one, two) = (step("one", "a"), step("two", "c"));
    vec![
        (
            "threshold",
            format!("{when}[threshold]\nwindow = \"1d\"\nis = \">= 5\"\n"),
        ),
        (
            "tumbling",
            format!("{when}[threshold]\nwindow = \"1d\"\nover = \"tumbling\"\nis = \"== 9\"\n"),
        ),
        (
            "sequence",
            format!("[sequence]\nwithin = \"1d\"\n[[sequence.{one}[[sequence.{two}"),
        ),
        (
            "temporal",
            format!("[temporal]\nwithin = \"1d\"\n[[temporal.{one}[[temporal.{two}"),
        ),
        (
            "absence",
            format!("{when}[absence]\nof = 'event.kind == \"c\"'\nwithin = \"1d\"\n"),
        ),
        (
            "first_seen",
            format!("{when}[first_seen]\nof = ['event.kind']\nlearning = \"30d\"\n"),
        ),
        (
            "first_seen learning of groups",
            format!(
                "{when}[first_seen]\nof = ['event.kind']\nlearning = \"30d\"\nlearning_of_group = \"1d\"\n"
            ),
        ),
        (
            "rare",
            format!("{when}[rare]\nof = ['event.user']\nwindow = \"1d\"\nfewer_than = 2\n"),
        ),
        (
            "risk",
            "rules = [\"source\"]\n[risk]\nthreshold = 1000\nhalf_life = \"1h\"\n".to_owned(),
        ),
    ]
}

fn flood_set(body: &str, groups_max: usize) -> RuleSet {
    let head = format!("group_by = ['event.user']\nlateness = \"0s\"\ngroups_max = {groups_max}\n");
    rule_set(&[
        rule("probe", &format!("{head}{body}")),
        rule("bystander", BYSTANDER),
        rule("source", "signal = true\nwhen = 'event.kind == \"a\"'\n"),
    ])
}

fn flood(run: &mut Run<'_>, count: usize, mut each: impl FnMut(&Run<'_>)) {
    for number in 0..count {
        let fields = format!("\"kind\":\"a\",\"user\":\"user {number}\"");
        run.take(&event(number, number as i64 / 1000, &fields));
        if number % 100 == 99 {
            run.state.complete(at(number as i64 / 1000 - 1));
            each(run);
        }
    }
}

#[test]
fn floods_of_groups_are_bounded_by_their_number() {
    for (name, body) in flooded() {
        let set = flood_set(&body, 320);
        let mut run = Run::new(&set);
        run.state.complete(at(-1));
        flood(&mut run, 5000, |run| {
            let counters = run.state.counters();
            assert!(of(&counters, "probe").groups <= 320, "{name}");
        });
        let counters = run.state.counters();
        let probe = of(&counters, "probe");
        let seen = 4000;
        assert!(probe.groups >= 256, "{name}: {probe:?}");
        assert!(probe.groups + probe.evicted >= seen, "{name}: {probe:?}");
    }
}

#[test]
fn floods_of_groups_are_bounded_by_memory() {
    const BYTES: usize = 1 << 20;
    for (name, body) in flooded() {
        let set = flood_set(&body, 1_000_000);
        let settings = StateSettings {
            bytes_max: BYTES,
            ..StateSettings::default()
        };
        let mut run = Run::with(&set, settings);
        let mut most = 0;
        flood(&mut run, 12_000, |run| {
            assert!(run.state.bytes() <= BYTES, "{name}: {}", run.state.bytes());
            most = most.max(run.state.bytes());
        });
        let counters = run.state.counters();
        let probe = of(&counters, "probe");
        if !name.starts_with("first_seen") {
            assert!(
                probe.evicted > 0 && counters.forced == 0,
                "{name}: {counters:?}"
            );
            assert!(most > BYTES / 2, "{name}: gave way too early, at {most}");
        }
        // What is left is worth its memory: giving way does not go on until nothing is left.
        assert!(probe.groups > 300, "{name}: {probe:?}");
        run.state.complete(EventTime::MAX);
        assert!(run.state.bytes() <= BYTES, "{name}");
    }
}

#[test]
fn a_rule_that_fires_on_every_event_tells_of_every_event_or_counts_it() {
    let always = "when = 'event.kind == \"a\"'\n[rare]\nof = ['event.eventID']\nwindow = \"1s\"\nfewer_than = 2\nlearning = \"0s\"\n";
    for (suppress, wanted) in [("", 2000), ("[suppress]\nwindow = \"1h\"\n", 1)] {
        let set = with_bystander(&format!("{always}{suppress}"));
        let (counters, found) = survive(&set, StateSettings::default(), |run| {
            for number in 0..2000 {
                run.take(&event(number, 0, "\"kind\":\"a\""));
            }
        });
        let probe = of(&counters, "probe");
        assert_eq!(found, wanted);
        assert_eq!((probe.detections, probe.findings), (2000, wanted as u64));
        assert_eq!(probe.suppressed, 2000 - wanted as u64);
    }
}

#[test]
fn open_findings_are_bounded() {
    let set = with_bystander(
        "when = 'event.kind == \"a\"'\n[suppress]\nwindow = \"30d\"\nby = ['event.eventID']\n",
    );
    let more = 50;
    let (counters, found) = survive(&set, StateSettings::default(), |run| {
        for number in 0..OPEN_FINDINGS_MAX + more {
            run.take(&event(number, 0, "\"kind\":\"a\""));
        }
        run.state.complete(at(0));
        assert_eq!(
            run.state.take_told().len(),
            more,
            "the first ones are ended"
        );
        run.take(&event(0xffff_0003, 1, SEEN));
    });
    assert_eq!(of(&counters, "probe").evicted, more as u64);
    assert_eq!(found, OPEN_FINDINGS_MAX);
}

#[test]
fn lists_as_keys_are_cut_at_their_bound() {
    let set = with_bystander(
        "when = 'event.kind == \"a\"'\ngroup_by = ['event.all', 'event.some']\n[threshold]\nwindow = \"1h\"\nis = \">= 1\"\n",
    );
    let (counters, found) = survive(&set, StateSettings::default(), |run| {
        let numbers: Vec<String> = (0..10_000).map(|one| one.to_string()).collect();
        let all = numbers.join(",");
        run.take(&event(
            0,
            0,
            &format!("\"kind\":\"a\",\"all\":[{all}],\"some\":[1,2,3]"),
        ));
    });
    assert_eq!(found, GROUPS_PER_EVENT_MAX);
    let cut = 10_000 - GROUPS_PER_EVENT_MAX + 2 * GROUPS_PER_EVENT_MAX;
    assert_eq!(counters.groups_cut, cut as u64);
}

#[test]
fn what_never_ends_gives_way_within_its_group() {
    let sequence = "group_by = ['event.user']\n[sequence]\nwithin = \"1d\"\n[[sequence.step]]\nname = \"one\"\n\
                    when = 'event.kind == \"a\"'\n[[sequence.step]]\nname = \"two\"\n\
                    when = 'event.kind == \"c\" && event.n == step.one.n'\n";
    let absence = "group_by = ['event.user']\nwhen = 'event.kind == \"a\"'\n[absence]\nwithin = \"1d\"\n\
                   of = 'event.kind == \"c\" && event.n == step.start.n'\n";
    for (body, wanted) in [(sequence, 0), (absence, PARTIALS_MAX)] {
        let set = with_bystander(body);
        let (counters, found) = survive(&set, StateSettings::default(), |run| {
            for number in 0..3000 {
                let fields = format!("\"kind\":\"a\",\"user\":\"u\",\"n\":{number}");
                run.take(&event(number, 0, &fields));
            }
            for number in 3000..3200 {
                run.take(&event(number, 1, "\"kind\":\"c\",\"user\":\"u\",\"n\":-1"));
            }
        });
        let probe = of(&counters, "probe");
        assert_eq!(probe.dropped, 3000 - PARTIALS_MAX as u64);
        assert_eq!(found, wanted);
    }
}

#[test]
fn thousands_that_wait_are_all_missed() {
    let set = with_bystander(
        "group_by = ['event.user']\nwhen = 'event.kind == \"a\"'\n[absence]\nwithin = \"1d\"\nof = 'event.kind == \"c\"'\n",
    );
    let (counters, found) = survive(&set, StateSettings::default(), |run| {
        for number in 0..5000 {
            let fields = format!("\"kind\":\"a\",\"user\":\"u{number}\"");
            run.take(&event(number, 0, &fields));
        }
        for number in 0..1000 {
            let fields = format!("\"kind\":\"c\",\"user\":\"u{number}\"");
            run.take(&event(6000 + number, 1, &fields));
        }
    });
    assert_eq!(found, 4000);
    assert_eq!(
        of(&counters, "probe").groups,
        0,
        "nothing is left of what is over"
    );
}

#[test]
fn circles_of_detections_are_reported_and_do_not_turn() {
    let count = "[threshold]\nwindow = \"1h\"\nis = \">= 1\"\n";
    let files = [
        rule("one", &format!("rules = [\"two\"]\n{count}")),
        rule("two", &format!("rules = [\"three\"]\n{count}")),
        rule("three", &format!("rules = [\"one\", \"spark\"]\n{count}")),
        rule("spark", "when = 'event.kind == \"a\"'\n"),
        rule("bystander", BYSTANDER),
    ];
    let files =
        files.map(|(id, text)| tripline_core::rule::File::found(format!("{id}.toml"), text));
    let catalog = tripline_core::rule::load(&files, jiff::civil::date(2026, 1, 1));
    let (set, reports) = RuleSet::of_catalog(&catalog);
    let circles = reports
        .iter()
        .filter(|report| report.diagnostic.code == tripline_core::diagnostic::Code::RuleCycle);
    assert_eq!(circles.count(), 3);
    let in_force: Vec<&str> = set.rules().iter().map(|one| one.rule.id.as_str()).collect();
    assert_eq!(in_force, ["spark", "bystander"]);
    let (_, found) = survive(&set, StateSettings::default(), |run| {
        run.take(&event(0, 0, "\"kind\":\"a\""));
    });
    assert_eq!(found, 0);
}

#[test]
fn risk_adds_up_so_many_rules_and_no_more() {
    let mut rules: Vec<(String, String)> = (0..300)
        .map(|number| {
            let body = "signal = true\nwhen = 'event.kind == \"a\"'\nrisk_score = 1\n";
            rule(&format!("small-{number}"), body)
        })
        .collect();
    let risk = |threshold: usize| {
        format!(
            "rules = [\"small-*\"]\ngroup_by = ['event.kind']\n[risk]\nthreshold = {threshold}\nhalf_life = \"1d\"\n"
        )
    };
    rules.push(rule("reached", &risk(RISK_RULES_MAX)));
    rules.push(rule("never", &risk(RISK_RULES_MAX + 1)));
    rules.push(rule("bystander", BYSTANDER));
    let set = rule_set(&rules);
    let (counters, found) = survive(&set, StateSettings::default(), |run| {
        run.take(&event(0, 0, "\"kind\":\"a\""));
    });
    assert_eq!(found, 1);
    assert_eq!(of(&counters, "reached").observed, 300);
    assert_eq!(of(&counters, "never").detections, 0);
}

#[test]
fn windows_that_are_measured_hold_so_many_events() {
    use tripline_core::limits::WINDOW_ENTRIES_MAX;
    let measured = "when = 'event.kind == \"a\"'\n[threshold]\nwindow = \"1h\"\nmeasure = \"sum\"\nof = 'event.n'\nis = ";
    let most = WINDOW_ENTRIES_MAX;
    let counted =
        "when = 'event.kind == \"a\"'\n[threshold]\nwindow = \"1h\"\nover = \"session\"\nis = ";
    for (body, wanted) in [
        (format!("{measured}\">= {most}\"\n"), 1),
        (format!("{measured}\"> {most}\"\n"), 0),
        // Comparisons of counts are not cut short by that.
        (format!("{counted}\"< {}\"\n", most + 5), 0),
        (format!("{counted}\"< {}\"\n", most + 11), 1),
        (format!("{counted}\"== {}\"\n", most + 10), 1),
    ] {
        let set = with_bystander(&body);
        let (_, found) = survive(&set, StateSettings::default(), |run| {
            for number in 0..most + 10 {
                run.take(&event(number, 0, "\"kind\":\"a\",\"n\":1"));
            }
        });
        assert_eq!(found, wanted, "{body}");
    }
}
