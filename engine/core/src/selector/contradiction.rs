//! Conditions that can never hold, or always do: nearly always a slip with `&&`, `||` or `!=`.
//!
//! Relies on types being right. Reads only what is certain from the text: facts about one and the same
//! expression (`x == "a"`, `x in [...]`, `x.startsWith("p")`, `x > 5`, `has(x)`), joined by `&&`, or under `!` by `||`.
//! Never claims more than that: expressions are the same only when they are printed the same, and an absent
//! field, which makes a condition an error and not true, is no objection to either warning. A solver
//! would find more and could not say why.

use super::ast::{BinaryOp, ComprehensionKind, Expr, ExprKind, Literal, UnaryOp};
use super::check::constant_text;
use super::print;
use crate::diagnostic::{Code, Diagnostic, Span};
use std::collections::{BTreeMap, BTreeSet};

/// How a text is tested by a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Prefix,
    Suffix,
    Inside,
}

/// What is said of one expression.
#[derive(Clone, Debug)]
enum Claim<'e> {
    /// It is one of these; constants in canonical text.
    OneOf(BTreeSet<String>),
    /// It is none of these.
    NoneOf(BTreeSet<String>),
    /// It has the part, or not.
    Part {
        part: Part,
        text: &'e str,
        wanted: bool,
    },
    /// It is above (or at) a number.
    Above { bound: f64, strict: bool },
    /// It is below (or at) a number.
    Below { bound: f64, strict: bool },
    /// `has` of it.
    Present(bool),
}

#[derive(Clone, Debug)]
struct Fact<'e> {
    about: String,
    claim: Claim<'e>,
    span: Span,
}

type Facts<'e> = BTreeMap<String, Vec<Fact<'e>>>;

/// Which question is asked of the facts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Can all hold?
    Never,
    /// The facts are the opposites of alternatives: can all alternatives fail?
    Always,
}

/// Adds a warning for every condition found.
pub(super) fn find(expr: &Expr, diagnostics: &mut Vec<Diagnostic>) {
    let mut finder = Finder { diagnostics };
    match &expr.kind {
        ExprKind::Literal(Literal::Bool(false)) => {
            finder.warn(
                Code::NeverMatches,
                expr.span,
                "this selector never matches",
                None,
            );
        }
        ExprKind::Literal(Literal::Bool(true)) => {
            finder.warn(
                Code::AlwaysMatches,
                expr.span,
                "this selector matches every event",
                None,
            );
        }
        _ => finder.condition(expr, &Facts::new()),
    }
}

