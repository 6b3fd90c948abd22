//! A client that says what it is told to, and snapshots of a few words.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use heddle_proto::{
    envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    google::{protobuf::Any, rpc::Status},
    type_url::*,
};
use heddle_snapshot::{Placement, Resource, Role, Scope, Snapshot, TypeUrl, View};

use crate::{
    Shared,
    session::{Event, Limits, Response, Session, Variant, Violation},
};

pub(super) const LDS: TypeUrl = LISTENER;
pub(super) const RDS: TypeUrl = ROUTE_CONFIGURATION;
pub(super) const CDS: TypeUrl = CLUSTER;
pub(super) const EDS: TypeUrl = CLUSTER_LOAD_ASSIGNMENT;

/// A resource of this content; the origin is told by its name.
pub(super) fn resource(
    type_url: TypeUrl,
    name: &str,
    content: &str,
    scope: Scope,
) -> Arc<Resource> {
    let message = Any {
        type_url: content.to_owned(),
        value: Vec::new(),
    };
    let origin = vec![Arc::from(format!("Origin {name}"))];
    Arc::new(Resource::new(type_url, name, scope, origin, &message))
}

/// `(type, "name=content name=content")`, all for every node.
pub(super) fn snapshot(types: &[(TypeUrl, &str)]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for (type_url, text) in types {
        let resources = text.split_whitespace().map(|word| {
            let (name, content) = word.split_once('=').unwrap_or((word, ""));
            let resource = resource(type_url, name, content, Scope::Nodes);
            (Arc::clone(&resource.name), resource)
        });
        snapshot
            .types
            .insert(type_url, Arc::new(resources.collect()));
    }
    Arc::new(snapshot)
}

/// Adds resources of another scope, and says which namespaces are on the node.
pub(super) fn scoped(
    base: &Snapshot,
    type_url: TypeUrl,
    resources: &[(&str, Scope)],
    namespaces: &[&str],
) -> Arc<Snapshot> {
    let mut snapshot = base.clone();
    let mut all: BTreeMap<_, _> = snapshot
        .types
        .get(type_url)
        .map(|all| (**all).clone())
        .unwrap_or_default();
    for (name, scope) in resources {
        all.insert(
            Arc::from(*name),
            resource(type_url, name, "", scope.clone()),
        );
    }
    snapshot.types.insert(type_url, Arc::new(all));
    let namespaces: BTreeSet<Arc<str>> = namespaces.iter().map(|name| Arc::from(*name)).collect();
    snapshot.placement = Arc::new(Placement::from([(Arc::from("node-a"), namespaces)]));
    Arc::new(snapshot)
}

/// One stream, and the hand of the clock.
pub(super) struct Stream {
    pub(super) session: Session,
    pub(super) now: Instant,
    last: HashMap<String, String>,
}

impl Stream {
    pub(super) fn new(variant: Variant, snapshot: Arc<Snapshot>) -> Self {
        Self::with_limits(variant, snapshot, Limits::default())
    }

    pub(super) fn delta(types: &[(TypeUrl, &str)]) -> Self {
        Self::new(Variant::Delta, snapshot(types))
    }

    pub(super) fn world(types: &[(TypeUrl, &str)]) -> Self {
        Self::new(Variant::StateOfTheWorld, snapshot(types))
    }

    pub(super) fn with_limits(variant: Variant, snapshot: Arc<Snapshot>, limits: Limits) -> Self {
        let view = View {
            role: Role::Node,
            node: "node-a".into(),
            gateway: None,
        };
        Self {
            session: Session::new(variant, view, snapshot, Arc::new(Shared::default()), limits),
            now: Instant::now(),
            last: HashMap::new(),
        }
    }

    /// What is sent now, each response as `"TYPE +name +name -name"`.
    pub(super) fn sent(&mut self) -> Vec<String> {
        let responses = self.session.poll(self.now);
        for response in &responses {
            self.last
                .insert(response.type_url.to_owned(), response.nonce.clone());
        }
        responses.iter().map(show).collect()
    }

    pub(super) fn nonce(&self, type_url: &str) -> String {
        self.last.get(type_url).cloned().unwrap_or_default()
    }

