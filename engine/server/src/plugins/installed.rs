//! The plugins that an operator's file declares: their files, signatures, manifests and rights.
//!
//! Relies on the host for what is allowed. A plugin that is not what it should be is off and told; the others run. Rules
//! that ask one that is off are switched off like rules that ask one that there is not.

use super::hosted::Hosted;
use super::lines::Lines;
use super::registry::pulled;
use super::started::Started;
use crate::causes::with_causes;
use crate::terminal::counted;
use std::ffi::OsString;
use std::fmt;
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
use tripline_host::operator::{self, Operator, Origin, Rights, SecretSource, Shortfall, rights};
use tripline_host::scan::{Scanned, scan};
use tripline_host::sign::{Floor, Verified, verify};
use tripline_host::versions::Versions;
use tripline_host::{Compiler, Host, Loading, Meter, OpenError, Plugin, Settings};

/// Longest component that is read; the host refuses shorter ones.
const COMPONENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest operator file and signature that is read.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Address space that the allocator of the compiling child reserves at a time: of its own it takes a GiB, and the child may have two.
const CHILD_RESERVE_KIB: &str = "65536";

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
    /// The file that it is in; none where it is in a registry.
    path: Option<PathBuf>,
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
    /// Whether the operator says which version it has at least.
    has_floor: bool,
}

/// A component, and the signature that came with it.
pub(super) struct Had {
    /// As messages call it.
    name: String,
    path: Option<PathBuf>,
    pub(super) component: Vec<u8>,
    pub(super) signature: Option<String>,
}

/// Whether the signatures beside components, and the versions that ran, count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signatures {
    Looked,
    PassedOver,
}

