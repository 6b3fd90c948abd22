//! The node's own addresses, as the node itself has them.
//!
//! The API server knows only some: a kubelet's probe may come from any address of its node, such as the bridge's or the veth's that
//! leads to the pod.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{SockaddrLike, SockaddrStorage},
};

/// Between two looks: a pod that starts may bring its node an address.
const PAUSE: Duration = Duration::from_secs(1);

/// The addresses of this process's network namespace, looked at now and then.
#[derive(Default)]
pub(crate) struct OwnAddresses {
    known: Vec<IpAddr>,
    looked: Option<Instant>,
}

impl OwnAddresses {
    /// Looks again if it is time to; whether something changed.
    pub(crate) fn refresh(&mut self) -> bool {
        if self.looked.is_some_and(|looked| looked.elapsed() < PAUSE) {
            return false;
        }
        self.looked = Some(Instant::now());
        let found = look();
        let changed = found != self.known;
        self.known = found;
        changed
    }

    /// As last seen; sorted.
    pub(crate) fn known(&self) -> &[IpAddr] {
        &self.known
    }
}

/// Loopback and link-local addresses reach no pod. Without an answer of the kernel there are none, and those that the control plane
/// tells remain.
fn look() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let mut found: Vec<IpAddr> = interfaces
        .filter_map(|interface| ip(&interface.address?))
        .filter(|address| !address.is_loopback() && !is_link_local(*address))
        .collect();
    found.sort();
    found.dedup();
    found
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    address.family()?;
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_once_is_no_change_until_the_next_look() {
        let mut own = OwnAddresses::default();
        own.refresh();
        assert!(!own.refresh());
        assert!(own.known().iter().all(|address| !address.is_loopback()));
    }
}
