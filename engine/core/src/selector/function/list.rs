//! The lists extension, and taking the values out of a list of optionals.
//!
//! `sort` and `distinct` are the functions whose cost is not linear; sorting is charged as comparisons happen, and
//! `distinct` uses a sorted index where it can, so that a long list costs what a sort costs.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Function;
use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::value::{ListValue, Value, equals, order};

/// Longest list that `lists.range` makes.
const RANGE_MAX: i64 = 1_000_000;

/// Deepest nesting that `flatten` follows.
const FLATTEN_DEPTH_MAX: i64 = 128;

pub(super) fn call<'e>(
    function: Function,
    arguments: &[Value<'e>],
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    use Function as F;
    match (function, arguments) {
        (F::Slice, [Value::List(list), Value::Int(from), Value::Int(to)]) => {
            slice(list, *from, *to, meter)
        }
        (F::Flatten, [Value::List(list)]) => flatten(list, 1, meter),
        (F::Flatten, [Value::List(_), Value::Int(..0)]) => Err(Why::BadArgument),
        (F::Flatten, [Value::List(list), Value::Int(depth)]) => flatten(list, *depth, meter),
        (F::Sort, [Value::List(list)]) => sort(list, meter),
        (F::Distinct, [Value::List(list)]) => distinct(list, meter),
        (F::Reverse, [Value::List(list)]) => {
            let mut items = collect(list, meter)?;
            items.reverse();
            Ok(Value::list(items))
        }
        (F::First, [Value::List(list)]) => {
            Ok(list.get(0).map_or(Value::Optional(None), Value::some))
        }
        (F::Last, [Value::List(list)]) => {
            meter.charge(list.len() as u64)?;
            let last = list.len().checked_sub(1).and_then(|at| list.get(at));
            Ok(last.map_or(Value::Optional(None), Value::some))
        }
        (F::Range, [Value::Int(count @ 0..=RANGE_MAX)]) => {
            meter.charge(count.unsigned_abs())?;
            Ok(Value::list((0..*count).map(Value::Int).collect()))
        }
        (F::Range, [Value::Int(_)]) => Err(Why::BadArgument),
        (F::OptionalUnwrap | F::OptionalUnwrapMember, [Value::List(list)]) => unwrap(list, meter),
        _ => Err(Why::NoSuchOverload),
    }
}

fn collect<'e>(list: &ListValue<'e>, meter: &mut Meter) -> Result<Vec<Value<'e>>, Why> {
    meter.charge(list.len() as u64)?;
    Ok(list.iter().collect())
}

fn slice<'e>(
    list: &ListValue<'e>,
    from: i64,
    to: i64,
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    let length = list.len() as i64;
    if from < 0 || from > to || to > length {
        return Err(Why::IndexOutOfRange);
    }
    meter.charge(to.unsigned_abs())?;
    let (skip, take) = (from as usize, (to - from) as usize);
    Ok(Value::list(list.iter().skip(skip).take(take).collect()))
}

fn flatten<'e>(list: &ListValue<'e>, depth: i64, meter: &mut Meter) -> Result<Value<'e>, Why> {
    let mut out = Vec::new();
    flatten_into(list, depth.min(FLATTEN_DEPTH_MAX), &mut out, meter)?;
    Ok(Value::list(out))
}

/// Recurses as deep as the list nests, at most [`FLATTEN_DEPTH_MAX`].
fn flatten_into<'e>(
    list: &ListValue<'e>,
    depth: i64,
    out: &mut Vec<Value<'e>>,
    meter: &mut Meter,
) -> Result<(), Why> {
    for item in list.iter() {
        meter.charge(1)?;
        match item {
            Value::List(inner) if depth > 0 => flatten_into(&inner, depth - 1, out, meter)?,
            other => out.push(other),
        }
    }
    Ok(())
}

/// Sorts values of one kind; numbers of different kinds do not mix.
fn sort<'e>(list: &ListValue<'e>, meter: &mut Meter) -> Result<Value<'e>, Why> {
    let mut items = collect(list, meter)?;
    let Some(first) = items.first().map(Value::value_type) else {
        return Ok(Value::list(items));
    };
    if items.iter().any(|item| item.value_type() != first) {
        return Err(Why::NoSuchOverload);
    }
    let mut failed = None;
    items.sort_by(|left, right| {
        let result = meter.charge(1).and_then(|()| order(left, right, meter));
        result
            .unwrap_or_else(|why| {
                failed = Some(why);
                None
            })
            .unwrap_or(Ordering::Equal)
    });
    match failed {
        Some(why) => Err(why),
        None if items.len() == 1 => {
            order(&items[0], &items[0], meter)?;
            Ok(Value::list(items))
        }
        None => Ok(Value::list(items)),
    }
}

/// The first of each group of equal values.
fn distinct<'e>(list: &ListValue<'e>, meter: &mut Meter) -> Result<Value<'e>, Why> {
    let mut texts: BTreeMap<Box<str>, ()> = BTreeMap::new();
    let mut others: Vec<usize> = Vec::new();
    let mut kept: Vec<Value<'e>> = Vec::new();
    for item in list.iter() {
        meter.charge(1)?;
        if let Value::String(text) = &item {
            meter.charge_bytes(text.len())?;
            if texts.insert((**text).into(), ()).is_none() {
                kept.push(item);
            }
            continue;
        }
        let mut known = false;
        for other in &others {
            meter.charge(1)?;
            if equals(&kept[*other], &item, meter)? {
                known = true;
                break;
            }
        }
        if !known {
            others.push(kept.len());
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn unwrap<'e>(list: &ListValue<'e>, meter: &mut Meter) -> Result<Value<'e>, Why> {
    let mut out = Vec::new();
    for item in list.iter() {
        meter.charge(1)?;
        match item {
            Value::Optional(None) => {}
            Value::Optional(Some(inner)) => out.push((*inner).clone()),
            _ => return Err(Why::NoSuchOverload),
        }
    }
    Ok(Value::list(out))
}
