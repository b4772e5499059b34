//! Reading events of CloudTrail, in all the shapes that they come in.

use super::{ITEMS_MAX, PlanFault, naming};
use serde_json::Value;

/// An event.
#[derive(Clone, Copy)]
pub(super) struct Event<'a> {
    event: &'a Value,
}

/// Who did something.
pub(super) enum Doer<'a> {
    User(&'a str),
    Role(&'a str),
}

impl<'a> Event<'a> {
    pub(super) fn of(event: &'a Value) -> Result<Self, PlanFault> {
        match event.is_object() {
            true => Ok(Self { event }),
            false => Err(PlanFault::Refused("the event is no object".to_owned())),
        }
    }

    pub(super) fn name(&self) -> &'a str {
        self.text("/eventName").unwrap_or_default()
    }

    pub(super) fn source(&self) -> &'a str {
        self.text("/eventSource").unwrap_or_default()
    }

    /// Its error's code, when it failed. Anything there that is not `null` is a failure.
    pub(super) fn error(&self) -> Option<String> {
        let code = self.event.get("errorCode").filter(|code| !code.is_null())?;
        Some(code.as_str().map_or("an error".to_owned(), naming::shown))
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.flag("/readOnly") == Some(true)
    }

    /// What stands at a pointer, unless it is `null`.
    pub(super) fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.event.pointer(pointer).filter(|value| !value.is_null())
    }

    /// A text that is not empty.
    pub(super) fn text(&self, pointer: &str) -> Option<&'a str> {
        let text = self.at(pointer).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    }

    /// The first text that there is.
    pub(super) fn first(&self, pointers: &[&str]) -> Option<&'a str> {
        pointers.iter().find_map(|pointer| self.text(pointer))
    }

    /// The first text that there is; `what` is missing otherwise.
    pub(super) fn needs(&self, what: &str, pointers: &[&str]) -> Result<&'a str, PlanFault> {
        let lacks = || PlanFault::Lacks(what.to_owned());
        self.first(pointers).ok_or_else(lacks)
    }

    /// `true` or `false`, also when it is written as text.
    pub(super) fn flag(&self, pointer: &str) -> Option<bool> {
        flag(self.at(pointer)?)
    }

    /// A list. EC2 writes one element without a list, and no element as an empty text or object.
    pub(super) fn list(&self, pointer: &str) -> Result<Vec<&'a Value>, PlanFault> {
        let list: Vec<_> = match self.at(pointer) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.iter().collect(),
            Some(Value::String(text)) if text.is_empty() => Vec::new(),
            Some(Value::Object(members)) if members.is_empty() => Vec::new(),
            Some(one) => vec![one],
        };
        match list.len() {
            0..=ITEMS_MAX => Ok(list),
            _ => Err(PlanFault::Refused(format!(
                "the event has more than {ITEMS_MAX} of {pointer}"
            ))),
        }
    }

    /// The user or the role that did it. A role is the one that issued the session.
    pub(super) fn doer(&self) -> Option<Doer<'a>> {
        if !self.is_by_own_account() {
            return None;
        }
        match self.text("/userIdentity/type")? {
            "IAMUser" => Some(Doer::User(self.text("/userIdentity/userName")?)),
            "AssumedRole" => {
                let issuer = "/userIdentity/sessionContext/sessionIssuer";
                let is_role = self.text(&format!("{issuer}/type")) != Some("User");
                let name = self.text(&format!("{issuer}/userName"));
                // Old events lack the issuer: `arn:aws:sts::1:assumed-role/NAME/SESSION` has it.
                let name = name.or_else(|| {
                    let arn = self.text("/userIdentity/arn")?;
                    arn.split_once(":assumed-role/")?.1.split('/').next()
                });
                name.filter(|_| is_role).map(Doer::Role)
            }
            "FederatedUser" => {
                let issuer = "/userIdentity/sessionContext/sessionIssuer";
                let is_user = self.text(&format!("{issuer}/type")) == Some("IAMUser");
                let name = self.text(&format!("{issuer}/userName"));
                name.filter(|_| is_user).map(Doer::User)
            }
            _ => None,
        }
    }

    /// Whether it was done by somebody of the account that it was done in. Somebody of another one is not to be found here: a role
    /// of the same name would be, which has done nothing.
    fn is_by_own_account(&self) -> bool {
        let own = self.text("/recipientAccountId");
        let whose = self.first(&[
            "/userIdentity/sessionContext/sessionIssuer/accountId",
            "/userIdentity/accountId",
        ]);
        own.is_none() || whose.is_none() || own == whose
    }

    /// Whether the role that did it is one that only AWS may change.
    pub(super) fn is_by_role_of_aws(&self) -> bool {
        let arn = self.text("/userIdentity/sessionContext/sessionIssuer/arn");
        arn.is_some_and(|arn| {
            arn.contains(":role/aws-service-role/") || arn.contains(":role/aws-reserved/")
        })
    }

    /// The instance that it is about: what a finding says, what was asked, or whose credentials were used.
    pub(super) fn instance(&self) -> Option<&'a str> {
        let said = self.first(&[
            "/detail/resource/instanceDetails/instanceId",
            "/resource/instanceDetails/instanceId",
            "/requestParameters/instanceId",
            "/responseElements/instancesSet/items/0/instanceId",
            "/requestParameters/instancesSet/items/0/instanceId",
        ]);
        said.or_else(|| {
            if !self.is_by_own_account() {
                return None;
            }
            // Sessions of an instance's own role are named after the instance.
            let arn = self.text("/userIdentity/arn")?;
            let session = arn.split_once(":assumed-role/")?.1.split('/').nth(1)?;
            session.starts_with("i-").then_some(session)
        })
    }
}

/// `true` or `false`, also when it is written as text.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(is_it) => Some(*is_it),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A text, or the text within `{"content": …}` as EC2 writes elements of its newer requests.
pub(crate) fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// Whether a name is another, or another with the date of an API after it, as `AddPermission20150331v2`.
pub(crate) fn is_called(name: &str, wanted: &str) -> bool {
    let Some(rest) = name.strip_prefix(wanted) else {
        return false;
    };
    let (date, version) = rest.split_at_checked(8).unwrap_or((rest, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = version.is_empty()
        || version
            .strip_prefix('v')
            .is_some_and(|number| !number.is_empty() && is_number(number));
    rest.is_empty() || (date.len() == 8 && is_number(date) && is_version)
}

/// JSON with the names of its members as requests have them: CloudTrail writes their first letter small.
pub(crate) fn as_asked(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let named = members.iter().map(|(name, value)| {
                let mut letters = name.chars();
                let first = letters.next().map(|letter| letter.to_ascii_uppercase());
                let name: String = first.into_iter().chain(letters).collect();
                (name, as_asked(value))
            });
            Value::Object(named.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(as_asked).collect()),
        other => other.clone(),
    }
}
