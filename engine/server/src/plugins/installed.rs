//! The plugins that an operator's file declares: their files, signatures, manifests and rights.
//!
//! Relies on the host for what is allowed. A plugin that is not what it should be is off and told; the others run. Rules
//! that ask one that is off are switched off like rules that ask one that there is not.

use super::hosted::Hosted;
use crate::causes::with_causes;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tripline_core::diagnostic::{Palette, Source};
use tripline_core::rule::{self, Answer, FactKind};
use tripline_host::batch::ColumnKind;
use tripline_host::grant::kv::Stores;
use tripline_host::grant::log::{CallLog, Level};
use tripline_host::grant::{Means, Shared, SystemClock};
use tripline_host::jail::Jail;
use tripline_host::manifest::{Limits, Manifest, World};
use tripline_host::operator::{self, Operator, Rights, SecretSource, Shortfall, rights};
use tripline_host::scan::{Scanned, scan};
use tripline_host::sign::{Rollback, Verified, verify};
use tripline_host::{Compiler, Host, Loading, Meter, OpenError, Plugin, Settings};

/// Longest component that is read; the host refuses shorter ones.
const COMPONENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest operator file and signature that is read.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why no plugin can run at all.
#[derive(Debug, Error)]
pub(crate) enum PluginsError {
    #[error("{path}: cannot be read")]
    Read { path: String, source: io::Error },
    #[error("{path}: longer than {most} bytes")]
    TooLong { path: String, most: u64 },
    #[error("{0}: not UTF-8 text")]
    NotText(String),
    /// The mistakes, rendered.
    #[error("{0}")]
    Mistakes(String),
    #[error("--decoder: {0}")]
    Decoder(String),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(
        "this program does not know where it is, so it cannot start the child that compiles plugins"
    )]
    Program(#[source] io::Error),
}

/// A plugin whose file is what the operator says.
pub(crate) struct Declared {
    /// What rules call it.
    pub(crate) alias: String,
    pub(crate) path: PathBuf,
    pub(crate) component: Vec<u8>,
    pub(crate) scanned: Scanned,
    pub(crate) manifest: Manifest,
    pub(crate) verified: Verified,
    pub(crate) rights: Rights,
    /// What it asks for and does not get.
    pub(crate) shortfalls: Vec<Shortfall>,
    pub(crate) limits: Limits,
    config: Option<String>,
    requests_per_minute: u64,
}

/// Whether the signatures beside components count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signatures {
    Looked,
    PassedOver,
}

/// Everything that an operator's file declares.
pub(crate) struct Installed {
    folder: PathBuf,
    pub(crate) plugins: Vec<Declared>,
    /// Plugins that are off, and why.
    pub(crate) off: Vec<(String, String)>,
    stores: Stores,
    /// What plugins write is shown from this level on.
    shown_from: Level,
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.plugins.iter().map(|one| &one.alias);
        f.debug_list().entries(names).finish()
    }
}

impl Installed {
    /// No plugins.
    pub(crate) fn none() -> Self {
        Self {
            folder: PathBuf::new(),
            plugins: Vec::new(),
            off: Vec::new(),
            stores: Stores::default(),
            shown_from: Level::Warn,
        }
    }

    /// Reads the file and everything that it names but tables and secrets.
    pub(crate) fn read(path: Option<&str>) -> Result<Self, PluginsError> {
        let Some(path) = path else {
            return Ok(Self::none());
        };
        let source = Arc::new(Source {
            name: path.to_owned(),
            text: text(Path::new(path))?,
        });
        let folder = Path::new(path).parent();
        let folder = folder.unwrap_or(Path::new(""));
        Self::of_source(&source, folder, Signatures::Looked)
    }

    /// The same of a text, whose paths are relative to `folder`.
    pub(crate) fn of_source(
        source: &Arc<Source>,
        folder: &Path,
        signatures: Signatures,
    ) -> Result<Self, PluginsError> {
        let operator = Operator::read(source).map_err(|reports| {
            let texts = reports.iter().map(|one| one.render(Palette::PLAIN));
            PluginsError::Mistakes(texts.collect::<String>().trim_end().to_owned())
        })?;
        let mut installed = Self {
            folder: folder.to_owned(),
            ..Self::none()
        };
        for plugin in &operator.plugins {
            match declared(&installed.folder, plugin, &operator, signatures) {
                Ok(declared) => installed.plugins.push(declared),
                Err(reason) => installed.off.push((plugin.alias.clone(), reason)),
            }
        }
        Ok(installed)
    }

