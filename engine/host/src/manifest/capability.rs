//! What a plugin may ask for, and the world that it asks in.
//!
//! `Capability::ALL` is in step with the interfaces under `wit/` that worlds import; `World::may_import` with `worlds.wit`.

use super::read::{Fields, Part, Reader, span_of};
use super::value::{self, DASHED, OPERATION, PERIOD, SIZE, WORD, dashed, operation, word};
use crate::grant::http::{HostPattern, METHODS, PathPattern, Scheme};
use crate::grant::limits::{
    HTTP_PATHS_MAX, HTTP_RULES_MAX, HTTP_SECRETS_MAX, KV_BYTES_MAX, KV_TTL_MS_MAX,
    LOOKUP_TABLES_MAX, METRICS_MAX, READS_OPERATIONS_MAX,
};
use tripline_core::diagnostic::Span;

/// What a plugin is for: the worlds of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // `worlds.wit` says what each is.
pub enum World {
    Enricher,
    Detector,
    StatefulDetector,
    Scorer,
    Policy,
    Decoder,
    Remediator,
    Planner,
}

impl World {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Enricher,
        Self::Detector,
        Self::StatefulDetector,
        Self::Scorer,
        Self::Policy,
        Self::Decoder,
        Self::Remediator,
        Self::Planner,
    ];

    /// As the contract writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enricher => "enricher",
            Self::Detector => "detector",
            Self::StatefulDetector => "stateful-detector",
            Self::Scorer => "scorer",
            Self::Policy => "policy",
            Self::Decoder => "decoder",
            Self::Remediator => "remediator",
            Self::Planner => "planner",
        }
    }

    /// Whether plugins of this world may import the interface at all.
    pub fn may_import(self, capability: Capability) -> bool {
        use Capability::*;
        match self {
            Self::Enricher => capability != Reads,
            Self::Detector | Self::StatefulDetector => !matches!(capability, Http | Reads),
            Self::Scorer => matches!(capability, Log | Kv | Lookup | Events | Metrics),
            Self::Policy => matches!(capability, Log | Lookup | Events | Metrics),
            Self::Decoder => matches!(capability, Log | Metrics),
            Self::Remediator => !matches!(capability, Events | Reads),
            Self::Planner => matches!(capability, Log | Lookup | Metrics | Reads),
        }
    }

    /// Whether plugins of this world are given events as batches of the fields that they declare.
    pub fn reads_batches(self) -> bool {
        !matches!(self, Self::Decoder | Self::Remediator | Self::Planner)
    }
}

/// An interface of the host: nothing is given that was not asked for and granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The file of the interface says what each is.
pub enum Capability {
    Log,
    Clock,
    Random,
    Kv,
    Lookup,
    Events,
    Http,
    Metrics,
    Reads,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Log,
        Self::Clock,
        Self::Random,
        Self::Kv,
        Self::Lookup,
        Self::Events,
        Self::Http,
        Self::Metrics,
        Self::Reads,
    ];

    /// The name of the interface, and of the key in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Kv => "kv",
            Self::Lookup => "lookup",
            Self::Events => "events",
            Self::Http => "http",
            Self::Metrics => "metrics",
            Self::Reads => "reads",
        }
    }
}

/// What a manifest asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Lines for the operator.
    pub log: bool,
    /// The time.
    pub clock: bool,
    /// Chance.
    pub random: bool,
    /// Events beyond the declared fields.
    pub events: bool,
    /// Things to remember.
    pub kv: Option<KvBounds>,
    /// Tables, by the names that the plugin uses.
    pub lookup: Vec<String>,
    /// Requests to the outside.
    pub http: Vec<HttpAsk>,
    /// Names of counters.
    pub metrics: Vec<String>,
    /// Operations of services that only read, as `ec2.DescribeInstances`.
    pub reads: Vec<String>,
}

impl Asks {
    /// Whether anything of it is asked for.
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Log => self.log,
            Capability::Clock => self.clock,
            Capability::Random => self.random,
            Capability::Events => self.events,
            Capability::Kv => self.kv.is_some(),
            Capability::Lookup => !self.lookup.is_empty(),
            Capability::Http => !self.http.is_empty(),
            Capability::Metrics => !self.metrics.is_empty(),
            Capability::Reads => !self.reads.is_empty(),
        }
    }
}

