//! The response half of a stream as an HTTP body: gRPC's length-prefixed messages, and the status in the trailers.
//!
//! Source: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`, "Responses").
//!
//! Each message has a buffer of its own, of exactly its size, which is gone when it was sent. tonic's encoder keeps one buffer for each stream,
//! as large as the largest message ever was: with 500 clients that each began with everything, that was 1.5 MB for each of them, for good.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;

/// A flag that says "not compressed", and the length.
const PREFIX: usize = 5;

/// What a stream sends. Ends with the first error, or when the sender is gone (OK).
#[derive(Debug)]
pub(super) struct Responses<M> {
    messages: mpsc::Receiver<Result<M, Status>>,
    ended: bool,
}

impl<M> Responses<M> {
    pub(super) fn new(messages: mpsc::Receiver<Result<M, Status>>) -> Self {
        Self {
            messages,
            ended: false,
        }
    }
}

impl<M: Message> Body for Responses<M> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.messages.poll_recv(context)).unwrap_or_else(|| Err(Status::ok("")));
        let frame = next.and_then(|message| prefixed(&message));
        Poll::Ready(Some(frame.map(Frame::data).or_else(|status| {
            self.ended = true;
            trailers(&status).map(Frame::trailers)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

fn prefixed(message: &impl Message) -> Result<Bytes, Status> {
    let length = message.encoded_len();
    let in_prefix = u32::try_from(length)
        .map_err(|_| Status::resource_exhausted("a message of more than 4 GiB cannot be sent"))?;
    let mut buffer = Vec::with_capacity(PREFIX + length);
    buffer.put_u8(0);
    buffer.put_u32(in_prefix);
    message
        .encode(&mut buffer)
        .map_err(|error| Status::internal(error.to_string()))?;
    Ok(buffer.into())
}

fn trailers(status: &Status) -> Result<HeaderMap, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn messages_have_their_length_before_them_and_the_status_comes_last() {
        let (sender, receiver) = mpsc::channel(4);
        let word = |text: &str| Ok(text.to_owned());
        sender.try_send(word("abc")).unwrap();
        sender.try_send(word("")).unwrap();
        sender.try_send(Err(Status::unavailable("over"))).unwrap();
        sender.try_send(word("never sent")).unwrap();
        let sent = Responses::<String>::new(receiver).collect().await.unwrap();
        let status = sent.trailers().unwrap().clone();
        // A string is a message with itself in field 1.
        assert_eq!(*sent.to_bytes(), *b"\0\0\0\0\x05\x0a\x03abc\0\0\0\0\0");
        assert_eq!(status["grpc-status"], "14");
        assert_eq!(status["grpc-message"], "over");
    }

    #[tokio::test]
    async fn a_stream_without_an_error_ends_with_ok() {
        let (sender, receiver) = mpsc::channel::<Result<String, Status>>(1);
        drop(sender);
        let sent = Responses::new(receiver).collect().await.unwrap();
        assert_eq!(sent.trailers().unwrap()["grpc-status"], "0");
    }

    #[test]
    fn a_buffer_is_as_large_as_its_message() {
        let message = "x".repeat(100_000);
        let buffer = prefixed(&message).unwrap().try_into_mut().unwrap();
        assert_eq!(buffer.len(), PREFIX + message.encoded_len());
        assert_eq!(buffer.capacity(), buffer.len());
    }
}
