//! HTTP/1.1 to one server for one client, over connections that the caller makes.
//!
//! No cluster, no choice, no pool: a pod's own application sees the client's address, so that nobody else's requests go this way.

use std::sync::Arc;

use http::{Request, Response};

use super::{
    exchange::Unanswered,
    http1::{Http1, Idle},
};
use crate::{Body, BoxedIo, dial::Dialed};

/// The connections of one client to one server. At most one waits for a request.
pub struct KeptHttp1 {
    idle: Arc<Idle>,
}

/// A connection for one request.
pub struct Http1Connection(Http1);

impl Default for KeptHttp1 {
    fn default() -> Self {
        Self {
            idle: Arc::new(Idle::new(1)),
        }
    }
}

impl KeptHttp1 {
    /// A connection that has served before and is still open.
    pub fn waiting(&self) -> Option<Http1Connection> {
        self.idle.take().map(Http1Connection)
    }

    /// A connection that was just made.
    pub fn made(&self, io: BoxedIo) -> Http1Connection {
        Http1Connection(Http1::new(Dialed::direct(io), Arc::clone(&self.idle)))
    }
}

impl Http1Connection {
    /// Sends a request in origin form, and returns when the response's head is there. The connection waits for the next request when the
    /// response's body has been read to its end.
    ///
    /// # Errors
    /// There is no response.
    pub async fn send(
        self,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, Box<Unanswered>> {
        self.0.exchange(request, None).await
    }
}
