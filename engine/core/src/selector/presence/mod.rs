//! Absent fields that silently switch a rule off.
//!
//! Reading an absent field is an error in CEL, an error makes the verdict indeterminate, and an indeterminate rule
//! does not fire. Whether that matters depends on where the field stands, so neither "warn at every field that may
//! be absent" nor "warn under `!`" is right. What is asked here, for every field that the schema says may be absent
//! (or null) and that the selector reads:
//!
//! > Is there an event without the field for which the selector is an error, although it would hold if the test
//! > on the field had simply answered as its author meant?
//!
//! What the author meant by a test of an absent field: a positive test (`==`, `startsWith`, `in`, `>`, a macro) fails;
//! `!=` and `!` of a positive test hold; the empty text, null and `size(x) == 0` are what an absent field equals.
//! Hence the policy:
//!
//! - `event.userIdentity.arn == "x"` gets nothing: without `arn` the rule would not match anyway;
//! - in an alternative of `||` the same, as `||` absorbs the error when the other side holds;
//! - `!event.userIdentity.arn.startsWith("x")`, `event.errorCode != "x"`, `event.errorCode == ""` get a warning;
//! - so do `!has(event.a.b)` where `a` may be absent, and tests inside `filter`, `map` and `existsOne`, which do not absorb
//!   errors of single elements as `exists` and `all` do;
//! - a guard counts wherever it stands (`has(x) && x != "a"`, `x != "a" && has(x)`, `!has(x) || x != "a"`,
//!   `has(x) ? … : …`), because `&&` and `||` are evaluated here as they are there.
//!
//! It is done by evaluating the selector once per field and assumption ("absent", "null"), over sets of pairs of
//! what the selector gives and what was meant, every other test being free ([`evaluate`]). Free tests are taken as
//! independent, so a guard that only implies presence by the source's habits (`type == "IAMUser"` always has a
//! `userName`) is not seen; the fix costs nothing there. A field that `has` asks for, or that something stands in for
//! (`event.?a.orValue(event.b)`), may be absent beside the one tried; other pairs hide no miss that their parts do not
//! show.

use super::ast::{Expr, ExprId, ExprKind};
use super::check::Checked;
use super::print;
use super::schema::Schema;
use crate::diagnostic::{Code, Diagnostic};
use std::collections::{BTreeMap, BTreeSet};

mod evaluate;
mod outcomes;
mod paths;
mod rewrite;
#[cfg(test)]
mod tests;
mod value;

use evaluate::Evaluation;
use paths::Sites;

/// What is assumed of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Absent,
    Null,
}

/// One assumption about one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Assumption {
    path: String,
    how: How,
}

/// Most assumptions tried for one selector; real selectors read fewer than 20 fields.
const ASSUMPTIONS_MAX: usize = 128;

/// Most nodes evaluated for one selector, over all assumptions: a real one takes a few hundred. When they are
/// used up, tests are no longer judged one by one, and then further fields are not tried.
const NODES_MAX: usize = 400_000;

/// Most tests that are judged one by one under one assumption.
const TESTS_MAX: usize = 64;

/// A warning for every test that an absent field turns into a silent miss.
pub(super) fn find(expr: &Expr, schema: &Schema, checked: &Checked) -> Vec<Diagnostic> {
    let sites = Sites::collect(expr, schema, checked);
    let size = nodes(expr);
    let mut evaluations = NODES_MAX / size;
    let mut misses = |assumption: &Assumption, mended: BTreeSet<ExprId>| {
        evaluations = evaluations.checked_sub(1)?;
        let mut evaluation = Evaluation::new(&sites, checked, assumption);
        evaluation.mended = mended;
        let misses = evaluation.condition(expr).misses();
        Some((misses, evaluation.failing))
    };
    let mut blamed: BTreeMap<ExprId, BTreeSet<Assumption>> = BTreeMap::new();
    for assumption in sites.assumptions().take(ASSUMPTIONS_MAX) {
        let Some((missing, failing)) = misses(assumption, BTreeSet::new()) else {
            break;
        };
        if !missing {
            continue;
        }
        let failing: BTreeSet<ExprId> = failing.into_iter().collect();
        let alone: BTreeSet<ExprId> = failing
            .iter()
            .copied()
            .take(TESTS_MAX)
            .filter(|test| {
                let mut others = failing.clone();
                others.remove(test);
                misses(assumption, others).is_none_or(|(missing, _)| missing)
            })
            .collect();
        // What those at fault alone leave open, the others do together.
        let left_open = misses(assumption, alone.clone()).is_none_or(|(missing, _)| missing);
        let guilty = if left_open { failing } else { alone };
        for test in guilty {
            blamed.entry(test).or_default().insert(assumption.clone());
        }
    }
    let mut tests = Vec::new();
    collect_tests(expr, None, &blamed, &mut tests);
    tests
        .into_iter()
        .map(|test| diagnostic(&test, &sites, checked))
        .collect()
}

