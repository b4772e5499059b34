//! From a selector's tree to a formula over conditions that an index understands.
//!
//! A condition tests one field of the event against constants. Whatever is not of that form stays a
//! *residual*, an ordinary CEL expression evaluated by the program. Negations are pushed to the leaves, which
//! the algebra of `Outcome` allows. Nothing here decides what is worth indexing (`key` does), and nothing may
//! change a verdict: each recognised form states what it says of an absent field and of a value of the
//! wrong type, exactly as CEL would.

use super::number_order::compare;
use super::outcome::Outcome;
use super::texts::{Texts, path_of};
use crate::event::{FieldId, FieldPath, FieldSet, Number};
use crate::selector::ast::{BinaryOp, Expr, ExprKind, Literal, UnaryOp};
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// A scalar that conditions compare with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    /// Text in any case, ASCII letters low; only ever part of a key.
    Folded(Box<str>),
    /// Not a value but a half-line of numbers; only ever part of a key.
    Bound(Comparison, Number),
}

/// What a condition asks of a field that is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// `==` any of these. Never undecided: values of different types are unequal.
    AnyOf(Vec<Constant>),
    /// `startsWith`; undecided for what is not a string. So are the next two.
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<str>),
    /// `<`, `<=`, `>`, `>=` a number; undecided for what is not a number.
    Compare(Comparison, Number),
    /// `has(…)`, `….hasValue()`.
    Present,
    /// The field itself as a condition; undecided for what is not a boolean.
    IsTrue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// One test of one field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) field: FieldId,
    /// Part of the path that was selected plainly: when it is absent the condition is undecided.
    pub(super) required: Option<FieldId>,
    /// What an absent field (whose `required` part is there) amounts to.
    pub(super) absent: Outcome,
    /// The field is inside an object that may itself be absent.
    pub(super) nested: bool,
    pub(super) test: Test,
}

/// A piece of text of which one must be in the field, or the residual is false.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Necessary {
    pub(super) field: FieldId,
    /// An absent field leaves the residual undecided, instead of standing for an empty text.
    pub(super) absent: bool,
    /// So does an absent object around the field.
    pub(super) unreachable: bool,
    pub(super) any_of: Vec<Constant>,
}

/// A selector, with negations at the leaves only.
#[derive(Clone, Debug)]
pub(super) enum Formula<'s> {
    Fixed(Outcome),
    Condition {
        condition: Condition,
        negated: bool,
    },
    Residual {
        expr: &'s Expr,
        negated: bool,
        necessary: Option<Necessary>,
    },
    /// A condition on the texts at a path; never undecided.
    Texts {
        expr: &'s Expr,
        negated: bool,
        texts: Texts,
    },
    And(Vec<Formula<'s>>),
    Or(Vec<Formula<'s>>),
}

/// Reads `expr` as a formula, interning the fields that it names.
pub(super) fn formula<'s>(expr: &'s Expr, fields: &mut FieldSet) -> Formula<'s> {
    Reader { fields }.read(expr, false)
}

struct Reader<'f> {
    fields: &'f mut FieldSet,
}

