//! From the documents of a file to drafts: rules, correlations and filters, read but not yet lowered.
//!
//! A draft keeps its selections as Sigma has them, because pipelines and filters change rules in Sigma's own terms.
//! Action documents (`global`, `reset`, `repeat`) are resolved here. Every mistake of a document is collected; a
//! document with mistakes gives no draft and the others go on.

use super::condition::{self, Parsed};
use super::correlation::{self, Correlation};
use super::detection::{self, Selection};
use super::pipeline::Growth;
use super::samples::{self, Sample};
use super::yaml::{self, Node, Value, shorten};
use crate::diagnostic::{Code, Diagnostic, Source, Span};
use crate::limits::{
    FILE_DIAGNOSTICS_MAX, RULE_FILE_BYTES_MAX, SIGMA_META_LIST_MAX, SIGMA_WEIGHT_MAX,
};
use crate::rule::{File, Place, Report, Role};
use std::collections::{BTreeMap, BTreeSet};
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
    /// What pipelines added to it.
    pub(super) growth: Growth,
}

impl Draft {
    pub(super) fn place(&self) -> Place {
        Place {
            source: self.source.clone(),
            span: self.span,
        }
    }
}

/// A document that cannot be used, so that others that name it can be told.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) meta: Meta,
    pub(super) place: Place,
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
    pub(super) samples_path: Option<(String, Span)>,
    pub(super) samples: Vec<Sample>,
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
    /// What filters and pipelines added: must hold too. Shared, as one filter may be about very many rules.
    pub(super) added: Vec<Arc<Added>>,
}

/// Selections of their own, and a condition on them.
#[derive(Clone, Debug)]
pub(super) struct Added {
    pub(super) selections: Vec<Selection>,
    pub(super) condition: condition::Condition,
    /// The filter or the pipeline: the places in these parts are places of its file.
    pub(super) place: Place,
}

/// A filter: what it adds, and to which rules; to all of its log source without.
#[derive(Clone, Debug)]
pub(super) struct FilterBody {
    pub(super) rules: Option<Vec<(String, Span)>>,
    pub(super) added: Added,
}

/// Everything that was read of files.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) drafts: Vec<Draft>,
    pub(super) refused: Vec<Refused>,
    pub(super) reports: Vec<Report>,
    /// Where each rule id was first given, by a document with or without mistakes.
    ids: BTreeMap<String, Place>,
}

/// Reads a file.
pub(super) fn read(file: &File, out: &mut Drafts) {
    let source = Arc::new(Source {
        name: file.path.clone(),
        text: file.text.clone(),
    });
    let before = out.reports.len();
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
        out.document(&document, &source);
    }
    out.silence(before, &source);
}

impl Drafts {
    fn document(&mut self, document: &Node, source: &Arc<Source>) {
        let mut mistakes = Vec::new();
        let mut head = head(document, &mut mistakes);
        let draft = match &mut head {
            Some(head) if self.takes(head, document, source, &mut mistakes) => {
                draft(document, head, source, &mut mistakes)
            }
            Some(head) => {
                // Whoever names the id means the document that has it.
                head.meta.id = None;
                None
            }
            None => None,
        };
        let sound = mistakes
            .iter()
            .all(|one| one.level < crate::diagnostic::Level::Error);
        self.reports
            .extend(mistakes.into_iter().map(|diagnostic| Report {
                source: source.clone(),
                diagnostic,
            }));
        match (draft.filter(|_| sound), head) {
            (Some(draft), _) => self.drafts.push(draft),
            (None, Some(head)) => self.refused.push(Refused {
                meta: head.meta,
                place: Place {
                    source: source.clone(),
                    span: head.span,
                },
            }),
            (None, None) => {}
        }
    }

    /// Takes the rule id of a document, unless another one has it.
    fn takes(
        &mut self,
        head: &Head,
        document: &Node,
        source: &Arc<Source>,
        mistakes: &mut Vec<Diagnostic>,
    ) -> bool {
        let Some(id) = super::lower::rule_id(&head.meta).filter(|_| !head.filter) else {
            return true;
        };
        let span = document.get("id").map_or(head.span, |id| id.span);
        if let Some(first) = self.ids.get(id.as_str()) {
            mistakes.push(
                Diagnostic::new(Code::DuplicateId, span, format!("the id `{id}` is taken"))
                    .with_caret("used twice")
                    .with_help(format!("The first rule of this id is at {first}.")),
            );
            return false;
        }
        let source = source.clone();
        self.ids.insert(id.to_string(), Place { source, span });
        true
    }

