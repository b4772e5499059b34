//! What may be asked for on the network: patterns of hosts and paths, and addresses of requests, read strictly.
//!
//! Two readers that disagree about an address are a way past an allow-list, so this one takes a narrow form of it and
//! refuses the rest: no user, no fragment, no backslash, no dot steps in any spelling, no number that some resolver
//! takes for an address. What was read here is what is sent. Rejected: a general URL crate, which mends what it reads.

use crate::grant::limits::HTTP_URL_BYTES_MAX;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name of a host.
const HOST_BYTES_MAX: usize = 253;
/// Longest part of one.
const LABEL_BYTES_MAX: usize = 63;

/// Methods that can be granted.
pub const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Encrypted.
    Https,
    /// In the clear.
    Http,
}

impl Scheme {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// The port when none is written.
    pub fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// A host, by name or by address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Small letters.
    Name(String),
    /// An address, as it is usually written.
    Address(IpAddr),
}

impl Host {
    /// The host of that text; nothing for odd spellings of addresses.
    pub fn new(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        is_host_name(text).then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty()
            && label.len() <= LABEL_BYTES_MAX
            && label.bytes().all(may_stand)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or("");
    // `2130706433`, `0x7f000001`, `127.1` and `0177.0.0.1` are addresses to resolvers.
    let is_number = last.starts_with(|first: char| first.is_ascii_digit());
    text.len() <= HOST_BYTES_MAX && text.split('.').all(is_label) && !is_number
}

/// A host, or all hosts below a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This one.
    Exact(Host),
    /// `*.example.com`: any below `example.com`, however deep, and not itself.
    Below(String),
}

impl HostPattern {
    /// The pattern of that text, in small letters.
    pub fn new(text: &str) -> Option<Self> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        match text.strip_prefix("*.") {
            // All of `.com` is nobody's.
            Some(parent) => (is_host_name(parent) && parent.contains('.'))
                .then(|| Self::Below(parent.to_owned())),
            None => Host::new(text).map(Self::Exact),
        }
    }

    /// Whether the host is one of them.
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(exact), host) => exact == host,
            (Self::Below(parent), Host::Name(name)) => is_below(name, parent),
            (Self::Below(_), Host::Address(_)) => false,
        }
    }

    /// Whether all that the other takes is taken.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Below(parent), Self::Below(name)) => name == parent || is_below(name, parent),
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// A path, or all paths that begin like one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathPattern {
    /// This one.
    Exact(String),
    /// `/v1/*`: all that begin with `/v1/`.
    Below(String),
}

impl PathPattern {
    /// The pattern of that text.
    pub fn new(text: &str) -> Option<Self> {
        let (path, is_open) = match text.strip_suffix('*') {
            Some(path) if path.ends_with('/') => (path, true),
            Some(_) => return None,
            None => (text, false),
        };
        if !is_path(path) || path.contains('*') {
            return None;
        }
        Some(match is_open {
            true => Self::Below(path.to_owned()),
            false => Self::Exact(path.to_owned()),
        })
    }

    /// Whether the path is one of them.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == path,
            Self::Below(start) => path.starts_with(start.as_str()),
        }
    }

    /// Whether all that the other takes is taken.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::Below(start), Self::Exact(other) | Self::Below(other)) => {
                other.starts_with(start.as_str())
            }
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Below(start) => write!(f, "{start}*"),
        }
    }
}

/// Whether a path says the same to every server: plain characters, sound escapes, and no steps up or aside.
fn is_path(path: &str) -> bool {
    let Some(steps) = path.strip_prefix('/') else {
        return false;
    };
    if !has_sound_escapes(path) {
        return false;
    }
    let lower = path.to_ascii_lowercase();
    // A dot, a slash, a backslash, a percent sign or an end that only some servers see.
    let hidden = ["%2e", "%2f", "%5c", "%25", "%00"];
    if hidden.iter().any(|one| lower.contains(one)) {
        return false;
    }
    let mut steps = steps.split('/').peekable();
    while let Some(step) = steps.next() {
        let is_last = steps.peek().is_none();
        let name = step.split(';').next().unwrap_or("");
        if (step.is_empty() && !is_last) || name == "." || name == ".." {
            return false;
        }
    }
    path.bytes().all(|byte| is_plain(byte) && byte != b'?')
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#'
        )
}

fn has_sound_escapes(text: &str) -> bool {
    let mut rest = text.split('%');
    rest.next();
    rest.all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// The address of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// How.
    pub scheme: Scheme,
    /// Who.
    pub host: Host,
    /// The one written, or the one of the scheme.
    pub port: u16,
    /// Begins with `/`.
    pub path: String,
    /// What follows the question mark.
    pub query: Option<String>,
}

impl Address {
    /// Reads an absolute address; says why it is none.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.len() > HTTP_URL_BYTES_MAX {
            return Err("the address is too long");
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("the address is not absolute")?;
        let scheme = match scheme {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err("the address is neither `https` nor `http`"),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = split_port(authority)?;
        let host = Host::new(host).ok_or("the host of the address is not well formed")?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        if !is_path(path) {
            return Err("the path of the address is not well formed");
        }
        let is_query = |query: &str| query.bytes().all(is_plain) && has_sound_escapes(query);
        if query.is_some_and(|query| !is_query(query)) {
            return Err("the query of the address is not well formed");
        }
        Ok(Self {
            scheme,
            host,
            port: port.unwrap_or(scheme.port()),
            path: path.to_owned(),
            query: query.map(str::to_owned),
        })
    }

    /// Where a redirect leads, absolute or beginning with `/`.
    pub fn redirected(&self, location: &str) -> Result<Self, &'static str> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Self::new(&format!("{}{location}", self.origin()));
        }
        Self::new(location)
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        format!("{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    if authority.contains('@') {
        return Err("the address names a user");
    }
    let host_end = match authority.starts_with('[') {
        true => authority.find(']').map_or(authority.len(), |at| at + 1),
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.strip_prefix(':').unwrap_or("");
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 5;
    let number = digits
        .parse()
        .ok()
        .filter(|number| is_number && *number > 0);
    number
        .map(|number| (host, Some(number)))
        .ok_or("the port of the address is not well formed")
}
