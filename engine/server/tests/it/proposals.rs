//! Exceptions that backtests propose for rules that remember: each is tried by reading the inputs again.

use crate::backtest::{backtest, json, rule};
use crate::harness::{Folder, run, run_with_stdin};
use serde_json::{Value, json};
use std::path::Path;

/// Bursts of one role.
const BURST: &str = r#"
when = 'event.eventName == "ListBuckets"'
group_by = ['event.userIdentity.arn']
[threshold]
window = "10m"
is = ">= 3"
[finding]
dedup_key = ['event.userIdentity.arn']
"#;

const LISTED: &str = r#"
when = 'event.eventName == "ListBuckets"'
[finding]
dedup_key = ['event.userIdentity.arn']
"#;

/// Who lists at which minute of the day: roles in turn, three times within three minutes.
fn bursts<'r>(roles: &[&'r str]) -> Vec<(u32, &'r str)> {
    let mut all = Vec::new();
    for turn in 0..16 {
        let who = roles[turn as usize % roles.len()];
        all.extend((0..3).map(|minute| (turn * 30 + minute, who)));
    }
    all
}

/// A folder with events of these, and one rule.
fn workplace(name: &str, listings: &[(u32, &str)], rules: &[(&str, &str)]) -> Folder {
    let folder = Folder::new(name);
    for (id, text) in rules {
        rule(&folder, "rules", id, "low", text);
    }
    let event = |(minute, who): &(u32, &str)| {
        let (hours, minutes) = (minute / 60, minute % 60);
        let number = who.as_bytes()[5];
        format!(
            r#"{{"eventID":"{}","eventTime":"2024-03-01T{hours:02}:{minutes:02}:00Z","eventName":"ListBuckets","eventSource":"s3.amazonaws.com","sourceIPAddress":"192.0.2.{number}","userAgent":"aws-cli","userIdentity":{{"arn":"{who}"}}}}"#,
            id(*minute)
        )
    };
    let mut lines: Vec<String> = listings.iter().map(event).collect();
    // An archive comes in any order.
    lines.reverse();
    folder.file("events.jsonl", lines.join("\n"));
    folder
}

fn id(minute: u32) -> String {
    format!("00000000-0000-0000-0000-{minute:012}")
}

fn labels(folder: &Folder, rule: &str, labels: &[(u32, &str)]) {
    let lines = labels
        .iter()
        .map(|(minute, label)| format!("{rule},{},{label}\n", id(*minute)));
    let text: String = std::iter::once("rule_id,event_id,label\n".to_owned())
        .chain(lines)
        .collect();
    folder.file("labels.csv", text);
}

fn findings(report: &Value, rule: &str) -> u64 {
    let rules = report["rules"].as_array().expect("rules");
    let one = rules.iter().find(|one| one["rule_id"] == rule);
    one.expect("the rule")["findings"]
        .as_u64()
        .expect("a count")
}

const PROPOSE: [&str; 4] = ["--labels", "labels.csv", "--propose", "proposed.toml"];
const APPLY: [&str; 4] = ["--labels", "labels.csv", "--rules", "proposed.toml"];

