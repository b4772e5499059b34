//! The rules under `rules/`: they load without a mistake, and so do the examples of their README.

use jiff::civil::date;
use std::path::{Path, PathBuf};
use tripline_core::diagnostic::Palette;
use tripline_core::evaluate::RuleSet;
use tripline_core::rule::{Catalog, File, format, load};
use tripline_core::rule_test::run_tests;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules")
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    let entries = std::fs::read_dir(folder).expect("the folder can be listed");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the entry can be read").path())
        .collect();
    paths.sort();
    for path in paths {
        let end = path.extension().and_then(|end| end.to_str());
        if path.is_dir() {
            collect(&path, files);
        } else if matches!(end, Some("toml" | "json" | "csv")) {
            let text = std::fs::read_to_string(&path).expect("the file is text");
            let name = path.strip_prefix(root()).expect("it lies in the rules");
            files.push(File::found(name.to_string_lossy(), text));
        }
    }
}

fn reports(catalog: &Catalog) -> String {
    catalog
        .reports
        .iter()
        .map(|report| report.render(Palette::PLAIN))
        .collect()
}

#[test]
fn every_shipped_rule_loads() {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    let catalog = load(&files, date(2026, 1, 1));
    assert_eq!(reports(&catalog), "");
    assert!(!catalog.rules.is_empty());
}

#[test]
fn every_shipped_rule_checks_and_passes_its_tests() {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    let catalog = load(&files, date(2026, 1, 1));
    let (set, found) = RuleSet::of_catalog(&catalog);
    let found: String = found
        .iter()
        .map(|report| report.render(Palette::PLAIN))
        .collect();
    assert_eq!(found, "");
    assert_eq!(set.rules().len(), catalog.rules.len());
    let unindexed: Vec<&str> = set
        .unindexed()
        .map(|rule| set.rules()[rule.0 as usize].rule.id.as_str())
        .collect();
    assert!(
        unindexed.is_empty(),
        "checked for every event: {unindexed:?}"
    );
    let results = run_tests(&catalog);
    assert!(
        results.len() >= 3 * catalog.rules.len(),
        "{} tests",
        results.len()
    );
    let failed: Vec<String> = results
        .iter()
        .filter_map(|result| {
            let failure = result.failure.as_ref()?;
            let tree = failure
                .reason
                .as_ref()
                .map(|reason| reason.to_text())
                .unwrap_or_default();
            Some(format!(
                "{}: {}: {}\n{tree}",
                result.place,
                result.name,
                failure.mismatches.join("; ")
            ))
        })
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed\n{}",
        failed.len(),
        results.len(),
        failed.join("\n")
    );
}

#[test]
fn every_shipped_file_is_in_the_canonical_form() {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    let mut others = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".toml")) {
        let once = format(&file.path, &file.text).expect("shipped files can be read");
        let twice = format(&file.path, &once).expect("what was written can be read");
        assert_eq!(once, twice, "{}", file.path);
        if once != file.text {
            others.push(file.path.as_str());
        }
    }
    assert!(others.is_empty(), "`tripline fmt` would change {others:?}");
}

/// The fenced blocks of the README, without their language.
fn blocks(readme: &str) -> Vec<&str> {
    let blocks = readme.split("\n```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.split_once('\n'))
        .map(|(_, text)| text)
        .collect()
}

/// The blocks whose first line names a file, as that file.
fn examples(readme: &str) -> Vec<File> {
    let named = |text: &str| {
        let (path, text) = text.strip_prefix("# ")?.split_once('\n')?;
        Some(File::found(path, format!("{text}\n")))
    };
    blocks(readme).into_iter().filter_map(named).collect()
}

/// What every rule has, for the parts of rules that the README shows.
const HEAD: &str = r#"id = "part-NUMBER"
name = "A part"
description = "A part of a rule."
severity = "low"
status = "experimental"
source = "aws.cloudtrail"
"#;

/// The blocks that show the part of a rule by which it remembers, or asks, each made a whole rule.
fn parts(readme: &str) -> Vec<File> {
    let tables = ["threshold", "sequence", "temporal", "absence", "first_seen"];
    let tables = tables
        .into_iter()
        .chain(["rare", "risk", "insight", "entity", "suppress"]);
    let mut tables: Vec<String> = tables.map(|table| format!("[{table}]\n")).collect();
    tables.push("entity.first_seen".to_owned());
    let remembers = |text: &&str| tables.iter().any(|table| text.contains(table));
    let all = blocks(readme).into_iter().filter(remembers);
    all.filter(|text| !text.starts_with("# "))
        .enumerate()
        .map(|(number, text)| {
            let head = HEAD.replace("NUMBER", &number.to_string());
            let gap = if text.starts_with('[') { "\n" } else { "" };
            File::found(
                format!("part-{number}.toml"),
                format!("{head}{gap}{text}\n"),
            )
        })
        .collect()
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("there is a README")
}

fn assert_formatted<'f>(files: impl IntoIterator<Item = &'f File>) {
    for file in files {
        if file.path.ends_with(".toml") {
            let formatted = format(&file.path, &file.text);
            assert_eq!(formatted.as_deref(), Ok(&*file.text), "{}", file.path);
        }
    }
}

#[test]
fn the_examples_of_the_readme_load() {
    let mut files = Vec::new();
    let shipped = "aws/aws-console-root-login/rule.toml";
    let text = std::fs::read_to_string(root().join(shipped)).expect("the rule is there");
    files.push(File::found(shipped, text));
    files.extend(examples(&readme()));
    files.push(File::found(
        "rules/aws/aws-trail-stopped/recorded.json",
        "{}",
    ));
    assert_eq!(files.len(), 11);
    let catalog = load(&files, date(2026, 1, 1));
    let ours: Vec<String> = catalog
        .reports
        .iter()
        .filter(|report| report.source.name != shipped)
        .map(|report| report.render(Palette::PLAIN))
        .collect();
    assert_eq!(ours.concat(), "");
    assert_eq!(
        (
            catalog.rules.len(),
            catalog.lists.len(),
            catalog.schemas.len()
        ),
        (3, 3, 1)
    );
    assert_eq!(catalog.suites[0].tests.len(), 4);
    assert_formatted(&files[1..]);
    let timelines = run_tests(&catalog).into_iter();
    let timelines: Vec<_> = timelines
        .filter(|result| result.rule_id == "aws-sign-in-guessed")
        .map(|result| result.failure)
        .collect();
    assert_eq!(timelines, [None, None]);
}

#[test]
fn the_parts_of_rules_in_the_readme_check() {
    let parts = parts(&readme());
    assert_eq!(parts.len(), 11);
    assert_formatted(&parts);
    let mut files = Vec::new();
    collect(&root(), &mut files);
    files.extend(parts);
    let catalog = load(&files, date(2026, 1, 1));
    assert_eq!(reports(&catalog), "");
    let (_, found) = RuleSet::of_catalog(&catalog);
    let found = found.iter().map(|report| report.render(Palette::PLAIN));
    assert_eq!(found.collect::<String>(), "");
}
