//! The ledger on NATS: one stream for all processes, and an object store for what is kept beside it.
//!
//! ```text
//! stream <prefix>-ledger, subjects <prefix>.ledger.<key>         bucket <prefix>-state
//! entry  = zstd of its bytes, in one message or an atomic batch of several; the first byte of each says whether more follow
//! expected = Nats-Expected-Last-Subject-Sequence of the first message
//! ```
//!
//! It relies on the stream to take a batch whole, and to compare what is expected under the same lock. It must never hand
//! over a part of an entry, nor leave one out. Rejected: single messages that refer to parts sent before, which whoever
//! goes on in the middle would have to look for.

use super::appending::{Outgoing, Target, send};
use super::connect::Connection;
use super::fault::{Doing, deleted, refused, retry, stop};
use super::limits::{APPEND_RECORDS_MAX, ENTRY_BYTES_MAX, TRY_BYTES_A_SECOND, TRY_TIMEOUT};
use super::stream::{denied_or_retry, info_of};
use super::{NatsBus, NatsConnection, Opened, Released, StreamSettings};
use async_nats::HeaderMap;
use async_nats::jetstream::object_store::{Config, DeleteErrorKind, GetErrorKind, ObjectStore};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tripline_core::port::{
    Bus, Delivered, Entry, Ledger, PortFault, ReadMax, RecordKind, Sequence,
};

/// More messages of the entry follow, or this is its last.
const MORE: u8 = b'+';
const LAST: u8 = b'.';

/// What is read at a time.
const READ: ReadMax = ReadMax {
    records: 512,
    bytes: 4 << 20,
};

/// How a ledger on NATS is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSettings {
    /// What the names of streams and subjects begin with.
    pub prefix: String,
    /// How the stream must be.
    pub stream: StreamSettings,
}

/// The ledger on NATS.
#[derive(Debug)]
pub struct NatsLedger {
    bus: NatsBus,
    connection: Arc<Connection>,
    prefix: String,
    stream: String,
    bucket: String,
    replicas: usize,
    message_bytes_max: usize,
    reading: Mutex<Reading>,
}

/// Where reading is, maybe in the middle of an entry.
#[derive(Debug, Default)]
struct Reading {
    /// The last whole entry that was handed over.
    after: Sequence,
    /// The last message that was read.
    position: Sequence,
    begun: Vec<u8>,
    delivered: Delivered,
}

impl NatsLedger {
    /// Makes or checks the stream and the bucket.
    pub fn open(
        connection: &NatsConnection,
        settings: &LedgerSettings,
    ) -> Result<(Self, Opened), PortFault> {
        let prefix = settings.prefix.clone();
        let stream = format!("{prefix}-ledger");
        let subject = format!("{prefix}.ledger.*");
        let (bus, opened) = NatsBus::of_stream(
            connection,
            (stream.clone(), subject),
            &settings.stream,
            Released::Keep,
        )?;
        let ledger = Self {
            bus,
            connection: Arc::clone(&connection.0),
            bucket: format!("{prefix}-state"),
            prefix,
            stream,
            replicas: settings.stream.replicas,
            message_bytes_max: settings.stream.event_bytes_max,
            reading: Mutex::default(),
        };
        ledger.make_bucket(settings.stream.may_create)?;
        Ok((ledger, opened))
    }

    fn doing(&self, what: &str) -> Doing {
        Doing::new(format!("{what} the ledger {}", self.stream))
            .stream(&self.stream)
            .subject(format!("{}.ledger", self.prefix))
    }

    fn doing_bucket(&self, what: &str) -> Doing {
        Doing::new(format!("{what} the bucket {}", self.bucket))
            .stream(format!("OBJ_{}", self.bucket))
            .subject(format!("$O.{}", self.bucket))
    }

    fn make_bucket(&self, may_create: bool) -> Result<(), PortFault> {
        let doing = self.doing_bucket("use");
        let (connection, name) = (&self.connection, format!("OBJ_{}", self.bucket));
        connection.block_on(async {
            if info_of(connection, &name, &doing).await?.is_some() {
                return Ok(());
            }
            if !may_create {
                return Err(refused(
                    &doing,
                    format!(
                        "there is none, and `create = false` of [nats] forbids making it; make it yourself: nats object add {} --replicas={}",
                        self.bucket, self.replicas
                    ),
                ));
            }
            let config = Config {
                bucket: self.bucket.clone(),
                description: Some("What rules of Tripline remember".to_owned()),
                max_bytes: -1,
                num_replicas: self.replicas,
                ..Config::default()
            };
            match connection.context.create_object_store(config).await {
                Ok(_) => Ok(()),
                Err(fault) => Err(denied_or_retry(connection, &doing, fault.to_string())),
            }
        })
    }

