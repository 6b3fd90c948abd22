//! Clients that mean harm: each gets a clear status, and the honest client beside it notices nothing.

use std::time::Duration;

use heddle_proto::{
    envoy::service::{
        discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
        endpoint::v3::endpoint_discovery_service_client::EndpointDiscoveryServiceClient,
    },
    type_url::{CLUSTER, CLUSTER_LOAD_ASSIGNMENT, PUSH_ORDER},
};
use heddle_xds_server::Settings;
use tonic::{Code, Request};

use crate::support::*;

/// A client that is served before and after what somebody else does.
struct Honest(Client);

impl Honest {
    async fn beside(running: &Running) -> Self {
        let mut client = running.client("node-b").await;
        client.hello("node-b", CLUSTER).await;
        client.take().await;
        Self(client)
    }

    async fn stays_unharmed(mut self, running: &Running) {
        let word = "after all";
        running
            .snapshots
            .send_replace(snapshot(&[(CLUSTER, &[("a", word)])]));
        assert_eq!(self.0.take().await, "Cluster a");
    }
}

/// Requests of 10,000 names each.
fn names(type_url: &str, from: usize) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: type_url.to_owned(),
        resource_names_subscribe: (from..from + 10_000).map(|n| format!("name-{n}")).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_million_names_are_too_many() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    let honest = Honest::beside(&running).await;
    let mut greedy = running.client("node-a").await;
    greedy.hello("node-a", "?").await;
    for batch in 0..100 {
        let request = names(CLUSTER_LOAD_ASSIGNMENT, batch * 10_000);
        if greedy.requests.send(request).await.is_err() {
            break;
        }
    }
    let status = loop {
        if let Err(status) = greedy.receive().await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("100000 names"), "{status:?}");
    honest.stays_unharmed(&running).await;
}

#[tokio::test]
async fn nor_are_they_few_enough_when_spread_over_the_types() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    let honest = Honest::beside(&running).await;
    let mut greedy = running.client("node-a").await;
    greedy.hello("node-a", "?").await;
    'all: for batch in 0..10 {
        for type_url in PUSH_ORDER {
            let request = names(type_url, batch * 10_000);
            if greedy.requests.send(request).await.is_err() {
                break 'all;
            }
        }
    }
    let status = loop {
        if let Err(status) = greedy.receive().await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("bytes"), "{status:?}");
    honest.stays_unharmed(&running).await;
}

#[tokio::test]
async fn answers_to_what_was_never_sent_are_no_answers() {
    let running = Running::start(Settings::default(), snapshot(&[(CLUSTER, &[("a", "1")])])).await;
    let mut liar = running.client("node-a").await;
    liar.hello("node-a", CLUSTER).await;
    let response = liar.receive().await.unwrap();
    for nonce in ["0", "99", "18446744073709551616", "-1", "\u{0}", "nonce"] {
        liar.send(DeltaDiscoveryRequest {
            type_url: CLUSTER.to_owned(),
            response_nonce: nonce.to_owned(),
            ..Default::default()
        })
        .await;
    }
    // The one that was sent is still open: nothing more of its type comes before its answer.
    running
        .snapshots
        .send_replace(snapshot(&[(CLUSTER, &[("a", "2")])]));
    liar.answer(&response, None).await;
    assert_eq!(liar.take().await, "Cluster a");
    let counters = running.server.clients()[0].types[0].counters.clone();
    assert_eq!((counters.responses, counters.accepted), (2, 1));
}

#[tokio::test]
async fn ten_thousand_streams_of_one_node_are_too_many() {
    let settings = Settings {
        // Silent streams would be sent away meanwhile, and make room.
        first_request_timeout: Duration::from_secs(3600),
        ..Settings::default()
    };
    let limit = settings.streams_per_node;
    let running = Running::start(settings, snapshot(&[])).await;
    let honest = Honest::beside(&running).await;
    let channel = running.channel().await;
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..10_000 {
        match running.open_on(channel.clone(), Some("secret-a")).await {
            Ok(client) => open.push(client),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted);
                assert!(status.message().contains("node-a"), "{status:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((open.len(), refused), (limit, 10_000 - limit));
    honest.stays_unharmed(&running).await;
}

#[tokio::test]
async fn a_node_id_of_a_mebibyte_is_refused() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    let honest = Honest::beside(&running).await;
    let mut client = running.client("node-a").await;
    client.hello(&"x".repeat(1 << 20), CLUSTER).await;
    let status = client.error().await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().len() < 200, "it repeats what was sent");
    honest.stays_unharmed(&running).await;
}

#[tokio::test]
async fn an_aggregated_request_without_a_type_is_refused() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    let mut client = running.client("node-a").await;
    client.hello("node-a", "").await;
    let status = client.error().await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("type_url"), "{status:?}");
}

#[tokio::test]
async fn the_type_of_another_service_is_refused() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    let first = DiscoveryRequest {
        node: Some(node_of("node-a")),
        type_url: CLUSTER.to_owned(),
        ..Default::default()
    };
    let mut request = Request::new(tokio_stream::once(first));
    let token = "Bearer secret-a".parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    let mut client = EndpointDiscoveryServiceClient::new(running.channel().await);
    let mut responses = client.stream_endpoints(request).await.unwrap().into_inner();
    let status = responses.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("Cluster\""), "{status:?}");
}