impl Reader<'_> {
    fn read<'s>(&mut self, expr: &'s Expr, negated: bool) -> Formula<'s> {
        match &expr.kind {
            ExprKind::Literal(Literal::Bool(value)) => {
                Formula::Fixed(Outcome::from(*value).negated_if(negated))
            }
            ExprKind::Unary(UnaryOp::Not, operand) => self.read(operand, !negated),
            ExprKind::And(parts) => self.join(parts, negated, negated),
            ExprKind::Or(parts) => self.join(parts, !negated, negated),
            _ => match self.condition(expr) {
                Some((condition, flipped)) => Formula::Condition {
                    condition,
                    negated: negated != flipped,
                },
                None => {
                    if let Some(texts) = Texts::of(expr, self.fields) {
                        return Formula::Texts {
                            expr,
                            negated,
                            texts,
                        };
                    }
                    let necessary = if negated { None } else { self.necessary(expr) };
                    Formula::Residual {
                        expr,
                        negated,
                        necessary,
                    }
                }
            },
        }
    }

    /// De Morgan: an `&&` under a negation is an `||` of the negated parts.
    fn join<'s>(&mut self, parts: &'s [Expr], as_or: bool, negated: bool) -> Formula<'s> {
        let mut out: Vec<Formula<'s>> = Vec::with_capacity(parts.len());
        for part in parts {
            match (self.read(part, negated), as_or) {
                (Formula::Or(inner), true) | (Formula::And(inner), false) => out.extend(inner),
                (other, _) => out.push(other),
            }
        }
        if as_or {
            merge_alternatives(&mut out);
        }
        match out.len() {
            1 => out.remove(0),
            _ if as_or => Formula::Or(out),
            _ => Formula::And(out),
        }
    }

    /// The condition that `expr` is, and whether it is the negation of it.
    fn condition(&mut self, expr: &Expr) -> Option<(Condition, bool)> {
        match &expr.kind {
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right),
            ExprKind::MemberCall {
                target,
                function,
                args,
                ..
            } => self
                .member_call(target, function, args)
                .map(|condition| (condition, false)),
            ExprKind::Has { operand, field, .. } => {
                let mut path = Path::of(operand)?;
                if path.optional {
                    return None;
                }
                let required = self.plain_part(&path);
                path.keys.push(field.clone());
                let nested = path.keys.len() > 1;
                let field = self.intern(path.keys)?;
                let test = Test::Present;
                Some((
                    Condition {
                        field,
                        required,
                        absent: Outcome::False,
                        nested,
                        test,
                    },
                    false,
                ))
            }
            // Of the event itself nothing can be a list, so there it is `has`.
            ExprKind::Call { function, .. } if function == "hasField" => {
                let path = path_of(expr, "hasField")?.field()?;
                let top = path.parent().is_none();
                let field = top.then(|| self.fields.intern(&path))?;
                Some((
                    Condition {
                        field,
                        required: None,
                        absent: Outcome::False,
                        nested: false,
                        test: Test::Present,
                    },
                    false,
                ))
            }
            ExprKind::Select { .. } | ExprKind::Index { .. } => {
                let operand = Operand::of(expr)?;
                Some((self.over(operand, Test::IsTrue)?, false))
            }
            _ => None,
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Option<(Condition, bool)> {
        if op == BinaryOp::In {
            let ExprKind::List(items) = &right.kind else {
                return None;
            };
            let values: Option<Vec<Constant>> = items
                .iter()
                .map(|item| {
                    if item.optional {
                        None
                    } else {
                        constant(&item.value)
                    }
                })
                .collect();
            let operand = Operand::of(left)?;
            return Some((self.over(operand, Test::AnyOf(values?))?, false));
        }
        let (operand, value, op) = match (Operand::of(left), constant(right)) {
            (Some(operand), Some(value)) => (operand, value, op),
            _ => (Operand::of(right)?, constant(left)?, mirrored(op)),
        };
        let comparison = match op {
            BinaryOp::Equal => return Some((self.over(operand, Test::AnyOf(vec![value]))?, false)),
            BinaryOp::NotEqual => {
                return Some((self.over(operand, Test::AnyOf(vec![value]))?, true));
            }
            BinaryOp::Less => Comparison::Less,
            BinaryOp::LessEqual => Comparison::LessEqual,
            BinaryOp::Greater => Comparison::Greater,
            BinaryOp::GreaterEqual => Comparison::GreaterEqual,
            _ => return None,
        };
        match value {
            Constant::Number(number) => Some((
                self.over(operand, Test::Compare(comparison, number))?,
                false,
            )),
            _ => None,
        }
    }

    fn member_call(&mut self, target: &Expr, function: &str, args: &[Expr]) -> Option<Condition> {
        if function == "hasValue" && args.is_empty() {
            let path = Path::of(target).filter(|path| path.optional)?;
            let required = self.plain_part(&path);
            let nested = path.keys.len() > 1;
            let field = self.intern(path.keys)?;
            let test = Test::Present;
            return Some(Condition {
                field,
                required,
                absent: Outcome::False,
                nested,
                test,
            });
        }
        let [argument] = args else { return None };
        let Some(Constant::Text(text)) = constant(argument) else {
            return None;
        };
        let test = match function {
            "startsWith" => Test::Prefix(text),
            "endsWith" => Test::Suffix(text),
            "contains" => Test::Contains(text),
            _ => return None,
        };
        let operand = Operand::of(target)?;
        self.over(operand, test)
    }

    fn over(&mut self, operand: Operand, test: Test) -> Option<Condition> {
        let required = match operand.default {
            None => None,
            Some(_) => self.plain_part(&operand.path),
        };
        let absent = match &operand.default {
            None => Outcome::Unknown,
            Some(value) => test.of_constant(value),
        };
        let nested = operand.path.keys.len() > 1;
        let field = self.intern(operand.path.keys)?;
        Some(Condition {
            field,
            required,
            absent,
            nested,
            test,
        })
    }

    fn intern(&mut self, keys: Vec<String>) -> Option<FieldId> {
        FieldPath::from_keys(keys).map(|path| self.fields.intern(&path))
    }

    fn plain_part(&mut self, path: &Path) -> Option<FieldId> {
        let plain = &path.keys[..path.plain];
        self.intern(plain.to_vec())
    }

    /// Literals that must occur in a field for a `matches` or `glob` to be anything but false.
    fn necessary(&mut self, expr: &Expr) -> Option<Necessary> {
        let (subject, any_of) = match &expr.kind {
            ExprKind::MemberCall {
                target,
                function,
                args,
                ..
            } if function == "matches" => (&**target, pattern_constants(args.first()?)?),
            ExprKind::Call { function, args, .. } if function == "matches" => {
                (args.first()?, pattern_constants(args.get(1)?)?)
            }
            ExprKind::Call { function, args, .. } if function == "glob" => {
                (args.first()?, vec![glob_literal(args.get(1)?)?])
            }
            _ => return None,
        };
        let operand = Operand::of(subject)?;
        // A default stands in for the absent field; only an empty one surely holds none of the literals.
        match &operand.default {
            None => {}
            Some(Constant::Text(text)) if text.is_empty() => {}
            Some(_) => return None,
        }
        let absent = operand.default.is_none();
        let nested = operand.path.keys.len() > 1;
        let unreachable = nested && (absent || operand.path.plain > 0);
        let field = self.intern(operand.path.keys)?;
        Some(Necessary {
            field,
            absent,
            unreachable,
            any_of,
        })
    }
}

