//! Mutual TLS on arrival.

use heddle_model::SpiffeId;
use heddle_proto::{
    envoy::{
        config::core::v3::{TransportSocket, transport_socket::ConfigType},
        extensions::transport_sockets::tls::v3::{
            CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
            common_tls_context::ValidationContextType,
        },
    },
    names, pack,
};

use crate::wire::{ads, boolean};

/// TLS with the pod's certificate, for clients with a certificate of this mesh.
pub(crate) fn mutual_tls(own: &SpiffeId) -> TransportSocket {
    let certificate = SdsSecretConfig {
        name: own.to_string(),
        // Not on this stream: the key is made where it is used and never travels.
        sds_config: None,
    };
    let roots = SdsSecretConfig {
        name: names::ROOT_CA_SECRET.to_owned(),
        sds_config: ads(),
    };
    let context = DownstreamTlsContext {
        require_client_certificate: boolean(true),
        common_tls_context: Some(CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![certificate],
            validation_context_type: Some(ValidationContextType::ValidationContextSdsSecretConfig(
                roots,
            )),
            ..CommonTlsContext::default()
        }),
        ..DownstreamTlsContext::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&context))),
    }
}
