//! Equality and order of values, as the spec has them.
//!
//! Numbers compare by what they are worth, whatever their kind; an integer is compared with a double as the nearest
//! double, which the conformance cases ask for (`9223372036854775807 < 9223372036854775808.0` is false). Equality
//! of any two values has an answer, order only within a kind. Work is charged to the caller's meter, as two
//! values can be as large as the event.

use std::cmp::Ordering;

use super::{ListValue, MapValue, Value};
use crate::selector::error::Why;
use crate::selector::meter::Meter;

/// Deepest pair of values that is compared: events nest less, and expressions add less than their own depth.
const COMPARE_DEPTH_MAX: usize = 512;

/// Whether two values are equal.
#[inline]
pub(crate) fn equals(left: &Value<'_>, right: &Value<'_>, meter: &mut Meter) -> Result<bool, Why> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            meter.charge_bytes(left.len())?;
            Ok(**left == **right)
        }
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Int(left), Value::Int(right)) => Ok(left == right),
        (Value::Null, Value::Null) => Ok(true),
        _ => equals_at(left, right, meter, 0),
    }
}

fn equals_at(
    left: &Value<'_>,
    right: &Value<'_>,
    meter: &mut Meter,
    depth: usize,
) -> Result<bool, Why> {
    meter.charge(1)?;
    if depth > COMPARE_DEPTH_MAX {
        return Err(Why::CostExceeded);
    }
    Ok(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::String(left), Value::String(right)) => {
            meter.charge_bytes(left.len().min(right.len()))?;
            **left == **right
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            meter.charge_bytes(left.len().min(right.len()))?;
            **left == **right
        }
        (Value::List(left), Value::List(right)) => return lists(left, right, meter, depth),
        (Value::Map(left), Value::Map(right)) => return maps(left, right, meter, depth),
        (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
        (Value::Duration(left), Value::Duration(right)) => left == right,
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::Ip(left), Value::Ip(right)) => left == right,
        (Value::Cidr(left), Value::Cidr(right)) => left == right,
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(left)), Value::Optional(Some(right))) => {
            return equals_at(left, right, meter, depth + 1);
        }
        _ => compare_numbers(left, right) == Some(Ordering::Equal),
    })
}

fn lists(
    left: &ListValue<'_>,
    right: &ListValue<'_>,
    meter: &mut Meter,
    depth: usize,
) -> Result<bool, Why> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (left, right) in left.iter().zip(right.iter()) {
        if !equals_at(&left, &right, meter, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps(
    left: &MapValue<'_>,
    right: &MapValue<'_>,
    meter: &mut Meter,
    depth: usize,
) -> Result<bool, Why> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (key, value) in left.entries() {
        charge_lookup(right, meter)?;
        let Some(other) = right.get(&key) else {
            return Ok(false);
        };
        if !equals_at(&value, &other, meter, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An object of an event is searched from the front, so looking something up costs its size.
pub(crate) fn charge_lookup(map: &MapValue<'_>, meter: &mut Meter) -> Result<(), Why> {
    match map {
        MapValue::Json(json) => meter.charge(1 + json.len() as u64 / 8),
        _ => meter.charge(1),
    }
}

/// The order of two numbers of any kind; `None` when one is no number or NaN.
pub(crate) fn compare_numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Uint(left), Value::Uint(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Uint(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Uint(left), Value::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Int(left), Value::Double(right)) => (*left as f64).partial_cmp(right),
        (Value::Uint(left), Value::Double(right)) => (*left as f64).partial_cmp(right),
        (Value::Double(left), Value::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Value::Double(left), Value::Uint(right)) => left.partial_cmp(&(*right as f64)),
        _ => None,
    }
}

/// The order of map keys: bools, then numbers, then text; `None` for what can be no key, and for NaN.
pub(crate) fn compare_keys(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    fn rank(value: &Value<'_>) -> Option<u8> {
        match value {
            Value::Bool(_) => Some(0),
            Value::Int(_) | Value::Uint(_) | Value::Double(_) => Some(1),
            Value::String(_) => Some(2),
            _ => None,
        }
    }
    let by_rank = rank(left)?.cmp(&rank(right)?);
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::String(left), Value::String(right)) => Some((**left).cmp(&**right)),
        _ if by_rank == Ordering::Equal => compare_numbers(left, right),
        _ => Some(by_rank),
    }
}

/// The order of two values; `Ok(None)` when one is NaN, `Err` when the language has no order for them.
#[inline]
pub(crate) fn order(
    left: &Value<'_>,
    right: &Value<'_>,
    meter: &mut Meter,
) -> Result<Option<Ordering>, Why> {
    Ok(match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::String(left), Value::String(right)) => {
            meter.charge_bytes(left.len().min(right.len()))?;
            Some((**left).cmp(&**right))
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            meter.charge_bytes(left.len().min(right.len()))?;
            Some((**left).cmp(&**right))
        }
        (Value::Timestamp(left), Value::Timestamp(right)) => Some(left.cmp(right)),
        (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
        (
            Value::Int(_) | Value::Uint(_) | Value::Double(_),
            Value::Int(_) | Value::Uint(_) | Value::Double(_),
        ) => compare_numbers(left, right),
        _ => return Err(Why::NoSuchOverload),
    })
}

#[cfg(test)]
mod tests {
    use super::{Value, compare_numbers};
    use std::cmp::Ordering;

    #[test]
    fn numbers_compare_across_kinds() {
        let check = |left: Value<'_>, right: Value<'_>, expected| {
            assert_eq!(
                compare_numbers(&left, &right),
                expected,
                "{left:?} {right:?}"
            );
            let reversed = compare_numbers(&right, &left).map(Ordering::reverse);
            assert_eq!(reversed, expected, "{right:?} {left:?}");
        };
        check(
            Value::Int(i64::MAX),
            Value::Double(9_223_372_036_854_775_808.0),
            Some(Ordering::Equal),
        );
        check(
            Value::Int(i64::MAX),
            Value::Uint(1 << 63),
            Some(Ordering::Less),
        );
        check(
            Value::Uint(u64::MAX),
            Value::Int(-1),
            Some(Ordering::Greater),
        );
        check(Value::Int(-1), Value::Double(-1.5), Some(Ordering::Greater));
        check(Value::Int(1), Value::Double(1.5), Some(Ordering::Less));
        check(Value::Int(1), Value::Double(f64::NAN), None);
        check(
            Value::Int(0),
            Value::Double(f64::NEG_INFINITY),
            Some(Ordering::Greater),
        );
        check(Value::Double(-0.0), Value::Int(0), Some(Ordering::Equal));
        check(Value::Int(0), Value::Null, None);
    }
}
