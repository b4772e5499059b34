//! What the service is told of NATS: for the bus, and for sinks that publish.

use super::length::Length;
use super::place::Place;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tripline_bus::nats::limits::{DUPLICATE_WINDOW_MIN, HEADER_BYTES_MAX};

/// Where events wait until they are evaluated.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bus {
    #[serde(rename = "type")]
    pub(crate) kind: BusKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BusKind {
    Embedded,
    Nats,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nats {
    pub(crate) urls: Vec<String>,
    pub(crate) credentials_file: String,
    pub(crate) nkey_file: String,
    pub(crate) token_file: String,
    pub(crate) user: String,
    pub(crate) password_file: String,
    pub(crate) tls_required: bool,
    pub(crate) tls_first: bool,
    pub(crate) tls_ca_file: String,
    pub(crate) tls_cert_file: String,
    pub(crate) tls_key_file: String,
    pub(crate) prefix: String,
    pub(crate) partitions: u32,
    pub(crate) partition_by: String,
    pub(crate) inexact_rules: InexactRules,
    pub(crate) create: bool,
    pub(crate) start: Place,
    pub(crate) replicas: usize,
    pub(crate) size_max_mib: u64,
    pub(crate) age_max: Length,
    pub(crate) event_max_kib: u64,
    pub(crate) duplicate_window: Length,
    pub(crate) released: Released,
}

/// What becomes of a service whose rules see only a part of what they must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InexactRules {
    Refuse,
    Allow,
}

/// Who keeps what came of events.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    pub(crate) shared: bool,
    pub(crate) member: String,
    pub(crate) shorten_every: u64,
    pub(crate) rules: RulesFrom,
}

/// Where processes that share the work have their rules from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RulesFrom {
    /// Each from its own files.
    Own,
    /// From each other.
    Members,
}

impl Store {
    /// What is wrong with it.
    pub(super) fn validate(&self, bus: &Bus) -> Result<(), String> {
        if self.rules == RulesFrom::Members && !self.shared {
            return Err(
                "store.rules = \"members\": there are none; give `shared = true` of [store]"
                    .to_owned(),
            );
        }
        if self.shared && bus.kind != BusKind::Nats {
            return Err(
                "store.shared: several processes share their work by NATS; give `type = \"nats\"` of [bus]"
                    .to_owned(),
            );
        }
        if self.shorten_every == 0 {
            return Err(
                "store.shorten_every = 0: give after how many entries the ledger is shortened"
                    .to_owned(),
            );
        }
        if self.member.len() > 64 || !self.member.chars().all(is_plain) {
            return Err(format!(
                "store.member = \"{}\": give letters, digits, - and _, at most 64",
                self.member.escape_debug()
            ));
        }
        Ok(())
    }
}

/// Whether streams, subjects and members may have it in their names.
fn is_plain(one: char) -> bool {
    one.is_ascii_alphanumeric() || matches!(one, '-' | '_')
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Released {
    Keep,
    Purge,
}

/// What servers hold in one message at most, whatever they are told.
const MESSAGE_KIB_MAX: u64 = 64 * 1024;

/// Most partitions: each has a stream, a worker and a share of the memory.
const PARTITIONS_MAX: u32 = 64;

impl Nats {
    /// What is wrong with it.
    pub(super) fn validate(&self) -> Result<(), String> {
        self.validate_servers()?;
        let headers_kib = (HEADER_BYTES_MAX / 1024) as u64;
        for (name, value, least, most) in [
            ("nats.size_max_mib", self.size_max_mib, 1, 1 << 40),
            (
                "nats.event_max_kib",
                self.event_max_kib,
                1,
                MESSAGE_KIB_MAX - headers_kib,
            ),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!(
                    "{name} = {value} is out of range; give {least} to {most}"
                ));
            }
        }
        if !(1..=PARTITIONS_MAX).contains(&self.partitions) {
            return Err(format!(
                "nats.partitions = {}: give 1 to {PARTITIONS_MAX}",
                self.partitions
            ));
        }
        if self.partition_by.split('.').any(str::is_empty) || self.partition_by.len() > 255 {
            return Err(format!(
                "nats.partition_by = \"{}\": give a path in events, such as userIdentity.accountId",
                self.partition_by.escape_debug()
            ));
        }
        if !matches!(self.replicas, 1 | 3 | 5) {
            return Err(format!(
                "nats.replicas = {}: copies agree by majority, so give 1, 3 or 5",
                self.replicas
            ));
        }
        if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.chars().all(is_plain) {
            return Err(format!(
                "nats.prefix = \"{}\": streams and subjects begin with it; give letters, digits, - and _, at most 64",
                self.prefix.escape_debug()
            ));
        }
        if self.duplicate_window.duration() < DUPLICATE_WINDOW_MIN {
            return Err(format!(
                "nats.duplicate_window is shorter than an event may be tried; give at least {} s",
                DUPLICATE_WINDOW_MIN.as_secs()
            ));
        }
        if self.age_max.duration()
            < self
                .duplicate_window
                .duration()
                .max(Duration::from_secs(60))
        {
            return Err(
                "nats.age_max is too short to evaluate anything; give at least a minute, and no less than nats.duplicate_window"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn validate_servers(&self) -> Result<(), String> {
        if self.urls.is_empty() {
            return Err("nats.urls is empty; give the address of a server".to_owned());
        }
        for url in &self.urls {
            let rest = url
                .strip_prefix("nats://")
                .or_else(|| url.strip_prefix("tls://"));
            let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
                return Err(format!(
                    "nats.urls: \"{}\" begins neither with nats:// nor with tls://",
                    url.escape_debug()
                ));
            };
            // It would be printed with the configuration and told when the server is away.
            if rest.contains('@') {
                return Err(
                    "nats.urls: an address with a user or a password in it; give nats.user and nats.password_file"
                        .to_owned(),
                );
            }
        }
        let logins = [
            ("credentials_file", &self.credentials_file),
            ("nkey_file", &self.nkey_file),
            ("token_file", &self.token_file),
            ("user", &self.user),
        ];
        let given: Vec<&str> = logins
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, _)| *name)
            .collect();
        if given.len() > 1 {
            return Err(format!(
                "nats: {} are given; one of them says who we are",
                given.join(" and ")
            ));
        }
        if self.user.is_empty() != self.password_file.is_empty() {
            return Err(
                "nats: user and password_file belong together; give both or none".to_owned(),
            );
        }
        if self.tls_cert_file.is_empty() != self.tls_key_file.is_empty() {
            return Err(
                "nats: tls_cert_file and tls_key_file belong together; give both or none"
                    .to_owned(),
            );
        }
        Ok(())
    }
}
