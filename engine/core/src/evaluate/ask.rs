//! What rules ask plugins, and what becomes of them when the answers are there.
//!
//! A rule that asks has two forms, like one that asks about earlier steps. What of its condition is about the event
//! alone is filed in an index; an event of which that part is not false *awaits* answers. The whole condition is
//! evaluated with the answers beside the event. So a plugin sees only events that its answer could make a
//! difference for.
//!
//! A rule that asks a plugin which gave no answer is not evaluated at all: `on_error` of the rule decides. Evaluating it
//! would let `orValue` turn a failure into a fact.

use super::evaluator::Evaluator;
use super::memory::mentions;
use super::outcome::Outcome;
use super::rule_set::RuleIndex;
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::event::{Event, Facts};
use crate::rule::kind::{ENTITY_VARIABLE, INSIGHT_VARIABLE, Kind};
use crate::rule::{Answer, Effect, FactKind, OnError, Plugins, Report, Rule, RuleEffect, Selector};
use crate::selector::ast::{Expr, ExprKind, Literal};
use crate::selector::value::{Entries, MapValue};
use crate::selector::{Environment, Evaluation, Node, NodeId, Program, Type, Value, Why};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What enrichers and scorers said.
pub(super) const ENRICH: &str = "enrich";
/// What detectors found.
pub(super) const DETECT: &str = "detect";
/// What policies decided.
pub(super) const POLICY: &str = "policy";

/// Every variable that asks plugins.
pub(super) const VARIABLES: [&str; 3] = [ENRICH, DETECT, POLICY];

/// Number of a plugin among those that a rule set asks, from 0, in the order of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginIndex(pub u32);

/// The environment of expressions that see the event and the answers of plugins, and exceptions that ask what is known. The numbers of the variables are those
/// of rules that remember; those have names for the first two.
pub(super) fn environment() -> Environment {
    Environment {
        variables: vec![
            String::new(),
            String::new(),
            ENRICH.to_owned(),
            DETECT.to_owned(),
            POLICY.to_owned(),
            INSIGHT_VARIABLE.to_owned(),
            ENTITY_VARIABLE.to_owned(),
        ],
        ..Environment::event()
    }
}

/// The numbers of `detect` and `policy` in it.
const DETECT_VARIABLE: u32 = 3;
const POLICY_VARIABLE: u32 = 4;

/// The values of the variables, the first two left out.
pub(super) fn variables<'d>(facts: Option<Facts<'d>>) -> [Value<'d>; 5] {
    let of = |json: Option<crate::event::Json<'d>>| json.map_or_else(nothing, Value::from_json);
    [
        Value::Null,
        Value::Null,
        of(facts.and_then(|facts| facts.enrich())),
        of(facts.and_then(|facts| facts.detect())),
        of(facts.and_then(|facts| facts.policy())),
    ]
}

fn nothing<'e>() -> Value<'e> {
    match Entries::new(Vec::new()) {
        Ok(entries) => Value::Map(MapValue::Shared(Arc::new(entries))),
        Err(_) => Value::Null,
    }
}

/// Whether an expression asks any plugin.
pub(super) fn asks_plugins(expr: &Expr) -> bool {
    VARIABLES.iter().any(|variable| mentions(expr, variable))
}

