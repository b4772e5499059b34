//! The longest prefix that contains an address.
//!
//! Networks nest or are apart, so all of them together cut the line of addresses into pieces, each with the innermost
//! network around it. A search is one binary search among the pieces. Rejected: a trie, which is larger and no faster for
//! tables that never change.

use std::net::IpAddr;

/// A network, of which IPv4 and IPv6 have lines of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Network {
    is_v6: bool,
    first: u128,
    last: u128,
}

impl Network {
    /// The network of that text: an address, or an address, a slash and the length of the prefix.
    pub(super) fn new(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (is_v6, number) = number(address);
        let width = if is_v6 { 128 } else { 32 };
        let length = match length {
            None => width,
            Some(digits) => {
                let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
                digits
                    .parse::<u32>()
                    .ok()
                    .filter(|_| is_plain && digits.len() <= 3)?
            }
        };
        let rest = width.checked_sub(length)?;
        let mask = if rest == 128 {
            u128::MAX
        } else {
            (1 << rest) - 1
        };
        // An address inside of a network is not the network: somebody meant something else.
        (number & mask == 0).then_some(Self {
            is_v6,
            first: number,
            last: number | mask,
        })
    }
}

fn number(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (false, u32::from(address).into()),
        IpAddr::V6(address) => (true, address.into()),
    }
}

/// Pieces of both lines.
#[derive(Debug, Default)]
pub(super) struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u32)>,
}

/// Where no network is.
const NOWHERE: u32 = u32::MAX;

impl Networks {
    /// The pieces of networks and their rows; the two rows of a network that is there twice, if there is one.
    pub(super) fn new(mut networks: Vec<(Network, u32)>) -> Result<Self, (u32, u32)> {
        // Outer networks come before inner ones of the same beginning.
        networks.sort_by_key(|(network, row)| {
            (network.is_v6, network.first, u128::MAX - network.last, *row)
        });
        let twice = networks.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some(pair) = twice {
            return Err((pair[0].1, pair[1].1));
        }
        let middle = networks.partition_point(|(network, _)| !network.is_v6);
        let (v4, v6) = networks.split_at(middle);
        let v4 = pieces(v4, u32::MAX.into()).into_iter();
        Ok(Self {
            v4: v4.map(|(first, row)| (first as u32, row)).collect(),
            v6: pieces(v6, u128::MAX),
        })
    }

    /// The row of the innermost network around an address. An IPv4 address in the clothes of IPv6 is one of IPv4.
    pub(super) fn find(&self, address: &str) -> Option<u32> {
        let row = match address.parse::<IpAddr>().ok()?.to_canonical() {
            IpAddr::V4(address) => piece(&self.v4, u32::from(address)),
            IpAddr::V6(address) => piece(&self.v6, u128::from(address)),
        };
        row.filter(|row| *row != NOWHERE)
    }
}

fn piece<N: Ord + Copy>(pieces: &[(N, u32)], address: N) -> Option<u32> {
    let after = pieces.partition_point(|(first, _)| *first <= address);
    pieces.get(after.checked_sub(1)?).map(|(_, row)| *row)
}

fn pieces(networks: &[(Network, u32)], end: u128) -> Vec<(u128, u32)> {
    let mut pieces: Vec<(u128, u32)> = Vec::with_capacity(networks.len() * 2);
    let mut push = |first: u128, row: u32| match pieces.last_mut() {
        Some(last) if last.0 == first => last.1 = row,
        _ => pieces.push((first, row)),
    };
    let mut around: Vec<(u128, u32)> = Vec::new();
    // After the end of a network its outer one goes on, if there is one.
    let leave = |around: &mut Vec<(u128, u32)>, before: u128, push: &mut dyn FnMut(u128, u32)| {
        while let Some((last, _)) = around.last().copied()
            && last < before
        {
            around.pop();
            let outer = around.last().map_or(NOWHERE, |(_, row)| *row);
            push(last + 1, outer);
        }
    };
    for (network, row) in networks {
        leave(&mut around, network.first, &mut push);
        push(network.first, *row);
        around.push((network.last, *row));
    }
    leave(&mut around, end, &mut push);
    pieces
}
