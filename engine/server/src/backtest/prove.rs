//! Exceptions that were chosen one by one, tried together.
//!
//! Two exceptions of a rule that remembers may take more together than each alone; and what a rule does not detect any
//! more, rules that take its detections miss, be it about single events or not. Where that can be, the inputs are read
//! with all exceptions in force. When a finding labelled true is gone then, the last exception of each rule that it
//! hangs on is taken back, and it is tried again; what is not proven in so many readings is not proposed.

use super::propose::{Judging, Proposal, Proposals, TriedOn, exceptions_of};
use super::trial::{Run, Trials, Why};
use std::collections::{BTreeMap, BTreeSet};
use tripline_core::rule::Exception;

/// Readings of the inputs with everything in force.
const READINGS_MAX: usize = 4;

/// Takes back the proposals that hide something labelled true, or are in doubt, when all are in force.
pub(super) fn prove(judging: &Judging<'_>, trials: &Trials<'_>, proposals: &mut Proposals) {
    let labelled_true = judging.labelled_true();
    let mut why = Why::NotTogether;
    for _ in 0..READINGS_MAX {
        let doubtful = doubtful(trials, &labelled_true, &proposals.tried);
        if doubtful.is_empty() {
            return;
        }
        let mut exceptions: BTreeMap<usize, Vec<Exception>> = BTreeMap::new();
        for number in numbers(&proposals.tried) {
            let own = proposals.tried.iter().filter(|one| one.number == number);
            let own: Vec<Proposal> = own.cloned().collect();
            exceptions.insert(number, exceptions_of(&own));
        }
        let runs = match trials.together(&doubtful, &exceptions) {
            Ok(runs) => runs,
            Err(other) => {
                why = other;
                break;
            }
        };
        let failing = runs.into_iter().filter(|(number, run)| {
            let labelled = labelled_true.get(number);
            let labelled = labelled.map_or(&[][..], Vec::as_slice);
            let own = proposals.tried.iter().filter(|one| one.number == *number);
            !holds(run, labelled, own)
        });
        let failing: BTreeSet<usize> = failing.map(|(number, _)| number).collect();
        if failing.is_empty() {
            return;
        }
        let mut blamed = trials.upstream(failing.clone());
        blamed.extend(failing);
        for number in blamed {
            take_back(proposals, number);
        }
    }
    for number in doubtful(trials, &labelled_true, &proposals.tried) {
        drop_all(proposals, number, why);
    }
}

/// Whether a run with everything in force is as good as what was tried alone: what is labelled true is found, and no
/// fewer findings are gone.
fn holds<'p>(
    run: &Result<Run, Why>,
    labelled_true: &[u32],
    mut own: impl Iterator<Item = &'p Proposal>,
) -> bool {
    let Ok(run) = run else { return false };
    let is_gone = |place: &u32| run.gone.binary_search(place).is_ok();
    let as_good =
        |one: &Proposal| one.tried_on == TriedOn::Findings || run.findings + one.removes <= one.of;
    !labelled_true.iter().any(is_gone) && own.all(as_good)
}

/// The rules that have to be looked at with everything in force: those whose exceptions were not tried together, and
/// those whose findings may hang on exceptions of another; none when all is proven already.
fn doubtful(
    trials: &Trials<'_>,
    labelled_true: &BTreeMap<usize, Vec<u32>>,
    proposals: &[Proposal],
) -> BTreeSet<usize> {
    let mut doubtful = BTreeSet::new();
    let changed = numbers(proposals);
    for number in &changed {
        let mut touched = trials.downstream(BTreeSet::from([*number]));
        touched.retain(|fed| labelled_true.contains_key(fed) || changed.contains(fed));
        let of_inputs = |one: &&Proposal| one.number == *number && one.tried_on == TriedOn::Inputs;
        let several = proposals.iter().filter(of_inputs).count() > 1;
        if several || !touched.is_empty() {
            doubtful.insert(*number);
            doubtful.append(&mut touched);
        }
    }
    doubtful
}

fn numbers(proposals: &[Proposal]) -> BTreeSet<usize> {
    proposals.iter().map(|one| one.number).collect()
}

/// Takes back the last proposal of a rule, the one that helps least.
fn take_back(proposals: &mut Proposals, number: usize) {
    let Some(last) = proposals.tried.iter().rposition(|one| one.number == number) else {
        return;
    };
    let one = proposals.tried.remove(last);
    if !proposals.tried.iter().any(|one| one.number == number) {
        proposals.without.insert(one.rule, Why::NotTogether);
    }
}

fn drop_all(proposals: &mut Proposals, number: usize, why: Why) {
    let of_rule = |one: &Proposal| one.number == number;
    let rule = proposals.tried.iter().find(|one| of_rule(one));
    proposals
        .without
        .extend(rule.map(|one| (one.rule.clone(), why)));
    proposals.tried.retain(|one| !of_rule(one));
}
