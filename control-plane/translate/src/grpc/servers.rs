//! A gRPC server's listener (gRFC A36): mutual TLS, and policy on each request (gRFC A41).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use heddle_model::{
    AddressSet, AddressSetName, Isolation, PodKey, PodPolicy, PortNumber, SpiffeId,
};
use heddle_proto::{
    envoy::config::{
        core::v3::TrafficDirection,
        listener::v3::{FilterChain, Listener},
    },
    names, type_url,
};
use heddle_snapshot::{Resource, Scope};

use super::security::mutual;
use crate::{
    filters::{http_rbac, served_http},
    memo::Unit,
    policy::{authorization_rules, ingress_rules_at},
    wire::named_address,
};

/// Which server: the address is a part of the name that it asks by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GrpcServerKey {
    /// Its pod.
    pub(crate) pod: PodKey,
    /// What it listens on.
    pub(crate) listens: SocketAddr,
}

/// One address that a server may listen on.
#[derive(Debug, PartialEq)]
pub(crate) struct GrpcServerUnit {
    /// Who it is, and the only one that may see this.
    pub(crate) identity: SpiffeId,
    /// Who may call it.
    pub(crate) policy: Arc<PodPolicy>,
    /// What the selectors in it mean at present.
    pub(crate) sets: BTreeMap<AddressSetName, Arc<AddressSet>>,
}

impl Unit for GrpcServerUnit {
    type Key = GrpcServerKey;

    fn build(&self, key: &GrpcServerKey) -> Resource {
        // gRPC writes an IPv6 address in brackets, as this does.
        let name = format!("{}{}/{}", names::GRPC_SERVER_PREFIX, key.pod, key.listens);
        let address = named_address(&key.listens.ip().to_string(), key.listens.port());
        let message = Listener {
            name: name.clone(),
            address: Some(address),
            traffic_direction: TrafficDirection::Inbound.into(),
            filter_chains: vec![FilterChain {
                name: "grpc".to_owned(),
                filters: vec![served_http(&name, self.filters(key))],
                transport_socket: Some(mutual()),
                ..FilterChain::default()
            }],
            ..Listener::default()
        };
        Resource::new(
            type_url::LISTENER,
            name,
            Scope::GrpcServer(self.identity.to_string().into()),
            self.origin(key),
            &message,
        )
    }
}

impl GrpcServerUnit {
    fn filters(
        &self,
        key: &GrpcServerKey,
    ) -> Vec<
        heddle_proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter,
    > {
        let mut filters = Vec::new();
        let port = PortNumber::new(key.listens.port());
        if let (Isolation::Isolated { rules, .. }, Some(port)) = (&self.policy.ingress, port) {
            let addresses = |name: &AddressSetName| -> Vec<IpAddr> {
                let set = self.sets.get(name);
                set.into_iter()
                    .flat_map(|set| set.addresses.iter().copied())
                    .collect()
            };
            let rules = ingress_rules_at(rules, port, addresses);
            filters.push(http_rbac(names::FILTER_NETWORK_POLICY, rules));
        }
        if let Some(rules) = &self.policy.authorization {
            let rules = authorization_rules(rules);
            filters.push(http_rbac(names::FILTER_AUTHORIZATION, rules));
        }
        filters
    }

    fn origin(&self, key: &GrpcServerKey) -> Vec<Arc<str>> {
        let mut origin: Vec<Arc<str>> = vec![format!("Pod {}", key.pod).into()];
        if let Isolation::Isolated { by, .. } = &self.policy.ingress {
            origin.extend(by.iter().map(|policy| policy.to_string().into()));
        }
        let rules = self.policy.authorization.iter().flatten();
        origin.extend(rules.map(|rule| rule.policy.to_string().into()));
        origin.sort();
        origin.dedup();
        origin
    }
}
