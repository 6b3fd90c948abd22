//! DnsTable.

use std::{net::IpAddr, sync::Arc};

use heddle_proto::{
    envoy::data::dns::v3::{
        DnsTable,
        dns_table::{
            DnsServiceList, DnsVirtualDomain, dns_endpoint::EndpointConfig,
            dns_service_target::EndpointType,
        },
    },
    google::protobuf::Any,
    unpack,
};

use super::{
    error::{At, Decoded, each, refuse, unsupported},
    values::port,
};
use crate::{DnsAnswer, DnsName, DnsRecord};

/// Decodes a DnsTable: the names of one Service.
pub fn dns_table(any: &Any) -> Decoded<Vec<Arc<DnsRecord>>> {
    let wire: DnsTable = unpack(any)?;
    unsupported(!wire.known_suffixes.is_empty(), "known_suffixes")?;
    each("virtual_domains", &wire.virtual_domains, |domain| {
        Ok(Arc::new(record(domain)?))
    })
}

fn record(wire: &DnsVirtualDomain) -> Decoded<DnsRecord> {
    let endpoint = wire
        .endpoint
        .as_ref()
        .and_then(|e| e.endpoint_config.as_ref());
    let answer = match endpoint {
        Some(EndpointConfig::AddressList(list)) => {
            let addresses = each("address", &list.address, |text| Ok(text.parse::<IpAddr>()?));
            DnsAnswer::Addresses(addresses.at("endpoint.address_list")?)
        }
        Some(EndpointConfig::ClusterName(name)) if !name.is_empty() => {
            DnsAnswer::Cluster(name.as_str().into())
        }
        Some(EndpointConfig::ServiceList(list)) => service(list).at("endpoint.service_list")?,
        Some(EndpointConfig::ClusterName(_)) | None => return refuse("missing").at("endpoint"),
    };
    Ok(DnsRecord {
        name: name(&wire.name).at("name")?,
        answer,
    })
}

/// Lower case, no final dot.
fn name(text: &str) -> Decoded<DnsName> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.is_empty() || name.len() > 253 || name.split('.').any(|l| l.is_empty() || l.len() > 63)
    {
        return refuse(format_args!("{text:?} is no DNS name"));
    }
    Ok(name.into())
}

/// One service with one target; priorities and weights have no meaning then.
fn service(list: &DnsServiceList) -> Decoded<DnsAnswer> {
    let [service] = list.services.as_slice() else {
        return refuse("must be exactly one").at("services");
    };
    let [target] = service.targets.as_slice() else {
        return refuse("must be exactly one").at("services[0].targets");
    };
    let Some(EndpointType::HostName(host)) = &target.endpoint_type else {
        return refuse("missing").at("services[0].targets[0].host_name");
    };
    Ok(DnsAnswer::Service {
        target: name(host).at("services[0].targets[0].host_name")?,
        port: port(target.port).at("services[0].targets[0].port")?,
    })
}
