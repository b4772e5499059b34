//! The file of a channel: `ID.toml` in the folder of channels.
//!
//! It says who may push, what, and how much, and is read again when it changes. Unknown keys are mistakes, told with their line.
//! It must never hold a secret in the clear: keys are there as their SHA-256, everything that must be known to verify a
//! signature is in files of its own.

use super::end::End;
use crate::config::Length;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most bytes of such a file.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Most senders of one channel; each may have to be tried on every request.
const SENDERS_MAX: usize = 32;

/// Live secrets of one sender: the one in use and the next, and one more while a rotation was not finished.
const SECRETS_MAX: usize = 3;

/// Most destinations of one channel; an event waits for each.
const DESTINATIONS_MAX: usize = 8;

/// The longest line of text for people.
const WORDS_MAX: usize = 1024;

/// What the file of a channel says.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChannelFile {
    pub(crate) description: String,
    /// Who answers for it.
    pub(crate) owner: String,
    /// The product or partner that the events come from.
    pub(crate) source: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// Whether everything is refused for now.
    pub(crate) paused: bool,
    /// The account that the events are of, for `PutAuditEvents`.
    pub(crate) account: String,
    pub(crate) ids: Ids,
    /// The field that tells one event from another; a path with dots between its keys.
    pub(crate) id_field: String,
    pub(crate) senders: Vec<SenderFile>,
    pub(crate) limits: LimitsFile,
    pub(crate) allow: AllowFile,
    /// Where its events go beside the log: names of the configuration.
    pub(crate) destinations: Vec<String>,
    /// A finding is made when nothing came for so long.
    pub(crate) silent_after: Option<Length>,
    pub(crate) schema: super::shape::SchemaFile,
    /// The decoder plugin that makes events of bodies in no form of their own, and of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decoder: Option<String>,
    /// Files that the channel takes itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pull: Option<super::pull::PullFile>,
}

impl Default for ChannelFile {
    fn default() -> Self {
        Self {
            description: String::new(),
            owner: String::new(),
            source: String::new(),
            tags: BTreeMap::new(),
            paused: false,
            account: String::new(),
            ids: Ids::Channel,
            id_field: "eventID".to_owned(),
            senders: Vec::new(),
            limits: LimitsFile::default(),
            allow: AllowFile::default(),
            destinations: Vec::new(),
            silent_after: None,
            schema: super::shape::SchemaFile::default(),
            decoder: None,
            pull: None,
        }
    }
}

/// Whose ids the events have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ids {
    /// Made of the channel and the id that the sender gave, so that no channel can take the id of another one's event.
    Channel,
    /// The `eventID` of the events themselves, for sources that are trusted as AWS is.
    Own,
}

/// Somebody who may push, and how it proves who it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum SenderFile {
    /// A key that goes with each request.
    Key {
        name: String,
        /// Nothing counts from then on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<End>,
        /// Those that count: the one in use, and while it is rotated the one before it.
        keys: Vec<KeyFile>,
        /// The header that it is in; `Authorization` (bare, or after `Bearer` or `Splunk`, or the password of `Basic`) or
        /// `X-Api-Key` if none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        header: Option<String>,
    },
    /// A signature over the body with a secret of both.
    Hmac {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<End>,
        scheme: Scheme,
        secret_files: Vec<PathBuf>,
        /// How far the time of signing may be from now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance: Option<Length>,
        /// Of the scheme `custom`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        custom: Option<CustomHmac>,
    },
    /// An AWS signature, version 4.
    Sigv4 {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<End>,
        access_key_id: String,
        secret_files: Vec<PathBuf>,
    },
    /// A certificate of the connection, which an authority of the listener signed.
    Certificate {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<End>,
        /// Of the certificate, in hex; more than one while it is renewed.
        #[serde(default)]
        sha256: Vec<String>,
        /// DNS names and URIs, of which it has one.
        #[serde(default)]
        names: Vec<String>,
    },
    /// A token of an issuer.
    Jwt {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<End>,
        issuer: String,
        audience: String,
        /// The issuer's keys, in a file or at an address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jwks_file: Option<PathBuf>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jwks_url: Option<String>,
        /// What tokens must say beside that.
        #[serde(default)]
        claims: BTreeMap<String, String>,
        /// How far clocks may differ.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance: Option<Length>,
    },
    /// Whoever may publish on the channel's subject of NATS.
    Nats {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<End>,
    },
}

/// A key, of which only this is kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFile {
    /// Of the whole key, in hex.
    pub(crate) sha256: String,
    /// How it begins, for people.
    #[serde(default)]
    pub(crate) prefix: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<End>,
}

