//! A control plane that sends what cannot be, or nothing.

use anyhow::{Result, ensure};
use heddle_interop_proxy::{Node, Variant, apps, apps::App, eventually, resources as r};
use heddle_proto::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, CustomClusterType},
            },
            listener::v3::Listener,
        },
        extensions::clusters::aggregate::v3::ClusterConfig as Aggregate,
    },
    google::protobuf::Any,
    pack, type_url,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

crate::in_both_variants!(
    a_bad_resource_is_refused_by_its_name_and_harms_no_other,
    a_resource_that_becomes_bad_stays_as_it_was,
    of_two_listeners_at_one_address_the_second_is_refused_by_its_name,
    clusters_that_refer_to_each_other_in_a_circle_are_refused_by_their_names,
    listeners_that_lead_to_themselves_or_in_a_circle_end_each_connection_at_once,
    a_world_without_anything_closes_everything_and_the_next_one_opens_it_again,
    a_control_plane_that_falls_silent_or_dies_changes_nothing,
    without_a_control_plane_a_new_proxy_begins_with_what_was_good,
    many_large_resources_are_taken_and_their_memory_is_given_back,
);

/// A listener and its cluster.
fn good(name: &str, port: u16, app: &App) -> [Any; 2] {
    let inline = r::http_inline(r::routes("inline", &[("*", name)]));
    [
        pack(&r::listener(name, port, inline)),
        pack(&r::fixed(name, &[app.address])),
    ]
}

async fn answers(port: u16, expected: &str) -> bool {
    matches!(apps::get(port, "x").await, Ok((200, body)) if body == expected)
}

fn without_filters(name: &str, port: u16) -> Listener {
    let mut listener = r::listener(name, port, r::bytes("x"));
    listener.filter_chains.clear();
    listener
}

async fn a_bad_resource_is_refused_by_its_name_and_harms_no_other(variant: Variant) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let (port, other) = (apps::free_port()?, apps::free_port()?);
    let bad = pack(&without_filters("bad", other));
    let world = [&good("app", port, &app)[..], &[bad]].concat();
    let versions = node.serve(&world).await?;
    let error = node.answer(&versions, type_url::LISTENER).await?;
    ensure!(
        error == "Listener bad: filter_chains: must be exactly one",
        "{error}"
    );
    node.accepted(&versions, type_url::CLUSTER).await?;
    eventually("the good one", async || answers(port, "app").await).await?;
    ensure!(!apps::is_open(other).await);
    Ok(())
}

async fn a_resource_that_becomes_bad_stays_as_it_was(variant: Variant) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let port = apps::free_port()?;
    let world = good("app", port, &app);
    node.serve(&world).await?;
    eventually("the good one", async || answers(port, "app").await).await?;
    let mut bad_cluster = r::fixed("app", &[]);
    bad_cluster.load_assignment = None;
    let bad = [pack(&without_filters("app", port)), pack(&bad_cluster)];
    let versions = node.serve(&bad).await?;
    let error = node.answer(&versions, type_url::LISTENER).await?;
    ensure!(error.starts_with("Listener app: "), "{error}");
    let error = node.answer(&versions, type_url::CLUSTER).await?;
    ensure!(error == "Cluster app: load_assignment: missing", "{error}");
    ensure!(answers(port, "app").await, "the last good state must stay");
    // It is no dead end.
    let other = App::http("other").await?;
    let versions = node.serve(&good("app", port, &other)).await?;
    node.accepted(&versions, type_url::CLUSTER).await?;
    eventually("what is good again", async || answers(port, "other").await).await
}

async fn of_two_listeners_at_one_address_the_second_is_refused_by_its_name(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let (one, two) = (App::http("one").await?, App::http("two").await?);
    let port = apps::free_port()?;
    let world = [good("one", port, &one), good("two", port, &two)].concat();
    let versions = node.serve(&world).await?;
    let error = node.answer(&versions, type_url::LISTENER).await?;
    let (refused, serving) = if error.starts_with("Listener two: ") {
        ("two", "one")
    } else {
        ("one", "two")
    };
    let text = format!("Listener {refused}: address: is the listener {serving:?}'s already");
    ensure!(error == text, "{error}");
    eventually("the first", async || answers(port, serving).await).await?;
    for _ in 0..50 {
        ensure!(answers(port, serving).await, "both are open");
    }
    Ok(())
}

fn aggregate(name: &str, of: &str) -> Any {
    let of = Aggregate {
        clusters: vec![of.to_owned()],
    };
    pack(&Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::ClusterType(CustomClusterType {
            name: "envoy.clusters.aggregate".to_owned(),
            typed_config: Some(pack(&of)),
        })),
        ..Cluster::default()
    })
}

async fn clusters_that_refer_to_each_other_in_a_circle_are_refused_by_their_names(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let port = apps::free_port()?;
    let circle = [aggregate("a", "b"), aggregate("b", "a")];
    let world = [&good("app", port, &app)[..], &circle].concat();
    let versions = node.serve(&world).await?;
    let error = node.answer(&versions, type_url::CLUSTER).await?;
    for name in ["a", "b"] {
        let text = format!("Cluster {name}: cluster_type: not understood by this proxy");
        ensure!(error.contains(&text), "{error}");
    }
    eventually("the good one", async || answers(port, "app").await).await
}

