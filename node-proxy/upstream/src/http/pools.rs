//! The HTTP connections that stand, for reuse by the same origin to the same endpoint.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use heddle_config::{ClientTls, Inside, PodUid};
use hyper::client::conn::http1::SendRequest;

use crate::{
    Body, DialError, Origin, Target, UpstreamSettings,
    dial::{Dialed, Dialer, Failure},
    http::{
        http1::{Http1, Idle},
        http2::{self, Http2, Shared},
        upgrade::upgradable,
    },
    origin::OriginKey,
    tunnels::Peer,
};

/// What an HTTP connection may be used for. Two keys are the same only if all of them is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct HttpKey {
    origin: Arc<OriginKey>,
    address: SocketAddr,
    /// Who is there, if known; and whether it was proven.
    peer: Option<Peer>,
    mtls: bool,
    tls: Option<ClientTls>,
}

impl HttpKey {
    pub(crate) fn new(from: &Origin, target: &Target) -> Self {
        Self {
            origin: from.key(),
            address: target.address,
            peer: target.workload.as_deref().map(Peer::of),
            mtls: target.mtls,
            tls: target.tls.clone(),
        }
    }
}

/// All HTTP connections of this worker.
pub(crate) struct HttpPools {
    http1: RefCell<HashMap<HttpKey, Arc<Idle>, RandomState>>,
    http2: RefCell<HashMap<HttpKey, Rc<Shared>, RandomState>>,
    settings: Arc<UpstreamSettings>,
    made: Cell<u64>,
}

impl HttpPools {
    pub(crate) fn new(settings: Arc<UpstreamSettings>) -> Self {
        Self {
            http1: RefCell::default(),
            http2: RefCell::default(),
            settings,
            made: Cell::new(0),
        }
    }

    fn idle_of(&self, key: HttpKey) -> Arc<Idle> {
        let most = self.settings.http1_idle_connections;
        self.http1
            .borrow_mut()
            .entry(key)
            .or_insert_with(|| Arc::new(Idle::new(most)))
            .clone()
    }

    /// A connection for one HTTP/1.1 request that waits for one.
    pub(crate) fn waiting_http1(&self, from: &Origin, target: &Target) -> Option<Http1> {
        self.idle_of(HttpKey::new(from, target)).take()
    }

    /// A place for one HTTP/2 request in a connection that stands.
    pub(crate) fn standing_http2(&self, from: &Origin, target: &Target) -> Option<Http2> {
        let key = HttpKey::new(from, target);
        let shared = self.http2.borrow().get(&key)?.clone();
        shared.take(self.settings.http2_streams)
    }

    /// A connection for one HTTP/1.1 request, and whether it has served others before. `fresh`: do not take a used one.
    pub(crate) async fn http1(
        &self,
        dialer: &Dialer,
        from: &Origin,
        target: &Target,
        limit: Duration,
        fresh: bool,
    ) -> Result<(Http1, bool), Failure> {
        let idle = self.idle_of(HttpKey::new(from, target));
        if !fresh && let Some(connection) = idle.take() {
            return Ok((connection, true));
        }
        let dialed = dialer.dial(from, target, limit, Inside::Http1).await?;
        self.made.set(self.made.get() + 1);
        Ok((Http1::new(dialed, idle), false))
    }

    /// A connection for one request that asks for another protocol.
    pub(crate) async fn upgrade(
        &self,
        dialer: &Dialer,
        from: &Origin,
        target: &Target,
        limit: Duration,
    ) -> Result<SendRequest<Body>, Failure> {
        let dialed = dialer.dial(from, target, limit, Inside::Http1).await?;
        let sender = upgradable(dialed.io).await.map_err(DialError::Http)?;
        self.made.set(self.made.get() + 1);
        Ok(sender)
    }

    /// A place for one HTTP/2 request, and whether its connection has served others before.
    pub(crate) async fn http2(
        &self,
        dialer: &Dialer,
        from: &Origin,
        target: &Target,
        limit: Duration,
    ) -> Result<(Http2, bool), Failure> {
        let key = HttpKey::new(from, target);
        let shared = self.http2.borrow_mut().entry(key).or_default().clone();
        let most = self.settings.http2_streams;
        if let Some(place) = shared.take(most) {
            return Ok((place, true));
        }
        let _making = shared.making.lock().await;
        if let Some(place) = shared.take(most) {
            return Ok((place, true));
        }
        let Dialed { io, way } = dialer.dial(from, target, limit, Inside::Http2).await?;
        let sender = http2::handshake(io).await?;
        self.made.set(self.made.get() + 1);
        Ok((shared.add(sender, way), false))
    }

    /// Closes what was not used for a while.
    pub(crate) fn sweep(&self, now: Instant) {
        let idle = self.settings.http_idle;
        self.http1
            .borrow_mut()
            .retain(|_, waiting| waiting.sweep(now, idle) || Arc::strong_count(waiting) > 1);
        self.http2
            .borrow_mut()
            .retain(|_, shared| shared.sweep(now, idle) || Rc::strong_count(shared) > 1);
    }

    /// Forgets the connections of a pod; requests that are under way go on.
    pub(crate) fn forget(&self, pod: &PodUid) {
        self.http1
            .borrow_mut()
            .retain(|key, _| !key.origin.is_pod(pod));
        self.http2
            .borrow_mut()
            .retain(|key, _| !key.origin.is_pod(pod));
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.get()
    }

    pub(crate) fn idle(&self) -> usize {
        self.http1.borrow().values().map(|idle| idle.len()).sum()
    }

    pub(crate) fn multiplexed(&self) -> usize {
        self.http2
            .borrow()
            .values()
            .map(|shared| shared.len())
            .sum()
    }
}
