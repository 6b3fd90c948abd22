//! Pod listener: traffic that a pod of the node receives, and the rules for what it sends.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use heddle_model::{
    Isolation, MtlsMode, NodeName, ObjectRef, PodKey, PodPolicy, PortNumber, ServiceAccount,
    SpiffeId,
};
use heddle_proto::{
    Message,
    envoy::config::{
        core::v3::{TrafficDirection, TransportSocket},
        listener::v3::{Filter, FilterChain, FilterChainMatch, Listener},
    },
    heddle::v1::listener_scope::{EgressRules, Kind, Pod},
    names, type_url,
};
use heddle_snapshot::{Resource, Scope};

use super::captured;
use crate::{
    clusters::LOCAL,
    filters::{InboundHttp, http_rbac, inbound_http, mutual_tls, network_rbac, tcp_proxy},
    memo::Unit,
    policy::{authorization_rules, egress_rules, ingress_rules},
    wire::number,
};

/// Where mutual TLS arrives (HBONE).
pub(crate) const HBONE_PORT: PortNumber = match PortNumber::new(15008) {
    Some(port) => port,
    None => unreachable!(),
};

/// A pod of the mesh: who it is, where it runs, and what applies to it.
#[derive(Debug, PartialEq)]
pub(crate) struct PodListenerUnit {
    /// metadata.uid.
    pub(crate) uid: Arc<str>,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// Its service account.
    pub(crate) service_account: ServiceAccount,
    /// Who it is.
    pub(crate) identity: SpiffeId,
    /// The only node whose proxy needs to know.
    pub(crate) node: NodeName,
    /// What applies to it.
    pub(crate) policy: Arc<PodPolicy>,
}

impl Unit for PodListenerUnit {
    type Key = PodKey;

    fn build(&self, key: &PodKey) -> Resource {
        let name = format!("pod/{key}");
        let listener = captured(
            &name,
            &self.addresses,
            HBONE_PORT,
            TrafficDirection::Inbound,
            Kind::Pod(self.scope(key)),
        );
        let message = Listener {
            filter_chains: self.filter_chains(&name),
            ..listener
        };
        Resource::new(
            type_url::LISTENER,
            name,
            Scope::Node(Arc::clone(&self.node.0)),
            self.origin(),
            &message,
        )
    }
}

impl PodListenerUnit {
    fn scope(&self, key: &PodKey) -> Pod {
        let egress = match &self.policy.egress {
            Isolation::Open => None,
            Isolation::Isolated { rules, .. } => Some(EgressRules {
                rbac: egress_rules(rules).encode_to_vec(),
            }),
        };
        Pod {
            uid: self.uid.to_string(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            service_account: self.service_account.to_string(),
            ingress_isolated_by: isolated_by(&self.policy.ingress)
                .map(ToString::to_string)
                .collect(),
            egress_isolated_by: isolated_by(&self.policy.egress)
                .map(ToString::to_string)
                .collect(),
            egress,
        }
    }

    /// One chain for each port that is read as HTTP and one for all others, first for mutual TLS, then for plain text.
    fn filter_chains(&self, listener: &str) -> Vec<FilterChain> {
        let transports: &[Arrival] = match self.policy.mtls {
            MtlsMode::Strict => &[Arrival::MutualTls],
            MtlsMode::Permissive => &[Arrival::MutualTls, Arrival::PlainText],
        };
        let http_ports = self.policy.http_ports.iter().copied().map(Some);
        let ports: Vec<Option<PortNumber>> = http_ports.chain([None]).collect();
        transports
            .iter()
            .flat_map(|arrival| {
                ports
                    .iter()
                    .map(|port| self.chain(listener, *arrival, *port))
            })
            .collect()
    }

    fn chain(
        &self,
        listener: &str,
        arrival: Arrival,
        http_port: Option<PortNumber>,
    ) -> FilterChain {
        let (transport, socket) = match arrival {
            Arrival::MutualTls => ("tls", Some(mutual_tls(&self.identity))),
            Arrival::PlainText => ("raw_buffer", None::<TransportSocket>),
        };
        let name = match http_port {
            Some(port) => format!("{transport}/{port}"),
            None => transport.to_owned(),
        };
        let filters = match http_port {
            Some(_) => self.http_filters(listener),
            None => self.byte_filters(listener),
        };
        FilterChain {
            name,
            filter_chain_match: Some(FilterChainMatch {
                destination_port: http_port.and_then(|port| number(port.get().into())),
                transport_protocol: transport.to_owned(),
                ..FilterChainMatch::default()
            }),
            filters,
            transport_socket: socket,
            ..FilterChain::default()
        }
    }

    fn http_filters(&self, listener: &str) -> Vec<Filter> {
        let authorization = self.policy.authorization.as_deref();
        let http = inbound_http(InboundHttp {
            listener,
            authorization: authorization
                .map(|rules| http_rbac(names::FILTER_AUTHORIZATION, authorization_rules(rules))),
            forward_identity: self.policy.forward_client_identity,
        });
        self.network_policy().into_iter().chain([http]).collect()
    }

    fn byte_filters(&self, listener: &str) -> Vec<Filter> {
        let authorization = self.policy.authorization.as_deref();
        let authorization = authorization
            .map(|rules| network_rbac(names::FILTER_AUTHORIZATION, authorization_rules(rules)));
        self.network_policy()
            .into_iter()
            .chain(authorization)
            .chain([tcp_proxy(listener, LOCAL)])
            .collect()
    }

    fn network_policy(&self) -> Option<Filter> {
        match &self.policy.ingress {
            Isolation::Open => None,
            Isolation::Isolated { rules, .. } => Some(network_rbac(
                names::FILTER_NETWORK_POLICY,
                ingress_rules(rules),
            )),
        }
    }

    /// The policies that the listener is made from.
    fn origin(&self) -> Vec<Arc<str>> {
        let policy = &self.policy;
        let authorization = policy
            .authorization
            .iter()
            .flatten()
            .map(|rule| &rule.policy);
        let all: BTreeSet<&ObjectRef> = isolated_by(&policy.ingress)
            .chain(isolated_by(&policy.egress))
            .chain(authorization)
            .collect();
        all.into_iter()
            .map(|object| object.to_string().into())
            .collect()
    }
}

/// How a connection arrives.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    MutualTls,
    PlainText,
}

fn isolated_by(isolation: &Isolation) -> impl Iterator<Item = &ObjectRef> {
    match isolation {
        Isolation::Open => [].iter(),
        Isolation::Isolated { by, .. } => by.iter(),
    }
}
