//! Evaluating events, one after the other, with the buffers of one thread.
//!
//! Relies on the rule set being immutable: any number of evaluators share one. After the first events it does
//! not allocate on an event that matches nothing. What it finds is ordered by rule, so that results do not
//! depend on how candidates were found.

use super::ask::{PluginIndex, Purpose, Settled, variables};
use super::explain::{Reason, Traced, reason};
use super::group_key::KeyMemo;
use super::matcher::Workspace;
use super::outcome::Outcome;
use super::rule_set::{RuleIndex, RulePre, RuleSet};
use super::scored::Known;
use crate::event::{Event, Slots};
use crate::rule::{RuleEffect, Selector};
use crate::selector::{EvalError, Evaluation, EventView, NodeId, Program, Scratch, Value, Why};

/// What a rule set says of one event: the rules that match, and those that could not be decided. All others
/// do not match. Each list is in the order of the rules.
#[derive(Clone, Copy, Debug)]
pub struct Evaluated<'a> {
    /// Rules that match and are not excused.
    pub matched: &'a [RuleIndex],
    /// Rules that match but for an exception.
    pub excused: &'a [RuleIndex],
    /// Rules that remember, with the number of the input that the event is, excused events not among them.
    pub observed: &'a [(RuleIndex, u16)],
    /// Rules that could not be decided.
    pub indeterminate: &'a [RuleIndex],
    /// Rules that could not be decided because the event is certainly of another source than theirs.
    pub not_applicable: &'a [RuleIndex],
    /// Rules of which an exception could not be decided; it did not excuse.
    pub exception_faults: &'a [RuleIndex],
    /// Rules that a plugin gave no answer for and that pass such events over.
    pub skipped: &'a [RuleIndex],
}

/// Evaluates events against one rule set. One per thread.
pub struct Evaluator<'r> {
    pub(super) set: &'r RuleSet,
    pub(super) purpose: Purpose,
    workspace: Workspace,
    /// Buffers of the matcher of rules that ask plugins, and the plugins to ask.
    pub(super) asking: Workspace,
    pub(super) asked: Vec<PluginIndex>,
    /// Inputs of rules that await answers.
    awaiting: Vec<(RuleIndex, u16, bool)>,
    skipped: Vec<RuleIndex>,
    /// Fields and memory of the program that only matches need.
    pub(super) slots: Slots,
    pub(super) scratch: Scratch,
    /// What is known of the event that a finding is shaped of.
    pub(super) known: Option<Known>,
    /// Keys of groups on the event at hand.
    pub(super) keys: KeyMemo,
    pub(super) matched: Vec<RuleIndex>,
    /// Rules that remember, with the input that the event is.
    pub(super) observed: Vec<(RuleIndex, u16)>,
    excused: Vec<RuleIndex>,
    indeterminate: Vec<RuleIndex>,
    not_applicable: Vec<RuleIndex>,
    exception_faults: Vec<RuleIndex>,
    /// Per source, whether the event lacks its marks.
    missed: Vec<bool>,
}

impl<'r> Evaluator<'r> {
    /// An evaluator with empty buffers.
    pub fn new(set: &'r RuleSet) -> Self {
        Self {
            set,
            purpose: Purpose::Finding,
            workspace: Workspace::default(),
            asking: Workspace::default(),
            asked: Vec::new(),
            awaiting: Vec::new(),
            skipped: Vec::new(),
            slots: Slots::default(),
            scratch: Scratch::default(),
            known: None,
            keys: KeyMemo::default(),
            matched: Vec::new(),
            observed: Vec::new(),
            excused: Vec::new(),
            indeterminate: Vec::new(),
            not_applicable: Vec::new(),
            exception_faults: Vec::new(),
            missed: Vec::new(),
        }
    }

    /// One for decisions: it awaits only the plugins that rules with an effect ask.
    pub fn for_decisions(set: &'r RuleSet) -> Self {
        Self {
            purpose: Purpose::Deciding,
            ..Self::new(set)
        }
    }

