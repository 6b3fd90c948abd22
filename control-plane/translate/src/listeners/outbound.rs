//! Outbound listener: traffic that pods send to a Service's address.

use std::{net::IpAddr, sync::Arc};

use heddle_model::{AppProtocol, RouteTableKey};
use heddle_proto::{
    envoy::config::{
        core::v3::TrafficDirection,
        listener::v3::{Filter, FilterChain, FilterChainMatch, Listener},
    },
    heddle::v1::listener_scope::{Kind, Outbound},
    type_url,
};
use heddle_snapshot::Resource;

use super::captured;
use crate::{
    filters::{http_inspector, routed_http, tcp_proxy},
    memo::Unit,
    routes::consumer_scope,
};

/// How a connection's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As HTTP; what is not is refused.
    Http,
    /// As HTTP if the first bytes look like it, else not at all.
    Detect,
    /// Not at all.
    Opaque,
}

impl Reading {
    /// By what is declared, and whether a route attached. A port that only calls itself HTTP is looked at first: nobody
    /// asked for anything that needs HTTP, and what breaks if the name is wrong is the user's traffic. A route makes it
    /// strict, because a rule must not be passed by.
    pub(crate) fn of(protocol: AppProtocol, routed: bool) -> Self {
        match (protocol, routed) {
            (AppProtocol::Opaque, _) => Self::Opaque,
            (AppProtocol::Http2, _) | (AppProtocol::Http, true) => Self::Http,
            (AppProtocol::Detect, _) | (AppProtocol::Http, false) => Self::Detect,
        }
    }
}

/// A port of a ClusterIP Service, for everyone or for the clients of one namespace.
#[derive(Debug, PartialEq)]
pub(crate) struct OutboundListenerUnit {
    /// The Service's addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// How bytes are read.
    pub(crate) reading: Reading,
}

impl Unit for OutboundListenerUnit {
    type Key = RouteTableKey;

    fn build(&self, key: &RouteTableKey) -> Resource {
        let name = key.to_string();
        let cluster = key.port.to_string();
        let scope = Outbound {
            client_namespace: key
                .consumer
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        };
        let http = || chain("http", routed_http(&name));
        let bytes = || chain("tcp", tcp_proxy(&name, &cluster));
        let listener = captured(
            &name,
            &self.addresses,
            key.port.port,
            TrafficDirection::Outbound,
            Kind::Outbound(scope),
        );
        let message = match self.reading {
            Reading::Http => Listener {
                filter_chains: vec![http()],
                ..listener
            },
            Reading::Opaque => Listener {
                filter_chains: vec![bytes()],
                ..listener
            },
            Reading::Detect => Listener {
                listener_filters: vec![http_inspector()],
                filter_chains: vec![FilterChain {
                    filter_chain_match: Some(looks_like_http()),
                    ..http()
                }],
                default_filter_chain: Some(bytes()),
                ..listener
            },
        };
        let origin: Arc<str> = format!("Service {}", key.port.service).into();
        Resource::new(
            type_url::LISTENER,
            name,
            consumer_scope(key),
            vec![origin],
            &message,
        )
    }
}

fn looks_like_http() -> FilterChainMatch {
    FilterChainMatch {
        application_protocols: vec!["http/1.1".to_owned(), "h2c".to_owned()],
        ..FilterChainMatch::default()
    }
}

fn chain(name: &str, filter: Filter) -> FilterChain {
    FilterChain {
        name: name.to_owned(),
        filters: vec![filter],
        ..FilterChain::default()
    }
}
