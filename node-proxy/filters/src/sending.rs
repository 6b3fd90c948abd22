//! A request on its way to a cluster, and its answer back.

use std::sync::Arc;

use heddle_config::ClusterName;
use heddle_routing::{HeaderOps, Route, WeightedCluster};
use heddle_telemetry::ResponseFlag;
use heddle_upstream::Answer;
use http::{HeaderMap, Request, Response, StatusCode, header, request::Parts};
use tokio::time::Instant;

use crate::{
    Body, Failure, Forward, OpenTunnel, answer, authority,
    exchange::Exchange,
    hop,
    outbound::{observe, refuse},
    spread,
    tries::Plan,
    upgrade::{self, Wanted},
};

/// What the client can take for an answer.
pub(crate) struct Asked {
    pub(crate) grpc: bool,
    pub(crate) wanted: Option<Wanted>,
}

/// A request that goes on, or the answer to one that does not.
pub(crate) type Decided = Result<(Sending, Box<Request<Body>>), Box<Response<Body>>>;

/// What is remembered of a request that is sent on.
pub(crate) struct Sending {
    route: Arc<Route>,
    forward: Arc<heddle_routing::Forward>,
    share: Arc<WeightedCluster>,
    cluster: ClusterName,
    asked: Asked,
    exchange: Box<Exchange>,
}

impl Sending {
    /// Chooses the cluster. `Err`: there is none; the answer says so.
    pub(crate) fn new(
        route: Arc<Route>,
        forward: Arc<heddle_routing::Forward>,
        asked: Asked,
        mut exchange: Box<Exchange>,
    ) -> Result<Self, Box<Response<Body>>> {
        const ABSENT: &str = "a backend of the route does not exist";
        let share = Arc::clone(spread::share_of(&forward.clusters));
        let Some(cluster) = &share.cluster else {
            exchange.fail(ResponseFlag::NoCluster, ABSENT);
            exchange.status(StatusCode::INTERNAL_SERVER_ERROR);
            let response = answer::answer(StatusCode::INTERNAL_SERVER_ERROR, ABSENT, asked.grpc);
            return Err(observe(response, exchange, None).into());
        };
        exchange.service(cluster);
        Ok(Self {
            route,
            forward,
            cluster: cluster.clone(),
            share,
            asked,
            exchange,
        })
    }

    /// Changes the request as its route says. It goes on in one piece of memory: each function that hands it on would have room for it twice.
    pub(crate) fn rewritten(self, mut parts: Parts, body: Body) -> Decided {
        match rewrite(&self.route, &self.forward, &self.share, &mut parts) {
            Ok(()) => Ok((self, Box::new(Request::from_parts(parts, body)))),
            Err(failure) => Err(self.refused(&failure).into()),
        }
    }

    /// Sends the request.
    pub(crate) async fn send<F: Forward>(
        &mut self,
        forward: &F,
        request: Box<Request<Body>>,
    ) -> Result<Answer, Failure> {
        let plan = Plan {
            cluster: &self.cluster,
            // An upgrade cannot be tried again: its connection is spent.
            retry: match self.asked.wanted {
                Some(_) => None,
                None => self.forward.retry.as_ref(),
            },
            deadline: self.deadline(),
        };
        plan.run(forward, request, &mut self.exchange).await
    }

    fn deadline(&self) -> Option<Instant> {
        let limit = self.forward.timeout?;
        Some(self.exchange.started + limit)
    }

    /// Gives the answer the form that the client gets.
    pub(crate) fn answered(
        self,
        answer: Result<Answer, Failure>,
        tunnels: &OpenTunnel,
    ) -> Response<Body> {
        match answer {
            Ok(reply) => self.pass_back(reply, tunnels),
            Err(failure) => self.refused(&failure),
        }
    }

    /// Answers of the proxy's own get the route's header changes too, as Envoy's do.
    fn refused(self, failure: &Failure) -> Response<Body> {
        let mut response = refuse(self.exchange, failure, self.asked.grpc);
        changes(&self.route, &self.share, &mut response);
        response
    }

    fn pass_back(mut self, reply: Answer, tunnels: &OpenTunnel) -> Response<Body> {
        self.exchange.target(&reply.target);
        let mut response = reply.response;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(response, tunnels);
        }
        hop::remove(response.headers_mut());
        changes(&self.route, &self.share, &mut response);
        *response.version_mut() = http::Version::default();
        self.exchange.status(response.status());
        let deadline = self.deadline();
        observe(response, self.exchange, deadline)
    }

    fn switch(self, response: Response<Body>, tunnels: &OpenTunnel) -> Response<Body> {
        let Self {
            asked, exchange, ..
        } = self;
        match upgrade::switch(response, asked.wanted, exchange, tunnels) {
            Ok(mut response) => {
                changes(&self.route, &self.share, &mut response);
                response
            }
            Err(mut exchange) => {
                exchange.status(StatusCode::BAD_GATEWAY);
                let response =
                    answer::answer(StatusCode::BAD_GATEWAY, "unexpected answer", asked.grpc);
                observe(response, exchange, None)
            }
        }
    }
}

/// The header changes of the cluster and of the route.
fn changes(route: &Route, share: &WeightedCluster, response: &mut Response<Body>) {
    share.response_headers.apply(response.headers_mut());
    route.response_headers.apply(response.headers_mut());
}

/// Changes the request as its route says, in Envoy's order: the cluster's header changes, the route's, host, path.
fn rewrite(
    route: &Route,
    forward: &heddle_routing::Forward,
    weighted: &WeightedCluster,
    parts: &mut Parts,
) -> Result<(), Failure> {
    let header_changes = [&weighted.request_headers, &route.request_headers];
    if header_changes.iter().any(|changes| !changes.0.is_empty()) {
        change_headers(header_changes, &mut parts.headers);
    }
    let invalid =
        |reason: String| Failure::new(ResponseFlag::Internal, format!("{}: {reason}", route.name));
    let path = forward
        .path_and_query(&route.matches, &parts.uri)
        .map_err(|error| invalid(error.to_string()))?;
    if let Some(host) = &forward.host_rewrite {
        authority::replace(parts, host).map_err(|error| invalid(error.to_string()))?;
    }
    if let Some(path) = path {
        authority::replace_path(parts, path);
    }
    Ok(())
}

/// The host is the rewrite's business alone: header changes must not part it from the URI.
fn change_headers(all: [&HeaderOps; 2], headers: &mut HeaderMap) {
    let host = headers.get(header::HOST).cloned();
    for changes in all {
        changes.apply(headers);
    }
    if let Some(host) = host {
        headers.insert(header::HOST, host);
    }
}
