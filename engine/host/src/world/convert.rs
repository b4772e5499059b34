//! Between the contract's types and the plain ones.

use super::generated::imports::tripline::plugin::types as wit;
use super::generated::{decoder, policy, remediator};
use crate::answer::{
    Attributes, Bad, Decision, Decoded, Effect, Finding, Hit, Outcome, Severity, Step,
};
use crate::grant::events::Value;
use crate::grant::{Fault, FaultKind};
use decoder::exports::tripline::plugin::decode;
use policy::exports::tripline::plugin::decide;
use remediator::exports::tripline::plugin::remediate;

pub(crate) fn fault_in(fault: wit::Fault) -> Fault {
    let kind = match fault.kind {
        wit::FaultKind::InvalidConfig => FaultKind::InvalidConfig,
        wit::FaultKind::InvalidInput => FaultKind::InvalidInput,
        wit::FaultKind::Unsupported => FaultKind::Unsupported,
        wit::FaultKind::Denied => FaultKind::Denied,
        wit::FaultKind::NotFound => FaultKind::NotFound,
        wit::FaultKind::Limit => FaultKind::Limit,
        wit::FaultKind::Timeout => FaultKind::Timeout,
        wit::FaultKind::Unavailable => FaultKind::Unavailable,
        wit::FaultKind::Internal => FaultKind::Internal,
    };
    let mut plain = Fault::new(kind, fault.message);
    plain.retry_after_ms = fault.retry_after_ms;
    plain
}

pub(super) fn fault_out(fault: Fault) -> wit::Fault {
    let kind = match fault.kind {
        FaultKind::InvalidConfig => wit::FaultKind::InvalidConfig,
        FaultKind::InvalidInput => wit::FaultKind::InvalidInput,
        FaultKind::Unsupported => wit::FaultKind::Unsupported,
        FaultKind::Denied => wit::FaultKind::Denied,
        FaultKind::NotFound => wit::FaultKind::NotFound,
        FaultKind::Limit => wit::FaultKind::Limit,
        FaultKind::Timeout => wit::FaultKind::Timeout,
        FaultKind::Unavailable => wit::FaultKind::Unavailable,
        FaultKind::Internal => wit::FaultKind::Internal,
    };
    wit::Fault {
        kind,
        message: fault.message,
        retry_after_ms: fault.retry_after_ms,
    }
}

fn value_in(value: wit::Value) -> Value {
    match value {
        wit::Value::Null => Value::Null,
        wit::Value::Boolean(value) => Value::Boolean(value),
        wit::Value::Int(value) => Value::Int(value),
        wit::Value::Float(value) => Value::Float(value),
        wit::Value::Text(value) => Value::Text(value),
        wit::Value::Bytes(value) => Value::Bytes(value),
    }
}

pub(super) fn value_out(value: Value) -> wit::Value {
    match value {
        Value::Null => wit::Value::Null,
        Value::Boolean(value) => wit::Value::Boolean(value),
        Value::Int(value) => wit::Value::Int(value),
        Value::Float(value) => wit::Value::Float(value),
        Value::Text(value) => wit::Value::Text(value),
        Value::Bytes(value) => wit::Value::Bytes(value),
    }
}

fn attributes_in(attributes: Vec<(String, wit::Value)>) -> Attributes {
    let attributes = attributes.into_iter();
    attributes
        .map(|(name, value)| (name, value_in(value)))
        .collect()
}

fn attributes_out(attributes: &Attributes) -> Vec<(String, wit::Value)> {
    let attributes = attributes.iter().cloned();
    attributes
        .map(|(name, value)| (name, value_out(value)))
        .collect()
}

pub(crate) fn hit_in(hit: wit::Hit) -> Hit {
    let finding = hit.finding;
    let severity = match finding.severity {
        wit::Severity::Informational => Severity::Informational,
        wit::Severity::Low => Severity::Low,
        wit::Severity::Medium => Severity::Medium,
        wit::Severity::High => Severity::High,
        wit::Severity::Critical => Severity::Critical,
    };
    let finding = Finding {
        severity,
        score: finding.score,
        title: finding.title,
        dedup_key: finding.dedup_key,
        evidence: attributes_in(finding.evidence),
    };
    Hit {
        row: hit.row,
        finding,
    }
}

pub(crate) fn decision_in(decision: decide::Decision) -> Decision {
    let effect = match decision.effect {
        decide::Effect::Abstain => Effect::Abstain,
        decide::Effect::Allow => Effect::Allow,
        decide::Effect::RequireApproval => Effect::RequireApproval,
        decide::Effect::Deny => Effect::Deny,
    };
    Decision {
        effect,
        reason: decision.reason,
        obligations: attributes_in(decision.obligations),
    }
}

pub(crate) fn decoded_in(decoded: decode::Decoded) -> Decoded {
    let bad = decoded.bad.into_iter().map(|bad| Bad {
        offset: bad.offset,
        message: bad.message,
    });
    Decoded {
        consumed: decoded.consumed,
        events: decoded.events,
        bad: bad.collect(),
        state: decoded.state,
    }
}

pub(crate) fn step_in(step: remediate::Step) -> Step {
    Step {
        id: step.id,
        summary: step.summary,
        reversible: step.reversible,
        arguments: attributes_in(step.arguments),
    }
}

pub(crate) fn step_out(step: &Step) -> remediate::Step {
    remediate::Step {
        id: step.id.clone(),
        summary: step.summary.clone(),
        reversible: step.reversible,
        arguments: attributes_out(&step.arguments),
    }
}

pub(crate) fn outcome_in(outcome: remediate::Outcome) -> Outcome {
    Outcome {
        changed: outcome.changed,
        message: outcome.message,
        undo_token: outcome.undo_token,
    }
}
