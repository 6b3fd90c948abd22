//! What means harm is refused, and the rest goes on.

use std::time::Duration;

use heddle_telemetry::ResponseFlag;
use tokio::io::AsyncWriteExt;

use super::world::*;

/// Sends bytes to an HTTP Service; gives the answer and how many requests got through.
async fn send(bytes: &[u8]) -> (String, usize, World) {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream();
        let answer = exchange(world.open(SERVICE, &upstream), bytes).await;
        // The connection's record is written when its task ends.
        world.drain.finish(Duration::MAX).await;
        (answer, upstream.requests.get(), world)
    })
    .await
}

async fn refused(bytes: &[u8], status: &str) {
    let (answer, requests, world) = send(bytes).await;
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}")),
        "{answer}"
    );
    assert_eq!(requests, 0);
    assert!(world.failed(ResponseFlag::ClientProtocolError));
}

#[tokio::test]
async fn a_request_with_length_and_encoding_is_refused() {
    refused(
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    )
    .await;
    refused(
        b"POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "400",
    )
    .await;
}

#[tokio::test]
async fn such_a_request_is_refused_behind_good_ones_too() {
    let bytes = b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc\
        POST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nt: 1\r\n\r\n\
        POST /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nabc";
    let (answer, requests, _) = send(bytes).await;
    assert_eq!(requests, 2, "{answer}");
    assert!(
        answer.contains("HTTP/1.1 POST /1") && answer.contains("HTTP/1.1 POST /2"),
        "{answer}"
    );
    assert!(answer.contains("HTTP/1.1 400"), "{answer}");
    assert!(!answer.contains("/3"), "{answer}");
}

#[tokio::test]
async fn several_lengths_are_refused() {
    refused(
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        "400",
    )
    .await;
}

#[tokio::test]
async fn a_bare_carriage_return_and_a_folded_line_are_refused() {
    refused(b"GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n", "400").await;
    refused(b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n", "400").await;
    refused(b"GET / HTTP/1.1\r\nhost: a\r\nx : a\r\n\r\n", "400").await;
}

#[tokio::test]
async fn a_request_without_a_host_or_with_two_is_refused() {
    for head in [
        &b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\n\r\n",
    ] {
        let (answer, requests, world) = send(head).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert_eq!(requests, 0);
        assert!(world.counted(
            "heddle_http_requests_total{",
            &["flag=\"DPE\"", "code=\"400\""]
        ));
    }
}

#[tokio::test]
async fn a_header_of_one_mebibyte_is_refused() {
    let mut bytes = b"GET / HTTP/1.1\r\nhost: a\r\nx: ".to_vec();
    bytes.extend(vec![b'y'; 1 << 20]);
    bytes.extend(b"\r\n\r\n");
    refused(&bytes, "431").await;
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let mut bytes = b"GET / HTTP/1.1\r\nhost: a\r\n".to_vec();
    for _ in 0..200 {
        bytes.extend(b"x: y\r\n");
    }
    bytes.extend(b"\r\n");
    refused(&bytes, "431").await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    refused(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "400",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_in_too_slowly_ends_the_connection() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream();
        let mut client = world.open(SERVICE, &upstream);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n")
            .await
            .unwrap();
        let dripping = tokio::task::spawn_local(async move {
            let mut drops = 0;
            while client.write_all(b"x: y\r\n").await.is_ok() {
                drops += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            drops
        });
        assert!(dripping.await.unwrap() <= 12);
        world.drain.finish(Duration::MAX).await;
        assert!(world.failed(ResponseFlag::IdleTimeout));
        assert_eq!(upstream.requests.get(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_between_requests_may_stay_but_not_for_ever() {
    worker(async {
        let world = World::new();
        world.http_service();
        let mut client = http1(world.open(SERVICE, &http_upstream())).await;
        let first = client.send_request(get("/1")).await.unwrap();
        assert_eq!(text_of(first).await, "HTTP/1.1 GET /1");
        tokio::time::sleep(Duration::from_secs(50 * 60)).await;
        client.ready().await.unwrap();
        let second = client.send_request(get("/2")).await.unwrap();
        assert_eq!(text_of(second).await, "HTTP/1.1 GET /2");
        tokio::time::sleep(Duration::from_secs(61 * 60)).await;
        assert!(client.ready().await.is_err());
    })
    .await;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `:method GET`, `:scheme http`, `:path /` from the static table, `:authority a` as a literal.
const HEADERS: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

/// The error code of the GOAWAY frame among these frames.
pub(super) fn goaway(mut frames: &[u8]) -> Option<u32> {
    while frames.len() >= 9 {
        let length = u32::from_be_bytes([0, frames[0], frames[1], frames[2]]) as usize;
        let (head, rest) = frames.split_at(9);
        let payload = &rest[..length.min(rest.len())];
        if head[3] == 7 && payload.len() >= 8 {
            let code = u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]);
            if code != 0 {
                return Some(code);
            }
        }
        frames = rest.get(length..)?;
    }
    None
}

/// HTTP/2 requests that are given up as soon as they are sent (CVE-2023-44487).
pub(super) fn rapid_resets(count: u32) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    for index in 0..count {
        bytes.extend(frame(1, 0x5, index * 2 + 1, HEADERS));
        bytes.extend(frame(3, 0, index * 2 + 1, &8_u32.to_be_bytes()));
    }
    bytes
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream();
        let mut client = world.open(SERVICE, &upstream);
        let _ = client.write_all(&rapid_resets(500)).await;
        let _ = client.shutdown().await;
        let mut all = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut client, &mut all)
            .await
            .unwrap();
        // ENHANCE_YOUR_CALM, RFC 9113 section 7.
        assert_eq!(goaway(&all), Some(11));
        assert!(upstream.requests.get() < 100, "{}", upstream.requests.get());
        world.drain.finish(Duration::MAX).await;
        assert!(world.failed(ResponseFlag::ClientProtocolError));
    })
    .await;
}

#[tokio::test]
async fn a_header_list_of_http2_that_is_too_long_gets_no_further() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream();
        let mut client = http2(world.open(SERVICE, &upstream)).await;
        let mut request = get("http://a/");
        for index in 0..40 {
            let name = http::HeaderName::try_from(format!("x-{index}")).unwrap();
            request
                .headers_mut()
                .insert(name, "y".repeat(4096).parse().unwrap());
        }
        match client.send_request(request).await {
            Ok(response) => assert_eq!(response.status(), 431),
            Err(error) => assert!(error.is_user() || !error.is_timeout(), "{error}"),
        }
        assert_eq!(upstream.requests.get(), 0);
    })
    .await;
}
