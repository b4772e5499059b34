//! Addresses and what they are for, as the registries of special-purpose addresses have it (RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands in `sourceIPAddress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A service of AWS that acted for somebody.
    Service,
    /// An address.
    Ip(IpAddr),
    /// Neither.
    Other,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Ok(ip) = text.parse() {
            return Self::Ip(unwrapped(ip));
        }
        // Some sources write a port, or an address in brackets.
        if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
            return Self::Ip(unwrapped(socket.ip()));
        }
        if let Some(Ok(ip)) = text
            .strip_prefix('[')
            .and_then(|text| Some(text.strip_suffix(']')?.parse()))
        {
            return Self::Ip(unwrapped(ip));
        }
        let is_service = text == "AWS Internal"
            || text.ends_with(".amazonaws.com")
            || text.ends_with(".amazonaws.com.cn");
        match is_service {
            true => Self::Service,
            false => Self::Other,
        }
    }

    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            _ => None,
        }
    }

    /// The kind of network, in a word.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Other => "other",
            Self::Ip(IpAddr::V4(ip)) => first(&V4, |network| network.contains(IpAddr::V4(ip))),
            Self::Ip(IpAddr::V6(ip)) => first(&V6, |network| network.contains(IpAddr::V6(ip))),
        }
    }

    pub(crate) fn is_public(self) -> bool {
        self.class() == "public"
    }

    /// Whether only machines of the site have such an address.
    pub(crate) fn is_of_the_site(self) -> bool {
        matches!(
            self.class(),
            "private" | "loopback" | "link-local" | "metadata"
        )
    }
}

fn first(classes: &[(&str, &'static str)], contains: impl Fn(&Network) -> bool) -> &'static str {
    let of = |(text, class): &(&str, &'static str)| {
        let network = Network::parse(text)?;
        contains(&network).then_some(*class)
    };
    classes.iter().find_map(of).unwrap_or("public")
}

/// An IPv4 address that came as an IPv6 one: mapped, or through NAT64.
fn unwrapped(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else {
        return ip;
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        _ => ip,
    }
}

/// The narrowest first.
const V4: [(&str, &str); 19] = [
    ("169.254.169.254/32", "metadata"),
    ("169.254.170.2/32", "metadata"),
    ("255.255.255.255/32", "broadcast"),
    ("192.0.2.0/24", "documentation"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("192.88.99.0/24", "reserved"),
    ("192.0.0.9/32", "public"),
    ("192.0.0.10/32", "public"),
    ("192.0.0.0/24", "reserved"),
    ("198.18.0.0/15", "benchmark"),
    ("169.254.0.0/16", "link-local"),
    ("192.168.0.0/16", "private"),
    ("172.16.0.0/12", "private"),
    ("100.64.0.0/10", "carrier"),
    ("10.0.0.0/8", "private"),
    ("127.0.0.0/8", "loopback"),
    ("0.0.0.0/8", "unspecified"),
    ("224.0.0.0/3", "reserved"),
];

const V6: [(&str, &str); 13] = [
    ("::1/128", "loopback"),
    ("::/128", "unspecified"),
    ("fd00:ec2::254/128", "metadata"),
    ("64:ff9b:1::/48", "translated"),
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),
    ("2001::/32", "tunnel"),
    ("2001:2::/48", "benchmark"),
    ("2002::/16", "tunnel"),
    ("fe80::/10", "link-local"),
    ("fc00::/7", "private"),
    ("ff00::/8", "multicast"),
    ("100::/64", "reserved"),
];

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    first: IpAddr,
    bits: u32,
}

impl Network {
    /// `ADDRESS/BITS`, or an address that stands for itself.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (first, bits) = match text.trim().split_once('/') {
            Some((first, bits)) => (first.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.trim().parse().ok()?, None),
        };
        let most = match first {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { first, bits })
    }

    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        match (self.first, ip) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                let differ = first.to_bits() ^ ip.to_bits();
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => {
                let differ = Ipv6Addr::to_bits(first) ^ ip.to_bits();
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, class: &str) {
        assert_eq!(Address::parse(text).class(), class, "{text}");
    }

    #[test]
    fn classes() {
        check("10.255.255.255", "private");
        check("11.0.0.0", "public");
        check("172.31.255.255", "private");
        check("172.32.0.0", "public");
        check("100.64.0.1", "carrier");
        check("169.254.169.254", "metadata");
        check("169.254.1.1", "link-local");
        check("224.0.0.1", "reserved");
        check("223.255.255.255", "public");
        check("8.8.8.8:443", "public");
        check("::ffff:10.0.0.1", "private");
        check("64:ff9b::a00:1", "private");
        check("[2001:db8::1]", "documentation");
        check("2600:1f18::1", "public");
        check("fd12::1", "private");
        check("cloudtrail.amazonaws.com", "service");
        check("AWS Internal", "service");
        check("10.0.0", "other");
        check("", "other");
    }

    #[test]
    fn every_class_is_a_network() {
        for (text, class) in V4.iter().chain(&V6) {
            assert!(Network::parse(text).is_some(), "{text} {class}");
        }
    }

    #[test]
    fn networks_end_where_they_say() {
        let network = Network::parse("198.51.100.128/25").expect("a network");
        assert!(network.contains("198.51.100.255".parse().expect("an address")));
        assert!(!network.contains("198.51.100.127".parse().expect("an address")));
        assert!(
            Network::parse("0.0.0.0/0")
                .expect("all")
                .contains(Ipv4Addr::BROADCAST.into())
        );
        assert_eq!(Network::parse("::/129"), None);
    }
}
