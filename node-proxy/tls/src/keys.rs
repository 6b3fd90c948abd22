//! The keys of each direction, and what comes after them.

use std::fmt;

use rustls::{
    ConnectionTrafficSecrets, ContentType, Error, PeerMisbehaved, Tls13CipherSuite,
    client::ClientConnectionData,
    crypto::cipher::{Iv, NONCE_LEN, Nonce, make_tls13_aad},
    kernel::KernelConnection,
    server::ServerConnectionData,
};

use crate::{
    aead::{Aead, Library, TAG},
    payload::Payload,
    records::Records,
};

/// What a record begins with: kind, version, length.
pub(crate) const HEADER: usize = 5;
/// The most that a record holds (section 5.1).
pub(crate) const MOST_PLAIN: usize = 1 << 14;
/// The most that a record holds when it is encrypted (section 5.2).
pub(crate) const MOST_CIPHER: usize = MOST_PLAIN + 256;

/// Makes the next keys. rustls keeps the secrets that they come from.
pub(crate) enum Schedule {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// Keys for both directions.
pub(crate) struct Keys {
    suite: &'static Tls13CipherSuite,
    library: Library,
    schedule: Schedule,
}

impl Keys {
    pub(crate) fn new(schedule: Schedule) -> Result<Self, Error> {
        let suite = match &schedule {
            Schedule::Client(connection) => connection.negotiated_cipher_suite(),
            Schedule::Server(connection) => connection.negotiated_cipher_suite(),
        };
        let suite = suite.tls13().ok_or_else(|| {
            Error::General("connections of the mesh are of TLS 1.3: configure only that".to_owned())
        })?;
        Ok(Self {
            suite,
            library: Library::fastest(),
            schedule,
        })
    }

    /// To seal records from that number on.
    pub(crate) fn sealer(
        &self,
        (number, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Sealer, Error> {
        Ok(Sealer {
            key: Key::new(number, secrets, self.library)?,
            most: self.suite.common.confidentiality_limit,
        })
    }

    /// To open records from that number on.
    pub(crate) fn opener(
        &self,
        (number, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Opener, Error> {
        Key::new(number, secrets, self.library).map(Opener)
    }

    /// Keys from now on are this library's.
    #[cfg(test)]
    pub(crate) fn choose(&mut self, library: Library) {
        self.library = library;
    }

    /// The next key that we send with.
    pub(crate) fn next_sealer(&mut self) -> Result<Sealer, Error> {
        let secrets = match &mut self.schedule {
            Schedule::Client(connection) => connection.update_tx_secret(),
            Schedule::Server(connection) => connection.update_tx_secret(),
        }?;
        self.sealer(secrets)
    }

    /// The next key that the peer sends with.
    pub(crate) fn next_opener(&mut self) -> Result<Opener, Error> {
        let secrets = match &mut self.schedule {
            Schedule::Client(connection) => connection.update_rx_secret(),
            Schedule::Server(connection) => connection.update_rx_secret(),
        }?;
        self.opener(secrets)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("suite", &self.suite.common.suite)
            .finish_non_exhaustive()
    }
}

/// A key, and the number of its next record.
struct Key {
    /// On the heap: ring's keys are half a kilobyte, and a connection moves from one future to the next.
    aead: Box<Aead>,
    iv: Iv,
    number: u64,
}

impl Key {
    fn new(
        number: u64,
        secrets: ConnectionTrafficSecrets,
        library: Library,
    ) -> Result<Self, Error> {
        let (aead, iv) = Aead::new(secrets, library)?;
        Ok(Self {
            aead: Box::new(aead),
            iv,
            number,
        })
    }

    /// What makes the next record unlike all others (section 5.3). No number is given twice, whatever becomes of its record.
    fn next_nonce(&mut self) -> Option<[u8; NONCE_LEN]> {
        let nonce = Nonce::new(&self.iv, self.number);
        self.number = self.number.checked_add(1)?;
        Some(nonce.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// Encrypts records with one key, each under the next number.
#[derive(Debug)]
pub(crate) struct Sealer {
    key: Key,
    /// So many records may be sealed with the key.
    most: u64,
}

impl Sealer {
    /// Whether this key may take one record more and no other: that must tell of the next key (section 5.5).
    pub(crate) fn is_used_up(&self) -> bool {
        self.key.number >= self.most - 1
    }

    /// Appends a record (section 5.2) to `out`. `payload` has at most [`MOST_PLAIN`] bytes.
    pub(crate) fn seal(
        &mut self,
        kind: ContentType,
        payload: &Payload<'_>,
        out: &mut Records,
    ) -> Result<(), Error> {
        if self.key.number >= self.most {
            return Err(Error::EncryptError);
        }
        let nonce = self.key.next_nonce().ok_or(Error::EncryptError)?;
        let length = payload.len() + 1 + TAG;
        // What is authenticated with a record is its header.
        let header = make_tls13_aad(length);
        let begin = out.len();
        let (head, body) = out.add(HEADER + length).split_at_mut(HEADER);
        head.copy_from_slice(&header);
        let aead = &self.key.aead;
        let sealed = aead.seal(nonce, header, payload, kind.into(), body);
        if sealed.is_err() {
            // Nothing of it may be sent.
            out.truncate(begin);
        }
        sealed
    }

    /// As if so many records were all that the key may take.
    #[cfg(test)]
    pub(crate) fn limit(&mut self, records: u64) {
        self.most = self.key.number + records;
    }

    /// How many records this key has taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> u64 {
        self.key.number
    }
}

/// Decrypts records of one key, each under the next number.
#[derive(Debug)]
pub(crate) struct Opener(Key);

impl Opener {
    /// Whether a record of so many bytes (without its header) is better opened into other memory than where it lies. Then: how many
    /// bytes of that it takes.
    pub(crate) fn elsewhere(&self, length: usize) -> Option<usize> {
        let room = length.checked_sub(TAG)?;
        self.0.aead.opens_elsewhere(room).then_some(room)
    }

    /// As [`Self::open`], into `out`, which is as long as [`Self::elsewhere`] says.
    pub(crate) fn open_into(
        &mut self,
        record: &[u8],
        out: &mut [u8],
    ) -> Result<(ContentType, usize), Error> {
        let nonce = self.0.next_nonce().ok_or(Error::DecryptError)?;
        let header = make_tls13_aad(record.len());
        self.0.aead.open_into(nonce, header, record, out)?;
        content(out)
    }

    /// What `record` (without its header) holds: of which kind, and how many bytes. They are decrypted in place, so that it begins with them.
    pub(crate) fn open(&mut self, record: &mut [u8]) -> Result<(ContentType, usize), Error> {
        let nonce = self.0.next_nonce().ok_or(Error::DecryptError)?;
        let header = make_tls13_aad(record.len());
        let length = self.0.aead.open(nonce, header, record)?;
        content(&record[..length])
    }
}

/// Of which kind a record's content is, and how many bytes it has. Behind it its kind, then padding: any number of zeros (section 5.4).
fn content(inner: &[u8]) -> Result<(ContentType, usize), Error> {
    let kind = inner.iter().rposition(|byte| *byte != 0);
    let plain = kind.ok_or(PeerMisbehaved::IllegalTlsInnerPlaintext)?;
    if inner.len() > MOST_PLAIN + 1 {
        return Err(Error::PeerSentOversizedRecord);
    }
    Ok((ContentType::from(inner[plain]), plain))
}
