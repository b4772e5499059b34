//! Plans: what is to be done, in which steps, how each is taken back, and how it is seen to have worked.
//!
//! A plan is data. Its hash is what people agree to, what the journal keeps, and what is executed, so nothing is decided
//! twice. See `engine/ARCHITECTURE.md`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A request of an API, before it is written down for the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The service and the operation, as `ec2.RevokeSecurityGroupIngress`; or `http.request`.
    pub operation: String,
    /// The account that it is sent to; 12 digits, or empty where none is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The region that it is sent to, as `eu-central-1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Its parameters, named as the API names them. A value `{"$from": {"step": ID, "path": POINTER}}` stands for what that
    /// step answered.
    pub parameters: Map<String, Value>,
}

/// What happens when a request is sent again of which nobody knows what became.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Sets something to a value: sending it again changes nothing.
    Set,
    /// Removes something: sending it again says that it is gone.
    Remove,
    /// Creates something by a token of ours, which the service knows again.
    Token,
    /// Creates something without a token: what is there tells whether it was done.
    Create,
    /// Nothing tells whether it was done.
    Blind,
    /// Cannot be taken back.
    Irreversible,
}

/// One request that changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, unique within the plan; `[a-z0-9_]`, at most 40 bytes.
    pub id: String,
    /// What a person reads before agreeing; at most 512 bytes.
    pub summary: String,
    /// The request.
    pub call: Call,
    /// What to do when nobody knows what became of it.
    pub class: Class,
    /// Errors of the service that mean that it is as wanted already, as `NoSuchEntity`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done_codes: Vec<String>,
    /// For [`Class::Create`]: how to find what an earlier try made. Its answer stands for the step's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Check>,
    /// How it is taken back, in this order; empty when it cannot be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inverse: Vec<Step>,
}

/// What an answer must be like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// The service refuses with one of these errors.
    Refused(Vec<String>),
    /// What stands at a JSON pointer is this. Objects hold at least these members; lists are compared in any order. A place
    /// that is not there is `null`.
    Is(String, Value),
    /// What stands at a JSON pointer is nothing like this. A place that is not there is `null`, so that what is not `null` is there.
    IsNot(String, Value),
    /// The list at a JSON pointer has an element like this. A list that is not there is empty.
    Has(String, Value),
    /// The list at a JSON pointer has no element like this.
    HasNot(String, Value),
}

/// A question to a service, and what its answer must be like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The question: an operation that only reads.
    pub call: Call,
    /// All that must hold of the answer.
    pub expect: Vec<Expect>,
}

/// What a plan is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// Its ARN.
    pub arn: String,
    /// What it is, as `aws.ec2.security_group`.
    pub kind: String,
    /// Its account; 12 digits.
    pub account: String,
    /// Its region; empty for what is global.
    pub region: String,
}

/// One field that a plan changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which, as `ingress tcp 22`.
    pub field: String,
    /// What it is.
    pub before: Value,
    /// What it will be.
    pub after: Value,
}

/// How much harm an action can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Nobody who does nothing wrong notices.
    Low,
    /// Something that works may stop until it is taken back.
    Medium,
    /// Much that works may stop, or it takes long to take it back.
    High,
}

/// What is to be done about one finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The action, as `aws.ec2.revoke_ingress_rule`.
    pub action: String,
    /// What it is about.
    pub resource: Resource,
    /// What it does, for people, in one line.
    pub summary: String,
    /// The least harm that it can do.
    pub risk: Risk,
    /// What it changes.
    pub diff: Vec<Change>,
    /// What must still hold just before the first step: else what was read is not true any more.
    pub preconditions: Vec<Check>,
    /// What is done, in this order.
    pub steps: Vec<Step>,
    /// What must hold afterwards, within the policy's time.
    pub verify: Vec<Check>,
    /// Whether it is taken back when it cannot be seen to have worked. Containment stays.
    pub is_rolled_back: bool,
}

impl Plan {
    /// The SHA-256 of its canonical JSON, in hex: what votes are bound to.
    pub fn hash(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        hex(&Sha256::digest(canonical(&value).as_bytes()))
    }

    /// Whether each of its steps can be taken back.
    pub fn is_reversible(&self) -> bool {
        let can = |step: &Step| step.class != Class::Irreversible && !step.inverse.is_empty();
        self.steps.iter().all(can)
    }

    /// Whether one of its steps cannot be taken back by anybody.
    pub fn is_irreversible(&self) -> bool {
        let cannot = |step: &Step| step.class == Class::Irreversible;
        self.steps.iter().any(cannot)
    }
}

