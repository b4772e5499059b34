//! Sigma rules as first-class rules: read, changed by pipelines and filters, and lowered into native ones.
//!
//! Reading order: `yaml` (trees with places), `detection` and `condition` (what a rule says), `draft` (documents),
//! `pipeline` (renaming fields and the like), `item`, `value` and `cel` (from a line to CEL), `lower` (rules),
//! `correlation`, `convert` (native files). Relies on the rule floor for what a rule is and on the selector floor for the
//! functions that conditions are written with; knows nothing of evaluating. What cannot be mapped is refused with its
//! place and a reason, and the rest goes on. Rejected: a second engine beside the index, which would make both kinds
//! of rules pay for each other.

mod cel;
mod condition;
mod convert;
mod correlation;
mod detection;
mod draft;
mod item;
mod lower;
mod pipeline;
mod value;
mod yaml;

pub use convert::{Converted, Sample, convert};

use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::rule::{File, Lists, Report, Rule};
use draft::{Body, Draft, Drafts};
use std::collections::BTreeMap;

/// What Sigma files came to.
#[derive(Debug, Default)]
pub struct Translation {
    /// The rules, in the order of the files.
    pub rules: Vec<Translated>,
    /// What could not be mapped, and what is doubtful.
    pub reports: Vec<Report>,
}

/// A Sigma rule as a native one.
#[derive(Clone, Debug)]
pub struct Translated {
    /// The native rule.
    pub rule: Rule,
    /// The id in the Sigma file.
    pub sigma_id: Option<String>,
    /// Who wrote it, in one line.
    pub author: Option<String>,
    /// Under which licence.
    pub licence: Option<String>,
    /// Where the rule says that its samples are.
    pub samples: Option<String>,
}

impl Translation {
    /// The rules alone.
    pub fn into_rules(self) -> (Vec<Rule>, Vec<Report>) {
        let rules = self.rules.into_iter().map(|one| one.rule).collect();
        (rules, self.reports)
    }
}

/// Reads Sigma files and makes native rules of them. `pipelines` change them first, in the order of their priorities;
/// `lists` fill placeholders.
pub fn translate(files: &[File], pipelines: &[File], lists: &Lists) -> Translation {
    let mut out = Drafts::default();
    for file in files {
        draft::read(file, &mut out);
    }
    let Drafts {
        drafts,
        mut reports,
    } = out;
    let Some(pipelines) = pipeline::read_all(pipelines, &mut reports) else {
        return Translation {
            rules: Vec::new(),
            reports,
        };
    };
    let mut changed: Vec<Draft> = Vec::with_capacity(drafts.len());
    for mut draft in drafts {
        match pipelines.apply(&mut draft) {
            Ok(()) => changed.push(draft),
            Err(mistake) => reports.push(Report {
                source: draft.source.clone(),
                diagnostic: *mistake,
            }),
        }
    }
    apply_filters(&mut changed, &mut reports);
    let mut rules = Vec::new();
    for draft in &changed {
        match lowered(draft, lists) {
            Ok(rule) => rules.extend(rule.map(|rule| translated(draft, rule))),
            Err(report) => reports.push(*report),
        }
    }
    Translation { rules, reports }
}

fn translated(draft: &Draft, rule: Rule) -> Translated {
    Translated {
        rule,
        sigma_id: draft.meta.id.clone(),
        author: draft.meta.author.clone(),
        licence: draft.meta.licence.clone(),
        samples: draft.meta.samples.clone(),
    }
}

fn lowered(draft: &Draft, lists: &Lists) -> Result<Option<Rule>, Box<Report>> {
    let report = |diagnostic: Diagnostic| {
        Box::new(Report {
            source: draft.source.clone(),
            diagnostic,
        })
    };
    match &draft.body {
        Body::Filter(_) => Ok(None),
        Body::Correlation(correlation) => {
            let message = format!(
                "correlations of type `{}` are not supported",
                correlation.kind.word()
            );
            Err(report(Diagnostic::new(
                Code::SigmaUnsupported,
                correlation.span,
                message,
            )))
        }
        Body::Rule(body) => {
            if let Some(aggregation) = body
                .conditions
                .iter()
                .find_map(|one| one.aggregation.as_ref())
            {
                let found = correlation::of_aggregation(aggregation, body.timeframe.as_ref());
                let found = found.map_err(|mistake| report(*mistake))?;
                let message = format!(
                    "aggregations like `{}` are not supported",
                    found.kind.word()
                );
                return Err(report(Diagnostic::new(
                    Code::SigmaUnsupported,
                    found.span,
                    message,
                )));
            }
            lower::lower(draft, body, lists)
                .map(Some)
                .map_err(|mistake| report(*mistake))
        }
    }
}

/// Adds to rules what filters want of them.
fn apply_filters(drafts: &mut [Draft], reports: &mut Vec<Report>) {
    let filters: Vec<Draft> = drafts
        .iter()
        .filter(|draft| matches!(draft.body, Body::Filter(_)))
        .cloned()
        .collect();
    // Rules by each of their names, so that many filters of many rules stay linear.
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        for name in names(draft) {
            by_name.entry(name.to_owned()).or_default().push(at);
        }
    }
    for filter in filters {
        let Body::Filter(body) = &filter.body else {
            continue;
        };
        let mut meant: Vec<usize> = Vec::new();
        match &body.rules {
            None => meant.extend(0..drafts.len()),
            Some(rules) => {
                for (name, span) in rules {
                    match by_name.get(name) {
                        Some(found) => meant.extend(found),
                        None => {
                            let message =
                                format!("there is no rule `{}` to filter", yaml::shorten(name));
                            let mut diagnostic =
                                Diagnostic::new(Code::SigmaFilterIdle, *span, message);
                            let known = by_name.keys().map(String::as_str);
                            if let Some(near) = did_you_mean(name, known) {
                                diagnostic =
                                    diagnostic.with_help(format!("Did you mean `{near}`?"));
                            }
                            reports.push(Report {
                                source: filter.source.clone(),
                                diagnostic,
                            });
                        }
                    }
                }
            }
        }
        meant.sort_unstable();
        meant.dedup();
        for at in meant {
            let draft = &mut drafts[at];
            if !draft.logsource.satisfies(&filter.logsource) {
                continue;
            }
            if let Body::Rule(rule) = &mut draft.body {
                rule.added.push(body.added.clone());
            }
        }
    }
}

/// Everything by which other documents may call this one.
fn names(draft: &Draft) -> impl Iterator<Item = &str> {
    let meta = &draft.meta;
    [
        meta.id.as_deref(),
        meta.name.as_deref(),
        Some(meta.title.as_str()),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests;
