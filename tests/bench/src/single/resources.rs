//! Listeners and clusters, as Heddle's node proxy and Envoy both get them.

use std::net::Ipv4Addr;

use heddle_interop_xds::fixed::{Fixed, messages};
use heddle_proto::{
    Name,
    envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{
                ConfigSource, DataSource, Http2ProtocolOptions, TransportSocket, data_source,
                transport_socket,
            },
            listener::v3::Listener,
            route::v3::{
                Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
                route::Action, route_action::ClusterSpecifier, route_match::PathSpecifier,
                weighted_cluster::ClusterWeight,
            },
        },
        extensions::{
            filters::network::http_connection_manager::v3::{
                HttpConnectionManager, http_connection_manager::RouteSpecifier,
            },
            transport_sockets::tls::v3::{
                CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret, TlsCertificate,
                TlsParameters, secret, tls_parameters::TlsProtocol,
            },
            upstreams::http::v3::{
                HttpProtocolOptions,
                http_protocol_options::{
                    ExplicitHttpConfig, UpstreamProtocolOptions,
                    explicit_http_config::ProtocolConfig,
                },
            },
        },
    },
    google::protobuf::{Duration, UInt32Value},
    pack,
};

use super::{Ports, SERVER_H1, SERVER_H2};
use crate::{cases::Door, tls::Certificate, wire};

/// The cluster with the HTTP/1.1 server.
const H1: &str = "h1";

/// The cluster with the HTTP/2 server.
const H2: &str = "h2";

/// The HTTP/1.1 server once more, as what a tenth of a split goes to.
const CANARY: &str = "canary";

/// The secret with the certificate.
const SECRET: &str = "server";

/// A proxy's listeners, one for each door, and where they lead.
/// `source` is where the secret with the certificate of the TLS door comes from; `None`: it stands beside the listeners.
pub(super) fn fixed(
    ports: Ports,
    doors: &[Door],
    certificate: &Certificate,
    source: Option<ConfigSource>,
) -> Fixed {
    let listener = |door: &Door| {
        let listener = listener(*door, ports.of(*door));
        match door {
            Door::Tls => over_tls(listener, source.clone()),
            _ => listener,
        }
    };
    let clusters = [H1, CANARY].map(|name| messages::cluster(name, Some(SERVER_H1)));
    Fixed {
        listeners: doors.iter().map(listener).collect(),
        clusters: clusters.into_iter().chain([http2_cluster()]).collect(),
        secrets: vec![secret(certificate)],
    }
}

fn secret(certificate: &Certificate) -> Secret {
    let text = |pem: &String| {
        Some(DataSource {
            specifier: Some(data_source::Specifier::InlineString(pem.clone())),
            ..DataSource::default()
        })
    };
    Secret {
        name: SECRET.to_owned(),
        r#type: Some(secret::Type::TlsCertificate(TlsCertificate {
            certificate_chain: text(&certificate.chain),
            private_key: text(&certificate.key),
            ..TlsCertificate::default()
        })),
    }
}

/// TLS 1.3 and nothing else.
fn over_tls(mut listener: Listener, source: Option<ConfigSource>) -> Listener {
    let context = DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(TlsParameters {
                tls_minimum_protocol_version: TlsProtocol::TlSv13.into(),
                tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
                ..TlsParameters::default()
            }),
            tls_certificate_sds_secret_configs: vec![SdsSecretConfig {
                name: SECRET.to_owned(),
                sds_config: source,
            }],
            alpn_protocols: vec!["http/1.1".to_owned()],
            ..CommonTlsContext::default()
        }),
        ..DownstreamTlsContext::default()
    };
    for chain in &mut listener.filter_chains {
        chain.transport_socket = Some(TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(transport_socket::ConfigType::TypedConfig(pack(&context))),
        });
    }
    listener
}

/// Spoken to in HTTP/2, whatever the client speaks.
fn http2_cluster() -> Cluster {
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig {
                protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(
                    Http2ProtocolOptions::default(),
                )),
            },
        )),
        ..HttpProtocolOptions::default()
    };
    let options = (HttpProtocolOptions::full_name(), pack(&options));
    Cluster {
        typed_extension_protocol_options: [options].into(),
        ..messages::cluster(H2, Some(SERVER_H2))
    }
}

fn listener(door: Door, port: u16) -> Listener {
    let name = format!("{door:?}");
    let manager = HttpConnectionManager {
        stat_prefix: name.clone(),
        route_specifier: Some(RouteSpecifier::RouteConfig(routes(door))),
        ..HttpConnectionManager::default()
    };
    messages::listener(&name, (Ipv4Addr::LOCALHOST, port).into(), manager)
}

fn routes(door: Door) -> RouteConfiguration {
    RouteConfiguration {
        name: format!("{door:?}"),
        virtual_hosts: vec![VirtualHost {
            name: "server".to_owned(),
            domains: vec![wire::HOST.to_owned()],
            routes: table(door),
            ..VirtualHost::default()
        }],
        ..RouteConfiguration::default()
    }
}

/// The last one matches what is asked.
fn table(door: Door) -> Vec<Route> {
    let others = match door {
        Door::Routes100 => 99,
        Door::Routes5000 => 4999,
        _ => 0,
    };
    let target = match door {
        Door::Split => split(),
        Door::Http2 => to(H2),
        _ => to(H1),
    };
    let others = (0..others).map(|number| route(&format!("/route-{number:04}/"), to(H1)));
    others.chain([route(wire::ROUTED, target)]).collect()
}

fn split() -> ClusterSpecifier {
    let share = |(name, weight): (&str, u32)| ClusterWeight {
        name: name.to_owned(),
        weight: Some(UInt32Value { value: weight }),
        ..ClusterWeight::default()
    };
    ClusterSpecifier::WeightedClusters(WeightedCluster {
        clusters: [(H1, 90), (CANARY, 10)].map(share).into(),
        ..WeightedCluster::default()
    })
}

fn to(cluster: &str) -> ClusterSpecifier {
    ClusterSpecifier::Cluster(cluster.to_owned())
}

fn route(prefix: &str, to: ClusterSpecifier) -> Route {
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix(prefix.to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(to),
            // Calls that go on are not to be cut, which Envoy does after 15 s by default.
            timeout: Some(Duration::default()),
            ..RouteAction::default()
        })),
        ..Route::default()
    }
}
