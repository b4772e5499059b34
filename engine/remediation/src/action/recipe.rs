//! What an action is made of, and what it works on.

use super::events::Event;
use super::{ITEMS_MAX, LastKnown, PlanFault, Reads, naming};
use crate::plan::{Call, Change, Check, Resource, Risk, Step, canonical, hex};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// What a value of a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A list of texts.
    Texts,
    /// `true` or `false`.
    Bool,
    /// Anything.
    Json,
}

/// Something that an action must or may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, as `user_name`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Whether there is no plan without it.
    pub is_required: bool,
    /// Whether no event says it, so that a policy must.
    pub is_by_policy: bool,
    /// For people.
    pub about: &'static str,
}

/// What a plan would be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The resource.
    pub resource: Resource,
    /// The bad state, not the event: ten events about one rule of a security group have one. 64 hexadecimal digits.
    pub fingerprint: String,
}

/// What a plan is made from.
pub struct Context<'a> {
    /// The account of the event; 12 digits.
    pub account: &'a str,
    /// The region of the event.
    pub region: &'a str,
    /// The name that is given to what the plan makes.
    pub action_id: &'a str,
    /// When the event happened; microseconds since 1970.
    pub event_time: i64,
    /// The event.
    pub event: &'a Value,
    /// The finished parameters.
    pub parameters: &'a Map<String, Value>,
    /// What was known before.
    pub last_known: &'a dyn LastKnown,
}

impl<'a> Context<'a> {
    /// What [`super::Action::subject`] sees of it.
    pub(super) fn asked(&self) -> Result<Asked<'a>, PlanFault> {
        Asked::of(self.account, self.region, self.parameters)
    }

    /// The tag of what a plan makes, so that it is found again.
    pub(super) fn tags(&self) -> Value {
        json!([{"Key": "tripline-action", "Value": self.action_id}])
    }

    /// The token of a step that makes something.
    pub(super) fn token(&self, step: &str) -> String {
        format!("{}-{step}", self.action_id)
    }

    /// What an aspect was before the event. It must not be what the event made of it: then nothing good is known.
    pub(super) fn known(&self, arn: &str, aspect: &str) -> Result<Value, PlanFault> {
        let known = self.last_known.before(arn, aspect, self.event_time);
        match known {
            Some(known) => Ok(known.value),
            None => Err(PlanFault::Unknown(format!("{aspect} of {arn}"))),
        }
    }
}

/// An account, a region, and the finished parameters.
pub(super) struct Asked<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) parameters: &'a Map<String, Value>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(
        account: &'a str,
        region: &'a str,
        parameters: &'a Map<String, Value>,
    ) -> Result<Self, PlanFault> {
        naming::account(account)?;
        naming::region(region)?;
        Ok(Self {
            account,
            region,
            parameters,
        })
    }

    /// A text, when it is given.
    pub(super) fn optional(&self, name: &str) -> Option<&'a str> {
        let text = self.parameters.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, PlanFault> {
        let lacks = || PlanFault::Lacks(name.to_owned());
        self.optional(name).ok_or_else(lacks)
    }

    /// A name as IAM allows it.
    pub(super) fn iam_name(&self, name: &str) -> Result<&'a str, PlanFault> {
        naming::iam_name(self.text(name)?)
    }

    /// An id that begins with a prefix, as `sg-`.
    pub(super) fn id(&self, name: &str, prefix: &str) -> Result<&'a str, PlanFault> {
        naming::id(self.text(name)?, prefix)
    }

    /// Texts, sorted and each once; none when it is not given.
    pub(super) fn texts(&self, name: &str) -> Vec<&'a str> {
        let list = self.parameters.get(name).and_then(Value::as_array);
        let mut texts: Vec<_> = list
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        texts.sort_unstable();
        texts.dedup();
        texts
    }

    /// Ids that begin with a prefix, at least one.
    pub(super) fn ids(&self, name: &str, prefix: &str) -> Result<Vec<&'a str>, PlanFault> {
        let texts = self.texts(name);
        if texts.is_empty() {
            return Err(PlanFault::Lacks(name.to_owned()));
        }
        for text in &texts {
            naming::id(text, prefix)?;
        }
        Ok(texts)
    }

    /// Elements of a list; none when it is not given.
    pub(super) fn list(&self, name: &str) -> &'a [Value] {
        let list = self.parameters.get(name).and_then(Value::as_array);
        list.map_or(&[], Vec::as_slice)
    }

    /// Any value.
    pub(super) fn json(&self, name: &str) -> Option<&'a Value> {
        self.parameters.get(name).filter(|value| !value.is_null())
    }

    /// A request to the region of the event.
    pub(super) fn call(&self, operation: &str, parameters: Value) -> Call {
        self.call_in(self.region, operation, parameters)
    }

    /// A request to a service that is the same in all regions.
    pub(super) fn global(&self, operation: &str, parameters: Value) -> Call {
        self.call_in(naming::home(self.region), operation, parameters)
    }

    /// A request to a region.
    pub(super) fn call_in(&self, region: &str, operation: &str, parameters: Value) -> Call {
        let parameters = match parameters {
            Value::Object(parameters) => parameters,
            _ => Map::new(),
        };
        Call {
            operation: operation.to_owned(),
            account: self.account.to_owned(),
            region: region.to_owned(),
            parameters,
        }
    }

    /// An ARN in the account and region.
    pub(super) fn arn(&self, service: &str, rest: &str) -> String {
        let (partition, region, account) =
            (naming::partition(self.region), self.region, self.account);
        format!("arn:{partition}:{service}:{region}:{account}:{rest}")
    }

    /// An ARN of IAM. Paths are left out: a name is unique within its account without one, and most events tell none.
    pub(super) fn iam_arn(&self, kind: &str, name: &str) -> String {
        let (partition, account) = (naming::partition(self.region), self.account);
        format!("arn:{partition}:iam::{account}:{kind}/{name}")
    }

    /// The ARN of the account.
    pub(super) fn account_arn(&self) -> String {
        naming::account_arn(naming::partition(self.region), self.account)
    }

    /// The ARN of a bucket.
    pub(super) fn bucket_arn(&self, bucket: &str) -> String {
        format!("arn:{}:s3:::{bucket}", naming::partition(self.region))
    }
}

