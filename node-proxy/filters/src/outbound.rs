//! One request that a pod sends, or that comes in through a Gateway.

use std::{net::SocketAddr, sync::Arc};

use heddle_config::SharedConfig;
use heddle_routing::{Action, DirectResponse, Redirect, Route, WeightedCluster};
use heddle_telemetry::{Direction, Metrics, ResponseFlag};
use heddle_upstream::Answer;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use tokio::time::Instant;

use crate::{
    Body, Client, Failure, Forward, OpenTunnel, answer, authority,
    body::{Counted, boxed},
    exchange::Exchange,
    forwarded, hop,
    observed::Observed,
    spread,
    tries::Plan,
    upgrade::{self, Wanted},
};

/// What all requests of one connection have in common.
pub struct Outbound<F> {
    /// Read anew for each request.
    pub config: SharedConfig,
    /// Name of the route table.
    pub routes: Arc<str>,
    /// Outbound or Gateway.
    pub direction: Direction,
    /// Who sends.
    pub client: Client,
    /// What the client connected to: a Service's address, or the Gateway's.
    pub asked: SocketAddr,
    /// Sends the requests on.
    pub forward: F,
    /// Takes connections that changed their protocol.
    pub tunnels: OpenTunnel,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// What is remembered of a request that is sent away.
struct Asked {
    grpc: bool,
    wanted: Option<Wanted>,
}

/// Answers one request.
pub async fn outbound<F: Forward>(context: &Outbound<F>, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let mut exchange = Exchange::begin(
        context.direction,
        &context.client,
        Arc::clone(&context.metrics),
        &parts,
    );
    exchange.entry.destination.address = Some(context.asked);
    let asked = Asked {
        grpc: answer::is_grpc(&parts.headers),
        wanted: take_upgrade(&mut parts),
    };
    if let Err(failure) = admit(&mut parts, context.asked) {
        return refuse(exchange, &failure, asked.grpc);
    }
    prepare(&mut parts, context, &asked);
    exchange.identified(&parts);
    let body = Counted::around(body, exchange.received());
    match find_route(context, &parts) {
        Ok(route) => {
            exchange.routed(&route);
            let request = Request::from_parts(parts, body);
            context.act(&route, request, asked, exchange).await
        }
        Err(failure) => refuse(exchange, &failure, asked.grpc),
    }
}

/// Settles what the request is for, or says why it cannot be.
pub(crate) fn admit(parts: &mut Parts, asked: SocketAddr) -> Result<(), Failure> {
    if parts.method == Method::CONNECT {
        return Err(Failure::new(
            ResponseFlag::ClientProtocolError,
            "CONNECT is not for a Service: it has nothing to connect to",
        ));
    }
    authority::settle(parts, asked)
        .map_err(|bad| Failure::new(ResponseFlag::ClientProtocolError, bad.to_string()))
}

/// The upgrade that a request asks for; its handle is taken out of the request.
pub(crate) fn take_upgrade(parts: &mut Parts) -> Option<Wanted> {
    let protocol = hop::wanted_upgrade(parts)?;
    let client = parts.extensions.remove()?;
    Some(Wanted { client, protocol })
}

fn prepare<F>(parts: &mut Parts, context: &Outbound<F>, asked: &Asked) {
    clean(parts, asked.wanted.as_ref());
    let scheme = authority::scheme_of(parts);
    forwarded::set(
        &mut parts.headers,
        &scheme,
        context.direction,
        context.client.address.ip(),
        rand::random(),
    );
}

/// Removes what concerns only the client's connection.
pub(crate) fn clean(parts: &mut Parts, wanted: Option<&Wanted>) {
    hop::remove(&mut parts.headers);
    if let Some(wanted) = wanted {
        hop::set_upgrade(&mut parts.headers, wanted.protocol.clone());
    }
    // The server of the client's connection says 100 as soon as the body is wanted.
    parts.headers.remove(header::EXPECT);
    if parts.version < http::Version::HTTP_2 {
        parts.version = http::Version::HTTP_11;
    }
}

fn find_route<F>(context: &Outbound<F>, parts: &Parts) -> Result<Arc<Route>, Failure> {
    let config = context.config.load();
    let name = &context.routes;
    let no_route = |reason| Failure::new(ResponseFlag::NoRoute, reason);
    let table = config
        .routes
        .get(name)
        .ok_or_else(|| no_route(format!("the route table {name} is not known")))?;
    let host = parts.uri.authority().map_or("", |a| a.as_str());
    table
        .find(host, parts)
        .cloned()
        .ok_or_else(|| no_route(format!("no route of {name} is for this request")))
}

/// Ends a request with an answer of our own.
pub(crate) fn refuse(mut exchange: Box<Exchange>, failure: &Failure, grpc: bool) -> Response<Body> {
    let status = answer::status_of(failure.flag);
    exchange.failure(failure);
    exchange.status(status);
    let response = answer::answer(status, &failure.reason, grpc);
    observe(response, exchange, None)
}

pub(crate) fn observe(
    response: Response<Body>,
    exchange: Box<Exchange>,
    deadline: Option<Instant>,
) -> Response<Body> {
    response.map(|body| boxed(Observed::new(body, exchange, deadline)))
}

impl<F: Forward> Outbound<F> {
    async fn act(
        &self,
        route: &Route,
        request: Request<Body>,
        asked: Asked,
        mut exchange: Box<Exchange>,
    ) -> Response<Body> {
        match &route.action {
            Action::Forward(forward) => {
                let cluster = spread::share_of(&forward.clusters);
                self.forward(route, forward, cluster, request, asked, exchange)
                    .await
            }
            Action::Redirect(redirect) => {
                let (parts, _) = request.into_parts();
                let mut response = self.redirect(route, redirect, &parts);
                route.response_headers.apply(response.headers_mut());
                exchange.status(response.status());
                observe(response, exchange, None)
            }
            Action::Respond(direct) => {
                let mut response = respond(direct);
                route.response_headers.apply(response.headers_mut());
                exchange.status(response.status());
                if response.status().is_server_error() {
                    exchange.fail(ResponseFlag::NoCluster, "the route has no usable backend");
                }
                observe(response, exchange, None)
            }
        }
    }

