//! Cluster: one for each Service port, one for each ExternalName Service, and `local`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use heddle_model::{ServiceKey, ServicePortKey, Transport};
use heddle_proto::{
    Name,
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy},
            },
            core::v3::{Http1ProtocolOptions, Http2ProtocolOptions},
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
                lb_endpoint::HostIdentifier,
            },
        },
        extensions::upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{
                ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
                explicit_http_config::ProtocolConfig,
            },
        },
    },
    google::protobuf::Any,
    pack, type_url,
};
use heddle_snapshot::{Resource, Scope};

use crate::{
    memo::Unit,
    wire::{ads, duration, named_address},
};

/// Name of the cluster that stands for the pod itself: wherever the client wanted to go.
pub(crate) const LOCAL: &str = "local";

/// Name of the cluster that is never sent: what is routed there is answered 500.
pub(crate) const INVALID_BACKEND: &str = "invalid-backend";

/// Limit for one attempt to connect: one lost packet, which is sent again after 1 s (RFC 6298, 2.1), does not fail it.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// The cluster of a Service port.
#[derive(Debug, PartialEq)]
pub(crate) struct ServiceClusterUnit {
    /// HTTP/2 to the server, whatever the client speaks.
    pub(crate) http2: bool,
}

impl Unit for ServiceClusterUnit {
    type Key = ServicePortKey;

    fn build(&self, key: &ServicePortKey) -> Resource {
        let message = service_cluster(key, self.http2);
        resource(key.to_string(), Some(&key.service), Scope::Nodes, &message)
    }
}

/// What the cluster of a Service port is for everyone.
pub(crate) fn service_cluster(key: &ServicePortKey, http2: bool) -> Cluster {
    let name = key.to_string();
    let options = (key.transport == Transport::Tcp).then(|| http_options(http2));
    Cluster {
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: ads(),
            service_name: name.clone(),
        }),
        typed_extension_protocol_options: options.into_iter().collect(),
        ..cluster(&name, DiscoveryType::Eds, LbPolicy::LeastRequest)
    }
}

/// The one entry of `typed_extension_protocol_options`.
fn http_options(http2: bool) -> (String, Any) {
    let options = if http2 {
        http2_only()
    } else {
        options(UpstreamProtocolOptions::UseDownstreamProtocolConfig(
            UseDownstreamHttpConfig {
                http_protocol_options: Some(Http1ProtocolOptions::default()),
                http2_protocol_options: Some(Http2ProtocolOptions::default()),
                ..UseDownstreamHttpConfig::default()
            },
        ))
    };
    (HttpProtocolOptions::full_name(), pack(&options))
}

/// HTTP/2, whatever the client speaks.
pub(crate) fn http2_only() -> HttpProtocolOptions {
    options(UpstreamProtocolOptions::ExplicitHttpConfig(
        ExplicitHttpConfig {
            protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(
                Http2ProtocolOptions::default(),
            )),
        },
    ))
}

fn options(protocols: UpstreamProtocolOptions) -> HttpProtocolOptions {
    HttpProtocolOptions {
        upstream_protocol_options: Some(protocols),
        ..HttpProtocolOptions::default()
    }
}

/// The cluster of an ExternalName Service: answered as a DNS alias, never connected to.
#[derive(Debug, PartialEq)]
pub(crate) struct AliasClusterUnit {
    /// The name that clients are sent to.
    pub(crate) hostname: Arc<str>,
}

impl Unit for AliasClusterUnit {
    type Key = ServiceKey;

    fn build(&self, key: &ServiceKey) -> Resource {
        let name = key.to_string();
        let endpoint = LbEndpoint {
            host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
                address: Some(named_address(&self.hostname, 0)),
                ..Endpoint::default()
            })),
            ..LbEndpoint::default()
        };
        let message = Cluster {
            load_assignment: Some(ClusterLoadAssignment {
                cluster_name: name.clone(),
                endpoints: vec![LocalityLbEndpoints {
                    lb_endpoints: vec![endpoint],
                    ..LocalityLbEndpoints::default()
                }],
                ..ClusterLoadAssignment::default()
            }),
            ..cluster(&name, DiscoveryType::LogicalDns, LbPolicy::RoundRobin)
        };
        resource(name, Some(key), Scope::Nodes, &message)
    }
}

/// The cluster `local`.
#[derive(Debug, PartialEq)]
pub(crate) struct LocalClusterUnit;

impl Unit for LocalClusterUnit {
    type Key = ();

    fn build(&self, (): &()) -> Resource {
        // An original-destination cluster brings its own balancer (cluster.v3: the only one that it may have).
        let message = cluster(LOCAL, DiscoveryType::OriginalDst, LbPolicy::ClusterProvided);
        resource(LOCAL.to_owned(), None, Scope::Nodes, &message)
    }
}

/// What all clusters have in common.
pub(crate) fn cluster(name: &str, discovery: DiscoveryType, balance: LbPolicy) -> Cluster {
    Cluster {
        name: name.to_owned(),
        connect_timeout: duration(CONNECT_TIMEOUT),
        lb_policy: balance.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery.into())),
        typed_extension_protocol_options: HashMap::new(),
        ..Cluster::default()
    }
}

/// The resource of a cluster, made from a Service or from none.
pub(crate) fn resource(
    name: String,
    service: Option<&ServiceKey>,
    scope: Scope,
    message: &Cluster,
) -> Resource {
    let origin = service.map(|key| format!("Service {key}").into());
    Resource::new(
        type_url::CLUSTER,
        name,
        scope,
        origin.into_iter().collect(),
        message,
    )
}
