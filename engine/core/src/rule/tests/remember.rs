//! Bounds of rules that remember: one below is read, one above is refused with its number.

use crate::diagnostic::Code;
use crate::limits::{
    FIRST_SEEN_PARTS_MAX, LATENESS_SECONDS_MAX, RARE_SIGHTS_MAX, RISK_SCORE_MAX,
    RULE_GROUP_PARTS_MAX, RULE_GROUPS_MAX, RULE_INPUT_RULES_MAX, STEP_REPEAT_MAX, STEPS_MAX,
    THRESHOLD_EVENTS_MAX, TIMELINE_EVENTS_MAX, TIMELINE_MOMENTS_MAX, WINDOW_ENTRIES_MAX,
    WINDOW_SECONDS_MAX,
};
use crate::rule::{File, load};
use jiff::civil::date;

const RULE: &str =
    "id = 'a'\nname = 'A'\ndescription = 'A.'\nseverity = 'low'\nstatus = 'experimental'\n";

fn codes(body: &str) -> Vec<Code> {
    let file = File::found("a.toml", format!("{RULE}{body}"));
    let catalog = load(&[file], date(2026, 1, 1));
    catalog
        .reports
        .iter()
        .map(|report| report.diagnostic.code)
        .collect()
}

/// A rule made with the bound is read; made with one more it is refused.
fn check(most: u64, code: Code, body: impl Fn(u64) -> String) {
    assert_eq!(codes(&body(most)), [], "{}", body(most));
    let found = codes(&body(most + 1));
    assert!(found.contains(&code), "{found:?} for {}", body(most + 1));
}

fn list(count: u64, one: &str) -> String {
    format!("[{}]", vec![one; count as usize].join(", "))
}

#[test]
fn keys_lateness_and_groups_are_bounded() {
    let threshold = "when = 'true'\n[threshold]\nwindow = '1m'\nis = '> 1'";
    check(RULE_GROUP_PARTS_MAX as u64, Code::Bound, |count| {
        format!("group_by = {}\n{threshold}", list(count, "'event.a'"))
    });
    check(RULE_GROUPS_MAX as u64, Code::Bound, |count| {
        format!("groups_max = {count}\n{threshold}")
    });
    check(LATENESS_SECONDS_MAX as u64, Code::Bound, |seconds| {
        format!("lateness = '{seconds}s'\n{threshold}")
    });
    check(RULE_INPUT_RULES_MAX as u64, Code::Bound, |count| {
        format!("rules = {}\n{threshold}", list(count, "'b-*'"))
    });
}

#[test]
fn windows_and_counts_are_bounded() {
    check(WINDOW_SECONDS_MAX as u64, Code::Bound, |seconds| {
        format!("when = 'true'\n[threshold]\nwindow = '{seconds}s'\nis = '> 1'")
    });
    check(THRESHOLD_EVENTS_MAX, Code::RuleKind, |count| {
        format!("when = 'true'\n[threshold]\nwindow = '1m'\nis = '>= {count}'")
    });
    check(THRESHOLD_EVENTS_MAX, Code::Bound, |count| {
        format!("when = 'true'\n[threshold]\nwindow = '1m'\nis = '> 1'\nevents_min = {count}")
    });
    check(WINDOW_ENTRIES_MAX as u64, Code::RuleKind, |count| {
        format!(
            "when = 'true'\n[threshold]\nwindow = '1m'\nmeasure = 'sum'\nof = 'event.n'\nis = '> 1'\n\
             events_min = {count}"
        )
    });
    check(RARE_SIGHTS_MAX, Code::Bound, |count| {
        format!("when = 'true'\n[rare]\nof = ['event.a']\nwindow = '1m'\nfewer_than = {count}")
    });
    check(FIRST_SEEN_PARTS_MAX as u64, Code::Bound, |count| {
        format!(
            "when = 'true'\n[first_seen]\nof = {}",
            list(count, "'event.a'")
        )
    });
    for key in ["threshold", "rule_score_max"] {
        check(RISK_SCORE_MAX, Code::Bound, |most| {
            let other = if key == "threshold" {
                ""
            } else {
                "threshold = 9\n"
            };
            format!(
                "rules = ['b-*']\ngroup_by = ['event.a']\n[risk]\n{other}{key} = {most}\nhalf_life = '1m'"
            )
        });
    }
    check(RISK_SCORE_MAX, Code::Bound, |most| {
        format!("when = 'true'\nrisk_score = {most}")
    });
}

#[test]
fn steps_and_repetitions_are_bounded() {
    for kind in ["sequence", "temporal"] {
        let steps = |count: u64, repeat: u64| {
            let step = |number| {
                format!("[[{kind}.step]]\nname = 's{number}'\nwhen = 'true'\nrepeat = {repeat}\n")
            };
            let steps: String = (0..count).map(step).collect();
            format!("[{kind}]\nwithin = '1m'\n{steps}")
        };
        check(STEPS_MAX as u64, Code::Bound, |count| steps(count, 1));
        check(STEP_REPEAT_MAX, Code::Bound, |repeat| steps(2, repeat));
    }
}

