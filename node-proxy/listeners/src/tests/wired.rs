//! Everything together: two pods, the real upstream, real sockets on loopback, mutual TLS between.

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
    Cluster, ClusterKind, Endpoint, EndpointHealth, EndpointSet, GatewayListener, InboundHttp,
    OutboundListener, OutboundProtocol, PodConfig, PodName, PodUid, ProxyConfig, SharedConfig,
    Tunnel, UpstreamHttp, Workload,
};
use heddle_redirect::Netns;
use heddle_telemetry::Metrics;
use heddle_upstream::{Upstream, UpstreamSettings};
use http::Request;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, spawn_local},
};
use tokio_util::sync::CancellationToken;

use super::{
    mtls::Authority,
    world::{self, OWN, PEER, id, pod_config, worker},
};
use crate::{
    GatewayContext, PodContext, Settings, Worker, serve_gateway, serve_mtls, serve_outbound,
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
    config: SharedConfig,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    loops: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Mesh {
    /// With an application that listens on an address of the pod's.
    async fn new(http: bool, handle: fn(TcpStream) -> JoinHandle<()>) -> Self {
        let pod = own_address();
        let (app, app_address) = listen(pod);
        let app = tokio::net::TcpListener::from_std(app).unwrap();
        spawn_local(async move {
            while let Ok((stream, _)) = app.accept().await {
                handle(stream);
            }
        });
        let (mtls, mtls_address) = listen(pod);
        let (outbound, service) = listen(own_address());
        let (door, gateway) = listen(own_address());
        let config = configuration(service, gateway, app_address, http);
        let config: SharedConfig = Arc::new(ArcSwap::from_pointee(config));

        let settings = Arc::new(Settings::default());
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
        let door_of = GatewayContext::new(
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
            spawn_local(serve_mtls(
                mtls,
                context(&pod_config()),
                worker.clone(),
                stop(),
            )),
            spawn_local(serve_gateway(door, door_of, worker, stop())),
        ];
        Self {
            service,
            gateway,
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
    let listener = GatewayListener {
        name: "gateway/infra/web/http".into(),
        address: gateway,
        routes,
    };
    config
        .gateways
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

#[tokio::test]
async fn requests_get_from_pod_to_pod_by_mutual_tls_and_through_a_gateway() {
    worker(async {
        let mesh = Mesh::new(true, http_app).await;
        let told = format!("By={OWN};URI={PEER}");
        for address in [mesh.service, mesh.gateway] {
            let mut client = http1(address).await;
            for _ in 0..3 {
                client.ready().await.unwrap();
                let answer = client.send_request(world::get("/a")).await.unwrap();
                assert_eq!(answer.status(), 200);
                assert_eq!(world::text_of(answer).await, format!("HTTP/1.1 /a {told}"));
            }
        }
        let stream = TcpStream::connect(mesh.service).await.unwrap();
        let executor = heddle_filters::LocalExecutor;
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(stream))
                .await
                .unwrap();
        spawn_local(connection);
        let request = Request::get("http://cart/b")
            .body(heddle_filters::empty())
            .unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(world::text_of(answer).await, format!("HTTP/2.0 /b {told}"));
        drop(client);
        let metrics = mesh.stop().await.encode();
        let seen = |parts: &[&str]| {
            metrics.lines().any(|line| {
                line.starts_with("heddle_http_requests_total{")
                    && parts.iter().all(|part| line.contains(part))
            })
        };
        assert!(seen(&[
            "reporter=\"source\"",
            "destination_workload=\"cart\"",
            "mtls=\"true\"",
            "flag=\"-\""
        ]));
        assert!(seen(&[
            "reporter=\"destination\"",
            "mtls=\"true\"",
            "code=\"200\""
        ]));
    })
    .await;
}

fn parrot_app(mut stream: TcpStream) -> JoinHandle<()> {
    spawn_local(async move {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        let _ = writer.shutdown().await;
    })
}

#[tokio::test]
async fn bytes_get_from_pod_to_pod_and_end_in_each_direction_by_itself() {
    worker(async {
        let mesh = Mesh::new(false, parrot_app).await;
        let mut client = TcpStream::connect(mesh.service).await.unwrap();
        let data: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (mut reader, mut writer) = client.split();
        let mut heard = Vec::new();
        let (sent, received) = tokio::join!(
            async {
                writer.write_all(&data).await?;
                writer.shutdown().await
            },
            reader.read_to_end(&mut heard)
        );
        sent.unwrap();
        received.unwrap();
        assert_eq!(heard, data);
        mesh.stop().await;
    })
    .await;
}

fn greeting_app(mut stream: TcpStream) -> JoinHandle<()> {
    spawn_local(async move {
        let _ = stream.write_all(b"220 hello\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    worker(async {
        let mesh = Mesh::new(false, greeting_app).await;
        let mut client = TcpStream::connect(mesh.service).await.unwrap();
        let mut greeting = [0; 11];
        client.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"220 hello\r\n");
        drop(client);
        mesh.stop().await;
    })
    .await;
}

fn websocket_app(mut stream: TcpStream) -> JoinHandle<()> {
    spawn_local(async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        parrot_app(stream);
    })
}

#[tokio::test]
async fn a_websocket_gets_through_both_proxies() {
    worker(async {
        let mesh = Mesh::new(true, websocket_app).await;
        let mut client = http1(mesh.service).await;
        let request = Request::get("/chat")
            .header("host", "cart")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .body(heddle_filters::empty())
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 101);
        let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        socket.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        socket.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        socket.shutdown().await.unwrap();
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
        drop((socket, client));
        mesh.stop().await;
    })
    .await;
}
