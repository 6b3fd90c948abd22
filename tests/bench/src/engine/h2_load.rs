//! HTTP/2 and gRPC clients, without TLS: some connections, some exchanges at once on each, at full speed.
//!
//! They are tasks of one thread, over the crate `h2`. That costs more than the proxies of some peers do, so that the proxies' core may not be
//! busy all the time; the report tells how much of it they used.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, client::SendRequest};
use hdrhistogram::Histogram;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use tokio::{
    net::TcpStream,
    runtime::Runtime,
    task::LocalSet,
    time::{sleep, timeout},
};

use super::{
    grpc,
    load::{FAILURES, Observed, PATIENCE, WARM_UP},
};
use crate::wire::{self, Exchange};

/// Of a connection, bytes: no exchange shall wait for another one's window.
pub(super) const WINDOW: u32 = 16 << 20;
/// `h2` closes a connection on which too many small frames wait to be read, and counts the bytes that each lacks to
/// 256. By default 217 messages of 100 bytes are enough, and a proxy that writes for 256 streams at once sends more.
pub(super) const SMALL_FRAMES: usize = 16 << 20;

/// What the clients do.
pub(crate) struct H2Load<'a> {
    pub(crate) target: SocketAddr,
    /// Open at once.
    pub(crate) connections: usize,
    /// Exchanges on their way at once on each.
    pub(crate) streams: usize,
    pub(crate) span: Duration,
    /// One of HTTP/2.
    pub(crate) exchange: Exchange,
    pub(crate) path: &'a str,
}

/// All of a runtime in the thread that blocks on it.
pub(super) fn current_thread() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

struct Tally {
    failed: BTreeMap<String, u64>,
    /// Microseconds.
    latencies: Histogram<u64>,
}

/// One exchange outside of a load: an error unless it goes as it should.
pub(crate) fn once_h2(target: SocketAddr, exchange: Exchange, path: &str) -> anyhow::Result<()> {
    let tasks = LocalSet::new();
    tasks.block_on(&current_thread()?, async {
        let exchanging = async {
            let mut sender = connect(target).await?;
            match exchange {
                Exchange::GrpcStream => Stream::open(&mut sender, path).await?.message().await,
                exchange => ask(&mut sender, exchange, path).await,
            }
        };
        timeout(PATIENCE, exchanging).await.context("no answer")?
    })
}

/// Does the load in this thread's network namespace, and reads `counters` around the measured part of it.
pub(crate) fn run_h2<T>(
    load: &H2Load<'_>,
    counters: impl Fn() -> anyhow::Result<T>,
) -> anyhow::Result<Observed<T>> {
    let tally = Rc::new(RefCell::new(Tally {
        failed: BTreeMap::new(),
        latencies: Histogram::new_with_max(60_000_000, 3)?,
    }));
    let (runtime, tasks) = (current_thread()?, LocalSet::new());
    let (before, after, span) = tasks.block_on(&runtime, async {
        for _ in 0..load.connections {
            let connecting = timeout(PATIENCE, connect(load.target)).await;
            let sender = connecting.context("no connection")??;
            for _ in 0..load.streams {
                let tally = Rc::clone(&tally);
                let work = keep_asking(sender.clone(), load.exchange, load.path.to_owned(), tally);
                tokio::task::spawn_local(work);
            }
        }
        sleep(WARM_UP.min(load.span)).await;
        let (before, begin) = (counters()?, Instant::now());
        tally.borrow_mut().forget()?;
        sleep(load.span).await;
        anyhow::Ok((before, counters()?, begin.elapsed()))
    })?;
    let mut tally = tally.borrow_mut();
    tally.ensure_alive()?;
    let latencies = tally.latencies.clone();
    Ok(Observed {
        answered: latencies.len(),
        failed: std::mem::take(&mut tally.failed),
        latencies,
        missed: 0,
        before,
        after,
        span,
    })
}

impl Tally {
    fn forget(&mut self) -> anyhow::Result<()> {
        if self.latencies.is_empty() && !self.failed.is_empty() {
            bail!("nothing but errors: {:?}", self.failed);
        }
        self.ensure_alive()?;
        self.latencies.reset();
        self.failed.clear();
        Ok(())
    }

    fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Clients go on until there were too many errors.
    fn ensure_alive(&self) -> anyhow::Result<()> {
        ensure!(
            self.failures() < FAILURES,
            "too many errors: {:?}",
            self.failed
        );
        Ok(())
    }

    fn answered(&mut self, asked: Instant) {
        let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros.max(1));
    }

    /// Tells whether to go on.
    fn broke(&mut self, error: &anyhow::Error) -> bool {
        *self.failed.entry(format!("{error:#}")).or_default() += 1;
        self.failures() < FAILURES
    }
}

async fn connect(target: SocketAddr) -> anyhow::Result<SendRequest<Bytes>> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = h2::client::Builder::new()
        .initial_connection_window_size(WINDOW)
        .data_frame_budget(SMALL_FRAMES)
        .handshake(stream)
        .await?;
    // What breaks it breaks its exchanges too, which tell it.
    tokio::task::spawn_local(connection);
    Ok(sender)
}

