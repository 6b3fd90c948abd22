//! HTTP/1.1 messages, read without judging them.

use std::io;

use tokio::{
    io::{AsyncReadExt, ReadHalf, WriteHalf},
    net::TcpStream,
};

/// The head of a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// The request line or status line.
    pub(crate) first: String,
    /// Names in lower case, sorted by name; lines of one name stay in order.
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        Self {
            first,
            headers: fields(lines),
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a body is sent in chunks.
    pub(crate) fn chunked(&self) -> bool {
        self.value("transfer-encoding").is_some()
    }

    /// Bytes of a body that is not sent in chunks.
    pub(crate) fn length(&self) -> usize {
        let length = self.value("content-length").and_then(|l| l.parse().ok());
        length.unwrap_or(0)
    }

    /// Whether it says how long its body is.
    fn is_framed(&self) -> bool {
        self.chunked() || self.value("content-length").is_some()
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let field = |line: &'a str| line.split_once(':').unwrap_or((line, ""));
    let mut all: Vec<_> = lines
        .map(field)
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn cut() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// What is read of a connection.
pub(crate) trait Bytes: tokio::io::AsyncRead + Unpin {}
impl Bytes for TcpStream {}
impl Bytes for ReadHalf<TcpStream> {}

/// Both directions of a connection, apart.
pub(crate) fn halves(stream: TcpStream) -> (Reader<ReadHalf<TcpStream>>, WriteHalf<TcpStream>) {
    let (read, write) = tokio::io::split(stream);
    (Reader::new(read), write)
}

/// Reads messages off a connection.
pub(crate) struct Reader<S> {
    stream: S,
    bytes: Vec<u8>,
}

impl<S: Bytes> Reader<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
        }
    }

    /// To write to.
    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.bytes).await? {
            0 => Err(cut()),
            _ => Ok(()),
        }
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let found = self.bytes.windows(end.len()).position(|w| w == end);
            if let Some(at) = found {
                let mut taken: Vec<u8> = self.bytes.drain(..at + end.len()).collect();
                taken.truncate(at);
                return Ok(taken);
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.bytes.len() < count {
            self.more().await?;
        }
        Ok(self.bytes.drain(..count).collect())
    }

    /// The next head; `None` if the connection ended before it.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        match self.until(b"\r\n\r\n").await {
            Ok(bytes) => Ok(Some(Head::parse(&bytes))),
            Err(_) if self.bytes.is_empty() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The body behind a head, and its trailers. `to_end`: one that does not say its length ends with the connection.
    pub(crate) async fn body(
        &mut self,
        head: &Head,
        to_end: bool,
    ) -> io::Result<(Vec<u8>, Vec<(String, String)>)> {
        if head.chunked() {
            return self.chunks().await;
        }
        if to_end && !head.is_framed() {
            while self.more().await.is_ok() {}
            return Ok((std::mem::take(&mut self.bytes), Vec::new()));
        }
        Ok((self.exactly(head.length()).await?, Vec::new()))
    }

    async fn chunks(&mut self) -> io::Result<(Vec<u8>, Vec<(String, String)>)> {
        let mut all = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            let size = String::from_utf8_lossy(&line).into_owned();
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| cut())?;
            if size == 0 {
                break;
            }
            all.extend(self.exactly(size).await?);
            self.until(b"\r\n").await?;
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            if line.is_empty() {
                let lines = trailers.iter().map(String::as_str);
                return Ok((all, fields(lines)));
            }
            trailers.push(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

/// A body, shown as text.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) Vec<u8>);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = &self.0[..self.0.len().min(100)];
        write!(f, "{} bytes: \"{}\"", self.0.len(), start.escape_ascii())
    }
}