impl SenderFile {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Key { name, .. }
            | Self::Hmac { name, .. }
            | Self::Sigv4 { name, .. }
            | Self::Certificate { name, .. }
            | Self::Jwt { name, .. }
            | Self::Nats { name, .. } => name,
        }
    }

    pub(crate) fn expires(&self) -> Option<End> {
        match self {
            Self::Key { expires, .. }
            | Self::Hmac { expires, .. }
            | Self::Sigv4 { expires, .. }
            | Self::Certificate { expires, .. }
            | Self::Jwt { expires, .. }
            | Self::Nats { expires, .. } => *expires,
        }
    }
}

/// Whose way of signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scheme {
    StandardWebhooks,
    Github,
    Slack,
    Stripe,
    Custom,
}

/// A way of signing, in words.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomHmac {
    /// The header with the signature.
    pub(crate) header: String,
    /// What stands before the signature in it, such as `sha256=`.
    #[serde(default)]
    pub(crate) prefix: String,
    #[serde(default)]
    pub(crate) algorithm: Algorithm,
    #[serde(default)]
    pub(crate) encoding: Encoding,
    /// What is signed: text with `{body}`, and maybe `{timestamp}` and `{id}`.
    #[serde(default = "only_body")]
    pub(crate) message: String,
    /// The header with the time of signing, in seconds after 1970.
    #[serde(default)]
    pub(crate) timestamp_header: Option<String>,
    /// The header with the id of the message.
    #[serde(default)]
    pub(crate) id_header: Option<String>,
}

fn only_body() -> String {
    "{body}".to_owned()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Algorithm {
    Sha1,
    #[default]
    Sha256,
    Sha512,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Encoding {
    #[default]
    Hex,
    Base64,
}

/// How much.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsFile {
    /// The longest event, in KiB.
    pub(crate) event_max_kib: u64,
    /// The longest body, in KiB, as it comes; and what it may become when it is decompressed.
    pub(crate) body_max_kib: u64,
    pub(crate) inflated_max_kib: u64,
    /// The longest body of lines that are taken as they come, in MiB; 0 takes none so.
    pub(crate) stream_max_mib: u64,
    /// Events of one request.
    pub(crate) events_max: usize,
    /// Sustained; 0 is no limit.
    pub(crate) events_per_second: u64,
    pub(crate) kib_per_second: u64,
    /// How many seconds of that may come at once.
    pub(crate) burst_seconds: u64,
    /// From midnight to midnight, UTC; 0 is no limit.
    pub(crate) events_per_day: u64,
    /// Requests at a time.
    pub(crate) requests_at_once: usize,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            event_max_kib: 256,
            body_max_kib: 1024,
            inflated_max_kib: 10 * 1024,
            stream_max_mib: 1024,
            events_max: 10_000,
            events_per_second: 0,
            kib_per_second: 0,
            burst_seconds: 10,
            events_per_day: 0,
            requests_at_once: 16,
        }
    }
}

/// What may come from where; an empty list is no limit.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AllowFile {
    /// Networks that requests may come from.
    pub(crate) addresses: Vec<String>,
    /// What `eventSource` may be; `*` is any text.
    pub(crate) event_sources: Vec<String>,
    /// What `recipientAccountId` may be.
    pub(crate) accounts: Vec<String>,
    /// The external id that `PutAuditEvents` must bear.
    pub(crate) external_id: String,
}

/// What is wrong with the file of a channel.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{path}: {words}")]
pub(crate) struct ChannelFault {
    pub(crate) path: String,
    pub(crate) words: String,
}

