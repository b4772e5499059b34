//! The configuration of the service: one TOML file, every default written down in `default.toml`.
//!
//! Read in three layers: the defaults, the file, the environment. A mistake in the file is shown with its line; one in the
//! environment with the name of its variable. Unknown keys are mistakes. Secrets are never in here, only the names of files
//! that hold them, so a configuration can be printed.

mod channels;
mod destination;
mod length;
mod nats;
mod place;
mod remediation;
mod sink;
mod telemetry;

pub(crate) use channels::ChannelsConfig;
pub(crate) use destination::{DestinationConfig, DestinationKind};
pub(crate) use length::Length;
pub(crate) use nats::{Bus, BusKind, InexactRules, Nats, Released, RulesFrom, Store};
pub(crate) use place::Place;
pub(crate) use remediation::RemediationConfig;
use sink::is_subject;
pub(crate) use sink::{FileFormat, From, SinkConfig, SinkKind, Template};
pub(crate) use telemetry::{Telemetry, TelemetryFormat, TracesConfig};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tripline_core::rule::Effect;

/// The defaults, with a comment on each.
pub(crate) const DEFAULTS: &str = include_str!("default.toml");

/// What variables that set something begin with.
const ENVIRONMENT: &str = "TRIPLINE__";

/// Most bytes of a configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) data_free_min_mib: u64,
    pub(crate) rules: Rules,
    pub(crate) bus: Bus,
    pub(crate) log: Log,
    pub(crate) nats: Nats,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) history: History,
    pub(crate) http: Http,
    pub(crate) channels: ChannelsConfig,
    pub(crate) decisions: DecisionsConfig,
    pub(crate) remediation: RemediationConfig,
    pub(crate) telemetry: Telemetry,
    pub(crate) traces: TracesConfig,
    pub(crate) sinks: BTreeMap<String, SinkConfig>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    pub(crate) paths: Vec<String>,
    pub(crate) lists: Vec<String>,
    pub(crate) sigma: Vec<String>,
    pub(crate) sigma_pipelines: Vec<String>,
    pub(crate) plugins: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) durability: LogDurability,
    pub(crate) size_max_mib: u64,
    pub(crate) evaluated_kept_mib: u64,
    pub(crate) segment_mib: u64,
    pub(crate) when_full: WhenFull,
    pub(crate) event_max_mib: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogDurability {
    Fsync,
    Process,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenFull {
    Refuse,
    DropOldest,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Engine {
    pub(crate) threads: usize,
    pub(crate) batch_events: usize,
    pub(crate) state_memory_mib: u64,
    pub(crate) state_from: PathBuf,
    pub(crate) commit_every: Length,
    pub(crate) snapshot_every: Length,
    pub(crate) tick_every: Length,
    pub(crate) undelivered_max: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct History {
    pub(crate) retention: Length,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) listen: String,
    pub(crate) token_file: String,
    pub(crate) body_max_mib: u64,
    pub(crate) inflated_max_mib: u64,
    pub(crate) memory_max_mib: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionsConfig {
    pub(crate) unmatched: EffectWord,
    pub(crate) undecided: EffectWord,
    pub(crate) deadline: Length,
    pub(crate) threads: usize,
    pub(crate) subject: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EffectWord {
    Allow,
    RequireApproval,
    Deny,
}

impl EffectWord {
    /// As rules have it.
    pub(crate) fn effect(self) -> Effect {
        match self {
            Self::Allow => Effect::Allow,
            Self::RequireApproval => Effect::RequireApproval,
            Self::Deny => Effect::Deny,
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{path}: cannot be read")]
    Read {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: longer than a configuration may be ({FILE_BYTES_MAX} bytes)")]
    TooLong { path: String },
    #[error("{path}: {message}")]
    File { path: String, message: String },
    #[error("the environment variable {variable}: {message}")]
    Variable { variable: String, message: String },
    #[error("{0}")]
    Value(String),
}

impl Config {
    /// The configuration of a file, or the defaults, changed by the environment.
    pub(crate) fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table: toml::Table = parse("the defaults", DEFAULTS)?;
        if let Some(path) = file {
            let name = path.display().to_string();
            let text = read_text(path)?;
            let own: toml::Table = parse(&name, &text)?;
            if own.contains_key("sinks") {
                table.remove("sinks");
            }
            merge(&mut table, own);
            // Once more over the text alone, so that what is wrong has a line.
            check(&name, &text)?;
        }
        let variables: Vec<(String, String)> = environment
            .into_iter()
            .filter(|(variable, _)| variable.starts_with(ENVIRONMENT))
            .collect();
        let changed = |without: Option<&str>| {
            let mut table = table.clone();
            for (variable, value) in &variables {
                if without != Some(variable)
                    && let Some(path) = variable.strip_prefix(ENVIRONMENT)
                {
                    set(&mut table, variable, path, value)?;
                }
            }
            Ok::<_, ConfigError>(toml::Value::Table(table).try_into::<Self>())
        };
        let config = match changed(None)? {
            Ok(config) => config,
            Err(error) => {
                let message = error.message().to_owned();
                // The one without which all is well.
                let is_it = |(variable, _): &&(String, String)| {
                    matches!(changed(Some(variable)), Ok(Ok(_)))
                };
                return Err(match variables.iter().find(is_it) {
                    Some((variable, _)) => ConfigError::Variable {
                        variable: variable.clone(),
                        message,
                    },
                    None => ConfigError::Value(format!(
                        "the configuration with the environment: {message}"
                    )),
                });
            }
        };
        config.validate()?;
        Ok(config)
    }

    /// Whether it makes sense.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |words: String| Err(ConfigError::Value(words));
        for (name, value, least, most) in [
            ("log.segment_mib", self.log.segment_mib, 1, 1024),
            (
                "log.size_max_mib",
                self.log.size_max_mib,
                2 * self.log.segment_mib,
                u64::MAX / (1 << 20),
            ),
            (
                "log.evaluated_kept_mib",
                self.log.evaluated_kept_mib,
                0,
                u64::MAX / (1 << 20),
            ),
            ("log.event_max_mib", self.log.event_max_mib, 1, 64),
            ("engine.threads", self.engine.threads as u64, 0, 512),
            (
                "engine.batch_events",
                self.engine.batch_events as u64,
                1,
                65_536,
            ),
            (
                "engine.state_memory_mib",
                self.engine.state_memory_mib,
                16,
                1 << 24,
            ),
            ("decisions.threads", self.decisions.threads as u64, 0, 64),
            ("data_free_min_mib", self.data_free_min_mib, 2, 1 << 30),
            (
                "http.memory_max_mib",
                self.http.memory_max_mib,
                self.http.inflated_max_mib.max(self.http.body_max_mib),
                1 << 20,
            ),
            ("http.body_max_mib", self.http.body_max_mib, 1, 1024),
            (
                "http.inflated_max_mib",
                self.http.inflated_max_mib,
                1,
                16_384,
            ),
        ] {
            if !(least..=most).contains(&value) {
                return wrong(format!(
                    "{name} = {value} is out of range; give {least} to {most}"
                ));
            }
        }
        if !self.http.listen.is_empty() {
            let address = self.listen()?;
            if !address.ip().is_loopback() && self.http.token_file.is_empty() {
                return wrong(format!(
                    "http.listen = \"{address}\" can be reached from elsewhere; give http.token_file, or a loopback address"
                ));
            }
        }
        if !self.decisions.subject.is_empty() && !is_subject(&self.decisions.subject) {
            return wrong(format!(
                "decisions.subject = \"{}\" cannot be asked on; give words with dots between them, without blanks, * and >",
                self.decisions.subject.escape_debug()
            ));
        }
        let begins = !self.engine.state_from.as_os_str().is_empty();
        if begins && (self.bus.kind != BusKind::Embedded || self.store.shared) {
            return wrong(
                "engine.state_from is for a service with a log of its own (bus.type = \"embedded\")".to_owned(),
            );
        }
        self.channels.validate().map_err(ConfigError::Value)?;
        self.nats.validate().map_err(ConfigError::Value)?;
        self.remediation.validate().map_err(ConfigError::Value)?;
        self.store.validate(&self.bus).map_err(ConfigError::Value)?;
        self.telemetry.validate().map_err(ConfigError::Value)?;
        self.traces.validate().map_err(ConfigError::Value)?;
        for (name, sink) in &self.sinks {
            if !is_setting_name(name) {
                return wrong(format!(
                    "the sink \"{}\": a name has letters, digits, - and _, at most 64",
                    name.escape_debug()
                ));
            }
            sink.validate()
                .map_err(|words| ConfigError::Value(format!("sinks.{name}: {words}")))?;
        }
        Ok(())
    }

    /// Files and folders that it names and that cannot be read here, each with its setting and why.
    pub(crate) fn unreadable(&self) -> Vec<String> {
        let mut named = Vec::new();
        // What was read can be written.
        if let Ok(table) = toml::Table::try_from(self) {
            files(&table, "", &mut named);
        }
        let paths = |setting: &str, paths: &[String]| -> Vec<(String, String)> {
            let named = paths.iter().map(|path| (setting.to_owned(), path.clone()));
            named.collect()
        };
        named.extend(paths("rules.paths", &self.rules.paths));
        named.extend(paths("rules.lists", &self.rules.lists));
        named.extend(paths("rules.sigma", &self.rules.sigma));
        named.extend(paths("rules.sigma_pipelines", &self.rules.sigma_pipelines));
        if !self.rules.plugins.is_empty() {
            named.push(("rules.plugins".to_owned(), self.rules.plugins.clone()));
        }
        if self.remediation.enabled {
            named.extend(paths("remediation.policies", &self.remediation.policies));
        }
        let why_not = |path: &str| match Path::new(path).is_dir() {
            true => std::fs::read_dir(path).err(),
            false => std::fs::File::open(path).err(),
        };
        named
            .into_iter()
            .filter_map(|(setting, path)| Some(format!("{setting}: {path}: {}", why_not(&path)?)))
            .collect()
    }

    /// Where the API listens.
    pub(crate) fn listen(&self) -> Result<SocketAddr, ConfigError> {
        self.http.listen.parse().map_err(|_| {
            let listen = &self.http.listen;
            ConfigError::Value(format!(
                "http.listen = \"{listen}\" is no address; give one such as 127.0.0.1:7878"
            ))
        })
    }
}

/// Whether something in the configuration can be called this.
/// Settings that name a file which has to be there, with the file.
fn files(table: &toml::Table, within: &str, named: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let setting = format!("{within}{key}");
        match value {
            toml::Value::Table(inner) => files(inner, &format!("{setting}."), named),
            // These two are made when they are needed.
            toml::Value::String(path)
                if key.ends_with("_file")
                    && !path.is_empty()
                    && !matches!(key.as_str(), "kill_file" | "checkpoints_file") =>
            {
                named.push((setting, path.clone()));
            }
            _ => {}
        }
    }
}

fn is_setting_name(name: &str) -> bool {
    let is_letter = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_');
    (1..=64).contains(&name.len()) && name.chars().all(is_letter)
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read;
    let name = path.display().to_string();
    let fault = |source| ConfigError::Read {
        path: name.clone(),
        source,
    };
    let file = std::fs::File::open(path).map_err(fault)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(fault)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(ConfigError::TooLong { path: name }),
        false => Ok(text),
    }
}

fn parse(name: &str, text: &str) -> Result<toml::Table, ConfigError> {
    text.parse()
        .map_err(|error: toml::de::Error| ConfigError::File {
            path: name.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })
}

/// The same shape with everything optional, to find what is wrong in a file that says only some of it.
fn check(name: &str, text: &str) -> Result<(), ConfigError> {
    macro_rules! partly {
        ($($section:ident: $name:ident { $($field:ident: $type:ty),* $(,)? }),* $(,)?) => {
            $(#[derive(Deserialize)] #[serde(deny_unknown_fields)] #[allow(dead_code)]
            struct $name { $($field: Option<$type>),* })*
            #[derive(Deserialize)] #[serde(deny_unknown_fields)] #[allow(dead_code)]
            struct Partly {
                data: Option<PathBuf>,
                data_free_min_mib: Option<u64>,
                $($section: Option<$name>,)*
                sinks: Option<BTreeMap<String, SinkConfig>>,
            }
        };
    }
    partly! {
        rules: PartlyRules { paths: Vec<String>, lists: Vec<String>, sigma: Vec<String>, sigma_pipelines: Vec<String>, plugins: String },
        bus: PartlyBus { r#type: BusKind },
        nats: PartlyNats { urls: Vec<String>, credentials_file: String, nkey_file: String, token_file: String, user: String, password_file: String, tls_required: bool, tls_first: bool, tls_ca_file: String, tls_cert_file: String, tls_key_file: String, prefix: String, partitions: u32, partition_by: String, inexact_rules: InexactRules, create: bool, start: Place, replicas: usize, size_max_mib: u64, age_max: Length, event_max_kib: u64, duplicate_window: Length, released: Released },
        store: PartlyStore { shared: bool, member: String, shorten_every: u64, rules: RulesFrom },
        log: PartlyLog { durability: LogDurability, size_max_mib: u64, evaluated_kept_mib: u64, segment_mib: u64, when_full: WhenFull, event_max_mib: u64 },
        engine: PartlyEngine { threads: usize, batch_events: usize, state_memory_mib: u64, state_from: PathBuf, commit_every: Length, snapshot_every: Length, tick_every: Length, undelivered_max: u64 },
        history: PartlyHistory { retention: Length },
        http: PartlyHttp { listen: String, token_file: String, body_max_mib: u64, inflated_max_mib: u64, memory_max_mib: u64 },
        channels: PartlyChannels { folder: PathBuf, remember: Length, remember_max: u64, listen: String, tls_cert_file: String, tls_key_file: String, tls_client_ca_file: String, tls_elsewhere: bool, trusted_proxies: Vec<String>, nats_subject: String, destinations: BTreeMap<String, DestinationConfig> },
        decisions: PartlyDecisions { unmatched: EffectWord, undecided: EffectWord, deadline: Length, threads: usize, subject: String },
        remediation: PartlyRemediation { enabled: bool, policies: Vec<String>, threads: usize, endpoint: String, roles: Vec<String>, own_credentials: bool, channels: Vec<String>, accounts: Vec<String>, protected: Vec<String>, protected_accounts: Vec<String>, approvers_file: String, votes_subject: String, kill_file: String, checkpoint_every: Length, checkpoints_file: String, max: u32, window: Length, storm: usize, settled_after: Length, frozen: Vec<remediation::Frozen>, http: BTreeMap<String, crate::remediation::targets::TargetConfig> },
        telemetry: PartlyTelemetry { level: String, format: TelemetryFormat },
        traces: PartlyTraces { otlp: String, sample_ratio: f64, service_name: String },
    }
    toml::from_str::<Partly>(text)
        .map(|_| ())
        .map_err(|error| ConfigError::File {
            path: name.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })
}

/// Puts what a table says over another.
fn merge(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Sets what a variable names. Its value is TOML where that is sound, else text.
fn set(
    table: &mut toml::Table,
    variable: &str,
    path: &str,
    value: &str,
) -> Result<(), ConfigError> {
    let wrong = |message: String| ConfigError::Variable {
        variable: variable.to_owned(),
        message,
    };
    let keys: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
    let Some((last, sections)) = keys.split_last() else {
        return Ok(());
    };
    let mut here = table;
    for section in sections {
        let next = here
            .entry(section.clone())
            .or_insert_with(|| toml::Table::new().into());
        here = next
            .as_table_mut()
            .ok_or_else(|| wrong(format!("`{section}` is a value, not a section")))?;
    }
    let known = here.get(last);
    if known.is_none() && sections.first().is_none_or(|section| section != "sinks") {
        let keys: Vec<&str> = here.keys().map(String::as_str).collect();
        return Err(wrong(format!(
            "there is no setting `{last}` here; there are {}",
            keys.join(", ")
        )));
    }
    let wants_text = known.is_some_and(toml::Value::is_str);
    let parsed = match format!("value = {value}").parse::<toml::Table>() {
        Ok(mut read) if !wants_text => read.remove("value"),
        _ => None,
    };
    here.insert(
        last.clone(),
        parsed.unwrap_or_else(|| value.to_owned().into()),
    );
    Ok(())
}

#[cfg(test)]
mod tests;
