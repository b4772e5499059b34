//! From a finding to proposals.

use super::{Engine, EngineFault, Outside, Policies};
use crate::ask::Asked;
use crate::book::{Judged, key_of};
use crate::guard::{self, Protected};
use crate::machine::{Input, Origin, PolicyName, Proposal, Subject};
use crate::policy::Policy;
use serde_json::{Map, Value};
use std::sync::Arc;
use tripline_core::wire::Finding;

/// What became of a finding with one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Considered {
    /// The policy.
    pub policy: String,
    /// The action, new or known; none when nothing was written.
    pub action: Option<String>,
    /// What is to be said of it, when nothing is proposed.
    pub why: Option<String>,
}

/// What one policy makes of a finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// The policy.
    pub policy: String,
    /// What it proposes; why nothing when it does not.
    pub proposal: Result<Proposal, String>,
    /// The guardrail that says no to the proposal, if one does, of those that need nothing but the event and the settings.
    pub refusal: Option<String>,
}

/// The longest event that is answered: 1 MiB. Those of CloudTrail are at most 256 KiB.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// What policies make of a finding at a time, in microseconds since 1970. Nothing is asked and nothing is written.
pub fn propose(
    policies: &Policies,
    protected: &Protected,
    finding: &Finding,
    event: &[u8],
    now: i64,
) -> Vec<Proposed> {
    let answering: Vec<&Policy> = policies
        .policies
        .iter()
        .filter(|policy| policy.answers(&finding.rule_id, &finding.severity))
        .collect();
    if answering.is_empty() {
        return Vec::new();
    }
    let value = match event.len() <= EVENT_BYTES_MAX {
        true => serde_json::from_slice::<Value>(event).map_err(|_| "its event cannot be read"),
        false => Err("its event is longer than 1 MiB"),
    };
    let asked = policies.questions.ask(event);
    let today = day_of(now);
    let mut proposed = Vec::new();
    for policy in answering {
        let proposal = match (&value, asked.get(&policy.id)) {
            _ if policies.is_exemption_lost => {
                Err("an exemption cannot be read, so nothing is done".to_owned())
            }
            (Err(why), _) => Err((*why).to_owned()),
            (Ok(value), Some(Asked::Yes(params))) => proposal_of(policy, finding, value, params),
            (Ok(_), Some(Asked::Unclear(why))) => Err(why.clone()),
            (Ok(_), Some(Asked::No) | None) => Err("its `when` does not hold".to_owned()),
        };
        let refusal = proposal.as_ref().ok().and_then(|proposal| {
            guard::refusal(
                policy,
                &proposal.subject,
                &proposal.event,
                protected,
                &policies.exempt,
                today,
            )
        });
        let refusal = refusal.or_else(|| {
            let age = now.saturating_sub(proposal.as_ref().ok()?.origin.event_time);
            let most = policy.terms.limits.max_age;
            (age > most.0).then(|| format!("too old: it happened more than {most} ago"))
        });
        proposed.push(Proposed {
            policy: policy.id.clone(),
            proposal,
            refusal,
        });
    }
    proposed
}

impl<O: Outside> Engine<O> {
    /// Proposes what policies answer to a finding. When it returns, it is on the disk.
    pub fn consider(
        &self,
        finding: &Finding,
        event: &[u8],
    ) -> Result<Vec<Considered>, EngineFault> {
        loop {
            match self.considered(finding, event) {
                // What was written down is void, as somebody else was faster; what is there is known.
                Err(EngineFault::Overtaken) => continue,
                considered => return considered,
            }
        }
    }

    fn considered(&self, finding: &Finding, event: &[u8]) -> Result<Vec<Considered>, EngineFault> {
        let now = self.outside.now();
        let policies = self.policies();
        let proposed = propose(&policies, &self.settings.protected, finding, event, now);
        let voids = self.voids();
        let mut considered = Vec::new();
        for one in proposed {
            let (action, why) = match one.proposal {
                Ok(proposal) => {
                    let (action, why) = self.write_down(proposal, one.refusal)?;
                    self.point("proposed.one")?;
                    (Some(action), why)
                }
                Err(why) => (None, Some(why)),
            };
            considered.push(Considered {
                policy: one.policy,
                action,
                why,
            });
        }
        if considered.iter().any(|one| one.action.is_some()) {
            self.point("proposed.appended")?;
            // Also what is known already: whoever wrote it down may wait for the disk.
            self.flush_all(voids)?;
            self.point("proposed.flushed")?;
            self.ring();
        }
        Ok(considered)
    }

