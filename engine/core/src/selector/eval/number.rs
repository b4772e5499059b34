//! Integers, moments and lengths of time that need not become values to be compared.
//!
//! As in `peek`: what is not here, and everything that would be an error, gives nothing, and the caller takes the
//! general way.

use std::cmp::Ordering;

use jiff::SignedDuration;

use super::{Evaluation, Node, NodeId, OperandsId, Why};
use crate::event::Kind;
use crate::selector::function::string::{index_of, index_of_ready};
use crate::selector::function::{Function, time};
use crate::selector::program::{Goal, Operator};
use crate::selector::value::{MapValue, Moment, Value};

impl<'e> Evaluation<'e> {
    /// The order of two nodes that give integers, moments or lengths of time.
    #[inline]
    pub(super) fn order_of_numbers(&mut self, left: NodeId, right: NodeId) -> Option<Ordering> {
        let program = self.program;
        if let Node::Constant(constant) = program.nodes[right.0 as usize] {
            // The constant says what is looked for.
            return match &program.constants[constant.0 as usize] {
                Value::Int(right) => Some(self.integer(left)?.cmp(right)),
                Value::Timestamp(right) => Some(self.moment(left)?.cmp(right)),
                Value::Duration(right) => Some(self.length(left)?.cmp(right)),
                _ => None,
            };
        }
        if let Some(left) = self.integer(left) {
            return Some(left.cmp(&self.integer(right)?));
        }
        if !matches!(
            self.program.nodes[left.0 as usize],
            Node::Binary(..) | Node::Call(..) | Node::Constant(_)
        ) {
            return None;
        }
        if let Some(left) = self.moment(left) {
            return Some(left.cmp(&self.moment(right)?));
        }
        Some(self.length(left)?.cmp(&self.length(right)?))
    }

    /// The integer that a node gives.
    pub(super) fn integer(&mut self, id: NodeId) -> Option<i64> {
        match self.program.nodes[id.0 as usize] {
            Node::Constant(_) => self.constant_integer(id),
            Node::Field(field) => self.field(field).ok()?.as_integer(),
            Node::Select(..) | Node::Local(_) => self.cursor(id)?.as_integer(),
            Node::Binary(operator, left, right) if operator >= Operator::Add => {
                let left = self.integer(left)?;
                let right = self.integer(right)?;
                self.meter.charge(1).ok()?;
                match operator {
                    Operator::Add => left.checked_add(right),
                    Operator::Subtract => left.checked_sub(right),
                    Operator::Multiply => left.checked_mul(right),
                    Operator::Divide => left.checked_div(right),
                    _ => left.checked_rem(right),
                }
            }
            Node::OptionalOrValue(target, other) => match self.optional_place(target)? {
                Some(place) => self.part(place)?.as_integer(),
                None => self.integer(other),
            },
            Node::Call(function, operands) => {
                self.remembered(id, |this| this.integer_of_call(function, operands))
            }
            Node::IndexOf(operand, part) => self.remembered(id, |this| {
                let text = this.plain_text(operand)?;
                this.index_of(text, part).ok()
            }),
            Node::TimePart(function, operand, zone) => self.remembered(id, |this| {
                let moment = this.moment(operand)?;
                this.meter.charge(5).ok()?;
                let program = this.program;
                time::part(function, moment, &program.zones[zone as usize]).ok()
            }),
            Node::Comprehension(shape, ..) if shape.goal == Goal::Count => {
                Some(self.counted(id)? as i64)
            }
            Node::Index(operand, index) => self.integer_at(id, operand, index),
            _ => None,
        }
    }

    /// An integer that is found out once per event, when several rules want it.
    #[inline]
    fn remembered(
        &mut self,
        id: NodeId,
        find: impl FnOnce(&mut Self) -> Option<i64>,
    ) -> Option<i64> {
        let slot = self.program.slot(id);
        if let Some((value, paid)) = self.memo.integer(slot) {
            self.meter.charge(paid).ok()?;
            return Some(value);
        }
        let before = self.meter;
        let value = find(self)?;
        let paid = self.meter.since(&before);
        self.memo.remember_integer(slot, value, paid);
        Some(value)
    }

    /// Where a constant part is in a text.
    pub(super) fn index_of(&mut self, text: &str, part: u32) -> Result<i64, Why> {
        let part = &self.program.finders[part as usize];
        self.meter.charge_bytes(text.len())?;
        self.meter.charge_bytes(part.needle().len())?;
        Ok(index_of_ready(text, part))
    }

