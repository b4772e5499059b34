//! Appends: one message, or an atomic batch of them, tried until the server says what became of it.
//!
//! Every try of an append has the same message ids, so the stream takes it once: a single message that is there already is
//! acknowledged with its place, and a batch of which one message is there already is refused whole (err 10201), which for
//! a batch of our own means that all of it is there; its first message, sent once more alone, tells where.
//!
//! ```text
//! 1  Nats-Batch-Id, Nats-Batch-Sequence: 1      answered: the stream takes batches, or why not
//! 2  …                                          not answered
//! n  … Nats-Batch-Commit: 1                     answered: the place of the last one, or why none of it was taken
//! ```
//!
//! It must never say that something was appended without the stream's word for it. When nothing is known after all tries,
//! the fault says so: the records may be there or may yet come. Rejected: pipelined single messages with the last sequence
//! that is expected, which leave a part of an append behind.

use super::connect::Connection;
use super::fault::{Doing, deleted, full, of_answer, refused, retry};
use super::limits::{
    APPEND_BYTES_MAX, APPEND_PATIENCE, APPEND_RECORDS_MAX, HEADER_BYTES_MAX, PAUSE_FIRST,
    PAUSE_LONGEST, TRY_BYTES_A_SECOND, TRY_TIMEOUT,
};
use super::message::headers;
use super::stream::{denied, denied_or_retry, info_of};
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{HeaderMap, Message, Request, StatusCode};
use bytes::Bytes;
use std::time::{Duration, Instant};
use tripline_core::port::{NewRecord, PortFault};

/// A message and what it says beside its bytes.
pub(super) struct Outgoing {
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

/// Where messages go.
pub(super) struct Target<'t> {
    pub(super) connection: &'t Connection,
    pub(super) subject: &'t str,
    /// The stream that must take them, when it is known.
    pub(super) stream: Option<&'t str>,
}

/// What became of one try.
pub(super) enum Tried {
    /// The place of the first one.
    Taken(u64),
    /// It is there from an earlier try.
    There,
    /// Not known, or not now: the words for whoever must know in the end.
    Again(String),
    /// Nobody took it.
    NobodyThere,
    Fault(PortFault),
}

