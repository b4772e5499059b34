//! Exceptions for what is noisy, each tried out before it is shown.
//!
//! A proposal is CEL on fields that tell findings apart (`traits`). It is evaluated, by the engine and not by
//! arithmetic, on the traits of every finding of its rule; one that excuses a finding labelled true is never shown.
//! Where nothing is labelled, what is noisy is a key with a good share of the findings; where false positives are,
//! it is these. An exception of a rule that remembers changes what it counts, which no look at its findings can tell:
//! of those that look best, each is tried in a reading of its own rule (`trial`), and what is chosen is tried
//! together (`prove`).

use super::ideas::{ACTORS, Idea, ideas, try_out};
use super::keep::{Keeper, KeptFinding};
use super::labels::Truth;
use super::proposed_file::to_toml;
use super::prove::prove;
use super::tally::Tally;
use super::trial::{Run, Trials, Why};
use crate::terminal::{counted, grouped};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tripline_core::rule::{Exception, File, Rule, load};

/// Findings that an exception must remove when nothing is labelled; it must be worth a person's look.
const REMOVED_MIN: u64 = 5;
/// A key is noisy with this share of a rule's findings, in a hundred.
const NOISY_PERCENT: u64 = 20;
const PROPOSALS_PER_RULE: usize = 3;
/// Proposals that are tried for a rule that remembers: each is one more copy of the rule and of what it remembers.
const RUN_MAX: usize = 8;
/// Rules that remember for which proposals are tried, most unwanted findings first.
const RULES_RUN_MAX: usize = 64;
/// Different traits of a rule's findings that are looked at for ideas; all are looked at for trying.
const TRAITS_FOR_IDEAS_MAX: usize = 256;

/// What came of looking for exceptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proposals {
    pub(crate) tried: Vec<Proposal>,
    /// Noisy rules for which the findings alone cannot tell, and why nothing is proposed for them.
    pub(crate) without: BTreeMap<String, Why>,
}

/// An exception that was tried.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) rule: String,
    /// The number of the rule.
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) when: String,
    /// Findings that it removes: all, and those labelled false.
    pub(crate) removes: u64,
    pub(crate) removes_false: u64,
    /// Of so many findings.
    pub(crate) of: u64,
    /// Findings labelled true, all of which stay.
    pub(crate) keeps_true: u64,
    pub(crate) tried_on: TriedOn,
}

/// How an exception was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TriedOn {
    /// It was evaluated on the findings of its rule.
    Findings,
    /// The inputs were read again with it.
    Inputs,
}

impl TriedOn {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Inputs => "inputs",
        }
    }
}

/// What is said and to be said of findings.
pub(super) struct Judging<'j> {
    pub(super) findings: &'j [KeptFinding],
    said: &'j HashMap<u32, Truth>,
    /// Which rules have a finding labelled false.
    labelled_false: Vec<bool>,
    /// The noisy keys of each rule.
    noisy: Vec<BTreeSet<u32>>,
}

/// Findings of a rule that are told apart by nothing, for instance those with the same traits.
#[derive(Clone, Copy, Debug, Default)]
struct Alike {
    findings: u64,
    labelled_true: u64,
    labelled_false: u64,
    /// Findings that somebody would rather not see.
    unwanted: u64,
}

impl Alike {
    fn add(&mut self, other: Self) {
        self.findings += other.findings;
        self.labelled_true += other.labelled_true;
        self.labelled_false += other.labelled_false;
        self.unwanted += other.unwanted;
    }
}

/// Those of one rule, by the number of their traits.
type ByTraits = BTreeMap<u32, Alike>;

/// An idea, and what is gone with it: numbers of traits or of findings.
struct Tried {
    idea: Idea,
    gone: Vec<u32>,
    /// Findings that there are less.
    removes: u64,
}

