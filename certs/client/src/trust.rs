//! The roots that the mesh trusts, live.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::pki_types::{CertificateDer, TrustAnchor, pem::PemObject};

/// Why a trust bundle was not taken.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrustBundle {
    /// It is no PEM.
    #[error("the trust bundle is malformed PEM: {0}")]
    Pem(rustls::pki_types::pem::Error),
    /// It has text but no certificate.
    #[error("the trust bundle holds no certificate")]
    Empty,
    /// One of its certificates cannot be a root.
    #[error("certificate {position} of the trust bundle: {source}")]
    Anchor {
        /// Counted from 1.
        position: usize,
        /// What is wrong.
        source: webpki::Error,
    },
}

/// Parsed roots. Several, while roots rotate; they may share subject names.
pub(crate) struct TrustBundle {
    pem: Box<str>,
    pub(crate) anchors: Vec<TrustAnchor<'static>>,
}

impl TrustBundle {
    fn parse(pem: &str) -> Result<Self, InvalidTrustBundle> {
        let mut anchors = Vec::new();
        for (index, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
            let certificate = certificate.map_err(InvalidTrustBundle::Pem)?;
            let anchor = webpki::anchor_from_trusted_cert(&certificate).map_err(|source| {
                InvalidTrustBundle::Anchor {
                    position: index + 1,
                    source,
                }
            })?;
            anchors.push(anchor.to_owned());
        }
        if anchors.is_empty() {
            return Err(InvalidTrustBundle::Empty);
        }
        Ok(Self {
            pem: pem.into(),
            anchors,
        })
    }
}

/// The trust bundle of this moment. Verifiers read it at each handshake, so a change needs no new configuration.
#[derive(Default)]
pub(crate) struct Trust {
    current: ArcSwapOption<TrustBundle>,
}

impl Trust {
    /// Replaces the roots. An empty text withdraws all trust; a malformed one changes nothing. Tells if anything changed.
    pub(crate) fn set(&self, pem: &str) -> Result<bool, InvalidTrustBundle> {
        if pem.trim().is_empty() {
            return Ok(self.current.swap(None).is_some());
        }
        if self.current.load().as_ref().is_some_and(|b| *b.pem == *pem) {
            return Ok(false);
        }
        self.current.store(Some(Arc::new(TrustBundle::parse(pem)?)));
        Ok(true)
    }

    pub(crate) fn current(&self) -> Option<Arc<TrustBundle>> {
        self.current.load_full()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.current.load().is_none()
    }
}
