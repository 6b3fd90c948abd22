//! Backends that write down what they see and do what the request's `x-ask` says.
//!
//! HTTP/1.1 is written by hand, because no library would send what some of the asks need.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::wire::{Reader, Text};

/// How long a slow backend takes: far less than any limit.
const SLOW: Duration = Duration::from_millis(100);

/// What a backend saw of one try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) backend: &'static str,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) host: String,
    /// Names in lower case, sorted by name; lines of one name stay in order.
    pub(crate) headers: Vec<(String, String)>,
    /// `None`: it did not end as it should, or was not waited for.
    pub(crate) body: Option<Text>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// The tries of each request, by its `x-case`.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<HashMap<String, Vec<Seen>>>>);

impl Record {
    /// Notes a try, and tells which it is (from 1).
    fn push(&self, case: &str, seen: Seen) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = all.entry(case.to_owned()).or_default();
        tries.push(seen);
        tries.len()
    }

    /// Notes how a try's body ended.
    fn ended(&self, case: &str, number: usize, body: Vec<u8>, trailers: Vec<(String, String)>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = all
            .get_mut(case)
            .and_then(|tries| tries.get_mut(number - 1))
        {
            seen.body = Some(Text(body));
            seen.trailers = trailers;
        }
    }

    /// The tries of a request that is over.
    pub(crate) fn take(&self, case: &str) -> Vec<Seen> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(case).unwrap_or_default()
    }
}

/// Name and value of each line, sorted by name; lines of one name stay in order.
pub(crate) fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut all: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    let found = headers.iter().find(|(n, _)| n == name);
    found.map_or("", |(_, value)| value)
}

/// What `x-ask` asks of this try: `503/2` asks for a 503 of the first two tries only.
fn asked(headers: &[(String, String)], number: usize) -> &str {
    let ask = value(headers, "x-ask");
    match ask.split_once('/') {
        Some((what, times)) if times.parse().is_ok_and(|times: usize| number <= times) => what,
        Some(_) => "200",
        None => ask,
    }
}

/// Starts a backend on loopback; returns its port.
pub(crate) async fn start(name: &'static str, http2: bool, record: Record) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let record = record.clone();
            tokio::spawn(async move {
                if http2 {
                    serve_http2(name, stream, record).await;
                } else {
                    // A connection that was asked to end badly ends here.
                    let _ = serve_http1(name, stream, record).await;
                }
            });
        }
    });
    Ok(port)
}

async fn serve_http1(name: &'static str, stream: TcpStream, record: Record) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(stream);
    while let Some(head) = reader.head().await? {
        let mut words = head.first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let case = value(&head.headers, "x-case").to_owned();
        let number = record.push(
            &case,
            Seen {
                backend: name,
                method: method.clone(),
                target: words.next().unwrap_or_default().to_owned(),
                host: value(&head.headers, "host").to_owned(),
                headers: head.headers.clone(),
                ..Seen::default()
            },
        );
        let ask = match asked(&head.headers, number) {
            // Without a body there is nothing to stop within.
            "stall" | "stall-head" | "slow" if method == "HEAD" => "200",
            ask => ask,
        };
        if ask == "early" {
            let stream = reader.stream();
            stream.write_all(&answer(name, ask, &method)).await?;
            // Reads on so that the answer is not lost in a reset; nothing else may come on this connection.
            let mut rest = Vec::new();
            let reading = stream.take(1 << 20).read_to_end(&mut rest).await;
            return reading.map(drop);
        }
        let has_body = head.chunked() || head.length() > 0;
        if has_body && value(&head.headers, "expect") == "100-continue" {
            let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
            reader.stream().write_all(go_on).await?;
        }
        let (body, trailers) = reader.body(&head, false).await?;
        record.ended(&case, number, body, trailers);
        let stream = reader.stream();
        match ask {
            "reset" => return Ok(()),
            "hang" => {
                // Until the proxy gives up.
                return stream.read(&mut [0]).await.map(drop);
            }
            "wait" => tokio::time::sleep(SLOW).await,
            "hints" => {
                let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
                stream.write_all(hints).await?;
            }
            "100" => {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            _ => {}
        }
        if ask == "upgrade" && !value(&head.headers, "upgrade").is_empty() {
            let protocol = value(&head.headers, "upgrade");
            let switched = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\nx-backend: {name}\r\n\r\nswitched"
            );
            stream.write_all(switched.as_bytes()).await?;
            stream.shutdown().await?;
            return stream.read(&mut [0]).await.map(drop);
        }
        let answer = answer(name, ask, &method);
        if ask == "slow" {
            let (first, rest) = answer.split_at(answer.len() - 7);
            stream.write_all(first).await?;
            tokio::time::sleep(SLOW).await;
            stream.write_all(rest).await?;
            continue;
        }
        stream.write_all(&answer).await?;
        if ask.starts_with("stall") {
            return stream.read(&mut [0]).await.map(drop);
        }
        if matches!(ask, "cut" | "cutchunk" | "close" | "http10") {
            return Ok(());
        }
    }
    Ok(())
}

