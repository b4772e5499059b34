//! Plans that a plugin makes: what a policy with `action = "plugin:NAME"` is about, and what is allowed of what it proposes.
//!
//! A plugin only proposes. Its plan goes the same way as every other, and what it could do beyond that is refused here: requests
//! go to the account and the region of the resource, steps change something and checks only read, all of it with operations that
//! are known, and what cannot be taken back only where the policy allows that.

use super::naming;
use super::recipe::{Kind, Parameter, Subject, required};
use super::{PlanFault, Planned, Reads};
use crate::aws;
use crate::machine::Proposal;
use crate::plan::{Answer, Call, Check, Class, Plan, Resource, Step, canonical, hex};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// What stands before the name of a plugin in a policy's `action`.
pub(crate) const PREFIX: &str = "plugin:";

/// A plugin, and the bytes of it that a policy means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Its name in the operator's file.
    pub name: String,
    /// The SHA-256 of its component, in hex.
    pub digest: String,
}

/// Asks a service with an operation and its parameters, in the account and the region of the resource.
pub type Asking<'a> = dyn FnMut(&str, Map<String, Value>) -> Result<Answer, String> + 'a;

/// Runs plugins that make plans.
pub trait Planner: Send + Sync {
    /// Whether a plugin is there, makes plans, and is the one that is meant; why not, for people.
    fn knows(&self, plugin: &Pinned) -> Result<(), String>;

    /// What a plugin proposes about a subject. Accounts and regions of its requests, its action and its resource are filled in
    /// afterwards. [`PlanFault::Read`] when it may have an answer later.
    fn plan(
        &self,
        plugin: &Pinned,
        subject: &Value,
        asking: &mut Asking<'_>,
    ) -> Result<Planned, PlanFault>;
}

/// What a policy has to say itself, since nobody else knows it. All other parameters are the plugin's.
pub(crate) const PARAMETERS: &[Parameter] = &[
    required("resource", Kind::Text, "the ARN of what the plan is about"),
    required(
        "resource_kind",
        Kind::Text,
        "what it is, as aws.ec2.instance",
    ),
    required(
        "fingerprint",
        Kind::Json,
        "the bad state that the plan ends",
    ),
];

/// Operations after which something is gone that no other operation brings back, whatever a plugin says of them.
const LOSING: [&str; 6] = [
    "ec2.DeleteSnapshot",
    "guardduty.DeleteDetector",
    "iam.DeleteAccessKey",
    "iam.DeleteLoginProfile",
    "kms.ScheduleKeyDeletion",
    "secretsmanager.DeleteSecret",
];

/// Longest plan of a plugin, as JSON: it becomes part of a record of the journal, and people have to read it.
const PLAN_BYTES_MAX: usize = 1 << 20;

/// The action of a plugin, as `plugin:NAME`.
pub(crate) fn action_of(plugin: &Pinned) -> String {
    format!("{PREFIX}{}", plugin.name)
}

/// What a plan would be about, as the policy says.
pub(crate) fn subject(
    plugin: &Pinned,
    account: &str,
    parameters: &Map<String, Value>,
) -> Result<Subject, PlanFault> {
    naming::account(account)?;
    let text = |name: &str| {
        let text = parameters.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| PlanFault::Lacks(name.to_owned()))
    };
    let arn = text("resource")?;
    let wrong = || PlanFault::Refused(format!("{} is no ARN", naming::shown(arn)));
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, service, region, owner, rest] = parts.as_slice() else {
        return Err(wrong());
    };
    let is_plain = arn.len() <= 2_048 && arn.bytes().all(|byte| byte.is_ascii_graphic());
    if partition.is_empty() || service.is_empty() || rest.is_empty() || !is_plain {
        return Err(wrong());
    }
    if !region.is_empty() {
        naming::region(region)?;
    }
    // S3 and others name no account.
    if !owner.is_empty() && *owner != account {
        return Err(PlanFault::Refused(format!(
            "{} is not of the account of the event, {account}",
            naming::shown(arn)
        )));
    }
    let kind = text("resource_kind")?;
    let may_stand = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.'
    };
    if kind.len() > 60 || !kind.bytes().all(may_stand) {
        let shown = naming::shown(kind);
        return Err(PlanFault::Refused(format!(
            "{shown} is no kind of resource"
        )));
    }
    let bad = parameters.get("fingerprint");
    let bad = bad.ok_or_else(|| PlanFault::Lacks("fingerprint".to_owned()))?;
    let bad = json!({"action": action_of(plugin), "arn": arn, "bad": bad});
    Ok(Subject {
        resource: Resource {
            arn: arn.to_owned(),
            kind: kind.to_owned(),
            account: account.to_owned(),
            region: (*region).to_owned(),
        },
        fingerprint: hex(&Sha256::digest(canonical(&bad).as_bytes())),
    })
}

