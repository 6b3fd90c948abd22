//! Filter chains: which filters, in which order.

use heddle_proto::{
    Name,
    envoy::{
        config::{
            listener::v3::{Filter, FilterChain, filter},
            rbac::v3::Rbac as WireRules,
        },
        extensions::filters::{
            http::{rbac::v3::Rbac as HttpRbac, router::v3::Router},
            network::{
                http_connection_manager::v3::{HttpConnectionManager, HttpFilter, http_filter},
                rbac::v3::Rbac as NetworkRbac,
                tcp_proxy::v3::{
                    TcpProxy,
                    tcp_proxy::{ClusterSpecifier, weighted_cluster::ClusterWeight},
                },
            },
        },
    },
    google::protobuf::Any,
    names, unpack,
};
use heddle_routing::{ClusterName, HeaderOps, WeightedCluster, WeightedClusters};

use super::error::{At, Decoded, each, refuse, unsupported};
use super::values::type_name;

/// The filters of a chain.
pub(super) struct Chain {
    /// Rules of the filter `heddle.network_policy`.
    pub(super) network_policy: Option<WireRules>,
    /// Rules of any other RBAC filter, on the network level or on HTTP's.
    pub(super) authorization: Option<WireRules>,
    /// What comes last.
    pub(super) terminal: Terminal,
}

/// What comes last in a chain.
pub(super) enum Terminal {
    /// Bytes, to clusters by weight; all of them have names.
    Tcp(WeightedClusters),
    /// HTTP.
    Http(Box<HttpConnectionManager>),
}

/// Reads the filters of a chain: RBAC filters, then one that ends it. Any other is refused, because what it would do to
/// the traffic is unknown.
pub(super) fn chain(chain: &FilterChain) -> Decoded<Chain> {
    let mut rules = Rules::default();
    let Some((last, first)) = chain.filters.split_last() else {
        return refuse("must not be empty").at("filters");
    };
    for (index, filter) in first.iter().enumerate() {
        network_rbac(filter, &mut rules).at_index("filters", index)?;
    }
    let terminal = terminal(last, &mut rules).at_index("filters", first.len())?;
    Ok(Chain {
        network_policy: rules.network_policy,
        authorization: rules.authorization,
        terminal,
    })
}

#[derive(Default)]
struct Rules {
    network_policy: Option<WireRules>,
    authorization: Option<WireRules>,
}

impl Rules {
    fn put(&mut self, filter: &str, rules: Option<WireRules>) -> Decoded<()> {
        // Envoy enforces nothing without rules; here that can only be a slip.
        let Some(rules) = rules else {
            return refuse("missing").at("rules");
        };
        let place = if filter == names::FILTER_NETWORK_POLICY {
            &mut self.network_policy
        } else {
            &mut self.authorization
        };
        if place.replace(rules).is_some() {
            return refuse("a second RBAC filter of this kind in one chain");
        }
        Ok(())
    }
}

fn network_rbac(filter: &Filter, rules: &mut Rules) -> Decoded<()> {
    let any = network_config(filter)?;
    if type_name(any) != NetworkRbac::full_name() {
        return refuse(unknown(&filter.name, any));
    }
    let rbac: NetworkRbac = unpack(any)?;
    unsupported(rbac.matcher.is_some(), "matcher")?;
    rules.put(&filter.name, rbac.rules)
}

fn terminal(filter: &Filter, rules: &mut Rules) -> Decoded<Terminal> {
    let any = network_config(filter)?;
    let name = type_name(any);
    if name == TcpProxy::full_name() {
        let proxy: TcpProxy = unpack(any)?;
        return Ok(Terminal::Tcp(tcp_clusters(&proxy)?));
    }
    if name == HttpConnectionManager::full_name() {
        let manager: HttpConnectionManager = unpack(any)?;
        http_filters(&manager, rules)?;
        return Ok(Terminal::Http(Box::new(manager)));
    }
    if name == NetworkRbac::full_name() {
        return refuse("the chain does not end in a tcp_proxy or an http_connection_manager");
    }
    refuse(unknown(&filter.name, any))
}

