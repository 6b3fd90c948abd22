//! Connections that end because the policy or the proxy says so.

use std::{net::TcpListener, time::Duration};

use heddle_config::InboundHttp;
use heddle_telemetry::{Direction, ResponseFlag};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::world::*;
use crate::accept::Door;

#[tokio::test(start_paused = true)]
async fn a_new_policy_ends_the_open_connections_that_it_refuses() {
    worker(async {
        let world = World::new();
        world.change_pod(|pod| {
            pod.http_ports.insert(
                8080,
                InboundHttp {
                    forward_identity: true,
                },
            );
        });
        let path = world.path.clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::task::spawn_local(async move { path.enforce_policy(stopped).await });
        let app = App::parrot();
        let mut refused = world.arrive(CLIENT, "10.1.0.9:5432", &app);
        let mut kept = world.arrive(CLIENT, "10.1.0.9:9000", &app);
        let mut http = http1(world.arrive(CLIENT, "10.1.0.9:8080", &App::http())).await;
        let answer = http.send_request(get("/")).await.unwrap();
        text_of(answer).await;
        for io in [&mut refused, &mut kept] {
            io.write_all(b"abc").await.unwrap();
            expect(io, b"abc").await;
        }
        assert_eq!(world.path.live.len(), 3);
        world.change_pod(|pod| pod.ingress = only_port(9000));
        assert_eq!(rest(refused).await, "");
        kept.write_all(b"def").await.unwrap();
        expect(&mut kept, b"def").await;
        while http.ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(kept);
        stop.cancel();
        world.drain.finish(Duration::MAX).await;
        assert_eq!(world.path.live.len(), 0);
        assert!(world.closed("POLICYCHANGED"));
        assert!(world.failed(ResponseFlag::PolicyChanged));
        assert!(world.counted(
            "heddle_policy_denials_total{",
            &["NetworkPolicy shop/cart", "} 2"]
        ));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_egress_policy_ends_what_the_pod_has_open() {
    worker(async {
        let world = World::new();
        world.opaque_service();
        let path = world.path.clone();
        tokio::task::spawn_local(
            async move { path.enforce_policy(CancellationToken::new()).await },
        );
        let upstream = Upstream::absent().connections(|mut io| async move {
            let _ = io.read_to_end(&mut Vec::new()).await;
        });
        let client = world.open(SERVICE, &upstream);
        // The endpoint's port is 8080.
        world.change_pod(|pod| pod.egress = only_port(8080));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.path.live.len(), 1);
        world.change_pod(|pod| pod.egress = only_port(80));
        assert_eq!(rest(client).await, "");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_requests_finish_and_says_that_no_more_are_taken() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|_| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            http::Response::new(heddle_filters::text("late"))
        });
        let idle = world.open(SERVICE, &upstream);
        let mut busy = http1(world.open(SERVICE, &upstream)).await;
        let mut multiplexed = http2(world.open(SERVICE, &upstream)).await;
        let request = http::Request::get("http://cart/")
            .body(heddle_filters::empty())
            .unwrap();
        let asking = tokio::task::spawn_local(async move {
            let one = busy.send_request(get("/"));
            let two = multiplexed.send_request(request);
            let (one, two) = tokio::join!(one, two);
            (one.unwrap(), two.unwrap(), busy, multiplexed)
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.drain.begun.cancel();
        assert_eq!(rest(idle).await, "");
        let (one, two, mut busy, mut multiplexed) = asking.await.unwrap();
        assert_eq!(one.headers()["connection"], "close");
        assert_eq!(
            (text_of(one).await.as_str(), text_of(two).await.as_str()),
            ("late", "late")
        );
        assert!(busy.ready().await.is_err());
        let further = http::Request::get("http://cart/")
            .body(heddle_filters::empty())
            .unwrap();
        assert!(multiplexed.send_request(further).await.is_err());
        world.drain.finish(Duration::from_secs(1)).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn during_a_drain_an_idle_connection_may_send_one_more_request_and_is_told_to_close() {
    worker(async {
        let mut world = World::new();
        world.drain.linger = Duration::from_secs(15);
        world.http_service();
        let upstream = http_upstream();
        let silent = world.open(SERVICE, &upstream);
        let mut kept = http1(world.open(SERVICE, &upstream)).await;
        text_of(kept.send_request(get("/")).await.unwrap()).await;
        world.drain.begun.cancel();
        tokio::time::sleep(Duration::from_secs(14)).await;
        kept.ready().await.unwrap();
        for mut client in [kept, http1(silent).await] {
            let answer = client.send_request(get("/")).await.unwrap();
            assert_eq!(answer.headers()["connection"], "close");
            text_of(answer).await;
            assert!(client.ready().await.is_err());
        }
        world.drain.finish(Duration::from_secs(1)).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_in_peace_before_the_drain_is_over() {
    worker(async {
        let mut world = World::new();
        world.drain.linger = Duration::from_secs(15);
        world.http_service();
        let upstream = http_upstream();
        let silent = world.open(SERVICE, &upstream);
        let mut kept = http1(world.open(SERVICE, &upstream)).await;
        text_of(kept.send_request(get("/")).await.unwrap()).await;
        let began = Instant::now();
        world.drain.begun.cancel();
        world.drain.finish(Duration::from_secs(20)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(15));
        assert_eq!(rest(silent).await, "");
        assert!(kept.ready().await.is_err());
        assert!(!world.closed("DRAIN"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_the_drain_is_over_what_is_still_open_is_closed() {
    worker(async {
        let world = World::new();
        world.opaque_service();
        let upstream = Upstream::absent().connections(|mut io| async move {
            let _ = io.read_to_end(&mut Vec::new()).await;
        });
        let client = world.open(SERVICE, &upstream);
        let began = Instant::now();
        world.drain.begun.cancel();
        world.drain.finish(Duration::from_secs(20)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(20));
        assert_eq!(rest(client).await, "");
        assert!(world.closed("DRAIN"));
    })
    .await;
}

/// A loop on a real socket that repeats what it hears.
async fn echo_loop(
    world: &World,
    shutdown: CancellationToken,
) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door::of_pod(Direction::Outbound, &world.pod, &world.path);
    let serving = tokio::task::spawn_local(async move {
        let handle = move |mut stream: TcpStream, info: crate::ConnectionInfo, _| async move {
            assert_eq!(info.original_destination, address);
            let (mut reader, mut writer) = stream.split();
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        };
        door.serve(listener, shutdown, handle).await.unwrap();
    });
    (address, serving)
}

#[tokio::test]
async fn a_pod_with_too_many_connections_gets_no_more_until_one_ends() {
    worker(async {
        let world = World::with(|settings| settings.connections_per_pod = 1);
        let shutdown = CancellationToken::new();
        let (address, serving) = echo_loop(&world, shutdown.clone()).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"a").await.unwrap();
        first.read_exact(&mut [0]).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let refused = second.read(&mut [0]).await;
        assert!(refused.is_err() || refused.is_ok_and(|read| read == 0));
        assert!(world.failed(ResponseFlag::ConnectionLimit));
        drop(first);
        loop {
            let mut third = TcpStream::connect(address).await.unwrap();
            if third.write_all(b"b").await.is_ok() && third.read_exact(&mut [0]).await.is_ok() {
                break;
            }
        }
        shutdown.cancel();
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn who_waits_in_the_queue_when_the_shutdown_begins_is_still_served() {
    worker(async {
        let world = World::new();
        let shutdown = CancellationToken::new();
        let (address, serving) = echo_loop(&world, shutdown.clone()).await;
        // The loop has not run yet: the kernel alone has answered these.
        let clients: Vec<_> = (0..20)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        shutdown.cancel();
        for client in clients {
            client.set_nonblocking(true).unwrap();
            let mut client = TcpStream::from_std(client).unwrap();
            client.write_all(b"a").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
        }
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    })
    .await;
}
