//! Requests that change the protocol of their connection (WebSocket and others): afterwards two streams of bytes.

use std::rc::Rc;

use heddle_telemetry::ResponseFlag;
use http::{Response, StatusCode, header::UPGRADE};
use hyper::upgrade::OnUpgrade;

use crate::{Body, exchange::Exchange, hop};

/// Takes a [`Tunnel`] and copies in a task of its own; must not block.
pub type OpenTunnel = Rc<dyn Fn(Tunnel)>;

/// Two connections that become one stream of bytes as soon as both sides have changed their protocol.
pub struct Tunnel {
    /// The client's side.
    pub client: OnUpgrade,
    /// The server's side.
    pub server: OnUpgrade,
    /// To be told how it ended.
    pub record: TunnelRecord,
}

/// The record of the request that became a tunnel. Dropped without a word, it counts as given up by the client.
pub struct TunnelRecord(Box<Exchange>);

impl TunnelRecord {
    /// The tunnel has ended: bytes from the client, bytes to it, and what went wrong.
    pub fn ended(mut self, received: u64, sent: u64, problem: Option<(ResponseFlag, String)>) {
        self.0.entry.received += received;
        self.0.entry.sent += sent;
        if let Some((flag, reason)) = problem {
            self.0.fail(flag, reason);
        }
        self.0.finish();
    }
}

/// What a request asked for: its new protocol, and the handle to its connection.
pub(crate) struct Wanted {
    pub(crate) client: OnUpgrade,
    pub(crate) protocol: http::HeaderValue,
}

/// Finishes a 101 response and opens the tunnel. Without a client that asked for it the response is none of ours.
pub(crate) fn switch(
    mut response: Response<Body>,
    wanted: Option<Wanted>,
    mut exchange: Box<Exchange>,
    open: &OpenTunnel,
) -> Result<Response<Body>, Box<Exchange>> {
    let Some(wanted) = wanted else {
        exchange.fail(
            ResponseFlag::UpstreamProtocolError,
            "the server changed the protocol, which nobody asked for",
        );
        return Err(exchange);
    };
    let server = hyper::upgrade::on(&mut response);
    let protocol = response
        .headers()
        .get(UPGRADE)
        .cloned()
        .unwrap_or(wanted.protocol);
    hop::remove(response.headers_mut());
    hop::set_upgrade(response.headers_mut(), protocol);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.body_mut() = crate::empty();
    exchange.status(StatusCode::SWITCHING_PROTOCOLS);
    open(Tunnel {
        client: wanted.client,
        server,
        record: TunnelRecord(exchange),
    });
    Ok(response)
}