fn unknown(name: &str, any: &Any) -> String {
    format!("unknown filter {name:?} ({})", type_name(any))
}

fn network_config(filter: &Filter) -> Decoded<&Any> {
    match &filter.config_type {
        Some(filter::ConfigType::TypedConfig(any)) => Ok(any),
        _ => refuse(format_args!("filter {:?} has no typed_config", filter.name)),
    }
}

fn tcp_clusters(proxy: &TcpProxy) -> Decoded<WeightedClusters> {
    unsupported(proxy.tunneling_config.is_some(), "tunneling_config")?;
    unsupported(proxy.metadata_match.is_some(), "metadata_match")?;
    unsupported(proxy.on_demand.is_some(), "on_demand")?;
    match &proxy.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => {
            weighted(vec![tcp_cluster(name, 1).at("cluster")?]).at("cluster")
        }
        Some(ClusterSpecifier::WeightedClusters(wire)) => {
            let clusters = each("clusters", &wire.clusters, |cluster: &ClusterWeight| {
                unsupported(cluster.metadata_match.is_some(), "metadata_match")?;
                tcp_cluster(&cluster.name, cluster.weight).at("name")
            });
            clusters.and_then(weighted).at("weighted_clusters")
        }
        None => refuse("missing").at("cluster"),
    }
}

fn tcp_cluster(name: &str, weight: u32) -> Decoded<WeightedCluster> {
    if name.is_empty() {
        return refuse("missing");
    }
    Ok(WeightedCluster {
        cluster: Some(name.into()),
        weight,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    })
}

fn weighted(clusters: Vec<WeightedCluster>) -> Decoded<WeightedClusters> {
    match WeightedClusters::new(clusters) {
        Some(clusters) => Ok(clusters),
        None => refuse("the sum of weights is 0"),
    }
}

/// Where everything goes, if it goes to one cluster.
pub(super) fn only(clusters: &WeightedClusters) -> Decoded<ClusterName> {
    match clusters.iter().as_slice() {
        [only] => Ok(only.cluster.clone().unwrap_or_default()),
        _ => refuse("only understood in a listener that is bound").at("weighted_clusters"),
    }
}

/// RBAC filters, then the router.
fn http_filters(manager: &HttpConnectionManager, rules: &mut Rules) -> Decoded<()> {
    let Some((last, first)) = manager.http_filters.split_last() else {
        return refuse("must not be empty").at("http_filters");
    };
    for (index, filter) in first.iter().enumerate() {
        http_rbac(filter, rules).at_index("http_filters", index)?;
    }
    let is_router = http_config(last).is_some_and(|any| type_name(any) == Router::full_name());
    if !is_router || last.disabled {
        return refuse(format_args!("ends in {:?}, not in the router", last.name))
            .at("http_filters");
    }
    Ok(())
}

fn http_rbac(filter: &HttpFilter, rules: &mut Rules) -> Decoded<()> {
    let Some(any) = http_config(filter) else {
        return refuse(format_args!("filter {:?} has no typed_config", filter.name));
    };
    if type_name(any) != HttpRbac::full_name() {
        // http_connection_manager.v3.HttpFilter.is_optional: who does not know the filter may go without.
        if filter.is_optional {
            return Ok(());
        }
        return refuse(unknown(&filter.name, any));
    }
    unsupported(filter.disabled, "disabled")?;
    let rbac: HttpRbac = unpack(any)?;
    unsupported(rbac.matcher.is_some(), "matcher")?;
    rules.put(&filter.name, rbac.rules)
}

fn http_config(filter: &HttpFilter) -> Option<&Any> {
    match &filter.config_type {
        Some(http_filter::ConfigType::TypedConfig(any)) => Some(any),
        _ => None,
    }
}
