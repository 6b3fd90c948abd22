//! A server on loopback, and Envoy's own client types to talk to it.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{Stream, StreamExt};
use heddle_proto::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
        },
    },
    google::{
        protobuf::{Any, Struct, Value, value::Kind},
        rpc,
    },
};
use heddle_snapshot::{Resource, Scope, Snapshot, TypeUrl};
use heddle_xds_server::{
    BootstrapTokens, ConnectionLimits, Connections, Notice, Server, Settings, http2,
    server::Watched,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Status, Streaming,
    transport::{Channel, Endpoint, server::TcpConnectInfo},
};

pub(crate) const TOKENS: &str = "
tokens:
- {node: node-a, token: secret-a}
- {node: node-b, token: secret-b}
- {node: node-old, token: secret-old, expires: 2001-01-01T00:00:00Z}
";

/// Only a guard against hanging: no test depends on how long anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(crate) address: SocketAddr,
    pub(crate) connections: Connections,
    pub(crate) tokens: tempfile::NamedTempFile,
    pub(crate) notices: Arc<Mutex<Vec<Notice>>>,
}

impl Running {
    pub(crate) async fn start(settings: Settings, first: Arc<Snapshot>) -> Self {
        Self::bounded(settings, first, ConnectionLimits::default()).await
    }

    pub(crate) async fn bounded(
        settings: Settings,
        first: Arc<Snapshot>,
        limits: ConnectionLimits,
    ) -> Self {
        let tokens = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(tokens.path(), TOKENS).unwrap();
        let (snapshots, newest) = watch::channel(first);
        let auth = BootstrapTokens::open(tokens.path()).unwrap();
        let notices = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&notices);
        let server = Server::with_observer(newest, auth, settings, move |notice| {
            noted.lock().unwrap().push(notice)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Connections::new(limits);
        let router = http2(tonic::transport::Server::builder())
            .layer(Connections::layer::<_, TcpConnectInfo>())
            .add_routes(server.clone().into_routes());
        tokio::spawn(router.serve_with_incoming(accept(listener, connections.clone())));
        Self {
            server,
            snapshots,
            address,
            connections,
            tokens,
            notices,
        }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// Opens a delta stream with this token; the node is told with the first request.
    pub(crate) async fn open(&self, token: Option<&str>) -> Result<Client, Status> {
        self.open_on(self.channel().await, token).await
    }

    /// The same on a connection that there is.
    pub(crate) async fn open_on(
        &self,
        channel: Channel,
        token: Option<&str>,
    ) -> Result<Client, Status> {
        let (requests, stream) = mpsc::channel(64);
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let mut request = Request::new(ReceiverStream::new(stream));
        if let Some(token) = token {
            let header = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", header);
        }
        let responses = client
            .delta_aggregated_resources(request)
            .await?
            .into_inner();
        Ok(Client {
            requests,
            responses,
        })
    }

    /// A client that is known to the server.
    pub(crate) async fn client(&self, node: &str) -> Client {
        let token = node.replace("node-", "secret-");
        self.open(Some(&token)).await.unwrap()
    }

    /// Comes back when the condition holds for the server's list of clients.
    pub(crate) async fn until(
        &self,
        condition: impl Fn(&[heddle_xds_server::ClientState]) -> bool,
    ) {
        let wait = async {
            while !condition(&self.server.clients()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the clients never got there");
    }
}

/// Accepted connections, as far as there is room.
fn accept(
    listener: TcpListener,
    connections: Connections,
) -> impl Stream<Item = std::io::Result<Watched<TcpStream>>> {
    TcpListenerStream::new(listener).filter_map(move |accepted| {
        let watched = accepted.and_then(|stream| {
            let place = connections.admit(stream.peer_addr()?.ip());
            Ok(place.ok().map(|place| place.watch(stream)))
        });
        std::future::ready(watched.transpose())
    })
}

/// Comes back when the condition holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    until_async(async || condition()).await;
}

/// The same for a condition that takes time.
pub(crate) async fn until_async(condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await;
    in_time.expect("it never came to that");
}

pub(crate) struct Client {
    pub(crate) requests: mpsc::Sender<DeltaDiscoveryRequest>,
    pub(crate) responses: Streaming<DeltaDiscoveryResponse>,
}

impl Client {
    pub(crate) async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    /// First request of the stream.
    pub(crate) async fn hello(&self, node: &str, type_url: &str) {
        self.send(DeltaDiscoveryRequest {
            node: Some(node_of(node)),
            ..wildcard(type_url)
        })
        .await;
    }

    pub(crate) async fn receive(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        let message = tokio::time::timeout(PATIENCE, self.responses.message())
            .await
            .expect("no response");
        message.map(|response| response.expect("the stream ended without a status"))
    }

    pub(crate) async fn error(&mut self) -> Status {
        self.receive().await.expect_err("an error was expected")
    }

    pub(crate) async fn answer(&self, response: &DeltaDiscoveryResponse, error: Option<&str>) {
        self.send(DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail: error.map(|message| rpc::Status {
                code: 3,
                message: message.to_owned(),
                details: vec![],
            }),
            ..Default::default()
        })
        .await;
    }

    /// Receives and accepts: `TYPE` (last word) and names, removed ones with a minus.
    pub(crate) async fn take(&mut self) -> String {
        let response = self.receive().await.unwrap();
        self.answer(&response, None).await;
        show(&response)
    }
}

pub(crate) fn show(response: &DeltaDiscoveryResponse) -> String {
    let mut words = vec![response.type_url.rsplit('.').next().unwrap().to_owned()];
    words.extend(
        response
            .resources
            .iter()
            .map(|resource| resource.name.clone()),
    );
    words.extend(
        response
            .removed_resources
            .iter()
            .map(|name| format!("-{name}")),
    );
    words.join(" ")
}

pub(crate) fn node_of(id: &str) -> Node {
    let role = Value {
        kind: Some(Kind::StringValue("node".to_owned())),
    };
    Node {
        id: id.to_owned(),
        metadata: Some(Struct {
            fields: HashMap::from([("role".to_owned(), role)])
                .into_iter()
                .collect(),
        }),
        ..Node::default()
    }
}

pub(crate) fn wildcard(type_url: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: type_url.to_owned(),
        resource_names_subscribe: vec!["*".to_owned()],
        ..Default::default()
    }
}

/// `(type, [(name, content)])`, all for every node.
pub(crate) fn snapshot(types: &[(TypeUrl, &[(&str, &str)])]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for (type_url, resources) in types {
        let all: BTreeMap<_, _> = resources
            .iter()
            .map(|(name, content)| {
                let message = Any {
                    type_url: (*content).to_owned(),
                    value: Vec::new(),
                };
                let resource = Resource::new(type_url, *name, Scope::Nodes, vec![], &message);
                (Arc::clone(&resource.name), Arc::new(resource))
            })
            .collect();
        snapshot.types.insert(type_url, Arc::new(all));
    }
    Arc::new(snapshot)
}