impl Test {
    /// What the test says of a constant that stands in for an absent field.
    fn of_constant(&self, value: &Constant) -> Outcome {
        match (self, value) {
            (Test::AnyOf(accepted), _) => accepted.iter().any(|one| same(one, value)).into(),
            (Test::Prefix(text), Constant::Text(value)) => value.starts_with(&**text).into(),
            (Test::Suffix(text), Constant::Text(value)) => value.ends_with(&**text).into(),
            (Test::Contains(text), Constant::Text(value)) => value.contains(&**text).into(),
            (Test::Compare(op, bound), Constant::Number(value)) => op.holds(*value, *bound).into(),
            (Test::IsTrue, Constant::Bool(value)) => (*value).into(),
            (Test::Present, _) => Outcome::True,
            _ => Outcome::Unknown,
        }
    }
}

impl Comparison {
    /// Whether `value` stands so to `bound`, exactly, whatever their numeric types.
    pub(super) fn holds(self, value: Number, bound: Number) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match (self, compare(value, bound)) {
            (_, None) => false,
            (Self::Less, Some(order)) => order == Less,
            (Self::LessEqual, Some(order)) => order == Less || order == Equal,
            (Self::Greater, Some(order)) => order == Greater,
            (Self::GreaterEqual, Some(order)) => order == Greater || order == Equal,
        }
    }
}

