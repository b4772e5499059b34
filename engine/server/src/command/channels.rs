//! `tripline channels`: the channels of a service, made and changed as files, and asked how they do.

use super::CommandError;
use super::service_client::{Client, ServiceArguments};
use crate::channel::destination::DestinationNames;
use crate::channel::edit::{self, NewChannel, NewProof, Shown};
use crate::channel::registry::Registry;
use crate::channel::{Channel, page};
use crate::config::Config;
use crate::exit::{Exit, after_help};
use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
A channel is a file ID.toml in the folder of channels; a service that runs takes up changes within a second. Secrets are shown
once: of a key only its SHA-256 is kept, secrets of signatures are in files beside it.

Examples:
  tripline channels new billing --source billing-app              a channel with a key, which is shown once
  tripline channels new okta --source okta --auth standard-webhooks
  tripline channels new app --source app --secret-to app.key      the same into a file
  tripline channels page billing                                  what to give to the partner
  tripline channels rotate billing --sender default               a new key; the old one counts for a day
  tripline channels rotate billing --sender default --finish      nothing counts but the newest
  tripline channels pause billing
  tripline channels list                                          as their files say
  tripline channels status billing                                of a running service: what came, what was refused and why
  tripline channels test billing                                  send an event through it";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "done"),
    (Exit::Findings, "list: files of channels are broken"),
    (
        Exit::Fault,
        "wrong usage, a file that cannot be read or written, or a service that cannot be reached or refuses",
    ),
];

/// Make, list, change and test channels: where partners push events.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

impl ValueEnum for NewProof {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Key,
            Self::StandardWebhooks,
            Self::Github,
            Self::Slack,
            Self::Stripe,
            Self::Sigv4,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Key => ("key", "A key with each request"),
            Self::StandardWebhooks => ("standard-webhooks", "Signed as Standard Webhooks has it"),
            Self::Github => ("github", "Signed as GitHub signs"),
            Self::Slack => ("slack", "Signed as Slack signs"),
            Self::Stripe => ("stripe", "Signed as Stripe signs"),
            Self::Sigv4 => ("sigv4", "Signed as clients of AWS sign"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

#[derive(Args, Debug)]
struct Place {
    /// The configuration of the service, which says where the folder of channels is.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The data folder of the service; goes before the configuration.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make a channel with one sender, and show its secret once.
    New {
        /// What it is called: 3 to 64 lower-case letters, digits and -.
        id: String,
        /// The product or partner that the events come from.
        #[arg(long)]
        source: String,
        /// Who answers for it.
        #[arg(long, default_value = "")]
        owner: String,
        /// The account that the events are of, for PutAuditEvents.
        #[arg(long, default_value = "")]
        account: String,
        /// A destination of the configuration that its events go to beside the log; may be given again.
        #[arg(long = "destination", value_name = "NAME")]
        destinations: Vec<String>,
        /// What its sender is called.
        #[arg(long, default_value = "default")]
        sender: String,
        /// How its sender proves who it is.
        #[arg(long, value_enum, default_value = "key")]
        auth: NewProof,
        /// Write its secret there instead of showing it: a line, or credentials as AWS's clients read them.
        #[arg(long, value_name = "FILE")]
        secret_to: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Give a sender a new secret beside its old one.
    Rotate {
        /// The channel.
        id: String,
        /// The sender.
        #[arg(long)]
        sender: String,
        /// Hours for which an old key still counts; old secrets of signatures count until --finish.
        #[arg(
            long,
            value_name = "HOURS",
            default_value_t = 24,
            conflicts_with = "finish"
        )]
        grace: u32,
        /// Take away every secret but the newest.
        #[arg(long)]
        finish: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Refuse everything of a channel for now; senders are told to come again.
    Pause {
        /// The channel.
        id: String,
        #[command(flatten)]
        place: Place,
    },
    /// Let a channel go on.
    Resume {
        /// The channel.
        id: String,
        #[command(flatten)]
        place: Place,
    },
    /// List the channels, and what is wrong with their files.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Print the page to give to a partner: where, how to sign, examples to copy.
    Page {
        /// The channel.
        id: String,
        /// Where partners reach the service.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7878")]
        url: String,
        #[command(flatten)]
        place: Place,
    },
    /// What came through channels of a running service, and what was refused and why.
    Status {
        /// One channel; all of them if none is given.
        id: Option<String>,
        #[command(flatten)]
        service: ServiceArguments,
    },
    /// Send an event of our own through a channel of a running service.
    Test {
        /// The channel.
        id: String,
        #[command(flatten)]
        service: ServiceArguments,
    },
}

impl Place {
    fn folder(&self) -> Result<PathBuf, CommandError> {
        Ok(self.read()?.0)
    }

    /// The folder of channels, and the destinations that the service has. Of a data folder alone those are not known.
    fn read(&self) -> Result<(PathBuf, DestinationNames), CommandError> {
        let mut config = Config::read(self.config.as_deref(), super::serve::environment())?;
        let is_known = self.config.is_some() || self.data.is_none();
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        let names = match is_known {
            true => DestinationNames::of(&config),
            false => DestinationNames::UNKNOWN,
        };
        Ok((config.channels.folder(&config.data), names))
    }
}

/// Does what was asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    match &arguments.action {
        Action::New {
            id,
            source,
            owner,
            account,
            destinations,
            sender,
            auth,
            secret_to,
            place,
        } => {
            let (folder, known) = place.read()?;
            let new = NewChannel {
                id,
                source,
                owner,
                account,
                destinations: (destinations, &known),
                sender,
                proof: *auth,
            };
            // First, so that no channel is made whose secret nobody has.
            let file = secret_to.as_deref().map(secret_file).transpose()?;
            let made = edit::make(&folder, &new);
            if let (Err(_), Some(to)) = (&made, secret_to) {
                // Nothing was written into it.
                let _ = std::fs::remove_file(to);
            }
            let shown = made?;
            let path = edit::path_of(&folder, id)?;
            if let (Some(mut file), Some(to)) = (file, secret_to) {
                let fault = |source| CommandError::Write {
                    path: to.display().to_string(),
                    source,
                };
                file.write_all(secret_text(&shown).as_bytes())
                    .map_err(fault)?;
                writeln!(
                    io::stdout(),
                    "{} made; its secret is in {}",
                    path.display(),
                    to.display()
                )?;
                return Ok(Exit::Success);
            }
            writeln!(io::stdout(), "{} made; shown once:", path.display())?;
            show(&shown)
        }
        Action::Rotate {
            id,
            sender,
            grace,
            finish,
            place,
        } => {
            let folder = place.folder()?;
            if *finish {
                let gone = edit::finish(&folder, (id, sender))?;
                writeln!(io::stdout(), "{gone} old of {sender} no longer count")?;
                return Ok(Exit::Success);
            }
            let grace = SignedDuration::from_hours(i64::from(*grace));
            let shown = edit::rotate(&folder, (id, sender), grace, Timestamp::now())?;
            writeln!(io::stdout(), "new for {sender} of {id}; shown once:")?;
            show(&shown)
        }
        Action::Pause { id, place } => {
            edit::pause(&place.folder()?, id, true)?;
            writeln!(io::stdout(), "{id} is paused")?;
            Ok(Exit::Success)
        }
        Action::Resume { id, place } => {
            edit::pause(&place.folder()?, id, false)?;
            writeln!(io::stdout(), "{id} goes on")?;
            Ok(Exit::Success)
        }
        Action::List { place } => list(place.read()?),
        Action::Page { id, url, place } => {
            let path = edit::path_of(&place.folder()?, id)?;
            let channel = Channel::read(&path, None)?;
            io::stdout().write_all(page::page(&channel, url).as_bytes())?;
            Ok(Exit::Success)
        }
        Action::Status { id, service } => {
            let client = service.client()?;
            match id {
                None => status(&client.get("/v1/channels")?["channels"]),
                Some(id) => status(&Value::Array(vec![
                    client.get(&format!("/v1/channels/{id}"))?,
                ])),
            }
        }
        Action::Test { id, service } => test(&service.client()?, id),
    }
}

