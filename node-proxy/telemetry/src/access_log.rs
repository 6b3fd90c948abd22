//! One line for each finished connection or request.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use heddle_identity::SpiffeId;

use crate::ResponseFlag;

/// Where a connection or request was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Sent by a pod of this node.
    Outbound,
    /// Received by a pod of this node.
    Inbound,
    /// Received by a Gateway on this node.
    Gateway,
}

impl Direction {
    /// `outbound`, `inbound`, `gateway`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Gateway => "gateway",
        }
    }

    /// Who tells: the client's side or the server's.
    pub const fn reporter(self) -> &'static str {
        match self {
            Self::Outbound | Self::Gateway => "source",
            Self::Inbound => "destination",
        }
    }
}

/// What was spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Bytes.
    Tcp,
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// `tcp`, `http/1`, `http/2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http1 => "http/1",
            Self::Http2 => "http/2",
        }
    }
}

/// One of the two ends.
#[derive(Clone, Debug, Default)]
pub struct PeerName {
    /// Its address; of a Service, where the connection was opened to one and got no further.
    pub address: Option<SocketAddr>,
    /// Namespace and name of the pod at it, `shop/cart-7d4`.
    pub pod: Option<Arc<str>>,
    /// Who it is.
    pub identity: Option<SpiffeId>,
}

/// One line of the access log. What is `None` is left out of it.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// Where it was taken.
    pub direction: Direction,
    /// What was spoken.
    pub protocol: Protocol,
    /// The client.
    pub source: PeerName,
    /// Whoever answered, or was meant to.
    pub destination: PeerName,
    /// The Service, by the name of its cluster: `shop/cart:80`.
    pub service: Option<Arc<str>>,
    /// The route that was taken: `HTTPRoute shop/cart rule 0 match 1`.
    pub route: Option<Arc<str>>,
    /// Of a request.
    pub method: Option<http::Method>,
    /// Of a request, as the client sent it, without the query (which may hold secrets).
    pub path: Option<String>,
    /// Host of a request, as the client sent it.
    pub authority: Option<String>,
    /// Status that the client got; `None`: none (bytes, or the client went away before).
    pub status: Option<u16>,
    /// Why it went wrong.
    pub flag: Option<ResponseFlag>,
    /// The same in words, with the deciding object.
    pub reason: Option<String>,
    /// Bytes taken from the client (of a request: its body).
    pub received: u64,
    /// Bytes given to the client (of a request: its answer's body).
    pub sent: u64,
    /// From the connection's or request's arrival to its end.
    pub duration: Duration,
    /// How often it was sent to an upstream.
    pub attempts: u32,
    /// It was carried by mutual TLS.
    pub mtls: bool,
    /// `x-request-id` of a request.
    pub request_id: Option<String>,
}

impl AccessLog {
    /// An entry about which only this is known.
    pub fn new(direction: Direction, protocol: Protocol) -> Self {
        Self {
            direction,
            protocol,
            source: PeerName::default(),
            destination: PeerName::default(),
            service: None,
            route: None,
            method: None,
            path: None,
            authority: None,
            status: None,
            flag: None,
            reason: None,
            received: 0,
            sent: 0,
            duration: Duration::ZERO,
            attempts: 0,
            mtls: false,
            request_id: None,
        }
    }

    /// Whether anybody reads the lines: what is noted for them alone need not be noted otherwise.
    pub fn is_read() -> bool {
        tracing::enabled!(target: "access", tracing::Level::INFO)
    }

    /// Writes the line (`tracing`, level info, target `access`); the time is the subscriber's.
    pub fn log(&self) {
        tracing::info!(
            target: "access",
            direction = self.direction.as_str(),
            protocol = self.protocol.as_str(),
            src = self.source.address.map(tracing::field::display),
            src_pod = self.source.pod.as_deref(),
            src_identity = self.source.identity.as_ref().map(tracing::field::display),
            dst = self.destination.address.map(tracing::field::display),
            dst_pod = self.destination.pod.as_deref(),
            dst_identity = self.destination.identity.as_ref().map(tracing::field::display),
            service = self.service.as_deref(),
            route = self.route.as_deref(),
            authority = self.authority.as_deref(),
            method = self.method.as_ref().map(tracing::field::display),
            path = self.path.as_deref(),
            status = self.status,
            flag = self.flag.map_or("-", ResponseFlag::short),
            reason = self.reason.as_deref(),
            received = self.received,
            sent = self.sent,
            duration_us = u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX),
            attempts = self.attempts,
            mtls = self.mtls,
            request_id = self.request_id.as_deref(),
        );
    }
}
