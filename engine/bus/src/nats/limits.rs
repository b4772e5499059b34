//! Every bound of the bus on NATS, in one place, each with its reason.

use std::time::Duration;

/// The oldest server that is worked with: before it there are no atomic batches whose messages have ids, and an append
/// would be neither whole nor safe to repeat.
pub(super) const SERVER_MIN: (u64, u64, u64) = (2, 12, 1);

/// Most records of one append: what servers take in one atomic batch (err 10199 above).
pub const APPEND_RECORDS_MAX: usize = 1000;

/// Most bytes of one append, unless it is of one record. Servers hold at most 128 MB of what waits for a stream, and drop
/// what comes then, so several appends at a time must fit.
pub const APPEND_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the headers of a message may take beside an event. Attributes are the only part of any length.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;

/// How long one try of an append, or of a question, may take. A lost answer stalls whoever waits for this long, though the
/// server may be back in less than half a second.
pub(super) const TRY_TIMEOUT: Duration = Duration::from_secs(1);

/// Added for every so many bytes of an append: a slow line is not a fault.
pub(super) const TRY_BYTES_A_SECOND: usize = 8 * 1024 * 1024;

/// How long an append is tried before it is given up. Restarts take half a second, elections two; whoever sent the events
/// is waiting. Far below the shortest duplicate window, so that no try is taken for a new append.
pub(super) const APPEND_PATIENCE: Duration = Duration::from_secs(8);

/// Pauses between tries: the first, and the longest.
pub(super) const PAUSE_FIRST: Duration = Duration::from_millis(20);
pub(super) const PAUSE_LONGEST: Duration = Duration::from_millis(500);

/// Shortest duplicate window: every try of an append must fall into it, with room for clocks and elections.
pub const DUPLICATE_WINDOW_MIN: Duration = Duration::from_secs(30);

/// Messages asked for at a time. Half of them must last until the next question is answered, also when whoever reads has to wait
/// for a processor: with 500 the server stood still a tenth of the time.
pub(super) const PULL_MESSAGES: usize = 2000;

/// Bytes asked for at a time, beside one message of the longest kind.
pub(super) const PULL_BYTES: usize = 8 * 1024 * 1024;

/// How long a question for messages stands, and how often the server says meanwhile that it is there. A server that went
/// without a word is noticed after two of them.
pub(super) const PULL_EXPIRES: Duration = Duration::from_secs(5);
pub(super) const PULL_HEARTBEAT: Duration = Duration::from_secs(1);

/// Bytes that are read ahead of whoever reads. Four reads of the service.
pub(super) const AHEAD_BYTES: usize = 16 * 1024 * 1024;

/// Messages handed on under one lock.
pub(super) const READY_MESSAGES: usize = 128;

/// A consumer that nobody asks is forgotten by the server after this long. It holds nothing of ours: positions are kept
/// by whoever reads.
pub(super) const CONSUMER_IDLE: Duration = Duration::from_secs(10);

/// How long a read waits for records that the server said it has.
pub(super) const HAND_OVER: Duration = Duration::from_secs(3);

/// How old what is told of a stream may be. It is asked several times a second for each status.
pub(super) const SPAN_AGE_MAX: Duration = Duration::from_millis(200);

/// How long connecting may take for each server.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a server is asked whether it is there. After the third question without an answer the connection counts as lost:
/// a line that was cut says nothing by itself.
pub(super) const PING_EVERY: Duration = Duration::from_secs(2);

/// How long questions may go without an answer, from a server that is connected, before another one is looked for. Within what
/// an append is tried for, so that its last tries go elsewhere.
pub(super) const UNANSWERED_MAX: Duration = Duration::from_secs(4);

/// Threads of the client: one reads the line while the other unpacks messages.
pub(super) const CLIENT_THREADS: usize = 2;

/// How far into the future of its own message a tick may claim to be: clocks differ by that much, and more would let one
/// who may publish move time for all rules.
pub(super) const TICK_AHEAD: Duration = Duration::from_secs(60);

/// How long a stream must be missing before it counts as deleted: a cluster that is electing may not know all of its
/// streams yet, and stopping for that would be worse than waiting.
pub(super) const MISSING: Duration = Duration::from_secs(5);

/// Longest entry of the ledger before it is packed: several times what a commit of all batches in flight comes to.
pub(super) const ENTRY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long after its last word somebody counts as there. Words come every second; a few may be lost, or late on a busy
/// machine. Until it has passed, nobody goes on where a process was killed.
pub(super) const MEMBER_AGE_MAX: Duration = Duration::from_secs(6);

/// Questions that are answered at a time; others wait on the line.
pub(super) const QUESTIONS_MAX: usize = 256;

/// How long after the answer that follows a refusal the refusal itself may be heard by whoever keeps them. Waited once, when
/// the service starts.
pub(super) const REFUSAL_HEARD: Duration = Duration::from_millis(100);
