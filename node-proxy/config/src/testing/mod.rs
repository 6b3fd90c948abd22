//! Hand-made resources for tests, as docs/xds.md describes them.

mod listeners;
mod policies;
mod routes;
mod tls;

pub(crate) use listeners::*;
pub(crate) use policies::*;
pub(crate) use routes::*;
pub(crate) use tls::*;

use heddle_identity::TrustDomain;
use heddle_proto::{
    Message, Name,
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy},
            },
            core::v3::{
                Address, DataSource, HealthStatus, SocketAddress, address, data_source::Specifier,
                socket_address::PortSpecifier,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
                lb_endpoint::HostIdentifier,
            },
        },
        data::dns::v3::{
            DnsTable,
            dns_table::{DnsEndpoint, DnsVirtualDomain, dns_endpoint::EndpointConfig},
        },
        extensions::transport_sockets::tls::v3::{CertificateValidationContext, Secret, secret},
    },
    google::protobuf::{Any, Duration, UInt32Value},
    heddle::v1,
    pack,
};

use crate::{Store, Update};

pub(crate) fn trust_domain() -> TrustDomain {
    TrustDomain::new("cluster.local").expect("valid")
}

pub(crate) fn store() -> Store {
    Store::new(trust_domain())
}

/// One resource as an update.
pub(crate) fn one<M: Message + Name>(name: &str, message: &M) -> Update {
    named(name, pack(message))
}

/// One resource as an update; its version is its content.
pub(crate) fn named(name: &str, body: Any) -> Update {
    Update {
        type_url: body.type_url.clone(),
        resources: vec![(name.to_owned(), format!("{:?}", body.value), body)],
        removed: Vec::new(),
    }
}

/// A resource that is no such message.
pub(crate) fn garbage(type_url: &str, name: &str) -> Update {
    let body = Any {
        type_url: type_url.to_owned(),
        value: vec![0xff; 7],
    };
    named(name, body)
}

pub(crate) fn removal(type_url: &str, name: &str) -> Update {
    Update {
        type_url: type_url.to_owned(),
        resources: Vec::new(),
        removed: vec![name.to_owned()],
    }
}

pub(crate) fn address(host: &str, port: u32) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(port)),
            ..SocketAddress::default()
        })),
    }
}

pub(crate) fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

pub(crate) fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

pub(crate) fn cluster(name: &str, kind: DiscoveryType) -> Cluster {
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(kind.into())),
        lb_policy: LbPolicy::LeastRequest.into(),
        eds_cluster_config: (kind == DiscoveryType::Eds).then(|| EdsClusterConfig {
            service_name: name.to_owned(),
            ..EdsClusterConfig::default()
        }),
        connect_timeout: seconds(1),
        ..Cluster::default()
    }
}

pub(crate) fn endpoint(host: &str, port: u32, health: HealthStatus) -> LbEndpoint {
    LbEndpoint {
        health_status: health.into(),
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address(host, port)),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    }
}

pub(crate) fn assignment(name: &str, endpoints: Vec<LbEndpoint>) -> ClusterLoadAssignment {
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: endpoints,
            load_balancing_weight: number(1),
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    }
}

pub(crate) fn workload(name: &str, addresses: &[[u8; 4]]) -> v1::Workload {
    v1::Workload {
        uid: format!("uid of {name}"),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        addresses: addresses.iter().map(|octets| octets.to_vec()).collect(),
        service_account: "cart".to_owned(),
        node: "node-a".to_owned(),
        tunnel: v1::workload::Tunnel::Hbone.into(),
        ..v1::Workload::default()
    }
}

pub(crate) fn address_set(addresses: &[[u8; 4]]) -> v1::AddressSet {
    v1::AddressSet {
        addresses: addresses.iter().map(|octets| octets.to_vec()).collect(),
    }
}

pub(crate) fn roots(pem: &str) -> Secret {
    Secret {
        name: "ROOTCA".to_owned(),
        r#type: Some(secret::Type::ValidationContext(
            CertificateValidationContext {
                trusted_ca: Some(DataSource {
                    specifier: Some(Specifier::InlineString(pem.to_owned())),
                    ..DataSource::default()
                }),
                ..CertificateValidationContext::default()
            },
        )),
    }
}

pub(crate) fn dns(records: Vec<(&str, EndpointConfig)>) -> DnsTable {
    let domain = |(name, answer): (&str, EndpointConfig)| DnsVirtualDomain {
        name: name.to_owned(),
        endpoint: Some(DnsEndpoint {
            endpoint_config: Some(answer),
        }),
        ..DnsVirtualDomain::default()
    };
    DnsTable {
        virtual_domains: records.into_iter().map(domain).collect(),
        ..DnsTable::default()
    }
}
