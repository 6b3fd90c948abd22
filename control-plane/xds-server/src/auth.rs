//! Who is on the other end of a stream.

use std::{fmt, sync::Arc, time::SystemTime};

use futures::future::BoxFuture;
use tonic::{Status, metadata::MetadataMap};

/// A bearer token. It has no `Display`, and its `Debug` hides it, so that it cannot get into a log by accident.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// Wraps a token.
    pub fn new(token: &str) -> Self {
        Self(token.into())
    }

    /// Takes the token out of `authorization: Bearer <token>` (RFC 6750 section 2.1).
    pub fn from_metadata(metadata: &MetadataMap) -> Result<Self, AuthError> {
        let header = metadata.get("authorization").ok_or(AuthError::Missing)?;
        let text = header.to_str().map_err(|_| AuthError::Malformed)?;
        let (scheme, token) = text.split_once(' ').ok_or(AuthError::Malformed)?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(AuthError::Malformed);
        }
        Ok(Self::new(token))
    }

    /// The secret itself.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Who a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The node that its bearer runs on, and the only one that it may speak for.
    pub node: Arc<str>,
    /// When the token ceases to count; streams that it opened are closed then.
    pub expires: Option<SystemTime>,
}

/// Why a token does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is none.
    #[error("no token: the header `authorization: Bearer <token>` is missing")]
    Missing,
    /// The header cannot be read.
    #[error("malformed token: the header must read `authorization: Bearer <token>`")]
    Malformed,
    /// Nobody's.
    #[error("unknown token")]
    Unknown,
    /// Not any more.
    #[error("the token has expired")]
    Expired,
    /// It could not be checked now. Says nothing about the token.
    #[error("the token cannot be checked now: {0}")]
    Unavailable(String),
}

impl From<AuthError> for Status {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unavailable(_) => Self::unavailable(error.to_string()),
            _ => Self::unauthenticated(error.to_string()),
        }
    }
}

/// Tells whose a token is. Implemented by [`BootstrapTokens`](crate::BootstrapTokens), and by whoever asks Kubernetes.
pub trait Authenticate: Send + Sync + 'static {
    /// Checks a token. Asked when a stream is opened, and again from time to time while it is open.
    fn authenticate<'a>(
        &'a self,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<NodeIdentity, AuthError>>;
}

impl<T: Authenticate + ?Sized> Authenticate for Arc<T> {
    fn authenticate<'a>(
        &'a self,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<NodeIdentity, AuthError>> {
        (**self).authenticate(token)
    }
}
