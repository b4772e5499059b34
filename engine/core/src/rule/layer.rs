//! Overrides: what a site changes about rules that others ship, without copying them.
//!
//! An override names a rule by id, so it stays good when the rule's file is upgraded. Overrides apply in the
//! order of the paths given; every change is kept on the rule with its place, so that `rules show` can say
//! who changed what. Rejected: merging TOML tables, which forks the rule the day it is renamed inside.

use super::exception::read_exceptions;
use super::model::{Change, Exception, Layer, Rule, Severity};
use super::place::{Place, Report};
use super::read::{Fields, Reader, span_of};
use super::shape::{OVERRIDE, OVERRIDES};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::limits::{OVERRIDES_MAX, RULE_EXCEPTIONS_MAX};
use std::collections::BTreeMap;
use toml::de::DeTable;

/// What one `[[override]]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The id of the rule it is for.
    pub rule: String,
    /// Where the id is written.
    pub place: Place,
    /// Switch the rule off, or on again.
    pub disabled: Option<(bool, Place)>,
    /// Another severity.
    pub severity: Option<(Severity, Place)>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// More exceptions.
    pub exceptions: Vec<Exception>,
}

/// The overrides of one file.
pub(super) fn read_overrides(reader: &mut Reader, table: &DeTable<'_>) -> Vec<Override> {
    let fields = Fields::open(reader, table, &OVERRIDES, Span::new(0, 0));
    let tables = fields.tables("override");
    if !reader.within(
        "overrides in one file",
        tables.len(),
        OVERRIDES_MAX,
        Span::new(0, 0),
    ) {
        return Vec::new();
    }
    tables
        .into_iter()
        .filter_map(|(table, span)| read_override(reader, table, span))
        .collect()
}

fn read_override(reader: &mut Reader, table: &DeTable<'_>, span: Span) -> Option<Override> {
    let fields = Fields::open(reader, table, &OVERRIDE, span);
    let exceptions = read_exceptions(reader, &fields);
    let (rule, at) = fields.text("rule")?;
    if !["disabled", "severity", "exceptions"]
        .iter()
        .any(|key| table.contains_key(*key))
    {
        let message = format!("the override of `{rule}` says nothing");
        reader.report(
            Diagnostic::new(Code::OverrideIdle, at, message)
                .with_help("Give `disabled`, `severity` or `[[override.exceptions]]`."),
        );
    }
    let disabled = fields.value("disabled");
    let severity = fields.value("severity");
    Some(Override {
        rule: rule.to_owned(),
        place: reader.place(at),
        disabled: disabled
            .and_then(|value| Some((value.get_ref().as_bool()?, reader.place(span_of(value))))),
        severity: severity.and_then(|value| {
            let word = Severity::from_word(value.get_ref().as_str()?)?;
            Some((word, reader.place(span_of(value))))
        }),
        owner: fields.string("owner"),
        reason: fields.string("reason"),
        exceptions,
    })
}

/// Applies overrides in order. `known` has the ids of all rules, those with mistakes too: an override of such
/// a rule is neither applied nor complained about.
pub(super) fn apply(
    rules: &mut [Rule],
    overrides: &[Override],
    known: &BTreeMap<String, Place>,
) -> Vec<Report> {
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    for (position, rule) in rules.iter().enumerate() {
        positions.insert(rule.id.as_str().to_owned(), position);
    }
    let mut layering = Layering::default();
    for one in overrides {
        match positions.get(&one.rule) {
            Some(position) => layering.change(&mut rules[*position], one),
            None if known.contains_key(&one.rule) => {}
            None => layering.unknown(one, known),
        }
    }
    layering.reports
}

#[derive(Default)]
struct Layering {
    reports: Vec<Report>,
    /// Names looked for among all rules; bounded, because each costs a walk over all of them.
    searches: usize,
}

const SEARCHES_MAX: usize = 50;

