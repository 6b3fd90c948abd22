//! Authenticated encryption by whichever library is the fastest on this processor.
//!
//! aws-lc is what rustls makes handshakes with. Its AES-GCM has the wide instructions (VAES) only together with AVX-512; that of ring has them
//! with AVX2 too, where a megabyte costs it half (AMD's third generation of EPYC, Intel's small processors).

use aws_lc_rs::aead as aws_lc;
use ring::aead as ring_aead;
use rustls::{
    ConnectionTrafficSecrets as Secrets, Error,
    crypto::cipher::{Iv, NONCE_LEN},
};

use crate::payload::Payload;

/// The tag of all three algorithms, in bytes.
pub(crate) const TAG: usize = 16;

/// So many bytes are encrypted from where they lie; fewer are cheaper to copy than the two steps that this takes.
const MUCH: usize = 1 << 10;

/// A key for one direction.
#[derive(Debug)]
pub(crate) enum Aead {
    AwsLc(aws_lc::LessSafeKey),
    Ring(ring_aead::LessSafeKey),
}

/// Which library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    AwsLc,
    Ring,
}

impl Library {
    /// The fastest for AES-GCM here.
    pub(crate) fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("vaes")
            && std::arch::is_x86_feature_detected!("vpclmulqdq")
            && !std::arch::is_x86_feature_detected!("avx512f")
        {
            return Self::Ring;
        }
        Self::AwsLc
    }
}

impl Aead {
    /// The key and what numbers are mixed with.
    pub(crate) fn new(secrets: Secrets, library: Library) -> Result<(Self, Iv), Error> {
        let (aws_lc, ring, key, iv) = match secrets {
            Secrets::Aes128Gcm { key, iv } => {
                (&aws_lc::AES_128_GCM, &ring_aead::AES_128_GCM, key, iv)
            }
            Secrets::Aes256Gcm { key, iv } => {
                (&aws_lc::AES_256_GCM, &ring_aead::AES_256_GCM, key, iv)
            }
            Secrets::Chacha20Poly1305 { key, iv } => (
                &aws_lc::CHACHA20_POLY1305,
                &ring_aead::CHACHA20_POLY1305,
                key,
                iv,
            ),
            _ => {
                return Err(Error::General(
                    "keys of a kind that is not known".to_owned(),
                ));
            }
        };
        let key = match library {
            Library::AwsLc => aws_lc::UnboundKey::new(aws_lc, key.as_ref())
                .map(aws_lc::LessSafeKey::new)
                .map(Self::AwsLc)
                .map_err(|_| Error::EncryptError),
            Library::Ring => ring_aead::UnboundKey::new(ring, key.as_ref())
                .map(ring_aead::LessSafeKey::new)
                .map(Self::Ring)
                .map_err(|_| Error::EncryptError),
        }?;
        Ok((key, iv))
    }

    /// Encrypts `payload` and behind it `kind` into `out`, which has room for them and the tag to the byte. `nonce` must never have been used
    /// with this key.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        header: [u8; 5],
        payload: &Payload<'_>,
        kind: u8,
        out: &mut [u8],
    ) -> Result<(), Error> {
        match (self, payload.in_one_place()) {
            // From where it lies: much would have to be moved before.
            (Self::AwsLc(key), Some(bytes)) if bytes.len() >= MUCH => {
                let nonce = aws_lc::Nonce::assume_unique_for_key(nonce);
                let header = aws_lc::Aad::from(header);
                let (text, end) = out.split_at_mut(bytes.len());
                key.seal_out_of_place_scatter(nonce, header, bytes, text, &[kind], end)
                    .map_err(|_| Error::EncryptError)
            }
            _ => {
                let (bytes, tag) = out.split_at_mut(payload.len() + 1);
                payload.copy_to(&mut bytes[..payload.len()]);
                bytes[payload.len()] = kind;
                self.seal_in_place(nonce, header, bytes, tag)
            }
        }
    }

    fn seal_in_place(
        &self,
        nonce: [u8; NONCE_LEN],
        header: [u8; 5],
        bytes: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), Error> {
        match self {
            Self::AwsLc(key) => {
                let nonce = aws_lc::Nonce::assume_unique_for_key(nonce);
                let header = aws_lc::Aad::from(header);
                let sealed = key.seal_in_place_separate_tag(nonce, header, bytes);
                tag.copy_from_slice(sealed.map_err(|_| Error::EncryptError)?.as_ref());
            }
            Self::Ring(key) => {
                let nonce = ring_aead::Nonce::assume_unique_for_key(nonce);
                let header = ring_aead::Aad::from(header);
                let sealed = key.seal_in_place_separate_tag(nonce, header, bytes);
                tag.copy_from_slice(sealed.map_err(|_| Error::EncryptError)?.as_ref());
            }
        }
        Ok(())
    }

    /// Whether [`Self::open_into`] is there, and worth its while for so many bytes.
    pub(crate) fn opens_elsewhere(&self, length: usize) -> bool {
        matches!(self, Self::AwsLc(_)) && length >= MUCH
    }

    /// Decrypts `record` into `out`, which has room for all of it but the tag, to the byte.
    pub(crate) fn open_into(
        &self,
        nonce: [u8; NONCE_LEN],
        header: [u8; 5],
        record: &[u8],
        out: &mut [u8],
    ) -> Result<(), Error> {
        let Self::AwsLc(key) = self else {
            return Err(Error::General("this library opens in place".to_owned()));
        };
        let (text, tag) = record.split_at(out.len());
        let nonce = aws_lc::Nonce::assume_unique_for_key(nonce);
        key.open_separate_gather(nonce, aws_lc::Aad::from(header), text, tag, out)
            .map_err(|_| Error::DecryptError)
    }

    /// Decrypts in place, and tells how many bytes `record` begins with that mean something.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        header: [u8; 5],
        record: &mut [u8],
    ) -> Result<usize, Error> {
        match self {
            Self::AwsLc(key) => {
                let nonce = aws_lc::Nonce::assume_unique_for_key(nonce);
                let opened = key.open_in_place(nonce, aws_lc::Aad::from(header), record);
                opened.map(|plain| plain.len()).map_err(drop)
            }
            Self::Ring(key) => {
                let nonce = ring_aead::Nonce::assume_unique_for_key(nonce);
                let opened = key.open_in_place(nonce, ring_aead::Aad::from(header), record);
                opened.map(|plain| plain.len()).map_err(drop)
            }
        }
        .map_err(|()| Error::DecryptError)
    }
}