/// What is to be done now about a proposal of a plugin.
pub(crate) fn plan(
    (planner, plugin): (Option<&dyn Planner>, &Pinned),
    (proposal, id, region): (&Proposal, &str, &str),
    reads: &mut dyn Reads,
) -> Result<Planned, PlanFault> {
    naming::action_id(id)?;
    let planner = planner.ok_or_else(|| {
        PlanFault::Refused(format!(
            "nobody runs plugins here, and `{}` is one",
            plugin.name
        ))
    })?;
    let resource = &proposal.subject.resource;
    let own = |name: &&String| !PARAMETERS.iter().any(|one| one.name == name.as_str());
    let parameters = proposal.parameters.iter().filter(|(name, _)| own(name));
    let parameters: Map<String, Value> = parameters
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let subject = json!({
        "finding": {
            "finding_id": proposal.origin.finding,
            "rule_id": proposal.origin.rule,
            "event_id": proposal.origin.event,
        },
        "event": proposal.event,
        "parameters": parameters,
        "resource": resource,
        "action-id": id,
        "event-time": proposal.origin.event_time,
    });
    let mut asking = |operation: &str, parameters: Map<String, Value>| {
        match aws::operation(operation) {
            Some(known) if known.is_read => {}
            Some(_) => return Err(format!("{operation} does not only read")),
            None => return Err(format!("{operation} is not known")),
        }
        reads.read(&Call {
            operation: operation.to_owned(),
            account: resource.account.clone(),
            region: region.to_owned(),
            parameters,
        })
    };
    let mut plan = match planner.plan(plugin, &subject, &mut asking)? {
        Planned::Nothing(why) => return Ok(Planned::Nothing(naming::line(&why))),
        Planned::Plan(plan) => plan,
    };
    let terms = &proposal.terms;
    adopt(
        &mut plan,
        &resource.account,
        region,
        terms.allow_irreversible,
    )?;
    plan.action = proposal.action.clone();
    plan.resource = resource.clone();
    plan.risk = plan.risk.max(terms.risk);
    plan.summary = naming::line(&plan.summary);
    Ok(Planned::Plan(plan))
}

/// Sends everything where it may go, and refuses what may not be.
fn adopt(
    plan: &mut Plan,
    account: &str,
    region: &str,
    may_be_final: bool,
) -> Result<(), PlanFault> {
    let refused = |why: String| Err(PlanFault::Refused(format!("the plugin's plan: {why}")));
    if plan.steps.is_empty() || plan.verify.is_empty() {
        return refused("it does nothing, or nothing shows that it worked".to_owned());
    }
    let bytes = serde_json::to_string(plan).map_or(usize::MAX, |text| text.len());
    if bytes > PLAN_BYTES_MAX {
        return refused(format!("it has {bytes} bytes, of at most {PLAN_BYTES_MAX}"));
    }
    let address = |call: &mut Call| {
        call.account = account.to_owned();
        call.region = region.to_owned();
    };
    let check = |check: &mut Check| {
        address(&mut check.call);
        allowed(&check.call, true)
    };
    let change = |step: &mut Step| {
        address(&mut step.call);
        step.summary = naming::line(&step.summary);
        if let Some(probe) = &mut step.probe {
            check(probe)?;
        }
        allowed(&step.call, false)
    };
    for one in plan.preconditions.iter_mut().chain(&mut plan.verify) {
        check(one)?;
    }
    for step in &mut plan.steps {
        change(step)?;
        for inverse in &mut step.inverse {
            change(inverse)?;
        }
        if LOSING.contains(&step.call.operation.as_str()) {
            step.class = Class::Irreversible;
        }
        let is_final = step.class == Class::Irreversible || step.inverse.is_empty();
        if is_final && !may_be_final {
            return refused(format!(
                "the step `{}` cannot be taken back, and the policy does not say `allow_irreversible = true`",
                step.id
            ));
        }
    }
    for change in &mut plan.diff {
        change.field = naming::line(&change.field);
    }
    Ok(())
}

/// Whether a request is one that reads, or changes something, as it must be.
fn allowed(call: &Call, reads: bool) -> Result<(), PlanFault> {
    let refused = |why: &str| {
        let operation = naming::shown(&call.operation);
        Err(PlanFault::Refused(format!(
            "the plugin's plan: {operation} {why}"
        )))
    };
    let Some(known) = aws::operation(&call.operation) else {
        return refused("is not known");
    };
    // Who acts is the policy's affair.
    if known.service.name == "sts" && !known.is_read {
        return refused("is about credentials");
    }
    match (known.is_read, reads) {
        (true, false) => return refused("only reads, and is no step"),
        (false, true) => return refused("does not only read, and is no check"),
        _ => {}
    }
    for name in &known.required {
        if !call.parameters.contains_key(*name) {
            return refused(&format!("lacks the parameter {name}"));
        }
    }
    Ok(())
}
