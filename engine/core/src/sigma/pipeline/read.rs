//! From a pipeline file to steps; every mistake is found.

use super::Step;
use super::change::Change;
use super::when::{FieldTest, Group, ItemTest, RuleTest};
use crate::diagnostic::{Code, Diagnostic, Level, Source, Span, did_you_mean};
use crate::limits::{FILE_DIAGNOSTICS_MAX, RULE_FILE_BYTES_MAX, SIGMA_TRANSFORMATIONS_MAX};
use crate::rule::{File, Place, Report, Role};
use crate::sigma::condition::Condition;
use crate::sigma::detection::{self, Detection, Selection};
use crate::sigma::draft::{Added, Logsource};
use crate::sigma::yaml::{self, Node, Value, shorten};
use std::collections::BTreeMap;
use std::sync::Arc;

const TRANSFORMATIONS: [&str; 20] = [
    "add_condition",
    "add_field",
    "change_logsource",
    "detection_item_failure",
    "drop_detection_item",
    "field_name_mapping",
    "field_name_prefix",
    "field_name_prefix_mapping",
    "field_name_suffix",
    "map_string",
    "nest",
    "remove_field",
    "replace_string",
    "rule_failure",
    "set_custom_attribute",
    "set_field",
    "set_state",
    "set_value",
    "value_placeholders",
    "wildcard_placeholders",
];

/// The priority and the steps of a file; `None` when it cannot be used.
pub(super) fn read(file: &File, reports: &mut Vec<Report>) -> Option<(i64, Vec<Step>)> {
    let source = Arc::new(Source {
        name: file.path.clone(),
        text: file.text.clone(),
    });
    let mut reading = Reading {
        source: source.clone(),
        mistakes: Vec::new(),
        steps: 0,
    };
    let found = if file.role == Role::NotText {
        let message = "the file is not UTF-8 text";
        reading.wrong(Span::new(0, 0), message);
        None
    } else if file.text.len() > RULE_FILE_BYTES_MAX {
        let message = format!("the file has more than {RULE_FILE_BYTES_MAX} bytes");
        let diagnostic = Diagnostic::new(Code::Bound, Span::new(0, 0), message);
        reading.mistakes.push(diagnostic);
        None
    } else {
        let (documents, mistake) = yaml::read(&file.text);
        reading.mistakes.extend(mistake);
        documents.first().map(|document| reading.pipeline(document))
    };
    let sound = reading.mistakes.iter().all(|one| one.level < Level::Error);
    let silenced = reading.mistakes.len().saturating_sub(FILE_DIAGNOSTICS_MAX);
    reading.mistakes.truncate(FILE_DIAGNOSTICS_MAX);
    if silenced > 0 {
        let message = format!("{silenced} more mistakes in this file are not shown");
        let diagnostic = Diagnostic::new(Code::Bound, Span::default(), message);
        reading.mistakes.push(diagnostic);
    }
    reports.extend(reading.mistakes.into_iter().map(|diagnostic| Report {
        source: source.clone(),
        diagnostic,
    }));
    found.or(Some((0, Vec::new()))).filter(|_| sound)
}

struct Reading {
    source: Arc<Source>,
    mistakes: Vec<Diagnostic>,
    /// Transformations so far, those in `nest` too.
    steps: usize,
}

impl Reading {
    fn wrong(&mut self, span: Span, message: impl Into<String>) {
        self.mistakes
            .push(Diagnostic::new(Code::SigmaPipeline, span, message));
    }

