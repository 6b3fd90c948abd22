use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    rc::Rc,
    sync::Arc,
};

use arc_swap::ArcSwap;
use heddle_config::{PodConfig, ProxyConfig, SharedConfig};
use heddle_routing::{
    PathMatcher, StringMatcher,
    policy::{Permission, Policy, Principal, Rbac, RbacAction},
};
use heddle_telemetry::Metrics;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::LocalSet,
};

use super::world::*;
use crate::{AppConnection, Application, Body, Inbound, LocalExecutor, inbound, text};

/// An application in memory that tells what headers it saw.
#[derive(Clone, Default)]
struct Echo {
    connections: Rc<Cell<usize>>,
    /// Closes each connection after the first answer, without saying so before.
    closes: bool,
    http2: bool,
}

impl Application for Echo {
    type Io = DuplexStream;

    async fn connect(&self) -> std::io::Result<DuplexStream> {
        self.connections.set(self.connections.get() + 1);
        let (client, server) = tokio::io::duplex(64 * 1024);
        let this = self.clone();
        tokio::task::spawn_local(async move { this.serve(server).await });
        Ok(client)
    }
}

impl Echo {
    async fn serve(&self, io: DuplexStream) {
        let served = Rc::new(Cell::new(0));
        let count = Rc::clone(&served);
        let service = service_fn(move |request: Request<Incoming>| {
            count.set(count.get() + 1);
            let answer = tell(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let io = TokioIo::new(io);
        if self.http2 {
            let builder = hyper::server::conn::http2::Builder::new(LocalExecutor);
            let _ = builder.serve_connection(io, service).await;
            return;
        }
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
        if self.closes {
            tokio::select! {
                _ = connection => {}
                () = async { while served.get() == 0 { tokio::task::yield_now().await } for _ in 0..20 { tokio::task::yield_now().await } } => {}
            }
        } else {
            let _ = connection.await;
        }
    }
}

fn tell(request: &Request<Incoming>) -> Response<Body> {
    let cert = request.headers().get("x-forwarded-client-cert");
    let cert = cert.map_or("none", |value| value.to_str().unwrap());
    Response::new(text(format!(
        "{:?} {} {cert}",
        request.version(),
        request.uri().path()
    )))
}

struct Pod {
    config: SharedConfig,
    metrics: Arc<Metrics>,
}

impl Pod {
    fn new(change: impl FnOnce(&mut PodConfig)) -> Self {
        let mut pod = pod();
        change(&mut pod);
        let mut config = ProxyConfig::default();
        config.pods.insert(pod.name.clone(), Arc::new(pod));
        Self {
            config: Arc::new(ArcSwap::from_pointee(config)),
            metrics: Arc::new(Metrics::default()),
        }
    }

    fn connection<A: Application>(&self, application: A, identity: Option<&str>) -> Inbound<A> {
        let mut client = client("10.1.0.5:40000");
        client.identity = identity.map(|identity| identity.parse().unwrap());
        let pod = pod();
        Inbound {
            config: Arc::clone(&self.config),
            pod: pod.name,
            uid: pod.uid,
            mtls: client.identity.is_some(),
            client,
            destination: "10.1.0.9:8080".parse().unwrap(),
            exempt: false,
            forward_identity: true,
            application: AppConnection::new(application),
            tunnels: Rc::new(|_| panic!("no tunnel was asked for")),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

const CLIENT: &str = "spiffe://cluster.local/ns/shop/sa/web";

async fn ask<A: Application>(context: &Inbound<A>, request: Request<Body>) -> Whole {
    whole(inbound(context, request).await).await
}

#[tokio::test]
async fn the_application_is_told_who_calls_and_not_what_clients_claim() {
    LocalSet::new()
        .run_until(async {
            let forged = || {
                let mut request = get("/x");
                let claim = HeaderValue::from_static("URI=spiffe://cluster.local/ns/a/sa/admin");
                request
                    .headers_mut()
                    .insert("x-forwarded-client-cert", claim);
                request
            };
            let pod = Pod::new(|_| {});
            let proven = pod.connection(Echo::default(), Some(CLIENT));
            assert_eq!(
                ask(&proven, forged()).await.body.unwrap(),
                format!("HTTP/1.1 /x By=spiffe://cluster.local/ns/shop/sa/cart;URI={CLIENT}")
            );
            let unproven = pod.connection(Echo::default(), None);
            assert_eq!(
                ask(&unproven, forged()).await.body.unwrap(),
                "HTTP/1.1 /x none"
            );
            let mut silent = pod.connection(Echo::default(), Some(CLIENT));
            silent.forward_identity = false;
            assert_eq!(
                ask(&silent, forged()).await.body.unwrap(),
                "HTTP/1.1 /x none"
            );
        })
        .await;
}

fn only_get_a() -> Rbac {
    Rbac {
        action: RbacAction::Allow,
        policies: vec![Policy {
            name: "AuthorizationPolicy shop/cart rule 0".into(),
            permissions: vec![Permission::Path(PathMatcher::Exact("/a".into()))],
            principals: vec![Principal::Authenticated(Some(StringMatcher::Exact(
                CLIENT.into(),
            )))],
        }],
    }
}

#[tokio::test]
async fn each_request_is_judged_and_a_refusal_names_the_policy() {
    LocalSet::new()
        .run_until(async {
            let pod = Pod::new(|pod| pod.authorization = Some(Arc::new(only_get_a())));
            let connection = pod.connection(Echo::default(), Some(CLIENT));
            assert_eq!(ask(&connection, get("/a")).await.status, 200);
            let refused = ask(&connection, get("/b")).await;
            assert_eq!(refused.status, 403);
            assert!(refused.body.unwrap().starts_with("AuthorizationPolicy shop/cart: no rule allows"));
            assert!(counted(&pod.metrics, 403, "RBAC"));
            let denials = "heddle_policy_denials_total{policy=\"AuthorizationPolicy shop/cart\",direction=\"inbound\"} 1";
            assert!(pod.metrics.encode().contains(denials));

            let unproven = pod.connection(Echo::default(), None);
            assert_eq!(ask(&unproven, get("/a")).await.status, 403);
            let mut probe = pod.connection(Echo::default(), None);
            probe.exempt = true;
            assert_eq!(ask(&probe, get("/b")).await.status, 200);
        })
        .await;
}

#[tokio::test]
async fn a_new_policy_counts_for_the_next_request_of_an_open_connection() {
    LocalSet::new()
        .run_until(async {
            let pod = Pod::new(|_| {});
            let connection = pod.connection(Echo::default(), None);
            assert_eq!(ask(&connection, get("/a")).await.status, 200);
            let strict = Pod::new(|pod| pod.authorization = Some(Arc::new(only_get_a())));
            pod.config.store(strict.config.load_full());
            assert_eq!(ask(&connection, get("/a")).await.status, 403);
            pod.config.store(Arc::default());
            assert_eq!(ask(&connection, get("/a")).await.status, 503);
            assert!(counted(&pod.metrics, 503, "NOTMESH"));
        })
        .await;
}

#[tokio::test]
async fn requests_of_one_client_share_a_connection_to_the_application() {
    LocalSet::new()
        .run_until(async {
            for http2 in [false, true] {
                let echo = Echo {
                    http2,
                    ..Echo::default()
                };
                let connection = Pod::new(|_| {}).connection(echo.clone(), None);
                for _ in 0..3 {
                    let mut request = get("/x");
                    if http2 {
                        *request.version_mut() = http::Version::HTTP_2;
                    }
                    let version = if http2 { "HTTP/2.0" } else { "HTTP/1.1" };
                    let answer = ask(&connection, request).await;
                    assert_eq!(answer.body.unwrap(), format!("{version} /x none"));
                }
                assert_eq!(echo.connections.get(), 1);
            }
        })
        .await;
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    LocalSet::new()
        .run_until(async {
            let echo = Echo {
                closes: true,
                ..Echo::default()
            };
            let connection = Pod::new(|_| {}).connection(echo.clone(), None);
            assert_eq!(ask(&connection, get("/1")).await.status, 200);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(ask(&connection, get("/2")).await.status, 200);
            assert_eq!(echo.connections.get(), 2);
        })
        .await;
}

struct Nobody;

impl Application for Nobody {
    type Io = DuplexStream;
    async fn connect(&self) -> std::io::Result<DuplexStream> {
        Err(std::io::ErrorKind::ConnectionRefused.into())
    }
}

#[tokio::test]
async fn an_application_that_does_not_answer_is_503() {
    let pod = Pod::new(|_| {});
    let connection = pod.connection(Nobody, None);
    assert_eq!(ask(&connection, get("/")).await.status, 503);
    assert!(counted(&pod.metrics, 503, "UF"));
}

/// Changes the protocol and then repeats what it hears.
struct Parrot;

impl Application for Parrot {
    type Io = DuplexStream;
    async fn connect(&self) -> std::io::Result<DuplexStream> {
        let (client, mut server) = tokio::io::duplex(1024);
        tokio::task::spawn_local(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(server.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            assert!(
                head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n")
            );
            let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
            server.write_all(answer).await.unwrap();
            let (mut reader, mut writer) = tokio::io::split(server);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        });
        Ok(client)
    }
}

#[tokio::test]
async fn a_changed_protocol_becomes_a_tunnel() {
    LocalSet::new()
        .run_until(async {
            let pod = Pod::new(|_| {});
            let mut connection = pod.connection(Parrot, None);
            let tunnel = Rc::new(RefCell::new(None));
            let taken = Rc::clone(&tunnel);
            connection.tunnels = Rc::new(move |tunnel| {
                taken.replace(Some(tunnel));
            });
            let (client, server) = tokio::io::duplex(1024);
            let connection = Rc::new(connection);
            let service = service_fn(move |request: Request<Incoming>| {
                let connection = Rc::clone(&connection);
                async move { Ok::<_, Infallible>(inbound(&connection, request.map(crate::boxed)).await) }
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(server), service)
                .with_upgrades();
            tokio::task::spawn_local(serving);
            let (mut sender, asking) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
            tokio::task::spawn_local(asking.with_upgrades());
            let mut request = get("/");
            for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
                request.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            assert_eq!(response.headers()["upgrade"], "websocket");
            let mut mine = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
            let tunnel = tunnel.take().unwrap();
            let mut outer = TokioIo::new(tunnel.client.await.unwrap());
            let mut inner = TokioIo::new(tunnel.server.await.unwrap());
            tokio::task::spawn_local(async move {
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
            mine.write_all(b"hello").await.unwrap();
            let mut heard = [0; 5];
            mine.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"hello");
            tunnel.record.ended(5, 5, None);
            assert!(counted(&pod.metrics, 101, "-"));
        })
        .await;
}

#[tokio::test]
async fn an_application_that_changes_the_protocol_unasked_is_502() {
    LocalSet::new()
        .run_until(async {
            struct Rude;
            impl Application for Rude {
                type Io = DuplexStream;
                async fn connect(&self) -> std::io::Result<DuplexStream> {
                    let (client, mut server) = tokio::io::duplex(1024);
                    tokio::task::spawn_local(async move {
                        let mut head = Vec::new();
                        while !head.ends_with(b"\r\n\r\n") {
                            head.push(server.read_u8().await.unwrap());
                        }
                        let answer = b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
                        server.write_all(answer).await.unwrap();
                        let _ = server.read_to_end(&mut Vec::new()).await;
                    });
                    Ok(client)
                }
            }
            let pod = Pod::new(|_| {});
            assert_eq!(ask(&pod.connection(Rude, None), get("/")).await.status, 502);
        })
        .await;
}
