//! Whose a token is: for the xDS server and for the certificate service.

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use futures::future::BoxFuture;
use heddle_identity::{TrustDomain, not_after_of, spiffe_id_of};
use heddle_issuer::CallerNode;
use heddle_xds_server::{AuthError, Authenticate, BootstrapTokens, NodeIdentity, Token};
use tonic::{Status, metadata::MetadataMap};

use crate::kubernetes::Reviews;

/// The tokens that count here: of a file, and of a service account.
pub(crate) struct Tokens {
    /// Client certificates count if they are of this trust domain: a root of the user's may have signed others too.
    pub(crate) trust_domain: TrustDomain,
    pub(crate) bootstrap: Option<BootstrapTokens>,
    pub(crate) reviews: Option<Reviews>,
}

impl Tokens {
    /// Only what the file does not know is asked of the API server.
    async fn check(&self, token: &Token) -> Result<NodeIdentity, AuthError> {
        let known = match &self.bootstrap {
            Some(bootstrap) => bootstrap.check(token),
            None => Err(AuthError::Unknown),
        };
        match (known, &self.reviews) {
            (Err(AuthError::Unknown), Some(reviews)) => reviews.authenticate(token).await,
            (known, _) => known,
        }
    }
}

impl Authenticate for Tokens {
    fn authenticate<'a>(
        &'a self,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<NodeIdentity, AuthError>> {
        Box::pin(self.check(token))
    }

    fn certificate(&self, leaf: &[u8]) -> Result<NodeIdentity, AuthError> {
        let bad = |error: &dyn std::error::Error| AuthError::Certificate(error.to_string());
        let identity = spiffe_id_of(leaf).map_err(|error| bad(&error))?;
        if identity.trust_domain != self.trust_domain {
            let ours = &self.trust_domain;
            return Err(AuthError::Certificate(format!(
                "{identity} is not of the trust domain {ours}"
            )));
        }
        let expires = not_after_of(leaf).map_err(|error| bad(&error))?;
        if expires <= SystemTime::now() {
            return Err(AuthError::Certificate("it has expired".to_owned()));
        }
        Ok(NodeIdentity {
            node: identity.to_string().into(),
            expires: Some(expires),
        })
    }
}

/// The node or workload that a token belongs to, for the certificate service.
pub(crate) struct TokenCaller(pub(crate) Arc<Tokens>);

impl CallerNode for TokenCaller {
    fn node<'a>(
        &'a self,
        metadata: &'a MetadataMap,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<str>, Status>> + Send + 'a>> {
        Box::pin(async move {
            let token = Token::from_metadata(metadata)?;
            Ok(self.0.check(&token).await?.node)
        })
    }
}
