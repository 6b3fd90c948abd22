use std::{sync::Arc, time::Duration};

use heddle_config::InboundHttp;
use heddle_routing::{
    PathMatcher,
    policy::{Permission, Principal},
};
use heddle_telemetry::ResponseFlag;
use tokio::io::AsyncWriteExt;

use super::world::*;

#[tokio::test]
async fn the_application_sees_the_clients_address() {
    worker(async {
        let world = World::new();
        let app = App::parrot();
        let mut client = world.arrive(CLIENT, "10.1.0.9:5432", &app);
        client.write_all(b"abc").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(rest(client).await, "abc");
        assert_eq!(*app.seen.borrow(), [(at("10.1.0.9:5432"), at(CLIENT))]);
        world.drain.finish(Duration::MAX).await;
        assert!(world.closed("-"));
    })
    .await;
}

#[tokio::test]
async fn plain_text_to_a_strict_pod_is_refused() {
    worker(async {
        let world =
            World::with(|settings| settings.node_addresses = vec!["10.9.9.9".parse().unwrap()]);
        world.change_pod(|pod| pod.permissive = false);
        let app = App::parrot();
        assert_eq!(
            exchange(world.arrive(CLIENT, "10.1.0.9:80", &app), b"abc").await,
            ""
        );
        assert!(app.seen.borrow().is_empty());
        let mut probe = world.arrive("10.9.9.9:1", "10.1.0.9:80", &app);
        probe.write_all(b"abc").await.unwrap();
        expect(&mut probe, b"abc").await;
        drop(probe);
        world.drain.finish(Duration::MAX).await;
        assert!(world.failed(ResponseFlag::PlaintextRefused));
    })
    .await;
}

#[tokio::test]
async fn network_policy_refuses_before_the_application_hears_of_it() {
    worker(async {
        let world =
            World::with(|settings| settings.node_addresses = vec!["10.9.9.9".parse().unwrap()]);
        world.change_pod(|pod| pod.ingress = only_port(8080));
        let app = App::parrot();
        assert_eq!(rest(world.arrive(CLIENT, "10.1.0.9:80", &app)).await, "");
        assert!(app.seen.borrow().is_empty());
        drop(world.arrive(CLIENT, "10.1.0.9:8080", &app));
        drop(world.arrive("10.9.9.9:1", "10.1.0.9:80", &app));
        world.drain.finish(Duration::MAX).await;
        assert_eq!(app.seen.borrow().len(), 2);
        assert!(world.failed(ResponseFlag::NetworkPolicy));
        assert!(world.counted(
            "heddle_policy_denials_total{policy=\"NetworkPolicy shop/cart\"",
            &["} 1"]
        ));
    })
    .await;
}

#[tokio::test]
async fn what_is_for_somebody_else_or_for_the_proxy_is_refused() {
    worker(async {
        let world = World::new();
        let app = App::parrot();
        assert_eq!(rest(world.arrive(CLIENT, "10.1.0.10:80", &app)).await, "");
        assert_eq!(rest(world.arrive(CLIENT, "10.1.0.9:15006", &app)).await, "");
        world.drain.finish(Duration::MAX).await;
        assert!(app.seen.borrow().is_empty());
        assert!(world.failed(ResponseFlag::NotThisPod));
        assert!(world.failed(ResponseFlag::OwnPort));
    })
    .await;
}

#[tokio::test]
async fn on_an_http_port_each_request_is_judged() {
    worker(async {
        let world = World::new();
        world.change_pod(|pod| {
            pod.http_ports.insert(
                8080,
                InboundHttp {
                    forward_identity: true,
                },
            );
            let only_a = Permission::Path(PathMatcher::Exact("/a".into()));
            pod.authorization = Some(Arc::new(rbac(
                only_a,
                Principal::Any,
                "AuthorizationPolicy shop/cart rule 0",
            )));
        });
        let app = App::http();
        let mut client = http1(world.arrive(CLIENT, "10.1.0.9:8080", &app)).await;
        for (path, status) in [("/a", 200), ("/b", 403), ("/a", 200), ("/%61", 403)] {
            client.ready().await.unwrap();
            let answer = client.send_request(get(path)).await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            text_of(answer).await;
        }
        assert_eq!(*app.seen.borrow(), [(at("10.1.0.9:8080"), at(CLIENT))]);
        // Bytes on another port match no rule about paths.
        assert_eq!(rest(world.arrive(CLIENT, "10.1.0.9:9000", &app)).await, "");
        drop(client);
        world.drain.finish(Duration::MAX).await;
        assert!(world.failed(ResponseFlag::Authorization));
    })
    .await;
}

#[tokio::test]
async fn an_application_that_is_not_there_is_an_end_or_a_503() {
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
        assert_eq!(
            rest(world.arrive(CLIENT, "10.1.0.9:5432", &App::absent())).await,
            ""
        );
        let mut client = http1(world.arrive(CLIENT, "10.1.0.9:8080", &App::absent())).await;
        assert_eq!(client.send_request(get("/")).await.unwrap().status(), 503);
        drop(client);
        world.drain.finish(Duration::MAX).await;
        assert!(world.failed(ResponseFlag::ConnectFailure));
        assert!(world.counted(
            "heddle_http_requests_total{",
            &["code=\"503\"", "flag=\"UF\""]
        ));
    })
    .await;
}
