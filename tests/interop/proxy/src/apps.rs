//! Servers behind the proxy, and clients before it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Result;
use heddle_interop_xds::ports;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(LOCALHOST, port)
}

/// Answers HTTP/1.1 requests over TLS with a text, until it is dropped.
pub async fn https(name: &'static str, config: Arc<rustls::ServerConfig>) -> Result<App> {
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    App::start(LOCALHOST, move |stream| {
        let accepting = acceptor.accept(stream);
        async move { answer_requests(accepting.await?, name).await }
    })
    .await
}

/// A server that runs until it is dropped.
pub struct App {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl App {
    async fn start<F>(ip: IpAddr, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Ok(Self { address, task })
    }

    /// Answers each HTTP/1.1 request (without a body) with its name.
    pub async fn http(name: &'static str) -> Result<Self> {
        Self::http_at(LOCALHOST, name).await
    }

    /// As [`http`](Self::http), on this address of the machine.
    pub async fn http_at(ip: IpAddr, name: &'static str) -> Result<Self> {
        Self::start(ip, move |stream| answer_requests(stream, name)).await
    }

    /// Answers each HTTP/1.1 request (without a body) with its head, in lower case.
    pub async fn http_mirror() -> Result<Self> {
        Self::http_mirror_at(LOCALHOST).await
    }

    /// As [`http_mirror`](Self::http_mirror), on this address of the machine.
    pub async fn http_mirror_at(ip: IpAddr) -> Result<Self> {
        Self::start(ip, mirror).await
    }

    /// Says its name, and then what it hears.
    pub async fn echo(name: &'static str) -> Result<Self> {
        Self::echo_at(LOCALHOST, name).await
    }

    /// As [`echo`](Self::echo), on this address of the machine.
    pub async fn echo_at(ip: IpAddr, name: &'static str) -> Result<Self> {
        Self::start(ip, move |stream| greet(stream, name)).await
    }
}

async fn greet(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.write_all(format!("{name}\n").as_bytes()).await?;
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await?;
    write.shutdown().await
}

async fn mirror(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = head.to_ascii_lowercase();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{head}",
        head.len()
    );
    stream.write_all(answer.as_bytes()).await
}

/// Answers HTTP/1.1 requests without bodies with a text.
pub async fn answer_requests(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    text: &str,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        match stream.read_line(&mut line).await? {
            0 => return Ok(()),
            2 => {
                let length = text.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}");
                stream.write_all(answer.as_bytes()).await?;
                stream.flush().await?;
            }
            _ => {}
        }
    }
}

/// The status and the body of `GET /` for a host, on a connection.
pub async fn get_on(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: &str,
) -> Result<(u16, String)> {
    ask_on(stream, host, "/").await
}

/// As [`get_on`], for any path.
async fn ask_on(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: &str,
    path: &str,
) -> Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        // TLS without close_notify after a whole answer.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        other => {
            other?;
        }
    }
    let answer = String::from_utf8(answer)?;
    let status = answer.get(9..12).unwrap_or_default().parse()?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

/// As [`get_on`], on a new connection in plain text.
pub async fn get(port: u16, host: &str) -> Result<(u16, String)> {
    get_at(local(port), host, "/").await
}

/// The status and the body of `GET` for a host and a path, on a new connection to this address.
pub async fn get_at(address: SocketAddr, host: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    ask_on(&mut stream, host, path).await
}

/// Whether somebody listens.
pub async fn is_open(port: u16) -> bool {
    is_open_at(local(port)).await
}

/// As [`is_open`], at any address.
pub async fn is_open_at(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

/// Connects to an [`App::echo`] and reads its name.
pub async fn greeted(port: u16) -> Result<(BufReader<TcpStream>, String)> {
    greeted_at(local(port)).await
}

/// As [`greeted`], at any address.
pub async fn greeted_at(address: SocketAddr) -> Result<(BufReader<TcpStream>, String)> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let mut name = String::new();
    stream.read_line(&mut name).await?;
    Ok((stream, name.trim_end().to_owned()))
}

/// Whether what is said on a connection to an [`App::echo`] comes back.
pub async fn echoes(stream: &mut BufReader<TcpStream>, text: &str) -> Result<bool> {
    stream.write_all(text.as_bytes()).await?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await?;
    Ok(back == text.as_bytes())
}

/// A port that nobody listens on at the moment.
pub fn free_port() -> Result<u16> {
    Ok(free_at(LOCALHOST)?.port())
}

/// An address and port of the machine that nobody listens on at the moment.
pub fn free_at(ip: IpAddr) -> Result<SocketAddr> {
    Ok((ip, ports::free(ip)?).into())
}
