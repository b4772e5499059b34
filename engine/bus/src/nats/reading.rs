//! Reading: one consumer that the server keeps only as long as we ask, read ahead by a task, handed over from memory.
//!
//! ```text
//! server ── pull, nothing acknowledged ──▶ task: checks the order ──▶ queue, bounded ──▶ read, wait
//! ```
//!
//! The consumer numbers what it delivers. A number that is left out was lost on the way: the consumer is made again after
//! the last record that came. A sequence of the stream that is left out though the numbers follow is no longer there,
//! which whoever reads is told. A read at another place than the one before begins anew.
//!
//! It relies on the server to say how much is left behind each message, so that a read knows when it is at the end. It
//! must never leave a record out unsaid, nor go on with a stream that was made anew under the same name. Rejected: the
//! client's own ordered consumer, which asks for ever when the stream is gone; and a consumer with acknowledgements, which
//! a server with one copy forgets when it is killed.

use super::Core;
use super::fault::{Doing, deleted, made_anew, retry};
use super::limits::{AHEAD_BYTES, CONSUMER_IDLE, HAND_OVER, MISSING, PAUSE_FIRST, PAUSE_LONGEST};
use super::message::Received;
use super::pulling::{Pull, Standing};
use super::stream::{denied, denied_or_retry, info_of, question};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use futures_util::future::{Either, select};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;
use tripline_core::port::{Delivered, FaultClass, PortFault, ReadMax, Sequence};
use tripline_core::rule::kind::EventTime;

/// What was read ahead, and from where.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Tells this beginning from earlier ones, whose tasks may still be ending.
    number: u64,
    /// Records up to here were handed over, or were before the place asked for.
    position: u64,
    /// Where it began.
    began: u64,
    queue: VecDeque<Received>,
    bytes: usize,
    /// How many the stream has behind the newest in the queue; not known yet, or no longer.
    behind: Option<u64>,
    /// Why nothing comes.
    fault: Option<(FaultClass, String)>,
    task: Option<AbortHandle>,
    consumer: Option<String>,
}

impl Session {
    /// Ends it; the server is told to forget its consumer.
    pub(super) fn end(&mut self, core: &Core) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        if let Some(name) = self.consumer.take()
            && core.connection.is_connected()
        {
            let (context, stream) = (core.connection.context.clone(), core.stream.clone());
            core.connection.runtime().spawn(async move {
                // It forgets by itself too, only later.
                let _ = context.delete_consumer_from_stream(name, stream).await;
            });
        }
    }
}

/// Adds records after a place, as many as there are and are wanted.
pub(super) fn read(
    core: &Arc<Core>,
    after: Sequence,
    max: ReadMax,
    into: &mut Delivered,
) -> Result<(), PortFault> {
    let mut session = at(core, after);
    if session.position != after.0 {
        return Err(not_handed_over(core, &session));
    }
    let deadline = Instant::now() + HAND_OVER;
    let mut position = after.0;
    let (mut records, mut bytes) = (0, 0);
    loop {
        while let Some(record) = session.queue.pop_front() {
            session.bytes -= record.bytes();
            if record.sequence > position + 1 {
                let words = format!(
                    "the stream {} no longer has them: they expired, were purged or were deleted before they were read",
                    core.stream
                );
                into.lost.push((position + 1..record.sequence, words));
            }
            position = record.sequence;
            records += 1;
            bytes += record.bytes();
            into.push(Sequence(position), &record.as_new());
            if records >= max.records || bytes >= max.bytes {
                break;
            }
        }
        session.position = position;
        core.room.notify_one();
        let is_enough = records > 0 && (records >= max.records || bytes >= max.bytes);
        if is_enough || is_at_end(core, &session) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || session.fault.is_some() {
            return match records {
                0 => Err(not_handed_over(core, &session)),
                _ => Ok(()),
            };
        }
        session = wait_for_change(core, session, left);
    }
}

