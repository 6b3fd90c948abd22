//! What the tests share.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::future::LocalBoxFuture;
use heddle_config::{
    ClusterName, NetworkPolicy, OutboundListener, OutboundProtocol, PodConfig, PodName, PodUid,
    ProxyConfig,
};
use heddle_filters::{Body, Failure, Forward, LocalExecutor, boxed};
use heddle_identity::SpiffeId;
use heddle_redirect::Netns;
use heddle_routing::{
    Action, Domain, HeaderOps, PathMatcher, Route, RouteMatch, RouteTable, VirtualHost,
    WeightedCluster, WeightedClusters,
    policy::{Permission, Policy, Principal, Rbac, RbacAction},
};
use heddle_telemetry::{Metrics, ResponseFlag};
use heddle_upstream::{Answer, Connected, Destination, Target};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::LocalSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    ConnectionInfo, DataPath, PodContext, Settings, accept::Drain, application::LastLeg, dial::Dial,
};

pub(super) const OWN: &str = "spiffe://cluster.local/ns/shop/sa/cart";
pub(super) const PEER: &str = "spiffe://cluster.local/ns/shop/sa/web";
pub(super) const SERVICE: &str = "10.96.0.7:80";
pub(super) const POD: &str = "10.1.0.9";
pub(super) const CLIENT: &str = "10.1.0.5:40000";

pub(super) fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

pub(super) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Runs a test as a worker does.
pub(super) async fn worker<F: Future>(test: F) -> F::Output {
    LocalSet::new().run_until(test).await
}

pub(super) struct World {
    pub(super) path: DataPath,
    pub(super) pod: PodContext,
    pub(super) drain: Drain,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let pod = pod_config();
        let mut config = ProxyConfig::default();
        config.pods.insert(pod.name.clone(), Arc::new(pod.clone()));
        config.routes.insert("r".into(), Arc::new(one_route()));
        let config = Arc::new(ArcSwap::from_pointee(config));
        let netns = Netns::current().unwrap();
        Self {
            pod: PodContext::new(pod.name, pod.uid, netns, &settings),
            path: DataPath::new(config, Arc::new(Metrics::default()), Arc::new(settings)),
            drain: Drain::new(CancellationToken::new()),
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut ProxyConfig)) {
        let mut config = ProxyConfig::clone(&self.path.config.load());
        change(&mut config);
        self.path.config.store(Arc::new(config));
    }

    pub(super) fn change_pod(&self, change: impl FnOnce(&mut PodConfig)) {
        self.change(|config| {
            let pod = config.pods.get_mut(&self.pod.name).unwrap();
            change(Arc::make_mut(pod));
        });
    }

    /// A Service at [`SERVICE`].
    pub(super) fn service(&self, protocol: OutboundProtocol) {
        self.change(|config| {
            let listener = OutboundListener {
                name: "shop/cart:80".into(),
                client_namespace: None,
                addresses: vec![at(SERVICE)],
                protocol,
            };
            config.outbound.insert(at(SERVICE), Arc::new(listener));
        });
    }

    pub(super) fn http_service(&self) {
        self.service(OutboundProtocol::Http { routes: "r".into() });
    }

    pub(super) fn opaque_service(&self) {
        self.service(OutboundProtocol::Opaque {
            cluster: "shop/cart:80".into(),
        });
    }

    pub(super) fn detected_service(&self) {
        self.service(OutboundProtocol::Detect {
            routes: "r".into(),
            cluster: "shop/cart:80".into(),
        });
    }

    /// The pod opens a connection.
    pub(super) fn open(&self, destination: &str, upstream: &Upstream) -> DuplexStream {
        let (client, server) = tokio::io::duplex(256 * 1024);
        let info = ConnectionInfo::new(at("10.1.0.9:50000"), at(destination));
        let (pod, path, drain) = (self.pod.clone(), self.path.clone(), self.drain.clone());
        let upstream = upstream.clone();
        self.drain.spawn(async move {
            crate::outbound::take(server, info, &pod, &path, &drain, |_| upstream).await;
        });
        client
    }

    /// Somebody opens a plain text connection to the pod.
    pub(super) fn arrive(&self, from: &str, to: &str, application: &App) -> DuplexStream {
        let (client, server) = tokio::io::duplex(256 * 1024);
        let info = ConnectionInfo::new(at(from), at(to));
        let (pod, path, drain) = (self.pod.clone(), self.path.clone(), self.drain.clone());
        let application = application.clone();
        self.drain.spawn(async move {
            crate::inbound::take(server, info, &pod, &path, &drain, application).await;
        });
        client
    }

    /// Whether the metrics have a line that begins with `name` and has all of `parts`.
    pub(super) fn counted(&self, name: &str, parts: &[&str]) -> bool {
        self.path
            .metrics
            .encode()
            .lines()
            .any(|line| line.starts_with(name) && parts.iter().all(|part| line.contains(part)))
    }

    pub(super) fn failed(&self, flag: ResponseFlag) -> bool {
        let flag = format!("flag=\"{flag}\"");
        self.counted("heddle_tcp_connections_failed_total{", &[&flag])
    }

    pub(super) fn closed(&self, flag: &str) -> bool {
        let flag = format!("flag=\"{flag}\"");
        self.counted("heddle_tcp_connections_closed_total{", &[&flag])
    }
}

