//! Names: variables, types, and chains of fields of the event.

use super::{Compiler, Environment};
use crate::event::FieldPath;
use crate::selector::ast::{Expr, ExprKind, Literal};
use crate::selector::program::{Node, NodeId};
use crate::selector::value::{Value, ValueType};

/// One step from the event inwards.
struct Step<'c> {
    key: &'c str,
    optional: bool,
}

impl<'c> Compiler<'c> {
    /// The node of a name or of a chain that begins with one; `None` when it is neither.
    pub(super) fn named(&mut self, expr: &'c Expr) -> Option<NodeId> {
        match &expr.kind {
            ExprKind::Ident(name) => self.ident(name),
            ExprKind::Select {
                optional: false, ..
            } => self.event_field(expr).or_else(|| self.qualified(expr)),
            ExprKind::Select { .. } | ExprKind::Index { .. } => self.event_field(expr),
            ExprKind::Has { operand, field, .. } => {
                let mut steps = self.event_steps(operand)?;
                steps.push(Step {
                    key: field,
                    optional: false,
                });
                if steps.iter().any(|step| step.optional) {
                    return None;
                }
                let path = FieldPath::from_keys(steps.iter().map(|step| step.key))?;
                let field = self.builder.fields.intern(&path);
                Some(self.builder.node(Node::HasField(field)))
            }
            _ => None,
        }
    }

    fn ident(&mut self, name: &str) -> Option<NodeId> {
        let local = self.locals.iter().rposition(|local| *local == name);
        let alias = self.aliases.iter().rfind(|(alias, ..)| *alias == name);
        match (local, alias) {
            // The inner one hides the outer one.
            (Some(local), Some((_, around, _))) if local >= *around => Some(self.local(local)),
            (_, Some((_, _, node))) => Some(*node),
            (Some(local), None) => Some(self.local(local)),
            (None, None) => self.global(name),
        }
    }

    fn local(&mut self, local: usize) -> NodeId {
        self.builder.node(Node::Local(local as u32))
    }

    /// Whether a name is that of a macro's variable, which hides all others.
    fn is_bound(&self, name: &str) -> bool {
        self.locals.contains(&name) || self.aliases.iter().any(|(alias, ..)| *alias == name)
    }

    /// A variable or type of this whole name, looked for from the container outwards.
    fn global(&mut self, name: &str) -> Option<NodeId> {
        if is_event(self.environment, name) {
            return Some(self.builder.node(Node::Event));
        }
        for candidate in candidates(&self.environment.container, name) {
            let variables = &self.environment.variables;
            if let Some(number) = variables.iter().position(|variable| *variable == candidate) {
                return Some(self.builder.node(Node::Variable(number as u32)));
            }
        }
        let value_type = ValueType::named(name.strip_prefix('.').unwrap_or(name))?;
        Some(self.constant(Value::Type(value_type)))
    }

    /// `a.b.c` as the longest name that something has.
    fn qualified(&mut self, expr: &'c Expr) -> Option<NodeId> {
        let name = expr.qualified_name()?;
        let first = name.split('.').find(|part| !part.is_empty())?;
        if !name.starts_with('.') && self.is_bound(first) {
            return None;
        }
        self.global(&name)
    }

    /// The steps of a chain that begins with the event.
    fn event_steps(&self, expr: &'c Expr) -> Option<Vec<Step<'c>>> {
        let mut steps = Vec::new();
        let mut expr = expr;
        loop {
            match &expr.kind {
                ExprKind::Ident(name) => {
                    if self.is_bound(name) || !is_event(self.environment, name) {
                        return None;
                    }
                    steps.reverse();
                    return Some(steps);
                }
                ExprKind::Select {
                    operand,
                    field,
                    optional,
                    ..
                } => {
                    steps.push(Step {
                        key: field,
                        optional: *optional,
                    });
                    expr = operand;
                }
                ExprKind::Index {
                    operand,
                    index,
                    optional,
                } => {
                    let ExprKind::Literal(Literal::String(key)) = &index.kind else {
                        return None;
                    };
                    steps.push(Step {
                        key,
                        optional: *optional,
                    });
                    expr = operand;
                }
                _ => return None,
            }
        }
    }

    /// A chain that begins with the event, as one field. After the first `.?` a plain step is an error on what
    /// is no map, where a field of a slot would be nothing, so such steps stay nodes of their own.
    fn event_field(&mut self, expr: &'c Expr) -> Option<NodeId> {
        let steps = self.event_steps(expr)?;
        let plain = steps.iter().take_while(|step| !step.optional).count();
        if steps[plain..].iter().any(|step| !step.optional) {
            return None;
        }
        let path = FieldPath::from_keys(steps.iter().map(|step| step.key))?;
        let field = self.builder.fields.intern(&path);
        if plain == steps.len() {
            return Some(self.builder.node(Node::Field(field)));
        }
        let base = FieldPath::from_keys(steps[..plain].iter().map(|step| step.key));
        let base = base.map(|base| self.builder.fields.intern(&base));
        Some(self.builder.node(Node::OptionalField { field, base }))
    }
}

fn is_event(environment: &Environment, name: &str) -> bool {
    environment.event.as_deref() == Some(name.strip_prefix('.').unwrap_or(name))
}

/// `name` within the container, within what is around it, and by itself; with a leading dot only by itself.
fn candidates(container: &str, name: &str) -> Vec<String> {
    if let Some(absolute) = name.strip_prefix('.') {
        return vec![absolute.to_owned()];
    }
    let mut found = Vec::new();
    let mut around = container;
    while !around.is_empty() {
        found.push(format!("{around}.{name}"));
        around = around.rsplit_once('.').map_or("", |(outer, _)| outer);
    }
    found.push(name.to_owned());
    found
}
