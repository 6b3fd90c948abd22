//! Small pieces of Envoy messages that every module needs.

use std::{net::IpAddr, time::Duration};

use heddle_model::PortNumber;
use heddle_proto::{
    Message, Name,
    envoy::config::core::v3::{
        Address, AggregatedConfigSource, ApiVersion, CidrRange, ConfigSource, SocketAddress,
        TypedExtensionConfig, address, config_source::ConfigSourceSpecifier,
        socket_address::PortSpecifier,
    },
    google::protobuf::{self, BoolValue, UInt32Value},
    pack,
};
use ipnet::IpNet;

/// A TCP address.
pub(crate) fn tcp_address(ip: IpAddr, port: PortNumber) -> Address {
    named_address(&ip.to_string(), port.get())
}

/// A TCP address whose host may be a name; port 0 where none is meant.
pub(crate) fn named_address(host: &str, port: u16) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(port.into())),
            ..SocketAddress::default()
        })),
    }
}

/// An address block.
pub(crate) fn cidr(block: &IpNet) -> CidrRange {
    CidrRange {
        address_prefix: block.network().to_string(),
        prefix_len: number(block.prefix_len().into()),
    }
}

/// "On this same stream."
pub(crate) fn ads() -> Option<ConfigSource> {
    Some(ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    })
}

/// A length of time. Longer than protobuf can say (10,000 years) becomes the longest it can.
pub(crate) fn duration(value: Duration) -> Option<protobuf::Duration> {
    const LONGEST_SECONDS: i64 = 315_576_000_000;
    let seconds = i64::try_from(value.as_secs()).unwrap_or(LONGEST_SECONDS);
    Some(protobuf::Duration {
        seconds: seconds.min(LONGEST_SECONDS),
        nanos: value.subsec_nanos().cast_signed(),
    })
}

/// A number that can be absent.
pub(crate) fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

/// A truth value that can be absent.
pub(crate) fn boolean(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

/// An extension with its name.
pub(crate) fn extension<M: Message + Name>(name: &str, config: &M) -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(pack(config)),
    }
}

/// 4 or 16 bytes, network byte order.
pub(crate) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
