//! Whose a token is: for the xDS server and for the certificate service.

use std::{future::Future, pin::Pin, sync::Arc};

use futures::future::BoxFuture;
use heddle_issuer::CallerNode;
use heddle_xds_server::{AuthError, Authenticate, BootstrapTokens, NodeIdentity, Token};
use tonic::{Status, metadata::MetadataMap};

use crate::kubernetes::Reviews;

/// The tokens that count here: of a file, and of a service account.
#[derive(Default)]
pub(crate) struct Tokens {
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
}

/// The node that a token belongs to, for the certificate service.
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
