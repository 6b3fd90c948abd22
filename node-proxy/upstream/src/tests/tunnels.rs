//! Connections in mutual TLS: whom they reach, who shares them, what is never done.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use futures::future::join_all;
use heddle_config::{NetworkPolicy, PodUid};
use heddle_telemetry::ResponseFlag;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    servers::{Gate, Server, echo, gate, silent},
    world::{CLIENT, SERVER, World, id, origin, worker},
};
use crate::{ConnectError, Connected, Destination, UpstreamSettings};

/// A pod in the mesh: its application and its gate.
struct Peer {
    application: Server,
    gate: Gate,
}

/// A mesh of pods that are SERVER, and the cluster of all of them.
async fn mesh(names: &[&'static str]) -> (World, Vec<Peer>, Destination) {
    let authority_world = World::new();
    let certificates = authority_world.authority.certificates(&[SERVER]);
    let mut peers = Vec::<Peer>::new();
    for name in names {
        let application = echo(name).await;
        let port = peers
            .first()
            .map_or(0, |peer| peer.gate.server.address.port());
        let gate = gate(application.address.ip(), port, SERVER, certificates.clone()).await;
        peers.push(Peer { application, gate });
    }
    let world = authority_world.on_port(peers[0].gate.server.address.port());
    for peer in &peers {
        world.in_mesh(peer.application.address.ip(), SERVER);
    }
    let addresses: Vec<SocketAddr> = peers.iter().map(|peer| peer.application.address).collect();
    let to = world.cluster(&addresses);
    (world, peers, to)
}

impl World {
    /// The same mesh, with HBONE on another port.
    fn on_port(mut self, hbone_port: u16) -> Self {
        let settings = UpstreamSettings {
            hbone_port,
            ..UpstreamSettings::default()
        };
        let certificates = self.authority.certificates(&[CLIENT]);
        self.upstream = crate::Upstream::new(
            self.config.clone(),
            certificates,
            self.metrics.clone(),
            settings,
        );
        self
    }

    async fn connect(&self, to: &Destination) -> Result<Connected, ConnectError> {
        self.upstream.connect(&self.origin, to.clone()).await
    }
}

async fn exchange(connected: &mut Connected) -> String {
    connected.io.write_all(b"!").await.expect("written");
    connected.io.shutdown().await.expect("shut down");
    let mut heard = String::new();
    connected.io.read_to_string(&mut heard).await.expect("read");
    heard
}

#[tokio::test]
async fn a_workload_of_the_mesh_is_reached_by_mutual_tls() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        let mut connected = world.connect(&to).await.expect("connected");
        assert!(connected.target.mtls);
        assert_eq!(connected.target.address, peers[0].application.address);
        assert_eq!(exchange(&mut connected).await, "a!");
        assert_eq!(*peers[0].gate.peers.borrow(), [id(CLIENT)]);
    })
    .await;
}

#[tokio::test]
async fn an_address_of_the_mesh_is_reached_by_mutual_tls_too() {
    worker(async {
        let (world, peers, _) = mesh(&["a"]).await;
        let to = Destination::Address(peers[0].application.address);
        let mut connected = world.connect(&to).await.expect("connected");
        assert!(connected.target.mtls);
        assert_eq!(exchange(&mut connected).await, "a!");
    })
    .await;
}

#[tokio::test]
async fn a_storm_of_connections_shares_one_tunnel() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        let connected = join_all((0..50).map(|_| world.connect(&to))).await;
        for connected in connected {
            assert_eq!(exchange(&mut connected.expect("connected")).await, "a!");
        }
        assert_eq!(world.upstream.counts().tunnels_made, 1);
        assert_eq!(peers[0].gate.server.connections.get(), 1);
        assert_eq!(peers[0].application.connections.get(), 50);
    })
    .await;
}

#[tokio::test]
async fn more_streams_than_a_tunnel_takes_make_another() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        let connected = join_all((0..101).map(|_| world.connect(&to))).await;
        assert!(connected.iter().all(Result::is_ok));
        assert_eq!(peers[0].gate.server.connections.get(), 2);
    })
    .await;
}

#[tokio::test]
async fn two_pods_of_the_same_identity_never_share_a_tunnel() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        let second = origin("web-2", NetworkPolicy::Open);
        world.connect(&to).await.expect("connected");
        world
            .upstream
            .connect(&second, to.clone())
            .await
            .expect("connected");
        world.connect(&to).await.expect("connected");
        world
            .upstream
            .connect(&second, to)
            .await
            .expect("connected");
        assert_eq!(world.upstream.counts().tunnels_made, 2);
        assert_eq!(peers[0].gate.peers.borrow().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_new_pod_at_an_old_address_gets_its_own_tunnel() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        world.connect(&to).await.expect("connected");
        world.workload(peers[0].application.address.ip(), SERVER, "uid-2");
        world.connect(&to).await.expect("connected");
        assert_eq!(world.upstream.counts().tunnels_made, 2);
    })
    .await;
}

#[tokio::test]
async fn a_standing_tunnel_is_not_used_for_another_expected_identity() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        world.connect(&to).await.expect("connected");
        let other = "spiffe://cluster.local/ns/shop/sa/other";
        world.in_mesh(peers[0].application.address.ip(), other);
        let error = world.connect(&to).await.expect_err("not the one expected");
        assert_eq!(error.flag(), ResponseFlag::IdentityMismatch);
    })
    .await;
}