/// How many nodes the expression has.
fn nodes(expr: &Expr) -> usize {
    let mut count = 1;
    expr.for_each_child(&mut |child| count += nodes(child));
    count
}

/// A test to report, with the negation around it if there is one.
struct Test<'e> {
    expr: &'e Expr,
    whole: &'e Expr,
    assumptions: &'e BTreeSet<Assumption>,
}

fn collect_tests<'e>(
    expr: &'e Expr,
    negation: Option<&'e Expr>,
    blamed: &'e BTreeMap<ExprId, BTreeSet<Assumption>>,
    out: &mut Vec<Test<'e>>,
) {
    if let Some(assumptions) = blamed.get(&expr.id) {
        out.push(Test {
            expr,
            whole: negation.unwrap_or(expr),
            assumptions,
        });
        return;
    }
    let negation = match &expr.kind {
        ExprKind::Unary(super::ast::UnaryOp::Not, _) => Some(expr),
        _ => None,
    };
    expr.for_each_child(&mut |child| collect_tests(child, negation, blamed, out));
}

fn diagnostic(test: &Test<'_>, sites: &Sites<'_>, checked: &Checked) -> Diagnostic {
    let paths: BTreeSet<&str> = test
        .assumptions
        .iter()
        .map(|one| one.path.as_str())
        .collect();
    let chains = sites.chains_in(test.expr, &paths);
    let (span, shown) = match chains.first() {
        Some(chain) => (chain.span, print(chain)),
        None => (test.expr.span, print(test.expr)),
    };
    let any = |how: How| test.assumptions.iter().any(|one| one.how == how);
    let state = match (any(How::Absent), any(How::Null)) {
        (true, true) => "may be absent or null",
        (false, true) => "may be null",
        _ => "may be absent",
    };
    let names: Vec<String> = paths
        .iter()
        .map(|path| format!("`{}`", path.rsplit('.').next().unwrap_or(path)))
        .collect();
    let message = format!(
        "the rule silently does not fire on events without `{}`",
        plain(&shown)
    );
    let mut diagnostic = Diagnostic::new(Code::AbsentField, span, message).with_caret(format!(
        "{} {state}; reading it is then an error",
        joined(&names)
    ));
    let nulls = test.assumptions.iter().filter(|one| one.how == How::Null);
    let nulls: BTreeSet<&str> = nulls.map(|one| one.path.as_str()).collect();
    let fixed = print(&rewrite::counted_as_empty(
        test.whole, sites, checked, &nulls,
    ));
    if fixed != print(test.whole) {
        diagnostic = diagnostic
            .with_help(format!("if an absent field counts as empty: `{fixed}`"))
            .with_suggestion(test.whole.span, fixed);
    }
    let guard = rewrite::guards(&chains, sites);
    if !guard.is_empty() {
        let whole = print(test.whole);
        diagnostic = diagnostic.with_help(format!(
            "if the rule is only about events that have it: `{guard} && {whole}`"
        ));
    }
    diagnostic
}

/// Optional marks removed: the field is meant, not the way it is read.
fn plain(text: &str) -> String {
    text.replace(".?", ".").replace("[?", "[")
}

fn joined(names: &[String]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
