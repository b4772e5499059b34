//! How many connections each address has, so that none takes all that there are from the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections of one address; a quarter of all.
const CONNECTIONS_MAX: usize = super::CONNECTIONS_MAX / 4;

/// Addresses that have connections.
#[derive(Clone, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address, while it lasts.
pub(super) struct Connected {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    /// Counts a connection, unless the address has enough. Whoever is on this machine speaks for others.
    pub(super) fn connect(&self, address: IpAddr, is_proxy: bool) -> Option<Connected> {
        let address = address.to_canonical();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(address).or_default();
        if *count >= CONNECTIONS_MAX && !is_proxy && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Connected {
            peers: self.clone(),
            address,
        })
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut all = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CONNECTIONS_MAX, Peers};

    #[test]
    fn one_address_does_not_take_all_connections() {
        let peers = Peers::default();
        let one = "203.0.113.9".parse().expect("an address");
        let same = "::ffff:203.0.113.9".parse().expect("an address");
        let other = "203.0.113.10".parse().expect("an address");
        let mut held: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| peers.connect(one, false).expect("room"))
            .collect();
        assert!(peers.connect(one, false).is_none());
        assert!(peers.connect(same, false).is_none());
        assert!(peers.connect(other, false).is_some());
        assert!(
            peers.connect(one, true).is_some(),
            "a proxy speaks for others"
        );
        held.pop();
        assert!(peers.connect(one, false).is_some());
        drop(held);
        assert!(peers.0.lock().expect("never poisoned").is_empty());
    }
}
