use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use heddle_proto::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            Resource,
            aggregated_discovery_service_server::{
                AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
            },
        },
    },
    google::protobuf::Any,
    type_url,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status as GrpcStatus, Streaming, transport::Channel};

use crate::{
    Client, ClientSettings, Connect, ConnectError, Handler, Refusal, Subscription, TypeUpdate,
    client::BoxFuture, session::Session,
};

/// Keeps versions; refuses what is called `bad`; wants the endpoints of every cluster that it holds.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<HashMap<(String, String), String>>>);

impl Store {
    fn names(&self, type_url: &str) -> BTreeSet<String> {
        let held = self.0.lock().unwrap();
        let names = held.keys().filter(|(kind, _)| kind == type_url);
        names.map(|(_, name)| name.clone()).collect()
    }
}

impl Handler for Store {
    fn apply(&mut self, update: TypeUpdate) -> Vec<Refusal> {
        let mut held = self.0.lock().unwrap();
        for name in update.removed {
            held.remove(&(update.type_url.clone(), name));
        }
        let mut refusals = Vec::new();
        for resource in update.resources {
            if resource.name.starts_with("bad") {
                let message = "no good\nat all".into();
                refusals.push(Refusal {
                    name: resource.name,
                    message,
                });
            } else {
                held.insert((update.type_url.clone(), resource.name), resource.version);
            }
        }
        refusals
    }

    fn subscriptions(&self) -> Vec<(&'static str, Subscription)> {
        let clusters = self.names(type_url::CLUSTER);
        vec![
            (type_url::CLUSTER, Subscription::All),
            (
                type_url::CLUSTER_LOAD_ASSIGNMENT,
                Subscription::Names(clusters),
            ),
        ]
    }

    fn versions(&self, wanted: &str) -> HashMap<String, String> {
        let held = self.0.lock().unwrap();
        let of_type = held.iter().filter(|((kind, _), _)| kind == wanted);
        of_type
            .map(|((_, name), version)| (name.clone(), version.clone()))
            .collect()
    }
}

fn response(
    kind: &str,
    nonce: &str,
    names: &[(&str, &str)],
    removed: &[&str],
) -> DeltaDiscoveryResponse {
    let resources = names.iter().map(|(name, version)| Resource {
        name: (*name).into(),
        version: (*version).into(),
        resource: Some(Any {
            type_url: kind.into(),
            value: Vec::new(),
        }),
        ..Resource::default()
    });
    DeltaDiscoveryResponse {
        type_url: kind.into(),
        nonce: nonce.into(),
        resources: resources.collect(),
        removed_resources: removed.iter().map(ToString::to_string).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}

fn node() -> Node {
    Node {
        id: "node-a".into(),
        ..Node::default()
    }
}

#[test]
fn the_first_request_alone_carries_the_node_and_nothing_is_asked_for_by_accident() {
    let (mut session, store) = (Session::new(node()), Store::default());
    let requests = session.subscribe(&store);
    // No clusters yet: asking for endpoints with an empty list would mean all endpoints.
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].resource_names_subscribe, ["*"]);
    assert_eq!(requests[0].node.as_ref().unwrap().id, "node-a");
    assert!(session.subscribe(&store).is_empty());
}

#[test]
fn subscriptions_follow_what_is_referred_to() {
    let (mut session, mut store) = (Session::new(node()), Store::default());
    session.subscribe(&store);
    let two = response(type_url::CLUSTER, "1", &[("a", "1"), ("b", "1")], &[]);
    let (answer, refusals) = session.answer(two, &mut store);
    assert!(refusals.is_empty() && answer.error_detail.is_none());
    assert_eq!((answer.response_nonce.as_str(), answer.node), ("1", None));
    assert_eq!(
        session.subscribe(&store)[0].resource_names_subscribe,
        ["a", "b"]
    );
    session.answer(
        response(type_url::CLUSTER, "2", &[("c", "1")], &["a"]),
        &mut store,
    );
    let requests = session.subscribe(&store);
    assert_eq!(requests[0].resource_names_subscribe, ["c"]);
    assert_eq!(requests[0].resource_names_unsubscribe, ["a"]);
}

#[test]
fn only_the_bad_resource_is_refused_and_named() {
    let (mut session, mut store) = (Session::new(node()), Store::default());
    session.subscribe(&store);
    let mixed = response(type_url::CLUSTER, "1", &[("good", "1"), ("bad", "1")], &[]);
    let (answer, refusals) = session.answer(mixed, &mut store);
    assert_eq!(refusals.len(), 1);
    let detail = answer.error_detail.unwrap();
    assert_eq!(
        (detail.code, detail.message.as_str()),
        (3, "bad: no good at all")
    );
    assert_eq!(
        store.names(type_url::CLUSTER),
        BTreeSet::from(["good".to_owned()])
    );
}

