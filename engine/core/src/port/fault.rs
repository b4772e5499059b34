//! What can go wrong with a bus or a store, and what is to be done about it.

use std::error::Error;
use std::fmt;

/// What the caller does about a fault. It acts on this, never on the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultClass {
    /// It may work later: wait and try again.
    Retry,
    /// It will never work as it was asked: this request is given up, others go on.
    Reject,
    /// There is no room; nothing was taken. It may work when room was made.
    Full,
    /// Somebody else owns the partition now: stop working on it, and throw away what was not committed.
    Fenced,
    /// Nothing can be trusted any more, such as after a failed fsync: stop the process.
    Stop,
}

/// A fault of an adapter.
#[derive(Debug)]
pub struct PortFault {
    /// What to do about it.
    pub class: FaultClass,
    /// What was being done to what, as it reads well after "failed to".
    pub doing: String,
    /// The cause.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortFault {
    /// A fault without a cause beneath it.
    pub fn new(class: FaultClass, doing: impl Into<String>) -> Self {
        Self {
            class,
            doing: doing.into(),
            source: None,
        }
    }

    /// The same with its cause.
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl PortFault {
    /// Of two faults that of which more follows. Where one word is said of several things, none of them may be told for good
    /// what is so for a while.
    pub fn graver(one: Option<Self>, other: Self) -> Self {
        let weight = |fault: &Self| match fault.class {
            FaultClass::Reject => 0,
            FaultClass::Full => 1,
            FaultClass::Retry => 2,
            FaultClass::Fenced => 3,
            FaultClass::Stop => 4,
        };
        match one {
            Some(one) if weight(&one) >= weight(&other) => one,
            _ => other,
        }
    }
}

impl fmt::Display for PortFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl Error for PortFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
