//! The two responses of ADS, wire-compatible with Envoy's, without their resources.
//!
//! Resources are encoded once, for the snapshot. As a field that is a message is its length and its bytes, they are put behind these as they
//! are (`server/message.rs`). Field numbers: envoy `service/discovery/v3/discovery.proto`.

/// Tag of `resources` in both: field 2, with a length.
pub(crate) const RESOURCES: u8 = 2 << 3 | 2;

/// `envoy.service.discovery.v3.DiscoveryResponse`; its resources are encoded `google.protobuf.Any`s.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct StateOfTheWorld {
    /// Hash of what the response says.
    #[prost(string, tag = "1")]
    pub(crate) version_info: String,
    /// Type of all the resources.
    #[prost(string, tag = "4")]
    pub(crate) type_url: String,
    /// What the client's answer refers to.
    #[prost(string, tag = "5")]
    pub(crate) nonce: String,
}

/// `envoy.service.discovery.v3.DeltaDiscoveryResponse`; its resources are encoded `envoy.service.discovery.v3.Resource`s. The version of the
/// whole, which is for people who debug, is left out.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Delta {
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