/// Looks for exceptions.
pub(crate) fn propose(
    tallies: &[Tally],
    said: &HashMap<u32, Truth>,
    trials: &Trials<'_>,
) -> Proposals {
    let (keeper, findings) = (trials.keeper, trials.findings);
    let judging = Judging::new(tallies, said, (keeper, findings));
    let mut of_rules: Vec<ByTraits> = vec![BTreeMap::new(); tallies.len()];
    for (place, finding) in (0u32..).zip(findings) {
        let alike = &mut of_rules[finding.rule as usize];
        alike
            .entry(finding.traits)
            .or_default()
            .add(judging.one(place));
    }
    let mut proposals = Proposals::default();
    let mut remembering: Vec<(usize, ByTraits)> = Vec::new();
    for (number, alike) in of_rules.into_iter().enumerate() {
        if !alike.values().any(|one| one.unwanted > 0) {
            continue;
        }
        if trials.rules.rules()[number].rule.remembers() {
            remembering.push((number, alike));
            continue;
        }
        let covered = ideas_tried(&alike, keeper);
        let choice = Choice {
            number,
            rule: &trials.rules.rules()[number].rule,
            least: judging.least(number),
            all: alike.values().map(|one| one.findings).sum(),
            keeps_true: alike.values().map(|one| one.labelled_true).sum(),
            tried_on: TriedOn::Findings,
        };
        let chosen = choice.choose(covered, &|traits| alike[&traits]);
        proposals.tried.extend(chosen);
    }
    of_memory(&judging, trials, remembering, &mut proposals);
    proposals.tried.sort_by_key(|one| one.number);
    prove(&judging, trials, &mut proposals);
    proposals
}

/// Looks for exceptions of rules that remember: what looks best by their findings is tried in another reading.
fn of_memory(
    judging: &Judging<'_>,
    trials: &Trials<'_>,
    mut rules: Vec<(usize, ByTraits)>,
    proposals: &mut Proposals,
) {
    let unwanted = |alike: &ByTraits| alike.values().map(|one| one.unwanted).sum::<u64>();
    rules.sort_by_key(|(number, alike)| (std::cmp::Reverse(unwanted(alike)), *number));
    let id = |number: usize| trials.rules.rules()[number].rule.id.to_string();
    let left = rules.split_off(rules.len().min(RULES_RUN_MAX)).into_iter();
    proposals
        .without
        .extend(left.map(|(number, _)| (id(number), Why::TooMany)));
    let mut tried: Vec<(usize, Vec<Idea>)> = Vec::new();
    let mut candidates: Vec<(usize, Vec<Exception>)> = Vec::new();
    for (number, alike) in &rules {
        let rule = &trials.rules.rules()[*number].rule;
        proposals.without.insert(id(*number), Why::NothingHelps);
        let ideas = best_ideas(alike, trials.keeper);
        let whens = ideas.iter().map(|idea| idea.when.as_str());
        let exceptions = as_exceptions(rule.id.as_str(), whens);
        if exceptions.len() == ideas.len() && !ideas.is_empty() {
            tried.push((*number, ideas));
            candidates.push((*number, exceptions));
        }
    }
    if candidates.is_empty() {
        return;
    }
    let runs = match trials.each(&candidates) {
        Ok(runs) => runs,
        Err(why) => {
            proposals.without.values_mut().for_each(|one| *one = why);
            return;
        }
    };
    for ((number, ideas), runs) in tried.into_iter().zip(runs) {
        let rule = &trials.rules.rules()[number].rule;
        let chosen = of_runs((number, rule), ideas.into_iter().zip(runs), judging);
        match chosen {
            Ok(chosen) => {
                proposals.without.remove(rule.id.as_str());
                proposals.tried.extend(chosen);
            }
            Err(why) => {
                proposals.without.insert(id(number), why);
            }
        }
    }
}

/// The ideas that look best by the findings they cover; those that cover one labelled true would remove it.
fn best_ideas(alike: &ByTraits, keeper: &Keeper) -> Vec<Idea> {
    let count = |one: &Tried, of: fn(&Alike) -> u64| -> u64 {
        one.gone.iter().map(|traits| of(&alike[traits])).sum()
    };
    let mut tried = ideas_tried(alike, keeper);
    tried.retain(|one| {
        count(one, |one| one.labelled_true) == 0 && count(one, |one| one.unwanted) > 0
    });
    tried.sort_by_cached_key(|one| {
        let others = count(one, |one| one.findings - one.unwanted);
        let unwanted = count(one, |one| one.unwanted);
        (std::cmp::Reverse(unwanted), others, one.idea.clone())
    });
    tried.truncate(RUN_MAX);
    tried.into_iter().map(|one| one.idea).collect()
}

