//! The Kubernetes objects that Heddle reads, and the immutable, indexed [`Cluster`] that holds them.
//!
//! One facade for Kubernetes, Gateway API and Heddle's own types: nobody else names `k8s-openapi`'s modules or the generated
//! code. No client and no I/O: `sources` fills a [`Cluster`], `resolve` reads it.
//!
//! ```text
//! YAML or JSON ─▶ Header::read (what is it?) ─▶ Object::parse (is it valid?) ─▶ Cluster::insert
//! ```

pub mod authorization;
mod cluster;
pub mod gateway;
mod gateway_api;
mod name;
mod object;
mod parse;
mod schema;

pub use authorization::AuthorizationPolicy;
pub use cluster::{ChangeSet, Cluster, ClusterWide, Namespaced};
pub use object::{Kind, Object, ObjectId};
pub use parse::Header;
pub use schema::Violation;

pub use gateway_api::{BUNDLE_VERSION, GatewayApi};

pub use gateway::{GRPCRoute, Gateway, GatewayClass, HTTPRoute, ReferenceGrant};
pub use k8s_openapi;
pub use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Node, Pod, Secret, Service, ServiceAccount},
    discovery::v1::EndpointSlice,
    networking::v1::NetworkPolicy,
};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
