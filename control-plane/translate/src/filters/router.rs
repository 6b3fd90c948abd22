//! The last HTTP filter: does what the route says.

use heddle_proto::{
    envoy::extensions::filters::{
        http::router::v3::Router,
        network::http_connection_manager::v3::{HttpFilter, http_filter::ConfigType},
    },
    pack,
};

/// Without options.
pub(super) fn router() -> HttpFilter {
    HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&Router::default()))),
        ..HttpFilter::default()
    }
}
