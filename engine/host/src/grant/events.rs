//! The events of the batch at hand beyond the declared fields. See `wit/events.wit`.
//!
//! Who calls the plugin has the events; here are the checks in front of them.

use super::limits::EVENT_PATH_BYTES_MAX;
use super::{Fault, FaultKind};
use crate::manifest::value::is_field_path;

/// A value of an event.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // `types.wit` says what each is.
pub enum Value {
    Null,
    Boolean(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// An object or a list, as its JSON text.
    Bytes(Vec<u8>),
}

/// The events of a batch, in the order of its rows.
pub trait EventRows: Send + Sync {
    /// How many there are.
    fn rows(&self) -> u32;
    /// The value at a dotted path, which is well formed; `Null` when it is absent. `row` is below `rows`.
    fn get(&self, row: u32, path: &str) -> Value;
    /// The event as it came. `row` is below `rows`.
    fn raw(&self, row: u32) -> Vec<u8>;
}

pub(super) fn get(events: &dyn EventRows, row: u32, path: &str) -> Result<Value, Fault> {
    check_row(events, row)?;
    if path.len() > EVENT_PATH_BYTES_MAX || !is_field_path(path) {
        return Err(Fault::input("the path is no dotted path"));
    }
    Ok(match events.get(row, path) {
        // The contract promises that there are none.
        Value::Float(number) if !number.is_finite() => Value::Null,
        value => value,
    })
}

pub(super) fn raw(events: &dyn EventRows, row: u32) -> Result<Vec<u8>, Fault> {
    check_row(events, row)?;
    Ok(events.raw(row))
}

fn check_row(events: &dyn EventRows, row: u32) -> Result<(), Fault> {
    let rows = events.rows();
    if row >= rows {
        let message = format!("there is no row {row} in a batch of {rows}");
        return Err(Fault::new(FaultKind::InvalidInput, message));
    }
    Ok(())
}