#[test]
fn a_type_that_nobody_asked_for_is_refused_and_harms_nothing() {
    let (mut session, mut store) = (Session::new(node()), Store::default());
    session.subscribe(&store);
    let (answer, _) = session.answer(
        response("type.googleapis.com/x.Y", "1", &[("a", "1")], &[]),
        &mut store,
    );
    assert!(
        answer
            .error_detail
            .unwrap()
            .message
            .contains("x.Y was not asked for")
    );
    assert!(store.names("type.googleapis.com/x.Y").is_empty());
}

#[test]
fn a_new_stream_tells_what_is_held() {
    let mut store = Store::default();
    let mut session = Session::new(node());
    session.subscribe(&store);
    session.answer(
        response(type_url::CLUSTER, "1", &[("a", "v7"), ("bad", "v1")], &[]),
        &mut store,
    );
    let requests = Session::new(node()).subscribe(&store);
    assert_eq!(
        requests[0].initial_resource_versions,
        HashMap::from([("a".into(), "v7".into())])
    );
}

/// A control plane that follows a script: for each stream, what to send; then it ends the stream.
struct Scripted {
    scripts: Mutex<Vec<Vec<DeltaDiscoveryResponse>>>,
    seen: mpsc::UnboundedSender<(usize, DeltaDiscoveryRequest)>,
    tokens: Mutex<Vec<String>>,
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Scripted {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, GrpcStatus>>;
    type DeltaAggregatedResourcesStream =
        ReceiverStream<Result<DeltaDiscoveryResponse, GrpcStatus>>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, GrpcStatus> {
        Err(GrpcStatus::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, GrpcStatus> {
        let token = request
            .metadata()
            .get("authorization")
            .map(|v| v.to_str().unwrap().to_owned());
        let stream = {
            let mut tokens = self.tokens.lock().unwrap();
            tokens.push(token.unwrap_or_default());
            tokens.len() - 1
        };
        let script = {
            let mut scripts = self.scripts.lock().unwrap();
            if scripts.is_empty() {
                return Err(GrpcStatus::unavailable("the script is over"));
            }
            scripts.remove(0)
        };
        let (sender, receiver) = mpsc::channel(16);
        let (seen, mut requests) = (self.seen.clone(), request.into_inner());
        tokio::spawn(async move {
            for response in script {
                // Each response waits for a request, so that the order is always the same.
                let Ok(Some(request)) = requests.message().await else {
                    return;
                };
                seen.send((stream, request)).unwrap();
                if sender.send(Ok(response)).await.is_err() {
                    return;
                }
            }
            if let Ok(Some(request)) = requests.message().await {
                seen.send((stream, request)).unwrap();
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

struct Plain(SocketAddr);

impl Connect for Plain {
    fn connect(&self) -> BoxFuture<'_, Result<Channel, ConnectError>> {
        Box::pin(async move {
            let endpoint = Channel::from_shared(format!("http://{}", self.0)).unwrap();
            Ok(endpoint.connect().await?)
        })
    }

    fn token(&self) -> Result<Option<String>, ConnectError> {
        Ok(Some("secret".into()))
    }
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_with_what_is_held() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let scripted = Arc::new(Scripted {
        scripts: Mutex::new(vec![
            vec![response(
                type_url::CLUSTER,
                "1",
                &[("a", "v1"), ("bad", "v1")],
                &[],
            )],
            vec![response(type_url::CLUSTER, "1", &[("a", "v2")], &[])],
        ]),
        seen,
        tokens: Mutex::default(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = AggregatedDiscoveryServiceServer::from_arc(Arc::clone(&scripted));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let settings = ClientSettings {
        min_backoff: Duration::from_millis(1),
        ..ClientSettings::default()
    };
    let client = Client::new(Box::new(Plain(address)), node(), settings);
    let (status, store, shutdown) = (client.status(), Store::default(), CancellationToken::new());
    let running = tokio::spawn(client.run(store.clone(), shutdown.clone()));
    let mut next = async || requests.recv().await.unwrap();
    let (stream, first) = next().await;
    assert_eq!(
        (stream, first.resource_names_subscribe.as_slice()),
        (0, ["*".to_owned()].as_slice())
    );
    let (_, refusal) = next().await;
    assert!(refusal.error_detail.unwrap().message.starts_with("bad: "));
    let (stream, again) = next().await;
    assert_eq!(stream, 1);
    assert_eq!(
        again.initial_resource_versions,
        HashMap::from([("a".into(), "v1".into())])
    );
    // The endpoints of `a` are asked for at once, since it is held.
    let (_, endpoints) = next().await;
    assert_eq!(endpoints.resource_names_subscribe, ["a"]);
    // A control plane that refuses every further stream takes nothing away.
    while status
        .last_error()
        .is_none_or(|error| !error.contains("script is over"))
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        store.names(type_url::CLUSTER),
        BTreeSet::from(["a".to_owned()])
    );
    assert!(
        scripted
            .tokens
            .lock()
            .unwrap()
            .iter()
            .all(|token| token == "Bearer secret")
    );
    shutdown.cancel();
    running.await.unwrap();
}
