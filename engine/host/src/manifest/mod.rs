//! What a plugin says of itself: `plugin.toml`, as a component carries it in a custom section.
//!
//! Relies on nothing but text. A manifest is written by a stranger and read before anything of the plugin is trusted, so
//! every list, name and text has a bound, and every mistake is found in one reading. It only asks: what is granted is
//! the operator's, and `operator` joins the two. `wit/README.md` shows every key.

mod capability;
pub(crate) mod read;
mod setting;
#[cfg(test)]
mod tests;
pub(crate) mod value;

pub use capability::{Asks, Capability, HttpAsk, HttpTarget, KvBounds, World};
pub(crate) use capability::{HTTP_KEYS, Unit, bounded, read_kv, read_operations, read_target};
pub use setting::{
    Given, SETTING_TEXT_BYTES_MAX, SETTING_TEXTS_MAX, SETTINGS_MAX, Setting, SettingKind,
    SettingValue, configuration,
};
pub use value::{FIELD_PATH_BYTES_MAX, NAME_BYTES_MAX, PluginName, Version};

use crate::batch::{COLUMNS_MAX, ColumnKind, ROWS_MAX};
use capability::read_asks;
use read::{Fields, Reader, span_of};
use setting::read_settings;
use std::sync::Arc;
use tripline_core::diagnostic::{Code, Diagnostic, Source, Span};
use tripline_core::rule::Report;
use value::{PLUGIN_NAME, RULE_WORD, VERSION, is_field_path, rule_word};

/// Longest manifest: one that uses every list to its bound with names of usual length.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;
/// Longest description and licence.
pub const TEXT_BYTES_MAX: usize = 1024;
/// The version of the contract that this host speaks.
pub const CONTRACT: (u32, u32) = (1, 0);

/// Most memory of one instance that the host ever gives: Python and JavaScript need tens of MiB, and pools of
/// instances multiply it.
pub const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Longest call, in milliseconds: requests to the outside take at most 30 seconds.
pub const DEADLINE_MS_MAX: u64 = 60_000;
/// Largest output of one call.
pub const OUTPUT_BYTES_MAX: u64 = 16 << 20;

/// The JSON Schema of manifests, as text.
pub fn json_schema() -> &'static str {
    include_str!("schema.json")
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What it is called.
    pub name: PluginName,
    /// Which one it is.
    pub version: Version,
    /// What it is for.
    pub world: World,
    /// The version of the contract that it was made for.
    pub contract: (u32, u32),
    /// For people.
    pub description: String,
    /// An SPDX expression; not interpreted.
    pub license: String,
    /// The columns of the batches that it is given: paths of fields.
    pub reads: Vec<Column>,
    /// The columns that it gives: names.
    pub writes: Vec<Column>,
    /// What it asks for.
    pub asks: Asks,
    /// What it asks for in size and time; what is not said has its default.
    pub limits: Limits,
    /// How long an instance lives.
    pub instance: InstanceMode,
    /// What the operator may set. Empty: `configure` is not called.
    pub settings: Vec<Setting>,
}

/// A column: the path of a field, or a name, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The path or the name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceMode {
    /// A fresh one for each batch.
    PerBatch,
    /// One for many calls.
    Reused,
}

/// Bounds of each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of an instance, in bytes.
    pub memory: u64,
    /// Time of a call, in milliseconds.
    pub deadline_ms: u64,
    /// Output of a call, in bytes.
    pub output: u64,
    /// Rows of a batch.
    pub batch: u64,
}

impl Limits {
    /// What a manifest asks for when it does not say: enough for a plugin of Rust or C on events of usual size.
    pub const DEFAULT: Self = Self {
        memory: 32 << 20,
        deadline_ms: 50,
        output: 256 << 10,
        batch: 256,
    };
    /// The host's own: no manifest and no operator goes beyond.
    pub const MOST: Self = Self {
        memory: MEMORY_BYTES_MAX,
        deadline_ms: DEADLINE_MS_MAX,
        output: OUTPUT_BYTES_MAX,
        batch: ROWS_MAX as u64,
    };

    /// The smaller of each.
    pub fn least(self, other: Self) -> Self {
        Self {
            memory: self.memory.min(other.memory),
            deadline_ms: self.deadline_ms.min(other.deadline_ms),
            output: self.output.min(other.output),
            batch: self.batch.min(other.batch),
        }
    }
}

/// The keys of `[limits]`.
pub(crate) const LIMIT_KEYS: [&str; 4] = ["memory", "deadline", "output", "batch"];

