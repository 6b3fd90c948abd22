//! HTTP/1.1 requests that are served in their connection's own task, and the way from there to others.

use std::{cell::Cell, future::pending, rc::Rc, time::Duration};

use bytes::Bytes;
use heddle_filters::boxed;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn positions<const N: usize>(text: &str, parts: [&str; N]) -> [usize; N] {
    parts.map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}")))
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order_whatever_their_kind() {
    worker(async {
        let world = World::new();
        world.http_service();
        // The second is not a usual one; those behind it are served all the same.
        let bytes = b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\
            POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc\
            POST /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
            GET /4 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let text = exchange(world.open(SERVICE, &http_upstream()), bytes).await;
        let found = positions(&text, ["GET /1", "POST /2", "POST /3", "GET /4"]);
        assert!(found.is_sorted(), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_request_whose_body_comes_later_is_served() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|request| async {
            let body = request.into_body().collect().await.unwrap();
            Response::new(heddle_filters::text(body.to_bytes()))
        });
        let mut io = world.open(SERVICE, &upstream);
        io.write_all(b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut first = [0; 15];
        io.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        io.write_all(
            b"POST /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\n",
        )
        .await
        .unwrap();
        tokio::task::yield_now().await;
        io.write_all(b"abc").await.unwrap();
        let mut rest = String::new();
        io.read_to_string(&mut rest).await.unwrap();
        assert!(rest.ends_with("\r\n\r\nabc"), "{rest}");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_still_gets_its_answer() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Response::new(heddle_filters::text("late"))
        });
        let text = exchange(world.open(SERVICE, &upstream), GET).await;
        assert!(text.ends_with("\r\n\r\nlate"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn of_an_answer_that_breaks_off_the_client_gets_what_there_is() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|_| async {
            let broken = std::io::Error::other("the server is gone");
            let frames = [Ok(Frame::data(Bytes::from("abc"))), Err(broken)];
            Response::new(boxed(StreamBody::new(futures::stream::iter(frames))))
        });
        let text = exchange(world.open(SERVICE, &upstream), GET).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        // Not the last chunk.
        assert!(text.ends_with("\r\n\r\n3\r\nabc\r\n"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_of_unknown_length_is_sent_in_chunks_as_it_comes() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|_| async {
            let large = "x".repeat(5000);
            let frames = ["a".to_owned(), large, String::new(), "b".to_owned()]
                .map(|text| Ok::<_, std::io::Error>(Frame::data(Bytes::from(text))));
            Response::new(boxed(StreamBody::new(futures::stream::iter(frames))))
        });
        let text = exchange(world.open(SERVICE, &upstream), GET).await;
        assert!(text.contains("transfer-encoding: chunked\r\n"), "{text}");
        let body = format!(
            "1\r\na\r\n1388\r\n{}\r\n1\r\nb\r\n0\r\n\r\n",
            "x".repeat(5000)
        );
        assert!(text.ends_with(&body), "{text}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_without_a_body_keeps_what_its_head_says() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|_| async {
            let mut response = Response::new(heddle_filters::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            let length = HeaderValue::from_static("7");
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
            response
        });
        let two = b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let text = exchange(world.open(SERVICE, &upstream), two).await;
        assert_eq!(text.matches("HTTP/1.1 304 Not Modified").count(), 2, "{text}");
        assert!(text.contains("content-length: 7"), "{text}");
    })
    .await;
}

/// Says when it is dropped.
struct Dropped(Rc<Cell<bool>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[tokio::test]
async fn a_client_that_floods_while_it_waits_is_not_read_without_end() {
    worker(async {
        let world = World::new();
        world.http_service();
        let given_up = Rc::new(Cell::new(false));
        let seen = Rc::clone(&given_up);
        let upstream = http_upstream().requests(move |_| {
            let held = Dropped(Rc::clone(&seen));
            async move {
                let _held = held;
                pending::<()>().await;
                Response::new(heddle_filters::empty())
            }
        });
        let mut io = world.open(SERVICE, &upstream);
        io.write_all(GET).await.unwrap();
        // More than the pipe holds: what is not read keeps the writer waiting.
        let flood = vec![b'x'; 1 << 20];
        let written = tokio::time::timeout(Duration::from_millis(100), io.write_all(&flood)).await;
        assert!(written.is_err(), "all of it was read");
        assert!(!given_up.get(), "the request goes on");
        world.drain.over.cancel();
        while !given_up.get() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
