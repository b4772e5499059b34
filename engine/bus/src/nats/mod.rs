//! A bus on NATS: one JetStream stream for each partition, whose sequences are those of the bus.
//!
//! ```text
//! stream <prefix>-events-<partition>, subject <prefix>.events.<partition>
//!
//! append ─▶ message, or atomic batch, tried until it is acknowledged (appending)
//! append_each ─▶ messages, all at once, each tried until it is acknowledged (each)
//! read, wait ◀─ queue ◀─ consumer without acknowledgements (reading)
//! ```
//!
//! Any client may publish on the subject: a message is an event (`message`). The position of whoever reads is kept in
//! their own store, never in a consumer of the server: with one copy, a server that is killed forgets what it was told.
//!
//! It relies on servers since 2.12.1 and on streams that are as `stream` demands. It must never say that something is
//! durable before the stream said so, hand over records in another order than the stream's, leave one out unsaid, or make
//! a stream again that was deleted. Rejected: one stream for all partitions, read by filtering, which costs 2.5 times as
//! much and leaves holes in every partition's sequences.

mod answering;
mod appending;
mod connect;
mod denied;
mod each;
mod fault;
mod ledger;
pub mod limits;
mod members;
mod message;
mod publish;
mod pulling;
mod reading;
mod refusal;
mod stream;
#[cfg(test)]
mod tests;

pub use answering::{Answering, Question};
pub use connect::{ConnectSettings, Login, Secret, Tls};
pub use ledger::{LedgerSettings, NatsLedger};
pub use members::NatsMembers;
pub use publish::Publisher;
pub use stream::StreamSettings;

use appending::Target;
use connect::Connection;
use fault::{Doing, deleted, made_anew, retry};
use reading::Session;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use stream::{declare, denied_or_retry, info_of, question};
use tokio::sync::Notify;
use tripline_core::port::{
    AppendMax, Appended, Bus, Delivered, Durability, Each, NewRecord, Partition, PortFault,
    ReadMax, Sequence, Span,
};

/// What becomes of records that nobody needs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// They stay until the stream's own limits let them go: others may read them too.
    Keep,
    /// They are purged: the stream is ours alone.
    Purge,
}

/// A connection that several things use.
#[derive(Clone, Debug)]
pub struct NatsConnection(Arc<Connection>);

impl NatsConnection {
    /// Connects, or says why not.
    pub fn open(settings: &ConnectSettings) -> Result<Self, PortFault> {
        Ok(Self(Arc::new(Connection::open(settings)?)))
    }
}

/// How a bus on NATS is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSettings {
    /// What the names of streams and subjects begin with.
    pub prefix: String,
    /// Which partition.
    pub partition: Partition,
    /// How the stream must be.
    pub stream: StreamSettings,
    /// What becomes of records that nobody needs any more.
    pub released: Released,
}

/// What threads and tasks share.
#[derive(Debug)]
struct Core {
    connection: Arc<Connection>,
    stream: String,
    subject: String,
    created: Created,
    /// The newest record appended from here.
    newest: AtomicU64,
    session: Mutex<Session>,
    /// Something came, or the session is another one.
    changed: Condvar,
    /// There is room in the queue.
    room: Notify,
    span: Mutex<Option<(Instant, Span)>>,
}

/// When a stream was made: another one of the same name is told by it.
type Created = async_nats::datetime::DateTime;

impl Core {
    fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of one partition on NATS.
#[derive(Debug)]
pub struct NatsBus {
    core: Arc<Core>,
    durability: Durability,
    released: Released,
}

/// What is known of a stream when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its name.
    pub stream: String,
    /// What tells it from another one that has its name at another time.
    pub identity: String,
    /// The version of the server.
    pub server: String,
}

impl NatsBus {
    /// Makes or checks the stream of a partition.
    pub fn open(
        connection: &NatsConnection,
        settings: &NatsSettings,
    ) -> Result<(Self, Opened), PortFault> {
        let partition = settings.partition.0;
        let stream = format!("{}-events-{partition}", settings.prefix);
        let subject = format!("{}.events.{partition}", settings.prefix);
        Self::of_stream(
            connection,
            (stream, subject),
            &settings.stream,
            settings.released,
        )
    }

    fn of_stream(
        connection: &NatsConnection,
        (stream, subject): (String, String),
        settings: &StreamSettings,
        released: Released,
    ) -> Result<(Self, Opened), PortFault> {
        let connection = Arc::clone(&connection.0);
        let info = declare(&connection, (&stream, &subject), settings)?;
        let opened = Opened {
            stream: stream.clone(),
            identity: format!("{stream} {}", info.created.unix_timestamp_nanos()),
            server: connection.client.server_info().version,
        };
        // What several servers have outlives each of them. Whether one server writes before it acknowledges is not told
        // to clients, so that is never claimed.
        let durability = match info.config.num_replicas {
            0..=2 => Durability::Process,
            _ => Durability::Replicated,
        };
        let core = Core {
            connection,
            stream,
            subject,
            created: info.created,
            newest: AtomicU64::new(info.state.last_sequence),
            session: Mutex::default(),
            changed: Condvar::new(),
            room: Notify::new(),
            span: Mutex::default(),
        };
        let bus = Self {
            core: Arc::new(core),
            durability,
            released,
        };
        Ok((bus, opened))
    }

