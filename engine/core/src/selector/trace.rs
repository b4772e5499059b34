//! Every part of a selector with its value on one event, for explanations and failed tests.
//!
//! Relies on a program of its own, compiled from the one selector, in which each part keeps its node. All parts
//! are evaluated, also those that `&&` and `||` would not have reached: the reader wants to see what was there.
//! Parts within macros have no value of their own; their macro shows what its condition gave for the first
//! elements. For people, not for speed: nothing here is on the way of an event.

use super::ast::{Comprehension, Expr, ExprId, ExprKind};
use super::compile::{Environment, Places};
use super::error::EvalError;
use super::eval::{Evaluated, Evaluation, EventView, Scratch};
use super::program::{NodeId, Program, ProgramBuilder};
use super::value::Value;
use crate::diagnostic::{Diagnostic, Span};
use crate::event::{Json, Slots};

/// Elements of a list or map that are shown per macro.
const ELEMENTS_SHOWN_MAX: usize = 20;

/// A selector ready to be traced.
#[derive(Debug)]
pub struct Tracer {
    expr: Expr,
    program: Program,
    places: Places,
    root: NodeId,
}

/// A part of a selector and what became of it.
#[derive(Clone, Debug)]
pub struct Traced<'e> {
    /// The part.
    pub id: ExprId,
    /// Its text.
    pub span: Span,
    /// Its value.
    pub outcome: Evaluated<'e>,
    /// Of a macro: what its condition gave for the first elements.
    pub elements: Vec<Element<'e>>,
    /// Of a macro: how many elements there were.
    pub element_count: usize,
}

/// One element that a macro looked at.
#[derive(Clone, Debug)]
pub struct Element<'e> {
    /// The element of a list, the key of a map.
    pub value: Value<'e>,
    /// What the condition, or the transform where there is none, gave.
    pub outcome: Evaluated<'e>,
}

impl Tracer {
    /// Prepares a selector. `lists` are the site lists it may ask `inList` for.
    pub fn new(
        expr: &Expr,
        environment: &Environment,
        lists: impl IntoIterator<Item = (String, Vec<String>)>,
    ) -> Result<Tracer, Vec<Diagnostic>> {
        let mut builder = ProgramBuilder::new();
        for (name, values) in lists {
            builder.add_list(name, values);
        }
        let (root, places) = builder.compile_with_places(expr, environment)?;
        Ok(Tracer {
            expr: expr.clone(),
            program: builder.build(),
            places,
            root,
        })
    }

    /// The program, whose fields have to be extracted for [`Self::trace`].
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The fields of an event that the selector reads.
    pub fn extract(&self, root: Json<'_>) -> Slots {
        let mut slots = Slots::new();
        self.program.fields().plan().extract(root, &mut slots);
        slots
    }

    /// The whole selector's value.
    pub fn outcome<'e>(&'e self, view: EventView<'e>) -> Evaluated<'e> {
        Evaluation::new(&self.program, view, &mut Scratch::new()).eval(self.root)
    }

    /// The part where an error of [`Self::outcome`] arose.
    pub fn part(&self, error: &EvalError) -> Option<ExprId> {
        self.places.part(error.node)
    }

    /// Every part, outer ones before inner ones, in the order of the text. Constants are left out.
    pub fn trace<'e>(&'e self, view: EventView<'e>) -> Vec<Traced<'e>> {
        let mut trace = Trace {
            tracer: self,
            evaluation: Evaluation::new(&self.program, view, &mut Scratch::new()),
            out: Vec::new(),
        };
        trace.visit(&self.expr);
        trace.out
    }
}

struct Trace<'e> {
    tracer: &'e Tracer,
    evaluation: Evaluation<'e>,
    out: Vec<Traced<'e>>,
}

impl<'e> Trace<'e> {
    fn visit(&mut self, expr: &'e Expr) {
        if matches!(expr.kind, ExprKind::Literal(_)) {
            return;
        }
        if let Some(node) = self.tracer.places.node(expr.id) {
            let outcome = self.evaluation.eval(node);
            let (elements, element_count) = match &expr.kind {
                ExprKind::Comprehension(comprehension) => self.elements(node, comprehension),
                _ => (Vec::new(), 0),
            };
            let (id, span) = (expr.id, expr.span);
            self.out.push(Traced {
                id,
                span,
                outcome,
                elements,
                element_count,
            });
        }
        self.visit_parts(expr);
    }

