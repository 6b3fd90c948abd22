//! Heddle's own messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heddle_proto::{
    Message,
    google::protobuf::Any,
    heddle::v1::{
        AddressSet, DestinationAddressSet, ListenerScope, SourceAddressSet, TransportProtocol,
        Workload, listener_scope::Kind, transport_protocol::Protocol, workload::Tunnel,
    },
};
use serde_json::{Value, json};

use super::{
    fields::{Fields, packed, texts},
    rbac,
};
use crate::policy::Rules;

pub(super) fn workload(workload: &Workload) -> Value {
    let tunnel = Tunnel::try_from(workload.tunnel).map_or("?", |tunnel| tunnel.as_str_name());
    Fields::new()
        .text("uid", &workload.uid)
        .text("namespace", &workload.namespace)
        .text("name", &workload.name)
        .list("addresses", addresses(&workload.addresses))
        .text("service_account", &workload.service_account)
        .text("node", &workload.node)
        .text("zone", &workload.zone)
        .text("tunnel", tunnel)
        .flag("host_network", workload.host_network)
        .text("owner", &workload.owner)
        .text("app", &workload.app)
        .text("version", &workload.version)
        .value()
}

pub(super) fn address_set(set: &AddressSet) -> Value {
    let addresses: Value = addresses(&set.addresses).collect();
    json!({ "addresses": addresses })
}

fn addresses(octets: &[Vec<u8>]) -> impl Iterator<Item = Value> {
    octets.iter().map(|octets| {
        let v4 =
            <[u8; 4]>::try_from(&octets[..]).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
        let v6 =
            || <[u8; 16]>::try_from(&octets[..]).map(|octets| IpAddr::from(Ipv6Addr::from(octets)));
        match v4.or_else(|_| v6()) {
            Ok(address) => json!(address),
            Err(_) => json!("?"),
        }
    })
}

/// What a listener is for.
pub(super) fn listener_scope(any: &Any) -> Value {
    let shown = packed(any, |scope: &ListenerScope| match &scope.kind {
        Some(Kind::Outbound(outbound)) => {
            let fields = Fields::new().text("client_namespace", &outbound.client_namespace);
            json!({ "outbound": fields.value() })
        }
        Some(Kind::Pod(pod)) => {
            let egress = pod.egress.as_ref().map(|egress| {
                Rules::decode(&egress.rbac[..]).map_or_else(
                    |error| json!(error.to_string()),
                    |rules| rbac::rules(&rules),
                )
            });
            let fields = Fields::new()
                .text("uid", &pod.uid)
                .text("namespace", &pod.namespace)
                .text("name", &pod.name)
                .text("service_account", &pod.service_account)
                .list("ingress_isolated_by", texts(&pod.ingress_isolated_by))
                .list("egress_isolated_by", texts(&pod.egress_isolated_by))
                .put("egress", json!(egress));
            json!({ "pod": fields.value() })
        }
        Some(Kind::Gateway(gateway)) => {
            let fields = Fields::new()
                .text("namespace", &gateway.namespace)
                .text("name", &gateway.name)
                .text("section", &gateway.section);
            json!({ "gateway": fields.value() })
        }
        None => Value::Null,
    });
    shown.unwrap_or_else(|| json!({ "@type": any.type_url }))
}

/// Conditions that Envoy has no word for.
pub(super) fn rbac_extension(any: &Any) -> Value {
    packed(any, |set: &SourceAddressSet| json!({ "name": set.name }))
        .or_else(|| {
            packed(
                any,
                |set: &DestinationAddressSet| json!({ "name": set.name }),
            )
        })
        .or_else(|| {
            packed(any, |transport: &TransportProtocol| {
                let protocol = Protocol::try_from(transport.protocol)
                    .map_or("?", |protocol| protocol.as_str_name());
                json!({ "protocol": protocol })
            })
        })
        .unwrap_or_else(|| json!({ "@type": any.type_url }))
}
