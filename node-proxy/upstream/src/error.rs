//! Why something could not be sent.

use std::{error::Error as _, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use heddle_cert_client::{CertError, PeerRefused};
use heddle_hbone::{HboneError, OpenError};
use heddle_routing::ClusterName;
use heddle_telemetry::ResponseFlag;
use http::StatusCode;

use crate::{Target, http::Http1Error};

/// Why one attempt to connect to one endpoint failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No socket could be made in the origin's network namespace.
    #[error("socket: {0}")]
    Socket(io::Error),
    /// TCP did not connect.
    #[error("TCP: {0}")]
    Tcp(io::Error),
    /// A step took too long.
    #[error("{step} took longer than {limit:?}")]
    Timeout {
        /// Which one.
        step: &'static str,
        /// Its limit.
        limit: Duration,
    },
    /// Mutual TLS failed; [`Self::peer_refused`] tells if it was the peer's identity.
    #[error("mutual TLS: {0}")]
    Tls(io::Error),
    /// TLS that the cluster asks for failed.
    #[error("TLS: {0}")]
    UpstreamTls(io::Error),
    /// The tunnel could not be made.
    #[error("tunnel: {0}")]
    Tunnel(HboneError),
    /// The tunnel broke before a stream was open.
    #[error("tunnel: {0}")]
    Open(OpenError),
    /// The peer's proxy would not connect: 401 and 403 for policy, 503 if its application does not answer.
    #[error("the peer's proxy answered {0}")]
    Refused(StatusCode),
    /// The HTTP handshake with the application failed.
    #[error("HTTP: {0}")]
    Http(hyper::Error),
}

impl DialError {
    /// Who the peer turned out to be, or what else was wrong with its certificate, if that was the reason.
    pub fn peer_refused(&self) -> Option<&PeerRefused> {
        let Self::Tls(error) = self else { return None };
        PeerRefused::of(error)
    }

    /// Whether the peer closed a connection that it had accepted before anything came of it.
    pub(crate) fn is_hung_up(&self) -> bool {
        use io::ErrorKind as K;
        match self {
            Self::Tls(error) => matches!(
                error.kind(),
                K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof
            ),
            Self::Tunnel(HboneError::Http2(error)) => error.is_io() || error.is_go_away(),
            _ => false,
        }
    }

    /// Whether the destination's policy refused, so that another endpoint of the same service need not be asked.
    pub(crate) fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        )
    }

    /// Whether the endpoint has to do with it at all: a socket that cannot be made says nothing about it.
    pub(crate) fn is_of_endpoint(&self) -> bool {
        !matches!(self, Self::Socket(_))
    }

    fn flag(&self) -> ResponseFlag {
        match self {
            Self::Socket(_) => ResponseFlag::Internal,
            Self::Tls(_) if self.peer_refused().is_some() => ResponseFlag::IdentityMismatch,
            Self::Tls(_) | Self::UpstreamTls(_) => ResponseFlag::TlsFailure,
            Self::Refused(_) if self.is_denial() => ResponseFlag::Authorization,
            Self::Http(_) => ResponseFlag::UpstreamProtocolError,
            Self::Tcp(_)
            | Self::Timeout { .. }
            | Self::Tunnel(_)
            | Self::Open(_)
            | Self::Refused(_) => ResponseFlag::ConnectFailure,
        }
    }
}

/// Why there is no connection. No byte of the user's was sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The cluster is not known.
    #[error("there is no cluster {0}")]
    NoCluster(ClusterName),
    /// The cluster has no endpoints by its kind: an ExternalName, or the address that the client asked for.
    #[error("the cluster {0} is not for connecting to")]
    NotForConnecting(ClusterName),
    /// The cluster has no endpoint at the moment.
    #[error("the cluster {0} has no endpoint")]
    NoEndpoint(ClusterName),
    /// The endpoint is one of this proxy's own listeners: connections would go in a circle until nothing is left to open one.
    #[error("the endpoint {0} is a listener of this proxy itself")]
    LeadsBack(SocketAddr),
    /// The origin's egress NetworkPolicy does not allow it. It is counted as denied already.
    #[error("{} allow{} nothing to {destination}", Names(.policies), if .policies.len() == 1 { "s" } else { "" })]
    Denied {
        /// The policies that select the origin: `NetworkPolicy shop/cart`.
        policies: Vec<Arc<str>>,
        /// The endpoint that was chosen.
        destination: SocketAddr,
    },
    /// The origin has no certificate, or nobody to trust.
    #[error(transparent)]
    Certificate(#[from] CertError),
    /// Every endpoint that was tried failed; this is the last one's reason.
    #[error("{target_address}: {source} (endpoints tried: {tried})", target_address = .target.address)]
    Failed {
        /// The last one.
        target: Target,
        /// How many were tried.
        tried: usize,
        /// Its reason.
        source: Arc<DialError>,
    },
    /// All attempts together took too long; the last one was under way.
    #[error("no connection within {limit:?} (endpoints tried: {tried})")]
    Deadline {
        /// The limit.
        limit: Duration,
        /// How many were tried.
        tried: usize,
    },
}