    pub(super) fn push(&mut self, snapshot: Arc<Snapshot>) -> Vec<String> {
        self.session.snapshot(snapshot);
        self.sent()
    }

    pub(super) fn wait(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.sent()
    }

    // --- delta

    pub(super) fn send_delta(&mut self, request: DeltaDiscoveryRequest) -> Vec<String> {
        self.session.delta(&request, self.now).unwrap();
        self.sent()
    }

    pub(super) fn subscribe(&mut self, type_url: &str, names: &[&str]) -> Vec<String> {
        self.send_delta(subscription(type_url, names, &[]))
    }

    pub(super) fn unsubscribe(&mut self, type_url: &str, names: &[&str]) -> Vec<String> {
        self.send_delta(subscription(type_url, &[], names))
    }

    pub(super) fn ack_delta(&mut self, type_url: &str) -> Vec<String> {
        let response_nonce = self.nonce(type_url);
        self.send_delta(DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            response_nonce,
            ..Default::default()
        })
    }

    pub(super) fn nack_delta(&mut self, type_url: &str, message: &str) -> Vec<String> {
        let response_nonce = self.nonce(type_url);
        self.send_delta(DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            response_nonce,
            error_detail: Some(error(message)),
            ..Default::default()
        })
    }

    // --- state of the world

    pub(super) fn send_world(&mut self, request: DiscoveryRequest) -> Vec<String> {
        self.session.state_of_the_world(&request, self.now).unwrap();
        self.sent()
    }

    /// A request with the last nonce: an ACK, and a subscription to these names.
    pub(super) fn want(&mut self, type_url: &str, names: &[&str]) -> Vec<String> {
        let nonce = self.nonce(type_url);
        self.send_world(wanted(type_url, names, &nonce))
    }

    pub(super) fn nack_world(
        &mut self,
        type_url: &str,
        names: &[&str],
        message: &str,
    ) -> Vec<String> {
        let nonce = self.nonce(type_url);
        self.send_world(DiscoveryRequest {
            error_detail: Some(error(message)),
            ..wanted(type_url, names, &nonce)
        })
    }

    // --- what it tells

    /// `"refused NAME: message"`, `"cleared NAME"`.
    pub(super) fn events(&mut self) -> Vec<String> {
        let show = |event| match event {
            Event::Refused(refusal) => format!("refused {}: {}", refusal.resource, refusal.message),
            Event::Cleared(refusal) => format!("cleared {}", refusal.resource),
        };
        self.session.take_events().into_iter().map(show).collect()
    }
}

pub(super) fn subscription(
    type_url: &str,
    subscribe: &[&str],
    unsubscribe: &[&str],
) -> DeltaDiscoveryRequest {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    DeltaDiscoveryRequest {
        type_url: type_url.to_owned(),
        resource_names_subscribe: owned(subscribe),
        resource_names_unsubscribe: owned(unsubscribe),
        ..Default::default()
    }
}

pub(super) fn wanted(type_url: &str, names: &[&str], nonce: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: type_url.to_owned(),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        response_nonce: nonce.to_owned(),
        ..Default::default()
    }
}

pub(super) fn error(message: &str) -> Status {
    Status {
        code: 3,
        message: message.to_owned(),
        details: Vec::new(),
    }
}

pub(super) fn violation(
    session: &mut Session,
    request: &DeltaDiscoveryRequest,
    now: Instant,
) -> Violation {
    session.delta(request, now).unwrap_err()
}

pub(super) fn short(type_url: &str) -> &'static str {
    match type_url {
        LISTENER => "LDS",
        ROUTE_CONFIGURATION => "RDS",
        CLUSTER => "CDS",
        CLUSTER_LOAD_ASSIGNMENT => "EDS",
        SECRET => "SDS",
        WORKLOAD => "WDS",
        ADDRESS_SET => "ADS",
        _ => "DNS",
    }
}

fn show(response: &Response) -> String {
    let mut text = short(response.type_url).to_owned();
    for resource in &response.resources {
        text.push_str(&format!(" +{}", resource.name));
    }
    for name in &response.removed {
        text.push_str(&format!(" -{name}"));
    }
    text
}

/// Nothing was sent.
pub(super) const NOTHING: [&str; 0] = [];
