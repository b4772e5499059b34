//! Messages of a consumer as they come: more are asked for before those that were asked for have all come.
//!
//! ```text
//! $JS.API.CONSUMER.MSG.NEXT.<stream>.<consumer>   {"batch":500,…}   answered to an inbox of its own, message by message
//! status 100                  the server is there, and has nothing
//! status 408, 409             a question has ended; Nats-Pending-Messages and -Bytes say how much of it will not be answered
//! ```
//!
//! It must never ask for more than it has accounted for: what comes unasked fills the client until it throws messages away.
//! Rejected: the client's own stream of messages, which copies all that it knows of its connection for each message, and
//! sets a timer for each: a third of what reading costs it.

use super::limits::{PULL_BYTES, PULL_EXPIRES, PULL_HEARTBEAT, PULL_MESSAGES, READY_MESSAGES};
use super::stream::question;
use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::ReadyChunks;
use std::time::Duration;
use tokio::time::timeout;

/// A question that nobody answers, not even to say that there is nothing, is taken for lost after this long.
const SILENCE: Duration = PULL_HEARTBEAT.saturating_mul(2);

/// What a consumer sends.
pub(super) struct Pull {
    client: Client,
    messages: ReadyChunks<Subscriber>,
    subject: Subject,
    inbox: Subject,
    words: Bytes,
    /// What one question asks for.
    each: Amount,
    /// What was asked for and did not come yet.
    due: Amount,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    messages: usize,
    bytes: usize,
}

/// Where a message stands in its stream, by the subject of its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) sequence: u64,
    /// Which of the consumer's messages it is, from 1.
    pub(super) number: u64,
    pub(super) published_nanos: i64,
    /// How many the stream has behind it.
    pub(super) behind: u64,
}

impl Pull {
    /// Of a consumer. Nothing is asked for before the first look.
    pub(super) async fn start(
        client: &Client,
        stream: &str,
        consumer: &str,
    ) -> Result<Self, String> {
        let inbox = client.new_inbox();
        let subscribed = client.subscribe(inbox.clone()).await;
        let each = Amount {
            messages: PULL_MESSAGES,
            bytes: PULL_BYTES + client.max_payload(),
        };
        let words = serde_json::json!({
            "batch": each.messages,
            "max_bytes": each.bytes,
            "expires": PULL_EXPIRES.as_nanos() as u64,
            "idle_heartbeat": PULL_HEARTBEAT.as_nanos() as u64,
        });
        Ok(Self {
            client: client.clone(),
            messages: subscribed
                .map_err(|fault| fault.to_string())?
                .ready_chunks(READY_MESSAGES),
            subject: format!("{}.{consumer}", question("CONSUMER.MSG.NEXT", stream)).into(),
            inbox: inbox.into(),
            words: words.to_string().into(),
            each,
            due: Amount::default(),
        })
    }

    /// What has come, at least one thing, in order. Whoever stops waiting for it loses nothing.
    pub(super) async fn next(&mut self) -> Result<Vec<Message>, String> {
        if self.due.messages <= self.each.messages / 2 || self.due.bytes <= self.each.bytes / 2 {
            let asked = self.client.publish_with_reply(
                self.subject.clone(),
                self.inbox.clone(),
                self.words.clone(),
            );
            asked.await.map_err(|fault| fault.to_string())?;
            self.due.messages += self.each.messages;
            self.due.bytes += self.each.bytes;
        }
        match timeout(SILENCE, self.messages.next()).await {
            Ok(Some(ready)) => Ok(ready),
            Ok(None) => Err("the connection ended".to_owned()),
            Err(_) => Err("the server says nothing any more".to_owned()),
        }
    }

    /// Accounts for something that came: whether it is a message of the stream. What ends a consumer is a fault.
    pub(super) fn is_message(&mut self, message: &Message) -> Result<bool, String> {
        let Some(status) = message.status else {
            self.due.less(1, message.length);
            return Ok(true);
        };
        let words = message.description.as_deref().unwrap_or_default();
        match status {
            StatusCode::OK => {
                self.due.less(1, message.length);
                Ok(true)
            }
            StatusCode::IDLE_HEARTBEAT => Ok(false),
            // Another question would end in the same way.
            _ if words == "Consumer Deleted" || words.starts_with("Exceeded MaxRequest") => {
                Err(format!("the server ended it: {words}"))
            }
            StatusCode::TIMEOUT | StatusCode::REQUEST_TERMINATED => {
                let headers = message.headers.as_ref();
                let messages = number(headers, "Nats-Pending-Messages");
                let bytes = number(headers, "Nats-Pending-Bytes");
                let Amount {
                    messages: all_messages,
                    bytes: all_bytes,
                } = self.each;
                self.due
                    .less(messages.unwrap_or(all_messages), bytes.unwrap_or(all_bytes));
                Ok(false)
            }
            StatusCode::NO_RESPONDERS => Err("nobody answers for the consumer".to_owned()),
            status => Err(format!("the server said {status} {words}")),
        }
    }
}

impl Amount {
    fn less(&mut self, messages: usize, bytes: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

fn number(headers: Option<&HeaderMap>, name: &str) -> Option<usize> {
    headers?.get(name)?.as_str().parse().ok()
}

impl Standing {
    /// Of a message; nothing if it is none of a consumer.
    ///
    /// ```text
    /// $JS.ACK.                    <stream>.<consumer>.<tries>.<sequence>.<number>.<nanoseconds>.<behind>
    /// $JS.ACK.<domain>.<account>. <stream>.<consumer>.<tries>.<sequence>.<number>.<nanoseconds>.<behind>[.<any>]
    /// ```
    pub(super) fn of(message: &Message) -> Option<Self> {
        Self::told(message.reply.as_ref()?.strip_prefix("$JS.ACK.")?)
    }

    fn told(rest: &str) -> Option<Self> {
        let before = match rest.bytes().filter(|byte| *byte == b'.').count() {
            6 => 3,
            8.. => 5,
            _ => return None,
        };
        let mut tokens = rest.split('.').skip(before);
        let mut next = || tokens.next()?.parse::<u64>().ok();
        Some(Self {
            sequence: next()?,
            number: next()?,
            published_nanos: next()?.try_into().ok()?,
            behind: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_both_forms() {
        let told = Standing {
            sequence: 77,
            number: 5,
            published_nanos: 1_767_225_600_000_000_001,
            behind: 9,
        };
        let short = "events-0.xyz.1.77.5.1767225600000000001.9";
        assert_eq!(Standing::told(short), Some(told));
        for more in ["", ".token", ".token.another"] {
            let long = format!("hub.ACC.{short}{more}");
            assert_eq!(Standing::told(&long), Some(told), "{long}");
        }
        for other in [
            "",
            "events-0.xyz.1.77.5.1767225600000000001",
            "events-0.xyz.1.x.5.1767225600000000001.9",
            "events-0.xyz.1.77.5.99999999999999999999.9",
            "hub.events-0.xyz.1.77.5.1767225600000000001.9",
        ] {
            assert_eq!(Standing::told(other), None, "{other}");
        }
    }
}
