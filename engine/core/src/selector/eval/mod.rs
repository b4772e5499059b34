//! Evaluating nodes of a program on one event.
//!
//! One [`Evaluation`] per event: it holds the cursors, the budget of the selector at hand and the variables of
//! macros, and evaluates any number of nodes. Values borrow from the event and the program; a condition over
//! fields and constants allocates nothing. Errors are values of a few bytes that `&&` and `||` may absorb.
//!
//! Recursion follows the tree, whose depth the parser bounds. Must never evaluate anything for free: every node
//! pays at least one unit, so the budget bounds the work whatever the rule and the event. A bytecode machine was
//! rejected: it must copy operands to a stack, and the tree is already flat in memory.

use self::memo::Memo;
use super::error::{EvalError, Why};
use super::function::{self, Function};
use super::meter::Meter;
use super::program::{ConstantId, Goal, Missing, Node, NodeId, OperandsId, Operator, Program};
use super::texts::TextPath;
use super::value::{MapValue, Moment, Value, charge_lookup};
use crate::event::{Document, FieldId, Json, Slots};

mod comprehension;
mod elements;
mod memo;
mod number;
mod optional;
mod peek;
#[cfg(test)]
mod peek_tests;
mod scalars;
#[cfg(test)]
mod tests;
mod text;

/// The event that expressions read.
#[derive(Clone, Copy)]
pub struct EventView<'e> {
    /// The record: where `event` begins.
    pub root: Json<'e>,
    /// Its fields, extracted by the plan of the program's fields.
    pub slots: &'e Slots,
}

/// What is kept between events, so that nothing is allocated for one. One per thread.
#[derive(Debug, Default)]
pub struct Scratch {
    locals: Vec<Local<'static>>,
    memo: Memo,
}

impl Scratch {
    /// Nothing kept so far.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The value of an expression, or why it has none.
pub type Evaluated<'e> = Result<Value<'e>, EvalError>;

/// What a variable of a macro holds.
#[derive(Clone, Debug)]
enum Local<'e> {
    /// A part of the event, by its node: most variables stand for elements of arrays, and are only looked into.
    Part(u32),
    /// Something that was evaluated, or could not be.
    Value(Evaluated<'e>),
}

/// Evaluates nodes on one event.
pub struct Evaluation<'e> {
    program: &'e Program,
    view: Option<(Document<'e>, EventView<'e>)>,
    variables: &'e [Value<'e>],
    locals: Vec<Local<'e>>,
    /// What was found out about the event.
    memo: Memo,
    /// Fields that were read as moments.
    moments: [Option<(FieldId, Moment)>; 2],
    meter: Meter,
}

impl<'e> Evaluation<'e> {
    /// On an event, whose slots were extracted by the plan of this program's fields.
    pub fn new(program: &'e Program, view: EventView<'e>, scratch: &mut Scratch) -> Self {
        let mut memo = std::mem::take(&mut scratch.memo);
        memo.start(program.slots());
        Self {
            program,
            view: Some((view.root.document(), view)),
            variables: &[],
            locals: recycle(std::mem::take(&mut scratch.locals)),
            memo,
            moments: [None; 2],
            meter: Meter::new(),
        }
    }

    /// Without an event, on variables by the numbers of the environment.
    pub fn of_variables(program: &'e Program, variables: &'e [Value<'e>]) -> Self {
        Self {
            program,
            view: None,
            variables,
            locals: Vec::new(),
            memo: Memo::default(),
            moments: [None; 2],
            meter: Meter::new(),
        }
    }

    /// With variables beside the event, by the numbers of the environment.
    pub fn with_variables(mut self, variables: &'e [Value<'e>]) -> Self {
        self.variables = variables;
        self
    }

    /// Gives the memory back for the next event.
    pub fn finish(self, scratch: &mut Scratch) {
        scratch.locals = recycle(self.locals);
        scratch.memo = self.memo;
        scratch.memo.finish();
    }

    /// What the last selector cost.
    pub fn spent(&self) -> u64 {
        self.meter.spent()
    }

