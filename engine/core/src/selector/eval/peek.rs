//! Looking at parts of the event where they stand, without making values of them.
//!
//! Most operands of conditions are fields that hold text without escapes, and integers. For these the functions
//! here and in `number` give what is wanted; for everything else, errors included, they give nothing and the caller
//! takes the general way, which is the only one that decides. So what is here can be wrong about speed, never about
//! meaning. Must never evaluate a condition: what was looked at in vain is done again, and conditions within
//! conditions would double the work each time.

use std::cmp::Ordering;

use super::{ConstantId, Evaluation, Local, Node, NodeId, OperandsId};
use crate::event::{FieldId, Json, Kind};
use crate::selector::function::Function;
use crate::selector::function::operator::holds;
use crate::selector::program::{Goal, Operator, Variables};
use crate::selector::value::{ListValue, MapValue, StringValue, Value};

impl<'e> Evaluation<'e> {
    /// Whether a comparison holds, for operands that need not become values.
    #[inline]
    pub(super) fn peeked(
        &mut self,
        operator: Operator,
        left: NodeId,
        right: NodeId,
    ) -> Option<bool> {
        match operator {
            Operator::In => self.member(left, right),
            Operator::Equal | Operator::NotEqual => {
                let equal = self.equal(left, right)?;
                Some(equal == (operator == Operator::Equal))
            }
            _ => Some(holds(operator, self.order_of_numbers(left, right)?)),
        }
    }

    #[inline]
    fn equal(&mut self, left: NodeId, right: NodeId) -> Option<bool> {
        // With an integer, nothing is looked for that could be text.
        if self.constant_integer(right).is_none() {
            if let Some(equal) = self.equal_texts(left, right) {
                return Some(equal);
            }
            if let Some(order) = self.order_of_numbers(left, right) {
                return Some(order == Ordering::Equal);
            }
            return self.equal_built(left, right);
        }
        Some(self.order_of_numbers(left, right)? == Ordering::Equal)
    }

