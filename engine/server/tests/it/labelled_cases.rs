//! Labelled cases of a public rule set, when they are at hand: our rules on the same ideas agree with their labels,
//! but for the cases listed here, each with its reason.
//!
//! `labelled_cases.json` maps their rule ids to ours and holds nothing else of theirs. A case counts as matched when
//! one of our rules on the idea matches it. The list of disagreements is exact: a case that goes wrong, and one that
//! comes right, fail the test. With `TRIPLINE_CASES_OUTPUT=FILE` the verdicts are written as JSON lines
//! (`{"line":0,"matched":true}`), for a script that judges them on its own.

use crate::real_data::shared;
use jiff::civil::date;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::{File, load};

/// Rules whose labels depend on what was seen before: single events of theirs are reported, and not asserted to
/// reach the share below.
const NEEDS_STATE: [&str; 2] = ["AWS.SSM.DecryptSSMParams", "AWS.SSM.DistributedCommand"];

/// Of the cases of all other rules that we express, at least so many in a hundred come out right.
const RIGHT_PERCENT_MIN: usize = 97;

/// Cases that come out otherwise than labelled: their rule, the case by its place among those of the rule, and why.
const DISAGREEMENTS: [(&str, usize, &str); 8] = [
    (
        "AWS.CloudTrail.IAMAssumeRoleBlacklistIgnored",
        0,
        "site list: which roles are restricted is for a site to say, and the list ships empty",
    ),
    (
        "AWS.CloudTrail.LoginProfileCreatedOrModified",
        0,
        "judgement: a session of a role is called what its caller likes, so its name does not excuse it",
    ),
    (
        "AWS.IPSet.Modified",
        0,
        "no CloudTrail record: the names of its fields are in lower case",
    ),
    (
        "AWS.IPSet.Modified",
        1,
        "no CloudTrail record: the names of its fields are in lower case",
    ),
    (
        "AWS.S3.DeleteObjects",
        0,
        "judgement: deleting objects is daily work; the rule asks for a long list of them",
    ),
    (
        "AWS.SSM.DecryptSSMParams",
        0,
        "needs state: one parameter counts because of those read before",
    ),
    (
        "AWS.SSM.DistributedCommand",
        2,
        "needs state: the command counts only when others went before it",
    ),
    (
        "AWS.STS.GetCallerIdentity.TruffleHog",
        3,
        "judgement: a tool of intruders is worth a finding on any call",
    ),
];

/// Their rules that no rule of ours expresses, and why.
const NOT_EXPRESSED: [(&str, &str); 13] = [
    (
        "AWS.CloudTrail.UnauthorizedAPICall",
        "needs state: refusals count in numbers",
    ),
    (
        "AWS.Console.Login",
        "needs state: a login is news only from a new place",
    ),
    (
        "AWS.Console.Sign-In",
        "needs state: a sign-in is news only from a new place",
    ),
    (
        "AWS.IAMUser.ReconAccessDenied",
        "needs state: refusals count in numbers",
    ),
    (
        "AWS.SecretsManager.RetrieveSecrets",
        "needs state: reads of secrets count in numbers",
    ),
    (
        "AWS.Software.Discovery",
        "needs state: read calls count in numbers",
    ),
    (
        "Role.Assumed.by.User",
        "needs state: a role assumed is news only the first time",
    ),
    (
        "Standard.BruteForceByIP",
        "needs state, and one model of logins over many sources",
    ),
    (
        "Standard.BruteForceByUser",
        "needs state, and one model of logins over many sources",
    ),
    (
        "Standard.GreyNoiseV3.MaliciousIP",
        "needs a lookup of what is known of an address",
    ),
    (
        "Standard.ImpossibleTravel.Login",
        "needs state, and a lookup of where an address is",
    ),
    (
        "Standard.NewUserAccountCreated",
        "needs one model of users over many sources",
    ),
    (
        "Standard.SignInFromRogueState",
        "needs a lookup of where an address is",
    ),
];

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    let entries = std::fs::read_dir(folder).expect("the folder can be listed");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the entry can be read").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "toml") {
            let text = std::fs::read_to_string(&path).expect("the file is text");
            files.push(File::found(path.to_string_lossy(), text));
        }
    }
}

fn rules() -> RuleSet {
    let mut files = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules"),
        &mut files,
    );
    let (set, reports) = RuleSet::of_catalog(&load(&files, date(2026, 1, 1)));
    assert!(reports.is_empty(), "the shipped rules have mistakes");
    set
}

