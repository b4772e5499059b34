//! Opens the bus that the configuration names.
//!
//! Positions in the store mean nothing in another log. So the folder of the log says whose positions they are: an embedded log
//! lies in it, or a file names the stream. It must never let a service go on in a log that its positions are not of.

use super::service::{ServeError, make_folder};
use super::sink::read_secret;
use crate::causes::with_causes;
use crate::config::{BusKind, Config, LogDurability, Nats, Released, WhenFull};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tripline_bus::embedded::{Damaged, Flush, Log, LogSettings, WhenFull as FullLog};
use tripline_bus::nats::{
    ConnectSettings, LedgerSettings, Login, NatsBus, NatsConnection, NatsLedger, NatsMembers,
    NatsSettings, Released as ReleasedOn, Secret, StreamSettings, Tls,
};
use tripline_core::port::{Bus, FaultClass, Ledger, Members, Partition, PortFault};
use xxhash_rust::xxh3::xxh3_64;

const MIB: u64 = 1024 * 1024;

/// How often a log that acknowledges before it is flushed is flushed all the same.
const FLUSHES_EVERY: Duration = Duration::from_secs(1);

/// How long a server that is connected may leave a question unanswered at the start; it may have much to do, as after its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// After which it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// What names the stream that the positions in the store are of.
const STREAM_FILE: &str = "nats-stream";

/// The logs, and what processes share when they do.
pub(super) struct Opened {
    /// One for each partition.
    pub(super) logs: Vec<Arc<dyn Bus>>,
    pub(super) shared: Option<Sharing>,
}

/// What processes share their work by.
pub(super) struct Sharing {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) members: Box<dyn Members>,
    /// What this process is called, at this start.
    pub(super) me: String,
}

/// Opens the logs.
pub(super) fn open(config: &Config) -> Result<Opened, ServeError> {
    let folder = config.data.join("log");
    make_folder(&folder)?;
    match config.bus.kind {
        BusKind::Embedded => Ok(Opened {
            logs: vec![Arc::new(embedded(config, &folder)?)],
            shared: None,
        }),
        BusKind::Nats => nats(config, &folder),
    }
}

