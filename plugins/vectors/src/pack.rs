//! From events to the batch that the host would make of them.

use serde_json::Value as Json;
use tripline_plugin::{Column, Columns, Kind};

/// The columns of `reads` for these events.
pub(crate) fn events(reads: &[(String, Kind)], events: &[Json]) -> Vec<u8> {
    let mut columns = Columns::new(events.len());
    for (path, kind) in reads {
        let mut column = Column::new(*kind, events.len());
        for (row, event) in events.iter().enumerate() {
            if let Some(value) = at(event, path) {
                set(&mut column, row, value);
            }
        }
        columns.push(column);
    }
    columns.pack()
}

fn at<'e>(event: &'e Json, path: &str) -> Option<&'e Json> {
    // A field whose own name has dots is found first, as in tests that give columns by their paths.
    event.get(path).or_else(|| {
        let mut names = path.split('.');
        names.try_fold(event, |value, name| value.get(name))
    })
}

fn set(column: &mut Column, row: usize, value: &Json) {
    match (column.kind(), value) {
        (Kind::Bool, Json::Bool(value)) => column.set_bool(row, *value),
        (Kind::Int, Json::Number(value)) => {
            if let Some(value) = value.as_i64() {
                column.set_int(row, value);
            }
        }
        (Kind::Float, Json::Number(value)) => {
            column.set_float(row, value.as_f64().unwrap_or_default())
        }
        (Kind::Text | Kind::Symbol, Json::String(value)) => column.set_text(row, value),
        (Kind::Json, value) => column.set_text(row, &value.to_string()),
        _ => {}
    }
}
