//! Bytes as pieces of memory that are handed on, not copied.
//!
//! A tunnel's stream receives and sends pieces by itself; everything else is read into a [`Room`] and written from it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Join};
use tokio_util::io::poll_read_buf;

/// Size of a room to begin with.
const FIRST: usize = 1 << 10;
/// A room that is filled gets larger, up to this: in four TLS records (22 bytes each more), with the header of an HTTP/2 frame (9 bytes), it takes
/// 45 TCP segments of a network with an MTU of 1,500, which the kernel sends in one piece. A byte more would be sent in two.
const LARGEST: usize = 45 * 1448 - 4 * 22 - 9;

/// A connection whose bytes can be taken and given in pieces.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin {
    /// Takes what has come, at least a byte; nothing when the other end has ended. What has no pieces of its own is read into `room`.
    fn poll_take(&mut self, cx: &mut Context<'_>, room: &mut Room) -> Poll<io::Result<Bytes>> {
        room.poll_read(cx, self)
    }

    /// Sends some of `piece`, at least a byte, and takes that off it. `piece` is not empty.
    fn poll_give(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        let written = ready!(Pin::new(self).poll_write(cx, piece))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        piece.advance(written);
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for tokio::net::TcpStream {}

impl ByteStream for DuplexStream {}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> ByteStream for Join<R, W> {}

impl<I: AsyncRead + AsyncWrite + Unpin> ByteStream for tokio_rustls::client::TlsStream<I> {}

impl<I: AsyncRead + AsyncWrite + Unpin> ByteStream for tokio_rustls::server::TlsStream<I> {}

impl<I> ByteStream for hyper_util::rt::TokioIo<I> where Self: AsyncRead + AsyncWrite + Unpin {}

impl<T: ByteStream + ?Sized> ByteStream for Box<T> {
    fn poll_take(&mut self, cx: &mut Context<'_>, room: &mut Room) -> Poll<io::Result<Bytes>> {
        (**self).poll_take(cx, room)
    }

    fn poll_give(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        (**self).poll_give(cx, piece)
    }
}

/// Memory that one direction of a copy is read into. It grows while it is filled, is used again once what was read has been sent, and while
/// nothing comes it is small.
#[derive(Debug)]
pub struct Room {
    memory: BytesMut,
    size: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            memory: BytesMut::new(),
            size: FIRST,
        }
    }
}

impl Room {
    fn poll_read<R>(&mut self, cx: &mut Context<'_>, reader: &mut R) -> Poll<io::Result<Bytes>>
    where
        R: AsyncRead + Unpin + ?Sized,
    {
        if self.memory.capacity() < self.size / 2 && !self.memory.try_reclaim(self.size) {
            self.memory = BytesMut::with_capacity(self.size);
        }
        let spare = self.memory.capacity();
        let Poll::Ready(read) = poll_read_buf(Pin::new(reader), cx, &mut self.memory) else {
            self.rest();
            return Poll::Pending;
        };
        if read? == spare {
            self.size = (self.size * 4).min(LARGEST);
        }
        Poll::Ready(Ok(self.memory.split().freeze()))
    }

    /// Memory that it holds, in bytes.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.memory.capacity()
    }

    /// An idle connection does not keep what a busy one needed.
    fn rest(&mut self) {
        if self.memory.capacity() > FIRST {
            self.memory = BytesMut::new();
        }
    }
}
