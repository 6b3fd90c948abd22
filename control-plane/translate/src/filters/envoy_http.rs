//! HttpConnectionManager of a plain Envoy: with what a node proxy does of itself.

use heddle_proto::envoy::{
    config::listener::v3::Filter,
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, Rds,
        http_connection_manager::{RouteSpecifier, UpgradeConfig},
    },
};

use super::{http_connection_manager::NAME, network_filter, router::envoy_router};
use crate::wire;

/// Whom an Envoy serves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Position {
    /// Clients from outside, whose claims about themselves count for nothing.
    Edge,
    /// Programs beside it.
    Inside,
}

/// Routes by a RouteConfiguration that is fetched by name on the same stream.
pub(crate) fn envoy_http(route_table: &str, position: Position) -> Filter {
    let config = HttpConnectionManager {
        stat_prefix: route_table.to_owned(),
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: wire::ads(),
            route_config_name: route_table.to_owned(),
        })),
        http_filters: vec![envoy_router()],
        // The client's address is the connection's; X-Forwarded-For is continued, and Envoy's own headers are taken from nobody.
        use_remote_address: wire::boolean(matches!(position, Position::Edge)),
        upgrade_configs: vec![UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..UpgradeConfig::default()
        }],
        ..HttpConnectionManager::default()
    };
    network_filter(NAME, &config)
}
