//! Who is connected, and how far each client is.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use heddle_proto::{Message, envoy::config::core::v3::Node};
use heddle_snapshot::Role;
use tokio::sync::watch;
use tonic::Status;

use super::Settings;
use crate::{
    NodeIdentity,
    session::{Session, Standing, TypeState, Variant},
};

/// One open stream.
#[derive(Clone, Debug)]
pub struct ClientState {
    /// Number of the stream, unique in this process.
    pub stream: u64,
    /// The node that its token belongs to.
    pub node: Arc<str>,
    /// What it is, once its first request has told.
    pub role: Option<Role>,
    /// Which protocol it speaks.
    pub variant: Variant,
    /// Where it comes from.
    pub peer: Option<SocketAddr>,
    /// Since when.
    pub connected_since: SystemTime,
    /// How far it is, by type.
    pub types: Vec<TypeState>,
    /// What it told about itself in its first request; without its metadata where that is large.
    pub info: Option<Arc<Node>>,
}

/// Where a client stands at one moment.
#[derive(Debug)]
pub(crate) struct Account {
    /// By type and name.
    pub(crate) standings: Vec<Standing>,
    /// For how long the oldest response is unanswered.
    pub(crate) unanswered_for: Option<std::time::Duration>,
}

/// A stream's session, which its task works with and everybody may look at. Held only as long as that takes: nobody waits while holding it.
#[derive(Clone, Debug)]
pub(super) struct SharedSession(Arc<Mutex<Session>>);

impl SharedSession {
    pub(super) fn new(session: Session) -> Self {
        Self(Arc::new(Mutex::new(session)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client tells about itself beyond this many bytes is not kept.
const NODE_BYTES: usize = 4096;

#[derive(Debug)]
struct Open {
    state: ClientState,
    /// Begins with the first request.
    session: Option<SharedSession>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Open>,
    by_node: BTreeMap<Arc<str>, usize>,
}

/// All open streams.
#[derive(Debug)]
pub(super) struct Clients {
    table: Mutex<Table>,
    count: watch::Sender<usize>,
}

impl Clients {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            count: watch::Sender::new(0),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a stream in, if there is room. It is out when the slot is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        identity: &NodeIdentity,
        variant: Variant,
        peer: Option<SocketAddr>,
        settings: &Settings,
    ) -> Result<Slot, Status> {
        let node = &identity.node;
        let mut table = self.table();
        if table.open.len() >= settings.streams {
            let limit = settings.streams;
            return Err(Status::resource_exhausted(format!(
                "this server has {limit} streams already"
            )));
        }
        let of_node = table.by_node.entry(Arc::clone(node)).or_default();
        let limit = match identity.is_workload() {
            true => settings.streams_per_workload,
            false => settings.streams_per_node,
        };
        if *of_node >= limit {
            return Err(Status::resource_exhausted(format!(
                "{node} has {limit} streams already"
            )));
        }
        *of_node += 1;
        table.next += 1;
        let stream = table.next;
        let state = ClientState {
            stream,
            node: Arc::clone(node),
            role: None,
            variant,
            peer,
            connected_since: SystemTime::now(),
            types: Vec::new(),
            info: None,
        };
        let session = None;
        table.open.insert(stream, Open { state, session });
        self.count.send_replace(table.open.len());
        drop(table);
        Ok(Slot {
            clients: Arc::clone(self),
            stream,
        })
    }

    pub(super) fn list(&self) -> Vec<ClientState> {
        let all: Vec<_> = {
            let table = self.table();
            let open = table.open.values();
            open.map(|open| (open.state.clone(), open.session.clone()))
                .collect()
        };
        let with_types = |(state, session): (ClientState, Option<SharedSession>)| ClientState {
            types: session.map_or_else(Vec::new, |session| session.lock().state()),
            ..state
        };
        all.into_iter().map(with_types).collect()
    }

    /// Where the client of a stream stands; `None`: it has ended, or has not asked for anything yet.
    pub(super) fn account(&self, stream: u64) -> Option<Account> {
        let session = self.table().open.get(&stream)?.session.clone()?;
        let session = session.lock();
        Some(Account {
            standings: session.standings(),
            unanswered_for: session.unanswered_for(Instant::now()),
        })
    }

    /// Comes back when nobody is connected.
    pub(super) async fn empty(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// One stream's place among the clients.
#[derive(Debug)]
pub(super) struct Slot {
    clients: Arc<Clients>,
    pub(super) stream: u64,
}

impl Slot {
    /// The client has said who it is.
    pub(super) fn begin(&self, role: Role, node: Option<&Node>, session: SharedSession) {
        let info = node.map(|node| Arc::new(within_bounds(node)));
        if let Some(open) = self.clients.table().open.get_mut(&self.stream) {
            open.state.role = Some(role);
            open.state.info = info;
            open.session = Some(session);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.clients.table();
        if let Some(open) = table.open.remove(&self.stream)
            && let Some(count) = table.by_node.get_mut(&open.state.node)
        {
            *count -= 1;
            if *count == 0 {
                table.by_node.remove(&open.state.node);
            }
        }
        self.clients.count.send_replace(table.open.len());
    }
}

/// What is kept of what a client tells about itself: it may tell as much as fits into a request. Envoy names all of its hundreds of
/// extensions, which nobody here asks for.
fn within_bounds(node: &Node) -> Node {
    let node = Node {
        extensions: Vec::new(),
        ..node.clone()
    };
    if node.encoded_len() <= NODE_BYTES {
        return node;
    }
    let shortened = |text: &str| text.chars().take(253).collect();
    Node {
        id: node.id.clone(),
        cluster: shortened(&node.cluster),
        user_agent_name: shortened(&node.user_agent_name),
        ..Node::default()
    }
}

#[cfg(test)]
mod tests {
    use heddle_proto::envoy::config::core::v3::{
        BuildVersion, Extension, node::UserAgentVersionType,
    };

    use super::*;

    #[test]
    fn a_client_with_a_long_list_of_extensions_is_still_known_by_its_version() {
        let version = UserAgentVersionType::UserAgentBuildVersion(BuildVersion::default());
        let extension = |number| Extension {
            name: format!("envoy.filters.{number}"),
            ..Extension::default()
        };
        let envoy = Node {
            id: "edge".to_owned(),
            user_agent_name: "envoy".to_owned(),
            user_agent_version_type: Some(version.clone()),
            extensions: (0..1000).map(extension).collect(),
            ..Node::default()
        };
        let kept = within_bounds(&envoy);
        assert_eq!(kept.user_agent_version_type, Some(version));
        assert!(kept.encoded_len() < 100);
        let metadata = heddle_proto::google::protobuf::Struct {
            fields: [(
                "x".repeat(NODE_BYTES),
                heddle_proto::google::protobuf::Value::default(),
            )]
            .into(),
        };
        let large = Node {
            metadata: Some(metadata),
            ..envoy
        };
        assert_eq!(within_bounds(&large).id, "edge");
        assert!(within_bounds(&large).encoded_len() < NODE_BYTES);
    }
}
