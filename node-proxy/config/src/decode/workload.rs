//! Workload, AddressSet, Secret.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use heddle_identity::{Namespace, ServiceAccount, SpiffeId, TrustDomain};
use heddle_proto::{
    envoy::extensions::transport_sockets::tls::v3::{Secret, secret},
    google::protobuf::Any,
    heddle::v1::{self, workload::Tunnel as WireTunnel},
    names, unpack,
};

use super::{
    error::{At, Decoded, each, refuse, unsupported},
    values::{inline_text, named, octets},
};
use crate::{NodeAddresses, PodName, PodUid, Tunnel, Workload};

/// Who is at some addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resident {
    /// A pod.
    Pod(Arc<Workload>),
    /// A node itself.
    Node(Arc<NodeAddresses>),
}

/// Decodes a Workload: a pod's (`shop/cart-7d4`) or a node's (`node/node-a`, which has no namespace).
pub fn workload(name: &str, any: &Any, trust_domain: &TrustDomain) -> Decoded<Resident> {
    let wire: v1::Workload = unpack(any)?;
    let addresses = each("addresses", &wire.addresses, |bytes| octets(bytes))?;
    if wire.namespace.is_empty() {
        return node(name, &wire, addresses);
    }
    let pod = PodName {
        namespace: Namespace::new(&wire.namespace).at("namespace")?,
        name: wire.name.as_str().into(),
    };
    if pod.to_string() != name {
        return refuse(format_args!("sent as {name:?} but calls itself {pod}")).at("name");
    }
    let account = ServiceAccount::new(&wire.service_account).at("service_account")?;
    let tunnel = match WireTunnel::try_from(wire.tunnel) {
        Ok(WireTunnel::None) => Tunnel::None,
        Ok(WireTunnel::Hbone) => Tunnel::Hbone,
        // Not plain text: a newer way to reach it may well be a safer one.
        Err(_) => return refuse(format_args!("unknown value {}", wire.tunnel)).at("tunnel"),
    };
    Ok(Resident::Pod(Arc::new(Workload {
        identity: SpiffeId::new(trust_domain.clone(), pod.namespace.clone(), account),
        name: pod,
        uid: PodUid(wire.uid.as_str().into()),
        addresses,
        node: wire.node.into(),
        zone: wire.zone.into(),
        tunnel,
        host_network: wire.host_network,
        owner: wire.owner.into(),
        app: wire.app.into(),
        version: wire.version.into(),
    })))
}

fn node(name: &str, wire: &v1::Workload, addresses: Vec<IpAddr>) -> Decoded<Resident> {
    if name != format!("node/{}", wire.name) {
        return refuse("missing").at("namespace");
    }
    Ok(Resident::Node(Arc::new(NodeAddresses {
        name: wire.name.as_str().into(),
        addresses,
        zone: wire.zone.as_str().into(),
    })))
}

/// Decodes an AddressSet.
pub fn address_set(any: &Any) -> Decoded<BTreeSet<IpAddr>> {
    let wire: v1::AddressSet = unpack(any)?;
    Ok(each("addresses", &wire.addresses, |bytes| octets(bytes))?
        .into_iter()
        .collect())
}

/// Decodes the Secret `ROOTCA`: the mesh's roots, PEM. No other is understood; keys do not travel.
pub fn trust_bundle(name: &str, any: &Any) -> Decoded<Arc<str>> {
    if name != names::ROOT_CA_SECRET {
        return refuse(format_args!("only {} is understood", names::ROOT_CA_SECRET));
    }
    let wire: Secret = named(any, name, |secret: &Secret| &secret.name)?;
    let Some(secret::Type::ValidationContext(context)) = &wire.r#type else {
        return refuse("must be a validation_context").at("type");
    };
    unsupported(context.crl.is_some(), "validation_context.crl")?;
    let Some(source) = &context.trusted_ca else {
        return refuse("missing").at("validation_context.trusted_ca");
    };
    let pem = inline_text(source).at("validation_context.trusted_ca")?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return refuse("holds no certificate (PEM)").at("validation_context.trusted_ca");
    }
    Ok(pem)
}
