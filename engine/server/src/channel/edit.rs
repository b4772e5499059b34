//! Making and changing the files of channels: new ones, new secrets, pauses. Comments and order of a file stay.
//!
//! A secret is shown once, to whoever made it. What is kept of a key is its SHA-256; secrets that must be known are in files that
//! only their owner reads. A file is whole under its name or not there.

use super::Channel;
use super::auth::hex;
use super::destination::DestinationNames;
use super::file::{ChannelFault, ChannelFile, Scheme, SenderFile, is_id, is_name};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

/// How a new sender is to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewProof {
    /// A key with each request.
    Key,
    /// Signed as Standard Webhooks has it.
    StandardWebhooks,
    /// Signed as GitHub signs.
    Github,
    /// Signed as Slack signs.
    Slack,
    /// Signed as Stripe signs.
    Stripe,
    /// Signed as clients of AWS sign.
    Sigv4,
}

/// What is shown once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) what: &'static str,
    pub(crate) text: String,
}

/// Why a file was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    #[error(
        "\"{0}\" cannot be the id of a channel: 3 to 64 lower-case letters, digits and - make one"
    )]
    Id(String),
    #[error("{path}: cannot be read or written")]
    File { path: PathBuf, source: io::Error },
    #[error("the channel \"{0}\" is there already")]
    Exists(String),
    #[error("\"{0}\" cannot name a sender: letters, digits, - and _, at most 64")]
    SenderName(String),
    #[error("say what the events come from (--source)")]
    Source,
    #[error(
        "{sender} of {channel} has {KEYS_MAX} keys that still count; take the old ones away first (`tripline channels rotate {channel} \
         --sender {sender} --finish`)"
    )]
    Grace { channel: String, sender: String },
    #[error("there is no channel \"{0}\"")]
    Missing(String),
    #[error("the sender \"{0}\" has no secret here: it is renewed where it comes from")]
    Elsewhere(String),
    #[error("the channel \"{channel}\" has no sender \"{sender}\"; it has {known}")]
    Sender {
        channel: String,
        sender: String,
        known: String,
    },
    #[error(transparent)]
    Channel(#[from] ChannelFault),
    #[error("the system gives no random numbers")]
    Random,
}

/// Keys of one sender that count at a time.
const KEYS_MAX: usize = 3;

/// Held while files of channels are read and written again, by whichever process.
struct Alone(Option<File>);

/// Waits until nobody else changes files of this folder.
fn alone(folder: &Path) -> Result<Alone, EditError> {
    let path = folder.join(".lock");
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let lock = match opened {
        Ok(lock) => lock,
        // Without a folder there is nothing to change.
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Alone(None)),
        Err(source) => return Err(file(&path, source)),
    };
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|fault| file(&path, fault.into()))?;
    Ok(Alone(Some(lock)))
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(lock) = &self.0 {
            // It ends with the descriptor anyway.
            let _ = rustix::fs::flock(lock, rustix::fs::FlockOperation::Unlock);
        }
    }
}

/// A new channel.
pub(crate) struct NewChannel<'n> {
    pub(crate) id: &'n str,
    pub(crate) source: &'n str,
    pub(crate) owner: &'n str,
    pub(crate) account: &'n str,
    /// Names of destinations, and those that there are.
    pub(crate) destinations: (&'n [String], &'n DestinationNames),
    pub(crate) sender: &'n str,
    pub(crate) proof: NewProof,
}

/// Where the file of a channel is.
pub(crate) fn path_of(folder: &Path, id: &str) -> Result<PathBuf, EditError> {
    match is_id(id) {
        true => Ok(folder.join(format!("{id}.toml"))),
        false => Err(EditError::Id(id.escape_debug().to_string())),
    }
}

