//! Who is on the other end of a stream.

use std::{fmt, sync::Arc, time::SystemTime};

use futures::future::BoxFuture;
use tonic::{Request, Status, metadata::MetadataMap};

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

/// What a client proves itself by.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A bearer token.
    Token(Token),
    /// The certificate that it showed in the TLS handshake (DER). Whoever accepted the connection has checked its path to a root.
    Certificate(Arc<[u8]>),
}

impl Credential {
    /// The token if there is one, else the client certificate: gRPC's own xDS client has no other word for who it is (gRFC A65).
    pub fn of<T>(request: &Request<T>) -> Result<Self, AuthError> {
        match Token::from_metadata(request.metadata()) {
            Err(AuthError::Missing) => {
                let chain = request.peer_certs().ok_or(AuthError::Missing)?;
                let leaf = chain.first().ok_or(AuthError::Missing)?;
                Ok(Self::Certificate(leaf.as_ref().into()))
            }
            token => token.map(Self::Token),
        }
    }

    /// Whose it is.
    pub async fn check(
        &self,
        by: &(impl Authenticate + ?Sized),
    ) -> Result<NodeIdentity, AuthError> {
        match self {
            Self::Token(token) => by.authenticate(token).await,
            Self::Certificate(leaf) => by.certificate(leaf),
        }
    }
}

/// How the names of workloads begin (SPIFFE id section 2.1); no node's name can (RFC 1123).
const WORKLOAD: &str = "spiffe://";

/// Who a token or a certificate belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The node that its bearer runs on, and the only one that it may speak for; of a workload that speaks for itself its SPIFFE id.
    pub node: Arc<str>,
    /// When it ceases to count; streams that it opened are closed then.
    pub expires: Option<SystemTime>,
}

impl NodeIdentity {
    /// Whether it is a workload that speaks for itself only, not a node.
    pub fn is_workload(&self) -> bool {
        self.node.starts_with(WORKLOAD)
    }
}

/// Why a token or a certificate does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is none.
    #[error(
        "no token: the header `authorization: Bearer <token>` is missing, and there is no client certificate"
    )]
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
    /// The client certificate names nobody who may ask.
    #[error("the client certificate does not count: {0}")]
    Certificate(String),
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

    /// Tells whose a client certificate is (DER), whose path to a root holds. Asked as often as the other. By default they count for nothing.
    fn certificate(&self, _leaf: &[u8]) -> Result<NodeIdentity, AuthError> {
        Err(AuthError::Missing)
    }
}

impl<T: Authenticate + ?Sized> Authenticate for Arc<T> {
    fn authenticate<'a>(
        &'a self,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<NodeIdentity, AuthError>> {
        (**self).authenticate(token)
    }

    fn certificate(&self, leaf: &[u8]) -> Result<NodeIdentity, AuthError> {
        (**self).certificate(leaf)
    }
}
