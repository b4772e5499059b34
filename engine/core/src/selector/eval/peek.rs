//! Looking at text where it stands in the event, without making a value of it.
//!
//! Most operands of conditions are fields that hold text without escapes. For these the functions here give the
//! text itself; for everything else, errors included, they give nothing and the caller takes the general way, which
//! is the only one that decides. So what is here can be wrong about speed, never about meaning.

use std::cmp::Ordering;

use super::{Evaluation, NodeId};
use crate::event::{Json, Number};
use crate::selector::program::Node;
use crate::selector::value::{ListValue, MapValue, StringValue, Value};

impl<'e> Evaluation<'e> {
    /// The text that a node gives, when it stands in the event as it is.
    #[inline]
    pub(super) fn plain_text(&mut self, id: NodeId) -> Option<&'e str> {
        let text = match self.program.nodes[id.0 as usize] {
            Node::Local(local) => match self.locals.get(local as usize)? {
                Ok(Value::String(StringValue::Borrowed(text))) => return Some(text),
                _ => return None,
            },
            Node::Field(field) => self.field(field).ok()?.as_text()?,
            Node::Select(..) => self.cursor(id)?.as_text()?,
            Node::Constant(constant) => {
                return self.program.constants[constant.0 as usize].as_text();
            }
            Node::OptionalOrValue(target, other) => match self.program.nodes[target.0 as usize] {
                Node::OptionalField { field, base } => match self.field(field) {
                    Ok(json) => json.as_text()?,
                    Err(_) if base.is_none_or(|base| self.field(base).is_ok()) => {
                        return self.plain_text(other);
                    }
                    Err(_) => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        if text.is_escaped() {
            None
        } else {
            Some(text.raw())
        }
    }

    /// Whether two nodes give the same text.
    #[inline]
    pub(super) fn equal_texts(&mut self, left: NodeId, right: NodeId) -> Option<bool> {
        let left = self.plain_text(left)?;
        let right = self.plain_text(right)?;
        self.meter.charge_bytes(left.len().min(right.len())).ok()?;
        Some(left == right)
    }

    /// The order of two nodes that give integers.
    #[inline]
    pub(super) fn order_of_integers(&mut self, left: NodeId, right: NodeId) -> Option<Ordering> {
        Some(self.integer(left)?.cmp(&self.integer(right)?))
    }

    fn integer(&mut self, id: NodeId) -> Option<i64> {
        let json = match self.program.nodes[id.0 as usize] {
            Node::Constant(constant) => {
                return match self.program.constants[constant.0 as usize] {
                    Value::Int(value) => Some(value),
                    _ => None,
                };
            }
            Node::Field(field) => self.field(field).ok()?,
            Node::Select(..) => self.cursor(id)?,
            _ => return None,
        };
        match json.as_number()? {
            Number::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The part of the event that a node gives.
    pub(super) fn cursor(&mut self, id: NodeId) -> Option<Json<'e>> {
        match self.program.nodes[id.0 as usize] {
            Node::Field(field) => self.field(field).ok(),
            Node::Local(local) => match self.locals.get(local as usize)? {
                Ok(Value::Map(MapValue::Json(json)) | Value::List(ListValue::Json(json))) => {
                    Some(*json)
                }
                _ => None,
            },
            Node::Select(operand, key) => {
                let json = self.cursor(operand)?;
                self.meter.charge(1 + json.len() as u64 / 8).ok()?;
                json.get(self.program.constant_text(key))
            }
            _ => None,
        }
    }
}