/// Makes a channel with one sender; what is answered is shown once and kept nowhere.
pub(crate) fn make(folder: &Path, new: &NewChannel<'_>) -> Result<Vec<Shown>, EditError> {
    let path = path_of(folder, new.id)?;
    if !is_name(new.sender) {
        return Err(EditError::SenderName(new.sender.escape_debug().to_string()));
    }
    if new.source.is_empty() {
        return Err(EditError::Source);
    }
    std::fs::create_dir_all(folder).map_err(|source| file(folder, source))?;
    let _alone = alone(folder)?;
    if path.exists() {
        return Err(EditError::Exists(new.id.to_owned()));
    }
    let mut document = DocumentMut::new();
    document["source"] = value(new.source);
    for (key, text) in [("owner", new.owner), ("account", new.account)] {
        if !text.is_empty() {
            document[key] = value(text);
        }
    }
    let (destinations, known) = new.destinations;
    known.check(&path, destinations)?;
    if !destinations.is_empty() {
        document["destinations"] = value(destinations.iter().collect::<toml_edit::Array>());
    }
    let (sender, shown) = sender(folder, new)?;
    let mut senders = ArrayOfTables::new();
    senders.push(sender);
    document.insert("senders", Item::ArrayOfTables(senders));
    let text = format!(
        "# The channel {}; every setting is described in engine/channels.md.\n{document}",
        new.id
    );
    ChannelFile::parse(&path, &text)?;
    write(&path, &text)?;
    Ok(shown)
}

fn sender(folder: &Path, new: &NewChannel<'_>) -> Result<(Table, Vec<Shown>), EditError> {
    let mut table = Table::new();
    table["name"] = value(new.sender);
    let scheme = match new.proof {
        NewProof::Key => {
            table["type"] = value("key");
            let (key, text) = new_key()?;
            let mut keys = toml_edit::Array::new();
            keys.push(key);
            table["keys"] = value(keys);
            let what = "key";
            return Ok((table, vec![Shown { what, text }]));
        }
        NewProof::Sigv4 => {
            table["type"] = value("sigv4");
            let letters = random::<16>()?;
            let letters =
                letters.map(|byte| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(byte % 32)]);
            let id = format!("TLKA{}", String::from_utf8_lossy(&letters));
            let secret = STANDARD.encode(random::<30>()?);
            table["access_key_id"] = value(id.as_str());
            table["secret_files"] = value(secret_file(folder, new.id, new.sender, 1, &secret)?);
            let shown = [("access key id", id), ("secret access key", secret)];
            let shown = shown.map(|(what, text)| Shown { what, text });
            return Ok((table, shown.into()));
        }
        NewProof::StandardWebhooks => "standard-webhooks",
        NewProof::Github => "github",
        NewProof::Slack => "slack",
        NewProof::Stripe => "stripe",
    };
    let secret = new_secret(new.proof == NewProof::StandardWebhooks)?;
    table["type"] = value("hmac");
    table["scheme"] = value(scheme);
    table["secret_files"] = value(secret_file(folder, new.id, new.sender, 1, &secret)?);
    let what = "secret";
    Ok((table, vec![Shown { what, text: secret }]))
}