    /// Forgets that there was something of a name. The client leaves a note of everything that it deletes, and names are not
    /// used twice: whoever lists the bucket would read all of them.
    async fn forget_grave(&self, name: &str, doing: &Doing) -> Result<(), PortFault> {
        let stream = format!("OBJ_{}", self.bucket);
        let stream = self.connection.context.get_stream_no_info(&stream).await;
        let stream = stream.map_err(|fault| retry(doing, fault.to_string()))?;
        let subject = format!("$O.{}.M.{}", self.bucket, URL_SAFE.encode(name));
        let purged = stream.purge().filter(subject).await;
        purged
            .map(|_| ())
            .map_err(|fault| denied_or_retry(&self.connection, doing, fault.to_string()))
    }

    async fn objects(&self, doing: &Doing) -> Result<ObjectStore, PortFault> {
        let store = self.connection.context.get_object_store(&self.bucket).await;
        store.map_err(|fault| denied_or_retry(&self.connection, doing, fault.to_string()))
    }

    /// Messages of an entry.
    fn messages(&self, entry: &[u8], doing: &Doing) -> Result<Vec<Bytes>, PortFault> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(refused(
                doing,
                format!(
                    "an entry of {} bytes; at most {ENTRY_BYTES_MAX} are read",
                    entry.len()
                ),
            ));
        }
        let packed = zstd::bulk::compress(entry, 1).map_err(|fault| refused(doing, fault))?;
        let parts = packed.chunks(self.message_bytes_max.saturating_sub(1).max(1));
        let count = parts.len();
        if count > APPEND_RECORDS_MAX {
            return Err(refused(
                doing,
                format!(
                    "an entry of {count} messages; at most {APPEND_RECORDS_MAX} are taken as a whole"
                ),
            ));
        }
        Ok(parts
            .enumerate()
            .map(|(number, part)| {
                let mut message = Vec::with_capacity(part.len() + 1);
                message.push(if number + 1 < count { MORE } else { LAST });
                message.extend_from_slice(part);
                Bytes::from(message)
            })
            .collect())
    }
}

/// How long so many bytes may take: servers that went without a word must not hold anybody up for ever.
fn within(bytes: u64) -> Duration {
    TRY_TIMEOUT * 10 + Duration::from_millis(bytes * 1000 / TRY_BYTES_A_SECOND as u64)
}

fn unpacked(packed: &[u8], doing: &Doing) -> Result<Vec<u8>, PortFault> {
    zstd::bulk::decompress(packed, ENTRY_BYTES_MAX).map_err(|fault| stop(doing, fault))
}

impl Ledger for NatsLedger {
    fn append(
        &self,
        key: &str,
        expected: Option<Sequence>,
        entry: &[u8],
    ) -> Result<Sequence, PortFault> {
        let doing = self.doing("append to");
        let inbox = self.connection.client.new_inbox();
        let id = inbox.rsplit('.').next().unwrap_or(&inbox);
        let payloads = self.messages(entry, &doing)?;
        let count = payloads.len() as u64;
        let messages: Vec<Outgoing> = payloads
            .into_iter()
            .enumerate()
            .map(|(number, payload)| {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Msg-Id", format!("{id}:{number}"));
                headers.insert("Nats-Expected-Stream", self.stream.as_str());
                if let (0, Some(place)) = (number, expected) {
                    headers.insert("Nats-Expected-Last-Subject-Sequence", place.0.to_string());
                }
                Outgoing { headers, payload }
            })
            .collect();
        let subject = format!("{}.ledger.{key}", self.prefix);
        let target = Target {
            connection: &self.connection,
            subject: &subject,
            stream: Some(&self.stream),
        };
        let first = self.connection.block_on(send(&target, &messages, &doing))?;
        Ok(Sequence(first + count - 1))
    }

