//! NACKs, times to live, errors of resources.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    World,
    client::Request,
    run::Scene,
    world::{CDS, EDS},
};

fn endpoints(resources: &str) -> World {
    World::default().with(EDS, resources)
}

pub(super) async fn what_was_refused_is_not_sent_again(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a")).await?;
    client.subscribe(EDS, &["a"]).await?;
    let answer = client.receive(EDS).await?;
    client.refuse(&answer, "a: no such zone").await?;
    client.quiet().await
}

pub(super) async fn after_a_nack_the_next_version_is_sent(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a", "b"]).await?;
    client.expect(EDS, "a=0 b=0").await?;
    scene.set(endpoints("a=bad b")).await?;
    let answer = client.receive(EDS).await?;
    client.refuse(&answer, "a: no such zone").await?;
    scene.set(endpoints("a=good b")).await?;
    client.until(EDS, "a", "good").await?;
    client.quiet().await
}

pub(super) async fn a_nack_may_change_the_subscription(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a"]).await?;
    let answer = client.receive(EDS).await?;
    let both = Request {
        nonce: answer.nonce.clone(),
        error: Some(heddle_proto::google::rpc::Status {
            code: 3,
            message: "a: no such zone".to_owned(),
            details: Vec::new(),
        }),
        ..client.subscription(EDS, &["b"], &["a"])
    };
    client.send(EDS, both).await?;
    client.expect(EDS, "b=0").await?;
    client.quiet().await
}

pub(super) async fn a_nack_of_one_type_leaves_the_others_alone(scene: &Scene<'_>) -> Result<()> {
    let world = |cluster: &str, endpoints: &str| {
        World::default()
            .with(CDS, &format!("a={cluster}"))
            .with(EDS, &format!("b={endpoints}"))
    };
    let mut client = scene.client_of(world("0", "0")).await?;
    client.subscribe(EDS, &["b"]).await?;
    client.expect(EDS, "b=0").await?;
    client.subscribe(CDS, &["a"]).await?;
    let answer = client.receive(CDS).await?;
    client.refuse(&answer, "a: no such policy").await?;
    scene.set(world("0", "1")).await?;
    client.expect(EDS, "b=1").await?;
    Ok(())
}

pub(super) async fn no_time_to_live_without_the_features_for_it(scene: &Scene<'_>) -> Result<()> {
    // A client that does not announce them would refuse the wrapper that a time to live comes in.
    let ttl = Duration::from_secs(60);
    let mut client = scene.client_of(endpoints("a").living(EDS, ttl)).await?;
    client.subscribe(EDS, &["a"]).await?;
    let answer = client.expect(EDS, "a=0").await?;
    ensure!(answer.ttls.is_empty(), "{answer:?}");
    Ok(())
}

pub(super) async fn a_heartbeat_has_no_body(scene: &Scene<'_>) -> Result<()> {
    let interval = scene
        .server
        .heartbeats()
        .context("the server gives nothing a time to live")?;
    let mut client = scene
        .client_of(endpoints("a").living(EDS, interval * 20))
        .await?;
    client.features = vec![
        "xds.config.supports-resource-ttl".to_owned(),
        "xds.config.resource-in-sotw".to_owned(),
    ];
    client.subscribe(EDS, &["a"]).await?;
    let first = client.expect(EDS, "a=0").await?;
    ensure!(first.ttls.contains_key("a"), "no time to live: {first:?}");
    let beat = client.take(EDS).await?;
    ensure!(
        beat.heartbeats == ["a"] && beat.words.is_empty() && beat.ttls.contains_key("a"),
        "no heartbeat: {beat:?}"
    );
    ensure!(
        beat.version == first.version,
        "a heartbeat has the version {:?}, its resource {:?}",
        beat.version,
        first.version
    );
    Ok(())
}

pub(super) async fn an_error_of_a_resource_is_not_beside_the_resource(
    scene: &Scene<'_>,
) -> Result<()> {
    // The client fails if a name is both among the resources and among the errors of a response.
    let mut client = scene.client_of(endpoints("a")).await?;
    client.subscribe(EDS, &["a", "nowhere"]).await?;
    let answer = client.take(EDS).await?;
    ensure!(!answer.errors.contains(&"a".to_owned()), "{answer:?}");
    scene.set(endpoints("a nowhere=1")).await?;
    client.until(EDS, "nowhere", "1").await
}