/// The types of `enrich`, `detect` and `policy`.
pub(super) fn types(plugins: &Plugins) -> [(&'static str, Type); 3] {
    let mut enrich = Vec::new();
    let mut detect = Vec::new();
    let mut policy = Vec::new();
    for (name, answer) in plugins {
        match answer {
            Answer::Columns(columns) => {
                let of = columns
                    .iter()
                    .map(|(column, kind)| (column, type_of(*kind)));
                enrich.push((name, Type::fixed(of)));
            }
            Answer::Score => {
                let score = Type::nullable(Type::Double);
                enrich.push((name, Type::fixed([("score", score)])));
            }
            Answer::Hit => detect.push((name, Type::fixed(hit_type()))),
            Answer::Decision => policy.push((name, Type::fixed(decision_type()))),
            Answer::Unasked { .. } | Answer::Off { .. } => {}
        }
    }
    [
        (ENRICH, Type::fixed(enrich)),
        (DETECT, Type::fixed(detect)),
        (POLICY, Type::fixed(policy)),
    ]
}

/// The variable by which rules ask a plugin, and what a plugin with such answers is called.
pub(super) fn asked_as(answer: &Answer) -> Option<(&'static str, &'static str)> {
    match answer {
        Answer::Columns(_) => Some((ENRICH, "an enricher")),
        Answer::Score => Some((ENRICH, "a scorer")),
        Answer::Hit => Some((DETECT, "a detector")),
        Answer::Decision => Some((POLICY, "a policy")),
        Answer::Unasked { .. } | Answer::Off { .. } => None,
    }
}

pub(super) fn type_of(kind: FactKind) -> Type {
    match kind {
        FactKind::Bool => Type::nullable(Type::Bool),
        FactKind::Int => Type::nullable(Type::Int),
        FactKind::Float => Type::nullable(Type::Double),
        FactKind::Text => Type::nullable(Type::String),
        FactKind::Any => Type::Dyn,
    }
}

/// The parts of a hit.
pub(super) fn hit_type() -> Vec<(String, Type)> {
    let parts = [
        ("severity", Type::String),
        ("score", Type::Double),
        ("title", Type::String),
        ("dedup_key", Type::nullable(Type::String)),
        ("evidence", Type::map(Type::String, Type::Dyn)),
    ];
    parts.map(|(name, of)| (name.to_owned(), of)).into()
}

/// The parts of a decision.
pub(super) fn decision_type() -> Vec<(String, Type)> {
    let parts = [
        ("effect", Type::String),
        ("reason", Type::String),
        ("obligations", Type::map(Type::String, Type::Dyn)),
    ];
    parts.map(|(name, of)| (name.to_owned(), of)).into()
}

/// Where a rule asks a plugin first, and by which variable.
type Place<'r> = (&'r Selector, Span, &'static str);

/// The plugins that a rule asks, each with the first place where it does.
pub(super) fn asked(rule: &Rule) -> BTreeMap<String, Place<'_>> {
    let mut found = BTreeMap::new();
    for selector in rule.selectors() {
        for variable in VARIABLES {
            collect(&selector.expr, variable, &mut |name, span| {
                let place = (selector, span, variable);
                found.entry(name.to_owned()).or_insert(place);
            });
        }
    }
    found
}

/// The plugins that some selectors ask.
pub(super) fn asked_in<'s>(selectors: impl Iterator<Item = &'s Selector>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for selector in selectors {
        for variable in VARIABLES {
            collect(&selector.expr, variable, &mut |name, _| {
                found.insert(name.to_owned());
            });
        }
    }
    found
}

/// What the verdict of an input depends on: its condition, its key and the values that are computed of it, and the
/// exceptions and the policy of its rule. What only shapes a finding is not among it: that never hides a match.
pub(super) fn deciding(rule: &Rule, input: usize) -> impl Iterator<Item = &Selector> {
    let own = &rule.inputs[input];
    let key = own.group_by.as_ref();
    let key = key.or(rule.memory.as_ref().map(|memory| &memory.group_by));
    let values = rule
        .memory
        .iter()
        .flat_map(|memory| memory.kind.selectors());
    let exceptions = rule.exceptions.iter().map(|exception| exception.selector());
    own.when
        .iter()
        .chain(key.into_iter().flatten())
        .chain(values)
        .chain(exceptions)
        .chain(rule.effect.iter().filter_map(RuleEffect::selector))
}

/// Calls `found` with each plugin that is named after a variable, where no macro hides that.
fn collect(expr: &Expr, variable: &str, found: &mut dyn FnMut(&str, Span)) {
    if let Some(name) = named(expr, variable) {
        found(name, expr.span);
    }
    expr.for_each_child_seeing(variable, &mut |child| collect(child, variable, found));
}

/// `enrich.NAME`, `detect["NAME"]` and their optional forms.
fn named<'e>(expr: &'e Expr, variable: &str) -> Option<&'e str> {
    let (operand, name) = match &expr.kind {
        ExprKind::Select { operand, field, .. } | ExprKind::Has { operand, field, .. } => {
            (operand, field.as_str())
        }
        ExprKind::Index { operand, index, .. } => match &index.kind {
            ExprKind::Literal(Literal::String(name)) => (operand, name.as_str()),
            _ => return None,
        },
        _ => return None,
    };
    matches!(&operand.kind, ExprKind::Ident(ident) if ident == variable).then_some(name)
}

