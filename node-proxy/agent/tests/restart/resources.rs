//! A configuration as a control plane would send it (docs/xds.md): a Service and the cluster's name server, both in one pod, and
//! another pod that may use them.

use std::net::Ipv4Addr;

use heddle_config::Update;
use heddle_proto::{
    Message, Name,
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy},
            },
            core::v3::{
                Address, CidrRange, HealthStatus, Metadata, SocketAddress, TrafficDirection,
                TransportSocket, address, socket_address::PortSpecifier, transport_socket,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
                lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, filter},
            rbac::v3::{Permission, Policy, Principal, Rbac, permission, principal},
        },
        data::dns::v3::{
            DnsTable,
            dns_table::{AddressList, DnsEndpoint, DnsVirtualDomain, dns_endpoint::EndpointConfig},
        },
        extensions::{
            filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
            transport_sockets::tls::v3::{
                CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
                common_tls_context::ValidationContextType,
            },
        },
    },
    google::protobuf::{BoolValue, Duration, UInt32Value},
    heddle::v1::{
        ListenerScope,
        listener_scope::{EgressRules, Kind, Outbound, Pod},
    },
    names, pack,
};

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 2);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 3);
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 20);
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// The client's uid, as Kubernetes makes them.
pub(crate) const CLIENT_UID: &str = "0f7c1a3e-1b2c-4d5e-8f90-a1b2c3d4e5f6";

const WEB: &str = "shop/server:80";
const DNS_TCP: &str = "kube-system/kube-dns:53";
const DNS_UDP: &str = "kube-system/kube-dns:53/udp";

/// Everything; `isolated`: a policy lets the client send to the server's pod and nowhere else.
pub(crate) fn all(isolated: bool) -> Vec<Update> {
    vec![
        one(WEB, &cluster(WEB)),
        one(DNS_TCP, &cluster(DNS_TCP)),
        one(DNS_UDP, &cluster(DNS_UDP)),
        one(WEB, &assignment(WEB, 8080)),
        one(DNS_TCP, &assignment(DNS_TCP, 53)),
        one(DNS_UDP, &assignment(DNS_UDP, 53)),
        one(WEB, &outbound(WEB, SERVICE, 80)),
        one(DNS_TCP, &outbound(DNS_TCP, RESOLVER, 53)),
        one("pod/shop/client", &pod(isolated)),
        one("kube-system/kube-dns", &name_of_the_resolver()),
    ]
}

fn one<M: Message + Name>(name: &str, message: &M) -> Update {
    let body = pack(message);
    Update {
        type_url: body.type_url.clone(),
        resources: vec![(name.to_owned(), "1".to_owned(), body)],
        removed: Vec::new(),
    }
}

fn address(ip: Ipv4Addr, port: u32) -> Option<Address> {
    let socket = SocketAddress {
        address: ip.to_string(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    };
    Some(Address {
        address: Some(address::Address::SocketAddress(socket)),
    })
}

fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        lb_policy: LbPolicy::LeastRequest.into(),
        eds_cluster_config: Some(EdsClusterConfig {
            service_name: name.to_owned(),
            ..EdsClusterConfig::default()
        }),
        connect_timeout: Some(Duration {
            seconds: 1,
            nanos: 0,
        }),
        ..Cluster::default()
    }
}

fn assignment(name: &str, port: u32) -> ClusterLoadAssignment {
    let endpoint = LbEndpoint {
        health_status: HealthStatus::Healthy.into(),
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: address(SERVER, port),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: vec![endpoint],
            load_balancing_weight: Some(UInt32Value { value: 1 }),
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    }
}

fn scope(kind: Kind) -> Option<Metadata> {
    let scope = ListenerScope { kind: Some(kind) };
    Some(Metadata {
        typed_filter_metadata: [(names::LISTENER_SCOPE.to_owned(), pack(&scope))].into(),
        ..Metadata::default()
    })
}

fn to(cluster: &str) -> FilterChain {
    let proxy = TcpProxy {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..TcpProxy::default()
    };
    FilterChain {
        filters: vec![Filter {
            name: "envoy.filters.network.tcp_proxy".to_owned(),
            config_type: Some(filter::ConfigType::TypedConfig(pack(&proxy))),
        }],
        ..FilterChain::default()
    }
}

fn outbound(name: &str, ip: Ipv4Addr, port: u32) -> Listener {
    Listener {
        name: name.to_owned(),
        address: address(ip, port),
        filter_chains: vec![to(name)],
        traffic_direction: TrafficDirection::Outbound.into(),
        metadata: scope(Kind::Outbound(Outbound::default())),
        ..Listener::default()
    }
}

fn pod(isolated: bool) -> Listener {
    let by = isolated.then(|| "NetworkPolicy shop/client".to_owned());
    let pod = Pod {
        uid: CLIENT_UID.to_owned(),
        namespace: "shop".to_owned(),
        name: "client".to_owned(),
        service_account: "client".to_owned(),
        egress_isolated_by: by.into_iter().collect(),
        egress: isolated.then(|| EgressRules {
            rbac: to_the_server().encode_to_vec(),
        }),
        ..Pod::default()
    };
    let arriving = |transport: &str, transport_socket| FilterChain {
        filter_chain_match: Some(FilterChainMatch {
            transport_protocol: transport.to_owned(),
            ..FilterChainMatch::default()
        }),
        transport_socket,
        ..to("local")
    };
    Listener {
        name: "pod/shop/client".to_owned(),
        address: address(CLIENT, 15008),
        filter_chains: vec![
            arriving("tls", Some(mutual_tls())),
            arriving("raw_buffer", None),
        ],
        traffic_direction: TrafficDirection::Inbound.into(),
        metadata: scope(Kind::Pod(pod)),
        ..Listener::default()
    }
}

fn name_of_the_resolver() -> DnsTable {
    let addresses = AddressList {
        address: vec![RESOLVER.to_string()],
    };
    DnsTable {
        virtual_domains: vec![DnsVirtualDomain {
            name: "kube-dns.kube-system.svc.cluster.local".to_owned(),
            endpoint: Some(DnsEndpoint {
                endpoint_config: Some(EndpointConfig::AddressList(addresses)),
            }),
            ..DnsVirtualDomain::default()
        }],
        ..DnsTable::default()
    }
}

fn to_the_server() -> Rbac {
    let server = CidrRange {
        address_prefix: SERVER.to_string(),
        prefix_len: Some(UInt32Value { value: 32 }),
    };
    let policy = Policy {
        permissions: vec![Permission {
            rule: Some(permission::Rule::DestinationIp(server)),
        }],
        principals: vec![Principal {
            identifier: Some(principal::Identifier::Any(true)),
        }],
        ..Policy::default()
    };
    Rbac {
        policies: [("NetworkPolicy shop/client egress rule 0".to_owned(), policy)].into(),
        ..Rbac::default()
    }
}

fn mutual_tls() -> TransportSocket {
    let secret = |name: &str| SdsSecretConfig {
        name: name.to_owned(),
        ..SdsSecretConfig::default()
    };
    let identity = "spiffe://cluster.local/ns/shop/sa/client";
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