/// Their rule ids, and our rules on the same idea.
fn expressed() -> BTreeMap<String, Vec<String>> {
    serde_json::from_str(include_str!("labelled_cases.json")).expect("the map is JSON")
}

/// The ids of our rules that match an event.
fn matches(evaluator: &mut Evaluator<'_>, set: &RuleSet, event: &Value) -> BTreeSet<String> {
    let bytes = event.to_string();
    let mut parser = Parser::new();
    let document = parser.parse(bytes.as_bytes()).expect("an event is JSON");
    evaluator
        .evaluate(&Event::new(document))
        .matched
        .iter()
        .map(|rule| set.rules()[rule.0 as usize].rule.id.to_string())
        .collect()
}

/// How the cases of one of their rules came out.
#[derive(Default)]
struct Tally {
    right: usize,
    all: usize,
    /// Places of the cases that came out otherwise, among those of the rule.
    wrong: Vec<usize>,
}

#[test]
fn every_rule_of_the_map_is_shipped() {
    let set = rules();
    let shipped: BTreeSet<&str> = set
        .rules()
        .iter()
        .map(|rule| rule.rule.id.as_str())
        .collect();
    for (theirs, ours) in expressed() {
        assert!(!ours.is_empty(), "{theirs}");
        for id in ours {
            assert!(shipped.contains(id.as_str()), "{theirs}: {id}");
        }
    }
}

#[test]
fn labelled_cases_come_out_as_labelled() {
    let Some(folder) = shared("data/panther") else {
        println!("skipped: no labelled cases at hand; set TRIPLINE_SHARED");
        return;
    };
    let expressed = expressed();
    let cases = lines(&folder.join("cloudtrail_cases.dev.jsonl"));
    let set = rules();
    let mut evaluator = Evaluator::new(&set);
    let (mut tallies, mut verdicts) = (BTreeMap::<&str, Tally>::new(), String::new());
    for (line, case) in cases.iter().enumerate() {
        let theirs = case["rule_id"].as_str().expect("a rule id");
        let Some(ours) = expressed.get(theirs) else {
            continue;
        };
        let found = matches(&mut evaluator, &set, &case["event"]);
        let matched = ours.iter().any(|id| found.contains(id));
        let verdict = json!({"line": line, "matched": matched});
        writeln!(verdicts, "{verdict}").expect("text can be written");
        let tally = tallies.entry(theirs).or_default();
        if Some(matched) == case["expected"].as_bool() {
            tally.right += 1;
        } else {
            tally.wrong.push(tally.all);
        }
        tally.all += 1;
    }
    if let Some(path) = std::env::var_os("TRIPLINE_CASES_OUTPUT") {
        std::fs::write(path, verdicts).expect("the verdicts can be written");
    }
    judge(&tallies);
}

fn judge(tallies: &BTreeMap<&str, Tally>) {
    let (mut right, mut all, mut wrong) = (0, 0, BTreeSet::new());
    for (theirs, tally) in tallies {
        println!("{theirs}: {} of {}", tally.right, tally.all);
        wrong.extend(tally.wrong.iter().map(|place| (*theirs, *place)));
        if !NEEDS_STATE.contains(theirs) {
            right += tally.right;
            all += tally.all;
        }
    }
    println!("{right} of {all}, without those that need state");
    let known: BTreeSet<(&str, usize)> = DISAGREEMENTS
        .iter()
        .map(|(rule, place, _)| (*rule, *place))
        .collect();
    assert_eq!(wrong, known);
    assert!(
        right * 100 >= all * RIGHT_PERCENT_MIN,
        "{right} of {all} cases"
    );
}

#[test]
fn every_labelled_rule_is_expressed_or_said_not_to_be() {
    let Some(folder) = shared("data/panther") else {
        println!("skipped: no labelled cases at hand; set TRIPLINE_SHARED");
        return;
    };
    let theirs: BTreeSet<String> = lines(&folder.join("cloudtrail_rules.dev.jsonl"))
        .iter()
        .map(|rule| rule["RuleID"].as_str().expect("a rule id").to_owned())
        .collect();
    let mut accounted: BTreeSet<String> = expressed().into_keys().collect();
    for (id, _) in NOT_EXPRESSED {
        assert!(accounted.insert(id.to_owned()), "{id} is in both");
    }
    assert_eq!(accounted, theirs);
}