impl ChannelFile {
    /// What a text says.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ChannelFault> {
        let fault = |words: String| ChannelFault {
            path: path.display().to_string(),
            words,
        };
        let file: Self =
            toml::from_str(text).map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
        file.validate().map_err(fault)?;
        Ok(file)
    }

    /// What a file says.
    pub(crate) fn read(path: &Path) -> Result<Self, ChannelFault> {
        let text = read_bounded(path, FILE_BYTES_MAX).map_err(|words| ChannelFault {
            path: path.display().to_string(),
            words,
        })?;
        Self::parse(path, &text)
    }

    fn validate(&self) -> Result<(), String> {
        for (name, text) in [
            ("description", &self.description),
            ("owner", &self.owner),
            ("source", &self.source),
        ] {
            if text.len() > WORDS_MAX || text.chars().any(char::is_control) {
                return Err(format!(
                    "{name} is longer than {WORDS_MAX} bytes or has control characters"
                ));
            }
        }
        if self.source.is_empty() {
            return Err(
                "source is missing; say what the events come from, such as \"okta\"".to_owned(),
            );
        }
        if self.destinations.len() > DESTINATIONS_MAX {
            return Err(format!("more than {DESTINATIONS_MAX} destinations"));
        }
        if let Some(twice) = (1..self.destinations.len())
            .find(|number| self.destinations[..*number].contains(&self.destinations[*number]))
        {
            let name = self.destinations[twice].escape_debug();
            return Err(format!("destinations: \"{name}\" is there twice"));
        }
        if self.senders.len() > SENDERS_MAX {
            return Err(format!("more than {SENDERS_MAX} senders"));
        }
        for (number, sender) in self.senders.iter().enumerate() {
            if !is_name(sender.name()) {
                return Err(format!(
                    "the sender \"{}\": a name has letters, digits, - and _, at most 64",
                    sender.name().escape_debug()
                ));
            }
            if self.senders[..number]
                .iter()
                .any(|one| one.name() == sender.name())
            {
                return Err(format!("two senders are named \"{}\"", sender.name()));
            }
            let words = |words: String| format!("the sender \"{}\": {words}", sender.name());
            sender.validate().map_err(words)?;
        }
        if let Some(name) = self.decoder.as_deref().filter(|name| !is_name(name)) {
            return Err(format!(
                "decoder: \"{}\" is no name of a plugin",
                name.escape_debug()
            ));
        }
        self.limits.validate()?;
        self.pull.as_ref().map_or(Ok(()), |pull| pull.validate())?;
        for network in &self.allow.addresses {
            if super::allow::Network::parse(network).is_none() {
                return Err(format!(
                    "allow.addresses: \"{}\" is no network such as 10.0.0.0/8 or 2001:db8::/32",
                    network.escape_debug()
                ));
            }
        }
        self.schema.validate()
    }
}

impl SenderFile {
    fn validate(&self) -> Result<(), String> {
        let secrets = |files: &[PathBuf]| match files.len() {
            0 => Err("secret_files names no file".to_owned()),
            1..=SECRETS_MAX => Ok(()),
            _ => Err(format!("more than {SECRETS_MAX} secret_files")),
        };
        match self {
            Self::Key { keys, header, .. } => {
                if keys.is_empty() || keys.len() > SECRETS_MAX {
                    return Err(format!(
                        "keys has {} of them; give 1 to {SECRETS_MAX}",
                        keys.len()
                    ));
                }
                let is_digest = |one: &KeyFile| {
                    one.sha256.len() == 64 && one.sha256.bytes().all(|one| one.is_ascii_hexdigit())
                };
                if !keys.iter().all(is_digest) {
                    return Err(
                        "sha256 is not 64 digits of hex; `tripline channels rotate` makes a key and writes it"
                            .to_owned(),
                    );
                }
                header.as_deref().map_or(Ok(()), check_header)
            }
            Self::Hmac {
                scheme,
                secret_files,
                custom,
                ..
            } => {
                secrets(secret_files)?;
                match (scheme, custom) {
                    (Scheme::Custom, None) => {
                        Err("the scheme \"custom\" needs [senders.custom]".to_owned())
                    }
                    (Scheme::Custom, Some(custom)) => custom.validate(),
                    (_, Some(_)) => Err("[senders.custom] is for the scheme \"custom\"".to_owned()),
                    (_, None) => Ok(()),
                }
            }
            Self::Sigv4 {
                access_key_id,
                secret_files,
                ..
            } => {
                let is_id = (16..=128).contains(&access_key_id.len())
                    && access_key_id.bytes().all(|one| one.is_ascii_alphanumeric());
                if !is_id {
                    return Err("access_key_id has 16 to 128 letters and digits".to_owned());
                }
                secrets(secret_files)
            }
            // What is wrong with these is told where they are read.
            Self::Certificate { .. } | Self::Jwt { .. } | Self::Nats { .. } => Ok(()),
        }
    }
}

impl CustomHmac {
    fn validate(&self) -> Result<(), String> {
        check_header(&self.header)?;
        for header in [&self.timestamp_header, &self.id_header]
            .into_iter()
            .flatten()
        {
            check_header(header)?;
        }
        let needs = [
            ("{timestamp}", self.timestamp_header.is_some()),
            ("{id}", self.id_header.is_some()),
        ];
        for (word, has_header) in needs {
            if self.message.contains(word) != has_header {
                return Err(format!(
                    "what is in a header must be signed, and what is signed must be in one: {word} in `message` and its header go together"
                ));
            }
        }
        match self.message.matches("{body}").count() {
            1 => Ok(()),
            _ => Err("`message` must have {body} once".to_owned()),
        }
    }
}

