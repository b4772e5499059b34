//! Appends of records each by itself: all are on their way at once, and those of which nothing was heard are sent again.
//!
//! A server keeps an atomic batch in files of its own until it is committed, which waits for its disk several times however small
//! the batch is: a hundred records take about as long as thousands of messages by themselves. So whoever needs no whole
//! does without. As with a whole, every try of a record has the same message id: the stream takes it once, and the answer to
//! a later try names the place of the first.
//!
//! Rejected: batches of fast ingest (servers since 2.14), which are acknowledged now and then: 7 % faster at a hundred records, and a
//! second way beside this one for older servers.
//!
//! It must never say that a record has a place without the stream's word for it, take longer than an append may, or send a record
//! while an earlier one could not be sent: as long as nothing is lost on the way, the stream has them in their order.

use super::appending::{
    Outgoing, Target, Tried, given_up, outgoing, timeout_of, too_long, word_of,
};
use super::fault::{Doing, refused};
use super::limits::{APPEND_PATIENCE, PAUSE_FIRST, PAUSE_LONGEST};
use super::stream::denied;
use async_nats::client::{PublishError, PublishErrorKind};
use async_nats::{Client, HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use std::collections::BTreeSet;
use tokio::time::{Instant, timeout_at};
use tripline_core::port::{NewRecord, PortFault};

const UNHEARD: &str = "no answer in time";

/// The places of records, of those that have one.
type Places = Vec<Option<u64>>;

/// Appends records each by itself: their places, and why some have none.
pub(super) fn append(
    target: &Target<'_>,
    records: &[NewRecord<'_>],
    doing: &Doing,
) -> (Places, Option<PortFault>) {
    let mut places = vec![None; records.len()];
    let done = match outgoing(target, records, doing) {
        Ok(messages) => {
            let sending = send(target, &messages, doing, &mut places);
            target.connection.block_on(sending)
        }
        Err(fault) => Err(fault),
    };
    (places, done.err())
}

/// Sends those without a place until all have one or are refused.
pub(super) async fn send(
    target: &Target<'_>,
    messages: &[Outgoing],
    doing: &Doing,
    places: &mut Places,
) -> Result<(), PortFault> {
    let begun = Instant::now();
    let timeout = timeout_of(messages);
    let mut pause = PAUSE_FIRST;
    let mut was_sent = false;
    let mut was_refused_by_all = false;
    let mut last = target.connection.not_connected();
    let mut refused = vec![false; messages.len()];
    let mut refusal: Option<PortFault> = None;
    while !is_done(places, &refused) {
        if begun.elapsed() >= APPEND_PATIENCE {
            let about = (was_sent, was_refused_by_all);
            let fault = given_up(target, doing, about, last).await;
            return Err(PortFault::graver(refusal, fault));
        }
        if target.connection.is_connected() {
            was_refused_by_all = true;
            let unsettled = (0..messages.len())
                .filter(|number| places[*number].is_none() && !refused[*number])
                .collect();
            let end = (Instant::now() + timeout).min(begun + APPEND_PATIENCE);
            let (became, denied) = ask_all(target, messages, unsettled, end, doing).await;
            for (number, tried) in became {
                match tried {
                    Tried::NobodyThere => {
                        "nobody takes what is sent".clone_into(&mut last);
                        continue;
                    }
                    Tried::Taken(place) => places[number] = Some(place),
                    Tried::Fault(fault) => {
                        refused[number] = true;
                        refusal = Some(PortFault::graver(refusal, fault));
                    }
                    Tried::Again(words) => {
                        was_sent = true;
                        last = words;
                    }
                    Tried::There => was_sent = true,
                }
                was_refused_by_all = false;
            }
            if let Some(fault) = denied {
                return Err(PortFault::graver(refusal, fault));
            }
        }
        if is_done(places, &refused) {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_LONGEST);
        if !was_sent && !target.connection.is_connected() {
            last = target.connection.not_connected();
        }
    }
    refusal.map_or(Ok(()), Err)
}

fn is_done(places: &Places, refused: &[bool]) -> bool {
    let mut all = places.iter().zip(refused);
    all.all(|(place, refused)| place.is_some() || *refused)
}

/// Sends some of the messages, one after the other, and says what became of each, and what is not permitted if something
/// was not answered for that.
async fn ask_all(
    target: &Target<'_>,
    messages: &[Outgoing],
    unsettled: Vec<usize>,
    end: Instant,
    doing: &Doing,
) -> (Vec<(usize, Tried)>, Option<PortFault>) {
    let client = target.connection.client.clone();
    let subject = Subject::from(target.subject);
    let questions = unsettled
        .iter()
        .map(|number| {
            let Outgoing { headers, payload } = &messages[*number];
            (*number, headers.clone(), payload.clone())
        })
        .collect();
    // On a thread of the client: it puts them all where the client takes them from before the client is woken, so that they go to
    // the server in a few writes. From another thread each is a write, which the server has to read, and write, by itself.
    let asking = target
        .connection
        .runtime()
        .spawn(ask(client, subject, questions, end));
    let asked = asking.await.unwrap_or_else(|_| Asked {
        answers: Vec::new(),
        unsent: unsettled.into_iter().map(|number| (number, None)).collect(),
        is_unheard: true,
    });
    let mut became = Vec::with_capacity(asked.answers.len() + asked.unsent.len());
    let mut is_unheard = asked.is_unheard;
    for (number, answer) in asked.answers {
        let tried = word_of(&answer, doing);
        match tried {
            Tried::NobodyThere => is_unheard = true,
            _ => target.connection.answered(),
        }
        became.push((number, tried));
    }
    for (number, fault) in asked.unsent {
        let tried = match fault.as_ref().map(PublishError::kind) {
            Some(PublishErrorKind::MaxPayloadExceeded) => {
                Tried::Fault(too_long(target, &messages[number].payload, doing))
            }
            Some(PublishErrorKind::InvalidSubject) => {
                let words = fault.map_or_else(String::new, |fault| fault.to_string());
                Tried::Fault(refused(doing, words))
            }
            Some(PublishErrorKind::Send) | None => {
                let words = fault.map_or(UNHEARD.to_owned(), |fault| fault.to_string());
                Tried::Again(words)
            }
        };
        became.push((number, tried));
    }
    if !is_unheard {
        return (became, None);
    }
    let denied = denied(target.connection, doing);
    if denied.is_none() {
        target.connection.unanswered().await;
    }
    (became, denied)
}

/// What came of questions.
struct Asked {
    answers: Vec<(usize, Message)>,
    /// Those that were not sent, or not answered, and why if that is known.
    unsent: Vec<(usize, Option<PublishError>)>,
    /// Something that was sent was not answered, or could not be sent.
    is_unheard: bool,
}

/// Sends messages one after the other, and waits for an answer to each.
async fn ask(
    client: Client,
    subject: Subject,
    questions: Vec<(usize, HeaderMap, Bytes)>,
    end: Instant,
) -> Asked {
    let mut asked = Asked {
        answers: Vec::with_capacity(questions.len()),
        unsent: Vec::new(),
        is_unheard: false,
    };
    // Questions that the client sends by itself come in any order when it has many.
    let inbox = client.new_inbox();
    let subscribed = timeout_at(end, client.subscribe(format!("{inbox}.*"))).await;
    let Ok(Ok(mut answers)) = subscribed else {
        asked.is_unheard = true;
        asked.unsent = questions
            .into_iter()
            .map(|(number, _, _)| (number, None))
            .collect();
        return asked;
    };
    let mut waiting = BTreeSet::new();
    for (number, headers, payload) in questions {
        if asked.is_unheard {
            asked.unsent.push((number, None));
            continue;
        }
        let reply = format!("{inbox}.{number}");
        let sent = client.publish_with_reply_and_headers(subject.clone(), reply, headers, payload);
        // The client holds so many and no more, and takes none while the server does not.
        match timeout_at(end, sent).await {
            Ok(Ok(())) => {
                waiting.insert(number);
            }
            Ok(Err(fault)) => {
                asked.is_unheard |= fault.kind() == PublishErrorKind::Send;
                asked.unsent.push((number, Some(fault)));
            }
            Err(_) => {
                asked.is_unheard = true;
                asked.unsent.push((number, None));
            }
        }
    }
    while !waiting.is_empty() {
        let Ok(Some(answer)) = timeout_at(end, answers.next()).await else {
            asked.is_unheard = true;
            break;
        };
        let number = answer.subject.rsplit('.').next();
        let number = number.and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number.filter(|number| waiting.remove(number)) else {
            continue;
        };
        asked.answers.push((number, answer));
    }
    let unanswered = waiting.into_iter().map(|number| (number, None));
    asked.unsent.extend(unanswered);
    asked
}
