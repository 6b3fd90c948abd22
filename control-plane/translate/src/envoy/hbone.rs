//! The way to the pods of one identity: an internal listener that wraps each connection into a CONNECT stream, and the
//! cluster that carries these streams in mutual TLS, to nobody else than that identity.
//!
//! One pair for each identity and not one for all, because Envoy checks a certificate's names by cluster.

use heddle_model::SpiffeId;
use heddle_proto::{
    Name,
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{DiscoveryType, LbConfig, LbPolicy, OriginalDstLbConfig},
            },
            core::v3::{TransportSocket, transport_socket::ConfigType},
            listener::v3::{
                FilterChain, Listener, ListenerFilter,
                listener::{InternalListenerConfig, ListenerSpecifier},
                listener_filter,
            },
        },
        extensions::{
            filters::{
                listener::original_dst::v3::OriginalDst,
                network::tcp_proxy::v3::{
                    TcpProxy, tcp_proxy::ClusterSpecifier, tcp_proxy::TunnelingConfig,
                },
            },
            transport_sockets::tls::v3::{
                CertificateValidationContext, CommonTlsContext, SdsSecretConfig,
                SubjectAltNameMatcher, TlsParameters, UpstreamTlsContext,
                common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
                subject_alt_name_matcher::SanType,
                tls_parameters::TlsProtocol,
            },
            upstreams::http::v3::HttpProtocolOptions,
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    names, pack, type_url,
};
use heddle_snapshot::{Resource, Scope};

use super::endpoints::ORIGINAL_DESTINATION;
use crate::{
    clusters::{cluster, http2_only, resource},
    filters::network_filter,
    listeners::HBONE_PORT,
    memo::Unit,
    wire::{ads, number},
};

/// Of the listener and of the cluster.
pub(super) fn name(identity: &SpiffeId) -> String {
    format!("hbone/{}/{}", identity.namespace, identity.service_account)
}

/// The listener of an identity.
#[derive(Debug, PartialEq)]
pub(super) struct TunnelListenerUnit;

impl Unit for TunnelListenerUnit {
    type Key = SpiffeId;

    fn build(&self, identity: &SpiffeId) -> Resource {
        let name = name(identity);
        let tunnel = TcpProxy {
            stat_prefix: name.clone(),
            cluster_specifier: Some(ClusterSpecifier::Cluster(name.clone())),
            tunneling_config: Some(TunnelingConfig {
                // The true destination: the listener filter put it there.
                hostname: "%DOWNSTREAM_LOCAL_ADDRESS%".to_owned(),
                ..TunnelingConfig::default()
            }),
            ..TcpProxy::default()
        };
        let message = Listener {
            name: name.clone(),
            listener_specifier: Some(ListenerSpecifier::InternalListener(
                InternalListenerConfig {},
            )),
            listener_filters: vec![ListenerFilter {
                name: ORIGINAL_DESTINATION.to_owned(),
                config_type: Some(listener_filter::ConfigType::TypedConfig(pack(
                    &OriginalDst {},
                ))),
                ..ListenerFilter::default()
            }],
            filter_chains: vec![FilterChain {
                filters: vec![network_filter("envoy.filters.network.tcp_proxy", &tunnel)],
                ..FilterChain::default()
            }],
            ..Listener::default()
        };
        Resource::new(
            type_url::LISTENER,
            name,
            Scope::Envoys,
            Vec::new(),
            &message,
        )
    }
}

/// The cluster of an identity.
#[derive(Debug, PartialEq)]
pub(super) struct TunnelClusterUnit;

impl Unit for TunnelClusterUnit {
    type Key = SpiffeId;

    fn build(&self, identity: &SpiffeId) -> Resource {
        let name = name(identity);
        let message = Cluster {
            lb_config: Some(LbConfig::OriginalDstLbConfig(OriginalDstLbConfig {
                upstream_port_override: number(HBONE_PORT.get().into()),
                ..OriginalDstLbConfig::default()
            })),
            typed_extension_protocol_options: [(
                HttpProtocolOptions::full_name(),
                pack(&http2_only()),
            )]
            .into(),
            transport_socket: Some(mutual_tls(identity)),
            ..cluster(&name, DiscoveryType::OriginalDst, LbPolicy::ClusterProvided)
        };
        resource(name, None, Scope::Envoys, &message)
    }
}

/// TLS with the Envoy's own certificate, for this peer only.
fn mutual_tls(peer: &SpiffeId) -> TransportSocket {
    let own = SdsSecretConfig {
        name: names::OWN_CERTIFICATE_SECRET.to_owned(),
        // Not on this stream: it lies in the Envoy's own bootstrap, for a key never travels.
        sds_config: None,
    };
    let roots = SdsSecretConfig {
        name: names::ROOT_CA_SECRET.to_owned(),
        sds_config: ads(),
    };
    let validation = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: vec![SubjectAltNameMatcher {
                san_type: SanType::Uri.into(),
                matcher: Some(StringMatcher {
                    match_pattern: Some(MatchPattern::Exact(peer.to_string())),
                    ..StringMatcher::default()
                }),
                ..SubjectAltNameMatcher::default()
            }],
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(roots),
        ..CombinedCertificateValidationContext::default()
    };
    let context = UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(TlsParameters {
                tls_minimum_protocol_version: TlsProtocol::TlSv13.into(),
                tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
                ..TlsParameters::default()
            }),
            tls_certificate_sds_secret_configs: vec![own],
            validation_context_type: Some(ValidationContextType::CombinedValidationContext(
                validation,
            )),
            alpn_protocols: vec!["h2".to_owned()],
            ..CommonTlsContext::default()
        }),
        ..UpstreamTlsContext::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&context))),
    }
}
