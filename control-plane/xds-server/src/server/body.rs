//! The response half of a stream as an HTTP body: gRPC's length-prefixed messages, and the status in the trailers.
//!
//! Source: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`, "Responses").
//!
//! Each message has a buffer of its own, which is gone when it was sent. tonic's encoder keeps one buffer for each stream,
//! as large as the largest message ever was: with 500 clients that each began with everything, that was 1.5 MB for each of them, for good.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tonic::Status;

use super::message::Message;

/// What a stream sends. Ends with the first error, or when the sender is gone (OK).
#[derive(Debug)]
pub(super) struct Responses {
    messages: mpsc::Receiver<Result<Message, Status>>,
    /// Of the message whose beginning was sent last.
    rest: Option<Bytes>,
    ended: bool,
}

impl Responses {
    pub(super) fn new(messages: mpsc::Receiver<Result<Message, Status>>) -> Self {
        Self {
            messages,
            rest: None,
            ended: false,
        }
    }
}

impl Body for Responses {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.messages.poll_recv(context)).unwrap_or_else(|| Err(Status::ok("")));
        Poll::Ready(Some(match next {
            Ok(message) => {
                self.rest = message.rest;
                Ok(Frame::data(message.begin))
            }
            Err(status) => {
                self.ended = true;
                trailers(&status).map(Frame::trailers)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
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

    fn message(begin: &'static str, rest: Option<&'static str>) -> Result<Message, Status> {
        Ok(Message {
            begin: begin.into(),
            rest: rest.map(Bytes::from),
        })
    }

    #[tokio::test]
    async fn messages_come_in_their_order_and_the_status_last() {
        let (sender, receiver) = mpsc::channel(4);
        sender.try_send(message("abc", Some("def"))).unwrap();
        sender.try_send(message("ghi", None)).unwrap();
        sender.try_send(Err(Status::unavailable("over"))).unwrap();
        sender.try_send(message("never sent", None)).unwrap();
        let sent = Responses::new(receiver).collect().await.unwrap();
        let status = sent.trailers().unwrap().clone();
        assert_eq!(sent.to_bytes(), "abcdefghi");
        assert_eq!(status["grpc-status"], "14");
        assert_eq!(status["grpc-message"], "over");
    }

    #[tokio::test]
    async fn a_stream_without_an_error_ends_with_ok() {
        let (sender, receiver) = mpsc::channel(1);
        drop(sender);
        let sent = Responses::new(receiver).collect().await.unwrap();
        assert_eq!(sent.trailers().unwrap()["grpc-status"], "0");
    }
}