/// What is wrong with what a rule asks: plugins that there are not, and questions where no answer can be.
pub(super) fn refusals(rule: &Rule, plugins: &Plugins) -> Vec<Report> {
    let mut reports = Vec::new();
    for (name, (selector, span, variable)) in asked(rule) {
        let diagnostic = match plugins.get(&name) {
            Some(Answer::Unasked { job, help }) => {
                let message = format!("`{name}` is {job}, which no rule asks");
                Diagnostic::new(Code::PluginUnknown, span, message).with_help(help.clone())
            }
            Some(Answer::Off { reason }) => {
                let message = format!("the plugin `{name}` is off");
                Diagnostic::new(Code::PluginUnknown, span, message).with_help(reason.clone())
            }
            Some(answer) => match asked_as(answer) {
                Some((other, job)) if other != variable => {
                    let is_effect = rule.effect.as_ref().and_then(RuleEffect::selector);
                    let is_effect = is_effect.is_some_and(|asked| std::ptr::eq(asked, selector));
                    let help = match is_effect {
                        true => format!(
                            "an effect is what a policy says; `when` may ask `{other}.{name}`"
                        ),
                        false => format!("ask `{other}.{name}`"),
                    };
                    let message = format!("`{name}` is {job}, not {}", wanted_by(variable));
                    Diagnostic::new(Code::PluginUnknown, span, message).with_help(help)
                }
                _ => continue,
            },
            None => unknown(&name, span, variable, plugins),
        };
        reports.push(selector.report(diagnostic));
    }
    reports.extend(whole(rule));
    reports.extend(misplaced(rule));
    reports
}

/// What answers under a variable.
fn wanted_by(variable: &str) -> &'static str {
    match variable {
        DETECT => "a detector",
        POLICY => "a policy",
        _ => "an enricher or a scorer",
    }
}

fn unknown(name: &str, span: Span, variable: &str, plugins: &Plugins) -> Diagnostic {
    let message = format!("there is no plugin `{name}`");
    let diagnostic = Diagnostic::new(Code::PluginUnknown, span, message);
    let asked = plugins.iter();
    let asked = asked.filter(|(_, answer)| asked_as(answer).is_some());
    let names: Vec<&str> = asked.map(|(name, _)| name.as_str()).collect();
    match did_you_mean(name, names.iter().copied()) {
        Some(near) => diagnostic
            .with_help(format!("did you mean `{near}`?"))
            .with_suggestion(span, format!("{variable}.{near}")),
        None if plugins.is_empty() => {
            diagnostic.with_help("`--plugins FILE` names the file that declares plugins")
        }
        None if names.is_empty() => {
            diagnostic.with_help("none of the plugins that are declared is one that rules ask")
        }
        None => diagnostic.with_help(format!("the plugins are {}", names.join(", "))),
    }
}

/// `enrich` itself is no value: which plugins would be asked?
fn whole(rule: &Rule) -> Vec<Report> {
    fn walk(expr: &Expr, variable: &str, out: &mut Vec<Span>) {
        if named(expr, variable).is_some() {
            return;
        }
        if matches!(&expr.kind, ExprKind::Ident(ident) if ident == variable) {
            out.push(expr.span);
        }
        expr.for_each_child_seeing(variable, &mut |child| walk(child, variable, out));
    }
    let mut reports = Vec::new();
    for selector in rule.selectors() {
        for variable in VARIABLES {
            let mut found = Vec::new();
            walk(&selector.expr, variable, &mut found);
            for span in found {
                let message = format!("`{variable}` is followed by the name of a plugin");
                let help = format!(
                    "Such as `{variable}.geo`: a plugin is only asked when a rule names it."
                );
                let diagnostic = Diagnostic::new(Code::PluginUnknown, span, message);
                reports.push(selector.report(diagnostic.with_help(help)));
            }
        }
    }
    reports
}

