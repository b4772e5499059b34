//! Exceptions of rules that remember, tried by reading the inputs again.
//!
//! Nothing but a run tells what such a rule finds when it does not see some of its events: one that is excused is not
//! counted, begins no sequence, ends no absence. So rules with exceptions are compiled with the rules that hand them
//! detections, and the inputs are read again. Many exceptions are tried in one reading: each is put into a copy of its
//! rule, and copies know nothing of each other. Of what is found only numbers are kept, and a bit for each finding
//! that there was before. A reading of which anything makes doubtful that it can be compared proves nothing.

use super::keep::{EventName, Keeper, Keeping, Kept, KeptFinding};
use super::reading::{Evaluating, Reading};
use super::traits::Traits;
use crate::scan::accounting::Accounting;
use crate::scan::outlet::{Outlet, Placed};
use crate::scan::statistics::{RuleTimes, Statistics};
use std::collections::{BTreeMap, BTreeSet};
use tripline_core::evaluate::{RuleIndex, RuleSet};
use tripline_core::rule::kind::RuleRef;
use tripline_core::rule::{Catalog, Exception, Rule, RuleId};
use tripline_core::state::RuleCounters;

/// Why no exception of a rule is proposed, although it is noisy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The inputs cannot be read again.
    ReadOnce,
    /// They did not hold the same again.
    Changed,
    /// More was forgotten than without the exception, so that nothing can be compared.
    Forgot,
    /// Everything was tried.
    NothingHelps,
    /// Others are noisier.
    TooMany,
    /// What helps a rule by itself hides too much when everything is in force.
    NotTogether,
}

impl Why {
    /// In words.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnce => {
                "an exception changes what is counted, so it is tried by reading the inputs again, and one of them can \
                 be read only once; give files"
            }
            Self::Changed => "the inputs changed before they were read again to try exceptions",
            Self::Forgot => {
                "more was forgotten while exceptions were tried; a larger --state-memory may help"
            }
            Self::NothingHelps => {
                "no exception that was tried removes enough and keeps what is labelled true"
            }
            Self::TooMany => {
                "exceptions are tried for so many rules that remember, and others are noisier"
            }
            Self::NotTogether => {
                "exceptions that help hide something labelled true, of this rule or one that takes its detections, when \
                 all are in force"
            }
        }
    }
}

/// What a rule found in another reading, beside what it had found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) findings: u64,
    /// Findings that there were before and are no more: their numbers, in order.
    pub(crate) gone: Vec<u32>,
}

/// What another reading needs.
pub(crate) struct Trials<'t> {
    pub(crate) reading: &'t Reading<'t>,
    /// The lists, schemas, plugins and names that the rules were compiled with.
    pub(crate) ground: &'t Catalog,
    pub(crate) rules: &'t RuleSet,
    pub(crate) keeper: &'t Keeper,
    /// What was found in the first reading, and how that went.
    pub(crate) findings: &'t [KeptFinding],
    pub(crate) accounting: &'t Accounting,
}

/// A rule of another reading.
struct Tried {
    rule: Rule,
    /// The number of the rule that it is or is a copy of, when its findings are wanted.
    watched: Option<usize>,
}