/// Gives a sender a new secret beside the one that it has. An old key counts for `grace` from now; old secrets of signatures
/// count until `finish`.
pub(crate) fn rotate(
    folder: &Path,
    (id, name): (&str, &str),
    grace: SignedDuration,
    now: Timestamp,
) -> Result<Vec<Shown>, EditError> {
    let _alone = alone(folder)?;
    let (path, before, mut document) = open(folder, id)?;
    let place = place(&before, (id, name))?;
    let table = table(&mut document, place, id)?;
    let shown = match &before.senders[place] {
        SenderFile::Key { .. } => {
            let (key, text) = new_key()?;
            let end = now.checked_add(grace).unwrap_or(Timestamp::MAX);
            let keys = table["keys"]
                .as_array_mut()
                .ok_or_else(|| EditError::Missing(id.to_owned()))?;
            keys.retain(|one| {
                let expires = one.as_inline_table().and_then(|one| one.get("expires"));
                let end = expires.and_then(Value::as_datetime);
                let end = end.and_then(|end| end.to_string().parse::<Timestamp>().ok());
                end.is_none_or(|end| end > now)
            });
            for one in keys.iter_mut().filter_map(Value::as_inline_table_mut) {
                if !one.contains_key("expires") {
                    let seconds = end.round(jiff::Unit::Second).unwrap_or(end);
                    if let Ok(end) = seconds.to_string().parse::<toml_edit::Datetime>() {
                        one.insert("expires", end.into());
                    }
                }
            }
            if keys.len() >= KEYS_MAX {
                return Err(EditError::Grace {
                    channel: id.to_owned(),
                    sender: name.to_owned(),
                });
            }
            keys.insert(0, key);
            let what = "key";
            vec![Shown { what, text }]
        }
        SenderFile::Hmac {
            scheme,
            secret_files,
            ..
        } => {
            let secret = new_secret(*scheme == Scheme::StandardWebhooks)?;
            add_secret(folder, (id, name), (table, secret_files), &secret)?;
            vec![Shown {
                what: "secret",
                text: secret,
            }]
        }
        SenderFile::Sigv4 { secret_files, .. } => {
            let secret = STANDARD.encode(random::<30>()?);
            add_secret(folder, (id, name), (table, secret_files), &secret)?;
            vec![Shown {
                what: "secret access key",
                text: secret,
            }]
        }
        SenderFile::Certificate { .. } | SenderFile::Jwt { .. } | SenderFile::Nats { .. } => {
            return Err(EditError::Elsewhere(name.to_owned()));
        }
    };
    let text = document.to_string();
    ChannelFile::parse(&path, &text)?;
    write(&path, &text)?;
    Ok(shown)
}

/// Takes away every secret of a sender but the newest.
pub(crate) fn finish(folder: &Path, (id, name): (&str, &str)) -> Result<usize, EditError> {
    let _alone = alone(folder)?;
    let (path, before, mut document) = open(folder, id)?;
    let place = place(&before, (id, name))?;
    let table = table(&mut document, place, id)?;
    let key = match &before.senders[place] {
        SenderFile::Key { .. } => "keys",
        SenderFile::Hmac { .. } | SenderFile::Sigv4 { .. } => "secret_files",
        SenderFile::Certificate { .. } | SenderFile::Jwt { .. } | SenderFile::Nats { .. } => {
            return Err(EditError::Elsewhere(name.to_owned()));
        }
    };
    let Some(all) = table[key].as_array_mut() else {
        return Ok(0);
    };
    let gone = all.len().saturating_sub(1);
    while all.len() > 1 {
        all.remove(1);
    }
    let text = document.to_string();
    ChannelFile::parse(&path, &text)?;
    write(&path, &text)?;
    Ok(gone)
}

/// Stops a channel from taking anything, or lets it go on.
pub(crate) fn pause(folder: &Path, id: &str, is_paused: bool) -> Result<(), EditError> {
    let _alone = alone(folder)?;
    let (path, _, mut document) = open(folder, id)?;
    document["paused"] = value(is_paused);
    write(&path, &document.to_string())
}

/// Puts a file in the place of a channel's, if it is sound.
pub(crate) fn replace(
    folder: &Path,
    (id, text): (&str, &str),
    destinations: &DestinationNames,
) -> Result<(), EditError> {
    let path = path_of(folder, id)?;
    let parsed = ChannelFile::parse(&path, text)?;
    std::fs::create_dir_all(folder).map_err(|source| file(folder, source))?;
    let _alone = alone(folder)?;
    // With its secrets and its schema, or the channel would be closed at the next start.
    destinations.check(&path, &parsed.destinations)?;
    Channel::of_file(&path, parsed, None)?;
    write(&path, text)
}

/// Closes a channel. Files of secrets stay, for their owner to take away.
pub(crate) fn remove(folder: &Path, id: &str) -> Result<(), EditError> {
    let path = path_of(folder, id)?;
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            Err(EditError::Missing(id.to_owned()))
        }
        Err(source) => Err(file(&path, source)),
    }
}

