//! TcpProxy: passes bytes on to a cluster.

use heddle_proto::envoy::{
    config::listener::v3::Filter,
    extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
};

use super::network_filter;

/// Passes bytes on to a cluster.
pub(crate) fn tcp_proxy(stat_prefix: &str, cluster: &str) -> Filter {
    let config = TcpProxy {
        stat_prefix: stat_prefix.to_owned(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..TcpProxy::default()
    };
    network_filter("envoy.filters.network.tcp_proxy", &config)
}