/// The longest event that the bus takes.
pub(super) fn event_bytes_max(config: &Config) -> usize {
    let bytes = match config.bus.kind {
        BusKind::Embedded => config.log.event_max_mib * MIB,
        BusKind::Nats => config.nats.event_max_kib * 1024,
    };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn embedded(config: &Config, folder: &Path) -> Result<Log, ServeError> {
    if folder.join(STREAM_FILE).exists() {
        return Err(other_log(folder, "a stream of NATS", "nats"));
    }
    let settings = LogSettings {
        segment_bytes: config.log.segment_mib * MIB,
        bytes_max: config.log.size_max_mib * MIB,
        released_bytes_max: config.log.evaluated_kept_mib * MIB,
        record_bytes_max: event_bytes_max(config),
        flush: match config.log.durability {
            LogDurability::Fsync => Flush::Fsync,
            LogDurability::Process => Flush::Process {
                every: FLUSHES_EVERY,
            },
        },
        when_full: match config.log.when_full {
            WhenFull::Refuse => FullLog::Refuse,
            WhenFull::DropOldest => FullLog::DropOldest,
        },
        ..LogSettings::default()
    };
    let (log, recovered) = Log::open(&folder.join("0"), settings).map_err(ServeError::Log)?;
    if recovered.torn_bytes > 0 || !recovered.damaged.is_empty() || recovered.roster_made_anew {
        let damaged: Vec<String> = recovered.damaged.iter().map(Damaged::to_string).collect();
        tracing::warn!(
            torn_bytes = recovered.torn_bytes,
            damaged = damaged.join("; "),
            roster_made_anew = recovered.roster_made_anew,
            "log recovered"
        );
    }
    Ok(log)
}

fn nats(all: &Config, folder: &Path) -> Result<Opened, ServeError> {
    let config = &all.nats;
    if folder.join("0").exists() {
        return Err(other_log(folder, "an embedded log", "embedded"));
    }
    let connection = NatsConnection::open(&connect_settings(config)?).map_err(ServeError::Log)?;
    let stream = stream_settings(config);
    let mut logs: Vec<Arc<dyn Bus>> = Vec::new();
    let mut identities = Vec::new();
    for number in 0..config.partitions {
        let settings = log_settings(config, number);
        let (bus, opened) =
            patiently(|| NatsBus::open(&connection, &settings)).map_err(ServeError::Log)?;
        tracing::info!(
            stream = opened.stream,
            server = opened.server,
            durability = bus.durability().as_str(),
            "stream opened"
        );
        identities.push(opened.identity);
        logs.push(Arc::new(bus));
    }
    let shared = match all.store.shared {
        false => None,
        true => {
            let settings = LedgerSettings {
                prefix: config.prefix.clone(),
                stream: StreamSettings {
                    // What happened is not forgotten by age: whoever comes later begins at its beginning.
                    bytes_max: 0,
                    age_max: None,
                    ..stream
                },
            };
            let (ledger, opened) =
                patiently(|| NatsLedger::open(&connection, &settings)).map_err(ServeError::Log)?;
            identities.push(opened.identity);
            agree(&ledger, config)?;
            let members =
                patiently(|| NatsMembers::open(&connection, &config.prefix, config.replicas))
                    .map_err(ServeError::Log)?;
            Some(Sharing {
                ledger: Arc::new(ledger),
                members: Box::new(members),
                me: name_of_member(&all.store.member),
            })
        }
    };
    claim(folder, &identities.join("\n"))?;
    Ok(Opened { logs, shared })
}

fn stream_settings(config: &Nats) -> StreamSettings {
    StreamSettings {
        replicas: config.replicas,
        bytes_max: config.size_max_mib * MIB,
        age_max: Some(config.age_max.duration()),
        event_bytes_max: usize::try_from(config.event_max_kib * 1024).unwrap_or(usize::MAX),
        duplicate_window: config.duplicate_window.duration(),
        may_create: config.create,
    }
}

fn log_settings(config: &Nats, number: u32) -> NatsSettings {
    NatsSettings {
        prefix: config.prefix.clone(),
        partition: Partition(number),
        stream: stream_settings(config),
        released: match config.released {
            Released::Keep => ReleasedOn::Keep,
            Released::Purge => ReleasedOn::Purge,
        },
    }
}

/// The same logs once more, for somebody who reads them while they are worked on: a log has one place where it is read.
pub(super) fn logs_again(all: &Config) -> Result<Vec<Arc<dyn Bus>>, String> {
    let config = &all.nats;
    let told = |fault: PortFault| with_causes(&fault);
    let login = connect_settings(config).map_err(|fault| with_causes(&fault))?;
    let connection = NatsConnection::open(&login).map_err(told)?;
    let mut logs: Vec<Arc<dyn Bus>> = Vec::new();
    for number in 0..config.partitions {
        let opened = NatsBus::open(&connection, &log_settings(config, number));
        logs.push(Arc::new(opened.map_err(told)?.0));
    }
    Ok(logs)
}

/// What processes that share the work know together of the files that were taken: a ledger of its own.
pub(super) fn files_ledger(all: &Config) -> Result<NatsLedger, String> {
    ledger_of(all, "files")
}

/// The journal of remediation of processes that share the work: a ledger of its own, which is never shortened.
pub(crate) fn remediation_ledger(all: &Config) -> Result<NatsLedger, String> {
    ledger_of(all, "remediation")
}

/// What resources were like, as processes that share the work tell each other: a ledger of its own.
pub(super) fn known_ledger(all: &Config) -> Result<NatsLedger, String> {
    ledger_of(all, "known")
}

fn ledger_of(all: &Config, what: &str) -> Result<NatsLedger, String> {
    let config = &all.nats;
    let told = |fault: PortFault| with_causes(&fault);
    let login = connect_settings(config).map_err(|fault| with_causes(&fault))?;
    let connection = NatsConnection::open(&login).map_err(told)?;
    let settings = LedgerSettings {
        prefix: format!("{}-{what}", config.prefix),
        stream: StreamSettings {
            // A file is known for as long as it may lie there, and a journal is kept whole.
            bytes_max: 0,
            age_max: None,
            ..stream_settings(config)
        },
    };
    let (ledger, _) = patiently(|| NatsLedger::open(&connection, &settings)).map_err(told)?;
    Ok(ledger)
}

/// Asks a server until it answers, while it makes sense.
pub(super) fn patiently<T>(ask: impl Fn() -> Result<T, PortFault>) -> Result<T, PortFault> {
    let since = Instant::now();
    loop {
        match ask() {
            Err(fault) if fault.class == FaultClass::Retry && since.elapsed() < PATIENCE => {
                tracing::warn!(fault = with_causes(&fault), "asked again");
                std::thread::sleep(PAUSE);
            }
            answer => return answer,
        }
    }
}

/// Notes how events are parted, or refuses to part them in another way than others do.
fn agree(ledger: &NatsLedger, config: &Nats) -> Result<(), ServeError> {
    const NAME: &str = "partitions";
    let ours = format!("{} by {}", config.partitions, config.partition_by);
    match patiently(|| ledger.kept(NAME)).map_err(ServeError::Log)? {
        None => {
            patiently(|| ledger.keep(NAME, ours.as_bytes())).map_err(ServeError::Log)?;
            // Whoever came at the same moment may have kept something else.
            std::thread::sleep(Duration::from_millis(200));
            match patiently(|| ledger.kept(NAME)).map_err(ServeError::Log)? {
                None => Ok(()),
                Some(_) => agree(ledger, config),
            }
        }
        Some(theirs) if theirs == ours.as_bytes() => Ok(()),
        Some(theirs) => Err(ServeError::Log(
            PortFault::new(FaultClass::Stop, "share the work").because(format!(
                "others part events in another way: {} and not {ours}; give the same nats.partitions and nats.partition_by \
                 everywhere, or another nats.prefix to begin anew",
                String::from_utf8_lossy(&theirs).escape_debug()
            )),
        )),
    }
}

/// Tells this process from all others, and from itself at other starts.
fn name_of_member(given: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = if given.is_empty() { host.trim() } else { given };
    let plain: String = name
        .chars()
        .map(|one| match one.is_ascii_alphanumeric() {
            true => one,
            false => '-',
        })
        .take(64)
        .collect();
    let mut seed = std::process::id().to_be_bytes().to_vec();
    seed.extend(super::now().micros().to_be_bytes());
    seed.extend(name.as_bytes());
    format!("{plain}-{:016x}", xxh3_64(&seed))
}

/// Where the servers are and who we are; secrets are read here, and nowhere kept but in the connection.
pub(crate) fn connect_settings(config: &Nats) -> Result<ConnectSettings, ServeError> {
    let wrong = |key: &str, path: &str, words: String| {
        ServeError::NatsFile(format!("nats.{key}: {path}: {words}"))
    };
    let line = |key: &str, path: &str| {
        read_secret(Path::new(path)).map_err(|words| wrong(key, path, words))
    };
    let login = if !config.credentials_file.is_empty() {
        let path = &config.credentials_file;
        let text = std::fs::read_to_string(path);
        let text = text
            .map_err(|fault| wrong("credentials_file", path, format!("cannot be read: {fault}")))?;
        Login::Credentials(Secret::new(text))
    } else if !config.nkey_file.is_empty() {
        Login::NKey(Secret::new(line("nkey_file", &config.nkey_file)?))
    } else if !config.token_file.is_empty() {
        Login::Token(Secret::new(line("token_file", &config.token_file)?))
    } else if !config.user.is_empty() {
        Login::User {
            name: config.user.clone(),
            password: Secret::new(line("password_file", &config.password_file)?),
        }
    } else {
        Login::None
    };
    let file = |path: &String| (!path.is_empty()).then(|| PathBuf::from(path));
    for (key, path) in [
        ("tls_ca_file", &config.tls_ca_file),
        ("tls_cert_file", &config.tls_cert_file),
        ("tls_key_file", &config.tls_key_file),
    ] {
        if let Some(path) = file(path)
            && let Err(fault) = std::fs::File::open(&path)
        {
            let path = path.display().to_string();
            return Err(wrong(key, &path, format!("cannot be read: {fault}")));
        }
    }
    Ok(ConnectSettings {
        urls: config.urls.clone(),
        login,
        tls: Tls {
            authorities: file(&config.tls_ca_file),
            identity: file(&config.tls_cert_file).zip(file(&config.tls_key_file)),
            is_required: config.tls_required,
            is_first: config.tls_first,
        },
        name: "tripline".to_owned(),
    })
}

/// Notes whose positions the data folder has, or refuses another stream.
fn claim(folder: &Path, identity: &str) -> Result<(), ServeError> {
    let path = folder.join(STREAM_FILE);
    let fault = |source| ServeError::Folder {
        path: path.clone(),
        source,
    };
    match std::fs::read_to_string(&path) {
        Ok(known) if known.trim() == identity => Ok(()),
        Ok(known) => Err(ServeError::Log(
            PortFault::new(FaultClass::Stop, "go on where the data folder says").because(format!(
                "its positions are of another stream ({}), which was deleted or is elsewhere; the stream of the configuration is {identity}. Start with an empty data folder to read it from its beginning",
                known.trim().replace('\n', ", ").escape_debug()
            )),
        )),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
            let new = folder.join("nats-stream.new");
            let write = || {
                let mut file = std::fs::File::create(&new)?;
                std::io::Write::write_all(&mut file, format!("{identity}\n").as_bytes())?;
                file.sync_all()?;
                std::fs::rename(&new, &path)?;
                std::fs::File::open(folder)?.sync_all()
            };
            write().map_err(fault)
        }
        Err(source) => Err(fault(source)),
    }
}

fn other_log(folder: &Path, whose: &str, kind: &str) -> ServeError {
    ServeError::Log(
        PortFault::new(FaultClass::Stop, "go on where the data folder says").because(format!(
            "the positions of {} are of {whose}; give `type = \"{kind}\"` of [bus], or another data folder to begin anew",
            folder.display()
        )),
    )
}
