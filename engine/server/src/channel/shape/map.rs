//! Mapping into the common record: each field made by CEL over the event as it was sent.

use serde_json::{Map, Value as Out};
use std::collections::BTreeMap;
use std::sync::Arc;
use tripline_core::event::Json;
use tripline_core::selector::value::{Entries, MapValue, Value};
use tripline_core::selector::{Environment, Evaluation, NodeId, Program, ProgramBuilder, parse};

/// Most fields of one mapping.
const FIELDS_MAX: usize = 200;

/// Fields and how each is made.
pub(super) struct Mapping {
    program: Program,
    fields: Vec<Made>,
}

/// A field, and the CEL that makes it.
struct Made {
    path: Vec<String>,
    text: String,
    node: NodeId,
}

impl Mapping {
    pub(super) fn new(fields: &BTreeMap<String, String>) -> Result<Self, String> {
        if fields.len() > FIELDS_MAX {
            return Err(format!("schema.map has more than {FIELDS_MAX} fields"));
        }
        let mut builder = ProgramBuilder::new();
        let environment = Environment::variables(["event", "headers"]);
        let mut made = Vec::new();
        for (field, text) in fields {
            let told = |words: &str| format!("schema.map.\"{field}\": `{text}`: {words}");
            let path: Vec<String> = field.split('.').map(str::to_owned).collect();
            if path.iter().any(String::is_empty) {
                return Err(told("the name of the field has an empty part"));
            }
            if super::super::record::OWNED.contains(&path[0].as_str()) {
                return Err(told("this field is the engine's"));
            }
            let compiled = parse(text).and_then(|expr| builder.compile(&expr, &environment));
            let node = compiled.map_err(|diagnostics| {
                let words: Vec<String> = diagnostics
                    .iter()
                    .map(|one| format!("{} (at {})", one.message, one.span.start + 1))
                    .collect();
                told(&words.join("; "))
            })?;
            let text = text.clone();
            made.push(Made { path, text, node });
        }
        Ok(Self {
            program: builder.build(),
            fields: made,
        })
    }

    /// The record, or why it cannot be made. Fields that come to nothing are left as they were sent.
    pub(super) fn apply(
        &self,
        event: Json<'_>,
        headers: &BTreeMap<String, String>,
    ) -> Result<Vec<u8>, String> {
        let headers = headers
            .iter()
            .map(|(name, text)| (Value::text(name), Value::text(text)));
        // Names of a sorted map are not repeated.
        let headers = Entries::new(headers.collect()).map_err(|_| "headers are repeated")?;
        let headers = Value::Map(MapValue::Shared(Arc::new(headers)));
        let variables = [Value::from_json(event), headers];
        let mut evaluation = Evaluation::of_variables(&self.program, &variables);
        let mut made: Map<String, Out> = Map::new();
        for Made { path, text, node } in &self.fields {
            let value = evaluation
                .eval(*node)
                .map_err(|fault| format!("{} = `{text}`: {}", path.join("."), fault.why))?;
            let value = value.to_json();
            if !value.is_null() {
                put(&mut made, event, path, value);
            }
        }
        let raw = event.raw();
        let mut bytes = Vec::with_capacity(raw.len() + 256);
        bytes.push(b'{');
        for (key, value) in &made {
            bytes.extend_from_slice(format!("{}:{value},", Out::from(key.as_str())).as_bytes());
        }
        for (key, value) in event.entries() {
            if made.contains_key(key.decode().as_ref()) {
                continue;
            }
            bytes.push(b'"');
            bytes.extend_from_slice(key.raw().as_bytes());
            bytes.extend_from_slice(b"\":");
            bytes.extend_from_slice(value.raw());
            bytes.push(b',');
        }
        if bytes.len() > 1 {
            bytes.pop();
        }
        bytes.push(b'}');
        Ok(bytes)
    }
}

/// Puts a value at a path; objects on the way are those of the event, if it has them.
fn put(made: &mut Map<String, Out>, event: Json<'_>, path: &[String], value: Out) {
    let (last, way) = match path.split_last() {
        Some(parts) => parts,
        None => return,
    };
    let Some((first, rest)) = way.split_first() else {
        made.insert(last.clone(), value);
        return;
    };
    let object = made.entry(first.clone()).or_insert_with(|| {
        let own = event
            .get(first)
            .map(|own| serde_json::from_slice(own.raw()));
        match own {
            Some(Ok(own @ Out::Object(_))) => own,
            _ => Out::Object(Map::new()),
        }
    });
    let mut object = object;
    for key in rest {
        if !object.get(key).is_some_and(Out::is_object) {
            object[key] = Out::Object(Map::new());
        }
        object = &mut object[key];
    }
    object[last] = value;
}
