//! Delta only.

use anyhow::{Result, ensure};

use crate::{
    World,
    client::Request,
    run::Scene,
    world::{CDS, EDS, LDS},
};

fn endpoints(resources: &str) -> World {
    World::default().with(EDS, resources)
}

pub(super) async fn only_the_changed_is_sent(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene
        .client_of(World::default().with(CDS, "a b c").with(LDS, "d"))
        .await?;
    client.ask_without_names(CDS).await?;
    client.expect(CDS, "a=0 b=0 c=0").await?;
    client.ask_without_names(LDS).await?;
    client.expect(LDS, "d=0").await?;
    scene
        .set(World::default().with(CDS, "a b=1 c").with(LDS, "d"))
        .await?;
    client.expect(CDS, "b=1").await?;
    client.quiet().await
}

pub(super) async fn the_removed_is_told(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b").with(CDS, "c d")).await?;
    client.subscribe(EDS, &["a", "b"]).await?;
    client.expect(EDS, "a=0 b=0").await?;
    scene.set(endpoints("b").with(CDS, "c d")).await?;
    client.expect(EDS, "-a").await?;
    client.ask_without_names(CDS).await?;
    client.expect(CDS, "c=0 d=0").await?;
    scene.set(endpoints("b").with(CDS, "d")).await?;
    client.expect(CDS, "-c").await?;
    client.quiet().await?;
    scene.set(endpoints("a=2 b").with(CDS, "d")).await?;
    client.expect(EDS, "a=2").await?;
    client.quiet().await
}

pub(super) async fn a_name_that_does_not_exist_is_told_as_removed_at_once(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a")).await?;
    client.subscribe(EDS, &["nowhere"]).await?;
    client.expect(EDS, "-nowhere").await?;
    client.quiet().await
}

pub(super) async fn a_name_that_is_subscribed_again_is_answered_again(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a", "b"]).await?;
    client.expect(EDS, "a=0 b=0").await?;
    client.subscribe(EDS, &["a"]).await?;
    client.expect(EDS, "a=0").await?;
    client.quiet().await
}

pub(super) async fn a_stale_nonce_does_not_keep_a_subscription_back(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a"]).await?;
    let first = client.expect(EDS, "a=0").await?;
    scene.set(endpoints("a=1 b")).await?;
    client.expect(EDS, "a=1").await?;
    let stale = Request {
        nonce: first.nonce,
        ..client.subscription(EDS, &["b"], &[])
    };
    client.send(EDS, stale).await?;
    client.expect(EDS, "b=0").await?;
    client.quiet().await
}

pub(super) async fn unsubscribing_what_was_never_subscribed_is_ignored(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a"]).await?;
    client.expect(EDS, "a=0").await?;
    client.unsubscribe(EDS, &["b", "phantom"]).await?;
    client.quiet().await?;
    scene.set(endpoints("a=1 b")).await?;
    client.expect(EDS, "a=1").await?;
    client.quiet().await
}

pub(super) async fn unsubscribing_needs_no_answer(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a", "b"]).await?;
    client.expect(EDS, "a=0 b=0").await?;
    client.unsubscribe(EDS, &["a"]).await?;
    client.quiet().await
}

pub(super) async fn the_version_of_a_resource_changes_with_its_content_only(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a")).await?;
    client.subscribe(EDS, &["a"]).await?;
    let first = client.expect(EDS, "a=0").await?;
    scene.set(endpoints("a=1")).await?;
    let second = client.expect(EDS, "a=1").await?;
    scene.set(endpoints("a=0")).await?;
    let third = client.expect(EDS, "a=0").await?;
    ensure!(
        first.versions == third.versions && first.versions != second.versions,
        "{:?}, {:?}, {:?}",
        first.versions,
        second.versions,
        third.versions
    );
    Ok(())
}
