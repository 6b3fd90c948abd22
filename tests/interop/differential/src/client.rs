//! One request, over HTTP/1 as raw bytes or over HTTP/2, and its answer.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    backend::lines,
    case::{Body, Case, Protocol},
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
    let writing = async {
        let _ = writer.write_all(&request).await;
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
    let body = match &case.body {
        Body::None => 0,
        Body::Sized(length) => *length,
        Body::Chunked(sizes, _) => sizes.iter().sum(),
    };
    let request = request.body(Full::new(Bytes::from(vec![b'b'; body])))?;
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
