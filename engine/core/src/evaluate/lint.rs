//! Checking a catalog: every selector of every rule against the schema of its source.
//!
//! Relies on the selector floor for what is wrong and on the rule floor for where it stands. Gives reports
//! only; which rules are then left out is the rule set's decision.

use super::ask;
use super::facts::wrong_facts;
use super::memory::{STEP, WINDOW, event_part, hidden_by, is_true, mentions, steps_asked};
use super::scored::{self, Askable};
use super::step::WINDOW_FIELDS;
use crate::diagnostic::{Code, Diagnostic, Level, did_you_mean};
use crate::rule::kind::{Asks, Kind, Measure};
use crate::rule::{Catalog, Condition, Plugins, Report, Rule, RuleEffect, Selector, Severity};
use crate::selector::ast::{Expr, ExprKind, Literal};
use crate::selector::{CheckEnv, Checked, Schema, Type, check, print, quoted};
use std::sync::Arc;

/// Checks every selector of every rule, disabled ones too: they may be enabled again.
pub fn check_rules(catalog: &Catalog) -> Vec<Report> {
    let lists = list_names(catalog);
    let askable = Askable::of(catalog);
    let answering = (&catalog.plugins, &askable);
    catalog
        .rules
        .iter()
        .flat_map(|rule| check_rule(rule, schema_of(rule, catalog), &lists, answering))
        .chain(wrong_facts(catalog))
        .collect()
}

/// The schema of a rule's source.
pub(super) fn schema_of<'c>(rule: &Rule, catalog: &'c Catalog) -> Option<&'c Schema> {
    rule.source
        .as_deref()
        .and_then(|source| catalog.schema(source))
}

/// The names of all site lists.
pub(super) fn list_names(catalog: &Catalog) -> Vec<String> {
    catalog
        .lists
        .values()
        .map(|list| list.name.clone())
        .collect()
}

/// What a selector should give.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Anything,
    Condition,
    Severity,
    Number,
    /// A value of which different ones are counted.
    Counted,
}

/// Checks the selectors of one rule.
pub(super) fn check_rule(
    rule: &Rule,
    schema: Option<&Schema>,
    lists: &[String],
    (plugins, askable): (&Plugins, &Askable),
) -> Vec<Report> {
    let mut reports = steps(rule);
    reports.extend(scored::refusals(rule));
    reports.extend(askable.unanswered(rule));
    let asks = Asks::of(rule).any();
    let refused = ask::refusals(rule, plugins);
    let asks_in_vain = !refused.is_empty();
    reports.extend(refused);
    let facts = ask::types(plugins);
    reports.extend(everything(rule));
    reports.extend(groupless(rule));
    reports.extend(idle_on_error(rule));
    for (selector, wanted) in selectors(rule) {
        let mut env = CheckEnv::value(&selector.text, schema).with_lists(lists);
        env.expected = match wanted {
            Wanted::Condition => Some(Type::Bool),
            Wanted::Severity => Some(Type::String),
            Wanted::Anything | Wanted::Number | Wanted::Counted => None,
        };
        for (name, of) in &facts {
            // A plugin that is not there was reported; what is asked of it is not known.
            let of = if asks_in_vain { &Type::Dyn } else { of };
            env.variables.insert((*name).to_owned(), of.clone());
        }
        if asks {
            let types = askable.types().into_iter();
            let types = types.map(|(name, of)| (name.to_owned(), of));
            env.variables.extend(types);
        }
        if rule.memory.is_some() {
            let event = env.variables.get("event").cloned().unwrap_or(Type::Dyn);
            let steps = Type::Map(Arc::new(Type::String), Arc::new(event));
            env.variables.insert(STEP.to_owned(), steps);
            env.variables
                .insert(WINDOW.to_owned(), Type::fixed(WINDOW_FIELDS.clone()));
        }
        let mut checked = check(&selector.expr, &env);
        match wanted {
            Wanted::Severity => {
                help_severity(&mut checked);
                no_severities(&selector.expr, &mut checked.diagnostics);
            }
            Wanted::Counted if !checked.has_errors() => {
                let countless = countless(rule, selector, &checked.result);
                checked.diagnostics.extend(countless);
            }
            Wanted::Number if !checked.has_errors() => {
                let no_number = no_number(selector, &checked.result);
                checked.diagnostics.extend(no_number);
            }
            _ => {}
        }
        let found = checked.diagnostics.into_iter();
        reports.extend(found.map(|one| selector.report(one)));
    }
    reports
}

