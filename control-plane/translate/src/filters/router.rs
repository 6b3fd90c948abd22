//! The last HTTP filter: does what the route says.

use heddle_proto::{
    envoy::extensions::filters::{
        http::router::v3::Router,
        network::http_connection_manager::v3::{HttpFilter, http_filter::ConfigType},
    },
    pack,
};

/// For a plain Envoy: it neither obeys nor adds headers of its own (`x-envoy-...`).
pub(super) fn envoy_router() -> HttpFilter {
    let config = Router {
        suppress_envoy_headers: true,
        ..Router::default()
    };
    with(&config)
}

/// Without options.
pub(super) fn router() -> HttpFilter {
    with(&Router::default())
}

fn with(config: &Router) -> HttpFilter {
    HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(config))),
        ..HttpFilter::default()
    }
}
