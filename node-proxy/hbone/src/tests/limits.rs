//! What a hostile client meets.

use std::{future::pending, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Pair, destination, pair};
use crate::{HboneError, OpenError, Settings, server};

/// What the server answers to a request that our client would not send.
async fn answer(method: Method, uri: &str) -> StatusCode {
    let (near, far) = tokio::io::duplex(64 << 10);
    let served = tokio::spawn(server::serve(far, Settings::SERVER, pending(), |request| {
        panic!("handed over: {request:?}")
    }));
    let (mut requests, connection) = h2::client::handshake(near).await.expect("a handshake");
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .body(())
        .expect("a request");
    let (response, _body) = requests.send_request(request, false).expect("sent");
    let status = response.await.expect("a response").status();
    driver.abort();
    served.abort();
    status
}

#[tokio::test]
async fn only_connect_is_taken() {
    for method in [Method::GET, Method::POST, Method::OPTIONS] {
        let status = answer(method, "https://192.0.2.7:8080/").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn only_addresses_with_ports_are_taken() {
    for authority in [
        "my-api:8080",
        "192.0.2.7",
        "192.0.2.7:99999",
        "user@192.0.2.7:80",
    ] {
        let status = answer(Method::CONNECT, authority).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{authority}");
    }
}

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let pair = Pair::new().await;
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-flood",
        HeaderValue::from_str(&"x".repeat(80 << 10)).expect("ASCII"),
    );
    let opened = pair.tunnel.open(destination(), headers).await;
    assert!(
        matches!(
            opened,
            Err(
                OpenError::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
                    | OpenError::Closed(_)
            )
        ),
        "{opened:?}"
    );
}

/// An HTTP/2 frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn a_client_that_resets_what_it_asks_for_loses_the_connection() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const END_HEADERS: u8 = 4;
    // Literals without indexing: `:method` is entry 2 of HPACK's static table, `:authority` entry 1.
    let block = [b"\x02\x07CONNECT\x01\x0c".as_slice(), b"192.0.2.7:80"].concat();
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend(frame(SETTINGS, 0, 0, &[]));
    for stream in (1..400).step_by(2) {
        flood.extend(frame(HEADERS, END_HEADERS, stream, &block));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let (mut near, far) = tokio::io::duplex(64 << 10);
    near.write_all(&flood).await.expect("written");
    let served = tokio::spawn(server::serve(far, Settings::SERVER, pending(), drop));
    let mut answers = Vec::new();
    near.read_to_end(&mut answers).await.expect("closed");
    let end = served.await.expect("no panic").expect_err("ended");
    let HboneError::Http2(error) = end else {
        panic!("{end}")
    };
    assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_client_cannot_open_more_streams_than_it_may() {
    let few = Settings {
        max_concurrent_streams: 3,
        ..Settings::SERVER
    };
    let mut pair = pair(Settings::CLIENT, few).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(pair.stream().await);
    }
    assert_eq!(
        pair.tunnel.capacity(),
        0,
        "the client knows the server's limit"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_not_waited_for() {
    let (_near, far) = tokio::io::duplex(1024);
    let end = server::serve(far, Settings::SERVER, pending(), drop).await;
    assert!(matches!(end, Err(HboneError::HandshakeTimeout)));
}

#[tokio::test]
async fn a_client_that_speaks_something_else_is_refused() {
    let (mut near, far) = tokio::io::duplex(1024);
    near.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("written");
    let end = tokio::time::timeout(
        Duration::from_secs(5),
        server::serve(far, Settings::SERVER, pending(), drop),
    );
    assert!(matches!(end.await, Ok(Err(HboneError::Http2(_)))));
}
