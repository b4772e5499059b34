//! From the documents of a file to drafts: rules, correlations and filters, read but not yet lowered.
//!
//! A draft keeps its selections as Sigma has them, because pipelines and filters change rules in Sigma's own terms.
//! Action documents (`global`, `reset`, `repeat`) are resolved here. Every mistake of a document is collected; a
//! document with mistakes gives no draft and the others go on.

use super::condition::{self, Parsed};
use super::correlation::{self, Correlation};
use super::detection::{self, Selection};
use super::yaml::{self, Node, Value, shorten};
use crate::diagnostic::{Code, Diagnostic, Source, Span};
use crate::limits::RULE_FILE_BYTES_MAX;
use crate::rule::{File, Report, Role};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A document of Sigma.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) source: Arc<Source>,
    /// Its title.
    pub(super) span: Span,
    pub(super) meta: Meta,
    pub(super) logsource: Logsource,
    pub(super) body: Body,
    /// The items of pipelines that were applied to it.
    pub(super) applied: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Rule(RuleBody),
    Correlation(Correlation),
    Filter(FilterBody),
}

/// What a rule says about itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Meta {
    pub(super) title: String,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) status: Option<String>,
    pub(super) description: Option<String>,
    pub(super) references: Vec<String>,
    pub(super) author: Option<String>,
    pub(super) licence: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) false_positives: Vec<String>,
    pub(super) level: Option<String>,
    pub(super) samples: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Logsource {
    pub(super) category: Option<String>,
    pub(super) product: Option<String>,
    pub(super) service: Option<String>,
}

impl Logsource {
    /// Whether this satisfies everything that `wanted` says.
    pub(super) fn satisfies(&self, wanted: &Self) -> bool {
        let one = |own: &Option<String>, wanted: &Option<String>| {
            wanted.is_none()
                || own.as_deref().map(str::to_lowercase) == wanted.as_deref().map(str::to_lowercase)
        };
        one(&self.category, &wanted.category)
            && one(&self.product, &wanted.product)
            && one(&self.service, &wanted.service)
    }
}

/// What a rule looks for.
#[derive(Clone, Debug)]
pub(super) struct RuleBody {
    pub(super) selections: Vec<Selection>,
    /// Several are alternatives.
    pub(super) conditions: Vec<Parsed>,
    /// For aggregations of older rules.
    pub(super) timeframe: Option<(String, Span)>,
    /// The `detection`.
    pub(super) span: Span,
    /// What filters and pipelines added: must hold too.
    pub(super) added: Vec<Added>,
}

/// Selections of their own, and a condition on them.
#[derive(Clone, Debug)]
pub(super) struct Added {
    pub(super) selections: Vec<Selection>,
    pub(super) condition: condition::Condition,
}

/// A filter: what it adds, and to which rules; to all of its log source without.
#[derive(Clone, Debug)]
pub(super) struct FilterBody {
    pub(super) rules: Option<Vec<(String, Span)>>,
    pub(super) added: Added,
}

/// Everything that was read of a file.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) drafts: Vec<Draft>,
    pub(super) reports: Vec<Report>,
}

/// Reads a file.
pub(super) fn read(file: &File, out: &mut Drafts) {
    let source = Arc::new(Source {
        name: file.path.clone(),
        text: file.text.clone(),
    });
    let mut report = |diagnostic: Diagnostic| {
        out.reports.push(Report {
            source: source.clone(),
            diagnostic,
        });
    };
    if file.role == Role::NotText {
        let message = "the file is not UTF-8 text";
        report(Diagnostic::new(Code::YamlSyntax, Span::new(0, 0), message));
        return;
    }
    if file.text.len() > RULE_FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes, more than {RULE_FILE_BYTES_MAX}",
            file.text.len()
        );
        report(Diagnostic::new(Code::Bound, Span::new(0, 0), message));
        return;
    }
    let (documents, mistake) = yaml::read(&file.text);
    mistake.into_iter().for_each(&mut report);
    for document in resolved(documents, &mut report) {
        let mut mistakes = Vec::new();
        let draft = draft(&document, &source, &mut mistakes);
        let sound = mistakes
            .iter()
            .all(|one| one.level < crate::diagnostic::Level::Error);
        mistakes.into_iter().for_each(&mut report);
        out.drafts.extend(draft.filter(|_| sound));
    }
}