    /// The action of a proposal, and why it is not done, if so. It is judged and written down in one, so that nobody proposes
    /// the same in between.
    fn write_down(
        &self,
        proposal: Proposal,
        refused: Option<String>,
    ) -> Result<(String, Option<String>), EngineFault> {
        let mut book = self.book();
        if !self.is_acting(&book) {
            return Err(EngineFault::NotActing);
        }
        let now = self.outside.now();
        let (id, why, is_again) = match (book.judge(&proposal, now), refused) {
            (Judged::Known(id), _) => return Ok((id, None)),
            (Judged::New(id) | Judged::Refused(id, _), Some(why)) => (id, Some(why), false),
            (Judged::New(id), None) => (id, None, false),
            (Judged::Refused(id, why), None) => (id, Some(why), true),
        };
        let proposal = Arc::new(proposal);
        let input = match &why {
            None => Input::Proposed(proposal),
            Some(reason) => Input::Refused {
                proposal,
                reason: reason.clone(),
                is_again,
            },
        };
        let entry = book.entry(&id, input, now)?;
        self.record(&mut book, now, entry)?;
        drop(book);
        if why.is_some()
            && let Some(action) = self.action(&id)
        {
            self.outside.told(&action);
        }
        Ok((id, why))
    }
}

/// The day of a time, in UTC.
pub(super) fn day_of(now: i64) -> jiff::civil::Date {
    let time = jiff::Timestamp::from_microsecond(now).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// What a policy proposes for a finding.
fn proposal_of(
    policy: &Policy,
    finding: &Finding,
    event: &Value,
    params: &Map<String, Value>,
) -> Result<Proposal, String> {
    let text = |pointer: &str| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut parameters = match policy.action.parameters_of(event) {
        Ok(parameters) => parameters,
        // What the policy gives may be all that is needed.
        Err(_) if !params.is_empty() => Map::new(),
        Err(fault) => return Err(fault.to_string()),
    };
    for (name, value) in params {
        parameters.insert(name.clone(), value.clone());
    }
    for parameter in policy.action.parameters() {
        if parameter.is_required && !parameters.contains_key(parameter.name) {
            return Err(format!(
                "the event does not say `{}`, which `{}` needs",
                parameter.name,
                policy.action.name()
            ));
        }
    }
    let account = match text("/recipientAccountId") {
        "" => text("/userIdentity/accountId"),
        account => account,
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let region = text("/awsRegion");
    // What is done at others than AWS may answer events of others than AWS, which have neither.
    let (account, region) = match policy.action.is_of_aws() {
        true => (account, region),
        false if is_account && !region.is_empty() => (account, region),
        false => ("000000000000", "local"),
    };
    if !is_account && policy.action.is_of_aws() {
        return Err("the event does not say its account".to_owned());
    }
    let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if region.is_empty() || region.len() > 40 || !region.bytes().all(is_region) {
        return Err("the event does not say its region".to_owned());
    }
    let subject = policy
        .action
        .subject(account, region, &parameters)
        .map_err(|fault| fault.to_string())?;
    let subject = Subject {
        resource: subject.resource,
        fingerprint: subject.fingerprint,
    };
    let time: Option<jiff::Timestamp> = text("/eventTime").parse().ok();
    let time = time.or_else(|| finding.event_time.as_deref()?.parse().ok());
    let time = time.ok_or("the event does not say its time")?;
    Ok(Proposal {
        key: key_of(
            &policy.id,
            policy.major(),
            &subject.resource,
            &subject.fingerprint,
        ),
        policy: PolicyName {
            id: policy.id.clone(),
            version: policy.version.clone(),
            hash: policy.hash.clone(),
        },
        origin: Origin {
            finding: finding.finding_id.clone(),
            rule: finding.rule_id.clone(),
            event: finding.event_id.clone(),
            event_time: time.as_microsecond(),
            event_name: text("/eventName").to_owned(),
            actors: guard::actors(event),
        },
        action: policy.action.name().to_owned(),
        plugin: policy.action.plugin().cloned(),
        parameters,
        subject,
        terms: policy.terms.clone(),
        runbook: policy.runbook.clone(),
        event: Arc::new(event.clone()),
    })
}
