//! Asking the kernel about routes and routing rules (rtnetlink).

use std::io::{self, Read};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use nix::{errno::Errno, sys::socket::AddressFamily};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Netns, NetnsError};

/// socket2 has no name for it.
const NETLINK_ROUTE: i32 = 0;

/// The kernel never sends more in one piece.
const LONGEST_ANSWER: usize = 32 * 1024;

/// Why the kernel did not do or tell something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetlinkError {
    #[error(transparent)]
    Netns(#[from] NetnsError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl NetlinkError {
    /// Whether the kernel answered with this error number.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        matches!(self, Self::Io(error) if error.raw_os_error() == Some(errno as i32))
    }
}

/// Has the kernel do something in the namespace; `flags` beside those of every request.
pub(crate) fn tell(
    netns: &Netns,
    message: RouteNetlinkMessage,
    flags: u16,
) -> Result<(), NetlinkError> {
    ask(netns, message, NLM_F_ACK | flags)?;
    Ok(())
}

/// All objects of a kind in the namespace. Leaves out what the crate that parses them cannot read: that is nothing of ours.
pub(crate) fn list(
    netns: &Netns,
    message: RouteNetlinkMessage,
) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
    ask(netns, message, NLM_F_DUMP)
}

fn ask(
    netns: &Netns,
    message: RouteNetlinkMessage,
    flags: u16,
) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
    // A socket stays in the namespace that it was made in, so only that is done inside. One that nobody connected speaks
    // with the kernel.
    let mut socket = netns.run(|| {
        let domain = Domain::from(AddressFamily::Netlink as i32);
        Socket::new(domain, Type::RAW, Some(Protocol::from(NETLINK_ROUTE)))
    })??;
    socket.send(&encode(message, flags))?;
    let mut answers = Vec::new();
    let mut buffer = vec![0; LONGEST_ANSWER];
    loop {
        let length = match socket.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if !read_datagram(&buffer[..length], &mut answers)? {
            return Ok(answers);
        }
    }
}

fn encode(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    bytes
}

/// Takes the messages out of a datagram. Whether more is to come.
fn read_datagram(mut bytes: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
    let broken = |error: netlink_packet_core::DecodeError| {
        io::Error::new(io::ErrorKind::InvalidData, error.to_string())
    };
    while !bytes.is_empty() {
        let frame = NetlinkBuffer::new_checked(bytes).map_err(broken)?;
        let (kind, length) = (frame.message_type(), frame.length() as usize);
        match NetlinkMessage::deserialize(&bytes[..length]).map(|message| message.payload) {
            Ok(NetlinkPayload::InnerMessage(answer)) => answers.push(answer),
            // A list that the kernel had to break off says why.
            Ok(NetlinkPayload::Done(done)) if done.code < 0 => {
                return Err(io::Error::from_raw_os_error(-done.code));
            }
            Ok(NetlinkPayload::Done(_)) => return Ok(false),
            Ok(NetlinkPayload::Error(answer)) if answer.code.is_none() => return Ok(false),
            Ok(NetlinkPayload::Error(answer)) => return Err(answer.to_io()),
            Ok(_) => {}
            Err(error) if kind <= NLMSG_OVERRUN => return Err(broken(error)),
            Err(_) => {}
        }
        // Messages begin at multiples of four bytes; the last one need not be filled up.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
