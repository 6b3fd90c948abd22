//! What was read of a connection and not used yet.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

/// What one read takes at most where it is not known how much is to come. Heads fit, and so do most bodies with them.
const SCRATCH: usize = 16 * 1024;

/// What one read takes at most of a body whose length is known.
const LARGEST: usize = 128 * 1024;

/// What was read in small pieces lies side by side in chunks of so many bytes: usual heads and answers need no memory of their own.
const CHUNK: usize = 4 * 1024;

/// A piece that is larger has its own memory. A small one that stays for long (a request that waits for its answer) holds its whole chunk.
const MOST_IN_CHUNK: usize = CHUNK / 4;

thread_local! {
    /// Reads go here first, so that connections which wait need no memory for what may come.
    static SCRATCH_BYTES: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
    /// The rest of the newest chunk. When it is used up, its memory is taken again if nobody holds a piece of it, else it is left to them.
    static CHUNK_BYTES: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(CHUNK));
}

fn copied(bytes: &[u8]) -> Bytes {
    if bytes.is_empty() || bytes.len() > MOST_IN_CHUNK {
        return Bytes::copy_from_slice(bytes);
    }
    CHUNK_BYTES.with_borrow_mut(|chunk| {
        chunk.extend_from_slice(bytes);
        chunk.split().freeze()
    })
}

/// Bytes that were read of a connection and not used yet.
#[derive(Clone, Debug, Default)]
pub struct Ahead(Bytes);

impl Ahead {
    /// With these bytes, which were read by somebody else.
    pub const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Gives them up to somebody who goes on reading.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Whether nothing was read ahead.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// So many have been used.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn used(&mut self, length: usize) {
        self.0.advance(length);
        if self.0.is_empty() {
            // Lets go of the memory.
            self.0 = Bytes::new();
        }
    }

    /// Takes so many.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn take(&mut self, length: usize) -> Bytes {
        if length == self.0.len() {
            return std::mem::take(&mut self.0);
        }
        self.0.split_to(length)
    }

    /// Reads once and tells how many bytes came; 0 is the end of the connection. `expected`: as many bytes are known to come, if that is known.
    pub fn poll_more<I: AsyncRead + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
        expected: u64,
    ) -> Poll<io::Result<usize>> {
        if self.0.is_empty() && expected > SCRATCH as u64 {
            let capacity = usize::try_from(expected).unwrap_or(LARGEST).min(LARGEST);
            return self.poll_large(io, cx, capacity);
        }
        SCRATCH_BYTES.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
            self.append(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    fn poll_large<I: AsyncRead + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
        capacity: usize,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = BytesMut::with_capacity(capacity);
        let length = ready!(poll_read_buf(Pin::new(io), cx, &mut bytes))?;
        self.0 = bytes.freeze();
        Poll::Ready(Ok(length))
    }

    fn append(&mut self, more: &[u8]) {
        if self.0.is_empty() {
            self.0 = copied(more);
        } else if !more.is_empty() {
            self.0 = Bytes::from([&self.0[..], more].concat());
        }
    }

    /// Whether a connection on which nothing is awaited is still as it should be: open and silent. Does not wait.
    pub fn is_quiet<I: AsyncRead + Unpin>(&mut self, io: &mut I) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.is_empty() && self.poll_more(io, &mut cx, 0).is_pending()
    }
}
