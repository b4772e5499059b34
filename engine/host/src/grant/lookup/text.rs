//! Tables written as CSV or JSON.
//!
//! CSV has no kinds: all of its columns are texts, since `0012` and `true` may be names, and an empty cell has no value.
//! JSON has kinds: a column whose values are all of one kind has it, and any other is JSON text.

use super::TableFault;
use super::rows::{Rows, RowsBuilder};
use crate::batch::ColumnKind;
use serde_json::Value;
use std::borrow::Cow;

pub(super) fn read_csv(bytes: &[u8]) -> Result<Rows, TableFault> {
    // Spreadsheets write a byte order mark.
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let form = |cause: csv::Error| TableFault::Form(format!("the file is no CSV: {cause}"));
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let header = reader.headers().map_err(form)?.clone();
    let mut names = header.iter().map(|name| name.trim().to_owned());
    let Some(key) = names.next().filter(|key| !key.is_empty()) else {
        return Err(TableFault::Form("the first line names no columns".into()));
    };
    let mut rows = RowsBuilder::new(&key, names.collect())?;
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(form)? {
        let mut cells = record.iter();
        let key = cells.next().unwrap_or("");
        rows.push(key, cells.map(|cell| (!cell.is_empty()).then_some(cell)))?;
    }
    rows.finish()
}

pub(super) fn read_json(bytes: &[u8]) -> Result<Rows, TableFault> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|cause| TableFault::Form(format!("the file is no JSON: {cause}")))?;
    match value {
        Value::Array(items) => read_list(&items),
        Value::Object(entries) => {
            let items = entries
                .iter()
                .map(|(key, value)| (Cow::Borrowed(key.as_str()), value));
            read_items("key", items.collect())
        }
        _ => Err(TableFault::Form(
            "the file is neither a list nor an object".into(),
        )),
    }
}

/// Objects with their key among them, called as in the first of them.
fn read_list(items: &[Value]) -> Result<Rows, TableFault> {
    let first = items.first().and_then(Value::as_object);
    let Some(key) = first.and_then(|first| first.keys().next()) else {
        return Err(TableFault::Form(
            "the list does not begin with an object".into(),
        ));
    };
    let mut rows = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let text = match item.get(key) {
            Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
            Some(Value::Number(number)) => Cow::Owned(number.to_string()),
            _ => {
                let why = format!("`{key:.80}`, the key, is neither a text nor a number");
                return Err(TableFault::Row { row: at + 1, why });
            }
        };
        rows.push((text, item));
    }
    read_items(key, rows)
}

fn read_items(key: &str, items: Vec<(Cow<'_, str>, &Value)>) -> Result<Rows, TableFault> {
    let mut names: Vec<String> = Vec::new();
    let mut kinds: Vec<Option<ColumnKind>> = Vec::new();
    for (at, (_, item)) in items.iter().enumerate() {
        let Some(object) = item.as_object() else {
            let why = "this is no object".into();
            return Err(TableFault::Row { row: at + 1, why });
        };
        for (name, value) in object.iter().filter(|(name, _)| *name != key) {
            let place = names.iter().position(|known| known == name);
            let place = place.unwrap_or_else(|| {
                names.push(name.clone());
                kinds.push(None);
                names.len() - 1
            });
            // The builder refuses as many; it is not worth finding more.
            if names.len() > super::super::limits::LOOKUP_COLUMNS_MAX {
                return Err(TableFault::Form("there are too many columns".into()));
            }
            kinds[place] = joined(kinds[place], value);
        }
    }
    let mut rows = RowsBuilder::new(key, names.clone())?;
    for (column, kind) in rows.columns_mut().iter_mut().zip(&kinds) {
        column.kind = kind.unwrap_or(ColumnKind::Json);
    }
    for (key, item) in &items {
        let cells = names.iter().zip(&kinds);
        let cells = cells.map(|(name, kind)| cell(item.get(name)?, *kind));
        let cells: Vec<Option<Cow<'_, str>>> = cells.collect();
        rows.push(key, cells.iter().map(Option::as_deref))?;
    }
    rows.finish()
}

/// The kind of a column that had this one and now holds a value.
fn joined(before: Option<ColumnKind>, value: &Value) -> Option<ColumnKind> {
    let kind = match value {
        Value::Null => return before,
        Value::Bool(_) => ColumnKind::Bool,
        Value::Number(number) if number.is_i64() => ColumnKind::Int,
        Value::Number(_) => ColumnKind::Float,
        Value::String(_) => ColumnKind::Text,
        Value::Array(_) | Value::Object(_) => ColumnKind::Json,
    };
    let numbers = [ColumnKind::Int, ColumnKind::Float];
    Some(match before {
        None => kind,
        Some(before) if before == kind => kind,
        Some(before) if numbers.contains(&before) && numbers.contains(&kind) => ColumnKind::Float,
        Some(_) => ColumnKind::Json,
    })
}

fn cell(value: &Value, kind: Option<ColumnKind>) -> Option<Cow<'_, str>> {
    match (kind, value) {
        (Some(ColumnKind::Text), Value::String(text)) => Some(text.as_str().into()),
        // A null among values of one kind is no value; among values of several it is one of them.
        (Some(ColumnKind::Json), value) => Some(value.to_string().into()),
        (_, Value::Null) => None,
        (_, value) => Some(value.to_string().into()),
    }
}
