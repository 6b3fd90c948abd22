//! One request, over HTTP/1 as raw bytes or over HTTP/2, and its answer.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    backend::lines,
    case::{Body, Case, Protocol, Trailers},
    wire::{Text, halves},
};

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 0: the connection was closed without one.
    pub(crate) status: u16,
    /// Interim answers before it.
    pub(crate) interim: Vec<(u16, Vec<(String, String)>)>,
    /// Names in lower case, sorted by name.
    pub(crate) headers: Vec<(String, String)>,
    /// `None`: it was cut off.
    pub(crate) body: Option<Text>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// How long a client that pauses does so: longer than the shorter limits of routes, shorter than the others.
const PAUSE: Duration = Duration::from_millis(1800);
/// How much of its body it sends then.
const PAUSED_BEFORE: usize = 500;
/// No answer takes so long on loopback unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends the request and reads until the answer is over.
pub(crate) async fn exchange(address: SocketAddr, case: &Case, id: &str) -> Result<Answer> {
    let work = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match case.protocol {
            Protocol::Http2 => over_http2(stream, case, id).await,
            Protocol::Http1 | Protocol::Http10 => over_http1(stream, case, id).await,
        }
    };
    let answer = tokio::time::timeout(PATIENCE, work).await;
    answer.context("no answer within a minute")?
}

async fn over_http1(stream: TcpStream, case: &Case, id: &str) -> Result<Answer> {
    let request = case.render(id);
    let (mut reader, mut writer) = halves(stream);
    // Refused requests may be answered before they are read; the connection stays open meanwhile.
    let pauses = case.pauses && matches!(case.body, Body::Sized(length) if length > PAUSED_BEFORE);
    let unsent = if pauses { PAUSED_BEFORE } else { 0 };
    let (first, rest) = request.split_at(request.len() - unsent);
    let writing = async {
        let _ = writer.write_all(first).await;
        if !rest.is_empty() {
            tokio::time::sleep(PAUSE).await;
            let _ = writer.write_all(rest).await;
        }
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut answer = Answer::default();
        loop {
            let Ok(Some(head)) = reader.head().await else {
                return answer;
            };
            let status = head.first.split(' ').nth(1).and_then(|s| s.parse().ok());
            let status = status.unwrap_or(0);
            if (100..200).contains(&status) && status != 101 {
                answer.interim.push((status, head.headers));
                continue;
            }
            answer.status = status;
            answer.headers.clone_from(&head.headers);
            if case.method == "HEAD" || matches!(status, 204 | 304) {
                answer.body = Some(Text::default());
            } else if let Ok((body, trailers)) = reader.body(&head, true).await {
                answer.body = Some(Text(body));
                answer.trailers = trailers;
            }
            return answer;
        }
    };
    tokio::select! {
        answer = reading => Ok(answer),
        () = writing => anyhow::bail!("unreachable: writing never ends"),
    }
}

fn http2_body(body: &Body) -> UnsyncBoxBody<Bytes, Infallible> {
    let (sizes, trailers) = match body {
        Body::None => return Empty::new().boxed_unsync(),
        Body::Sized(length) => {
            return Full::new(Bytes::from(vec![b'b'; *length])).boxed_unsync();
        }
        Body::Chunked(sizes, trailers) => (sizes, trailers),
    };
    let data = |size: &usize| Frame::data(Bytes::from(vec![b'c'; *size]));
    let mut frames: Vec<_> = sizes.iter().map(data).collect();
    if *trailers != Trailers::None {
        let name = HeaderName::from_static("x-trailer");
        let fields = HeaderMap::from_iter([(name, HeaderValue::from_static("t"))]);
        frames.push(Frame::trailers(fields));
    }
    StreamBody::new(stream::iter(frames.into_iter().map(Ok))).boxed_unsync()
}

async fn over_http2(stream: TcpStream, case: &Case, id: &str) -> Result<Answer> {
    let host = case.hosts.first().map_or("", String::as_str);
    let uri = format!("http://{host}{}", case.target);
    let mut request = Request::builder()
        .version(Version::HTTP_2)
        .method(case.method)
        .uri(uri)
        .header("x-case", id);
    for (name, value) in &case.headers {
        request = request.header(*name, *value);
    }
    if matches!(case.body, Body::Chunked(_, Trailers::Announced)) {
        request = request.header(header::TRAILER, "x-trailer");
    }
    let request = request.body(http2_body(&case.body))?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut answer = Answer::default();
    if let Ok(response) = sender.send_request(request).await {
        let (head, body) = response.into_parts();
        answer.status = head.status.as_u16();
        answer.headers = lines(&head.headers);
        if let Ok(body) = body.collect().await {
            answer.trailers = body.trailers().map(lines).unwrap_or_default();
            answer.body = Some(Text(body.to_bytes().to_vec()));
        }
    }
    connection.abort();
    Ok(answer)
}
