use std::time::Duration;

use heddle_telemetry::ResponseFlag;
use heddle_upstream::Destination;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::*;

fn parrot() -> Upstream {
    Upstream::absent().connections(|io| async move {
        let (mut reader, mut writer) = tokio::io::split(io);
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        let _ = writer.shutdown().await;
    })
}

#[tokio::test]
async fn bytes_are_carried_and_an_end_in_one_direction_leaves_the_other_open() {
    worker(async {
        let world = World::new();
        world.opaque_service();
        // Answers only when it has heard the end of the question.
        let upstream = Upstream::absent().connections(|mut io| async move {
            let mut question = Vec::new();
            io.read_to_end(&mut question).await.unwrap();
            question.reverse();
            io.write_all(&question).await.unwrap();
        });
        let mut client = world.open(SERVICE, &upstream);
        client.write_all(b"abc").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(rest(client).await, "cba");
        world.drain.finish(Duration::MAX).await;
        assert!(world.closed("-"));
        assert!(world.counted(
            "heddle_tcp_received_bytes_total{",
            &["direction=\"outbound\"", "mtls=\"true\"} 3"]
        ));
        assert!(world.counted("heddle_tcp_sent_bytes_total{", &["} 3"]));
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_no_service_is_passed_through() {
    worker(async {
        let world = World::new();
        let upstream = parrot();
        let mut client = world.open("192.0.2.1:5432", &upstream);
        client.write_all(b"abc").await.unwrap();
        expect(&mut client, b"abc").await;
        let dialled = upstream.dialled.borrow();
        assert!(
            matches!(&dialled[0], Destination::Address(address) if *address == at("192.0.2.1:5432"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_listener_for_the_clients_namespace_goes_before_the_others() {
    worker(async {
        let world = World::new();
        world.opaque_service();
        world.change(|config| {
            let mut own = (*config.outbound[&at(SERVICE)]).clone();
            own.protocol = heddle_config::OutboundProtocol::Opaque {
                cluster: "own".into(),
            };
            let key = ("shop".parse().unwrap(), at(SERVICE));
            config.outbound_for.insert(key, std::sync::Arc::new(own));
        });
        let upstream = parrot();
        drop(world.open(SERVICE, &upstream));
        world.drain.finish(Duration::MAX).await;
        assert!(
            matches!(&upstream.dialled.borrow()[0], Destination::Cluster(name) if &**name == "own")
        );
    })
    .await;
}

#[tokio::test]
async fn the_proxys_own_ports_are_refused_and_so_are_unknown_pods() {
    worker(async {
        for port in [15001, 15006, 15008, 15053] {
            let world = World::new();
            let upstream = parrot();
            assert_eq!(
                rest(world.open(&format!("10.1.0.9:{port}"), &upstream)).await,
                ""
            );
            assert!(upstream.dialled.borrow().is_empty());
            world.drain.finish(Duration::MAX).await;
            assert!(world.failed(ResponseFlag::OwnPort));
        }
        // Another pod's port of the same number is nobody's business.
        let world = World::new();
        let upstream = parrot();
        drop(world.open("10.1.0.77:15008", &upstream));
        world.drain.finish(Duration::MAX).await;
        assert_eq!(upstream.dialled.borrow().len(), 1);

        let world = World::new();
        world.change(|config| config.pods.clear());
        assert_eq!(rest(world.open("192.0.2.1:80", &parrot())).await, "");
        world.drain.finish(Duration::MAX).await;
        assert!(world.failed(ResponseFlag::NotInMesh));
    })
    .await;
}

#[tokio::test]
async fn a_pod_of_the_same_name_with_another_uid_is_another_pod() {
    worker(async {
        let world = World::new();
        world.change_pod(|pod| pod.uid = heddle_config::PodUid("uid-2".into()));
        assert_eq!(rest(world.open("192.0.2.1:80", &parrot())).await, "");
        world.drain.finish(Duration::MAX).await;
        assert!(world.failed(ResponseFlag::NotInMesh));
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_closed_and_counted() {
    worker(async {
        let world = World::new();
        world.opaque_service();
        assert_eq!(rest(world.open(SERVICE, &Upstream::absent())).await, "");
        world.drain.finish(Duration::MAX).await;
        assert!(world.failed(ResponseFlag::ConnectFailure));
    })
    .await;
}
