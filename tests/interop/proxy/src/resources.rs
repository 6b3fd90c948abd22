//! Resources as any control plane for Envoy makes them.

use std::net::SocketAddr;

use heddle_proto::{
    Message, Name,
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig},
            },
            core::v3::{
                Address, AggregatedConfigSource, ConfigSource, DataSource, SocketAddress,
                TransportSocket, address, config_source::ConfigSourceSpecifier,
                data_source::Specifier, socket_address::PortSpecifier, transport_socket,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
                lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, FilterChain, Listener, filter::ConfigType},
            route::v3::{
                Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route::Action,
                route_action::ClusterSpecifier, route_match::PathSpecifier,
            },
        },
        extensions::{
            filters::{
                http::router::v3::Router,
                network::{
                    http_connection_manager::v3::{
                        HttpConnectionManager, HttpFilter, Rds,
                        http_connection_manager::RouteSpecifier, http_filter,
                    },
                    tcp_proxy::v3::{
                        TcpProxy,
                        tcp_proxy::{
                            ClusterSpecifier as TcpClusters, WeightedCluster,
                            weighted_cluster::ClusterWeight,
                        },
                    },
                },
            },
            transport_sockets::tls::v3::{
                CertificateValidationContext, CommonTlsContext, DownstreamTlsContext,
                SdsSecretConfig, Secret, SubjectAltNameMatcher, TlsCertificate, UpstreamTlsContext,
                common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
                secret,
                subject_alt_name_matcher::SanType,
            },
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::Duration,
    pack,
};

/// From the same stream.
pub fn ads() -> Option<ConfigSource> {
    Some(ConfigSource {
        config_source_specifier: Some(
            ConfigSourceSpecifier::Ads(AggregatedConfigSource::default()),
        ),
        ..ConfigSource::default()
    })
}

fn address(at: SocketAddr) -> Option<Address> {
    Some(Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: at.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(at.port().into())),
            ..SocketAddress::default()
        })),
    })
}

/// A filter of the network level.
pub fn filter<M: Message + Name>(name: &str, config: &M) -> Filter {
    Filter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(config))),
    }
}

/// A listener on 127.0.0.1 with one chain of one filter.
pub fn listener(name: &str, port: u16, filter: Filter) -> Listener {
    listener_at(name, SocketAddr::from(([127, 0, 0, 1], port)), filter)
}

/// As [`listener`], at any address.
pub fn listener_at(name: &str, at: SocketAddr, filter: Filter) -> Listener {
    Listener {
        name: name.to_owned(),
        address: address(at),
        filter_chains: vec![FilterChain {
            filters: vec![filter],
            ..FilterChain::default()
        }],
        ..Listener::default()
    }
}

/// The listener, with TLS: HTTP/2 or HTTP/1.1 by ALPN, its certificate a secret of this name.
pub fn over_tls(mut listener: Listener, secret: &str) -> Listener {
    let certificate = SdsSecretConfig {
        name: secret.to_owned(),
        sds_config: ads(),
    };
    let context = DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![certificate],
            alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
            ..CommonTlsContext::default()
        }),
        ..DownstreamTlsContext::default()
    };
    listener.filter_chains[0].transport_socket = Some(TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(pack(&context))),
    });
    listener
}

fn text(text: &str) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineString(text.to_owned())),
        ..DataSource::default()
    })
}

/// The cluster, with TLS: trust by a secret of this name, and the DNS name that the certificate must have.
pub fn by_tls(mut cluster: Cluster, secret: &str, name: &str) -> Cluster {
    let names = SubjectAltNameMatcher {
        san_type: SanType::Dns.into(),
        matcher: Some(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(name.to_owned())),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    };
    let both = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: vec![names],
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(SdsSecretConfig {
            name: secret.to_owned(),
            sds_config: ads(),
        }),
        ..CombinedCertificateValidationContext::default()
    };
    let context = UpstreamTlsContext {
        sni: name.to_owned(),
        common_tls_context: Some(CommonTlsContext {
            validation_context_type: Some(ValidationContextType::CombinedValidationContext(both)),
            ..CommonTlsContext::default()
        }),
        ..UpstreamTlsContext::default()
    };
    cluster.transport_socket = Some(TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(pack(&context))),
    });
    cluster
}

