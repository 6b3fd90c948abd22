//! What streams do.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header::FORWARDED};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    time::timeout,
};

use super::{Pair, REFUSALS, destination, over, pair, read_all, say};
use crate::{HboneError, OpenError, Settings};

#[tokio::test]
async fn bytes_go_both_ways() {
    let mut pair = Pair::new().await;
    let (mut near, mut far) = pair.stream().await;
    say(&mut near, "ping").await;
    let mut heard = [0; 4];
    far.read_exact(&mut heard).await.expect("read");
    assert_eq!(&heard, b"ping");
    say(&mut far, "pong").await;
    near.read_exact(&mut heard).await.expect("read");
    assert_eq!(&heard, b"pong");
}

/// A connection that counts how often it is written to.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_streams_send_at_about_the_same_time_is_written_at_once() {
    let (near, far) = duplex(64 << 10);
    let (to_server, to_client) = (Arc::default(), Arc::default());
    let (near, far) = (
        Counted(near, Arc::clone(&to_server)),
        Counted(far, Arc::clone(&to_client)),
    );
    let mut pair = over(near, far, Settings::CLIENT, Settings::SERVER).await;
    let (near, far) = pair.stream().await;
    let (near2, far2) = pair.stream().await;
    let (mut senders, mut hearers) = ([near, near2], [far, far2]);
    for writes in [to_server, to_client] {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let before = writes.load(Ordering::Relaxed);
        for sender in &mut senders {
            say(sender, "word").await;
            tokio::task::yield_now().await;
        }
        for hearer in &mut hearers {
            hearer.read_exact(&mut [0; 4]).await.expect("read");
        }
        assert_eq!(writes.load(Ordering::Relaxed) - before, 1);
        std::mem::swap(&mut senders, &mut hearers);
    }
}

#[tokio::test]
async fn a_request_tells_the_destination_and_its_headers() {
    let mut pair = Pair::new().await;
    let mut headers = HeaderMap::new();
    headers.insert(FORWARDED, HeaderValue::from_static("for=192.0.2.1"));
    let (opened, request) = tokio::join!(pair.tunnel.open(destination(), headers), async {
        let request = pair.requests.recv().await.expect("a request");
        let seen = (request.authority, request.headers.clone());
        request.accept().map(|stream| (stream, seen))
    });
    opened.expect("opened");
    let (_, (authority, headers)) = request.expect("accepted");
    assert_eq!(authority, destination());
    assert_eq!(headers[FORWARDED], "for=192.0.2.1");
}

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other_open() {
    let mut pair = Pair::new().await;
    let (mut near, mut far) = pair.stream().await;
    say(&mut near, "question").await;
    near.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut far).await, b"question");
    say(&mut far, "long ").await;
    say(&mut far, "answer").await;
    far.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut near).await, b"long answer");
}

#[tokio::test]
async fn the_server_may_end_first() {
    let mut pair = Pair::new().await;
    let (mut near, mut far) = pair.stream().await;
    far.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut near).await, b"");
    say(&mut near, "still here").await;
    near.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut far).await, b"still here");
}