/// Every selector of a rule with what it should give.
fn selectors(rule: &Rule) -> Vec<(&Selector, Wanted)> {
    let mut all: Vec<(&Selector, Wanted)> = Vec::new();
    for input in &rule.inputs {
        all.extend(input.when.iter().map(|one| (one, Wanted::Condition)));
        let group_by = input.group_by.iter().flatten();
        all.extend(group_by.map(|one| (one, Wanted::Anything)));
    }
    if let Some(memory) = &rule.memory {
        all.extend(memory.group_by.iter().map(|one| (one, Wanted::Anything)));
        let values = memory.kind.selectors();
        let wanted = wanted_of(&memory.kind);
        all.extend(values.into_iter().map(|one| (one, wanted)));
    }
    let by = rule.suppress.iter().filter_map(|one| one.by.as_ref());
    all.extend(by.flatten().map(|one| (one, Wanted::Anything)));
    for exception in &rule.exceptions {
        all.push(match &exception.condition {
            Condition::When(selector) => (selector, Wanted::Condition),
            Condition::Listed { value, .. } => (value, Wanted::Anything),
        });
    }
    let policy = rule.effect.iter().filter_map(RuleEffect::selector);
    all.extend(policy.map(|one| (one, Wanted::Anything)));
    let finding = &rule.finding;
    all.extend(finding.severity.iter().map(|one| (one, Wanted::Severity)));
    let title = finding.title.iter().flat_map(|title| title.selectors());
    let key = finding.dedup_key.iter().flatten();
    let context = finding.context.iter().map(|(_, selector)| selector);
    let shown = title.chain(key).chain(context);
    all.extend(shown.map(|one| (one, Wanted::Anything)));
    all
}

/// What the values of a kind should be.
fn wanted_of(kind: &Kind) -> Wanted {
    match kind {
        Kind::Threshold(threshold) => match threshold.measure {
            Measure::Share => Wanted::Condition,
            Measure::Sum | Measure::Average | Measure::Median | Measure::Percentile => {
                Wanted::Number
            }
            Measure::Distinct => Wanted::Counted,
            Measure::Events => Wanted::Anything,
        },
        Kind::Risk(_) => Wanted::Number,
        _ => Wanted::Anything,
    }
}

/// An error when what is measured is certainly no number.
fn no_number(selector: &Selector, found: &Type) -> Option<Diagnostic> {
    let help = match found.non_null() {
        Type::Dyn | Type::Error | Type::Int | Type::Uint | Type::Double => return None,
        Type::Optional(_) => "say what counts when the field is absent: `….orValue(0)`",
        Type::Bool => "for how often something holds there is `measure = \"share\"`",
        Type::String => "`double(text)` reads a number; `size(text)` counts characters",
        Type::List(_) | Type::Map(..) | Type::Record(_) => "`size(x)` counts what is in it",
        _ => "give a field that holds a number, or compute one",
    };
    let message = format!("expected a number, found {found}");
    let diagnostic = Diagnostic::new(Code::WrongResultType, selector.expr.span, message);
    Some(diagnostic.with_help(help))
}

fn help_severity(checked: &mut Checked) {
    for one in &mut checked.diagnostics {
        if one.code == Code::WrongResultType {
            let help = "a severity is one of the words, as text: `condition ? \"high\" : \"low\"`";
            one.help.push(help.to_owned());
        }
    }
}

/// An error for each constant that a computed severity can come to and that is none.
fn no_severities(expr: &Expr, diagnostics: &mut Vec<Diagnostic>) {
    match &expr.kind {
        ExprKind::Literal(Literal::String(word)) if Severity::from_word(word).is_none() => {
            let start: String = word.chars().take(60).collect();
            let message = format!("`{start}` is no severity");
            let mut diagnostic = Diagnostic::new(Code::BadConstant, expr.span, message);
            if let Some(near) = did_you_mean(word, Severity::WORDS.iter().copied()) {
                diagnostic = diagnostic
                    .with_caret(format!("did you mean `{near}`?"))
                    .with_suggestion(expr.span, quoted(near));
            }
            let words = Severity::WORDS.join(", ");
            diagnostics.push(diagnostic.with_help(format!("A severity is one of {words}.")));
        }
        ExprKind::Conditional {
            then, otherwise, ..
        } => {
            no_severities(then, diagnostics);
            no_severities(otherwise, diagnostics);
        }
        ExprKind::Bind { body, .. } | ExprKind::Block { body, .. } => {
            no_severities(body, diagnostics);
        }
        ExprKind::MemberCall {
            target,
            function,
            args,
            ..
        } if function == "orValue" => {
            no_severities(target, diagnostics);
            args.iter().for_each(|one| no_severities(one, diagnostics));
        }
        // One of the values of a table of constants.
        ExprKind::Index { operand, .. } => match &operand.kind {
            ExprKind::Map(entries) => {
                let values = entries.iter().map(|entry| &entry.value);
                values.for_each(|value| no_severities(value, diagnostics));
            }
            ExprKind::List(items) => {
                let values = items.iter().map(|item| &item.value);
                values.for_each(|value| no_severities(value, diagnostics));
            }
            _ => {}
        },
        _ => {}
    }
}