    /// The integer at an index: of an array of the event, or of a constant map.
    fn integer_at(&mut self, id: NodeId, operand: NodeId, index: NodeId) -> Option<i64> {
        let program = self.program;
        let Node::Constant(constant) = program.nodes[operand.0 as usize] else {
            return self.cursor(id)?.as_integer();
        };
        let Value::Map(MapValue::Shared(entries)) = &program.constants[constant.0 as usize] else {
            return None;
        };
        let key = self.plain_text(index)?;
        self.meter.charge_bytes(key.len()).ok()?;
        match entries.get(&Value::text(key))? {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    fn integer_of_call(&mut self, function: Function, operands: OperandsId) -> Option<i64> {
        let program = self.program;
        self.meter.charge(1).ok()?;
        match (function, program.operands(operands)) {
            (Function::Size, [operand]) => self.size(*operand),
            (Function::ToInt, [text]) => self.plain_text(*text)?.parse().ok(),
            (Function::IndexOf | Function::LastIndexOf, [text, part]) => {
                let (text, part) = (self.plain_text(*text)?, self.plain_text(*part)?);
                self.meter.charge_bytes(text.len()).ok()?;
                self.meter.charge_bytes(part.len()).ok()?;
                index_of(function, text, part, None).ok()
            }
            (function, [moment]) if function.is_time_part() => {
                let moment = self.moment(*moment)?;
                time::part(function, moment, &time::Zone::UTC).ok()
            }
            _ => None,
        }
    }

    fn size(&mut self, operand: NodeId) -> Option<i64> {
        let Some(json) = self.cursor(operand) else {
            let text = self.plain_text(operand)?;
            self.meter.charge_bytes(text.len()).ok()?;
            return Some(if text.is_ascii() {
                text.len() as i64
            } else {
                text.chars().count() as i64
            });
        };
        match json.kind() {
            Kind::Array | Kind::Object => Some(json.len() as i64),
            Kind::String => {
                let text = json.as_text()?;
                self.meter.charge_bytes(text.raw().len()).ok()?;
                Some(text.count() as i64)
            }
            _ => None,
        }
    }

    /// The moment that a node gives.
    fn moment(&mut self, id: NodeId) -> Option<Moment> {
        let program = self.program;
        match program.nodes[id.0 as usize] {
            Node::Constant(constant) => match program.constants[constant.0 as usize] {
                Value::Timestamp(moment) => Some(moment),
                _ => None,
            },
            Node::Call(Function::ToTimestamp, operands) => {
                let [text] = *program.operands(operands) else {
                    return None;
                };
                self.moment_of_text(text)
            }
            Node::Binary(Operator::Add, moment, length) => {
                let (moment, length) = (self.moment(moment)?, self.length(length)?);
                self.meter.charge(1).ok()?;
                time::shift(moment, length).ok()
            }
            Node::Binary(Operator::Subtract, moment, length) => {
                let (moment, length) = (self.moment(moment)?, self.length(length)?);
                self.meter.charge(1).ok()?;
                time::shift(moment, length.checked_neg()?).ok()
            }
            _ => None,
        }
    }

    /// Times of the event are read once for all rules: nearly all of them ask for the same one or two.
    fn moment_of_text(&mut self, id: NodeId) -> Option<Moment> {
        let text = self.plain_text(id)?;
        self.meter.charge(1).ok()?;
        self.meter.charge_bytes(text.len()).ok()?;
        let Node::Field(field) = self.program.nodes[id.0 as usize] else {
            return time::parse_timestamp(text).ok();
        };
        if let Some((_, moment)) = self.moments.iter().flatten().find(|read| read.0 == field) {
            return Some(*moment);
        }
        let moment = time::parse_timestamp(text).ok()?;
        self.moments = [Some((field, moment)), self.moments[0]];
        Some(moment)
    }

    /// The length of time that a node gives.
    fn length(&mut self, id: NodeId) -> Option<SignedDuration> {
        let program = self.program;
        match program.nodes[id.0 as usize] {
            Node::Constant(constant) => match program.constants[constant.0 as usize] {
                Value::Duration(length) => Some(length),
                _ => None,
            },
            Node::Binary(Operator::Subtract, later, earlier) => {
                let (later, earlier) = (self.moment(later)?, self.moment(earlier)?);
                self.meter.charge(1).ok()?;
                time::between(later, earlier).ok()
            }
            _ => None,
        }
    }
}
