//! Which object is written when.

use std::time::Duration;

use heddle_resources::{Kind, ObjectId};
use tokio::time::Instant;

use crate::queue::Queue;

fn id(name: &str) -> ObjectId {
    ObjectId {
        kind: Kind::HTTPRoute,
        namespace: "shop".into(),
        name: name.into(),
    }
}

#[test]
fn an_object_is_written_by_one_task_at_a_time() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.push(id("a"), now);
    queue.push(id("a"), now);
    assert_eq!(queue.take(now, 8), [id("a")]);
    queue.push(id("a"), now);
    assert_eq!(queue.take(now, 8), []);
    queue.succeeded(&id("a"), now);
    assert_eq!(queue.take(now, 8), [id("a")], "it changed meanwhile");
    queue.succeeded(&id("a"), now);
    assert_eq!(queue.next(8), None);
}

#[test]
fn no_more_than_the_limit_are_written_at_a_time() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for name in ["a", "b", "c"] {
        queue.push(id(name), now);
    }
    assert_eq!(queue.take(now, 2).len(), 2);
    assert_eq!(queue.take(now, 2), []);
    assert_eq!(
        queue.next(2),
        None,
        "nobody is to be woken for what has no room"
    );
    queue.succeeded(&id("a"), now);
    assert_eq!(queue.take(now, 2), [id("c")]);
}

#[test]
fn pauses_grow_with_failures_and_a_change_ends_them() {
    let (mut queue, mut now) = (Queue::default(), Instant::now());
    queue.push(id("a"), now);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        assert_eq!(queue.take(now, 1), [id("a")]);
        let pause = queue.failed(&id("a"), now);
        assert_eq!(queue.take(now, 1), []);
        now += pause;
        assert_eq!(queue.next(1), Some(now));
        pauses.push(pause.as_millis());
    }
    assert_eq!(
        pauses,
        [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]
    );
    assert_eq!(queue.take(now, 1), [id("a")]);
    queue.failed(&id("a"), now);
    queue.push(id("b"), now + Duration::from_secs(1));
    queue.push(id("a"), now + Duration::from_secs(2));
    now += Duration::from_secs(2);
    assert_eq!(
        queue.take(now, 2),
        [id("b"), id("a")],
        "the longest waiting first"
    );
    assert!(
        queue.failed(&id("a"), now) > Duration::from_secs(1),
        "but its failures are not forgotten"
    );
    queue.succeeded(&id("b"), now);
    queue.push(id("b"), now);
    assert_eq!(queue.take(now, 2), [id("b")]);
    assert_eq!(queue.failed(&id("b"), now), Duration::from_millis(500));
}