    /// Says how many reports of a file are left out when there are very many; the first one was number `from`.
    fn silence(&mut self, from: usize, source: &Arc<Source>) {
        let silenced = (self.reports.len() - from).saturating_sub(FILE_DIAGNOSTICS_MAX);
        if silenced == 0 {
            return;
        }
        self.reports.truncate(from + FILE_DIAGNOSTICS_MAX);
        let message = format!("{silenced} more mistakes in this file are not shown");
        let help = format!("At most {FILE_DIAGNOSTICS_MAX} are shown for one file.");
        self.reports.push(Report {
            source: source.clone(),
            diagnostic: Diagnostic::new(Code::Bound, Span::default(), message).with_help(help),
        });
    }
}

/// Follows the action documents. What they add to others is counted, as a few lines of them could otherwise stand for
/// gigabytes.
fn resolved(documents: Vec<Node>, report: &mut dyn FnMut(Diagnostic)) -> Vec<Node> {
    let mut global: Option<Node> = None;
    let mut found: Vec<Node> = Vec::new();
    let mut heirs = Heirs::default();
    let mut weight = 0;
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
        let under = match action.as_ref().map(|action| (action.text(), action.span)) {
            None => global.as_ref(),
            Some((Some("global"), _)) => {
                match &mut global {
                    Some(known) => known.merge(&document),
                    None => global = Some(document),
                }
                continue;
            }
            Some((Some("reset"), _)) => {
                global = None;
                continue;
            }
            Some((Some("repeat"), span)) => {
                if found.is_empty() {
                    let message = "there is no rule before this one to repeat";
                    report(Diagnostic::new(Code::SigmaShape, span, message));
                    continue;
                }
                found.last()
            }
            Some((word, span)) => {
                let word = shorten(word.unwrap_or_default());
                let message = format!("there is no action `{word}`");
                let help = "Known are `global`, `reset` and `repeat`.";
                report(Diagnostic::new(Code::SigmaShape, span, message).with_help(help));
                continue;
            }
        };
        let Some(under) = under else {
            heirs.own(&document);
            found.push(document);
            continue;
        };
        weight += under.weight();
        if weight > SIGMA_WEIGHT_MAX {
            let message = format!(
                "the file stands for more than {SIGMA_WEIGHT_MAX} bytes, `global` and `repeat` counted as what they add"
            );
            report(Diagnostic::new(Code::Bound, document.span, message));
            break;
        }
        let mut merged = under.clone();
        if action.is_some() {
            heirs.forget_number(&mut merged);
        }
        merged.merge(&document);
        let own_title = document.get("title").is_some() && merged.get("id").is_none();
        if document.get("id").is_some() || own_title {
            heirs.own(&merged);
        } else {
            let of = action.and_then(|_| heirs.last.clone());
            heirs.inherit(&mut merged, of);
        }
        found.push(merged);
    }
    found
}

/// Documents that have their id of a `global` one, or of the one that they repeat. An id is of one rule: the first heir
/// has it as it is, the second with `-2` after it, and so on in the order of the file.
#[derive(Default)]
struct Heirs {
    /// How many rules of the file have each id, or would.
    of_ids: BTreeMap<String, usize>,
    /// What the last document has its id of.
    last: Option<String>,
    /// The id that the last document had before its number, when it got one; nothing under that when it had none.
    replaced: Option<Option<Node>>,
}

impl Heirs {
    /// A document has an id or a title of its own.
    fn own(&mut self, document: &Node) {
        (self.last, self.replaced) = (id_of(document), None);
        if let Some(id) = &self.last {
            self.of_ids.entry(id.clone()).or_insert(1);
        }
    }

    /// A document has its id, or its title when there is no id, of another; `of` is that id when it is known.
    fn inherit(&mut self, document: &mut Node, of: Option<String>) {
        let Some(id) = of.or_else(|| id_of(document)) else {
            return self.own(document);
        };
        let heirs = self.of_ids.entry(id.clone()).or_insert(0);
        *heirs += 1;
        self.replaced = (*heirs > 1).then(|| {
            let numbered = Node {
                span: document.get("id").map_or(document.span, |id| id.span),
                value: Value::Text(format!("{id}-{heirs}")),
            };
            set_id(document, Some(numbered))
        });
        self.last = Some(id);
    }