/// Chooses among what was tried in another reading.
fn of_runs(
    (number, rule): (usize, &Rule),
    runs: impl Iterator<Item = (Idea, Result<Run, Why>)>,
    judging: &Judging<'_>,
) -> Result<Vec<Proposal>, Why> {
    let places = (0u32..).zip(judging.findings);
    let places = places.filter(|(_, one)| one.rule as usize == number);
    let mut all = Alike::default();
    places.for_each(|(place, _)| all.add(judging.one(place)));
    let (mut tried, mut why) = (Vec::new(), Why::NothingHelps);
    for (idea, run) in runs {
        match run {
            Ok(run) => tried.push(Tried {
                idea,
                removes: all.findings.saturating_sub(run.findings),
                gone: run.gone,
            }),
            Err(other) => why = other,
        }
    }
    let choice = Choice {
        number,
        rule,
        least: judging.least(number),
        all: all.findings,
        keeps_true: all.labelled_true,
        tried_on: TriedOn::Inputs,
    };
    let chosen = choice.choose(tried, &|place| judging.one(place));
    if chosen.is_empty() {
        return Err(why);
    }
    Ok(chosen)
}

impl<'j> Judging<'j> {
    fn new(
        tallies: &[Tally],
        said: &'j HashMap<u32, Truth>,
        (keeper, findings): (&Keeper, &'j [KeptFinding]),
    ) -> Self {
        let mut labelled_false = vec![false; tallies.len()];
        for (place, finding) in (0u32..).zip(findings) {
            labelled_false[finding.rule as usize] |= said.get(&place) == Some(&Truth::False);
        }
        let noisy = tallies.iter().map(|one| noisy_keys(one, keeper)).collect();
        Self {
            findings,
            said,
            labelled_false,
            noisy,
        }
    }

    /// What counts for one finding.
    fn one(&self, place: u32) -> Alike {
        let finding = &self.findings[place as usize];
        let rule = finding.rule as usize;
        let truth = self.said.get(&place);
        let unwanted = match self.labelled_false[rule] {
            true => truth == Some(&Truth::False),
            false => truth.is_none() && self.noisy[rule].contains(&finding.key),
        };
        Alike {
            findings: 1,
            labelled_true: u64::from(truth == Some(&Truth::True)),
            labelled_false: u64::from(truth == Some(&Truth::False)),
            unwanted: u64::from(unwanted),
        }
    }

    /// Findings that an exception of a rule must remove.
    fn least(&self, rule: usize) -> u64 {
        if self.labelled_false[rule] {
            1
        } else {
            REMOVED_MIN
        }
    }

    /// The numbers of the findings labelled true, by rule.
    pub(super) fn labelled_true(&self) -> BTreeMap<usize, Vec<u32>> {
        let mut of_rules: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        let labelled = self.said.iter().filter(|(_, truth)| **truth == Truth::True);
        for (place, _) in labelled {
            let rule = self.findings[*place as usize].rule as usize;
            of_rules.entry(rule).or_default().push(*place);
        }
        of_rules
    }
}

fn noisy_keys(tally: &Tally, keeper: &Keeper) -> BTreeSet<u32> {
    let noisiest = tally.noisiest(keeper, 100 / NOISY_PERCENT as usize);
    let noisy = |count: u64| count >= REMOVED_MIN && count * 100 >= tally.findings * NOISY_PERCENT;
    let keys = noisiest.into_iter().filter(|(_, count)| noisy(*count));
    keys.map(|(key, _)| key).collect()
}

/// Ideas for exceptions of a rule with such findings, with the traits that each covers.
fn ideas_tried(alike: &ByTraits, keeper: &Keeper) -> Vec<Tried> {
    let mut unwanted: Vec<(u32, &Alike)> =
        alike.iter().map(|(traits, one)| (*traits, one)).collect();
    unwanted.retain(|(_, one)| one.unwanted > 0);
    unwanted.sort_by_key(|(traits, one)| (std::cmp::Reverse(one.unwanted), *traits));
    unwanted.truncate(TRAITS_FOR_IDEAS_MAX);
    let traits: Vec<Value> = unwanted
        .iter()
        .filter_map(|(traits, _)| serde_json::from_str(keeper.texts.text(*traits)).ok())
        .collect();
    let ideas = ideas(&traits);
    let covers = try_out(&ideas, alike.keys().copied(), keeper);
    let tried = ideas.into_iter().zip(covers).map(|(idea, gone)| Tried {
        idea,
        removes: gone.iter().map(|traits| alike[traits].findings).sum(),
        gone,
    });
    tried.collect()
}

/// A rule for which exceptions are chosen.
struct Choice<'c> {
    number: usize,
    rule: &'c Rule,
    /// Findings that an exception must remove.
    least: u64,
    /// Its findings, and those labelled true.
    all: u64,
    keeps_true: u64,
    tried_on: TriedOn,
}

