//! Who may come in, and who may stay.

use std::time::Duration;

use heddle_proto::type_url::{CLUSTER, LISTENER};
use heddle_xds_server::Settings;
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn without_a_valid_token_nobody_comes_in() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    for (token, text) in [
        (None, "missing"),
        (Some("wrong"), "unknown token"),
        (Some(""), "malformed token"),
        (Some("secret-old"), "expired"),
    ] {
        let status = running.open(token).await.err().unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().contains(text), "{status:?}");
    }
    assert!(running.server.clients().is_empty());
}

#[tokio::test]
async fn a_token_speaks_for_its_own_node_only() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    let mut client = running.client("node-a").await;
    client.hello("node-b", CLUSTER).await;
    let status = client.error().await;
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("\"node-a\"") && status.message().contains("\"node-b\""));

    let mut client = running.client("node-a").await;
    client.hello("node-a", CLUSTER).await;
    client.receive().await.unwrap();
    client.hello("node-b", LISTENER).await;
    assert_eq!(
        client.error().await.code(),
        Code::PermissionDenied,
        "nor later in the stream"
    );
}

#[tokio::test]
async fn a_token_that_is_withdrawn_ends_its_streams_and_no_others() {
    let settings = Settings {
        recheck_interval: Duration::from_millis(5),
        ..Settings::default()
    };
    let running = Running::start(settings, snapshot(&[])).await;
    let mut gone = running.client("node-a").await;
    let mut stays = running.client("node-b").await;
    gone.hello("node-a", CLUSTER).await;
    stays.hello("node-b", CLUSTER).await;
    gone.take().await;
    stays.take().await;
    std::fs::write(
        running.tokens.path(),
        "tokens:\n- {node: node-b, token: secret-b}\n",
    )
    .unwrap();
    assert_eq!(gone.error().await.code(), Code::Unauthenticated);
    running
        .snapshots
        .send_replace(snapshot(&[(CLUSTER, &[("a", "1")])]));
    assert_eq!(stays.take().await, "Cluster a");
}

#[tokio::test]
async fn a_token_that_expires_ends_its_streams() {
    let settings = Settings {
        recheck_interval: Duration::from_millis(5),
        ..Settings::default()
    };
    let running = Running::start(settings, snapshot(&[])).await;
    let mut client = running.client("node-a").await;
    client.hello("node-a", CLUSTER).await;
    client.take().await;
    let expired = "tokens:\n- {node: node-a, token: secret-a, expires: 2001-01-01T00:00:00Z}\n";
    std::fs::write(running.tokens.path(), expired).unwrap();
    let status = client.error().await;
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "the token has expired")
    );
}

#[tokio::test]
async fn a_node_has_a_limited_number_of_streams() {
    let settings = Settings {
        streams_per_node: 2,
        streams: 3,
        ..Settings::default()
    };
    let running = Running::start(settings, snapshot(&[])).await;
    let first = running.client("node-a").await;
    let _second = running.client("node-a").await;
    let status = running.open(Some("secret-a")).await.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let _other = running.client("node-b").await;
    let status = running.open(Some("secret-b")).await.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    drop(first);
    running.until(|clients| clients.len() == 2).await;
    running.client("node-a").await;
}

#[tokio::test]
async fn draining_sends_all_clients_away_and_lets_none_in() {
    let running = Running::start(Settings::default(), snapshot(&[])).await;
    let mut client = running.client("node-a").await;
    client.hello("node-a", CLUSTER).await;
    client.take().await;
    tokio::time::timeout(PATIENCE, running.server.drain())
        .await
        .unwrap();
    assert_eq!(client.error().await.code(), Code::Unavailable);
    assert_eq!(
        running.open(Some("secret-a")).await.err().unwrap().code(),
        Code::Unavailable
    );
}