    /// The same, showing everything that plugins write.
    pub(crate) fn talking(self) -> Self {
        Self {
            shown_from: Level::Trace,
            ..self
        }
    }

    /// Tells which plugins are off, and why.
    pub(crate) fn tell_off(&self) {
        for (alias, reason) in &self.off {
            tell(alias, "is off", reason);
        }
    }

    /// What rules may ask them.
    pub(crate) fn answers(&self) -> rule::Plugins {
        let answers = self.plugins.iter();
        let answers =
            answers.filter_map(|one| Some((one.alias.clone(), answer_of(&one.manifest)?)));
        answers.collect()
    }

    /// The files that are read.
    pub(crate) fn paths_read(&self) -> impl Iterator<Item = PathBuf> {
        let tables = self.plugins.iter().flat_map(|one| &one.rights.lookup);
        let tables = tables.map(|(_, path)| self.folder.join(path));
        let own = self.plugins.iter().map(|one| one.path.clone());
        own.chain(tables)
    }

    /// Starts the plugins of these names. Those that do not start are told and give no answers.
    pub(crate) fn start(
        &self,
        names: &[String],
        cache: Option<PathBuf>,
    ) -> Result<Vec<Hosted>, PluginsError> {
        let wanted = |one: &&Declared| names.contains(&one.alias);
        let wanted: Vec<&Declared> = self.plugins.iter().filter(wanted).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let host = host(cache)?;
        let mut started = Vec::new();
        for one in wanted {
            match self.load(&host, one) {
                Ok(plugin) => started.push(Hosted::new(one.alias.clone(), plugin)),
                Err(reason) => tell(&one.alias, "did not start", &reason),
            }
        }
        Ok(started)
    }

    /// Loads one plugin.
    pub(crate) fn load(&self, host: &Host, one: &Declared) -> Result<Plugin, String> {
        let kv = one
            .rights
            .kv
            .map(|bounds| self.stores.open(&one.alias, bounds));
        let means = Means {
            base: &self.folder,
            clock: Arc::new(SystemClock),
            kv,
            secret: &secret,
            requests_per_minute: one.requests_per_minute,
        };
        let shared = Shared::open(one.rights.clone(), means);
        let shared = shared.map_err(|fault| with_causes(&fault))?;
        let (alias, from) = (one.alias.clone(), self.shown_from);
        let loading = Loading {
            component: &one.component,
            manifest: one.manifest.clone(),
            limits: one.limits,
            shared: Arc::new(shared),
            config: one.config.clone(),
            log: Some(Arc::new(move |log: &CallLog| show_log(&alias, from, log))),
        };
        host.load(loading).map_err(|error| with_causes(&error))
    }
}

/// The host, which compiles in a child that is this program.
pub(crate) fn host(cache: Option<PathBuf>) -> Result<Host, PluginsError> {
    let mut settings = settings()?;
    if cache.is_none()
        && let Some(usual) = cache_default()
    {
        settings.cache = Some(usual);
        match Host::open(settings.clone()) {
            // Nobody asked for it: without it, plugins are compiled at each start.
            Err(OpenError::Cache { .. }) => settings.cache = None,
            opened => return Ok(opened?),
        }
    } else {
        settings.cache = cache;
    }
    Ok(Host::open(settings)?)
}

/// One that counts instructions, and keeps nothing of what it compiles.
pub(crate) fn counting_host() -> Result<Host, PluginsError> {
    let mut settings = settings()?;
    settings.meter = Meter::Instructions;
    Ok(Host::open(settings)?)
}

fn settings() -> Result<Settings, PluginsError> {
    let program = std::env::current_exe().map_err(PluginsError::Program)?;
    let jail = Jail {
        program,
        arguments: vec![
            OsString::from("plugin"),
            OsString::from("compile-from-stdin"),
        ],
    };
    Ok(Settings::new(Compiler::Jail(jail)))
}

/// Where compiled plugins are kept: in the cache of this user.
fn cache_default() -> Option<PathBuf> {
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match given("XDG_CACHE_HOME") {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(given("HOME")?).join(".cache"),
    };
    Some(base.join("tripline").join("plugins"))
}

/// Lines of a plugin on standard error.
fn show_log(alias: &str, from: Level, log: &CallLog) {
    let mut text = String::new();
    for line in &log.lines {
        if line.level >= from {
            let fields = line.fields.iter();
            let fields: String = fields
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            let word = level_word(line.level);
            let _ = writeln!(text, "plugin {alias}: {word}: {}{fields}", line.message);
        }
    }
    // Nobody may be listening; what the plugin says changes nothing.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warning",
        Level::Error => "error",
    }
}

