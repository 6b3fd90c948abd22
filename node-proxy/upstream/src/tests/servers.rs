//! Servers on loopback.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use bytes::Bytes;
use heddle_cert_client::{Certificates, peer_identity};
use heddle_hbone::{CopyCounts, CopyLimits, Settings, copy_bidirectional, server};
use heddle_identity::SpiffeId;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::world::{id, own_address};

/// A server and what it has seen.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Connections accepted so far.
    pub(super) connections: Rc<Cell<u32>>,
    /// Requests answered so far, if it speaks HTTP.
    pub(super) requests: Rc<Cell<u32>>,
    /// Who was accepted last.
    last: Rc<Cell<Option<SocketAddr>>>,
}

impl Server {
    /// How many connections were made before this call. Connections are accepted in order, so one more is made and waited for.
    pub(super) async fn accepted_before_now(&self) -> u32 {
        let probe = TcpStream::connect(self.address).await.expect("listening");
        let source = probe.local_addr().expect("connected");
        while self.last.get() != Some(source) {
            tokio::task::yield_now().await;
        }
        self.connections.get() - 1
    }
}

async fn listener(address: (IpAddr, u16)) -> (TcpListener, Server) {
    let listener = TcpListener::bind(address).await.expect("loopback");
    let server = Server {
        address: listener.local_addr().expect("bound"),
        connections: Rc::default(),
        requests: Rc::default(),
        last: Rc::default(),
    };
    (listener, server)
}

fn accept_all(listener: TcpListener, server: &Server, mut serve: impl FnMut(TcpStream) + 'static) {
    let (connections, last) = (server.connections.clone(), server.last.clone());
    spawn_local(async move {
        while let Ok((stream, source)) = listener.accept().await {
            last.set(Some(source));
            connections.set(connections.get() + 1);
            serve(stream);
        }
    });
}

/// Says its name first, then repeats what it hears.
pub(super) async fn echo(name: &'static str) -> Server {
    let (listener, server) = listener((own_address(), 0)).await;
    accept_all(listener, &server, move |mut stream| {
        spawn_local(async move {
            stream.write_all(name.as_bytes()).await?;
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await?;
            to.shutdown().await
        });
    });
    server
}

/// Takes connections and says nothing, on this port of an address of its own.
pub(super) async fn silent(port: u16) -> Server {
    let (listener, server) = listener((own_address(), port)).await;
    let mut held = Vec::new();
    accept_all(listener, &server, move |stream| held.push(stream));
    server
}

type HttpBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

async fn respond(name: &str, request: Request<Incoming>) -> Response<HttpBody> {
    if request.headers().contains_key(header::UPGRADE) {
        return upgraded(request);
    }
    let told = format!(
        "{name} {:?} {} {}",
        request.version(),
        request.method(),
        request.uri()
    );
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-length", body.len().into());
    let frames = [Frame::data(Bytes::from(told)), Frame::trailers(trailers)];
    let frames = futures::stream::iter(frames.map(Ok::<_, Infallible>));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response
        .headers_mut()
        .insert(header::TRAILER, "x-length".parse().expect("ASCII"));
    response
}

/// Repeats what it hears in the new protocol.
fn upgraded(request: Request<Incoming>) -> Response<HttpBody> {
    let upgrade = request.headers()[header::UPGRADE].clone();
    tokio::spawn(async move {
        let mut io = TokioIo::new(hyper::upgrade::on(request).await.expect("upgraded"));
        let mut bytes = [0; 64];
        while let Ok(n @ 1..) = io.read(&mut bytes).await {
            io.write_all(&bytes[..n]).await.expect("written");
        }
    });
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::UPGRADE, upgrade);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, "upgrade".parse().expect("ASCII"));
    response
}

/// HTTP/1.1 and HTTP/2; answers with its name and what it was asked.
pub(super) async fn http(name: &'static str) -> Server {
    let (listener, server) = listener((own_address(), 0)).await;
    let requests = server.requests.clone();
    accept_all(listener, &server, move |stream| {
        let requests = requests.clone();
        spawn_local(async move {
            let service = hyper::service::service_fn(move |request| {
                requests.set(requests.get() + 1);
                async move { Ok::<_, Infallible>(respond(name, request).await) }
            });
            let builder = hyper_util::server::conn::auto::Builder::new(OnThisThread);
            // Errors are the client's to notice.
            let _ = builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    });
    server
}

#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// HTTP/1.1; answers the first request of each connection, then closes it when the next one has come.
pub(super) async fn forgetful() -> Server {
    let (listener, server) = listener((own_address(), 0)).await;
    let requests = server.requests.clone();
    accept_all(listener, &server, move |mut stream| {
        let requests = requests.clone();
        spawn_local(async move {
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes).await;
            requests.set(requests.get() + 1);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
            let _ = stream.read(&mut bytes).await;
        });
    });
    server
}

/// What a pod's proxy does with streams: connects them to the application.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) server: Server,
    /// Who came, once for each tunnel.
    pub(super) peers: Rc<RefCell<Vec<SpiffeId>>>,
    /// Answers instead of connecting.
    pub(super) refusal: Rc<Cell<Option<StatusCode>>>,
    /// So many connections are closed as soon as they are accepted.
    pub(super) hang_up: Rc<Cell<u32>>,
    /// Tells clients to go away.
    pub(super) shutdown: Rc<RefCell<CancellationToken>>,
}

/// Serves HBONE as `identity` at an address, on a port that is the same for all gates of a test (0: any).
pub(super) async fn gate(
    address: IpAddr,
    port: u16,
    identity: &'static str,
    certificates: Certificates,
) -> Gate {
    let (listener, server) = listener((address, port)).await;
    let gate = Gate {
        server,
        peers: Rc::default(),
        refusal: Rc::default(),
        hang_up: Rc::default(),
        shutdown: Rc::default(),
    };
    let own = gate.clone();
    accept_all(listener, &gate.server, move |stream| {
        spawn_local(tunnel(own.clone(), stream, identity, certificates.clone()));
    });
    gate
}

async fn tunnel(gate: Gate, stream: TcpStream, identity: &str, certificates: Certificates) {
    let hang_up = gate.hang_up.get();
    if hang_up > 0 {
        return gate.hang_up.set(hang_up - 1);
    }
    let config = certificates
        .server_config(&id(identity))
        .await
        .expect("a certificate");
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    let shown = stream.get_ref().1.peer_certificates();
    let peer = peer_identity(shown.unwrap_or_default()).expect("authenticated");
    gate.peers.borrow_mut().push(peer);
    let shutdown = gate.shutdown.borrow().clone();
    let _ = server::serve(
        stream,
        Settings::SERVER,
        shutdown.cancelled(),
        |request| match gate.refusal.get() {
            Some(status) => request.refuse(status),
            None => drop(spawn_local(forward(request))),
        },
    )
    .await;
}

async fn forward(request: server::Request) {
    let Ok(mut application) = TcpStream::connect(request.authority).await else {
        return request.refuse(StatusCode::SERVICE_UNAVAILABLE);
    };
    let mut stream = request.accept().expect("accepted");
    let counts = CopyCounts::default();
    let _ = copy_bidirectional(
        &mut stream,
        &mut application,
        CopyLimits::default(),
        &counts,
    )
    .await;
}
