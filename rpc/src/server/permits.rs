//! Who may hold how many connections.
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::limits::Limits;
use super::observer::{Observer, Refusal};

/// Counts open connections, in all and by address.
pub(crate) struct Permits {
    limits: Limits,
    observer: Arc<dyn Observer>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// The right to one connection; given back when dropped.
pub(crate) struct Permit {
    permits: Arc<Permits>,
    address: IpAddr,
}

impl Permits {
    pub(crate) fn new(limits: &Limits, observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self { limits: limits.clone(), observer, open: Mutex::default() })
    }

    /// Takes a permit for a connection from this address.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Refusal> {
        let address = network(address);
        let total = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.total >= self.limits.connections {
                return Err(Refusal::Connections);
            }
            let own = open.by_address.get(&address).copied().unwrap_or(0);
            if own >= self.limits.connections_per_address {
                return Err(Refusal::ConnectionsOfAddress);
            }
            open.by_address.insert(address, own.saturating_add(1));
            open.total = open.total.saturating_add(1);
            open.total
        };
        self.observer.connections(total);
        Ok(Permit { permits: Arc::clone(self), address })
    }

    fn give_back(&self, address: IpAddr) {
        let total = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.total = open.total.saturating_sub(1);
            let left = open.by_address.get(&address).copied().unwrap_or(0).saturating_sub(1);
            if left == 0 {
                open.by_address.remove(&address);
            } else {
                open.by_address.insert(address, left);
            }
            open.total
        };
        self.observer.connections(total);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.give_back(self.address);
    }
}

/// What counts as one address: IPv4 written as IPv6 is IPv4, and whoever has one IPv6 address has the
/// 2^64 of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::super::observer::Unobserved;
    use super::*;

    fn permits(connections: usize, connections_per_address: usize) -> Arc<Permits> {
        let limits = Limits { connections, connections_per_address, ..Limits::default() };
        Permits::new(&limits, Arc::new(Unobserved))
    }

    #[test]
    fn one_address_cannot_take_all_and_a_dropped_permit_is_free_again() {
        let permits = permits(3, 2);
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = permits.take(a).ok().unwrap();
        let _second = permits.take("::ffff:10.0.0.1".parse().unwrap()).ok().unwrap();
        assert_eq!(permits.take(a).err(), Some(Refusal::ConnectionsOfAddress));
        let _third = permits.take(b).ok().unwrap();
        assert_eq!(permits.take(b).err(), Some(Refusal::Connections));
        drop(first);
        assert!(permits.take(a).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let permits = permits(9, 1);
        let _held = permits.take("2001:db8:1:2::1".parse().unwrap()).ok().unwrap();
        assert!(permits.take("2001:db8:1:2:ffff::9".parse().unwrap()).is_err());
        assert!(permits.take("2001:db8:1:3::1".parse().unwrap()).is_ok());
    }
}