#[tokio::test]
async fn writing_after_the_shutdown_is_an_error() {
    let mut pair = Pair::new().await;
    let (mut near, _far) = pair.stream().await;
    near.shutdown().await.expect("shut down");
    near.shutdown().await.expect("twice is nothing");
    let error = near.write_all(b"late").await.expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_broken_for_the_other_side() {
    let mut pair = Pair::new().await;
    let (near, mut far) = pair.stream().await;
    drop(near);
    let error = far.read_u8().await.expect_err("not an end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

    let (mut near, far) = pair.stream().await;
    far.reset();
    let error = near.read_u8().await.expect_err("not an end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let error = near.write_all(b"?").await.expect_err("not taken");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(pair.tunnel.is_usable(), "the tunnel is not broken");
}

#[tokio::test]
async fn a_refusal_tells_its_status_and_leaves_the_tunnel_usable() {
    let mut pair = Pair::new().await;
    for status in REFUSALS {
        let (opened, ()) = tokio::join!(pair.tunnel.open(destination(), HeaderMap::new()), async {
            pair.requests
                .recv()
                .await
                .expect("a request")
                .refuse(status);
        });
        assert!(matches!(opened, Err(OpenError::Refused(s)) if s == status));
    }
    assert_eq!(pair.tunnel.active(), 0);
    pair.stream().await;
}

#[tokio::test]
async fn a_request_that_is_dropped_unanswered_fails_at_the_client() {
    let mut pair = Pair::new().await;
    let (opened, ()) = tokio::join!(pair.tunnel.open(destination(), HeaderMap::new()), async {
        drop(pair.requests.recv().await);
    });
    assert!(matches!(opened, Err(OpenError::Closed(_))), "{opened:?}");
}

#[tokio::test]
async fn the_server_hears_when_a_client_does_not_wait_for_the_answer() {
    let mut pair = Pair::new().await;
    let open = tokio::spawn({
        let tunnel = pair.tunnel.clone();
        async move { tunnel.open(destination(), HeaderMap::new()).await }
    });
    let mut request = pair.requests.recv().await.expect("a request");
    open.abort();
    request.abandoned().await;
}

/// A writer whose reader does not read must stop. With the clock paused, the limit passes only when nothing can go on.
#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_stops_the_writer() {
    let window: usize = 64 << 10;
    let settings = Settings {
        stream_window: window as u32,
        send_buffer: window,
        ..Settings::CLIENT
    };
    let mut pair = pair(
        settings,
        Settings {
            max_concurrent_streams: 10,
            ..settings
        },
    )
    .await;
    let (mut near, mut far) = pair.stream().await;
    let mut written = 0;
    while let Ok(n) = timeout(Duration::from_secs(1), near.write(&[7; 4096])).await {
        written += n.expect("written");
        assert!(written <= 3 * window, "no back-pressure");
    }
    assert!(written >= window);

    let writing = tokio::spawn(async move {
        near.write_all(&vec![7; 1 << 20]).await.expect("written");
        near.shutdown().await.expect("shut down");
        near
    });
    assert_eq!(read_all(&mut far).await.len(), written + (1 << 20));
    writing.await.expect("no panic");
}

#[tokio::test]
async fn a_stalled_stream_does_not_stall_the_others() {
    let mut pair = Pair::new().await;
    let (mut stalled, _nobody_reads) = pair.stream().await;
    let stall = tokio::spawn(async move { stalled.write_all(&vec![0; 8 << 20]).await });
    let (mut near, mut far) = pair.stream().await;
    let sending = tokio::spawn(async move {
        near.write_all(&vec![1; 2 << 20]).await.expect("written");
        near.shutdown().await.expect("shut down");
        near
    });
    assert_eq!(read_all(&mut far).await.len(), 2 << 20);
    sending.await.expect("no panic");
    stall.abort();
}

#[tokio::test]
async fn a_hundred_streams_share_a_tunnel() {
    let mut pair = Pair::new().await;
    let mut tasks = Vec::new();
    for n in 0..100_u8 {
        let (mut near, mut far) = pair.stream().await;
        tasks.push(tokio::spawn(async move {
            let (mut from, mut to) = tokio::io::split(&mut far);
            tokio::io::copy(&mut from, &mut to).await.expect("echoed");
            to.shutdown().await.expect("shut down");
        }));
        tasks.push(tokio::spawn(async move {
            say(&mut near, &n.to_string().repeat(10_000)).await;
            near.shutdown().await.expect("shut down");
            let echo = read_all(&mut near).await;
            assert_eq!(echo, n.to_string().repeat(10_000).as_bytes());
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(pair.tunnel.active(), 0);
}

#[tokio::test]
async fn a_tunnel_counts_its_streams() {
    let limited = Settings {
        streams_per_tunnel: 2,
        ..Settings::CLIENT
    };
    let mut pair = pair(limited, Settings::SERVER).await;
    assert_eq!(pair.tunnel.capacity(), 2);
    let first = pair.stream().await;
    let second = pair.stream().await;
    assert_eq!((pair.tunnel.active(), pair.tunnel.capacity()), (2, 0));
    let (reader, writer) = second.0.into_split();
    drop(reader);
    assert_eq!(pair.tunnel.active(), 2, "one half still lives");
    drop((writer, first));
    assert_eq!((pair.tunnel.active(), pair.tunnel.capacity()), (0, 2));
}

#[tokio::test]
async fn a_server_that_goes_away_lets_open_streams_end() {
    let mut pair = Pair::new().await;
    let (mut near, mut far) = pair.stream().await;
    pair.shutdown.cancel();
    // GOAWAY arrives before what is written after it.
    say(&mut far, "x").await;
    near.read_u8().await.expect("read");
    while pair.tunnel.is_usable() {
        tokio::task::yield_now().await;
    }
    let refused = pair.tunnel.open(destination(), HeaderMap::new()).await;
    assert!(matches!(refused, Err(error) if error.is_tunnel_gone()));

    say(&mut near, "finishing").await;
    near.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut far).await, b"finishing");
    far.shutdown().await.expect("shut down");
    assert_eq!(read_all(&mut near).await, b"");
    drop((near, far));
    pair.served.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn a_tunnel_closes_when_nobody_holds_it() {
    let mut pair = Pair::new().await;
    // After this the handshake is over on both sides.
    drop(pair.stream().await);
    let Pair { tunnel, driver, .. } = pair;
    assert!(!driver.is_finished());
    drop(tunnel);
    driver.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn a_broken_connection_breaks_its_streams() {
    let mut pair = Pair::new().await;
    let (mut near, mut far) = pair.stream().await;
    pair.driver.abort();
    assert!(near.read_u8().await.is_err());
    assert!(far.read_u8().await.is_err());
    assert!(!pair.tunnel.is_usable());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_given_up() {
    let (near, far) = duplex(64 << 10);
    let silent = tokio::spawn(async move {
        let connection = h2::server::handshake(far).await.expect("a handshake");
        std::future::pending::<()>().await;
        drop(connection);
    });
    let (tunnel, driver) = crate::client::connect(near, Settings::CLIENT)
        .await
        .expect("a handshake");
    let begun = tokio::time::Instant::now();
    let end = driver.await.expect_err("given up");
    assert!(matches!(end, HboneError::PeerGone), "{end}");
    assert_eq!(
        begun.elapsed().as_secs(),
        30,
        "10 s until the ping, 20 s for the answer"
    );
    assert!(!tunnel.is_usable());
    silent.abort();
}