/// Two roles are noisy; what is proposed for both removes all of that in a second backtest, and what is labelled true
/// stays.
#[test]
fn exceptions_of_rules_that_remember_are_tried_and_hold() {
    let mut listings = bursts(&["role/scanner", "role/backup"]);
    listings.extend((0..3).map(|minute| (1300 + minute, "user/mallory")));
    let folder = workplace("propose-memory", &listings, &[("burst", BURST)]);
    labels(&folder, "burst", &[(1302, "tp")]);
    let before = json(&folder, &PROPOSE);
    assert_eq!(findings(&before, "burst"), 17);
    let proposals = before["proposals"].as_array().expect("proposals");
    assert_eq!(proposals.len(), 2, "{proposals:?}");
    for proposal in proposals {
        assert_eq!(proposal["tried_on"], "inputs");
        assert_eq!(
            (&proposal["removes"], &proposal["of"]),
            (&8.into(), &17.into())
        );
        assert_eq!(proposal["keeps_labelled_true"], 1);
    }
    assert_eq!(before["noisy_without_proposal"], json!([]));
    let path = |name: &str| format!("{}/{name}", folder.path());
    let written = std::fs::read_to_string(path("proposed.toml")).expect("it was written");
    let effect =
        "# Removes 8 of 17 findings; keeps all 1 labelled true. Tried by reading the inputs again.";
    assert_eq!(written.matches(effect).count(), 2, "{written}");
    let checked = run(&["check", &path("rules"), &path("proposed.toml")]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    let after = json(&folder, &APPLY);
    assert_eq!(findings(&after, "burst"), 1);
    let of_labels = &after["labels"]["rules"][0];
    assert_eq!(
        (&of_labels["true_found"], &of_labels["true_not_found"]),
        (&1.into(), &0.into())
    );
}

/// A burst that one event of somebody else completes.
fn crowd() -> Vec<(u32, &'static str)> {
    let mut listings = bursts(&["role/scanner"]);
    listings[17].1 = "user/mallory";
    listings
}

/// The only exceptions that help would leave what is labelled true without the events that it is counted with, which
/// no look at its own event can tell.
#[test]
fn an_exception_that_changes_what_is_counted_is_found_out() {
    let together = BURST.replace("group_by = ['event.userIdentity.arn']\n", "");
    let folder = workplace("propose-crowd", &crowd(), &[("crowd", &together)]);
    labels(&folder, "crowd", &[(152, "tp")]);
    let report = json(&folder, &PROPOSE);
    assert_eq!(findings(&report, "crowd"), 16);
    assert_eq!(report["labels"]["rules"][0]["true_found"], 1);
    assert_eq!(report["proposals"], json!([]));
    assert_eq!(report["noisy_without_proposal"], json!(["crowd"]));
    let reason = &report["noisy_without_proposal_reasons"]["crowd"];
    let reason = reason.as_str().expect("words");
    assert!(reason.contains("keeps what is labelled true"), "{reason}");
    let proposed = format!("{}/proposed.toml", folder.path());
    assert!(!Path::new(&proposed).exists());
    let text = backtest(&folder, &PROPOSE).stdout;
    assert!(
        text.contains("\n  crowd: noisy, but nothing is proposed: no"),
        "{text}"
    );
    // With nothing labelled the same exception is as good as any.
    let report = json(&folder, &["--propose", "proposed.toml"]);
    assert_eq!(report["proposals"][0]["removes"], 16);
    let after = json(&folder, &["--rules", "proposed.toml"]);
    assert_eq!(findings(&after, "crowd"), 0);
}

/// An exception of a rule about single events takes detections from a rule that counts them.
#[test]
fn an_exception_that_other_rules_would_miss_is_found_out() {
    let counted = BURST
        .replace(
            "when = 'event.eventName == \"ListBuckets\"'",
            "rules = [\"list*\"]",
        )
        .replace("group_by = ['event.userIdentity.arn']\n", "");
    let rules = [("listed", LISTED), ("of-listed", &counted)];
    let folder = workplace("propose-fed", &crowd(), &rules);
    let path = |name: &str| format!("{}/{name}", folder.path());
    let report = json(&folder, &["--propose", "proposed.toml"]);
    let proposals = report["proposals"].as_array().expect("proposals");
    assert!(proposals.iter().any(|one| one["rule_id"] == "listed"));
    std::fs::remove_file(path("proposed.toml")).expect("it was written");
    labels(&folder, "of-listed", &[(152, "tp")]);
    let report = json(&folder, &PROPOSE);
    assert_eq!(report["proposals"], json!([]), "{report:#}");
    assert_eq!(
        report["noisy_without_proposal"],
        json!(["listed", "of-listed"])
    );
    // From standard input it cannot be found out, so nothing is proposed either.
    let events = std::fs::read(path("events.jsonl")).expect("they are there");
    let (rules, labels, proposed) = (path("rules"), path("labels.csv"), path("proposed.toml"));
    let arguments = [
        "backtest",
        "--rules",
        &rules,
        "--against",
        "-",
        "--labels",
        &labels,
        "--propose",
        &proposed,
    ];
    let ran = run_with_stdin(&arguments, &events);
    assert_eq!(ran.code, 0, "{ran:?}");
    for rule in ["listed", "of-listed"] {
        let words = format!("{rule}: noisy, but nothing is proposed: an exception changes what is");
        assert!(ran.stdout.contains(&words), "{}", ran.stdout);
    }
    assert!(ran.stderr.contains("nothing to propose"), "{ran:?}");
}

/// What is proposed for rules of every kind, and for one whose findings are suppressed, removes what it is said to.
#[test]
fn exceptions_of_every_kind_hold() {
    let when = "when = 'event.eventName == \"ListBuckets\"'\n";
    let group = "group_by = ['event.userIdentity.arn']\n";
    let rules = [
        (
            "seldom",
            format!(
                "{when}[rare]\nof = ['event.userIdentity.arn']\nfewer_than = 40\nwindow = \"1d\"\nlearning = \"1s\"\n"
            ),
        ),
        (
            "new",
            format!(
                "{when}[first_seen]\nof = ['event.eventID']\nhistory = \"1d\"\nlearning = \"1s\"\n"
            ),
        ),
        (
            "pair",
            format!(
                "{group}[sequence]\nwithin = \"5m\"\n[[sequence.step]]\nname = \"a\"\n{when}[[sequence.step]]\nname = \"b\"\n{when}"
            ),
        ),
        (
            "alone",
            format!(
                "{when}{group}[absence]\nwithin = \"2m\"\nof = 'event.eventName == \"Never\"'\n"
            ),
        ),
        ("quiet", format!("{when}[suppress]\nwindow = \"5m\"\n")),
    ];
    let rules = rules.map(|(id, text)| {
        let key = "[finding]\ndedup_key = ['event.userIdentity.arn']\n";
        (id, format!("{text}{key}"))
    });
    let rules: Vec<(&str, &str)> = rules
        .iter()
        .map(|(id, text)| (*id, text.as_str()))
        .collect();
    let mut listings = bursts(&["role/scanner"]);
    listings.extend([(1300, "user/person"), (1301, "user/person")]);
    // What should follow an event is waited for until later ones come.
    listings.push((1400, "user/last"));
    let folder = workplace("propose-kinds", &listings, &rules);
    let before = json(&folder, &["--propose", "proposed.toml"]);
    let after = json(&folder, &["--rules", "proposed.toml"]);
    for (rule, _) in &rules {
        let proposals = before["proposals"].as_array().expect("proposals");
        let mut own = proposals.iter().filter(|one| one["rule_id"] == *rule);
        let own = own.next().unwrap_or_else(|| panic!("{rule}: {before:#}"));
        assert_eq!(own["tried_on"], "inputs", "{rule}");
        let removes = own["removes"].as_u64().expect("a count");
        let (was, is) = (findings(&before, rule), findings(&after, rule));
        assert!(removes >= 5 && is > 0, "{rule}: {own}");
        assert_eq!(was - is, removes, "{rule}");
    }
}