    /// The names of the plugins that some rule of the set asks, by their numbers.
    pub fn plugin_names(&self) -> &'r [String] {
        self.set.plugins()
    }

    /// A rule of the set.
    pub fn rule(&self, rule: RuleIndex) -> &'r RulePre {
        &self.set.rules()[rule.0 as usize]
    }

    /// Evaluates every rule of the set on `event`.
    pub fn evaluate(&mut self, event: &Event<'_>) -> Evaluated<'_> {
        self.matched.clear();
        self.observed.clear();
        self.excused.clear();
        self.indeterminate.clear();
        self.not_applicable.clear();
        self.exception_faults.clear();
        self.awaiting.clear();
        self.skipped.clear();
        let Self {
            set,
            workspace,
            matched,
            observed,
            indeterminate,
            awaiting,
            ..
        } = self;
        let mut may_be_excused = false;
        set.matcher.matches(event, workspace, |selector, outcome| {
            let slot = set.slot(selector);
            if slot.asks_plugins {
                awaiting.push((slot.rule, slot.input, slot.is_observed));
                may_be_excused |= slot.has_exceptions;
                return;
            }
            match (outcome, slot.is_observed) {
                (Outcome::True, false) => matched.push(slot.rule),
                (Outcome::True, true) => observed.push((slot.rule, slot.input)),
                // A rule with several inputs is undecided once.
                _ if indeterminate.last() != Some(&slot.rule) => indeterminate.push(slot.rule),
                _ => {}
            }
            may_be_excused |= outcome == Outcome::True && slot.has_exceptions;
        });
        if !self.awaiting.is_empty() {
            self.settle_all(event);
        }
        let set = self.set;
        if !self.indeterminate.is_empty() {
            set.sources.set_aside(
                event,
                &mut self.indeterminate,
                &mut self.not_applicable,
                &mut self.missed,
            );
        }
        if may_be_excused {
            self.ask_exceptions(event);
        }
        Evaluated {
            matched: &self.matched,
            excused: &self.excused,
            observed: &self.observed,
            indeterminate: &self.indeterminate,
            not_applicable: &self.not_applicable,
            exception_faults: &self.exception_faults,
            skipped: &self.skipped,
        }
    }

    fn settle_all(&mut self, event: &Event<'_>) {
        let awaiting = std::mem::take(&mut self.awaiting);
        for &(rule, input, is_observed) in &awaiting {
            match self.settle((rule, input), event) {
                Settled::Decided(Outcome::True) if is_observed => self.observed.push((rule, input)),
                Settled::Decided(Outcome::True) => self.matched.push(rule),
                Settled::Decided(Outcome::Unknown) => self.indeterminate.push(rule),
                Settled::Decided(Outcome::False) => {}
                Settled::Skipped => self.skipped.push(rule),
            }
        }
        self.awaiting = awaiting;
        self.matched.sort_unstable();
        self.observed.sort_unstable();
        self.indeterminate.sort_unstable();
        self.indeterminate.dedup();
        self.skipped.dedup();
    }

    fn ask_exceptions(&mut self, event: &Event<'_>) {
        let matched = std::mem::take(&mut self.matched);
        for rule in matched {
            match self.excuse(rule, event) {
                Outcome::True => self.excused.push(rule),
                Outcome::Unknown => {
                    self.exception_faults.push(rule);
                    self.matched.push(rule);
                }
                Outcome::False => self.matched.push(rule),
            }
        }
        let observed = std::mem::take(&mut self.observed);
        for (rule, input) in observed {
            match self.excuse(rule, event) {
                Outcome::True => {
                    if self.excused.last() != Some(&rule) {
                        self.excused.push(rule);
                    }
                }
                Outcome::Unknown => {
                    self.exception_faults.push(rule);
                    self.observed.push((rule, input));
                }
                Outcome::False => self.observed.push((rule, input)),
            }
        }
    }

    /// Whether some exception of a matching rule holds.
    pub(super) fn excuse(&mut self, rule: RuleIndex, event: &Event<'_>) -> Outcome {
        let exceptions = &self.set.rules()[rule.0 as usize].exceptions;
        let (time, mut most) = (event.time(), Outcome::False);
        let covering = exceptions.iter().filter(|exception| exception.covers(time));
        // What asks what is known of the event is asked when that is known.
        for exception in covering.filter(|exception| !exception.asks_known) {
            // A rule that matches although a plugin failed is not excused by what that plugin did not say.
            if self.unanswered(&exception.asks_of, event).is_some() {
                continue;
            }
            most = most.max(self.ask(exception.node, event));
        }
        most
    }

    fn ask(&mut self, node: NodeId, event: &Event<'_>) -> Outcome {
        self.on_event(event, |evaluation, _| evaluation.test(node))
            .into_outcome()
    }

    /// The exception that excuses a rule on this event, by name.
    pub fn excused_by(&mut self, rule: RuleIndex, event: &Event<'_>) -> Option<String> {
        let exceptions = &self.set.rules()[rule.0 as usize].exceptions;
        let time = event.time();
        exceptions
            .iter()
            .filter(|exception| exception.covers(time) && !exception.asks_known)
            .find(|exception| self.ask(exception.node, event) == Outcome::True)
            .map(|exception| exception.name.clone())
    }

    /// What a rule says when its selector is evaluated as it was written, without the index; of a rule with several
    /// inputs, the most that one of them says. Slow; for tests, and for measuring what a rule alone would cost.
    pub fn evaluate_plainly(&mut self, rule: usize, event: &Event<'_>) -> Outcome {
        let set = self.set;
        let mut most = Outcome::False;
        for input in &set.rules()[rule].inputs {
            if let Some(when) = input.when.filter(|_| !input.asks && input.filed.is_some()) {
                most = most.max(self.ask(when, event));
            }
        }
        most
    }

    /// Why a rule, or the exceptions of a rule that matches, could not be decided on this event.
    pub fn fault(&mut self, rule: RuleIndex, event: &Event<'_>) -> String {
        let prepared = &self.set.rules()[rule.0 as usize];
        if let Some((plugin, reason)) = self.unanswered_by_inputs(rule, event) {
            return format!("plugin `{plugin}` gave no answer: {reason}");
        }
        let time = event.time();
        let exceptions = prepared
            .exceptions
            .iter()
            .filter(|exception| exception.covers(time) && !exception.asks_known);
        let asked = prepared.inputs.iter().filter(|input| !input.asks);
        let conditions = asked.filter_map(|input| input.when);
        for node in conditions.chain(exceptions.map(|exception| exception.node)) {
            let result = self.on_event(event, |evaluation, _| evaluation.test(node));
            if let Err(fault) = result {
                return describe(&fault, &self.set.program);
            }
        }
        "the selector decides".to_owned()
    }

    /// The tree of a rule's selector with what each part amounts to on this event.
    pub fn explain(&mut self, rule: RuleIndex, event: &Event<'_>) -> Reason {
        let opined = self.policy_outcome(rule, event);
        let rule = &self.set.rules()[rule.0 as usize].rule;
        let policy = rule.effect.as_ref().and_then(RuleEffect::policy);
        match rule.inputs.iter().find_map(|input| input.when.as_ref()) {
            Some(when) => {
                let reason = self.explain_selector(when, event);
                match policy {
                    Some(policy) => reason.and_policy(policy, event, opined),
                    None => reason,
                }
            }
            None => {
                let rules = rule.inputs.iter().flat_map(|input| &input.rules);
                let rules: Vec<&str> = rules.map(|reference| reference.pattern.as_str()).collect();
                Reason::of_detections(&rules.join(", "))
            }
        }
    }

    /// The tree of one condition with what each part amounts to on this event. What asks about steps has no value.
    pub fn explain_selector(&mut self, when: &Selector, event: &Event<'_>) -> Reason {
        let mut builder = self.set.builder();
        let compiled = builder.compile_with_places(&when.expr, &super::memory::environment());
        let program = builder.build();
        let Ok((_, places)) = compiled else {
            return reason(&when.expr, &when.text, &|_| None);
        };
        let mut slots = Slots::default();
        program.fields().plan().extract(event.root(), &mut slots);
        let variables = variables(event.facts());
        let trace = |id| {
            let node = places.node(id)?;
            let view = EventView {
                root: event.root(),
                slots: &slots,
            };
            let mut scratch = Scratch::default();
            let mut evaluation =
                Evaluation::new(&program, view, &mut scratch).with_variables(&variables);
            let value = evaluation.eval(node);
            Some(traced(&value, &program))
        };
        reason(&when.expr, &when.text, &trace)
    }

    /// Runs `work` with the program that only matches need, on this event.
    pub(super) fn on_event<T>(
        &mut self,
        event: &Event<'_>,
        work: impl FnOnce(&mut Evaluation<'_>, &Program) -> T,
    ) -> T {
        let program = &self.set.program;
        self.set.plan.extract(event.root(), &mut self.slots);
        let view = EventView {
            root: event.root(),
            slots: &self.slots,
        };
        let variables = event.facts().map(|facts| variables(Some(facts)));
        let mut evaluation = Evaluation::new(program, view, &mut self.scratch)
            .with_variables(variables.as_ref().map_or(&[], |all| all.as_slice()));
        let result = work(&mut evaluation, program);
        evaluation.finish(&mut self.scratch);
        result
    }
}

trait IntoOutcome {
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for Result<bool, EvalError> {
    fn into_outcome(self) -> Outcome {
        self.map_or(Outcome::Unknown, Outcome::from)
    }
}

/// Longest text of a value in an explanation.
const SHOWN_CHARS_MAX: usize = 120;

fn traced(value: &Result<Value<'_>, EvalError>, program: &Program) -> Traced {
    match value {
        Ok(value) => {
            let outcome = match value {
                Value::Bool(holds) => (*holds).into(),
                _ => Outcome::Unknown,
            };
            let mut text = value.to_string();
            if let Some((cut, _)) = text.char_indices().nth(SHOWN_CHARS_MAX) {
                text.truncate(cut);
                text.push('…');
            }
            Traced {
                outcome,
                value: Ok(text),
            }
        }
        Err(fault) => Traced {
            outcome: Outcome::Unknown,
            value: Err(describe(fault, program)),
        },
    }
}

/// The words for a fault; an absent field is named.
pub(super) fn describe(fault: &EvalError, program: &Program) -> String {
    match fault.why {
        Why::AbsentField(field) => format!("{} is absent", program.fields().path(field)),
        why => why.to_string(),
    }
}
