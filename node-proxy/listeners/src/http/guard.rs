//! The bytes between a client and hyper, watched.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use heddle_hbone::pour;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::framing::{Framing, Offence};

/// No header line begins like this: hyper answers 400 and closes.
const POISON: &[u8] = b"\0\r\n\r\n";

/// What the guard and the server tell each other.
#[derive(Debug)]
pub(crate) struct Signals {
    began: Instant,
    /// Milliseconds after `began` at which a byte last moved.
    moved: AtomicU64,
    /// The connection has another protocol now.
    upgraded: AtomicBool,
    offence: Mutex<Option<Offence>>,
    head_too_slow: AtomicBool,
}

impl Signals {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            moved: AtomicU64::new(0),
            upgraded: AtomicBool::new(false),
            offence: Mutex::new(None),
            head_too_slow: AtomicBool::new(false),
        }
    }

    pub(super) fn moved(&self) {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(elapsed, Ordering::Relaxed);
    }

    /// When a byte last moved.
    pub(crate) fn last_moved(&self) -> Instant {
        self.began + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    /// From here on the bytes are not HTTP.
    pub(crate) fn upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// What the client's bytes were refused for.
    pub(crate) fn offence(&self) -> Option<Offence> {
        *self.offence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A head took too long.
    pub(crate) fn is_head_too_slow(&self) -> bool {
        self.head_too_slow.load(Ordering::Relaxed)
    }
}

/// Lets a client's bytes through to hyper as long as nothing is wrong with them. An offence is made known to hyper by bytes that
/// it must refuse (with 400); nothing behind it gets through.
pub(crate) struct Guard<I> {
    io: I,
    /// `None`: HTTP/2, which has framing of its own.
    framing: Option<Framing>,
    /// What is still to be read of [`POISON`] after an offence.
    poison: Option<&'static [u8]>,
    head_time: Duration,
    head_ends: Option<Pin<Box<Sleep>>>,
    signals: Arc<Signals>,
}

impl<I> Guard<I> {
    /// For HTTP/1, with limits for one head.
    pub(crate) fn http1(io: I, head_bytes: usize, head_time: Duration) -> (Self, Arc<Signals>) {
        // hyper counts its own way, so leave it the last word on what is too long.
        Self::new(io, Some(Framing::new(head_bytes + 1024)), head_time)
    }

    /// For HTTP/2.
    pub(crate) fn http2(io: I) -> (Self, Arc<Signals>) {
        Self::new(io, None, Duration::MAX)
    }

    fn new(io: I, framing: Option<Framing>, head_time: Duration) -> (Self, Arc<Signals>) {
        let signals = Arc::new(Signals::new());
        let guard = Self {
            io,
            framing,
            poison: None,
            head_time,
            head_ends: None,
            signals: Arc::clone(&signals),
        };
        (guard, signals)
    }

    fn inspect(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let Some(framing) = &mut self.framing else {
            return;
        };
        if self.signals.upgraded.load(Ordering::Relaxed) {
            framing.stop();
        }
        match framing.follow(&buffer.filled()[before..]) {
            Ok(()) => self.time_head(),
            Err((offence, length)) => {
                buffer.set_filled(before + length);
                *self
                    .signals
                    .offence
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(offence);
                self.poison = Some(POISON);
                self.head_ends = None;
            }
        }
    }

    /// Starts the time of a head that has begun, stops it when the head has ended.
    fn time_head(&mut self) {
        let in_head = self.framing.as_ref().is_some_and(Framing::is_in_head);
        if !in_head {
            self.head_ends = None;
        } else if self.head_ends.is_none() {
            self.head_ends = Some(Box::pin(tokio::time::sleep(self.head_time)));
        }
    }

    fn is_head_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        self.head_ends
            .as_mut()
            .is_some_and(|end| end.as_mut().poll(cx).is_ready())
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guard<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(poison) = &mut this.poison {
            pour(poison, buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, buffer);
        if read.is_pending() && this.is_head_too_slow(cx) {
            this.signals.head_too_slow.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(read)?;
        if buffer.filled().len() > before {
            this.signals.moved();
            this.inspect(buffer, before);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Guard<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, data));
        self.signals.moved();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, data));
        self.signals.moved();
        Poll::Ready(written)
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
