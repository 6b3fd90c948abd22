//! Listeners of all kinds.

use heddle_proto::{
    Message, Name,
    envoy::{
        config::{
            core::v3::{Metadata, TrafficDirection, TransportSocket, transport_socket},
            listener::v3::{
                AdditionalAddress, Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter,
                filter,
            },
            rbac::v3::Rbac,
            route::v3::RouteConfiguration,
        },
        extensions::{
            filters::{
                http::{rbac::v3::Rbac as HttpRbac, router::v3::Router},
                network::{
                    http_connection_manager::v3::{
                        HttpConnectionManager, HttpFilter, Rds,
                        http_connection_manager::RouteSpecifier, http_filter,
                    },
                    rbac::v3::Rbac as NetworkRbac,
                    tcp_proxy::v3::{
                        TcpProxy,
                        tcp_proxy::{
                            ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight,
                        },
                    },
                },
            },
            transport_sockets::tls::v3::{
                CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
                common_tls_context::ValidationContextType,
            },
        },
    },
    google::protobuf::BoolValue,
    heddle::v1::{
        ListenerScope,
        listener_scope::{EgressRules, Gateway, Kind, Outbound, Pod},
    },
    names, pack,
};

use super::{address, number, routes, to};

pub(crate) fn filter<M: Message + Name>(name: &str, config: &M) -> Filter {
    Filter {
        name: name.to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(pack(config))),
    }
}

pub(crate) fn http_filter<M: Message + Name>(name: &str, config: &M) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack(config))),
        ..HttpFilter::default()
    }
}

pub(crate) fn tcp_proxy(cluster: &str) -> Filter {
    let config = TcpProxy {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..TcpProxy::default()
    };
    filter("envoy.filters.network.tcp_proxy", &config)
}

pub(crate) fn manager(routes: RouteSpecifier, before: Vec<HttpFilter>) -> HttpConnectionManager {
    let router = http_filter("envoy.filters.http.router", &Router::default());
    HttpConnectionManager {
        route_specifier: Some(routes),
        http_filters: before.into_iter().chain([router]).collect(),
        ..HttpConnectionManager::default()
    }
}

pub(crate) fn rds(name: &str) -> RouteSpecifier {
    RouteSpecifier::Rds(Rds {
        route_config_name: name.to_owned(),
        ..Rds::default()
    })
}

pub(crate) fn inline(config: RouteConfiguration) -> RouteSpecifier {
    RouteSpecifier::RouteConfig(config)
}

pub(crate) fn http(routes: RouteSpecifier) -> Filter {
    filter(
        "envoy.filters.network.http_connection_manager",
        &manager(routes, Vec::new()),
    )
}

pub(crate) fn chain(filters: Vec<Filter>) -> FilterChain {
    FilterChain {
        filters,
        ..FilterChain::default()
    }
}

pub(crate) fn scope(kind: Kind) -> Option<Metadata> {
    let scope = ListenerScope { kind: Some(kind) };
    Some(Metadata {
        typed_filter_metadata: [(names::LISTENER_SCOPE.to_owned(), pack(&scope))].into(),
        ..Metadata::default()
    })
}

pub(crate) fn outbound(name: &str, ip: &str, port: u32, filters: Vec<Filter>) -> Listener {
    Listener {
        name: name.to_owned(),
        address: Some(address(ip, port)),
        filter_chains: vec![chain(filters)],
        traffic_direction: TrafficDirection::Outbound.into(),
        metadata: scope(Kind::Outbound(Outbound::default())),
        ..Listener::default()
    }
}

/// An outbound listener whose routes have its own name.
pub(crate) fn outbound_http(name: &str, ip: &str) -> Listener {
    outbound(name, ip, 80, vec![http(rds(name))])
}

pub(crate) fn outbound_detect(name: &str, ip: &str) -> Listener {
    let mut http_chain = chain(vec![http(rds(name))]);
    http_chain.filter_chain_match = Some(FilterChainMatch {
        application_protocols: vec!["http/1.1".to_owned(), "h2c".to_owned()],
        ..FilterChainMatch::default()
    });
    Listener {
        filter_chains: vec![http_chain],
        default_filter_chain: Some(chain(vec![tcp_proxy(name)])),
        listener_filters: vec![ListenerFilter {
            name: "envoy.filters.listener.http_inspector".to_owned(),
            ..ListenerFilter::default()
        }],
        ..outbound(name, ip, 80, Vec::new())
    }
}

pub(crate) fn gateway(name: &str, port: u32) -> Listener {
    Listener {
        metadata: scope(Kind::Gateway(Gateway::default())),
        traffic_direction: TrafficDirection::Unspecified.into(),
        ..outbound(name, "0.0.0.0", port, vec![http(rds(name))])
    }
}

/// A listener of a control plane that is not Heddle's.
pub(crate) fn plain(name: &str, port: u32, filter: Filter) -> Listener {
    Listener {
        name: name.to_owned(),
        address: Some(address("127.0.0.1", port)),
        filter_chains: vec![chain(vec![filter])],
        ..Listener::default()
    }
}

