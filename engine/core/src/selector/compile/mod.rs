//! From a tree to nodes of the shared program.
//!
//! Relies on the parser for bounded depth (this recurses) and on the checker for everything an author should be
//! told; what the checker lets through and cannot be compiled (an unknown name in unchecked text, a pattern that
//! is too large) is a diagnostic here, never a different meaning.
//!
//! `event.a.b` becomes one field look-up, constants are computed, and operators with a constant side become nodes
//! that have it ready (`specialise`). Must keep the meaning exactly: an operation whose result on constants is an
//! error stays an operation.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{
    Comprehension, ComprehensionKind, Expr, ExprId, ExprKind, Literal, MapEntry, UnaryOp,
};
use super::function::{self, Called, Function};
use super::meter::Meter;
use super::program::{Flatness, Missing, Node, NodeId, Operator, ProgramBuilder, Shape, Variables};
use super::value::{Entries, MapValue, Value, ValueType, is_key};
use crate::diagnostic::{Code, Diagnostic, Span};

mod name;
mod specialise;
#[cfg(test)]
mod tests;

/// What names mean.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The name of the event's variable; `None` when there is no event.
    pub event: Option<String>,
    /// Other variables, by number; a name may be qualified.
    pub variables: Vec<String>,
    /// The namespace that names are first looked for in; empty for none.
    pub container: String,
    /// What becomes of names and functions that nothing has.
    pub unresolved: Unresolved,
}

/// What becomes of names and functions that nothing has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// They are mistakes of the author.
    Refused,
    /// They fail when they are evaluated, as in a language without a checker.
    Fails,
}

impl Environment {
    /// The environment of rules: `event`, nothing else.
    pub fn event() -> Self {
        Self {
            event: Some("event".to_owned()),
            variables: Vec::new(),
            container: String::new(),
            unresolved: Unresolved::Refused,
        }
    }

    /// No event, only these variables.
    pub fn variables<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let variables = names.into_iter().map(Into::into).collect();
        Self {
            event: None,
            variables,
            ..Self::event()
        }
    }
}

/// Where the parts of one selector are in the program.
#[derive(Clone, Debug, Default)]
pub struct Places {
    nodes: BTreeMap<ExprId, NodeId>,
}

impl Places {
    /// The node that a part became.
    pub fn node(&self, id: ExprId) -> Option<NodeId> {
        self.nodes.get(&id).copied()
    }

    /// The first part that became this node.
    pub fn part(&self, node: NodeId) -> Option<ExprId> {
        self.nodes
            .iter()
            .find(|(_, candidate)| **candidate == node)
            .map(|(id, _)| *id)
    }
}

impl ProgramBuilder {
    /// Adds an expression. On `Err` some of its parts may have been added; nothing refers to them.
    pub fn compile(
        &mut self,
        expr: &Expr,
        environment: &Environment,
    ) -> Result<NodeId, Vec<Diagnostic>> {
        let mut compiler = Compiler::new(self, environment, None);
        let node = compiler.visit(expr);
        if compiler.diagnostics.is_empty() {
            Ok(node)
        } else {
            Err(compiler.diagnostics)
        }
    }

    /// As [`Self::compile`], and says which node each part became.
    pub fn compile_with_places(
        &mut self,
        expr: &Expr,
        environment: &Environment,
    ) -> Result<(NodeId, Places), Vec<Diagnostic>> {
        let mut compiler = Compiler::new(self, environment, Some(Places::default()));
        let node = compiler.visit(expr);
        let (diagnostics, places) = (compiler.diagnostics, compiler.places);
        if diagnostics.is_empty() {
            Ok((node, places.unwrap_or_default()))
        } else {
            Err(diagnostics)
        }
    }
}

/// Values heavier than this are not made constants: a program must not grow beyond its text.
const FOLDED_WEIGHT_MAX: usize = 10_000;

/// Budget of computing one constant operation.
const FOLDED_COST_MAX: u64 = 10_000;

struct Compiler<'c> {
    builder: &'c mut ProgramBuilder,
    environment: &'c Environment,
    /// Names of macros' variables, innermost last; the position is the local number.
    locals: Vec<&'c str>,
    /// Names that `cel.bind` gives to fields and constants, innermost last: they need no local, as it costs nothing to
    /// ask again. With each, how many locals are around it.
    aliases: Vec<(&'c str, usize, NodeId)>,
    /// First local and number of values of the `cel.block`s around.
    blocks: Vec<(u32, usize)>,
    diagnostics: Vec<Diagnostic>,
    places: Option<Places>,
}

impl<'c> Compiler<'c> {
    fn new(
        builder: &'c mut ProgramBuilder,
        environment: &'c Environment,
        places: Option<Places>,
    ) -> Self {
        Self {
            builder,
            environment,
            locals: Vec::new(),
            aliases: Vec::new(),
            blocks: Vec::new(),
            diagnostics: Vec::new(),
            places,
        }
    }
}

