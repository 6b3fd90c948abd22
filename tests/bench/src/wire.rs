//! What client and server say: as little as possible, so that the two cores are the proxies' and not theirs.

use std::io::{self, Read, Write};

/// What is sent and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A GET; the answer has a body of 100 bytes.
    Http,
    /// The same over TLS.
    Https,
    /// 100 bytes there and the same back.
    Bytes,
    /// Bytes there, an acknowledgement back.
    Upload,
    /// A GET of HTTP/2; the answer has a body of 100 bytes.
    Http2,
    /// A gRPC call, 100 bytes there and back.
    GrpcUnary,
    /// A message of a gRPC call that goes on in both directions, 100 bytes there and back.
    GrpcStream,
}

impl Exchange {
    /// Whether it goes over HTTP/2.
    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::GrpcUnary | Self::GrpcStream)
    }
}

/// The path that all proxies route to the server.
pub(crate) const ROUTED: &str = "/bench";
/// A path that no route has: a proxy that reads HTTP refuses it.
pub(crate) const NOT_ROUTED: &str = "/elsewhere";

/// What requests are sent to.
pub(crate) const HOST: &str = "server.bench";
/// Of an answer's body where nothing else is said, and of what is sent as bytes.
pub(crate) const LENGTH: usize = 100;
/// Longest body that the server makes.
const LONGEST_BODY: usize = 64 << 20;
/// Longest head and body of an answer, in bytes.
const LONGEST: usize = 4096;

/// The server's answer to a GET, with a body of so many bytes.
pub(crate) fn answer(length: usize) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + length, b'x');
    answer
}

/// A GET; `mark` is sent along.
pub(crate) fn request(path: &str, mark: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: heddle-bench\r\nAccept: */*\r\nX-Mark: {mark}\r\n\r\n").into_bytes()
}

/// The length of the answer that a request asks for in its path: `/size/10000`, else [`LENGTH`].
pub(crate) fn wanted_length(head: &[u8]) -> usize {
    const SIZE: &[u8] = b"/size/";
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Some(place) = line.windows(SIZE.len()).position(|part| part == SIZE) else {
        return LENGTH;
    };
    let digits = line[place + SIZE.len()..].iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    digits
        .fold(0_usize, |sum, digit| {
            sum.saturating_mul(10) + usize::from(digit - b'0')
        })
        .min(LONGEST_BODY)
}

/// Behind the empty line; `None` while it is not there.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    Some(bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4)
}

/// What is sent as bytes: so many, which begin with `mark`.
pub(crate) fn bytes(mark: &str, length: usize) -> Vec<u8> {
    let mut bytes = mark.as_bytes().to_vec();
    bytes.resize(length, b'-');
    bytes
}

/// A client's half of exchanges of HTTP/1.1 or bytes on one path, without the connection.
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
            Exchange::Bytes => bytes(mark, LENGTH),
            _ => request(path, mark),
        };
        Self {
            exchange,
            request,
            buffer: Box::new([0; LONGEST]),
        }
    }

    /// One exchange. An error if the answer is not the expected one, or the connection broke.
    pub(crate) fn once(&mut self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        stream.write_all(&self.request)?;
        match self.exchange {
            Exchange::Bytes => {
                let back = &mut self.buffer[..self.request.len()];
                stream.read_exact(back)?;
                if *back != self.request[..] {
                    return Err(io::Error::other("other bytes came back"));
                }
                Ok(())
            }
            _ => self.read_answer(stream),
        }
    }

    fn read_answer(&mut self, stream: &mut impl Read) -> io::Result<()> {
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
    Ok(head_of_answer(bytes)?.map(|(head, body)| head + body))
}

/// Lengths of head and body; `None` while the head is not complete. Any other status than 200 is an error that tells it.
pub(crate) fn head_of_answer(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(end) = end_of_head(bytes) else {
        return Ok(None);
    };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let status = lines.next().unwrap_or_default().trim_ascii();
    if !status.starts_with(b"HTTP/1.1 200") {
        return Err(io::Error::other(String::from_utf8_lossy(status)));
    }
    const LENGTH: &[u8] = b"content-length:";
    let is_it = |line: &&[u8]| {
        line.get(..LENGTH.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(LENGTH))
    };
    let value = lines
        .find(is_it)
        .map(|line| line[LENGTH.len()..].trim_ascii());
    let value = value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    match value {
        Some(body) => Ok(Some((end, body))),
        None => Err(io::Error::other("an answer without its length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        let answer = answer(LENGTH);
        assert_eq!(length_of_answer(&answer).unwrap(), Some(answer.len()));
        assert_eq!(length_of_answer(&answer[..20]).unwrap(), None);
    }

    #[test]
    fn a_request_says_in_its_path_how_much_it_wants() {
        assert_eq!(wanted_length(&request("/bench", "")), LENGTH);
        assert_eq!(wanted_length(&request("/bench/size/10000", "")), 10_000);
        assert_eq!(wanted_length(&request("/bench/size/9x", "")), 9);
        assert_eq!(wanted_length(&request("/bench", "/size/5")), LENGTH);
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
