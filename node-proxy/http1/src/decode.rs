//! Bodies, from their bytes.

use bytes::Bytes;
use http::HeaderMap;
use httparse::{EMPTY_HEADER, Status};

use crate::{Ahead, MOST_LINES, Malformed, head::headers};

/// Bytes of trailers, and of the line before a chunk.
const MOST_BYTES: usize = 16 * 1024;

/// How a body ends, and how much of it is still to come (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// After so many bytes.
    Length(u64),
    /// With the last chunk and the trailers.
    Chunked(Chunks),
    /// With its connection.
    Close,
}

/// Where in a chunked body the stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chunks {
    /// Before the line with a chunk's size.
    #[default]
    Size,
    /// So many bytes of a chunk are to come.
    Data(u64),
    /// Before the line end behind a chunk.
    DataEnd,
    /// Before the trailers, of which the last line is empty.
    Trailers,
    /// It has ended.
    Done,
}

/// What was read of a body.
#[derive(Debug)]
pub enum Piece {
    /// Some bytes.
    Data(Bytes),
    /// Trailers; nothing comes after them.
    Trailers(HeaderMap),
    /// Its end.
    End,
    /// Nothing: more must be read of the connection.
    Nothing,
}

impl Decoder {
    /// A body without bytes.
    pub const EMPTY: Self = Self::Length(0);

    /// A body in chunks, none of which was read.
    pub const CHUNKED: Self = Self::Chunked(Chunks::Size);

    /// Whether all of it was read.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks::Done))
    }

    /// How many bytes are to come for sure.
    pub fn expected(&self) -> u64 {
        match self {
            Self::Length(left) | Self::Chunked(Chunks::Data(left)) => *left,
            Self::Chunked(_) | Self::Close => 0,
        }
    }

    /// Takes what is left of the body, if its length is known and all of it was read.
    pub fn whole(&mut self, ahead: &mut Ahead) -> Option<Bytes> {
        let Self::Length(left) = self else {
            return None;
        };
        let length = usize::try_from(*left).ok()?;
        if length > ahead.bytes().len() {
            return None;
        }
        *left = 0;
        Some(ahead.take(length))
    }

    /// Takes a piece of the body from what was read.
    ///
    /// # Errors
    /// The chunks or the trailers are malformed.
    pub fn decode(&mut self, ahead: &mut Ahead) -> Result<Piece, Malformed> {
        if self.is_done() {
            return Ok(Piece::End);
        }
        if ahead.is_empty() {
            return Ok(Piece::Nothing);
        }
        match self {
            Self::Length(left) => Ok(data(left, ahead)),
            Self::Close => Ok(Piece::Data(ahead.take(ahead.bytes().len()))),
            Self::Chunked(chunks) => chunks.decode(ahead),
        }
    }
}

fn data(left: &mut u64, ahead: &mut Ahead) -> Piece {
    let length = usize::try_from(*left).unwrap_or(usize::MAX);
    let length = length.min(ahead.bytes().len());
    *left -= length as u64;
    Piece::Data(ahead.take(length))
}

impl Chunks {
    fn decode(&mut self, ahead: &mut Ahead) -> Result<Piece, Malformed> {
        loop {
            match self {
                Self::Size => match httparse::parse_chunk_size(ahead.bytes()) {
                    Ok(Status::Complete((length, size))) => {
                        ahead.used(length);
                        *self = match size {
                            0 => Self::Trailers,
                            size => Self::Data(size),
                        };
                    }
                    Ok(Status::Partial) => return nothing(ahead),
                    Err(_) => return Err(Malformed::Chunk),
                },
                Self::Data(_) if ahead.is_empty() => return Ok(Piece::Nothing),
                Self::Data(left) => {
                    let piece = data(left, ahead);
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    return Ok(piece);
                }
                Self::DataEnd => match ahead.bytes().get(..2) {
                    Some(b"\r\n") => {
                        ahead.used(2);
                        *self = Self::Size;
                    }
                    Some(_) => return Err(Malformed::Chunk),
                    None => return Ok(Piece::Nothing),
                },
                Self::Trailers => return self.trailers(ahead),
                Self::Done => return Ok(Piece::End),
            }
        }
    }

    fn trailers(&mut self, ahead: &mut Ahead) -> Result<Piece, Malformed> {
        let mut lines = [EMPTY_HEADER; MOST_LINES];
        let bytes = ahead.bytes().clone();
        let (length, trailers) = match httparse::parse_headers(&bytes, &mut lines)? {
            Status::Complete((length, lines)) => (length, headers(&bytes, lines, 0)?),
            Status::Partial => return nothing(ahead),
        };
        ahead.used(length);
        *self = Self::Done;
        Ok(match trailers.is_empty() {
            true => Piece::End,
            false => Piece::Trailers(trailers),
        })
    }
}

/// A line that is not there whole may not go on for ever.
fn nothing(ahead: &Ahead) -> Result<Piece, Malformed> {
    match ahead.bytes().len() > MOST_BYTES {
        true => Err(Malformed::TooLarge),
        false => Ok(Piece::Nothing),
    }
}
