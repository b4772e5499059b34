//! Publishing what others take: a message with an id, acknowledged by whichever stream has its subject.

use super::NatsConnection;
use super::appending::{Outgoing, Target, send};
use super::each;
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
        let (doing, target) = (doing(subject), self.target(subject));
        let message = outgoing(id, Bytes::from(payload));
        let sent = send(&target, std::slice::from_ref(&message), &doing);
        self.connection.0.block_on(sent).map(|_| ())
    }

    /// Publishes messages with their ids, all at once: which of them a stream has, and why it has not the others.
    pub fn publish_all(
        &self,
        subject: &str,
        messages: &[(String, &[u8])],
    ) -> (Vec<bool>, Option<PortFault>) {
        let doing = doing(subject);
        let outgoing: Vec<Outgoing> = messages
            .iter()
            .map(|(id, payload)| outgoing(id, Bytes::copy_from_slice(payload)))
            .collect();
        let mut places = vec![None; messages.len()];
        let target = self.target(subject);
        let sent = each::send(&target, &outgoing, &doing, &mut places);
        let sent = self.connection.0.block_on(sent);
        (places.iter().map(Option::is_some).collect(), sent.err())
    }

    fn target<'t>(&'t self, subject: &'t str) -> Target<'t> {
        Target {
            connection: &self.connection.0,
            subject,
            stream: None,
        }
    }
}

fn doing(subject: &str) -> Doing {
    Doing::new(format!("publish on {subject}")).subject(subject)
}

fn outgoing(id: &str, payload: Bytes) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    headers.insert("Content-Type", "application/json");
    Outgoing { headers, payload }
}