fn tell(alias: &str, what: &str, reason: &str) {
    let _ = writeln!(io::stderr(), "warning: plugin `{alias}` {what}: {reason}");
}

fn declared(
    folder: &Path,
    plugin: &operator::Plugin,
    operator: &Operator,
    signatures: Signatures,
) -> Result<Declared, String> {
    let path = folder.join(&plugin.path);
    let component = bytes(&path, COMPONENT_BYTES_MAX).map_err(|error| with_causes(&error))?;
    let beside = folder.join(&plugin.signature);
    let is_looked = signatures == Signatures::Looked;
    let signature = match is_looked && (beside.exists() || plugin.signature_named) {
        true => Some(text(&beside).map_err(|error| with_causes(&error))?),
        false => None,
    };
    let verified = verify(
        &component,
        signature.as_deref(),
        &operator.trust,
        plugin.digest,
    );
    let verified = verified.map_err(|fault| with_causes(&fault))?;
    let scanned = scan(&component).map_err(|fault| with_causes(&fault))?;
    let manifest = manifest_of(&scanned, &path)?;
    let admitted = verified.admit(&manifest.name, manifest.version, None, Rollback::Refuse);
    admitted.map_err(|fault| with_causes(&fault))?;
    let (rights, shortfalls) = rights(&manifest.asks, &plugin.grant, &verified.ceiling());
    let config = plugin.configuration(&manifest).map_err(|reports| {
        let texts = reports.iter().map(|one| one.render(Palette::PLAIN));
        format!(
            "its settings are wrong\n{}",
            texts.collect::<String>().trim_end()
        )
    })?;
    Ok(Declared {
        alias: plugin.alias.clone(),
        path,
        limits: plugin.limits,
        requests_per_minute: plugin.requests_per_minute,
        component,
        scanned,
        manifest,
        verified,
        rights,
        shortfalls,
        config,
    })
}

/// The manifest that a component carries.
pub(crate) fn manifest_of(scanned: &Scanned, path: &Path) -> Result<Manifest, String> {
    let Some(manifest) = &scanned.manifest else {
        return Err("it carries no manifest; `tripline plugin build` puts it in".to_owned());
    };
    let source = Arc::new(Source {
        name: format!("{} (manifest)", path.display()),
        text: manifest.clone(),
    });
    Manifest::read(&source).map_err(|reports| {
        let texts = reports.iter().map(|one| one.render(Palette::PLAIN));
        format!(
            "its manifest is wrong\n{}",
            texts.collect::<String>().trim_end()
        )
    })
}

fn answer_of(manifest: &Manifest) -> Option<Answer> {
    let kind = |kind: ColumnKind| match kind {
        ColumnKind::Bool => FactKind::Bool,
        ColumnKind::Int => FactKind::Int,
        ColumnKind::Float => FactKind::Float,
        ColumnKind::Text | ColumnKind::Symbol => FactKind::Text,
        ColumnKind::Json => FactKind::Any,
    };
    match manifest.world {
        World::Enricher => {
            let writes = manifest.writes.iter();
            let writes = writes.map(|column| (column.name.clone(), kind(column.kind)));
            Some(Answer::Columns(writes.collect()))
        }
        World::Scorer => Some(Answer::Score),
        World::Detector => Some(Answer::Hit),
        // Rules ask about one event; these are for other questions.
        World::StatefulDetector | World::Policy | World::Decoder | World::Remediator => None,
    }
}

fn secret(source: &SecretSource) -> Option<String> {
    match source {
        SecretSource::Env(name) => std::env::var(name).ok(),
        SecretSource::File(path) => {
            let text = text(path).ok()?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

/// A file of at most so many bytes.
pub(crate) fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, PluginsError> {
    let name = || path.display().to_string();
    let read = |source| PluginsError::Read {
        path: name(),
        source,
    };
    let mut bytes = Vec::new();
    // Looked at before it is opened: opening a pipe would wait for whoever writes to it.
    let is_file = std::fs::metadata(path).map_err(read)?.is_file();
    if !is_file {
        return Err(read(io::Error::other("it is no file")));
    }
    let file = File::open(path).map_err(read)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(read)?;
    match bytes.len() as u64 > most {
        true => Err(PluginsError::TooLong { path: name(), most }),
        false => Ok(bytes),
    }
}

pub(crate) fn text(path: &Path) -> Result<String, PluginsError> {
    let text = String::from_utf8(bytes(path, TEXT_BYTES_MAX)?);
    text.map_err(|_| PluginsError::NotText(path.display().to_string()))
}