    fn newest(&self, key: &str) -> Result<Sequence, PortFault> {
        let doing = self.doing("look at");
        let subject = format!("{}.ledger.{key}", self.prefix);
        self.connection.block_on(async {
            let stream = self.connection.context.get_stream_no_info(&self.stream);
            let stream = stream
                .await
                .map_err(|fault| retry(&doing, fault.to_string()))?;
            // Asked of the leader: others may be behind.
            match stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(Sequence(message.sequence)),
                Err(fault) if fault.kind() == LastRawMessageErrorKind::NoMessageFound => {
                    Ok(Sequence(0))
                }
                Err(fault) => Err(denied_or_retry(&self.connection, &doing, fault.to_string())),
            }
        })
    }

    fn last(&self) -> Result<Sequence, PortFault> {
        let doing = self.doing("look at");
        let info = self
            .connection
            .block_on(info_of(&self.connection, &self.stream, &doing))?;
        match info {
            Some(info) => Ok(Sequence(info.state.last_sequence)),
            None => Err(deleted(&doing, &self.stream)),
        }
    }

    fn first(&self) -> Result<Sequence, PortFault> {
        let doing = self.doing("look at");
        let info = self
            .connection
            .block_on(info_of(&self.connection, &self.stream, &doing))?;
        match info {
            Some(info) => Ok(Sequence(info.state.first_sequence.max(1))),
            None => Err(deleted(&doing, &self.stream)),
        }
    }

    fn purge(&self, through: Sequence) -> Result<(), PortFault> {
        let doing = self.doing("shorten");
        self.connection.block_on(async {
            let stream = self.connection.context.get_stream_no_info(&self.stream);
            let stream = stream
                .await
                .map_err(|fault| retry(&doing, fault.to_string()))?;
            // Up to, and without, this one.
            let purged = stream.purge().sequence(through.0 + 1).await;
            purged
                .map(|_| ())
                .map_err(|fault| denied_or_retry(&self.connection, &doing, fault.to_string()))
        })
    }

    fn read(&self, after: Sequence) -> Result<Vec<Entry>, PortFault> {
        let doing = self.doing("read");
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.after != after {
            *reading = Reading {
                after,
                position: after,
                ..Reading::default()
            };
        }
        let mut entries = Vec::new();
        while entries.is_empty() {
            let Reading {
                after,
                position,
                begun,
                delivered,
            } = &mut *reading;
            delivered.clear();
            self.bus.read(*position, READ, delivered)?;
            if let Some((range, why)) = delivered.lost.first() {
                return Err(stop(
                    &doing,
                    format!(
                        "entries {} to {} are lost: {why}",
                        range.start,
                        range.end - 1
                    ),
                ));
            }
            if delivered.records.is_empty() {
                break;
            }
            for record in &delivered.records {
                let (flag, part) = match delivered.payload(record).split_first() {
                    Some((flag @ (&MORE | &LAST), part)) if record.kind == RecordKind::Event => {
                        (*flag, part)
                    }
                    _ => {
                        return Err(stop(
                            &doing,
                            format!(
                                "message {} is no part of an entry; somebody else wrote it",
                                record.sequence.0
                            ),
                        ));
                    }
                };
                begun.extend_from_slice(part);
                *position = record.sequence;
                if flag == LAST {
                    entries.push(Entry {
                        place: record.sequence,
                        taken: record.taken,
                        bytes: unpacked(begun, &doing)?,
                    });
                    begun.clear();
                    *after = record.sequence;
                }
            }
        }
        Ok(entries)
    }

    fn wait(&self, after: Sequence, at_most: Duration) -> Result<bool, PortFault> {
        self.bus.wait(after, at_most)
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), PortFault> {
        let doing = self.doing_bucket(&format!("keep {name} in"));
        self.connection.block_on(async {
            let objects = self.objects(&doing).await?;
            let within = within(bytes.len() as u64);
            let mut bytes = bytes;
            match tokio::time::timeout(within, objects.put(name, &mut bytes)).await {
                Ok(put) => put
                    .map(|_| ())
                    .map_err(|fault| denied_or_retry(&self.connection, &doing, fault.to_string())),
                Err(_) => Err(denied_or_retry(
                    &self.connection,
                    &doing,
                    "not done in time".to_owned(),
                )),
            }
        })
    }

    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, PortFault> {
        let doing = self.doing_bucket(&format!("read {name} of"));
        self.connection.block_on(async {
            let objects = self.objects(&doing).await?;
            let mut object = match objects.get(name).await {
                Ok(object) => object,
                Err(fault) if fault.kind() == GetErrorKind::NotFound => return Ok(None),
                Err(fault) => {
                    return Err(denied_or_retry(&self.connection, &doing, fault.to_string()));
                }
            };
            let within = within(object.info().size as u64);
            let mut bytes = Vec::new();
            match tokio::time::timeout(within, object.read_to_end(&mut bytes)).await {
                Ok(Ok(_)) => Ok(Some(bytes)),
                Ok(Err(fault)) => Err(denied_or_retry(&self.connection, &doing, fault.to_string())),
                Err(_) => Err(denied_or_retry(
                    &self.connection,
                    &doing,
                    "not done in time".to_owned(),
                )),
            }
        })
    }

    fn names(&self) -> Result<Vec<String>, PortFault> {
        let doing = self.doing_bucket("list");
        self.connection.block_on(async {
            let objects = self.objects(&doing).await?;
            let list = objects.list().await;
            let mut list =
                list.map_err(|fault| denied_or_retry(&self.connection, &doing, fault.to_string()))?;
            let mut names = Vec::new();
            loop {
                match tokio::time::timeout(within(0), list.next()).await {
                    Ok(None) => return Ok(names),
                    Ok(Some(Ok(object))) => names.push(object.name),
                    Ok(Some(Err(fault))) => {
                        return Err(denied_or_retry(&self.connection, &doing, fault.to_string()));
                    }
                    Err(_) => {
                        let words = "not done in time".to_owned();
                        return Err(denied_or_retry(&self.connection, &doing, words));
                    }
                }
            }
        })
    }

    fn forget(&self, name: &str) -> Result<(), PortFault> {
        let doing = self.doing_bucket(&format!("forget {name} in"));
        self.connection.block_on(async {
            let objects = self.objects(&doing).await?;
            match objects.delete(name).await {
                Ok(()) => self.forget_grave(name, &doing).await,
                Err(fault) if fault.kind() == DeleteErrorKind::NotFound => Ok(()),
                Err(fault) => Err(denied_or_retry(&self.connection, &doing, fault.to_string())),
            }
        })
    }
}
