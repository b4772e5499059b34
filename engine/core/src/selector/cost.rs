//! How expensive a selector can be on one event, before any event is seen.
//!
//! One unit is about one comparison, or ten bytes of text touched. Relies on the types of the checker and on the
//! assumed sizes in `limits` (`COST_TEXT_BYTES`, `COST_LIST_ELEMENTS`): an event may have longer texts and lists, so the
//! evaluator counts the same units while it runs and stops at the same limit. The estimate exists to refuse
//! what could be expensive on ordinary events while its author is still there.
//!
//! Lists inside lists are not charged as products: the inner lists of one event's list share its elements, so going
//! through all of them takes as long as there are elements. A macro's body is therefore estimated twice: once for
//! an element that holds everything, and once per element for elements that hold nothing (costs grow at
//! least linearly with size, so no other division of the elements is more expensive). Going through an
//! unrelated list for every element is a product, and is charged as one.
//!
//! All arithmetic saturates. Rejected: charging by nesting alone, which refuses harmless rules and lets a chain
//! of `x + x` through.

use super::ast::{BinaryOp, Comprehension, Expr, ExprId, ExprKind, Literal};
use super::check::Checked;
use super::declare::{self, Cost};
use super::print;
use super::types::Type;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits;
use std::collections::BTreeMap;

/// The cost of an expression, and which part has most of it.
pub(super) struct Estimate {
    pub(super) total: u64,
    heaviest: Span,
    heaviest_text: String,
}

impl Estimate {
    /// The diagnostic when the cost is above the limit.
    pub(super) fn refusal(&self) -> Option<Diagnostic> {
        if self.total <= limits::SELECTOR_COST_MAX {
            return None;
        }
        let (total, limit) = (self.total, limits::SELECTOR_COST_MAX);
        let amount = if total == u64::MAX {
            "an unbounded number of".to_owned()
        } else {
            total.to_string()
        };
        let message = format!("this could cost {amount} units on one event, more than {limit}");
        Some(
            Diagnostic::new(Code::TooExpensive, self.heaviest, message)
                .with_caret("most of it is here")
                .with_help(format!(
                    "lists are taken to have {} elements and texts {} bytes: use `in` instead of a nested macro, \
                     or test something cheap and rare in a rule of its own\n{}",
                    limits::COST_LIST_ELEMENTS,
                    limits::COST_TEXT_BYTES,
                    self.heaviest_text
                )),
        )
    }
}

/// How large a value may be.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Bytes of the text, or of the largest text inside.
    text: u64,
    /// Elements of the list or map and of everything inside, together.
    elements: u64,
}

const SMALL: Size = Size {
    text: 0,
    elements: 0,
};
const OF_EVENT: Size = Size {
    text: limits::COST_TEXT_BYTES,
    elements: limits::COST_LIST_ELEMENTS,
};

