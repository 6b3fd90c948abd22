//! Handshake messages that come after the handshake (section 4.6), as bytes.
//!
//! A message may lie in several records and a record may hold several messages (section 5.1).

use rustls::{Error, InvalidMessage, PeerMisbehaved};

/// The longest message that is waited for. None that is known is a tenth as long, but for a ticket, which may have 64 kB.
const LONGEST: usize = (64 << 10) + 1024;

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// A message that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The peer sends with its next key from now on, and asks for the same or does not (section 4.6.3).
    KeyUpdate { requested: bool },
    /// Not kept: no session is resumed.
    Ticket,
}

/// Messages put together from records.
#[derive(Debug, Default)]
pub(crate) struct Messages(Vec<u8>);

impl Messages {
    /// What a record held.
    pub(crate) fn add(&mut self, payload: &[u8]) -> Result<(), Error> {
        if payload.is_empty() {
            // Section 5.1: no empty fragments of handshake messages.
            return Err(InvalidMessage::InvalidEmptyPayload.into());
        }
        self.0.extend_from_slice(payload);
        Ok(())
    }

    /// Whether a message has begun and is not complete.
    pub(crate) fn is_begun(&self) -> bool {
        !self.0.is_empty()
    }

    /// The next complete message.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Error> {
        let Some((&[kind, a, b, c], _)) = self.0.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > LONGEST {
            return Err(InvalidMessage::HandshakePayloadTooLarge.into());
        }
        let Some(body) = self.0.get(4..4 + length) else {
            return Ok(None);
        };
        let message = parse(kind, body)?;
        self.0.drain(..4 + length);
        if matches!(message, Message::KeyUpdate { .. }) && self.is_begun() {
            // Section 5.1: a message that changes keys must end its record.
            return Err(PeerMisbehaved::KeyEpochWithPendingFragment.into());
        }
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Ok(Some(message))
    }
}

fn parse(kind: u8, body: &[u8]) -> Result<Message, Error> {
    match (kind, body) {
        (KEY_UPDATE, [requested @ (0 | 1)]) => Ok(Message::KeyUpdate {
            requested: *requested == 1,
        }),
        (KEY_UPDATE, _) => Err(InvalidMessage::InvalidKeyUpdate.into()),
        (NEW_SESSION_TICKET, _) => Ok(Message::Ticket),
        _ => Err(InvalidMessage::UnexpectedMessage("after the handshake").into()),
    }
}

/// The message that tells the peer of our next key; we ask for nothing in return.
pub(crate) const OWN_KEY_UPDATE: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 0];

/// Reads messages. How records cut them must make no difference.
///
/// # Panics
/// If it does: that is the defect to be found.
pub fn fuzz(bytes: &[u8]) {
    // A message that changes keys must end its record, so only without one do cuts not matter.
    let read = |size: usize| {
        let mut messages = Messages::default();
        let mut found = Vec::new();
        for record in bytes.chunks(size) {
            messages.add(record).ok()?;
            while let Some(message) = messages.next().ok()? {
                found.push(message);
            }
        }
        Some((found, messages.0.len()))
    };
    let whole = read(bytes.len().max(1));
    let cut = read(7);
    if let Some((found, _)) = &whole
        && !found.contains(&Message::KeyUpdate { requested: true })
        && !found.contains(&Message::KeyUpdate { requested: false })
    {
        assert_eq!(whole, cut, "the cuts made a difference");
    }
}
