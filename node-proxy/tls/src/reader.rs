//! Records from the connection, read in large pieces.
//!
//! A large record is decrypted into the memory of whoever reads, if there is room for all of it; others where they lie, and handed on with one
//! copy.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use rustls::{AlertDescription, ContentType, Error, InvalidMessage, PeerMisbehaved};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::{
    failed,
    keys::{HEADER, Keys, MOST_CIPHER, Opener},
    messages::{Message, Messages},
};

/// What is read at once to begin with. A connection without bytes under way holds this much.
const LITTLE: usize = 4 << 10;
/// What is read at once while much comes: what a peer of our own sends at once (four records), so that it ends where they end.
const MUCH: usize = 64 << 10;
/// So many key updates may come without a byte of data between them. Each costs us a derivation of keys and the peer next to nothing.
const MOST_UPDATES: u32 = 32;

/// One direction: what comes.
#[derive(Debug)]
pub(crate) struct Reader {
    opener: Opener,
    /// Begins with `plain` bytes that were decrypted and `waste` bytes of their record that mean nothing any more; then come encrypted ones.
    memory: BytesMut,
    plain: usize,
    waste: usize,
    /// The last read filled all the room that it had.
    much: bool,
    messages: Messages,
    updates: u32,
    end: Option<End>,
}

/// Nothing comes any more.
#[derive(Clone, Debug)]
enum End {
    /// The peer said so (`close_notify`, section 6.1).
    Closed,
    Failed(Error),
}

/// What a record brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// Bytes, or nothing that matters: look again.
    Something,
    /// The peer has a new key and wants us to have one too, before we send anything else.
    Update,
    /// Not a whole record is there.
    Nothing,
}

impl Reader {
    /// Goes on after the handshake: `early` is what was decrypted with it, `memory` what was read and not looked at.
    pub(crate) fn new(opener: Opener, early: &[u8], memory: &[u8]) -> Self {
        let mut begun = BytesMut::with_capacity((early.len() + memory.len()).max(LITTLE));
        begun.extend_from_slice(early);
        begun.extend_from_slice(memory);
        Self {
            opener,
            memory: begun,
            plain: early.len(),
            waste: 0,
            much: false,
            messages: Messages::default(),
            updates: 0,
            end: None,
        }
    }

    /// Moves what is decrypted into `buffer`, as much as fits.
    pub(crate) fn pour(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.plain.min(buffer.remaining());
        if length == 0 {
            return;
        }
        buffer.put_slice(&self.memory[..length]);
        self.plain -= length;
        self.memory.advance(length);
        if self.plain == 0 {
            self.memory.advance(self.waste);
            self.waste = 0;
        }
    }

    /// Whether nothing comes any more: `Ok(true)` if the peer has closed this direction.
    pub(crate) fn ended(&self) -> io::Result<bool> {
        match &self.end {
            None => Ok(false),
            Some(End::Closed) => Ok(true),
            Some(End::Failed(error)) => Err(failed(error.clone())),
        }
    }

    /// Opens the next record, if it is there and all that was decrypted has been taken: into `buffer` at once if that has room for much.
    pub(crate) fn next(
        &mut self,
        keys: &mut Keys,
        buffer: &mut ReadBuf<'_>,
    ) -> Result<Brought, Error> {
        debug_assert_eq!(self.plain, 0, "not taken yet");
        let brought = self.open(keys, buffer);
        if let Err(error) = &brought {
            self.end = Some(End::Failed(error.clone()));
        }
        brought
    }

