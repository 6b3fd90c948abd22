//! `istio.v1.auth.IstioCertificateService`: the wire.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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
use tokio::time::Instant;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{Issuer, IssuerError, Pace, pace::Buckets};

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

/// What became of a request, for whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A certificate was signed.
    Signed,
    /// The caller did not show which node it is.
    Unauthenticated,
    /// The node asked too often.
    TooMany,
    /// No pod of the identity runs on the node.
    NotPermitted,
    /// The request is malformed, weak or for another trust domain.
    Invalid,
    /// The authority could not sign.
    Failed,
}

/// Signs for node proxies, and only for the service accounts that run on the caller's node.
pub struct CertificateService {
    issuer: Arc<Issuer>,
    caller: Arc<dyn CallerNode>,
    placement: Arc<dyn Placement>,
    buckets: Mutex<Buckets>,
    observer: Box<dyn Fn(Outcome) + Send + Sync>,
    signed: Box<dyn Fn(Signed<'_>) + Send + Sync>,
}

/// A certificate that was given out.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The node that asked for it.
    pub node: &'a Arc<str>,
    /// Whom it is for.
    pub identity: &'a SpiffeId,
    /// PEM, the certificate itself first.
    pub chain: &'a [String],
}

impl CertificateService {
    /// Puts the service together, at the usual pace.
    pub fn new(
        issuer: Arc<Issuer>,
        caller: Arc<dyn CallerNode>,
        placement: Arc<dyn Placement>,
    ) -> Self {
        Self {
            issuer,
            caller,
            placement,
            buckets: Mutex::new(Buckets::new(Pace::default())),
            observer: Box::new(|_| {}),
            signed: Box::new(|_| {}),
        }
    }

    /// With another pace.
    #[must_use]
    pub fn at_pace(mut self, pace: Pace) -> Self {
        self.buckets = Mutex::new(Buckets::new(pace));
        self
    }

    /// With somebody who is told of each request. It must not block.
    #[must_use]
    pub fn observed_by(mut self, observer: impl Fn(Outcome) + Send + Sync + 'static) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// With somebody who is told of each certificate. It must not block.
    #[must_use]
    pub fn signed_to(mut self, observer: impl Fn(Signed<'_>) + Send + Sync + 'static) -> Self {
        self.signed = Box::new(observer);
        self
    }

    /// For tonic's router.
    pub fn into_service(self) -> IstioCertificateServiceServer<Self> {
        IstioCertificateServiceServer::new(self).max_decoding_message_size(64 * 1024)
    }

    async fn create(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Vec<String>, Refusal> {
        let node = self
            .caller
            .node(request.metadata())
            .await
            .map_err(|status| Refusal(Outcome::Unauthenticated, status))?;
        self.pace(&node)?;
        let request = request.into_inner();
        let identity = wanted(request.metadata.as_ref())
            .map_err(|status| Refusal(Outcome::Invalid, status))?;
        if !self.placement.may(&node, &identity) {
            tracing::warn!(%node, %identity, "a certificate was refused");
            return Err(Refusal(
                Outcome::NotPermitted,
                Status::permission_denied(format!(
                    "node {node} may not have a certificate for {identity}: no pod of that service account runs there"
                )),
            ));
        }
        let validity = u64::try_from(request.validity_duration)
            .ok()
            .filter(|seconds| *seconds > 0);
        let chain = self
            .issuer
            .sign(&request.csr, &identity, validity.map(Duration::from_secs))?;
        (self.signed)(Signed {
            node: &node,
            identity: &identity,
            chain: &chain,
        });
        tracing::debug!(%node, %identity, "a certificate was signed");
        Ok(chain)
    }

    /// Counted before anything is looked at: refusals cost something too.
    fn pace(&self, node: &Arc<str>) -> Result<(), Refusal> {
        let taken = self
            .buckets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(node, Instant::now());
        taken.map_err(|too_many| {
            let after = too_many.after;
            if too_many.first {
                tracing::warn!(%node, ?after, "asks for certificates too often; refused until it slows down");
            }
            let message = format!("node {node} asks too often; again in {after:?}");
            Refusal(Outcome::TooMany, Status::resource_exhausted(message))
        })
    }
}

/// Why there is no certificate: for whoever counts, and for the caller.
struct Refusal(Outcome, Status);

#[tonic::async_trait]
impl IstioCertificateService for CertificateService {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let (outcome, answer) = match self.create(request).await {
            Ok(cert_chain) => (
                Outcome::Signed,
                Ok(Response::new(IstioCertificateResponse { cert_chain })),
            ),
            Err(Refusal(outcome, status)) => (outcome, Err(status)),
        };
        (self.observer)(outcome);
        answer
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

impl From<IssuerError> for Refusal {
    fn from(error: IssuerError) -> Self {
        let text = error.to_string();
        match error {
            IssuerError::Csr(_) | IssuerError::TrustDomain { .. } => {
                Self(Outcome::Invalid, Status::invalid_argument(text))
            }
            IssuerError::Authority(_) | IssuerError::Store(_) => {
                Self(Outcome::Failed, Status::internal(text))
            }
        }
    }
}
