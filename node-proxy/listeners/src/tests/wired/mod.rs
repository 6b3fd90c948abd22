//! Everything together: two pods, the real upstream, real sockets on loopback, mutual TLS between.

mod bad;
mod good;

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use heddle_config::{
    BoundListener, BoundProtocol, Cluster, ClusterKind, Endpoint, EndpointHealth, EndpointSet,
    InboundHttp, OutboundListener, OutboundProtocol, PodConfig, PodName, PodUid, ProxyConfig,
    SharedConfig, Tunnel, UpstreamHttp, Workload,
};
use heddle_redirect::Netns;
use heddle_telemetry::Metrics;
use heddle_upstream::{Upstream, UpstreamSettings};
use http::Request;
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::{JoinHandle, spawn_local},
};
use tokio_util::sync::CancellationToken;

use super::{
    mtls::Authority,
    world::{self, OWN, PEER, id, pod_config},
};
use crate::{
    BoundContext, PodContext, Settings, Worker, serve_bound, serve_inbound, serve_mtls,
    serve_outbound,
};

/// A loopback address that no other test of this process uses.
fn own_address() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    IpAddr::from([127, 78, n[2], n[3]])
}

fn listen(address: IpAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The pods `web-1`, who calls, and `cart-1`, who answers, with all that stands between them.
struct Mesh {
    /// The Service's address: the pod's outbound loop listens right there.
    service: SocketAddr,
    gateway: SocketAddr,
    /// Where `cart-1` takes mutual TLS, and where plain text: it is strict.
    mtls: SocketAddr,
    plain: SocketAddr,
    /// The application of `cart-1`.
    app: SocketAddr,
    authority: Arc<Authority>,
    config: SharedConfig,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    loops: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Mesh {
    /// With an application that listens on an address of the pod's.
    async fn new(http: bool, handle: fn(TcpStream) -> JoinHandle<()>) -> Self {
        // At the end of a test nobody waits for requests on idle connections.
        let settings = Settings {
            linger: Duration::ZERO,
            ..Settings::default()
        };
        Self::with(http, handle, settings).await
    }

    async fn with(http: bool, handle: fn(TcpStream) -> JoinHandle<()>, settings: Settings) -> Self {
        let pod = own_address();
        let (app, app_address) = listen(pod);
        let app = tokio::net::TcpListener::from_std(app).unwrap();
        spawn_local(async move {
            while let Ok((stream, _)) = app.accept().await {
                handle(stream);
            }
        });
        let (mtls, mtls_address) = listen(pod);
        let (inbound, plain) = listen(pod);
        let (outbound, service) = listen(own_address());
        let (door, gateway) = listen(own_address());
        let config = configuration(service, gateway, app_address, http);
        let config: SharedConfig = Arc::new(ArcSwap::from_pointee(config));

        let settings = Arc::new(settings);
        let metrics = Arc::<Metrics>::default();
        let authority = Authority::new();
        let certificates = authority.certificates(&[OWN, PEER], &authority);
        let upstream_settings = UpstreamSettings {
            hbone_port: mtls_address.port(),
            ..UpstreamSettings::default()
        };
        let upstream = Upstream::new(
            Arc::clone(&config),
            certificates.clone(),
            Arc::clone(&metrics),
            upstream_settings,
        );
        let worker = Worker::new(
            Arc::clone(&config),
            upstream,
            certificates,
            Arc::clone(&metrics),
            Arc::clone(&settings),
        );
        let shutdown = CancellationToken::new();
        let context = |pod: &PodConfig| {
            let netns = Netns::current().unwrap();
            PodContext::new(pod.name.clone(), pod.uid.clone(), netns, &settings)
        };
        let door_of = BoundContext::new(
            "gateway/infra/web/http".into(),
            Netns::current().unwrap(),
            id(PEER),
            "infra".parse().unwrap(),
            &settings,
        );
        let stop = || shutdown.clone();
        let loops = vec![
            spawn_local(serve_outbound(
                outbound,
                context(&caller()),
                worker.clone(),
                stop(),
            )),
            spawn_local(serve_inbound(
                inbound,
                context(&pod_config()),
                worker.clone(),
                stop(),
            )),
            spawn_local(serve_mtls(
                mtls,
                context(&pod_config()),
                worker.clone(),
                stop(),
            )),
            spawn_local(serve_bound(door, door_of, worker, stop())),
        ];
        Self {
            service,
            gateway,
            mtls: mtls_address,
            plain,
            app: app_address,
            authority,
            config,
            metrics,
            shutdown,
            loops,
        }
    }

    async fn stop(self) -> Arc<Metrics> {
        self.shutdown.cancel();
        for serving in self.loops {
            serving.await.unwrap().unwrap();
        }
        drop(self.config);
        self.metrics
    }
}

fn caller() -> PodConfig {
    PodConfig {
        name: PodName {
            namespace: "shop".parse().unwrap(),
            name: "web-1".into(),
        },
        uid: PodUid("uid-web".into()),
        identity: id(PEER),
        addresses: vec![own_address()],
        ..pod_config()
    }
}

fn configuration(
    service: SocketAddr,
    gateway: SocketAddr,
    app: SocketAddr,
    http: bool,
) -> ProxyConfig {
    let mut config = world::World::new().path.config.load_full().as_ref().clone();
    let mut callee = pod_config();
    callee.addresses = vec![app.ip()];
    callee.permissive = false;
    if http {
        let told = InboundHttp {
            forward_identity: true,
        };
        callee.http_ports.insert(app.port(), told);
    }
    let workload = Workload {
        name: callee.name.clone(),
        uid: callee.uid.clone(),
        addresses: vec![app.ip()],
        identity: id(OWN),
        node: "a".into(),
        zone: "".into(),
        tunnel: Tunnel::Hbone,
        host_network: false,
        owner: "cart".into(),
        app: "cart".into(),
        version: "".into(),
    };
    config
        .workloads
        .by_address
        .insert(app.ip(), Arc::new(workload));
    for pod in [callee, caller()] {
        config.pods.insert(pod.name.clone(), Arc::new(pod));
    }
    let name: Arc<str> = "shop/cart:80".into();
    let cluster = Cluster {
        name: Arc::clone(&name),
        kind: ClusterKind::Eds(Arc::clone(&name)),
        http: UpstreamHttp::AsClient,
        connect_timeout: Duration::from_secs(5),
        tls: heddle_config::ClusterTls::None,
    };
    config.clusters.insert(Arc::clone(&name), Arc::new(cluster));
    let endpoint = Endpoint {
        address: app,
        health: EndpointHealth::Healthy,
        hostname: None,
        weight: 1,
    };
    let endpoints = EndpointSet {
        endpoints: vec![endpoint],
    };
    config
        .endpoints
        .insert(Arc::clone(&name), Arc::new(endpoints));
    let routes: Arc<str> = "r".into();
    let outbound = OutboundListener {
        name: Arc::clone(&name),
        client_namespace: None,
        addresses: vec![service],
        protocol: OutboundProtocol::Detect {
            routes: Arc::clone(&routes),
            cluster: name,
        },
    };
    config.outbound.insert(service, Arc::new(outbound));
    let listener = BoundListener {
        name: "gateway/infra/web/http".into(),
        address: gateway,
        protocol: BoundProtocol::Http { routes },
        tls: None,
        is_gateways: true,
    };
    config
        .bound
        .insert(Arc::clone(&listener.name), Arc::new(listener));
    config
}

fn http_app(stream: TcpStream) -> JoinHandle<()> {
    use std::convert::Infallible;
    let service =
        hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
            let headers = request.headers();
            let told = headers
                .get("x-forwarded-client-cert")
                .map_or("nobody", |v| v.to_str().unwrap());
            let said = format!("{:?} {} {told}", request.version(), request.uri().path());
            Ok::<_, Infallible>(http::Response::new(heddle_filters::text(said)))
        });
    spawn_local(async move {
        let builder = hyper_util::server::conn::auto::Builder::new(heddle_filters::LocalExecutor);
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    })
}

async fn http1(address: SocketAddr) -> world::Http1 {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    spawn_local(connection.with_upgrades());
    sender
}
