//! Asking the cluster's resolver.

use std::{future::Future, io, net::SocketAddr, pin::Pin, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// How long the last one that is asked may take; clients ask again after 5 s (resolv.conf(5)).
/// (Tests that hold queries back must not meet it, however busy the machine.)
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 600 } else { 2 });
/// How long one may take while there is another to ask: it may be gone without anybody having told us yet.
const PATIENCE_BEFORE_OTHERS: Duration = Duration::from_secs(if cfg!(test) { 600 } else { 1 });

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens sockets towards a resolver on behalf of a pod: in its network namespace, marked as the proxy's own.
pub trait Dial: Send + Sync {
    /// A UDP socket that is connected to the resolver.
    fn udp(&self, resolver: SocketAddr) -> io::Result<UdpSocket>;
    /// A TCP connection to the resolver.
    fn tcp(&self, resolver: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>>;
}

/// No resolver answered.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// None is configured, none of those that are is ready, or the pod's policy allows none of them.
    #[error("there is no resolver to ask for names outside the mesh")]
    NoResolver,
    /// The last one failed.
    #[error("resolver {resolver}: {source}")]
    Failed {
        /// The last resolver that was asked.
        resolver: SocketAddr,
        /// What went wrong there.
        source: io::Error,
    },
}

/// By which transport a query came, and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram for each message.
    Udp,
    /// Messages with their length in front.
    Tcp,
}

/// Sends the bytes of a query to one resolver after the other until one answers, and gives back the bytes of the answer.
pub(crate) async fn forward(
    dial: &dyn Dial,
    resolvers: &[SocketAddr],
    transport: Transport,
    query: &[u8],
) -> Result<Vec<u8>, ForwardError> {
    let mut last = ForwardError::NoResolver;
    for (nth, resolver) in resolvers.iter().enumerate() {
        let attempt = async {
            match transport {
                Transport::Udp => by_udp(dial, *resolver, query).await,
                Transport::Tcp => by_tcp(dial, *resolver, query).await,
            }
        };
        let patience = match nth + 1 == resolvers.len() {
            true => PATIENCE,
            false => PATIENCE_BEFORE_OTHERS,
        };
        match timeout(patience, attempt).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(source)) => last = failed(*resolver, source),
            Err(_) => last = failed(*resolver, io::ErrorKind::TimedOut.into()),
        }
    }
    Err(last)
}

fn failed(resolver: SocketAddr, source: io::Error) -> ForwardError {
    ForwardError::Failed { resolver, source }
}

async fn by_udp(dial: &dyn Dial, resolver: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = dial.udp(resolver)?;
    socket.send(query).await?;
    let mut buffer = vec![0; 65_535];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // The socket is connected and its port is fresh; the id guards against a late answer to somebody else.
        if length >= 12 && buffer[..2] == query[..2] {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn by_tcp(dial: &dyn Dial, resolver: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = dial.tcp(resolver).await?;
    let length = u16::try_from(query.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_u16(length).await?;
    stream.write_all(query).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