impl Trials<'_> {
    /// Tries exceptions one by one: for each rule, what it finds with each alone.
    pub(crate) fn each(
        &self,
        candidates: &[(usize, Vec<Exception>)],
    ) -> Result<Vec<Vec<Result<Run, Why>>>, Why> {
        let feeding = candidates.iter().map(|(number, _)| *number);
        let feeding = self.upstream(feeding.collect());
        let mut tried: Vec<Tried> = Vec::new();
        let mut free = (0u64..)
            .filter_map(|number| RuleId::new(&format!("trial-{number}")))
            .filter(|id| !self.ground.ids.contains(id.as_str()));
        for (number, exceptions) in candidates {
            for exception in exceptions {
                let mut rule = self.by_names(*number);
                rule.exceptions.push(exception.clone());
                rule.id = free.next().ok_or(Why::NothingHelps)?;
                let watched = Some(*number);
                tried.push(Tried { rule, watched });
            }
        }
        tried.extend(feeding.into_iter().map(|number| Tried {
            rule: self.by_names(number),
            watched: None,
        }));
        let mut runs = self.run(tried)?.into_iter();
        let of_rule = |(_, exceptions): &(usize, Vec<Exception>)| {
            let runs = runs.by_ref().take(exceptions.len());
            runs.collect()
        };
        Ok(candidates.iter().map(of_rule).collect())
    }

    /// Tries all exceptions together: what each of the rules `watched` finds then.
    pub(crate) fn together(
        &self,
        watched: &BTreeSet<usize>,
        exceptions: &BTreeMap<usize, Vec<Exception>>,
    ) -> Result<BTreeMap<usize, Result<Run, Why>>, Why> {
        let mut all = self.upstream(watched.clone());
        all.extend(watched);
        let tried = all.iter().map(|number| {
            let mut rule = self.rules.rules()[*number].rule.clone();
            rule.exceptions
                .extend(exceptions.get(number).into_iter().flatten().cloned());
            let watched = watched.contains(number).then_some(*number);
            Tried { rule, watched }
        });
        let runs = self.run(tried.collect())?;
        let runs = all.into_iter().zip(runs);
        Ok(runs
            .filter(|(number, _)| watched.contains(number))
            .collect())
    }

    /// The rules whose detections reach `rules`, directly or by way of others.
    pub(crate) fn upstream(&self, rules: BTreeSet<usize>) -> BTreeSet<usize> {
        let from = |number: usize| {
            let feeding = self.rules.fed_by(RuleIndex(number as u32));
            feeding.map(|rule| rule.0 as usize).collect()
        };
        reached(rules, from)
    }

    /// The rules that the detections of `rules` reach.
    pub(crate) fn downstream(&self, rules: BTreeSet<usize>) -> BTreeSet<usize> {
        let to = |number: usize| {
            let fed = self.rules.feeds(RuleIndex(number as u32)).iter();
            fed.map(|(rule, _)| rule.0 as usize).collect()
        };
        reached(rules, to)
    }

    /// A rule that names others by their ids: a pattern would take the copies for rules.
    fn by_names(&self, number: usize) -> Rule {
        let mut rule = self.rules.rules()[number].rule.clone();
        for (at, input) in (0u16..).zip(&mut rule.inputs) {
            let wanted = (RuleIndex(number as u32), at);
            let feeding = self.rules.fed_by(wanted.0);
            let feeding = feeding.filter(|from| self.rules.feeds(*from).contains(&wanted));
            let names = feeding.map(|from| RuleRef {
                pattern: self.rules.rules()[from.0 as usize].rule.id.to_string(),
                place: input.place.clone(),
            });
            let names: Vec<RuleRef> = names.collect();
            if !names.is_empty() {
                input.rules = names;
            }
        }
        rule
    }

    /// Reads the inputs with these rules: for each what it finds, in their order.
    fn run(&self, tried: Vec<Tried>) -> Result<Vec<Result<Run, Why>>, Why> {
        if !self.reading.can_be_repeated() {
            return Err(Why::ReadOnce);
        }
        let rules = tried.iter().map(|one| one.rule.clone());
        let (rules, _) = RuleSet::of_rules(rules, self.ground);
        let numbers: BTreeMap<&str, usize> = tried
            .iter()
            .enumerate()
            .map(|(at, one)| (one.rule.id.as_str(), at))
            .collect();
        let compiled = rules.rules().iter();
        let compiled: Vec<usize> = compiled.map(|one| numbers[one.rule.id.as_str()]).collect();
        let watching = Watching {
            keeper: self.keeper,
            findings: self.findings,
            of: compiled
                .iter()
                .map(|at| Some(Watch::new(self.places(tried[*at].watched?))))
                .collect(),
        };
        let shape = Keeping {
            traits: Traits::Unwanted,
        };
        let times = RuleTimes::default();
        let evaluating = Evaluating {
            rules: &rules,
            baseline: None,
            shape: &shape,
            statistics: Statistics::Unwanted,
            times: &times,
        };
        let reporter = self.reading.read(evaluating, watching);
        if records(&reporter.accounting) != records(self.accounting) {
            return Err(Why::Changed);
        }
        let forgot = |at: usize| {
            let number = tried[at].watched?;
            let before = counters(self.accounting, self.rules.rules()[number].rule.id.as_str());
            let now = counters(&reporter.accounting, tried[at].rule.id.as_str());
            Some(left_out(now) > left_out(before))
        };
        // One with a mistake was not compiled.
        let mut runs: Vec<Result<Run, Why>> =
            tried.iter().map(|_| Err(Why::NothingHelps)).collect();
        for (at, watch) in compiled.into_iter().zip(reporter.outlet.of) {
            if let Some(watch) = watch {
                runs[at] = match forgot(at) {
                    Some(true) => Err(Why::Forgot),
                    _ => Ok(watch.run()),
                };
            }
        }
        Ok(runs)
    }

    /// The findings of a rule, by their identity.
    fn places(&self, rule: usize) -> Vec<u32> {
        let places = (0u32..).zip(self.findings);
        let places = places.filter(|(_, one)| one.rule as usize == rule);
        let mut places: Vec<u32> = places.map(|(place, _)| place).collect();
        places.sort_by_key(|place| identity(&self.findings[*place as usize]));
        places
    }
}

