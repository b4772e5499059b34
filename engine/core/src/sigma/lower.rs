//! From a draft to a native rule: its condition as a selector in CEL, its metadata as ours.
//!
//! The selector is written as text and parsed, so that a rule that runs as Sigma and the same rule converted are one
//! thing. All its places lead to the rule's `detection`, as no byte of CEL stands in the Sigma file.

use super::cel::Cel;
use super::condition::{Condition, Quantity, is_meant};
use super::detection::{Detection, Selection};
use super::draft::{Added, Draft, Logsource, Meta, RuleBody};
use super::item::{self, Lowered, refused};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use crate::limits::SIGMA_LOWERED_BYTES_MAX;
use crate::rule::kind::Input;
use crate::rule::{
    AttackTag, FindingTemplate, Lists, OffsetMap, Place, Rule, RuleId, Selector, Severity, Status,
    attack_pairs,
};
use crate::selector::{Schema, parse};
use std::cell::Cell;
use std::collections::BTreeMap;

/// The rule that a draft is.
pub(super) fn lower(draft: &Draft, body: &RuleBody, lists: &Lists) -> Lowered<Rule> {
    let source = source_of(&draft.logsource);
    let text = condition(draft, body, lists)?;
    let when = selector(draft, body.span, text)?;
    rule(draft, source, Some(when))
}

/// The condition of a draft in CEL.
pub(super) fn condition(draft: &Draft, body: &RuleBody, lists: &Lists) -> Lowered<String> {
    let lowering = Lowering::new(draft, body, lists);
    let conditions = body.conditions.iter();
    let conditions: Lowered<Vec<Cel>> = conditions
        .map(|one| lowering.condition(&one.condition))
        .collect();
    lowering.with_added(body, Cel::any(conditions?))
}

/// One selection of a draft in CEL: what filters and pipelines want of the rule's events is wanted of it too.
pub(super) fn selection(
    draft: &Draft,
    body: &RuleBody,
    lists: &Lists,
    name: &str,
    span: Span,
) -> Lowered<String> {
    let lowering = Lowering::new(draft, body, lists);
    let found = lowering.condition(&Condition::Name(name.to_owned(), span))?;
    lowering.with_added(body, found)
}

/// What a rule about single events looks at.
fn own_input(when: Selector) -> Input {
    Input {
        name: String::new(),
        place: when.place.clone(),
        when: Some(when),
        rules: Vec::new(),
        group_by: None,
    }
}

/// A selector written for a draft.
pub(super) fn selector(draft: &Draft, span: Span, text: String) -> Lowered<Selector> {
    let expr = parse(&text).map_err(|diagnostics| {
        let first = diagnostics.into_iter().next();
        let message = first.map_or("it cannot be parsed".to_owned(), |one| one.message);
        let message = format!("as a selector, {message}");
        Box::new(Diagnostic::new(Code::SigmaUnsupported, span, message))
    })?;
    Ok(Selector {
        text,
        expr,
        place: Place {
            source: draft.source.clone(),
            span,
        },
        map: OffsetMap::fixed(span),
    })
}

struct Lowering<'l> {
    lists: &'l Lists,
    schema: Option<&'static Schema>,
    selections: &'l [Selection],
    by_name: BTreeMap<&'l str, &'l Selection>,
    /// What the condition came to so far, in bytes.
    spent: Cell<usize>,
}

impl<'l> Lowering<'l> {
    fn new(draft: &Draft, body: &'l RuleBody, lists: &'l Lists) -> Self {
        let schema = source_of(&draft.logsource).and_then(Schema::builtin);
        Self::of(&body.selections, lists, schema)
    }

    fn of(selections: &'l [Selection], lists: &'l Lists, schema: Option<&'static Schema>) -> Self {
        let by_name = selections.iter().map(|one| (one.name.as_str(), one));
        Self {
            lists,
            schema,
            selections,
            by_name: by_name.collect(),
            spent: Cell::new(0),
        }
    }

