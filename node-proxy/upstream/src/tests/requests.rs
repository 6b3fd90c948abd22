//! HTTP requests: pools, protocols, retries, upgrades.

use futures::future::join_all;
use heddle_config::{NetworkPolicy, UpstreamHttp};
use heddle_routing::ClusterName;
use heddle_telemetry::ResponseFlag;
use http::{Method, Request, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    servers::{Gate, Server, forgetful, gate, http},
    world::{CLIENT, SERVER, World, dead, id, origin, worker},
};
use crate::{Answer, Body, Origin, RequestError, UpstreamSettings, empty_body, full_body};

fn get(version: Version) -> Request<Body> {
    let request = Request::builder().version(version).uri("http://shop/cart");
    request.body(empty_body()).expect("a request")
}

fn post(body: &'static str) -> Request<Body> {
    let request = Request::builder()
        .method(Method::POST)
        .uri("http://shop/cart");
    request.body(full_body(body)).expect("a request")
}

impl World {
    async fn ask(&self, request: Request<Body>) -> Result<Answer, RequestError> {
        self.ask_as(&self.origin, request).await
    }

    async fn ask_as(
        &self,
        origin: &Origin,
        request: Request<Body>,
    ) -> Result<Answer, RequestError> {
        self.upstream
            .request(origin, &ClusterName::from("c"), request.into())
            .await
    }
}

