//! Ports for programs that must be told where to listen.
//!
//! A port that the kernel chose (0) and that was given back can be gone when the program asks for it: the kernel gives such ports to every
//! connection and listener that names none. These here are below that range, and none is given twice.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
    io,
    net::{IpAddr, TcpListener},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// The lowest port that is given.
const FIRST: u16 = 10_000;

/// Begins anywhere, so that tests that run beside each other in other processes hardly ever meet.
static NEXT: LazyLock<AtomicU64> =
    LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish() >> 1));

/// A port that nobody listens on at `ip` (for the unspecified address: anywhere).
///
/// # Errors
/// None is free, or nothing can listen at that address.
pub fn free(ip: IpAddr) -> io::Result<u16> {
    let count = above() - FIRST;
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..count {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % u64::from(count);
        let port = FIRST + u16::try_from(offset).expect("less than a count of ports");
        match TcpListener::bind((ip, port)) {
            Ok(_) => return Ok(port),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Where the kernel's own range begins (ip(7), `ip_local_port_range`); by default 32768.
fn above() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = text.split_whitespace().next().and_then(|n| n.parse().ok());
    first.filter(|first| *first > FIRST).unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        net::{Ipv4Addr, TcpListener},
    };

    use super::{above, free};

    #[test]
    fn a_port_is_given_once_below_the_kernels_own_and_not_while_somebody_listens() {
        let ip = Ipv4Addr::LOCALHOST.into();
        let taken = free(ip).unwrap();
        let _listener = TcpListener::bind((ip, taken)).unwrap();
        let ports: BTreeSet<_> = (0..500).map(|_| free(ip).unwrap()).collect();
        assert_eq!(ports.len(), 500);
        assert!(!ports.contains(&taken));
        assert!(ports.iter().all(|port| *port < above()), "{ports:?}");
    }
}
