//! Guardrails that need nothing but the event, the settings and the day: own events, what is never touched, exemptions.
//!
//! The others are where what they need is: switches, locks and caps in the `book`, approval in the `machine`,
//! preconditions in the `engine`.

use crate::aws::acted_on;
use crate::machine::Subject;
use crate::plan::Plan;
use crate::policy::{Exempt, Policy, glob};
use jiff::civil::Date;
use serde_json::Value;

/// What no policy may touch, whatever it says: ARNs, `*` for anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// ARNs that are never acted on.
    pub arns: Vec<String>,
    /// Accounts in which nothing is done, as the management account.
    pub accounts: Vec<String>,
    /// The accounts in which something may be done; all without any.
    pub only: Vec<String>,
    /// The roles that the engine itself acts as.
    pub own_roles: Vec<String>,
}

/// What is protected without anybody saying so.
const ALWAYS: [&str; 6] = [
    ROOT,
    "arn:aws*:iam::*:role/aws-service-role/*",
    "arn:aws*:iam::*:role/aws-reserved/*",
    // Most events tell no path, so the names tell: they are reserved for these.
    "arn:aws*:iam::*:role/AWSServiceRoleFor*",
    "arn:aws*:iam::*:role/AWSReservedSSO_*",
    "arn:aws*:iam::*:role/OrganizationAccountAccessRole",
];

/// The root user. An account as a whole has the same ARN.
const ROOT: &str = "arn:aws*:iam::*:root";

/// Whether an ARN is meant by a pattern. Subjects of IAM have no path, as most events tell none, so one that a pattern has
/// does not count.
fn is_meant(pattern: &str, arn: &str) -> bool {
    if glob(pattern, arn) {
        return true;
    }
    let Some((start, rest)) = pattern
        .split_once(":role/")
        .or(pattern.split_once(":user/"))
    else {
        return false;
    };
    match rest.rsplit_once('/') {
        Some((_, name)) if name.chars().any(|one| one != '*') => {
            let kind = &pattern[start.len()..start.len() + ":role/".len()];
            glob(&format!("{start}{kind}{name}"), arn)
        }
        _ => false,
    }
}

/// Why nothing is done about a subject, if so.
pub fn refusal(
    policy: &Policy,
    subject: &Subject,
    event: &Value,
    protected: &Protected,
    exempt: &[Exempt],
    today: Date,
) -> Option<String> {
    if let Some(actor) = own_action(event, &protected.own_roles) {
        return Some(format!("own event: it was made by the action {actor}"));
    }
    if event.get("errorCode").is_some_and(|code| !code.is_null()) {
        return Some("nothing was changed: the event tells of an error".to_owned());
    }
    // Who reads with stolen credentials is contained all the same: that is about who did it, and not about what was done.
    let is_about_what = !policy.action.triggers().is_empty();
    if is_about_what
        && event
            .get("readOnly")
            .is_some_and(|is| is == true || is == "true")
    {
        return Some("nothing was changed: the event tells of reading".to_owned());
    }
    let arn = &subject.resource.arn;
    let listed = ALWAYS
        .iter()
        .copied()
        .chain(protected.arns.iter().map(String::as_str));
    for pattern in listed.chain(protected.own_roles.iter().map(String::as_str)) {
        if pattern == ROOT && subject.resource.kind == "aws.account" {
            continue;
        }
        if is_meant(pattern, arn) {
            return Some(format!("protected: {pattern}"));
        }
    }
    let account = &subject.resource.account;
    if !protected.only.is_empty() && !protected.only.contains(account) {
        return Some(format!(
            "protected: {account} is none of the accounts in which something may be done"
        ));
    }
    if protected.accounts.contains(&subject.resource.account) {
        return Some(format!(
            "protected: the account {}",
            subject.resource.account
        ));
    }
    let one = exempt.iter().find(|one| {
        let pattern_means = || is_meant(&one.arn, arn);
        one.holds(&policy.id, arn, today) || (one.is_in_force(&policy.id, today) && pattern_means())
    })?;
    Some(format!(
        "exempt until {} ({}): {}",
        one.expires, one.owner, one.reason
    ))
}

/// What a plan would act on that is protected, beside its resource: a plugin may plan steps about anything in the account.
pub fn protected_of(plan: &Plan, protected: &Protected) -> Option<String> {
    let steps = plan.steps.iter().flat_map(|step| {
        let inverse = step.inverse.iter();
        std::iter::once(step).chain(inverse)
    });
    let mut arns = steps.flat_map(|step| acted_on(&step.call));
    let own = protected.own_roles.iter().map(String::as_str);
    let listed = protected.arns.iter().map(String::as_str).chain(own);
    let listed: Vec<&str> = ALWAYS.into_iter().chain(listed).collect();
    arns.find_map(|arn| {
        let pattern = listed.iter().find(|pattern| is_meant(pattern, &arn))?;
        Some(format!("protected: {pattern}, and the plan acts on {arn}"))
    })
}

/// The action whose session made an event, when one of ours did. Only the role tells, which nobody else may assume: the name
/// of a session alone proves nothing.
pub fn own_action(event: &Value, own_roles: &[String]) -> Option<String> {
    let actors = actors(event);
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    // Somebody else's account may have a role of any name.
    let here = text("recipientAccountId");
    actors.iter().find_map(|arn| {
        let (start, session) = arn.rsplit_once('/')?;
        let action = session.strip_prefix("rem-")?;
        let (account, role) = start.split_once(":assumed-role/")?;
        let account = account.rsplit(':').next()?;
        if account != here {
            return None;
        }
        let is_own = own_roles.iter().any(|own| {
            let Some((own_start, own_role)) = own.split_once(":role/") else {
                return false;
            };
            let name = own_role.rsplit('/').next().unwrap_or(own_role);
            let own_account = own_start.rsplit(':').next().unwrap_or_default();
            glob(name, role) && glob(own_account, account)
        });
        is_own.then(|| action.to_owned())
    })
}

/// Who did what an event tells of: the session or the user, and the role behind a session.
pub fn actors(event: &Value) -> Vec<String> {
    let pointers = [
        "/userIdentity/arn",
        "/userIdentity/sessionContext/sessionIssuer/arn",
        "/userIdentity/onBehalfOf/userId",
    ];
    let found = pointers
        .iter()
        .filter_map(|pointer| event.pointer(pointer)?.as_str());
    found
        .filter(|arn| arn.len() <= 2_048)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::own_action;

    #[test]
    fn only_a_session_of_our_role_is_ours() {
        let own = vec!["arn:aws:iam::*:role/tripline-remediation".to_owned()];
        let of = |arn: &str| {
            let event = serde_json::json!({
                "userIdentity": { "arn": arn },
                "recipientAccountId": "123456789012",
            });
            own_action(&event, &own)
        };
        assert_eq!(
            of("arn:aws:sts::123456789012:assumed-role/tripline-remediation/rem-00ff"),
            Some("00ff".to_owned())
        );
        assert_eq!(
            of("arn:aws:sts::123456789012:assumed-role/other/rem-00ff"),
            None
        );
        assert_eq!(
            of("arn:aws:sts::123456789012:assumed-role/tripline-remediation/me"),
            None
        );
        assert_eq!(of("arn:aws:iam::123456789012:user/rem-00ff"), None);
        assert_eq!(
            of("arn:aws:sts::666666666666:assumed-role/tripline-remediation/rem-00ff"),
            None
        );
    }
}