/// Everything that an operator's file declares.
pub(crate) struct Installed {
    folder: PathBuf,
    /// Where compiled plugins and the versions that ran are kept, if the operator says where.
    cache: Option<PathBuf>,
    pub(crate) plugins: Vec<Declared>,
    /// Plugins that are off, and why.
    pub(crate) off: Vec<(String, String)>,
    stores: Arc<Stores>,
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
            cache: None,
            plugins: Vec::new(),
            off: Vec::new(),
            stores: Arc::default(),
            shown_from: Level::Warn,
        }
    }

    /// Reads the file and everything that it names but tables and secrets.
    pub(crate) fn read(path: Option<&str>, cache: Option<PathBuf>) -> Result<Self, PluginsError> {
        Self::read_trusting(path, cache, (None, None))
    }

    /// The same of a file that others handed on; whom to trust stands in this machine's own, where it has one. Of one plugin `only`,
    /// where one is named.
    pub(crate) fn read_trusting(
        path: Option<&str>,
        cache: Option<PathBuf>,
        (own, only): (Option<&str>, Option<&str>),
    ) -> Result<Self, PluginsError> {
        let Some(path) = path else {
            return Ok(Self::none());
        };
        let (_, mut operator) = operator_of(path)?;
        if let Some(own) = own {
            let (_, own) = operator_of(own)?;
            operator.trust = own.trust;
            for plugin in &mut operator.plugins {
                // Pinned bytes may be older than what ran here: that is not for others to say.
                let pinned = |digest: &_| own.plugins.iter().any(|one| one.digest == Some(*digest));
                plugin.digest = plugin.digest.filter(pinned);
            }
        }
        if let Some(only) = only {
            operator.plugins.retain(|plugin| plugin.alias == only);
        }
        Ok(Self::beside(Path::new(path), cache).with(&operator, Signatures::Looked))
    }

    /// No plugins yet; paths are relative to the folder of this file.
    pub(super) fn beside(path: &Path, cache: Option<PathBuf>) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self {
            folder: folder.to_owned(),
            cache,
            ..Self::none()
        }
    }

    /// Where a path of the operator's file leads.
    pub(super) fn at(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The same of a text, whose paths are relative to `folder`, whatever signatures lie beside them.
    pub(crate) fn of_source(source: &Arc<Source>, folder: &Path) -> Result<Self, PluginsError> {
        let empty = Self {
            folder: folder.to_owned(),
            ..Self::none()
        };
        Ok(empty.with(&operator_in(source)?, Signatures::PassedOver))
    }

    fn with(mut self, operator: &Operator, signatures: Signatures) -> Self {
        let versions = match signatures {
            Signatures::Looked => self.versions(),
            Signatures::PassedOver => None,
        };
        for plugin in &operator.plugins {
            let had = self.had(plugin, signatures);
            match had.and_then(|had| declared(had, plugin, operator, versions.as_ref())) {
                Ok(declared) => self.plugins.push(declared),
                Err(reason) => self.off.push((plugin.alias.clone(), reason)),
            }
        }
        self
    }

    /// The same, with what plugins kept that ran before.
    pub(crate) fn with_stores(self, stores: Arc<Stores>) -> Self {
        Self { stores, ..self }
    }

    /// The same, showing everything that plugins write.
    pub(crate) fn talking(self) -> Self {
        Self {
            shown_from: Level::Trace,
            ..self
        }
    }

    /// The component and its signature, from where the operator says they are.
    pub(super) fn had(
        &self,
        plugin: &operator::Plugin,
        signatures: Signatures,
    ) -> Result<Had, String> {
        let read = |path: &Path| text(path).map_err(|error| with_causes(&error));
        let named = plugin.signature.as_ref().map(|path| self.folder.join(path));
        let mut had = match &plugin.origin {
            Origin::File(path) => {
                let path = self.folder.join(path);
                let component = bytes(&path, COMPONENT_BYTES_MAX);
                let mut beside = path.clone().into_os_string();
                beside.push(".minisig");
                let beside = Some(PathBuf::from(beside));
                let beside = beside.filter(|beside| named.is_none() && beside.exists());
                let is_looked = signatures == Signatures::Looked;
                let beside = beside.filter(|_| is_looked);
                Had {
                    name: path.display().to_string(),
                    component: component.map_err(|error| with_causes(&error))?,
                    signature: beside.as_deref().map(read).transpose()?,
                    path: Some(path),
                }
            }
            Origin::Registry(reference) => {
                let pulled = pulled(reference, self.cache.clone());
                let pulled = pulled.map_err(|fault| with_causes(&fault))?;
                Had {
                    name: reference.to_string(),
                    component: pulled.component,
                    signature: pulled.signature,
                    path: None,
                }
            }
        };
        if let Some(named) = named.filter(|_| signatures == Signatures::Looked) {
            had.signature = Some(read(&named)?);
        }
        Ok(had)
    }

    /// Which versions ran, where something is kept: that none did is not worth making a folder.
    fn versions(&self) -> Option<Versions> {
        let folder = kept_in(self.cache.clone()).filter(|folder| folder.exists())?;
        // What is wrong with a folder that was given is told when the host opens it.
        Versions::open(&folder).ok()
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
        let answers = answers.map(|one| {
            let answer = answer_of(&one.alias, &one.manifest);
            (one.alias.clone(), answer)
        });
        // The first line of a reason: the whole is told where plugins are loaded.
        let off = self.off.iter().map(|(alias, reason)| {
            let reason = reason.lines().next().unwrap_or_default().to_owned();
            (alias.clone(), Answer::Off { reason })
        });
        answers.chain(off).collect()
    }

    /// The files that are read.
    pub(crate) fn paths_read(&self) -> impl Iterator<Item = PathBuf> {
        let tables = self.plugins.iter().flat_map(|one| &one.rights.lookup);
        let tables = tables.map(|(_, path)| self.folder.join(path));
        let own = self.plugins.iter().filter_map(|one| one.path.clone());
        own.chain(tables)
    }

    /// Starts the plugins of these names. Those that do not start are told and give no answers.
    pub(crate) fn start(&self, names: &[String]) -> Result<Started, PluginsError> {
        let wanted = |one: &&Declared| names.contains(&one.alias);
        let wanted: Vec<&Declared> = self.plugins.iter().filter(wanted).collect();
        if wanted.is_empty() {
            return Ok(Started::default());
        }
        let host = host(self.cache.clone())?;
        let versions = self.versions();
        let mut started = Started::default();
        for one in wanted {
            match self.load(&host, one) {
                Ok(plugin) => {
                    remember(one, versions.as_ref());
                    let hosted = Hosted::new(one.alias.clone(), plugin);
                    started.running.push(hosted);
                }
                Err(reason) => {
                    tell(&one.alias, "did not start", &reason);
                    started.absent.push((one.alias.clone(), reason));
                }
            }
        }
        let counts = host.cache_counts();
        if counts.refused > 0 {
            let _ = writeln!(
                io::stderr(),
                "warning: {} in the cache of compiled plugins had been changed or written by somebody else; \
                 compiled anew",
                counted(counts.refused, "file")
            );
        }
        if counts.unwritten > 0 {
            let _ = writeln!(
                io::stderr(),
                "warning: {} could not be kept in the cache: each start compiles anew",
                counted(counts.unwritten, "compiled plugin")
            );
        }
        Ok(started)
    }

    /// What the plugin was granted, with its tables and secrets read.
    pub(crate) fn shared(&self, one: &Declared) -> Result<Shared, String> {
        // By its own name too: what takes its place under the alias is another plugin, and may not read what this one kept.
        let owner = format!("{} {}", one.alias, one.manifest.name);
        let kv = one.rights.kv.map(|bounds| self.stores.open(&owner, bounds));
        let means = Means {
            base: &self.folder,
            clock: Arc::new(SystemClock),
            kv,
            secret: &|source| secret(&self.folder, source),
            requests_per_minute: one.requests_per_minute,
        };
        let shared = Shared::open(one.rights.clone(), means);
        shared.map_err(|fault| with_causes(&fault))
    }

    /// Loads one plugin.
    pub(crate) fn load(&self, host: &Host, one: &Declared) -> Result<Plugin, String> {
        let shared = self.shared(one)?;
        let lines = Lines::new(one.alias.clone(), self.shown_from);
        let loading = Loading {
            component: &one.component,
            manifest: one.manifest.clone(),
            limits: one.limits,
            shared: Arc::new(shared),
            config: one.config.clone(),
            log: Some(Arc::new(move |log: &CallLog| lines.show(log))),
        };
        host.load(loading).map_err(|error| with_causes(&error))
    }
}

