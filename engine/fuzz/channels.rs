//! What channels read of strangers, taken out of the server for fuzzing: its own files, compiled once more.
//!
//! The server is a binary, and with it comes wasmtime, which takes an hour to build when it is instrumented. So what channels are made
//! of is named here by path, under the names that it has there. Rejected: a crate of its own, which nothing else would need.

#![cfg(feature = "channels")]
// What only the rest of the server uses.
#![allow(dead_code, unused_imports)]

#[path = "../server/src/causes.rs"]
mod causes;
#[path = "../server/src/channel/mod.rs"]
mod channel;
#[path = "../server/src/outgoing.rs"]
mod outgoing;

#[path = "../server/src/config"]
mod config {
    mod length;
    pub(crate) use length::Length;
}

#[path = "../server/src/input"]
mod input {
    pub(crate) mod split;
    pub(crate) mod through;
}

#[path = "../server/src/scan"]
mod scan {
    pub(crate) mod nested;
}

#[path = "../server/src/serve"]
mod serve {
    mod partitions;
    pub(crate) use partitions::Partitions;
}

#[path = "checks/channel_audit_events.rs"]
mod channel_audit_events;
#[path = "checks/channel_body.rs"]
mod channel_body;
#[path = "checks/channel_cloud_events.rs"]
mod channel_cloud_events;
#[path = "checks/channel_hec.rs"]
mod channel_hec;
#[path = "checks/channel_otlp.rs"]
mod channel_otlp;
#[path = "checks/channel_shape.rs"]
mod channel_shape;
#[path = "checks/channel_signature.rs"]
mod channel_signature;

/// The checks of the targets, by what is read.
pub mod check {
    /// `PutAuditEvents`.
    pub fn audit_events(bytes: &[u8]) {
        crate::channel_audit_events::run(bytes);
    }

    /// A body as it comes, in every framing of JSON.
    pub fn body(bytes: &[u8]) {
        crate::channel_body::run(bytes);
    }

    /// CloudEvents.
    pub fn cloud_events(bytes: &[u8]) {
        crate::channel_cloud_events::run(bytes);
    }

    /// What forwarders of Splunk send.
    pub fn hec(bytes: &[u8]) {
        crate::channel_hec::run(bytes);
    }

    /// Log records of OpenTelemetry.
    pub fn otlp(bytes: &[u8]) {
        crate::channel_otlp::run(bytes);
    }

    /// Mapping and redaction.
    pub fn shape(bytes: &[u8]) {
        crate::channel_shape::run(bytes);
    }

    /// Keys, signatures and tokens.
    pub fn signature(bytes: &[u8]) {
        crate::channel_signature::run(bytes);
    }
}
