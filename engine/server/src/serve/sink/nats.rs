//! Findings as messages: one each, on one subject, acknowledged by whichever stream takes it.
//!
//! A message has the id `FINDING:REVISION`, so that one which is sent again within the stream's duplicate window is there
//! once. It connects when there is something to send, and again when that failed: servers that are away when the service
//! starts are no reason for it not to.

use super::Sink;
use tripline_bus::nats::{ConnectSettings, NatsConnection, Publisher};
use tripline_core::pipeline::SendFault;
use tripline_core::port::{FaultClass, Outgoing, PortFault};

/// A subject of NATS.
pub(super) struct Nats {
    settings: ConnectSettings,
    subject: String,
    publisher: Option<Publisher>,
}

impl Nats {
    pub(super) fn new(settings: ConnectSettings, subject: String) -> Self {
        Self {
            settings,
            subject,
            publisher: None,
        }
    }
}

impl Sink for Nats {
    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendFault> {
        let publisher = match self.publisher.take() {
            Some(publisher) => publisher,
            // What is wrong with who we are or where they are may be mended, and is no fault of a finding.
            None => NatsConnection::open(&self.settings)
                .map(Publisher::new)
                .map_err(|fault| retry(&fault))?,
        };
        let publisher = self.publisher.insert(publisher);
        for outgoing in batch {
            let finding = &outgoing.finding;
            let id = format!("{}:{}", finding.finding_id, finding.revision);
            let body = serde_json::to_vec(finding).map_err(|fault| SendFault::Refused {
                detail: fault.to_string(),
            })?;
            if let Err(fault) = publisher.publish(&self.subject, &id, body) {
                return Err(match fault.class {
                    FaultClass::Reject => SendFault::Refused {
                        detail: crate::causes::with_causes(&fault),
                    },
                    _ => retry(&fault),
                });
            }
        }
        Ok(())
    }
}

fn retry(fault: &PortFault) -> SendFault {
    SendFault::Retry {
        detail: crate::causes::with_causes(fault),
        after: None,
    }
}
