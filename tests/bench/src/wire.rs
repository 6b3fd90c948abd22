//! What client and server say: as little as possible, so that the two cores are the proxies' and not theirs.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

/// What is sent and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A GET; the answer has a body of 100 bytes.
    Http,
    /// 100 bytes there and the same back.
    Bytes,
}

/// The path that all proxies route to the server.
pub(crate) const ROUTED: &str = "/bench";
/// A path that no route has: a proxy that reads HTTP refuses it.
pub(crate) const NOT_ROUTED: &str = "/elsewhere";

/// Of an answer's body, and of what is sent as bytes.
const LENGTH: usize = 100;
/// Longest head and body of an answer, in bytes.
const LONGEST: usize = 4096;

/// The server's answer to every request.
pub(crate) fn answer() -> Vec<u8> {
    let body = "x".repeat(LENGTH);
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {LENGTH}\r\n\r\n{body}")
        .into_bytes()
}

/// A client's half of exchanges on one path, without the connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    exchange: Exchange,
    request: Vec<u8>,
    buffer: Box<[u8; LONGEST]>,
}

impl Client {
    /// For requests to a path, or for bytes; `mark` is sent along with every one.
    pub(crate) fn new(exchange: Exchange, path: &str, mark: &str) -> Self {
        let request = match exchange {
            Exchange::Http => format!(
                "GET {path} HTTP/1.1\r\nHost: server.bench\r\nUser-Agent: heddle-bench\r\nAccept: */*\r\nX-Mark: {mark}\r\n\r\n"
            ),
            Exchange::Bytes => format!("{mark:-<LENGTH$}"),
        };
        Self {
            exchange,
            request: request.into_bytes(),
            buffer: Box::new([0; LONGEST]),
        }
    }

    /// One exchange. An error if the answer is not the expected one, or the connection broke.
    pub(crate) fn once(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(&self.request)?;
        match self.exchange {
            Exchange::Http => self.read_answer(stream),
            Exchange::Bytes => {
                let back = &mut self.buffer[..self.request.len()];
                stream.read_exact(back)?;
                if *back != self.request[..] {
                    return Err(io::Error::other("other bytes came back"));
                }
                Ok(())
            }
        }
    }

    fn read_answer(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let mut filled = 0;
        loop {
            match stream.read(&mut self.buffer[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
            if let Some(length) = length_of_answer(&self.buffer[..filled])? {
                match filled.cmp(&length) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => return Ok(()),
                    std::cmp::Ordering::Greater => {
                        return Err(io::Error::other("more came than the answer"));
                    }
                }
            }
        }
    }
}

/// Length of head and body together; `None` while the head is not complete.
fn length_of_answer(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..head]);
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(status.to_owned()));
    }
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body: Option<usize> = length.and_then(|(_, value)| value.trim().parse().ok());
    match body {
        Some(body) => Ok(Some(head + 4 + body)),
        None => Err(io::Error::other("an answer without its length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        let answer = answer();
        assert_eq!(length_of_answer(&answer).unwrap(), Some(answer.len()));
        assert_eq!(length_of_answer(&answer[..20]).unwrap(), None);
    }

    #[test]
    fn names_of_fields_have_no_case() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(length_of_answer(answer).unwrap(), Some(answer.len()));
    }

    #[test]
    fn any_other_status_is_an_error_that_tells_it() {
        let error = length_of_answer(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap_err();
        assert_eq!(error.to_string(), "HTTP/1.1 404 Not Found");
    }
}
