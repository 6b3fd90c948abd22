//! Reads ahead of a reader that takes little at a time.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::through::pour;

/// What is read at once while much comes.
const LARGE: usize = 64 << 10;

/// A connection under TLS. rustls reads 4 kB at a time, so that a record of 16 kB takes five system calls; this reads all that has come as
/// soon as such a read was filled, and goes back to reading for itself when nothing is left. Writes go through.
#[derive(Debug)]
pub struct ReadAhead<I> {
    io: I,
    memory: BytesMut,
    much: bool,
}

impl<I> ReadAhead<I> {
    /// Around a connection of which nothing is lost.
    pub fn new(io: I) -> Self {
        Self {
            io,
            memory: BytesMut::new(),
            much: false,
        }
    }

    /// Memory that it holds, in bytes.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.memory.capacity()
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &I {
        &self.io
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for ReadAhead<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.memory.is_empty() && !this.much {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
            this.much = buffer.remaining() == 0 && buffer.filled().len() > before;
            return Poll::Ready(Ok(()));
        }
        if this.memory.is_empty() {
            this.memory.reserve(LARGE);
            let read = poll_read_buf(Pin::new(&mut this.io), cx, &mut this.memory);
            if read.is_pending() {
                this.much = false;
                this.memory = BytesMut::new();
            }
            ready!(read)?;
        }
        pour(&mut this.memory, buffer);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for ReadAhead<I> {
    crate::write_through!(io);
}