/// Follows the action documents.
fn resolved(documents: Vec<Node>, report: &mut dyn FnMut(Diagnostic)) -> Vec<Node> {
    let mut global: Option<Node> = None;
    let mut found: Vec<Node> = Vec::new();
    for mut document in documents {
        let Value::Map(entries) = &mut document.value else {
            report(Diagnostic::new(
                Code::SigmaShape,
                document.span,
                format!("a document is a map, not {}", document.kind()),
            ));
            continue;
        };
        let at = entries
            .iter()
            .position(|(key, _)| key.text() == Some("action"));
        let action = at.map(|at| entries.remove(at).1);
        let put = |document: &Node, global: &Option<Node>| match global {
            Some(global) => {
                let mut merged = global.clone();
                merged.merge(document);
                merged
            }
            None => document.clone(),
        };
        match action.as_ref().map(|action| (action.text(), action.span)) {
            None => found.push(put(&document, &global)),
            Some((Some("global"), _)) => match &mut global {
                Some(known) => known.merge(&document),
                None => global = Some(document),
            },
            Some((Some("reset"), _)) => global = None,
            Some((Some("repeat"), span)) => match found.last().cloned() {
                Some(mut before) => {
                    before.merge(&document);
                    found.push(before);
                }
                None => report(Diagnostic::new(
                    Code::SigmaShape,
                    span,
                    "there is no rule before this one to repeat",
                )),
            },
            Some((word, span)) => {
                let word = shorten(word.unwrap_or_default());
                let message = format!("there is no action `{word}`");
                let help = "Known are `global`, `reset` and `repeat`.";
                report(Diagnostic::new(Code::SigmaShape, span, message).with_help(help));
            }
        }
    }
    found
}

fn draft(document: &Node, source: &Arc<Source>, mistakes: &mut Vec<Diagnostic>) -> Option<Draft> {
    let has = |key: &str| document.get(key).is_some();
    if !has("detection") && !has("correlation") && !has("filter") {
        let message =
            "this document is no Sigma rule: it has no `detection`, `correlation` or `filter`";
        mistakes.push(Diagnostic::new(Code::SigmaForeign, document.span, message));
        return None;
    }
    let title = document
        .get("title")
        .and_then(|title| Some((title.text()?, title.span)));
    let Some((title, span)) = title.filter(|(title, _)| !title.trim().is_empty()) else {
        let place = document
            .entry("title")
            .map_or(document.span, |(key, _)| key.span);
        mistakes.push(Diagnostic::new(
            Code::SigmaShape,
            place,
            "a rule needs a `title`",
        ));
        return None;
    };
    let meta = meta(document, title);
    let logsource = logsource(document.get("logsource"), mistakes);
    let body = if let Some((key, node)) = document.entry("correlation") {
        Body::Correlation(correlation::read(node, key.span, mistakes)?)
    } else if let Some((key, node)) = document.entry("filter") {
        Body::Filter(filter(node, key.span, mistakes)?)
    } else {
        let (key, node) = document.entry("detection")?;
        let timeframe = node.get("timeframe").or_else(|| document.get("timeframe"));
        let timeframe = timeframe.and_then(|one| Some((one.text()?.to_owned(), one.span)));
        let (selections, conditions) = selections(node, key.span, &["timeframe"], mistakes)?;
        Body::Rule(RuleBody {
            selections,
            conditions,
            timeframe,
            span: key.span,
            added: Vec::new(),
        })
    };
    Some(Draft {
        source: source.clone(),
        span,
        meta,
        logsource,
        body,
        applied: BTreeSet::new(),
    })
}

