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

/// The tag of all three algorithms, in bytes.
pub(crate) const TAG: usize = 16;

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

    /// Encrypts `bytes` in place and appends the tag. `nonce` must never have been used with this key.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        header: [u8; 5],
        out: &mut Vec<u8>,
        begin: usize,
    ) -> Result<(), Error> {
        let bytes = &mut out[begin..];
        match self {
            Self::AwsLc(key) => {
                let nonce = aws_lc::Nonce::assume_unique_for_key(nonce);
                let header = aws_lc::Aad::from(header);
                let tag = key.seal_in_place_separate_tag(nonce, header, bytes);
                out.extend_from_slice(tag.map_err(|_| Error::EncryptError)?.as_ref());
            }
            Self::Ring(key) => {
                let nonce = ring_aead::Nonce::assume_unique_for_key(nonce);
                let header = ring_aead::Aad::from(header);
                let tag = key.seal_in_place_separate_tag(nonce, header, bytes);
                out.extend_from_slice(tag.map_err(|_| Error::EncryptError)?.as_ref());
            }
        }
        Ok(())
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
