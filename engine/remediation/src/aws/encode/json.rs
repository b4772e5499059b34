//! JSON bodies: the same values under the names of the wire.

use super::{DEPTH_MAX, EncodeFault, Service, below, scalar};
use crate::aws::table::{Kind, Place, Shape};
use serde_json::{Map, Value};

pub(super) fn value(
    service: &Service,
    kind: Option<Kind>,
    value: &Value,
    path: &str,
    depth: usize,
) -> Result<Value, EncodeFault> {
    let Some(kind) = kind else {
        return Ok(Value::Object(Map::new()));
    };
    if depth > DEPTH_MAX {
        return Err(EncodeFault::TooLarge);
    }
    let inner = |kind: &Kind, value: &Value, path: &str| {
        self::value(service, Some(*kind), value, path, depth + 1)
    };
    match service.shape(kind) {
        None => match kind {
            Kind::Text | Kind::Policy | Kind::Blob => {
                Ok(Value::String(scalar(service, kind, value, path)?))
            }
            Kind::Time => {
                let time = super::time(value, path)?;
                let millis = time.as_millisecond();
                Ok(match millis % 1000 {
                    0 => Value::from(millis / 1000),
                    _ => Value::from(millis as f64 / 1000.0),
                })
            }
            // A flag or a number, which must only be seen to be one.
            _ => scalar(service, kind, value, path).map(|_| value.clone()),
        },
        Some(Shape::Struct(members)) => {
            let object = super::check_members(value, members, path)?;
            let mut out = Map::new();
            for member in members.iter().filter(|member| member.place == Place::Body) {
                if let Some(value) = object.get(member.name).filter(|value| !value.is_null()) {
                    let value = inner(&member.kind, value, &below(path, member.name))?;
                    out.insert(member.wire.to_owned(), value);
                }
            }
            Ok(Value::Object(out))
        }
        Some(Shape::List(of, _)) => {
            let items = super::elements(value, path)?.iter().enumerate();
            items
                .map(|(place, value)| inner(of, value, &below(path, &(place + 1).to_string())))
                .collect()
        }
        Some(Shape::Map(of)) => {
            let Value::Object(object) = value else {
                return Err(EncodeFault::Kind(path.to_owned(), "an object"));
            };
            let mut out = Map::new();
            for (name, value) in object {
                out.insert(name.clone(), inner(of, value, &below(path, name))?);
            }
            Ok(Value::Object(out))
        }
    }
}
