//! Sigma rules as first-class rules: read, changed by pipelines and filters, and lowered into native ones.
//!
//! Reading order: `yaml` (trees with places), `detection` and `condition` (what a rule says), `draft` (documents),
//! `pipeline` (renaming fields and the like), `item`, `value` and `cel` (from a line to CEL), `lower` (rules),
//! `correlation` and `correlate` (what comes together in time), `convert` (native files). Relies on the rule floor for what a rule is and on the selector floor for the
//! functions that conditions are written with; knows nothing of evaluating. What cannot be mapped is refused with its
//! place and a reason, and the rest goes on. Rejected: a second engine beside the index, which would make both kinds
//! of rules pay for each other.

mod cel;
mod condition;
mod convert;
mod correlate;
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
use correlate::{Base, Events};
use correlation::Correlation;
use draft::{Body, Draft, Drafts};
use item::Lowered;
use std::collections::{BTreeMap, BTreeSet};

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

/// Whether rules that correlations are about report by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BaseRules {
    /// When the correlation says `generate: true`.
    #[default]
    AsTheySay,
    /// Always.
    Reported,
}

/// Reads Sigma files and makes native rules of them. `pipelines` change them first, in the order of their priorities;
/// `lists` fill placeholders.
pub fn translate(
    files: &[File],
    pipelines: &[File],
    lists: &Lists,
    base_rules: BaseRules,
) -> Translation {
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
    let rules = Lowering {
        lists,
        drafts: &changed,
        done: changed.iter().map(|_| None).collect(),
        reports: &mut reports,
    }
    .run(base_rules);
    Translation { rules, reports }
}

/// All drafts on their way to rules.
struct Lowering<'t> {
    lists: &'t Lists,
    drafts: &'t [Draft],
    /// The rule of each draft, once it is there.
    done: Vec<Option<Rule>>,
    reports: &'t mut Vec<Report>,
}

impl Lowering<'_> {
    fn run(mut self, base_rules: BaseRules) -> Vec<Translated> {
        let drafts = self.drafts;
        let mut waiting: Vec<(usize, &Correlation)> = Vec::new();
        for (at, draft) in drafts.iter().enumerate() {
            match &draft.body {
                Body::Filter(_) => {}
                Body::Correlation(correlation) => waiting.push((at, correlation)),
                Body::Rule(body) => match self.rule(draft, body) {
                    Ok(rule) => self.done[at] = Some(rule),
                    Err(mistake) => self.report(draft, *mistake),
                },
            }
        }
        self.correlations(waiting, base_rules);
        let translated = drafts.iter().zip(self.done).filter_map(|(draft, rule)| {
            let meta = &draft.meta;
            Some(Translated {
                rule: rule?,
                sigma_id: meta.id.clone(),
                author: meta.author.clone(),
                licence: meta.licence.clone(),
                samples: meta.samples.clone(),
            })
        });
        translated.collect()
    }

    fn report(&mut self, draft: &Draft, diagnostic: Diagnostic) {
        let source = draft.source.clone();
        self.reports.push(Report { source, diagnostic });
    }

    fn rule(&self, draft: &Draft, body: &draft::RuleBody) -> Lowered<Rule> {
        let aggregations = body.conditions.iter();
        let aggregation = aggregations
            .filter_map(|one| one.aggregation.as_ref())
            .next();
        let Some(aggregation) = aggregation else {
            return lower::lower(draft, body, self.lists);
        };
        if body.conditions.len() > 1 {
            let message = "a rule with an aggregation has one condition";
            return item::refused(Code::SigmaUnsupported, aggregation.span, message);
        }
        let found = correlation::of_aggregation(aggregation, body.timeframe.as_ref())?;
        let condition = lower::condition(draft, body, self.lists)?;
        correlate::lower(draft, &found, Events::Meeting(condition))
    }

    /// Correlations may be about one another, so they are lowered when all that they are about is there.
    fn correlations(&mut self, mut waiting: Vec<(usize, &Correlation)>, base_rules: BaseRules) {
        let drafts = self.drafts;
        let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
        for (at, draft) in drafts.iter().enumerate() {
            if !matches!(draft.body, Body::Filter(_)) {
                for name in names(draft) {
                    by_name.entry(name.to_owned()).or_insert(at);
                }
            }
        }
        let (mut signals, mut heard) = (BTreeSet::new(), BTreeSet::new());
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            for (at, correlation) in waiting {
                let draft = &drafts[at];
                match self.bases(correlation, &by_name) {
                    Ok(Some(bases)) => {
                        let wanted = if correlation.generate {
                            &mut heard
                        } else {
                            &mut signals
                        };
                        let (places, bases): (Vec<usize>, Vec<Base>) = bases.into_iter().unzip();
                        match correlate::lower(draft, correlation, Events::Of(bases)) {
                            Ok(rule) => {
                                self.done[at] = Some(rule);
                                wanted.extend(places);
                            }
                            Err(mistake) => self.report(draft, *mistake),
                        }
                    }
                    Ok(None) => later.push((at, correlation)),
                    Err(mistake) => self.report(draft, *mistake),
                }
            }
            waiting = later;
            if waiting.len() == before {
                break;
            }
        }
        for (at, correlation) in waiting {
            let message = "a rule that this is about was refused, or is about this one";
            let diagnostic = Diagnostic::new(Code::SigmaReference, correlation.span, message);
            self.report(&drafts[at], diagnostic);
        }
        if base_rules == BaseRules::AsTheySay {
            for at in signals.difference(&heard) {
                if let Some(rule) = &mut self.done[*at] {
                    rule.signal = true;
                }
            }
        }
    }

    /// The rules that a correlation is about; `None` when one of them is not there yet.
    fn bases(
        &self,
        correlation: &Correlation,
        by_name: &BTreeMap<String, usize>,
    ) -> Lowered<Option<Vec<(usize, Base)>>> {
        let mut bases = Vec::new();
        for (name, span) in &correlation.rules {
            let Some(at) = by_name.get(name) else {
                let message = format!("there is no rule `{}`", yaml::shorten(name));
                let mut diagnostic = Diagnostic::new(Code::SigmaReference, *span, message);
                if let Some(near) = did_you_mean(name, by_name.keys().map(String::as_str)) {
                    diagnostic = diagnostic.with_help(format!("Did you mean `{near}`?"));
                }
                return Err(Box::new(diagnostic));
            };
            let Some(rule) = &self.done[*at] else {
                return Ok(None);
            };
            let base = Base {
                id: rule.id.clone(),
                names: names(&self.drafts[*at]).map(str::to_owned).collect(),
                source: rule.source.clone(),
            };
            bases.push((*at, base));
        }
        Ok(Some(bases))
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
