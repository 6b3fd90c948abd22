//! A connection some of whose first bytes have been read already.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use heddle_hbone::{ByteStream, Room};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Accepted;

/// Gives the bytes that were read already, then the connection's own.
pub(crate) struct Prefixed<I> {
    first: Bytes,
    io: I,
}

impl<I> Prefixed<I> {
    pub(crate) fn new(first: Bytes, io: I) -> Self {
        Self { first, io }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Prefixed<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Prefixed<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<I: ByteStream> ByteStream for Prefixed<I> {
    fn poll_take(&mut self, cx: &mut Context<'_>, room: &mut Room) -> Poll<io::Result<Bytes>> {
        if self.first.is_empty() {
            return self.io.poll_take(cx, room);
        }
        Poll::Ready(Ok(mem::take(&mut self.first)))
    }

    fn poll_give(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        self.io.poll_give(cx, piece)
    }
}

impl<I: Accepted> Accepted for Prefixed<I> {
    fn abort_on_drop(&self) {
        self.io.abort_on_drop();
    }
}