    fn redirect(&self, route: &Route, redirect: &Redirect, parts: &Parts) -> Response<Body> {
        let scheme = parts.uri.scheme_str().unwrap_or("http");
        let location = redirect.location(&route.matches.path, parts, scheme, self.asked.port());
        let mut response = Response::new(crate::empty());
        match (location, StatusCode::from_u16(redirect.status)) {
            (Some(location), Ok(status)) => {
                *response.status_mut() = status;
                response.headers_mut().insert(header::LOCATION, location);
            }
            _ => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
        response
    }

    async fn forward(
        &self,
        route: &Route,
        forward: &heddle_routing::Forward,
        weighted: &WeightedCluster,
        request: Request<Body>,
        asked: Asked,
        mut exchange: Box<Exchange>,
    ) -> Response<Body> {
        let Some(cluster) = &weighted.cluster else {
            exchange.fail(
                ResponseFlag::NoCluster,
                "a backend of the route does not exist",
            );
            exchange.status(StatusCode::INTERNAL_SERVER_ERROR);
            let response = answer::answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                "a backend of the route does not exist",
                asked.grpc,
            );
            return observe(response, exchange, None);
        };
        exchange.service(cluster);
        let (mut parts, body) = request.into_parts();
        // Answers of the proxy's own get the route's header changes too, as Envoy's do.
        let refused = |exchange, failure: &Failure| {
            let mut response = refuse(exchange, failure, asked.grpc);
            weighted.response_headers.apply(response.headers_mut());
            route.response_headers.apply(response.headers_mut());
            response
        };
        if let Err(failure) = rewrite(route, forward, weighted, &mut parts) {
            return refused(exchange, &failure);
        }
        let deadline = forward.timeout.map(|limit| exchange.started + limit);
        let plan = Plan {
            cluster,
            // An upgrade cannot be tried again: its connection is spent.
            retry: forward.retry.as_ref().filter(|_| asked.wanted.is_none()),
            deadline,
        };
        match plan.run(&self.forward, parts, body, &mut exchange).await {
            Ok(reply) => {
                exchange.target(&reply.target);
                self.pass_back(route, weighted, reply, asked, exchange, deadline)
            }
            Err(failure) => refused(exchange, &failure),
        }
    }

    fn pass_back(
        &self,
        route: &Route,
        weighted: &WeightedCluster,
        reply: Answer,
        asked: Asked,
        mut exchange: Box<Exchange>,
        deadline: Option<Instant>,
    ) -> Response<Body> {
        let mut response = reply.response;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return match upgrade::switch(response, asked.wanted, exchange, &self.tunnels) {
                Ok(mut response) => {
                    weighted.response_headers.apply(response.headers_mut());
                    route.response_headers.apply(response.headers_mut());
                    response
                }
                Err(mut exchange) => {
                    exchange.status(StatusCode::BAD_GATEWAY);
                    let response =
                        answer::answer(StatusCode::BAD_GATEWAY, "unexpected answer", asked.grpc);
                    observe(response, exchange, None)
                }
            };
        }
        hop::remove(response.headers_mut());
        weighted.response_headers.apply(response.headers_mut());
        route.response_headers.apply(response.headers_mut());
        *response.version_mut() = http::Version::default();
        exchange.status(response.status());
        observe(response, exchange, deadline)
    }
}

fn respond(direct: &DirectResponse) -> Response<Body> {
    let status = StatusCode::from_u16(direct.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(if direct.body.is_empty() {
        crate::empty()
    } else {
        crate::text(direct.body.as_bytes().to_vec())
    });
    *response.status_mut() = status;
    if !direct.body.is_empty() {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    response
}

/// Changes the request as its route says, in Envoy's order: the cluster's header changes, the route's, host, path.
fn rewrite(
    route: &Route,
    forward: &heddle_routing::Forward,
    weighted: &WeightedCluster,
    parts: &mut Parts,
) -> Result<(), Failure> {
    let host = parts.headers.get(header::HOST).cloned();
    weighted.request_headers.apply(&mut parts.headers);
    route.request_headers.apply(&mut parts.headers);
    // The host is the rewrite's business alone: headers changes must not part it from the URI.
    if let Some(host) = host {
        parts.headers.insert(header::HOST, host);
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