/// How many values `of` can have at most within one group, where that is certain.
fn values_max(of: &Selector, found: &Type, group_by: &[Selector]) -> Option<u64> {
    let element = match found {
        Type::List(element) => element.non_null(),
        other => other.non_null(),
    };
    let is_one = !matches!(
        found.non_null(),
        Type::List(_) | Type::Dyn | Type::Error | Type::Optional(_)
    );
    let printed = print(&of.expr);
    if is_one && group_by.iter().any(|part| print(&part.expr) == printed) {
        return Some(1);
    }
    matches!(element, Type::Bool).then_some(2)
}

/// An error when so few values cannot be what a count of values is compared with.
fn countless(rule: &Rule, of: &Selector, found: &Type) -> Option<Diagnostic> {
    let memory = rule.memory.as_ref()?;
    let Kind::Threshold(threshold) = &memory.kind else {
        return None;
    };
    let most = values_max(of, found, &memory.group_by)?;
    let fault = threshold.fault_of_values(most)?;
    let why = match most {
        1 => "events are grouped by this, so that a group has one value of it",
        _ => "this has two values, true and false",
    };
    let diagnostic = Diagnostic::new(Code::RuleKind, of.expr.span, fault);
    Some(
        diagnostic
            .with_caret(why)
            .with_help("Count something else, or compare with what can be."),
    )
}

/// Keys and values that are an empty list whatever the event holds: they stand for no group and no value at all.
fn groupless(rule: &Rule) -> Vec<Report> {
    let Some(memory) = &rule.memory else {
        return Vec::new();
    };
    let of_inputs = rule.inputs.iter().filter_map(|one| one.group_by.as_ref());
    let values = match wanted_of(&memory.kind) {
        Wanted::Anything | Wanted::Counted => memory.kind.selectors(),
        _ => Vec::new(),
    };
    let all = memory.group_by.iter().chain(of_inputs.flatten());
    let empty =
        |one: &&Selector| matches!(&one.expr.kind, ExprKind::List(items) if items.is_empty());
    all.chain(values)
        .filter(empty)
        .map(|one| {
            let message = "an empty list stands for no value, so no event is ever counted";
            let help =
                "Give something of the event, such as `event.userIdentity.arn`, or take it out.";
            one.report(Diagnostic::new(Code::EmptyValue, one.expr.span, message).with_help(help))
        })
        .collect()
}

/// `on_error` of a rule that asks no plugin.
fn idle_on_error(rule: &Rule) -> Option<Report> {
    let place = rule.on_error_place.as_ref()?;
    if !ask::asked(rule).is_empty() {
        return None;
    }
    let message = "`on_error` has no effect: the rule asks no plugin";
    let help =
        "Take it out, or ask a plugin as `enrich.NAME.COLUMN`, `detect.NAME` or `policy.NAME`.";
    Some(Report {
        source: place.source.clone(),
        diagnostic: Diagnostic::new(Code::OnErrorIdle, place.span, message).with_help(help),
    })
}

/// Steps whose condition says nothing of the event alone, so that every event is kept for them.
fn everything(rule: &Rule) -> Vec<Report> {
    let of_events = rule.inputs.iter().filter(|input| input.rules.is_empty());
    of_events
        .filter_map(|input| input.when.as_ref())
        .filter(|when| mentions(&when.expr, STEP) && is_true(&event_part(&when.expr)))
        .map(|when| {
            let message = "nothing in this condition is about the event alone";
            let help = "Every event is kept until the step is asked. Say what the event itself must be, such as \
                        `event.eventName == \"…\" && …`.";
            let diagnostic = Diagnostic::new(Code::AlwaysMatches, when.expr.span, message);
            when.report(diagnostic.with_help(help))
        })
        .collect()
}

/// What of the past a selector may ask about.
#[derive(Clone, Copy)]
struct Past<'r> {
    /// The steps that have happened.
    steps: &'r [&'r str],
    /// Why there are none, when there are none.
    none: &'r str,
    /// How far `window` is known.
    window: Known,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Yes,
    No,
}

