//! State of the world only.

use anyhow::{Result, ensure};

use crate::{
    World,
    client::Request,
    run::Scene,
    world::{CDS, EDS, LDS},
};

pub(super) async fn clusters_and_listeners_come_as_a_whole(scene: &Scene<'_>) -> Result<()> {
    for type_url in [CDS, LDS] {
        let world = |resources: &str| World::default().with(type_url, resources);
        let mut client = scene.client_of(world("a b")).await?;
        client.ask_without_names(type_url).await?;
        client.expect(type_url, "a=0 b=0").await?;
        scene.set(world("a=1 b")).await?;
        client.expect(type_url, "a=1 b=0").await?;
        client.quiet().await?;
    }
    Ok(())
}

pub(super) async fn absence_of_a_cluster_or_listener_deletes_it(scene: &Scene<'_>) -> Result<()> {
    for type_url in [CDS, LDS] {
        let world = |resources: &str| World::default().with(type_url, resources);
        let mut client = scene.client_of(world("a b")).await?;
        client.ask_without_names(type_url).await?;
        client.expect(type_url, "a=0 b=0").await?;
        scene.set(world("b")).await?;
        client.expect(type_url, "b=0").await?;
        client.quiet().await?;
    }
    Ok(())
}

pub(super) async fn an_empty_response_deletes_all(scene: &Scene<'_>) -> Result<()> {
    for type_url in [CDS, LDS] {
        let world = |resources: &str| World::default().with(type_url, resources);
        let mut client = scene.client_of(world("a b")).await?;
        client.ask_without_names(type_url).await?;
        client.expect(type_url, "a=0 b=0").await?;
        scene.set(world("")).await?;
        client.expect(type_url, "").await?;
        client.quiet().await?;
    }
    Ok(())
}

pub(super) async fn other_types_come_alone_and_are_not_deleted(scene: &Scene<'_>) -> Result<()> {
    let world = |resources: &str| World::default().with(EDS, resources);
    let mut client = scene.client_of(world("a b")).await?;
    client.subscribe(EDS, &["a", "b"]).await?;
    client.expect(EDS, "a=0 b=0").await?;
    scene.set(world("b=1")).await?;
    // That a is not there says nothing; that it comes back says something.
    client.until(EDS, "b", "1").await?;
    scene.set(world("a=2 b=1")).await?;
    client.until(EDS, "a", "2").await
}

pub(super) async fn a_stale_nonce_is_not_answered(scene: &Scene<'_>) -> Result<()> {
    let world = |resources: &str| World::default().with(EDS, resources);
    let mut client = scene.client_of(world("a b")).await?;
    client.subscribe(EDS, &["a"]).await?;
    let first = client.take(EDS).await?;
    scene.set(world("a=1 b")).await?;
    let second = client.receive(EDS).await?;
    ensure!(second.told() == "a=1", "{second:?}");
    let stale = Request {
        nonce: first.nonce,
        ..client.subscription(EDS, &["b"], &[])
    };
    client.send(EDS, stale).await?;
    client.quiet().await?;
    client.accept(&second).await?;
    client.until(EDS, "b", "0").await
}

pub(super) async fn a_version_does_not_make_a_nack(scene: &Scene<'_>) -> Result<()> {
    let world = |resources: &str| World::default().with(CDS, resources);
    let mut client = scene.client_of(world("a")).await?;
    client.ask_without_names(CDS).await?;
    client.expect(CDS, "a=0").await?;
    scene.set(world("a=1")).await?;
    let answer = client.receive(CDS).await?;
    let ack = Request {
        version: "of another time".to_owned(),
        ..client.acceptance(&answer)
    };
    client.send(CDS, ack).await?;
    client.quiet().await
}

pub(super) async fn a_version_of_an_older_stream_does_not_keep_an_answer_back(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(World::default().with(EDS, "a")).await?;
    client.subscribe(EDS, &["a"]).await?;
    let answer = client.expect(EDS, "a=0").await?;
    client.reconnect();
    let first = Request {
        version: answer.version,
        ..client.subscription(EDS, &["a"], &[])
    };
    client.send(EDS, first).await?;
    client.expect(EDS, "a=0").await?;
    Ok(())
}

pub(super) async fn the_version_changes_with_the_content_only(scene: &Scene<'_>) -> Result<()> {
    let world = |resources: &str| World::default().with(CDS, resources);
    let mut client = scene.client_of(world("a")).await?;
    client.ask_without_names(CDS).await?;
    let first = client.expect(CDS, "a=0").await?;
    scene.set(world("a=1")).await?;
    let second = client.expect(CDS, "a=1").await?;
    ensure!(
        first.version != second.version && !first.version.is_empty(),
        "{:?} and {:?}",
        first.version,
        second.version
    );
    Ok(())
}