    /// The value of a selector, with a budget of its own.
    pub fn eval(&mut self, node: NodeId) -> Evaluated<'e> {
        self.meter = Meter::new();
        self.locals.clear();
        self.value(node)
    }

    /// Whether a condition holds, with a budget of its own. What is neither true nor false is an error.
    #[inline]
    pub fn test(&mut self, node: NodeId) -> Result<bool, EvalError> {
        self.meter = Meter::new();
        self.locals.clear();
        self.condition(node)
    }

    #[inline]
    fn fail<T>(&self, node: NodeId, why: Why) -> Result<T, EvalError> {
        Err(EvalError { why, node })
    }

    #[inline]
    fn charge(&mut self, node: NodeId, units: u64) -> Result<(), EvalError> {
        self.meter
            .charge(units)
            .map_err(|why| EvalError { why, node })
    }

    /// Whether a condition holds: the nodes that give true or false without making a [`Value`].
    fn condition(&mut self, id: NodeId) -> Result<bool, EvalError> {
        self.charge(id, 1)?;
        let result = match self.program.nodes[id.0 as usize] {
            Node::And(operands) => return self.connective(operands, false),
            Node::Or(operands) => return self.connective(operands, true),
            Node::Not(operand) => return self.condition(operand).map(|value| !value),
            Node::EqualsText(operand, constant) => {
                return self.equals_text(operand, constant);
            }
            Node::HasField(field) => self.has_field(field),
            Node::Field(field) => match self.field(field) {
                Ok(json) => json.as_bool().ok_or(Why::NotABool),
                Err(why) => Err(why),
            },
            Node::Binary(operator, left, right) if operator < Operator::Add => {
                return self.compare(id, operator, left, right);
            }
            Node::InSet(..)
            | Node::InList(..)
            | Node::StartsWith(..)
            | Node::EndsWith(..)
            | Node::Call(Function::StartsWith | Function::EndsWith, _) => {
                return self.test_text(id);
            }
            Node::Comprehension(shape, range, Some(condition), None)
                if matches!(shape.goal, Goal::All | Goal::Exists) =>
            {
                return self.quantify(id, shape, range, condition);
            }
            Node::Comprehension(shape, range, Some(condition), None)
                if shape.goal == Goal::ExistsOne =>
            {
                return Ok(self.count(id, shape, range, condition)? == 1);
            }
            Node::Bind(local, values, body) => {
                self.bind(local, values);
                let result = self.condition(body);
                self.locals.truncate(local as usize);
                return result;
            }
            Node::Contains(..) | Node::Matches(..) | Node::Glob(..) | Node::InNetwork(..) => {
                return self.search(id);
            }
            Node::AnyText(path, test) => {
                let test = &self.program.text_tests[test as usize];
                return self.on_path(id, |path, root, meter| path.any(root, test, meter), path);
            }
            Node::HasPath(path) => return self.on_path(id, TextPath::is_present, path),
            Node::NullPath(path) => return self.on_path(id, TextPath::is_null_or_absent, path),
            Node::Has(operand, key) => return self.has(id, operand, key),
            Node::OptionalHasValue(operand) => {
                return Ok(self.optional(operand)?.is_some());
            }
            Node::Conditional(condition, then, otherwise) => {
                let taken = if self.condition(condition)? {
                    then
                } else {
                    otherwise
                };
                return self.condition(taken);
            }
            _ => return self.condition_of_value(id),
        };
        result.map_err(|why| EvalError { why, node: id })
    }

    /// Whether a node whose unit is paid gives true.
    fn condition_of_value(&mut self, id: NodeId) -> Result<bool, EvalError> {
        match self.uncharged(id)? {
            Value::Bool(value) => Ok(value),
            _ => self.fail(id, Why::NotABool),
        }
    }

    /// `&&` and `||`: one operand that decides absorbs the errors of all others, in any order.
    fn connective(&mut self, operands: OperandsId, deciding: bool) -> Result<bool, EvalError> {
        let mut failed = None;
        let program = self.program;
        for operand in program.operands(operands) {
            match self.condition(*operand) {
                Ok(value) if value == deciding => return Ok(deciding),
                Ok(_) => {}
                Err(error) if error.why == Why::CostExceeded => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(!deciding),
        }
    }

    /// A comparison, or membership.
    fn compare(
        &mut self,
        id: NodeId,
        operator: Operator,
        left: NodeId,
        right: NodeId,
    ) -> Result<bool, EvalError> {
        let left = self.chosen(left)?;
        let meter = self.meter;
        if let Some(holds) = self.peeked(operator, left, right) {
            return Ok(holds);
        }
        // What was looked at in vain is looked at again, and paid for then.
        self.meter = meter;
        let left = self.value(left)?;
        let right = self.value(right)?;
        function::operator::test(operator, &left, &right, &mut self.meter)
            .map_err(|why| EvalError { why, node: id })
    }

    /// The branch of a conditional that counts; any other node itself.
    #[inline]
    fn chosen(&mut self, mut id: NodeId) -> Result<NodeId, EvalError> {
        while let Node::Conditional(condition, then, otherwise) = self.program.nodes[id.0 as usize]
        {
            self.charge(id, 1)?;
            id = match self.condition(condition)? {
                true => then,
                false => otherwise,
            };
        }
        Ok(id)
    }

    /// The value of a node.
    fn value(&mut self, id: NodeId) -> Evaluated<'e> {
        self.charge(id, 1)?;
        self.uncharged(id)
    }

    /// The value of a node whose unit is paid.
    #[inline]
    fn uncharged(&mut self, id: NodeId) -> Evaluated<'e> {
        let program = self.program;
        match program.nodes[id.0 as usize] {
            Node::Constant(constant) => Ok(program.constant(constant)),
            Node::Field(field) => match self.field(field) {
                Ok(json) => self.load(id, json),
                Err(why) => self.fail(id, why),
            },
            Node::Local(local) => self.local(id, local),
            Node::Select(operand, key) => self.select(id, operand, key),
            Node::Index(operand, index) => self.index(id, operand, index),
            Node::Binary(operator, left, right) => {
                let left = self.value(left)?;
                let right = self.value(right)?;
                function::operator::apply(operator, &left, &right, &mut self.meter)
                    .map_err(|why| EvalError { why, node: id })
            }
            Node::Call(function, operands) => self.call(id, function, operands),
            Node::Event => match &self.view {
                Some((_, view)) => Ok(Value::Map(MapValue::Json(view.root))),
                None => self.fail(id, Why::UnknownName),
            },
            Node::Variable(number) => match self.variables.get(number as usize) {
                Some(value) => Ok(value.borrow()),
                None => self.fail(id, Why::UnknownName),
            },
            _ => self.rare(id),
        }
    }

    /// Nodes that are not on the way of most conditions, out of the way of the compiler's inlining.
    #[inline(never)]
    fn rare(&mut self, id: NodeId) -> Evaluated<'e> {
        let program = self.program;
        match program.nodes[id.0 as usize] {
            Node::And(_)
            | Node::Or(_)
            | Node::Not(_)
            | Node::EqualsText(..)
            | Node::HasField(_)
            | Node::InSet(..)
            | Node::InList(..)
            | Node::StartsWith(..)
            | Node::EndsWith(..)
            | Node::Contains(..)
            | Node::Matches(..)
            | Node::Glob(..)
            | Node::InNetwork(..)
            | Node::AnyText(..)
            | Node::HasPath(_)
            | Node::NullPath(_)
            | Node::Has(..)
            | Node::OptionalHasValue(_) => self.condition(id).map(Value::Bool),
            Node::Texts(_) | Node::Numbers(_) | Node::DateParts(..) => self.scalars(id),
            Node::Conditional(condition, then, otherwise) => {
                let taken = if self.condition(condition)? {
                    then
                } else {
                    otherwise
                };
                self.value(taken)
            }
            Node::Negate(operand) => {
                let value = self.value(operand)?;
                function::operator::negate(&value).map_err(|why| EvalError { why, node: id })
            }
            Node::OptionalField { .. }
            | Node::OptionalSelect(..)
            | Node::OptionalIndex(..)
            | Node::OptionalOr(..)
            | Node::OptionalMap(..) => {
                let inner = self.optional(id)?;
                Ok(inner.map_or(Value::Optional(None), Value::some))
            }
            Node::OptionalOrValue(target, other) => match self.optional(target)? {
                Some(value) => Ok(value),
                None => self.value(other),
            },
            Node::List(operands, optional) => self.list(id, operands, optional),
            Node::Map(operands, optional) => self.map(id, operands, optional),
            Node::Comprehension(shape, range, Some(condition), None)
                if shape.goal == Goal::Count =>
            {
                let count = self.count(id, shape, range, condition)?;
                Ok(Value::Int(count as i64))
            }
            Node::Comprehension(shape, range, condition, transform) => {
                self.comprehension(id, shape, range, (condition, transform))
            }
            Node::Bind(local, values, body) => {
                self.bind(local, values);
                let result = self.value(body);
                self.locals.truncate(local as usize);
                result
            }
            Node::IndexOf(operand, part) => {
                let value = self.value(operand)?;
                let Value::String(text) = &value else {
                    return self.fail(id, Why::NoSuchOverload);
                };
                self.index_of(text, part)
                    .map(Value::Int)
                    .map_err(|why| EvalError { why, node: id })
            }
            Node::Replace(operand, part, with) => {
                let part = program.finders[part as usize].needle();
                let part = Value::text(std::str::from_utf8(part).unwrap_or(""));
                let arguments = [self.value(operand)?, part, self.value(with)?];
                function::call(Function::Replace, &arguments, &mut self.meter)
                    .map_err(|why| EvalError { why, node: id })
            }
            Node::TimePart(function, operand, zone) => {
                let value = self.value(operand)?;
                self.charge(id, 5)?;
                let Value::Timestamp(moment) = value else {
                    return self.fail(id, Why::NoSuchOverload);
                };
                function::time::part(function, moment, &program.zones[zone as usize])
                    .map(Value::Int)
                    .map_err(|why| EvalError { why, node: id })
            }
            Node::Unknown(Missing::Name) => self.fail(id, Why::UnknownName),
            Node::Unknown(Missing::Function) => self.fail(id, Why::UnknownFunction),
            Node::Unknown(Missing::Pattern) => self.fail(id, Why::BadPattern),
            _ => self.fail(id, Why::NoSuchOverload),
        }
    }

    #[inline]
    fn field(&self, field: FieldId) -> Result<Json<'e>, Why> {
        let Some((document, view)) = &self.view else {
            return Err(Why::UnknownName);
        };
        match view.slots.get(field) {
            Some(node) => Ok(document.at(node)),
            None => Err(Why::AbsentField(field)),
        }
    }

    /// The value of a part of the event; decoding escapes is paid for.
    #[inline]
    fn load(&mut self, node: NodeId, json: Json<'e>) -> Evaluated<'e> {
        let value = Value::from_json(json);
        if let Value::String(super::value::StringValue::Shared(text)) = &value {
            self.charge(node, 1 + text.len() as u64 / 10)?;
        }
        Ok(value)
    }

    /// `has(event.a.b)`: of an absent parent an error, of a parent that is no map false.
    fn has_field(&self, field: FieldId) -> Result<bool, Why> {
        if self.field(field).is_ok() {
            return Ok(true);
        }
        match self.program.fields().parent(field) {
            None => Ok(false),
            Some(parent) => self.field(parent).map(|_| false),
        }
    }

    fn call(&mut self, id: NodeId, function: Function, operands: OperandsId) -> Evaluated<'e> {
        let program = self.program;
        let operands = program.operands(operands);
        // Arguments on the stack for the arities that nearly all functions have.
        let result = match operands {
            [] => function::call(function, &[], &mut self.meter),
            [one] => function::call(function, &[self.value(*one)?], &mut self.meter),
            [one, two] => {
                let arguments = [self.value(*one)?, self.value(*two)?];
                function::call(function, &arguments, &mut self.meter)
            }
            _ => {
                let mut arguments = Vec::with_capacity(operands.len());
                for operand in operands {
                    arguments.push(self.value(*operand)?);
                }
                function::call(function, &arguments, &mut self.meter)
            }
        };
        result.map_err(|why| EvalError { why, node: id })
    }

    fn select(&mut self, id: NodeId, operand: NodeId, key: ConstantId) -> Evaluated<'e> {
        let key = self.program.constant_text(key);
        match self.value(operand)? {
            Value::Map(map) => self.entry(id, &map, key),
            Value::Optional(inner) => self.select_optional(id, inner.as_deref(), key),
            _ => self.fail(id, Why::NoSuchOverload),
        }
    }

    fn entry(&mut self, id: NodeId, map: &MapValue<'e>, key: &str) -> Evaluated<'e> {
        charge_lookup(map, &mut self.meter).map_err(|why| EvalError { why, node: id })?;
        match map.get_text(key) {
            Some(value) => Ok(value),
            None => self.fail(id, Why::NoSuchKey),
        }
    }

    fn index(&mut self, id: NodeId, operand: NodeId, index: NodeId) -> Evaluated<'e> {
        let container = self.value(operand)?;
        let index = self.value(index)?;
        if let Value::Optional(inner) = container {
            return self.index_optional(id, inner.as_deref(), &index);
        }
        match self.element(id, &container, &index)? {
            Some(value) => Ok(value),
            None if matches!(container, Value::Map(_)) => self.fail(id, Why::NoSuchKey),
            None => self.fail(id, Why::IndexOutOfRange),
        }
    }

    /// The element or entry at an index; `None` when there is none.
    fn element(
        &mut self,
        id: NodeId,
        container: &Value<'e>,
        index: &Value<'_>,
    ) -> Result<Option<Value<'e>>, EvalError> {
        match container {
            Value::Map(map) => {
                charge_lookup(map, &mut self.meter).map_err(|why| EvalError { why, node: id })?;
                Ok(map.get(index))
            }
            Value::List(list) => {
                let position = match index {
                    Value::Int(position) => usize::try_from(*position).ok(),
                    Value::Uint(position) => usize::try_from(*position).ok(),
                    Value::Double(position) if position.fract() == 0.0 && *position >= 0.0 => {
                        Some(*position as usize)
                    }
                    _ => return self.fail(id, Why::NoSuchOverload),
                };
                let Some(position) = position.filter(|position| *position < list.len()) else {
                    return Ok(None);
                };
                self.charge(id, 1 + position as u64 / 8)?;
                Ok(list.get(position))
            }
            _ => self.fail(id, Why::NoSuchOverload),
        }
    }

    /// `has(operand.key)` where the operand is no plain chain of the event's fields.
    fn has(&mut self, id: NodeId, operand: NodeId, key: ConstantId) -> Result<bool, EvalError> {
        if let Some(json) = self.cursor(operand) {
            self.charge(id, 1 + json.len() as u64 / 8)?;
            return Ok(self.program.get(json, key).is_some());
        }
        let key = self.program.constant_text(key);
        let value = self.value(operand)?;
        let map = match &value {
            Value::Map(map) => map,
            Value::Optional(Some(inner)) => match &**inner {
                Value::Map(map) => map,
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        charge_lookup(map, &mut self.meter).map_err(|why| EvalError { why, node: id })?;
        Ok(map.contains(&Value::text(key)))
    }

    /// `cel.bind` and `cel.block`: a value that fails is only an error where it is used.
    fn bind(&mut self, local: u32, values: OperandsId) {
        let program = self.program;
        self.locals.truncate(local as usize);
        for value in program.operands(values) {
            let value = self.value(*value);
            self.locals.push(Local::Value(value));
        }
    }

    /// The value of a macro's variable.
    #[inline]
    fn local(&mut self, id: NodeId, local: u32) -> Evaluated<'e> {
        match (self.locals.get(local as usize), &self.view) {
            (Some(Local::Value(value)), _) => value.clone(),
            (Some(Local::Part(node)), Some((document, _))) => {
                let json = document.at(*node);
                self.load(id, json)
            }
            _ => self.fail(id, Why::UnknownName),
        }
    }
}

/// The memory of the variables of one event, for those of another.
fn recycle<'from, 'to>(mut locals: Vec<Local<'from>>) -> Vec<Local<'to>> {
    locals.clear();
    // The list is empty, so nothing is ever converted; collecting reuses its memory.
    locals.into_iter().map(|_| Local::Part(0)).collect()
}