pub(super) fn pod_config() -> PodConfig {
    PodConfig {
        name: PodName {
            namespace: "shop".parse().unwrap(),
            name: "cart-1".into(),
        },
        uid: PodUid("uid-1".into()),
        identity: id(OWN),
        addresses: vec![POD.parse().unwrap()],
        permissive: true,
        ingress: NetworkPolicy::Open,
        egress: NetworkPolicy::Open,
        authorization: None,
        http_ports: BTreeMap::new(),
    }
}

fn one_route() -> RouteTable {
    let cluster = WeightedCluster {
        cluster: Some("shop/cart:80".into()),
        weight: 1,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    };
    let route = Route {
        name: "all".into(),
        origin: None,
        matches: RouteMatch {
            path: PathMatcher::Prefix("/".into()),
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: Action::Forward(Arc::new(heddle_routing::Forward {
            clusters: WeightedClusters::new(vec![cluster]).unwrap(),
            path_rewrite: None,
            host_rewrite: None,
            timeout: None,
            retry: None,
        })),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    };
    RouteTable {
        name: "r".into(),
        virtual_hosts: vec![VirtualHost {
            name: "all".into(),
            domains: vec![Domain::Any],
            routes: vec![Arc::new(route)].into(),
        }]
        .into(),
    }
}

/// NetworkPolicy that allows only this port.
pub(super) fn only_port(port: u16) -> NetworkPolicy {
    NetworkPolicy::Isolated {
        by: vec!["NetworkPolicy shop/cart".into()],
        rules: Arc::new(rbac(
            Permission::DestinationPorts(port, port),
            Principal::Any,
            "NetworkPolicy shop/cart ingress rule 0",
        )),
    }
}

pub(super) fn rbac(permission: Permission, principal: Principal, name: &str) -> Rbac {
    Rbac {
        action: RbacAction::Allow,
        policies: vec![Policy {
            name: name.into(),
            permissions: vec![permission],
            principals: vec![principal],
        }],
    }
}

type OnRequest =
    Rc<dyn Fn(Request<Body>) -> LocalBoxFuture<'static, Result<Response<Body>, Failure>>>;
type OnDial = Rc<dyn Fn(Destination) -> LocalBoxFuture<'static, Result<DuplexStream, Failure>>>;

/// An upstream that does what it is told.
#[derive(Clone)]
pub(super) struct Upstream {
    on_request: OnRequest,
    on_dial: OnDial,
    pub(super) requests: Rc<Cell<usize>>,
    pub(super) dialled: Rc<RefCell<Vec<Destination>>>,
}

impl Upstream {
    /// Nobody is there.
    pub(super) fn absent() -> Self {
        let gone = || Failure::new(ResponseFlag::ConnectFailure, "nobody is there");
        Self {
            on_request: Rc::new(move |_| Box::pin(async move { Err(gone()) })),
            on_dial: Rc::new(move |_| Box::pin(async move { Err(gone()) })),
            requests: Rc::default(),
            dialled: Rc::default(),
        }
    }

    pub(super) fn requests<F, R>(mut self, answer: F) -> Self
    where
        F: Fn(Request<Body>) -> R + 'static,
        R: Future<Output = Response<Body>> + 'static,
    {
        self.on_request = Rc::new(move |request| {
            let answer = answer(request);
            Box::pin(async move { Ok(answer.await) })
        });
        self
    }

    /// Each connection is handled by this; what it returns is dropped.
    pub(super) fn connections<F, R>(mut self, handle: F) -> Self
    where
        F: Fn(DuplexStream) -> R + 'static,
        R: Future<Output = ()> + 'static,
    {
        self.on_dial = Rc::new(move |_| {
            let (client, server) = tokio::io::duplex(64 * 1024);
            tokio::task::spawn_local(handle(server));
            Box::pin(async move { Ok(client) })
        });
        self
    }

    /// As [`Self::connections`], but it takes this long to connect.
    pub(super) fn slowly(mut self, pause: Duration) -> Self {
        let dial = self.on_dial;
        self.on_dial = Rc::new(move |to| {
            let dialling = dial(to);
            Box::pin(async move {
                tokio::time::sleep(pause).await;
                dialling.await
            })
        });
        self
    }
}

pub(super) fn target() -> Target {
    Target {
        address: at("10.1.0.77:8080"),
        workload: None,
        tls: None,
        mtls: true,
    }
}

impl Forward for Upstream {
    async fn send(&self, _: &ClusterName, request: Box<Request<Body>>) -> Result<Answer, Failure> {
        self.requests.set(self.requests.get() + 1);
        (self.on_request)(*request).await.map(|response| Answer {
            response,
            target: target(),
        })
    }
}

impl Dial for Upstream {
    async fn dial(&self, to: Destination) -> Result<Connected, Failure> {
        self.dialled.borrow_mut().push(to.clone());
        Ok(Connected {
            io: Box::new((self.on_dial)(to).await?),
            target: target(),
        })
    }
}

type OnConnect = Rc<dyn Fn(DuplexStream) -> LocalBoxFuture<'static, ()>>;

/// An application in memory.
#[derive(Clone)]
pub(super) struct App {
    handle: Option<OnConnect>,
    /// Whom it saw.
    pub(super) seen: Rc<RefCell<Vec<(SocketAddr, SocketAddr)>>>,
}

impl App {
    pub(super) fn absent() -> Self {
        Self {
            handle: None,
            seen: Rc::default(),
        }
    }

    /// Repeats what it hears.
    pub(super) fn parrot() -> Self {
        Self::new(|io| async move {
            let (mut reader, mut writer) = tokio::io::split(io);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        })
    }

    /// Answers each request with its version, method and path.
    pub(super) fn http() -> Self {
        Self::new(serve_http)
    }

    pub(super) fn new<F, R>(handle: F) -> Self
    where
        F: Fn(DuplexStream) -> R + 'static,
        R: Future<Output = ()> + 'static,
    {
        Self {
            handle: Some(Rc::new(move |io| Box::pin(handle(io)))),
            seen: Rc::default(),
        }
    }
}

impl LastLeg for App {
    type Io = DuplexStream;

    async fn connect(
        &self,
        destination: SocketAddr,
        client: SocketAddr,
    ) -> std::io::Result<DuplexStream> {
        self.seen.borrow_mut().push((destination, client));
        let Some(handle) = &self.handle else {
            return Err(std::io::ErrorKind::ConnectionRefused.into());
        };
        let (client, server) = tokio::io::duplex(64 * 1024);
        tokio::task::spawn_local(handle(server));
        Ok(client)
    }
}

/// An HTTP server of either version.
pub(super) async fn serve_http(io: DuplexStream) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let said = format!(
            "{:?} {} {}",
            request.version(),
            request.method(),
            request.uri().path()
        );
        Ok::<_, Infallible>(Response::new(heddle_filters::text(said)))
    });
    let builder = hyper_util::server::conn::auto::Builder::new(LocalExecutor);
    let _ = builder.serve_connection(TokioIo::new(io), service).await;
}

