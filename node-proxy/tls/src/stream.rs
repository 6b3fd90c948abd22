//! A connection after its handshake.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{AlertDescription, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    keys::Keys,
    payload::Payload,
    reader::{Brought, Reader},
    writer::Writer,
};

/// A TLS 1.3 connection. Reading to its end tells that the peer closed it; a connection that breaks off is an error (`UnexpectedEof`).
/// Shutting down sends `close_notify` and ends the connection's own writing side; reading may go on.
#[derive(Debug)]
pub struct TlsStream<I> {
    io: I,
    /// On the heap: half a kilobyte that is needed once in millions of records.
    keys: Box<Keys>,
    reader: Reader,
    writer: Writer,
}

impl<I> TlsStream<I> {
    pub(crate) fn new(io: I, keys: Keys, reader: Reader, writer: Writer) -> Self {
        Self {
            io,
            keys: Box::new(keys),
            reader,
            writer,
        }
    }

    /// The connection itself. What is read from it or written to it directly breaks this stream.
    pub fn get_ref(&self) -> &I {
        &self.io
    }

    /// All parts, for tests that look inside.
    #[cfg(test)]
    pub(crate) fn parts(&mut self) -> (&mut I, &mut Keys, &mut Reader, &mut Writer) {
        (
            &mut self.io,
            &mut self.keys,
            &mut self.reader,
            &mut self.writer,
        )
    }
}

impl<I: AsyncWrite + Unpin> TlsStream<I> {
    /// Tells the peer what is wrong, if the connection takes it at once; nobody waits for that.
    fn complain(&mut self, cx: &mut Context<'_>, error: &Error) {
        if matches!(error, Error::AlertReceived(_)) {
            // The peer has gone (section 6.2).
            self.writer.silence();
        } else if self.writer.end(alert_for(error)).is_ok() {
            let _ = self.writer.poll_send(cx, &mut self.io);
        }
    }
}

/// The alert for a fault of the peer's (section 6.2).
fn alert_for(error: &Error) -> AlertDescription {
    match error {
        Error::DecryptError => AlertDescription::BadRecordMac,
        Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        Error::InvalidMessage(_) => AlertDescription::DecodeError,
        Error::InappropriateMessage { .. } | Error::PeerMisbehaved(_) => {
            AlertDescription::UnexpectedMessage
        }
        _ => AlertDescription::InternalError,
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        loop {
            this.reader.pour(buffer);
            if buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let poured = buffer.filled().len() > before;
            match this.reader.ended() {
                Ok(false) => {}
                _ if poured => return Poll::Ready(Ok(())),
                ended => return Poll::Ready(ended.map(drop)),
            }
            match this.reader.next(&mut this.keys, buffer) {
                Ok(Brought::Something) => {}
                Ok(Brought::Update) => this.writer.update(),
                Ok(Brought::Nothing) if poured => return Poll::Ready(Ok(())),
                Ok(Brought::Nothing) => ready!(this.reader.poll_read(cx, &mut this.io))?,
                Err(error) => this.complain(cx, &error),
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let data = Payload::new(data);
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.writer
            .poll_write(cx, &mut this.io, &mut this.keys, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.writer.poll_send(cx, &mut this.io))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let ended = this.writer.end(AlertDescription::CloseNotify);
        ended.map_err(crate::failed)?;
        ready!(this.writer.poll_send(cx, &mut this.io))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
