//! Clients that are broken, greedy or lie.

use std::{future::poll_fn, time::Duration};

use heddle_proto::{
    Message,
    envoy::{config::core::v3::Node, service::discovery::v3::DeltaDiscoveryRequest},
    google::protobuf::{Value, value::Kind},
    type_url::CLUSTER,
};
use heddle_snapshot::Role;
use heddle_xds_server::{Settings, session::Limits};
use http::Request;
use http_body_util::BodyExt;
use tonic::{Code, body::Body, codegen::Service};

use crate::support::*;

#[tokio::test]
async fn a_node_id_of_wrong_size_and_an_unknown_role_are_refused() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    let huge = "x".repeat(100_000);
    let mut odd_role = node_of("node-a");
    let fields = &mut odd_role.metadata.as_mut().unwrap().fields;
    fields.insert(
        "role".to_owned(),
        Value {
            kind: Some(Kind::StringValue("emperor".to_owned())),
        },
    );
    for (first, text) in [
        (Some(node_of(&huge)), "100000 bytes"),
        (Some(node_of("")), "0 bytes"),
        (None, "must have a node"),
        (Some(odd_role), "\"emperor\""),
    ] {
        let mut client = running.client("node-a").await;
        client
            .send(DeltaDiscoveryRequest {
                node: first,
                ..wildcard(CLUSTER)
            })
            .await;
        let status = client.error().await;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(text), "{status:?}");
    }
}

#[tokio::test]
async fn a_client_without_a_role_sees_nothing_of_a_node() {
    let running = Running::start(Settings::default(), snapshot(&[(CLUSTER, &[("a", "1")])])).await;
    let mut client = running.client("node-a").await;
    let plain = Node {
        id: "node-a".to_owned(),
        user_agent_name: "gRPC Go".to_owned(),
        ..Node::default()
    };
    client
        .send(DeltaDiscoveryRequest {
            node: Some(plain),
            ..wildcard(CLUSTER)
        })
        .await;
    assert_eq!(client.take().await, "Cluster");
    assert_eq!(running.server.clients()[0].role, Some(Role::Grpc));
}

/// Sends these bytes as the body of a delta stream, and returns the status that comes back.
async fn raw(running: &Running, body: Vec<u8>) -> Code {
    let request = Request::post(format!(
        "http://{}/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
        running.address
    ))
    .header("content-type", "application/grpc")
    .header("te", "trailers")
    .header("authorization", "Bearer secret-a")
    .body(Body::new(http_body_util::Full::from(body)))
    .unwrap();
    let mut channel = running.channel().await;
    poll_fn(|context| Service::<Request<Body>>::poll_ready(&mut channel, context))
        .await
        .unwrap();
    let response = channel.call(request).await.unwrap();
    let headers = response.headers().clone();
    let collected = tokio::time::timeout(PATIENCE, response.into_body().collect())
        .await
        .unwrap()
        .unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let status = trailers
        .get("grpc-status")
        .or_else(|| headers.get("grpc-status"))
        .unwrap();
    Code::from_bytes(status.as_bytes())
}

fn frame(length: u32, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame
}

#[tokio::test]
async fn garbage_truncated_and_oversized_requests_end_the_stream_cleanly() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    let hello = DeltaDiscoveryRequest {
        node: Some(node_of("node-a")),
        ..wildcard(CLUSTER)
    }
    .encode_to_vec();
    let length = u32::try_from(hello.len()).unwrap();
    assert_eq!(
        raw(&running, frame(4, &[0xff; 4])).await,
        Code::InvalidArgument,
        "no protobuf"
    );
    assert_eq!(
        raw(&running, frame(length, &hello[..10])).await,
        Code::InvalidArgument,
        "cut off"
    );
    assert_eq!(
        raw(&running, frame(u32::MAX, &hello)).await,
        Code::OutOfRange,
        "too large"
    );
    assert_eq!(
        raw(&running, frame(length, &hello)).await,
        Code::Ok,
        "a whole one, and a client that leaves"
    );
    running.until(<[_]>::is_empty).await;
}

#[tokio::test]
async fn a_foreign_type_is_ignored_and_the_stream_goes_on() {
    let running = Running::start(Settings::default(), snapshot(&[(CLUSTER, &[("a", "1")])])).await;
    let mut client = running.client("node-a").await;
    client
        .hello("node-a", "type.googleapis.com/foreign.Thing")
        .await;
    client.send(wildcard(CLUSTER)).await;
    assert_eq!(client.take().await, "Cluster a");
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_sent_away() {
    let settings = Settings {
        first_request_timeout: Duration::from_millis(5),
        ..Settings::default()
    };
    let running = Running::start(settings, snapshot(&[])).await;
    let mut client = running.client("node-a").await;
    assert_eq!(client.error().await.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_client_that_asks_without_end_is_sent_away() {
    let limits = Limits {
        burst: 50,
        requests_per_second: 1,
        ..Limits::default()
    };
    let running = Running::start(
        Settings {
            limits,
            ..Settings::default()
        },
        snapshot(&[]),
    )
    .await;
    let mut client = running.client("node-a").await;
    client.hello("node-a", "?").await;
    while client.requests.send(wildcard("?")).await.is_ok() {}
    assert_eq!(client.error().await.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_client_that_never_reads_has_one_response_on_the_way_however_much_changes() {
    let running = Running::start(Settings::default(), snapshot(&[(CLUSTER, &[("a", "0")])])).await;
    let silent = running.client("node-a").await;
    silent.hello("node-a", CLUSTER).await;
    let mut honest = running.client("node-b").await;
    honest.hello("node-b", CLUSTER).await;
    honest.take().await;
    for round in 1..50 {
        running
            .snapshots
            .send_replace(snapshot(&[(CLUSTER, &[("a", &round.to_string())])]));
        assert_eq!(honest.take().await, "Cluster a");
    }
    running
        .until(|clients| clients.iter().all(|client| !client.types.is_empty()))
        .await;
    let clients = running.server.clients();
    let silent = clients
        .iter()
        .find(|client| &*client.node == "node-a")
        .unwrap();
    assert_eq!(silent.types[0].counters.responses, 1);
}

#[tokio::test]
async fn a_client_that_answers_what_it_never_read_is_sent_away() {
    let content = "x".repeat(1 << 20);
    let big = |round: u32| snapshot(&[(CLUSTER, &[("a", &format!("{round}{content}"))])]);
    let running = Running::start(Settings::default(), big(0)).await;
    let liar = running.client("node-a").await;
    liar.hello("node-a", CLUSTER).await;
    for nonce in 1..=100_u32 {
        running
            .until(|clients| {
                clients.iter().all(|client| {
                    client
                        .types
                        .first()
                        .is_some_and(|of_type| of_type.counters.responses >= u64::from(nonce))
                })
            })
            .await;
        if running.server.clients().is_empty() {
            return;
        }
        let answer = DeltaDiscoveryRequest {
            type_url: CLUSTER.to_owned(),
            response_nonce: nonce.to_string(),
            ..Default::default()
        };
        running.snapshots.send_replace(big(nonce));
        if liar.requests.send(answer).await.is_err() {
            break;
        }
    }
    running.until(<[_]>::is_empty).await;
}