#[test]
fn comparisons_that_never_or_always_hold_are_refused() {
    let said = |body: &str| {
        let found = codes(&format!(
            "when = 'true'\n[threshold]\nwindow = '1m'\n{body}"
        ));
        match found.as_slice() {
            [] => "good",
            [Code::RuleKind] => "refused",
            _ => panic!("{body}: {found:?}"),
        }
    };
    let share = "measure = 'share'\nof = 'event.a'\n";
    let sum = "measure = 'sum'\nof = 'event.a'\n";
    let tumbling = "over = 'tumbling'\n";
    for (more, good, refused) in [
        (
            "",
            &[">= 1", "> 0", ">= 0.5", ">= 100000", "> 99999.5"][..],
            &[
                ">= 0",
                "> -1",
                ">= -5",
                "> 100000",
                ">= 100001",
                "< 0",
                "== 0",
            ][..],
        ),
        (
            tumbling,
            &[
                "< 2",
                "<= 1",
                "== 1",
                "!= 1",
                "== 100000",
                "< 100001",
                ">= 1",
            ],
            &[
                "< 1",
                "<= 0",
                "== 0",
                "== 2.5",
                "!= 0",
                "!= 2.5",
                "<= 100001",
                ">= 0",
            ],
        ),
        (
            "over = 'tumbling'\nevents_min = 5\n",
            &["< 6", "== 5", "!= 5", ">= 3"],
            &["< 5", "== 4", "!= 4"],
        ),
        (
            share,
            &["> 0.5", ">= 1", "> 0", "<= 0", "< 1", "== 0.5", "!= 1"],
            &[
                "> 50", ">= 1.1", "> 1", "< 0", ">= 0", "<= 1", "== 2", "!= -1",
            ],
        ),
        (sum, &["> 50", ">= 0", "< 0", "== 2.5"], &[]),
        (
            "over = 'session'\nmeasure = 'distinct'\nof = 'event.a'\nevents_min = 1\n",
            &["== 1", "<= 2"],
            &[],
        ),
        (
            "over = 'session'\nmeasure = 'distinct'\nof = 'event.a'\nevents_min = 5\n",
            &[],
            &["== 1", ">= 6"],
        ),
    ] {
        for (comparisons, expected) in [(good, "good"), (refused, "refused")] {
            for is in comparisons {
                assert_eq!(said(&format!("{more}is = '{is}'")), expected, "{more}{is}");
            }
        }
    }
}

#[test]
fn steps_are_called_by_what_conditions_can_write() {
    for (name, expected) in [
        ("login", &[][..]),
        ("for", &[]),
        ("in", &[Code::StepName]),
        ("null", &[Code::StepName]),
        ("true", &[Code::StepName]),
        ("false", &[Code::StepName]),
        ("log-in", &[Code::StepName]),
    ] {
        let step = |name: &str| format!("[[sequence.step]]\nname = '{name}'\nwhen = 'true'\n");
        let body = format!("[sequence]\nwithin = '1m'\n{}{}", step(name), step("other"));
        assert_eq!(codes(&body), expected, "{name}");
    }
}

#[test]
fn timelines_that_cannot_be_are_refused() {
    let events = "when = 'true'\n[events.a]\njson = '{}'\n[events.b]\njson = '{\"@timestamp\": \"x\"}'\n\
                  [events.c]\njson = '{\"detail-type\": \"x\", \"detail\": {}}'\n[[test]]\nname = 'all'\n\
                  findings = []\ntimeline = [{ event = 'a' }, { event = 'b' }, { event = 'c' }]\n";
    for (timeline, findings, expected) in [
        (
            "{ event = 'a' }",
            "{ at = '1m' }, {}, { at = '1m' }",
            &[][..],
        ),
        ("", "", &[Code::TestShape]),
        ("{ at = '1m' }", "", &[Code::TestShape]),
        (
            "{ event = 'a' }",
            "{ at = '2m' }, {}, { at = '1m' }",
            &[Code::TestShape],
        ),
        ("{ event = 'a' }", "{ count = 0 }", &[Code::Bound]),
        (
            "{ event = 'a', set = { eventTime = 'soon' } }",
            "",
            &[Code::TestShape],
        ),
        (
            "{ event = 'a', set = { '@timestamp' = 'soon' } }",
            "",
            &[Code::TestShape],
        ),
        (
            "{ event = 'b', set = { '@timestamp' = 'soon' } }",
            "",
            &[Code::TestShape],
        ),
        (
            "{ event = 'c', set = { detail = { eventTime = 'soon' } } }",
            "",
            &[Code::TestShape],
        ),
        ("{ event = 'c', set = { eventTime = 'soon' } }", "", &[]),
        ("{ event = 'a', at = '1m1h' }", "", &[Code::PeriodSyntax]),
    ] {
        let body = format!(
            "{events}[[test]]\nname = 't'\ntimeline = [{timeline}]\nfindings = [{findings}]\n"
        );
        assert_eq!(codes(&body), expected, "{timeline} {findings}");
    }
}

#[test]
fn what_one_event_has_of_no_finding_is_told() {
    let test = "[events.a]\njson = '{}'\n[[test]]\nname = 't'\nevent = 'a'\nexpect = 'match'\ntitle = 'A'\n";
    let threshold = "when = 'true'\n[threshold]\nwindow = '1m'\nis = '> 1'\n";
    assert_eq!(codes(&format!("{threshold}{test}")), [Code::TestPointless]);
    assert_eq!(codes(&format!("when = 'true'\n{test}")), []);
}

#[test]
fn timelines_are_bounded() {
    let test = "when = 'true'\n[events.a]\njson = '{}'\n[[test]]\nname = 't'\nfindings = []\n";
    check(TIMELINE_MOMENTS_MAX as u64, Code::Bound, |count| {
        test.to_owned() + &"[[test.timeline]]\nevent = 'a'\n".repeat(count as usize)
    });
    check(TIMELINE_EVENTS_MAX as u64, Code::Bound, |count| {
        let (half, rest) = (count / 2, count - count / 2);
        format!(
            "{test}[[test.timeline]]\nevent = 'a'\nrepeat = {half}\n[[test.timeline]]\nevent = 'a'\n\
             repeat = {rest}\n"
        )
    });
}
