//! Why a rule says what it says of one event: the selector as a tree, with values.
//!
//! Slow and complete where evaluation is fast and lazy: every part is evaluated, also those that a short cut
//! would skip, so that a person sees what each condition amounts to and what was absent. The verdict shown is the
//! verdict that evaluation gives; the same trace serves failing rule tests.

use super::ask::opinion;
use super::memory::{STEP, asks_state, mentions};
use super::outcome::Outcome;
use crate::diagnostic::Printable;
use crate::event::Event;
use crate::selector::ast::{Expr, ExprId, ExprKind, UnaryOp};
use serde_json::{Value as JsonValue, json};
use std::fmt::Write as _;

/// How the parts of a condition belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// `&&`
    All,
    /// `||`
    Any,
    /// `!`
    Not,
    /// One condition, not taken apart further.
    Leaf,
}

/// One value that a condition looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The expression, as written.
    pub text: String,
    /// Its value, or why it has none.
    pub value: Result<String, String>,
}

/// One condition of a selector and what it amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// The expression, as written.
    pub text: String,
    /// How `parts` are joined.
    pub joint: Joint,
    /// What it amounts to.
    pub outcome: Outcome,
    /// Why it is undecided, when it is.
    pub fault: Option<String>,
    /// Whether it alone decided the condition above it, and so on up to the verdict.
    pub decisive: bool,
    /// The values it looked at.
    pub values: Vec<Shown>,
    /// Its parts.
    pub parts: Vec<Reason>,
}

impl Reason {
    /// With what the policy that gives the rule its effect says: without an opinion the rule does not match.
    pub(super) fn and_policy(self, policy: &str, event: &Event<'_>, opined: Outcome) -> Self {
        let facts = event.facts();
        let failure = facts.map_or(Some("it was not asked"), |facts| facts.failure(policy));
        let outcome = match failure {
            Some(_) => Outcome::Unknown,
            None => opined,
        };
        let value = match (failure, opinion(policy, event)) {
            (Some(reason), _) => Err(reason.to_owned()),
            (None, None) => Ok("no opinion".to_owned()),
            (None, Some(said)) if said.reason.is_empty() => Ok(said.effect.to_string()),
            (None, Some(said)) => Ok(format!("{}: {}", said.effect, said.reason)),
        };
        let text = format!("policy.{policy}");
        let said = Self {
            text: text.clone(),
            joint: Joint::Leaf,
            outcome,
            fault: None,
            decisive: false,
            values: vec![Shown { text, value }],
            parts: Vec::new(),
        };
        let mut whole = Self {
            text: format!("{} && {}", self.text, said.text),
            joint: Joint::All,
            outcome: self.outcome.min(outcome),
            fault: None,
            decisive: false,
            values: Vec::new(),
            parts: match self.joint {
                Joint::All => self.parts.into_iter().chain([said]).collect(),
                _ => vec![self, said],
            },
        };
        whole.undecide();
        mark_decisive(&mut whole);
        whole
    }

    /// Forgets what decided.
    fn undecide(&mut self) {
        self.decisive = false;
        self.parts.iter_mut().for_each(Self::undecide);
    }

    /// Of an input that takes the detections of other rules.
    pub(super) fn of_detections(rules: &str) -> Self {
        Self {
            text: format!("detections of {rules}"),
            joint: Joint::Leaf,
            outcome: Outcome::Unknown,
            fault: Some("one event alone does not tell".to_owned()),
            decisive: false,
            values: Vec::new(),
            parts: Vec::new(),
        }
    }
}

/// What the trace of an evaluation knows of a sub-expression: its value as text and, for a boolean, which.
pub(super) struct Traced {
    pub(super) outcome: Outcome,
    pub(super) value: Result<String, String>,
}

/// Builds the tree of `expr` (read from `text`) from what `trace` knows of its parts.
pub(super) fn reason(expr: &Expr, text: &str, trace: &dyn Fn(ExprId) -> Option<Traced>) -> Reason {
    let mut root = Tree { text, trace }.reason(expr);
    mark_decisive(&mut root);
    root
}

struct Tree<'t> {
    text: &'t str,
    trace: &'t dyn Fn(ExprId) -> Option<Traced>,
}

