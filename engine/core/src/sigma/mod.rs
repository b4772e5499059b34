//! Sigma rules as first-class rules: read, changed by pipelines and filters, and lowered into native ones.
//!
//! Reading order: `yaml` (trees with places), `detection` and `condition` (what a rule says), `draft` (documents),
//! `pipeline` (renaming fields and the like), `item`, `value` and `cel` (from a line to CEL), `lower` (rules),
//! `correlation` and `correlate` (what comes together in time), `names` (which rule a name means), `convert` (native
//! files). Relies on the rule floor for what a rule is and on the selector floor for the functions that conditions are
//! written with; knows nothing of evaluating. What cannot be mapped is refused with its place and a reason, and the
//! rest goes on. Rejected: a second engine beside the index, which would make both kinds of rules pay for each other.

mod cel;
mod condition;
mod convert;
mod correlate;
mod correlation;
mod detection;
mod draft;
mod item;
mod lower;
mod names;
mod pipeline;
mod regex;
mod samples;
mod value;
mod yaml;

pub use convert::{Converted, convert};
pub use samples::{Listed, Sample, listed};

use crate::diagnostic::{Code, Diagnostic};
use crate::rule::{File, Lists, Place, Report, Rule};
use correlate::{Base, Events};
use correlation::{Aggregated, Correlation};
use draft::{Body, Draft, Drafts, Refused};
use item::Lowered;
use names::{Meant, Names};
use std::collections::BTreeSet;
use std::sync::Arc;

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
    /// Where the rule says that its samples are listed, and where it says so.
    pub samples_path: Option<(String, Place)>,
    /// The samples that it holds itself.
    pub samples: Vec<Sample>,
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
        mut refused,
        mut reports,
        ..
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
            Err(mistake) => {
                reports.push(Report {
                    source: draft.source.clone(),
                    diagnostic: *mistake,
                });
                refused.push(Refused {
                    place: draft.place(),
                    meta: draft.meta,
                });
            }
        }
    }
    let names = Names::of(&changed, &refused);
    apply_filters(&mut changed, &names, &mut reports);
    let rules = Lowering {
        lists,
        drafts: &changed,
        names: &names,
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
    names: &'t Names,
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
                samples_path: meta.samples_path.clone().map(|(path, span)| {
                    let source = draft.source.clone();
                    (path, Place { source, span })
                }),
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
        let events = match found.aggregated {
            Aggregated::Events => Events::Meeting(condition),
            Aggregated::Extreme(extreme) => {
                let field = item::field_path(&extreme.field, aggregation.span)?;
                Events::Meeting(extreme.beside(&condition, &field))
            }
            Aggregated::Near(near) => {
                let selections = |names: &[String]| -> Lowered<Vec<String>> {
                    let of = |name: &String| {
                        lower::selection(draft, body, self.lists, name, aggregation.span)
                    };
                    names.iter().map(of).collect()
                };
                let mut steps = vec![condition];
                steps.extend(selections(&near.wanted)?);
                Events::Near(steps, selections(&near.unwanted)?)
            }
        };
        correlate::lower(draft, &found.correlation, events)
    }

    /// Correlations may be about one another, so they are lowered when all that they are about is there.
    fn correlations(&mut self, waiting: Vec<(usize, &Correlation)>, base_rules: BaseRules) {
        let drafts = self.drafts;
        let mut later: Vec<Waiting<'_>> = Vec::new();
        for (at, correlation) in waiting {
            match self.about(correlation) {
                Ok(about) => later.push(Waiting {
                    at,
                    correlation,
                    about,
                }),
                Err(mistake) => self.report(&drafts[at], *mistake),
            }
        }
        let (mut signals, mut heard) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let before = later.len();
            let mut still = Vec::new();
            for one in later {
                if !one.about.iter().all(|at| self.done[*at].is_some()) {
                    still.push(one);
                    continue;
                }
                let draft = &drafts[one.at];
                match correlate::lower(draft, one.correlation, Events::Of(self.bases(&one.about))) {
                    Ok(rule) => {
                        self.done[one.at] = Some(rule);
                        match one.correlation.generate {
                            true => heard.extend(one.about),
                            false => signals.extend(one.about),
                        }
                    }
                    Err(mistake) => self.report(draft, *mistake),
                }
            }
            later = still;
            if later.len() == before {
                break;
            }
        }
        self.report_stuck(&later);
        if base_rules == BaseRules::AsTheySay {
            for at in signals.difference(&heard) {
                if let Some(rule) = &mut self.done[*at] {
                    rule.signal = true;
                }
            }
        }
    }

    /// Correlations that are about a rule that never came.
    fn report_stuck(&mut self, stuck: &[Waiting<'_>]) {
        let drafts = self.drafts;
        let waits: BTreeSet<usize> = stuck.iter().map(|one| one.at).collect();
        for one in stuck {
            let absent = one.about.iter().zip(&one.correlation.rules);
            let absent = absent.filter(|(at, _)| self.done[**at].is_none());
            // What is refused for itself comes first: others may only wait for it.
            let first = absent.min_by_key(|(at, _)| waits.contains(at));
            let Some((at, (name, span))) = first else {
                continue;
            };
            let name = yaml::shorten(name);
            let diagnostic = if waits.contains(at) {
                let message =
                    format!("the rule `{name}` waits for this one, or for one that was refused");
                let help = format!("It is at {}.", drafts[*at].place());
                Diagnostic::new(Code::SigmaReference, *span, message).with_help(help)
            } else {
                names::refused(Code::SigmaReference, &name, *span, &drafts[*at].place())
            };
            self.report(&drafts[one.at], diagnostic);
        }
    }

    /// The rules that a correlation is about, there yet or not.
    fn about(&self, correlation: &Correlation) -> Lowered<Vec<usize>> {
        let mut about = Vec::with_capacity(correlation.rules.len());
        for (name, span) in &correlation.rules {
            match self.names.meant(name) {
                Meant::Draft(at) => about.push(at),
                _ => {
                    let mistake = self.names.mistake(Code::SigmaReference, name, *span);
                    return Err(Box::new(mistake));
                }
            }
        }
        Ok(about)
    }

    fn bases(&self, about: &[usize]) -> Vec<Base> {
        let base = |at: &usize| {
            let rule = self.done[*at].as_ref()?;
            Some(Base {
                id: rule.id.clone(),
                names: names(&self.drafts[*at]).map(str::to_owned).collect(),
                source: rule.source.clone(),
            })
        };
        about.iter().filter_map(base).collect()
    }
}