    /// The parts that are evaluated where the whole is: not the bodies of macros.
    fn visit_parts(&mut self, expr: &'e Expr) {
        match &expr.kind {
            ExprKind::Select { operand, .. } | ExprKind::Has { operand, .. } => {
                // The parents of a field say nothing that the field does not.
                if expr.qualified_name().is_none() && operand.qualified_name().is_none() {
                    self.visit(operand);
                }
            }
            ExprKind::Index { operand, index, .. } => {
                self.visit(operand);
                self.visit(index);
            }
            ExprKind::Call { args, .. } => args.iter().for_each(|arg| self.visit(arg)),
            ExprKind::MemberCall { target, args, .. } => {
                self.visit(target);
                args.iter().for_each(|arg| self.visit(arg));
            }
            ExprKind::Unary(_, operand) => self.visit(operand),
            ExprKind::Binary(_, left, right) => {
                self.visit(left);
                self.visit(right);
            }
            ExprKind::And(operands) | ExprKind::Or(operands) => {
                operands.iter().for_each(|operand| self.visit(operand));
            }
            ExprKind::Conditional {
                condition,
                then,
                otherwise,
            } => {
                self.visit(condition);
                self.visit(then);
                self.visit(otherwise);
            }
            ExprKind::List(items) => items.iter().for_each(|item| self.visit(&item.value)),
            ExprKind::Map(entries) => {
                for entry in entries {
                    self.visit(&entry.key);
                    self.visit(&entry.value);
                }
            }
            ExprKind::Comprehension(comprehension) => self.visit(&comprehension.range),
            ExprKind::Bind { value, .. } => self.visit(value),
            ExprKind::OptMap { target, .. } => self.visit(target),
            ExprKind::Literal(_)
            | ExprKind::Ident(_)
            | ExprKind::Struct { .. }
            | ExprKind::Block { .. } => {}
        }
    }

    fn elements(
        &mut self,
        node: NodeId,
        comprehension: &Comprehension,
    ) -> (Vec<Element<'e>>, usize) {
        let part = comprehension
            .condition
            .as_ref()
            .or(comprehension.transform.as_ref());
        let body = part.and_then(|part| self.tracer.places.node(part.id));
        let (elements, count) = match body {
            Some(body) => self.evaluation.elements(node, body, ELEMENTS_SHOWN_MAX),
            None => (Vec::new(), 0),
        };
        let named = |(value, outcome)| Element { value, outcome };
        (elements.into_iter().map(named).collect(), count)
    }
}

#[cfg(test)]
mod tests {
    use super::{EventView, Tracer};
    use crate::event::Parser;
    use crate::selector::{Environment, parse};
    use expect_test::{Expect, expect};
    use std::fmt::Write as _;

    fn check(selector: &str, event: &str, expected: Expect) {
        let expr = parse(selector).expect("the selector is read");
        let lists = [("known".to_owned(), vec!["alice".to_owned()])];
        let tracer = Tracer::new(&expr, &Environment::event(), lists).expect("it compiles");
        let mut parser = Parser::new();
        let root = parser
            .parse(event.as_bytes())
            .expect("the event is read")
            .root();
        let slots = tracer.extract(root);
        let mut out = String::new();
        for traced in tracer.trace(EventView {
            root,
            slots: &slots,
        }) {
            let text = traced.span.slice(selector);
            let _ = match &traced.outcome {
                Ok(value) => writeln!(out, "{text} = {value}"),
                Err(error) => writeln!(out, "{text} fails: {}", error.why),
            };
            for element in &traced.elements {
                let outcome = element
                    .outcome
                    .as_ref()
                    .map_or_else(|error| error.why.to_string(), |value| value.to_string());
                let _ = writeln!(out, "    {} -> {outcome}", element.value);
            }
        }
        expected.assert_eq(&out);
    }

    #[test]
    fn every_part_is_shown_with_its_value() {
        check(
            r#"event.a.b == "x" && !(event.n + 1 > 2) || inList("known", event.user)"#,
            r#"{"a":{"b":"y"},"n":1}"#,
            expect![[r#"
                event.a.b == "x" && !(event.n + 1 > 2) || inList("known", event.user) fails: the event does not have the field
                event.a.b == "x" && !(event.n + 1 > 2) = false
                event.a.b == "x" = false
                event.a.b = "y"
                !(event.n + 1 > 2) = true
                event.n + 1 > 2 = false
                event.n + 1 = 2
                event.n = 1
                inList("known", event.user) fails: the event does not have the field
                event.user fails: the event does not have the field
            "#]],
        );
    }

    #[test]
    fn macros_show_their_elements() {
        check(
            "event.list.exists(x, x.size > 1)",
            r#"{"list":[{"size":1},{},{"size":2}]}"#,
            expect![[r#"
                event.list.exists(x, x.size > 1) = true
                    {"size": 1} -> false
                    {} -> no such key
                    {"size": 2} -> true
                event.list = [{"size": 1}, {}, {"size": 2}]
            "#]],
        );
    }
}
