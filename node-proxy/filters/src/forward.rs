//! The seam between the request path and whatever sends requests on.

use std::sync::Arc;

use heddle_config::ClusterName;
use heddle_telemetry::ResponseFlag;
use heddle_upstream::{Answer, ConnectError, Origin, Progress, RequestError, Target, Upstream};
use http::Request;

use crate::Body;

/// Sends a request to one endpoint of a cluster, on behalf of one pod or Gateway.
pub trait Forward {
    /// Sends a request whose URI is absolute. Failures to connect have been tried on other endpoints already.
    ///
    /// # Errors
    /// No response came; [`Failure`] says why.
    fn send(
        &self,
        cluster: &ClusterName,
        request: Box<Request<Body>>,
    ) -> impl Future<Output = Result<Answer, Failure>>;
}

/// Sends on behalf of one origin.
#[derive(Clone)]
pub struct UpstreamForward {
    /// The worker's way out.
    pub upstream: Upstream,
    /// Who sends.
    pub origin: Origin,
}

impl Forward for UpstreamForward {
    async fn send(
        &self,
        cluster: &ClusterName,
        request: Box<Request<Body>>,
    ) -> Result<Answer, Failure> {
        let answer = self.upstream.request(&self.origin, cluster, request);
        Ok(answer.await?)
    }
}

/// Something was refused, or failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Why.
    pub flag: ResponseFlag,
    /// The same in words, with the deciding object.
    pub reason: String,
    /// The objects that refused, if a policy did and nobody has counted it yet: `NetworkPolicy shop/cart`.
    pub policies: Vec<Arc<str>>,
    /// Whom it was about, if that was settled.
    pub target: Option<Target>,
    /// How far a request came that an endpoint gave no response to; `None`: it was refused, or there was nobody to ask.
    pub progress: Option<Progress>,
}

impl Failure {
    /// A failure that no policy caused.
    pub fn new(flag: ResponseFlag, reason: impl Into<String>) -> Self {
        Self {
            flag,
            reason: reason.into(),
            policies: Vec::new(),
            target: None,
            progress: None,
        }
    }

    /// The failure of an endpoint that was asked.
    pub fn after(self, progress: Progress) -> Self {
        Self {
            progress: Some(progress),
            ..self
        }
    }
}

// A refusal by an egress policy is counted in `heddle-upstream`, so `policies` stays empty.

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self {
            flag: error.flag(),
            reason: error.to_string(),
            policies: Vec::new(),
            target: error.target().cloned(),
            progress: error.is_of_endpoint().then_some(Progress::Connecting),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self {
            flag: error.flag(),
            reason: error.to_string(),
            policies: Vec::new(),
            target: error.target().cloned(),
            progress: error.progress(),
        }
    }
}
