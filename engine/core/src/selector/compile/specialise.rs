//! Operations with a constant side, made ready.

use super::{Compiler, Missing};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::selector::ast::Expr;
use crate::selector::function::{self, Function};
use crate::selector::program::{ConstantId, Goal, Node, NodeId, Operator, Shape};
use crate::selector::texts::{DatePart, TextPath};
use crate::selector::value::Value;

impl<'c> Compiler<'c> {
    pub(super) fn binary(&mut self, operator: Operator, left: NodeId, right: NodeId) -> NodeId {
        let folded = self.folded(&[left, right], |values, meter| match values {
            [left, right] => function::operator::apply(operator, left, right, meter).ok(),
            _ => None,
        });
        if let Some(folded) = folded {
            return folded;
        }
        if matches!(operator, Operator::Equal | Operator::NotEqual) {
            let text = |this: &Self, node| this.builder.text_of(node).map(|(constant, _)| constant);
            let sides = match (text(self, left), text(self, right)) {
                (_, Some(constant)) => Some((left, constant)),
                (Some(constant), _) => Some((right, constant)),
                _ => None,
            };
            if let Some((operand, constant)) = sides {
                let equals = self.builder.node(Node::EqualsText(operand, constant));
                return match operator {
                    Operator::Equal => equals,
                    _ => self.builder.node(Node::Not(equals)),
                };
            }
        }
        if operator == Operator::In
            && let Some(constant) = self.builder.constant_of(right)
            && let Some(set) = self.builder.set(constant)
        {
            return self.builder.node(Node::InSet(left, set));
        }
        self.builder.node(Node::Binary(operator, left, right))
    }

    pub(super) fn function(
        &mut self,
        function: Function,
        operands: &[NodeId],
        span: Span,
    ) -> NodeId {
        let folded = self.folded(operands, |values, meter| {
            // A call without arguments is as cheap as its result.
            if values.is_empty() {
                return None;
            }
            function::call(function, values, meter).ok()
        });
        if let Some(folded) = folded {
            return folded;
        }
        if let Some(node) = self.specialised(function, operands, span) {
            return node;
        }
        let operands = self.builder.operands(operands);
        self.builder.node(Node::Call(function, operands))
    }

    fn specialised(
        &mut self,
        function: Function,
        operands: &[NodeId],
        span: Span,
    ) -> Option<NodeId> {
        use Function as F;
        let node = match (function, operands) {
            (F::Or, [target, other]) => Node::OptionalOr(*target, *other),
            (F::OrValue, [target, other]) => Node::OptionalOrValue(*target, *other),
            (F::HasValue, [target]) => Node::OptionalHasValue(*target),
            (F::Contains | F::ContainsIp, [target, value]) => {
                if let Some(network) = self.network_of(*target) {
                    Node::InNetwork(*value, network)
                } else if function == F::Contains {
                    let constant = self.constant_text(*value)?;
                    Node::Contains(*target, self.builder.finder(constant))
                } else {
                    return None;
                }
            }
            (F::Size, [target]) => match self.builder.get(*target) {
                // Only how many there are is wanted, not which.
                Node::Comprehension(shape, range, condition, None)
                    if shape.goal == Goal::Filter =>
                {
                    let goal = Goal::Count;
                    Node::Comprehension(Shape { goal, ..shape }, range, condition, None)
                }
                _ => return None,
            },
            (function, [moment, zone]) if function.is_time_part() => {
                let zone = self.constant_text(*zone)?;
                Node::TimePart(function, *moment, self.builder.zone(zone)?)
            }
            (F::StartsWith, [target, part]) => {
                Node::StartsWith(*target, self.constant_text(*part)?)
            }
            (F::EndsWith, [target, part]) => Node::EndsWith(*target, self.constant_text(*part)?),
            (F::Glob, [text, pattern]) => Node::Glob(*text, self.constant_text(*pattern)?),
            (F::IndexOf, [text, part]) => {
                let part = self.constant_text(*part)?;
                Node::IndexOf(*text, self.builder.finder(part))
            }
            (F::Replace, [text, part, with]) => {
                let (part, name) = self.builder.text_of(*part)?;
                if name.is_empty() {
                    return None;
                }
                Node::Replace(*text, self.builder.finder(part), *with)
            }
            (F::Matches, [text, pattern]) => {
                let pattern = self.constant_text(*pattern)?;
                return Some(self.matches(*text, pattern, span));
            }
            (function, [texts, values]) => {
                let ask = function.ask()?;
                let Node::Texts(path) = self.builder.get(*texts) else {
                    return None;
                };
                let constant = self.builder.constant_of(*values)?;
                match self.builder.text_test(ask, constant)? {
                    Ok(test) => Node::AnyText(path, test),
                    Err(error) => return Some(self.bad_pattern(&error, span)),
                }
            }
            _ => return None,
        };
        Some(self.builder.node(node))
    }

