//! One stream's state: which requests follow from which events. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use heddle_proto::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
    },
    google::{protobuf::Any, rpc::Status},
};

/// `google.rpc.Code.INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 3;
/// Longest text of a refusal, in bytes: it travels in one message and is shown to people.
const REFUSAL_LIMIT: usize = 16 * 1024;

/// What is wanted of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// All that the control plane has for us.
    All,
    /// These names.
    Names(BTreeSet<String>),
}

/// One response's content.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeUpdate {
    /// Of which type.
    pub type_url: String,
    /// New or changed.
    pub resources: Vec<ResourceUpdate>,
    /// Gone, or not there.
    pub removed: Vec<String>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceUpdate {
    /// Its name.
    pub name: String,
    /// Its version: changes with its content.
    pub version: String,
    /// Its content.
    pub resource: Any,
}

/// A resource that was not taken; its last good value stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which resource.
    pub name: String,
    /// Why.
    pub message: String,
}

/// Holds what the stream brings.
pub trait Handler: Send {
    /// Takes what it understands and says what it does not.
    fn apply(&mut self, update: TypeUpdate) -> Vec<Refusal>;
    /// What is wanted now, by type, in the order in which it is to be asked for. Asked after each update.
    fn subscriptions(&self) -> Vec<(&'static str, Subscription)>;
    /// Versions of what is held of a type, for a control plane that need not send it again.
    fn versions(&self, type_url: &str) -> HashMap<String, String>;
}

/// One stream.
pub(crate) struct Session {
    node: Option<Node>,
    subscribed: BTreeMap<&'static str, Subscription>,
}

impl Session {
    pub(crate) fn new(node: Node) -> Self {
        Self {
            node: Some(node),
            subscribed: BTreeMap::new(),
        }
    }

    /// Requests that bring the stream's subscriptions to what the handler wants.
    pub(crate) fn subscribe(&mut self, handler: &dyn Handler) -> Vec<DeltaDiscoveryRequest> {
        let mut requests = Vec::new();
        for (type_url, wanted) in handler.subscriptions() {
            let known = self.subscribed.get(type_url);
            if known == Some(&wanted) {
                continue;
            }
            let first = known.is_none();
            let (subscribe, unsubscribe) = difference(known, &wanted);
            self.subscribed.insert(type_url, wanted);
            if subscribe.is_empty() && unsubscribe.is_empty() {
                // Nothing of this type is wanted yet. An empty first request would mean "everything".
                self.subscribed.remove(type_url);
                continue;
            }
            let versions = if first {
                handler.versions(type_url)
            } else {
                HashMap::new()
            };
            requests.push(DeltaDiscoveryRequest {
                node: self.node.take(),
                type_url: type_url.to_owned(),
                resource_names_subscribe: subscribe,
                resource_names_unsubscribe: unsubscribe,
                initial_resource_versions: versions,
                ..DeltaDiscoveryRequest::default()
            });
        }
        requests
    }

    /// Hands a response over and answers it: an ACK, or a NACK that names each refused resource on a line of its own.
    pub(crate) fn answer(
        &mut self,
        response: DeltaDiscoveryResponse,
        handler: &mut dyn Handler,
    ) -> (DeltaDiscoveryRequest, Vec<Refusal>) {
        let mut acknowledgement = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce,
            ..DeltaDiscoveryRequest::default()
        };
        if !self.subscribed.contains_key(response.type_url.as_str()) {
            let refusal = Refusal {
                name: String::new(),
                message: format!("{} was not asked for", response.type_url),
            };
            acknowledgement.error_detail = Some(detail(std::slice::from_ref(&refusal)));
            return (acknowledgement, vec![refusal]);
        }
        let mut refusals = Vec::new();
        let mut resources = Vec::new();
        for resource in response.resources {
            // A resource without a body is a heartbeat (TTL) or the answer for a name that has none: nothing changes.
            if let Some(body) = resource.resource {
                resources.push(ResourceUpdate {
                    name: resource.name,
                    version: resource.version,
                    resource: body,
                });
            }
        }
        refusals.extend(handler.apply(TypeUpdate {
            type_url: response.type_url,
            resources,
            removed: response.removed_resources,
        }));
        if !refusals.is_empty() {
            acknowledgement.error_detail = Some(detail(&refusals));
        }
        (acknowledgement, refusals)
    }
}

fn detail(refusals: &[Refusal]) -> Status {
    let lines: Vec<_> = refusals
        .iter()
        .map(|refusal| format!("{}: {}", refusal.name, refusal.message.replace('\n', " ")))
        .collect();
    let mut message = lines.join("\n");
    if message.len() > REFUSAL_LIMIT {
        let end = (0..=REFUSAL_LIMIT)
            .rev()
            .find(|index| message.is_char_boundary(*index));
        message.truncate(end.unwrap_or(0));
    }
    Status {
        code: INVALID_ARGUMENT,
        message,
        details: Vec::new(),
    }
}

/// Names to add and names to drop.
fn difference(known: Option<&Subscription>, wanted: &Subscription) -> (Vec<String>, Vec<String>) {
    let names = |subscription: Option<&Subscription>| match subscription {
        None => BTreeSet::new(),
        Some(Subscription::All) => BTreeSet::from(["*".to_owned()]),
        Some(Subscription::Names(names)) => names.clone(),
    };
    let (known, wanted) = (names(known), names(Some(wanted)));
    (
        wanted.difference(&known).cloned().collect(),
        known.difference(&wanted).cloned().collect(),
    )
}
