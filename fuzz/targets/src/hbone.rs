//! Both ends of an HBONE connection, with a peer that sends any bytes. TLS is not part of it: whoever gets so far has a
//! certificate.

use std::net::{Ipv4Addr, SocketAddr};

use heddle_hbone::{Settings, client, server};
use http::{HeaderMap, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::{Builder, Runtime},
};

/// What an HTTP/2 client sends first (RFC 9113 section 3.4), and its SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A server's SETTINGS.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// More than any peer says in a test.
const BUFFER: usize = 1 << 20;

thread_local! {
    /// Made once: it costs more than most inputs.
    static RUNTIME: Option<Runtime> = Builder::new_current_thread().enable_time().build().ok();
}

fn run(test: impl Future<Output = ()>) {
    RUNTIME.with(|runtime| {
        if let Some(runtime) = runtime {
            runtime.block_on(test);
        }
    });
}

/// A peer that says all of this, then closes; it takes all that it is told.
async fn peer(parts: [&[u8]; 2]) -> (DuplexStream, impl Future<Output = ()>) {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (mut hears, mut says) = tokio::io::split(theirs);
    for part in parts {
        // The other end stands and the buffer has room.
        let _ = says.write_all(&part[..part.len().min(BUFFER / 4)]).await;
    }
    let _ = says.shutdown().await;
    (ours, async move {
        let _ = hears.read_to_end(&mut Vec::new()).await;
    })
}

/// A client behind the end that takes streams: each CONNECT is answered and heard to its end.
pub fn hbone_server(bytes: &[u8]) {
    run(async {
        let (io, hears) = peer([PREFACE, bytes]).await;
        let serving = async {
            let mut accepted = Vec::new();
            let serving = server::serve(io, Settings::SERVER, std::future::pending(), |request| {
                if request.authority.port() == 80 {
                    accepted.extend(request.accept());
                } else {
                    request.refuse(StatusCode::FORBIDDEN);
                }
            });
            let _ = serving.await;
            for mut stream in accepted {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        };
        tokio::join!(serving, hears);
    });
}

/// A server behind the end that opens streams: one is opened, written to and heard to its end.
pub fn hbone_client(bytes: &[u8]) {
    run(async {
        let (io, hears) = peer([SETTINGS, bytes]).await;
        let asking = async {
            let Ok((tunnel, driver)) = client::connect(io, Settings::CLIENT).await else {
                return;
            };
            let asking = async move {
                let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
                if let Ok(mut stream) = tunnel.open(to, HeaderMap::new()).await {
                    let _ = stream.write_all(b"hello").await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            };
            let _ = tokio::join!(driver, asking);
        };
        tokio::join!(asking, hears);
    });
}
