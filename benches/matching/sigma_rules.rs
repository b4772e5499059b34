//! Public Sigma rules, as they are, beside rsigma-eval: when a folder of them is at hand.
//!
//! `TRIPLINE_SHARED` names the folder that holds `data/sigma` and `data/events`; without it `../shared` is tried, and
//! when neither is there the section says so and is left out. Both engines read the same files.

use std::path::{Path, PathBuf};

use jiff::civil::date;
use tripline_core::evaluate::RuleSet;
use tripline_core::rule::{File, load_with};
use tripline_core::sigma::{BaseRules, translate};

/// Rules about CloudTrail, and real events.
pub(crate) struct Public {
    pub(crate) files: Vec<File>,
    pub(crate) events: Vec<Vec<u8>>,
}

impl Public {
    /// What is at hand.
    pub(crate) fn find() -> Option<Self> {
        let named = std::env::var_os("TRIPLINE_SHARED").map(PathBuf::from);
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
        let roots = [named, Some(beside)].into_iter().flatten();
        let data = roots
            .map(|root| root.join("data"))
            .find(|data| data.join("sigma").is_dir())?;
        let mut files = Vec::new();
        for folder in ["sigma/sigmahq/rules/cloud/aws", "sigma/suzaku-aws"] {
            for path in files_below(&data.join(folder), "yml") {
                let text = std::fs::read_to_string(&path).expect("a rule is text");
                // Both engines are asked about single events.
                if !text.contains("\ncorrelation:") {
                    files.push(File::found(path.display().to_string(), text));
                }
            }
        }
        let mut events = Vec::new();
        for path in files_below(&data.join("events"), "jsonl") {
            let text = std::fs::read_to_string(&path).expect("events are text");
            let whole = |line: &&str| line.contains("\"eventName\"");
            events.extend(
                text.lines()
                    .filter(whole)
                    .map(|line| line.as_bytes().to_vec()),
            );
        }
        Some(Self { files, events })
    }

    /// All rules, in our index.
    pub(crate) fn rule_set(&self) -> RuleSet {
        let catalog = load_with(&[], date(2026, 1, 1), |lists| {
            translate(&self.files, &[], lists, BaseRules::Reported).into_rules()
        });
        let (set, reports) = RuleSet::of_catalog(&catalog);
        let refused = catalog.reports.iter().chain(&reports).next();
        assert_eq!(set.rules().len(), self.files.len(), "{refused:?}");
        set
    }
}

fn files_below(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path, kind));
        } else if path.extension().is_some_and(|one| one == kind) {
            found.push(path);
        }
    }
    found.sort();
    found
}
