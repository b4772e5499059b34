//! The name of an artifact: `registry.example/acme/geo:1.4.2`, or with `@sha256:…`.
//!
//! The registry is always written: a default would be somebody's whom nobody named.

use crate::sign::Digest;
use std::fmt;

/// Longest name, as registries have it.
const REPOSITORY_BYTES_MAX: usize = 255;
/// Longest host with its port.
const REGISTRY_BYTES_MAX: usize = 255;
/// Longest tag, as the specification has it.
const TAG_BYTES_MAX: usize = 128;

/// An artifact in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host, and port where it is not the usual one.
    pub registry: String,
    /// Such as `acme/geo`.
    pub repository: String,
    /// Which one.
    pub which: Which,
}

/// Which of the artifacts of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// What somebody called so last.
    Tag(String),
    /// These bytes.
    Digest(Digest),
}

impl Reference {
    /// The reference of that text.
    pub fn new(text: &str) -> Option<Self> {
        let (registry, rest) = text.split_once('/')?;
        let (repository, which) = match rest.split_once('@') {
            // A tag beside a digest says nothing more.
            Some((name, digest)) => {
                let name = name.split_once(':').map_or(name, |(name, _)| name);
                (name, Which::Digest(Digest::new(digest)?))
            }
            None => {
                let (name, tag) = rest.split_once(':')?;
                (name, Which::Tag(tag.to_owned()))
            }
        };
        let is_tag = match &which {
            Which::Tag(tag) => is_tag(tag),
            Which::Digest(_) => true,
        };
        let is_good = is_tag && is_registry(registry) && is_repository(repository);
        is_good.then(|| Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            which,
        })
    }

    /// The digest, where it is one.
    pub fn digest(&self) -> Option<Digest> {
        match self.which {
            Which::Digest(digest) => Some(digest),
            Which::Tag(_) => None,
        }
    }

    /// The same repository, by digest.
    pub fn pinned(&self, digest: Digest) -> Self {
        Self {
            which: Which::Digest(digest),
            ..self.clone()
        }
    }

    /// The name without the port.
    fn host(&self) -> &str {
        match self.registry.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.registry.split(':').next().unwrap_or_default(),
        }
    }

    /// Whether the registry is on this machine, whatever names resolve to.
    pub fn is_loopback(&self) -> bool {
        let address = self.host().parse::<std::net::IpAddr>();
        self.host() == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.which {
            Which::Tag(tag) => write!(f, ":{tag}"),
            Which::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

/// A name with a dot or a port, `localhost`, or an address, so that `acme/geo` is not taken for a host.
fn is_registry(text: &str) -> bool {
    if text.len() > REGISTRY_BYTES_MAX {
        return false;
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
        return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let may_stand = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        let ends = bytes.first().zip(bytes.last());
        bytes.iter().all(may_stand)
            && ends.is_some_and(|(first, last)| *first != b'-' && *last != b'-')
    };
    let is_host = host.split('.').all(is_label);
    let is_meant = host.contains('.') || host == "localhost" || port.is_some();
    is_host && is_meant && port.is_none_or(is_port)
}

/// Small letters and digits, with `.`, `_`, `__` or dashes between, in parts.
fn is_repository(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        let ends = bytes.first().zip(bytes.last());
        let between = bytes.split(|byte| is_plain(*byte)).all(|run| {
            matches!(run, b"" | b"." | b"_" | b"__") || run.iter().all(|one| *one == b'-')
        });
        between && ends.is_some_and(|(first, last)| is_plain(*first) && is_plain(*last))
    };
    text.len() <= REPOSITORY_BYTES_MAX && text.split('/').all(is_part)
}

fn is_tag(text: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = text.bytes().next();
    text.len() <= TAG_BYTES_MAX
        && text.bytes().all(may_stand)
        && first.is_some_and(|first| first != b'.' && first != b'-')
}
