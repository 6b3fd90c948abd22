//! What is to be written to a connection.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// A piece of a body that is larger is written from where it lies; a smaller one is copied behind what comes before it, which is less work than
/// a second buffer for the kernel.
const COPIED: usize = 2048;

/// Memory that has grown larger than this is not kept for the next message.
const MOST_SPARE: usize = 16 * 1024;

thread_local! {
    /// Memory of the message that was written last, for the next one. Most are written at once, so that one piece does for all connections.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes to write, in order: some small ones, a large piece of a body, a line end.
#[derive(Debug, Default)]
pub struct Out {
    small: Vec<u8>,
    /// Of `small`, so many are written.
    written: usize,
    large: Bytes,
    tail: &'static [u8],
}

impl Out {
    /// Where the next bytes go.
    ///
    /// Nothing large may wait before them: see [`Self::has_room`].
    pub(crate) fn small(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.large.is_empty() && self.tail.is_empty());
        if self.small.capacity() == 0 {
            self.small = SPARE.take();
        }
        &mut self.small
    }

    pub(crate) fn data(&mut self, data: Bytes, tail: &'static [u8]) {
        if data.len() <= COPIED {
            let small = self.small();
            small.extend_from_slice(&data);
            small.extend_from_slice(tail);
        } else {
            self.large = data;
            self.tail = tail;
        }
    }

    /// Whether everything was written, so that more may be put in.
    pub fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty() && self.tail.is_empty()
    }

    /// Whether more may be put in before the rest is written: nothing large waits, and of small bytes less than `most`.
    pub fn has_room(&self, most: usize) -> bool {
        self.large.is_empty() && self.tail.is_empty() && self.small.len() < most
    }

    /// Writes everything.
    pub fn poll_write<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = ready!(self.poll_once(Pin::new(io), cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote(written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_once<I: AsyncWrite>(
        &self,
        io: Pin<&mut I>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let small = &self.small[self.written..];
        if self.large.is_empty() && self.tail.is_empty() {
            return io.poll_write(cx, small);
        }
        let all = [small, &self.large, self.tail].map(IoSlice::new);
        let from = usize::from(small.is_empty());
        if io.is_write_vectored() {
            io.poll_write_vectored(cx, &all[from..])
        } else {
            let first = all[from..].iter().find(|slice| !slice.is_empty());
            io.poll_write(cx, first.map_or(&[], |slice| slice))
        }
    }

    fn wrote(&mut self, mut length: usize) {
        let small = length.min(self.small.len() - self.written);
        self.written += small;
        length -= small;
        if self.written == self.small.len() {
            // A connection that waits needs none.
            spare(std::mem::take(&mut self.small));
            self.written = 0;
        }
        let large = length.min(self.large.len());
        self.large.advance(large);
        if self.large.is_empty() {
            self.large = Bytes::new();
        }
        self.tail = &self.tail[length - large..];
    }
}

fn spare(mut memory: Vec<u8>) {
    if (1..=MOST_SPARE).contains(&memory.capacity()) {
        memory.clear();
        SPARE.set(memory);
    }
}
