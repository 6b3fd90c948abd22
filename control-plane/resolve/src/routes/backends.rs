//! Linking: looking up what a rule's backends refer to.

use std::sync::Arc;

use heddle_model::{
    Backend, RouteAction, RouteOrigin, RouteRule, ServiceKind, ServicePortKey, Transport,
    WeightedBackend,
};
use heddle_resources::{Cluster, ReferenceGrant};

use super::{
    RouteKind,
    precedence::Candidate,
    raw::RawBackend,
    read::{Action, BackendRef, Route, Rule},
};
use crate::{
    names::{excerpt, in_namespace, port_number},
    services::Services,
    settings::GATEWAY_GROUP,
};

/// Whether references into other namespaces need a ReferenceGrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum References {
    /// Yes: a Gateway opens Services to the outside.
    NeedGrants,
    /// No. GEP-1294, "Namespace boundaries": "Routes of either type can send traffic to `backendRefs` in any namespace. Unlike `Gateway` bound routes, this is
    /// allowed without a `ReferenceGrant`", because a mesh's routes augment Services that every client can reach anyway, and policy decides who may. The GEP
    /// wants grants from a mesh that does open more; this one does not: the destination's policy sees the client itself, however it was routed.
    /// (The `MeshConsumerRoute` conformance test has no grant either.)
    Free,
}

/// Looks backends up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linker<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) services: &'a Services,
}

/// A reference that does not resolve.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unresolved {
    /// Reason of the condition `ResolvedRefs`.
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

/// What came of linking a route.
#[derive(Debug, PartialEq)]
pub(crate) struct Linked {
    /// All rules, as they are written.
    pub(crate) candidates: Vec<Candidate>,
    /// The references that do not resolve.
    pub(crate) unresolved: Vec<Unresolved>,
}

impl Linked {
    /// Takes the rules that did not change from what was known before; all of it if nothing did.
    fn keep(mut self, old: Option<Arc<Self>>) -> Arc<Self> {
        let Some(old) = old else {
            return Arc::new(self);
        };
        for (new, old) in self.candidates.iter_mut().zip(&old.candidates) {
            if new.rule == old.rule {
                new.rule = Arc::clone(&old.rule);
            }
        }
        if self == *old { old } else { Arc::new(self) }
    }
}

