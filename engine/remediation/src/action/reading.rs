//! Asking what the state is.

use super::naming::line;
use super::{PlanFault, Reads};
use crate::plan::{Answer, Call};
use serde_json::Value;

/// What a service answers; none when it refuses with a code that says that there is no such thing.
pub(super) fn look(
    reads: &mut dyn Reads,
    call: &Call,
    gone: &[&str],
) -> Result<Option<Value>, PlanFault> {
    match ask(reads, call)? {
        Answer::Done(value) => Ok(Some(value)),
        Answer::Refused { code, .. } if gone.contains(&code.as_str()) => Ok(None),
        Answer::Refused { code, message } => Err(refused(call, &code, &message)),
    }
}

/// What a service answers.
pub(super) fn ask(reads: &mut dyn Reads, call: &Call) -> Result<Answer, PlanFault> {
    let fault = |why: String| PlanFault::Read(call.operation.clone(), line(&why));
    reads.read(call).map_err(fault)
}

/// A refusal that is not expected. Its words are a service's, and may be long.
pub(super) fn refused(call: &Call, code: &str, message: &str) -> PlanFault {
    PlanFault::Read(call.operation.clone(), line(&format!("{code}: {message}")))
}

/// The elements of a list in an answer; none where there is no list.
pub(super) fn list<'a>(answer: &'a Value, pointer: &str) -> &'a [Value] {
    let list = answer.pointer(pointer).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// A text in an answer, empty where there is none.
pub(super) fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// The element of a list that has a member of a value.
pub(super) fn find<'a>(list: &'a [Value], member: &str, wanted: &str) -> Option<&'a Value> {
    let is_it = |one: &&Value| one.get(member).and_then(Value::as_str) == Some(wanted);
    list.iter().find(is_it)
}

/// An answer that lacks what it must have.
pub(super) fn lacks(call: &Call, what: &str) -> PlanFault {
    PlanFault::Read(call.operation.clone(), format!("the answer has no {what}"))
}