/// Whom to trust, PEM.
pub fn trusted(name: &str, pem: &str) -> Secret {
    let context = CertificateValidationContext {
        trusted_ca: text(pem),
        ..CertificateValidationContext::default()
    };
    Secret {
        name: name.to_owned(),
        r#type: Some(secret::Type::ValidationContext(context)),
    }
}

/// A certificate and its key, PEM.
pub fn certificate(name: &str, chain: &str, key: &str) -> Secret {
    Secret {
        name: name.to_owned(),
        r#type: Some(secret::Type::TlsCertificate(TlsCertificate {
            certificate_chain: text(chain),
            private_key: text(key),
            ..TlsCertificate::default()
        })),
    }
}

fn manager(routes: RouteSpecifier) -> Filter {
    let router = HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack(
            &Router::default(),
        ))),
        ..HttpFilter::default()
    };
    let config = HttpConnectionManager {
        stat_prefix: "ingress".to_owned(),
        route_specifier: Some(routes),
        http_filters: vec![router],
        ..HttpConnectionManager::default()
    };
    filter("envoy.filters.network.http_connection_manager", &config)
}

/// HTTP, routed by a RouteConfiguration of this name.
pub fn http(route_config_name: &str) -> Filter {
    manager(RouteSpecifier::Rds(Rds {
        config_source: ads(),
        route_config_name: route_config_name.to_owned(),
    }))
}

/// HTTP, routed by what stands in the listener.
pub fn http_inline(routes: RouteConfiguration) -> Filter {
    manager(RouteSpecifier::RouteConfig(routes))
}

/// Bytes, to one cluster.
pub fn bytes(cluster: &str) -> Filter {
    tcp_proxy(TcpClusters::Cluster(cluster.to_owned()))
}

/// Bytes, to clusters by weight.
pub fn bytes_split(shares: &[(&str, u32)]) -> Filter {
    let clusters = shares.iter().map(|(name, weight)| ClusterWeight {
        name: (*name).to_owned(),
        weight: *weight,
        ..ClusterWeight::default()
    });
    tcp_proxy(TcpClusters::WeightedClusters(WeightedCluster {
        clusters: clusters.collect(),
    }))
}

fn tcp_proxy(clusters: TcpClusters) -> Filter {
    let config = TcpProxy {
        stat_prefix: "bytes".to_owned(),
        cluster_specifier: Some(clusters),
        ..TcpProxy::default()
    };
    filter("envoy.filters.network.tcp_proxy", &config)
}

/// Everything of a host to a cluster.
pub fn routes(name: &str, hosts: &[(&str, &str)]) -> RouteConfiguration {
    let host = |(domain, cluster): &(&str, &str)| VirtualHost {
        name: (*domain).to_owned(),
        domains: vec![(*domain).to_owned()],
        routes: vec![Route {
            r#match: Some(RouteMatch {
                path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
                ..RouteMatch::default()
            }),
            action: Some(Action::Route(RouteAction {
                cluster_specifier: Some(ClusterSpecifier::Cluster((*cluster).to_owned())),
                ..RouteAction::default()
            })),
            ..Route::default()
        }],
        ..VirtualHost::default()
    };
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts: hosts.iter().map(host).collect(),
        ..RouteConfiguration::default()
    }
}

/// Where a cluster's endpoints are.
pub fn endpoints(cluster: &str, at: &[SocketAddr]) -> ClusterLoadAssignment {
    let endpoint = |at: &SocketAddr| LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: address(*at),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: at.iter().map(endpoint).collect(),
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    }
}

fn cluster(name: &str, kind: DiscoveryType) -> Cluster {
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(kind.into())),
        connect_timeout: Some(Duration {
            seconds: 5,
            nanos: 0,
        }),
        ..Cluster::default()
    }
}

/// A cluster whose endpoints come by EDS, under its own name.
pub fn eds(name: &str) -> Cluster {
    Cluster {
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: ads(),
            service_name: String::new(),
        }),
        ..cluster(name, DiscoveryType::Eds)
    }
}

/// A cluster with its endpoints in it.
pub fn fixed(name: &str, at: &[SocketAddr]) -> Cluster {
    Cluster {
        load_assignment: Some(endpoints(name, at)),
        ..cluster(name, DiscoveryType::Static)
    }
}
