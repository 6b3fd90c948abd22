//! The server: streams in, sessions fed, responses out.
//!
//! All protocol is in [`crate::session`]; here are authentication, admission, tasks and timers.

mod alarm;
pub mod api;
mod body;
mod clients;
mod connections;
mod csds;
mod driver;
mod message;
mod node;
mod protocol;
mod requests;
mod service;
mod settings;

use std::{fmt, sync::Arc};

use heddle_snapshot::{Role, Snapshot};
use tokio::sync::watch;
use tonic::service::Routes;

pub use clients::ClientState;
pub use connections::{
    ConnectionCounts, ConnectionInfo, ConnectionLimits, Connections, CountStreams, Crowded, Place,
    Watched,
};
pub use csds::{ClientStatusService, Expiry};
pub use service::DiscoveryService;
pub use settings::{Settings, http2};

use crate::{
    Authenticate, Shared,
    session::{Event, Refusal},
};
use clients::Clients;

/// Something that a client refused, or no longer refuses.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Number of the stream.
    pub stream: u64,
    /// The client's node.
    pub node: Arc<str>,
    /// What the client is.
    pub role: Role,
    /// What happened. When a stream ends, all that it refused is cleared.
    pub event: Event,
}

impl Notice {
    /// What it is about.
    pub fn refusal(&self) -> &Arc<Refusal> {
        match &self.event {
            Event::Refused(refusal) | Event::Cleared(refusal) => refusal,
        }
    }
}

fn log(notice: &Notice) {
    if let Event::Refused(refusal) = &notice.event {
        tracing::warn!(
            node = %notice.node, type_url = refusal.type_url, resource = %refusal.resource,
            origin = ?refusal.origin, message = %refusal.message, "refused by the client"
        );
    }
}

type Observer = Box<dyn Fn(Notice) + Send + Sync>;

struct Inner {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    auth: Box<dyn Authenticate>,
    settings: Settings,
    observer: Observer,
    shared: Arc<Shared>,
    clients: Arc<Clients>,
    draining: watch::Sender<bool>,
}

/// The xDS server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("settings", &self.0.settings)
            .field("clients", &self.0.clients)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server of the newest of these snapshots. What clients refuse stands in the log.
    pub fn new(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        auth: impl Authenticate,
        settings: Settings,
    ) -> Self {
        Self::with_observer(snapshots, auth, settings, |notice| log(&notice))
    }

    /// The same, and tells an observer what clients refuse, in place of the log. It is called on the stream's task: it must not block.
    pub fn with_observer(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        auth: impl Authenticate,
        settings: Settings,
        observer: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            snapshots,
            auth: Box::new(auth),
            settings,
            observer: Box::new(observer),
            shared: Arc::default(),
            clients: Clients::new(),
            draining: watch::Sender::new(false),
        }))
    }

    /// All discovery services, aggregated and for one type each, for `tonic::transport::Server::add_routes`. Streams of one type know
    /// nothing of each other, so that only an aggregated stream gets changes in order.
    pub fn into_routes(self) -> Routes {
        let inner = self.0;
        Routes::new(DiscoveryService::<api::Aggregated>::new(Arc::clone(&inner)))
            .add_service(DiscoveryService::<api::Listeners>::new(Arc::clone(&inner)))
            .add_service(DiscoveryService::<api::Routes>::new(Arc::clone(&inner)))
            .add_service(DiscoveryService::<api::Clusters>::new(Arc::clone(&inner)))
            .add_service(DiscoveryService::<api::Endpoints>::new(Arc::clone(&inner)))
            .add_service(DiscoveryService::<api::Secrets>::new(inner))
    }

    /// Who is connected.
    pub fn clients(&self) -> Vec<ClientState> {
        self.0.clients.list()
    }

    /// Ends all streams with UNAVAILABLE, so that clients go to another replica, lets no new ones in, and comes back when all
    /// have ended.
    pub async fn drain(&self) {
        self.0.draining.send_replace(true);
        self.0.clients.empty().await;
    }
}
