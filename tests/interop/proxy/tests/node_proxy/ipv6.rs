//! IPv6: the control plane, listeners, endpoints, hosts and the admin server, all at addresses with colons in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, ensure};
use heddle_interop_proxy::{Node, Variant, apps, apps::App, eventually, resources as r};
use heddle_proto::{pack, type_url};

use crate::traffic::bytes_are_carried;

crate::in_both_variants!(
    requests_reach_endpoints_over_ipv6_by_an_address_as_host,
    bytes_are_carried_over_ipv6,
    a_cluster_may_have_endpoints_of_both_families,
    a_listener_on_all_addresses_of_one_family_leaves_the_other_alone,
    a_listener_that_leads_to_itself_by_another_word_for_its_address_ends_each_connection,
    the_admin_server_answers_over_ipv6,
);

const LOCALHOST: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

async fn start(variant: Variant) -> Result<Node> {
    Node::start_at(variant, LOCALHOST).await
}

async fn answers(at: SocketAddr, host: &str, expected: &str) -> bool {
    matches!(apps::get_at(at, host, "/").await, Ok((200, body)) if body == expected)
}

async fn requests_reach_endpoints_over_ipv6_by_an_address_as_host(variant: Variant) -> Result<()> {
    let node = start(variant).await?;
    let address = App::http_at(LOCALHOST, "by address").await?;
    let bare = App::http_at(LOCALHOST, "without a port").await?;
    let name = App::http_mirror_at(LOCALHOST).await?;
    let web = apps::free_at(LOCALHOST)?;
    // As Envoy's users write them: with the port, without, and everything else.
    let hosts = [
        (format!("[::1]:{}", web.port()), "address"),
        ("[fd00::2]".to_owned(), "bare"),
        ("*".to_owned(), "name"),
    ];
    let hosts: Vec<_> = hosts
        .iter()
        .map(|(host, to)| (host.as_str(), *to))
        .collect();
    let world = [
        pack(&r::listener_at("web", web, r::http("routes"))),
        pack(&r::routes("routes", &hosts)),
        pack(&r::eds("address")),
        pack(&r::endpoints("address", &[address.address])),
        pack(&r::eds("bare")),
        pack(&r::endpoints("bare", &[bare.address])),
        pack(&r::eds("name")),
        pack(&r::endpoints("name", &[name.address])),
    ];
    let versions = node.serve(&world).await?;
    for type_url in [
        type_url::CLUSTER,
        type_url::CLUSTER_LOAD_ASSIGNMENT,
        type_url::LISTENER,
        type_url::ROUTE_CONFIGURATION,
    ] {
        node.accepted(&versions, type_url).await?;
    }
    let own = web.to_string();
    eventually("an answer", async || answers(web, &own, "by address").await).await?;
    ensure!(answers(web, "[fd00::2]", "without a port").await);
    ensure!(answers(web, "[FD00::2]:99", "without a port").await);
    for other in ["[fd00::3]:80", "web.example", "127.0.0.1"] {
        let (status, head) = apps::get_at(web, other, "/").await?;
        // The server is told the host as the client wrote it.
        let told = format!("host: {other}\r\n");
        ensure!(status == 200 && head.contains(&told), "{other}: {head}");
    }
    for bad in ["[::1", "::1]:80", "[::1]80", "[::1]:http"] {
        let (status, _) = apps::get_at(web, bad, "/").await?;
        ensure!(status == 400, "{bad}: {status}");
    }
    Ok(())
}

async fn bytes_are_carried_over_ipv6(variant: Variant) -> Result<()> {
    bytes_are_carried(&start(variant).await?, LOCALHOST).await
}

async fn a_cluster_may_have_endpoints_of_both_families(variant: Variant) -> Result<()> {
    let node = start(variant).await?;
    let four = App::echo("four").await?;
    let six = App::echo_at(LOCALHOST, "six").await?;
    let (at_six, at_four) = (
        apps::free_at(LOCALHOST)?,
        apps::free_at(Ipv4Addr::LOCALHOST.into())?,
    );
    let world = [
        pack(&r::listener_at("six", at_six, r::bytes("both"))),
        pack(&r::listener_at("four", at_four, r::bytes("both"))),
        pack(&r::eds("both")),
        pack(&r::endpoints("both", &[four.address, six.address])),
    ];
    let versions = node.serve(&world).await?;
    node.accepted(&versions, type_url::CLUSTER_LOAD_ASSIGNMENT)
        .await?;
    for at in [at_six, at_four] {
        eventually("the listener", async || apps::is_open_at(at).await).await?;
        // They stay open: the more one endpoint has, the sooner the other is chosen.
        let mut open = Vec::new();
        eventually("both families are chosen", async || {
            open.extend(apps::greeted_at(at).await);
            ["four", "six"]
                .iter()
                .all(|wanted| open.iter().any(|(_, name)| name == wanted))
        })
        .await?;
    }
    Ok(())
}

