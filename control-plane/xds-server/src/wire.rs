//! The two responses of ADS, wire-compatible with Envoy's, but with the resources as bytes that are already encoded.
//!
//! `repeated bytes` and `repeated <message>` look the same on the wire, so a resource that was encoded once for the
//! snapshot is copied into each client's frame and never encoded again. Field numbers: envoy
//! `service/discovery/v3/discovery.proto`.

use bytes::Bytes;

/// `envoy.service.discovery.v3.DiscoveryResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct StateOfTheWorld {
    /// Hash of what the response says.
    #[prost(string, tag = "1")]
    pub(crate) version_info: String,
    /// Encoded `google.protobuf.Any`s.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(crate) resources: Vec<Bytes>,
    /// Type of all the resources.
    #[prost(string, tag = "4")]
    pub(crate) type_url: String,
    /// What the client's answer refers to.
    #[prost(string, tag = "5")]
    pub(crate) nonce: String,
}

/// `envoy.service.discovery.v3.DeltaDiscoveryResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Delta {
    /// For people who debug; clients ignore it.
    #[prost(string, tag = "1")]
    pub(crate) system_version_info: String,
    /// Encoded `envoy.service.discovery.v3.Resource`s.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(crate) resources: Vec<Bytes>,
    /// Type of all the resources.
    #[prost(string, tag = "4")]
    pub(crate) type_url: String,
    /// What the client's answer refers to.
    #[prost(string, tag = "5")]
    pub(crate) nonce: String,
    /// Names that are gone, or that never were.
    #[prost(string, repeated, tag = "6")]
    pub(crate) removed_resources: Vec<String>,
}
