//! Optionals without boxes: chains such as `x.?a.?b.orValue("")` pass their values through directly.

use super::{ConstantId, EvalError, Evaluation, Local, Node, NodeId, Why};
use crate::selector::program::Flatness;
use crate::selector::value::{Value, charge_lookup};

type Inner<'e> = Result<Option<Value<'e>>, EvalError>;

impl<'e> Evaluation<'e> {
    /// What is in the optional that a node gives.
    pub(super) fn optional(&mut self, id: NodeId) -> Inner<'e> {
        self.charge(id, 1)?;
        let program = self.program;
        match program.nodes[id.0 as usize] {
            Node::OptionalField { field, base } => {
                if let Ok(json) = self.field(field) {
                    return self.load(id, json).map(Some);
                }
                match base.map(|base| self.field(base)) {
                    Some(Err(why)) => self.fail(id, why),
                    _ => Ok(None),
                }
            }
            Node::OptionalSelect(operand, key) => self.optional_select(id, operand, key),
            Node::OptionalIndex(operand, index) => {
                let container = self.value(operand)?;
                let index = self.value(index)?;
                match container {
                    Value::Optional(None) => Ok(None),
                    Value::Optional(Some(inner)) => self.optional_element(id, &inner, &index),
                    other => self.optional_element(id, &other, &index),
                }
            }
            Node::OptionalOr(target, other) => match self.optional(target)? {
                Some(value) => Ok(Some(value)),
                None => self.optional(other),
            },
            Node::OptionalMap(local, target, body, flatness) => {
                let Some(value) = self.optional(target)? else {
                    return Ok(None);
                };
                self.locals.truncate(local as usize);
                self.locals.push(Local::Value(Ok(value)));
                let result = match flatness {
                    Flatness::Wrapped => self.value(body).map(Some),
                    Flatness::Flat => self.optional(body),
                };
                self.locals.truncate(local as usize);
                result
            }
            _ => match self.uncharged(id)? {
                Value::Optional(None) => Ok(None),
                Value::Optional(Some(inner)) => Ok(Some((*inner).clone())),
                _ => self.fail(id, Why::NoSuchOverload),
            },
        }
    }

    /// `operand.?key`: nothing when the operand is no map, so that a null on the way is no error.
    fn optional_select(&mut self, id: NodeId, operand: NodeId, key: ConstantId) -> Inner<'e> {
        let key = self.program.constant_text(key);
        let is_optional = matches!(
            self.program.nodes[operand.0 as usize],
            Node::OptionalField { .. } | Node::OptionalSelect(..) | Node::OptionalIndex(..)
        );
        let value = match is_optional {
            true => match self.optional(operand)? {
                Some(value) => value,
                None => return Ok(None),
            },
            false => match self.value(operand)? {
                Value::Optional(None) => return Ok(None),
                Value::Optional(Some(inner)) => (*inner).clone(),
                other => other,
            },
        };
        let Value::Map(map) = value else {
            return Ok(None);
        };
        charge_lookup(&map, &mut self.meter).map_err(|why| EvalError { why, node: id })?;
        Ok(map.get_text(key))
    }

    fn optional_element(
        &mut self,
        id: NodeId,
        container: &Value<'e>,
        index: &Value<'_>,
    ) -> Inner<'e> {
        match container {
            Value::Map(_) | Value::List(_) => self.element(id, container, index),
            _ => Ok(None),
        }
    }

    /// `optional.key`: the value's entry as an optional; an error when the value is no map.
    pub(super) fn select_optional(
        &mut self,
        id: NodeId,
        inner: Option<&Value<'e>>,
        key: &str,
    ) -> Result<Value<'e>, EvalError> {
        match inner {
            None => Ok(Value::Optional(None)),
            Some(Value::Map(map)) => {
                charge_lookup(map, &mut self.meter).map_err(|why| EvalError { why, node: id })?;
                Ok(map.get_text(key).map_or(Value::Optional(None), Value::some))
            }
            Some(_) => self.fail(id, Why::NoSuchKey),
        }
    }

    /// `optional[index]`
    pub(super) fn index_optional(
        &mut self,
        id: NodeId,
        inner: Option<&Value<'e>>,
        index: &Value<'_>,
    ) -> Result<Value<'e>, EvalError> {
        let Some(container) = inner else {
            return Ok(Value::Optional(None));
        };
        let found = self.element(id, container, index)?;
        Ok(found.map_or(Value::Optional(None), Value::some))
    }
}
