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
use async_nats::client::PublishErrorKind;
use futures_util::StreamExt;
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
    let client = &target.connection.client;
    let mut became = Vec::with_capacity(unsettled.len());
    // Questions that the client sends by itself come in any order when it has many.
    let inbox = client.new_inbox();
    let subscribed = timeout_at(end, client.subscribe(format!("{inbox}.*"))).await;
    let mut answers = match subscribed {
        Ok(Ok(answers)) => answers,
        failed => {
            let words = failed.map_or(UNHEARD.to_owned(), |failed| {
                failed
                    .err()
                    .map_or_else(String::new, |fault| fault.to_string())
            });
            let again = |number| (number, Tried::Again(words.clone()));
            return (unsettled.into_iter().map(again).collect(), None);
        }
    };
    let mut waiting = Vec::with_capacity(unsettled.len());
    let mut unsent = None;
    for number in unsettled {
        if let Some(words) = &unsent {
            became.push((number, Tried::Again(String::clone(words))));
            continue;
        }
        let Outgoing { headers, payload } = &messages[number];
        let (subject, reply) = (target.subject.to_owned(), format!("{inbox}.{number}"));
        let sent =
            client.publish_with_reply_and_headers(subject, reply, headers.clone(), payload.clone());
        // The client holds so many and no more, and takes none while the server does not.
        let words = match timeout_at(end, sent).await {
            Ok(Ok(())) => {
                waiting.push(number);
                continue;
            }
            Ok(Err(fault)) => match fault.kind() {
                PublishErrorKind::MaxPayloadExceeded => {
                    let fault = too_long(target, payload, doing);
                    became.push((number, Tried::Fault(fault)));
                    continue;
                }
                PublishErrorKind::InvalidSubject => {
                    let fault = refused(doing, fault.to_string());
                    became.push((number, Tried::Fault(fault)));
                    continue;
                }
                PublishErrorKind::Send => fault.to_string(),
            },
            Err(_) => UNHEARD.to_owned(),
        };
        became.push((number, Tried::Again(words.clone())));
        unsent = Some(words);
    }
    let mut is_answered = vec![false; messages.len()];
    let mut left = waiting.len();
    let mut is_unheard = unsent.is_some();
    while left > 0 {
        let Ok(Some(answer)) = timeout_at(end, answers.next()).await else {
            is_unheard = true;
            break;
        };
        let number = answer.subject.rsplit('.').next();
        let number = number.and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number.filter(|number| is_answered.get(*number) == Some(&false)) else {
            continue;
        };
        is_answered[number] = true;
        left -= 1;
        let tried = word_of(&answer, doing);
        match tried {
            Tried::NobodyThere => is_unheard = true,
            _ => target.connection.answered(),
        }
        became.push((number, tried));
    }
    if !is_unheard {
        return (became, None);
    }
    let denied = denied(target.connection, doing);
    if denied.is_none() {
        target.connection.unanswered().await;
    }
    let unanswered = waiting.into_iter().filter(|number| !is_answered[*number]);
    let again = |number| (number, Tried::Again(UNHEARD.to_owned()));
    became.extend(unanswered.map(again));
    (became, denied)
}
