//! Operators on two values: arithmetic, joining, membership, comparison.
//!
//! Integers never wrap: what does not fit is an error. Doubles follow IEEE 754, division by zero included.

use std::cmp::Ordering;

use super::time;
use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::program::Operator;
use crate::selector::value::{ListValue, Value, equals, order};

/// `left operator right`
#[inline]
pub(crate) fn apply<'e>(
    operator: Operator,
    left: &Value<'e>,
    right: &Value<'e>,
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    match operator {
        Operator::Add => add(left, right, meter),
        Operator::Subtract => subtract(left, right),
        Operator::Multiply | Operator::Divide | Operator::Remainder => {
            arithmetic(operator, left, right)
        }
        _ => test(operator, left, right, meter).map(Value::Bool),
    }
}

/// The operators that give true or false.
#[inline]
pub(crate) fn test(
    operator: Operator,
    left: &Value<'_>,
    right: &Value<'_>,
    meter: &mut Meter,
) -> Result<bool, Why> {
    match operator {
        Operator::Equal => equals(left, right, meter),
        Operator::NotEqual => equals(left, right, meter).map(|equal| !equal),
        Operator::In => member(left, right, meter),
        // NaN is in no order with anything, so no comparison with it holds.
        _ => Ok(order(left, right, meter)?.is_some_and(|order| holds(operator, order))),
    }
}

/// Whether a comparison holds for values in this order.
pub(crate) fn holds(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Equal => order == Ordering::Equal,
        Operator::NotEqual => order != Ordering::Equal,
        Operator::Less => order == Ordering::Less,
        Operator::LessEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        Operator::GreaterEqual => order != Ordering::Less,
        _ => false,
    }
}

fn member(value: &Value<'_>, container: &Value<'_>, meter: &mut Meter) -> Result<bool, Why> {
    match container {
        Value::List(list) => {
            for item in list.iter() {
                meter.charge(1)?;
                if equals(&item, value, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(map) => {
            crate::selector::value::charge_lookup(map, meter)?;
            Ok(map.contains(value))
        }
        _ => Err(Why::NoSuchOverload),
    }
}

fn add<'e>(left: &Value<'e>, right: &Value<'e>, meter: &mut Meter) -> Result<Value<'e>, Why> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => left
            .checked_add(*right)
            .map(Value::Int)
            .ok_or(Why::Overflow),
        (Value::Uint(left), Value::Uint(right)) => left
            .checked_add(*right)
            .map(Value::Uint)
            .ok_or(Why::Overflow),
        (Value::Double(left), Value::Double(right)) => Ok(Value::Double(left + right)),
        (Value::String(first), Value::String(second)) => {
            meter.charge((first.len() + second.len()) as u64 / 10)?;
            let mut text = String::with_capacity(first.len() + second.len());
            text.push_str(first);
            text.push_str(second);
            Ok(Value::owned_text(text))
        }
        (Value::Bytes(first), Value::Bytes(second)) => {
            meter.charge((first.len() + second.len()) as u64 / 10)?;
            Ok(Value::owned_bytes([&**first, &**second].concat()))
        }
        (Value::List(first), Value::List(second)) => join_lists(first, second, meter),
        (Value::Timestamp(moment), Value::Duration(length))
        | (Value::Duration(length), Value::Timestamp(moment)) => {
            time::shift(*moment, *length).map(Value::Timestamp)
        }
        (Value::Duration(left), Value::Duration(right)) => {
            let sum = left.checked_add(*right).ok_or(Why::OutOfRange)?;
            time::in_range(sum).map(Value::Duration)
        }
        _ => Err(Why::NoSuchOverload),
    }
}

fn join_lists<'e>(
    first: &ListValue<'e>,
    second: &ListValue<'e>,
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    meter.charge((first.len() + second.len()) as u64)?;
    let mut items = Vec::with_capacity(first.len() + second.len());
    items.extend(first.iter());
    items.extend(second.iter());
    Ok(Value::list(items))
}

fn subtract<'e>(left: &Value<'e>, right: &Value<'e>) -> Result<Value<'e>, Why> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => left
            .checked_sub(*right)
            .map(Value::Int)
            .ok_or(Why::Overflow),
        (Value::Uint(left), Value::Uint(right)) => left
            .checked_sub(*right)
            .map(Value::Uint)
            .ok_or(Why::Overflow),
        (Value::Double(left), Value::Double(right)) => Ok(Value::Double(left - right)),
        (Value::Timestamp(left), Value::Timestamp(right)) => {
            time::between(*left, *right).map(Value::Duration)
        }
        (Value::Timestamp(moment), Value::Duration(length)) => {
            let back = length.checked_neg().ok_or(Why::OutOfRange)?;
            time::shift(*moment, back).map(Value::Timestamp)
        }
        (Value::Duration(left), Value::Duration(right)) => {
            let difference = left.checked_sub(*right).ok_or(Why::OutOfRange)?;
            time::in_range(difference).map(Value::Duration)
        }
        _ => Err(Why::NoSuchOverload),
    }
}

fn arithmetic<'e>(
    operator: Operator,
    left: &Value<'e>,
    right: &Value<'e>,
) -> Result<Value<'e>, Why> {
    match (operator, left, right) {
        (Operator::Multiply, Value::Int(left), Value::Int(right)) => left
            .checked_mul(*right)
            .map(Value::Int)
            .ok_or(Why::Overflow),
        (Operator::Multiply, Value::Uint(left), Value::Uint(right)) => left
            .checked_mul(*right)
            .map(Value::Uint)
            .ok_or(Why::Overflow),
        (Operator::Multiply, Value::Double(left), Value::Double(right)) => {
            Ok(Value::Double(left * right))
        }
        (Operator::Divide, Value::Double(left), Value::Double(right)) => {
            Ok(Value::Double(left / right))
        }
        (Operator::Divide | Operator::Remainder, Value::Int(_), Value::Int(0))
        | (Operator::Divide | Operator::Remainder, Value::Uint(_), Value::Uint(0)) => {
            Err(Why::DivisionByZero)
        }
        (Operator::Divide, Value::Int(left), Value::Int(right)) => left
            .checked_div(*right)
            .map(Value::Int)
            .ok_or(Why::Overflow),
        (Operator::Remainder, Value::Int(left), Value::Int(right)) => left
            .checked_rem(*right)
            .map(Value::Int)
            .ok_or(Why::Overflow),
        (Operator::Divide, Value::Uint(left), Value::Uint(right)) => left
            .checked_div(*right)
            .map(Value::Uint)
            .ok_or(Why::DivisionByZero),
        (Operator::Remainder, Value::Uint(left), Value::Uint(right)) => left
            .checked_rem(*right)
            .map(Value::Uint)
            .ok_or(Why::DivisionByZero),
        _ => Err(Why::NoSuchOverload),
    }
}

/// `-value`
pub(crate) fn negate<'e>(value: &Value<'e>) -> Result<Value<'e>, Why> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Why::Overflow),
        Value::Double(value) => Ok(Value::Double(-value)),
        _ => Err(Why::NoSuchOverload),
    }
}
