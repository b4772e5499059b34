//! Answering questions: requests on a subject, each answered by one of whoever answers there.
//!
//! It relies on the client to subscribe again after the connection was lost. It must never hold more questions at a time
//! than it may, nor answer one twice. A question without an inbox for the answer is passed over: nobody would hear it.

use super::NatsConnection;
use super::fault::{Doing, retry};
use super::limits::{QUESTIONS_MAX, REFUSAL_HEARD};
use super::stream::denied;
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tripline_core::port::PortFault;

/// Questions are answered as long as this is there.
#[derive(Debug)]
pub struct Answering {
    task: AbortHandle,
    _connection: NatsConnection,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// On which subject: there may be more than one, by `*`.
    pub subject: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The message.
    pub body: Bytes,
}

impl Question {
    fn of(message: async_nats::Message) -> Self {
        let headers = message.headers.iter().flat_map(|all| all.iter());
        let pairs = headers.flat_map(|(name, values)| {
            let name = name.to_string();
            values
                .iter()
                .map(move |value| (name.clone(), value.as_str().to_owned()))
        });
        Self {
            headers: pairs.collect(),
            subject: message.subject.into_string(),
            body: message.payload,
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NatsConnection {
    /// Answers what is asked on a subject. Of several who answer for the same group, one gets each question.
    pub fn answer<A>(
        &self,
        subject: &str,
        group: &str,
        answer: impl Fn(Question) -> A + Send + Sync + 'static,
    ) -> Result<Answering, PortFault>
    where
        A: Future<Output = Vec<u8>> + Send + 'static,
    {
        let doing = Doing::new(format!("answer on {subject}")).subject(subject);
        let client = self.0.client.clone();
        let mut questions = self.0.block_on(async {
            let subscribed = client.queue_subscribe(subject.to_owned(), group.to_owned());
            let questions = subscribed
                .await
                .map_err(|fault| retry(&doing, fault.to_string()))?;
            // Whoever is told that questions are answered may ask at once.
            if let Err(fault) = client.flush().await {
                return Err(retry(&doing, fault.to_string()));
            }
            // A refusal came before the answer to the flush, but is heard by a task of the client's.
            tokio::time::sleep(REFUSAL_HEARD).await;
            denied(&self.0, &doing).map_or(Ok(questions), Err)
        })?;
        let room = Arc::new(Semaphore::new(QUESTIONS_MAX));
        let answer = Arc::new(answer);
        let task = self.0.runtime().spawn(async move {
            while let Some(mut question) = questions.next().await {
                let Some(inbox) = question.reply.take() else {
                    continue;
                };
                // The semaphore is never closed.
                let Ok(room) = Arc::clone(&room).acquire_owned().await else {
                    return;
                };
                let (client, answer) = (client.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let _room = room;
                    let words = answer(Question::of(question)).await;
                    // Whoever asked may have gone.
                    let _ = client.publish(inbox, words.into()).await;
                });
            }
        });
        Ok(Answering {
            task: task.abort_handle(),
            _connection: self.clone(),
        })
    }
}