/// The text and the meaning of an operator's file.
pub(super) fn operator_of(path: &str) -> Result<(Arc<Source>, Operator), PluginsError> {
    let source = Arc::new(Source {
        name: path.to_owned(),
        text: text(Path::new(path))?,
    });
    let operator = operator_in(&source)?;
    Ok((source, operator))
}

pub(super) fn operator_in(source: &Arc<Source>) -> Result<Operator, PluginsError> {
    Operator::read(source).map_err(|reports| {
        let texts = reports.iter().map(|one| one.render(Palette::PLAIN));
        PluginsError::Mistakes(texts.collect::<String>().trim_end().to_owned())
    })
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

/// Remembers that this version ran, if somebody signed it: what nobody answers for says of its version what it likes.
fn remember(one: &Declared, versions: Option<&Versions>) {
    let fault = match (versions, &one.verified.signer) {
        (_, None) => return,
        (None, Some(_)) if one.has_floor => return,
        (None, Some(_)) => {
            "there is no cache to remember its version in; say `--plugin-cache`, or `version_min` in the operator's file"
                .to_owned()
        }
        (Some(versions), Some(_)) => {
            match versions.remember(&one.manifest.name, one.manifest.version) {
                Ok(()) => return,
                Err(fault) => with_causes(&fault),
            }
        }
    };
    tell(
        &one.alias,
        "runs, but an older version could take its place",
        &fault,
    );
}

/// The folder that was given, or the usual one.
pub(super) fn kept_in(cache: Option<PathBuf>) -> Option<PathBuf> {
    cache.or_else(cache_default)
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
        environment: vec![(
            OsString::from("MIMALLOC_ARENA_RESERVE"),
            OsString::from(CHILD_RESERVE_KIB),
        )],
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

fn tell(alias: &str, what: &str, reason: &str) {
    let _ = writeln!(io::stderr(), "warning: plugin `{alias}` {what}: {reason}");
}

fn declared(
    had: Had,
    plugin: &operator::Plugin,
    operator: &Operator,
    versions: Option<&Versions>,
) -> Result<Declared, String> {
    let Had {
        name,
        path,
        component,
        signature,
    } = had;
    let verified = verify(
        &component,
        signature.as_deref(),
        &operator.trust,
        plugin.digest,
    );
    let verified = verified.map_err(|fault| with_causes(&fault))?;
    let scanned = scan(&component).map_err(|fault| with_causes(&fault))?;
    let manifest = manifest_of(&scanned, Path::new(&name))?;
    let ran = match (versions, &verified.signer, plugin.digest) {
        // Of these bytes the operator said that they are meant.
        (_, _, Some(_)) | (None, _, _) | (_, None, _) => Ok(None),
        (Some(versions), Some(_), None) => versions.known(&manifest.name),
    };
    let floor = Floor {
        least: plugin.version_min,
        ran: ran.map_err(|fault| with_causes(&fault))?,
    };
    let admitted = verified.admit(&manifest.name, manifest.version, floor);
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
        has_floor: plugin.version_min.is_some() || plugin.digest.is_some(),
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

fn answer_of(alias: &str, manifest: &Manifest) -> Answer {
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
            Answer::Columns(writes.collect())
        }
        World::Scorer => Answer::Score,
        World::Detector | World::StatefulDetector => Answer::Hit,
        World::Policy => Answer::Decision,
        // Rules ask about one event; these are for other questions.
        World::Decoder => Answer::Unasked {
            job: "a decoder",
            help: format!(
                "`--decoder {alias}` makes events of inputs with it, and `decoder` of a channel of what is pushed"
            ),
        },
        World::Remediator => unasked("a remediator"),
        World::Planner => Answer::Unasked {
            job: "a planner",
            help: format!("a policy uses it: `action = \"plugin:{alias}\"`"),
        },
    }
}

/// A secret; files lie relative to the folder of the operator's file.
fn secret(folder: &Path, source: &SecretSource) -> Option<String> {
    match source {
        SecretSource::Env(name) => std::env::var(name).ok(),
        SecretSource::File(path) => {
            let text = text(&folder.join(path)).ok()?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

/// A plugin that only its own commands run.
fn unasked(job: &'static str) -> Answer {
    let help = "`tripline plugin run` and `tripline plugin test` run it".to_owned();
    Answer::Unasked { job, help }
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