struct Names<'a>(&'a [Arc<str>]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl ConnectError {
    /// The reason in one word, for logs and metrics.
    pub fn flag(&self) -> ResponseFlag {
        match self {
            Self::NoCluster(_) | Self::NotForConnecting(_) => ResponseFlag::NoCluster,
            Self::NoEndpoint(_) | Self::LeadsBack(_) => ResponseFlag::NoHealthyEndpoint,
            Self::Denied { .. } => ResponseFlag::NetworkPolicy,
            Self::Certificate(_) => ResponseFlag::IdentityUnavailable,
            Self::Failed { source, .. } => source.flag(),
            Self::Deadline { .. } => ResponseFlag::ConnectFailure,
        }
    }

    /// Whether endpoints failed, as opposed to what nobody should try again: a refusal, a wrong identity, no endpoint at all.
    pub fn is_of_endpoint(&self) -> bool {
        match self {
            Self::Failed { source, .. } => {
                source.is_of_endpoint() && !source.is_denial() && source.peer_refused().is_none()
            }
            Self::Deadline { .. } => true,
            Self::NoCluster(_)
            | Self::NotForConnecting(_)
            | Self::NoEndpoint(_)
            | Self::LeadsBack(_)
            | Self::Denied { .. }
            | Self::Certificate(_) => false,
        }
    }

    /// Whom it was about, if an endpoint was chosen.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Failed { target, .. } => Some(target),
            _ => None,
        }
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There was no connection to send the request on. Nothing was sent: it may be tried again.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request cannot be sent in the cluster's protocol.
    #[error("{0}")]
    Unsendable(&'static str),
    /// The connection broke, or what came was no HTTP response.
    #[error("{address}: {source}", address = .target.address)]
    Broken {
        /// Whom it was sent to.
        target: Target,
        /// How far it came.
        progress: Progress,
        /// What happened.
        source: Broken,
    },
}

/// How far a request came that an endpoint gave no response to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No connection could be made.
    Connecting,
    /// There was a connection, but nothing of the request was sent.
    Unsent,
    /// The endpoint says that it did nothing (RFC 9113 section 8.7).
    Refused,
    /// It was sent at least in part, and may have had an effect.
    Sent,
}

/// How a request's connection broke.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// In HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] Http1Error),
    /// In HTTP/2, or before a protocol was changed.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
}

impl Broken {
    fn flag(&self) -> ResponseFlag {
        match self {
            Self::Http1(Http1Error::Malformed(_)) => ResponseFlag::UpstreamProtocolError,
            Self::Hyper(error) if error.is_parse() => ResponseFlag::UpstreamProtocolError,
            Self::Hyper(error) if is_stream_reset(error) => ResponseFlag::RemoteReset,
            Self::Http1(_) | Self::Hyper(_) => ResponseFlag::ConnectionTermination,
        }
    }
}

impl RequestError {
    /// The reason in one word, for logs and metrics.
    pub fn flag(&self) -> ResponseFlag {
        match self {
            Self::Connect(error) => error.flag(),
            Self::Unsendable(_) => ResponseFlag::ClientProtocolError,
            Self::Broken { source, .. } => source.flag(),
        }
    }

    /// How far it came. `None`: that there is no response is no endpoint's doing, or was meant (a policy, an identity).
    pub fn progress(&self) -> Option<Progress> {
        match self {
            Self::Connect(error) => error.is_of_endpoint().then_some(Progress::Connecting),
            Self::Unsendable(_) => None,
            Self::Broken { progress, .. } => Some(*progress),
        }
    }

    /// Whom it was about, if an endpoint was chosen.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Connect(error) => error.target(),
            Self::Broken { target, .. } => Some(target),
            Self::Unsendable(_) => None,
        }
    }
}

/// The HTTP/2 error behind an error of hyper's.
pub(crate) fn http2_error(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}

fn is_stream_reset(error: &hyper::Error) -> bool {
    http2_error(error).is_some_and(h2::Error::is_reset)
}