/// The ARN of a subject and its bad state.
pub(super) struct About {
    pub(super) arn: String,
    /// Whether it is the same in all regions.
    pub(super) is_global: bool,
    pub(super) bad: Value,
}

impl About {
    pub(super) fn regional(arn: String, bad: Value) -> Self {
        Self {
            arn,
            is_global: false,
            bad,
        }
    }

    pub(super) fn global(arn: String, bad: Value) -> Self {
        Self {
            arn,
            is_global: true,
            bad,
        }
    }

    pub(super) fn finished(self, recipe: &Recipe, asked: &Asked<'_>) -> Subject {
        let bad = json!({"action": recipe.name, "arn": self.arn, "bad": self.bad});
        let region = if self.is_global { "" } else { asked.region };
        Subject {
            resource: Resource {
                arn: self.arn,
                kind: recipe.kind.to_owned(),
                account: asked.account.to_owned(),
                region: region.to_owned(),
            },
            fingerprint: hex(&Sha256::digest(canonical(&bad).as_bytes())),
        }
    }
}

/// A plan without what is the same for all plans of an action.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) summary: String,
    pub(super) diff: Vec<Change>,
    pub(super) preconditions: Vec<Check>,
    pub(super) steps: Vec<Step>,
    pub(super) verify: Vec<Check>,
}

/// What planning comes to.
pub(super) enum Drafted {
    Nothing(String),
    Draft(Draft),
}

/// It is as it should be.
pub(super) fn nothing(why: impl Into<String>) -> Result<Drafted, PlanFault> {
    Ok(Drafted::Nothing(why.into()))
}

/// An action as data and three functions.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) risk: Risk,
    pub(super) kind: &'static str,
    pub(super) is_containment: bool,
    /// Never for containment, nor where taking it back would do what the event did.
    pub(super) is_rolled_back: bool,
    pub(super) triggers: &'static [(&'static str, &'static str)],
    pub(super) makes: &'static [(&'static str, &'static str)],
    pub(super) operations: &'static [&'static str],
    pub(super) parameters: &'static [Parameter],
    pub(super) from_event: fn(&Event<'_>) -> Result<Map<String, Value>, PlanFault>,
    pub(super) subject: fn(&Asked<'_>) -> Result<About, PlanFault>,
    pub(super) plan: fn(&Context<'_>, &mut dyn Reads) -> Result<Drafted, PlanFault>,
}

/// Parameters may be this long as text: documents of policies are at most 20 KiB, and lists have at most 100 elements.
const PARAMETER_BYTES_MAX: usize = 64 * 1024;
/// Texts may be this long: ARNs are at most 2048.
const TEXT_BYTES_MAX: usize = 2048;

impl Recipe {
    /// Whether parameters are ones that it has, of their kinds and within bounds. Which ones it needs, its functions say.
    pub(super) fn check(&self, parameters: &Map<String, Value>) -> Result<(), PlanFault> {
        for (name, value) in parameters {
            let known = self.parameters.iter().find(|one| one.name == name);
            let refused = |why: &str| {
                let name = naming::shown(name);
                Err(PlanFault::Refused(format!("the parameter {name} {why}")))
            };
            let Some(parameter) = known else {
                return refused("is none of the action");
            };
            let is_text = |value: &Value| match value.as_str() {
                Some(text) => text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control),
                None => false,
            };
            let is_it = match parameter.kind {
                Kind::Text => is_text(value),
                Kind::Texts => value.as_array().is_some_and(|all| all.iter().all(is_text)),
                Kind::Bool => value.is_boolean(),
                Kind::Json => true,
            };
            if !is_it {
                return refused("is not of its kind, is too long or holds control characters");
            }
            if value.as_array().is_some_and(|all| all.len() > ITEMS_MAX) {
                return refused("has more than 100 elements");
            }
            if parameter.kind == Kind::Json && value.to_string().len() > PARAMETER_BYTES_MAX {
                return refused("is longer than 64 KiB");
            }
        }
        Ok(())
    }
}

/// A parameter without which there is no plan.
pub(super) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        is_required: true,
        is_by_policy: false,
        about,
    }
}

/// A parameter without which there is no plan, and which no event says.
pub(super) const fn by_policy(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        is_by_policy: true,
        ..required(name, kind, about)
    }
}

/// A parameter that may be left out.
pub(super) const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        is_required: false,
        is_by_policy: false,
        about,
    }
}