async fn a_listener_on_all_addresses_of_one_family_leaves_the_other_alone(
    variant: Variant,
) -> Result<()> {
    let node = start(variant).await?;
    let (four, six) = (App::echo("four").await?, App::echo("six").await?);
    // As Envoy's `ipv4_compat: false`: `[::]` and `0.0.0.0` are neighbours on one port.
    let port = apps::free_port()?;
    let everywhere = |ip: IpAddr| SocketAddr::new(ip, port);
    let (any_six, any_four) = (
        everywhere(Ipv6Addr::UNSPECIFIED.into()),
        everywhere(Ipv4Addr::UNSPECIFIED.into()),
    );
    let six_alone = [
        pack(&r::listener_at("six", any_six, r::bytes("six"))),
        pack(&r::fixed("six", &[six.address])),
    ];
    let versions = node.serve(&six_alone).await?;
    node.accepted(&versions, type_url::LISTENER).await?;
    let (by_six, by_four) = (
        everywhere(LOCALHOST),
        everywhere(Ipv4Addr::LOCALHOST.into()),
    );
    eventually("the listener", async || apps::is_open_at(by_six).await).await?;
    ensure!(!apps::is_open_at(by_four).await);
    let four_too = [
        pack(&r::listener_at("four", any_four, r::bytes("four"))),
        pack(&r::fixed("four", &[four.address])),
    ];
    let versions = node.serve(&[&six_alone[..], &four_too].concat()).await?;
    node.accepted(&versions, type_url::LISTENER).await?;
    eventually("the other", async || apps::is_open_at(by_four).await).await?;
    for (at, expected) in [(by_six, "six"), (by_four, "four")] {
        let (_, name) = apps::greeted_at(at).await?;
        ensure!(name == expected, "{at}: {name:?}");
    }
    Ok(())
}

async fn a_listener_that_leads_to_itself_by_another_word_for_its_address_ends_each_connection(
    variant: Variant,
) -> Result<()> {
    let node = start(variant).await?;
    let app = App::http_at(LOCALHOST, "app").await?;
    let (six, four, marker) = (
        apps::free_at(LOCALHOST)?,
        apps::free_at(Ipv4Addr::LOCALHOST.into())?,
        apps::free_at(LOCALHOST)?,
    );
    let leads = |name: &str| r::http_inline(r::routes("inline", &[("*", name)]));
    let any_six = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), six.port());
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), four.port());
    let world = [
        pack(&r::listener_at("six", any_six, leads("six"))),
        pack(&r::fixed("six", &[six])),
        pack(&r::listener_at("four", four, leads("four"))),
        pack(&r::fixed("four", &[mapped])),
        pack(&r::listener_at("marker", marker, leads("app"))),
        pack(&r::fixed("app", &[app.address])),
    ];
    let versions = node.serve(&world).await?;
    node.accepted(&versions, type_url::LISTENER).await?;
    for at in [six, four, marker] {
        eventually("the listener", async || apps::is_open_at(at).await).await?;
    }
    for at in [six, four] {
        let (status, _) = apps::get_at(at, "x", "/").await?;
        ensure!(status == 503, "{at}: {status}");
    }
    ensure!(answers(marker, "x", "app").await);
    Ok(())
}

async fn the_admin_server_answers_over_ipv6(variant: Variant) -> Result<()> {
    let node = start(variant).await?;
    let at = node.admin;
    node.serve(&[]).await?;
    let host = at.to_string();
    let asks = async |path: &str| apps::get_at(at, &host, path).await;
    eventually("it is healthy", async || {
        matches!(asks("/healthz").await, Ok((200, _)))
    })
    .await?;
    let (status, metrics) = asks("/metrics").await?;
    ensure!(status == 200 && metrics.ends_with("# EOF\n"), "{metrics}");
    Ok(())
}
