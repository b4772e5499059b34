//! What a transformation does to a rule.

use super::Step;
use crate::diagnostic::{Code, Span};
use crate::limits::SIGMA_LOWERED_BYTES_MAX;
use crate::sigma::detection::{Detection, Item, Modifier, Selection};
use crate::sigma::draft::{Added, Body, Draft, Logsource};
use crate::sigma::item::{Lowered, refused};
use crate::sigma::yaml::{Node, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A transformation.
#[derive(Debug)]
pub(super) enum Change {
    /// Old names and what becomes of them; several new names are alternatives.
    FieldNames(BTreeMap<String, Vec<String>>),
    FieldPrefix(String),
    FieldPrefixes(BTreeMap<String, Vec<String>>),
    FieldSuffix(String),
    DropItem,
    AddCondition(Arc<Added>),
    Logsource(Logsource),
    RuleFailure(String),
    ItemFailure(String),
    ReplaceString(regex::Regex, String),
    MapString(BTreeMap<String, Vec<String>>),
    SetValue(Value),
    /// Placeholders become `*`, those named or all.
    WildcardPlaceholders(Vec<String>),
    /// Placeholders are filled from lists, which `expand` does anyway.
    ValuePlaceholders,
    Nested(Vec<Step>),
    /// Known, and of no effect here.
    Nothing,
}

impl Step {
    /// Applies the transformation; what it depends on of the rule holds.
    pub(super) fn apply(&self, draft: &mut Draft) -> Lowered<()> {
        match &self.change {
            Change::RuleFailure(message) => {
                let message = format!("the pipeline refuses this rule: {message}");
                return refused(Code::SigmaUnsupported, draft.span, message);
            }
            Change::Logsource(logsource) => draft.logsource = logsource.clone(),
            Change::AddCondition(added) => {
                if let Body::Rule(body) = &mut draft.body {
                    body.added.push(added.clone());
                }
            }
            Change::Nested(steps) => {
                for step in steps {
                    if step.rules.holds(|test| test.holds(draft)) {
                        step.apply(draft)?;
                        draft.applied.extend(step.id.clone());
                    }
                }
            }
            Change::Nothing | Change::ValuePlaceholders => {}
            _ => {
                self.rename_groups(draft);
                return self.on_items(draft);
            }
        }
        Ok(())
    }

    /// The fields that a correlation groups by are renamed like those of its rules.
    fn rename_groups(&self, draft: &mut Draft) {
        let Body::Correlation(correlation) = &mut draft.body else {
            return;
        };
        let aliases: Vec<String> = correlation.aliases.keys().cloned().collect();
        let grouped = correlation
            .group_by
            .iter_mut()
            .filter(|field| !aliases.contains(field));
        let fields = correlation.fields.iter_mut();
        let aliased = correlation
            .aliases
            .values_mut()
            .flat_map(|one| one.values_mut());
        for field in grouped.chain(fields).chain(aliased) {
            if let Some([only]) = self.new_names(field, None).as_deref() {
                *field = only.clone();
            }
        }
    }

    fn on_items(&self, draft: &mut Draft) -> Lowered<()> {
        let selections = match &mut draft.body {
            Body::Rule(body) => &mut body.selections,
            Body::Filter(filter) => &mut filter.added.selections,
            Body::Correlation(_) => return Ok(()),
        };
        let mut mistake = None;
        let growth = &mut draft.growth;
        let mut kept = Vec::with_capacity(selections.len());
        for selection in selections.drain(..) {
            let name = selection.name;
            let rewritten = selection.detection.rewritten(&mut |item| {
                if mistake.is_some() {
                    return None;
                }
                self.on_item(item, growth).unwrap_or_else(|found| {
                    mistake = Some(found);
                    None
                })
            });
            // A selection that lost everything holds of every event, as it asks nothing more.
            let detection = rewritten.unwrap_or(Detection::All(Vec::new()));
            kept.push(Selection { name, detection });
        }
        *selections = kept;
        match mistake {
            Some(mistake) => Err(mistake),
            None => Ok(()),
        }
    }

    fn on_item(&self, mut item: Item, growth: &mut Growth) -> Lowered<Option<Detection>> {
        let field = item.field.clone().unwrap_or_default();
        let meant = self.items.holds(|test| test.holds(&item))
            && self.fields.holds(|test| test.holds(&field, Some(&item)));
        if !meant {
            return Ok(Some(Detection::Item(item)));
        }
        match &self.change {
            Change::DropItem => return Ok(None),
            Change::ItemFailure(message) => {
                let message = format!("the pipeline refuses this line: {message}");
                return refused(Code::SigmaUnsupported, item.span, message);
            }
            Change::ReplaceString(pattern, with) => {
                for node in &mut item.values {
                    if let Value::Text(text) = &mut node.value {
                        *text = replaced(pattern, text, with, node.span, growth)?;
                    }
                }
            }
            Change::MapString(mapping) => item.values = mapped(item.values, mapping, growth)?,
            Change::SetValue(value) => {
                let span = item.span;
                let value = value.clone();
                item.values = vec![Node { span, value }];
            }
            Change::WildcardPlaceholders(names) => wildcards(&mut item, names),
            _ => return self.renamed(item, growth).map(Some),
        }
        item.applied.extend(self.id.clone());
        Ok(Some(Detection::Item(item)))
    }

    /// With a new name of its field, or as alternatives of several.
    fn renamed(&self, mut item: Item, growth: &mut Growth) -> Lowered<Detection> {
        if item.has(Modifier::FieldRef) {
            for node in &mut item.values {
                if let Value::Text(text) = &mut node.value
                    && let Some([only]) = self.new_names(text, None).as_deref()
                {
                    growth.add(text.len(), only.len(), node.span)?;
                    *text = only.clone();
                }
            }
        }
        item.applied.extend(self.id.clone());
        let field = item.field.clone().unwrap_or_default();
        let Some(names) = self.new_names(&field, None) else {
            return Ok(Detection::Item(item));
        };
        for (at, name) in names.iter().enumerate() {
            let before = if at == 0 { field.len() } else { 0 };
            let more = if at == 0 { 0 } else { item.weight() };
            growth.add(before, name.len() + more, item.span)?;
        }
        let renamed = names.into_iter().map(|name| {
            Detection::Item(Item {
                field: Some(name),
                ..item.clone()
            })
        });
        let mut renamed: Vec<Detection> = renamed.collect();
        Ok(match renamed.len() {
            1 => renamed.remove(0),
            _ => Detection::Any(renamed),
        })
    }

    /// What becomes of the name of a field; `None` when nothing does.
    fn new_names(&self, field: &str, item: Option<&Item>) -> Option<Vec<String>> {
        if !self.fields.holds(|test| test.holds(field, item)) || field.is_empty() {
            return None;
        }
        match &self.change {
            Change::FieldNames(mapping) => mapping.get(field).cloned(),
            Change::FieldPrefix(prefix) => Some(vec![format!("{prefix}{field}")]),
            Change::FieldSuffix(suffix) => Some(vec![format!("{field}{suffix}")]),
            Change::FieldPrefixes(mapping) => mapping.iter().find_map(|(prefix, to)| {
                let rest = field.strip_prefix(prefix.as_str())?;
                Some(to.iter().map(|new| format!("{new}{rest}")).collect())
            }),
            _ => None,
        }
    }
}

/// How many bytes pipelines have added to a rule: a few transformations of which each doubles it would fill any memory.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sigma) struct Growth(usize);

impl Growth {
    fn add(&mut self, before: usize, after: usize, span: Span) -> Lowered<()> {
        self.0 = self.0.saturating_add(after.saturating_sub(before));
        if self.0 <= SIGMA_LOWERED_BYTES_MAX {
            return Ok(());
        }
        let message =
            format!("pipelines add more than {SIGMA_LOWERED_BYTES_MAX} bytes to this rule");
        refused(Code::Bound, span, message)
    }
}

fn mapped(
    values: Vec<Node>,
    mapping: &BTreeMap<String, Vec<String>>,
    growth: &mut Growth,
) -> Lowered<Vec<Node>> {
    let mut out = Vec::with_capacity(values.len());
    for node in values {
        let Some((old, texts)) = node
            .text()
            .and_then(|text| Some((text.len(), mapping.get(text)?)))
        else {
            out.push(node);
            continue;
        };
        for (at, text) in texts.iter().enumerate() {
            let new = Node {
                span: node.span,
                value: Value::Text(text.clone()),
            };
            let (before, more) = if at == 0 { (old, 0) } else { (0, new.weight()) };
            growth.add(before, text.len() + more, node.span)?;
            out.push(new);
        }
    }
    Ok(out)
}

fn replaced(
    pattern: &regex::Regex,
    text: &str,
    with: &str,
    span: Span,
    growth: &mut Growth,
) -> Lowered<String> {
    let mut out = String::new();
    let mut end = 0;
    let start = *growth;
    for found in pattern.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&text[end..whole.start()]);
        found.expand(with, &mut out);
        end = whole.end();
        *growth = start;
        growth.add(text.len(), out.len(), span)?;
    }
    out.push_str(&text[end..]);
    *growth = start;
    growth.add(text.len(), out.len(), span)?;
    Ok(out)
}

fn wildcards(item: &mut Item, names: &[String]) {
    if !item.has(Modifier::Expand) {
        return;
    }
    for node in &mut item.values {
        let Value::Text(text) = &mut node.value else {
            continue;
        };
        let mut pieces = text.split('%');
        let mut out = pieces.next().unwrap_or_default().to_owned();
        let pieces: Vec<&str> = pieces.collect();
        for pair in pieces.chunks(2) {
            match pair {
                [name, after] if names.is_empty() || names.iter().any(|one| one == name) => {
                    out.push('*');
                    out.push_str(after);
                }
                [name, after] => out.push_str(&format!("%{name}%{after}")),
                [rest] => out.push_str(&format!("%{rest}")),
                _ => {}
            }
        }
        *text = out;
    }
}
