//! The mesh in our own words.
//!
//! What `resolve` says and `translate` reads. This crate knows neither Kubernetes nor protobuf: a value here is already
//! valid, defaults are filled in, references are followed, precedence is decided. It does no I/O and has no clock.
//!
//! ```text
//! resources ─ resolve ─▶ Mesh ─ translate ─▶ xDS resources
//! ```
//!
//! Every entry of a [`Mesh`] is an [`Arc`](std::sync::Arc) under its own key, so that a change of one object is a change
//! of the few entries that depend on it, and everything else can be recognised as unchanged by its address.

mod endpoints;
mod gateway;
mod keys;
mod mesh;
mod policy;
mod routes;
mod service;
mod workload;

pub use endpoints::{Endpoint, EndpointHealth, Endpoints};
pub use gateway::{GatewayListener, GatewayVirtualHost, HostMatch};
pub use heddle_identity::{Namespace, ServiceAccount, SpiffeId, TrustDomain};
pub use keys::{
    AddressSetName, GatewayKey, GatewayListenerKey, NodeName, ObjectKey, ObjectKind, ObjectRef,
    PodKey, PortNumber, RouteTableKey, ServiceKey, ServicePortKey, Transport,
};
pub use mesh::{Mesh, Node};
pub use policy::{
    AddressSet, AuthorizationRule, HttpAccess, Isolation, MtlsMode, NetworkRule, Peer, PodPolicy,
    PortRange, Ports, Sources,
};
pub use routes::{
    Backend, HeaderMatch, HeaderMutation, PathMatch, PathRewrite, QueryMatch, Redirect,
    RedirectPath, RetryPolicy, RouteAction, RouteMatch, RouteOrigin, RouteRule, RouteTable,
    StringMatch, Timeouts, WeightedBackend,
};
pub use service::{
    AppProtocol, ClientSettings, OutlierDetection, Service, ServiceKind, ServicePort,
};
pub use workload::{Enrolment, Workload};