impl Linker<'_> {
    /// Looks everything up that a route refers to. `old`: what came of it before.
    pub(crate) fn link(
        &self,
        route: &Route,
        references: References,
        old: Option<Arc<Linked>>,
    ) -> Arc<Linked> {
        let mut unresolved = Vec::new();
        let mut candidates = Vec::new();
        for rule in &route.rules {
            let action = self.action(route, rule, references, &mut unresolved);
            for (match_index, matches, rank) in &rule.matches {
                candidates.push(Candidate {
                    rank: *rank,
                    created: route.created.clone(),
                    rule: Arc::new(RouteRule {
                        origin: RouteOrigin {
                            route: route.object.clone(),
                            rule: rule.index,
                            match_index: *match_index,
                            name: rule.name.clone(),
                        },
                        matches: matches.clone(),
                        action: action.clone(),
                        request_headers: rule.request_headers.clone(),
                        response_headers: rule.response_headers.clone(),
                    }),
                });
            }
        }
        let linked = Linked {
            candidates,
            unresolved,
        };
        linked.keep(old)
    }

    fn action(
        &self,
        route: &Route,
        rule: &Rule,
        references: References,
        unresolved: &mut Vec<Unresolved>,
    ) -> RouteAction {
        let (written, rewrite_path, rewrite_host, timeouts, retry) = match &rule.action {
            Action::Redirect(redirect) => return RouteAction::Redirect(redirect.clone()),
            Action::Refuse { reason } => return refuse(reason.clone()),
            Action::Forward {
                backends,
                rewrite_path,
                rewrite_host,
                timeouts,
                retry,
            } => (backends, rewrite_path, rewrite_host, timeouts, retry),
        };
        let backends: Vec<WeightedBackend> = written
            .iter()
            .map(|backend| self.backend(route, backend, references, unresolved))
            .collect();
        let usable = |backend: &WeightedBackend| {
            backend.weight > 0 && matches!(backend.backend, Backend::Service(_))
        };
        if !backends.iter().any(usable) {
            return refuse(why_unusable(&backends));
        }
        RouteAction::Forward {
            backends,
            rewrite_path: rewrite_path.clone(),
            rewrite_host: rewrite_host.clone(),
            timeouts: timeouts.clone(),
            retry: retry.clone(),
        }
    }

    fn backend(
        &self,
        route: &Route,
        backend: &BackendRef,
        references: References,
        unresolved: &mut Vec<Unresolved>,
    ) -> WeightedBackend {
        let found = match self.look_up(route, &backend.written, references) {
            Err((reason, message)) => {
                let why = Backend::Invalid {
                    reason: Arc::from(message.as_str()),
                };
                unresolved.push(Unresolved {
                    reason,
                    field: backend.field.clone(),
                    message,
                });
                why
            }
            Ok(key) => Backend::Service(key),
        };
        WeightedBackend {
            weight: backend.weight,
            backend: match &backend.refused {
                Some(reason) => Backend::Invalid {
                    reason: reason.clone(),
                },
                None => found,
            },
            request_headers: backend.request_headers.clone(),
            response_headers: backend.response_headers.clone(),
        }
    }

    fn look_up(
        &self,
        route: &Route,
        written: &RawBackend,
        references: References,
    ) -> Result<ServicePortKey, (&'static str, String)> {
        let group = written.group.as_deref().unwrap_or_default();
        let kind = written.kind.as_deref().unwrap_or("Service");
        if !matches!((group, kind), ("" | "core", "Service")) {
            let message = format!(
                "{} of the group {} cannot be a backend",
                excerpt(kind),
                excerpt(group)
            );
            return Err(("InvalidKind", message));
        }
        let namespace = written.namespace.as_deref().unwrap_or(&route.key.0);
        let name = format!("{namespace}/{}", written.name);
        let name = excerpt(&name);
        // Asked before the Service is looked for: a refusal must not tell what exists elsewhere.
        let foreign = namespace != &*route.key.0;
        if foreign
            && references == References::NeedGrants
            && !self.is_granted(route.kind, &route.key.0, namespace, &written.name)
        {
            let message = format!("no ReferenceGrant in the namespace allows the Service {name}");
            return Err(("RefNotPermitted", message));
        }
        let not_found = |message: String| ("BackendNotFound", message);
        let service = self
            .services
            .get(&(Arc::from(namespace), Arc::from(written.name.as_str())))
            .ok_or_else(|| not_found(format!("there is no Service {name}")))?;
        if matches!(service.model.kind, ServiceKind::ExternalName { .. }) {
            return Err(not_found(format!(
                "the Service {name} is an ExternalName, which cannot be a backend"
            )));
        }
        let number = written
            .port
            .ok_or_else(|| not_found(format!("the port of the Service {name} is not given")))?;
        let is_port = |port: &heddle_model::ServicePort| {
            Some(port.port) == port_number(number) && port.transport == Transport::Tcp
        };
        let index = service
            .model
            .ports
            .iter()
            .position(is_port)
            .ok_or_else(|| not_found(format!("the Service {name} has no TCP port {number}")))?;
        if service.targets.get(index).is_some_and(|target| target.tls) {
            let message =
                format!("the appProtocol of port {number} of the Service {name} is not supported");
            return Err(("UnsupportedProtocol", message));
        }
        service
            .model
            .ports
            .get(index)
            .map(|port| service.model.port_key(port))
            .ok_or_else(|| not_found(format!("the Service {name} has no TCP port {number}")))
    }

    /// Whether a ReferenceGrant lets routes of one namespace refer to a Service of another.
    fn is_granted(&self, kind: RouteKind, from: &str, to: &str, name: &str) -> bool {
        in_namespace(&self.cluster.reference_grants, &Arc::from(to))
            .any(|(_, grant)| grants(grant, kind, from, name))
    }
}

fn grants(grant: &ReferenceGrant, kind: RouteKind, namespace: &str, name: &str) -> bool {
    let from = grant.spec.from.iter().any(|from| {
        from.group == GATEWAY_GROUP && from.kind == kind.name() && from.namespace == namespace
    });
    let to = grant.spec.to.iter().any(|to| {
        matches!(to.group.as_str(), "" | "core")
            && to.kind == "Service"
            && to
                .name
                .as_deref()
                .is_none_or(|only| only.is_empty() || only == name)
    });
    from && to
}

fn refuse(reason: Arc<str>) -> RouteAction {
    RouteAction::Respond {
        status: 500,
        reason,
    }
}

fn why_unusable(backends: &[WeightedBackend]) -> Arc<str> {
    let invalid = backends.iter().find_map(|backend| match &backend.backend {
        Backend::Invalid { reason } if backend.weight > 0 => Some(reason.clone()),
        _ => None,
    });
    match invalid {
        Some(reason) => reason,
        None if backends.is_empty() => Arc::from("the rule has no backend"),
        None => Arc::from("the weights of all backends are 0"),
    }
}
