//! Make before break ("Eventual consistency considerations").

use anyhow::{Result, ensure};

use crate::{
    World,
    client::Client,
    run::Scene,
    world::{CDS, EDS, LDS, RDS},
};

/// One of each, and the cluster `old` or `new` that the route leads to.
fn world(cluster: &str) -> World {
    World::default()
        .with(CDS, cluster)
        .with(EDS, cluster)
        .with(LDS, &format!("listener={cluster}"))
        .with(RDS, &format!("route={cluster}"))
}

/// A client that has the old ones, in the order in which clients ask.
async fn settled(scene: &Scene<'_>) -> Result<Client> {
    let mut client = scene.client_of(world("old")).await?;
    client.ask_without_names(CDS).await?;
    client.expect(CDS, "old=0").await?;
    client.subscribe(EDS, &["old"]).await?;
    client.expect(EDS, "old=0").await?;
    client.ask_without_names(LDS).await?;
    client.expect(LDS, "listener=old").await?;
    client.subscribe(RDS, &["route"]).await?;
    client.expect(RDS, "route=old").await?;
    Ok(client)
}

pub(super) async fn a_change_goes_from_clusters_to_routes(scene: &Scene<'_>) -> Result<()> {
    let mut client = settled(scene).await?;
    let changed = World::default()
        .with(CDS, "old=1")
        .with(EDS, "old=1")
        .with(LDS, "listener=1")
        .with(RDS, "route=1");
    scene.set(changed).await?;
    let mut order = Vec::new();
    while order.len() < 4 {
        let answer = client.receive_any().await?;
        client.accept(&answer).await?;
        order.push(answer.type_url);
    }
    ensure!(order == [CDS, EDS, LDS, RDS], "the order was {order:?}");
    client.quiet().await
}

pub(super) async fn a_route_waits_until_its_cluster_is_accepted(scene: &Scene<'_>) -> Result<()> {
    let mut client = settled(scene).await?;
    let both = world("new").with(CDS, "new old").with(EDS, "new old");
    scene.set(both).await?;
    let clusters = client.receive(CDS).await?;
    ensure!(clusters.words.contains_key("new"), "{clusters:?}");
    // The answer to a question about something else must come first, and nothing else.
    client.quiet().await?;
    client.accept(&clusters).await?;
    client.subscribe(EDS, &["new"]).await?;
    client.until(EDS, "new", "0").await?;
    client.expect(LDS, "listener=new").await?;
    client.expect(RDS, "route=new").await?;
    client.quiet().await
}

pub(super) async fn a_cluster_goes_only_after_the_route_without_it_is_accepted(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = settled(scene).await?;
    scene.set(world("new")).await?;
    let clusters = client.take(CDS).await?;
    ensure!(
        clusters.words.contains_key("new") && !gone(&clusters, scene),
        "the old cluster is still in use: {clusters:?}"
    );
    client.subscribe(EDS, &["new"]).await?;
    client.until(EDS, "new", "0").await?;
    client.expect(LDS, "listener=new").await?;
    let routes = client.receive(RDS).await?;
    ensure!(routes.told() == "route=new", "{routes:?}");
    client.quiet().await?;
    client.accept(&routes).await?;
    let clusters = client.take(CDS).await?;
    ensure!(
        gone(&clusters, scene),
        "the old cluster stays: {clusters:?}"
    );
    Ok(())
}

fn gone(clusters: &crate::client::Answer, scene: &Scene<'_>) -> bool {
    if scene.variant.is_delta() {
        clusters.removed.contains(&"old".to_owned())
    } else {
        !clusters.words.contains_key("old")
    }
}

pub(super) async fn endpoints_follow_each_update_of_their_cluster(scene: &Scene<'_>) -> Result<()> {
    // Envoy warms a changed cluster until its endpoints come, even the same ones.
    let mut client = settled(scene).await?;
    scene.set(world("old").with(CDS, "old=1")).await?;
    client.expect(CDS, "old=1").await?;
    client.expect(EDS, "old=0").await?;
    client.quiet().await
}
