//! Heddle's xDS server, in this process.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use heddle_snapshot::{Resource, Scope, Snapshot};
use heddle_xds_server::{AuthError, Authenticate, NodeIdentity, Settings, Token, http2};
use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType, skip_field},
};
use tokio::{net::TcpListener, sync::watch};
use tonic::transport::server::TcpIncoming;

use crate::{World, server::Server};

/// Believes everyone: a token is the name of its bearer's node.
#[derive(Debug)]
pub struct TokenIsNode;

impl Authenticate for TokenIsNode {
    fn authenticate<'a>(
        &'a self,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<NodeIdentity, AuthError>> {
        let identity = NodeIdentity {
            node: token.secret().into(),
            expires: None,
        };
        Box::pin(std::future::ready(Ok(identity)))
    }
}

/// Serves on loopback until the runtime ends, and tells where.
pub async fn serve(server: heddle_xds_server::Server) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = http2(tonic::transport::Server::builder()).add_routes(server.into_routes());
    // As the control plane's own accept loop does: what is accepted here is none of `http2`'s, and Nagle's algorithm would hold small
    // responses back until a delayed acknowledgement comes, 40 ms later.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(router.serve_with_incoming(incoming));
    Ok(address)
}

/// A running server. It ends with the test's runtime.
#[derive(Debug)]
pub struct Heddle {
    /// The server itself.
    pub server: heddle_xds_server::Server,
    snapshots: watch::Sender<Arc<Snapshot>>,
    address: SocketAddr,
}

impl Heddle {
    /// Starts one with the settings of use.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(Settings::default()).await
    }

    /// Starts one.
    pub async fn with(settings: Settings) -> anyhow::Result<Self> {
        let (snapshots, newest) = watch::channel(Arc::new(snapshot(&World::default())));
        let server = heddle_xds_server::Server::new(newest, TokenIsNode, settings);
        let address = serve(server.clone()).await?;
        Ok(Self {
            server,
            snapshots,
            address,
        })
    }
}

impl Server for Heddle {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn set<'a>(&'a self, world: &'a World) -> BoxFuture<'a, anyhow::Result<()>> {
        self.snapshots.send_replace(Arc::new(snapshot(world)));
        Box::pin(std::future::ready(Ok(())))
    }

    fn heartbeats(&self) -> Option<Duration> {
        None
    }
}

/// A message that is encoded already.
#[derive(Debug, Default)]
struct Encoded(Vec<u8>);

impl Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

fn snapshot(world: &World) -> Snapshot {
    let mut types: BTreeMap<_, BTreeMap<Arc<str>, Arc<Resource>>> = BTreeMap::new();
    for (type_url, name, any, _) in world.resources() {
        let message = Encoded(any.value);
        let resource = Resource::new(type_url, name, Scope::Nodes, Vec::new(), &message);
        types
            .entry(type_url)
            .or_default()
            .insert(Arc::clone(&resource.name), Arc::new(resource));
    }
    let types = types.into_iter();
    Snapshot {
        types: types
            .map(|(type_url, resources)| (type_url, Arc::new(resources)))
            .collect(),
        ..Snapshot::default()
    }
}