#[tokio::test]
async fn somebody_else_at_the_address_is_refused_and_never_spoken_to_in_plain_text() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        world.in_mesh(
            peers[0].application.address.ip(),
            "spiffe://cluster.local/ns/shop/sa/other",
        );
        let error = world.connect(&to).await.expect_err("refused");
        assert_eq!(error.flag(), ResponseFlag::IdentityMismatch);
        let text = error.to_string();
        assert!(
            text.contains("expected spiffe://cluster.local/ns/shop/sa/other"),
            "{text}"
        );
        assert_eq!(
            peers[0].application.accepted_before_now().await,
            0,
            "plain text"
        );
    })
    .await;
}

#[tokio::test]
async fn a_pod_without_a_gate_is_not_spoken_to_in_plain_text() {
    worker(async {
        let (world, _peers, _) = mesh(&["a"]).await;
        let lone = echo("b").await;
        world.in_mesh(lone.address.ip(), SERVER);
        let to = world.cluster(&[lone.address]);
        let error = world.connect(&to).await.expect_err("no gate");
        assert_eq!(error.flag(), ResponseFlag::ConnectFailure);
        assert_eq!(lone.accepted_before_now().await, 0, "plain text");
    })
    .await;
}

#[tokio::test]
async fn an_origin_without_a_certificate_connects_to_nobody() {
    worker(async {
        let (mut world, peers, to) = mesh(&["a", "b"]).await;
        world.origin.identity = id("spiffe://cluster.local/ns/shop/sa/nobody");
        let error = world.connect(&to).await.expect_err("no certificate");
        assert_eq!(error.flag(), ResponseFlag::IdentityUnavailable);
        for peer in peers {
            assert_eq!(peer.gate.server.accepted_before_now().await, 0);
            assert_eq!(peer.application.accepted_before_now().await, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_whose_application_does_not_answer_is_replaced_by_another() {
    worker(async {
        let (world, peers, to) = mesh(&["a", "b"]).await;
        peers[0]
            .gate
            .refusal
            .set(Some(StatusCode::SERVICE_UNAVAILABLE));
        for _ in 0..10 {
            let connected = world.connect(&to).await.expect("connected");
            assert_eq!(connected.target.address, peers[1].application.address);
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_has_died_costs_one_connection_its_time_and_not_each() {
    worker(async {
        let (world, peers, _) = mesh(&["a"]).await;
        let (application, port) = (&peers[0].application, peers[0].gate.server.address.port());
        // Takes connections and says nothing: no part of a connection to it ever ends but by the limit.
        let silent = silent(port).await;
        world.in_mesh(silent.address.ip(), SERVER);
        let address = SocketAddr::new(silent.address.ip(), 80);
        world.cluster(&[address, application.address]);
        world.connect_within(Duration::from_secs(1));
        let to = Destination::Cluster("c".into());
        for _ in 0..30 {
            let connected = world.connect(&to).await.expect("connected");
            assert_eq!(connected.target.address, application.address);
        }
        assert!(silent.accepted_before_now().await <= 1);
    })
    .await;
}

#[tokio::test]
async fn a_peer_whose_policy_refuses_is_not_replaced() {
    worker(async {
        let (world, peers, to) = mesh(&["a", "b"]).await;
        for peer in &peers {
            peer.gate.refusal.set(Some(StatusCode::UNAUTHORIZED));
        }
        let error = world.connect(&to).await.expect_err("refused");
        assert!(
            matches!(error, ConnectError::Failed { tried: 1, .. }),
            "{error}"
        );
        assert_eq!(error.flag(), ResponseFlag::Authorization);
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_that_goes_away_is_replaced_and_its_streams_end_in_peace() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        let mut old = world.connect(&to).await.expect("connected");
        peers[0].gate.shutdown.replace(Default::default()).cancel();
        // Two go-aways and a ping are exchanged; streams that are opened meanwhile are either taken or opened again elsewhere.
        while world.upstream.counts().tunnels_made < 2 {
            let mut connected = world.connect(&to).await.expect("connected");
            assert_eq!(exchange(&mut connected).await, "a!");
        }
        assert_eq!(exchange(&mut old).await, "a!");
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_closed_before_anything_came_of_it_is_made_again() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        let gate = &peers[0].gate;
        for hung_up in [1, 2] {
            world.upstream.forget(&PodUid("uid-of-web-1".into()));
            gate.hang_up.set(hung_up);
            let mut connected = world.connect(&to).await.expect("connected");
            assert_eq!(exchange(&mut connected).await, "a!");
            assert_eq!(gate.hang_up.get(), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_closes_every_connection_is_not_asked_for_ever() {
    worker(async {
        let (world, peers, to) = mesh(&["a"]).await;
        peers[0].gate.hang_up.set(u32::MAX);
        let Err(error) = world.connect(&to).await else {
            panic!("nobody is there");
        };
        assert_eq!(error.flag(), ResponseFlag::TlsFailure);
        assert_eq!(u32::MAX - peers[0].gate.hang_up.get(), 3);
    })
    .await;
}

#[tokio::test]
async fn tunnels_of_a_removed_pod_are_closed() {
    worker(async {
        let (world, _peers, to) = mesh(&["a"]).await;
        world.connect(&to).await.expect("connected");
        assert_eq!(world.upstream.counts().tunnels, 1);
        world.upstream.forget(&PodUid("uid-of-other".into()));
        assert_eq!(world.upstream.counts().tunnels, 1);
        world.upstream.forget(&PodUid("uid-of-web-1".into()));
        assert_eq!(world.upstream.counts().tunnels, 0);
        assert_eq!(Rc::strong_count(&world.upstream.inner), 1);
    })
    .await;
}
