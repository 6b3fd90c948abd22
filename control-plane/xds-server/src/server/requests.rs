//! The request half of a stream: gRPC's length-prefixed messages out of an HTTP body.
//!
//! Source: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`, "Requests").
//!
//! Between two messages nothing is kept. tonic's decoder keeps one buffer for each stream, as large as the largest request ever was: the one
//! that names everything, which every client sends once.

use std::{future::poll_fn, marker::PhantomData, pin::Pin};

use bytes::{Buf, Bytes};
use http_body::Body as _;
use prost::Message;
use tonic::{Code, Status, body::Body};

/// A flag that says "not compressed", and the length.
const PREFIX: usize = 5;

/// What a client sends.
pub(super) struct Messages<M> {
    body: Body,
    /// What came and was not looked at yet.
    chunk: Bytes,
    /// The beginning of a message whose rest has not come, with its prefix. It grows with what comes, not with what the prefix promises.
    begun: Vec<u8>,
    /// Largest message accepted, in bytes.
    limit: usize,
    message: PhantomData<fn() -> M>,
}

impl<M: Message + Default> Messages<M> {
    pub(super) fn new(body: Body, limit: usize) -> Self {
        Self {
            body,
            chunk: Bytes::new(),
            begun: Vec::new(),
            limit,
            message: PhantomData,
        }
    }

    /// The next message; none when the client has ended the stream. May be dropped and called again. Not after an error.
    pub(super) async fn next(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await {
                // Trailers say nothing in a request.
                Some(Ok(frame)) => self.chunk = frame.into_data().unwrap_or_default(),
                // The client has reset the stream.
                Some(Err(status)) if status.code() == Code::Cancelled => return Ok(None),
                Some(Err(status)) => return Err(status),
                None if self.begun.is_empty() => return Ok(None),
                None => return Err(malformed("it ends in its middle")),
            }
        }
    }

    /// The next message, if all of it is here.
    fn take(&mut self) -> Result<Option<M>, Status> {
        if self.begun.is_empty() {
            // Most messages come in one piece.
            if let Some(length) = self.length(&self.chunk)?
                && self.chunk.len() - PREFIX >= length
            {
                self.chunk.advance(PREFIX);
                let message = self.chunk.split_to(length);
                self.release();
                return decode(&message).map(Some);
            }
        }
        loop {
            let wanted = match self.length(&self.begun)? {
                None => PREFIX,
                Some(length) if self.begun.len() == PREFIX + length => {
                    let message = std::mem::take(&mut self.begun);
                    self.release();
                    return decode(&message[PREFIX..]).map(Some);
                }
                Some(length) => PREFIX + length,
            };
            if self.chunk.is_empty() {
                self.release();
                return Ok(None);
            }
            let missing = (wanted - self.begun.len()).min(self.chunk.len());
            self.begun.extend_from_slice(&self.chunk.split_to(missing));
        }
    }

    /// Of the message that begins here, if its prefix is complete.
    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, Status> {
        let Some((&[compressed, a, b, c, d], _)) = bytes.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        if compressed != 0 {
            return Err(malformed(
                "it is compressed, which no encoding was agreed upon for",
            ));
        }
        let (length, limit) = (u32::from_be_bytes([a, b, c, d]) as usize, self.limit);
        if length > limit {
            return Err(Status::out_of_range(format!(
                "a request has {length} bytes, {limit} are allowed"
            )));
        }
        Ok(Some(length))
    }

    /// An empty chunk would still hold on to the connection's buffer that it was a part of.
    fn release(&mut self) {
        if self.chunk.is_empty() {
            self.chunk = Bytes::new();
        }
    }
}

/// What cannot be decoded is the client's fault, not ours.
fn malformed(problem: &str) -> Status {
    Status::invalid_argument(format!("malformed request: {problem}"))
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, Status> {
    M::decode(bytes).map_err(|error| malformed(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body::Frame;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;

    /// Strings, as messages, out of a body that comes in these pieces.
    fn messages(pieces: Vec<Vec<u8>>) -> Messages<String> {
        let frames = pieces
            .into_iter()
            .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
        let body = StreamBody::new(futures::stream::iter(frames));
        Messages::new(Body::new(body), 100)
    }

    fn framed(text: &str) -> Vec<u8> {
        let message = text.to_owned().encode_to_vec();
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
        framed
    }

    fn all(mut messages: Messages<String>) -> Result<Vec<String>, Status> {
        futures::executor::block_on(async {
            let mut all = Vec::new();
            while let Some(message) = messages.next().await? {
                assert!(messages.begun.capacity() == 0, "a buffer was kept");
                all.push(message);
            }
            Ok(all)
        })
    }

    fn error(pieces: Vec<Vec<u8>>) -> (Code, String) {
        let status = all(messages(pieces)).unwrap_err();
        (status.code(), status.message().to_owned())
    }

    proptest! {
        #[test]
        fn messages_are_the_same_however_they_are_cut(
            texts in prop::collection::vec("[a-z]{0,40}", 0..6),
            cuts in prop::collection::vec(0_usize..300, 0..12),
        ) {
            let sent: Vec<u8> = texts.iter().flat_map(|text| framed(text)).collect();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(sent.len())).collect();
            cuts.extend([0, sent.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|ends| sent[ends[0]..ends[1]].to_vec());
            prop_assert_eq!(all(messages(pieces.collect())).unwrap(), texts);
        }
    }

    #[test]
    fn a_message_that_ends_in_its_middle_is_malformed() {
        for cut in 1..framed("abc").len() {
            let (code, text) = error(vec![framed("abc")[..cut].to_vec()]);
            assert_eq!(code, Code::InvalidArgument);
            assert!(text.contains("middle"), "{text}");
        }
    }

    #[test]
    fn a_message_that_is_too_large_is_refused_by_its_prefix() {
        let (code, text) = error(vec![vec![0, 0, 0, 0], vec![101]]);
        assert_eq!(code, Code::OutOfRange);
        assert!(text.contains("101 bytes, 100"), "{text}");
    }

    #[test]
    fn what_is_compressed_or_no_message_is_malformed() {
        for sent in [vec![1, 0, 0, 0, 0], vec![0, 0, 0, 0, 1, 0xff]] {
            let (code, text) = error(vec![sent]);
            assert_eq!(code, Code::InvalidArgument);
            assert!(text.starts_with("malformed request"), "{text}");
        }
    }
}
