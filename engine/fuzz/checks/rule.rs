//! Any text as rule files: reading never panics, every report points into its file, and formatting twice is
//! formatting once.
//!
//! The input is several files, separated by NUL; the first byte of each chooses its path, so that rules, tests,
//! overrides and lists meet in one catalog.

use jiff::civil::date;
use tripline_core::diagnostic::Palette;
use tripline_core::rule::{File, coverage, format, load};

const PATHS: [&str; 7] = [
    "a/rule.toml",
    "a/tests.toml",
    "b/rule.toml",
    "site/overrides.toml",
    "lists/l.toml",
    "lists/l.csv",
    "lists/l.json",
];

/// Holds the input to the claims above.
pub(crate) fn run(text: &str) {
    let files: Vec<File> = text
        .split('\0')
        .take(8)
        .map(|part| {
            let first = part.bytes().next().unwrap_or(0);
            File::found(
                PATHS[usize::from(first) % PATHS.len()],
                part.get(1..).unwrap_or(part),
            )
        })
        .collect();
    let catalog = load(&files, date(2026, 1, 1));
    for report in &catalog.reports {
        let span = report.diagnostic.span;
        assert!(span.start <= span.end && span.end as usize <= report.source.text.len() + 1);
        report.render(Palette::PLAIN);
        report.to_json();
    }
    for rule in &catalog.rules {
        for selector in rule.selectors() {
            assert!(selector.place.span.end as usize <= selector.place.source.text.len());
        }
    }
    coverage(&catalog.rules).navigator_layer("fuzz");
    for file in files.iter().filter(|file| file.path.ends_with(".toml")) {
        if let Ok(once) = format(&file.path, &file.text) {
            assert_eq!(format(&file.path, &once).ok().as_ref(), Some(&once));
        }
    }
}
