//! The stream of a partition: made when it is missing and may be made, else compared with what it must be.
//!
//! Every difference is told, not only the first, with the command that mends it; nothing of a stream that exists is ever
//! changed from here, because others may rely on how it is. A stream must take events as a whole or not at all, refuse
//! new ones rather than give up old ones when it is full, and keep them in files.

use super::connect::Connection;
use super::fault::{Doing, of_answer, refused, retry};
use super::limits::HEADER_BYTES_MAX;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};
use std::time::Duration;
use tripline_core::port::PortFault;

/// How a stream must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Copies, each on another server.
    pub replicas: usize,
    /// How much it may hold; 0 is as much as there is.
    pub bytes_max: u64,
    /// How long it keeps what nobody lets go; for ever when not given.
    pub age_max: Option<Duration>,
    /// The longest event.
    pub event_bytes_max: usize,
    /// How long it knows a message that was sent twice.
    pub duplicate_window: Duration,
    /// Whether it may be made when it is missing.
    pub may_create: bool,
}

/// What is to be had of a stream when it is looked at.
pub(super) async fn info_of(
    connection: &Connection,
    name: &str,
    doing: &Doing,
) -> Result<Option<Info>, PortFault> {
    match connection.context.get_stream(name).await {
        Ok(stream) => {
            connection.answered();
            Ok(Some(stream.cached_info().clone()))
        }
        Err(fault) => match fault.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::JetStream(error) => Err(of_answer(doing, &error)),
            _ => match denied(connection, doing) {
                Some(fault) => Err(fault),
                None => {
                    connection.unanswered().await;
                    Err(retry(doing, fault.to_string()))
                }
            },
        },
    }
}

/// Whoever waits for an answer to what the server refused waits in vain; the refusal comes beside it.
pub(super) fn denied_or_retry(connection: &Connection, doing: &Doing, words: String) -> PortFault {
    denied(connection, doing).unwrap_or_else(|| retry(doing, words))
}

/// What the server refused of what is being done, if it did.
pub(super) fn denied(connection: &Connection, doing: &Doing) -> Option<PortFault> {
    let words = connection.take_denied(doing)?;
    Some(refused(
        doing,
        format!(
            "the server does not permit it: {words}; permit it to the user that [nats] names. README.md lists what must be permitted"
        ),
    ))
}

/// The subject on which servers are asked something about a stream.
pub(super) fn question(what: &str, stream: &str) -> String {
    format!("$JS.API.{what}.{stream}")
}

/// The stream as it is, after it was made or found to be as it must be.
pub(super) fn declare(
    connection: &Connection,
    (name, subject): (&str, &str),
    settings: &StreamSettings,
) -> Result<Info, PortFault> {
    let doing = Doing::new(format!("use the stream {name}"))
        .subject(question("STREAM.INFO", name))
        .subject(question("STREAM.CREATE", name));
    check_length(connection, settings, &doing)?;
    connection.block_on(async {
        let wanted = wanted(name, subject, settings);
        let info = match info_of(connection, name, &doing).await? {
            Some(info) => info,
            None if !settings.may_create => {
                return Err(refused(
                    &doing,
                    format!(
                        "there is none, and `create = false` of [nats] forbids making it; make it yourself: {}",
                        command(&wanted)
                    ),
                ));
            }
            None => create(connection, wanted.clone(), &doing).await?,
        };
        match differences(&info.config, &wanted).as_slice() {
            [] => Ok(info),
            different => Err(refused(
                &doing,
                format!("it is not as it must be:\n  {}", different.join("\n  ")),
            )),
        }
    })
}

async fn create(connection: &Connection, wanted: Config, doing: &Doing) -> Result<Info, PortFault> {
    let name = wanted.name.clone();
    let replicas = wanted.num_replicas;
    match connection.context.create_stream(wanted).await {
        Ok(stream) => Ok(stream.cached_info().clone()),
        Err(fault) => match fault.kind() {
            CreateStreamErrorKind::JetStream(error) => Err(match error.error_code() {
                ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED
                | ErrorCode::CLUSTER_NO_PEERS
                | ErrorCode::INSUFFICIENT_RESOURCES => refused(
                    doing,
                    format!("{error}; `replicas = {replicas}` of [nats] needs as many servers"),
                ),
                ErrorCode::STREAM_SUBJECT_OVERLAP => refused(
                    doing,
                    format!(
                        "{error}; another stream takes the subject of {name}, give another `prefix` of [nats]"
                    ),
                ),
                ErrorCode::STORAGE_RESOURCES_EXCEEDED
                | ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED
                | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => refused(
                    doing,
                    format!(
                        "{error}; the servers promise no more than they have, lower `size_max_mib` of [nats] or raise their `max_file_store`"
                    ),
                ),
                _ => of_answer(doing, &error),
            }),
            _ => Err(denied_or_retry(connection, doing, fault.to_string())),
        },
    }
}

