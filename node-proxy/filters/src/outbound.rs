//! One request that a pod sends, or that comes in through a Gateway.

use std::{net::SocketAddr, ops::Deref, sync::Arc};

use heddle_config::SharedConfig;
use heddle_routing::{Action, DirectResponse, Redirect, Route};
use heddle_telemetry::{Direction, Metrics, ResponseFlag};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use tokio::time::Instant;

use crate::{
    Body, Client, Failure, Forward, OpenTunnel, answer, authority,
    body::boxed,
    exchange::Exchange,
    forwarded, hop,
    observed::Observed,
    sending::{Asked, Decided, Sending},
    upgrade::Wanted,
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

/// Answers one request.
pub fn outbound<F: Forward>(
    context: impl Deref<Target = Outbound<F>>,
    request: Request<Body>,
) -> impl Future<Output = Response<Body>> {
    // Before there is a future, which would have room for the request as it came.
    let decided = context.decide(request);
    async move {
        let (mut sending, request) = match decided {
            Ok(sending) => sending,
            Err(answer) => return *answer,
        };
        let answer = sending.send(&context.forward, request).await;
        sending.answered(answer, &context.tunnels)
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

impl<F> Outbound<F> {
    /// All that takes no time: who asks for what, and what is done with it.
    fn decide(&self, request: Request<Body>) -> Decided {
        let (mut parts, body) = request.into_parts();
        let metrics = Arc::clone(&self.metrics);
        let mut exchange = Exchange::begin(self.direction, &self.client, metrics, &parts);
        exchange.entry.destination.address = Some(self.asked);
        let asked = Asked {
            grpc: answer::is_grpc(&parts.headers),
            wanted: take_upgrade(&mut parts),
        };
        if let Err(failure) = admit(&mut parts, self.asked) {
            return Err(refuse(exchange, &failure, asked.grpc).into());
        }
        prepare(&mut parts, self, &asked);
        exchange.identified(&parts);
        let body = exchange.count_received(body);
        match find_route(self, &parts) {
            Ok(route) => {
                exchange.routed(&route);
                self.act(route, parts, body, asked, exchange)
            }
            Err(failure) => Err(refuse(exchange, &failure, asked.grpc).into()),
        }
    }

    fn act(
        &self,
        route: Arc<Route>,
        parts: Parts,
        body: Body,
        asked: Asked,
        mut exchange: Box<Exchange>,
    ) -> Decided {
        let mut response = match &route.action {
            Action::Forward(forward) => {
                let forward = Arc::clone(forward);
                let sending = Sending::new(route, forward, asked, exchange)?;
                return sending.rewritten(parts, body);
            }
            Action::Redirect(redirect) => self.redirect(&route, redirect, &parts),
            Action::Respond(direct) => respond(direct),
        };
        route.response_headers.apply(response.headers_mut());
        exchange.status(response.status());
        if matches!(route.action, Action::Respond(_)) && response.status().is_server_error() {
            exchange.fail(ResponseFlag::NoCluster, "the route has no usable backend");
        }
        Err(observe(response, exchange, None).into())
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
