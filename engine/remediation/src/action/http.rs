//! Anything that has an HTTP API: an identity provider, Kubernetes, a ticket system, a service of one's own.
//!
//! Where requests may go and what proves who sends them is the operator's: a policy names a target of the service's configuration, and
//! says method, path and body. What it was before is not known unless the policy says how it is taken back.

use super::building::{change, check, is, step};
use super::events::Event;
use super::reading::{ask, refused};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Recipe, by_policy, nothing, optional,
};
use super::{PlanFault, Reads, naming};
use crate::plan::{Answer, Call, Class, Risk, Step};
use serde_json::{Map, Value, json};

pub(super) const REQUEST: Recipe = Recipe {
    name: "http.request",
    about: "Sends a request to a target that the operator has named, and one that takes it back.",
    risk: Risk::Medium,
    kind: "http.resource",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[],
    makes: &[],
    operations: &["http.read", "http.request"],
    parameters: &[
        by_policy(
            "target",
            Kind::Text,
            "the target, by its name in the service's configuration",
        ),
        by_policy(
            "resource",
            Kind::Text,
            "what it is about, as urn:okta:user:00u1; one action at a time is about one resource",
        ),
        by_policy("method", Kind::Text, "POST, PUT, PATCH or DELETE"),
        by_policy(
            "path",
            Kind::Text,
            "the path and query below the target's address",
        ),
        optional("body", Kind::Json, "sent as JSON"),
        optional(
            "content_type",
            Kind::Text,
            "application/json unless it is said",
        ),
        optional(
            "is_idempotent",
            Kind::Bool,
            "the target knows a POST that is sent again by its header idempotency-key",
        ),
        optional(
            "undo_method",
            Kind::Text,
            "how it is taken back; without it, it cannot be",
        ),
        optional("undo_path", Kind::Text, "as path"),
        optional("undo_body", Kind::Json, "as body"),
        by_policy(
            "check_path",
            Kind::Text,
            "what is read to see whether it is done",
        ),
        optional(
            "check_pointer",
            Kind::Text,
            "a JSON pointer into what is read",
        ),
        optional(
            "check_value",
            Kind::Json,
            "what must stand there when it is done",
        ),
    ],
    from_event: |_: &Event<'_>| Ok(Map::new()),
    subject: |asked| {
        let resource = naming::plain_name(asked.text("resource")?)?;
        // Exemptions and protected resources are named so.
        if !resource.starts_with("urn:") {
            let why = "the parameter resource begins with urn:, as urn:okta:user:00u1";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        let bad = json!({
            "target": target(asked)?,
            "method": method(asked, "method")?,
            "path": path(asked, "path")?,
            "body": asked.json("body"),
        });
        Ok(About::global(resource.to_owned(), bad))
    },
    plan,
};

fn target<'a>(asked: &Asked<'a>) -> Result<&'a str, PlanFault> {
    naming::plain_name(asked.text("target")?)
}

fn method<'a>(asked: &Asked<'a>, name: &str) -> Result<&'a str, PlanFault> {
    let method = asked.text(name)?;
    match method {
        "POST" | "PUT" | "PATCH" | "DELETE" => Ok(method),
        _ => Err(PlanFault::Refused(format!(
            "the parameter {name} is none of POST, PUT, PATCH and DELETE"
        ))),
    }
}

/// A path that stays below the target's address.
fn path<'a>(asked: &Asked<'a>, name: &str) -> Result<&'a str, PlanFault> {
    let path = asked.text(name)?;
    let is_plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
    let climbs = path.split(['/', '?']).any(|part| {
        let part = part.to_ascii_lowercase().replace("%2e", ".");
        part == ".." || part == "."
    });
    match path.starts_with('/') && !path.starts_with("//") && is_plain && !climbs {
        true => Ok(path),
        false => Err(PlanFault::Refused(format!(
            "the parameter {name} is no path: it begins with one /, and has no dots for parts, spaces or fragments"
        ))),
    }
}

fn request(
    asked: &Asked<'_>,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Call, PlanFault> {
    let mut parameters = json!({
        "target": target(asked)?,
        "method": method,
        "path": path,
    });
    if let Some(body) = body {
        parameters["body"] = body.clone();
    }
    if let Some(kind) = asked.optional("content_type") {
        parameters["content_type"] = json!(naming::plain_name(kind)?);
    }
    Ok(asked.call("http.request", parameters))
}

/// What is done when nobody knows whether it was done.
fn class(method: &str, is_idempotent: bool) -> Class {
    match method {
        "DELETE" => Class::Remove,
        // A patch may add to what is there: only its author knows whether it can be sent twice.
        "PUT" => Class::Set,
        _ if is_idempotent => Class::Token,
        _ => Class::Blind,
    }
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let (method_name, path_text) = (method(&asked, "method")?, path(&asked, "path")?);
    let is_idempotent = asked.json("is_idempotent") == Some(&Value::Bool(true));
    let token = |mut call: Call, step: &str| {
        let token = context.token(step);
        call.parameters
            .insert("idempotency_key".to_owned(), json!(token));
        call
    };
    let target = target(&asked)?;
    let call = request(&asked, method_name, path_text, asked.json("body"))?;
    let mut one = Step {
        ..step(
            "request",
            format!("{method_name} {path_text} at {target}"),
            class(method_name, is_idempotent),
            token(call, "request"),
        )
    };
    if method_name == "DELETE" {
        one.done_codes = vec!["404".to_owned(), "410".to_owned()];
    }
    if asked.optional("undo_method").is_some() {
        let (undo, undo_path) = (method(&asked, "undo_method")?, path(&asked, "undo_path")?);
        let call = request(&asked, undo, undo_path, asked.json("undo_body"))?;
        one.inverse.push(step(
            "undo",
            format!("{undo} {undo_path} at {target}"),
            class(undo, is_idempotent),
            token(call, "undo"),
        ));
    }
    let question = json!({"target": target, "path": path(&asked, "check_path")?});
    let question = asked.call("http.read", question);
    let pointer = asked.optional("check_pointer").unwrap_or_default();
    let is_plain = pointer.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || pointer.contains("..") || !(pointer.is_empty() || pointer.starts_with('/')) {
        let why = "the parameter check_pointer is no JSON pointer, as /status";
        return Err(PlanFault::Refused(why.to_owned()));
    }
    let pointer = format!("/body{pointer}");
    let wanted = asked.json("check_value").cloned().unwrap_or(Value::Null);
    let done = check(&question, vec![is(&pointer, wanted)]);
    let answer = ask(reads, &question)?;
    let before = match &answer {
        _ if done.holds(&answer) => return nothing("it is so already"),
        Answer::Done(value) => value.pointer(&pointer).cloned().unwrap_or(Value::Null),
        Answer::Refused { code, message } => return Err(refused(&question, code, message)),
    };
    let still = check(&question, vec![is(&pointer, before.clone())]);
    let after = asked.json("check_value").or(asked.json("body")).cloned();
    Ok(Drafted::Draft(Draft {
        summary: format!("{method_name} {path_text} at {target}"),
        diff: vec![change(
            asked.text("resource")?,
            before,
            after.unwrap_or(Value::Null),
        )],
        preconditions: vec![still],
        steps: vec![one],
        verify: vec![done],
    }))
}