    /// The text of a condition and of everything that was added to the rule.
    fn with_added(&self, body: &RuleBody, condition: Cel) -> Lowered<String> {
        let mut all = vec![condition];
        for added in &body.added {
            let lowering = Lowering::of(&added.selections, self.lists, self.schema);
            lowering.spent.set(self.spent.get());
            let found = lowering.condition(&added.condition);
            self.spent.set(lowering.spent.get());
            all.push(found.map_err(|mistake| of_added(*mistake, added, body.span))?);
        }
        Ok(Cel::all(all).text())
    }

    fn spend(&self, bytes: usize, span: Span) -> Lowered<()> {
        self.spent.set(self.spent.get().saturating_add(bytes));
        if self.spent.get() <= SIGMA_LOWERED_BYTES_MAX {
            return Ok(());
        }
        let message = format!("the condition stands for more than {SIGMA_LOWERED_BYTES_MAX} bytes");
        refused(Code::Bound, span, message)
    }

    /// Recurses as deep as the condition, whose depth its parser bounds.
    fn condition(&self, condition: &Condition) -> Lowered<Cel> {
        let each = |parts: &[Condition]| -> Lowered<Vec<Cel>> {
            parts.iter().map(|part| self.condition(part)).collect()
        };
        match condition {
            Condition::All(parts) => Ok(Cel::all(each(parts)?)),
            Condition::Any(parts) => Ok(Cel::any(each(parts)?)),
            Condition::Not(inner) => Ok(self.condition(inner)?.negated()),
            Condition::Name(name, span) => match self.by_name.get(name.as_str()) {
                Some(selection) => self.detection(&selection.detection),
                None => unknown(name, *span, self.selections),
            },
            Condition::Of(quantity, pattern, span) => {
                // Looking for the names costs too.
                self.spend(self.selections.len(), *span)?;
                let meant = self.selections.iter();
                let meant = meant.filter(|one| is_meant(pattern, &one.name));
                let parts: Lowered<Vec<Cel>> =
                    meant.map(|one| self.detection(&one.detection)).collect();
                let parts = parts?;
                if parts.is_empty() {
                    let pattern = super::yaml::shorten(pattern);
                    let message = format!("no selection is meant by `{pattern}`");
                    return refused(Code::SigmaReference, *span, message);
                }
                Ok(match quantity {
                    Quantity::One => Cel::any(parts),
                    Quantity::All => Cel::all(parts),
                })
            }
        }
    }

    /// Recurses as deep as the YAML, whose depth its reader bounds.
    fn detection(&self, detection: &Detection) -> Lowered<Cel> {
        match detection {
            Detection::All(parts) => {
                let parts: Lowered<Vec<Cel>> =
                    parts.iter().map(|one| self.detection(one)).collect();
                Ok(Cel::all(parts?))
            }
            Detection::Any(parts) => {
                let parts: Lowered<Vec<Cel>> =
                    parts.iter().map(|one| self.detection(one)).collect();
                Ok(Cel::any(parts?))
            }
            Detection::Item(item) => {
                let found = item::lower(item, self.lists, self.schema)?;
                self.spend(found.length(), item.span)?;
                Ok(found)
            }
        }
    }
}

/// A mistake in what a filter or a pipeline added, whose places are those of another file.
fn of_added(mistake: Diagnostic, added: &Added, span: Span) -> Box<Diagnostic> {
    let message = format!("{}, in what {} adds", mistake.message, added.place);
    let mut found = Diagnostic::new(mistake.code, span, message);
    found.help = mistake.help;
    Box::new(found)
}

fn unknown(name: &str, span: Span, selections: &[Selection]) -> Lowered<Cel> {
    let message = format!("there is no selection `{}`", super::yaml::shorten(name));
    let mut diagnostic = Diagnostic::new(Code::SigmaReference, span, message);
    if let Some(near) = did_you_mean(name, selections.iter().map(|one| one.name.as_str())) {
        diagnostic = diagnostic.with_help(format!("Did you mean `{near}`?"));
    }
    Err(Box::new(diagnostic))
}