struct Finder<'d> {
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl Finder<'_> {
    fn warn(&mut self, code: Code, span: Span, message: &str, other: Option<(Span, &str)>) {
        let mut diagnostic = Diagnostic::new(code, span, message);
        if let Some((place, label)) = other {
            diagnostic = diagnostic.with_label(place, label);
        }
        diagnostic = diagnostic.with_help(match (code, other) {
            (Code::NeverMatches, None) => "nothing is in an empty list, and `false` is never true",
            (Code::NeverMatches, Some(_)) => {
                "a value is one thing at a time: join alternatives with `||` or `in [...]`"
            }
            _ => "join with `&&`, or negate a list: `!(value in [...])`",
        });
        self.diagnostics.push(diagnostic);
    }

    /// Looks at a condition that must hold together with `given`.
    fn condition<'e>(&mut self, expr: &'e Expr, given: &Facts<'e>) {
        let mut own = Vec::new();
        facts(expr, true, &mut own);
        let mut all = Facts::new();
        for fact in own {
            let known = given.get(&fact.about).into_iter().flatten().cloned();
            all.entry(fact.about.clone())
                .or_insert_with(|| known.collect())
                .push(fact);
        }
        for group in all.values() {
            if let Some((fact, before)) = conflict(group, Question::Never) {
                let message = "this condition can never hold";
                let other = before.map(|before| (before, "because of this"));
                self.warn(Code::NeverMatches, fact, message, other);
                return;
            }
        }
        for (about, group) in given {
            all.entry(about.clone()).or_insert_with(|| group.clone());
        }
        self.parts(expr, &all);
    }

    /// Looks at the alternatives and macros inside a condition of which `given` is known.
    fn parts<'e>(&mut self, expr: &'e Expr, given: &Facts<'e>) {
        match &expr.kind {
            ExprKind::And(operands) => operands.iter().for_each(|one| self.parts(one, given)),
            ExprKind::Or(operands) if !self.always(expr) => {
                operands.iter().for_each(|one| self.condition(one, given));
            }
            ExprKind::Unary(UnaryOp::Not, inner) => self.negated(inner),
            ExprKind::Comprehension(comprehension) => {
                let holds = matches!(
                    comprehension.kind,
                    ComprehensionKind::Exists
                        | ComprehensionKind::ExistsOne
                        | ComprehensionKind::Filter
                );
                if let Some(condition) = comprehension.condition.as_ref().filter(|_| holds) {
                    self.condition(condition, &Facts::new());
                }
            }
            _ => {}
        }
    }

    /// `!(a && b)` always holds when `a && b` never does.
    fn negated(&mut self, inner: &Expr) {
        let mut own = Vec::new();
        facts(inner, true, &mut own);
        if let Some((span, before)) = conflict_of(own, Question::Never) {
            let other = before.map(|before| (before, "because of this"));
            self.warn(
                Code::AlwaysMatches,
                span,
                "this can never hold, so its negation always does",
                other,
            );
        }
    }

    fn always(&mut self, expr: &Expr) -> bool {
        let mut opposites = Vec::new();
        facts(expr, false, &mut opposites);
        let Some((span, before)) = conflict_of(opposites, Question::Always) else {
            return false;
        };
        let other = before.map(|before| (before, "together with this"));
        self.warn(
            Code::AlwaysMatches,
            span,
            "these alternatives cover every value",
            other,
        );
        true
    }
}

/// Takes apart what holds when `expr` is `positive`.
fn facts<'e>(expr: &'e Expr, positive: bool, out: &mut Vec<Fact<'e>>) {
    match (&expr.kind, positive) {
        (ExprKind::And(operands), true) | (ExprKind::Or(operands), false) => {
            operands.iter().for_each(|one| facts(one, positive, out));
        }
        (ExprKind::Unary(UnaryOp::Not, inner), _) => facts(inner, !positive, out),
        (ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Conditional { .. }, _) => {}
        _ => {
            let (subject, claim) = atom(expr, positive);
            out.push(Fact {
                about: subject,
                claim,
                span: expr.span,
            });
        }
    }
}

/// What an atom says, and of what.
fn atom(expr: &Expr, positive: bool) -> (String, Claim<'_>) {
    match &expr.kind {
        ExprKind::Has { operand, field, .. } => (
            format!("{}.{field}", print(operand)),
            Claim::Present(positive),
        ),
        ExprKind::Literal(Literal::Bool(value)) => {
            let holds =
                BTreeSet::from([if *value == positive { "true" } else { "false" }.to_owned()]);
            (String::from("true"), Claim::OneOf(holds))
        }
        ExprKind::Binary(operator, left, right) => {
            match comparison(*operator, left, right, positive) {
                Some((subject, claim)) => (print(subject), claim),
                None => truth(expr, positive),
            }
        }
        ExprKind::MemberCall {
            target,
            function,
            args,
            ..
        } => {
            let part = match function.as_str() {
                "startsWith" => Part::Prefix,
                "endsWith" => Part::Suffix,
                "contains" => Part::Inside,
                _ => return truth(expr, positive),
            };
            match args.first().and_then(constant_text) {
                Some(text) => (
                    print(target),
                    Claim::Part {
                        part,
                        text,
                        wanted: positive,
                    },
                ),
                None => truth(expr, positive),
            }
        }
        _ => truth(expr, positive),
    }
}

fn truth(expr: &Expr, positive: bool) -> (String, Claim<'_>) {
    (
        print(expr),
        Claim::OneOf(BTreeSet::from([positive.to_string()])),
    )
}

