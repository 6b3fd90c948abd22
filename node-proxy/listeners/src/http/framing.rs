//! Follows the framing of HTTP/1 requests in a stream of bytes and finds what must not be let through. Pure.
//!
//! hyper parses the requests; this only finds where each one's head begins and ends, to refuse what hyper takes in a lenient
//! reading: a request with Content-Length and Transfer-Encoding (hyper drops the first) or with other encodings than `chunked`, and what no head may hold (a bare CR,
//! a folded line), wherever in a connection of many requests it stands (RFC 9112 sections 2.2, 5.2, 6.3). A stream that this
//! cannot follow is one that hyper refuses too.

/// What a head may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Offence {
    /// RFC 9112 section 6.3.
    #[error("the request has Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// RFC 9112 section 6.3.
    #[error("the request has several lengths")]
    SeveralLengths,
    /// RFC 9112 section 6.1. Others than `chunked` would have to be undone here, since they end with the connection; and a list
    /// of several is understood differently by different servers.
    #[error("the request has another Transfer-Encoding than chunked")]
    OtherEncoding,
    /// RFC 9112 section 2.2.
    #[error("the request's head has a carriage return that ends no line")]
    BareCarriageReturn,
    /// RFC 9112 section 5.2.
    #[error("the request has a folded header line")]
    FoldedLine,
    /// RFC 9112 section 5.1.
    #[error("the request has a space before a header's colon")]
    SpaceBeforeColon,
    /// RFC 9112 section 3.2: no form of a request's target has one. hyper drops it, so that others could read another path than we do.
    #[error("the request's target has a fragment")]
    Fragment,
}

/// Where in a connection of many requests the stream is.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    head: Head,
    /// The part of a line that came with an earlier read.
    line: Vec<u8>,
    /// Bytes of this head so far.
    head_bytes: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before or in a request line.
    Start,
    Headers,
    /// So many bytes of a body are to come.
    Body(u64),
    ChunkSize(ChunkSize),
    /// So many bytes of a chunk and its line end are to come.
    Chunk(u64),
    Trailers,
    /// No HTTP/1 (any more), or nothing that hyper will accept.
    Opaque,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ChunkSize {
    size: u64,
    /// The number has ended; an extension may follow.
    ended: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// At the beginning of a connection. A head longer than `limit` is not followed: hyper must refuse it.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            state: State::Start,
            head: Head::default(),
            line: Vec::new(),
            head_bytes: 0,
            limit,
        }
    }

    /// Whether a head has begun and not ended.
    pub(crate) fn is_in_head(&self) -> bool {
        match self.state {
            State::Start => self.head_bytes > 0,
            State::Headers => true,
            _ => false,
        }
    }

    /// From here on the bytes are not HTTP/1.
    pub(crate) fn stop(&mut self) {
        self.state = State::Opaque;
        self.line = Vec::new();
    }

    /// Follows the next bytes of the stream. An offence is told with the number of bytes up to and including it.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<(), (Offence, usize)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.state {
                State::Opaque => return Ok(()),
                State::Body(left) => self.skip(left, rest, State::Body),
                State::Chunk(left) => self.skip(left, rest, State::Chunk),
                State::ChunkSize(size) => self.chunk_size(size, rest),
                State::Start | State::Headers | State::Trailers => self
                    .line(rest)
                    .map_err(|(offence, used)| (offence, at + used))?,
            };
        }
        Ok(())
    }

    fn skip(&mut self, left: u64, bytes: &[u8], more: impl Fn(u64) -> State) -> usize {
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - used as u64;
        self.state = match (left, self.state) {
            (0, State::Chunk(_)) => State::ChunkSize(ChunkSize::default()),
            (0, _) => self.next_request(),
            (left, _) => more(left),
        };
        used
    }

    fn next_request(&mut self) -> State {
        self.head = Head::default();
        self.head_bytes = 0;
        State::Start
    }

    fn chunk_size(&mut self, mut known: ChunkSize, bytes: &[u8]) -> usize {
        for (index, byte) in bytes.iter().enumerate() {
            match (byte, char::from(*byte).to_digit(16)) {
                (b'\n', _) => {
                    self.state = match known.size {
                        0 => State::Trailers,
                        // The line end behind the data belongs to it. A longer one hyper refuses.
                        size => size.checked_add(2).map_or(State::Opaque, State::Chunk),
                    };
                    return index + 1;
                }
                (_, Some(digit)) if !known.ended => {
                    let size = known.size.checked_mul(16);
                    let Some(size) = size.and_then(|s| s.checked_add(u64::from(digit))) else {
                        self.stop();
                        return bytes.len();
                    };
                    known.size = size;
                }
                _ => known.ended = true,
            }
        }
        self.state = State::ChunkSize(known);
        bytes.len()
    }

    /// One line, or the part of it that is there.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, (Offence, usize)> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(bytes.len(), |end| end + 1);
        self.head_bytes += used;
        if self.head_bytes > self.limit {
            self.stop();
            return Ok(used);
        }
        let Some(end) = end else {
            self.line.extend_from_slice(bytes);
            return Ok(used);
        };
        let outcome = if self.line.is_empty() {
            self.whole_line(&bytes[..end])
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..end]);
            self.whole_line(&line)
        };
        outcome.map(|()| used).map_err(|offence| (offence, used))
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<(), Offence> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.contains(&b'\r') {
            return Err(Offence::BareCarriageReturn);
        }
        match self.state {
            // Empty lines before a request are to be ignored (RFC 9112 section 2.2).
            State::Start if line.is_empty() => self.head_bytes = 0,
            State::Start if line.starts_with(b"PRI * HTTP/2") => self.stop(),
            State::Start if line.contains(&b'#') => return Err(Offence::Fragment),
            State::Start => self.state = State::Headers,
            State::Headers if line.is_empty() => self.state = self.body(),
            State::Headers => self.header(line)?,
            State::Trailers if line.is_empty() => self.state = self.next_request(),
            State::Trailers if matches!(line.first(), Some(b' ' | b'\t')) => {
                return Err(Offence::FoldedLine);
            }
            _ => {}
        }
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Offence> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Offence::FoldedLine);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            // hyper refuses it.
            return Ok(());
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if matches!(name.last(), Some(b' ' | b'\t')) {
            return Err(Offence::SpaceBeforeColon);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            self.content_length(value)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let again = std::mem::replace(&mut self.head.chunked, true);
            if again || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Offence::OtherEncoding);
            }
        }
        if self.head.chunked && self.head.length.is_some() {
            return Err(Offence::LengthAndEncoding);
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Offence> {
        // What is no number hyper refuses.
        let length = std::str::from_utf8(value)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        match self.head.length.replace(length) {
            Some(before) if before != length => Err(Offence::SeveralLengths),
            _ => Ok(()),
        }
    }

    fn body(&mut self) -> State {
        match (self.head.chunked, self.head.length) {
            (true, _) => State::ChunkSize(ChunkSize::default()),
            (false, None | Some(0)) => self.next_request(),
            (false, Some(length)) => State::Body(length),
        }
    }
}
