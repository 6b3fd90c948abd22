//! Copies bytes both ways between two connections, with true half-close.

use std::{
    fmt,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use crate::pieces::{ByteStream, Room};

/// After so many pieces in a row, others on the same thread get their turn.
const MOST_ROUNDS: u32 = 16;

/// How long a silent connection is kept, at least; at most an eighth longer.
#[derive(Clone, Copy, Debug)]
pub struct CopyLimits {
    /// No byte in either direction.
    pub idle: Duration,
    /// One direction has ended and no byte comes in the other: a peer that never closes must not keep the connection for ever.
    pub half_closed: Duration,
}

impl Default for CopyLimits {
    /// One hour; five minutes when half closed.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60 * 60),
            half_closed: Duration::from_secs(5 * 60),
        }
    }
}

/// Bytes copied so far; can be read while the copy runs, and after it was dropped.
#[derive(Debug, Default)]
pub struct CopyCounts {
    from_client: AtomicU64,
    from_server: AtomicU64,
}

impl CopyCounts {
    /// Bytes that came from the client and were written to the server.
    pub fn from_client(&self) -> u64 {
        self.from_client.load(Ordering::Relaxed)
    }

    /// Bytes that came from the server and were written to the client.
    pub fn from_server(&self) -> u64 {
        self.from_server.load(Ordering::Relaxed)
    }
}

/// One of the two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was accepted.
    Client,
    /// The one that was opened for it.
    Server,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// Why a copy ended before both directions did.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// [`CopyLimits::idle`].
    #[error("no byte within the idle limit")]
    Idle,
    /// [`CopyLimits::half_closed`].
    #[error("no byte within the limit for half-closed connections")]
    HalfClosedIdle,
    /// A connection broke.
    #[error("{side}: {source}")]
    Io {
        /// Which one.
        side: Side,
        /// How.
        source: io::Error,
    },
}

/// Copies until both directions have ended, each in its own time: the end of one becomes a shutdown on the other side and the
/// opposite direction goes on.
///
/// On an error the caller drops both connections; to let a TCP peer see a reset too, set its linger time to zero first.
pub async fn copy_bidirectional<A, B>(
    client: &mut A,
    server: &mut B,
    limits: CopyLimits,
    counts: &CopyCounts,
) -> Result<(), CopyError>
where
    A: ByteStream,
    B: ByteStream,
{
    let mut request = Direction::new(Side::Client, Side::Server, &counts.from_client);
    let mut response = Direction::new(Side::Server, Side::Client, &counts.from_server);
    let mut watch = pin!(Watch::new(limits));
    std::future::poll_fn(|cx| {
        let before = request.step + response.step;
        let sent = request.poll(cx, &mut *client, &mut *server)?;
        let received = response.poll(cx, &mut *server, &mut *client)?;
        if sent.is_ready() && received.is_ready() {
            return Poll::Ready(Ok(()));
        }
        let moved = request.step + response.step != before;
        let half_closed = sent.is_ready() || received.is_ready();
        watch.as_mut().poll(cx, moved, half_closed)
    })
    .await
}

/// So many looks in a row find that nothing has moved before a connection is cut.
const LOOKS: u32 = 8;

/// Notices silence without asking for the time whenever bytes move: it looks [`LOOKS`] times within a limit whether any have.
struct Watch {
    limits: CopyLimits,
    half_closed: bool,
    /// A byte has moved since the last look.
    moved: bool,
    /// So many looks in a row have found that none had.
    silent: u32,
    /// The next look.
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    fn new(limits: CopyLimits) -> Self {
        Self {
            limits,
            half_closed: false,
            moved: false,
            silent: 0,
            timer: Box::pin(tokio::time::sleep(limits.idle / LOOKS)),
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        moved: bool,
        half_closed: bool,
    ) -> Poll<Result<(), CopyError>> {
        if half_closed != self.half_closed {
            self.half_closed = half_closed;
            self.rearm();
        }
        self.moved |= moved;
        while self.timer.as_mut().poll(cx).is_ready() {
            self.silent = if std::mem::take(&mut self.moved) {
                0
            } else {
                self.silent + 1
            };
            if self.silent == LOOKS {
                return Poll::Ready(Err(if self.half_closed {
                    CopyError::HalfClosedIdle
                } else {
                    CopyError::Idle
                }));
            }
            self.rearm();
        }
        Poll::Pending
    }

    fn rearm(&mut self) {
        let limit = if self.half_closed {
            self.limits.half_closed
        } else {
            self.limits.idle
        };
        self.timer.as_mut().reset(Instant::now() + limit / LOOKS);
    }
}

enum Phase {
    Copying,
    Closing,
    Done,
}

struct Direction<'a> {
    from: Side,
    to: Side,
    count: &'a AtomicU64,
    phase: Phase,
    room: Room,
    /// What is taken but not given.
    piece: Bytes,
    unflushed: bool,
    /// Grows with everything that happens.
    step: u64,
}

impl<'a> Direction<'a> {
    fn new(from: Side, to: Side, count: &'a AtomicU64) -> Self {
        Self {
            from,
            to,
            count,
            phase: Phase::Copying,
            room: Room::default(),
            piece: Bytes::new(),
            unflushed: false,
            step: 0,
        }
    }

    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<Result<(), CopyError>>
    where
        R: ByteStream,
        W: ByteStream,
    {
        let mut rounds = 0;
        loop {
            match self.phase {
                Phase::Copying if !self.piece.is_empty() => {
                    ready!(self.give(cx, writer)).map_err(|source| self.failed(self.to, source))?;
                }
                Phase::Copying if rounds == MOST_ROUNDS => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Phase::Copying => {
                    rounds += 1;
                    match self.take(cx, reader) {
                        Poll::Ready(taken) => {
                            taken.map_err(|source| self.failed(self.from, source))?
                        }
                        Poll::Pending => {
                            let flushed = self.flush(cx, writer);
                            flushed.map_err(|source| self.failed(self.to, source))?;
                            return Poll::Pending;
                        }
                    }
                }
                Phase::Closing => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx))
                        .map_err(|source| self.failed(self.to, source))?;
                    self.step += 1;
                    self.phase = Phase::Done;
                    self.room = Room::default();
                }
                Phase::Done => return Poll::Ready(Ok(())),
            }
        }
    }

    fn failed(&self, side: Side, source: io::Error) -> CopyError {
        CopyError::Io { side, source }
    }

    fn take<R: ByteStream>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<io::Result<()>> {
        self.piece = ready!(reader.poll_take(cx, &mut self.room))?;
        self.step += 1;
        if self.piece.is_empty() {
            self.phase = Phase::Closing;
        }
        Poll::Ready(Ok(()))
    }

    fn give<W: ByteStream>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<()>> {
        let before = self.piece.len();
        ready!(writer.poll_give(cx, &mut self.piece))?;
        self.unflushed = true;
        self.step += 1;
        let written = before - self.piece.len();
        self.count.fetch_add(written as u64, Ordering::Relaxed);
        if self.piece.is_empty() {
            // So that its memory can be used again.
            self.piece = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    fn flush<W: ByteStream>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> io::Result<()> {
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(writer).poll_flush(cx)
        {
            flushed?;
            self.unflushed = false;
        }
        Ok(())
    }
}
