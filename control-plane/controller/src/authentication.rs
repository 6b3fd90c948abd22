//! Bootstrap tokens for the certificate service.

use std::{future::Future, pin::Pin, sync::Arc};

use heddle_issuer::CallerNode;
use heddle_xds_server::{BootstrapTokens, Token};
use tonic::{Status, metadata::MetadataMap};

/// The node that a bootstrap token belongs to.
pub(crate) struct TokenCaller(pub(crate) Arc<BootstrapTokens>);

impl CallerNode for TokenCaller {
    fn node<'a>(
        &'a self,
        metadata: &'a MetadataMap,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<str>, Status>> + Send + 'a>> {
        Box::pin(async move {
            let token = Token::from_metadata(metadata)?;
            Ok(self.0.check(&token)?.node)
        })
    }
}
