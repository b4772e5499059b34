//! What can go wrong in a call, each by its name.
//!
//! A fault is a value: it says whether the call is worth trying again, and the pipeline acts on that, never on text.

use crate::grant::limits::FAULT_MESSAGE_BYTES_MAX;
use crate::grant::{self, FaultKind};
use crate::limits::RETRY_AFTER_MAX;
use std::time::Duration;
use thiserror::Error;
use tripline_core::diagnostic::Printable;

/// What made a plugin trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrapKind {
    /// It called itself too deeply.
    Stack,
    /// It reached outside of its memory or its tables.
    OutOfBounds,
    /// It gave up: a panic, an abort, an assertion.
    Unreachable,
    /// A division by zero, an overflow, a conversion that has no result.
    Arithmetic,
    /// It called what is no function, or another one than it thought.
    IndirectCall,
    /// It called an import with what the contract forbids.
    Import,
    /// Anything else.
    Other,
}

impl TrapKind {
    /// As metrics call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::OutOfBounds => "out-of-bounds",
            Self::Unreachable => "unreachable",
            Self::Arithmetic => "arithmetic",
            Self::IndirectCall => "indirect-call",
            Self::Import => "import",
            Self::Other => "other",
        }
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The plugin trapped; its instance was thrown away.
    #[error("the plugin trapped: {}", kind.as_str())]
    Trap {
        /// What made it trap.
        kind: TrapKind,
    },
    /// The plugin took too long and was ended.
    #[error("the plugin took longer than {} ms", deadline.as_millis())]
    Deadline {
        /// What it had.
        deadline: Duration,
    },
    /// The plugin gave up after it was refused more memory, or needs more to begin with.
    #[error("the plugin needs more than {limit} bytes of memory")]
    Memory {
        /// What it may have.
        limit: usize,
    },
    /// What the plugin gave back is not what the contract says.
    #[error("the plugin's output is wrong: {0}")]
    Output(String),
    /// The plugin said itself that it failed.
    #[error("the plugin reports a fault: {0}")]
    Guest(grant::Fault),
    /// The plugin is switched off for a while, after it trapped too often.
    #[error("the plugin is switched off for {} s", after.as_secs())]
    Unavailable {
        /// Until it is tried again.
        after: Duration,
    },
    /// There was no time left to ask it.
    #[error("there was no time left to ask the plugin")]
    Late,
    /// All instances that the host has room for are in use.
    #[error("there is no room for another instance")]
    Busy,
    /// What was asked does not fit the plugin: another world, or more than a call may hold.
    #[error("the call does not fit the plugin: {0}")]
    Misfit(&'static str),
    /// The host itself failed.
    #[error("the plugin host failed: {0}")]
    Host(String),
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Try the same again, after this time.
    Retry {
        /// How long to wait.
        after: Duration,
    },
    /// The same again fails the same.
    Reject,
    /// Nothing of this kind will work until a person looks at it.
    Stop,
}

/// The kinds of faults, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // `Fault` says what each is.
pub enum FaultName {
    Trap,
    Deadline,
    Memory,
    Output,
    Guest,
    Unavailable,
    Late,
    Busy,
    Misfit,
    Host,
}

impl FaultName {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Trap,
        Self::Deadline,
        Self::Memory,
        Self::Output,
        Self::Guest,
        Self::Unavailable,
        Self::Late,
        Self::Busy,
        Self::Misfit,
        Self::Host,
    ];

    /// As metrics call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Guest => "guest",
            Self::Unavailable => "unavailable",
            Self::Late => "late",
            Self::Busy => "busy",
            Self::Misfit => "misfit",
            Self::Host => "host",
        }
    }
}

/// How long to wait for room.
const BUSY_RETRY: Duration = Duration::from_millis(10);
/// How long to wait when a plugin wants to be asked again and does not say when: whoever waits for its answers still can.
const GUEST_RETRY: Duration = Duration::from_millis(100);

impl Fault {
    /// Its kind.
    pub fn name(&self) -> FaultName {
        match self {
            Self::Trap { .. } => FaultName::Trap,
            Self::Deadline { .. } => FaultName::Deadline,
            Self::Memory { .. } => FaultName::Memory,
            Self::Output(_) => FaultName::Output,
            Self::Guest(_) => FaultName::Guest,
            Self::Unavailable { .. } => FaultName::Unavailable,
            Self::Late => FaultName::Late,
            Self::Busy => FaultName::Busy,
            Self::Misfit(_) => FaultName::Misfit,
            Self::Host(_) => FaultName::Host,
        }
    }

    /// What to do about it.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable { after } => Disposition::Retry { after: *after },
            Self::Busy => Disposition::Retry { after: BUSY_RETRY },
            Self::Guest(fault) if fault.kind.is_retried() => {
                let said = fault.retry_after_ms;
                let said = said.map_or(GUEST_RETRY, |ms| Duration::from_millis(u64::from(ms)));
                let after = said.min(RETRY_AFTER_MAX);
                Disposition::Retry { after }
            }
            Self::Host(_) => Disposition::Stop,
            _ => Disposition::Reject,
        }
    }

    /// Whether one row of a batch may be the cause, so that the others are worth asking again.
    pub(crate) fn may_be_one_row(&self) -> bool {
        match self {
            Self::Trap { .. } | Self::Deadline { .. } | Self::Memory { .. } | Self::Output(_) => {
                true
            }
            // What the plugin itself says of its input is about some of its input.
            Self::Guest(fault) => {
                !fault.kind.is_retried()
                    && !matches!(fault.kind, FaultKind::InvalidConfig | FaultKind::Limit)
            }
            Self::Unavailable { .. }
            | Self::Late
            | Self::Busy
            | Self::Misfit(_)
            | Self::Host(_) => false,
        }
    }

    /// Whether it speaks against the plugin: it failed in a way that it did not foresee.
    pub(crate) fn is_to_blame(&self) -> bool {
        matches!(
            self,
            Self::Trap { .. } | Self::Deadline { .. } | Self::Memory { .. } | Self::Output(_)
        )
    }

    /// Bad output, told in bounded and printable text.
    pub(crate) fn output(what: impl AsRef<str>) -> Self {
        Self::Output(printable(what.as_ref()))
    }

    pub(crate) fn host(what: impl AsRef<str>) -> Self {
        Self::Host(printable(what.as_ref()))
    }
}

/// Text of a stranger, cut and made harmless.
pub(crate) fn printable(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(FAULT_MESSAGE_BYTES_MAX)];
    let mut text = Printable(cut).to_string();
    text.truncate(text.floor_char_boundary(FAULT_MESSAGE_BYTES_MAX));
    text
}
