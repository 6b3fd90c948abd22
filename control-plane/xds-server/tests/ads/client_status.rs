//! What is told of clients (CSDS), to a tool that knows nothing of Heddle.

use std::sync::{Arc, OnceLock};

use heddle_proto::{
    envoy::{
        admin::v3::ClientResourceStatus,
        service::status::v3::{
            ClientConfig, ClientStatusRequest, ConfigStatus,
            client_status_discovery_service_client::ClientStatusDiscoveryServiceClient,
        },
        r#type::matcher::v3::{NodeMatcher, StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::{Struct, value::Kind},
    type_url::CLUSTER,
};
use heddle_xds_server::{ClientStatusService, Server, Settings, http2};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::support::*;

async fn asker(server: Option<&Server>) -> ClientStatusDiscoveryServiceClient<Channel> {
    let known = Arc::new(OnceLock::new());
    if let Some(server) = server {
        known.set(server.clone()).unwrap();
    }
    let expiry = Arc::new(|_: &str| Some(std::time::UNIX_EPOCH));
    let service = ClientStatusService::new(known, expiry).into_service();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = http2(tonic::transport::Server::builder()).add_service(service);
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    ClientStatusDiscoveryServiceClient::new(endpoint.connect().await.unwrap())
}

async fn ask(server: &Server, request: ClientStatusRequest) -> Result<Vec<ClientConfig>, Status> {
    let answer = asker(Some(server)).await.fetch_client_status(request).await;
    answer.map(|answer| answer.into_inner().config)
}

fn only(id: MatchPattern) -> ClientStatusRequest {
    ClientStatusRequest {
        node_matchers: vec![NodeMatcher {
            node_id: Some(StringMatcher {
                match_pattern: Some(id),
                ..Default::default()
            }),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn ids(configs: &[ClientConfig]) -> Vec<&str> {
    let ids = configs
        .iter()
        .map(|config| &*config.node.as_ref().unwrap().id);
    ids.collect()
}

fn summary(config: &ClientConfig) -> &Struct {
    let metadata = config.node.as_ref().unwrap().metadata.as_ref().unwrap();
    match &metadata.fields["dev.heddle.status"].kind {
        Some(Kind::StructValue(summary)) => summary,
        other => panic!("{other:?}"),
    }
}

/// `node-a` accepted `a`, and refuses the second version of `b`; `node-b` has answered nothing.
async fn two() -> (Running, Client, Client) {
    let first = snapshot(&[(CLUSTER, &[("a", "1"), ("b", "1")])]);
    let running = Running::start(Settings::default(), first).await;
    let mut refusing = running.client("node-a").await;
    refusing.hello("node-a", CLUSTER).await;
    refusing.take().await;
    running
        .until(|clients| {
            clients
                .iter()
                .any(|client| client.types[0].counters.accepted == 1)
        })
        .await;
    let mut silent = running.client("node-b").await;
    silent.hello("node-b", CLUSTER).await;
    silent.receive().await.unwrap();
    let second = snapshot(&[(CLUSTER, &[("a", "1"), ("b", "2")])]);
    running.snapshots.send_replace(second);
    let response = refusing.receive().await.unwrap();
    refusing.answer(&response, Some("b: too blue")).await;
    running
        .until(|clients| {
            clients
                .iter()
                .any(|client| client.types[0].counters.refused == 1)
        })
        .await;
    (running, refusing, silent)
}

#[tokio::test]
async fn each_client_is_told_with_what_it_runs_and_what_it_should() {
    let (running, _refusing, _silent) = two().await;
    let all = ask(&running.server, ClientStatusRequest::default())
        .await
        .unwrap();
    assert_eq!(ids(&all), ["node-a", "node-b"]);
    let resources = &all[0].generic_xds_configs;
    let names: Vec<&str> = resources.iter().map(|resource| &*resource.name).collect();
    assert_eq!(names, ["a", "b"]);
    let (good, bad) = (&resources[0], &resources[1]);
    assert_eq!(good.config_status(), ConfigStatus::Synced);
    assert_eq!(good.client_status(), ClientResourceStatus::Acked);
    assert_eq!(good.xds_config.as_ref().unwrap().type_url, CLUSTER);
    assert_eq!(good.error_state, None);
    assert_eq!(bad.config_status(), ConfigStatus::Error);
    assert_eq!(bad.client_status(), ClientResourceStatus::Nacked);
    let error = bad.error_state.as_ref().unwrap();
    assert!(error.details.starts_with("too blue"), "{}", error.details);
    assert_ne!(error.version_info, bad.version_info);
    assert_ne!(error.failed_configuration, bad.xds_config);
    let unanswered = &all[1].generic_xds_configs[0];
    assert_eq!(unanswered.config_status(), ConfigStatus::Stale);
    assert_eq!(unanswered.client_status(), ClientResourceStatus::Requested);
    let expires = summary(&all[0]).fields["certificate_expires"].kind.clone();
    assert_eq!(
        expires,
        Some(Kind::StringValue("1970-01-01T00:00:00Z".to_owned()))
    );
    assert!(summary(&all[1]).fields.contains_key("unanswered_seconds"));
    assert!(!summary(&all[0]).fields.contains_key("unanswered_seconds"));
}

#[tokio::test]
async fn without_contents_only_what_is_not_in_sync_is_listed_and_all_of_it_is_counted() {
    let (running, _refusing, _silent) = two().await;
    let request = ClientStatusRequest {
        exclude_resource_contents: true,
        ..only(MatchPattern::Exact("node-a".to_owned()))
    };
    let all = ask(&running.server, request).await.unwrap();
    assert_eq!(ids(&all), ["node-a"]);
    assert_eq!(all[0].generic_xds_configs.len(), 1);
    let bad = &all[0].generic_xds_configs[0];
    assert_eq!((&*bad.name, &bad.xds_config), ("b", &None));
    assert_eq!(bad.error_state.as_ref().unwrap().failed_configuration, None);
    let Some(Kind::StructValue(types)) = &summary(&all[0]).fields["types"].kind else {
        panic!("types");
    };
    let Some(Kind::StructValue(clusters)) = &types.fields[CLUSTER].kind else {
        panic!("clusters");
    };
    let counted = ["wanted", "synced", "refused"].map(|name| &clusters.fields[name].kind);
    let number = |value: f64| Some(Kind::NumberValue(value));
    assert_eq!(counted, [&number(2.0), &number(1.0), &number(1.0)]);
}

#[tokio::test]
async fn a_stream_of_questions_gets_one_answer_each() {
    let (running, _refusing, _silent) = two().await;
    let questions = vec![
        only(MatchPattern::Suffix("-b".to_owned())),
        only(MatchPattern::Contains("nobody".to_owned())),
        ClientStatusRequest::default(),
    ];
    let mut asker = asker(Some(&running.server)).await;
    let answers = asker
        .stream_client_status(tokio_stream::iter(questions))
        .await;
    let mut answers = answers.unwrap().into_inner();
    let mut counts = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        counts.push(answer.config.len());
    }
    assert_eq!(counts, [1, 0, 2]);
}

#[tokio::test]
async fn a_matcher_that_is_not_understood_is_refused_not_ignored() {
    let (running, _refusing, _silent) = two().await;
    let mut by_metadata = only(MatchPattern::Exact("node-a".to_owned()));
    by_metadata.node_matchers[0]
        .node_metadatas
        .push(Default::default());
    let nothing = ClientStatusRequest {
        node_matchers: vec![NodeMatcher::default()],
        ..Default::default()
    };
    for request in [
        by_metadata,
        nothing,
        only(MatchPattern::SafeRegex(Default::default())),
    ] {
        let status = ask(&running.server, request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("node_id"), "{status}");
    }
}

#[tokio::test]
async fn before_anybody_is_served_the_answer_says_so() {
    let request = ClientStatusRequest::default();
    let status = asker(None)
        .await
        .fetch_client_status(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}
