//! The wire: Envoy's xDS types, Heddle's own few messages, and Istio's certificate service.
//!
//! This is the only crate that names the Envoy types crate, and the only place where the control plane and the node
//! proxy meet (beside `heddle-identity`). It holds no logic: types, type URLs and the codec of an `Any`.

#![allow(
    missing_docs,
    reason = "generated messages are documented in their .proto files"
)]

pub use envoy_types::pb::{envoy, google, udpa, xds};

/// Heddle's own messages, package `heddle.v1`.
pub mod heddle {
    #[allow(
        clippy::all,
        unused_qualifications,
        unreachable_pub,
        reason = "generated code"
    )]
    pub mod v1 {
        tonic::include_proto!("heddle.v1");
    }
}

/// Istio's certificate service, package `istio.v1.auth`.
pub mod istio {
    #[allow(
        clippy::all,
        unused_qualifications,
        unreachable_pub,
        elided_lifetimes_in_paths,
        reason = "generated code"
    )]
    pub mod auth {
        tonic::include_proto!("istio.v1.auth");
    }
}

mod any;
mod delta;
pub mod names;
pub mod type_url;

pub use any::{UnpackError, pack, unpack};
pub use delta::{Nack, Update};
pub use prost::{Message, Name};

pub mod varint;
