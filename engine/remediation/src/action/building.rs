//! Putting steps, checks and changes together.

use crate::plan::{Call, Change, Check, Class, Expect, Step};
use serde_json::{Map, Value, json};

/// A step without more.
pub(super) fn step(id: &str, summary: String, class: Class, call: Call) -> Step {
    Step {
        id: id.to_owned(),
        summary,
        call,
        class,
        done_codes: Vec::new(),
        probe: None,
        inverse: Vec::new(),
    }
}

/// Codes of errors.
pub(super) fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|&code| code.to_owned()).collect()
}

/// A check of an answer.
pub(super) fn check(call: &Call, expect: Vec<Expect>) -> Check {
    Check {
        call: call.clone(),
        expect,
    }
}

/// What stands at a pointer is a value.
pub(super) fn is(pointer: &str, value: impl Into<Value>) -> Expect {
    Expect::Is(pointer.to_owned(), value.into())
}

/// Something stands at a pointer.
pub(super) fn is_there(pointer: &str) -> Expect {
    Expect::IsNot(pointer.to_owned(), Value::Null)
}

/// A list has an element.
pub(super) fn has(pointer: &str, value: impl Into<Value>) -> Expect {
    Expect::Has(pointer.to_owned(), value.into())
}

/// A list has no such element.
pub(super) fn has_not(pointer: &str, value: impl Into<Value>) -> Expect {
    Expect::HasNot(pointer.to_owned(), value.into())
}

/// It is refused with one of these codes.
pub(super) fn refused(list: &[&str]) -> Expect {
    Expect::Refused(codes(list))
}

/// A change of a field.
pub(super) fn change(
    field: impl Into<String>,
    before: impl Into<Value>,
    after: impl Into<Value>,
) -> Change {
    Change {
        field: field.into(),
        before: before.into(),
        after: after.into(),
    }
}

/// What a step will have answered.
pub(super) fn from_step(step: &str, pointer: &str) -> Value {
    json!({"$from": {"step": step, "path": pointer}})
}

/// The members of an object that have a name in a list and a value.
pub(super) fn picked(object: &Value, names: &[&str]) -> Map<String, Value> {
    let mut all = Map::new();
    for &name in names {
        if let Some(value) = object.get(name).filter(|value| !value.is_null()) {
            all.insert(name.to_owned(), value.clone());
        }
    }
    all
}
