//! RBAC messages whose policies are encoded in the order of their names.
//!
//! Envoy's own types hold policies in a hash map, whose order differs from one process to the next: equal rules would be
//! different bytes, hence different versions. These have the same fields under the same numbers, in an ordered map.

use std::collections::BTreeMap;

use heddle_proto::{Name, envoy::config::rbac::v3::Policy};

/// `envoy.config.rbac.v3.RBAC`, action ALLOW (0, the default).
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Rules {
    #[prost(btree_map = "string, message", tag = "2")]
    pub(crate) policies: BTreeMap<String, Policy>,
}

/// `envoy.extensions.filters.network.rbac.v3.RBAC`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NetworkRbac {
    #[prost(message, optional, tag = "1")]
    pub(crate) rules: Option<Rules>,
    #[prost(string, tag = "3")]
    pub(crate) stat_prefix: String,
}

/// `envoy.extensions.filters.http.rbac.v3.RBAC`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HttpRbac {
    #[prost(message, optional, tag = "1")]
    pub(crate) rules: Option<Rules>,
}

impl Name for NetworkRbac {
    const NAME: &'static str = "RBAC";
    const PACKAGE: &'static str = "envoy.extensions.filters.network.rbac.v3";

    fn type_url() -> String {
        "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC".to_owned()
    }
}

impl Name for HttpRbac {
    const NAME: &'static str = "RBAC";
    const PACKAGE: &'static str = "envoy.extensions.filters.http.rbac.v3";

    fn type_url() -> String {
        "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC".to_owned()
    }
}
