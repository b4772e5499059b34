//! Findings on their way to policies: a sink like any other, so that each is considered at least once, in its order.

use super::Remediation;
use super::learning::{Learning, is_foreign};
use crate::causes::with_causes;
use crate::serve::sink::Sink;
use serde_json::Value;
use std::sync::Arc;
use tripline_core::pipeline::SendFault;
use tripline_core::port::{Outgoing, Store};

/// The name under which the store knows how far it is.
pub(crate) const NAME: &str = "remediation";

/// See the module.
pub(crate) struct Answering {
    pub(crate) engine: Remediation,
    pub(crate) learning: Arc<Learning>,
    pub(crate) store: Arc<dyn Store>,
    /// The channels whose events are believed.
    pub(crate) channels: Vec<String>,
}

impl Sink for Answering {
    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendFault> {
        let later = |detail: String| SendFault::Retry {
            detail,
            after: None,
        };
        for one in batch {
            let finding = &one.finding;
            let event = self.store.event(&finding.event_id);
            let event = event.map_err(|fault| later(with_causes(&fault)))?;
            let Some(event) = event else {
                tracing::warn!(
                    finding = finding.finding_id,
                    "no action: its event is not kept"
                );
                continue;
            };
            let policies = self.engine.policies();
            let value: Option<Value> = serde_json::from_slice(&event).ok();
            if let Some(channel) = value
                .as_ref()
                .and_then(|one| is_foreign(one, &self.channels))
            {
                let id = finding.finding_id.as_str();
                let words =
                    "its event came through a channel that remediation.channels does not name";
                tracing::debug!(finding = id, channel, words, "no action");
                continue;
            }
            let is_answered = policies
                .policies
                .iter()
                .any(|policy| policy.answers(&finding.rule_id, &finding.severity));
            if is_answered && let Some(event) = &value {
                self.learning.doubt(event);
            }
            let considered = self.engine.consider(finding, &event);
            for one in considered.map_err(|fault| later(with_causes(&fault)))? {
                if let (None, Some(why)) = (&one.action, &one.why) {
                    tracing::info!(
                        policy = one.policy,
                        finding = finding.finding_id,
                        why,
                        "no action"
                    );
                }
            }
        }
        self.engine.ring();
        Ok(())
    }
}