fn check_length(
    connection: &Connection,
    settings: &StreamSettings,
    doing: &Doing,
) -> Result<(), PortFault> {
    let most = connection.client.max_payload();
    let wanted = settings.event_bytes_max + HEADER_BYTES_MAX;
    if wanted <= most {
        return Ok(());
    }
    Err(refused(
        doing,
        format!(
            "the server takes messages of at most {most} bytes, and events of {} with {HEADER_BYTES_MAX} for headers are longer; raise its `max_payload` or lower `event_max_kib` of [nats]",
            settings.event_bytes_max
        ),
    ))
}

fn wanted(name: &str, subject: &str, settings: &StreamSettings) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        description: Some("Events for Tripline".to_owned()),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: settings.replicas,
        max_bytes: match settings.bytes_max {
            0 => -1,
            bytes => i64::try_from(bytes).unwrap_or(i64::MAX),
        },
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_age: settings.age_max.unwrap_or_default(),
        max_message_size: i32::try_from(settings.event_bytes_max + HEADER_BYTES_MAX)
            .unwrap_or(i32::MAX),
        duplicate_window: settings.duplicate_window,
        allow_direct: true,
        allow_atomic_publish: true,
        ..Config::default()
    }
}

/// How somebody makes the stream that is wanted.
fn command(wanted: &Config) -> String {
    format!(
        "nats stream add {} --subjects={} --retention=limits --storage=file --discard=new --replicas={} --max-bytes={} --max-age={} --max-msg-size={} --dupe-window={} --allow-batch --defaults",
        wanted.name,
        wanted.subjects.join(","),
        wanted.num_replicas,
        wanted.max_bytes,
        age(wanted.max_age),
        wanted.max_message_size,
        age(wanted.duplicate_window),
    )
}

fn age(length: Duration) -> String {
    match length.as_secs() {
        0 => "-1".to_owned(),
        seconds => format!("{seconds}s"),
    }
}

/// What of a stream is not as it must be: what it is, what it must be, and how to change it.
fn differences(is: &Config, wanted: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let name = &is.name;
    let edit = |flag: &str| format!("change it with `nats stream edit {name} {flag}`");
    let anew = || {
        format!(
            "this cannot be changed: give another `prefix` of [nats], or delete {name} with all its events"
        )
    };
    let mut tell = |is_well: bool, what: &str, is: String, must: String, how: String| {
        if !is_well {
            found.push(format!("{what} is {is} and must be {must}; {how}"));
        }
    };
    tell(
        is.subjects == wanted.subjects,
        "subjects",
        is.subjects.join(", "),
        wanted.subjects.join(", "),
        edit(&format!("--subjects={}", wanted.subjects.join(","))),
    );
    let retention = |policy: RetentionPolicy| match policy {
        RetentionPolicy::Limits => "limits",
        RetentionPolicy::Interest => "interest",
        RetentionPolicy::WorkQueue => "workqueue",
    };
    tell(
        is.retention == wanted.retention,
        "retention",
        retention(is.retention).to_owned(),
        retention(wanted.retention).to_owned(),
        anew(),
    );
    let storage = |storage: StorageType| match storage {
        StorageType::File => "file",
        StorageType::Memory => "memory",
    };
    tell(
        is.storage == wanted.storage,
        "storage",
        storage(is.storage).to_owned(),
        storage(wanted.storage).to_owned(),
        anew(),
    );
    tell(
        is.persist_mode != Some(PersistenceMode::Async),
        "persist mode",
        "async, which acknowledges what is not written yet,".to_owned(),
        "default".to_owned(),
        anew(),
    );
    tell(
        is.discard == wanted.discard,
        "discard",
        "old, which gives up events that nobody has read yet,".to_owned(),
        "new".to_owned(),
        edit("--discard=new"),
    );
    tell(
        is.num_replicas == wanted.num_replicas,
        "replicas",
        is.num_replicas.to_string(),
        wanted.num_replicas.to_string(),
        format!(
            "{}, or give `replicas = {}` of [nats]",
            edit(&format!("--replicas={}", wanted.num_replicas)),
            is.num_replicas
        ),
    );
    tell(
        is.max_bytes == wanted.max_bytes,
        "max bytes",
        is.max_bytes.to_string(),
        wanted.max_bytes.to_string(),
        format!(
            "{}, or give another `size_max_mib` of [nats]",
            edit(&format!("--max-bytes={}", wanted.max_bytes))
        ),
    );
    tell(
        is.max_age == wanted.max_age,
        "max age",
        age(is.max_age),
        age(wanted.max_age),
        format!(
            "{}, or give another `age_max` of [nats]",
            edit(&format!("--max-age={}", age(wanted.max_age)))
        ),
    );
    tell(
        is.max_messages_per_subject <= 0,
        "max messages per subject",
        is.max_messages_per_subject.to_string(),
        "-1".to_owned(),
        edit("--max-msgs-per-subject=-1"),
    );
    tell(
        is.max_message_size <= 0 || is.max_message_size >= wanted.max_message_size,
        "max message size",
        is.max_message_size.to_string(),
        format!("{} or more", wanted.max_message_size),
        edit(&format!("--max-msg-size={}", wanted.max_message_size)),
    );
    tell(
        is.duplicate_window >= wanted.duplicate_window,
        "duplicate window",
        age(is.duplicate_window),
        format!("{} or more", age(wanted.duplicate_window)),
        edit(&format!("--dupe-window={}", age(wanted.duplicate_window))),
    );
    tell(
        is.allow_atomic_publish,
        "atomic batches",
        "off".to_owned(),
        "on".to_owned(),
        edit("--allow-batch"),
    );
    tell(
        !is.no_ack,
        "acknowledging",
        "off".to_owned(),
        "on".to_owned(),
        edit("--ack"),
    );
    tell(
        !is.sealed && is.mirror.is_none() && is.sources.as_ref().is_none_or(Vec::is_empty),
        "kind",
        "sealed, a mirror or fed by other streams".to_owned(),
        "a stream of its own".to_owned(),
        anew(),
    );
    found
}