/// Everything that steps lead to from `from`; of `from` only what they come back to.
fn reached(from: BTreeSet<usize>, steps: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut waiting: Vec<usize> = from.into_iter().collect();
    let mut found = BTreeSet::new();
    while let Some(number) = waiting.pop() {
        for next in steps(number) {
            if found.insert(next) {
                waiting.push(next);
            }
        }
    }
    found
}

/// How many records were read, and what became of those that were not evaluated.
fn records(accounting: &Accounting) -> (u64, u64, u64, u64) {
    let total = &accounting.total;
    let (duplicates, rejected) = (total.duplicates, total.rejected_total());
    (total.read, duplicates, rejected, accounting.faults_total)
}

fn counters<'a>(accounting: &'a Accounting, id: &str) -> Option<&'a RuleCounters> {
    let state = accounting.state.as_ref()?;
    let (_, counters) = state.rules.iter().find(|(one, _)| one == id)?;
    Some(counters)
}

/// What a rule did not see, or had to forget.
fn left_out(counters: Option<&RuleCounters>) -> u64 {
    counters.map_or(0, |one| one.late + one.evicted + one.dropped)
}

/// What makes findings of a rule the same, whatever its exceptions.
fn identity(finding: &KeptFinding) -> (EventName, u32) {
    (finding.event, finding.key)
}

/// Counts findings, and notes which of those before come again.
struct Watching<'t> {
    keeper: &'t Keeper,
    findings: &'t [KeptFinding],
    /// For each rule that is read with.
    of: Vec<Option<Watch>>,
}

struct Watch {
    findings: u64,
    places: Vec<u32>,
    /// A bit for each of the places.
    found: Vec<u64>,
}

impl Watch {
    fn new(places: Vec<u32>) -> Self {
        Self {
            findings: 0,
            found: vec![0; places.len().div_ceil(64)],
            places,
        }
    }

    fn run(self) -> Run {
        let found = |at: usize| self.found[at / 64] >> (at % 64) & 1 == 1;
        let places = self.places.iter().enumerate();
        let mut gone: Vec<u32> = places
            .filter(|(at, _)| !found(*at))
            .map(|(_, place)| *place)
            .collect();
        gone.sort_unstable();
        Run {
            findings: self.findings,
            gone,
        }
    }
}

impl Outlet for Watching<'_> {
    type Shape = Keeping;

    fn finding(&mut self, placed: &Placed<'_>, shaped: Kept) {
        let Some(watch) = &mut self.of[placed.rule as usize] else {
            return;
        };
        watch.findings += 1;
        let event = self.keeper.event_name(&shaped.event_id);
        let Some(wanted) = event.zip(self.keeper.texts.find(&shaped.key)) else {
            return;
        };
        let of = |place: &u32| identity(&self.findings[*place as usize]);
        let from = watch.places.partition_point(|place| of(place) < wanted);
        let same = watch.places[from..].iter();
        let count = same.take_while(|place| of(place) == wanted).count();
        for at in from..from + count {
            watch.found[at / 64] |= 1 << (at % 64);
        }
    }
}