/// The body, and how long the request's was by the trailers.
async fn read(answer: Answer) -> (String, Option<String>) {
    let body = answer.response.into_body().collect().await.expect("a body");
    let length = body
        .trailers()
        .and_then(|trailers| trailers.get("x-length"))
        .map(|length| length.to_str().expect("ASCII").to_owned());
    (
        String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        length,
    )
}

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    worker(async {
        let world = World::new();
        let server = http("a").await;
        world.cluster(&[server.address]);
        for _ in 0..10 {
            let answer = world.ask(get(Version::HTTP_11)).await.expect("answered");
            assert_eq!(answer.target.address, server.address);
            assert_eq!(read(answer).await.0, "a HTTP/1.1 GET /cart");
        }
        assert_eq!((server.connections.get(), server.requests.get()), (1, 10));
        assert_eq!(world.upstream.counts().http_made, 1);
        assert_eq!(world.upstream.counts().http1_idle, 1);
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_not_used_again_before_its_response_is_read() {
    worker(async {
        let world = World::new();
        let server = http("a").await;
        world.cluster(&[server.address]);
        let unread = world.ask(get(Version::HTTP_11)).await.expect("answered");
        let other = world.ask(get(Version::HTTP_11)).await.expect("answered");
        assert_eq!(server.connections.get(), 2);
        drop(unread);
        read(other).await;
        assert_eq!(
            world.upstream.counts().http1_idle,
            1,
            "what was not read is not reused"
        );
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_free_as_soon_as_its_whole_response_has_come() {
    worker(async {
        let world = World::new();
        let server = forgetful().await;
        world.cluster(&[server.address]);
        let unread = world.ask(get(Version::HTTP_11)).await.expect("answered");
        assert_eq!(world.upstream.counts().http1_idle, 1);
        assert_eq!(read(unread).await.0, "ok");
    })
    .await;
}

#[tokio::test]
async fn http2_requests_share_a_connection_at_the_same_time() {
    worker(async {
        let world = World::new();
        let server = http("a").await;
        world.cluster(&[server.address]);
        let answers = join_all((0..50).map(|_| world.ask(get(Version::HTTP_2)))).await;
        for answer in answers {
            let (told, _) = read(answer.expect("answered")).await;
            assert_eq!(told, "a HTTP/2.0 GET http://shop/cart");
        }
        assert_eq!((server.connections.get(), server.requests.get()), (1, 50));
        assert_eq!(world.upstream.counts().http2, 1);
    })
    .await;
}

#[tokio::test]
async fn the_clusters_protocol_wins_over_the_clients() {
    worker(async {
        let world = World::new();
        let server = http("a").await;
        world.cluster_of(UpstreamHttp::Http2, &[server.address]);
        let (told, _) = read(world.ask(get(Version::HTTP_11)).await.expect("answered")).await;
        assert!(told.contains("HTTP/2.0"), "{told}");
        world.cluster_of(UpstreamHttp::Http1, &[server.address]);
        let (told, _) = read(world.ask(get(Version::HTTP_2)).await.expect("answered")).await;
        assert!(told.contains("HTTP/1.1"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn bodies_and_trailers_pass() {
    worker(async {
        let world = World::new();
        let server = http("a").await;
        for kind in [UpstreamHttp::Http1, UpstreamHttp::Http2] {
            world.cluster_of(kind, &[server.address]);
            let mut request = post("12345");
            request
                .headers_mut()
                .insert(header::TE, "trailers".parse().expect("ASCII"));
            let (told, length) = read(world.ask(request).await.expect("answered")).await;
            assert!(told.contains("POST"), "{told}");
            if kind == UpstreamHttp::Http2 {
                assert_eq!(length.as_deref(), Some("5"));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn requests_avoid_endpoints_that_refuse() {
    worker(async {
        let world = World::new();
        let server = http("a").await;
        world.cluster(&[dead(), server.address, dead()]);
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for _ in 0..10 {
                let answer = world.ask(get(version)).await.expect("answered");
                assert_eq!(answer.target.address, server.address);
                read(answer).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn concurrent_requests_are_spread_over_the_endpoints() {
    worker(async {
        let world = World::new();
        let (a, b) = (http("a").await, http("b").await);
        world.cluster(&[a.address, b.address]);
        let answers = join_all((0..100).map(|_| world.ask(get(Version::HTTP_2)))).await;
        assert!(answers.iter().all(Result::is_ok));
        // Nothing is measured while all of them choose, so what is pending decides.
        assert_eq!((a.requests.get(), b.requests.get()), (50, 50));
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_died_while_idle_costs_a_harmless_request_nothing() {
    worker(async {
        let world = World::new();
        let server = forgetful().await;
        world.cluster(&[server.address]);
        for _ in 0..5 {
            let answer = world.ask(get(Version::HTTP_11)).await.expect("answered");
            assert_eq!(read(answer).await.0, "ok");
        }
        assert_eq!(server.requests.get(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_may_have_had_an_effect_is_not_sent_twice() {
    worker(async {
        let world = World::new();
        let server = forgetful().await;
        world.cluster(&[server.address]);
        read(world.ask(get(Version::HTTP_11)).await.expect("answered")).await;
        let error = world.ask(post("x")).await.expect_err("not repeated");
        assert_eq!(error.flag(), ResponseFlag::ConnectionTermination);
        assert_eq!(error.target().map(|t| t.address), Some(server.address));
        assert_eq!(server.requests.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn two_pods_never_share_an_http_connection() {
    worker(async {
        let world = World::new();
        let server = http("a").await;
        world.cluster(&[server.address]);
        let second = origin("web-2", NetworkPolicy::Open);
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for _ in 0..3 {
                read(world.ask(get(version)).await.expect("answered")).await;
                read(world.ask_as(&second, get(version)).await.expect("answered")).await;
            }
        }
        assert_eq!(
            server.connections.get(),
            4,
            "one of each version for each pod"
        );
    })
    .await;
}

#[tokio::test]
async fn a_pods_connections_are_forgotten_with_it() {
    worker(async {
        let world = World::new();
        let server = http("a").await;
        world.cluster(&[server.address]);
        read(world.ask(get(Version::HTTP_11)).await.expect("answered")).await;
        read(world.ask(get(Version::HTTP_2)).await.expect("answered")).await;
        world
            .upstream
            .forget(&heddle_config::PodUid("uid-of-web-1".into()));
        let counts = world.upstream.counts();
        assert_eq!((counts.http1_idle, counts.http2), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways() {
    worker(async {
        let world = World::new();
        let server = http("a").await;
        world.cluster(&[server.address]);
        let mut request = get(Version::HTTP_11);
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, "Upgrade".parse().expect("ASCII"));
        headers.insert(header::UPGRADE, "echo".parse().expect("ASCII"));
        let mut answer = world.ask(request).await.expect("answered");
        assert_eq!(answer.response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(&mut answer.response)
            .await
            .expect("upgraded");
        let mut io = TokioIo::new(upgraded);
        io.write_all(b"frames").await.expect("written");
        let mut heard = [0; 6];
        io.read_exact(&mut heard).await.expect("read");
        assert_eq!(&heard, b"frames");
        assert_eq!(
            world.upstream.counts().http1_idle,
            0,
            "not for other requests"
        );
    })
    .await;
}

#[tokio::test]
async fn requests_to_the_mesh_go_through_tunnels_and_are_pooled_there() {
    worker(async {
        let world = World::new();
        let (server, gate, upstream) = through_a_gate(&world).await;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for _ in 0..5 {
                let answer = upstream
                    .request(&world.origin, &ClusterName::from("c"), get(version).into())
                    .await;
                let answer = answer.expect("answered");
                assert!(answer.target.mtls);
                assert!(read(answer).await.0.starts_with("a HTTP"));
            }
        }
        assert_eq!(*gate.peers.borrow(), [id(CLIENT)], "one tunnel");
        assert_eq!(server.connections.get(), 2, "one stream for each version");
        assert_eq!(server.requests.get(), 10);
    })
    .await;
}

/// A peer with a gate, and an upstream that goes through it.
async fn through_a_gate(world: &World) -> (Server, Gate, crate::Upstream) {
    let server = http("a").await;
    let certificates = world.authority.certificates(&[SERVER]);
    let gate = gate(server.address.ip(), 0, SERVER, certificates).await;
    let settings = UpstreamSettings {
        hbone_port: gate.server.address.port(),
        ..UpstreamSettings::default()
    };
    let own = world.authority.certificates(&[CLIENT]);
    let upstream = crate::Upstream::new(world.config.clone(), own, world.metrics.clone(), settings);
    world.in_mesh(server.address.ip(), SERVER);
    world.cluster(&[server.address]);
    (server, gate, upstream)
}

#[tokio::test]
async fn a_pooled_connection_is_not_used_again_once_its_tunnel_goes_away() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        worker(async {
            let world = World::new();
            let (server, gate, upstream) = through_a_gate(&world).await;
            let ask = async || {
                let cluster = ClusterName::from("c");
                let answer = upstream.request(&world.origin, &cluster, get(version).into());
                read(answer.await.expect("answered")).await
            };
            ask().await;
            ask().await;
            assert_eq!(server.connections.get(), 1);
            gate.shutdown.replace(Default::default()).cancel();
            // The peer's word is on its way, and the old connection stands all the while.
            for _ in 0..1000 {
                if upstream.counts().tunnels_made > 1 {
                    break;
                }
                ask().await;
            }
            assert_eq!(upstream.counts().tunnels_made, 2);
            assert_eq!(server.connections.get(), 2);
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_told_as_such() {
    worker(async {
        let world = World::new();
        let server = super::servers::echo("SSH-2.0-x\r\n").await;
        world.cluster(&[server.address]);
        let error = world.ask(get(Version::HTTP_11)).await.expect_err("no HTTP");
        assert_eq!(error.flag(), ResponseFlag::UpstreamProtocolError, "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_response_whose_head_is_too_long_is_the_servers_fault() {
    worker(async {
        for (lines, fits) in [(10, true), (20, false)] {
            let world = World::new();
            let mut head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_owned();
            for _ in 0..lines {
                head.push_str(&format!("x: {}\r\n", "y".repeat(5000)));
            }
            let head: &'static str = format!("{head}\r\n").leak();
            let server = super::servers::echo(head).await;
            world.cluster(&[server.address]);
            let answer = world.ask(get(Version::HTTP_11)).await;
            assert_eq!(answer.is_ok(), fits);
            if let Err(error) = answer {
                assert_eq!(error.flag(), ResponseFlag::UpstreamProtocolError, "{error}");
            }
        }
    })
    .await;
}
