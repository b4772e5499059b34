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

/// The fenced blocks of the README whose first line names a file, as that file.
fn examples(readme: &str) -> Vec<File> {
    let mut files = Vec::new();
    for block in readme.split("\n```").skip(1).step_by(2) {
        let Some((_, text)) = block.split_once('\n') else {
            continue;
        };
        let Some((path, text)) = text
            .strip_prefix("# ")
            .and_then(|text| text.split_once('\n'))
        else {
            continue;
        };
        files.push(File::found(path, format!("{text}\n")));
    }
    files
}

#[test]
fn the_examples_of_the_readme_load() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    let mut files = Vec::new();
    let shipped = "aws/aws-console-root-login/rule.toml";
    let text = std::fs::read_to_string(root().join(shipped)).expect("the rule is there");
    files.push(File::found(shipped, text));
    files.extend(examples(&readme));
    files.push(File::found(
        "rules/aws/aws-trail-stopped/recorded.json",
        "{}",
    ));
    assert_eq!(files.len(), 9);
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
        (2, 3, 1)
    );
    assert_eq!(catalog.suites[0].tests.len(), 4);
    for file in files
        .iter()
        .skip(1)
        .filter(|file| file.path.ends_with(".toml"))
    {
        assert_eq!(
            format(&file.path, &file.text).as_deref(),
            Ok(file.text.as_str()),
            "{}",
            file.path
        );
    }
}