/// Waits until there is a record after a place.
pub(super) fn wait(
    core: &Arc<Core>,
    after: Sequence,
    at_most: Duration,
) -> Result<bool, PortFault> {
    let deadline = Instant::now().checked_add(at_most);
    let mut session = core.lock();
    if session.task.is_some() && session.began <= after.0 && after.0 < session.position {
        return Ok(true);
    }
    drop(session);
    session = at(core, after);
    loop {
        if session.position == after.0 && !session.queue.is_empty() {
            return Ok(true);
        }
        if let Some((class, _)) = session.fault
            && class != FaultClass::Retry
        {
            return Err(not_handed_over(core, &session));
        }
        let left = deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        if left.is_zero() {
            return Ok(false);
        }
        session = wait_for_change(core, session, left);
        // Somebody may have read them meanwhile, or begun elsewhere.
        if session.position != after.0 {
            return Ok(session.began <= after.0 && after.0 < session.position);
        }
    }
}

fn wait_for_change<'c>(
    core: &'c Core,
    session: MutexGuard<'c, Session>,
    at_most: Duration,
) -> MutexGuard<'c, Session> {
    let at_most = at_most.min(Duration::from_secs(3600));
    let waited = core.changed.wait_timeout(session, at_most);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// The session at a place: the one there is, or another that begins there.
fn at(core: &Arc<Core>, after: Sequence) -> MutexGuard<'_, Session> {
    let mut session = core.lock();
    let is_over = session
        .fault
        .as_ref()
        .is_some_and(|(class, _)| *class == FaultClass::Stop);
    if (session.task.is_some() && session.position == after.0) || is_over {
        return session;
    }
    session.end(core);
    let number = session.number + 1;
    let task = core
        .connection
        .runtime()
        .spawn(feed(Arc::clone(core), number, after.0));
    *session = Session {
        number,
        position: after.0,
        began: after.0,
        task: Some(task.abort_handle()),
        ..Session::default()
    };
    session
}

/// Whether there is nothing more as far as is known: what the server said last, and what was appended from here.
fn is_at_end(core: &Core, session: &Session) -> bool {
    session.queue.is_empty()
        && session.fault.is_none()
        && session.behind == Some(0)
        && core.newest.load(Ordering::Acquire) <= session.position
}

fn not_handed_over(core: &Core, session: &Session) -> PortFault {
    let doing = format!("read the stream {} after {}", core.stream, session.position);
    match &session.fault {
        Some((class, words)) => PortFault::new(*class, doing).because(words.clone()),
        None => PortFault::new(FaultClass::Retry, doing).because(format!(
            "the server has more, and handed nothing over for {} s",
            HAND_OVER.as_secs()
        )),
    }
}

/// Feeds the queue until the session is another one, or nothing can be trusted.
async fn feed(core: Arc<Core>, number: u64, after: u64) {
    let doing = Doing::new(format!("read the stream {}", core.stream))
        .subject(question("STREAM.INFO", &core.stream))
        .subject(question("CONSUMER.CREATE", &core.stream))
        .subject(question("CONSUMER.MSG.NEXT", &core.stream));
    let mut position = after;
    let mut pause = PAUSE_FIRST;
    let mut missing_since = None;
    loop {
        let before = position;
        let fed = feed_once(&core, number, &mut position, &doing).await;
        let since = match fed {
            Ok(Fed::StreamMissing) => Some(*missing_since.get_or_insert_with(Instant::now)),
            _ => {
                missing_since = None;
                None
            }
        };
        let fault = match (fed, since) {
            (Err(fault), _) => Some(fault),
            (Ok(_), Some(since)) if since.elapsed() >= MISSING => {
                Some(deleted(&doing, &core.stream))
            }
            (Ok(_), Some(_)) => Some(retry(&doing, "the stream is not there")),
            (Ok(_), None) => None,
        };
        {
            let mut session = core.lock();
            if session.number != number {
                return;
            }
            session.behind = None;
            session.consumer = None;
            if let Some(fault) = fault {
                let words = fault
                    .source
                    .map_or(fault.doing, |source| source.to_string());
                session.fault = Some((fault.class, words));
                core.changed.notify_all();
                if fault.class == FaultClass::Stop {
                    return;
                }
            }
        }
        pause = match position > before {
            true => PAUSE_FIRST,
            false => (pause * 2).min(PAUSE_LONGEST),
        };
        tokio::time::sleep(pause).await;
    }
}