impl Layering {
    fn unknown(&mut self, one: &Override, known: &BTreeMap<String, Place>) {
        let message = format!("there is no rule `{}` to override", one.rule);
        let mut diagnostic = Diagnostic::new(Code::OverrideUnknownRule, one.place.span, message);
        self.searches += 1;
        let near = if self.searches <= SEARCHES_MAX {
            did_you_mean(&one.rule, known.keys().map(String::as_str))
        } else {
            None
        };
        diagnostic = match near {
            Some(near) => diagnostic
                .with_help(format!("Did you mean `{near}`?"))
                .with_suggestion(one.place.span, format!("\"{near}\"")),
            None => diagnostic.with_help(
                "The rule was renamed or removed, or its folder is not among the paths.",
            ),
        };
        self.report(&one.place, diagnostic);
    }

    fn change(&mut self, rule: &mut Rule, one: &Override) {
        let layer = |change: Change, place: &Place| Layer {
            change,
            owner: one.owner.clone(),
            reason: one.reason.clone(),
            place: place.clone(),
        };
        match &one.disabled {
            Some((true, place)) if rule.is_enabled() => {
                rule.disabled = Some(rule.layers.len());
                rule.layers.push(layer(Change::Disabled, place));
            }
            Some((false, place)) if !rule.is_enabled() => {
                rule.disabled = None;
                rule.layers.push(layer(Change::Enabled, place));
            }
            Some((true, place)) => self.idle(place, rule, "already off"),
            Some((false, place)) => self.idle(place, rule, "not off"),
            None => {}
        }
        if let Some((severity, place)) = &one.severity {
            if *severity == rule.severity && rule.severity_computed().is_none() {
                self.idle(place, rule, &format!("already of severity {severity}"));
            } else {
                let change = Change::Severity {
                    from: rule.severity,
                    to: *severity,
                };
                rule.severity = *severity;
                rule.layers.push(layer(change, place));
            }
        }
        let before = rule.exceptions.len();
        for exception in &one.exceptions {
            let change = Change::Exception(exception.name.clone());
            let mut earlier = rule.exceptions[..before].iter();
            if let Some(first) = earlier.find(|one| one.name == exception.name) {
                let diagnostic = same_name(rule, exception, first);
                self.report(&exception.place, diagnostic);
            }
            self.except(rule, exception, layer(change, &exception.place));
        }
    }

    fn except(&mut self, rule: &mut Rule, exception: &Exception, layer: Layer) {
        if rule.exceptions.len() >= RULE_EXCEPTIONS_MAX {
            let message = format!("the rule `{}` has too many exceptions", rule.id);
            let diagnostic = Diagnostic::new(Code::Bound, exception.place.span, message).with_help(
                format!("At most {RULE_EXCEPTIONS_MAX} are allowed; use a site list."),
            );
            return self.report(&exception.place, diagnostic);
        }
        let added = Exception {
            layer: Some(rule.layers.len()),
            ..exception.clone()
        };
        rule.exceptions.push(added);
        rule.layers.push(layer);
    }

    fn idle(&mut self, place: &Place, rule: &Rule, state: &str) {
        let message = format!("this changes nothing: `{}` is {state}", rule.id);
        let mut diagnostic = Diagnostic::new(Code::OverrideIdle, place.span, message);
        let earlier = rule.layers.iter().rev().find(|layer| {
            matches!(
                layer.change,
                Change::Disabled | Change::Enabled | Change::Severity { .. }
            )
        });
        diagnostic = match earlier {
            Some(earlier) => {
                diagnostic.with_help(format!("It was last changed at {}.", earlier.place))
            }
            None => diagnostic.with_help("The rule itself says so by now. Remove this line."),
        };
        self.report(place, diagnostic);
    }

    fn report(&mut self, place: &Place, diagnostic: Diagnostic) {
        self.reports.push(Report {
            source: place.source.clone(),
            diagnostic,
        });
    }
}

fn same_name(rule: &Rule, exception: &Exception, first: &Exception) -> Diagnostic {
    let message = format!(
        "`{}` already has an exception `{}`",
        rule.id, exception.name
    );
    Diagnostic::new(Code::Repeated, exception.place.span, message).with_help(format!(
        "It is at {}; both hold. Give this one another name.",
        first.place
    ))
}