fn meta(document: &Node, title: &str) -> Meta {
    let text = |key: &str| {
        let text = document.get(key)?.text()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let texts = |key: &str| -> Vec<String> {
        let items = document.get(key).map_or(&[][..], Node::items);
        let texts = items.iter().filter_map(Node::text);
        texts
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .collect()
    };
    Meta {
        title: title.trim().to_owned(),
        id: text("id"),
        name: text("name"),
        status: text("status"),
        description: text("description"),
        references: texts("references"),
        author: text("author"),
        licence: text("license").or_else(|| text("licence")),
        tags: texts("tags"),
        false_positives: texts("falsepositives"),
        level: text("level"),
        samples: text("regression_tests_path"),
    }
}

fn logsource(node: Option<&Node>, mistakes: &mut Vec<Diagnostic>) -> Logsource {
    let Some(node) = node else {
        return Logsource::default();
    };
    if !matches!(node.value, Value::Map(_) | Value::Null) {
        let message = format!("`logsource` is a map, not {}", node.kind());
        mistakes.push(Diagnostic::new(Code::SigmaShape, node.span, message));
    }
    let text = |key: &str| Some(node.get(key)?.text()?.to_owned());
    Logsource {
        category: text("category"),
        product: text("product"),
        service: text("service"),
    }
}

/// The selections of a `detection` or a `filter`, and its conditions.
fn selections(
    node: &Node,
    span: Span,
    others: &[&str],
    mistakes: &mut Vec<Diagnostic>,
) -> Option<(Vec<Selection>, Vec<Parsed>)> {
    if !matches!(node.value, Value::Map(_)) {
        let message = format!("`detection` is a map of selections, not {}", node.kind());
        mistakes.push(Diagnostic::new(Code::SigmaShape, node.span, message));
        return None;
    }
    let mut found = Vec::new();
    for (key, value) in node.entries() {
        let name = key.text().unwrap_or_default();
        if name == "condition" || others.contains(&name) {
            continue;
        }
        found.push(Selection {
            name: name.to_owned(),
            detection: detection::read(value, mistakes),
        });
    }
    let Some(condition) = node.get("condition") else {
        let message = "a `condition` is missing";
        mistakes.push(Diagnostic::new(Code::SigmaShape, span, message));
        return None;
    };
    let mut conditions = Vec::new();
    for item in condition.items() {
        let parsed = match item.text() {
            Some(text) => condition::parse(text, item.span),
            None => {
                let message = format!("a condition is text, not {}", item.kind());
                Err(Box::new(Diagnostic::new(
                    Code::SigmaShape,
                    item.span,
                    message,
                )))
            }
        };
        match parsed {
            Ok(parsed) => conditions.push(parsed),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    if condition.items().is_empty() {
        let message = "the list of conditions is empty";
        mistakes.push(Diagnostic::new(Code::SigmaShape, condition.span, message));
    }
    Some((found, conditions))
}

fn filter(node: &Node, span: Span, mistakes: &mut Vec<Diagnostic>) -> Option<FilterBody> {
    let (selections, conditions) = selections(node, span, &["rules"], mistakes)?;
    let rules = match node.get("rules") {
        None => None,
        Some(rules) if rules.text() == Some("any") => None,
        Some(rules) => {
            let names = rules.items().iter();
            let names: Vec<(String, Span)> = names
                .filter_map(|one| Some((one.text()?.to_owned(), one.span)))
                .collect();
            Some(names).filter(|names| !names.is_empty())
        }
    };
    let mut conditions = conditions.into_iter();
    let first = conditions.next()?;
    if first.aggregation.is_some() || conditions.next().is_some() {
        let message = "a filter has one condition, without aggregation";
        mistakes.push(Diagnostic::new(Code::SigmaShape, span, message));
    }
    Some(FilterBody {
        rules,
        added: Added {
            selections,
            condition: first.condition,
        },
    })
}