/// The limits that are written, the others as in `otherwise`.
pub(crate) fn read_limits(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    otherwise: Limits,
) -> Limits {
    let most = Limits::MOST;
    let memory = bounded(reader, fields, "memory", most.memory, Unit::Size);
    let deadline = bounded(reader, fields, "deadline", most.deadline_ms, Unit::Period);
    let output = bounded(reader, fields, "output", most.output, Unit::Size);
    let batch = fields.integer(reader, "batch", 1, most.batch);
    Limits {
        memory: memory.unwrap_or(otherwise.memory),
        deadline_ms: deadline.unwrap_or(otherwise.deadline_ms),
        output: output.unwrap_or(otherwise.output),
        batch: batch.unwrap_or(otherwise.batch),
    }
}

impl Manifest {
    /// Reads a manifest; `source` is what diagnostics call the file, and its text.
    pub fn read(source: &Arc<Source>) -> Result<Self, Vec<Report>> {
        let mut reader = Reader::new(source.clone());
        let manifest = read(&mut reader, source);
        match manifest {
            Some(manifest) if reader.errors() == 0 => Ok(manifest),
            _ => Err(reader.finish()),
        }
    }
}

fn read(reader: &mut Reader, source: &Source) -> Option<Manifest> {
    let table = reader.parse(&source.text, MANIFEST_BYTES_MAX)?;
    let keys = [
        "!plugin",
        "reads",
        "writes",
        "capabilities",
        "limits",
        "instance",
        "config",
    ];
    let start = Span::new(0, 0);
    let root = Fields::open(reader, "a manifest", table.get_ref(), start, &keys);
    let plugin = read_plugin(reader, &root);
    let world = plugin.as_ref().and_then(|plugin| plugin.world);
    let reads = read_columns(reader, &root, ["reads", "fields"], "field", |path| {
        is_field_path(path).then(|| path.to_owned())
    });
    let writes = read_columns(reader, &root, ["writes", "columns"], "column", rule_word);
    check_columns(reader, &root, world, &reads, &writes);
    let keys = Capability::ALL.map(Capability::as_str);
    let capabilities = table_of(reader, &root, "capabilities", &keys);
    let asks = read_asks(reader, capabilities, world);
    let limits = match table_of(reader, &root, "limits", &LIMIT_KEYS) {
        Some(fields) => read_limits(reader, &fields, Limits::DEFAULT),
        None => Limits::DEFAULT,
    };
    let instance = read_instance(reader, &root, world);
    let settings = read_settings(reader, root.part("config"));
    let plugin = plugin?;
    Some(Manifest {
        name: plugin.name?,
        version: plugin.version?,
        world: world?,
        contract: plugin.contract?,
        description: plugin.description,
        license: plugin.license,
        reads: reads?,
        writes: writes?,
        asks,
        limits,
        instance: instance?,
        settings,
    })
}

