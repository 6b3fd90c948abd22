//! What is said on a stream that stands.

use heddle_proto::{envoy::service::discovery::v3::DeltaDiscoveryRequest, type_url};
use heddle_xds_client::FileToken;

use crate::{
    handler::Recorder,
    plain,
    server::{ControlPlane, Stream, response},
    settings, start, until, with_token,
};

/// Five wildcards and the trust bundle.
pub(crate) const FIRST_REQUESTS: usize = 6;

/// A stream whose first requests have been read.
pub(crate) async fn opened(server: &mut ControlPlane) -> Stream {
    let mut stream = server.stream().await;
    stream.requests(FIRST_REQUESTS).await;
    stream
}

fn is_ack(request: &DeltaDiscoveryRequest, type_url: &str, nonce: &str) -> bool {
    request.type_url == type_url
        && request.response_nonce == nonce
        && request.error_detail.is_none()
}

#[tokio::test]
async fn it_says_who_it_is_once_and_subscribes_to_wildcards_and_names() {
    let mut server = ControlPlane::start().await;
    let _client = start(settings(plain(&server.uri())), &Recorder::default());
    let requests = server.stream().await.requests(FIRST_REQUESTS).await;
    let said: Vec<(bool, &str, &str)> = requests
        .iter()
        .map(|r| {
            (
                r.node.is_some(),
                r.type_url.as_str(),
                r.resource_names_subscribe[0].as_str(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            (true, type_url::WORKLOAD, "*"),
            (false, type_url::ADDRESS_SET, "*"),
            (false, type_url::SECRET, "ROOTCA"),
            (false, type_url::CLUSTER, "*"),
            (false, type_url::LISTENER, "*"),
            (false, type_url::DNS_TABLE, "*"),
        ]
    );
    assert_eq!(
        requests[0].node.as_ref().map(|node| node.id.as_str()),
        Some("node-a")
    );
    assert!(
        requests
            .iter()
            .all(|r| r.initial_resource_versions.is_empty())
    );
}

#[tokio::test]
async fn it_acknowledges_and_follows_with_what_listeners_refer_to() {
    let mut server = ControlPlane::start().await;
    let recorder = Recorder::default();
    let client = start(settings(plain(&server.uri())), &recorder);
    let mut stream = opened(&mut server).await;
    stream.send(response(type_url::LISTENER, &["a", "b"]));
    assert!(is_ack(
        &stream.request().await,
        type_url::LISTENER,
        "nonce of a b"
    ));
    let routes = stream.request().await;
    assert_eq!(routes.type_url, type_url::ROUTE_CONFIGURATION);
    assert_eq!(routes.resource_names_subscribe, ["a", "b"]);
    assert!(routes.response_nonce.is_empty());
    stream.send(response(type_url::ROUTE_CONFIGURATION, &["a"]));
    assert!(is_ack(
        &stream.request().await,
        type_url::ROUTE_CONFIGURATION,
        "nonce of a"
    ));
    assert!(recorder.names(type_url::ROUTE_CONFIGURATION).contains("a"));
    until(&client.status, "two ACKs", |status| status.acks == 2).await;
    let status = client.status.get();
    assert!(status.connected && status.last_update.is_some() && status.nacks == 0);
}

#[tokio::test]
async fn it_refuses_only_the_bad_resource_and_says_which() {
    let mut server = ControlPlane::start().await;
    let recorder = Recorder::default();
    let client = start(settings(plain(&server.uri())), &recorder);
    let mut stream = opened(&mut server).await;
    stream.send(response(
        type_url::CLUSTER,
        &["good", "bad-1", "also-good", "bad-2"],
    ));
    let nack = stream.request().await;
    let detail = nack.error_detail.expect("a NACK");
    assert_eq!(detail.message, "bad-1: is bad; bad-2: is bad");
    assert_eq!(nack.response_nonce, "nonce of good bad-1 also-good bad-2");
    let names: Vec<String> = recorder.names(type_url::CLUSTER).into_iter().collect();
    assert_eq!(names, ["also-good", "good"]);
    until(&client.status, "a NACK", |status| status.nacks == 1).await;
    let status = client.status.get();
    assert_eq!((status.acks, status.refused_resources), (0, 2));
    assert_eq!(status.last_refused, ["bad-1: is bad", "bad-2: is bad"]);
}

#[tokio::test]
async fn it_drops_what_is_removed_and_unsubscribes_from_what_that_referred_to() {
    let mut server = ControlPlane::start().await;
    let recorder = Recorder::default();
    let _client = start(settings(plain(&server.uri())), &recorder);
    let mut stream = opened(&mut server).await;
    stream.send(response(type_url::LISTENER, &["a", "b"]));
    stream.requests(2).await;
    let mut removal = response(type_url::LISTENER, &[]);
    removal.removed_resources = vec!["a".to_owned()];
    stream.send(removal);
    let after = stream.requests(2).await;
    assert_eq!(after[1].resource_names_unsubscribe, ["a"]);
    assert!(after[1].resource_names_subscribe.is_empty());
    assert!(!recorder.names(type_url::LISTENER).contains("a"));
}

#[tokio::test]
async fn an_unknown_type_is_not_answered_and_disturbs_nothing() {
    let mut server = ControlPlane::start().await;
    let recorder = Recorder::default();
    let client = start(settings(plain(&server.uri())), &recorder);
    let mut stream = opened(&mut server).await;
    stream.send(response(
        "type.googleapis.com/envoy.service.runtime.v3.Runtime",
        &["x"],
    ));
    stream.send(response(type_url::CLUSTER, &["a"]));
    assert!(is_ack(
        &stream.request().await,
        type_url::CLUSTER,
        "nonce of a"
    ));
    until(&client.status, "the unasked response", |status| {
        status.unasked == 1
    })
    .await;
}

#[tokio::test]
async fn each_stream_carries_the_token_of_the_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").expect("written");
    let mut server = ControlPlane::start().await;
    let settings = with_token(settings(plain(&server.uri())), FileToken(path.clone()));
    let _client = start(settings, &Recorder::default());
    let stream = opened(&mut server).await;
    assert_eq!(stream.authorization.as_deref(), Some("Bearer first"));
    std::fs::write(&path, "second").expect("written");
    drop(stream);
    let stream = opened(&mut server).await;
    assert_eq!(stream.authorization.as_deref(), Some("Bearer second"));
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_told_and_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    let mut server = ControlPlane::start().await;
    let settings = with_token(settings(plain(&server.uri())), FileToken(path.clone()));
    let client = start(settings, &Recorder::default());
    until(&client.status, "an error", |status| {
        status
            .last_error
            .as_deref()
            .is_some_and(|error| error.contains("cannot read the token"))
    })
    .await;
    std::fs::write(&path, "now").expect("written");
    assert_eq!(
        opened(&mut server).await.authorization.as_deref(),
        Some("Bearer now")
    );
}
