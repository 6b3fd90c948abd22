//! What holds for every subscription ("How the client specifies what resources to return").

use anyhow::{Result, ensure};

use crate::{
    World,
    client::Request,
    run::Scene,
    world::{CDS, EDS, LDS, RDS},
};

fn endpoints(resources: &str) -> World {
    World::default().with(EDS, resources)
}

pub(super) async fn the_node_is_needed_only_in_the_first_request(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a"]).await?;
    client.expect(EDS, "a=0").await?;
    client.subscribe(EDS, &["b"]).await?;
    client.until(EDS, "b", "0").await
}

pub(super) async fn every_requested_resource_that_exists_is_sent(scene: &Scene<'_>) -> Result<()> {
    let world = endpoints("a b c").with(RDS, "d e");
    let mut client = scene.client_of(world).await?;
    client.subscribe(EDS, &["a", "c"]).await?;
    client.expect(EDS, "a=0 c=0").await?;
    client.subscribe(RDS, &["e"]).await?;
    client.expect(RDS, "e=0").await?;
    client.quiet().await
}

pub(super) async fn a_name_that_does_not_exist_yet_is_sent_when_it_appears(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a")).await?;
    client.subscribe(EDS, &["a", "later"]).await?;
    client.until(EDS, "a", "0").await?;
    scene.set(endpoints("a later=1")).await?;
    client.until(EDS, "later", "1").await
}

pub(super) async fn a_newly_added_name_is_sent_though_it_did_not_change(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a"]).await?;
    client.expect(EDS, "a=0").await?;
    client.quiet().await?;
    client.subscribe(EDS, &["b"]).await?;
    let answer = client.take(EDS).await?;
    ensure!(answer.words.contains_key("b"), "{answer:?}");
    client.quiet().await
}

pub(super) async fn a_name_that_was_dropped_and_added_again_is_sent_again(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a", "b"]).await?;
    client.expect(EDS, "a=0 b=0").await?;
    client.unsubscribe(EDS, &["a"]).await?;
    client.quiet().await?;
    client.subscribe(EDS, &["a"]).await?;
    let answer = client.take(EDS).await?;
    ensure!(answer.words.contains_key("a"), "{answer:?}");
    Ok(())
}

pub(super) async fn nothing_is_sent_when_nothing_changed(scene: &Scene<'_>) -> Result<()> {
    let world = || endpoints("a").with(CDS, "a b");
    let mut client = scene.client_of(world()).await?;
    client.ask_without_names(CDS).await?;
    client.expect(CDS, "a=0 b=0").await?;
    client.subscribe(EDS, &["a"]).await?;
    client.expect(EDS, "a=0").await?;
    scene.set(world()).await?;
    client.quiet().await?;
    scene.set(world().with(LDS, "unasked")).await?;
    client.quiet().await
}

pub(super) async fn a_change_of_what_was_not_asked_for_is_not_sent(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b").with(CDS, "c d")).await?;
    client.subscribe(EDS, &["a"]).await?;
    client.expect(EDS, "a=0").await?;
    scene.set(endpoints("a b=1").with(CDS, "c d=1")).await?;
    // A state-of-the-world server whose version is of the whole type may repeat what did not change, but nothing else.
    scene.set(endpoints("a=1 b=1").with(CDS, "c d=1")).await?;
    loop {
        let answer = client.take(EDS).await?;
        ensure!(
            answer.words.keys().all(|name| name == "a"),
            "b was not asked for: {answer:?}"
        );
        if answer.words.get("a").is_some_and(|word| word == "1") {
            return client.quiet().await;
        }
    }
}

pub(super) async fn a_dropped_name_gets_no_updates(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b c")).await?;
    client.subscribe(EDS, &["a", "b"]).await?;
    client.expect(EDS, "a=0 b=0").await?;
    client.unsubscribe(EDS, &["a"]).await?;
    // Its answer tells that the server has seen the request before.
    client.subscribe(EDS, &["c"]).await?;
    client.until(EDS, "c", "0").await?;
    scene.set(endpoints("a=1 b=1 c")).await?;
    let answer = client.take(EDS).await?;
    ensure!(
        !answer.words.contains_key("a") && answer.words.get("b").is_some_and(|word| word == "1"),
        "{answer:?}"
    );
    client.quiet().await
}

