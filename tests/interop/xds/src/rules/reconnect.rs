//! Streams that come, go, come back, and are slow.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    World,
    client::{Client, Request, connect},
    run::Scene,
    world::{CDS, EDS},
};

fn endpoints(resources: &str) -> World {
    World::default().with(EDS, resources)
}

pub(super) async fn a_client_that_comes_back_gets_what_changed(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("same changed gone new")).await?;
    client.subscribe(EDS, &["same", "changed", "gone"]).await?;
    let before = client.take(EDS).await?;
    client.reconnect();
    scene.set(endpoints("same changed=1 new")).await?;
    let back = Request {
        initial: Client::known(&before).into_iter().collect(),
        ..client.subscription(EDS, &["same", "changed", "gone", "new"], &[])
    };
    client.send(EDS, back).await?;
    let mut told = String::new();
    // What is new may be told before what is gone.
    while told.len() < "changed=1 new=0 -gone".len() {
        let answer = client.take(EDS).await?;
        told = format!("{told} {}", answer.told()).trim().to_owned();
    }
    ensure!(told == "changed=1 new=0 -gone", "{told:?} came");
    client.quiet().await
}

pub(super) async fn a_wildcard_client_that_comes_back_is_told_what_is_gone(
    scene: &Scene<'_>,
) -> Result<()> {
    let clusters = |resources: &str| World::default().with(CDS, resources);
    let mut client = scene.client_of(clusters("same gone")).await?;
    client.ask_without_names(CDS).await?;
    let before = client.take(CDS).await?;
    client.reconnect();
    scene.set(clusters("same new")).await?;
    let back = Request {
        initial: Client::known(&before).into_iter().collect(),
        ..Request::default()
    };
    client.send(CDS, back).await?;
    let mut told = String::new();
    while told.len() < "new=0 -gone".len() {
        let answer = client.take(CDS).await?;
        told = format!("{told} {}", answer.told()).trim().to_owned();
    }
    ensure!(told == "new=0 -gone", "{told:?} came");
    client.quiet().await
}

pub(super) async fn versions_outlive_a_stream(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(World::default().with(CDS, "a b")).await?;
    client.ask_without_names(CDS).await?;
    let first = client.expect(CDS, "a=0 b=0").await?;
    client.reconnect();
    client.ask_without_names(CDS).await?;
    let second = client.expect(CDS, "a=0 b=0").await?;
    ensure!(
        first.versions == second.versions && first.version == second.version,
        "{first:?} and {second:?}"
    );
    Ok(())
}

pub(super) async fn streams_of_one_node_know_nothing_of_each_other(
    scene: &Scene<'_>,
) -> Result<()> {
    // gRPC opens one stream for each target (A71).
    let mut one = scene.client_of(endpoints("a b")).await?;
    let mut other = scene.client("node-a").await?;
    one.subscribe(EDS, &["a"]).await?;
    other.subscribe(EDS, &["b"]).await?;
    one.expect(EDS, "a=0").await?;
    other.expect(EDS, "b=0").await?;
    scene.set(endpoints("a=1 b=1")).await?;
    one.expect(EDS, "a=1").await?;
    other.expect(EDS, "b=1").await?;
    one.reconnect();
    scene.set(endpoints("a=2 b=2")).await?;
    other.expect(EDS, "b=2").await?;
    other.quiet().await
}

/// Changes while a client is slow.
const CHANGES: usize = 100;

pub(super) async fn a_slow_client_gets_the_newest_not_everything(scene: &Scene<'_>) -> Result<()> {
    let mut slow = scene.client_of(endpoints("a")).await?;
    let mut quick = scene.client("node-b").await?;
    slow.subscribe(EDS, &["a"]).await?;
    let unanswered = slow.receive(EDS).await?;
    quick.subscribe(EDS, &["a"]).await?;
    quick.expect(EDS, "a=0").await?;
    for word in 1..=CHANGES {
        scene.set(endpoints(&format!("a={word}"))).await?;
        quick.until(EDS, "a", &word.to_string()).await?;
    }
    slow.accept(&unanswered).await?;
    // A few may have been on their way; a hundred would be a queue without bound.
    let mut responses = 1;
    loop {
        let answer = slow.take(EDS).await?;
        if answer
            .words
            .get("a")
            .is_some_and(|word| *word == CHANGES.to_string())
        {
            break;
        }
        responses += 1;
        ensure!(
            responses < CHANGES / 10,
            "all {CHANGES} changes were queued"
        );
    }
    slow.quiet().await
}

pub(super) async fn a_client_that_does_not_read_harms_no_other(scene: &Scene<'_>) -> Result<()> {
    let big = "x".repeat(256 << 10);
    let world = |word: usize| {
        let all: Vec<_> = (0..8).map(|name| format!("{name}={word}{big}")).collect();
        World::default().with(CDS, &all.join(" "))
    };
    let mut silent = scene.client_of(world(0)).await?;
    silent.ask_without_names(CDS).await?;
    let mut honest = scene.client("node-b").await?;
    honest.ask_without_names(CDS).await?;
    for word in 1..20 {
        scene.set(world(word)).await?;
        honest.until(CDS, "7", &format!("{word}{big}")).await?;
    }
    // It is served like any other as soon as it reads again.
    silent.until(CDS, "7", &format!("19{big}")).await
}

/// Clients that come back at once.
const CLIENTS: usize = 1000;
/// Of them on one connection.
const SHARING: usize = 20;

pub(super) async fn a_thousand_clients_that_come_back_at_once_are_all_served(
    scene: &Scene<'_>,
) -> Result<()> {
    scene
        .set(endpoints("a b").with(CDS, "a b c d e f g h"))
        .await?;
    for _ in 0..2 {
        let mut channels = Vec::new();
        for _ in 0..CLIENTS / SHARING {
            channels.push(connect(scene.server.address()).await?);
        }
        stream::iter(0..CLIENTS)
            .map(|number| {
                let channel = channels[number % channels.len()].clone();
                let node = format!("node-{number}");
                let mut client = Client::new(channel, scene.variant, &node, scene.patience);
                async move {
                    client.ask_without_names(CDS).await?;
                    client
                        .expect(CDS, "a=0 b=0 c=0 d=0 e=0 f=0 g=0 h=0")
                        .await
                        .with_context(|| node.clone())?;
                    client.subscribe(EDS, &["a", "b"]).await?;
                    client.until(EDS, "a", "0").await.context(node)?;
                    anyhow::Ok(client)
                }
            })
            .buffer_unordered(CLIENTS)
            // All stay until the last is served, and go at once.
            .try_collect::<Vec<_>>()
            .await?;
    }
    Ok(())
}