pub(crate) fn tcp_split(shares: &[(&str, u32)]) -> Filter {
    let cluster = |(name, weight): &(&str, u32)| ClusterWeight {
        name: (*name).to_owned(),
        weight: *weight,
        ..ClusterWeight::default()
    };
    let config = TcpProxy {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: shares.iter().map(cluster).collect(),
        })),
        ..TcpProxy::default()
    };
    filter("envoy.filters.network.tcp_proxy", &config)
}

pub(crate) const POD: &str = "pod/shop/cart-7d4";
pub(crate) const POD_IDENTITY: &str = "spiffe://cluster.local/ns/shop/sa/cart";

/// What applies to the pod `shop/cart-7d4`.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodRules {
    pub(crate) network_policy: Option<Rbac>,
    pub(crate) authorization: Option<Rbac>,
    pub(crate) egress: Option<Rbac>,
    pub(crate) http_ports: Vec<u32>,
    pub(crate) strict: bool,
}

pub(crate) fn mutual_tls(identity: &str) -> TransportSocket {
    let secret = |name: &str| SdsSecretConfig {
        name: name.to_owned(),
        ..SdsSecretConfig::default()
    };
    let context = DownstreamTlsContext {
        require_client_certificate: Some(BoolValue { value: true }),
        common_tls_context: Some(CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![secret(identity)],
            validation_context_type: Some(ValidationContextType::ValidationContextSdsSecretConfig(
                secret("ROOTCA"),
            )),
            ..CommonTlsContext::default()
        }),
        ..DownstreamTlsContext::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(pack(&context))),
    }
}

pub(crate) fn network_rbac(name: &str, rules: &Rbac) -> Filter {
    let config = NetworkRbac {
        rules: Some(rules.clone()),
        ..NetworkRbac::default()
    };
    filter(name, &config)
}

fn pod_chain(rules: &PodRules, tls: bool, port: Option<u32>) -> FilterChain {
    let mut filters = Vec::new();
    if let Some(policy) = &rules.network_policy {
        filters.push(network_rbac(names::FILTER_NETWORK_POLICY, policy));
    }
    match (port, &rules.authorization) {
        (Some(_), authorization) => {
            let rbac = authorization.as_ref().map(|rules| {
                let config = HttpRbac {
                    rules: Some(rules.clone()),
                    ..HttpRbac::default()
                };
                http_filter(names::FILTER_AUTHORIZATION, &config)
            });
            let routes = inline(routes("local", vec![to("local")]));
            let manager = manager(routes, rbac.into_iter().collect());
            filters.push(filter(
                "envoy.filters.network.http_connection_manager",
                &manager,
            ));
        }
        (None, authorization) => {
            let rbac = authorization.as_ref();
            filters.extend(rbac.map(|rules| network_rbac(names::FILTER_AUTHORIZATION, rules)));
            filters.push(tcp_proxy("local"));
        }
    }
    FilterChain {
        filter_chain_match: Some(FilterChainMatch {
            destination_port: port.and_then(number),
            transport_protocol: if tls { "tls" } else { "raw_buffer" }.to_owned(),
            ..FilterChainMatch::default()
        }),
        transport_socket: tls.then(|| mutual_tls(POD_IDENTITY)),
        ..chain(filters)
    }
}

pub(crate) fn pod(rules: &PodRules) -> Listener {
    let by = |rules: &Option<Rbac>| match rules {
        Some(_) => vec!["NetworkPolicy shop/cart".to_owned()],
        None => Vec::new(),
    };
    let pod = Pod {
        uid: "uid".to_owned(),
        namespace: "shop".to_owned(),
        name: "cart-7d4".to_owned(),
        service_account: "cart".to_owned(),
        ingress_isolated_by: by(&rules.network_policy),
        egress_isolated_by: by(&rules.egress),
        egress: rules.egress.as_ref().map(|rbac| EgressRules {
            rbac: rbac.encode_to_vec(),
        }),
    };
    let ports: Vec<Option<u32>> = rules
        .http_ports
        .iter()
        .copied()
        .map(Some)
        .chain([None])
        .collect();
    let arrivals: &[bool] = if rules.strict {
        &[true]
    } else {
        &[true, false]
    };
    let chains = arrivals
        .iter()
        .flat_map(|tls| ports.iter().map(|port| pod_chain(rules, *tls, *port)));
    Listener {
        name: POD.to_owned(),
        address: Some(address("10.1.0.4", 15008)),
        additional_addresses: vec![AdditionalAddress {
            address: Some(address("fd00::4", 15008)),
            ..AdditionalAddress::default()
        }],
        filter_chains: chains.collect(),
        traffic_direction: TrafficDirection::Inbound.into(),
        metadata: scope(Kind::Pod(pod)),
        ..Listener::default()
    }
}