    fn open(&mut self, keys: &mut Keys, buffer: &mut ReadBuf<'_>) -> Result<Brought, Error> {
        let Some(length) = record_length(&self.memory)? else {
            return Ok(Brought::Nothing);
        };
        let Some(record) = self.memory.get_mut(HEADER..HEADER + length) else {
            return Ok(Brought::Nothing);
        };
        let elsewhere = self.opener.elsewhere(length);
        let (kind, payload, taken) = match elsewhere.filter(|room| *room <= buffer.remaining()) {
            Some(room) => {
                let out = buffer.initialize_unfilled_to(room);
                let (kind, plain) = self.opener.open_into(record, out)?;
                (kind, &out[..plain], true)
            }
            None => {
                let (kind, plain) = self.opener.open(record)?;
                (kind, &record[..plain], false)
            }
        };
        if self.messages.is_begun() && kind != ContentType::Handshake {
            // Section 5.1: nothing comes between the pieces of a message.
            return Err(PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into());
        }
        match kind {
            ContentType::ApplicationData => {
                let plain = payload.len();
                if plain > 0 {
                    self.updates = 0;
                }
                if taken || plain == 0 {
                    self.memory.advance(HEADER + length);
                    buffer.advance(plain);
                } else {
                    self.memory.advance(HEADER);
                    self.plain = plain;
                    self.waste = length - plain;
                }
                Ok(Brought::Something)
            }
            ContentType::Handshake => {
                self.messages.add(payload)?;
                self.memory.advance(HEADER + length);
                self.take_messages(keys)
            }
            ContentType::Alert => {
                let end = alert(payload)?;
                self.memory.advance(HEADER + length);
                if end.is_some() {
                    self.end = end;
                }
                Ok(Brought::Something)
            }
            kind => Err(Error::InappropriateMessage {
                expect_types: vec![ContentType::ApplicationData],
                got_type: kind,
            }),
        }
    }

    fn take_messages(&mut self, keys: &mut Keys) -> Result<Brought, Error> {
        let mut brought = Brought::Something;
        while let Some(message) = self.messages.next()? {
            if let Message::KeyUpdate { requested } = message {
                self.updates += 1;
                if self.updates > MOST_UPDATES {
                    return Err(PeerMisbehaved::TooManyKeyUpdateRequests.into());
                }
                self.opener = keys.next_opener()?;
                if requested {
                    brought = Brought::Update;
                }
            }
        }
        Ok(brought)
    }

    /// Reads more from the connection.
    pub(crate) fn poll_read<I: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut I,
    ) -> Poll<io::Result<()>> {
        let room = if self.much { MUCH } else { LITTLE };
        self.memory.reserve(room);
        let spare = self.memory.capacity() - self.memory.len();
        let read = poll_read_buf(Pin::new(io), cx, &mut self.memory);
        if read.is_pending() {
            self.rest();
        }
        let read = ready!(read)?;
        if read == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the peer closed the connection without a TLS close_notify",
            )));
        }
        self.much = read == spare;
        Poll::Ready(Ok(()))
    }

    /// An idle connection does not keep what a busy one needed.
    fn rest(&mut self) {
        self.much = false;
        if self.memory.is_empty() && self.memory.capacity() > LITTLE {
            self.memory = BytesMut::new();
        }
    }

    /// Memory that it holds, in bytes.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.memory.capacity()
    }
}

/// How long the record is that `bytes` begin with, without its header.
fn record_length(bytes: &[u8]) -> Result<Option<usize>, Error> {
    // The version says nothing and is not to be looked at (section 5.2).
    let Some((&[kind, _, _, high, low], _)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let kind = ContentType::from(kind);
    if kind != ContentType::ApplicationData {
        return Err(Error::InappropriateMessage {
            expect_types: vec![ContentType::ApplicationData],
            got_type: kind,
        });
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MOST_CIPHER {
        return Err(Error::PeerSentOversizedRecord);
    }
    Ok(Some(length))
}

/// What an alert (section 6) ends, if anything. What is not an end is an error, whatever its level says.
fn alert(payload: &[u8]) -> Result<Option<End>, Error> {
    let &[_, description] = payload else {
        return Err(InvalidMessage::InvalidContentType.into());
    };
    match AlertDescription::from(description) {
        AlertDescription::CloseNotify => Ok(Some(End::Closed)),
        AlertDescription::UserCanceled => Ok(None),
        description => Err(Error::AlertReceived(description)),
    }
}
