//! Connections without mutual TLS: choice, retries, policy.

use std::{collections::HashSet, sync::Arc, time::Duration};

use heddle_config::{Cluster, ClusterKind, NetworkPolicy, UpstreamHttp};
use heddle_routing::policy::{Permission, Policy, Principal, Rbac, RbacAction};
use heddle_telemetry::ResponseFlag;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    servers::echo,
    world::{World, dead, origin, own_address, pod, worker},
};
use crate::{ConnectError, Connected, Destination};

async fn name(connected: &mut Connected) -> String {
    let mut name = [0; 1];
    connected.io.read_exact(&mut name).await.expect("a name");
    String::from_utf8_lossy(&name).into_owned()
}

fn isolated(permissions: Vec<Permission>) -> NetworkPolicy {
    NetworkPolicy::Isolated {
        by: vec!["NetworkPolicy shop/web".into()],
        rules: Arc::new(Rbac {
            action: RbacAction::Allow,
            policies: vec![Policy {
                name: "NetworkPolicy shop/web egress rule 0".into(),
                permissions,
                principals: vec![Principal::Any],
            }],
        }),
    }
}

#[tokio::test]
async fn connections_are_spread_over_the_endpoints() {
    worker(async {
        let world = World::new();
        let (a, b) = (echo("a").await, echo("b").await);
        let to = world.cluster(&[a.address, b.address]);
        let mut names = HashSet::new();
        // The first one counts as load while it is held, so the second goes to the other endpoint.
        let mut first = world
            .upstream
            .connect(&world.origin, to.clone())
            .await
            .expect("connected");
        names.insert(name(&mut first).await);
        let mut second = world
            .upstream
            .connect(&world.origin, to)
            .await
            .expect("connected");
        names.insert(name(&mut second).await);
        assert_eq!(names.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_target_is_told() {
    worker(async {
        let world = World::new();
        let server = echo("a").await;
        let to = world.cluster(&[server.address]);
        let mut connected = world
            .upstream
            .connect(&world.origin, to)
            .await
            .expect("connected");
        assert_eq!(connected.target.address, server.address);
        assert!(!connected.target.mtls && connected.target.workload.is_none());
        connected.io.write_all(b"hello").await.expect("written");
        connected.io.shutdown().await.expect("shut down");
        let mut heard = String::new();
        connected.io.read_to_string(&mut heard).await.expect("read");
        assert_eq!(heard, "ahello");
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_replaced_by_another() {
    worker(async {
        let world = World::new();
        let server = echo("a").await;
        let to = world.cluster(&[dead(), dead(), server.address]);
        for _ in 0..20 {
            let connected = world.upstream.connect(&world.origin, to.clone()).await;
            assert_eq!(connected.expect("connected").target.address, server.address);
        }
    })
    .await;
}

#[tokio::test]
async fn no_more_than_three_endpoints_are_tried() {
    worker(async {
        let world = World::new();
        let to = world.cluster(&[dead(), dead(), dead(), dead(), dead()]);
        let error = world
            .upstream
            .connect(&world.origin, to)
            .await
            .expect_err("all dead");
        assert!(
            matches!(error, ConnectError::Failed { tried: 3, .. }),
            "{error}"
        );
        assert_eq!(error.flag(), ResponseFlag::ConnectFailure);
        assert!(error.to_string().contains("endpoints tried: 3"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn clusters_that_cannot_be_connected_to_are_told_apart() {
    worker(async {
        let world = World::new();
        let connect = async |name: &str| {
            let to = Destination::Cluster(name.into());
            world
                .upstream
                .connect(&world.origin, to)
                .await
                .expect_err("impossible")
                .flag()
        };
        assert_eq!(connect("nowhere").await, ResponseFlag::NoCluster);
        world.cluster(&[]);
        assert_eq!(connect("c").await, ResponseFlag::NoHealthyEndpoint);
        world.change(|config| {
            let alias = Cluster {
                name: "alias".into(),
                kind: ClusterKind::Alias("example.com".into()),
                http: UpstreamHttp::AsClient,
                connect_timeout: Duration::from_secs(1),
                tls: heddle_config::ClusterTls::None,
            };
            config.clusters.insert("alias".into(), Arc::new(alias));
        });
        assert_eq!(connect("alias").await, ResponseFlag::NoCluster);
    })
    .await;
}

#[tokio::test]
async fn new_endpoints_are_seen_at_once() {
    worker(async {
        let world = World::new();
        let (a, b) = (echo("a").await, echo("b").await);
        let to = world.cluster(&[a.address]);
        let connected = world
            .upstream
            .connect(&world.origin, to.clone())
            .await
            .expect("connected");
        assert_eq!(connected.target.address, a.address);
        world.cluster(&[b.address]);
        let connected = world
            .upstream
            .connect(&world.origin, to)
            .await
            .expect("connected");
        assert_eq!(connected.target.address, b.address);
    })
    .await;
}

#[tokio::test]
async fn egress_policy_is_asked_about_the_real_endpoint() {
    worker(async {
        let world = World::new();
        let server = echo("a").await;
        let to = world.cluster(&[server.address]);
        let port = server.address.port();
        let allowed = origin(
            "allowed",
            isolated(vec![Permission::DestinationPorts(port, port)]),
        );
        world
            .upstream
            .connect(&allowed, to.clone())
            .await
            .expect("allowed");

        let refused = origin(
            "refused",
            isolated(vec![Permission::DestinationPorts(80, 80)]),
        );
        let error = world
            .upstream
            .connect(&refused, to)
            .await
            .expect_err("refused");
        assert_eq!(error.flag(), ResponseFlag::NetworkPolicy);
        assert!(
            error.to_string().contains("NetworkPolicy shop/web"),
            "{error}"
        );
        assert!(
            world.metrics.encode().contains("NetworkPolicy shop/web"),
            "the refusal is counted"
        );

        let to = Destination::Address(server.address);
        assert!(
            world.upstream.connect(&refused, to).await.is_err(),
            "by address neither"
        );
        assert_eq!(
            server.accepted_before_now().await,
            1,
            "a refused connection was made"
        );
    })
    .await;
}

#[tokio::test]
async fn the_newest_policy_counts_not_the_one_of_the_accepted_connection() {
    worker(async {
        let world = World::new();
        let server = echo("a").await;
        let to = world.cluster(&[server.address]);
        let refusing = pod("web-1", isolated(vec![]));
        world.change(|config| {
            config.pods.insert(refusing.name.clone(), refusing);
        });
        assert!(
            world
                .upstream
                .connect(&world.origin, to.clone())
                .await
                .is_err()
        );

        // A new pod of the same name is somebody else, and its policy not ours.
        let mut other = (*pod("web-1", isolated(vec![]))).clone();
        other.uid = heddle_config::PodUid("another".into());
        world.change(|config| {
            config.pods.insert(other.name.clone(), Arc::new(other));
        });
        assert!(world.upstream.connect(&world.origin, to).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn an_address_outside_the_mesh_is_reached_as_it_is() {
    worker(async {
        let world = World::new();
        let server = echo("a").await;
        let to = Destination::Address(server.address);
        let mut connected = world
            .upstream
            .connect(&world.origin, to)
            .await
            .expect("connected");
        assert_eq!(name(&mut connected).await, "a");
        let error = world
            .upstream
            .connect(
                &world.origin,
                Destination::Address((own_address(), 9).into()),
            )
            .await
            .expect_err("dead");
        assert_eq!(error.flag(), ResponseFlag::ConnectFailure);
    })
    .await;
}
