//! The filters of listeners: one file for each.

mod envoy_http;
mod http_connection_manager;
mod http_inspector;
mod rbac;
mod router;
mod tcp_proxy;
mod tls_context;

pub(crate) use envoy_http::{Position, envoy_http};
pub(crate) use http_connection_manager::{
    InboundHttp, inbound_http, routed_api, routed_http, served_http,
};
pub(crate) use http_inspector::http_inspector;
pub(crate) use rbac::{http_rbac, network_rbac};
pub(crate) use tcp_proxy::tcp_proxy;
pub(crate) use tls_context::mutual_tls;

use heddle_proto::{
    Message, Name,
    envoy::config::listener::v3::{Filter, filter::ConfigType},
    pack,
};

/// A network filter.
pub(crate) fn network_filter<M: Message + Name>(name: &str, config: &M) -> Filter {
    Filter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(config))),
    }
}
