//! Who may call functions: removing a statement from a function's policy, and deleting a URL that asks nobody who they are.

use super::building::{change, check, codes, has, has_not, is, picked, refused, step};
use super::document::{parse, statements};
use super::events::Event;
use super::lambda_concurrency::{FUNCTION, GONE, function, function_arn, function_of, named};
use super::naming;
use super::reading::{look, text};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Parameter, Recipe, nothing, optional, required,
};
use super::{PlanFault, Reads};
use crate::plan::{Call, Class, Risk, Step};
use serde_json::{Map, Value, json};

const LAMBDA: &str = "lambda.amazonaws.com";
const QUALIFIER: Parameter = optional(
    "qualifier",
    Kind::Text,
    "the version or alias, when it is of one",
);

pub(super) const REMOVE_PERMISSION: Recipe = Recipe {
    name: "aws.lambda.remove_permission",
    about: "Removes a statement from a function's policy, so that those whom it lets in can no longer call the function.",
    risk: Risk::Medium,
    kind: "aws.lambda.function",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[(LAMBDA, "AddPermission")],
    makes: &[(LAMBDA, "RemovePermission"), (LAMBDA, "AddPermission")],
    operations: &[
        "lambda.AddPermission",
        "lambda.GetPolicy",
        "lambda.RemovePermission",
    ],
    parameters: &[
        FUNCTION,
        required("statement_id", Kind::Text, "the statement"),
        QUALIFIER,
    ],
    from_event: |event| {
        let statement = event.needs("which statement", &["/requestParameters/statementId"])?;
        let mut parameters = qualified(event)?;
        parameters.insert("statement_id".to_owned(), json!(statement));
        Ok(parameters)
    },
    subject: |asked| {
        let function = function(asked)?;
        let statement = naming::iam_name(asked.text("statement_id")?)?;
        let bad = json!({"statement": statement, "of": asked.optional("qualifier")});
        Ok(About::regional(function_arn(asked, function), bad))
    },
    plan: remove_permission,
};

fn qualified(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let mut parameters = named(function_of(event)?);
    if let Some(qualifier) = event.text("/requestParameters/qualifier") {
        parameters.insert("qualifier".to_owned(), json!(qualifier));
    }
    Ok(parameters)
}

/// A request about a function, or a version or alias of it.
fn about(asked: &Asked<'_>, operation: &str, more: Map<String, Value>) -> Result<Call, PlanFault> {
    let mut parameters = Map::new();
    parameters.insert("FunctionName".to_owned(), json!(function(asked)?));
    if let Some(qualifier) = asked.optional("qualifier") {
        let qualifier =
            naming::iam_name(qualifier.trim_start_matches('$')).map(|_| json!(qualifier))?;
        parameters.insert("Qualifier".to_owned(), qualifier);
    }
    parameters.extend(more);
    Ok(asked.call(operation, Value::Object(parameters)))
}

fn remove_permission(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let (function, id) = (function(&asked)?, asked.text("statement_id")?);
    let question = about(&asked, "lambda.GetPolicy", Map::new())?;
    let Some(answer) = look(reads, &question, GONE)? else {
        return nothing("the function has no policy");
    };
    let policy = answer.get("Policy").and_then(parse).unwrap_or_default();
    let all = statements(&policy);
    let Some(&statement) = all.iter().find(|one| text(one, "/Sid") == id) else {
        return nothing("the policy has no such statement");
    };
    let mut remove = Map::new();
    remove.insert("StatementId".to_owned(), json!(id));
    let back = match added(statement) {
        Some(parameters) => vec![Step {
            done_codes: codes(&["ResourceConflictException"]),
            ..step(
                "add",
                format!("add the statement {id} to the policy of {function} again"),
                Class::Set,
                about(&asked, "lambda.AddPermission", parameters)?,
            )
        }],
        None => Vec::new(),
    };
    let summary = format!("remove the statement {id} from the policy of {function}");
    let one = Step {
        done_codes: codes(GONE),
        inverse: back,
        ..step(
            "remove",
            summary.clone(),
            Class::Remove,
            about(&asked, "lambda.RemovePermission", remove)?,
        )
    };
    // A policy without statements is gone, and asking for it is refused.
    let gone = match all.len() {
        1 => refused(GONE),
        _ => has_not("/Policy/Statement", json!({"Sid": id})),
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change(
            format!("statement {id}"),
            statement.clone(),
            Value::Null,
        )],
        preconditions: vec![check(
            &question,
            vec![has("/Policy/Statement", statement.clone())],
        )],
        steps: vec![one],
        verify: vec![check(&question, vec![gone])],
    }))
}

