//! `istio.v1.auth.IstioCertificateService`: the wire.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use heddle_identity::SpiffeId;
use heddle_proto::{
    google::protobuf::{Struct, value::Kind},
    istio::auth::{
        IstioCertificateRequest, IstioCertificateResponse,
        istio_certificate_service_server::{
            IstioCertificateService, IstioCertificateServiceServer,
        },
    },
};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{Issuer, IssuerError};

/// Key of the wanted identity in the request's metadata.
const IMPERSONATED: &str = "ImpersonatedIdentity";

/// Tells which node a caller runs on, by what it presents.
pub trait CallerNode: Send + Sync {
    /// The node, or `UNAUTHENTICATED` with the reason.
    fn node<'a>(
        &'a self,
        metadata: &'a MetadataMap,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<str>, Status>> + Send + 'a>>;
}

/// Tells which identities run where.
pub trait Placement: Send + Sync {
    /// Whether a pod of this identity runs on the node now (or the node may have it for another reason).
    fn may(&self, node: &str, identity: &SpiffeId) -> bool;
}

/// Signs for node proxies, and only for the service accounts that run on the caller's node.
pub struct CertificateService {
    issuer: Arc<Issuer>,
    caller: Arc<dyn CallerNode>,
    placement: Arc<dyn Placement>,
}

impl CertificateService {
    /// Puts the service together.
    pub fn new(
        issuer: Arc<Issuer>,
        caller: Arc<dyn CallerNode>,
        placement: Arc<dyn Placement>,
    ) -> Self {
        Self {
            issuer,
            caller,
            placement,
        }
    }

    /// For tonic's router.
    pub fn into_service(self) -> IstioCertificateServiceServer<Self> {
        IstioCertificateServiceServer::new(self).max_decoding_message_size(64 * 1024)
    }
}

#[tonic::async_trait]
impl IstioCertificateService for CertificateService {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let node = self.caller.node(request.metadata()).await?;
        let request = request.into_inner();
        let identity = wanted(request.metadata.as_ref())?;
        if !self.placement.may(&node, &identity) {
            tracing::warn!(%node, %identity, "a certificate was refused");
            return Err(Status::permission_denied(format!(
                "node {node} may not have a certificate for {identity}: no pod of that service account runs there"
            )));
        }
        let validity = u64::try_from(request.validity_duration)
            .ok()
            .filter(|seconds| *seconds > 0);
        let chain = self
            .issuer
            .sign(&request.csr, &identity, validity.map(Duration::from_secs))
            .map_err(status)?;
        tracing::debug!(%node, %identity, "a certificate was signed");
        Ok(Response::new(IstioCertificateResponse {
            cert_chain: chain,
        }))
    }
}

fn wanted(metadata: Option<&Struct>) -> Result<SpiffeId, Status> {
    let value = metadata.and_then(|metadata| metadata.fields.get(IMPERSONATED));
    let Some(Kind::StringValue(text)) = value.and_then(|value| value.kind.as_ref()) else {
        return Err(Status::invalid_argument(format!(
            "metadata.{IMPERSONATED} must name the identity that the certificate is for"
        )));
    };
    text.parse::<SpiffeId>()
        .map_err(|error| Status::invalid_argument(format!("metadata.{IMPERSONATED}: {error}")))
}

fn status(error: IssuerError) -> Status {
    match error {
        IssuerError::Csr(_) | IssuerError::TrustDomain { .. } => {
            Status::invalid_argument(error.to_string())
        }
        IssuerError::Authority(_) | IssuerError::Store(_) => Status::internal(error.to_string()),
    }
}