/// How much may be remembered, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvBounds {
    /// Keys and values together.
    pub bytes: u64,
    /// Longest lifetime, in milliseconds.
    pub ttl_ms_max: u64,
}

/// Requests that a plugin wants to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAsk {
    /// Where to.
    pub target: HttpTarget,
    /// Secrets that the host fills in, by name.
    pub secrets: Vec<String>,
}

/// Requests of one shape: asked for by manifests, granted by operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// `https`, unless written otherwise.
    pub scheme: Scheme,
    /// A host, or all below a name.
    pub host: HostPattern,
    /// 443, or 80 for `http`, unless written otherwise.
    pub port: u16,
    /// In capitals.
    pub methods: Vec<&'static str>,
    /// Which paths.
    pub paths: Vec<PathPattern>,
}

pub(super) fn read_asks(
    reader: &mut Reader,
    fields: Option<Fields<'_, '_>>,
    world: Option<World>,
) -> Asks {
    let Some(fields) = fields else {
        return Asks::default();
    };
    if let Some(world) = world {
        refuse_foreign(reader, &fields, world);
    }
    Asks {
        log: fields.flag(reader, "log"),
        clock: fields.flag(reader, "clock"),
        random: fields.flag(reader, "random"),
        events: fields.flag(reader, "events"),
        kv: fields.part("kv").and_then(|part| read_kv(reader, part)),
        lookup: names(reader, &fields, "lookup", LOOKUP_TABLES_MAX, DASHED, dashed),
        http: read_http(reader, &fields),
        metrics: names(reader, &fields, "metrics", METRICS_MAX, WORD, word),
        reads: read_operations(reader, &fields),
    }
}

fn refuse_foreign(reader: &mut Reader, fields: &Fields<'_, '_>, world: World) {
    for capability in Capability::ALL {
        let name = capability.as_str();
        let Some(part) = fields.part(name) else {
            continue;
        };
        if !world.may_import(capability) {
            let may = Capability::ALL.into_iter();
            let may = may
                .filter(|one| world.may_import(*one))
                .map(Capability::as_str);
            let may: Vec<_> = may.collect();
            let message = format!("a plugin of the world `{}` has no `{name}`", world.as_str());
            let expected = format!("only {}", may.join(", "));
            reader.malformed(span_of(part), message, &expected);
        }
    }
}

/// `{ bytes = "1MiB", ttl_max = "7d" }`.
pub(crate) fn read_kv(reader: &mut Reader, part: Part<'_, '_>) -> Option<KvBounds> {
    let fields = Fields::of(reader, "`kv`", "kv", part, &["!bytes", "!ttl_max"])?;
    let bytes = bounded(reader, &fields, "bytes", KV_BYTES_MAX, Unit::Size);
    let ttl_ms_max = bounded(reader, &fields, "ttl_max", KV_TTL_MS_MAX, Unit::Period);
    Some(KvBounds {
        bytes: bytes?,
        ttl_ms_max: ttl_ms_max?,
    })
}

/// Names of operations, as `["ec2.DescribeInstances"]`.
pub(crate) fn read_operations(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<String> {
    names(
        reader,
        fields,
        "reads",
        READS_OPERATIONS_MAX,
        OPERATION,
        operation,
    )
}

/// What a bounded number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Size,
    Period,
}

/// A size or a length of time from 1 to `most`.
pub(crate) fn bounded(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: &str,
    most: u64,
    unit: Unit,
) -> Option<u64> {
    let (text, span) = fields.text(reader, name)?;
    let (number, most_shown) = match unit {
        Unit::Size => (
            reader.parsed(text, span, "size", SIZE, value::size)?,
            value::shown_size(most),
        ),
        Unit::Period => (
            reader.parsed(text, span, "length of time", PERIOD, value::period)?,
            value::shown_period(most),
        ),
    };
    if !(1..=most).contains(&number) {
        let message = format!("`{name}` is out of range");
        let expected = format!("more than nothing, and at most {most_shown}");
        reader.malformed(span, message, &expected);
        return None;
    }
    Some(number)
}