/// Appends records, and says the place of the first.
pub(super) fn append(
    target: &Target<'_>,
    records: &[NewRecord<'_>],
    doing: &Doing,
) -> Result<u64, PortFault> {
    let bytes: usize = records
        .iter()
        .map(|one| one.payload.len() + one.attributes.len())
        .sum();
    if records.len() > APPEND_RECORDS_MAX || (records.len() > 1 && bytes > APPEND_BYTES_MAX) {
        return Err(refused(
            doing,
            format!(
                "{} records with {bytes} bytes; at most {APPEND_RECORDS_MAX} with {APPEND_BYTES_MAX} are taken as a whole",
                records.len()
            ),
        ));
    }
    let messages = outgoing(target, records, doing)?;
    target.connection.block_on(send(target, &messages, doing))
}

/// Records as messages, with ids that no other append has.
pub(super) fn outgoing(
    target: &Target<'_>,
    records: &[NewRecord<'_>],
    doing: &Doing,
) -> Result<Vec<Outgoing>, PortFault> {
    // Unique for as long as anybody remembers it; the client's inboxes are made to be.
    let inbox = target.connection.client.new_inbox();
    let id = inbox.rsplit('.').next().unwrap_or(&inbox);
    let mut messages = Vec::with_capacity(records.len());
    for (number, record) in records.iter().enumerate() {
        let mut headers = headers(record);
        if record.attributes.len() > HEADER_BYTES_MAX / 4 {
            let words = format!(
                "attributes of {} bytes; headers hold at most {}",
                record.attributes.len(),
                HEADER_BYTES_MAX / 4
            );
            return Err(refused(doing, words));
        }
        headers.insert("Nats-Msg-Id", format!("{id}:{number}"));
        if let Some(stream) = target.stream {
            headers.insert("Nats-Expected-Stream", stream);
        }
        messages.push(Outgoing {
            headers,
            payload: Bytes::copy_from_slice(record.payload),
        });
    }
    Ok(messages)
}

/// How long a try of so many bytes may take.
pub(super) fn timeout_of(messages: &[Outgoing]) -> Duration {
    let bytes: usize = messages.iter().map(|one| one.payload.len()).sum();
    TRY_TIMEOUT + Duration::from_millis((bytes * 1000 / TRY_BYTES_A_SECOND).min(60_000) as u64)
}

/// Sends messages as a whole until it is known what became of them.
pub(super) async fn send(
    target: &Target<'_>,
    messages: &[Outgoing],
    doing: &Doing,
) -> Result<u64, PortFault> {
    let begun = Instant::now();
    let mut pause = PAUSE_FIRST;
    let mut was_sent = false;
    let mut last = target.connection.not_connected();
    let mut was_refused_by_all = false;
    let timeout = timeout_of(messages);
    while begun.elapsed() < APPEND_PATIENCE {
        if target.connection.is_connected() {
            let tried = match messages {
                [one] => single(target, one, timeout, doing).await,
                several => batch(target, several, timeout, doing).await,
            };
            let tried = match tried {
                Tried::There => single(target, &messages[0], timeout, doing).await,
                tried => tried,
            };
            was_refused_by_all = matches!(tried, Tried::NobodyThere);
            match tried {
                Tried::Taken(first) => return Ok(first),
                Tried::Fault(fault) => return Err(fault),
                Tried::NobodyThere => last = "nobody takes what is sent".to_owned(),
                Tried::There => last = "taken, but the place is not known yet".to_owned(),
                Tried::Again(words) => {
                    was_sent = true;
                    last = words;
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_LONGEST);
        if !was_sent && !target.connection.is_connected() {
            last = target.connection.not_connected();
        }
    }
    Err(given_up(target, doing, (was_sent, was_refused_by_all), last).await)
}

/// Why nothing is known after all tries.
pub(super) async fn given_up(
    target: &Target<'_>,
    doing: &Doing,
    (was_sent, was_refused_by_all): (bool, bool),
    last: String,
) -> PortFault {
    if was_refused_by_all && let Some(stream) = target.stream {
        match info_of(target.connection, stream, doing).await {
            Ok(Some(_)) => {}
            Ok(None) => return deleted(doing, stream),
            Err(fault) => return fault,
        }
    }
    let seconds = APPEND_PATIENCE.as_secs();
    match was_sent {
        true => denied_or_retry(
            target.connection,
            doing,
            format!(
                "not acknowledged within {seconds} s ({last}); it may have been taken, and may yet be"
            ),
        ),
        false => retry(doing, format!("not taken within {seconds} s ({last})")),
    }
}

async fn single(
    target: &Target<'_>,
    message: &Outgoing,
    timeout: Duration,
    doing: &Doing,
) -> Tried {
    match ask(target, message, message.headers.clone(), timeout, doing).await {
        Ok(Some(ack)) => Tried::Taken(ack.sequence),
        Ok(None) => Tried::Again("the answer cannot be read".to_owned()),
        Err(tried) => tried,
    }
}

async fn batch(
    target: &Target<'_>,
    messages: &[Outgoing],
    timeout: Duration,
    doing: &Doing,
) -> Tried {
    // Another batch in each try: what arrived of an earlier one must not mix with this.
    let inbox = target.connection.client.new_inbox();
    let id = inbox.rsplit('.').next().unwrap_or(&inbox);
    let in_batch = |number: usize, message: &Outgoing| {
        let mut headers = message.headers.clone();
        headers.insert("Nats-Batch-Id", id);
        headers.insert("Nats-Batch-Sequence", (number + 1).to_string());
        headers
    };
    let Some(((first, middle), last)) = messages
        .split_last()
        .and_then(|(last, before)| Some((before.split_first()?, last)))
    else {
        return Tried::Again("nothing to send".to_owned());
    };
    if let Err(tried) = ask(target, first, in_batch(0, first), timeout, doing).await {
        return tried;
    }
    let client = &target.connection.client;
    for (number, message) in middle.iter().enumerate() {
        let headers = in_batch(number + 1, message);
        let subject = target.subject.to_owned();
        let sent = client.publish_with_headers(subject, headers, message.payload.clone());
        if let Err(fault) = sent.await {
            return Tried::Again(fault.to_string());
        }
    }
    let mut headers = in_batch(messages.len() - 1, last);
    headers.insert("Nats-Batch-Commit", "1");
    match ask(target, last, headers, timeout, doing).await {
        Ok(Some(ack)) => Tried::Taken(ack.sequence + 1 - messages.len() as u64),
        Ok(None) => Tried::Again("the answer cannot be read".to_owned()),
        Err(tried) => tried,
    }
}

/// One message with an answer. An empty answer is what the first of a batch gets.
async fn ask(
    target: &Target<'_>,
    message: &Outgoing,
    headers: HeaderMap,
    timeout: Duration,
    doing: &Doing,
) -> Result<Option<PublishAck>, Tried> {
    let request = Request::new()
        .headers(headers)
        .payload(message.payload.clone())
        .timeout(Some(timeout));
    let client = &target.connection.client;
    let answer = match client
        .send_request(target.subject.to_owned(), request)
        .await
    {
        Ok(answer) => answer,
        Err(fault) => {
            return Err(match fault.kind() {
                RequestErrorKind::NoResponders => {
                    target.connection.unanswered().await;
                    Tried::NobodyThere
                }
                RequestErrorKind::MaxPayloadExceeded => {
                    Tried::Fault(too_long(target, &message.payload, doing))
                }
                RequestErrorKind::InvalidSubject => Tried::Fault(refused(doing, fault.to_string())),
                RequestErrorKind::TimedOut => match denied(target.connection, doing) {
                    Some(fault) => Tried::Fault(fault),
                    None => {
                        target.connection.unanswered().await;
                        Tried::Again("no answer in time".to_owned())
                    }
                },
                RequestErrorKind::Other => Tried::Again(fault.to_string()),
            });
        }
    };
    target.connection.answered();
    if answer.payload.is_empty() {
        return Ok(None);
    }
    ack_of(&answer.payload, doing).map(Some)
}

/// What the server says in answer to a message of its own.
pub(super) fn word_of(answer: &Message, doing: &Doing) -> Tried {
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Tried::NobodyThere;
    }
    match ack_of(&answer.payload, doing) {
        Ok(ack) => Tried::Taken(ack.sequence),
        Err(tried) => tried,
    }
}

fn ack_of(answer: &[u8], doing: &Doing) -> Result<PublishAck, Tried> {
    match serde_json::from_slice::<Response<PublishAck>>(answer) {
        Ok(Response::Ok(ack)) => Ok(ack),
        Ok(Response::Err { error }) => Err(of_refusal(doing, &error)),
        Err(fault) => Err(Tried::Again(format!("the answer cannot be read: {fault}"))),
    }
}

/// A message that no server takes.
pub(super) fn too_long(target: &Target<'_>, payload: &Bytes, doing: &Doing) -> PortFault {
    refused(
        doing,
        format!(
            "{} bytes with their headers; the server takes at most {} (`max_payload`)",
            payload.len(),
            target.connection.client.max_payload()
        ),
    )
}

fn of_refusal(doing: &Doing, error: &jetstream::Error) -> Tried {
    match error.error_code() {
        ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE => Tried::There,
        // Several things at once, told apart by what of_answer does with them: only what has no other meaning is final.
        ErrorCode::STREAM_MISMATCH | ErrorCode::STREAM_NOT_MATCH => Tried::Fault(refused(
            doing,
            format!("{error}; another stream takes this subject"),
        )),
        _ => {
            let fault = of_answer(doing, error);
            match fault.class {
                tripline_core::port::FaultClass::Retry => Tried::Again(error.to_string()),
                tripline_core::port::FaultClass::Full => {
                    Tried::Fault(full(doing, error.to_string()))
                }
                _ => Tried::Fault(fault),
            }
        }
    }
}
