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

/// The figures of a scorer of its own in another language, where it and the files are at hand.
#[test]
fn files_of_the_numenta_benchmark_are_measured() {
    let Some(shared) = std::env::var_os("TRIPLINE_SHARED").map(std::path::PathBuf::from) else {
        println!("skipped: no files of the benchmark at hand; set TRIPLINE_SHARED");
        return;
    };
    let (files, scorer) = (
        shared.join("data/insights/nab"),
        shared.join("tools/score_nab.py"),
    );
    let folder = Folder::new("insight-nab");
    let scores = format!("{}/scores", folder.path());
    let files = files.to_str().expect("a path");
    let ran = shown(&["insights", "bench", "--nab", files, "--scores", &scores]);
    let told = |profile: &str, how: &str| -> Vec<String> {
        let start = format!("| {profile} | {how}");
        let line = ran.stdout.lines().find(|line| line.starts_with(&start));
        let fields = line.expect("a row").split('|').map(str::trim);
        fields.skip(2).take(4).map(str::to_owned).collect()
    };
    let own: f64 = told("standard", "its own")[1].parse().expect("a score");
    assert!(own > 75.0, "{}", ran.stdout);
    if !scorer.is_file() {
        println!("skipped: no other scorer at hand");
        return;
    }
    for (how, more) in [("its own", &["--threshold", "0.5"][..]), ("best of", &[])] {
        let json = format!("{}/other.json", folder.path());
        let windows = format!("{files}/windows.csv");
        let mut arguments = vec!["--data", files, "--windows", &windows];
        arguments.extend(["--results", &scores, "--json", &json]);
        let ran = std::process::Command::new("python3")
            .arg(&scorer)
            .args(arguments)
            .args(more)
            .output();
        let Ok(ran) = ran else {
            println!("skipped: no Python at hand");
            return;
        };
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        let text = std::fs::read_to_string(&json).expect("it was written");
        let other: Value = serde_json::from_str(&text).expect("it is JSON");
        for (profile, wanted) in other["profiles"].as_object().expect("profiles") {
            let own = told(profile, how);
            let score: f64 = own[1].parse().expect("a score");
            assert_eq!(
                wanted["score"].as_f64(),
                Some(score),
                "{profile}: {own:?}, {wanted}"
            );
            let hit = format!("{} of {}", wanted["windows_hit"], other["windows"]);
            assert_eq!((&own[2], &own[3]), (&hit, &wanted["fp_rows"].to_string()));
        }
    }
}

#[test]
fn a_minute_is_explained_while_it_is_usual_and_while_it_is_not() {
    let explained = |at: &str| -> Value {
        let arguments = [
            "insights",
            "explain",
            "--demo",
            "--key",
            "RunInstances",
            "--json",
            "--at",
        ];
        let rules = [&arguments[..], &[at]].concat();
        let ran = shown(&rules);
        let mut lines = ran.stdout.lines().map(|line| {
            let told: Value = serde_json::from_str(line).expect("JSON");
            told
        });
        let wanted = |told: &Value| {
            told["rule"] == "insights-api-call-rate"
                && told["key"]["recipientAccountId"] == "684534629443"
        };
        lines.find(wanted).expect("the series")
    };
    let (before, during) = (
        explained("2026-01-13T02:02:00Z"),
        explained("2026-01-13T02:12:59Z"),
    );
    assert_eq!(
        (&before["state"], &before["observed"]),
        (&"usual".into(), &0.into()),
        "{before}"
    );
    assert_eq!(
        (&during["state"], &during["observed"]),
        (&"insight".into(), &7.0.into()),
        "{during}"
    );
    for told in [&before, &during] {
        let threshold = told["threshold"].as_f64().expect("a number");
        let is_above = told["surprise"].as_f64() >= Some(threshold);
        assert_eq!(is_above, told["state"] == "insight", "{told}");
    }
    assert_eq!(
        during["windows"].as_array().map(Vec::len),
        Some(6),
        "{during}"
    );
    let window = &during["windows"][0];
    assert_eq!(
        (&window["minutes"], &window["observed"]),
        (&1.into(), &7.0.into())
    );
    assert!(window["probability"].as_f64() < Some(1e-6), "{window}");
    let who = &during["attributions"][0];
    assert_eq!(who["attribute"], "userIdentityArn");
    assert_eq!(who["minute"][0]["count"], 7.0, "{who}");
    let ran = shown(&[
        "insights",
        "explain",
        "--demo",
        "--key",
        "RunInstances",
        "--at",
        "2026-01-13T02:12:00Z",
    ]);
    for wanted in [
        "state      insight, known since",
        "an insight is under way: 7 in 1 minute",
        "window        1 min up",
    ] {
        assert!(ran.stdout.contains(wanted), "{wanted}\n{}", ran.stdout);
    }
    let ran = run(&[
        "insights",
        "explain",
        "--demo",
        "--at",
        "2027-01-01T00:00:00Z",
    ]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("the inputs do not reach beyond it"),
        "{}",
        ran.stderr
    );
}
