//! Any text as Sigma files: reading, converting and compiling never panic, every report points into its file, and what
//! became a rule of ours is one: its files are read as the rule they were written of.
//!
//! The first byte chooses whether the part before the first NUL is a pipeline; the rest is one file of rules.

use jiff::civil::date;
use tripline_core::diagnostic::Palette;
use tripline_core::evaluate::RuleSet;
use tripline_core::rule::{File, load, load_with};
use tripline_core::sigma::{BaseRules, convert, translate};

/// Holds the input to the claims above.
pub(crate) fn run(text: &str) {
    let piped = text.bytes().next().is_some_and(|first| first % 2 == 1);
    let (pipeline, rules) = match text.split_once('\0') {
        Some((pipeline, rules)) if piped => (pipeline.get(1..), rules),
        _ => (None, text.get(1..).unwrap_or_default()),
    };
    let pipelines = pipeline.map(|text| File::found("pipeline.yml", text));
    let files = [File::found("rules.yml", rules)];
    let list = File::list("admins", "admins.csv", "alice\nbo*\n\\\n'\n");
    let today = date(2026, 1, 1);
    let lists = load(std::slice::from_ref(&list), today).lists;
    let found = translate(&files, pipelines.as_slice(), &lists, BaseRules::AsTheySay);
    for report in &found.reports {
        let span = report.diagnostic.span;
        assert!(span.start <= span.end && span.end as usize <= report.source.text.len());
        report.render(Palette::PLAIN);
        report.to_json();
    }
    let converted = convert(&found.rules, |rule| rule.samples.clone());
    let written = converted.iter().flat_map(|one| {
        let path = |name: &str| format!("rules/{}/{name}", one.folder);
        let files = one.files.iter();
        files.map(move |(name, text)| File::found(path(name), text))
    });
    let written: Vec<File> = written.chain([list]).collect();
    let again = load(&written, today);
    let catalog = load_with(&[], today, |_| found.into_rules());
    assert_eq!(
        again.rules.len(),
        catalog.rules.len(),
        "{:?}",
        again.reports
    );
    for (ours, theirs) in again.rules.iter().zip(&catalog.rules) {
        let when =
            |rule: &tripline_core::rule::Rule| rule.when().map(|when| when.text.trim().to_owned());
        assert_eq!(when(ours), when(theirs));
    }
    let (set, _) = RuleSet::of_catalog(&catalog);
    assert!(set.rules().len() <= catalog.rules.len());
}
