//! What bytes that nobody reads cost: the copy loop by itself, and through the CONNECT stream of a tunnel. Memory stands for the sockets, and
//! there is no TLS.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use heddle_hbone::{
    ByteStream, CopyCounts, CopyLimits, HboneStream, Settings, client, copy_bidirectional, server,
};
use http::HeaderMap;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    runtime::Runtime,
    sync::mpsc::unbounded_channel,
    task::{LocalSet, spawn_local},
};

/// Bytes of each measured transfer.
const LENGTH: usize = 1 << 20;

/// Sends so many bytes, and takes all that comes.
struct Peer {
    left: usize,
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let now = self.left.min(into.remaining());
        into.initialize_unfilled_to(now).fill(b'x');
        into.advance(now);
        self.left -= now;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for Peer {}

/// One direction of a copy: `LENGTH` bytes.
async fn copied() {
    let (mut from, mut to) = (Peer { left: LENGTH }, Peer { left: 0 });
    let counts = CopyCounts::default();
    let copied = copy_bidirectional(&mut from, &mut to, CopyLimits::default(), &counts).await;
    copied.expect("both ends end");
    assert_eq!(counts.from_client(), LENGTH as u64);
}

/// Both ends of a stream in a tunnel.
async fn stream() -> (HboneStream, HboneStream) {
    let (near, far) = tokio::io::duplex(256 << 10);
    let (sender, mut requests) = unbounded_channel();
    spawn_local(async move {
        let forever = std::future::pending();
        server::serve(far, Settings::SERVER, forever, |request| {
            let _ = sender.send(request);
        })
        .await
    });
    let connected = client::connect(near, Settings::CLIENT).await;
    let (tunnel, driver) = connected.expect("a handshake");
    spawn_local(driver);
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let (near, far) = tokio::join!(tunnel.open(to, HeaderMap::new()), async {
        requests.recv().await.expect("a request").accept()
    });
    (near.expect("opened"), far.expect("accepted"))
}

/// `LENGTH` bytes in at one end and out at the other.
async fn tunnelled(near: &mut HboneStream, far: &mut HboneStream) {
    let sends = async {
        near.write_all(&[b'x'; LENGTH]).await.expect("written");
        near.flush().await.expect("flushed");
    };
    let receives = async {
        let mut buffer = vec![0; 64 << 10];
        let mut received = 0;
        while received < LENGTH {
            received += far.read(&mut buffer).await.expect("read");
        }
        assert_eq!(received, LENGTH);
    };
    tokio::join!(sends, receives);
}

fn runtime() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().expect("a runtime")
}

fn copy(criterion: &mut Criterion) {
    let (runtime, tasks) = (runtime(), LocalSet::new());
    let mut group = criterion.benchmark_group("copy: 1 MiB");
    group.throughput(Throughput::Bytes(LENGTH as u64));
    group.bench_function("the copy loop", |bencher| {
        bencher.iter(|| runtime.block_on(copied()));
    });
    let (mut near, mut far) = tasks.block_on(&runtime, stream());
    group.bench_function("a stream of a tunnel", |bencher| {
        bencher.iter(|| tasks.block_on(&runtime, tunnelled(&mut near, &mut far)));
    });
    group.finish();
}

criterion_group!(benches, copy);
criterion_main!(benches);