/// CEL's `==` on scalars: numbers by value, everything else by type and value.
pub(super) fn same(left: &Constant, right: &Constant) -> bool {
    match (left, right) {
        (Constant::Number(left), Constant::Number(right)) => {
            compare(*left, *right) == Some(std::cmp::Ordering::Equal)
        }
        _ => left == right,
    }
}

/// `event.a.b`, `event["a"].?b` and the like.
struct Path {
    keys: Vec<String>,
    /// How many leading keys were selected plainly.
    plain: usize,
    /// Some key was selected with `.?`; from there on all are.
    optional: bool,
}

impl Path {
    fn of(expr: &Expr) -> Option<Self> {
        let (operand, key, optional) = match &expr.kind {
            ExprKind::Ident(name) if name == "event" => {
                return Some(Self {
                    keys: Vec::new(),
                    plain: 0,
                    optional: false,
                });
            }
            ExprKind::Select {
                operand,
                field,
                optional,
                ..
            } => (operand, field, *optional),
            ExprKind::Index {
                operand,
                index,
                optional,
            } => match &index.kind {
                ExprKind::Literal(Literal::String(key)) => (operand, key, *optional),
                _ => return None,
            },
            _ => return None,
        };
        let mut path = Self::of(operand)?;
        path.keys.push(key.clone());
        path.optional |= optional;
        if !path.optional {
            path.plain += 1;
        }
        Some(path)
    }
}

/// A field, or a field with a constant to stand in for it.
struct Operand {
    path: Path,
    default: Option<Constant>,
}

impl Operand {
    fn of(expr: &Expr) -> Option<Self> {
        if let ExprKind::MemberCall {
            target,
            function,
            args,
            ..
        } = &expr.kind
            && function == "orValue"
            && let [value] = &args[..]
        {
            let path = Path::of(target).filter(|path| path.optional)?;
            return Some(Self {
                path,
                default: Some(constant(value)?),
            });
        }
        let path = Path::of(expr).filter(|path| !path.optional && !path.keys.is_empty())?;
        Some(Self {
            path,
            default: None,
        })
    }
}

/// The scalar that `expr` is. Numbers from 2^53 on are none: CEL compares an integer with a double as doubles, so
/// there one number equals several others, which neither an exact order nor one id per value can tell.
fn constant(expr: &Expr) -> Option<Constant> {
    scalar(expr).filter(|constant| match constant {
        Constant::Number(number) => is_exact(*number),
        _ => true,
    })
}

fn is_exact(number: Number) -> bool {
    const LIMIT: u64 = 1 << 53;
    match number {
        Number::Int(value) => value.unsigned_abs() < LIMIT,
        Number::Uint(value) => value < LIMIT,
        Number::Double(value) => value.abs() < LIMIT as f64,
    }
}

fn scalar(expr: &Expr) -> Option<Constant> {
    let negative = |expr: &Expr| match scalar(expr)? {
        Constant::Number(Number::Int(value)) => value.checked_neg().map(Number::Int),
        Constant::Number(Number::Double(value)) => Some(Number::Double(-value)),
        _ => None,
    };
    match &expr.kind {
        ExprKind::Literal(literal) => match literal {
            Literal::Null => Some(Constant::Null),
            Literal::Bool(value) => Some(Constant::Bool(*value)),
            Literal::Int(value) => Some(Constant::Number(Number::Int(*value))),
            Literal::Uint(value) => Some(Constant::Number(Number::Uint(*value))),
            Literal::Double(value) if value.is_nan() => None,
            Literal::Double(value) => Some(Constant::Number(Number::Double(*value))),
            Literal::String(text) => Some(Constant::Text(text.as_str().into())),
            Literal::Bytes(_) => None,
        },
        ExprKind::Unary(UnaryOp::Negate, operand) => negative(operand).map(Constant::Number),
        _ => None,
    }
}

fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEqual => BinaryOp::GreaterEqual,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEqual => BinaryOp::LessEqual,
        other => other,
    }
}

/// `f == "a" || f == "b"` is `f in ["a", "b"]`: one condition, one index entry per value.
fn merge_alternatives(parts: &mut Vec<Formula<'_>>) {
    let mut kept: Vec<Formula<'_>> = Vec::with_capacity(parts.len());
    // Conditions by field, so that a long chain is merged in linear time for the usual few fields.
    let mut seen: std::collections::BTreeMap<FieldId, Vec<usize>> = Default::default();
    for part in parts.drain(..) {
        if let Formula::Condition {
            condition,
            negated: false,
        } = &part
            && let Test::AnyOf(values) = &condition.test
        {
            let earlier = seen.entry(condition.field).or_default();
            let twin = earlier.iter().copied().find(|&at| match &kept[at] {
                Formula::Condition {
                    condition: other, ..
                } => other.required == condition.required && other.absent == condition.absent,
                _ => false,
            });
            if let Some(Formula::Condition {
                condition: other, ..
            }) = twin.and_then(|at| kept.get_mut(at))
                && let Test::AnyOf(all) = &mut other.test
            {
                all.extend(values.iter().cloned());
                continue;
            }
            earlier.push(kept.len());
        }
        kept.push(part);
    }
    *parts = kept;
}

/// The text that `expr` is, or the texts of the list that it is.
pub(super) fn literal_texts(expr: &Expr) -> Option<Vec<&str>> {
    match &expr.kind {
        ExprKind::List(items) => items
            .iter()
            .map(|item| match &item.value.kind {
                ExprKind::Literal(Literal::String(text)) if !item.optional => Some(text.as_str()),
                _ => None,
            })
            .collect(),
        ExprKind::Literal(Literal::String(text)) => Some(vec![text]),
        _ => None,
    }
}

fn pattern_constants(pattern: &Expr) -> Option<Vec<Constant>> {
    let ExprKind::Literal(Literal::String(pattern)) = &pattern.kind else {
        return None;
    };
    let literals = regex_literals(pattern)?.into_iter();
    let constant: fn(String) -> Constant = match without_case_flag(pattern) {
        Some(_) => |text| Constant::Folded(text.to_ascii_lowercase().into()),
        None => |text| Constant::Text(text.into()),
    };
    Some(literals.map(constant).collect())
}

/// What follows the flag of a pattern that matches in any case.
fn without_case_flag(pattern: &str) -> Option<&str> {
    pattern
        .strip_prefix("(?i)")
        .filter(|rest| !rest.contains("(?"))
}

