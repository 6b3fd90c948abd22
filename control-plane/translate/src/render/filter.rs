//! Packed messages: filters, TLS, options.

use heddle_proto::{
    envoy::{
        config::core::v3::{ConfigSource, config_source::ConfigSourceSpecifier},
        extensions::{
            filters::{
                http::router::v3::Router,
                listener::{http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst},
                network::{
                    http_connection_manager::v3::{
                        HttpConnectionManager, HttpFilter,
                        http_connection_manager::{ForwardClientCertDetails, RouteSpecifier},
                        http_filter,
                    },
                    tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
                },
            },
            transport_sockets::{
                internal_upstream::v3::InternalUpstreamTransport,
                raw_buffer::v3::RawBuffer,
                tls::v3::{
                    DownstreamTlsContext, SdsSecretConfig, UpstreamTlsContext,
                    common_tls_context::ValidationContextType,
                },
            },
        },
    },
    google::protobuf::Any,
};
use serde_json::{Value, json};

use super::{
    fields::{Fields, packed, string, texts},
    listener::{named, socket},
    rbac, route,
};
use crate::policy::{HttpRbac, NetworkRbac};

/// Whatever is in it; a type that Heddle never packs is named only.
pub(super) fn any(any: &Any) -> Value {
    packed(any, http_connection_manager)
        .or_else(|| packed(any, tcp_proxy))
        .or_else(|| packed(any, |filter: &NetworkRbac| rbac::network(filter)))
        .or_else(|| packed(any, |filter: &HttpRbac| rbac::http(filter)))
        .or_else(|| packed(any, router))
        .or_else(|| packed(any, |_: &OriginalDst| json!({})))
        .or_else(|| packed(any, |_: &RawBuffer| json!({})))
        .or_else(|| packed(any, internal_upstream))
        .or_else(|| packed(any, upstream_tls))
        .or_else(|| packed(any, |_: &HttpInspector| json!({})))
        .or_else(|| packed(any, tls_context))
        .unwrap_or_else(|| json!({ "@type": any.type_url }))
}

fn http_connection_manager(manager: &HttpConnectionManager) -> Value {
    let forward = ForwardClientCertDetails::try_from(manager.forward_client_cert_details)
        .unwrap_or(ForwardClientCertDetails::Sanitize);
    let forward = match forward {
        ForwardClientCertDetails::Sanitize => "",
        other => other.as_str_name(),
    };
    let remote = manager
        .use_remote_address
        .is_some_and(|remote| remote.value);
    let upgrades = manager.upgrade_configs.iter();
    let upgrades = upgrades.map(|upgrade| json!(upgrade.upgrade_type));
    let details = manager
        .set_current_client_cert_details
        .as_ref()
        .map(|details| Fields::new().flag("uri", details.uri).value());
    let shown = Fields::new().text("stat_prefix", &manager.stat_prefix);
    let shown = match &manager.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => shown.put(
            "rds",
            Fields::new()
                .text("route_config_name", &rds.route_config_name)
                .text("config_source", source(rds.config_source.as_ref()))
                .value(),
        ),
        Some(RouteSpecifier::RouteConfig(config)) => {
            shown.put("route_config", route::configuration(config))
        }
        _ => shown,
    };
    shown
        .list("http_filters", manager.http_filters.iter().map(http_filter))
        .flag("use_remote_address", remote)
        .list("upgrade_configs", upgrades)
        .text("forward_client_cert_details", forward)
        .put("set_current_client_cert_details", json!(details))
        .value()
}

fn http_filter(filter: &HttpFilter) -> Value {
    let config = match &filter.config_type {
        Some(http_filter::ConfigType::TypedConfig(config)) => any(config),
        _ => Value::Null,
    };
    named(&filter.name, config)
}

fn router(router: &Router) -> Value {
    Fields::new()
        .flag("suppress_envoy_headers", router.suppress_envoy_headers)
        .value()
}

fn internal_upstream(transport: &InternalUpstreamTransport) -> Value {
    let names = transport.passthrough_metadata.iter();
    Fields::new()
        .list(
            "passthrough_metadata",
            names.map(|source| json!(source.name)),
        )
        .put(
            "transport_socket",
            socket(transport.transport_socket.as_ref()),
        )
        .value()
}

fn upstream_tls(context: &UpstreamTlsContext) -> Value {
    let common = context.common_tls_context.as_ref();
    let own = common
        .into_iter()
        .flat_map(|common| &common.tls_certificate_sds_secret_configs);
    let validation = match common.and_then(|common| common.validation_context_type.as_ref()) {
        Some(ValidationContextType::CombinedValidationContext(validation)) => Some(validation),
        _ => None,
    };
    let peers = validation
        .and_then(|combined| combined.default_validation_context.as_ref())
        .into_iter()
        .flat_map(|peer| &peer.match_typed_subject_alt_names)
        .map(|name| string(name.matcher.as_ref()));
    let roots =
        validation.and_then(|combined| combined.validation_context_sds_secret_config.as_ref());
    Fields::new()
        .list("tls_certificate_sds_secret_configs", own.map(secret))
        .list("match_typed_subject_alt_names", peers)
        .put(
            "validation_context_sds_secret_config",
            roots.map_or(Value::Null, secret),
        )
        .list(
            "alpn_protocols",
            texts(common.map_or(&[], |common| &common.alpn_protocols[..])),
        )
        .value()
}

fn tcp_proxy(proxy: &TcpProxy) -> Value {
    let shown = Fields::new().text("stat_prefix", &proxy.stat_prefix);
    let tunnel = proxy.tunneling_config.as_ref();
    match &proxy.cluster_specifier {
        Some(ClusterSpecifier::Cluster(cluster)) => shown.text("cluster", cluster),
        _ => shown,
    }
    .text(
        "tunneling_hostname",
        tunnel.map_or("", |tunnel| &tunnel.hostname),
    )
    .value()
}

fn tls_context(context: &DownstreamTlsContext) -> Value {
    let common = context.common_tls_context.as_ref();
    let certificates = common
        .into_iter()
        .flat_map(|common| &common.tls_certificate_sds_secret_configs)
        .map(secret);
    let roots = match common.and_then(|common| common.validation_context_type.as_ref()) {
        Some(ValidationContextType::ValidationContextSdsSecretConfig(config)) => secret(config),
        _ => Value::Null,
    };
    let required = context
        .require_client_certificate
        .as_ref()
        .map(|required| required.value);
    Fields::new()
        .put("require_client_certificate", json!(required))
        .list("tls_certificate_sds_secret_configs", certificates)
        .put("validation_context_sds_secret_config", roots)
        .value()
}

fn secret(config: &SdsSecretConfig) -> Value {
    Fields::new()
        .text("name", &config.name)
        .text("sds_config", source(config.sds_config.as_ref()))
        .value()
}

/// Where further configuration comes from.
pub(super) fn source(source: Option<&ConfigSource>) -> &'static str {
    match source.and_then(|source| source.config_source_specifier.as_ref()) {
        Some(ConfigSourceSpecifier::Ads(_)) => "ads",
        Some(_) => "elsewhere",
        None => "",
    }
}