/// Answers stand beside the event at hand. What is computed later, from kept events, has none.
fn misplaced(rule: &Rule) -> Vec<Report> {
    let shaper = match (&rule.memory, &rule.suppress) {
        // That is refused as a whole.
        (Some(memory), _) if memory.kind == Kind::Scored => return Vec::new(),
        (Some(memory), _) => memory.kind.as_str(),
        (None, Some(_)) => "suppress",
        (None, None) => return Vec::new(),
    };
    let refuse = |selector: &Selector, message: &str, help: &str| {
        let span = selector.expr.span;
        selector.report(Diagnostic::new(Code::PluginMisplaced, span, message).with_help(help))
    };
    let mut reports = Vec::new();
    for input in &rule.inputs {
        let Some(when) = input.when.as_ref().filter(|when| asks_plugins(&when.expr)) else {
            continue;
        };
        if !input.rules.is_empty() {
            reports.push(refuse(when, DETECTIONS, DETECTIONS_HELP));
        } else if mentions(&when.expr, super::memory::STEP) {
            let help = "A step that asks plugins is decided when its event is there, one that asks about `step` later. \
                        Put the question to the plugin into a `signal` rule, and take its detections here.";
            let message = "a condition cannot ask both plugins and earlier steps";
            reports.push(refuse(when, message, help));
        }
    }
    if rule.inputs.iter().any(|input| !input.rules.is_empty()) {
        let keys = rule
            .inputs
            .iter()
            .flat_map(|input| input.group_by.iter().flatten());
        let memory = rule.memory.iter();
        let of_rule =
            memory.flat_map(|memory| memory.group_by.iter().chain(memory.kind.selectors()));
        let exceptions = rule.exceptions.iter().map(|exception| exception.selector());
        for selector in keys.chain(of_rule).chain(exceptions) {
            if asks_plugins(&selector.expr) {
                reports.push(refuse(selector, DETECTIONS, DETECTIONS_HELP));
            }
        }
    }
    let help = "Plugins may be asked in its conditions, keys, values and exceptions. To show an answer, group by it: it is \
                then part of the finding.";
    let shaping = rule.shaping();
    for selector in shaping.filter(|selector| asks_plugins(&selector.expr)) {
        let kind = shaper;
        let message =
            format!("a finding of `[{kind}]` is shaped when the answers of plugins are gone");
        reports.push(refuse(selector, &message, help));
    }
    reports
}

/// Why detections cannot be asked about, and what to do.
const DETECTIONS: &str = "detections are not shown to plugins";
const DETECTIONS_HELP: &str = "Put the question into the rules whose detections are taken.";

/// What awaits answers about an event.
#[derive(Clone, Copy, Debug)]
pub struct Awaiting<'a> {
    /// The plugins to ask, each once, in order.
    pub plugins: &'a [PluginIndex],
}

/// What the answers are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Verdicts of all rules.
    Finding,
    /// A decision: only rules with an effect count.
    Deciding,
}

/// What a policy that has an opinion says of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opinion {
    pub(super) effect: Effect,
    pub(super) reason: String,
    pub(super) obligations: serde_json::Map<String, serde_json::Value>,
}

/// What a policy says of an event, unless it abstains or gave no answer.
pub(super) fn opinion(policy: &str, event: &Event<'_>) -> Option<Opinion> {
    let said = Value::from_json(event.facts()?.policy()?.get(policy)?).to_json();
    Some(Opinion {
        effect: Effect::from_word(said["effect"].as_str()?)?,
        reason: said["reason"].as_str().unwrap_or_default().to_owned(),
        obligations: said["obligations"].as_object().cloned().unwrap_or_default(),
    })
}

