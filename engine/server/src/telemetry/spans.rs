//! Spans of `tracing` as those of a trace: ids, what is known of them, and to whom they belong.
//!
//! Fields are attributes, but for some that say what `tracing` has no words for: `traceparent`, where a trace goes on that began
//! elsewhere; `start_nanos`, of what began before it was known that there is anything to tell; `kind`; and `fault`, by which a
//! span has failed. It must never wait: what cannot be handed on at once is dropped and counted.

use super::export::Queue;
use std::fmt::{self, Debug, Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Span, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context as Around, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The target of spans that are sent.
pub(crate) const TRACES: &str = "tripline::traces";

/// Longest text of an attribute, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// Most spans that one is linked to.
const LINKS_MAX: usize = 32;

/// What names a span everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) is_sampled: bool,
}

impl Context {
    /// What a `traceparent` names, if it is sound: version, trace, span and flags in hexadecimal.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version = bytes::<1>(parts.next()?)?;
        let trace = bytes::<16>(parts.next()?)?;
        let span = bytes::<8>(parts.next()?)?;
        let [flags] = bytes::<1>(parts.next()?)?;
        // Later versions may have more; this one has not, and 255 is none.
        let is_version = match version {
            [0] => parts.next().is_none(),
            [255] => false,
            _ => true,
        };
        let is_known = is_version && trace != [0; 16] && span != [0; 8];
        is_known.then_some(Self {
            trace,
            span,
            is_sampled: flags & 1 == 1,
        })
    }
}

/// As it is named to others.
impl Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        for byte in self.trace {
            write!(f, "{byte:02x}")?;
        }
        f.write_char('-')?;
        for byte in self.span {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{:02x}", u8::from(self.is_sampled))
    }
}

/// Exactly so many bytes in small hexadecimal digits.
fn bytes<const COUNT: usize>(text: &str) -> Option<[u8; COUNT]> {
    let digits = text.as_bytes();
    if digits.len() != COUNT * 2 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut all = [0; COUNT];
    for (byte, pair) in all.iter_mut().zip(digits.chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(all)
}

/// Which traces that begin here are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling(f64);

impl Sampling {
    pub(super) fn of(ratio: f64) -> Self {
        Self(ratio)
    }

    /// By the trace alone, so that several services choose the same ones.
    fn takes(self, trace: &[u8; 16]) -> bool {
        let low = trace[8..]
            .iter()
            .fold(0u64, |all, byte| all << 8 | u64::from(*byte));
        // 63 bits, as others have it; the quotient of two such numbers is exact enough.
        ((low >> 1) as f64) < self.0 * (1u64 << 63) as f64
    }
}

/// What a span is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Internal,
    Server,
    Client,
    Consumer,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Bool(bool),
    Double(f64),
}

/// A span as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) context: Context,
    pub(super) parent: Option<[u8; 8]>,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) start_nanos: u64,
    pub(super) end_nanos: u64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) links: Vec<Context>,
    pub(super) fault: Option<String>,
}

/// The layer that makes them.
pub(super) struct Spans {
    queue: Queue,
    sampling: Sampling,
}

impl Spans {
    pub(super) fn new(queue: Queue, sampling: Sampling) -> Self {
        Self { queue, sampling }
    }

    /// The name of a span: in the trace of its parent, or in one of its own.
    fn context(&self, parent: Option<Context>) -> Context {
        let span = chance();
        match parent {
            Some(parent) => Context { span, ..parent },
            None => {
                let trace = chance();
                Context {
                    trace,
                    span,
                    is_sampled: self.sampling.takes(&trace),
                }
            }
        }
    }
}

/// Bytes that nobody else has. Without the system's chance the time must do: they are names, not secrets.
fn chance<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    if getrandom::fill(&mut bytes).is_err() {
        let nanos = unix_nanos().to_be_bytes();
        bytes
            .iter_mut()
            .zip(nanos.iter().cycle())
            .for_each(|(byte, nano)| *byte = *nano);
    }
    // All zeroes name nothing.
    bytes[COUNT - 1] |= u8::from(bytes == [0; COUNT]);
    bytes
}

/// The time now, in nanoseconds since 1970.
pub(crate) fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, around: Around<'_, S>) {
        let Some(span) = around.span(id) else { return };
        let mut read = Read::default();
        attributes.record(&mut read);
        let parent = read.parent.or_else(|| {
            let parent = span.parent()?;
            parent.extensions().get::<Told>().map(|told| told.context)
        });
        let told = Told {
            context: self.context(parent),
            parent: parent.map(|parent| parent.span),
            name: attributes.metadata().name(),
            kind: read.kind.unwrap_or(Kind::Internal),
            start_nanos: read.start_nanos.unwrap_or_else(unix_nanos),
            end_nanos: 0,
            attributes: read.attributes,
            links: Vec::new(),
            fault: read.fault,
        };
        span.extensions_mut().insert(told);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, around: Around<'_, S>) {
        let Some(span) = around.span(id) else { return };
        if let Some(told) = span.extensions_mut().get_mut::<Told>() {
            let mut read = Read::default();
            values.record(&mut read);
            told.attributes.extend(read.attributes);
            told.fault = read.fault.or(told.fault.take());
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, around: Around<'_, S>) {
        let (Some(span), Some(other)) = (around.span(id), around.span(follows)) else {
            return;
        };
        let other = other.extensions().get::<Told>().map(|told| told.context);
        if let Some(told) = span.extensions_mut().get_mut::<Told>()
            && told.links.len() < LINKS_MAX
        {
            told.links.extend(other);
        }
    }

    fn on_close(&self, id: Id, around: Around<'_, S>) {
        let Some(span) = around.span(&id) else { return };
        let told = span.extensions_mut().remove::<Told>();
        if let Some(mut told) = told
            && told.context.is_sampled
        {
            told.end_nanos = unix_nanos().max(told.start_nanos);
            self.queue.put(told);
        }
    }
}

/// What names a span to others; nothing while none are sent.
pub(crate) fn traceparent(span: &Span) -> Option<String> {
    let named = span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let context = span.extensions().get::<Told>()?.context;
        Some(context.to_string())
    });
    named.flatten()
}

/// What fields say.
#[derive(Default)]
struct Read {
    attributes: Vec<(&'static str, Value)>,
    parent: Option<Context>,
    start_nanos: Option<u64>,
    kind: Option<Kind>,
    fault: Option<String>,
}

impl Read {
    fn text(&mut self, field: &Field, mut text: String) {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        match field.name() {
            "traceparent" => self.parent = Context::parse(&text),
            "kind" => {
                self.kind = match text.as_str() {
                    "server" => Some(Kind::Server),
                    "client" => Some(Kind::Client),
                    "consumer" => Some(Kind::Consumer),
                    _ => None,
                }
            }
            "fault" => self.fault = Some(text),
            name => self.attributes.push((name, Value::Text(text))),
        }
    }
}

impl Visit for Read {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "start_nanos" => self.start_nanos = Some(value),
            // Larger ones than these are nothing that is counted here.
            name => self
                .attributes
                .push((name, Value::Number(value.cast_signed()))),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push((field.name(), Value::Number(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push((field.name(), Value::Bool(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attributes.push((field.name(), Value::Double(value)));
    }
}