/// Distinct names that `parse` takes.
pub(crate) fn names(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    key: &str,
    most: usize,
    expected: &str,
    parse: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let texts = fields.texts(reader, key);
    let span = fields.part(key).map_or(fields.span, span_of);
    if !reader.within("names", texts.len(), most, span) {
        return Vec::new();
    }
    let mut names = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        let Some(name) = reader.parsed(text, span, "name", expected, &parse) else {
            continue;
        };
        if names.contains(&name) {
            reader.repeated(text, span);
        } else {
            names.push(name);
        }
    }
    names
}

fn read_http(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<HttpAsk> {
    let items = fields.items(reader, "http");
    let span = fields.part("http").map_or(fields.span, span_of);
    if !reader.within("entries of `http`", items.len(), HTTP_RULES_MAX, span) {
        return Vec::new();
    }
    let mut asks = Vec::with_capacity(items.len());
    for item in items {
        let Some(fields) = Fields::of(reader, "an entry of `http`", "http", item, &HTTP_KEYS)
        else {
            continue;
        };
        let secrets = names(reader, &fields, "secrets", HTTP_SECRETS_MAX, DASHED, dashed);
        let target = read_target(reader, &fields);
        asks.extend(target.map(|target| HttpAsk { target, secrets }));
    }
    asks
}

/// The keys of an entry of `http`.
pub(crate) const HTTP_KEYS: [&str; 6] =
    ["scheme", "!host", "port", "!methods", "!paths", "secrets"];

/// The part of an `http` entry that manifests and grants share.
pub(crate) fn read_target(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<HttpTarget> {
    let scheme = match fields.part("scheme") {
        None => Some(Scheme::Https),
        Some(part) => {
            let words = [("https", Scheme::Https), ("http", Scheme::Http)];
            let text = reader.text("scheme", part);
            text.and_then(|(text, span)| reader.word("scheme", text, span, &words))
        }
    };
    let expected = "a name, `*.` and a name, or an address as it is usually written";
    let host = fields.parsed(reader, "host", "host", expected, HostPattern::new);
    let port = match fields.part("port") {
        None => scheme.map(Scheme::port),
        Some(_) => fields
            .integer(reader, "port", 1, 65_535)
            .map(|port| port as u16),
    };
    let methods = read_methods(reader, fields);
    let paths = read_paths(reader, fields);
    Some(HttpTarget {
        scheme: scheme?,
        host: host?,
        port: port?,
        methods: methods?,
        paths: paths?,
    })
}

fn read_methods(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Vec<&'static str>> {
    let expected = "at least one of GET, HEAD, POST, PUT, PATCH, DELETE";
    let texts = fields.texts(reader, "methods");
    let words = METHODS.map(|method| (method, method));
    let mut methods = Vec::new();
    for (text, span) in &texts {
        match reader.word("methods", text, *span, &words) {
            Some(method) if methods.contains(&method) => reader.repeated(text, *span),
            method => methods.extend(method),
        }
    }
    some_of(reader, fields, "methods", expected, methods)
}

fn read_paths(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Vec<PathPattern>> {
    let texts = fields.texts(reader, "paths");
    let span = fields.part("paths").map_or(fields.span, span_of);
    if !reader.within("paths", texts.len(), HTTP_PATHS_MAX, span) {
        return None;
    }
    let expected = "`/` and plain steps, such as `/v1/items` or `/v1/*`";
    let mut paths = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        paths.extend(reader.parsed(text, span, "path", expected, PathPattern::new));
    }
    some_of(reader, fields, "paths", expected, paths)
}

/// A list with something in it; notes an empty one, unless what was in it was noted already.
fn some_of<T>(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: &str,
    expected: &str,
    found: Vec<T>,
) -> Option<Vec<T>> {
    let items = fields.part(name)?.get_ref().as_array()?;
    if items.is_empty() {
        let span: Span = fields.part(name).map_or(fields.span, span_of);
        reader.malformed(span, format!("`{name}` is empty"), expected);
    }
    (!found.is_empty()).then_some(found)
}
