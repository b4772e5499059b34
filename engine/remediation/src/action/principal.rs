//! Users, roles and groups of IAM, which have operations that are alike.

use super::PlanFault;
use super::events::{Doer, Event};
use super::naming;
use super::recipe::{Asked, Kind, Parameter, required};
use crate::plan::Call;
use serde_json::{Map, Value, json};

/// A user, a role or a group.
pub(super) struct Principal<'a> {
    /// `user`, `role` or `group`.
    pub(super) kind: &'static str,
    /// The same as operations have it, as `User`.
    title: &'static str,
    pub(super) name: &'a str,
}

/// The parameter that tells which kind it is.
pub(super) const KIND: Parameter = required("principal_kind", Kind::Text, "user, role or group");
/// The parameter that names it.
pub(super) const NAME: Parameter = required(
    "principal_name",
    Kind::Text,
    "the name of the user, role or group",
);

impl<'a> Principal<'a> {
    pub(super) fn of(asked: &Asked<'a>) -> Result<Self, PlanFault> {
        let (kind, title) = match asked.text("principal_kind")? {
            "user" => ("user", "User"),
            "role" => ("role", "Role"),
            "group" => ("group", "Group"),
            other => {
                let kind = naming::shown(other);
                return Err(PlanFault::Refused(format!(
                    "{kind} is no kind of principal"
                )));
            }
        };
        let name = asked.iam_name("principal_name")?;
        Ok(Self { kind, title, name })
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    pub(super) fn arn(&self, asked: &Asked<'_>) -> String {
        asked.iam_arn(self.kind, self.name)
    }

    /// A request about it. `{}` in the operation's name stands for its kind.
    pub(super) fn call(
        &self,
        asked: &Asked<'_>,
        operation: &str,
        more: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Call {
        let mut parameters = Map::new();
        parameters.insert(format!("{}Name", self.title), json!(self.name));
        for (name, value) in more {
            parameters.insert(name.to_owned(), value);
        }
        let operation = operation.replace("{}", self.title);
        asked.global(&operation, Value::Object(parameters))
    }
}

/// The one that an event of a request names, as `AttachUserPolicy` does.
pub(super) fn named(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    for kind in ["user", "role", "group"] {
        if let Some(name) = event.text(&format!("/requestParameters/{kind}Name")) {
            return Ok(written(kind, name));
        }
    }
    Err(PlanFault::Lacks("whose policy it is".to_owned()))
}

/// The one that did it; nothing when it is neither a user nor a role that can be changed.
pub(super) fn doing(event: &Event<'_>) -> Map<String, Value> {
    match event.doer() {
        Some(Doer::User(name)) => written("user", name),
        Some(Doer::Role(name)) if !event.is_by_role_of_aws() => written("role", name),
        _ => Map::new(),
    }
}

fn written(kind: &str, name: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    parameters.insert("principal_kind".to_owned(), json!(kind));
    parameters.insert("principal_name".to_owned(), json!(name));
    parameters
}
