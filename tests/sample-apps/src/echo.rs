//! An HTTP server that tells what it saw.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::try_join_all;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Pod, listen, plain};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What the server tells about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EchoAnswer {
    /// Name of its pod.
    pub pod: String,
    /// Namespace of its pod.
    pub namespace: String,
    /// What it calls its version.
    pub version: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The Host header or the authority.
    pub host: String,
    /// Address of the peer, as the server's socket sees it.
    pub client: String,
    /// The caller's SPIFFE id, from `x-forwarded-client-cert`; empty if nobody told.
    pub identity: String,
    /// All headers; several values of a name are joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body's length in bytes.
    pub body_bytes: usize,
}

struct Server {
    pod: Pod,
    version: String,
}

pub(crate) async fn run(pod: &Pod, ports: &[u16], version: &str) -> anyhow::Result<()> {
    let server = Arc::new(Server {
        pod: pod.clone(),
        version: version.to_owned(),
    });
    try_join_all(ports.iter().map(|port| serve(Arc::clone(&server), *port))).await?;
    Ok(())
}

async fn serve(server: Arc<Server>, port: u16) -> anyhow::Result<()> {
    let listener = listen(port).await?;
    loop {
        let (stream, client) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(answer(&server, plain(client), request).await) }
            });
            // A client that goes away in the middle is its own affair.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(server: &Server, client: SocketAddr, request: Request<Incoming>) -> Response<Body> {
    if request.headers().contains_key(header::UPGRADE) {
        return upgrade(request);
    }
    let (parts, body) = request.into_parts();
    let is_grpc = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let Ok(body) = body.collect().await else {
        return text(StatusCode::BAD_REQUEST, "the body broke off");
    };
    let body = body.to_bytes();
    if is_grpc {
        return grpc(body);
    }
    if let Some(delay) = query(&parts, "delay_ms") {
        tokio::time::sleep(Duration::from_millis(delay.min(60_000))).await;
    }
    let status = parts
        .uri
        .path()
        .strip_prefix("/status/")
        .and_then(|code| code.parse().ok())
        .unwrap_or(StatusCode::OK);
    let told = EchoAnswer {
        pod: server.pod.name.clone(),
        namespace: server.pod.namespace.clone(),
        version: server.version.clone(),
        protocol: format!("{:?}", parts.version),
        method: parts.method.to_string(),
        path: parts
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        host: host(&parts),
        client: client.to_string(),
        identity: identity(&parts.headers),
        headers: joined(&parts.headers),
        body_bytes: body.len(),
    };
    let json = serde_json::to_vec(&told).unwrap_or_default();
    let mut response = Response::new(Full::from(json).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(version) = HeaderValue::from_str(&server.version) {
        headers.insert("x-app-version", version);
    }
    response
}

fn query(parts: &http::request::Parts, name: &str) -> Option<u64> {
    let pairs = parts.uri.query()?.split('&');
    let mut values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    values.next()?.parse().ok()
}

fn host(parts: &http::request::Parts) -> String {
    let header = parts
        .headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    header
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or_default()
        .to_owned()
}

fn identity(headers: &HeaderMap) -> String {
    headers
        .get("x-forwarded-client-cert")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').find_map(|part| part.strip_prefix("URI=")))
        .unwrap_or_default()
        .to_owned()
}

fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .keys()
        .map(|name| {
            let values = headers.get_all(name).iter();
            let values: Vec<_> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            (name.to_string(), values.join(", "))
        })
        .collect()
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::from(text).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// A unary call: the message comes back, with the status in the trailers as gRPC wants it.
fn grpc(message: Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(message)), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(futures::stream::iter(frames)).boxed_unsync());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    response
}

/// Switches to the asked protocol and sends back every byte: enough for WebSocket frames to be seen unharmed.
fn upgrade(mut request: Request<Incoming>) -> Response<Body> {
    if request.version() != Version::HTTP_11 {
        return text(StatusCode::BAD_REQUEST, "upgrades need HTTP/1.1");
    }
    let protocol = request.headers().get(header::UPGRADE).cloned();
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = read.read(&mut buffer).await {
            if write.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    });
    let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(header::UPGRADE, protocol);
    }
    response
}
