//! Certificates for programs that read theirs from files: gRPC's own xDS clients and servers (gRFC A29). Here, and only here, a key leaves the
//! crate, as text for a file that only its owner may read.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use heddle_identity::SpiffeId;
use rustls::crypto::aws_lc_rs;

use crate::{AttemptError, Issue, own::OwnCertificate, renewal, schedule};

/// A checked certificate with its key, as texts. `Debug` hides the key.
pub struct PemCertificate {
    /// The certificate, then what it was signed by, without the root.
    pub chain: String,
    /// The private key, PKCS#8. Wiped when dropped.
    pub key: zeroize::Zeroizing<String>,
    /// When the certificate ends.
    pub not_after: SystemTime,
    /// When to ask for the next one: at half life, with jitter.
    pub renew_at: SystemTime,
}

impl fmt::Debug for PemCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PemCertificate")
            .field("not_after", &self.not_after)
            .field("renew_at", &self.renew_at)
            .finish_non_exhaustive()
    }
}

impl PemCertificate {
    /// Makes a key and asks for a certificate, once. `validity` is a wish.
    ///
    /// # Errors
    /// The issuer cannot be reached or refuses, or what it sent is not what was asked for.
    pub async fn request<I: Issue>(
        issuer: &I,
        identity: &SpiffeId,
        validity: Duration,
    ) -> Result<Self, AttemptError> {
        let (request, issued) = renewal::attempt(issuer, identity, validity).await?;
        let key = request.private_key_pem().into();
        let provider = aws_lc_rs::default_provider();
        let now = SystemTime::now();
        let own = OwnCertificate::new(identity, request, &issued, now, &provider)?;
        Ok(Self {
            chain: own.chain_pem(),
            key,
            not_after: own.not_after,
            renew_at: schedule::renew_at(own.not_before, own.not_after, rand::random()),
        })
    }

    /// How long to wait after the `failures`-th failure in a row (1 and up): half a second at first, 3 s at most, less a random part.
    pub fn pause_after(failures: u32) -> Duration {
        schedule::pause_after(failures, rand::random())
    }
}
