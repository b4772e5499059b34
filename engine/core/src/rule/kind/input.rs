//! What a rule looks at: events that meet a condition, detections of other rules, or detections whose event
//! meets a condition.

use super::super::model::Selector;
use super::super::place::Place;
use super::super::read::{Fields, Reader, span_of};
use super::{read_rules, read_selectors};
use crate::diagnostic::Span;
use crate::limits::RULE_GROUP_PARTS_MAX;

/// One of the things that a rule looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name of the step; empty when there is only one input.
    pub name: String,
    /// Holds of the event, or of the event of the detection.
    pub when: Option<Selector>,
    /// The rules whose detections are wanted; events themselves when there are none.
    pub rules: Vec<RuleRef>,
    /// The group of such an event, where it differs from the rule's `group_by`.
    pub group_by: Option<Vec<Selector>>,
    /// Where it is written.
    pub place: Place,
}

/// Other rules, named by id or by a pattern with `*`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleRef {
    /// As written.
    pub pattern: String,
    /// Where.
    pub place: Place,
}

impl Input {
    /// The input that a selector in the table of a kind makes.
    pub(super) fn of_table(when: Selector) -> Self {
        Self {
            name: String::new(),
            place: when.place.clone(),
            when: Some(when),
            rules: Vec::new(),
            group_by: None,
        }
    }
}

impl RuleRef {
    /// Whether it names several rules.
    pub fn is_pattern(&self) -> bool {
        self.pattern.contains('*')
    }

    /// Whether it names the rule of this id. `*` stands for any text.
    pub fn names(&self, id: &str) -> bool {
        let mut parts = self.pattern.split('*');
        let first = parts.next().unwrap_or("");
        let Some(mut rest) = id.strip_prefix(first) else {
            return false;
        };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else {
            return rest.is_empty();
        };
        for part in middle {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// The input that `when` and `rules` at the top of the rule make; nothing when neither is there.
pub(super) fn read_top(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Input> {
    let value = fields.value("when").or_else(|| fields.value("rules"))?;
    read(reader, fields, String::new(), span_of(value))
}

/// The input that the keys `when`, `rules` and `group_by` of a step make. At the top of a rule `group_by` is the
/// whole rule's.
pub(super) fn read(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: String,
    span: Span,
) -> Option<Input> {
    let before = reader.errors();
    let when = fields.selector(reader, "when");
    let rules = read_rules(reader, fields);
    let of_step = !name.is_empty() && fields.value("group_by").is_some();
    let group_by = if of_step {
        Some(read_selectors(
            reader,
            fields,
            "group_by",
            RULE_GROUP_PARTS_MAX,
        )?)
    } else {
        None
    };
    let place = reader.place(span);
    (reader.errors() == before && (when.is_some() || !rules.is_empty())).then_some(Input {
        name,
        when,
        rules,
        group_by,
        place,
    })
}

#[cfg(test)]
mod tests {
    use super::RuleRef;
    use crate::diagnostic::{Source, Span};
    use crate::rule::Place;
    use std::sync::Arc;

    #[test]
    fn patterns_name_rules() {
        let source = Arc::new(Source {
            name: String::new(),
            text: String::new(),
        });
        let names = |pattern: &str, id: &str| {
            let place = Place {
                source: source.clone(),
                span: Span::default(),
            };
            let pattern = pattern.to_owned();
            RuleRef { pattern, place }.names(id)
        };
        for (pattern, id, expected) in [
            ("a-b", "a-b", true),
            ("a-b", "a-bc", false),
            ("a-*", "a-b", true),
            ("*", "anything", true),
            ("*-root-*", "aws-root-login", true),
            ("*-root-*", "aws-root", false),
            ("a*a", "a", false),
            ("a*b*b", "a-b", false),
            ("a**b", "a-b", true),
        ] {
            assert_eq!(names(pattern, id), expected, "{pattern} {id}");
        }
    }
}
