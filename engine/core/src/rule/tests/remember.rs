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