fn comparison<'e>(
    operator: BinaryOp,
    left: &'e Expr,
    right: &'e Expr,
    positive: bool,
) -> Option<(&'e Expr, Claim<'e>)> {
    use BinaryOp as Op;
    let among = |values: BTreeSet<String>, equal: bool| match equal == positive {
        true => Claim::OneOf(values),
        false => Claim::NoneOf(values),
    };
    match operator {
        Op::Equal | Op::NotEqual => {
            let (subject, constant) = match (canonical(left), canonical(right)) {
                (None, Some(constant)) => (left, constant),
                (Some(constant), None) => (right, constant),
                _ => return None,
            };
            Some((
                subject,
                among(BTreeSet::from([constant]), operator == Op::Equal),
            ))
        }
        Op::In => {
            let ExprKind::List(items) = &right.kind else {
                return None;
            };
            let values: Option<BTreeSet<String>> =
                items.iter().map(|item| canonical(&item.value)).collect();
            Some((left, among(values?, true)))
        }
        Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => {
            let (subject, bound, flipped) = match (number(left), number(right)) {
                (None, Some(bound)) => (left, bound, false),
                (Some(bound), None) => (right, bound, true),
                _ => return None,
            };
            let (mut above, mut strict) = match operator {
                Op::Greater => (true, true),
                Op::GreaterEqual => (true, false),
                Op::Less => (false, true),
                _ => (false, false),
            };
            above ^= flipped;
            if !positive {
                (above, strict) = (!above, !strict);
            }
            Some((
                subject,
                if above {
                    Claim::Above { bound, strict }
                } else {
                    Claim::Below { bound, strict }
                },
            ))
        }
        _ => None,
    }
}

/// Integers up to this are exact as doubles.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

fn number(expr: &Expr) -> Option<f64> {
    let value = match &expr.kind {
        ExprKind::Literal(Literal::Int(value)) => *value as f64,
        ExprKind::Literal(Literal::Uint(value)) => *value as f64,
        ExprKind::Literal(Literal::Double(value)) => *value,
        _ => return None,
    };
    (value.abs() < EXACT_MAX).then_some(value)
}

/// A constant as text that is the same for equal constants; numbers are equal across types.
fn canonical(expr: &Expr) -> Option<String> {
    let ExprKind::Literal(literal) = &expr.kind else {
        return None;
    };
    Some(match (literal, number(expr)) {
        (_, Some(value)) => format!("{value}"),
        (Literal::Double(_), None) => return None,
        (Literal::Int(value), None) => value.to_string(),
        (Literal::Uint(value), None) => value.to_string(),
        _ => print(expr),
    })
}

fn conflict_of(facts: Vec<Fact<'_>>, question: Question) -> Option<(Span, Option<Span>)> {
    let mut groups = Facts::new();
    for fact in facts {
        groups.entry(fact.about.clone()).or_default().push(fact);
    }
    groups.values().find_map(|group| conflict(group, question))
}

