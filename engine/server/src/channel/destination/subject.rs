//! A subject of NATS: each event is a message, acknowledged by whichever stream takes the subject.
//!
//! A message has the id `CHANNEL:EVENT`, so that an event which is put there again within the stream's duplicate window is
//! there once. It connects when there is something to put, and again when that failed.

use super::Put;
use crate::config::Nats;
use crate::serve::connect_settings;
use std::sync::{Mutex, PoisonError};
use tripline_bus::nats::{NatsConnection, Publisher};
use tripline_core::port::{FaultClass, PortFault};

pub(super) struct Subject {
    settings: Nats,
    subject: String,
    publisher: Mutex<Option<Publisher>>,
}

impl Subject {
    pub(super) fn new(settings: Nats, subject: String) -> Self {
        Self {
            settings,
            subject,
            publisher: Mutex::default(),
        }
    }

    /// Publishes events: which of them a stream has, and why not the others.
    pub(super) fn put(&self, events: &[&Put<'_>]) -> (Vec<bool>, Option<PortFault>) {
        let publisher = match self.publisher() {
            Ok(publisher) => publisher,
            Err(fault) => return (vec![false; events.len()], Some(fault)),
        };
        let messages: Vec<(String, &[u8])> = events
            .iter()
            .map(|one| (format!("{}:{}", one.channel, one.event_id), one.payload))
            .collect();
        publisher.publish_all(&self.subject, &messages)
    }

    fn publisher(&self) -> Result<Publisher, PortFault> {
        let mut known = self
            .publisher
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(publisher) = &*known {
            return Ok(publisher.clone());
        }
        let settings = connect_settings(&self.settings).map_err(|fault| {
            PortFault::new(FaultClass::Retry, "connect to NATS").because(fault.to_string())
        })?;
        let publisher = Publisher::new(NatsConnection::open(&settings)?);
        Ok(known.insert(publisher).clone())
    }
}