impl Evaluator<'_> {
    /// Which plugins are to be asked about an event.
    pub fn awaits(&mut self, event: &Event<'_>) -> Awaiting<'_> {
        let Self {
            set,
            asking,
            asked,
            purpose,
            ..
        } = self;
        asked.clear();
        if let Some(matcher) = &set.asking {
            let rules = set.rules();
            matcher.matcher.matches(event, asking, |selector, _| {
                let rule = matcher.rules[selector as usize];
                let (rule, input) = rule;
                let pre = &rules[rule.0 as usize];
                if *purpose == Purpose::Deciding && pre.rule.effect.is_none() {
                    return;
                }
                for plugin in pre.inputs[input as usize]
                    .asks_of
                    .iter()
                    .chain(&pre.shaped_by)
                {
                    if !asked.contains(plugin) {
                        asked.push(*plugin);
                    }
                }
            });
            asked.sort_unstable();
        }
        Awaiting { plugins: asked }
    }

    /// What an input of a rule that asks plugins says of an event, whose answers stand beside it.
    pub(super) fn settle(&mut self, (rule, input): (RuleIndex, u16), event: &Event<'_>) -> Settled {
        let pre = &self.set.rules()[rule.0 as usize];
        let opined = self.policy_outcome(rule, event);
        let asks = &pre.inputs[input as usize].asks_of;
        if self.unanswered(asks, event).is_some() {
            // Where the policy abstains, another plugin that failed changes nothing.
            return match pre.rule.on_error {
                OnError::Indeterminate => Settled::Decided(Outcome::Unknown.min(opined)),
                OnError::Skip => Settled::Skipped,
                OnError::FailClosed => Settled::Decided(opined),
            };
        }
        let Some(when) = pre.inputs[input as usize].when else {
            return Settled::Decided(opined);
        };
        let outcome = self.on_event(event, |evaluation, program| {
            outcome(when, evaluation, program)
        });
        Settled::Decided(outcome.min(opined))
    }

    /// Whether the policy that gives a rule its effect has an opinion. One that gave no answer may have had one.
    pub(super) fn policy_outcome(&self, rule: RuleIndex, event: &Event<'_>) -> Outcome {
        let effect = self.set.rules()[rule.0 as usize].rule.effect.as_ref();
        let Some(policy) = effect.and_then(RuleEffect::policy) else {
            return Outcome::True;
        };
        let failed = event
            .facts()
            .is_none_or(|facts| facts.failure(policy).is_some());
        (failed || opinion(policy, event).is_some()).into()
    }

    /// The first plugin that the inputs of a rule ask and that gave no answer about the event, and why.
    pub(super) fn unanswered_by_inputs<'e>(
        &self,
        rule: RuleIndex,
        event: &Event<'e>,
    ) -> Option<(&str, &'e str)> {
        let inputs = self.set.rules()[rule.0 as usize].inputs.iter();
        let mut unanswered = inputs.filter(|input| !input.asks_of.is_empty());
        unanswered.find_map(|input| self.unanswered(&input.asks_of, event))
    }

    /// The first of these plugins that gave no answer about the event, and why.
    pub(super) fn unanswered<'e>(
        &self,
        asks: &[PluginIndex],
        event: &Event<'e>,
    ) -> Option<(&str, &'e str)> {
        let asks = asks.iter();
        let mut names = asks.map(|plugin| self.set.plugins()[plugin.0 as usize].as_str());
        match event.facts() {
            None => names.next().map(|name| (name, "it was not asked")),
            Some(facts) => names.find_map(|name| Some((name, facts.failure(name)?))),
        }
    }
}

/// What a condition amounts to, where a part that asks what a detector found or a policy decided does not hold when that
/// is nothing. What else cannot be decided stays undecided: parts are told apart, so that one does not hide the other.
fn outcome(node: NodeId, evaluation: &mut Evaluation<'_>, program: &Program) -> Outcome {
    let fault = match evaluation.test(node) {
        Ok(holds) => return holds.into(),
        Err(fault) => fault,
    };
    let mut of = |operand: &NodeId| outcome(*operand, evaluation, program);
    match program.node(node) {
        Node::And(operands) => {
            let all = program.operands(operands).iter().map(of);
            all.min().unwrap_or(Outcome::Unknown)
        }
        Node::Or(operands) => {
            let all = program.operands(operands).iter().map(of);
            all.max().unwrap_or(Outcome::Unknown)
        }
        Node::Not(operand) => of(&operand).negated(),
        _ if fault.why == Why::NoSuchKey && may_be_nothing(fault.node, program) => Outcome::False,
        _ => Outcome::Unknown,
    }
}

/// Whether a node is the hit of a detector or the decision of a policy: `detect.NAME`, `policy.NAME`.
fn may_be_nothing(node: NodeId, program: &Program) -> bool {
    let operand = match program.node(node) {
        Node::Select(operand, _) | Node::OptionalSelect(operand, _) | Node::Index(operand, _) => {
            operand
        }
        _ => return false,
    };
    let variable = program.node(operand);
    variable == Node::Variable(DETECT_VARIABLE) || variable == Node::Variable(POLICY_VARIABLE)
}

/// What became of a rule that awaited answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Decided(Outcome),
    /// A plugin gave no answer, and the rule says to pass the event over.
    Skipped,
}

/// Everything that a rule set asks.
pub(super) fn plugins_of<'r>(rules: impl Iterator<Item = &'r Rule>) -> Vec<String> {
    let names: BTreeSet<String> = rules.flat_map(|rule| asked(rule).into_keys()).collect();
    names.into_iter().collect()
}
