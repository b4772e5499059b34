//! Who takes whose detections, and in which order rules are to be asked because of that.
//!
//! Relies on nothing but the rules' inputs. A rule that names a rule which is not there, or whose detections come
//! back to itself, is a mistake of its author and is not in force: it could only be silent or turn for ever. A pattern
//! that names its own rule among others means the others.

use super::rule_set::{RuleIndex, RulePre};
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::rule::kind::{Kind, RuleRef};
use crate::rule::{Place, Report, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// Who is fed by whose detections, and an order in which every rule comes after those that feed it.
#[derive(Default)]
pub(super) struct Feeds {
    /// For each rule the inputs that take its detections.
    pub(super) of: Vec<Vec<(RuleIndex, u16)>>,
    /// The rules that remember, those that feed others first.
    pub(super) order: Vec<RuleIndex>,
}

/// Takes out the rules that take detections which cannot be: of rules that are not there, or their own in the
/// end. `known` are all ids that there are, also of rules that are off or have mistakes.
pub(super) fn drop_misfed(rules: &mut Vec<RulePre>, known: &BTreeSet<String>) -> Vec<Report> {
    let turning = in_circles(&links(rules));
    let mut reports = Vec::new();
    let mut turning = turning.into_iter();
    rules.retain(|rule| {
        let before = reports.len();
        let inputs = rule.rule.inputs.iter();
        for reference in inputs.flat_map(|input| &input.rules) {
            reports.extend(mistake(reference, rule.rule.id.as_str(), known));
        }
        if turning.next() == Some(true) {
            reports.push(circle(&rule.rule));
        }
        reports.len() == before
    });
    reports
}

/// Finds the rules that inputs name, among rules of which none feeds itself. Inputs whose rules are all off are
/// reported.
pub(super) fn feeds(rules: &[RulePre]) -> (Feeds, Vec<Report>) {
    let of = links(rules);
    let mut fed: BTreeSet<(RuleIndex, u16)> = BTreeSet::new();
    of.iter().for_each(|inputs| fed.extend(inputs));
    let mut reports = Vec::new();
    for (at, rule) in (0u32..).zip(rules) {
        for (number, input) in (0u16..).zip(&rule.rule.inputs) {
            if !input.rules.is_empty() && !fed.contains(&(RuleIndex(at), number)) {
                reports.push(silent(&input.place));
            }
        }
    }
    let order = order_of(rules, &of);
    (Feeds { of, order }, reports)
}

/// For each rule the inputs of other rules that take its detections.
fn links(rules: &[RulePre]) -> Vec<Vec<(RuleIndex, u16)>> {
    let mut of: Vec<Vec<(RuleIndex, u16)>> = vec![Vec::new(); rules.len()];
    let ids = rules.iter().enumerate();
    let by_id: BTreeMap<&str, usize> = ids.map(|(at, rule)| (rule.rule.id.as_str(), at)).collect();
    for (at, rule) in rules.iter().enumerate() {
        for (number, input) in (0u16..).zip(&rule.rule.inputs) {
            for reference in &input.rules {
                let others = named(reference, rules, &by_id).into_iter();
                for from in others.filter(|from| *from != at) {
                    of[from].push((RuleIndex(at as u32), number));
                }
            }
        }
    }
    for inputs in &mut of {
        inputs.sort_unstable();
        inputs.dedup();
    }
    of
}

fn named(reference: &RuleRef, rules: &[RulePre], by_id: &BTreeMap<&str, usize>) -> Vec<usize> {
    if !reference.is_pattern() {
        let one = by_id.get(reference.pattern.as_str()).copied();
        return one
            .into_iter()
            .filter(|at| finds(&rules[*at].rule))
            .collect();
    }
    // A pattern takes what stands by itself: rules of risk would otherwise feed one another.
    let all = rules.iter().enumerate();
    all.filter(|(_, rule)| reference.names(rule.rule.id.as_str()))
        .filter(|(_, rule)| finds(&rule.rule) && !adds_up(&rule.rule))
        .map(|(at, _)| at)
        .collect()
}

/// A profile finds nothing.
fn finds(rule: &Rule) -> bool {
    let kind = rule.memory.as_ref().map(|memory| &memory.kind);
    !matches!(kind, Some(Kind::Entity(_)))
}

fn adds_up(rule: &Rule) -> bool {
    rule.memory
        .as_ref()
        .is_some_and(|memory| matches!(memory.kind, Kind::Risk(_)))
}

/// A report about an input that no rule feeds.
fn silent(place: &Place) -> Report {
    let message = "none of the rules that this names hands it detections";
    let help = "They are off, have mistakes or find nothing, and it never happens as long as none of them is in force. A \
                pattern takes no rules of risk: name those by their ids.";
    Report {
        source: place.source.clone(),
        diagnostic: Diagnostic::new(Code::RuleSilent, place.span, message).with_help(help),
    }
}

/// What is wrong with a reference of the rule `own` by itself: it names no rule, not even one that is off or has
/// mistakes, or none but `own`.
fn mistake(reference: &RuleRef, own: &str, known: &BTreeSet<String>) -> Option<Report> {
    let pattern = reference.pattern.as_str();
    let mut others = known.iter().filter(|id| *id != own);
    let (code, message, help) = if pattern == own {
        let message = format!("`{own}` takes its own detections");
        (Code::RuleCycle, message, LOOK_ELSEWHERE.to_owned())
    } else if others.any(|id| reference.names(id)) {
        return None;
    } else if reference.names(own) {
        let message = format!("`{pattern}` names no rule but `{own}` itself");
        (Code::RuleCycle, message, LOOK_ELSEWHERE.to_owned())
    } else if reference.is_pattern() {
        let message = format!("no rule has an id that `{pattern}` names");
        let help = "Correct the pattern, or give the paths of the rules that it means too.";
        (Code::RuleUnknown, message, help.to_owned())
    } else {
        let message = format!("there is no rule `{pattern}`");
        let near = did_you_mean(pattern, known.iter().map(String::as_str));
        let help = match near.filter(|near| *near != own) {
            Some(near) => format!("Did you mean `{near}`?"),
            None => "Give the path of its file too, or correct the id.".to_owned(),
        };
        (Code::RuleUnknown, message, help)
    };
    let diagnostic = Diagnostic::new(code, reference.place.span, message).with_help(help);
    Some(Report {
        source: reference.place.source.clone(),
        diagnostic,
    })
}

const LOOK_ELSEWHERE: &str =
    "Let it take the detections of other rules, or look at events by `when`.";

fn circle(rule: &Rule) -> Report {
    let message = format!(
        "`{}` takes detections that come from itself in the end",
        rule.id
    );
    let help = "Let one of the rules in the circle look at events instead.";
    Report {
        source: rule.place.source.clone(),
        diagnostic: Diagnostic::new(Code::RuleCycle, rule.place.span, message).with_help(help),
    }
}

/// Which rules come back to themselves by way of others: those of a strongly connected part of more than one, found
/// by going through all forwards, and then backwards from those that were left last.
fn in_circles(of: &[Vec<(RuleIndex, u16)>]) -> Vec<bool> {
    let mut left = Vec::with_capacity(of.len());
    let mut seen = vec![false; of.len()];
    for start in 0..of.len() {
        let mut way: Vec<(usize, usize)> = Vec::new();
        if !std::mem::replace(&mut seen[start], true) {
            way.push((start, 0));
        }
        while let Some((at, next)) = way.last_mut() {
            let Some((to, _)) = of[*at].get(*next) else {
                left.push(*at);
                way.pop();
                continue;
            };
            *next += 1;
            if !std::mem::replace(&mut seen[to.0 as usize], true) {
                way.push((to.0 as usize, 0));
            }
        }
    }
    let mut takes_from: Vec<Vec<usize>> = vec![Vec::new(); of.len()];
    for (from, inputs) in of.iter().enumerate() {
        inputs
            .iter()
            .for_each(|(to, _)| takes_from[to.0 as usize].push(from));
    }
    let (mut turning, mut taken) = (vec![false; of.len()], vec![false; of.len()]);
    for start in left.into_iter().rev() {
        let mut waiting: Vec<usize> = Vec::new();
        if !std::mem::replace(&mut taken[start], true) {
            waiting.push(start);
        }
        let mut part = Vec::new();
        while let Some(at) = waiting.pop() {
            part.push(at);
            for from in &takes_from[at] {
                if !std::mem::replace(&mut taken[*from], true) {
                    waiting.push(*from);
                }
            }
        }
        if part.len() > 1 {
            part.into_iter().for_each(|at| turning[at] = true);
        }
    }
    turning
}

/// The rules that remember, each after those that feed it. No rule feeds itself, so all find their place.
fn order_of(rules: &[RulePre], of: &[Vec<(RuleIndex, u16)>]) -> Vec<RuleIndex> {
    let fed = |at: usize| {
        let mut fed: Vec<usize> = of[at].iter().map(|(rule, _)| rule.0 as usize).collect();
        fed.dedup();
        fed
    };
    let mut waits: Vec<usize> = vec![0; rules.len()];
    for at in 0..rules.len() {
        fed(at).into_iter().for_each(|rule| waits[rule] += 1);
    }
    let mut ready: BTreeSet<usize> = (0..rules.len()).filter(|at| waits[*at] == 0).collect();
    let mut order = Vec::new();
    while let Some(at) = ready.pop_first() {
        if rules[at].rule.remembers() {
            order.push(RuleIndex(at as u32));
        }
        for rule in fed(at) {
            waits[rule] -= 1;
            if waits[rule] == 0 {
                ready.insert(rule);
            }
        }
    }
    debug_assert!(waits.iter().all(|left| *left == 0), "rules feed themselves");
    order
}
