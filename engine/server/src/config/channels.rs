//! Settings of channels as a whole; each channel has a file of its own.

use super::destination::DestinationConfig;
use super::sink::is_subject;
use super::{Length, is_setting_name};
use crate::channel::allow::Network;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelsConfig {
    pub(crate) folder: PathBuf,
    pub(crate) remember: Length,
    pub(crate) remember_max: u64,
    pub(crate) listen: String,
    pub(crate) tls_cert_file: String,
    pub(crate) tls_key_file: String,
    pub(crate) tls_client_ca_file: String,
    pub(crate) tls_elsewhere: bool,
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) nats_subject: String,
    #[serde(default)]
    pub(crate) destinations: BTreeMap<String, DestinationConfig>,
}

impl ChannelsConfig {
    pub(super) fn validate(&self) -> Result<(), String> {
        if !(1_000..=1_000_000_000).contains(&self.remember_max) {
            return Err(format!(
                "channels.remember_max = {} is out of range; give 1000 to 1000000000",
                self.remember_max
            ));
        }
        if self.tls_cert_file.is_empty() != self.tls_key_file.is_empty() {
            return Err("channels.tls_cert_file and channels.tls_key_file go together".to_owned());
        }
        if !self.tls_client_ca_file.is_empty() && self.tls_cert_file.is_empty() {
            return Err("channels.tls_client_ca_file needs channels.tls_cert_file".to_owned());
        }
        if !self.nats_subject.is_empty() && !is_subject(&self.nats_subject) {
            return Err(format!(
                "channels.nats_subject = \"{}\" cannot be asked on; give words with dots between them, without blanks, * and >",
                self.nats_subject.escape_debug()
            ));
        }
        if let Some(address) = self.address()?
            && !address.ip().is_loopback()
            && self.tls_cert_file.is_empty()
            && !self.tls_elsewhere
        {
            return Err(format!(
                "channels.listen = \"{address}\" can be reached from elsewhere, and keys would go there in the clear; give \
                 channels.tls_cert_file and tls_key_file, or say that TLS ends before it (channels.tls_elsewhere)"
            ));
        }
        for (name, one) in &self.destinations {
            if !is_setting_name(name) {
                return Err(format!(
                    "the destination \"{}\": a name has letters, digits, - and _, at most 64",
                    name.escape_debug()
                ));
            }
            one.validate()
                .map_err(|words| format!("channels.destinations.{name}: {words}"))?;
        }
        for network in &self.trusted_proxies {
            if Network::parse(network).is_none() {
                return Err(format!(
                    "channels.trusted_proxies: \"{}\" is no network such as 10.0.0.0/8",
                    network.escape_debug()
                ));
            }
        }
        Ok(())
    }

    /// Where channels alone listen.
    pub(crate) fn address(&self) -> Result<Option<SocketAddr>, String> {
        match self.listen.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                format!("channels.listen = \"{text}\" is no address; give one such as 0.0.0.0:7879")
            }),
        }
    }

    /// The folder of channels.
    pub(crate) fn folder(&self, data: &Path) -> PathBuf {
        match self.folder.as_os_str().is_empty() {
            true => data.join("channels"),
            false => self.folder.clone(),
        }
    }
}
