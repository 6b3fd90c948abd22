//! RBAC as a filter, of connections and of requests.

use heddle_proto::{
    envoy::{
        config::listener::v3::Filter,
        extensions::filters::network::http_connection_manager::v3::{
            HttpFilter, http_filter::ConfigType,
        },
    },
    pack,
};

use super::network_filter;
use crate::policy::{HttpRbac, NetworkRbac, Rules};

/// Judges connections.
pub(crate) fn network_rbac(name: &str, rules: Rules) -> Filter {
    let config = NetworkRbac {
        rules: Some(rules),
        stat_prefix: name.to_owned(),
    };
    network_filter(name, &config)
}

/// Judges requests.
pub(crate) fn http_rbac(name: &str, rules: Rules) -> HttpFilter {
    let config = HttpRbac { rules: Some(rules) };
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&config))),
        ..HttpFilter::default()
    }
}
