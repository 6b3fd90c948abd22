//! Names.

use heddle_proto::envoy::data::dns::v3::{
    DnsTable,
    dns_table::{
        DnsService, DnsServiceTarget, DnsVirtualDomain, dns_endpoint::EndpointConfig,
        dns_service_protocol::ProtocolConfig, dns_service_target::EndpointType,
    },
};
use serde_json::{Value, json};

use super::fields::{Fields, texts};

pub(super) fn table(table: &DnsTable) -> Value {
    Fields::new()
        .list("virtual_domains", table.virtual_domains.iter().map(domain))
        .value()
}

fn domain(domain: &DnsVirtualDomain) -> Value {
    let answer = domain
        .endpoint
        .as_ref()
        .and_then(|endpoint| endpoint.endpoint_config.as_ref());
    let shown = Fields::new().text("name", &domain.name);
    match answer {
        Some(EndpointConfig::AddressList(list)) => {
            let addresses: Value = texts(&list.address).collect();
            shown.keep("address_list", addresses)
        }
        Some(EndpointConfig::ClusterName(name)) => shown.text("cluster_name", name),
        Some(EndpointConfig::ServiceList(list)) => {
            shown.list("service_list", list.services.iter().map(service))
        }
        None => shown,
    }
    .value()
}

fn service(service: &DnsService) -> Value {
    let protocol = service
        .protocol
        .as_ref()
        .and_then(|protocol| protocol.protocol_config.as_ref());
    let protocol = match protocol {
        Some(ProtocolConfig::Name(name)) => json!(name),
        Some(ProtocolConfig::Number(number)) => json!(number),
        None => Value::Null,
    };
    Fields::new()
        .text("service_name", &service.service_name)
        .put("protocol", protocol)
        .list("targets", service.targets.iter().map(target))
        .value()
}

fn target(target: &DnsServiceTarget) -> Value {
    let host = match &target.endpoint_type {
        Some(EndpointType::HostName(name)) => name,
        _ => "",
    };
    Fields::new()
        .text("host_name", host)
        .number("port", target.port)
        .value()
}
