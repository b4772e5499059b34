//! On what a transformation depends: the rule, the line of a selection, the name of a field.

use crate::sigma::detection::{Detection, Item};
use crate::sigma::draft::{Body, Draft, Logsource};
use crate::sigma::yaml::Value;

/// Conditions together.
#[derive(Debug)]
pub(super) struct Group<T> {
    pub(super) tests: Vec<T>,
    /// One is enough.
    pub(super) any: bool,
    pub(super) negated: bool,
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self {
            tests: Vec::new(),
            any: false,
            negated: false,
        }
    }
}

impl<T> Group<T> {
    /// Whether the conditions hold; without any they do.
    pub(super) fn holds(&self, mut test: impl FnMut(&T) -> bool) -> bool {
        if self.tests.is_empty() {
            return true;
        }
        let holds = if self.any {
            self.tests.iter().any(&mut test)
        } else {
            self.tests.iter().all(test)
        };
        holds != self.negated
    }
}

/// A condition on a rule.
#[derive(Debug)]
pub(super) enum RuleTest {
    Logsource(Logsource),
    ContainsField(String),
    ContainsItem(String, Option<String>),
    Applied(String),
    IsRule,
    IsCorrelation,
    Tag(String),
    /// An attribute and its text.
    Attribute(String, String),
}

impl RuleTest {
    pub(super) fn holds(&self, draft: &Draft) -> bool {
        match self {
            Self::Logsource(wanted) => draft.logsource.satisfies(wanted),
            Self::ContainsField(field) => {
                any_item(draft, &mut |item| item.field.as_ref() == Some(field))
            }
            Self::ContainsItem(field, value) => any_item(draft, &mut |item| {
                let of_field = item.field.as_ref() == Some(field);
                let has = |wanted: &String| {
                    let mut texts = item.values.iter().filter_map(|node| node.text());
                    texts.any(|text| text.eq_ignore_ascii_case(wanted))
                };
                of_field && value.as_ref().is_none_or(has)
            }),
            Self::Applied(id) => draft.applied.contains(id),
            Self::IsRule => matches!(draft.body, Body::Rule(_)),
            Self::IsCorrelation => matches!(draft.body, Body::Correlation(_)),
            Self::Tag(tag) => draft.meta.tags.contains(tag),
            Self::Attribute(name, value) => {
                let meta = &draft.meta;
                let own = match name.as_str() {
                    "level" => meta.level.as_deref(),
                    "status" => meta.status.as_deref(),
                    "author" => meta.author.as_deref(),
                    "id" => meta.id.as_deref(),
                    "name" => meta.name.as_deref(),
                    "title" => Some(meta.title.as_str()),
                    _ => None,
                };
                own == Some(value)
            }
        }
    }
}

fn any_item(draft: &Draft, test: &mut dyn FnMut(&Item) -> bool) -> bool {
    let Body::Rule(body) = &draft.body else {
        return false;
    };
    let detections = body.selections.iter().map(|one| &one.detection);
    let mut detections = detections.collect::<Vec<&Detection>>().into_iter();
    detections.any(|detection| detection.any_item(test))
}

/// A condition on a line of a selection.
#[derive(Debug)]
pub(super) enum ItemTest {
    /// A pattern that one or all of the values match.
    MatchString {
        pattern: regex::Regex,
        all: bool,
        negated: bool,
    },
    IsNull,
    Applied(String),
}

impl ItemTest {
    pub(super) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::MatchString {
                pattern,
                all,
                negated,
            } => {
                let one = |node: &crate::sigma::yaml::Node| {
                    node.text().is_some_and(|text| pattern.is_match(text))
                };
                let holds = if *all {
                    item.values.iter().all(one)
                } else {
                    item.values.iter().any(one)
                };
                holds != *negated
            }
            Self::IsNull => item.values.iter().all(|node| node.value == Value::Null),
            Self::Applied(id) => item.applied.contains(id),
        }
    }
}

/// A condition on the name of a field.
#[derive(Debug)]
pub(super) enum FieldTest {
    OneOf {
        names: Vec<String>,
        negated: bool,
    },
    Matches {
        patterns: Vec<regex::Regex>,
        negated: bool,
    },
    Applied(String),
}

impl FieldTest {
    pub(super) fn holds(&self, field: &str, item: Option<&Item>) -> bool {
        match self {
            Self::OneOf { names, negated } => names.iter().any(|name| name == field) != *negated,
            Self::Matches { patterns, negated } => {
                patterns.iter().any(|pattern| pattern.is_match(field)) != *negated
            }
            Self::Applied(id) => item.is_some_and(|item| item.applied.contains(id)),
        }
    }
}
