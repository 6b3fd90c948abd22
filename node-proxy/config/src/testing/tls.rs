//! TLS of other control planes.

use heddle_proto::{
    envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{
                AggregatedConfigSource, ConfigSource, DataSource, TransportSocket,
                config_source::ConfigSourceSpecifier, data_source::Specifier, transport_socket,
            },
            listener::v3::Listener,
        },
        extensions::transport_sockets::tls::v3::{
            CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
            Secret, SubjectAltNameMatcher, TlsCertificate, UpstreamTlsContext,
            common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
            secret,
            subject_alt_name_matcher::SanType,
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    pack,
};

/// A certificate and its key, PEM.
pub(crate) fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["web.example".to_owned()]).expect("made");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn text(text: &str) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineString(text.to_owned())),
        ..DataSource::default()
    })
}

pub(crate) fn certificate(name: &str, chain: &str, key: &str) -> Secret {
    Secret {
        name: name.to_owned(),
        r#type: Some(secret::Type::TlsCertificate(TlsCertificate {
            certificate_chain: text(chain),
            private_key: text(key),
            ..TlsCertificate::default()
        })),
    }
}

/// A secret that comes on the same stream.
pub(crate) fn by_ads(name: &str) -> SdsSecretConfig {
    let ads = ConfigSourceSpecifier::Ads(AggregatedConfigSource::default());
    SdsSecretConfig {
        name: name.to_owned(),
        sds_config: Some(ConfigSource {
            config_source_specifier: Some(ads),
            ..ConfigSource::default()
        }),
    }
}

pub(crate) fn server_context(secret: &str) -> DownstreamTlsContext {
    DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![by_ads(secret)],
            alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
            ..CommonTlsContext::default()
        }),
        ..DownstreamTlsContext::default()
    }
}

/// The listener, with TLS.
pub(crate) fn with_tls(mut listener: Listener, context: &DownstreamTlsContext) -> Listener {
    listener.filter_chains[0].transport_socket = Some(TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(pack(context))),
    });
    listener
}

/// A secret that says whom to trust.
pub(crate) fn trusted(name: &str, pem: &str) -> Secret {
    Secret {
        name: name.to_owned(),
        r#type: Some(secret::Type::ValidationContext(
            CertificateValidationContext {
                trusted_ca: text(pem),
                ..CertificateValidationContext::default()
            },
        )),
    }
}

/// Trust by a secret, with one exact DNS name.
pub(crate) fn client_context(secret: &str, name: &str) -> UpstreamTlsContext {
    let names = SubjectAltNameMatcher {
        san_type: SanType::Dns.into(),
        matcher: Some(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(name.to_owned())),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    };
    let both = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: vec![names],
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(by_ads(secret)),
        ..CombinedCertificateValidationContext::default()
    };
    UpstreamTlsContext {
        sni: name.to_owned(),
        common_tls_context: Some(CommonTlsContext {
            validation_context_type: Some(ValidationContextType::CombinedValidationContext(both)),
            ..CommonTlsContext::default()
        }),
        ..UpstreamTlsContext::default()
    }
}

/// The cluster, with TLS.
pub(crate) fn to_tls(mut cluster: Cluster, context: &UpstreamTlsContext) -> Cluster {
    cluster.transport_socket = Some(TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(pack(context))),
    });
    cluster
}
