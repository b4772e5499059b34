//! Orderly failures, as `wit/types.wit` has them.

use super::limits::FAULT_MESSAGE_BYTES_MAX;
use std::fmt;
use tripline_core::diagnostic::Printable;

/// What kind of orderly failure it is; decides whether the call is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // `types.wit` says what each is.
pub enum FaultKind {
    InvalidConfig,
    InvalidInput,
    Unsupported,
    Denied,
    NotFound,
    Limit,
    Timeout,
    Unavailable,
    Internal,
}

impl FaultKind {
    /// As the contract writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidConfig => "invalid-config",
            Self::InvalidInput => "invalid-input",
            Self::Unsupported => "unsupported",
            Self::Denied => "denied",
            Self::NotFound => "not-found",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Whether the same call may work a little later.
    pub fn is_retried(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable)
    }
}

/// An orderly failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// For people; bounded, and safe to print.
    pub message: String,
    /// When it makes sense to try again.
    pub retry_after_ms: Option<u32>,
}

impl Fault {
    /// A failure of that kind.
    pub fn new(kind: FaultKind, message: impl AsRef<str>) -> Self {
        let mut message = Printable(message.as_ref()).to_string();
        message.truncate(message.floor_char_boundary(FAULT_MESSAGE_BYTES_MAX));
        Self {
            kind,
            message,
            retry_after_ms: None,
        }
    }

    pub(crate) fn denied(message: impl AsRef<str>) -> Self {
        Self::new(FaultKind::Denied, message)
    }

    pub(crate) fn input(message: impl AsRef<str>) -> Self {
        Self::new(FaultKind::InvalidInput, message)
    }

    pub(crate) fn limit(message: impl AsRef<str>) -> Self {
        Self::new(FaultKind::Limit, message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl std::error::Error for Fault {}
