//! The rules under `rules/`: they load without a mistake, and so do the examples of their README.

use jiff::civil::date;
use std::path::{Path, PathBuf};
use tripline_core::diagnostic::Palette;
use tripline_core::rule::{Catalog, File, format, load};

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
fn formatting_a_shipped_file_twice_is_formatting_it_once() {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    for file in files.iter().filter(|file| file.path.ends_with(".toml")) {
        let once = format(&file.path, &file.text).expect("shipped files can be read");
        let twice = format(&file.path, &once).expect("what was written can be read");
        assert_eq!(once, twice, "{}", file.path);
    }
}
