//! Wildcards, explicit and legacy ("How the client specifies what resources to return").

use anyhow::{Result, ensure};

use crate::{
    World,
    run::Scene,
    world::{CDS, EDS, LDS},
};

fn clusters(resources: &str) -> World {
    World::default().with(CDS, resources)
}

pub(super) async fn an_asterisk_asks_for_everything(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(clusters("a b").with(LDS, "c d")).await?;
    client.subscribe(CDS, &["*"]).await?;
    client.expect(CDS, "a=0 b=0").await?;
    client.subscribe(LDS, &["*"]).await?;
    client.expect(LDS, "c=0 d=0").await?;
    client.quiet().await
}

pub(super) async fn no_names_in_the_first_request_ask_for_everything(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(clusters("a b").with(LDS, "c d")).await?;
    client.ask_without_names(CDS).await?;
    client.expect(CDS, "a=0 b=0").await?;
    client.ask_without_names(LDS).await?;
    client.expect(LDS, "c=0 d=0").await?;
    client.quiet().await
}

pub(super) async fn a_wildcard_gets_what_appears_later(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(clusters("a")).await?;
    client.ask_without_names(CDS).await?;
    client.expect(CDS, "a=0").await?;
    scene.set(clusters("a b=1")).await?;
    client.until(CDS, "b", "1").await?;
    client.quiet().await
}

pub(super) async fn a_wildcard_is_answered_even_if_there_is_nothing(
    scene: &Scene<'_>,
) -> Result<()> {
    // Envoy does not finish its start without the answer.
    let mut client = scene.client_of(World::default()).await?;
    client.ask_without_names(CDS).await?;
    client.expect(CDS, "").await?;
    client.quiet().await
}

pub(super) async fn a_wildcard_and_names_may_be_mixed_and_dropping_it_keeps_the_names(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(clusters("a b c")).await?;
    client.subscribe(CDS, &["*", "a"]).await?;
    client.expect(CDS, "a=0 b=0 c=0").await?;
    client.unsubscribe(CDS, &["*"]).await?;
    // Its answer tells that the server has seen the request before.
    client.subscribe(CDS, &["c"]).await?;
    client.until(CDS, "c", "0").await?;
    scene.set(clusters("a b=1 c")).await?;
    scene.set(clusters("a=1 b=1 c")).await?;
    loop {
        let answer = client.take(CDS).await?;
        ensure!(!answer.words.contains_key("b"), "b was dropped: {answer:?}");
        if answer.words.get("a").is_some_and(|word| word == "1") {
            return client.quiet().await;
        }
    }
}

pub(super) async fn an_empty_list_after_names_means_nothing(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(clusters("a b")).await?;
    client.subscribe(CDS, &["a"]).await?;
    client.expect(CDS, "a=0").await?;
    client.unsubscribe(CDS, &["a"]).await?;
    if scene.variant.is_aggregated() {
        // Only here can a client know that its request was seen before the change.
        client.quiet_but_for_empty(CDS).await?;
        scene.set(clusters("a=1 b")).await?;
        client.quiet_but_for_empty(CDS).await?;
    }
    client.subscribe(CDS, &["b"]).await?;
    loop {
        let answer = client.take(CDS).await?;
        match answer.told().as_str() {
            "" => {}
            "b=0" => return client.quiet().await,
            other => anyhow::bail!("nothing was asked for but b, {other:?} came"),
        }
    }
}

pub(super) async fn a_later_request_without_names_changes_nothing(scene: &Scene<'_>) -> Result<()> {
    let world = |word: &str| World::default().with(EDS, &format!("a b={word}"));
    let mut client = scene.client_of(world("0")).await?;
    client.subscribe(EDS, &["a"]).await?;
    client.expect(EDS, "a=0").await?;
    client.ask_without_names(EDS).await?;
    client.quiet().await?;
    scene.set(world("1")).await?;
    client.quiet().await
}

pub(super) async fn a_name_dropped_out_of_a_wildcard_is_answered(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(clusters("a b")).await?;
    client.subscribe(CDS, &["*", "a"]).await?;
    client.expect(CDS, "a=0 b=0").await?;
    client.unsubscribe(CDS, &["a"]).await?;
    client.expect(CDS, "a=0").await?;
    client.quiet().await
}

pub(super) async fn a_name_dropped_out_of_a_wildcard_that_is_gone_is_told_as_removed(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(clusters("b")).await?;
    client.subscribe(CDS, &["*", "a"]).await?;
    let answer = client.take(CDS).await?;
    ensure!(answer.words.contains_key("b"), "{answer:?}");
    client.unsubscribe(CDS, &["a"]).await?;
    client.expect(CDS, "-a").await?;
    client.quiet().await
}
