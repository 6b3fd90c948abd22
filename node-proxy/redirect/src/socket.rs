//! Sockets in a pod's namespace, with the marks and options that the capture rules expect.
//!
//! All of them carry [`PROXY_MARK`](crate::PROXY_MARK), so that what the proxy sends is not captured again.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpSocket;

use crate::{Netns, PROXY_MARK};

/// Connections that wait to be accepted, for each listener.
const BACKLOG: i32 = 1024;

/// A peer that says nothing for this long is asked whether it is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(180);
/// How long to wait between two such questions.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// How many of them may stay unanswered.
const KEEPALIVE_TRIES: u32 = 4;

/// A UDP socket in the namespace that is connected to `destination`: non-blocking, close-on-exec, from a port that no other socket
/// has (unlike [`bind_udp`] with port 0, whose port may be shared, and with it the answers).
///
/// # Errors
/// The namespace cannot be entered; there is no way to `destination`.
pub fn connect_udp(netns: &Netns, destination: SocketAddr) -> io::Result<UdpSocket> {
    let socket = marked(netns, destination, Type::DGRAM, Protocol::UDP)?;
    socket.connect(&destination.into())?;
    Ok(socket.into())
}

/// A listening TCP socket in the namespace: non-blocking, close-on-exec, transparent, shareable by several workers and by the
/// process that comes after this one (SO_REUSEPORT). A v6 address takes v6 connections only; listen on both.
///
/// # Errors
/// The namespace cannot be entered; the address is taken by a socket without SO_REUSEPORT (then the application uses a port that
/// is ours) or by another user; no CAP_NET_ADMIN.
pub fn listen(netns: &Netns, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = marked(netns, address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    set_transparent(&socket, address.ip())?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A bound UDP socket in the namespace: non-blocking, close-on-exec, shareable by several workers (SO_REUSEPORT).
///
/// For redirected DNS bind it to the loopback address of its family: there the kernel sends what it redirects, and only an
/// answer from that same address is given back the name server's.
///
/// # Errors
/// As [`listen`].
pub fn bind_udp(netns: &Netns, address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = marked(netns, address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A TCP socket in the namespace, ready to `connect` to `destination`. With a `source` it is bound there, which may be an
/// address that is not the namespace's own: then the destination must be, and the reply finds its way back by the capture rules.
/// Port 0 of a source means any; it is chosen at `connect`, so that one address has not 28,000 ports but as many for each destination.
///
/// # Errors
/// The namespace cannot be entered; `source` is of another family than `destination`; the source's port is taken.
pub fn connect_socket(
    netns: &Netns,
    destination: SocketAddr,
    source: Option<SocketAddr>,
) -> io::Result<TcpSocket> {
    let socket = marked(netns, destination, Type::STREAM, Protocol::TCP)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_EVERY)
            .with_retries(KEEPALIVE_TRIES),
    )?;
    if let Some(source) = source {
        bind_source(&socket, source)?;
    }
    // `TcpSocket` has no conversion from a plain socket; it says itself that any TCP socket may be passed as a stream.
    Ok(TcpSocket::from_std_stream(socket.into()))
}

fn bind_source(socket: &Socket, source: SocketAddr) -> io::Result<()> {
    set_transparent(socket, source.ip())?;
    socket.set_reuse_address(true)?;
    if source.port() == 0 {
        // Works for both families.
        setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    }
    socket.bind(&source.into())
}

/// Where the peer wanted to go before its connection was redirected here. For a connection that was not redirected, its local address.
///
/// # Errors
/// The socket is not connected.
pub fn original_destination(socket: &impl AsFd) -> io::Result<SocketAddr> {
    let socket = SockRef::from(socket);
    let local = address(socket.local_addr()?)?;
    let original = match local {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    match original {
        Ok(original) => address(original),
        // No connection tracking entry, or no connection tracking at all: nothing was redirected.
        Err(error) if matches!(error.raw_os_error(), Some(ENOENT | ENOPROTOOPT)) => Ok(local),
        Err(error) => Err(error),
    }
}

const ENOENT: i32 = nix::errno::Errno::ENOENT as i32;
const ENOPROTOOPT: i32 = nix::errno::Errno::ENOPROTOOPT as i32;

fn address(value: socket2::SockAddr) -> io::Result<SocketAddr> {
    value
        .as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an IP socket"))
}

/// A non-blocking, marked socket of the address's family, made in the namespace.
fn marked(
    netns: &Netns,
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    // Only the making must happen inside: a socket stays in the namespace it was made in.
    let socket =
        netns.run(|| Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol)))??;
    socket.set_mark(PROXY_MARK)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn set_transparent(socket: &Socket, address: IpAddr) -> io::Result<()> {
    match address {
        IpAddr::V4(_) => socket.set_ip_transparent_v4(true),
        IpAddr::V6(_) => socket.set_ip_transparent_v6(true),
    }
}
