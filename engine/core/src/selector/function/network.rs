//! IP addresses and networks.
//!
//! Reading is strict: no leading zeros, no zones, no IPv4 written as IPv6 (`::ffff:1.2.3.4`), as the language's
//! network extension says. `contains` differs from it on purpose: a receiver is asked about fields of events,
//! which hold `cloudtrail.amazonaws.com` as well as addresses, so what is no address is in no network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Function, one};
use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::value::{Cidr, Value};

/// Longest text of an address (`…:255.255.255.255` in its longest IPv6 form).
const ADDRESS_BYTES_MAX: usize = 45;

pub(super) fn call<'e>(
    function: Function,
    arguments: &[Value<'e>],
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    use Function as F;
    meter.charge(1)?;
    match (function, arguments) {
        (F::ToIp, [Value::Ip(address)]) => Ok(Value::Ip(*address)),
        (F::ToIp, [Value::Cidr(network)]) => Ok(Value::Ip(network.address)),
        (F::ToIp, [Value::String(text)]) => parse_ip(text).map(Value::Ip).ok_or(Why::BadText),
        (F::ToCidr, [Value::Cidr(network)]) => Ok(Value::Cidr(*network)),
        (F::ToCidr, [Value::String(text)]) => parse_cidr(text).map(Value::Cidr).ok_or(Why::BadText),
        (F::IsIp, [value]) => Ok(Value::Bool(
            value.as_text().is_some_and(|text| parse_ip(text).is_some()),
        )),
        (F::IsCidr, [value]) => Ok(Value::Bool(
            value
                .as_text()
                .is_some_and(|text| parse_cidr(text).is_some()),
        )),
        (F::IsCanonicalIp, [Value::String(text)]) => {
            let address = parse_ip(text).ok_or(Why::BadText)?;
            Ok(Value::Bool(address.to_string() == **text))
        }
        (F::ContainsIp, [Value::Cidr(network), value]) => {
            Ok(Value::Bool(contains_ip(*network, value)))
        }
        (F::ContainsCidr, [Value::Cidr(network), value]) => {
            Ok(Value::Bool(contains_cidr(*network, value)))
        }
        (F::Masked, [Value::Cidr(network)]) => {
            let address = mask(network.address, network.prefix);
            Ok(Value::Cidr(Cidr {
                address,
                prefix: network.prefix,
            }))
        }
        (F::PrefixLength, [Value::Cidr(network)]) => Ok(Value::Int(i64::from(network.prefix))),
        _ => property(function, one(arguments)?),
    }
}

fn property<'e>(function: Function, value: &Value<'e>) -> Result<Value<'e>, Why> {
    let Value::Ip(address) = value else {
        return Err(Why::NoSuchOverload);
    };
    let holds = match function {
        Function::Family => {
            return Ok(Value::Int(if address.is_ipv4() { 4 } else { 6 }));
        }
        Function::IsUnspecified => address.is_unspecified(),
        Function::IsLoopback => address.is_loopback(),
        Function::IsGlobalUnicast => is_global_unicast(*address),
        Function::IsLinkLocalMulticast => match address {
            IpAddr::V4(address) => address.octets().starts_with(&[224, 0, 0]),
            IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
        },
        Function::IsLinkLocalUnicast => is_link_local_unicast(*address),
        _ => return Err(Why::NoSuchOverload),
    };
    Ok(Value::Bool(holds))
}

fn is_link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfe80,
    }
}

/// As in Go, where the extension comes from: private addresses are global unicast too.
fn is_global_unicast(address: IpAddr) -> bool {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(broadcast
        || address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || is_link_local_unicast(address))
}

/// The address that a text is.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    let bytes = text.as_bytes();
    if bytes.len() > ADDRESS_BYTES_MAX || bytes.len() < 2 {
        return None;
    }
    if !bytes.contains(&b':') {
        return text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let address: Ipv6Addr = text.parse().ok()?;
    let mapped = address.to_ipv4_mapped().is_some();
    if mapped || bytes.contains(&b'.') {
        None
    } else {
        Some(IpAddr::V6(address))
    }
}

/// The network that a text is; host bits may be set.
pub(crate) fn parse_cidr(text: &str) -> Option<Cidr> {
    let (address, prefix) = text.split_once('/')?;
    let address = parse_ip(address)?;
    let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || prefix.len() > 3 || (prefix.len() > 1 && prefix.starts_with('0')) {
        return None;
    }
    let prefix: u8 = prefix.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    if prefix <= bits {
        Some(Cidr { address, prefix })
    } else {
        None
    }
}

/// Whether a value is an address, or the text of one, that is in the network.
#[inline]
pub(crate) fn contains_ip(network: Cidr, value: &Value<'_>) -> bool {
    let address = match value {
        Value::Ip(address) => *address,
        Value::String(text) => match parse_ip(text) {
            Some(address) => address,
            None => return false,
        },
        _ => return false,
    };
    mask(address, network.prefix) == mask(network.address, network.prefix)
}

fn contains_cidr(network: Cidr, value: &Value<'_>) -> bool {
    let inner = match value {
        Value::Cidr(inner) => *inner,
        Value::String(text) => match parse_cidr(text) {
            Some(inner) => inner,
            None => return false,
        },
        _ => return false,
    };
    inner.prefix >= network.prefix && contains_ip(network, &Value::Ip(inner.address))
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let kept = u32::MAX
                .checked_shl(32 - u32::from(prefix.min(32)))
                .unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & kept))
        }
        IpAddr::V6(address) => {
            let kept = u128::MAX
                .checked_shl(128 - u32::from(prefix.min(128)))
                .unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & kept))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{contains_ip, parse_cidr, parse_ip};
    use crate::selector::value::Value;

    #[test]
    fn networks() {
        let check = |network: &str, address: &str, expected: bool| {
            let parsed = parse_cidr(network).unwrap_or_else(|| panic!("{network}"));
            assert_eq!(
                contains_ip(parsed, &Value::text(address)),
                expected,
                "{network} {address}"
            );
        };
        check("10.0.0.0/8", "10.1.2.3", true);
        check("10.0.0.0/8", "11.1.2.3", false);
        check("10.9.9.9/8", "10.1.2.3", true);
        check("0.0.0.0/0", "1.2.3.4", true);
        check("0.0.0.0/0", "::1", false);
        check("1.2.3.4/32", "1.2.3.4", true);
        check("2001:db8::/32", "2001:db8::1", true);
        check("::/0", "2001:db8::1", true);
        check("10.0.0.0/8", "cloudtrail.amazonaws.com", false);
        check("10.0.0.0/8", "010.1.2.3", false);
        check("10.0.0.0/8", "", false);
        for bad in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "::/129",
            "10.0.0/8",
            "/8",
            "a/8",
        ] {
            assert_eq!(parse_cidr(bad), None, "{bad}");
        }
        for bad in [
            "08.1.2.3",
            "1.2.3",
            "::ffff:1.2.3.4",
            "fe80::1%eth0",
            " 1.2.3.4",
            "1.2.3.4 ",
            "é",
        ] {
            assert_eq!(parse_ip(bad), None, "{bad}");
        }
    }
}