/// The bytes of an answer.
fn answer(name: &str, ask: &str, method: &str) -> Vec<u8> {
    let mut own = format!("x-backend: {name}\r\nx-backend-more: 1\r\nx-answer: own\r\n");
    if method == "HEAD" && matches!(ask, "cut" | "cutchunk" | "http10") {
        // Without a body nothing is cut: a proxy would keep this connection, and lose the next request on it as it is closed.
        own += "connection: close\r\n";
    }
    let text = "from a backend";
    let body = if method == "HEAD" { "" } else { text };
    let (first, more) = match ask {
        "early" => (
            "HTTP/1.1 403 Early",
            "content-length: 14\r\nconnection: close\r\n",
        ),
        "cut" => ("HTTP/1.1 200 OK", "content-length: 100\r\n"),
        "cutchunk" => ("HTTP/1.1 200 OK", "transfer-encoding: chunked\r\n"),
        "close" => ("HTTP/1.1 200 OK", "connection: close\r\n"),
        "http10" => ("HTTP/1.0 200 OK", ""),
        "trailers" => (
            "HTTP/1.1 200 OK",
            "transfer-encoding: chunked\r\ntrailer: x-after\r\n",
        ),
        "many-trailers" => (
            "HTTP/1.1 200 OK",
            "transfer-encoding: chunked\r\ntrailer: x-after, x-more\r\n",
        ),
        "chunked" | "silent-trailers" => ("HTTP/1.1 200 OK", "transfer-encoding: chunked\r\n"),
        "stall" | "stall-head" => ("HTTP/1.1 200 OK", "content-length: 100\r\n"),
        "grpc1" => (
            "HTTP/1.1 200 OK",
            "content-length: 14\r\ngrpc-status: 1\r\n",
        ),
        "grpc14" => (
            "HTTP/1.1 200 OK",
            "content-length: 14\r\ngrpc-status: 14\r\n",
        ),
        "hop" => (
            "HTTP/1.1 200 OK",
            "content-length: 14\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n",
        ),
        "cookies" => (
            "HTTP/1.1 200 OK",
            "content-length: 14\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-type: text/html\r\nserver: backend\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        ),
        "garbage" => ("HTP/9 what", ""),
        "two-lengths" => (
            "HTTP/1.1 200 OK",
            "content-length: 14\r\ncontent-length: 15\r\n",
        ),
        "204" | "304" => return format!("HTTP/1.1 {ask} Empty\r\n{own}\r\n").into_bytes(),
        status => {
            let status = status.parse().ok().filter(|s: &u16| *s >= 200);
            let status = status.unwrap_or(200);
            return format!("HTTP/1.1 {status} Asked\r\ncontent-length: 14\r\n{own}\r\n{body}")
                .into_bytes();
        }
    };
    let body = match ask {
        _ if method == "HEAD" => String::new(),
        "cutchunk" => format!("e\r\n{text}\r\nff\r\nno more"),
        "trailers" | "silent-trailers" => format!("e\r\n{text}\r\n0\r\nx-after: 1\r\n\r\n"),
        "many-trailers" => {
            format!("e\r\n{text}\r\n0\r\nx-after: 1\r\nx-more: 1\r\nx-more: 2\r\n\r\n")
        }
        "stall-head" => String::new(),
        "chunked" => format!("e\r\n{text}\r\n0\r\n\r\n"),
        _ => text.to_owned(),
    };
    format!("{first}\r\n{more}{own}\r\n{body}").into_bytes()
}

async fn serve_http2(name: &'static str, stream: TcpStream, record: Record) {
    let service = service_fn(move |request| answer_http2(name, record.clone(), request));
    // How it ends does not matter.
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

type Http2Body = UnsyncBoxBody<Bytes, Infallible>;

/// Of the asks that end badly or are told by trailers, these mean the same in HTTP/2.
async fn answer_http2(
    name: &'static str,
    record: Record,
    request: Request<Incoming>,
) -> Result<Response<Http2Body>, h2::Error> {
    let (head, body) = request.into_parts();
    let headers = lines(&head.headers);
    let case = value(&headers, "x-case").to_owned();
    let authority = head.uri.authority();
    let host = authority.map_or_else(|| value(&headers, "host").to_owned(), ToString::to_string);
    let target = head.uri.path_and_query();
    let number = record.push(
        &case,
        Seen {
            backend: name,
            method: head.method.to_string(),
            target: target.map_or_else(String::new, ToString::to_string),
            host,
            headers: headers.clone(),
            ..Seen::default()
        },
    );
    let ask = asked(&headers, number);
    if ask != "early"
        && let Ok(collected) = body.collect().await
    {
        let trailers = collected.trailers().map(lines).unwrap_or_default();
        record.ended(&case, number, collected.to_bytes().to_vec(), trailers);
    }
    let status = match ask {
        "reset" => return Err(h2::Reason::INTERNAL_ERROR.into()),
        "refuse" => return Err(h2::Reason::REFUSED_STREAM.into()),
        "hang" => std::future::pending().await,
        "wait" => {
            tokio::time::sleep(SLOW).await;
            StatusCode::OK
        }
        "early" => StatusCode::FORBIDDEN,
        status => status
            .parse()
            .ok()
            .filter(|status: &StatusCode| status.as_u16() >= 200)
            .unwrap_or(StatusCode::OK),
    };
    let has_none = matches!(status.as_u16(), 204 | 304) || head.method == http::Method::HEAD;
    let body = http2_body(if has_none { "nothing" } else { ask });
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (header, value) in [
        ("x-backend", name),
        ("x-backend-more", "1"),
        ("x-answer", "own"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().append(header, value);
    }
    for (header, value) in http2_headers(ask) {
        let value = HeaderValue::from_static(value);
        response.headers_mut().append(*header, value);
    }
    Ok(response)
}

fn http2_headers(ask: &str) -> &'static [(&'static str, &'static str)] {
    match ask {
        "grpc1" => &[("grpc-status", "1")],
        "grpc14" => &[("content-type", "application/grpc"), ("grpc-status", "14")],
        "grpc-trailers" => &[("content-type", "application/grpc")],
        _ => &[],
    }
}

fn http2_body(ask: &str) -> Http2Body {
    let fields = |all: &[(&'static str, &'static str)]| {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(*name, HeaderValue::from_static(value));
        }
        Frame::trailers(map)
    };
    let text = Frame::data(Bytes::from_static(b"from a backend"));
    let frames = match ask {
        // A gRPC answer without a message is HEADERS alone.
        "nothing" | "grpc1" | "grpc14" => return Full::default().boxed_unsync(),
        "trailers" | "silent-trailers" => vec![text, fields(&[("x-after", "1")])],
        "many-trailers" => {
            let many = [("x-after", "1"), ("x-more", "1"), ("x-more", "2")];
            vec![text, fields(&many)]
        }
        "trailers-alone" => vec![fields(&[("x-after", "1")])],
        "grpc-trailers" => vec![
            text,
            fields(&[("grpc-status", "0"), ("grpc-message", "ok")]),
        ],
        "slow" => {
            let halves = [&b"from a "[..], b"backend"].map(Bytes::from_static);
            let each = stream::iter(halves).then(|half| async move {
                tokio::time::sleep(SLOW).await;
                Ok(Frame::data(half))
            });
            return StreamBody::new(each).boxed_unsync();
        }
        "stall" | "stall-head" => {
            let first = (ask == "stall").then_some(Ok(text));
            return StreamBody::new(stream::iter(first).chain(stream::pending())).boxed_unsync();
        }
        _ => return Full::new(Bytes::from_static(b"from a backend")).boxed_unsync(),
    };
    StreamBody::new(stream::iter(frames.into_iter().map(Ok))).boxed_unsync()
}