impl<'c> Compiler<'c> {
    fn visit(&mut self, expr: &'c Expr) -> NodeId {
        let node = self.node_of(expr);
        if let Some(places) = &mut self.places {
            places.nodes.insert(expr.id, node);
        }
        node
    }

    fn node_of(&mut self, expr: &'c Expr) -> NodeId {
        if let Some(node) = self.named(expr) {
            return node;
        }
        match &expr.kind {
            ExprKind::Literal(literal) => self.literal(literal),
            ExprKind::Ident(name) => {
                let message = format!("there is no variable `{name}`");
                self.missing(Missing::Name, Code::UndeclaredName, expr.span, message)
            }
            ExprKind::Select {
                operand,
                field,
                optional,
                ..
            } => {
                let operand = self.visit(operand);
                let key = self.text(field);
                let node = match optional {
                    false => Node::Select(operand, key),
                    true => Node::OptionalSelect(operand, key),
                };
                self.builder.node(node)
            }
            ExprKind::Has { operand, field, .. } => {
                let operand = self.visit(operand);
                let key = self.text(field);
                self.builder.node(Node::Has(operand, key))
            }
            ExprKind::Index {
                operand,
                index,
                optional,
            } => {
                let (operand, index) = (self.visit(operand), self.visit(index));
                let node = match optional {
                    false => Node::Index(operand, index),
                    true => Node::OptionalIndex(operand, index),
                };
                self.builder.node(node)
            }
            ExprKind::Call { function, args, .. } => self.call(expr, function, args),
            ExprKind::MemberCall {
                target,
                function,
                args,
                ..
            } => self.member_call(expr, target, function, args),
            ExprKind::Unary(operator, operand) => {
                let operand = self.visit(operand);
                self.unary(*operator, operand)
            }
            ExprKind::Binary(operator, left, right) => {
                let (left, right) = (self.visit(left), self.visit(right));
                self.binary(Operator::from(*operator), left, right)
            }
            ExprKind::And(operands) => {
                let operands = self.all(operands);
                self.builder.node(Node::And(operands))
            }
            ExprKind::Or(operands) => {
                let operands = self.all(operands);
                self.builder.node(Node::Or(operands))
            }
            ExprKind::Conditional {
                condition,
                then,
                otherwise,
            } => {
                let condition = self.visit(condition);
                let (then, otherwise) = (self.visit(then), self.visit(otherwise));
                self.builder
                    .node(Node::Conditional(condition, then, otherwise))
            }
            _ => self.composed(expr),
        }
    }

    /// Literals with parts, and macros.
    fn composed(&mut self, expr: &'c Expr) -> NodeId {
        match &expr.kind {
            ExprKind::List(items) => {
                let operands: Vec<NodeId> =
                    items.iter().map(|item| self.visit(&item.value)).collect();
                let optional: Vec<bool> = items.iter().map(|item| item.optional).collect();
                self.list(&operands, &optional)
            }
            ExprKind::Map(entries) => self.map(entries),
            ExprKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExprKind::Bind { name, value, body } => {
                let value = self.visit(value);
                if matches!(self.builder.get(value), Node::Field(_) | Node::Constant(_)) {
                    self.aliases.push((name, self.locals.len(), value));
                    let body = self.visit(body);
                    self.aliases.pop();
                    return body;
                }
                let operands = self.builder.operands(&[value]);
                let local = self.locals.len() as u32;
                let body = self.within(&[name.as_str()], body);
                self.builder.node(Node::Bind(local, operands, body))
            }
            ExprKind::OptMap {
                target,
                name,
                body,
                flat,
            } => {
                let target = self.visit(target);
                let local = self.locals.len() as u32;
                let body = self.within(&[name.as_str()], body);
                let flatness = if *flat {
                    Flatness::Flat
                } else {
                    Flatness::Wrapped
                };
                self.builder
                    .node(Node::OptionalMap(local, target, body, flatness))
            }
            ExprKind::Block { slots, body } => self.block(slots, body),
            ExprKind::Struct {
                name, name_span, ..
            } => {
                let message = format!("the protobuf message `{name}` is not supported");
                self.diagnostics.push(
                    Diagnostic::new(Code::Unsupported, *name_span, message)
                        .with_help("events are JSON: use a map literal such as `{\"key\": value}`"),
                );
                self.builder.node(Node::Unknown(Missing::Name))
            }
            _ => self.builder.node(Node::Unknown(Missing::Name)),
        }
    }

