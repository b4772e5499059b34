//! Real logs, when they are at hand: each ends without a crash and every record is accounted for.

use crate::harness::{Folder, run};
use std::path::{Path, PathBuf};

/// A folder of the data that is not part of the repository, when it is at hand.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let named = std::env::var_os("TRIPLINE_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    [named, Some(beside)]
        .into_iter()
        .flatten()
        .map(|one| one.join(folder))
        .find(|one| one.is_dir())
}

#[test]
fn every_record_of_every_real_log_is_accounted_for() {
    let Some(events) = shared("data/events") else {
        println!("skipped: no real logs at hand; set TRIPLINE_SHARED");
        return;
    };
    let folder = Folder::new("real");
    let statistics = format!("{}/statistics.json", folder.path());
    let events = events.display().to_string();
    let ran = run(&[
        "scan",
        "--format",
        "jsonl",
        "--stats-format",
        "json",
        "--stats-output",
        &statistics,
        &events,
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let text = std::fs::read_to_string(&statistics).expect("statistics were written");
    let statistics: serde_json::Value = serde_json::from_str(&text).expect("statistics are JSON");
    let inputs = statistics["inputs"].as_array().expect("inputs");
    for input in inputs {
        let count = |name: &str| input[name].as_u64().expect("a count");
        let sum = ["matched", "unmatched", "duplicates", "rejected"]
            .map(count)
            .iter()
            .sum::<u64>();
        assert_eq!(count("read"), sum, "{input}");
        assert!(count("read") > 0, "{input}");
        assert_eq!(count("rejected"), 0, "{input}");
    }
    let read = inputs
        .iter()
        .filter_map(|input| input["read"].as_u64())
        .sum::<u64>();
    println!("{read} records of {} real logs", inputs.len());
}
