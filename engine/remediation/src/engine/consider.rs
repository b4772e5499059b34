//! From a finding to proposals.

use super::{Engine, EngineFault, Outside, Policies};
use crate::ask::Asked;
use crate::book::{Judged, key_of};
use crate::guard::{self, Protected};
use crate::machine::{Input, Origin, PolicyName, Proposal, Subject};
use crate::policy::Policy;
use serde_json::{Map, Value};
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
    let value = serde_json::from_slice::<Value>(event);
    let asked = policies.questions.ask(event);
    let today = day_of(now);
    let mut proposed = Vec::new();
    for policy in answering {
        let proposal = match (&value, asked.get(&policy.id)) {
            _ if policies.is_exemption_lost => {
                Err("an exemption cannot be read, so nothing is done".to_owned())
            }
            (Err(_), _) => Err("its event cannot be read".to_owned()),
            (Ok(value), Some(Asked::Yes(params))) => proposal_of(policy, finding, value, params),
            (Ok(_), Some(Asked::Unclear(why))) => Err(why.clone()),
            (Ok(_), Some(Asked::No) | None) => Err("its `when` does not hold".to_owned()),
        };
        let refusal = proposal.as_ref().ok().and_then(|proposal| {
            guard::refusal(
                policy,
                &proposal.origin,
                &proposal.subject,
                &proposal.event,
                protected,
                &policies.exempt,
                today,
            )
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
        let now = self.outside.now();
        let policies = self.policies();
        let proposed = propose(&policies, &self.settings.protected, finding, event, now);
        let mut considered = Vec::new();
        let mut newest = None;
        for one in proposed {
            let (action, why) = match one.proposal {
                Ok(proposal) => {
                    let (action, seq, why) = self.write_down(proposal, one.refusal)?;
                    newest = newest.max(seq);
                    (action, why)
                }
                Err(why) => (None, Some(why)),
            };
            considered.push(Considered {
                policy: one.policy,
                action,
                why,
            });
        }
        if let Some(seq) = newest {
            self.point("proposed.appended")?;
            self.journal.flush(seq)?;
            self.point("proposed.flushed")?;
        }
        Ok(considered)
    }

    /// The action of a proposal, the number of the newest record of it, and why it is not done, if so.
    #[allow(clippy::type_complexity)]
    fn write_down(
        &self,
        proposal: Proposal,
        refused: Option<String>,
    ) -> Result<(Option<String>, Option<u64>, Option<String>), EngineFault> {
        let now = self.outside.now();
        let judged = self.book().judge(&proposal, now);
        let (id, why) = match (judged, refused) {
            (Judged::Known(id), _) => return Ok((Some(id), None, None)),
            (Judged::New(id), why) => (id, why),
            (Judged::Refused(id, why), other) => (id, Some(other.unwrap_or(why))),
        };
        let proposed = self.append(&id, 0, Input::Proposed(Box::new(proposal)));
        let mut seq = match proposed {
            Ok(seq) => seq,
            // Somebody proposed it at the same moment.
            Err(EngineFault::Changed(_)) => return Ok((Some(id), None, None)),
            Err(fault) => return Err(fault),
        };
        if let Some(reason) = &why {
            let reason = reason.clone();
            match self.append(&id, 1, Input::Suppressed { reason }) {
                Ok(newer) => seq = newer,
                Err(EngineFault::Changed(_)) => {}
                Err(fault) => return Err(fault),
            }
            if let Some(action) = self.action(&id) {
                self.outside.told(&action);
            }
        }
        Ok((Some(id), Some(seq), why))
    }
}

/// The day of a time, in UTC.
fn day_of(now: i64) -> jiff::civil::Date {
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
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the event does not say its account".to_owned());
    }
    let region = text("/awsRegion");
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
            depth: 0,
        },
        action: policy.action.name().to_owned(),
        parameters,
        subject,
        terms: policy.terms.clone(),
        runbook: policy.runbook.clone(),
        event: event.clone(),
    })
}
