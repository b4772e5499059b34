//! `anyIs` and its kin on lists of texts that were computed. On `texts("…")` with constants they are nodes of their own.

use super::{Function, pattern};
use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::texts::{Ask, TextTest};
use crate::selector::value::{ListValue, Value};

impl Function {
    /// What a function of this family asks of each text.
    pub(crate) fn ask(self) -> Option<Ask> {
        Some(match self {
            Self::AnyIs => Ask::Is,
            Self::AnyStartsWith => Ask::StartsWith,
            Self::AnyEndsWith => Ask::EndsWith,
            Self::AnyContains => Ask::Contains,
            Self::AnyLike => Ask::Like,
            Self::AnyMatches => Ask::Matches,
            _ => return None,
        })
    }

    /// Whether the first argument is a path of the event.
    pub(crate) fn reads_a_path(self) -> bool {
        matches!(
            self,
            Self::Texts | Self::Numbers | Self::DateParts | Self::HasField | Self::IsNullOrAbsent
        )
    }
}

/// Whether some text of a list passes.
pub(super) fn any<'e>(
    ask: Ask,
    arguments: &[Value<'e>],
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    let [Value::List(texts), wanted] = arguments else {
        return Err(Why::NoSuchOverload);
    };
    let wanted = constants(wanted)?;
    let length: usize = wanted.iter().map(|text| text.len()).sum();
    // Making a question ready is a pass over its constants; compiling a pattern costs about as much as matching
    // some kilobytes.
    meter.charge(1 + length as u64 / 10)?;
    if ask == Ask::Matches {
        meter.charge(wanted.len() as u64 * 500 + 50 * length as u64)?;
    }
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let test = TextTest::new(ask, &wanted, pattern::compile_dynamic)?;
    for text in texts.iter() {
        let Value::String(text) = &text else {
            return Err(Why::NoSuchOverload);
        };
        meter.charge(test.units(text.len()))?;
        if test.holds(text) {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

/// One text, or a list of them.
pub(crate) fn constants(value: &Value<'_>) -> Result<Vec<String>, Why> {
    let text = |value: &Value<'_>| {
        value
            .as_text()
            .map(str::to_owned)
            .ok_or(Why::NoSuchOverload)
    };
    match value {
        Value::List(
            list @ (ListValue::Shared(_) | ListValue::Borrowed(_) | ListValue::Json(_)),
        ) => list.iter().map(|one| text(&one)).collect(),
        other => Ok(vec![text(other)?]),
    }
}