/// Texts of which one must be in whatever the pattern matches; in any case when it matches so.
pub(super) fn regex_literals(pattern: &str) -> Option<Vec<String>> {
    // Without the flag the same letters are looked for, and `tables` looks for them in any case.
    let (pattern, folded) = match without_case_flag(pattern) {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let tree = regex_syntax::parse(pattern).ok()?;
    let mut best: Option<Vec<&str>> = None;
    let extract = |kind: ExtractKind, tree: &Hir| {
        let mut extractor = Extractor::new();
        extractor.kind(kind).limit_class(3).limit_total(64);
        extractor.extract(tree)
    };
    let mut sequences = vec![
        extract(ExtractKind::Prefix, &tree),
        extract(ExtractKind::Suffix, &tree),
    ];
    // What follows in the middle of a match begins somewhere in the text too.
    let tails = tails(&tree).into_iter();
    sequences.extend(tails.map(|tail| extract(ExtractKind::Prefix, &tail)));
    for literals in sequences.iter().filter_map(Seq::literals) {
        let texts: Option<Vec<&str>> = literals
            .iter()
            .map(|literal| std::str::from_utf8(literal.as_bytes()).ok())
            .collect();
        let Some(texts) = texts else { continue };
        // In any case, some letters beyond ASCII are ASCII ones: the Kelvin sign is `k`, the long s is `s`.
        if folded && !texts.iter().all(|text| text.is_ascii()) {
            continue;
        }
        let shortest = |all: &[&str]| all.iter().map(|one| one.len()).min().unwrap_or(0);
        let better = best
            .as_deref()
            .is_none_or(|best| shortest(&texts) > shortest(best));
        if shortest(&texts) >= LITERAL_BYTES_MIN && better {
            best = Some(texts);
        }
    }
    Some(best?.into_iter().map(str::to_owned).collect())
}

/// Parts in a row of a pattern whose tails are looked at.
const PARTS_MAX: usize = 16;

/// What is left of a pattern of several parts in a row, from the second on, the third and so on.
fn tails(tree: &Hir) -> Vec<Hir> {
    match tree.kind() {
        HirKind::Capture(capture) => tails(&capture.sub),
        HirKind::Concat(parts) if parts.len() <= PARTS_MAX => (1..parts.len())
            .map(|from| Hir::concat(parts[from..].to_vec()))
            .collect(),
        _ => Vec::new(),
    }
}

fn glob_literal(pattern: &Expr) -> Option<Constant> {
    let ExprKind::Literal(Literal::String(pattern)) = &pattern.kind else {
        return None;
    };
    if pattern.contains('\\') {
        return None;
    }
    let longest = pattern.split(['*', '?']).max_by_key(|part| part.len())?;
    (longest.len() >= LITERAL_BYTES_MIN).then(|| Constant::Text(longest.into()))
}

/// Shorter literals are in too many texts to be worth looking for.
pub(super) const LITERAL_BYTES_MIN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, expected: Option<&[&str]>) {
        let selector = format!("event.userAgent.matches({pattern:?})");
        let expr = crate::selector::parse(&selector).expect("the selector parses");
        let found = match formula(&expr, &mut FieldSet::new()) {
            Formula::Residual { necessary, .. } => necessary.map(|necessary| necessary.any_of),
            other => panic!("{other:?}"),
        };
        let texts = found.map(|all| {
            let text = |constant: &Constant| match constant {
                Constant::Text(text) | Constant::Folded(text) => text.to_string(),
                other => panic!("{other:?}"),
            };
            all.iter().map(text).collect::<Vec<_>>()
        });
        let expected = expected.map(|all| all.iter().map(|one| one.to_string()).collect());
        assert_eq!(texts, expected, "{pattern}");
    }

    #[test]
    fn patterns_give_the_literals_that_they_need() {
        check("^aws-cli/", Some(&["aws-cli/"]));
        check("(?i)\\b(Kali[0-9]*|pacu)\\b", Some(&["kali", "pacu"]));
        check("boto(3|core)", Some(&["boto3", "botocore"]));
        check(".*\\.exe$", Some(&[".exe"]));
        check(".+:assumed-role/aws:.+", Some(&[":assumed-role/aws:"]));
        check("(.*(role|user)/x.*)", Some(&["role/x", "user/x"]));
        check("a.*b?.*c", None);
        check("[a-z]+", None);
        check("a?", None);
        check("(?i)\u{212A}ali", None);
        check("\u{212A}ali", Some(&["\u{212A}ali"]));
    }

    #[test]
    fn numbers_that_doubles_blur_are_left_to_the_evaluator() {
        for (selector, indexed) in [
            ("event.size == 9007199254740991", true),
            ("event.size == -9007199254740991.0", true),
            ("event.size == 9007199254740992", false),
            ("event.size in [1, 9007199254740992.0]", false),
            ("event.size < 18446744073709551615u", false),
            ("event.?size.orValue(-9223372036854775808) == 1", false),
        ] {
            let expr = crate::selector::parse(selector).expect("the selector parses");
            let found = formula(&expr, &mut FieldSet::new());
            assert_eq!(
                matches!(found, Formula::Condition { .. }),
                indexed,
                "{selector}"
            );
        }
    }
}