/// The request that adds a statement again; none when it holds what no request says.
fn added(statement: &Value) -> Option<Map<String, Value>> {
    let known = [
        "Sid",
        "Effect",
        "Principal",
        "Action",
        "Resource",
        "Condition",
    ];
    let members = statement.as_object()?;
    if text(statement, "/Effect") != "Allow"
        || !members.keys().all(|key| known.contains(&key.as_str()))
    {
        return None;
    }
    let principal = match statement.get("Principal")? {
        Value::Object(kinds) if kinds.len() == 1 => kinds.get("AWS").or(kinds.get("Service"))?,
        whole => whole,
    };
    let mut parameters = Map::new();
    parameters.insert("StatementId".to_owned(), json!(text(statement, "/Sid")));
    let action = statement
        .get("Action")
        .filter(|action| action.is_string())?;
    parameters.insert("Action".to_owned(), action.clone());
    parameters.insert("Principal".to_owned(), json!(principal.as_str()?));
    let conditions = statement.get("Condition").and_then(Value::as_object);
    for (operator, keys) in conditions.into_iter().flatten() {
        for (key, value) in keys.as_object()? {
            let lower = key.to_ascii_lowercase();
            let parameter = match (operator.as_str(), lower.as_str()) {
                ("ArnLike", "aws:sourcearn") => "SourceArn",
                ("StringEquals", "aws:sourceaccount") => "SourceAccount",
                ("StringEquals", "aws:principalorgid") => "PrincipalOrgID",
                ("StringEquals", "lambda:functionurlauthtype") => "FunctionUrlAuthType",
                ("StringEquals", "lambda:eventsourcetoken") => "EventSourceToken",
                _ => return None,
            };
            parameters.insert(parameter.to_owned(), json!(value.as_str()?));
        }
    }
    Some(parameters)
}

pub(super) const DELETE_URL: Recipe = Recipe {
    name: "aws.lambda.delete_function_url",
    about: "Deletes a function's URL that asks nobody who they are. A new one has another address.",
    risk: Risk::Medium,
    kind: "aws.lambda.function",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[
        (LAMBDA, "CreateFunctionUrlConfig"),
        (LAMBDA, "UpdateFunctionUrlConfig"),
    ],
    makes: &[
        (LAMBDA, "DeleteFunctionUrlConfig"),
        (LAMBDA, "CreateFunctionUrlConfig"),
    ],
    operations: &[
        "lambda.CreateFunctionUrlConfig",
        "lambda.DeleteFunctionUrlConfig",
        "lambda.GetFunctionUrlConfig",
    ],
    parameters: &[FUNCTION, QUALIFIER],
    from_event: |event| {
        let kind = event.first(&["/requestParameters/authType", "/responseElements/authType"]);
        if kind != Some("NONE") {
            let why = "the URL asks who calls it";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        qualified(event)
    },
    subject: |asked| {
        let function = function(asked)?;
        let bad = json!({"open_url": asked.optional("qualifier")});
        Ok(About::regional(function_arn(asked, function), bad))
    },
    plan: delete_url,
};

fn delete_url(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let function = function(&asked)?;
    let question = about(&asked, "lambda.GetFunctionUrlConfig", Map::new())?;
    let Some(answer) = look(reads, &question, GONE)? else {
        return nothing("the function has no URL");
    };
    if text(&answer, "/AuthType") != "NONE" {
        return nothing("the URL asks who calls it");
    }
    let config = picked(&answer, &["AuthType", "Cors", "InvokeMode"]);
    let back = Step {
        done_codes: codes(&["ResourceConflictException"]),
        ..step(
            "create",
            format!("give the function {function} a URL again, of another address"),
            Class::Set,
            about(&asked, "lambda.CreateFunctionUrlConfig", config)?,
        )
    };
    let summary = format!("delete the open URL of the function {function}");
    let one = Step {
        done_codes: codes(GONE),
        inverse: vec![back],
        ..step(
            "delete",
            summary.clone(),
            Class::Remove,
            about(&asked, "lambda.DeleteFunctionUrlConfig", Map::new())?,
        )
    };
    let url = answer.get("FunctionUrl").cloned().unwrap_or_default();
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("URL", url.clone(), Value::Null)],
        preconditions: vec![check(
            &question,
            vec![is("/AuthType", "NONE"), is("/FunctionUrl", url)],
        )],
        steps: vec![one],
        verify: vec![check(&question, vec![refused(GONE)])],
    }))
}
