//! `tripline insights`: what is unusual, as people and programs see it.

use crate::harness::{Folder, Ran, run};
use serde_json::Value;

fn shown(arguments: &[&str]) -> Ran {
    let ran = run(arguments);
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
    ran
}

#[test]
fn the_planted_burst_is_told_with_start_end_and_chart() {
    let ran = shown(&["insights", "show", "--demo", "--key", "RunInstances"]);
    for wanted in [
        "INSIGHT Unusual rate of an API that changes something",
        "eventName=RunInstances",
        "start      2026-01-13T02:12:00Z",
        "end        2026-01-13T02:2",
        "assumed-role/",
        "█",
        "┄ is the highest that is usual",
        "1 insight of 8 rules that watch series",
    ] {
        assert!(ran.stdout.contains(wanted), "{wanted}\n{}", ran.stdout);
    }
    assert!(
        ran.stderr.starts_with("20,070 records read"),
        "{}",
        ran.stderr
    );
}

#[test]
fn records_are_in_the_shape_of_cloudtrail() {
    let folder = Folder::new("insight-records");
    let pictures = format!("{}/charts", folder.path());
    let ran = shown(&[
        "insights",
        "show",
        "--demo",
        "--key",
        "RunInstances",
        "--format",
        "jsonl",
        "--svg",
        &pictures,
    ]);
    let records: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record is JSON"))
        .collect();
    let [start, end] = records.as_slice() else {
        panic!("{} records", records.len());
    };
    for (record, state) in [(start, "Start"), (end, "End")] {
        assert_eq!(record["eventType"], "AwsCloudTrailInsight");
        assert_eq!(record["eventCategory"], "Insight");
        let details = &record["insightDetails"];
        assert_eq!(details["state"], state);
        assert_eq!(details["insightType"], "ApiCallRateInsight");
        let statistics = &details["insightContext"]["statistics"];
        assert!(
            statistics["baselineDuration"].as_u64() >= Some(10_080),
            "{statistics}"
        );
        assert!(
            statistics["insight"]["average"].as_f64() > Some(1.0),
            "{statistics}"
        );
    }
    let id = start["sharedEventID"].as_str().expect("an id");
    assert_eq!(end["sharedEventID"], id);
    let picture = std::fs::read_to_string(format!("{pictures}/{id}.svg")).expect("a picture");
    assert!(
        picture.starts_with("<svg") && picture.ends_with("</svg>\n"),
        "{picture}"
    );
}

#[test]
fn a_scan_finds_what_is_unusual_and_what_is_said_of_it() {
    let folder = Folder::new("insight-scan");
    let ran = shown(&[
        "insights",
        "show",
        "--demo",
        "--key",
        "RunInstances",
        "--format",
        "jsonl",
    ]);
    folder.file("records.jsonl", &ran.stdout);
    folder.file(
        "rules/about-insights/rule.toml",
        "id = \"about-insights\"\nname = \"An insight began\"\ndescription = \"A probe.\"\n\
         severity = \"low\"\nstatus = \"experimental\"\nsource = \"aws.cloudtrail\"\n\
         when = 'event.eventType == \"AwsCloudTrailInsight\" && event.insightDetails.state == \"Start\"'\n\
         [finding]\ntitle = '{event.insight.explanation}'\n",
    );
    let path = |name: &str| format!("{}/{name}", folder.path());
    let ran = shown(&[
        "scan",
        "--rules",
        &path("rules"),
        "--format",
        "jsonl",
        &path("records.jsonl"),
    ]);
    let finding: Value = serde_json::from_str(ran.stdout.trim()).expect("one finding");
    let title = finding["title"].as_str().expect("a title");
    assert!(
        title.contains("events in ") && title.contains(", where "),
        "{title}"
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = Folder::new("insight-faults");
    let rules = format!("{}/rules", folder.path());
    folder.file(
        "rules/plain/rule.toml",
        "id = \"plain\"\nname = \"Plain\"\ndescription = \"A probe.\"\nseverity = \"low\"\n\
         status = \"experimental\"\nwhen = 'true'\n",
    );
    let ran = run(&["insights", "show", "--demo", "--rules", &rules]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("no rule of the kind insight is in force"),
        "{}",
        ran.stderr
    );
    let ran = run(&["insights", "bench", "--data", &rules]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("meta.json: cannot be read"),
        "{}",
        ran.stderr
    );
    let ran = run(&["insights", "bench", "--seeds", "9-1"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("such as 7001-7003"), "{}", ran.stderr);
}

#[test]
fn labelled_series_in_files_are_measured() {
    let Some(shared) = std::env::var_os("TRIPLINE_SHARED") else {
        println!("skipped: no labelled series at hand; set TRIPLINE_SHARED");
        return;
    };
    let shared = std::path::Path::new(&shared).join("data/insights/api_counts");
    let shared = shared.to_str().expect("a path").to_owned();
    let ran = shown(&["insights", "bench", "--threshold", "2.5", "--data", &shared]);
    let head = "1 sets, 20 series, 69 labels, 60 series-weeks scored";
    assert!(ran.stdout.starts_with(head), "{}", ran.stdout);
    let best = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("| best F1 |"));
    let f1 = best.and_then(|line| line.split('|').nth(5)).map(str::trim);
    let f1: f64 = f1.and_then(|text| text.parse().ok()).expect("a number");
    assert!(f1 > 0.75, "{}", ran.stdout);
}
