//! What a policy allows.

use crate::escalation::WAYS;
use crate::pattern::{is_everything, matches};
use serde_json::Value;

/// Statements that are looked at: a policy of AWS's greatest size has fewer.
const STATEMENTS_MAX: usize = 512;
/// Foreign accounts that are named.
const ACCOUNTS_MAX: usize = 32;

/// AWS's own policies that allow everything, or enough of it to become anything.
const ADMINISTRATORS: [&str; 3] = [
    "AdministratorAccess",
    "IAMFullAccess",
    "AWSOrganizationsFullAccess",
];

/// Conditions that bound who may come, so that a star is not everybody.
const BOUNDS: [&str; 12] = [
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:sourceaccount",
    "aws:sourceorgid",
    "aws:sourcearn",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "kms:calleraccount",
    "sts:externalid",
];

/// From whose point of view a policy is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'j> {
    /// The account that the policy is in.
    pub(crate) home: Option<&'j str>,
    /// The site's accounts.
    pub(crate) accounts: &'j [String],
}

/// What a policy allows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) admin: bool,
    pub(crate) public: bool,
    /// Accounts of others.
    pub(crate) foreign: Vec<String>,
    pub(crate) escalation: Option<&'static str>,
    /// The statement at fault, and how bad it is.
    pub(crate) statement: Option<Value>,
    weight: u8,
}

impl Verdict {
    /// The worst, in a word.
    pub(crate) fn grants(&self) -> &'static str {
        match () {
            () if self.public => "public",
            () if self.admin => "admin",
            () if self.escalation.is_some() => "escalation",
            () if !self.foreign.is_empty() => "cross-account",
            () => "ordinary",
        }
    }

    /// Two policies of one request.
    pub(crate) fn join(&mut self, other: Self) {
        self.admin |= other.admin;
        self.public |= other.public;
        for account in other.foreign {
            self.foreign(&account);
        }
        self.escalation = self.escalation.or(other.escalation);
        if other.weight > self.weight {
            self.weight = other.weight;
            self.statement = other.statement;
        }
    }

    fn foreign(&mut self, account: &str) {
        if self.foreign.len() < ACCOUNTS_MAX && !self.foreign.iter().any(|is| is == account) {
            self.foreign.push(account.to_owned());
        }
    }

    fn blame(&mut self, statement: &Value, weight: u8) {
        if weight > self.weight {
            self.weight = weight;
            self.statement = Some(statement.clone());
        }
    }
}

impl Judge<'_> {
    /// A policy that is attached by its ARN.
    pub(crate) fn attached(&self, arn: &str) -> Verdict {
        let mut verdict = Verdict::default();
        let name = arn.rsplit('/').next().unwrap_or_default();
        let is_of_aws = arn.contains(":iam::aws:policy/");
        if is_of_aws && ADMINISTRATORS.contains(&name) {
            verdict.admin = true;
            let statement = serde_json::json!({ "PolicyArn": arn });
            verdict.blame(&statement, 3);
        }
        verdict
    }

    /// A policy that is written out.
    pub(crate) fn document(&self, policy: &Value) -> Verdict {
        let mut verdict = Verdict::default();
        let statements = &policy["Statement"];
        let statements: Vec<&Value> = match statements {
            Value::Array(statements) => statements.iter().take(STATEMENTS_MAX).collect(),
            statement => vec![statement],
        };
        let of_effect = |effect: &str| {
            let statements = statements.iter().copied();
            let is_it = |statement: &&Value| statement["Effect"].as_str() == Some(effect);
            statements
                .filter(is_it)
                .map(Statement::of)
                .collect::<Vec<_>>()
        };
        let (allows, denies) = (of_effect("Allow"), of_effect("Deny"));
        for allow in &allows {
            self.principals(allow, &mut verdict);
            let is_whole = allow.is_of_any_resource && !allow.is_conditional;
            let is_everything = allow.is_everything() && is_whole;
            if is_everything && !allow.is_of_resource && !denies.iter().any(Statement::is_total) {
                verdict.admin = true;
                verdict.blame(allow.value, 3);
            }
        }
        self.escalation(&allows, &denies, &mut verdict);
        verdict
    }

    /// Whom a statement of a resource lets in.
    fn principals(&self, allow: &Statement<'_>, verdict: &mut Verdict) {
        for principal in &allow.principals {
            if *principal == "*" {
                match allow.is_bounded {
                    true => {}
                    false => {
                        verdict.public = true;
                        verdict.blame(allow.value, 4);
                    }
                }
                continue;
            }
            let Some(account) = account_of(principal) else {
                continue;
            };
            let is_ours =
                self.home == Some(account) || self.accounts.iter().any(|is| is == account);
            // Without an account of one's own nobody is foreign for certain.
            if !is_ours && self.home.is_some() {
                verdict.foreign(account);
                verdict.blame(allow.value, 1);
            }
        }
        if allow.is_all_but_some && !allow.is_bounded {
            verdict.public = true;
            verdict.blame(allow.value, 4);
        }
    }

    fn escalation(
        &self,
        allows: &[Statement<'_>],
        denies: &[Statement<'_>],
        verdict: &mut Verdict,
    ) {
        let giver = |action: &str| {
            let is_denied = denies
                .iter()
                .any(|deny| deny.is_plain() && deny.covers(action));
            let gives = |allow: &&Statement<'_>| {
                // A role that one may pass or assume, or a user whose keys one may make, has to be more than one is:
                // that is not known of one that is named.
                !allow.is_of_resource && allow.is_of_many && allow.covers(action)
            };
            allows.iter().find(gives).filter(|_| !is_denied)
        };
        for way in &WAYS {
            let mut givers = way.actions.iter().map(|action| giver(action));
            let Some(Some(first)) = givers.next() else {
                continue;
            };
            if givers.all(|giver| giver.is_some()) {
                verdict.escalation = Some(way.name);
                verdict.blame(first.value, 2);
                return;
            }
        }
    }
}