pub(super) async fn no_resource_is_in_a_response_twice(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(World::default().with(CDS, "a b")).await?;
    // The client fails if a response has the same name twice.
    client.subscribe(CDS, &["*", "a"]).await?;
    client.expect(CDS, "a=0 b=0").await?;
    scene.set(World::default().with(CDS, "a=1 b=1")).await?;
    client.expect(CDS, "a=1 b=1").await?;
    client.quiet().await
}

pub(super) async fn an_ack_may_change_the_subscription(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a b")).await?;
    client.subscribe(EDS, &["a"]).await?;
    let answer = client.receive(EDS).await?;
    let change = client.subscription(EDS, &["b"], &["a"]);
    let ack = client.acceptance(&answer);
    let both = Request {
        nonce: ack.nonce,
        version: ack.version,
        ..change
    };
    client.send(EDS, both).await?;
    client.expect(EDS, "b=0").await?;
    client.quiet().await?;
    scene.set(endpoints("a=1 b=1")).await?;
    client.expect(EDS, "b=1").await?;
    client.quiet().await
}

pub(super) async fn an_unknown_type_leaves_the_others_alone(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a")).await?;
    let foreign = Request {
        names: vec!["a".to_owned()],
        subscribe: vec!["a".to_owned()],
        other_type: Some("type.googleapis.com/example.v1.Foreign".to_owned()),
        ..Request::default()
    };
    client.send(EDS, foreign).await?;
    client.subscribe(EDS, &["a"]).await?;
    client.expect(EDS, "a=0").await?;
    client.quiet().await
}

pub(super) async fn each_response_has_a_nonce_of_its_own(scene: &Scene<'_>) -> Result<()> {
    let mut client = scene.client_of(endpoints("a")).await?;
    client.subscribe(EDS, &["a"]).await?;
    // That a nonce is there, and another than before, is checked for every response of the suite.
    let mut nonces = vec![client.take(EDS).await?.nonce];
    for word in 1..5 {
        scene.set(endpoints(&format!("a={word}"))).await?;
        let answer = client.take(EDS).await?;
        ensure!(
            !nonces.contains(&answer.nonce),
            "{answer:?} after {nonces:?}"
        );
        nonces.push(answer.nonce);
    }
    Ok(())
}

pub(super) async fn a_name_may_be_anything(scene: &Scene<'_>) -> Result<()> {
    let names = [
        "shop/cart:80",
        "xdstp://authority/envoy.config.endpoint.v3.ClusterLoadAssignment/a?b=c&d=e",
        "**",
        "ünïcode",
    ];
    let mut client = scene.client_of(endpoints_named(&names)).await?;
    client.subscribe(EDS, &names).await?;
    let answer = client.take(EDS).await?;
    for name in names {
        ensure!(
            answer.words.contains_key(name),
            "{name} is not in {answer:?}"
        );
    }
    Ok(())
}

fn endpoints_named(names: &[&str]) -> World {
    let mut world = World::default();
    let contents = names.iter().map(|name| {
        let content = crate::world::Content {
            word: "0".to_owned(),
            ttl: None,
        };
        ((*name).to_owned(), content)
    });
    world.0.insert(EDS, contents.collect());
    world
}

pub(super) async fn the_type_may_be_left_out_where_the_service_says_it(
    scene: &Scene<'_>,
) -> Result<()> {
    let mut client = scene.client_of(endpoints("a")).await?;
    let untyped = Request {
        other_type: Some(String::new()),
        ..client.subscription(EDS, &["a"], &[])
    };
    client.send(EDS, untyped).await?;
    client.expect(EDS, "a=0").await?;
    Ok(())
}