fn table_of<'t, 'i>(
    reader: &mut Reader,
    root: &Fields<'t, 'i>,
    name: &str,
    keys: &[&'static str],
) -> Option<Fields<'t, 'i>> {
    let part = root.part(name)?;
    Fields::of(reader, &format!("`[{name}]`"), name, part, keys)
}

struct Plugin {
    name: Option<PluginName>,
    version: Option<Version>,
    world: Option<World>,
    contract: Option<(u32, u32)>,
    description: String,
    license: String,
}

fn read_plugin(reader: &mut Reader, root: &Fields<'_, '_>) -> Option<Plugin> {
    let keys = [
        "!name",
        "!version",
        "!world",
        "!contract",
        "description",
        "license",
    ];
    let fields = table_of(reader, root, "plugin", &keys)?;
    let name = fields.parsed(
        reader,
        "name",
        "name of a plugin",
        PLUGIN_NAME,
        PluginName::new,
    );
    let version = fields.parsed(reader, "version", "version", VERSION, Version::new);
    let world = fields.text(reader, "world").and_then(|(text, span)| {
        reader.word(
            "world",
            text,
            span,
            &World::ALL.map(|world| (world.as_str(), world)),
        )
    });
    Some(Plugin {
        name,
        version,
        world,
        contract: read_contract(reader, &fields),
        description: read_text(reader, &fields, "description"),
        license: read_text(reader, &fields, "license"),
    })
}

fn read_contract(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<(u32, u32)> {
    let (text, span) = fields.text(reader, "contract")?;
    let expected = "two whole numbers, such as `1.0`";
    let contract = reader.parsed(
        text,
        span,
        "version of the contract",
        expected,
        value::contract,
    )?;
    let (major, minor) = CONTRACT;
    if contract.0 != major || contract.1 > minor {
        let message = format!("the plugin was made for the contract {text}");
        let expected = format!("{major}.0 to {major}.{minor}, which this host speaks");
        reader.malformed(span, message, &expected);
        return None;
    }
    Some(contract)
}

fn read_text(reader: &mut Reader, fields: &Fields<'_, '_>, name: &str) -> String {
    let Some((text, span)) = fields.text(reader, name) else {
        return String::new();
    };
    reader.within("bytes", text.len(), TEXT_BYTES_MAX, span);
    text.to_owned()
}

/// `fields` of `[reads]` and `columns` of `[writes]`.
fn read_columns(
    reader: &mut Reader,
    root: &Fields<'_, '_>,
    [table, key]: [&'static str; 2],
    what: &str,
    parse: impl Fn(&str) -> Option<String>,
) -> Option<Vec<Column>> {
    if root.part(table).is_none() {
        return Some(Vec::new());
    }
    let required = match key {
        "fields" => "!fields",
        _ => "!columns",
    };
    let fields = table_of(reader, root, table, &[required])?;
    let texts = fields.texts(reader, key);
    let span = fields.part(key).map_or(fields.span, span_of);
    if !reader.within(key, texts.len(), COLUMNS_MAX, span) {
        return None;
    }
    let mut columns: Vec<Column> = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        let Some(column) = read_column(reader, text, span, what, &parse) else {
            continue;
        };
        if columns.iter().any(|one| one.name == column.name) {
            reader.repeated(&column.name, span);
            continue;
        }
        columns.push(column);
    }
    Some(columns)
}

fn read_column(
    reader: &mut Reader,
    text: &str,
    span: Span,
    what: &str,
    parse: impl Fn(&str) -> Option<String>,
) -> Option<Column> {
    let kinds = ColumnKind::ALL.map(|kind| (kind.as_str(), kind));
    let expected = match what {
        "field" => "a dotted path, a colon and a kind, such as `sourceIPAddress:text`".to_owned(),
        _ => format!("a name, a colon and a kind, such as `country:symbol`; a name is {RULE_WORD}"),
    };
    let parts = text.rsplit_once(':');
    let (name, kind) = reader.parsed(text, span, what, &expected, |_| parts)?;
    let name = reader.parsed(name, span, what, &expected, parse);
    let kind = reader.word(what, kind, span, &kinds);
    Some(Column {
        name: name?,
        kind: kind?,
    })
}

/// What the world says of columns: who is given batches reads something, and enrichers alone write.
fn check_columns(
    reader: &mut Reader,
    root: &Fields<'_, '_>,
    world: Option<World>,
    reads: &Option<Vec<Column>>,
    writes: &Option<Vec<Column>>,
) {
    let (Some(world), Some(reads), Some(writes)) = (world, reads, writes) else {
        return;
    };
    let is_enricher = world == World::Enricher;
    let wanted = [
        ("reads", "fields", world.reads_batches(), reads.is_empty()),
        ("writes", "columns", is_enricher, writes.is_empty()),
    ];
    for (table, key, is_wanted, is_empty) in wanted {
        let world = world.as_str();
        match root.part(table) {
            Some(part) if !is_wanted => {
                let message = format!("a plugin of the world `{world}` has no `[{table}]`");
                reader.malformed(span_of(part), message, "nothing here");
            }
            None if is_wanted => {
                let message = format!("a plugin of the world `{world}` needs `[{table}]`");
                reader.report(
                    Diagnostic::new(Code::MissingKey, root.span, message)
                        .with_help(format!("Add `{key} = […]` to it.")),
                );
            }
            Some(part) if is_empty && reader.errors() == 0 => {
                let message = format!("`{key}` of `[{table}]` is empty");
                reader.malformed(span_of(part), message, "at least one");
            }
            _ => {}
        }
    }
}

/// Who remembers within itself lives on; all others start afresh unless they say otherwise.
fn read_instance(
    reader: &mut Reader,
    root: &Fields<'_, '_>,
    world: Option<World>,
) -> Option<InstanceMode> {
    let remembers = world == Some(World::StatefulDetector);
    let mode = match table_of(reader, root, "instance", &["!mode"]) {
        None if remembers => return Some(InstanceMode::Reused),
        None => return Some(InstanceMode::PerBatch),
        Some(fields) => fields.text(reader, "mode"),
    };
    let (text, span) = mode?;
    let words = [
        ("per-batch", InstanceMode::PerBatch),
        ("reused", InstanceMode::Reused),
    ];
    let mode = reader.word("mode", text, span, &words)?;
    if remembers && mode == InstanceMode::PerBatch {
        let message = "a stateful detector that starts afresh remembers nothing";
        reader.malformed(span, message, "`reused`, or another world");
        return None;
    }
    if world == Some(World::Planner) && mode == InstanceMode::Reused {
        let message = "a planner that goes on could remember what it was asked before";
        reader.malformed(span, message, "`per-batch`, or nothing");
        return None;
    }
    Some(mode)
}
