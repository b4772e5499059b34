//! Sends spans to a collector: a bounded queue, and a thread that empties it.
//!
//! Nothing waits for it. Where the queue is full, spans are dropped; what the collector does not take after some tries is dropped
//! too, and both are counted. At the end, what is left is sent once, within a moment.

use super::encode::request;
use super::spans::{Told, Value};
use crate::config::TracesConfig;
use crate::outgoing::{Proxy, agent};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::thread;
use std::time::{Duration, Instant};
use ureq::Agent;

/// Spans that wait: some seconds of a busy service, a few MiB.
const WAITING_MAX: usize = 8192;

/// Spans of one request.
const TOGETHER_MAX: usize = 512;

/// How long spans wait for others to go with.
const SENDS_EVERY: Duration = Duration::from_secs(1);

/// How often the thread looks whether it is to end.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// How long the collector may take for a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Pauses before a request is tried again; after the last, its spans are dropped.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(4),
];

/// How long the end of the process waits for what is left.
const ENDS_WITHIN: Duration = Duration::from_secs(3);

/// A collector that fails is told of this often.
const COMPLAINS_EVERY: Duration = Duration::from_secs(60);

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// The collector took them.
    pub(crate) sent: AtomicU64,
    /// There was no room.
    pub(crate) dropped_full: AtomicU64,
    /// The collector did not take them.
    pub(crate) dropped_refused: AtomicU64,
}

/// Where spans are put.
#[derive(Clone)]
pub(super) struct Queue {
    sender: SyncSender<Told>,
    counts: Arc<Counts>,
}

impl Queue {
    /// One with room for so many, and its other end.
    pub(super) fn of(room: usize) -> (Self, Receiver<Told>) {
        let (sender, inbox) = sync_channel(room);
        let counts = Arc::default();
        (Self { sender, counts }, inbox)
    }

    /// What becomes of spans.
    pub(super) fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Hands a span on, or drops it.
    pub(super) fn put(&self, told: Told) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.sender.try_send(told)
        {
            self.counts.dropped_full.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread that sends them.
pub(crate) struct Traces {
    queue: Queue,
    is_ending: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl Traces {
    /// Starts it.
    pub(super) fn start(config: &TracesConfig) -> Self {
        let (queue, inbox) = Queue::of(WAITING_MAX);
        let is_ending = Arc::new(AtomicBool::new(false));
        let (tell_end, ended) = channel();
        let mut sending = Sending {
            agent: agent(TIMEOUT, Proxy::AsTheEnvironmentSays),
            url: config.otlp.clone(),
            resource: vec![
                ("service.name", Value::Text(config.service_name.clone())),
                (
                    "service.version",
                    Value::Text(env!("CARGO_PKG_VERSION").to_owned()),
                ),
                ("process.pid", Value::Number(i64::from(std::process::id()))),
            ],
            counts: queue.counts(),
            is_ending: is_ending.clone(),
            complained: None,
        };
        thread::spawn(move || {
            sending.run(&inbox);
            // Whoever waits may have lost patience.
            let _ = tell_end.send(());
        });
        Self {
            queue,
            is_ending,
            ended,
        }
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// What became of spans until now.
    pub(crate) fn counts(&self) -> Arc<Counts> {
        self.queue.counts()
    }

    /// Sends what is left, and waits for that, for a moment.
    pub(crate) fn end(self) {
        self.is_ending.store(true, Ordering::Relaxed);
        // Without an answer, what is left is lost with the process.
        let _ = self.ended.recv_timeout(ENDS_WITHIN);
    }
}

struct Sending {
    agent: Agent,
    url: String,
    resource: Vec<(&'static str, Value)>,
    counts: Arc<Counts>,
    is_ending: Arc<AtomicBool>,
    complained: Option<Instant>,
}

impl Sending {
    fn run(&mut self, inbox: &Receiver<Told>) {
        let mut waiting = Vec::new();
        let mut since = Instant::now();
        loop {
            let is_ending = self.is_ending.load(Ordering::Relaxed);
            match inbox.recv_timeout(LOOKS_EVERY) {
                Ok(told) => {
                    if waiting.is_empty() {
                        since = Instant::now();
                    }
                    waiting.push(told);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while waiting.len() < TOGETHER_MAX {
                let Ok(told) = inbox.try_recv() else { break };
                waiting.push(told);
            }
            let is_full = waiting.len() >= TOGETHER_MAX;
            let is_due = is_full || is_ending || since.elapsed() >= SENDS_EVERY;
            if is_due && !waiting.is_empty() {
                self.send(&waiting);
                waiting.clear();
            }
            if is_ending && !is_full {
                return;
            }
        }
    }

    fn send(&mut self, spans: &[Told]) {
        let body = request(&self.resource, spans);
        let count = spans.len() as u64;
        let mut pauses = PAUSES.iter();
        loop {
            let (fault, asks) = match self.post(&body) {
                Ok(()) => {
                    self.counts.sent.fetch_add(count, Ordering::Relaxed);
                    return;
                }
                Err(Unsent::Refused(words)) => (words, None),
                Err(Unsent::Later(words, asks)) => (words, pauses.next().map(|one| (*one, asks))),
            };
            let Some((pause, asks)) = asks else {
                return self.drop_all(count, &fault);
            };
            // Asked for longer than anybody waits, it takes no more than the others.
            let pause = asks.map_or(pause, |asks| asks.min(TIMEOUT).max(pause));
            if !self.sleep(pause) {
                return self.drop_all(count, &fault);
            }
        }
    }

    fn drop_all(&mut self, count: u64, fault: &str) {
        self.counts
            .dropped_refused
            .fetch_add(count, Ordering::Relaxed);
        if self
            .complained
            .is_none_or(|at| at.elapsed() >= COMPLAINS_EVERY)
        {
            self.complained = Some(Instant::now());
            tracing::warn!(fault, count, "spans dropped");
        }
    }

    /// Whether it slept to the end.
    fn sleep(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if self.is_ending.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(LOOKS_EVERY.min(until.saturating_duration_since(Instant::now())));
        }
        true
    }

    fn post(&self, body: &[u8]) -> Result<(), Unsent> {
        let sent = self
            .agent
            .post(&self.url)
            .header("content-type", "application/x-protobuf")
            .send(body);
        let response = sent.map_err(|fault| Unsent::Later(fault.to_string(), None))?;
        let status = response.status();
        let asks = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        match status.as_u16() {
            200..300 => Ok(()),
            429 | 502..=504 => Err(Unsent::Later(status.to_string(), asks)),
            _ => Err(Unsent::Refused(status.to_string())),
        }
    }
}

/// Why a request was not taken.
enum Unsent {
    /// It may be later, and perhaps when.
    Later(String, Option<Duration>),
    /// It never will.
    Refused(String),
}
