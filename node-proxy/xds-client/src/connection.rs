//! The way to a control plane.

use std::{io, path::PathBuf, time::Duration};

use heddle_proto::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{
    Request, Streaming,
    metadata::MetadataValue,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{TokenSource, variant::Talk};

/// Limit for TCP and TLS together. A control plane whose host is gone answers nothing at all, and for as long one that is back
/// is not asked; one retransmission of the first packet (after 1 s, RFC 6298) has its chance.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest response: the first one of a big mesh holds all workloads.
const MAX_RESPONSE: usize = 256 * 1024 * 1024;

/// A control plane's address.
#[derive(Clone, Debug)]
pub struct Server {
    /// `https://control-plane.heddle-system:15012`, or `http://` without TLS (tests).
    pub uri: String,
    /// How to verify it. Needed for `https`.
    pub tls: Option<Tls>,
}

/// How to verify a control plane.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The roots that its certificate must chain to.
    pub roots: Roots,
    /// The name that its certificate must have.
    pub server_name: String,
}

/// Roots of trust, PEM.
#[derive(Clone, Debug)]
pub enum Roots {
    /// These.
    Pem(String),
    /// Those in a file, which is read anew for each connection: roots rotate.
    File(PathBuf),
}

impl Roots {
    fn read(&self) -> io::Result<String> {
        match self {
            Self::Pem(pem) => Ok(pem.clone()),
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| {
                let text = format!("cannot read the roots {}: {error}", path.display());
                io::Error::new(error.kind(), text)
            }),
        }
    }
}

/// How a dead control plane is noticed: HTTP/2 pings. After both times together at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// A ping after so long without news.
    pub interval: Duration,
    /// So long to wait for its answer.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no control plane is configured")]
    NoServer,
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("the token has characters that no HTTP header may have")]
    TokenForm,
    #[error("{uri}: {problem}")]
    Transport { uri: String, problem: String },
    #[error("{uri}: {status}")]
    Refused { uri: String, status: String },
}

/// A stream: what is sent and what comes.
pub(crate) struct Stream<T: Talk> {
    pub(crate) requests: mpsc::UnboundedSender<T::Request>,
    pub(crate) responses: Streaming<T::Response>,
}

/// Opens a stream; `first` are the requests to begin with. Some servers say nothing before they have something to send,
/// so the requests are on their way while the answer is awaited.
pub(crate) async fn open<T: Talk>(
    server: &Server,
    keepalive: Keepalive,
    token: &dyn TokenSource,
    first: Vec<T::Request>,
) -> Result<Stream<T>, ConnectError> {
    let token = token.token()?;
    let channel = connect(server, keepalive).await?;
    // Unbounded, but there is at most one answer for each response and one request for each change of subscriptions.
    let (sender, receiver) = mpsc::unbounded_channel();
    for request in first {
        // The receiver is right here.
        let _ = sender.send(request);
    }
    let mut request = Request::new(UnboundedReceiverStream::new(receiver));
    if let Some(token) = token {
        let mut value = MetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|_| ConnectError::TokenForm)?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    let mut client =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MAX_RESPONSE);
    match T::call(&mut client, request).await {
        Ok(response) => Ok(Stream {
            requests: sender,
            responses: response.into_inner(),
        }),
        Err(status) => Err(ConnectError::Refused {
            uri: server.uri.clone(),
            status: describe(&status),
        }),
    }
}

async fn connect(server: &Server, keepalive: Keepalive) -> Result<Channel, ConnectError> {
    let failed = |error: tonic::transport::Error| ConnectError::Transport {
        uri: server.uri.clone(),
        problem: with_causes(&error),
    };
    let mut endpoint = Endpoint::from_shared(server.uri.clone())
        .map_err(failed)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(keepalive.interval)
        .keep_alive_timeout(keepalive.timeout)
        .keep_alive_while_idle(true)
        .http2_adaptive_window(true)
        .tcp_nodelay(true);
    if let Some(tls) = &server.tls {
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(tls.roots.read()?))
            .domain_name(&tls.server_name);
        endpoint = endpoint.tls_config(config).map_err(failed)?;
    }
    // TLS has a part in connecting that `connect_timeout` does not cover.
    match tokio::time::timeout(CONNECT_TIMEOUT, endpoint.connect()).await {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(ConnectError::Transport {
            uri: server.uri.clone(),
            problem: format!("no connection within {CONNECT_TIMEOUT:?}"),
        }),
    }
}

/// tonic says "transport error"; the cause says why.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let next = inner.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = inner.source();
    }
    text
}

/// A gRPC status in one line.
pub(crate) fn describe(status: &tonic::Status) -> String {
    match std::error::Error::source(status) {
        Some(cause) => format!(
            "{:?}: {}: {}",
            status.code(),
            status.message(),
            with_causes(cause)
        ),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}
