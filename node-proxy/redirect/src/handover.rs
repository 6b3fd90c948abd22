//! Listening sockets that go from one process to the next.
//!
//! A listening socket that is closed takes with it whoever waits in its queue: with SO_REUSEPORT each socket has a queue of its own, and
//! the kernel resets what is in it (docs/decisions/0008). So a process that ends gives its sockets to its successor: the queues stay as
//! long as somebody has the socket open.
//!
//! One message: the length of a text (4 bytes, big-endian), which carries the descriptors; then the text, a line for each descriptor.
//! An empty text is the last.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    str::FromStr,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::NetnsId;

/// The kernel takes 253 descriptors in one message.
const AT_ONCE: usize = 128;
/// No text of [`AT_ONCE`] lines is longer, in bytes.
const LONGEST: usize = AT_ONCE * 128;

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The network namespace that it was made in.
    pub netns: NetnsId,
    /// TCP or UDP.
    pub kind: Kind,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Of two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A listener.
    Tcp,
    /// A bound socket.
    Udp,
}

/// A socket that changes hands.
#[derive(Debug)]
pub struct Passed {
    /// What it is for.
    pub place: Place,
    socket: OwnedFd,
}

impl Passed {
    /// A second handle of a listener.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn listener(netns: NetnsId, listener: &TcpListener) -> io::Result<Self> {
        let place = Place {
            netns,
            kind: Kind::Tcp,
            address: listener.local_addr()?,
        };
        let socket = listener.try_clone()?.into();
        Ok(Self { place, socket })
    }

    /// A second handle of a UDP socket.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn udp(netns: NetnsId, socket: &UdpSocket) -> io::Result<Self> {
        let place = Place {
            netns,
            kind: Kind::Udp,
            address: socket.local_addr()?,
        };
        let socket = socket.try_clone()?.into();
        Ok(Self { place, socket })
    }

    /// A further handle.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self {
            place: self.place,
            socket: self.socket.try_clone()?,
        })
    }

    /// As a listener, if it is one.
    pub fn into_listener(self) -> Option<TcpListener> {
        (self.place.kind == Kind::Tcp).then(|| self.socket.into())
    }

    /// As a UDP socket, if it is one.
    pub fn into_udp(self) -> Option<UdpSocket> {
        (self.place.kind == Kind::Udp).then(|| self.socket.into())
    }

    /// Whether the socket is where the sender says.
    fn is_there(&self) -> bool {
        // The namespace is the sender's word: it alone has been there.
        let address = rustix::net::getsockname(&self.socket).ok();
        let address = address.and_then(|address| SocketAddr::try_from(address).ok());
        address == Some(self.place.address)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NetnsId { dev, ino } = self.netns;
        let kind = match self.kind {
            Kind::Tcp => "tcp",
            Kind::Udp => "udp",
        };
        write!(f, "{dev} {ino} {kind} {}", self.address)
    }
}

/// A line that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the description of a socket is not understood")]
pub struct InvalidPlace;

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(line: &str) -> Result<Self, InvalidPlace> {
        let mut words = line.split(' ');
        let mut next = || words.next().ok_or(InvalidPlace);
        let number = |word: &str| word.parse().map_err(|_| InvalidPlace);
        let netns = NetnsId {
            dev: number(next()?)?,
            ino: number(next()?)?,
        };
        let kind = match next()? {
            "tcp" => Kind::Tcp,
            "udp" => Kind::Udp,
            _ => return Err(InvalidPlace),
        };
        let address = next()?.parse().map_err(|_| InvalidPlace)?;
        match words.next() {
            None => Ok(Self {
                netns,
                kind,
                address,
            }),
            Some(_) => Err(InvalidPlace),
        }
    }
}

/// Gives the sockets to whoever is at the other end. Blocks.
///
/// # Errors
/// Nobody is there any more. Some of the sockets may have arrived all the same.
pub fn send(mut stream: &UnixStream, sockets: &[Passed]) -> io::Result<()> {
    for some in sockets.chunks(AT_ONCE) {
        let lines: String = some.iter().map(|one| format!("{}\n", one.place)).collect();
        let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(|one| one.socket.as_fd()).collect();
        send_length(stream, lines.len(), &descriptors)?;
        stream.write_all(lines.as_bytes())?;
    }
    send_length(stream, 0, &[])
}

fn send_length(
    stream: &UnixStream,
    length: usize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let length = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    let length = length.to_be_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // So few bytes go at once or not at all.
    let sent = sendmsg(
        stream,
        &[IoSlice::new(&length)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    if sent == length.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Takes what [`send`] gives at the other end. Blocks.
///
/// # Errors
/// The other end has gone, or does not speak as agreed.
pub fn receive(mut stream: &UnixStream) -> io::Result<Vec<Passed>> {
    let mut all = Vec::new();
    loop {
        let (length, descriptors) = receive_length(stream)?;
        if length == 0 {
            return Ok(all);
        }
        let mut lines = vec![0; length];
        stream.read_exact(&mut lines)?;
        let lines = String::from_utf8(lines).map_err(|_| malformed())?;
        let places: Vec<&str> = lines.lines().collect();
        if places.len() != descriptors.len() {
            return Err(malformed());
        }
        for (line, socket) in places.into_iter().zip(descriptors) {
            let place = line
                .parse()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let passed = Passed { place, socket };
            if !passed.is_there() {
                return Err(malformed());
            }
            all.push(passed);
        }
    }
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn receive_length(stream: &UnixStream) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // No more than that: what belongs to the text stays for the text.
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut length)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptors = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = u32::from_be_bytes(length) as usize;
    if received.bytes != 4 || length > LONGEST {
        return Err(malformed());
    }
    Ok((length, descriptors))
}

#[cfg(test)]
mod tests;
