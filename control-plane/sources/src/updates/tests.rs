use heddle_resources::{Kind, ObjectId};

use super::*;

fn id(name: &str) -> ObjectId {
    ObjectId {
        kind: Kind::Service,
        namespace: "default".into(),
        name: name.into(),
    }
}

fn update(names: &[&str]) -> Update {
    Update {
        cluster: Arc::default(),
        changes: names.iter().map(|name| id(name)).collect(),
        problems: Arc::from([]),
        places: Arc::default(),
        unavailable: BTreeSet::new(),
    }
}

#[tokio::test]
async fn what_is_published_while_the_consumer_is_busy_comes_as_one_update() {
    let mut updates = Updates::start(|publisher| async move {
        publisher.publish(update(&["a"]));
        publisher.publish(update(&["b"]));
        publisher.publish(update(&["a", "c"]));
    });
    // The source runs to its end before anybody asks.
    while !updates.source.is_finished() {
        tokio::task::yield_now().await;
    }
    let one = updates.next().await.unwrap();
    assert_eq!(one.changes, [id("a"), id("b"), id("c")].into());
    assert!(updates.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lone_change_goes_out_at_once_and_many_come_at_a_pace() {
    let mut updates = Updates::start(|publisher| async move {
        for name in ["a", "b", "c"] {
            publisher.publish(update(&[name]));
            tokio::time::sleep(Pace::LEAST / 4).await;
        }
        std::future::pending::<()>().await;
    });
    let begin = tokio::time::Instant::now();
    let first = updates.next().await.unwrap();
    assert_eq!(first.changes, [id("a")].into());
    assert!(begin.elapsed() < Pace::LEAST / 4);
    let second = updates.next().await.unwrap();
    assert_eq!(second.changes, [id("b"), id("c")].into());
    assert!(begin.elapsed() >= Pace::LEAST);
}

#[tokio::test]
async fn dropping_the_receiver_ends_the_source() {
    let (sender, ended) = tokio::sync::oneshot::channel::<()>();
    let updates = Updates::start(|publisher| async move {
        let _held = (publisher, sender);
        std::future::pending::<()>().await;
    });
    drop(updates);
    assert!(ended.await.is_err());
}