/// A correlation, and the drafts that it is about.
struct Waiting<'d> {
    at: usize,
    correlation: &'d Correlation,
    about: Vec<usize>,
}

/// Adds to rules what filters want of them.
fn apply_filters(drafts: &mut [Draft], names: &Names, reports: &mut Vec<Report>) {
    let filters: Vec<Draft> = drafts
        .iter()
        .filter(|draft| matches!(draft.body, Body::Filter(_)))
        .cloned()
        .collect();
    for filter in filters {
        let Body::Filter(body) = &filter.body else {
            continue;
        };
        let mut meant: Vec<usize> = Vec::new();
        match &body.rules {
            None => meant.extend(0..drafts.len()),
            Some(rules) => {
                for (name, span) in rules {
                    let before = meant.len();
                    meant.extend(names.drafts(name));
                    if meant.len() == before {
                        reports.push(Report {
                            source: filter.source.clone(),
                            diagnostic: names.mistake(Code::SigmaFilterIdle, name, *span),
                        });
                    }
                }
            }
        }
        meant.sort_unstable();
        meant.dedup();
        let added = Arc::new(body.added.clone());
        for at in meant {
            let draft = &mut drafts[at];
            if !draft.logsource.satisfies(&filter.logsource) {
                continue;
            }
            if let Body::Rule(rule) = &mut draft.body {
                rule.added.push(added.clone());
            }
        }
    }
}

/// Everything by which other documents may call this one.
fn names(draft: &Draft) -> impl Iterator<Item = &str> {
    let meta = &draft.meta;
    let all = [
        meta.id.as_deref(),
        meta.name.as_deref(),
        Some(meta.title.as_str()),
    ];
    all.into_iter().flatten()
}

#[cfg(test)]
mod tests;