impl Choice<'_> {
    /// The exceptions that help most, one after the other. `of` says what a number among those gone stands for.
    fn choose(&self, mut tried: Vec<Tried>, of: &dyn Fn(u32) -> Alike) -> Vec<Proposal> {
        let count = |one: &Tried, what: fn(Alike) -> u64| -> u64 {
            one.gone.iter().map(|number| what(of(*number))).sum()
        };
        tried.retain(|one| {
            // What is the same of all findings is the rule's business, unless it is who acted.
            let telling = one.removes < self.all || one.idea.rank.1 < ACTORS;
            count(one, |alike| alike.labelled_true) == 0 && one.removes >= self.least && telling
        });
        let mut proposals: Vec<Proposal> = Vec::new();
        let mut excused: BTreeSet<u32> = BTreeSet::new();
        while proposals.len() < PROPOSALS_PER_RULE {
            let gain = |one: &Tried| -> u64 {
                let more = one.gone.iter().filter(|number| !excused.contains(number));
                more.map(|number| of(*number).unwanted).sum()
            };
            let best = tried.iter().max_by_key(|one| {
                let others = count(one, |alike| alike.findings - alike.unwanted);
                (gain(one), std::cmp::Reverse((others, &one.idea)))
            });
            let Some(best) = best else { break };
            if gain(best) < self.least {
                break;
            }
            proposals.push(Proposal {
                rule: self.rule.id.to_string(),
                number: self.number,
                name: free_name(self.rule, &proposals),
                when: best.idea.when.clone(),
                removes: best.removes,
                removes_false: count(best, |alike| alike.labelled_false),
                of: self.all,
                keeps_true: self.keeps_true,
                tried_on: self.tried_on,
            });
            excused.extend(&best.gone);
        }
        proposals
    }
}

/// Proposals as the engine reads them from the file that is written: what has a mistake is not among them.
pub(super) fn exceptions_of(proposals: &[Proposal]) -> Vec<Exception> {
    let file = File::found("proposed.toml", to_toml(proposals));
    let catalog = load(&[file], jiff::civil::Date::MIN);
    let overrides = catalog.overrides.into_iter();
    overrides.flat_map(|one| one.exceptions).collect()
}

/// Ideas as exceptions of a rule.
fn as_exceptions<'w>(rule: &str, whens: impl Iterator<Item = &'w str>) -> Vec<Exception> {
    let proposals: Vec<Proposal> = (1..)
        .zip(whens)
        .map(|(number, when)| Proposal {
            rule: rule.to_owned(),
            number: 0,
            name: format!("idea {number}"),
            when: when.to_owned(),
            removes: 0,
            removes_false: 0,
            of: 0,
            keeps_true: 0,
            tried_on: TriedOn::Inputs,
        })
        .collect();
    exceptions_of(&proposals)
}

fn free_name(rule: &Rule, proposals: &[Proposal]) -> String {
    let taken = |name: &String| {
        let own = rule.exceptions.iter().any(|one| one.name == *name);
        own || proposals.iter().any(|one| one.name == *name)
    };
    let mut names = (1..).map(|number| format!("proposed {number}"));
    names.find(|name| !taken(name)).unwrap_or_default()
}

impl Proposal {
    /// What it does, in words.
    pub(crate) fn effect(&self) -> String {
        let mut out = format!(
            "Removes {} of {}",
            grouped(self.removes),
            counted(self.of, "finding")
        );
        if self.removes_false > 0 {
            out.push_str(&format!(", {} of them labelled false", self.removes_false));
        }
        if self.keeps_true > 0 {
            out.push_str(&format!("; keeps all {} labelled true", self.keeps_true));
        }
        out.push('.');
        if self.tried_on == TriedOn::Inputs {
            out.push_str(" Tried by reading the inputs again.");
        }
        out
    }
}