/// JSON with the members of objects in the order of their names, and no spaces.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, to: &mut String) {
    use std::fmt::Write as _;
    // A name is JSON as a value is.
    let quoted = |text: &String| serde_json::to_string(text).unwrap_or_default();
    match value {
        Value::Object(members) => {
            let mut all: Vec<_> = members.iter().collect();
            all.sort_unstable_by(|one, other| one.0.cmp(other.0));
            to.push('{');
            for (place, (name, value)) in all.into_iter().enumerate() {
                if place > 0 {
                    to.push(',');
                }
                to.push_str(&quoted(name));
                to.push(':');
                write_canonical(value, to);
            }
            to.push('}');
        }
        Value::Array(items) => {
            to.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    to.push(',');
                }
                write_canonical(item, to);
            }
            to.push(']');
        }
        Value::String(text) => to.push_str(&quoted(text)),
        other => {
            let _ = write!(to, "{other}");
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
    text
}

/// Whether a value is like another: objects hold at least the wanted members, lists are equal in any order.
pub fn is_like(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(value), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| is_like(value.get(name).unwrap_or(&Value::Null), wanted)),
        (Value::Array(value), Value::Array(wanted)) => {
            let mut left: Vec<_> = value.iter().collect();
            value.len() == wanted.len()
                && wanted.iter().all(|wanted| {
                    let found = left.iter().position(|one| is_like(one, wanted));
                    found.map(|place| left.swap_remove(place)).is_some()
                })
        }
        (value, wanted) => value == wanted,
    }
}

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It did it. Its answer by the names of the API; `{}` when it said nothing.
    Done(Value),
    /// It refused: its error's code, as `NoSuchEntity`, and its words.
    Refused {
        /// The code, without a prefix of a namespace and without what stands after a colon.
        code: String,
        /// For people.
        message: String,
    },
}

impl Expect {
    /// Whether an answer is as expected.
    pub fn holds(&self, answer: &Answer) -> bool {
        let found = |path: &str| match answer {
            Answer::Done(value) => Some(value.pointer(path).unwrap_or(&Value::Null)),
            Answer::Refused { .. } => None,
        };
        let has = |path: &str, wanted: &Value| {
            found(path).map(|list| {
                list.as_array()
                    .is_some_and(|items| items.iter().any(|item| is_like(item, wanted)))
            })
        };
        match self {
            Self::Refused(codes) => {
                matches!(answer, Answer::Refused { code, .. } if codes.contains(code))
            }
            Self::Is(path, wanted) => found(path).is_some_and(|value| is_like(value, wanted)),
            Self::IsNot(path, wanted) => found(path).is_some_and(|value| !is_like(value, wanted)),
            Self::Has(path, wanted) => has(path, wanted) == Some(true),
            Self::HasNot(path, wanted) => has(path, wanted) == Some(false),
        }
    }
}

impl Check {
    /// Whether an answer is as expected.
    pub fn holds(&self, answer: &Answer) -> bool {
        self.expect.iter().all(|expect| expect.holds(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn likeness_asks_for_at_least_the_members_and_for_all_elements() {
        assert!(is_like(
            &json!({"a": 1, "b": [2, 1]}),
            &json!({"b": [1, 2]})
        ));
        assert!(!is_like(&json!({"b": [1, 2, 3]}), &json!({"b": [1, 2]})));
        assert!(!is_like(&json!({"b": [1, 1]}), &json!({"b": [1, 2]})));
        assert!(is_like(&json!({}), &json!({"gone": null})));
    }

    #[test]
    fn expectations_of_an_answer_never_hold_of_a_refusal() {
        let refused = Answer::Refused {
            code: "Throttling".to_owned(),
            message: String::new(),
        };
        let gone = Expect::HasNot("/Keys".to_owned(), json!({"Id": 1}));
        assert!(!gone.holds(&refused));
        assert!(gone.holds(&Answer::Done(json!({}))));
        assert!(gone.holds(&Answer::Done(json!({"Keys": [{"Id": 2}]}))));
        assert!(!gone.holds(&Answer::Done(json!({"Keys": [{"Id": 1, "More": 2}]}))));
        assert!(Expect::Refused(vec!["Throttling".to_owned()]).holds(&refused));
        let some = Expect::IsNot("/Keys/0".to_owned(), Value::Null);
        assert!(!some.holds(&refused));
        assert!(!some.holds(&Answer::Done(json!({"Keys": []}))));
        assert!(some.holds(&Answer::Done(json!({"Keys": ["a"]}))));
    }

    #[test]
    fn the_order_of_members_does_not_change_a_hash() {
        assert_eq!(
            canonical(&json!({"b": {"d": 1, "c": 2}, "a": [3, 1]})),
            r#"{"a":[3,1],"b":{"c":2,"d":1}}"#
        );
    }
}