/// Answers each request with its version, method and path.
pub(super) fn http_upstream() -> Upstream {
    Upstream::absent().requests(|request| async move {
        let said = format!(
            "{:?} {} {}",
            request.version(),
            request.method(),
            request.uri().path()
        );
        Response::new(heddle_filters::text(said))
    })
}

/// Writes bytes and an end, then reads until the end.
pub(super) async fn exchange(mut io: DuplexStream, bytes: &[u8]) -> String {
    // The other side may have refused before all of it is written.
    let _ = io.write_all(bytes).await;
    let _ = io.shutdown().await;
    rest(io).await
}

pub(super) async fn rest(mut io: DuplexStream) -> String {
    let mut all = Vec::new();
    io.read_to_end(&mut all).await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads exactly as many bytes as these and compares.
pub(super) async fn expect(io: &mut DuplexStream, bytes: &[u8]) {
    let mut heard = vec![0; bytes.len()];
    io.read_exact(&mut heard).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&heard),
        String::from_utf8_lossy(bytes)
    );
}

pub(super) type Http1 = hyper::client::conn::http1::SendRequest<Body>;
pub(super) type Http2 = hyper::client::conn::http2::SendRequest<Body>;

pub(super) async fn http1(io: DuplexStream) -> Http1 {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .unwrap();
    tokio::task::spawn_local(connection.with_upgrades());
    sender
}

pub(super) async fn http2(io: DuplexStream) -> Http2 {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(LocalExecutor, TokioIo::new(io))
            .await
            .unwrap();
    tokio::task::spawn_local(connection);
    sender
}

pub(super) fn get(uri: &str) -> Request<Body> {
    Request::get(uri)
        .header("host", "cart")
        .body(heddle_filters::empty())
        .unwrap()
}

pub(super) async fn text_of(response: Response<Incoming>) -> String {
    let body = http_body_util::BodyExt::collect(boxed(response.into_body()))
        .await
        .unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}
