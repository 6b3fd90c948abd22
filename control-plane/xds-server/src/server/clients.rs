//! Who is connected, and how far each client is.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use heddle_snapshot::Role;
use tokio::sync::watch;
use tonic::Status;

use super::Settings;
use crate::{
    NodeIdentity,
    session::{TypeState, Variant},
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
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, ClientState>,
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
        };
        table.open.insert(stream, state);
        self.count.send_replace(table.open.len());
        drop(table);
        Ok(Slot {
            clients: Arc::clone(self),
            stream,
        })
    }

    pub(super) fn list(&self) -> Vec<ClientState> {
        self.table().open.values().cloned().collect()
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
    pub(super) fn set_role(&self, role: Role) {
        if let Some(state) = self.clients.table().open.get_mut(&self.stream) {
            state.role = Some(role);
        }
    }

    pub(super) fn set_types(&self, types: Vec<TypeState>) {
        if let Some(state) = self.clients.table().open.get_mut(&self.stream) {
            state.types = types;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.clients.table();
        if let Some(state) = table.open.remove(&self.stream)
            && let Some(count) = table.by_node.get_mut(&state.node)
        {
            *count -= 1;
            if *count == 0 {
                table.by_node.remove(&state.node);
            }
        }
        self.clients.count.send_replace(table.open.len());
    }
}
