//! Functions: having one run no longer, by leaving it no place to run in.

use super::building::{change, check, codes, is, step};
use super::events::Event;
use super::naming;
use super::reading::look;
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Parameter, Recipe, nothing, required,
};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const LAMBDA: &str = "lambda.amazonaws.com";
/// What a service says when there is no such function or nothing of the kind on it.
pub(super) const GONE: &[&str] = &["ResourceNotFoundException"];
/// The parameter that names a function.
pub(super) const FUNCTION: Parameter =
    required("function", Kind::Text, "the function's ARN or name");

pub(super) const STOP: Recipe = Recipe {
    name: "aws.lambda.stop_invocations",
    about: "Has a function run no longer, by reserving no place for it.",
    risk: Risk::High,
    kind: "aws.lambda.function",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[
        (LAMBDA, "CreateFunction"),
        (LAMBDA, "UpdateFunctionCode"),
        (LAMBDA, "UpdateFunctionConfiguration"),
    ],
    makes: &[
        (LAMBDA, "PutFunctionConcurrency"),
        (LAMBDA, "DeleteFunctionConcurrency"),
    ],
    operations: &[
        "lambda.DeleteFunctionConcurrency",
        "lambda.GetFunctionConcurrency",
        "lambda.PutFunctionConcurrency",
    ],
    parameters: &[FUNCTION],
    from_event: |event| function_of(event).map(named),
    subject: |asked| {
        let function = function(asked)?;
        Ok(About::regional(
            function_arn(asked, function),
            json!("runs"),
        ))
    },
    plan,
};

/// The function that an event is about. It may be named by an ARN, in the request or in the answer.
pub(super) fn function_of<'a>(event: &Event<'a>) -> Result<&'a str, PlanFault> {
    let asked = [
        "/requestParameters/functionName",
        "/responseElements/functionName",
    ];
    event.needs("which function", &asked)
}

pub(super) fn named(function: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    parameters.insert("function".to_owned(), json!(function));
    parameters
}

/// The function's name, whichever way it is given.
pub(super) fn function<'a>(asked: &Asked<'a>) -> Result<&'a str, PlanFault> {
    let text = asked.text("function")?;
    if let Some(arn) = naming::Arn::of(text)
        && (arn.account != asked.account || arn.region != asked.region)
    {
        let why = format!("{text} is of another account or region");
        return Err(PlanFault::Refused(why));
    }
    let no = || PlanFault::Refused(format!("{} is no function", naming::shown(text)));
    naming::function(text).ok_or_else(no)
}

pub(super) fn function_arn(asked: &Asked<'_>, function: &str) -> String {
    asked.arn("lambda", &format!("function:{function}"))
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let function = function(&asked)?;
    let named = json!({"FunctionName": function});
    let question = asked.call("lambda.GetFunctionConcurrency", named.clone());
    let Some(answer) = look(reads, &question, GONE)? else {
        return nothing("the function is gone");
    };
    let member = "ReservedConcurrentExecutions";
    let before = answer.get(member).cloned().unwrap_or_default();
    if before == json!(0) {
        return nothing("the function runs no longer already");
    }
    let put = |places: &Value| {
        let parameters = json!({"FunctionName": function, member: places});
        asked.call("lambda.PutFunctionConcurrency", parameters)
    };
    let back = match before.is_null() {
        true => step(
            "resume",
            format!("no longer limit the function {function}"),
            Class::Remove,
            asked.call("lambda.DeleteFunctionConcurrency", named),
        ),
        false => step(
            "resume",
            format!("reserve {before} places for the function {function} again"),
            Class::Set,
            put(&before),
        ),
    };
    let back = Step {
        done_codes: codes(GONE),
        ..back
    };
    let summary = format!("have the function {function} run no longer");
    let one = Step {
        done_codes: codes(GONE),
        inverse: vec![back],
        ..step("stop", summary.clone(), Class::Set, put(&json!(0)))
    };
    let pointer = format!("/{member}");
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("reserved places", before.clone(), 0)],
        preconditions: vec![check(&question, vec![is(&pointer, before)])],
        steps: vec![one],
        verify: vec![check(&question, vec![is(&pointer, 0)])],
    }))
}