    fn doing(&self, what: &str) -> Doing {
        Doing::new(format!("{what} the stream {}", self.core.stream))
    }

    fn span_lock(&self) -> MutexGuard<'_, Option<(Instant, Span)>> {
        self.core
            .span
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl NatsBus {
    /// Where appends go, and what is said of them.
    fn appending(&self) -> (Target<'_>, Doing) {
        let core = &self.core;
        let target = Target {
            connection: &core.connection,
            subject: &core.subject,
            stream: Some(&core.stream),
        };
        let doing = self
            .doing("append to")
            .subject(&core.subject)
            .subject(question("STREAM.INFO", &core.stream));
        (target, doing)
    }
}

impl Drop for NatsBus {
    fn drop(&mut self) {
        self.core.lock().end(&self.core);
    }
}

impl Bus for NatsBus {
    /// All or none: several records are one atomic batch. When no server answers for some seconds the fault has class
    /// `Retry`, and says whether the records may have been taken all the same.
    fn append(&self, records: &[NewRecord<'_>]) -> Result<Appended, PortFault> {
        let core = &self.core;
        if records.is_empty() {
            return Ok(Appended {
                first: self.span()?.last.next(),
                durability: self.durability,
            });
        }
        let (target, doing) = self.appending();
        let first = appending::append(&target, records, &doing)?;
        let last = first + records.len() as u64 - 1;
        core.newest.fetch_max(last, Ordering::AcqRel);
        *self.span_lock() = None;
        Ok(Appended {
            first: Sequence(first),
            durability: self.durability,
        })
    }

    /// Each by a message of its own, all on their way at once.
    fn append_each(&self, records: &[NewRecord<'_>]) -> Each {
        let (target, doing) = self.appending();
        let (places, fault) = each::append(&target, records, &doing);
        if let Some(last) = places.iter().flatten().max() {
            self.core.newest.fetch_max(*last, Ordering::AcqRel);
        }
        *self.span_lock() = None;
        Each {
            places: places.into_iter().map(|one| one.map(Sequence)).collect(),
            durability: self.durability,
            fault,
        }
    }

    fn append_max(&self) -> AppendMax {
        AppendMax {
            records: limits::APPEND_RECORDS_MAX,
            bytes: limits::APPEND_BYTES_MAX,
        }
    }

    fn read(&self, after: Sequence, max: ReadMax, into: &mut Delivered) -> Result<(), PortFault> {
        reading::read(&self.core, after, max, into)
    }

    fn wait(&self, after: Sequence, at_most: Duration) -> Result<bool, PortFault> {
        reading::wait(&self.core, after, at_most)
    }

    /// What the server said at most a fraction of a second ago.
    fn span(&self) -> Result<Span, PortFault> {
        if let Some((at, span)) = *self.span_lock()
            && at.elapsed() < limits::SPAN_AGE_MAX
        {
            return Ok(span);
        }
        let core = &self.core;
        let doing = self
            .doing("look at")
            .subject(question("STREAM.INFO", &core.stream));
        if !core.connection.is_connected() {
            return Err(retry(&doing, core.connection.not_connected()));
        }
        let info = core
            .connection
            .block_on(info_of(&core.connection, &core.stream, &doing))?;
        let Some(info) = info else {
            return Err(deleted(&doing, &core.stream));
        };
        if info.created != core.created {
            return Err(made_anew(&doing, &core.stream));
        }
        let span = Span {
            first: Sequence(info.state.first_sequence.max(1)),
            last: Sequence(info.state.last_sequence),
            bytes: info.state.bytes,
        };
        *self.span_lock() = Some((Instant::now(), span));
        Ok(span)
    }

    fn release(&self, before: Sequence) -> Result<(), PortFault> {
        if self.released == Released::Keep || before.0 <= 1 {
            return Ok(());
        }
        let core = &self.core;
        let doing = self
            .doing("purge")
            .subject(question("STREAM.PURGE", &core.stream));
        core.connection.block_on(async {
            let stream = core
                .connection
                .context
                .get_stream_no_info(&core.stream)
                .await
                .map_err(|fault| retry(&doing, fault.to_string()))?;
            let purged = stream.purge().sequence(before.0).await;
            purged
                .map(|_| ())
                .map_err(|fault| denied_or_retry(&core.connection, &doing, fault.to_string()))
        })?;
        *self.span_lock() = None;
        Ok(())
    }

    fn durability(&self) -> Durability {
        self.durability
    }
}