/// A new file that only its owner reads.
fn secret_file(path: &Path) -> Result<File, CommandError> {
    let opened = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path);
    opened.map_err(|source| CommandError::Write {
        path: path.display().to_string(),
        source,
    })
}

/// A secret as programs read it.
fn secret_text(shown: &[Shown]) -> String {
    match shown {
        [id, secret] => format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            id.text, secret.text
        ),
        all => all.iter().map(|one| format!("{}\n", one.text)).collect(),
    }
}

fn show(shown: &[Shown]) -> Result<Exit, CommandError> {
    let mut out = io::stdout().lock();
    for one in shown {
        writeln!(out, "  {}: {}", one.what, one.text)?;
    }
    Ok(Exit::Success)
}

fn list((folder, destinations): (PathBuf, DestinationNames)) -> Result<Exit, CommandError> {
    let registry = Registry::open(&folder, destinations);
    let channels = registry.now();
    let mut out = io::stdout().lock();
    if channels.by_id.is_empty() && channels.faults.is_empty() {
        writeln!(out, "no channels in {}", folder.display())?;
    }
    for (id, channel) in &channels.by_id {
        let file = &channel.file;
        let senders: Vec<&str> = file.senders.iter().map(|one| one.name()).collect();
        let to = match file.destinations.is_empty() {
            true => String::new(),
            false => format!(", also to: {}", file.destinations.join(", ")),
        };
        let paused = if file.paused { ", paused" } else { "" };
        writeln!(
            out,
            "{id:<24} {:<20} senders: {}{to}{paused}",
            file.source,
            senders.join(", ")
        )?;
    }
    drop(out);
    for fault in channels.faults.values() {
        writeln!(io::stderr(), "error: {fault}")?;
    }
    Ok(match channels.faults.is_empty() {
        true => Exit::Success,
        false => Exit::Findings,
    })
}

fn status(channels: &Value) -> Result<Exit, CommandError> {
    let mut out = io::stdout().lock();
    for one in channels.as_array().into_iter().flatten() {
        let seen = &one["seen"];
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        let paused = if one["paused"] == true {
            " (paused)"
        } else {
            ""
        };
        writeln!(out, "{}{paused}", text(&one["channel"]))?;
        for (words, value) in [
            ("accepted", &seen["accepted"]),
            ("duplicates", &seen["duplicates"]),
            ("set aside", &seen["set_aside"]),
            ("warned", &seen["warned"]),
            ("last event", &seen["last_event"]["time"]),
            ("last error", &seen["last_error"]["message"]),
        ] {
            writeln!(
                out,
                "  {words:<12} {}",
                crate::terminal::Shown(&text(value))
            )?;
        }
        for (words, table) in [
            ("rejected", &seen["rejected"]),
            ("refused", &seen["refused"]),
        ] {
            for (why, count) in table.as_object().into_iter().flatten() {
                writeln!(out, "  {words:<12} {why}: {count}")?;
            }
        }
    }
    Ok(Exit::Success)
}

fn test(client: &Client, id: &str) -> Result<Exit, CommandError> {
    let answer = client.post(&format!("/v1/channels/{id}/test"), b"")?;
    writeln!(
        io::stdout(),
        "event {} taken, durable: {}",
        answer["event_id"].as_str().unwrap_or("-"),
        answer["durability"].as_str().unwrap_or("-")
    )?;
    Ok(Exit::Success)
}