impl LimitsFile {
    fn validate(&self) -> Result<(), String> {
        for (name, value, least, most) in [
            ("event_max_kib", self.event_max_kib, 1, 64 * 1024),
            ("body_max_kib", self.body_max_kib, 1, 1024 * 1024),
            ("stream_max_mib", self.stream_max_mib, 0, 1024 * 1024),
            ("inflated_max_kib", self.inflated_max_kib, 1, 1024 * 1024),
            ("events_max", self.events_max as u64, 1, 100_000),
            ("burst_seconds", self.burst_seconds, 1, 3600),
            ("requests_at_once", self.requests_at_once as u64, 1, 1024),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!(
                    "limits.{name} = {value} is out of range; give {least} to {most}"
                ));
            }
        }
        Ok(())
    }
}

fn check_header(name: &str) -> Result<(), String> {
    match axum::http::HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("\"{}\" is no header", name.escape_debug())),
    }
}

/// Whether a text can name a sender.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|one| one.is_ascii_alphanumeric() || matches!(one, b'-' | b'_'))
}

/// What the engine itself is called where others have a channel.
pub(crate) const RESERVED: [&str; 3] = ["tripline", "api", "demo"];

/// Whether a text can be the id of a channel: it is a file's name, a part of a path and of a NATS subject.
pub(crate) fn is_id(text: &str) -> bool {
    (3..=64).contains(&text.len())
        && text
            .bytes()
            .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !RESERVED.contains(&text)
}

/// The text of a file that is no longer than it may be.
pub(crate) fn read_bounded(path: &Path, max: u64) -> Result<String, String> {
    use std::io::Read;
    let told = |fault: std::io::Error| format!("cannot be read: {fault}");
    // Anything else may keep whoever opens it waiting for ever.
    if !std::fs::metadata(path).map_err(told)?.is_file() {
        return Err("is no file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(told)?;
    let mut text = String::new();
    let read = file.take(max + 1).read_to_string(&mut text);
    read.map_err(|fault| format!("cannot be read: {fault}"))?;
    match text.len() as u64 > max {
        true => Err(format!("longer than it may be ({max} bytes)")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{ChannelFile, is_id};
    use std::path::Path;

    const KEY: &str = "[[senders]]\nname = \"a\"\ntype = \"key\"\nkeys = [{ sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\" }]\n";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let words = match ChannelFile::parse(Path::new("c.toml"), text) {
            Ok(_) => "fine".to_owned(),
            Err(fault) => fault.to_string(),
        };
        assert!(
            words.contains(expected),
            "{words}\ndoes not say\n{expected}"
        );
    }

    #[test]
    fn mistakes_are_told() {
        check("source = \"x\"", "fine");
        check(&format!("source = \"x\"\n{KEY}"), "fine");
        check("", "source is missing");
        check("sorce = \"x\"", "line 1, column 1");
        check(
            "source = \"x\"\nlimits.events_max = 0",
            "limits.events_max = 0 is out of range",
        );
        check(
            &format!("source = \"x\"\n{KEY}{KEY}"),
            "two senders are named \"a\"",
        );
        check(
            "source = \"x\"\n[[senders]]\nname = \"a\"\ntype = \"key\"\nkeys = [{ sha256 = \"x\" }]",
            "64 digits",
        );
        check(
            "source = \"x\"\n[[senders]]\nname = \"a\"\ntype = \"magic\"",
            "unknown variant `magic`",
        );
        check(
            "source = \"x\"\n[[senders]]\nname = \"a\"\ntype = \"hmac\"\nscheme = \"github\"\nsecret_files = []",
            "names no file",
        );
        check(
            "source = \"x\"\n[[senders]]\nname = \"a\"\ntype = \"hmac\"\nscheme = \"custom\"\nsecret_files = [\"f\"]\n\
             [senders.custom]\nheader = \"x-sig\"\nmessage = \"{timestamp}.{body}\"",
            "{timestamp} in `message` and its header go together",
        );
        check("source = \"x\"\ndecoder = \"a/b\"", "no name of a plugin");
        check(
            "source = \"x\"\nallow.addresses = [\"10.0.0.0/33\"]",
            "is no network",
        );
        check(
            "source = \"x\"\n[[senders]]\nname = \"a b\"\ntype = \"key\"\nkeys = []",
            "a name has letters",
        );
    }

    #[test]
    fn ids_are_safe_in_paths_and_subjects() {
        for (text, is) in [
            ("okta-prod", true),
            ("a1b", true),
            ("ab", false),
            ("Okta", false),
            ("../etc", false),
            ("a.b", false),
            ("tripline", false),
            ("-ab", false),
            ("ab-", false),
        ] {
            assert_eq!(is_id(text), is, "{text}");
        }
    }
}