/// The fact that cannot hold after those before it, and one of those.
fn conflict(group: &[Fact<'_>], question: Question) -> Option<(Span, Option<Span>)> {
    let mut state = State::default();
    for fact in group {
        if let Some(before) = state.add(fact, question) {
            return Some((fact.span, before));
        }
    }
    None
}

/// Everything known of one expression so far, with the place that said it.
#[derive(Default)]
struct State<'e> {
    candidates: Option<(BTreeSet<String>, Span)>,
    excluded: BTreeMap<String, Span>,
    parts: Vec<(Part, &'e str, bool, Span)>,
    above: Option<(f64, bool, Span)>,
    below: Option<(f64, bool, Span)>,
    present: Option<(bool, Span)>,
}

impl<'e> State<'e> {
    /// Adds a fact; the place of what it contradicts (nothing when it contradicts itself).
    fn add(&mut self, fact: &Fact<'e>, question: Question) -> Option<Option<Span>> {
        if let Some(before) = self.presence_conflict(fact, question) {
            return Some(Some(before));
        }
        match &fact.claim {
            Claim::OneOf(values) => {
                let constant_false = fact.about == "true" && values.contains("false");
                if values.is_empty() || constant_false {
                    return Some(None);
                }
                let before = self.candidates.as_ref().map(|(_, span)| *span);
                let mut left: BTreeSet<String> = match &self.candidates {
                    Some((candidates, _)) => candidates.intersection(values).cloned().collect(),
                    None => values.clone(),
                };
                if left.is_empty() {
                    return Some(before);
                }
                left.retain(|value| !self.excluded.contains_key(value));
                let failing = self
                    .parts
                    .iter()
                    .find(|part| !left.iter().any(|value| fits(value, part)));
                if left.is_empty() || failing.is_some() {
                    let excluded = self.excluded.values().next().copied();
                    return Some(failing.map(|part| part.3).or(excluded));
                }
                self.candidates = Some((left, fact.span));
            }
            Claim::NoneOf(values) => {
                for value in values {
                    self.excluded.entry(value.clone()).or_insert(fact.span);
                }
                if let Some((candidates, span)) = &mut self.candidates {
                    candidates.retain(|value| !values.contains(value));
                    if candidates.is_empty() {
                        return Some(Some(*span));
                    }
                }
            }
            Claim::Part { part, text, wanted } => {
                return self.add_part((*part, *text, *wanted, fact.span));
            }
            Claim::Above { bound, strict } => {
                let tighter = self.above.is_none_or(|(before, _, _)| *bound >= before);
                if tighter {
                    self.above = Some((*bound, *strict, fact.span));
                }
                return self.empty_range(self.below.map(|below| below.2));
            }
            Claim::Below { bound, strict } => {
                let tighter = self.below.is_none_or(|(before, _, _)| *bound <= before);
                if tighter {
                    self.below = Some((*bound, *strict, fact.span));
                }
                return self.empty_range(self.above.map(|above| above.2));
            }
            Claim::Present(_) => {}
        }
        None
    }

    fn presence_conflict(&mut self, fact: &Fact<'_>, question: Question) -> Option<Span> {
        let wanted = match (&fact.claim, question) {
            (Claim::Present(wanted), _) => *wanted,
            // A value that is true of the field needs the field.
            (_, Question::Never) => true,
            (_, Question::Always) => return None,
        };
        match self.present {
            Some((before, span)) if before != wanted => Some(span),
            Some(_) => None,
            None => {
                self.present = Some((wanted, fact.span));
                None
            }
        }
    }

    fn add_part(&mut self, new: (Part, &'e str, bool, Span)) -> Option<Option<Span>> {
        let (part, text, wanted, _) = new;
        for (other, other_text, other_wanted, span) in &self.parts {
            let opposite = part == *other && text == *other_text && wanted != *other_wanted;
            let apart = part == *other
                && wanted
                && *other_wanted
                && match part {
                    Part::Prefix => !text.starts_with(other_text) && !other_text.starts_with(text),
                    Part::Suffix => !text.ends_with(other_text) && !other_text.ends_with(text),
                    Part::Inside => false,
                };
            if opposite || apart {
                return Some(Some(*span));
            }
        }
        self.parts.push(new);
        let (candidates, span) = self.candidates.as_mut()?;
        candidates.retain(|value| fits(value, &new));
        candidates.is_empty().then_some(Some(*span))
    }

    fn empty_range(&self, before: Option<Span>) -> Option<Option<Span>> {
        let ((low, low_strict, _), (high, high_strict, _)) = (self.above?, self.below?);
        let empty = low > high || (low == high && (low_strict || high_strict));
        empty.then_some(before)
    }
}

/// Whether a canonical constant passes a test of a part; constants that are no text do not get here.
fn fits(value: &str, (part, text, wanted, _): &(Part, &str, bool, Span)) -> bool {
    let Ok(parsed) = super::parse(value) else {
        return true;
    };
    let Some(whole) = constant_text(&parsed) else {
        return true;
    };
    let found = match part {
        Part::Prefix => whole.starts_with(text),
        Part::Suffix => whole.ends_with(text),
        Part::Inside => whole.contains(text),
    };
    found == *wanted
}

#[cfg(test)]
mod tests {
    use crate::selector::check::{CheckEnv, check as check_expr};
    use crate::selector::parse;

    /// The codes and places of the warnings for `text`.
    fn check(text: &str, expected: &[&str]) {
        let expr = parse(text).expect("valid");
        let checked = check_expr(&expr, &CheckEnv::condition(text, None));
        let found: Vec<String> = checked
            .diagnostics
            .iter()
            .map(|one| format!("{} {}", one.code.as_str(), one.span.slice(text)))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn conditions_that_can_never_hold_are_found() {
        check(
            "event.a == 'x' && event.b == 1 && event.a == 'y'",
            &["W2002 event.a == 'y'"],
        );
        check(
            "event.a in ['x', 'y'] && event.a in ['z']",
            &["W2002 event.a in ['z']"],
        );
        check("event.a in []", &["W2002 event.a in []"]);
        check("event.a == 'x' && false", &["W2002 false"]);
        check(
            "event.a == 'xyz' && event.a.startsWith('y')",
            &["W2002 event.a.startsWith('y')"],
        );
        check(
            "event.a.startsWith('x') && event.a.startsWith('y')",
            &["W2002 event.a.startsWith('y')"],
        );
        check(
            "event.a.endsWith('x') && !event.a.endsWith('x')",
            &["W2002 event.a.endsWith('x')"],
        );
        check(
            "event.a in ['x', 'y'] && event.a != 'x' && event.a != 'y'",
            &["W2002 event.a != 'y'"],
        );
        check("event.n > 5 && event.n < 5", &["W2002 event.n < 5"]);
        check("event.n >= 5 && 5 > event.n", &["W2002 5 > event.n"]);
        check("has(event.a) && !has(event.a)", &["W2002 has(event.a)"]);
        check("!has(event.a) && event.a == 'x'", &["W2002 event.a == 'x'"]);
        check("event.f && !event.f", &["W2002 event.f"]);
        check("event.n == 1 && event.n == 1.5", &["W2002 event.n == 1.5"]);
        check(
            "event.a == 'x' && (event.a == 'y' || event.b == 'z')",
            &["W2002 event.a == 'y'"],
        );
        check(
            "event.l.exists(x, x == 'a' && x == 'b')",
            &["W2002 x == 'b'"],
        );
        check("false", &["W2002 false"]);
    }

    #[test]
    fn conditions_that_always_hold_are_found() {
        check(
            "event.a != 'x' || event.a != 'y'",
            &["W2003 event.a != 'y'"],
        );
        check(
            "event.b == 1 && (event.a != 'x' || event.a != 'y')",
            &["W2003 event.a != 'y'"],
        );
        check("has(event.a) || !has(event.a)", &["W2003 has(event.a)"]);
        check(
            "!(event.a == 'x' && event.a == 'y')",
            &["W2003 event.a == 'y'"],
        );
        check("event.n > 3 || event.n < 5", &["W2003 event.n < 5"]);
        check("true", &["W2003 true"]);
    }

    #[test]
    fn ordinary_conditions_are_left_alone() {
        for text in [
            "event.a == 'x' && event.b == 'y'",
            "event.a == 'x' || event.a == 'y'",
            "event.a != 'x' && event.a != 'y'",
            "event.a in ['x', 'y'] && event.a != 'x'",
            "event.a.startsWith('x') && event.a.startsWith('xy') && !event.a.startsWith('xyz')",
            "event.n > 3 && event.n < 5",
            "event.n == 1 && event.n == 1.0",
            "!has(event.a) || event.a == 'x'",
            "has(event.a) || event.a == 'x'",
            "has(event.a) && event.a == 'x'",
            "event.a.contains('x') && event.a.contains('y')",
            "(event.a == 'x' || event.b == 'y') && (event.a == 'z' || event.b == 'w')",
            "event.a == 'x' ? event.b == 'y' : event.b == 'z'",
        ] {
            check(text, &[]);
        }
    }
}