    /// The text that a node gives, when it stands in the event or the program as it is.
    #[inline]
    pub(super) fn plain_text(&mut self, id: NodeId) -> Option<&'e str> {
        let text = match self.program.nodes[id.0 as usize] {
            Node::Field(field) => self.field(field).ok()?.as_text()?,
            Node::Local(local) => match self.locals.get(local as usize)? {
                Local::Value(Ok(Value::String(StringValue::Borrowed(text)))) => return Some(text),
                Local::Part(node) => self.part(*node)?.as_text()?,
                Local::Value(_) => return None,
            },
            Node::Select(..) => self.cursor(id)?.as_text()?,
            Node::Constant(constant) => {
                return self.program.constants[constant.0 as usize].as_text();
            }
            Node::OptionalOrValue(target, other) => match self.optional_place(target)? {
                Some(place) => self.part(place)?.as_text()?,
                None => return self.plain_text(other),
            },
            Node::Index(list, index) => return self.plain_element(id, list, index),
            Node::Call(function, operands) => return self.piece(function, operands),
            _ => return None,
        };
        if text.is_escaped() {
            None
        } else {
            Some(text.raw())
        }
    }

    /// The text of `operand[index]`.
    fn plain_element(&mut self, id: NodeId, list: NodeId, index: NodeId) -> Option<&'e str> {
        if let Node::Call(Function::Split, operands) = self.program.nodes[list.0 as usize] {
            let program = self.program;
            let [text, separator] = *program.operands(operands) else {
                return None;
            };
            let index = usize::try_from(self.constant_integer(index)?).ok()?;
            let (text, separator) = (self.plain_text(text)?, self.plain_text(separator)?);
            self.meter
                .charge(1 + (text.len() as u64).div_ceil(4))
                .ok()?;
            return match separator.as_bytes() {
                [] => None,
                [byte] => {
                    let ends = memchr::memchr_iter(*byte, text.as_bytes());
                    let mut ends = ends.chain([text.len()]);
                    let start = match index {
                        0 => 0,
                        _ => ends.nth(index - 1)? + 1,
                    };
                    text.get(start..ends.next()?)
                }
                _ => text.split(separator).nth(index),
            };
        }
        let text = self.cursor(id)?.as_text()?;
        if text.is_escaped() {
            None
        } else {
            Some(text.raw())
        }
    }

    /// The piece of a text that a function gives, when the text is ASCII as far as positions matter.
    fn piece(&mut self, function: Function, operands: OperandsId) -> Option<&'e str> {
        let program = self.program;
        match (function, program.operands(operands)) {
            (Function::Substring, [text, rest @ ..]) => {
                let text = self.plain_text(*text)?;
                self.meter.charge_bytes(text.len()).ok()?;
                let from = usize::try_from(self.integer(*rest.first()?)?).ok()?;
                let to = match rest.get(1) {
                    Some(to) => usize::try_from(self.integer(*to)?).ok()?,
                    None => text.len(),
                };
                // A position is a byte only where all before it is ASCII.
                if text.as_bytes().get(..to)?.is_ascii() && from <= to {
                    text.get(from..to)
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    /// Whether two nodes give the same text.
    #[inline]
    fn equal_texts(&mut self, left: NodeId, right: NodeId) -> Option<bool> {
        let left = self.plain_text(left)?;
        let right = self.plain_text(right)?;
        self.meter.charge_bytes(left.len().min(right.len())).ok()?;
        Some(left == right)
    }

    /// Whether a text is in a list of texts, or in an array of the event.
    fn member(&mut self, value: NodeId, container: NodeId) -> Option<bool> {
        let text = self.plain_text(value)?;
        let program = self.program;
        match program.nodes[container.0 as usize] {
            Node::List(operands, None) => {
                // All operands are looked at, as one that cannot be evaluated is an error.
                let mut found = false;
                for operand in program.operands(operands) {
                    let other = self.plain_text(*operand)?;
                    self.meter.charge(1).ok()?;
                    self.meter.charge_bytes(text.len().min(other.len())).ok()?;
                    found |= text == other;
                }
                Some(found)
            }
            Node::Comprehension(shape, range, None, Some(transform))
                if shape.goal == Goal::List && shape.variables == Variables::One =>
            {
                if let Some(found) = self.mapped_has(container, text) {
                    return Some(found);
                }
                let array = self.array(range)?;
                let mut found = false;
                for element in array.elements() {
                    self.meter.charge(2).ok()?;
                    self.set_part(shape.local, element);
                    let other = self.plain_text(transform);
                    self.locals.truncate(shape.local as usize);
                    let other = other?;
                    self.meter.charge_bytes(text.len().min(other.len())).ok()?;
                    found |= text == other;
                }
                Some(found)
            }
            _ => {
                let array = self.array(container)?;
                for element in array.elements() {
                    self.meter.charge(1).ok()?;
                    self.meter.charge_bytes(text.len()).ok()?;
                    if element.as_text().is_some_and(|other| other.eq_str(text)) {
                        return Some(true);
                    }
                }
                Some(false)
            }
        }
    }

    /// The array of the event that a node gives.
    #[inline]
    pub(super) fn array(&mut self, id: NodeId) -> Option<Json<'e>> {
        // Elements are named by their nodes, which mean something only in the event at hand.
        self.view.as_ref()?;
        let array = match self.program.nodes[id.0 as usize] {
            Node::OptionalOrValue(target, _) => {
                let place = self.optional_place(target)??;
                self.part(place)
            }
            _ => self.cursor(id),
        };
        array.filter(|json| json.kind() == Kind::Array)
    }

    /// Makes the macro's variable stand for a part of the event.
    #[inline]
    pub(super) fn set_part(&mut self, local: u32, part: Json<'e>) {
        let part = Local::Part(part.node_index());
        match self.locals.get_mut(local as usize) {
            Some(place) => *place = part,
            None => self.locals.push(part),
        }
    }

    pub(super) fn constant_integer(&self, id: NodeId) -> Option<i64> {
        match self.program.nodes[id.0 as usize] {
            Node::Constant(constant) => match self.program.constants[constant.0 as usize] {
                Value::Int(value) => Some(value),
                _ => None,
            },
            _ => None,
        }
    }

    /// The part of the event that a node gives.
    #[inline]
    pub(super) fn cursor(&mut self, id: NodeId) -> Option<Json<'e>> {
        let place = self.place(id)?;
        self.part(place)
    }

    /// The part of the event at a place.
    #[inline(always)]
    pub(super) fn part(&self, place: u32) -> Option<Json<'e>> {
        let (document, _) = self.view.as_ref()?;
        Some(document.at(place))
    }

    /// Where the part of the event is that a node gives. Places are passed on, not cursors, which are ten times as
    /// large.
    pub(super) fn place(&mut self, id: NodeId) -> Option<u32> {
        match self.program.nodes[id.0 as usize] {
            Node::Field(field) => self.place_of_field(field),
            Node::Select(operand, key) => {
                let object = match self.program.nodes[operand.0 as usize] {
                    Node::Local(local) => self.place_of_local(local)?,
                    _ => self.place(operand)?,
                };
                self.place_of_entry(object, key)?
            }
            Node::Local(local) => self.place_of_local(local),
            Node::Index(operand, index) => {
                let array = self.place(operand)?;
                let index = self.constant_integer(index)?;
                self.place_of_element(array, index)?
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn place_of_field(&self, field: FieldId) -> Option<u32> {
        let (_, view) = self.view.as_ref()?;
        view.slots.get(field)
    }

    #[inline(always)]
    fn place_of_local(&self, local: u32) -> Option<u32> {
        match self.locals.get(local as usize)? {
            Local::Part(place) => Some(*place),
            Local::Value(Ok(
                Value::Map(MapValue::Json(json)) | Value::List(ListValue::Json(json)),
            )) => Some(json.node_index()),
            Local::Value(_) => None,
        }
    }

    /// The entry of an object, or that there is none; nothing where it cannot be paid for.
    #[inline(always)]
    fn place_of_entry(&mut self, object: u32, key: ConstantId) -> Option<Option<u32>> {
        let json = self.part(object)?;
        self.meter.charge(1 + json.len() as u64 / 8).ok()?;
        Some(self.program.get(json, key).map(Json::node_index))
    }

    /// The element of an array, or that there is none.
    fn place_of_element(&mut self, array: u32, index: i64) -> Option<Option<u32>> {
        let json = self.part(array)?;
        if json.kind() != Kind::Array {
            return None;
        }
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index >= json.len() {
            return Some(None);
        }
        self.meter.charge(1 + index as u64 / 8).ok()?;
        Some(json.elements().nth(index).map(Json::node_index))
    }

    /// Where the part of the event is that is in an optional, or that there is none.
    pub(super) fn optional_place(&mut self, id: NodeId) -> Option<Option<u32>> {
        match self.program.nodes[id.0 as usize] {
            Node::OptionalField { field, base } => match self.place_of_field(field) {
                Some(place) => Some(Some(place)),
                None if base.is_none_or(|base| self.place_of_field(base).is_some()) => Some(None),
                None => None,
            },
            Node::OptionalSelect(operand, key) => {
                let object = match self.program.nodes[operand.0 as usize] {
                    Node::OptionalField { .. }
                    | Node::OptionalSelect(..)
                    | Node::OptionalIndex(..) => match self.optional_place(operand)? {
                        Some(place) => place,
                        None => return Some(None),
                    },
                    _ => self.place(operand)?,
                };
                self.place_of_entry(object, key)
            }
            Node::OptionalIndex(operand, index) => {
                let array = self.place(operand)?;
                let index = self.constant_integer(index)?;
                self.place_of_element(array, index)
            }
            _ => None,
        }
    }
}
