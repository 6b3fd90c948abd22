//! Cluster of a Service port: pods of the mesh by tunnel, all others in plain text.

use heddle_model::ServicePortKey;
use heddle_proto::{
    envoy::{
        config::{
            cluster::v3::{Cluster, cluster::TransportSocketMatch},
            core::v3::{TransportSocket, transport_socket::ConfigType},
        },
        extensions::transport_sockets::{
            internal_upstream::v3::{
                InternalUpstreamTransport, internal_upstream_transport::MetadataValueSource,
            },
            raw_buffer::v3::RawBuffer,
        },
        r#type::metadata::v3::{MetadataKind, metadata_kind},
    },
    pack,
};
use heddle_snapshot::{Resource, Scope};

use super::endpoints::{ORIGINAL_DESTINATION, plain_text};
use crate::{
    clusters::{resource, service_cluster},
    memo::Unit,
};

/// The cluster of a TCP Service port.
#[derive(Debug, PartialEq)]
pub(super) struct ServiceClusterUnit {
    /// HTTP/2 to the server, whatever the client speaks.
    pub(super) http2: bool,
}

impl Unit for ServiceClusterUnit {
    type Key = ServicePortKey;

    fn build(&self, key: &ServicePortKey) -> Resource {
        let message = Cluster {
            // The tunnel is what counts unless an endpoint says otherwise: a mistake here breaks traffic, not secrecy.
            transport_socket: Some(into_tunnel()),
            transport_socket_matches: vec![TransportSocketMatch {
                name: "plain".to_owned(),
                r#match: Some(plain_text()),
                transport_socket: Some(raw_buffer()),
            }],
            ..service_cluster(key, self.http2)
        };
        resource(key.to_string(), Some(&key.service), Scope::Envoys, &message)
    }
}

/// To an internal listener, which is told where the connection shall go in the end.
fn into_tunnel() -> TransportSocket {
    let transport = InternalUpstreamTransport {
        passthrough_metadata: vec![MetadataValueSource {
            kind: Some(MetadataKind {
                kind: Some(metadata_kind::Kind::Host(metadata_kind::Host {})),
            }),
            name: ORIGINAL_DESTINATION.to_owned(),
        }],
        transport_socket: Some(raw_buffer()),
    };
    TransportSocket {
        name: "envoy.transport_sockets.internal_upstream".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&transport))),
    }
}

fn raw_buffer() -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.raw_buffer".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&RawBuffer::default()))),
    }
}
