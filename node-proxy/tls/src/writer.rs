//! Records to the connection.
//!
//! They are encrypted into memory that all connections of a thread share, so that it is in the processor's cache whenever it is written; a
//! connection has memory of its own only for what the kernel does not take at once.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{AlertDescription, ContentType, Error};
use tokio::io::AsyncWrite;

use crate::{
    failed,
    keys::{Keys, MOST_PLAIN, Sealer},
    messages::OWN_KEY_UPDATE,
    payload::Payload,
    records::Records,
};

/// So many bytes are taken at once: four full records.
const MOST_TAKEN: usize = 4 * MOST_PLAIN;

thread_local! {
    /// Records of whichever connection is being written to; empty in between.
    static RECORDS: RefCell<Records> = const { RefCell::new(Records::NONE) };
}

/// One direction: what goes.
#[derive(Debug)]
pub(crate) struct Writer {
    sealer: Sealer,
    /// Records that the connection has not taken, but for the first `sent` bytes.
    waiting: Records,
    sent: usize,
    /// The peer wants to see our next key before any other data.
    update: bool,
    ended: bool,
}

impl Writer {
    pub(crate) fn new(sealer: Sealer) -> Self {
        Self {
            sealer,
            waiting: Records::NONE,
            sent: 0,
            update: false,
            ended: false,
        }
    }

    /// The next data is sent with the next key (section 4.6.3).
    pub(crate) fn update(&mut self) {
        self.update = true;
    }

    /// Takes some of `data`, at least a byte, if nothing is waiting, and sends what the connection takes. The rest waits for
    /// [`Self::poll_send`].
    pub(crate) fn poll_write<I: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut I,
        keys: &mut Keys,
        data: Payload<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_send(cx, io))?;
        // Taken, not borrowed: the connection may be one of these itself.
        let mut records = RECORDS.take();
        let taken = self.write_records(cx, io, keys, data, &mut records);
        records.truncate(0);
        RECORDS.set(records);
        Poll::Ready(taken)
    }

    fn write_records<I: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut I,
        keys: &mut Keys,
        data: Payload<'_>,
        records: &mut Records,
    ) -> io::Result<usize> {
        let taken = self.seal_data(keys, data, records).map_err(failed)?;
        let sent = match Pin::new(io).poll_write(cx, records.as_slice())? {
            Poll::Ready(sent) => sent,
            Poll::Pending => 0,
        };
        self.waiting.extend(&records.as_slice()[sent..]);
        Ok(taken)
    }

    fn seal_data(
        &mut self,
        keys: &mut Keys,
        mut data: Payload<'_>,
        records: &mut Records,
    ) -> Result<usize, Error> {
        let mut left = data.split_to(MOST_TAKEN);
        let taken = left.len();
        while !left.is_empty() {
            if self.update || self.sealer.is_used_up() {
                self.change_key(keys, records)?;
            }
            let payload = left.split_to(MOST_PLAIN);
            self.sealer
                .seal(ContentType::ApplicationData, &payload, records)?;
        }
        Ok(taken)
    }

    /// Tells the peer of our next key, and sends with it from now on.
    fn change_key(&mut self, keys: &mut Keys, records: &mut Records) -> Result<(), Error> {
        let message = [IoSlice::new(&OWN_KEY_UPDATE)];
        self.sealer
            .seal(ContentType::Handshake, &Payload::new(&message), records)?;
        self.sealer = keys.next_sealer()?;
        self.update = false;
        Ok(())
    }

    /// Nothing is sent any more, not even why.
    pub(crate) fn silence(&mut self) {
        self.ended = true;
    }

    /// Says by an alert that nothing follows (section 6), once.
    pub(crate) fn end(&mut self, why: AlertDescription) -> Result<(), Error> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let level = if why == AlertDescription::CloseNotify {
            1 // warning
        } else {
            2 // fatal
        };
        let alert = [level, u8::from(why)];
        let alert = [IoSlice::new(&alert)];
        self.sealer
            .seal(ContentType::Alert, &Payload::new(&alert), &mut self.waiting)
    }

    /// Sends all that waits.
    pub(crate) fn poll_send<I: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut I,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() {
            let rest = &self.waiting.as_slice()[self.sent..];
            let written = ready!(Pin::new(&mut *io).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        if self.sent > 0 {
            self.waiting = Records::NONE;
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// The key that is sent with.
    #[cfg(test)]
    pub(crate) fn sealer(&mut self) -> &mut Sealer {
        &mut self.sealer
    }

    /// Any record, as a peer might send it that means harm.
    #[cfg(test)]
    pub(crate) fn forge(&mut self, kind: ContentType, payload: &[u8]) {
        let payload = [IoSlice::new(payload)];
        let payload = Payload::new(&payload);
        let sealed = self.sealer.seal(kind, &payload, &mut self.waiting);
        sealed.expect("sealed");
    }

    /// A new key, though nobody needs one.
    #[cfg(test)]
    pub(crate) fn forge_update(&mut self, keys: &mut Keys) {
        let mut records = std::mem::take(&mut self.waiting);
        self.change_key(keys, &mut records).expect("changed");
        self.waiting = records;
    }
}
