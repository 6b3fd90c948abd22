//! A CONNECT stream as a byte stream.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::to_io;

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

impl AsyncRead for HboneReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.chunk.is_empty() {
            match ready!(this.receive.poll_data(cx)) {
                Some(chunk) => this.chunk = chunk.map_err(to_io)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = this.chunk.len().min(buffer.remaining());
        buffer.put_slice(&this.chunk[..length]);
        this.chunk.advance(length);
        this.receive
            .flow_control()
            .release_capacity(length)
            .map_err(to_io)?;
        Poll::Ready(Ok(()))
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
        self.send
            .send_data(Bytes::copy_from_slice(&data[..room]), false)
            .map_err(to_io)?;
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