async fn listeners_that_lead_to_themselves_or_in_a_circle_end_each_connection_at_once(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let (port, own) = (apps::free_port()?, apps::free_port()?);
    let (there, back) = (apps::free_port()?, apps::free_port()?);
    let at = |port: u16| [std::net::SocketAddr::from(([127, 0, 0, 1], port))];
    let circle = [
        pack(&r::fixed("own", &at(own))),
        pack(&r::listener(
            "own",
            own,
            r::http_inline(r::routes("inline", &[("*", "own")])),
        )),
        pack(&r::fixed("there", &at(there))),
        pack(&r::fixed("back", &at(back))),
        pack(&r::listener("there", there, r::bytes("back"))),
        pack(&r::listener("back", back, r::bytes("there"))),
    ];
    node.serve(&[&good("app", port, &app)[..], &circle].concat())
        .await?;
    eventually("the good one", async || answers(port, "app").await).await?;
    for port in [own, there, back] {
        eventually("the circle", async || apps::is_open(port).await).await?;
    }
    ensure!(apps::get(own, "x").await?.0 == 503);
    for port in [there, back] {
        let ended = apps::get(port, "x").await;
        ensure!(ended.is_err(), "{ended:?}");
    }
    ensure!(answers(port, "app").await);
    Ok(())
}

async fn a_world_without_anything_closes_everything_and_the_next_one_opens_it_again(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let port = apps::free_port()?;
    let world = [
        pack(&r::listener("web", port, r::http("routes"))),
        pack(&r::routes("routes", &[("*", "app")])),
        pack(&r::eds("app")),
        pack(&r::endpoints("app", &[app.address])),
    ];
    node.serve(&world).await?;
    eventually("the listener", async || answers(port, "app").await).await?;
    let versions = node.serve(&[]).await?;
    node.accepted(&versions, type_url::LISTENER).await?;
    node.accepted(&versions, type_url::CLUSTER).await?;
    eventually("the end of the listener", async || {
        !apps::is_open(port).await
    })
    .await?;
    node.serve(&world).await?;
    eventually("the listener again", async || answers(port, "app").await).await
}

async fn a_control_plane_that_falls_silent_or_dies_changes_nothing(variant: Variant) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let port = apps::free_port()?;
    node.serve(&good("app", port, &app)).await?;
    eventually("the listener", async || answers(port, "app").await).await?;
    let process = node
        .control_plane
        .process()
        .and_then(|id| i32::try_from(id).ok());
    let process = Pid::from_raw(process.expect("it runs"));
    kill(process, Signal::SIGSTOP)?;
    // Longer than it takes to find out: both times of its keepalive.
    for _ in 0..24 {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        ensure!(answers(port, "app").await, "while it was silent");
    }
    kill(process, Signal::SIGCONT)?;
    let other = App::http("other").await?;
    node.serve(&good("app", port, &other)).await?;
    eventually("news after the silence", async || {
        answers(port, "other").await
    })
    .await?;
    kill(process, Signal::SIGKILL)?;
    for _ in 0..10 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        ensure!(answers(port, "other").await, "after its end");
    }
    Ok(())
}

async fn without_a_control_plane_a_new_proxy_begins_with_what_was_good(
    variant: Variant,
) -> Result<()> {
    let mut node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let port = apps::free_port()?;
    node.serve(&good("app", port, &app)).await?;
    eventually("the listener", async || answers(port, "app").await).await?;
    let kept = node.last_good();
    eventually("the last good configuration", async || {
        std::fs::read(&kept).is_ok_and(|bytes| bytes.windows(8).any(|w| w == b"Listener"))
    })
    .await?;
    node.kill_proxy().await?;
    let process = node
        .control_plane
        .process()
        .and_then(|id| i32::try_from(id).ok());
    kill(Pid::from_raw(process.expect("it runs")), Signal::SIGKILL)?;
    node.start_proxy()?;
    eventually("the listener without a control plane", async || {
        answers(port, "app").await
    })
    .await
}

/// 2,000 clusters of 50 endpoints and as many RouteConfigurations that nobody refers to, five times over.
async fn many_large_resources_are_taken_and_their_memory_is_given_back(
    variant: Variant,
) -> Result<()> {
    let mut node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let port = apps::free_port()?;
    let base = good("app", port, &app);
    let huge = |round: u16| {
        let many = (0..2000_u16).flat_map(|index| {
            let endpoints: Vec<_> = (0..50_u16)
                .map(|n| std::net::SocketAddr::from(([127, 1, (n + round) as u8, 1], 1 + index)))
                .collect();
            let name = format!("huge-{index}");
            [
                pack(&r::fixed(&name, &endpoints)),
                pack(&r::routes(&name, &[("*", &name)])),
            ]
        });
        many.chain(base.clone()).collect::<Vec<_>>()
    };
    let mut after_first = 0;
    for round in 0..5 {
        let versions = node.serve(&huge(round)).await?;
        node.accepted(&versions, type_url::CLUSTER).await?;
        ensure!(answers(port, "app").await || round == 0);
        let versions = node.serve(&base).await?;
        node.accepted(&versions, type_url::CLUSTER).await?;
        let memory = node.memory()?;
        println!("round {round}: {} MiB", memory >> 20);
        if round == 1 {
            after_first = memory;
        }
        ensure!(
            round < 2 || memory < after_first * 2,
            "{memory} bytes, after {after_first}"
        );
    }
    ensure!(node.is_running());
    eventually("the listener", async || answers(port, "app").await).await
}
