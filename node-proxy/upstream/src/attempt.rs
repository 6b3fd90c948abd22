//! Trying endpoints: which one next, how it went, when to give up.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Instant};

use heddle_config::{Cluster, ClusterTls, ProxyConfig};
use heddle_routing::ClusterName;
use heddle_telemetry::{DenialLabels, Direction, Label, Metrics};

use crate::{
    ConnectError, DialError, Origin, Target,
    balance::{Balancer, EndpointLoad},
    clusters::Choice,
    dial::{self, Failure},
    policy,
};

/// The endpoints that one connection or request tries.
pub(crate) struct Attempts {
    pub(crate) cluster: Arc<Cluster>,
    balancer: Rc<Balancer>,
    /// Those that failed. Most often the first one does not, so that nothing need be remembered.
    failed: Vec<SocketAddr>,
    most: usize,
    last: Option<(Target, Arc<DialError>)>,
}

/// An endpoint to try.
pub(crate) struct Attempt {
    pub(crate) target: Target,
    pub(crate) load: Arc<EndpointLoad>,
    pub(crate) begun: Instant,
}

impl Attempts {
    pub(crate) fn new(choice: Choice, most: usize) -> Self {
        Self {
            cluster: choice.cluster,
            balancer: choice.balancer,
            failed: Vec::new(),
            most,
            last: None,
        }
    }

    /// Chooses an endpoint that was not tried yet, and asks the origin's policy about it.
    pub(crate) fn next(
        &self,
        config: &ProxyConfig,
        from: &Origin,
        metrics: &Metrics,
    ) -> Result<Attempt, ConnectError> {
        let begun = Instant::now();
        let candidate = (self.failed.len() < self.most)
            .then(|| self.balancer.pick(&self.failed, begun, rand::random()))
            .flatten()
            .ok_or_else(|| self.exhausted())?;
        // Only what is sent from the node itself: a pod's loopback is another.
        if from.pod.is_none() && config.leads_back(candidate.address) {
            return Err(ConnectError::LeadsBack(candidate.address));
        }
        allowed(config, from, candidate.address, metrics)?;
        Ok(Attempt {
            target: Target {
                tls: match &self.cluster.tls {
                    ClusterTls::Ready(tls) => Some(tls.clone()),
                    ClusterTls::None | ClusterTls::Told(_) => None,
                },
                ..dial::target(config, candidate.address)
            },
            load: candidate.load,
            begun,
        })
    }

    /// Takes a failure in. `Err`: no other endpoint is to be tried.
    pub(crate) fn failed(
        &mut self,
        attempt: Attempt,
        failure: Failure,
    ) -> Result<(), ConnectError> {
        self.failed.push(attempt.target.address);
        let error = match failure {
            Failure::Endpoint(error) => error,
            Failure::Certificate(error) => return Err(error.into()),
        };
        let denied = error.is_denial();
        if !denied && error.is_of_endpoint() {
            attempt.load.fail_to_connect(Instant::now());
        }
        tracing::debug!(address = %attempt.target.address, %error, "endpoint failed");
        self.last = Some((attempt.target, error));
        if denied {
            Err(self.exhausted())
        } else {
            Ok(())
        }
    }

    /// How many were tried, with the one that is under way.
    pub(crate) fn tried(&self) -> usize {
        self.failed.len() + 1
    }

    fn exhausted(&self) -> ConnectError {
        match &self.last {
            Some((target, source)) => ConnectError::Failed {
                target: target.clone(),
                tried: self.failed.len(),
                source: source.clone(),
            },
            None => ConnectError::NoEndpoint(ClusterName::clone(&self.cluster.name)),
        }
    }
}

/// Asks the origin's egress policy; a refusal is counted.
pub(crate) fn allowed(
    config: &ProxyConfig,
    from: &Origin,
    destination: SocketAddr,
    metrics: &Metrics,
) -> Result<(), ConnectError> {
    let Some(policies) = policy::refused_by(config, from, destination) else {
        return Ok(());
    };
    for policy in &policies {
        metrics.denied(&DenialLabels {
            policy: Label::new(policy),
            direction: Direction::Outbound,
        });
    }
    Err(ConnectError::Denied {
        policies,
        destination,
    })
}
