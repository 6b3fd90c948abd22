//! A connection some of whose first bytes have been read already.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use heddle_hbone::{ByteStream, Room, pour};
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
        pour(&mut self.first, buffer);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Prefixed<I> {
    heddle_hbone::write_through!(io);
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
