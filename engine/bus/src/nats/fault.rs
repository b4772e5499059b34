//! From what the client and the servers say to the faults of the port.
//!
//! Codes decide, never words, except where servers have one code for several things. It must never turn a fault that may
//! pass into one that stops the service, nor the other way.

use super::denied::About;
use async_nats::jetstream::{self, ErrorCode};
use std::error::Error;
use tripline_core::port::{FaultClass, PortFault};

/// What is being done to what, as it reads well after "failed to", and what is asked for that.
pub(super) struct Doing {
    words: String,
    about: About,
}

impl Doing {
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            about: About::default(),
        }
    }

    /// It asks on a subject, or on what lies below it.
    pub(super) fn subject(mut self, subject: impl Into<String>) -> Self {
        self.about.add_subject(subject.into());
        self
    }

    /// It asks any question about a stream.
    pub(super) fn stream(mut self, stream: impl Into<String>) -> Self {
        self.about.add_stream(stream.into());
        self
    }

    pub(super) fn about(&self) -> &About {
        &self.about
    }

    fn fault(
        &self,
        class: FaultClass,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> PortFault {
        PortFault::new(class, self.words.clone()).because(source)
    }
}

/// It may work later.
pub(super) fn retry(doing: &Doing, source: impl Into<Box<dyn Error + Send + Sync>>) -> PortFault {
    doing.fault(FaultClass::Retry, source)
}

/// It will never work like this.
pub(super) fn refused(doing: &Doing, source: impl Into<Box<dyn Error + Send + Sync>>) -> PortFault {
    doing.fault(FaultClass::Reject, source)
}

/// There is no room.
pub(super) fn full(doing: &Doing, source: impl Into<Box<dyn Error + Send + Sync>>) -> PortFault {
    doing.fault(FaultClass::Full, source)
}

/// Nothing can be trusted any more.
pub(super) fn stop(doing: &Doing, source: impl Into<Box<dyn Error + Send + Sync>>) -> PortFault {
    doing.fault(FaultClass::Stop, source)
}

/// The stream is gone, and everything in it.
pub(super) fn deleted(doing: &Doing, stream: &str) -> PortFault {
    stop(
        doing,
        format!(
            "the stream {stream} was deleted while the service used it; events that it had are gone. Bring it back from a backup, or start with an empty data folder to begin anew"
        ),
    )
}

/// Another stream has its name now.
pub(super) fn made_anew(doing: &Doing, stream: &str) -> PortFault {
    stop(
        doing,
        format!(
            "the stream {stream} was deleted and made anew while the service used it; its positions mean other events now. Start with an empty data folder to read it from its beginning"
        ),
    )
}

/// What an answer of JetStream means.
pub(super) fn of_answer(doing: &Doing, error: &jetstream::Error) -> PortFault {
    let words = error.to_string();
    match error.error_code() {
        ErrorCode::STREAM_STORE_FAILED if words.contains("maximum") => full(doing, room(&words)),
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES => full(doing, room(&words)),
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            refused(doing, words)
        }
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
            doing.fault(FaultClass::Fenced, words)
        }
        ErrorCode::STREAM_SEALED | ErrorCode::ATOMIC_PUBLISH_DISABLED => stop(
            doing,
            format!("{words}; the stream was changed while the service used it"),
        ),
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT | ErrorCode::NO_ACCOUNT => {
            refused(doing, words)
        }
        _ => retry(doing, words),
    }
}

fn room(words: &str) -> String {
    format!(
        "{words}; raise `size_max_mib` of [nats] and the stream's own limit, let events go when they are evaluated (`released = \"purge\"`), or wait until older ones expire"
    )
}