/// The schema of the events that a log source has.
pub(super) fn source_of(logsource: &Logsource) -> Option<&'static str> {
    let word = |word: &Option<String>| word.as_deref().unwrap_or_default().to_lowercase();
    let (product, service) = (word(&logsource.product), word(&logsource.service));
    match (product.as_str(), service.as_str()) {
        ("aws", "cloudtrail") => Some("aws.cloudtrail"),
        ("github", "audit") => Some("github.audit"),
        ("kubernetes", "audit") => Some("kubernetes.audit"),
        ("okta", "okta") => Some("okta.system-log"),
        _ => None,
    }
}

/// A rule of a draft's metadata and this selector.
pub(super) fn rule(draft: &Draft, source: Option<&str>, when: Option<Selector>) -> Lowered<Rule> {
    let meta = &draft.meta;
    let place = Place {
        source: draft.source.clone(),
        span: draft.span,
    };
    let Some(id) = rule_id(meta) else {
        let message = "neither `id` nor `title` makes a rule id";
        return refused(Code::SigmaShape, draft.span, message);
    };
    let severity = severity(meta, draft.span)?;
    let attack = attack_pairs(&meta.tags)
        .into_iter()
        .map(|(tactic, technique)| AttackTag {
            tactic,
            technique,
            place: place.clone(),
        });
    Ok(Rule {
        id,
        name: meta.title.clone(),
        description: meta
            .description
            .clone()
            .unwrap_or_else(|| meta.title.clone()),
        severity,
        severity_declared: severity,
        status: status(meta),
        source: source.map(str::to_owned),
        source_place: source.map(|_| place.clone()),
        authors: authors(meta),
        references: meta.references.clone(),
        false_positives: meta.false_positives.clone(),
        runbook: None,
        attack: attack.collect(),
        tags: tags(meta),
        inputs: when.into_iter().map(own_input).collect(),
        memory: None,
        suppress: None,
        signal: false,
        risk_score: None,
        on_error: crate::rule::OnError::Indeterminate,
        on_error_place: None,
        effect: None,
        finding: FindingTemplate::default(),
        exceptions: Vec::new(),
        disabled: None,
        layers: Vec::new(),
        place,
    })
}

/// The rule's own id, or one made of its title.
pub(super) fn rule_id(meta: &Meta) -> Option<RuleId> {
    id_of(meta.id.as_deref(), &meta.title)
}

/// The id of the rule with this id and title in its document.
pub(super) fn id_of(own: Option<&str>, title: &str) -> Option<RuleId> {
    let own = own.map(str::to_lowercase);
    own.and_then(|id| RuleId::new(&id))
        .or_else(|| RuleId::new(&slug(title)))
}

/// Lower-case words joined by hyphens, short enough for the name of a folder.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
        if slug.len() >= 80 {
            break;
        }
    }
    slug.trim_end_matches('-').to_owned()
}

fn severity(meta: &Meta, span: Span) -> Lowered<Severity> {
    let Some(level) = &meta.level else {
        return Ok(Severity::Medium);
    };
    Severity::from_word(&level.to_lowercase()).ok_or_else(|| {
        let message = format!("there is no level `{}`", super::yaml::shorten(level));
        let help = format!("Known are {}.", Severity::WORDS.join(", "));
        Box::new(Diagnostic::new(Code::SigmaShape, span, message).with_help(help))
    })
}

fn status(meta: &Meta) -> Status {
    match meta.status.as_deref() {
        Some("stable") => Status::Stable,
        Some("test") => Status::Test,
        Some("deprecated") => Status::Deprecated,
        _ => Status::Experimental,
    }
}

fn authors(meta: &Meta) -> Vec<String> {
    let authors = meta.author.as_deref().unwrap_or_default().split(',');
    let authors = authors.map(str::trim).filter(|one| !one.is_empty());
    authors.map(str::to_owned).collect()
}

/// Words about where the rule comes from, then the rule's own.
fn tags(meta: &Meta) -> Vec<String> {
    let mut tags = vec!["sigma".to_owned()];
    tags.extend(meta.id.iter().map(|id| format!("sigma-id:{id}")));
    tags.extend(meta.licence.iter().map(|one| format!("licence:{one}")));
    let own = meta.tags.iter().filter(|tag| !tags.contains(tag)).cloned();
    let own: Vec<String> = own.collect();
    tags.extend(own);
    tags
}
