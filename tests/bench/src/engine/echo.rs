//! Bytes there and back, or in one direction.

use std::{collections::VecDeque, io};

use super::Talk;

/// A client that sends some bytes and wants them back.
pub(crate) struct EchoClient {
    request: Vec<u8>,
    asked: Option<usize>,
    /// Of those that are to come back.
    heard: usize,
}

impl EchoClient {
    pub(crate) fn new(request: Vec<u8>) -> Self {
        Self {
            request,
            asked: None,
            heard: 0,
        }
    }
}

impl Talk for EchoClient {
    fn ask(&mut self, number: usize, output: &mut Vec<u8>) {
        (self.asked, self.heard) = (Some(number), 0);
        output.extend_from_slice(&self.request);
    }

    fn hear(
        &mut self,
        input: &[u8],
        _output: &mut Vec<u8>,
        answered: &mut Vec<usize>,
    ) -> io::Result<usize> {
        let wanted = &self.request[self.heard..];
        if input.len() > wanted.len() || !wanted.starts_with(input) {
            return Err(io::Error::other("other bytes came back"));
        }
        self.heard += input.len();
        if self.heard == self.request.len() {
            answered.extend(self.asked.take());
        }
        Ok(input.len())
    }
}

/// The first byte of a connection whose bytes are only taken in. No echo begins with it.
const UPLOAD: u8 = 0;

/// A client that sends bytes in one direction, in pieces, each of which is acknowledged by a byte.
pub(crate) struct UploadClient {
    piece: Vec<u8>,
    begun: bool,
    /// Pieces on their way, in their order.
    asked: VecDeque<usize>,
}

impl UploadClient {
    /// With pieces of this many bytes; the server has to know it.
    pub(crate) fn new(length: usize) -> Self {
        Self {
            piece: vec![b'-'; length],
            begun: false,
            asked: VecDeque::new(),
        }
    }
}

impl Talk for UploadClient {
    fn ask(&mut self, number: usize, output: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            let length = self.piece.len() as u64;
            output.push(UPLOAD);
            output.extend_from_slice(&length.to_be_bytes());
        }
        self.asked.push_back(number);
        output.extend_from_slice(&self.piece);
    }

    fn hear(
        &mut self,
        input: &[u8],
        _output: &mut Vec<u8>,
        answered: &mut Vec<usize>,
    ) -> io::Result<usize> {
        if input.len() > self.asked.len() {
            return Err(io::Error::other("more was acknowledged than was sent"));
        }
        answered.extend(self.asked.drain(..input.len()));
        Ok(input.len())
    }
}

/// A server that sends back what comes, or acknowledges it piece by piece where the client wants that.
#[derive(Default)]
pub(super) enum BytesServer {
    /// Nothing has come yet.
    #[default]
    New,
    Echo,
    /// So many bytes are a piece, of which so many have come.
    Upload {
        piece: u64,
        come: u64,
    },
}

impl Talk for BytesServer {
    fn hear(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        _answered: &mut Vec<usize>,
    ) -> io::Result<usize> {
        if let (Self::New, Some(first)) = (&self, input.first()) {
            if *first != UPLOAD {
                *self = Self::Echo;
            } else {
                let Some((length, _)) = input[1..].split_first_chunk() else {
                    return Ok(0);
                };
                let piece = u64::from_be_bytes(*length).max(1);
                *self = Self::Upload { piece, come: 0 };
                return Ok(1 + length.len());
            }
        }
        if let Self::Upload { piece, come } = self {
            *come += input.len() as u64;
            output.extend((0..*come / *piece).map(|_| b'.'));
            *come %= *piece;
        } else {
            output.extend_from_slice(input);
        }
        Ok(input.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_acknowledged_piece_by_piece_however_it_is_cut() {
        for cut in [1, 3, 9, 10, 50, 1000] {
            let (mut client, mut server) = (UploadClient::new(100), BytesServer::default());
            let (mut sent, mut answers, mut answered) = (Vec::new(), Vec::new(), Vec::new());
            for number in [0, 1, 2] {
                client.ask(number, &mut sent);
            }
            let mut input = Vec::new();
            for piece in sent.chunks(cut) {
                input.extend_from_slice(piece);
                while !input.is_empty() {
                    let used = server.hear(&input, &mut answers, &mut Vec::new()).unwrap();
                    input.drain(..used);
                    if used == 0 {
                        break;
                    }
                }
            }
            let used = client.hear(&answers, &mut Vec::new(), &mut answered);
            assert_eq!((used.unwrap(), &answered[..]), (3, &[0, 1, 2][..]), "{cut}");
        }
    }

    #[test]
    fn anything_else_comes_back() {
        let (mut server, mut back) = (BytesServer::default(), Vec::new());
        for sent in [&b"load"[..], b"\0\0"] {
            let used = server.hear(sent, &mut back, &mut Vec::new()).unwrap();
            assert_eq!(used, sent.len());
        }
        assert_eq!(back, b"load\0\0");
    }
}