    /// Takes the number from a copy of the last document.
    fn forget_number(&self, document: &mut Node) {
        if let Some(id) = &self.replaced {
            set_id(document, id.clone());
        }
    }
}

/// The id of the rule that a document is; filters have none.
fn id_of(document: &Node) -> Option<String> {
    if document.get("filter").is_some() {
        return None;
    }
    let text = |key: &str| Some(document.get(key)?.text()?.trim());
    let title = text("title").unwrap_or_default();
    super::lower::id_of(text("id"), title).map(|id| id.to_string())
}

/// Puts an id, or none, in the place of the one that a document has, which is given back.
fn set_id(document: &mut Node, id: Option<Node>) -> Option<Node> {
    let span = document.span;
    let Value::Map(entries) = &mut document.value else {
        return None;
    };
    let at = entries.iter().position(|(key, _)| key.text() == Some("id"));
    let before = at.map(|at| entries.remove(at).1);
    if let Some(id) = id {
        let value = Value::Text("id".to_owned());
        entries.push((Node { span, value }, id));
    }
    before
}

/// What a document says about itself, whatever else it is.
struct Head {
    meta: Meta,
    /// The title.
    span: Span,
    filter: bool,
}

fn head(document: &Node, mistakes: &mut Vec<Diagnostic>) -> Option<Head> {
    let has = |key: &str| document.get(key).is_some();
    if !has("detection") && !has("correlation") && !has("filter") {
        let message =
            "this document is no Sigma rule: it has no `detection`, `correlation` or `filter`";
        mistakes.push(Diagnostic::new(Code::SigmaForeign, document.span, message));
        return None;
    }
    let title = document
        .get("title")
        .and_then(|title| Some((title.text()?.trim(), title.span)));
    let title = title.filter(|(title, _)| !title.is_empty());
    if title.is_none() {
        let place = document
            .entry("title")
            .map_or(document.span, |(key, _)| key.span);
        let message = "a rule needs a `title`";
        mistakes.push(Diagnostic::new(Code::SigmaShape, place, message));
    }
    // Others may name a document that has no title, too.
    let (title, span) = title.unwrap_or(("", document.span));
    Some(Head {
        meta: meta(document, title, mistakes),
        span,
        filter: has("filter") && !has("correlation"),
    })
}

fn draft(
    document: &Node,
    head: &Head,
    source: &Arc<Source>,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Draft> {
    let logsource = logsource(document.get("logsource"), mistakes);
    let body = if let Some((key, node)) = document.entry("correlation") {
        Body::Correlation(correlation::read(node, key.span, mistakes)?)
    } else if let Some((key, node)) = document.entry("filter") {
        let place = Place {
            source: source.clone(),
            span: head.span,
        };
        Body::Filter(filter(node, key.span, place, mistakes)?)
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
        span: head.span,
        meta: head.meta.clone(),
        logsource,
        body,
        applied: BTreeSet::new(),
        growth: Growth::default(),
    })
}

fn meta(document: &Node, title: &str, mistakes: &mut Vec<Diagnostic>) -> Meta {
    let samples_at = document.get("regression_tests_path").map(|path| path.span);
    let (samples, notes) = samples::embedded(document);
    mistakes.extend(notes);
    let text = |key: &str| {
        let text = document.get(key)?.text()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let mut texts = |key: &str| -> Vec<String> {
        let items = document.get(key).map_or(&[][..], Node::items);
        if let Some(first) = items.get(SIGMA_META_LIST_MAX) {
            let message = format!("`{key}` has more than {SIGMA_META_LIST_MAX} values");
            mistakes.push(Diagnostic::new(Code::Bound, first.span, message));
        }
        let texts = items
            .iter()
            .take(SIGMA_META_LIST_MAX)
            .filter_map(Node::text);
        texts
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .collect()
    };
    Meta {
        title: title.to_owned(),
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
        samples_path: text("regression_tests_path").zip(samples_at),
        samples,
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

fn filter(
    node: &Node,
    span: Span,
    place: Place,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<FilterBody> {
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
            place,
        },
    })
}
