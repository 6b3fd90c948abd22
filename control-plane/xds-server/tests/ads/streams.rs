//! What clients get.

use heddle_proto::{
    Message,
    envoy::service::discovery::v3::{
        DiscoveryRequest, aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
    google::protobuf::Any,
    type_url::{CLUSTER, CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION},
};
use heddle_snapshot::Role;
use heddle_xds_server::Settings;
use tonic::Request;

use crate::support::*;

#[tokio::test]
async fn a_delta_client_gets_what_it_asks_for_as_envoys_own_types_read_it() {
    let running = Running::start(
        Settings::default(),
        snapshot(&[(CLUSTER, &[("a", "1"), ("b", "2")])]),
    )
    .await;
    let mut client = running.client("node-a").await;
    client.hello("node-a", CLUSTER).await;
    let response = client.receive().await.unwrap();
    assert_eq!(response.type_url, CLUSTER);
    assert_eq!(show(&response), "Cluster a b");
    let resource = &response.resources[1];
    let any = resource.resource.as_ref().unwrap();
    assert_eq!(any.type_url, CLUSTER);
    assert_eq!(Any::decode(&*any.value).unwrap().type_url, "2");
    let clients = running.server.clients();
    assert_eq!(
        (&*clients[0].node, clients[0].role),
        ("node-a", Some(Role::Node))
    );
    assert_eq!(resource.version.len(), 16);
}

#[tokio::test]
async fn a_state_of_the_world_client_gets_what_it_asks_for_as_envoys_own_types_read_it() {
    let running = Running::start(
        Settings::default(),
        snapshot(&[(CLUSTER, &[("a", "1"), ("b", "2")])]),
    )
    .await;
    let first = DiscoveryRequest {
        node: Some(node_of("node-a")),
        type_url: CLUSTER.to_owned(),
        ..Default::default()
    };
    let mut request = Request::new(tokio_stream::StreamExt::chain(
        tokio_stream::iter([first]),
        tokio_stream::pending(),
    ));
    request
        .metadata_mut()
        .insert("authorization", "Bearer secret-a".parse().unwrap());
    let mut client = AggregatedDiscoveryServiceClient::new(running.channel().await);
    let mut responses = client
        .stream_aggregated_resources(request)
        .await
        .unwrap()
        .into_inner();
    let response = responses.message().await.unwrap().unwrap();
    assert_eq!(
        (&*response.type_url, response.resources.len()),
        (CLUSTER, 2)
    );
    assert_eq!(response.resources[0].type_url, CLUSTER);
    assert!(!response.version_info.is_empty() && !response.nonce.is_empty());
}

#[tokio::test]
async fn one_changed_resource_is_one_resource_to_each_of_many_clients() {
    let limits = Settings {
        streams_per_node: 100,
        ..Settings::default()
    };
    let old: &[_] = &[("a", "1"), ("b", "1"), ("c", "1")];
    let running = Running::start(limits, snapshot(&[(CLUSTER_LOAD_ASSIGNMENT, old)])).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = running.client("node-a").await;
        client.hello("node-a", CLUSTER_LOAD_ASSIGNMENT).await;
        assert_eq!(client.take().await, "ClusterLoadAssignment a b c");
        clients.push(client);
    }
    running
        .until(|clients| {
            clients
                .iter()
                .all(|client| client.types[0].counters.accepted == 1)
        })
        .await;
    let new: &[_] = &[("a", "1"), ("b", "2"), ("c", "1")];
    running
        .snapshots
        .send_replace(snapshot(&[(CLUSTER_LOAD_ASSIGNMENT, new)]));
    for client in &mut clients {
        assert_eq!(client.take().await, "ClusterLoadAssignment b");
    }
    running
        .until(|clients| {
            clients
                .iter()
                .all(|client| client.types[0].counters.accepted == 2)
        })
        .await;
    for client in running.server.clients() {
        assert_eq!(client.types[0].counters.resources, 4);
    }
}

#[tokio::test]
async fn a_new_cluster_comes_before_the_route_to_it_and_the_old_one_goes_after() {
    let running = Running::start(
        Settings::default(),
        snapshot(&[
            (CLUSTER, &[("old", "1")]),
            (ROUTE_CONFIGURATION, &[("r", "old")]),
        ]),
    )
    .await;
    let mut client = running.client("node-a").await;
    client.hello("node-a", CLUSTER).await;
    client.take().await;
    client.send(wildcard(ROUTE_CONFIGURATION)).await;
    client.take().await;
    running
        .until(|clients| {
            clients[0]
                .types
                .iter()
                .all(|of_type| of_type.counters.accepted == 1)
                && clients[0].types.len() == 2
        })
        .await;
    let next = snapshot(&[
        (CLUSTER, &[("new", "1")]),
        (ROUTE_CONFIGURATION, &[("r", "new")]),
    ]);
    running.snapshots.send_replace(next);
    assert_eq!(client.take().await, "Cluster new");
    assert_eq!(client.take().await, "RouteConfiguration r");
    assert_eq!(client.take().await, "Cluster -old");
}

#[tokio::test]
async fn a_refusal_is_told_to_the_observer_and_cleared_when_the_client_goes() {
    let running = Running::start(Settings::default(), snapshot(&[(CLUSTER, &[("a", "1")])])).await;
    let mut client = running.client("node-a").await;
    client.hello("node-a", CLUSTER).await;
    let response = client.receive().await.unwrap();
    client
        .answer(&response, Some("Cluster a: weights: sum is 0"))
        .await;
    running
        .until(|clients| clients[0].types[0].refusals.len() == 1)
        .await;
    drop(client);
    running.until(<[_]>::is_empty).await;
    let notices = running.notices.lock().unwrap();
    let told: Vec<_> = notices
        .iter()
        .map(|notice| (&*notice.node, &*notice.refusal().message))
        .collect();
    assert_eq!(
        told,
        [
            ("node-a", "weights: sum is 0"),
            ("node-a", "weights: sum is 0")
        ]
    );
}
