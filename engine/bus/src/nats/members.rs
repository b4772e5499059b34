//! Who is there: a stream in memory that keeps the newest message of each process for some seconds.
//!
//! The server's clock alone says how long ago somebody spoke. It relies on nothing: whoever believes somebody gone who is
//! not is put right by the ledger.

use super::NatsConnection;
use super::appending::{Outgoing, Target, send};
use super::fault::{Doing, retry};
use super::limits::MEMBER_AGE_MAX;
use super::stream::denied_or_retry;
use async_nats::HeaderMap;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, LastRawMessageErrorKind, StorageType, Stream,
};
use bytes::Bytes;
use futures_util::StreamExt;
use tripline_core::port::{Members, PortFault};

/// Who is there, on NATS.
#[derive(Debug)]
pub struct NatsMembers {
    connection: NatsConnection,
    prefix: String,
    stream: String,
}

impl NatsMembers {
    /// Makes the stream when there is none.
    pub fn open(
        connection: &NatsConnection,
        prefix: &str,
        replicas: usize,
    ) -> Result<Self, PortFault> {
        let members = Self {
            connection: connection.clone(),
            prefix: prefix.to_owned(),
            stream: format!("{prefix}-members"),
        };
        let doing = members.doing();
        let config = Config {
            name: members.stream.clone(),
            subjects: vec![format!("{prefix}.members.*")],
            description: Some("Which processes of Tripline are there".to_owned()),
            storage: StorageType::Memory,
            discard: DiscardPolicy::Old,
            num_replicas: replicas,
            max_messages_per_subject: 1,
            max_age: MEMBER_AGE_MAX,
            duplicate_window: MEMBER_AGE_MAX,
            ..Config::default()
        };
        connection.0.block_on(async {
            let made = connection.0.context.get_or_create_stream(config).await;
            made.map(|_| ())
                .map_err(|fault| denied_or_retry(&connection.0, &doing, fault.to_string()))
        })?;
        Ok(members)
    }

    fn doing(&self) -> Doing {
        Doing::new(format!("use the stream {}", self.stream))
            .stream(&self.stream)
            .subject(format!("{}.members", self.prefix))
    }

    async fn stream(&self, doing: &Doing) -> Result<Stream<()>, PortFault> {
        let context = &self.connection.0.context;
        let stream = context.get_stream_no_info(&self.stream).await;
        stream.map_err(|fault| retry(doing, fault.to_string()))
    }
}

impl Members for NatsMembers {
    fn announce(&self, name: &str, words: &[u8]) -> Result<(), PortFault> {
        let doing = self.doing();
        let target = Target {
            connection: &self.connection.0,
            subject: &format!("{}.members.{name}", self.prefix),
            stream: Some(&self.stream),
        };
        let message = Outgoing {
            headers: HeaderMap::new(),
            payload: Bytes::copy_from_slice(words),
        };
        let sent = send(&target, std::slice::from_ref(&message), &doing);
        self.connection.0.block_on(sent).map(|_| ())
    }

    fn leave(&self, name: &str) -> Result<(), PortFault> {
        let doing = self.doing();
        self.connection.0.block_on(async {
            let stream = self.stream(&doing).await?;
            let purged = stream
                .purge()
                .filter(format!("{}.members.{name}", self.prefix))
                .await;
            purged
                .map(|_| ())
                .map_err(|fault| denied_or_retry(&self.connection.0, &doing, fault.to_string()))
        })
    }

    fn present(&self) -> Result<Vec<(String, Vec<u8>)>, PortFault> {
        let doing = self.doing();
        let failed = |words: String| denied_or_retry(&self.connection.0, &doing, words);
        self.connection.0.block_on(async {
            let stream = self.stream(&doing).await?;
            let begin = format!("{}.members.", self.prefix);
            let mut subjects = Vec::new();
            let listed = stream.info_with_subjects(format!("{begin}*")).await;
            let mut listed = listed.map_err(|fault| failed(fault.to_string()))?;
            while let Some(one) = listed.next().await {
                let (subject, _) = one.map_err(|fault| failed(fault.to_string()))?;
                subjects.push(subject);
            }
            let mut present = Vec::new();
            for subject in subjects {
                match stream.get_last_raw_message_by_subject(&subject).await {
                    Ok(message) => {
                        let name = subject.strip_prefix(&begin).unwrap_or(&subject);
                        present.push((name.to_owned(), message.payload.to_vec()));
                    }
                    // It fell silent meanwhile.
                    Err(fault) if fault.kind() == LastRawMessageErrorKind::NoMessageFound => {}
                    Err(fault) => return Err(failed(fault.to_string())),
                }
            }
            Ok(present)
        })
    }
}
