//! From one xDS resource to one value.
//!
//! Each function takes the resource's name and its `Any` and returns a value that the rest of the proxy may trust, or an
//! error that names the field. Nothing is half understood: a field that would change what happens to traffic and that
//! this proxy has no word for is refused. No function panics on any input; they are the entry points for fuzzing.

#![allow(
    deprecated,
    reason = "fields that Envoy gave up must be seen to be read or refused: other control planes still set them"
)]

mod cluster;
mod dns;
mod error;
mod filters;
mod headers;
mod listener;
mod matchers;
mod pod;
mod rbac;
mod regex;
mod retry;
mod route_action;
mod route_configuration;
mod tls;
mod values;
mod workload;

#[cfg(test)]
mod tests;

use heddle_proto::{envoy::config::route::v3::RouteConfiguration, google::protobuf::Any};
use heddle_routing::RouteTable;

pub use cluster::{cluster, load_assignment};
pub use dns::dns_table;
pub use error::DecodeError;
pub use listener::{Listener, listener};
pub use regex::MAX_PATTERN;
pub use tls::{Secret, secret};
pub use workload::{Resident, address_set, trust_bundle, workload};

pub(crate) use cluster::inline_name as inline_endpoints;
pub(crate) use listener::taken;

/// Decodes a RouteConfiguration.
pub fn route_configuration(name: &str, any: &Any) -> Result<RouteTable, DecodeError> {
    let wire: RouteConfiguration =
        values::named(any, name, |config: &RouteConfiguration| &config.name)?;
    route_configuration::route_table(name.into(), &wire)
}
