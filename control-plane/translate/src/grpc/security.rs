//! Mutual TLS between gRPC clients and servers (gRFC A29): both take certificate and roots from files that the bootstrap names.

use std::collections::BTreeSet;

use heddle_model::SpiffeId;
use heddle_proto::{
    Message, Name,
    envoy::{
        config::core::v3::{TransportSocket, transport_socket::ConfigType},
        extensions::transport_sockets::tls::v3::{
            CertificateProviderPluginInstance, CertificateValidationContext, CommonTlsContext,
            DownstreamTlsContext, UpstreamTlsContext, common_tls_context::ValidationContextType,
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    names, pack,
};

use crate::wire::boolean;

/// For a client: the server has to be one of these. `None` where there is nobody: plain text. An empty list of names would let anybody pass.
pub(super) fn expecting(identities: &BTreeSet<SpiffeId>) -> Option<TransportSocket> {
    let names = identities.iter().map(|identity| StringMatcher {
        match_pattern: Some(MatchPattern::Exact(identity.to_string())),
        ..StringMatcher::default()
    });
    let names: Vec<_> = names.collect();
    let context = |names| UpstreamTlsContext {
        common_tls_context: Some(common(names)),
        ..UpstreamTlsContext::default()
    };
    (!names.is_empty()).then(|| socket(&context(names)))
}

/// For a server: everybody of this mesh may connect; policy decides on requests.
pub(super) fn mutual() -> TransportSocket {
    socket(&DownstreamTlsContext {
        require_client_certificate: boolean(true),
        common_tls_context: Some(common(Vec::new())),
        ..DownstreamTlsContext::default()
    })
}

#[expect(
    deprecated,
    reason = "the list of names that gRPC reads (gRFC A29); it does not know the typed one"
)]
fn common(names: Vec<StringMatcher>) -> CommonTlsContext {
    CommonTlsContext {
        tls_certificate_provider_instance: Some(instance()),
        validation_context_type: Some(ValidationContextType::ValidationContext(
            CertificateValidationContext {
                ca_certificate_provider_instance: Some(instance()),
                match_subject_alt_names: names,
                ..CertificateValidationContext::default()
            },
        )),
        ..CommonTlsContext::default()
    }
}

fn instance() -> CertificateProviderPluginInstance {
    CertificateProviderPluginInstance {
        instance_name: names::GRPC_CERTIFICATE_PROVIDER.to_owned(),
        ..CertificateProviderPluginInstance::default()
    }
}

fn socket<M: Message + Name>(context: &M) -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(context))),
    }
}
