//! What may come from where: networks of senders, sources and accounts of events.
//!
//! Relies on what was verified before; it must never be what lets somebody in. Empty lists do not limit.

use super::file::AllowFile;
use std::net::IpAddr;
use tripline_core::event::Json;

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    base: u128,
    bits: u32,
    is_v4: bool,
}

impl Network {
    /// Of a text such as `10.0.0.0/8`; an address alone is a network of one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (value, width) = number(address);
        let bits = bits.unwrap_or(width);
        (bits <= width).then(|| Self {
            base: value & mask(bits, width),
            bits,
            is_v4: address.is_ipv4(),
        })
    }

    /// Whether an address is in it.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let (value, width) = number(address);
        address.is_ipv4() == self.is_v4 && value & mask(self.bits, width) == self.base
    }
}

fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(one) => (u128::from(one.to_bits()), 32),
        IpAddr::V6(one) => (one.to_bits(), 128),
    }
}

fn mask(bits: u32, width: u32) -> u128 {
    let free = width - bits;
    match free {
        128 => 0,
        _ => u128::MAX << free,
    }
}

/// What may come.
#[derive(Clone, Debug)]
pub(crate) struct Allow {
    addresses: Vec<Network>,
    event_sources: Vec<String>,
    accounts: Vec<String>,
    pub(crate) external_id: String,
}

impl Allow {
    pub(crate) fn new(file: &AllowFile) -> Self {
        Self {
            addresses: file
                .addresses
                .iter()
                .filter_map(|one| Network::parse(one))
                .collect(),
            event_sources: file.event_sources.clone(),
            accounts: file.accounts.clone(),
            external_id: file.external_id.clone(),
        }
    }

    /// Whether requests may come from there. An IPv4 address that was mapped into IPv6 is the IPv4 address.
    pub(crate) fn address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses.is_empty() || self.addresses.iter().any(|one| one.contains(address))
    }

    /// Why an event may not come; nothing when it may.
    pub(crate) fn refuses(&self, event: Json<'_>) -> Option<(&'static str, String)> {
        let text = |key: &str| {
            let found = event.get(key).and_then(Json::as_text);
            found.map(|text| text.decode().into_owned())
        };
        if !self.event_sources.is_empty() {
            let source = text("eventSource").unwrap_or_default();
            if !self.event_sources.iter().any(|one| fits(one, &source)) {
                let words = format!(
                    "eventSource \"{}\" is not one that this channel takes (allow.event_sources)",
                    short(&source)
                );
                return Some(("event_source_not_allowed", words));
            }
        }
        if !self.accounts.is_empty() {
            let account = text("recipientAccountId").unwrap_or_default();
            if !self.accounts.contains(&account) {
                let words = format!(
                    "recipientAccountId \"{}\" is not one that this channel takes (allow.accounts)",
                    short(&account)
                );
                return Some(("account_not_allowed", words));
            }
        }
        None
    }
}

/// The beginning of what a sender said, fit for an answer.
pub(super) fn short(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

/// Whether a text fits a pattern in which `*` is any text. Linear: what follows a `*` is taken where it comes first.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{Network, fits};

    #[test]
    fn networks_hold_their_addresses() {
        for (network, address, holds) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
        ] {
            let network = Network::parse(network).expect("a network");
            let address = address.parse().expect("an address");
            assert_eq!(network.contains(address), holds, "{network:?} {address}");
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "x/8",
            "10.0.0.0/-1",
        ] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn stars_are_any_text() {
        for (pattern, text, is) in [
            ("okta.com", "okta.com", true),
            ("okta.com", "evil-okta.com", false),
            ("*.okta.com", "a.okta.com", true),
            ("*.okta.com", "okta.com", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, text), is, "{pattern} {text}");
        }
    }
}
