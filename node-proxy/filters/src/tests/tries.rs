use std::time::Duration;

use bytes::Bytes;
use heddle_routing::{Action, RetryOn, RetryPolicy};
use heddle_telemetry::ResponseFlag;
use heddle_upstream::Progress;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::Instant;

use super::world::*;
use crate::{Body, Failure, boxed, outbound, replay::KEPT};

fn world(script: &Script, change: impl FnOnce(&mut heddle_routing::Forward)) -> World {
    let mut action = forward();
    change(&mut action);
    World::new(
        vec![route(prefix("/"), Action::Forward(action.into()))],
        script,
    )
}

fn retry(retries: u32) -> RetryPolicy {
    RetryPolicy {
        retries,
        on: RetryOn {
            reset: true,
            statuses: vec![503],
            ..RetryOn::default()
        },
        per_try_timeout: None,
        base_backoff: Duration::from_millis(25),
        max_backoff: Duration::from_millis(250),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_answered_504() {
    let script = Script::default().hangs();
    let world = world(&script, |forward| forward.timeout = Some(SECOND));
    let began = Instant::now();
    assert_eq!(world.ask(get("/")).await.status, 504);
    assert_eq!(began.elapsed(), SECOND);
    assert!(world.counted(504, "UT"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_cut_off() {
    let script = Script::default().then(Box::new(|_| {
        Box::pin(async {
            let frames =
                futures::stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from("x")))]);
            let endless = futures::StreamExt::chain(frames, futures::stream::pending());
            Ok(answer(200, boxed(StreamBody::new(endless))))
        })
    }));
    let world = world(&script, |forward| forward.timeout = Some(SECOND));
    let answer = world.ask(get("/")).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .body
            .unwrap_err()
            .contains("longer than its route allows")
    );
    assert!(world.counted(200, "UT"));
}

#[tokio::test(start_paused = true)]
async fn a_listed_status_is_tried_again_with_the_same_body() {
    let script = Script::default()
        .answers(503, "no")
        .answers(503, "no")
        .answers(200, "yes");
    let world = world(&script, |forward| forward.retry = Some(retry(3)));
    let answer = world.ask(post("/", "a body")).await;
    assert_eq!((answer.status, answer.body.as_deref()), (200, Ok("yes")));
    assert_eq!(script.tries(), 3);
    for seen in script.seen.borrow().iter() {
        assert_eq!(seen.body, "a body");
        assert!(seen.trailers.is_none());
    }
    assert!(world.counted(200, "-"));
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_passed_on_when_all_tries_failed() {
    let script = Script::default().answers(503, "first").answers(503, "last");
    let world = world(&script, |forward| forward.retry = Some(retry(1)));
    let answer = world.ask(get("/")).await;
    assert_eq!((answer.status, answer.body.as_deref()), (503, Ok("last")));
    assert!(world.counted(503, "URX"));
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_tried_again_and_a_refusal_is_not() {
    let broken = || {
        let failure = Failure::new(ResponseFlag::ConnectionTermination, "broke");
        failure.after(Progress::Sent)
    };
    let script = Script::default().fails(broken()).answers(200, "");
    let again = world(&script, |forward| forward.retry = Some(retry(1)));
    assert_eq!(again.ask(get("/")).await.status, 200);

    let script = Script::default().fails(Failure::new(ResponseFlag::NetworkPolicy, "no"));
    let refused = world(&script, |forward| forward.retry = Some(retry(1)));
    assert_eq!(refused.ask(get("/")).await.status, 403);

    let script = Script::default().fails(broken());
    let without = world(&script, |_| {});
    assert_eq!(without.ask(get("/")).await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn one_slow_try_is_followed_by_another() {
    let script = Script::default().hangs().answers(200, "");
    let world = world(&script, |forward| {
        forward.timeout = Some(10 * SECOND);
        forward.retry = Some(RetryPolicy {
            per_try_timeout: Some(SECOND),
            ..retry(2)
        });
    });
    let began = Instant::now();
    assert_eq!(world.ask(get("/")).await.status, 200);
    assert!(began.elapsed() >= SECOND);
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_the_requests_time() {
    let script = Script::default().hangs().hangs().hangs();
    let world = world(&script, |forward| {
        forward.timeout = Some(SECOND * 5 / 2);
        forward.retry = Some(RetryPolicy {
            per_try_timeout: Some(SECOND),
            base_backoff: Duration::ZERO,
            ..retry(9)
        });
    });
    let began = Instant::now();
    assert_eq!(world.ask(get("/")).await.status, 504);
    assert_eq!(began.elapsed(), SECOND * 5 / 2);
}

fn chunks(count: usize, size: usize) -> Body {
    let frames = (0..count)
        .map(move |_| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b'x'; size]))));
    boxed(StreamBody::new(futures::stream::iter(frames)))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_to_keep_is_sent_once() {
    let script = Script::default().answers(503, "");
    let world = world(&script, |forward| forward.retry = Some(retry(3)));
    let mut request = post("/", "x");
    *request.body_mut() = chunks(2, KEPT / 2 + 1);
    assert_eq!(world.ask(request).await.status, 503);
    assert_eq!(script.tries(), 1);
    assert_eq!(script.seen.borrow()[0].body.len(), KEPT + 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_read_in_part_is_sent_whole_the_next_time() {
    let script = Script::default()
        .then(Box::new(|mut request| {
            Box::pin(async move {
                use http_body_util::BodyExt;
                request.body_mut().frame().await.unwrap().unwrap();
                let failure = Failure::new(ResponseFlag::ConnectionTermination, "broke");
                Err(failure.after(Progress::Sent))
            })
        }))
        .answers(200, "");
    let world = world(&script, |forward| forward.retry = Some(retry(1)));
    let mut request = post("/", "x");
    *request.body_mut() = chunks(3, KEPT / 3);
    assert_eq!(world.ask(request).await.status, 200);
    assert_eq!(script.seen.borrow()[0].body.len(), KEPT / 3 * 3);
}

#[tokio::test]
async fn a_long_answer_waits_for_its_reader() {
    let read = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&read);
    let script = Script::default().then(Box::new(move |_| {
        Box::pin(async move {
            let frames = (0..1000).map(move |_| {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok::<_, std::io::Error>(Frame::data(Bytes::from("x")))
            });
            Ok(answer(
                200,
                boxed(StreamBody::new(futures::stream::iter(frames))),
            ))
        })
    }));
    let world = world(&script, |_| {});
    let mut response = outbound(&world.context, get("/")).await;
    http_body_util::BodyExt::frame(response.body_mut()).await;
    assert_eq!(read.load(std::sync::atomic::Ordering::Relaxed), 1);
}
