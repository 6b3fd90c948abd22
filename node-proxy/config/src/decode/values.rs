//! Small values that many resources have.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use heddle_proto::{
    Message, Name,
    envoy::config::core::v3::{
        Address, CidrRange, DataSource, SocketAddress, address,
        data_source::Specifier,
        socket_address::{PortSpecifier, Protocol},
    },
    google::protobuf::{self, Any},
    unpack,
};
use ipnet::IpNet;

use super::error::{At, Decoded, refuse};

/// Unpacks a resource and checks that it calls itself what it was sent as.
pub(crate) fn named<M: Message + Name + Default>(
    any: &Any,
    name: &str,
    own_name: impl Fn(&M) -> &str,
) -> Decoded<M> {
    let message: M = unpack(any)?;
    let own = own_name(&message);
    if own != name {
        return refuse(format_args!("sent as {name:?} but calls itself {own:?}")).at("name");
    }
    Ok(message)
}

/// Unpacks a message that must be there.
pub(crate) fn unpack_some<M: Message + Name + Default>(any: Option<&Any>) -> Decoded<M> {
    match any {
        Some(any) => Ok(unpack(any)?),
        None => refuse("missing"),
    }
}

/// The last part of a type URL.
pub(crate) fn type_name(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

/// An IP address with a port; port 0 is refused.
pub(crate) fn socket_address(address: Option<&Address>) -> Decoded<SocketAddr> {
    let (host, port) = host_and_port(address)?;
    let ip: IpAddr = host.parse().at("socket_address.address")?;
    if port == 0 {
        return refuse("must not be 0").at("socket_address.port_value");
    }
    Ok(SocketAddr::new(ip.to_canonical(), port))
}

/// A name or an address, and a port.
pub(crate) fn host_and_port(address: Option<&Address>) -> Decoded<(&str, u16)> {
    let Some(address::Address::SocketAddress(socket)) =
        address.and_then(|address| address.address.as_ref())
    else {
        return refuse("must be a socket_address");
    };
    host_port(socket).at("socket_address")
}

fn host_port(socket: &SocketAddress) -> Decoded<(&str, u16)> {
    if socket.protocol != i32::from(Protocol::Tcp) {
        return refuse("must be TCP").at("protocol");
    }
    let Some(PortSpecifier::PortValue(value)) = &socket.port_specifier else {
        return refuse("missing").at("port_value");
    };
    Ok((&socket.address, port(*value).at("port_value")?))
}

/// A port number, 0 included.
pub(crate) fn port(value: u32) -> Decoded<u16> {
    match u16::try_from(value) {
        Ok(port) => Ok(port),
        Err(_) => refuse(format_args!("{value} is no port")),
    }
}

/// An address block. An absent length is refused: Envoy takes it for 0, which means everybody.
pub(crate) fn block(range: &CidrRange) -> Decoded<IpNet> {
    let ip: IpAddr = range.address_prefix.parse().at("address_prefix")?;
    let Some(length) = &range.prefix_len else {
        return refuse("missing").at("prefix_len");
    };
    let length = u8::try_from(length.value).unwrap_or(u8::MAX);
    match IpNet::new(ip, length) {
        Ok(block) => Ok(block.trunc()),
        Err(_) => refuse(format_args!("too long for {ip}")).at("prefix_len"),
    }
}

/// 4 or 16 bytes, network byte order.
pub(crate) fn octets(bytes: &[u8]) -> Decoded<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(v4));
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(v6) => Ok(IpAddr::from(v6).to_canonical()),
        Err(_) => refuse(format_args!("{} bytes are no IP address", bytes.len())),
    }
}

/// A length of time, not negative.
pub(crate) fn duration(value: &protobuf::Duration) -> Decoded<Duration> {
    match (u64::try_from(value.seconds), u32::try_from(value.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
        _ => refuse("must be a length of time that is not negative"),
    }
}

/// A limit: zero means none.
pub(crate) fn limit(value: &protobuf::Duration) -> Decoded<Option<Duration>> {
    Ok(Some(duration(value)?).filter(|limit| !limit.is_zero()))
}

/// Bytes in the message itself.
pub(crate) fn inline_bytes(source: &DataSource) -> Decoded<&[u8]> {
    match &source.specifier {
        Some(Specifier::InlineString(text)) => Ok(text.as_bytes()),
        Some(Specifier::InlineBytes(bytes)) => Ok(bytes),
        _ => refuse("must be inline_string or inline_bytes"),
    }
}

/// A text in the message itself.
pub(crate) fn inline_text(source: &DataSource) -> Decoded<Arc<str>> {
    match &source.specifier {
        Some(Specifier::InlineString(text)) => Ok(text.as_str().into()),
        Some(Specifier::InlineBytes(bytes)) => {
            Ok(std::str::from_utf8(bytes).at("inline_bytes")?.into())
        }
        _ => refuse("must be inline_string or inline_bytes"),
    }
}

/// `None` for the empty text, which is how proto3 says "absent".
pub(crate) fn non_empty(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}
