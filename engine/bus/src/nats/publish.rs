//! Publishing what others take: a message with an id, acknowledged by whichever stream has its subject.

use super::appending::{Outgoing, Target, send};
use super::connect::{ConnectSettings, Connection};
use super::fault::Doing;
use async_nats::HeaderMap;
use bytes::Bytes;
use tripline_core::port::PortFault;

/// A connection to publish by.
#[derive(Debug)]
pub struct Publisher {
    connection: Connection,
}

impl Publisher {
    /// Connects.
    pub fn open(settings: &ConnectSettings) -> Result<Self, PortFault> {
        Ok(Self {
            connection: Connection::open(settings)?,
        })
    }

    /// Publishes a message, and returns when a stream has it. The same id within the stream's duplicate window is taken
    /// once. Tried for some seconds; class `Retry` when no stream takes the subject, since one may be made.
    pub fn publish(&self, subject: &str, id: &str, payload: Vec<u8>) -> Result<(), PortFault> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        headers.insert("Content-Type", "application/json");
        let doing = Doing::new(format!("publish on {subject}"));
        let target = Target {
            connection: &self.connection,
            subject,
            stream: None,
        };
        let message = Outgoing {
            headers,
            payload: Bytes::from(payload),
        };
        let sent = send(&target, std::slice::from_ref(&message), &doing);
        self.connection.block_on(sent).map(|_| ())
    }
}
