//! Publishing what others take: a message with an id, acknowledged by whichever stream has its subject.

use super::NatsConnection;
use super::appending::{Outgoing, Target, send};
use super::fault::Doing;
use async_nats::HeaderMap;
use bytes::Bytes;
use tripline_core::port::PortFault;

/// Publishes on a connection.
#[derive(Clone, Debug)]
pub struct Publisher {
    connection: NatsConnection,
}

impl Publisher {
    /// Publishes on this connection.
    pub fn new(connection: NatsConnection) -> Self {
        Self { connection }
    }

    /// Publishes a message, and returns when a stream has it. The same id within the stream's duplicate window is taken
    /// once. Tried for some seconds; class `Retry` when no stream takes the subject, since one may be made.
    pub fn publish(&self, subject: &str, id: &str, payload: Vec<u8>) -> Result<(), PortFault> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        headers.insert("Content-Type", "application/json");
        let doing = Doing::new(format!("publish on {subject}")).subject(subject);
        let target = Target {
            connection: &self.connection.0,
            subject,
            stream: None,
        };
        let message = Outgoing {
            headers,
            payload: Bytes::from(payload),
        };
        let sent = send(&target, std::slice::from_ref(&message), &doing);
        self.connection.0.block_on(sent).map(|_| ())
    }
}
