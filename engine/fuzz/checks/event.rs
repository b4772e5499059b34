//! Any bytes as an event: reading never panics, says where the mistake is, and agrees with serde_json on what is
//! JSON and what it means. What serde_json takes and an event may not be (a key twice, too deep, not an object)
//! is refused with that reason and no other.

use serde_json::Value;
use tripline_core::event::{Event, Json, Kind, Number, Parser, Reason};

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    let theirs: Result<Value, _> = serde_json::from_slice(bytes);
    match Parser::new().parse(bytes) {
        Ok(document) => {
            match theirs {
                Ok(theirs) => assert!(same(document.root(), &theirs), "{document:?}"),
                // One level before ours.
                Err(error) => assert!(error.to_string().starts_with("recursion"), "{error}"),
            }
            let event = Event::new(document);
            let _ = (event.id().as_str().len(), event.time());
        }
        Err(malformed) => {
            assert!(malformed.offset <= bytes.len(), "{malformed:?}");
            let reasons = [
                Reason::TooDeep,
                Reason::TooLong,
                Reason::DuplicateKey,
                Reason::NotAnObject,
            ];
            let ours_alone = reasons.contains(&malformed.reason);
            assert!(theirs.is_err() || ours_alone, "{malformed:?}");
        }
    }
}

fn same(ours: Json<'_>, theirs: &Value) -> bool {
    match (ours.kind(), theirs) {
        (Kind::Null, Value::Null) => true,
        (Kind::Bool, Value::Bool(value)) => ours.as_bool() == Some(*value),
        (Kind::Number, Value::Number(number)) => match ours.as_number() {
            // The integer -0 is a double to them.
            Some(Number::Int(0)) => number.as_f64() == Some(0.0),
            Some(Number::Int(value)) => number.as_i64() == Some(value),
            Some(Number::Uint(value)) => number.as_u64() == Some(value),
            // They may be off by one in the last digit.
            Some(Number::Double(value)) => {
                let theirs = number.as_f64().unwrap_or(f64::NAN);
                (theirs - value).abs() <= value.abs() * 1e-15 + f64::MIN_POSITIVE
            }
            None => false,
        },
        (Kind::String, Value::String(text)) => ours
            .as_text()
            .is_some_and(|ours| ours.decode() == text.as_str() && ours.eq_str(text)),
        (Kind::Array, Value::Array(items)) => {
            ours.len() == items.len()
                && ours
                    .elements()
                    .zip(items)
                    .all(|(ours, item)| same(ours, item))
        }
        (Kind::Object, Value::Object(entries)) => {
            ours.len() == entries.len()
                && entries
                    .iter()
                    .all(|(key, value)| ours.get(key).is_some_and(|ours| same(ours, value)))
        }
        _ => false,
    }
}