impl Tree<'_> {
    fn reason(&self, expr: &Expr) -> Reason {
        let (joint, parts) = match &expr.kind {
            ExprKind::And(parts) => (
                Joint::All,
                parts.iter().map(|one| self.reason(one)).collect(),
            ),
            ExprKind::Or(parts) => (
                Joint::Any,
                parts.iter().map(|one| self.reason(one)).collect(),
            ),
            ExprKind::Unary(UnaryOp::Not, operand) => (Joint::Not, vec![self.reason(operand)]),
            _ => (Joint::Leaf, Vec::new()),
        };
        let traced = (self.trace)(expr.id);
        let outcome = traced
            .as_ref()
            .map_or(Outcome::Unknown, |traced| traced.outcome);
        let fault = match &traced {
            Some(Traced { value: Err(_), .. }) if mentions(expr, STEP) => {
                Some("asks about earlier steps".to_owned())
            }
            Some(Traced { value: Err(_), .. }) if asks_state(expr) => {
                Some("asks what is known of the event at its time".to_owned())
            }
            Some(Traced {
                value: Err(fault), ..
            }) => Some(fault.clone()),
            Some(_) => None,
            None => Some("not evaluated".to_owned()),
        };
        let mut values = Vec::new();
        if joint == Joint::Leaf {
            self.collect(expr, &mut values, true);
            values.dedup();
        }
        let text = one_line(expr.span.slice(self.text));
        Reason {
            text,
            joint,
            outcome,
            fault,
            decisive: false,
            values,
            parts,
        }
    }

    /// The largest parts below `expr` that are worth showing: not constants, not variables of macros.
    fn collect(&self, expr: &Expr, values: &mut Vec<Shown>, top: bool) {
        let shown = match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Ident(_) => return,
            // One event alone does not tell what it followed.
            _ if asks_state(expr) => false,
            ExprKind::Select { .. } | ExprKind::Index { .. } => true,
            ExprKind::MemberCall { .. } | ExprKind::Call { .. } => !top,
            _ => false,
        };
        if shown && let Some(traced) = (self.trace)(expr.id) {
            let text = one_line(expr.span.slice(self.text));
            let absent = traced.value.is_err();
            values.push(Shown {
                text,
                value: traced.value,
            });
            if !absent && matches!(expr.kind, ExprKind::Select { .. } | ExprKind::Index { .. }) {
                return;
            }
        }
        for part in parts_of(expr) {
            self.collect(part, values, false);
        }
    }
}

/// Direct parts of an expression outside macros' bodies, which run once per element.
fn parts_of(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Select { operand, .. } | ExprKind::Has { operand, .. } => vec![operand],
        ExprKind::Index { operand, index, .. } => vec![operand, index],
        ExprKind::Call { args, .. } => args.iter().collect(),
        ExprKind::MemberCall { target, args, .. } => {
            std::iter::once(&**target).chain(args).collect()
        }
        ExprKind::Unary(_, operand) => vec![operand],
        ExprKind::Binary(_, left, right) => vec![left, right],
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().collect(),
        ExprKind::Conditional {
            condition,
            then,
            otherwise,
        } => vec![condition, then, otherwise],
        ExprKind::List(items) => items.iter().map(|item| &item.value).collect(),
        ExprKind::Comprehension(comprehension) => vec![&comprehension.range],
        ExprKind::Bind { value, .. } => vec![value],
        ExprKind::OptMap { target, .. } => vec![target],
        _ => Vec::new(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Marks the path from the root down to the conditions that settled the verdict.
fn mark_decisive(reason: &mut Reason) {
    reason.decisive = true;
    let outcome = reason.outcome;
    match reason.joint {
        Joint::Leaf => {}
        Joint::Not => reason.parts.iter_mut().for_each(mark_decisive),
        Joint::All | Joint::Any => {
            // The value that decides by itself is settled by its first holder; the other needs all of them.
            let deciding = match reason.joint {
                Joint::All => outcome == Outcome::False,
                _ => outcome == Outcome::True,
            };
            let mut holders = reason
                .parts
                .iter_mut()
                .filter(|part| part.outcome == outcome);
            if deciding {
                holders.next().into_iter().for_each(mark_decisive);
            } else {
                holders.for_each(mark_decisive);
            }
        }
    }
}

impl Reason {
    /// As an indented text, safe to print: a mark per condition, values below it, an arrow at what decided.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        let mark = match self.outcome {
            Outcome::True => "true ",
            Outcome::False => "false",
            Outcome::Unknown => "?    ",
        };
        let label = match self.joint {
            Joint::All => "all of",
            Joint::Any => "any of",
            Joint::Not if self.parts.iter().any(|part| part.joint != Joint::Leaf) => "not",
            Joint::Not | Joint::Leaf => &self.text,
        };
        let leaf = self.parts.is_empty() || label == self.text;
        let label = Printable(label);
        let arrow = if self.decisive && leaf {
            "   <-- decides"
        } else {
            ""
        };
        let _ = writeln!(out, "{mark} {indent}{label}{arrow}");
        let shown = if self.joint == Joint::Not && leaf {
            &self.parts[0].values
        } else {
            &self.values
        };
        for shown in shown {
            let text = Printable(&shown.text);
            let _ = match &shown.value {
                Ok(value) => writeln!(out, "      {indent}  {text} = {}", Printable(value)),
                Err(fault) => writeln!(out, "      {indent}  {text}: {}", Printable(fault)),
            };
        }
        let said = shown.iter().any(|shown| shown.value.is_err());
        if let (Some(fault), true, false) = (&self.fault, leaf, said) {
            let _ = writeln!(out, "      {indent}  {}", Printable(fault));
        }
        if !leaf {
            for part in &self.parts {
                part.write(out, depth + 1);
            }
        }
    }

    /// As JSON, for tools.
    pub fn to_json(&self) -> JsonValue {
        json!({
            "expression": self.text,
            "joined": match self.joint {
                Joint::All => "all", Joint::Any => "any", Joint::Not => "not", Joint::Leaf => "leaf",
            },
            "outcome": match self.outcome {
                Outcome::True => "true", Outcome::False => "false", Outcome::Unknown => "unknown",
            },
            "fault": self.fault,
            "decisive": self.decisive,
            "values": self.values.iter().map(|shown| match &shown.value {
                Ok(value) => json!({"expression": shown.text, "value": value}),
                Err(fault) => json!({"expression": shown.text, "fault": fault}),
            }).collect::<Vec<_>>(),
            "parts": self.parts.iter().map(Self::to_json).collect::<Vec<_>>(),
        })
    }
}
