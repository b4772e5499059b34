//! Which addresses may be spoken to, and who asks for them.
//!
//! Names are resolved here, every address of the answer is checked, and the connection goes to one of those that were
//! checked: a name that answers differently the second time has no second time. `Network` is what a test replaces; the
//! constructor that takes one is not public, and the one that is takes `PublicInternet`, which has no exceptions.

use super::{Host, Scheme};
use crate::grant::limits::{HTTP_ADDRESSES_MAX, HTTP_LOOKUPS_MAX};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// What is outside.
pub(super) trait Network: fmt::Debug + Send + Sync + 'static {
    /// The addresses of a name, in order of preference.
    fn resolve(&self, name: &str, patience: Duration) -> io::Result<Vec<IpAddr>>;
    /// Whether a plugin may speak to this address at all.
    fn may_reach(&self, address: IpAddr) -> bool;
}

/// The public internet, and nothing of the operator's own networks.
#[derive(Debug)]
pub(super) struct PublicInternet;

impl Network for PublicInternet {
    fn resolve(&self, name: &str, patience: Duration) -> io::Result<Vec<IpAddr>> {
        resolve_within(name, patience)
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        is_public(address)
    }
}

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// The system's resolver cannot be given up, so it is waited for on a thread of its own. The threads are counted:
/// a resolver that hangs stops requests, not the host.
fn resolve_within(name: &str, patience: Duration) -> io::Result<Vec<IpAddr>> {
    if LOOKUPS.fetch_add(1, Ordering::Relaxed) >= HTTP_LOOKUPS_MAX {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the resolver is stuck",
        ));
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = name.to_owned();
    let look_up = move || {
        let addresses = (name.as_str(), 0).to_socket_addrs();
        let addresses = addresses.map(|found| found.map(|one| one.ip()).collect::<Vec<_>>());
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        // Nobody may be waiting any more.
        let _ = sender.send(addresses);
    };
    let thread = std::thread::Builder::new().name("plugin-dns".into());
    if let Err(cause) = thread.spawn(look_up) {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        return Err(cause);
    }
    match receiver.recv_timeout(patience) {
        Ok(addresses) => addresses,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

/// An address that must not be spoken to.
#[derive(Debug)]
pub(super) struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not on the public internet")
    }
}

impl std::error::Error for NotPublic {}

/// Gives the client the addresses that were checked, and no others.
#[derive(Debug)]
pub(super) struct CheckedResolver(pub(super) Arc<dyn Network>);

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let bad = || ureq::Error::BadUri("no host or port".into());
        let host = uri.host().and_then(Host::new).ok_or_else(bad)?;
        let usual = match uri.scheme_str() {
            Some("https") => Some(Scheme::Https.port()),
            Some("http") => Some(Scheme::Http.port()),
            _ => None,
        };
        let port = uri.port_u16().or(usual).ok_or_else(bad)?;
        let addresses = match host {
            Host::Address(address) => vec![address],
            Host::Name(name) => self.0.resolve(&name, *timeout.after)?,
        };
        // One private address among public ones is how checks are got around.
        if addresses.iter().any(|address| !self.0.may_reach(*address)) {
            return Err(ureq::Error::Io(io::Error::new(
                io::ErrorKind::PermissionDenied,
                NotPublic,
            )));
        }
        let mut resolved = self.empty();
        for address in addresses.into_iter().take(HTTP_ADDRESSES_MAX) {
            resolved.push(SocketAddr::new(address, port));
        }
        match resolved.is_empty() {
            true => Err(ureq::Error::HostNotFound),
            false => Ok(resolved),
        }
    }
}

/// Whether an address is one that anybody on the internet could speak to, and nobody's own. After the special-purpose
/// registries of IANA (RFC 6890 and its successors).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This host, private networks, carriers' own, loopback, link-local with the metadata of clouds.
        [0 | 10 | 127, ..] => true,
        [100, 64..=127, ..] => true,
        [169, 254, ..] | [192, 168, ..] => true,
        [172, 16..=31, ..] => true,
        // Protocols, documentation, 6to4 relays, benchmarks.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] => true,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // Azure's metadata and health service has a public address of its own.
        [168, 63, 129, 16] => true,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let low = |parts: [u16; 2]| {
        let [high, low] = parts;
        Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
    };
    match address.segments() {
        // An IPv4 address in the clothes of IPv6, and one that a translator would make of it.
        [0, 0, 0, 0, 0, 0xffff, a, b] => is_public_v4(low([a, b])),
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] => is_public_v4(low([a, b])),
        // 6to4 carries its IPv4 address in front.
        [0x2002, a, b, ..] => is_public_v4(low([a, b])),
        // Protocols with Teredo among them, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => false,
        [0x3fff, 0..=0xfff, ..] => false,
        // ISATAP carries its IPv4 address at the end.
        [0x2000..=0x3fff, _, _, _, 0 | 0x200, 0x5efe, a, b] => is_public_v4(low([a, b])),
        // All the rest of what is given out; loopback, link-local, unique local and multicast lie outside.
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}