/// What of a statement is looked at.
#[derive(Debug)]
struct Statement<'v> {
    value: &'v Value,
    actions: Vec<&'v str>,
    not_actions: Option<Vec<&'v str>>,
    principals: Vec<&'v str>,
    is_all_but_some: bool,
    /// It says who may come, and so is of a resource or a role's trust.
    is_of_resource: bool,
    is_of_any_resource: bool,
    is_of_many: bool,
    is_conditional: bool,
    is_bounded: bool,
}

impl<'v> Statement<'v> {
    fn of(value: &'v Value) -> Self {
        let field = |name: &str| value.get(name).filter(|field| !field.is_null());
        let resources = texts(field("Resource"));
        let has_not_resource = field("NotResource").is_some();
        let is_any = |resource: &&str| is_everything(resource);
        let is_many = |resource: &&str| {
            let parts = resource.splitn(6, ':').nth(5).unwrap_or(resource);
            parts == "*" || parts.ends_with("/*") || is_everything(resource)
        };
        let condition = field("Condition").and_then(Value::as_object);
        Self {
            value,
            actions: texts(field("Action")),
            not_actions: field("NotAction").map(|actions| texts(Some(actions))),
            principals: principals(field("Principal")),
            is_all_but_some: field("NotPrincipal").is_some(),
            is_of_resource: field("Principal").is_some() || field("NotPrincipal").is_some(),
            is_of_any_resource: has_not_resource || resources.iter().any(is_any),
            is_of_many: has_not_resource || resources.iter().any(is_many),
            is_conditional: condition.is_some_and(|condition| !condition.is_empty()),
            is_bounded: condition.is_some_and(|condition| condition.iter().any(bounds)),
        }
    }

    fn is_everything(&self) -> bool {
        match &self.not_actions {
            // All but some is everything that matters, unless what is left out is what matters.
            Some(but) => !but.iter().any(|action| {
                matches(action, "iam:PassRole") || matches(action, "iam:AttachUserPolicy")
            }),
            None => self.actions.iter().any(|action| is_everything(action)),
        }
    }

    fn covers(&self, action: &str) -> bool {
        match &self.not_actions {
            Some(but) => !but.iter().any(|pattern| matches(pattern, action)),
            None => self.actions.iter().any(|pattern| matches(pattern, action)),
        }
    }

    /// Of a denial: it holds wherever and whenever.
    fn is_plain(&self) -> bool {
        self.is_of_any_resource && !self.is_conditional && !self.is_of_resource
    }

    fn is_total(&self) -> bool {
        self.is_plain() && self.is_everything()
    }
}

/// Whether a condition says who may come. That something is *not* so, or is there at all, bounds nobody.
fn bounds((operator, keys): (&String, &Value)) -> bool {
    let operator = operator.to_ascii_lowercase();
    if operator.contains("not") || operator.contains("ifexists") || operator.contains("null") {
        return false;
    }
    let Some(keys) = keys.as_object() else {
        return false;
    };
    keys.iter().any(|(key, values)| {
        let key = key.to_ascii_lowercase();
        let values = texts(Some(values));
        let is_named = !values.is_empty() && !values.iter().any(|value| is_everything(value));
        BOUNDS.contains(&key.as_str()) && is_named
    })
}

/// A text, or the texts of a list.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// `"*"`, or what stands under `AWS` and `Federated`. Services are not people.
fn principals(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::Object(kinds)) => {
            let kinds = kinds.iter().filter(|(kind, _)| {
                matches!(kind.as_str(), "AWS" | "Federated" | "CanonicalUser" | "*")
            });
            kinds.flat_map(|(_, values)| texts(Some(values))).collect()
        }
        value => texts(value),
    }
}

/// The account of a principal: twelve digits, alone or in an ARN.
fn account_of(principal: &str) -> Option<&str> {
    let is_account =
        |text: &&str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    match principal.starts_with("arn:") {
        true => principal.split(':').nth(4).filter(is_account),
        false => Some(principal).filter(is_account),
    }
}
