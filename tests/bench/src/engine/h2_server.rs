//! An HTTP/2 server without TLS: [`wire::LENGTH`] bytes for each GET; every gRPC message is sent back, whatever the method.

use std::{io, net::TcpListener, thread};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use tokio::task::LocalSet;

use super::{
    grpc,
    h2_load::{SMALL_FRAMES, WINDOW, current_thread},
};
use crate::wire;

/// Serves for as long as this process lives.
pub(crate) fn serve_h2(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = current_thread()?;
    thread::spawn(move || {
        // It can only fail for want of file descriptors; what is measured then fails too, and tells.
        if let Err(error) = LocalSet::new().block_on(&runtime, accept(listener)) {
            eprintln!("a server of the bench ended: {error}");
        }
    });
    Ok(())
}

async fn accept(listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            let connection = h2::server::Builder::new()
                .initial_connection_window_size(WINDOW)
                .data_frame_budget(SMALL_FRAMES)
                .handshake(stream)
                .await;
            let Ok(mut connection) = connection else {
                return;
            };
            // A client that goes away in the middle is counted by the client.
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::task::spawn_local(answer(request, respond));
            }
        });
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let grpc = request.headers().get(CONTENT_TYPE);
    let grpc = grpc.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let mut response = Response::new(());
    let kind = if grpc {
        "application/grpc"
    } else {
        "text/plain"
    };
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    let Ok(send) = respond.send_response(response, false) else {
        return;
    };
    // It fails if the client went away.
    let _ = if grpc {
        echo(request.into_body(), send).await
    } else {
        body(send)
    };
}

fn body(mut send: SendStream<Bytes>) -> anyhow::Result<()> {
    static BODY: [u8; wire::LENGTH] = [b'x'; wire::LENGTH];
    Ok(send.send_data(Bytes::from_static(&BODY), true)?)
}

async fn echo(mut messages: RecvStream, mut send: SendStream<Bytes>) -> anyhow::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(data) = messages.data().await {
        let data = data.context("a message")?;
        messages.flow_control().release_capacity(data.len())?;
        buffer.extend_from_slice(&data);
        while let Some(message) = grpc::take(&mut buffer) {
            send.send_data(message, false)?;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Ok(send.send_trailers(trailers)?)
}
