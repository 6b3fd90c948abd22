//! What is told is done, and acknowledged.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use heddle_interop_proxy::{Node, Variant, apps, apps::App, eventually, resources as r};
use heddle_proto::{pack, type_url};

crate::in_both_variants!(
    requests_go_where_routes_and_endpoints_say_and_each_type_is_acknowledged,
    routes_and_endpoints_may_stand_in_the_listener_and_the_cluster,
    bytes_go_to_a_cluster_also_if_the_server_speaks_first,
    bytes_are_split_by_weight,
    a_listener_changes_what_it_speaks_without_losing_its_socket_or_its_connections,
);

async fn requests_go_where_routes_and_endpoints_say_and_each_type_is_acknowledged(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let (one, two) = (App::http("one").await?, App::http("two").await?);
    let port = apps::free_port()?;
    let world = |a: &App, to: &str| {
        vec![
            pack(&r::listener("web", port, r::http("routes"))),
            pack(&r::routes(
                "routes",
                &[("a.example", to), ("b.example", "other")],
            )),
            pack(&r::eds("first")),
            pack(&r::eds("other")),
            pack(&r::endpoints("first", &[a.address])),
            pack(&r::endpoints("other", &[two.address])),
        ]
    };
    let versions = node.serve(&world(&one, "first")).await?;
    for type_url in [
        type_url::CLUSTER,
        type_url::CLUSTER_LOAD_ASSIGNMENT,
        type_url::LISTENER,
        type_url::ROUTE_CONFIGURATION,
    ] {
        node.accepted(&versions, type_url).await?;
    }
    let gets = async |host: &str, expected: &str| {
        apps::get(port, host).await.ok() == Some((200, expected.to_owned()))
    };
    eventually("the first answer", async || gets("a.example", "one").await).await?;
    ensure!(gets("b.example", "two").await);
    ensure!(apps::get(port, "c.example").await?.0 == 404);
    // The endpoints change, then the route.
    let versions = node.serve(&world(&two, "first")).await?;
    node.accepted(&versions, type_url::CLUSTER_LOAD_ASSIGNMENT)
        .await?;
    eventually("the new endpoint", async || gets("a.example", "two").await).await?;
    let versions = node.serve(&world(&one, "other")).await?;
    node.accepted(&versions, type_url::ROUTE_CONFIGURATION)
        .await?;
    eventually("the new route", async || gets("a.example", "two").await).await
}

async fn routes_and_endpoints_may_stand_in_the_listener_and_the_cluster(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let port = apps::free_port()?;
    let inline = r::http_inline(r::routes("inline", &[("*", "app")]));
    let world = [
        pack(&r::listener("web", port, inline)),
        pack(&r::fixed("app", &[app.address])),
    ];
    let versions = node.serve(&world).await?;
    node.accepted(&versions, type_url::LISTENER).await?;
    node.accepted(&versions, type_url::CLUSTER).await?;
    eventually(
        "an answer",
        async || matches!(apps::get(port, "x").await, Ok((200, body)) if body == "app"),
    )
    .await
}

async fn bytes_go_to_a_cluster_also_if_the_server_speaks_first(variant: Variant) -> Result<()> {
    bytes_are_carried(&Node::start(variant).await?, Ipv4Addr::LOCALHOST.into()).await
}

/// From a listener to a server that speaks first, both at this address.
pub(crate) async fn bytes_are_carried(node: &Node, ip: IpAddr) -> Result<()> {
    let app = App::echo_at(ip, "app").await?;
    let at = apps::free_at(ip)?;
    let world = [
        pack(&r::listener_at("bytes", at, r::bytes("app"))),
        pack(&r::fixed("app", &[app.address])),
    ];
    let versions = node.serve(&world).await?;
    node.accepted(&versions, type_url::LISTENER).await?;
    eventually("the listener", async || apps::is_open_at(at).await).await?;
    let (mut stream, name) = apps::greeted_at(at).await?;
    ensure!(name == "app", "{name:?}");
    ensure!(apps::echoes(&mut stream, "some bytes").await?);
    Ok(())
}

async fn bytes_are_split_by_weight(variant: Variant) -> Result<()> {
    let node = Node::start(variant).await?;
    let (many, few) = (App::echo("many").await?, App::echo("few").await?);
    let port = apps::free_port()?;
    let split = r::bytes_split(&[("many", 9), ("few", 1), ("gone", 0)]);
    let world = [
        pack(&r::listener("bytes", port, split)),
        pack(&r::fixed("many", &[many.address])),
        pack(&r::fixed("few", &[few.address])),
    ];
    let versions = node.serve(&world).await?;
    node.accepted(&versions, type_url::LISTENER).await?;
    node.accepted(&versions, type_url::CLUSTER).await?;
    eventually("the listener", async || apps::is_open(port).await).await?;
    let mut to_few = 0;
    for _ in 0..100 {
        match apps::greeted(port).await?.1.as_str() {
            "few" => to_few += 1,
            other => ensure!(other == "many", "{other:?}"),
        }
    }
    // Ten of a hundred, give or take what two beginnings by chance bring.
    ensure!((4..=16).contains(&to_few), "{to_few} of 100 instead of 10");
    Ok(())
}

async fn a_listener_changes_what_it_speaks_without_losing_its_socket_or_its_connections(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let (web, bytes) = (App::http("web").await?, App::echo("bytes").await?);
    let port = apps::free_port()?;
    let clusters = [
        pack(&r::fixed("web", &[web.address])),
        pack(&r::fixed("bytes", &[bytes.address])),
    ];
    let with = |filter| {
        let listener = pack(&r::listener("door", port, filter));
        [&clusters[..], &[listener]].concat()
    };
    node.serve(&with(r::bytes("bytes"))).await?;
    eventually("the listener", async || apps::is_open(port).await).await?;
    let (mut open, _) = apps::greeted(port).await?;
    let inline = || r::http_inline(r::routes("inline", &[("*", "web")]));
    let versions = node.serve(&with(inline())).await?;
    node.accepted(&versions, type_url::LISTENER).await?;
    // Never refused: the socket is the same.
    ensure!(apps::get(port, "x").await? == (200, "web".to_owned()));
    ensure!(apps::echoes(&mut open, "still there").await?);
    Ok(())
}
