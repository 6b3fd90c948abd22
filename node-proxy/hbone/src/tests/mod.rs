mod ahead;
mod copying;
mod limits;
mod pieces;
mod streams;

use std::net::SocketAddr;

use http::{HeaderMap, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    HboneError, HboneStream, Settings,
    client::{self, Tunnel},
    server::{self, Request},
};

fn destination() -> SocketAddr {
    "192.0.2.7:8080".parse().expect("an address")
}

/// A tunnel to a server that hands over what it is asked.
struct Pair {
    tunnel: Tunnel,
    requests: UnboundedReceiver<Request>,
    shutdown: CancellationToken,
    driver: JoinHandle<Result<(), HboneError>>,
    served: JoinHandle<Result<(), HboneError>>,
}

async fn pair(client: Settings, server: Settings) -> Pair {
    let (near, far) = tokio::io::duplex(64 << 10);
    over(near, far, client, server).await
}

/// The same over any connection.
async fn over<T>(near: T, far: T, client: Settings, server: Settings) -> Pair
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, requests) = unbounded_channel();
    let shutdown = CancellationToken::new();
    let served = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            server::serve(far, server, shutdown.cancelled(), |request| {
                // A test that is over does not look at requests any more.
                let _ = sender.send(request);
            })
            .await
        }
    });
    let (tunnel, driver) = client::connect(near, client).await.expect("a handshake");
    Pair {
        tunnel,
        requests,
        shutdown,
        driver: tokio::spawn(driver),
        served,
    }
}

impl Pair {
    async fn new() -> Self {
        pair(Settings::CLIENT, Settings::SERVER).await
    }

    /// A stream, both ends.
    async fn stream(&mut self) -> (HboneStream, HboneStream) {
        let (near, far) = tokio::join!(self.tunnel.open(destination(), HeaderMap::new()), async {
            self.requests.recv().await.expect("a request").accept()
        });
        (near.expect("opened"), far.expect("accepted"))
    }
}

async fn read_all(stream: &mut HboneStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an end");
    bytes
}

async fn say(stream: &mut HboneStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("written");
}

const REFUSALS: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::SERVICE_UNAVAILABLE,
];