struct Estimator<'a> {
    checked: &'a Checked,
    scopes: Vec<(&'a str, Size)>,
    slots: Vec<Size>,
    /// How often the current part runs.
    times: u64,
    /// Macros around the current part.
    nesting: u32,
    /// What each part costs over the whole evaluation.
    parts: BTreeMap<ExprId, (&'a Expr, u64)>,
}

/// Macros within macros of which the body is estimated twice; deeper ones are charged as products, so that an
/// estimate takes at most 2 to this power walks.
const NESTING_MAX: u32 = 6;

/// Estimates one evaluation of `expr`.
pub(super) fn estimate(expr: &Expr, checked: &Checked) -> Estimate {
    let mut estimator = Estimator {
        checked,
        scopes: Vec::new(),
        slots: Vec::new(),
        times: 1,
        nesting: 0,
        parts: BTreeMap::new(),
    };
    let (total, _) = estimator.visit(expr);
    let half = estimator
        .parts
        .values()
        .filter(|(_, cost)| *cost >= total / 2);
    let heaviest = half
        .map(|(part, _)| *part)
        .min_by_key(|part| part.span.end.saturating_sub(part.span.start))
        .unwrap_or(expr);
    let heaviest_text = match total > limits::SELECTOR_COST_MAX {
        true => print(heaviest).chars().take(200).collect(),
        false => String::new(),
    };
    Estimate {
        total,
        heaviest: heaviest.span,
        heaviest_text,
    }
}

/// Units for so many bytes.
fn text_units(bytes: u64) -> u64 {
    bytes / limits::COST_BYTES_PER_UNIT
}

impl<'a> Estimator<'a> {
    fn visit(&mut self, expr: &'a Expr) -> (u64, Size) {
        let (cost, size) = self.kind(expr);
        let cost = cost.saturating_add(1);
        let part = self.parts.entry(expr.id).or_insert((expr, 0));
        part.1 = part.1.saturating_add(cost.saturating_mul(self.times));
        (cost, size)
    }

    /// The sum of the costs; the longest text and all elements together.
    fn all(&mut self, exprs: impl IntoIterator<Item = &'a Expr>) -> (u64, Size) {
        let mut sum = 0u64;
        let mut largest = SMALL;
        for expr in exprs {
            let (cost, size) = self.visit(expr);
            sum = sum.saturating_add(cost);
            largest = Size {
                text: largest.text.max(size.text),
                elements: largest.elements.saturating_add(size.elements),
            };
        }
        (sum, largest)
    }

    fn kind(&mut self, expr: &'a Expr) -> (u64, Size) {
        match &expr.kind {
            ExprKind::Literal(Literal::String(text)) => (
                0,
                Size {
                    text: text.len() as u64,
                    elements: 0,
                },
            ),
            ExprKind::Literal(Literal::Bytes(bytes)) => (
                0,
                Size {
                    text: bytes.len() as u64,
                    elements: 0,
                },
            ),
            ExprKind::Literal(_) => (0, SMALL),
            ExprKind::Ident(name) => {
                let scoped = self.scopes.iter().rev().find(|(scoped, _)| scoped == name);
                (0, scoped.map_or(OF_EVENT, |(_, size)| *size))
            }
            ExprKind::Select { operand, .. } => {
                let (cost, size) = self.visit(operand);
                (cost, self.sized_by_type(expr, size))
            }
            ExprKind::Has { operand, .. } => (self.visit(operand).0, SMALL),
            ExprKind::Index { operand, index, .. } => {
                let (cost, size) = self.visit(operand);
                let (index_cost, _) = self.visit(index);
                (
                    cost.saturating_add(index_cost),
                    self.sized_by_type(expr, size),
                )
            }
            ExprKind::Call { function, args, .. } => {
                let sizes: Vec<(u64, Size)> = args.iter().map(|arg| self.visit(arg)).collect();
                self.function(function, false, &sizes, args)
            }
            ExprKind::MemberCall {
                target,
                function,
                args,
                ..
            } => {
                let mut sizes = vec![self.visit(target)];
                sizes.extend(args.iter().map(|arg| self.visit(arg)));
                self.function(function, true, &sizes, args)
            }
            ExprKind::Unary(_, operand) => (self.visit(operand).0, SMALL),
            ExprKind::Binary(operator, left, right) => self.binary(*operator, left, right),
            ExprKind::And(operands) | ExprKind::Or(operands) => (self.all(operands).0, SMALL),
            ExprKind::Conditional {
                condition,
                then,
                otherwise,
            } => {
                let (cost, _) = self.visit(condition);
                let ((left, left_size), (right, right_size)) =
                    (self.visit(then), self.visit(otherwise));
                (
                    cost.saturating_add(left.max(right)),
                    largest(left_size, right_size),
                )
            }
            other => self.composed(other),
        }
    }

    fn composed(&mut self, kind: &'a ExprKind) -> (u64, Size) {
        match kind {
            ExprKind::List(items) => {
                let (cost, size) = self.all(items.iter().map(|item| &item.value));
                (
                    cost,
                    Size {
                        elements: size.elements.saturating_add(items.len() as u64),
                        ..size
                    },
                )
            }
            ExprKind::Map(entries) => {
                let parts = entries.iter().flat_map(|entry| [&entry.key, &entry.value]);
                let (cost, size) = self.all(parts);
                (
                    cost,
                    Size {
                        elements: size.elements.saturating_add(entries.len() as u64),
                        ..size
                    },
                )
            }
            ExprKind::Struct { fields, .. } => self.all(fields.iter().map(|field| &field.value)),
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExprKind::Bind { name, value, body } => {
                let (cost, size) = self.visit(value);
                let (body_cost, body_size) = self.scoped(&[(name, size)], body);
                (cost.saturating_add(body_cost), body_size)
            }
            ExprKind::OptMap {
                target, name, body, ..
            } => {
                let (cost, size) = self.visit(target);
                let (body_cost, body_size) = self.scoped(&[(name, size)], body);
                (cost.saturating_add(body_cost), body_size)
            }
            ExprKind::Block { slots, body } => {
                let before = self.slots.len();
                let mut sum = 0u64;
                for slot in slots {
                    let (cost, size) = self.visit(slot);
                    sum = sum.saturating_add(cost);
                    self.slots.push(size);
                }
                let (cost, size) = self.visit(body);
                self.slots.truncate(before);
                (sum.saturating_add(cost), size)
            }
            _ => (0, SMALL),
        }
    }

    fn scoped(&mut self, variables: &[(&'a str, Size)], body: &'a Expr) -> (u64, Size) {
        let before = self.scopes.len();
        self.scopes.extend_from_slice(variables);
        let found = self.visit(body);
        self.scopes.truncate(before);
        found
    }

    /// The part of a value is no larger than the value; scalars are small.
    fn sized_by_type(&self, expr: &Expr, size: Size) -> Size {
        match self.checked.type_of(expr.id).non_null() {
            Type::Bool | Type::Int | Type::Uint | Type::Double => SMALL,
            Type::String => Size {
                elements: 0,
                ..size
            },
            _ => size,
        }
    }

    fn comprehension(&mut self, comprehension: &'a Comprehension) -> (u64, Size) {
        let Comprehension {
            range,
            variable,
            variable_second,
            condition,
            transform,
            ..
        } = comprehension;
        let (range_cost, range_size) = self.visit(range);
        let count = range_size.elements;
        let second = variable_second.as_deref();
        self.nesting += 1;
        let (whole, made, each, made_each) = if self.nesting <= NESTING_MAX {
            let (whole, made) =
                self.body([Some(variable), second], range_size, condition, transform);
            let nothing = Size {
                elements: 0,
                ..range_size
            };
            let (each, made_each) = self.repeated(count, |estimator| {
                estimator.body([Some(variable), second], nothing, condition, transform)
            });
            (whole, made, each, made_each)
        } else {
            let (each, made) = self.repeated(count, |estimator| {
                estimator.body([Some(variable), second], range_size, condition, transform)
            });
            (0, made, each, made)
        };
        self.nesting -= 1;
        let cost = range_cost
            .saturating_add(whole)
            .saturating_add(count.saturating_mul(each));
        let elements = match transform {
            Some(_) => {
                let inside = count.saturating_mul(made_each.elements.saturating_add(1));
                made.elements.saturating_add(inside)
            }
            None => count,
        };
        (
            cost,
            Size {
                text: made.text,
                elements,
            },
        )
    }

    fn repeated<R>(&mut self, count: u64, inner: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.times;
        self.times = self.times.saturating_mul(count);
        let result = inner(self);
        self.times = before;
        result
    }

    /// One round of a macro: its cost, and the size of what it makes.
    fn body(
        &mut self,
        variables: [Option<&'a str>; 2],
        size: Size,
        condition: &'a Option<Expr>,
        transform: &'a Option<Expr>,
    ) -> (u64, Size) {
        let variables: Vec<(&str, Size)> = variables
            .into_iter()
            .flatten()
            .map(|name| (name, size))
            .collect();
        let mut cost = 1u64;
        let mut made = size;
        if let Some(condition) = condition {
            cost = cost.saturating_add(self.scoped(&variables, condition).0);
        }
        if let Some(transform) = transform {
            let (transform_cost, transform_size) = self.scoped(&variables, transform);
            cost = cost.saturating_add(transform_cost);
            made = transform_size;
        }
        (cost, made)
    }

    fn binary(&mut self, operator: BinaryOp, left: &'a Expr, right: &'a Expr) -> (u64, Size) {
        let ((left_cost, left_size), (right_cost, right_size)) =
            (self.visit(left), self.visit(right));
        let both = left_cost.saturating_add(right_cost);
        let shorter = text_units(left_size.text.min(right_size.text));
        let text = |expr: &Expr| {
            matches!(
                self.checked.type_of(expr.id).non_null(),
                Type::String | Type::Bytes
            )
        };
        let own = match operator {
            BinaryOp::In if matches!(right.kind, ExprKind::List(_)) => text_units(left_size.text),
            BinaryOp::In => right_size.elements.saturating_mul(1 + shorter),
            BinaryOp::Add => text_units(left_size.text.saturating_add(right_size.text))
                .saturating_add(left_size.elements.saturating_add(right_size.elements)),
            BinaryOp::Equal | BinaryOp::NotEqual if !text(left) && !text(right) => {
                let elements = left_size.elements.min(right_size.elements);
                elements.saturating_add(1).saturating_mul(1 + shorter)
            }
            _ => shorter,
        };
        let size = match operator {
            BinaryOp::Add => Size {
                text: left_size.text.saturating_add(right_size.text),
                elements: left_size.elements.saturating_add(right_size.elements),
            },
            _ => SMALL,
        };
        (both.saturating_add(own), size)
    }

    fn function(
        &mut self,
        name: &str,
        member: bool,
        args: &[(u64, Size)],
        exprs: &[Expr],
    ) -> (u64, Size) {
        if name == "cel.index" {
            return (0, self.slot(exprs));
        }
        let cost = args
            .iter()
            .fold(0u64, |sum, (cost, _)| sum.saturating_add(*cost));
        let text = args
            .iter()
            .fold(0u64, |sum, (_, size)| sum.saturating_add(size.text));
        let elements = args
            .iter()
            .fold(0u64, |sum, (_, size)| sum.saturating_add(size.elements));
        let class = declare::overloads(name, member)
            .first()
            .map_or(Cost::Constant, |one| one.cost);
        let own = match class {
            Cost::Constant => 0,
            Cost::Text if name == "join" || name == "format" => {
                text_units(text.saturating_mul(elements.max(1))).saturating_add(elements)
            }
            Cost::Text if name.starts_with("any") => texts_units(name, args),
            Cost::Pattern if name.starts_with("any") => texts_units(name, args),
            Cost::Text => text_units(text),
            Cost::Pattern => {
                let pattern = args.get(1).map_or(0, |(_, size)| size.text);
                text_units(args.first().map_or(0, |(_, size)| size.text))
                    .saturating_mul(text_units(pattern).max(1))
            }
            Cost::Elements if matches!(name, "texts" | "numbers" | "dateParts") => 4,
            Cost::Elements if matches!(name, "hasField" | "isNullOrAbsent") => 4,
            Cost::Elements => elements,
            Cost::ElementsSquared => elements.saturating_mul(elements),
        };
        (
            cost.saturating_add(own),
            result_size(name, text, elements, args, exprs),
        )
    }

    fn slot(&self, exprs: &[Expr]) -> Size {
        let number = exprs.first().and_then(|arg| match arg.kind {
            ExprKind::Literal(Literal::Int(number)) => usize::try_from(number).ok(),
            _ => None,
        });
        number
            .and_then(|number| self.slots.get(number))
            .copied()
            .unwrap_or(OF_EVENT)
    }
}

/// How large the result of a function can be.
fn result_size(name: &str, text: u64, elements: u64, args: &[(u64, Size)], exprs: &[Expr]) -> Size {
    let text_of = |at: usize| args.get(at).map_or(0, |(_, size): &(u64, Size)| size.text);
    match name {
        "size" | "indexOf" | "lastIndexOf" | "contains" | "startsWith" | "endsWith" | "matches" => {
            SMALL
        }
        name if name.starts_with("any") => SMALL,
        "replace" => Size {
            text: text_of(0).saturating_mul(text_of(2).max(1)),
            elements: 0,
        },
        "join" | "format" => Size {
            text: text.saturating_mul(elements.max(1)),
            elements: 0,
        },
        // Pieces of four letters and a separator: what texts of audit events are made of.
        "split" => Size {
            text,
            elements: text / 5 + 1,
        },
        "base64.encode" | "strings.quote" => Size {
            text: text.saturating_mul(2),
            elements: 0,
        },
        "json.parse" => Size {
            text: OF_EVENT.text,
            elements: OF_EVENT.elements.max(text / 5),
        },
        // Nearly always one text.
        "texts" | "numbers" | "dateParts" if !exprs.is_empty() => Size {
            text: OF_EVENT.text,
            elements: 4,
        },
        "texts" => OF_EVENT,
        "lists.range" => {
            let count = exprs.first().and_then(|arg| match arg.kind {
                ExprKind::Literal(Literal::Int(count)) => u64::try_from(count).ok(),
                _ => None,
            });
            Size {
                text: 0,
                elements: count.unwrap_or(limits::COST_LIST_ELEMENTS),
            }
        }
        "string" => Size {
            text: text.max(40),
            elements: 0,
        },
        _ => Size { text, elements },
    }
}

/// Looking at every text of a list with every constant.
fn texts_units(name: &str, args: &[(u64, Size)]) -> u64 {
    let size = |at: usize| args.get(at).map_or(SMALL, |(_, size)| *size);
    let (texts, constants) = (size(0), size(1));
    let factor = if name == "anyMatches" { 5 } else { 1 };
    let each = match name {
        "anyIs" | "anyStartsWith" | "anyEndsWith" => 1 + constants.elements / 8,
        _ => constants.elements.max(1),
    };
    let per_text = text_units(texts.text).saturating_mul(factor);
    texts
        .elements
        .saturating_mul(1 + per_text.saturating_mul(each))
}

fn largest(left: Size, right: Size) -> Size {
    Size {
        text: left.text.max(right.text),
        elements: left.elements.max(right.elements),
    }
}
