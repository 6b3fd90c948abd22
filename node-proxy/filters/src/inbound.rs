//! One request that a pod of this node receives.

use std::{net::SocketAddr, sync::Arc};

use heddle_config::{PodConfig, PodName, PodUid, SharedConfig};
use heddle_identity::SpiffeId;
use heddle_routing::policy::{AddressSets, Decision, Protocol, Rbac, RbacAction, Subject};
use heddle_telemetry::{Direction, Label, Metrics, PeerName, ResponseFlag};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, request::Parts, uri::Scheme};

use crate::{
    AppConnection, Application, Body, Client, Failure, OpenTunnel, answer,
    exchange::Exchange,
    forwarded, hop,
    outbound::{admit, clean, observe, refuse, take_upgrade},
    upgrade,
};

const CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What all requests of one connection have in common.
pub struct Inbound<A> {
    /// Read anew for each request.
    pub config: SharedConfig,
    /// Who receives.
    pub pod: PodName,
    /// A pod of the same name with another uid is another pod.
    pub uid: PodUid,
    /// Who sends; its identity is proven, or `None`.
    pub client: Client,
    /// The pod's address and the real port.
    pub destination: SocketAddr,
    /// It came by mutual TLS.
    pub mtls: bool,
    /// The node itself calls (probes): no policy is asked.
    pub exempt: bool,
    /// Tell the application who calls.
    pub forward_identity: bool,
    /// The application's connections.
    pub application: AppConnection<A>,
    /// Takes connections that changed their protocol.
    pub tunnels: OpenTunnel,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// Answers one request.
pub async fn inbound<A: Application>(
    context: &Inbound<A>,
    request: Request<Body>,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let mut exchange = Exchange::begin(
        Direction::Inbound,
        &context.client,
        Arc::clone(&context.metrics),
        &parts,
    );
    exchange.mtls(context.mtls);
    let grpc = answer::is_grpc(&parts.headers);
    let wanted = take_upgrade(&mut parts);
    let admitted = admit(&mut parts, context.destination);
    exchange.identified(&parts);
    let pod = match admitted.and_then(|()| context.authorize(&parts, &mut exchange)) {
        Ok(pod) => pod,
        Err(failure) => return refuse(exchange, &failure, grpc),
    };
    clean(&mut parts, wanted.as_ref());
    context.tell_who_calls(&pod, &mut parts);
    forwarded::set(
        &mut parts.headers,
        &Scheme::HTTP,
        Direction::Inbound,
        context.client.address.ip(),
        rand::random(),
    );
    exchange.identified(&parts);
    exchange.entry.attempts = 1;
    let body = exchange.count_received(body);
    match context
        .application
        .send(Box::new(Request::from_parts(parts, body)))
        .await
    {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            match upgrade::switch(response, wanted, exchange, &context.tunnels) {
                Ok(response) => response,
                Err(exchange) => refuse(exchange, &unexpected(), grpc),
            }
        }
        Ok(mut response) => {
            hop::remove(response.headers_mut());
            *response.version_mut() = http::Version::default();
            exchange.status(response.status());
            observe(response, exchange, None)
        }
        Err(failure) => refuse(exchange, &failure, grpc),
    }
}

fn unexpected() -> Failure {
    Failure::new(
        ResponseFlag::UpstreamProtocolError,
        "the application changed the protocol, which nobody asked for",
    )
}

impl<A> Inbound<A> {
    /// Judges one request by what is configured now.
    fn authorize(&self, parts: &Parts, exchange: &mut Exchange) -> Result<Arc<PodConfig>, Failure> {
        let config = self.config.load();
        let known = config.pods.get(&self.pod);
        let Some(pod) = known.filter(|pod| pod.uid == self.uid) else {
            return Err(Failure::new(
                ResponseFlag::NotInMesh,
                format!("nothing is known about the pod {}", self.pod),
            ));
        };
        self.note_destination(&config.workloads, pod, exchange);
        if self.exempt {
            return Ok(Arc::clone(pod));
        }
        let subject = Subject {
            protocol: Protocol::Tcp,
            source: self.client.address.ip(),
            destination: self.destination.ip(),
            port: self.destination.port(),
            identity: self.client.identity.as_ref(),
            request: Some(parts),
        };
        match authorization_refusal(pod, &subject, &config.address_sets) {
            Some(refusal) => Err(refusal),
            None => Ok(Arc::clone(pod)),
        }
    }

    fn note_destination(
        &self,
        workloads: &heddle_config::Workloads,
        pod: &PodConfig,
        exchange: &mut Exchange,
    ) {
        let workload = workloads.at(self.destination.ip());
        exchange.destination(
            || PeerName {
                address: Some(self.destination),
                pod: Some(pod.name.to_string().into()),
                identity: Some(pod.identity.clone()),
            },
            workload.map(|w| Label::new(&w.owner)).unwrap_or_default(),
            Label::new(pod.name.namespace.shared()),
        );
    }

    /// What clients claim about certificates is removed; the application is told what was proven, if it is to know.
    fn tell_who_calls(&self, pod: &PodConfig, parts: &mut Parts) {
        parts.headers.remove(CLIENT_CERT);
        let Some(peer) = self
            .client
            .identity
            .as_ref()
            .filter(|_| self.forward_identity)
        else {
            return;
        };
        if let Ok(value) = HeaderValue::try_from(client_cert(&pod.identity, peer)) {
            parts.headers.insert(CLIENT_CERT, value);
        }
    }
}

/// Envoy's format of `x-forwarded-client-cert`.
fn client_cert(own: &SpiffeId, peer: &SpiffeId) -> String {
    format!("By={own};URI={peer}")
}

/// Why a pod's AuthorizationPolicy refuses a connection or a request; `None`: it does not.
pub fn authorization_refusal(
    pod: &PodConfig,
    subject: &Subject<'_>,
    sets: &AddressSets,
) -> Option<Failure> {
    let rbac = pod.authorization.as_deref()?;
    let policy = match rbac.decide(subject, sets) {
        Decision::Allow { .. } => return None,
        Decision::Deny { policy } => policy,
    };
    let objects: Vec<Arc<str>> = match policy.as_deref() {
        Some(policy) => vec![object_of(policy).into()],
        None => objects(rbac),
    };
    let who = match subject.identity {
        Some(identity) => identity.to_string(),
        None => "a client without identity".to_owned(),
    };
    let how = match rbac.action {
        RbacAction::Allow => "no rule allows",
        RbacAction::Deny => "a rule refuses",
    };
    let names = if objects.is_empty() {
        "AuthorizationPolicy without rules".to_owned()
    } else {
        objects.join(", ")
    };
    Some(Failure {
        flag: ResponseFlag::Authorization,
        reason: format!("{names}: {how} {who} to do this"),
        policies: objects,
        target: None,
        progress: None,
    })
}

/// The objects whose rules were asked.
fn objects(rbac: &Rbac) -> Vec<Arc<str>> {
    // Sorted by name, so that the rules of one object stand together.
    let mut names: Vec<&str> = rbac.policies.iter().map(|p| object_of(&p.name)).collect();
    names.dedup();
    names.into_iter().map(Arc::from).collect()
}

/// `AuthorizationPolicy shop/cart rule 0` → `AuthorizationPolicy shop/cart`.
fn object_of(policy: &str) -> &str {
    policy
        .rsplit_once(" rule ")
        .map_or(policy, |(object, _)| object)
}
