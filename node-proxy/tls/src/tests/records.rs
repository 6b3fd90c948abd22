//! Bytes through records of all sizes.

use std::{
    future::poll_fn,
    io::{self, ErrorKind, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};

use super::{World, name, pattern};
use crate::TlsStream;

#[tokio::test]
async fn writes_of_every_size_arrive_whole_through_pipes_of_every_size() {
    let world = World::new();
    for pipe in [1 << 12, 1 << 14, 1 << 18] {
        let (mut client, mut server) = world.pair(pipe).await;
        for size in [
            1, 2, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000,
        ] {
            let sent = pattern(size);
            let say = async {
                client.write_all(&sent).await.expect("said");
                client.flush().await.expect("sent");
            };
            let mut heard = vec![0; size];
            let (_, result) = tokio::join!(say, server.read_exact(&mut heard));
            result.expect("heard");
            assert!(heard == sent, "{size} bytes through {pipe}");
        }
    }
}

/// Gives a byte at a time, and has nothing every other time.
struct Trickle(DuplexStream, bool);

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        std::task::ready!(Pin::new(&mut self.0).poll_read(cx, &mut one))?;
        buffer.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_put_together() {
    let world = World::new();
    let (near, far) = duplex(1 << 18);
    let (client, server) = tokio::join!(
        crate::connect(world.client.clone(), name(), near),
        crate::accept(world.server.clone(), Trickle(far, false))
    );
    let (client, server) = (client.expect("connected"), server.expect("accepted"));
    let (mut client, mut server) = (client.stream, server.stream);
    client.write_all(&pattern(40_000)).await.expect("said");
    client.shutdown().await.expect("ended");
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.expect("heard");
    assert!(heard == pattern(40_000));
}

#[tokio::test]
async fn slices_of_one_write_arrive_in_their_order() {
    let world = World::new();
    let (mut client, mut server) = world.pair(1 << 20).await;
    let parts = [pattern(9), Vec::new(), pattern(50_000), pattern(3)];
    let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let sent = client.write_vectored(&slices).await.expect("said");
    let whole = parts.concat();
    assert_eq!(sent, whole.len());
    client.flush().await.expect("sent");
    let mut heard = vec![0; whole.len()];
    server.read_exact(&mut heard).await.expect("heard");
    assert!(heard == whole);
    assert_eq!(client.write_vectored(&[]).await.expect("nothing"), 0);
}

async fn is_pending<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn a_reader_that_takes_nothing_stops_the_writer() {
    let world = World::new();
    let (mut client, mut server) = world.pair(1 << 12).await;
    let data = pattern(1 << 16);
    assert_eq!(client.write(&data).await.expect("said"), 1 << 16);
    assert!(is_pending(client.write(&data)).await, "no bound");
    let mut heard = vec![0; 1 << 16];
    let (flushed, read) = tokio::join!(client.flush(), server.read_exact(&mut heard));
    flushed.expect("sent");
    read.expect("heard");
    assert!(heard == data);
}

#[tokio::test]
async fn an_idle_connection_does_not_keep_what_a_busy_one_needed() {
    let world = World::new();
    let (mut client, mut server) = world.pair(1 << 18).await;
    let data = pattern(1 << 20);
    let mut heard = vec![0; 1 << 20];
    let say = async {
        client.write_all(&data).await.expect("said");
        client.flush().await.expect("sent");
    };
    let (_, read) = tokio::join!(say, server.read_exact(&mut heard));
    read.expect("heard");
    assert!(is_pending(server.read_u8()).await);
    let (_, _, reader, _) = server.parts();
    assert!(reader.held() <= 4096, "{} bytes", reader.held());
}

async fn rest(stream: &mut TlsStream<DuplexStream>) -> io::Result<Vec<u8>> {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.map(|_| heard)
}

#[tokio::test]
async fn either_direction_ends_by_itself() {
    let world = World::new();
    let (mut client, mut server) = world.pair(1 << 16).await;
    client.write_all(b"request").await.expect("said");
    client.shutdown().await.expect("ended");
    client.shutdown().await.expect("ended already");
    let late = client.write(b"more").await.expect_err("ended");
    assert_eq!(late.kind(), ErrorKind::BrokenPipe);
    assert_eq!(rest(&mut server).await.expect("an end"), b"request");
    assert_eq!(rest(&mut server).await.expect("still ended"), b"");
    server.write_all(b"response").await.expect("said");
    server.shutdown().await.expect("ended");
    assert_eq!(rest(&mut client).await.expect("an end"), b"response");
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_no_end() {
    let world = World::new();
    let (mut client, mut server) = world.pair(1 << 16).await;
    client.write_all(b"half a ").await.expect("said");
    client.flush().await.expect("sent");
    drop(client);
    let mut heard = [0; 7];
    server.read_exact(&mut heard).await.expect("what came");
    let broken = server.read_u8().await.expect_err("cut");
    assert_eq!(broken.kind(), ErrorKind::UnexpectedEof);
}
