//! What the operator of an installation says: `plugins.toml`, with whom to trust, which plugins run, and what each is
//! granted.
//!
//! Relies on nothing but text: opening the files that it names is the caller's, and so are secrets, of which it holds
//! where they are, never what they are. Nothing is granted that is not written here; `rights` joins it with what the
//! manifest asks for and with what the signing key may have. Every mistake is found in one reading, and a file with a
//! mistake grants nothing.

mod grant;
mod rights;
#[cfg(test)]
mod tests;
mod trust;

pub use grant::{Grant, HttpGrant, SecretSource};
pub use rights::{HttpRights, Rights, Shortfall, Why, rights};

use crate::grant::limits::{HTTP_REQUESTS_PER_MINUTE_DEFAULT, HTTP_REQUESTS_PER_MINUTE_MAX};
use crate::manifest::read::{Fields, Part, Reader, in_order, span_of};
use crate::manifest::value::{RULE_WORD, VERSION, rule_word};
use crate::manifest::{
    Given, LIMIT_KEYS, Limits, Manifest, SETTINGS_MAX, SettingValue, Version, configuration,
    read_limits,
};
use crate::oci::Reference;
use crate::sign::{Digest, Trust};
use std::path::PathBuf;
use std::sync::Arc;
use toml::de::DeValue;
use tripline_core::diagnostic::{Source, Span};
use tripline_core::rule::Report;

/// Longest file: 256 plugins with grants of usual length.
pub const OPERATOR_BYTES_MAX: usize = 1024 * 1024;
/// Most plugins of one installation: each has instances, tables and a cache entry.
pub const PLUGINS_MAX: usize = 256;
/// Longest path of a file.
const PATH_BYTES_MAX: usize = 4096;

/// What a plugin has at most when its operator sets no ceilings: enough for Python and JavaScript; a plugin that runs
/// away costs no more.
pub const LIMITS_DEFAULT: Limits = Limits {
    memory: 128 << 20,
    deadline_ms: 1000,
    output: 1 << 20,
    batch: Limits::MOST.batch,
};

/// The JSON Schema of operator files, as text.
pub fn json_schema() -> &'static str {
    include_str!("schema.json")
}

/// What an operator file says.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Whom to trust.
    pub trust: Trust,
    /// The plugins, in the order of the file.
    pub plugins: Vec<Plugin>,
}

/// Where a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file, relative to the operator file; its signature lies beside it.
    File(PathBuf),
    /// In a registry, with its signature; by digest, since tags move.
    Registry(Reference),
}

/// A plugin that is to run.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// What rules call it: `enrich.ALIAS.…`.
    pub alias: String,
    /// Where the component is.
    pub origin: Origin,
    /// The only bytes that may run.
    pub digest: Option<Digest>,
    /// The oldest version that may run.
    pub version_min: Option<Version>,
    /// The signature file, relative to the operator file, where that names it: then it has to be there.
    pub signature: Option<PathBuf>,
    /// What it is granted.
    pub grant: Grant,
    /// What it has at most; never above the host's own.
    pub limits: Limits,
    /// Requests to the outside, a minute.
    pub requests_per_minute: u64,
    settings: Vec<Given>,
    source: Arc<Source>,
    span: Span,
}

impl Operator {
    /// Reads an operator file; `source` is its name, as people would type it, and its text.
    pub fn read(source: &Arc<Source>) -> Result<Self, Vec<Report>> {
        let mut reader = Reader::new(source.clone());
        match read(&mut reader, source) {
            Some(operator) if reader.errors() == 0 => Ok(operator),
            _ => Err(reader.finish()),
        }
    }
}

impl Plugin {
    /// The JSON that the plugin is configured with, or the mistakes in what the operator set. `None` when the manifest
    /// has no settings and nothing was set: then `configure` is not called.
    pub fn configuration(&self, manifest: &Manifest) -> Result<Option<String>, Vec<Report>> {
        let json = configuration(&manifest.settings, &self.settings, &self.source, self.span)?;
        Ok((!manifest.settings.is_empty()).then_some(json))
    }
}

fn read(reader: &mut Reader, source: &Source) -> Option<Operator> {
    let table = reader.parse(&source.text, OPERATOR_BYTES_MAX)?;
    let start = Span::new(0, 0);
    let keys = ["trust", "plugins"];
    let root = Fields::open(reader, "an operator file", table.get_ref(), start, &keys);
    let trust = match root.part("trust") {
        Some(part) => trust::read_trust(reader, part),
        None => Some(Trust::default()),
    };
    let entries = root.entries(reader, "plugins");
    let span = root.part("plugins").map_or(start, span_of);
    if !reader.within("plugins", entries.len(), PLUGINS_MAX, span) {
        return None;
    }
    let mut plugins = Vec::with_capacity(entries.len());
    for (alias, span, part) in entries {
        let alias = reader.parsed(alias, span, "name for rules", RULE_WORD, rule_word);
        plugins.extend(read_plugin(reader, alias, span, part));
    }
    Some(Operator {
        trust: trust?,
        plugins,
    })
}

