//! Spans as OTLP in protobuf, written by the numbers that the published messages have.
//!
//! ```text
//! ExportTraceServiceRequest 1: ResourceSpans { 1: Resource, 2: ScopeSpans { 1: scope, 2: Span } }
//! ```
//!
//! Relies on `prost` for numbers and keys. Rejected: generated messages, for the reason that those of logs are read by hand.

use super::spans::{Context, Kind, Told, Value};
use prost::encoding::{WireType, encode_key, encode_varint};

/// A message that is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn bytes(mut self, number: u32, bytes: &[u8]) -> Self {
        encode_key(number, WireType::LengthDelimited, &mut self.0);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
        self
    }

    fn message(self, number: u32, message: &Self) -> Self {
        self.bytes(number, &message.0)
    }

    fn number(mut self, number: u32, value: u64) -> Self {
        encode_key(number, WireType::Varint, &mut self.0);
        encode_varint(value, &mut self.0);
        self
    }

    fn fixed64(mut self, number: u32, value: u64) -> Self {
        encode_key(number, WireType::SixtyFourBit, &mut self.0);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn fixed32(mut self, number: u32, value: u32) -> Self {
        encode_key(number, WireType::ThirtyTwoBit, &mut self.0);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
}

/// A request with these spans.
pub(super) fn request(resource: &[(&'static str, Value)], spans: &[Told]) -> Vec<u8> {
    let described = resource.iter().fold(Message::default(), |all, one| {
        all.message(1, &attribute(one))
    });
    let scope = Message::default()
        .bytes(1, b"tripline")
        .bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
    let scoped = spans
        .iter()
        .fold(Message::default().message(1, &scope), |all, one| {
            all.message(2, &span(one))
        });
    let resource = Message::default()
        .message(1, &described)
        .message(2, &scoped);
    Message::default().message(1, &resource).0
}

fn span(told: &Told) -> Message {
    let mut message = Message::default()
        .bytes(1, &told.context.trace)
        .bytes(2, &told.context.span);
    if let Some(parent) = &told.parent {
        message = message.bytes(4, parent);
    }
    let kind = match told.kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Consumer => 5,
    };
    message = message
        .bytes(5, told.name.as_bytes())
        .number(6, kind)
        .fixed64(7, told.start_nanos)
        .fixed64(8, told.end_nanos);
    for one in &told.attributes {
        message = message.message(9, &attribute(one));
    }
    for one in &told.links {
        message = message.message(13, &link(one));
    }
    if let Some(fault) = &told.fault {
        const ERROR: u64 = 2;
        let status = Message::default()
            .bytes(2, fault.as_bytes())
            .number(3, ERROR);
        message = message.message(15, &status);
    }
    message.fixed32(16, u32::from(told.context.is_sampled))
}

fn link(context: &Context) -> Message {
    Message::default()
        .bytes(1, &context.trace)
        .bytes(2, &context.span)
}

fn attribute((key, value): &(&'static str, Value)) -> Message {
    let value = match value {
        Value::Text(text) => Message::default().bytes(1, text.as_bytes()),
        Value::Bool(is) => Message::default().number(2, u64::from(*is)),
        Value::Number(number) => Message::default().number(3, number.cast_unsigned()),
        Value::Double(double) => Message::default().fixed64(4, double.to_bits()),
    };
    Message::default()
        .bytes(1, key.as_bytes())
        .message(2, &value)
}