/// One exchange after the other, until too many have failed. Each failure is counted; a broken connection fails them all, quickly.
async fn keep_asking(
    mut sender: SendRequest<Bytes>,
    exchange: Exchange,
    path: String,
    tally: Rc<RefCell<Tally>>,
) {
    loop {
        let result = match exchange {
            Exchange::GrpcStream => talk(&mut sender, &path, &tally).await,
            exchange => {
                let asked = Instant::now();
                let result = ask(&mut sender, exchange, &path).await;
                result.map(|()| tally.borrow_mut().answered(asked))
            }
        };
        if let Err(error) = result {
            if !tally.borrow_mut().broke(&error) {
                return;
            }
            // A connection that is gone answers without giving way to other tasks.
            tokio::task::yield_now().await;
        }
    }
}

fn request(exchange: Exchange, path: &str) -> anyhow::Result<Request<()>> {
    let uri = format!("http://{}{path}", wire::HOST);
    let request = Request::builder().version(Version::HTTP_2).uri(uri);
    let request = request.header("user-agent", "heddle-bench");
    let request = match exchange {
        Exchange::GrpcUnary | Exchange::GrpcStream => request
            .method("POST")
            .header("content-type", "application/grpc")
            .header("te", "trailers"),
        _ => request.header("accept", "*/*"),
    };
    Ok(request.body(())?)
}

/// One request with one answer.
async fn ask(
    sender: &mut SendRequest<Bytes>,
    exchange: Exchange,
    path: &str,
) -> anyhow::Result<()> {
    std::future::poll_fn(|context| sender.poll_ready(context)).await?;
    let is_grpc = exchange == Exchange::GrpcUnary;
    let (response, mut send) = sender.send_request(request(exchange, path)?, !is_grpc)?;
    let mut expected = wire::LENGTH;
    if is_grpc {
        let message = grpc::message(wire::LENGTH as u32);
        expected = message.len();
        send.send_data(message, true)?;
    }
    let response = response.await?;
    ensure_ok(&response)?;
    let mut body = response.into_body();
    let length = drain(&mut body).await?;
    ensure!(
        length == expected,
        "a body of {length} bytes instead of {expected}"
    );
    if is_grpc {
        let trailers = body.trailers().await?.context("no trailers")?;
        let status = trailers.get("grpc-status").context("no grpc-status")?;
        ensure_grpc_ok(status)?;
    }
    Ok(())
}

/// gRPC says in the headers that a call fails if there is nothing else to say (Trailers-Only).
fn ensure_ok(response: &Response<RecvStream>) -> anyhow::Result<()> {
    let status = response.status();
    ensure!(status == StatusCode::OK, "HTTP/2 {}", status.as_u16());
    let grpc = response.headers().get("grpc-status");
    grpc.map_or(Ok(()), ensure_grpc_ok)
}

fn ensure_grpc_ok(status: &HeaderValue) -> anyhow::Result<()> {
    ensure!(status == "0", "grpc-status {status:?}");
    Ok(())
}

async fn drain(body: &mut RecvStream) -> anyhow::Result<usize> {
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        length += data.len();
    }
    Ok(length)
}

/// Message after message on one stream, until it breaks.
async fn talk(
    sender: &mut SendRequest<Bytes>,
    path: &str,
    tally: &RefCell<Tally>,
) -> anyhow::Result<()> {
    let mut stream = Stream::open(sender, path).await?;
    loop {
        let asked = Instant::now();
        stream.message().await?;
        tally.borrow_mut().answered(asked);
    }
}

/// A gRPC call that goes on in both directions.
struct Stream {
    send: h2::SendStream<Bytes>,
    body: RecvStream,
    buffer: BytesMut,
    message: Bytes,
}

impl Stream {
    /// Begins one, with a message that comes back.
    async fn open(sender: &mut SendRequest<Bytes>, path: &str) -> anyhow::Result<Self> {
        std::future::poll_fn(|context| sender.poll_ready(context)).await?;
        let request = request(Exchange::GrpcStream, path)?;
        let (response, mut send) = sender.send_request(request, false)?;
        let message = grpc::message(wire::LENGTH as u32);
        // A server may wait for it before it answers at all.
        send.send_data(message.clone(), false)?;
        let response = response.await?;
        ensure_ok(&response)?;
        let mut stream = Self {
            send,
            body: response.into_body(),
            buffer: BytesMut::new(),
            message,
        };
        stream.comes_back().await?;
        Ok(stream)
    }

    /// Sends one and waits for it to come back.
    async fn message(&mut self) -> anyhow::Result<()> {
        self.send.send_data(self.message.clone(), false)?;
        self.comes_back().await
    }

    async fn comes_back(&mut self) -> anyhow::Result<()> {
        loop {
            if let Some(message) = grpc::take(&mut self.buffer) {
                ensure!(message == self.message, "another message came back");
                return Ok(());
            }
            let data = self.body.data().await.context("the stream ended")??;
            self.body.flow_control().release_capacity(data.len())?;
            self.buffer.extend_from_slice(&data);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::engine::serve_h2;

    fn server() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        serve_h2(listener).unwrap();
        address
    }

    #[test]
    fn client_and_server_understand_each_other_in_each_kind_of_exchange() {
        let target = server();
        for exchange in [Exchange::Http2, Exchange::GrpcUnary, Exchange::GrpcStream] {
            once_h2(target, exchange, "/bench").unwrap();
            let load = H2Load {
                target,
                connections: 2,
                streams: 3,
                span: Duration::from_millis(20),
                exchange,
                path: "/bench",
            };
            let observed = run_h2(&load, || Ok(())).unwrap();
            assert!(observed.answered > 0, "{exchange:?}");
            assert!(observed.failed.is_empty(), "{:?}", observed.failed);
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = listener.local_addr().unwrap();
        drop(listener);
        assert!(once_h2(target, Exchange::Http2, "/bench").is_err());
    }
}
