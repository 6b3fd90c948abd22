//! One delta stream's state: what was asked for, and what to say to a response. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use heddle_proto::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource},
    },
    google::rpc::Status,
    type_url,
};

use crate::{Handler, Nack, Update, progress::Progress};

/// Subscribes to all resources of a type (xDS protocol, "How the client specifies what resources to return").
pub(crate) const WILDCARD: &str = "*";
/// google.rpc.Code.INVALID_ARGUMENT.
const INVALID_ARGUMENT: i32 = 3;
/// Longest text of a NACK, bytes; what does not fit is counted.
const MAX_NACK_TEXT: usize = 16 * 1024;

/// One delta stream's state. Dies with it, as nonces do.
#[derive(Debug)]
pub struct Session {
    /// Said in the first request only.
    node: Option<Node>,
    wildcards: Vec<String>,
    /// Names by type that have been subscribed to on this stream.
    subscribed: BTreeMap<String, BTreeSet<String>>,
    progress: Progress,
}

/// What a response led to; `R` is the variant's request.
#[derive(Debug)]
pub struct Reaction<R> {
    /// To be sent, in order.
    pub requests: Vec<R>,
    /// What was refused. `None`: the response was not asked for and is not answered.
    pub nacks: Option<Vec<Nack>>,
    /// The same version was refused before: no news.
    pub repeated: bool,
}

impl<R> Default for Reaction<R> {
    fn default() -> Self {
        Self {
            requests: Vec::new(),
            nacks: None,
            repeated: false,
        }
    }
}

impl Session {
    /// A new stream of a client that wants all resources of the types in `wildcards`.
    pub fn new(node: Node, wildcards: Vec<String>) -> Self {
        Self {
            node: Some(node),
            wildcards,
            subscribed: BTreeMap::new(),
            progress: Progress::default(),
        }
    }

    /// Whether all that was asked for so far has been answered, if only by the word that it does not exist. Names that the
    /// handler had before the stream began count as answered: an unchanged resource is not sent again.
    pub fn is_complete(&self) -> bool {
        self.node.is_none() && self.progress.is_complete()
    }

    /// The first requests of the stream, in the order in which changes are sent: a server that answers one request after
    /// the other sends what is referred to before what refers to it.
    pub fn open(&mut self, handler: &impl Handler) -> Vec<DeltaDiscoveryRequest> {
        let mut requests = Vec::new();
        for type_url in self.wildcards.clone() {
            let names = BTreeSet::from([WILDCARD.to_owned()]);
            requests.extend(self.subscribe(&type_url, names, handler));
        }
        requests.extend(self.follow(handler));
        requests.sort_by_key(|request| place(&request.type_url));
        if let Some(request) = requests.first_mut() {
            request.node = self.node.take();
        }
        requests
    }

    /// Hands a response to the handler and answers it.
    pub fn answer(
        &mut self,
        response: DeltaDiscoveryResponse,
        handler: &mut impl Handler,
    ) -> Reaction<DeltaDiscoveryRequest> {
        // No answer to what was never asked for: an ACK would be the first request of its type, hence a subscription to
        // everything (legacy wildcard).
        if !self.subscribed.contains_key(&response.type_url) {
            return Reaction::default();
        }
        let type_url = response.type_url.clone();
        let nonce = response.nonce.clone();
        let mut update = update(response);
        self.drop_unasked(&mut update);
        self.progress.dropped(&type_url, [&WILDCARD.to_owned()]);
        let given = update.resources.iter().map(|(name, _, _)| name);
        self.progress
            .dropped(&type_url, given.chain(&update.removed));
        let nacks = handler.apply(update);
        let acknowledgement = DeltaDiscoveryRequest {
            type_url,
            response_nonce: nonce,
            error_detail: (!nacks.is_empty()).then(|| error_detail(&nacks)),
            ..DeltaDiscoveryRequest::default()
        };
        let mut requests = vec![acknowledgement];
        requests.extend(self.follow(handler));
        Reaction {
            requests,
            nacks: Some(nacks),
            repeated: false,
        }
    }

