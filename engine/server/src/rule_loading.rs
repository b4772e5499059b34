//! From rule files to a compiled rule set, telling the person what is wrong on the way.

use crate::rule_files::{RuleArguments, RuleFilesError};
use crate::terminal::{ColorChoice, counted};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use std::collections::BTreeSet;
use std::io::{self, Write};
use tripline_core::diagnostic::Level;
use tripline_core::evaluate::{RuleSet, check_rules};
use tripline_core::rule::{Catalog, Place, Report};

/// Errors in rules that are shown before a scan; `check` shows all.
const ERRORS_SHOWN: usize = 5;

/// The day, in UTC.
pub(crate) fn today_of(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// Everything that was read.
pub(crate) struct Loaded {
    pub(crate) catalog: Catalog,
}

impl Loaded {
    /// Reads the rules that the arguments name.
    pub(crate) fn read(arguments: &RuleArguments, today: Date) -> Result<Self, RuleFilesError> {
        Ok(Self {
            catalog: arguments.load(Vec::new(), today)?,
        })
    }

    /// The rules in force. Those with errors are left out, which must not go unnoticed.
    pub(crate) fn compile(self, color: ColorChoice) -> RuleSet {
        self.compile_and_tell(color).rules
    }

    /// The same, with what is wrong.
    pub(crate) fn compile_and_tell(self, color: ColorChoice) -> Compiled {
        let compiled = self.compile_quietly();
        show_errors(&compiled.errors, color);
        compiled
    }

    /// The same of another version of the rules `told`: mistakes that they have too are not told again.
    pub(crate) fn compile_beside(self, told: &Compiled, color: ColorChoice) -> Compiled {
        let compiled = self.compile_quietly();
        let is_told = |one: &Report| {
            // The folders differ, and what lies in them is called the same.
            let name = |one: &Report| -> Vec<String> {
                let parts = one.source.name.rsplit('/').take(2);
                parts.map(str::to_owned).collect()
            };
            let same = |other: &Report| {
                one.diagnostic == other.diagnostic
                    && one.source.text == other.source.text
                    && name(one) == name(other)
            };
            told.errors.iter().any(same)
        };
        let fresh = compiled.errors.iter().filter(|one| !is_told(one));
        show_errors(&fresh.cloned().collect::<Vec<_>>(), color);
        compiled
    }

    fn compile_quietly(self) -> Compiled {
        let (rules, mut compiling) = RuleSet::of_catalog(&self.catalog);
        let mut errors = self.catalog.reports;
        errors.append(&mut compiling);
        errors.retain(|one| one.diagnostic.level == Level::Error);
        let broken: BTreeSet<String> = errors
            .iter()
            .map(|one| one.source.name.to_string())
            .collect();
        Compiled {
            rules,
            broken: broken.into_iter().collect(),
            first: errors.first().map(in_a_line),
            errors,
        }
    }
}

/// The rules in force, and what keeps others from being it.
pub(crate) struct Compiled {
    pub(crate) rules: RuleSet,
    /// Files with errors.
    pub(crate) broken: Vec<String>,
    /// The first error, in a line.
    pub(crate) first: Option<String>,
    errors: Vec<Report>,
}

fn in_a_line(report: &Report) -> String {
    let place = Place {
        source: report.source.clone(),
        span: report.diagnostic.span,
    };
    format!("{place}: {}", report.diagnostic.message)
}

/// Everything that is wrong with a catalog: what reading, checking and compiling it showed, by file and place.
pub(crate) fn all_reports(catalog: Catalog) -> Vec<Report> {
    let checking = check_rules(&catalog);
    let (_, compiling) = RuleSet::of_catalog(&catalog);
    let mut reports = catalog.reports;
    // What was told already is not told twice.
    for report in checking.into_iter().chain(compiling) {
        if !reports.contains(&report) {
            reports.push(report);
        }
    }
    reports.sort_by(|left, right| {
        let key = |one: &Report| (one.source.name.clone(), one.diagnostic.span.start);
        key(left).cmp(&key(right))
    });
    reports
}

/// Shows the first errors on standard error, and how many there are.
pub(crate) fn show_errors(reports: &[Report], color: ColorChoice) {
    let palette = color.palette(&io::stderr());
    let errors: Vec<&Report> = reports
        .iter()
        .filter(|report| report.diagnostic.level == Level::Error)
        .collect();
    let mut text = String::new();
    for report in errors.iter().take(ERRORS_SHOWN) {
        text.push_str(&report.render(palette));
    }
    if !errors.is_empty() {
        let count = counted(errors.len() as u64, "error");
        text.push_str(&format!(
            "{}warning{}: {count} in rules; what has one is switched off; `tripline check` shows all\n",
            palette.warning, palette.reset
        ));
    }
    // If standard error is closed, the scan is still worth doing.
    let _ = io::stderr().write_all(text.as_bytes());
}