#[cfg(test)]
mod tests {
    use super::{Config, StreamSettings, command, differences, wanted};
    use async_nats::jetstream::stream::{DiscardPolicy, PersistenceMode, StorageType};
    use std::time::Duration;

    fn settings() -> StreamSettings {
        StreamSettings {
            replicas: 3,
            bytes_max: 1 << 30,
            age_max: Some(Duration::from_secs(3600)),
            event_bytes_max: 900_000,
            duplicate_window: Duration::from_secs(120),
            may_create: false,
        }
    }

    #[test]
    fn a_stream_as_wanted_has_no_differences() {
        let wanted = wanted("t-events-0", "t.events.0", &settings());
        assert_eq!(differences(&wanted, &wanted), Vec::<String>::new());
        let roomier = Config {
            max_message_size: -1,
            duplicate_window: Duration::from_secs(600),
            ..wanted.clone()
        };
        assert_eq!(differences(&roomier, &wanted), Vec::<String>::new());
        assert_eq!(
            command(&wanted),
            "nats stream add t-events-0 --subjects=t.events.0 --retention=limits --storage=file --discard=new --replicas=3 --max-bytes=1073741824 --max-age=3600s --max-msg-size=965536 --dupe-window=120s --allow-batch --defaults"
        );
    }

    #[test]
    fn every_difference_is_told_with_what_to_do() {
        let wanted = wanted("t-events-0", "t.events.0", &settings());
        let other = Config {
            subjects: vec!["x.>".to_owned()],
            storage: StorageType::Memory,
            discard: DiscardPolicy::Old,
            persist_mode: Some(PersistenceMode::Async),
            num_replicas: 1,
            max_bytes: -1,
            max_age: Duration::ZERO,
            max_messages_per_subject: 1,
            max_message_size: 1000,
            duplicate_window: Duration::from_secs(1),
            allow_atomic_publish: false,
            no_ack: true,
            sealed: true,
            ..wanted.clone()
        };
        let told = differences(&other, &wanted);
        assert_eq!(told.len(), 13, "{told:#?}");
        assert_eq!(
            told[3],
            "discard is old, which gives up events that nobody has read yet, and must be new; change it with `nats stream edit t-events-0 --discard=new`"
        );
        assert_eq!(
            told[4],
            "replicas is 1 and must be 3; change it with `nats stream edit t-events-0 --replicas=3`, or give `replicas = 1` of [nats]"
        );
    }
}