    /// What nobody asked for is of no use, and would be kept for nothing.
    fn drop_unasked(&self, update: &mut Update) {
        if self.wildcards.contains(&update.type_url) {
            return;
        }
        let asked = self.subscribed.get(&update.type_url);
        update
            .resources
            .retain(|(name, _, _)| asked.is_some_and(|asked| asked.contains(name)));
    }

    /// Names that were not answered for long are not awaited any more: a server need not say that they do not exist.
    pub fn give_up(&mut self) {
        self.progress.give_up();
    }

    /// Brings the subscriptions by name to what the handler wants now.
    fn follow(&mut self, handler: &impl Handler) -> Vec<DeltaDiscoveryRequest> {
        let mut wanted = handler.subscriptions();
        wanted.retain(|type_url, _| !self.wildcards.contains(type_url));
        for type_url in self.subscribed.keys() {
            if !self.wildcards.contains(type_url) {
                wanted.entry(type_url.clone()).or_default();
            }
        }
        let subscribe = |(type_url, names): (String, _)| self.subscribe(&type_url, names, handler);
        let mut requests: Vec<_> = wanted.into_iter().filter_map(subscribe).collect();
        requests.sort_by_key(|request| place(&request.type_url));
        requests
    }

    /// The request that changes one type's names; `None`: no change.
    fn subscribe(
        &mut self,
        type_url: &str,
        names: BTreeSet<String>,
        handler: &impl Handler,
    ) -> Option<DeltaDiscoveryRequest> {
        let known = self.subscribed.get(type_url);
        let is_first = known.is_none();
        let before = known.cloned().unwrap_or_default();
        if before == names {
            return None;
        }
        let versions = match is_first {
            true => versions(type_url, &names, handler),
            false => HashMap::new(),
        };
        let new = names.difference(&before);
        let lacking = new.filter(|name| !versions.contains_key(*name)).cloned();
        self.progress.asked(type_url, lacking);
        self.progress.dropped(type_url, before.difference(&names));
        let request = DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            resource_names_subscribe: names.difference(&before).cloned().collect(),
            resource_names_unsubscribe: before.difference(&names).cloned().collect(),
            initial_resource_versions: versions,
            ..DeltaDiscoveryRequest::default()
        };
        self.subscribed.insert(type_url.to_owned(), names);
        Some(request)
    }
}

/// Where a type stands in the order of a change; other types come last.
pub(crate) fn place(type_url: &str) -> usize {
    let known = type_url::PUSH_ORDER.iter().position(|url| *url == type_url);
    known.unwrap_or(type_url::PUSH_ORDER.len())
}

/// What the client has of the names that it asks for.
fn versions(
    type_url: &str,
    names: &BTreeSet<String>,
    handler: &impl Handler,
) -> HashMap<String, String> {
    let mut versions = handler.versions(type_url);
    if !names.contains(WILDCARD) {
        versions.retain(|name, _| names.contains(name));
    }
    versions
}

fn update(response: DeltaDiscoveryResponse) -> Update {
    let further = response
        .removed_resource_names
        .into_iter()
        .map(|removed| removed.name);
    Update {
        type_url: response.type_url,
        resources: response
            .resources
            .into_iter()
            .filter_map(resource)
            .collect(),
        removed: response
            .removed_resources
            .into_iter()
            .chain(further)
            .collect(),
    }
}

/// `None`: a heartbeat, which only says that the resource still holds (xDS protocol, "TTL").
fn resource(resource: Resource) -> Option<(String, String, heddle_proto::google::protobuf::Any)> {
    let name = match resource.resource_name {
        Some(long) if resource.name.is_empty() => long.name,
        _ => resource.name,
    };
    Some((name, resource.version, resource.resource?))
}

/// Names every resource that was refused, as long as there is room.
pub(crate) fn error_detail(nacks: &[Nack]) -> Status {
    let mut message = String::new();
    for (index, nack) in nacks.iter().enumerate() {
        if message.len() + nack.message.len() > MAX_NACK_TEXT && index > 0 {
            message.push_str(&format!("; and {} more", nacks.len() - index));
            break;
        }
        if index > 0 {
            message.push_str("; ");
        }
        message.extend(nack.message.chars().take(MAX_NACK_TEXT));
    }
    Status {
        code: INVALID_ARGUMENT,
        message,
        ..Status::default()
    }
}
