//! A CONNECT stream as a byte stream.

use std::{
    io, mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{ByteStream, error::to_io, pieces::Room, through::pour};

/// Counts a stream for as long as one of its halves lives.
#[derive(Debug)]
pub(crate) struct ActiveStream(Arc<AtomicUsize>);

impl ActiveStream {
    pub(crate) fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One user connection. Shutting down sends END_STREAM and leaves the other direction open; dropping it before both
/// directions have ended resets the stream, which the peer sees as a broken connection.
#[derive(Debug)]
pub struct HboneStream {
    reader: HboneReader,
    writer: HboneWriter,
}

/// The receiving half. What is not read is not acknowledged, so the peer stops sending when the window is full.
#[derive(Debug)]
pub struct HboneReader {
    receive: RecvStream,
    /// Received, not yet read.
    chunk: Bytes,
    _active: Option<Arc<ActiveStream>>,
}

/// The sending half.
#[derive(Debug)]
pub struct HboneWriter {
    send: SendStream<Bytes>,
    ended: bool,
    _active: Option<Arc<ActiveStream>>,
}

impl HboneStream {
    pub(crate) fn new(
        receive: RecvStream,
        send: SendStream<Bytes>,
        active: Option<ActiveStream>,
    ) -> Self {
        let active = active.map(Arc::new);
        Self {
            reader: HboneReader {
                receive,
                chunk: Bytes::new(),
                _active: active.clone(),
            },
            writer: HboneWriter {
                send,
                ended: false,
                _active: active,
            },
        }
    }

    /// Two halves for two tasks.
    pub fn into_split(self) -> (HboneReader, HboneWriter) {
        (self.reader, self.writer)
    }

    /// Breaks the connection off: the peer sees a reset, not an end.
    pub fn reset(mut self) {
        self.writer.send.send_reset(Reason::CANCEL);
    }
}

impl HboneReader {
    /// What was received: nothing only at the end. The peer may send as much again as soon as a piece is taken.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            let Some(piece) = ready!(self.receive.poll_data(cx)) else {
                return Poll::Ready(Ok(Bytes::new()));
            };
            let piece = piece.map_err(to_io)?;
            if !piece.is_empty() {
                return Poll::Ready(Ok(piece));
            }
        }
    }

    fn release(&mut self, length: usize) -> io::Result<()> {
        self.receive
            .flow_control()
            .release_capacity(length)
            .map_err(to_io)
    }

    /// The rest of what was begun to be read, or the next.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let piece = if self.chunk.is_empty() {
            ready!(self.poll_piece(cx))?
        } else {
            mem::take(&mut self.chunk)
        };
        self.release(piece.len())?;
        Poll::Ready(Ok(piece))
    }
}

impl AsyncRead for HboneReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.chunk.is_empty() {
            this.chunk = ready!(this.poll_piece(cx))?;
        }
        let length = pour(&mut this.chunk, buffer);
        Poll::Ready(this.release(length))
    }
}

impl HboneWriter {
    /// How many bytes may be sent now, at least 1 and at most `wanted`.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(wanted);
        loop {
            let room = self.send.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room.min(wanted)));
            }
            match ready!(self.send.poll_capacity(cx)) {
                Some(more) => more.map_err(to_io)?,
                None => return Poll::Ready(Err(self.why_closed(cx))),
            };
        }
    }

    /// Sends some of `piece`, at least a byte, and takes that off it.
    fn poll_give(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        let room = ready!(self.poll_room(cx, piece.len()))?;
        let sent = self.send.send_data(piece.split_to(room), false);
        Poll::Ready(sent.map_err(to_io))
    }

    fn why_closed(&mut self, cx: &mut Context<'_>) -> io::Error {
        if self.ended {
            return io::ErrorKind::BrokenPipe.into();
        }
        match self.send.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => io::Error::new(
                io::ErrorKind::ConnectionReset,
                format!("the peer reset the stream: {reason}"),
            ),
            Poll::Ready(Err(error)) => to_io(error),
            Poll::Pending => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

impl AsyncWrite for HboneWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(cx, data.len()))?;
        let copied = Bytes::copy_from_slice(&data[..room]);
        self.send.send_data(copied, false).map_err(to_io)?;
        Poll::Ready(Ok(room))
    }

    /// Nothing to do: the connection's task sends as fast as the windows allow.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            self.send.send_data(Bytes::new(), true).map_err(to_io)?;
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for HboneStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buffer)
    }
}

impl AsyncWrite for HboneStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

impl ByteStream for HboneStream {
    fn poll_take(&mut self, cx: &mut Context<'_>, _: &mut Room) -> Poll<io::Result<Bytes>> {
        self.reader.poll_take(cx)
    }

    fn poll_give(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        self.writer.poll_give(cx, piece)
    }
}