impl Past<'_> {
    /// What a selector asks about that is not known.
    fn refusals(self, selector: &Selector) -> Vec<Report> {
        let mut reports = Vec::new();
        for (span, name) in steps_asked(&selector.expr) {
            let message = match &name {
                Some(name) if self.steps.contains(&name.as_str()) => continue,
                Some(name) => format!("there is no step `{name}` to ask about here"),
                None => "`step` is followed by the name of a step".to_owned(),
            };
            let help = match self.steps {
                [] => self.none.to_owned(),
                known => format!("Steps that are known here: {}.", known.join(", ")),
            };
            let diagnostic = Diagnostic::new(Code::StepUnknown, span, message);
            reports.push(selector.report(diagnostic.with_help(help)));
        }
        if self.window == Known::No && mentions(&selector.expr, WINDOW) {
            let message = "`window` is only known when the rule has found something";
            let help = "Titles, keys, severity and context may ask about it.";
            let diagnostic = Diagnostic::new(Code::StepUnknown, selector.expr.span, message);
            reports.push(selector.report(diagnostic.with_help(help)));
        }
        let known = [
            (STEP, !self.steps.is_empty()),
            (WINDOW, self.window == Known::Yes),
        ];
        for (name, _) in known.into_iter().filter(|(_, known)| *known) {
            for span in hidden_by(&selector.expr, name) {
                let message =
                    format!("a variable called `{name}` hides what the rule knows as `{name}`");
                let diagnostic = Diagnostic::new(Code::StepUnknown, span, message);
                reports.push(selector.report(diagnostic.with_help("Call the variable otherwise.")));
            }
        }
        reports
    }
}

/// Steps that are asked about where they are not known.
fn steps(rule: &Rule) -> Vec<Report> {
    let Some(memory) = &rule.memory else {
        return Vec::new();
    };
    let names: Vec<&str> = rule
        .inputs
        .iter()
        .map(|input| input.name.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    let stepless = stepless(&memory.kind);
    let (of_key, of_condition) = match &memory.kind {
        Kind::Sequence(_) | Kind::Absence(_) => (BY_ITSELF, "Nothing has happened before this."),
        Kind::Temporal(_) => (
            BY_ITSELF,
            "Steps in any order know nothing of one another; `[sequence]` has an order.",
        ),
        _ => (stepless.as_str(), stepless.as_str()),
    };
    let no_steps = Past {
        steps: &[],
        none: of_key,
        window: Known::No,
    };
    let mut reports = Vec::new();
    for (number, input) in rule.inputs.iter().enumerate() {
        let before: &[&str] = match &memory.kind {
            Kind::Sequence(sequence) if sequence.until == Some(number) => &names[..1],
            Kind::Sequence(_) | Kind::Absence(_) => &names[..number.min(names.len())],
            _ => &[],
        };
        let past = Past {
            steps: before,
            none: of_condition,
            window: Known::No,
        };
        let whens = input.when.iter();
        reports.extend(whens.flat_map(|when| past.refusals(when)));
        let keys = input.group_by.iter().flatten();
        reports.extend(keys.flat_map(|part| no_steps.refusals(part)));
    }
    let keys = memory.group_by.iter().chain(memory.kind.selectors());
    reports.extend(keys.flat_map(|part| no_steps.refusals(part)));
    let found = Past {
        steps: match &memory.kind {
            Kind::Sequence(_) | Kind::Temporal(_) => &names,
            Kind::Absence(_) => &names[..1],
            _ => &[],
        },
        none: &stepless,
        window: Known::Yes,
    };
    let finding = &rule.finding;
    let by = rule.suppress.iter().filter_map(|one| one.by.as_ref());
    let shaping = finding
        .title
        .iter()
        .flat_map(|title| title.selectors())
        .chain(finding.dedup_key.iter().flatten())
        .chain(&finding.severity)
        .chain(finding.context.iter().map(|(_, selector)| selector))
        .chain(by.flatten());
    reports.extend(shaping.flat_map(|part| found.refusals(part)));
    reports
}

/// Why a rule of a kind without steps knows none.
fn stepless(kind: &Kind) -> String {
    match kind {
        Kind::Scored => "The rule has no steps; `event` is the event at hand.".to_owned(),
        kind => format!(
            "`[{}]` has no steps; `event` is the event at hand.",
            kind.as_str()
        ),
    }
}

/// Why keys and values know no steps.
const BY_ITSELF: &str = "Keys and values are computed of each event by itself.";

/// Whether any of the reports is an error.
pub(super) fn has_errors(reports: &[Report]) -> bool {
    reports
        .iter()
        .any(|report| report.diagnostic.level == Level::Error)
}
