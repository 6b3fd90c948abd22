//! DnsTable: the names of one Service.

use std::sync::Arc;

use heddle_model::{Service, ServiceKey, ServiceKind, ServicePort, Transport};
use heddle_proto::{
    envoy::data::dns::v3::{
        DnsTable,
        dns_table::{
            AddressList, DnsEndpoint, DnsService, DnsServiceList, DnsServiceProtocol,
            DnsServiceTarget, DnsVirtualDomain, dns_endpoint::EndpointConfig,
            dns_service_protocol::ProtocolConfig, dns_service_target::EndpointType,
        },
    },
    type_url,
};
use heddle_snapshot::{Resource, Scope};

use crate::memo::Unit;

/// The names of one Service.
#[derive(Debug, PartialEq)]
pub(crate) struct DnsUnit {
    /// The Service.
    pub(crate) service: Arc<Service>,
    /// DNS suffix of Services.
    pub(crate) cluster_domain: Arc<str>,
}

impl Unit for DnsUnit {
    type Key = ServiceKey;

    fn build(&self, key: &ServiceKey) -> Resource {
        let name = format!("{}.{}.svc.{}", key.name, key.namespace, self.cluster_domain);
        let mut virtual_domains = vec![domain(name.clone(), self.own_answer())];
        let named_ports = self.service.ports.iter().filter_map(|port| {
            let port_name = port.name.as_ref()?;
            Some(service_record(port_name, port, &name))
        });
        virtual_domains.extend(named_ports);
        let message = DnsTable {
            virtual_domains,
            ..DnsTable::default()
        };
        Resource::new(
            type_url::DNS_TABLE,
            key.to_string(),
            Scope::Nodes,
            vec![format!("Service {key}").into()],
            &message,
        )
    }
}

impl DnsUnit {
    fn own_answer(&self) -> EndpointConfig {
        let service = &self.service;
        match &service.kind {
            ServiceKind::ClusterIp { addresses } => EndpointConfig::AddressList(AddressList {
                address: addresses.iter().map(ToString::to_string).collect(),
            }),
            // All ports of a headless Service have the same endpoints; one port's cluster tells them.
            ServiceKind::Headless => match service.ports.first() {
                Some(port) => EndpointConfig::ClusterName(service.port_key(port).to_string()),
                None => EndpointConfig::AddressList(AddressList::default()),
            },
            ServiceKind::ExternalName { .. } => {
                EndpointConfig::ClusterName(service.key.to_string())
            }
        }
    }
}

/// SRV (RFC 2782): `_<port>._<protocol>.<service>`.
fn service_record(port_name: &str, port: &ServicePort, service: &str) -> DnsVirtualDomain {
    let protocol = match port.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Sctp => "sctp",
    };
    let record = DnsService {
        service_name: port_name.to_owned(),
        protocol: Some(DnsServiceProtocol {
            protocol_config: Some(ProtocolConfig::Name(protocol.to_owned())),
        }),
        targets: vec![DnsServiceTarget {
            port: port.port.get().into(),
            endpoint_type: Some(EndpointType::HostName(service.to_owned())),
            ..DnsServiceTarget::default()
        }],
        ..DnsService::default()
    };
    let answer = EndpointConfig::ServiceList(DnsServiceList {
        services: vec![record],
    });
    domain(format!("_{port_name}._{protocol}.{service}"), answer)
}

fn domain(name: String, answer: EndpointConfig) -> DnsVirtualDomain {
    DnsVirtualDomain {
        name,
        endpoint: Some(DnsEndpoint {
            endpoint_config: Some(answer),
        }),
        answer_ttl: None,
    }
}