fn read_plugin(
    reader: &mut Reader,
    alias: Option<String>,
    span: Span,
    part: Part<'_, '_>,
) -> Option<Plugin> {
    let keys = [
        "path",
        "oci",
        "digest",
        "version_min",
        "signature",
        "grant",
        "limits",
        "config",
    ];
    let fields = Fields::of(reader, "a plugin", "plugins", part, &keys)?;
    let origin = read_origin(reader, &fields);
    let signature = read_path(reader, &fields, "signature");
    let expected = "`sha256:` and 64 digits of 0-9 and a-f";
    let digest = fields.parsed(reader, "digest", "digest", expected, Digest::new);
    let version_min = fields.parsed(reader, "version_min", "version", VERSION, Version::new);
    let grant = match fields.part("grant") {
        Some(part) => grant::read_grant(reader, part),
        None => Grant::default(),
    };
    let (limits, requests_per_minute) = read_ceilings(reader, fields.part("limits"));
    let settings = read_given(reader, fields.part("config"));
    Some(Plugin {
        alias: alias?,
        signature,
        origin: origin?,
        digest,
        version_min,
        grant,
        limits,
        requests_per_minute,
        settings,
        source: reader.source().clone(),
        span,
    })
}

fn read_origin(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Origin> {
    let path = read_path(reader, fields, "path");
    let expected = "a registry, a name and a digest, such as `registry.example/acme/geo@sha256:…`; `tripline plugin pull` tells it";
    let pinned = |text: &str| Reference::new(text).filter(|one| one.digest().is_some());
    let oci = fields.parsed(reader, "oci", "artifact with a digest", expected, pinned);
    match (fields.part("path").is_some(), fields.part("oci").is_some()) {
        (true, false) => path.map(Origin::File),
        (false, true) => oci.map(Origin::Registry),
        _ => {
            let expected = "`path = \"FILE\"` or `oci = \"REGISTRY/NAME@sha256:…\"`";
            reader.malformed(fields.span, "a plugin is in one place", expected);
            None
        }
    }
}

/// The path of a file; which file that is, is the operator's affair.
pub(crate) fn read_path(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: &str,
) -> Option<PathBuf> {
    let (text, span) = fields.text(reader, name)?;
    path_of(reader, text, span)
}

pub(crate) fn path_of(reader: &mut Reader, text: &str, span: Span) -> Option<PathBuf> {
    reader
        .within("bytes of a path", text.len(), PATH_BYTES_MAX, span)
        .then(|| text.into())
}

fn read_ceilings(reader: &mut Reader, part: Option<Part<'_, '_>>) -> (Limits, u64) {
    let per_minute = HTTP_REQUESTS_PER_MINUTE_DEFAULT;
    let [memory, deadline, output, batch] = LIMIT_KEYS;
    let keys = [memory, deadline, output, batch, "requests_per_minute"];
    let fields = part.and_then(|part| Fields::of(reader, "`limits`", "limits", part, &keys));
    let Some(fields) = fields else {
        return (LIMITS_DEFAULT, per_minute);
    };
    let limits = read_limits(reader, &fields, LIMITS_DEFAULT);
    let most = HTTP_REQUESTS_PER_MINUTE_MAX;
    let given = fields.integer(reader, "requests_per_minute", 1, most);
    (limits, given.unwrap_or(per_minute))
}

/// What is set, as it is written: which settings there are is known when the component is read.
fn read_given(reader: &mut Reader, part: Option<Part<'_, '_>>) -> Vec<Given> {
    let Some(part) = part else {
        return Vec::new();
    };
    let DeValue::Table(table) = part.get_ref() else {
        reader.malformed(span_of(part), "`config` has the wrong type", "a table");
        return Vec::new();
    };
    if !reader.within("settings", table.len(), SETTINGS_MAX, span_of(part)) {
        return Vec::new();
    }
    let given = in_order(table).into_iter().map(|(key, value)| Given {
        name: key.get_ref().to_string(),
        name_span: span_of(key),
        value: SettingValue::of(value),
        value_span: span_of(value),
    });
    given.collect()
}
