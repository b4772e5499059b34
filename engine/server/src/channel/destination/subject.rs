//! A subject of NATS: each event is a message, acknowledged by whichever stream takes the subject.
//!
//! A message has the id `CHANNEL:EVENT`, so that an event which is put there again within the stream's duplicate window is
//! there once. It connects when there is something to put, and again when that failed.

use super::Put;
use crate::causes::with_causes;
use crate::channel::ids;
use crate::config::Nats;
use crate::serve::connect_settings;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tripline_bus::nats::{NatsConnection, Publisher};
use tripline_core::port::{FaultClass, PortFault};

/// Who could not be connected to is not tried again at once: each try may take seconds, and everybody waits for it.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The longest id of an event that is part of a message's as it is.
const ID_BYTES_MAX: usize = 128;

pub(super) struct Subject {
    settings: Nats,
    subject: String,
    connected: Mutex<Connected>,
}

#[derive(Default)]
enum Connected {
    #[default]
    NotYet,
    To(Publisher),
    /// When it was tried last, and what came of it.
    Failed(Instant, FaultClass, String),
}

impl Subject {
    pub(super) fn new(settings: Nats, subject: String) -> Self {
        Self {
            settings,
            subject,
            connected: Mutex::default(),
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
            .map(|one| (message_id(one), one.payload))
            .collect();
        publisher.publish_all(&self.subject, &messages)
    }

    fn publisher(&self) -> Result<Publisher, PortFault> {
        let fault = |class, words: &str| PortFault::new(class, "connect to NATS").because(words);
        let mut connected = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &*connected {
            Connected::To(publisher) => return Ok(publisher.clone()),
            Connected::Failed(at, class, words) if at.elapsed() < AGAIN_AFTER => {
                return Err(fault(*class, words));
            }
            Connected::Failed(..) | Connected::NotYet => {}
        }
        let opened = connect_settings(&self.settings)
            .map_err(|why| fault(FaultClass::Retry, &why.to_string()))
            .and_then(|settings| NatsConnection::open(&settings));
        match opened {
            Ok(connection) => {
                let publisher = Publisher::new(connection);
                *connected = Connected::To(publisher.clone());
                Ok(publisher)
            }
            Err(why) => {
                let words = with_causes(&why);
                *connected = Connected::Failed(Instant::now(), why.class, words);
                Err(why)
            }
        }
    }
}

/// What a stream knows a message by. Ids that their sender chose may be anything, and headers may not.
fn message_id(event: &Put<'_>) -> String {
    let Put {
        channel, event_id, ..
    } = event;
    let is_plain =
        event_id.len() <= ID_BYTES_MAX && event_id.bytes().all(|byte| byte.is_ascii_graphic());
    match is_plain {
        true => format!("{channel}:{event_id}"),
        false => format!("{channel}:#{:032x}", ids::key(channel, event_id.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_messages_are_headers_whatever_a_sender_calls_an_event() {
        let id = |event_id: &str| {
            message_id(&Put {
                channel: "app",
                event_id,
                payload: b"{}",
            })
        };
        assert_eq!(id("e-1"), "app:e-1");
        let strange = ["bad\nid", "bad\rid", "two words", "ü", "", &"x".repeat(200)];
        for (number, one) in strange.iter().enumerate() {
            let made = id(one);
            assert!(made.bytes().all(|byte| byte.is_ascii_graphic()), "{made}");
            assert!(strange[..number].iter().all(|other| id(other) != made));
        }
    }
}