/// How feeding ended when nothing is wrong that is known.
enum Fed {
    /// The consumer is gone, or somebody else feeds now.
    Over,
    /// There is no such stream, as far as the server knows.
    StreamMissing,
}

/// Feeds the queue from one consumer, until that is gone.
async fn feed_once(
    core: &Core,
    number: u64,
    position: &mut u64,
    doing: &Doing,
) -> Result<Fed, PortFault> {
    // A server that is killed forgets its consumers: waiting for this one to be missed would cost seconds.
    let mut losses = core.connection.losses();
    if !core.connection.is_connected() {
        return Err(retry(doing, core.connection.not_connected()));
    }
    match info_of(&core.connection, &core.stream, doing).await? {
        None => return Ok(Fed::StreamMissing),
        Some(info) if info.created != core.created => {
            return Err(made_anew(doing, &core.stream));
        }
        Some(_) => {}
    }
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: *position + 1,
        },
        ack_policy: AckPolicy::None,
        replay_policy: ReplayPolicy::Instant,
        inactive_threshold: CONSUMER_IDLE,
        // One server has it, in memory: losing it costs a moment, and keeping it would cost each message a write.
        num_replicas: 1,
        memory_storage: true,
        ..pull::Config::default()
    };
    let context = &core.connection.context;
    let made = context
        .create_consumer_on_stream(config, &core.stream)
        .await;
    let consumer =
        made.map_err(|fault| denied_or_retry(&core.connection, doing, fault.to_string()))?;
    let name = consumer.cached_info().name.clone();
    let pull = Pull::start(&core.connection.client, &core.stream, &name).await;
    let mut pull = pull.map_err(|fault| denied_or_retry(&core.connection, doing, fault))?;
    {
        let mut session = core.lock();
        if session.number != number {
            return Ok(Fed::Over);
        }
        let info = consumer.cached_info();
        session.consumer = Some(name);
        session.behind = Some(info.num_pending);
        session.fault = None;
        core.changed.notify_all();
    }
    let mut delivered = 0;
    loop {
        let ready = {
            let (next, lost) = (pin!(pull.next()), pin!(losses.changed()));
            match select(next, lost).await {
                Either::Left((ready, _)) => ready,
                Either::Right(_) => return Ok(Fed::Over),
            }
        };
        let mut behind = None;
        let mut ended = None;
        let ready = ready.unwrap_or_else(|words| {
            ended = Some(words);
            Vec::new()
        });
        let mut received = Vec::with_capacity(ready.len());
        for message in ready {
            match pull.is_message(&message) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(words) => {
                    ended = Some(words);
                    break;
                }
            }
            let Some(standing) = Standing::of(&message) else {
                continue;
            };
            delivered += 1;
            if standing.number != delivered || standing.sequence <= *position {
                ended = Some("a message was lost on the way".to_owned());
                break;
            }
            *position = standing.sequence;
            behind = Some(standing.behind);
            received.push(Received::new(
                standing.sequence,
                EventTime::from_micros(standing.published_nanos / 1000),
                message.headers.as_ref(),
                message.payload,
            ));
        }
        if !hand_on(core, number, received, behind).await {
            return Ok(Fed::Over);
        }
        if let Some(words) = ended {
            if let Some(fault) = denied(&core.connection, doing) {
                return Err(fault);
            }
            return match core.connection.is_connected() {
                true => Ok(Fed::Over),
                false => Err(retry(doing, words)),
            };
        }
    }
}

/// Puts records into the queue when there is room. Whether the session is still the same.
async fn hand_on(core: &Core, number: u64, received: Vec<Received>, behind: Option<u64>) -> bool {
    if received.is_empty() {
        return core.lock().number == number;
    }
    loop {
        // Before the look, so that room which is made after it is not missed.
        let room = core.room.notified();
        let is_full = {
            let session = core.lock();
            if session.number != number {
                return false;
            }
            session.bytes >= AHEAD_BYTES
        };
        if !is_full {
            break;
        }
        room.await;
    }
    let mut session = core.lock();
    if session.number != number {
        return false;
    }
    session.bytes += received.iter().map(Received::bytes).sum::<usize>();
    session.queue.extend(received);
    session.behind = behind;
    // Whoever is woken wants the lock at once.
    drop(session);
    core.changed.notify_all();
    true
}
