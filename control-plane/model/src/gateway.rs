//! Gateways: the way in from outside the mesh.

use std::sync::Arc;

use crate::{GatewayListenerKey, PortNumber, RouteRule};

/// One HTTP port of a Gateway, with the routes that attached to its listeners. Listeners that share a port are one entry, under the name of the first.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GatewayListener {
    /// The Gateway and the listener's name.
    pub key: GatewayListenerKey,
    /// Where clients connect.
    pub port: PortNumber,
    /// The hosts it answers for; most specific first, as they are tried.
    pub hosts: Vec<GatewayVirtualHost>,
}

/// The routes of one host name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GatewayVirtualHost {
    /// Which requests, by the Host header.
    pub host: HostMatch,
    /// In the order in which they are tried. A rule that did not change is the same in memory.
    pub rules: Vec<Arc<RouteRule>>,
}

/// A condition on the host, lower case, without a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum HostMatch {
    /// This name.
    Exact(Arc<str>),
    /// Any name that ends in `.` and this suffix, by one label or more (Gateway API: `*.example.com`).
    Wildcard(Arc<str>),
    /// Any name.
    Any,
}
