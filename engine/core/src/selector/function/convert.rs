//! Conversions, `size` and `type`.
//!
//! Numbers convert only when the result is exact in range: a double out of an integer's range is an error, and so
//! are both ends of the int range, which a double cannot tell from values beyond them.

use super::{Function, one, time};
use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::value::{BytesValue, StringValue, Value, double_text};

pub(super) fn call<'e>(
    function: Function,
    arguments: &[Value<'e>],
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    let value = one(arguments)?;
    match function {
        Function::Size => size(value, meter),
        Function::ToBool => to_bool(value),
        Function::ToBytes => to_bytes(value, meter),
        Function::ToDouble => to_double(value, meter),
        Function::ToInt => to_int(value),
        Function::ToUint => to_uint(value),
        Function::ToString => to_string(value, meter),
        Function::ToType => Ok(Value::Type(value.value_type())),
        _ => Ok(value.clone()),
    }
}

fn size<'e>(value: &Value<'e>, meter: &mut Meter) -> Result<Value<'e>, Why> {
    let size = match value {
        Value::String(text) => {
            meter.charge_bytes(text.len())?;
            if text.is_ascii() {
                text.len()
            } else {
                text.chars().count()
            }
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return Err(Why::NoSuchOverload),
    };
    Ok(Value::Int(size as i64))
}

fn to_bool<'e>(value: &Value<'e>) -> Result<Value<'e>, Why> {
    match value {
        Value::Bool(value) => Ok(Value::Bool(*value)),
        Value::String(text) => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
            _ => Err(Why::BadText),
        },
        _ => Err(Why::NoSuchOverload),
    }
}

fn to_bytes<'e>(value: &Value<'e>, meter: &mut Meter) -> Result<Value<'e>, Why> {
    match value {
        Value::Bytes(_) => Ok(value.clone()),
        Value::String(StringValue::Borrowed(text)) => {
            Ok(Value::Bytes(BytesValue::Borrowed(text.as_bytes())))
        }
        Value::String(text) => {
            meter.charge_bytes(text.len())?;
            Ok(Value::owned_bytes(text.as_bytes()))
        }
        _ => Err(Why::NoSuchOverload),
    }
}

fn to_double<'e>(value: &Value<'e>, meter: &mut Meter) -> Result<Value<'e>, Why> {
    match value {
        Value::Double(value) => Ok(Value::Double(*value)),
        Value::Int(value) => Ok(Value::Double(*value as f64)),
        Value::Uint(value) => Ok(Value::Double(*value as f64)),
        Value::String(text) => {
            meter.charge_bytes(text.len())?;
            text.parse().map(Value::Double).map_err(|_| Why::BadText)
        }
        _ => Err(Why::NoSuchOverload),
    }
}

fn to_int<'e>(value: &Value<'e>) -> Result<Value<'e>, Why> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Int(value) => Ok(Value::Int(*value)),
        Value::Uint(value) => i64::try_from(*value)
            .map(Value::Int)
            .map_err(|_| Why::OutOfRange),
        Value::Double(value) if *value > -LIMIT && *value < LIMIT => Ok(Value::Int(*value as i64)),
        Value::Double(_) => Err(Why::OutOfRange),
        Value::String(text) => text.parse().map(Value::Int).map_err(|_| Why::BadText),
        Value::Timestamp(value) => Ok(Value::Int(value.seconds())),
        Value::Duration(value) => i64::try_from(value.as_nanos())
            .map(Value::Int)
            .map_err(|_| Why::OutOfRange),
        _ => Err(Why::NoSuchOverload),
    }
}

fn to_uint<'e>(value: &Value<'e>) -> Result<Value<'e>, Why> {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    match value {
        Value::Uint(value) => Ok(Value::Uint(*value)),
        Value::Int(value) => u64::try_from(*value)
            .map(Value::Uint)
            .map_err(|_| Why::OutOfRange),
        Value::Double(value) if *value > -1.0 && *value < LIMIT => Ok(Value::Uint(*value as u64)),
        Value::Double(_) => Err(Why::OutOfRange),
        Value::String(text) => text.parse().map(Value::Uint).map_err(|_| Why::BadText),
        _ => Err(Why::NoSuchOverload),
    }
}

fn to_string<'e>(value: &Value<'e>, meter: &mut Meter) -> Result<Value<'e>, Why> {
    Ok(match value {
        Value::String(_) => value.clone(),
        Value::Bool(true) => Value::text("true"),
        Value::Bool(false) => Value::text("false"),
        Value::Int(value) => Value::owned_text(value.to_string()),
        Value::Uint(value) => Value::owned_text(value.to_string()),
        Value::Double(value) => Value::owned_text(double_text(*value)),
        Value::Bytes(bytes) => {
            meter.charge_bytes(bytes.len())?;
            match bytes {
                BytesValue::Borrowed(bytes) => {
                    Value::text(std::str::from_utf8(bytes).map_err(|_| Why::BadText)?)
                }
                BytesValue::Shared(bytes) => {
                    Value::owned_text(std::str::from_utf8(bytes).map_err(|_| Why::BadText)?)
                }
            }
        }
        Value::Timestamp(value) => Value::owned_text(time::timestamp_text(*value)),
        Value::Duration(value) => Value::owned_text(time::duration_text(*value)),
        Value::Ip(value) => Value::owned_text(value.to_string()),
        Value::Cidr(value) => Value::owned_text(value.to_string()),
        _ => return Err(Why::NoSuchOverload),
    })
}
