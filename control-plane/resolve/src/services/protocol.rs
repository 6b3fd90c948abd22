//! What is spoken on a port, as far as its declaration tells.

use heddle_model::{AppProtocol, Transport};

/// From appProtocol if it is given, else from the port's name up to its first dash.
///
/// appProtocol is a `kubernetes.io/` name (h2c, ws, wss), an IANA service name, or somebody's own. A word that we do not know says nothing, so the
/// port is looked at. UDP and SCTP are never read.
pub(crate) fn app_protocol(
    declared: Option<&str>,
    name: Option<&str>,
    transport: Transport,
) -> AppProtocol {
    if transport != Transport::Tcp {
        return AppProtocol::Opaque;
    }
    match declared.filter(|declared| !declared.is_empty()) {
        Some(declared) => word(&declared.to_ascii_lowercase()),
        None => name.map_or(AppProtocol::Detect, from_name),
    }
}

/// Whether an appProtocol says that the server expects TLS.
pub(crate) fn is_tls(declared: &str) -> bool {
    matches!(
        declared.to_ascii_lowercase().as_str(),
        "https" | "tls" | "ssl" | "kubernetes.io/wss" | "wss"
    )
}

fn from_name(name: &str) -> AppProtocol {
    // `grpc-web` is a word of its own: it is spoken over HTTP/1.1 as well.
    if name == "grpc-web" || name.starts_with("grpc-web-") {
        return AppProtocol::Http;
    }
    word(name.split('-').next().unwrap_or_default())
}

fn word(word: &str) -> AppProtocol {
    match word {
        "http" | "kubernetes.io/ws" | "ws" | "grpc-web" => AppProtocol::Http,
        "http2" | "h2c" | "kubernetes.io/h2c" | "grpc" => AppProtocol::Http2,
        "tcp" | "tls" | "ssl" | "https" | "wss" | "kubernetes.io/wss" | "mysql" | "mariadb"
        | "postgres" | "postgresql" | "redis" | "mongo" | "mongodb" | "amqp" | "amqps"
        | "kafka" | "mqtt" | "smtp" | "ldap" | "ldaps" | "ssh" | "memcached" | "cassandra"
        | "zookeeper" | "nats" => AppProtocol::Opaque,
        _ => AppProtocol::Detect,
    }
}