    /// `texts("a.b")` and the others that read a path of the event: it has to be a literal, so that rules say what
    /// they look at.
    pub(super) fn on_path(
        &mut self,
        function: Function,
        operands: &[NodeId],
        args: &[Expr],
        span: Span,
    ) -> NodeId {
        let path = match operands {
            [] => Some(TextPath::whole()),
            [first, ..] => self
                .builder
                .text_of(*first)
                .and_then(|(_, text)| TextPath::new(text)),
        };
        let part = match operands {
            [_, part] => self
                .builder
                .text_of(*part)
                .and_then(|(_, text)| DatePart::named(text)),
            _ => None,
        };
        let Some(path) = path.filter(|_| self.environment.event.is_some()) else {
            let span = args.first().map_or(span, |arg| arg.span);
            let message = "the path of a field is a literal text such as \"a.b\"";
            return self.missing(Missing::Name, Code::BadConstant, span, message.to_owned());
        };
        let path = self.builder.text_path(path);
        let node = match (function, part) {
            (Function::Texts, _) => Node::Texts(path),
            (Function::Numbers, _) => Node::Numbers(path),
            (Function::HasField, _) => Node::HasPath(path),
            (Function::IsNullOrAbsent, _) => Node::NullPath(path),
            (_, Some(part)) => Node::DateParts(path, part),
            (_, None) => {
                let span = args.last().map_or(span, |arg| arg.span);
                let message = "the part of a date is minute, hour, day, week, month or year";
                return self.missing(Missing::Name, Code::BadConstant, span, message.to_owned());
            }
        };
        self.builder.node(node)
    }

    fn constant_text(&self, node: NodeId) -> Option<ConstantId> {
        self.builder.text_of(node).map(|(constant, _)| constant)
    }

    fn network_of(&mut self, node: NodeId) -> Option<u32> {
        let constant = self.builder.constant_of(node)?;
        match self.builder.constants[constant.0 as usize] {
            Value::Cidr(network) => Some(self.builder.network(network)),
            _ => None,
        }
    }

    fn matches(&mut self, text: NodeId, pattern: ConstantId, span: Span) -> NodeId {
        match self.builder.regex(pattern) {
            Ok(regex) => self.builder.node(Node::Matches(text, regex)),
            Err(error) => self.bad_pattern(&error, span),
        }
    }

    fn bad_pattern(&mut self, error: &regex::Error, span: Span) -> NodeId {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or("").trim().to_owned();
        let message = format!("this regular expression cannot be compiled: {reason}");
        self.missing(Missing::Pattern, Code::BadPattern, span, message)
    }

    /// `inList("name", value)`: the list must be there and its name a literal, so that rules say what they use.
    pub(super) fn in_list(&mut self, operands: &[NodeId], args: &[Expr]) -> NodeId {
        let ([name, value], [name_expr, _]) = (operands, args) else {
            return self.builder.node(Node::Unknown(Missing::Function));
        };
        let Some((_, name)) = self.builder.text_of(*name) else {
            let message = "the name of a list is a literal text";
            self.diagnostics
                .push(Diagnostic::new(Code::BadConstant, name_expr.span, message));
            return self.builder.node(Node::Unknown(Missing::Name));
        };
        match self.builder.list(name) {
            Some(set) => self.builder.node(Node::InList(*value, set)),
            None => {
                let message = format!("there is no list `{name}`");
                self.missing(Missing::Name, Code::UnknownList, name_expr.span, message)
            }
        }
    }
}
