use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use clap::Parser;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

/// A server whose answers depend on how many it gave before; its URL.
async fn server(answer: impl Fn(usize) -> (u16, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (status, body) = answer(count.fetch_add(1, Ordering::Relaxed));
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let length = body.len();
                let text = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    url
}

fn echo(version: &str, identity: &str) -> (u16, String) {
    let answer = EchoAnswer {
        version: version.to_owned(),
        identity: identity.to_owned(),
        ..EchoAnswer::default()
    };
    (200, serde_json::to_string(&answer).unwrap())
}

async fn verify(within: &str, line: &[&str]) -> Result<String, String> {
    let line = [&["verify", "--within", within], line].concat();
    let arguments = Line::parse_from(line).arguments;
    check(arguments).await.map_err(|error| format!("{error:#}"))
}

#[tokio::test]
async fn what_comes_about_later_is_waited_for() {
    let url = server(|count| match count {
        0 => (503, "no snapshot yet\n".to_owned()),
        _ => (200, "ready\n".to_owned()),
    });
    let url = url.await;
    assert_eq!(
        verify("60", &["ready", &url]).await,
        Ok(format!("{url} is ready"))
    );
}

#[tokio::test]
async fn what_does_not_come_about_is_told_with_what_was_seen_instead() {
    let url = server(|_| (503, "no snapshot yet\n".to_owned())).await;
    let error = verify("0", &["ready", &url]).await.unwrap_err();
    assert!(
        error.contains("it answers 503 Service Unavailable, expected 200 OK: no snapshot yet"),
        "{error}"
    );
}

#[tokio::test]
async fn the_identity_must_be_the_expected_one() {
    let url = server(|count| echo("v1", if count == 0 { "" } else { "spiffe://a" })).await;
    let seen = verify("60", &["identity", &url, "spiffe://a"]).await;
    assert_eq!(
        seen,
        Ok("mutual TLS: the server saw spiffe://a".to_owned()),
        "the first answer came before the pod was captured"
    );
    let error = verify("0", &["identity", &url, "spiffe://b"])
        .await
        .unwrap_err();
    assert!(
        error.contains(r#"the server saw "spiffe://a", expected "spiffe://b""#),
        "{error}"
    );
}

#[tokio::test]
async fn a_share_is_counted_from_when_the_split_is_there() {
    let split = |count: usize| {
        echo(
            if count > 5 && count.is_multiple_of(10) {
                "v2"
            } else {
                "v1"
            },
            "",
        )
    };
    let url = server(split).await;
    let seen = verify("60", &["split", &url, "v2", "10", "--count", "100"]).await;
    assert_eq!(
        seen,
        Ok("v2 got 10.0 % of 100 requests, as 10 % were asked for".to_owned())
    );
    let error = verify("60", &["split", &url, "v2", "50", "--count", "100"])
        .await
        .unwrap_err();
    assert!(
        error.starts_with("v2 got 10.0 % of 100 requests"),
        "{error}"
    );
}

#[tokio::test]
async fn a_request_that_fails_while_shares_are_counted_is_a_failure() {
    let url = server(|count| match count {
        7 => (503, "broken".to_owned()),
        _ => echo("v2", ""),
    });
    let url = url.await;
    let error = verify("60", &["split", &url, "v2", "100", "--count", "20"])
        .await
        .unwrap_err();
    assert!(error.contains("it answers 503"), "{error}");
}

#[tokio::test]
async fn only_a_refusal_is_a_refusal() {
    let url = server(|_| (403, "RBAC: access denied".to_owned())).await;
    assert_eq!(
        verify("0", &["denied", &url]).await,
        Ok(format!("{url} is refused, as policy demands"))
    );
    let open = server(|_| echo("v1", "")).await;
    let error = verify("0", &["denied", &open]).await.unwrap_err();
    assert!(error.contains("it answers 200 OK, expected 403"), "{error}");
    let gone = verify("0", &["denied", "http://127.0.0.1:1/"]).await;
    assert!(gone.is_err(), "a server that is not there refuses nobody");
}

#[test]
fn the_tolerance_shrinks_with_the_number_of_requests() {
    assert!((tolerance(10.0, 1000) - 4.846).abs() < 0.001);
    assert!(tolerance(10.0, 100_000) < 2.3);
    assert!((tolerance(0.0, 10) - 2.0).abs() < f64::EPSILON);
}