fn open(folder: &Path, id: &str) -> Result<(PathBuf, ChannelFile, DocumentMut), EditError> {
    let path = path_of(folder, id)?;
    if !path.exists() {
        return Err(EditError::Missing(id.to_owned()));
    }
    let text = std::fs::read_to_string(&path).map_err(|source| file(&path, source))?;
    let channel = ChannelFile::parse(&path, &text)?;
    let document = text.parse::<DocumentMut>().map_err(|error| ChannelFault {
        path: path.display().to_string(),
        words: error.to_string(),
    })?;
    Ok((path, channel, document))
}

fn place(channel: &ChannelFile, (id, name): (&str, &str)) -> Result<usize, EditError> {
    let found = channel.senders.iter().position(|one| one.name() == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = channel.senders.iter().map(SenderFile::name).collect();
        EditError::Sender {
            channel: id.to_owned(),
            sender: name.escape_debug().to_string(),
            known: match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            },
        }
    })
}

/// The table of a sender, in a file that has it as `[[senders]]`.
fn table<'d>(
    document: &'d mut DocumentMut,
    place: usize,
    id: &str,
) -> Result<&'d mut Table, EditError> {
    let senders = document["senders"].as_array_of_tables_mut();
    let found = senders.and_then(|all| all.get_mut(place));
    found.ok_or_else(|| {
        EditError::Channel(ChannelFault {
            path: format!("{id}.toml"),
            words: "senders are changed only where they are written as [[senders]]".to_owned(),
        })
    })
}

fn add_secret(
    folder: &Path,
    (id, name): (&str, &str),
    (table, known): (&mut Table, &[PathBuf]),
    secret: &str,
) -> Result<(), EditError> {
    // Numbers go up, so that the name of a secret is never used again while it may count.
    let number = (1..).find(|number| {
        let name = secret_name(id, name, *number);
        !folder.join(&name).exists() && !known.contains(&PathBuf::from(&name))
    });
    let made = secret_file(folder, id, name, number.unwrap_or(1), secret)?;
    let mut all = made;
    for one in known.iter().take(2) {
        all.push(one.display().to_string());
    }
    table["secret_files"] = value(all);
    Ok(())
}

fn secret_name(id: &str, sender: &str, number: u32) -> String {
    format!("{id}.{sender}.{number}.secret")
}

/// A file with a secret that only its owner reads, as the list that names it.
fn secret_file(
    folder: &Path,
    id: &str,
    sender: &str,
    number: u32,
    secret: &str,
) -> Result<toml_edit::Array, EditError> {
    let name = secret_name(id, sender, number);
    let path = folder.join(&name);
    let made = || {
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        writeln!(file, "{secret}")?;
        file.sync_all()
    };
    made().map_err(|source| self::file(&path, source))?;
    let mut list = toml_edit::Array::new();
    list.push(name);
    Ok(list)
}

/// A key, as the file has it and as it is shown.
fn new_key() -> Result<(InlineTable, String), EditError> {
    let prefix = format!("tl_{}", hex(&random::<4>()?));
    let key = format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(random::<32>()?));
    let mut table = InlineTable::new();
    table.insert("prefix", prefix.into());
    table.insert("sha256", hex(&Sha256::digest(key.as_bytes())).into());
    Ok((table, key))
}

fn new_secret(is_standard: bool) -> Result<String, EditError> {
    let random = random::<32>()?;
    Ok(match is_standard {
        true => format!("whsec_{}", STANDARD.encode(random)),
        false => hex(&random),
    })
}

fn random<const N: usize>() -> Result<[u8; N], EditError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| EditError::Random)?;
    Ok(bytes)
}

fn write(path: &Path, text: &str) -> Result<(), EditError> {
    let draft = path.with_extension("toml.new");
    let made = || {
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o640)
            .open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    made().map_err(|source| file(path, source))
}

fn file(path: &Path, source: io::Error) -> EditError {
    EditError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
