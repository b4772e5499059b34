//! The math extension.

use std::cmp::Ordering;

use super::Function;
use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::value::{Value, compare_numbers};

pub(super) fn call<'e>(
    function: Function,
    arguments: &[Value<'e>],
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    use Function as F;
    match (function, arguments) {
        (F::Greatest, _) => extreme(arguments, Ordering::Greater, meter),
        (F::Least, _) => extreme(arguments, Ordering::Less, meter),
        (F::BitAnd | F::BitOr | F::BitXor, [left, right]) => bits(function, left, right),
        (F::BitShiftLeft | F::BitShiftRight, [value, Value::Int(places)]) => {
            shift(function, value, *places)
        }
        (F::Ceil, [Value::Double(value)]) => Ok(Value::Double(value.ceil())),
        (F::Floor, [Value::Double(value)]) => Ok(Value::Double(value.floor())),
        (F::Round, [Value::Double(value)]) => Ok(Value::Double(value.round())),
        (F::Trunc, [Value::Double(value)]) => Ok(Value::Double(value.trunc())),
        (F::Sqrt, [Value::Double(value)]) => Ok(Value::Double(value.sqrt())),
        (F::Sqrt, [Value::Int(value)]) => Ok(Value::Double((*value as f64).sqrt())),
        (F::Sqrt, [Value::Uint(value)]) => Ok(Value::Double((*value as f64).sqrt())),
        (F::IsNan, [Value::Double(value)]) => Ok(Value::Bool(value.is_nan())),
        (F::IsInf, [Value::Double(value)]) => Ok(Value::Bool(value.is_infinite())),
        (F::IsFinite, [Value::Double(value)]) => Ok(Value::Bool(value.is_finite())),
        (F::Abs, [Value::Int(value)]) => value.checked_abs().map(Value::Int).ok_or(Why::Overflow),
        (F::Abs, [Value::Uint(value)]) => Ok(Value::Uint(*value)),
        (F::Abs, [Value::Double(value)]) => Ok(Value::Double(value.abs())),
        (F::Sign, [Value::Int(value)]) => Ok(Value::Int(value.signum())),
        (F::Sign, [Value::Uint(value)]) => Ok(Value::Uint((*value).min(1))),
        (F::Sign, [Value::Double(value)]) => Ok(Value::Double(sign(*value))),
        (F::BitNot, [Value::Int(value)]) => Ok(Value::Int(!value)),
        (F::BitNot, [Value::Uint(value)]) => Ok(Value::Uint(!value)),
        _ => Err(Why::NoSuchOverload),
    }
}

/// Zero keeps its sign, and NaN stays NaN.
fn sign(value: f64) -> f64 {
    if value == 0.0 || value.is_nan() {
        value
    } else {
        value.signum()
    }
}

/// The greatest or least of the arguments, or of the one list; the first of equals.
fn extreme<'e>(
    arguments: &[Value<'e>],
    wanted: Ordering,
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    let items: Vec<Value<'e>>;
    let candidates = match arguments {
        [Value::List(list)] => {
            meter.charge(list.len() as u64)?;
            items = list.iter().collect();
            if items.is_empty() {
                return Err(Why::BadArgument);
            }
            &items
        }
        _ => arguments,
    };
    let mut best: Option<&Value<'e>> = None;
    for candidate in candidates {
        if !matches!(candidate, Value::Int(_) | Value::Uint(_) | Value::Double(_)) {
            return Err(Why::NoSuchOverload);
        }
        let better = best.is_none_or(|best| compare_numbers(candidate, best) == Some(wanted));
        if better {
            best = Some(candidate);
        }
    }
    best.cloned().ok_or(Why::NoSuchOverload)
}

fn bits<'e>(function: Function, left: &Value<'e>, right: &Value<'e>) -> Result<Value<'e>, Why> {
    let combine = |left: u64, right: u64| match function {
        Function::BitAnd => left & right,
        Function::BitOr => left | right,
        _ => left ^ right,
    };
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Ok(Value::Int(
            combine(left.cast_unsigned(), right.cast_unsigned()).cast_signed(),
        )),
        (Value::Uint(left), Value::Uint(right)) => Ok(Value::Uint(combine(*left, *right))),
        _ => Err(Why::NoSuchOverload),
    }
}

/// Shifts are of the bits, without regard to the sign; shifting everything out gives zero.
fn shift<'e>(function: Function, value: &Value<'e>, places: i64) -> Result<Value<'e>, Why> {
    let moved = |bits: u64| -> Result<u64, Why> {
        if places < 0 {
            return Err(Why::BadArgument);
        }
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        Ok(match function {
            Function::BitShiftLeft => bits.checked_shl(places),
            _ => bits.checked_shr(places),
        }
        .unwrap_or(0))
    };
    match value {
        Value::Int(value) => Ok(Value::Int(moved(value.cast_unsigned())?.cast_signed())),
        Value::Uint(value) => Ok(Value::Uint(moved(*value)?)),
        _ => Err(Why::NoSuchOverload),
    }
}