    fn missing(&mut self, what: Missing, code: Code, span: Span, message: String) -> NodeId {
        if self.environment.unresolved == Unresolved::Refused {
            self.diagnostics.push(Diagnostic::new(code, span, message));
        }
        self.builder.node(Node::Unknown(what))
    }

    fn constant(&mut self, value: Value<'static>) -> NodeId {
        let constant = self.builder.constant(value);
        self.builder.node(Node::Constant(constant))
    }

    fn text(&mut self, text: &str) -> super::program::ConstantId {
        self.builder.constant(Value::owned_text(text))
    }

    fn literal(&mut self, literal: &Literal) -> NodeId {
        self.constant(match literal {
            Literal::Null => Value::Null,
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Int(value) => Value::Int(*value),
            Literal::Uint(value) => Value::Uint(*value),
            Literal::Double(value) => Value::Double(*value),
            Literal::String(text) => Value::owned_text(text.as_str()),
            Literal::Bytes(bytes) => Value::owned_bytes(bytes.as_slice()),
        })
    }

    fn all(&mut self, exprs: &'c [Expr]) -> super::program::OperandsId {
        let operands: Vec<NodeId> = exprs.iter().map(|one| self.visit(one)).collect();
        self.builder.operands(&operands)
    }

    /// A part in which more names are bound.
    fn within(&mut self, names: &[&'c str], body: &'c Expr) -> NodeId {
        let depth = self.locals.len();
        self.locals.extend_from_slice(names);
        let node = self.visit(body);
        self.locals.truncate(depth);
        node
    }

    fn map(&mut self, entries: &'c [MapEntry]) -> NodeId {
        let mut operands = Vec::with_capacity(entries.len() * 2);
        for entry in entries {
            operands.push(self.visit(&entry.key));
            operands.push(self.visit(&entry.value));
        }
        let optional: Vec<bool> = entries.iter().map(|entry| entry.optional).collect();
        let optional = self.optional_marks(&optional);
        if optional.is_none()
            && let Some(map) = self.constant_map(&operands)
        {
            return map;
        }
        let operands = self.builder.operands(&operands);
        self.builder.node(Node::Map(operands, optional))
    }

    /// A map of constants, unless making it is an error.
    fn constant_map(&mut self, operands: &[NodeId]) -> Option<NodeId> {
        let (pairs, _) = operands.as_chunks::<2>();
        let constant = |node: NodeId| {
            let constant = self.builder.constant_of(node)?;
            Some(self.builder.constants[constant.0 as usize].clone())
        };
        let entries = pairs
            .iter()
            .map(|[key, value]| Some((constant(*key).filter(is_key)?, constant(*value)?)))
            .collect::<Option<Vec<_>>>()?;
        let entries = Entries::new(entries).ok()?;
        Some(self.constant(Value::Map(MapValue::Shared(Arc::new(entries)))))
    }

    fn optional_marks(&mut self, optional: &[bool]) -> Option<super::program::ConstantId> {
        if !optional.contains(&true) {
            return None;
        }
        let marks = optional.iter().map(|mark| Value::Bool(*mark)).collect();
        Some(self.builder.constant(Value::list(marks)))
    }

    fn list(&mut self, operands: &[NodeId], optional: &[bool]) -> NodeId {
        let optional = self.optional_marks(optional);
        if optional.is_none() {
            let constants: Option<Vec<Value<'static>>> = operands
                .iter()
                .map(|operand| {
                    let constant = self.builder.constant_of(*operand)?;
                    Some(self.builder.constants[constant.0 as usize].clone())
                })
                .collect();
            if let Some(constants) = constants {
                return self.constant(Value::list(constants));
            }
        }
        let operands = self.builder.operands(operands);
        self.builder.node(Node::List(operands, optional))
    }

    fn comprehension(&mut self, comprehension: &'c Comprehension) -> NodeId {
        let range = self.visit(&comprehension.range);
        let local = self.locals.len() as u32;
        let mut names = vec![comprehension.variable.as_str()];
        names.extend(comprehension.variable_second.as_deref());
        let variables = if names.len() == 1 {
            Variables::One
        } else {
            Variables::Two
        };
        let condition = comprehension.condition.as_ref();
        let condition = condition.map(|condition| self.within(&names, condition));
        let transform = comprehension.transform.as_ref().map(|transform| {
            match (&comprehension.kind, &transform.kind) {
                (ComprehensionKind::TransformMapEntry, ExprKind::Map(entries)) => {
                    self.entry(&names, entries)
                }
                _ => self.within(&names, transform),
            }
        });
        let shape = Shape {
            goal: comprehension.kind.into(),
            local,
            variables,
        };
        self.builder
            .node(Node::Comprehension(shape, range, condition, transform))
    }

    /// The one entry of `transformMapEntry`.
    fn entry(&mut self, names: &[&'c str], entries: &'c [MapEntry]) -> NodeId {
        let pairs: Vec<Node> = entries
            .iter()
            .map(|entry| {
                Node::Pair(
                    self.within(names, &entry.key),
                    self.within(names, &entry.value),
                )
            })
            .collect();
        match pairs.as_slice() {
            [pair] => self.builder.node(*pair),
            _ => self.builder.node(Node::Unknown(Missing::Name)),
        }
    }

    fn block(&mut self, slots: &'c [Expr], body: &'c Expr) -> NodeId {
        let local = self.locals.len() as u32;
        let mut operands = Vec::with_capacity(slots.len());
        self.blocks.push((local, 0));
        for slot in slots {
            operands.push(self.visit(slot));
            self.locals.push("");
            if let Some(block) = self.blocks.last_mut() {
                block.1 += 1;
            }
        }
        let body = self.visit(body);
        self.blocks.pop();
        self.locals.truncate(local as usize);
        let operands = self.builder.operands(&operands);
        self.builder.node(Node::Bind(local, operands, body))
    }

    fn unary(&mut self, operator: UnaryOp, operand: NodeId) -> NodeId {
        let constant = self.builder.constant_of(operand);
        let value = constant.map(|constant| self.builder.constants[constant.0 as usize].clone());
        match (operator, value) {
            (UnaryOp::Not, Some(Value::Bool(value))) => self.constant(Value::Bool(!value)),
            (UnaryOp::Not, _) => self.builder.node(Node::Not(operand)),
            (UnaryOp::Negate, Some(value)) => match function::operator::negate(&value) {
                Ok(value) => self.constant(value),
                Err(_) => self.builder.node(Node::Negate(operand)),
            },
            (UnaryOp::Negate, None) => self.builder.node(Node::Negate(operand)),
        }
    }

    fn call(&mut self, expr: &'c Expr, name: &str, args: &'c [Expr]) -> NodeId {
        if name == "cel.index" {
            return self.block_value(expr, args);
        }
        let operands: Vec<NodeId> = args.iter().map(|arg| self.visit(arg)).collect();
        let Some(function) = Function::resolve(name, Called::Plain, operands.len()) else {
            return self.unknown_function(name, expr.span);
        };
        if function == Function::InList {
            return self.in_list(&operands, args);
        }
        if function.reads_a_path() {
            return self.on_path(function, &operands, args, expr.span);
        }
        self.function(function, &operands, expr.span)
    }

    fn unknown_function(&mut self, name: &str, span: Span) -> NodeId {
        let message = match Function::exists(name) {
            true => format!("the function `{name}` does not take such arguments"),
            false => format!("there is no function `{name}`"),
        };
        self.missing(Missing::Function, Code::UnknownFunction, span, message)
    }

    fn member_call(
        &mut self,
        expr: &'c Expr,
        target: &'c Expr,
        name: &str,
        args: &'c [Expr],
    ) -> NodeId {
        let mut operands = vec![self.visit(target)];
        operands.extend(args.iter().map(|arg| self.visit(arg)));
        match Function::resolve(name, Called::OnValue, operands.len()) {
            Some(function) => self.function(function, &operands, expr.span),
            None => self.unknown_function(name, expr.span),
        }
    }

    /// `cel.index(n)`
    fn block_value(&mut self, expr: &Expr, args: &[Expr]) -> NodeId {
        let number = match args {
            [
                Expr {
                    kind: ExprKind::Literal(Literal::Int(number)),
                    ..
                },
            ] => *number,
            _ => -1,
        };
        match (self.blocks.last(), usize::try_from(number)) {
            (Some((first, count)), Ok(number)) if number < *count => {
                let local = first + number as u32;
                self.builder.node(Node::Local(local))
            }
            _ => {
                let message = "there is no such value of a block here".to_owned();
                self.missing(Missing::Name, Code::UndeclaredName, expr.span, message)
            }
        }
    }

    /// The result of a pure operation on constants, when it is a value and a small one.
    fn folded(
        &mut self,
        operands: &[NodeId],
        compute: impl FnOnce(&[Value<'static>], &mut Meter) -> Option<Value<'static>>,
    ) -> Option<NodeId> {
        let values: Option<Vec<Value<'static>>> = operands
            .iter()
            .map(|operand| {
                let constant = self.builder.constant_of(*operand)?;
                Some(self.builder.constants[constant.0 as usize].clone())
            })
            .collect();
        let value = compute(&values?, &mut Meter::with_budget(FOLDED_COST_MAX))?;
        let foldable = value.weight() <= FOLDED_WEIGHT_MAX
            && !matches!(value.value_type(), ValueType::Optional | ValueType::Map);
        if foldable {
            Some(self.constant(value))
        } else {
            None
        }
    }
}