    fn pipeline(&mut self, node: &Node) -> (i64, Vec<Step>) {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong(
                node.span,
                format!("a pipeline is a map, not {}", node.kind()),
            );
        }
        let priority = node
            .get("priority")
            .and_then(|one| one.text()?.parse().ok());
        for key in ["postprocessing", "finalizers"] {
            if let Some((key, _)) = node.entry(key) {
                let message = "queries are finished so; there are none here";
                self.mistakes
                    .push(Diagnostic::new(Code::SigmaIgnored, key.span, message));
            }
        }
        let items = node.get("transformations").map_or(&[][..], Node::items);
        let steps = items.iter().filter_map(|item| self.step(item)).collect();
        (priority.unwrap_or(0), steps)
    }

    fn step(&mut self, node: &Node) -> Option<Step> {
        self.steps += 1;
        if self.steps > SIGMA_TRANSFORMATIONS_MAX {
            if self.steps == SIGMA_TRANSFORMATIONS_MAX + 1 {
                let message = format!("more than {SIGMA_TRANSFORMATIONS_MAX} transformations");
                let diagnostic = Diagnostic::new(Code::Bound, node.span, message);
                self.mistakes.push(diagnostic);
            }
            return None;
        }
        let kind = node
            .get("type")
            .and_then(|one| Some((one.text()?.to_owned(), one.span)));
        let Some((kind, span)) = kind else {
            self.wrong(node.span, "a transformation needs a `type`");
            return None;
        };
        for key in [
            "rule_cond_expr",
            "detection_item_cond_expr",
            "field_name_cond_expr",
        ] {
            if let Some((key, _)) = node.entry(key) {
                self.wrong(
                    key.span,
                    "conditions as expressions are not supported: use `…_cond_op`",
                );
            }
        }
        let change = self.change(node, &kind, span)?;
        let id = node.get("id").and_then(|one| Some(one.text()?.to_owned()));
        let rules = self.group(node, "rule", Self::rule_test);
        let items = self.group(node, "detection_item", Self::item_test);
        let fields = self.group(node, "field_name", Self::field_test);
        Some(Step {
            id,
            change,
            rules,
            items,
            fields,
        })
    }

    fn change(&mut self, node: &Node, kind: &str, span: Span) -> Option<Change> {
        Some(match kind {
            "field_name_mapping" => Change::FieldNames(self.mapping(node, span)?),
            "field_name_prefix_mapping" => Change::FieldPrefixes(self.mapping(node, span)?),
            "field_name_prefix" => Change::FieldPrefix(self.text(node, "prefix", span)?),
            "field_name_suffix" => Change::FieldSuffix(self.text(node, "suffix", span)?),
            "drop_detection_item" => Change::DropItem,
            "add_condition" => {
                let Some(conditions) = node.get("conditions") else {
                    self.wrong(span, "`add_condition` needs `conditions`");
                    return None;
                };
                let mut mistakes = Vec::new();
                let detection = detection::read(conditions, &mut mistakes);
                self.mistakes.append(&mut mistakes);
                let negated = node
                    .get("negated")
                    .is_some_and(|one| one.value == Value::Bool(true));
                Change::AddCondition(Arc::new(self.added(detection, negated, span)))
            }
            "change_logsource" => Change::Logsource(logsource(node)),
            "rule_failure" => Change::RuleFailure(self.text(node, "message", span)?),
            "detection_item_failure" => Change::ItemFailure(self.text(node, "message", span)?),
            "replace_string" => {
                let text = self.text(node, "regex", span)?;
                let with = self.text(node, "replacement", span)?;
                Change::ReplaceString(self.regex(&text, span)?, replacement(&with))
            }
            "map_string" => Change::MapString(self.mapping(node, span)?),
            "set_value" => match node.get("value") {
                Some(value) if !matches!(value.value, Value::Map(_) | Value::List(_)) => {
                    Change::SetValue(value.value.clone())
                }
                _ => {
                    self.wrong(span, "`set_value` needs a `value`");
                    return None;
                }
            },
            "value_placeholders" => Change::ValuePlaceholders,
            "wildcard_placeholders" => {
                let names = node.get("include").map_or(&[][..], Node::items).iter();
                Change::WildcardPlaceholders(
                    names
                        .filter_map(|one| Some(one.text()?.to_owned()))
                        .collect(),
                )
            }
            "nest" => {
                let items = node.get("items").map_or(&[][..], Node::items);
                Change::Nested(items.iter().filter_map(|item| self.step(item)).collect())
            }
            "set_state" | "set_custom_attribute" | "add_field" | "remove_field" | "set_field" => {
                let message = format!("`{kind}` has no effect here");
                self.mistakes
                    .push(Diagnostic::new(Code::SigmaIgnored, span, message));
                Change::Nothing
            }
            _ => {
                self.unknown("transformation", kind, span, &TRANSFORMATIONS);
                return None;
            }
        })
    }

    fn added(&self, detection: Detection, negated: bool, span: Span) -> Added {
        let name = "added".to_owned();
        let condition = Condition::Name(name.clone(), span);
        Added {
            selections: vec![Selection { name, detection }],
            condition: match negated {
                true => Condition::Not(Box::new(condition)),
                false => condition,
            },
            place: Place {
                source: self.source.clone(),
                span,
            },
        }
    }

    fn unknown(&mut self, what: &str, word: &str, span: Span, known: &[&str]) {
        let message = format!("the {what} `{}` is not supported", shorten(word));
        let mut diagnostic = Diagnostic::new(Code::SigmaPipeline, span, message);
        if let Some(near) = did_you_mean(word, known.iter().copied()) {
            diagnostic = diagnostic.with_help(format!("Did you mean `{near}`?"));
        }
        self.mistakes.push(diagnostic);
    }

    fn text(&mut self, node: &Node, key: &str, span: Span) -> Option<String> {
        let text = node.get(key).and_then(Node::text);
        if text.is_none() {
            self.wrong(span, format!("this needs a `{key}`"));
        }
        text.map(str::to_owned)
    }

    fn regex(&mut self, text: &str, span: Span) -> Option<regex::Regex> {
        let built = regex::RegexBuilder::new(text)
            .size_limit(crate::limits::REGEX_BYTES_MAX)
            .build();
        match built {
            Ok(regex) => Some(regex),
            Err(error) => {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default().trim();
                let reason = reason.trim_start_matches("error: ");
                self.wrong(
                    span,
                    format!("this regular expression cannot be compiled: {reason}"),
                );
                None
            }
        }
    }

    fn mapping(&mut self, node: &Node, span: Span) -> Option<BTreeMap<String, Vec<String>>> {
        let Some(mapping) = node.get("mapping") else {
            self.wrong(span, "this needs a `mapping`");
            return None;
        };
        let mut found = BTreeMap::new();
        for (key, value) in mapping.entries() {
            let to = value.items().iter().filter_map(Node::text);
            let to: Vec<String> = to.map(str::to_owned).collect();
            match key.text() {
                Some(from) if !to.is_empty() => {
                    found.insert(from.to_owned(), to);
                }
                _ => self.wrong(
                    key.span,
                    "a mapping is from a text to a text or a list of texts",
                ),
            }
        }
        Some(found)
    }

    fn group<T>(
        &mut self,
        node: &Node,
        of: &str,
        read: fn(&mut Self, &str, &Node, Span) -> Option<T>,
    ) -> Group<T> {
        let is = |key: String, wanted: &str| node.get(&key).and_then(Node::text) == Some(wanted);
        let any = is(format!("{of}_cond_op"), "or");
        let negated = is(format!("{of}_cond_not"), "true");
        let conditions = node.get(&format!("{of}_conditions"));
        // Named conditions come as a map, others as a list.
        let items: Vec<&Node> = match conditions.map(|one| &one.value) {
            Some(Value::Map(entries)) => entries.iter().map(|(_, value)| value).collect(),
            Some(Value::List(items)) => items.iter().collect(),
            _ => Vec::new(),
        };
        let mut tests = Vec::new();
        for item in items {
            let kind = item
                .get("type")
                .and_then(|one| Some((one.text()?.to_owned(), one.span)));
            match kind {
                Some((kind, span)) => tests.extend(read(self, &kind, item, span)),
                None => self.wrong(item.span, "a condition needs a `type`"),
            }
        }
        Group {
            tests,
            any,
            negated,
        }
    }

    fn rule_test(&mut self, kind: &str, node: &Node, span: Span) -> Option<RuleTest> {
        Some(match kind {
            "logsource" => RuleTest::Logsource(logsource(node)),
            "contains_field" => RuleTest::ContainsField(self.text(node, "field", span)?),
            "contains_detection_item" => {
                let value = node.get("value").and_then(Node::text).map(str::to_owned);
                RuleTest::ContainsItem(self.text(node, "field", span)?, value)
            }
            "processing_item_applied" => {
                RuleTest::Applied(self.text(node, "processing_item_id", span)?)
            }
            "is_sigma_rule" => RuleTest::IsRule,
            "is_sigma_correlation_rule" => RuleTest::IsCorrelation,
            "tag" => RuleTest::Tag(self.text(node, "tag", span)?),
            "rule_attribute" => {
                if node
                    .get("op")
                    .and_then(Node::text)
                    .is_some_and(|op| op != "eq")
                {
                    self.wrong(
                        span,
                        "attributes of rules can only be compared for equality",
                    );
                }
                let attribute = self.text(node, "attribute", span)?;
                RuleTest::Attribute(attribute, self.text(node, "value", span)?)
            }
            _ => {
                let known = [
                    "logsource",
                    "contains_field",
                    "contains_detection_item",
                    "processing_item_applied",
                    "is_sigma_rule",
                    "is_sigma_correlation_rule",
                    "tag",
                    "rule_attribute",
                ];
                self.unknown("rule condition", kind, span, &known);
                return None;
            }
        })
    }

    fn item_test(&mut self, kind: &str, node: &Node, span: Span) -> Option<ItemTest> {
        Some(match kind {
            "match_string" => {
                let text = self.text(node, "pattern", span)?;
                ItemTest::MatchString {
                    pattern: self.regex(&format!("^(?:{text})"), span)?,
                    all: node.get("cond").and_then(Node::text) == Some("all"),
                    negated: node
                        .get("negate")
                        .is_some_and(|one| one.value == Value::Bool(true)),
                }
            }
            "is_null" => ItemTest::IsNull,
            "processing_item_applied" => {
                ItemTest::Applied(self.text(node, "processing_item_id", span)?)
            }
            _ => {
                let known = ["match_string", "is_null", "processing_item_applied"];
                self.unknown("condition on detection items", kind, span, &known);
                return None;
            }
        })
    }

    fn field_test(&mut self, kind: &str, node: &Node, span: Span) -> Option<FieldTest> {
        let negated = match kind {
            "include_fields" => false,
            "exclude_fields" => true,
            "processing_item_applied" => {
                let id = self.text(node, "processing_item_id", span)?;
                return Some(FieldTest::Applied(id));
            }
            _ => {
                let known = [
                    "include_fields",
                    "exclude_fields",
                    "processing_item_applied",
                ];
                self.unknown("condition on names of fields", kind, span, &known);
                return None;
            }
        };
        let names = node.get("fields").map_or(&[][..], Node::items).iter();
        let names: Vec<String> = names
            .filter_map(|one| Some(one.text()?.to_owned()))
            .collect();
        let mode = node.get("mode").or_else(|| node.get("match_type"));
        match mode.and_then(Node::text) {
            None | Some("plain") => Some(FieldTest::OneOf { names, negated }),
            Some("re" | "regex") => {
                let patterns = names
                    .iter()
                    .filter_map(|name| self.regex(&format!("^(?:{name})"), span))
                    .collect();
                Some(FieldTest::Matches { patterns, negated })
            }
            Some(word) => {
                self.unknown("way to compare names", word, span, &["plain", "re"]);
                None
            }
        }
    }
}

/// A replacement as Python writes it (`\1`, `\g<name>`) in the way of the `regex` crate.
fn replacement(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('$', _) => out.push_str("$$"),
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                let digits = std::iter::from_fn(|| rest.next_if(char::is_ascii_digit)).take(2);
                out.push_str(&format!("${{{}}}", digits.collect::<String>()));
            }
            ('\\', Some('g')) => {
                rest.next();
                let name: String = rest.by_ref().take_while(|c| *c != '>').collect();
                out.push_str(&format!("${{{}}}", name.trim_start_matches('<')));
            }
            ('\\', Some('\\')) => {
                rest.next();
                out.push('\\');
            }
            ('\\', Some('n')) => {
                rest.next();
                out.push('\n');
            }
            ('\\', Some('t')) => {
                rest.next();
                out.push('\t');
            }
            (c, _) => out.push(c),
        }
    }
    out
}

fn logsource(node: &Node) -> Logsource {
    let text = |key: &str| Some(node.get(key)?.text()?.to_owned());
    Logsource {
        category: text("category"),
        product: text("product"),
        service: text("service"),
    }
}
