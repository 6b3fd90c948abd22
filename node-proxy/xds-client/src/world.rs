//! One state-of-the-world stream's state: each response of a type is all there is of it (Listener, Cluster), or some of what was
//! asked for by name. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use heddle_proto::{
    Message, Name,
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{DiscoveryRequest, DiscoveryResponse, Resource},
    },
    google::{protobuf::Any, rpc::Status},
};

use crate::{
    Handler, Nack, Reaction, Update,
    progress::Progress,
    session::{WILDCARD, error_detail, place},
};

/// One state-of-the-world stream's state. Dies with it, as nonces do.
///
/// A type in `wildcards` must be one whose responses hold the whole world (xDS protocol, "How the client specifies what resources to
/// return"): what is absent there is gone. Of other types nothing is ever told as gone.
#[derive(Debug)]
pub struct WorldSession {
    /// Said in the first request only.
    node: Option<Node>,
    wildcards: Vec<String>,
    asked: BTreeMap<String, Asked>,
    progress: Progress,
}

/// What was asked for of one type, and how that stands.
#[derive(Debug, Default)]
struct Asked {
    /// Empty: all, if the type is a wildcard.
    names: BTreeSet<String>,
    /// The version that was accepted last.
    accepted: String,
    /// Of the last response.
    nonce: String,
    /// What was wrong with the last response.
    refusal: Option<Status>,
    /// The version that was refused last.
    refused: Option<String>,
    /// The last response is not answered yet.
    held: bool,
}

impl Asked {
    fn request(&mut self, type_url: &str) -> DiscoveryRequest {
        self.held = false;
        DiscoveryRequest {
            type_url: type_url.to_owned(),
            version_info: self.accepted.clone(),
            resource_names: self.names.iter().cloned().collect(),
            response_nonce: self.nonce.clone(),
            error_detail: self.refusal.clone(),
            ..DiscoveryRequest::default()
        }
    }
}

impl WorldSession {
    /// A new stream of a client that wants all resources of the types in `wildcards`.
    pub fn new(node: Node, wildcards: Vec<String>) -> Self {
        Self {
            node: Some(node),
            wildcards,
            asked: BTreeMap::new(),
            progress: Progress::default(),
        }
    }

    /// As [`Session::is_complete`](crate::Session::is_complete).
    pub fn is_complete(&self) -> bool {
        self.node.is_none() && self.progress.is_complete()
    }

    /// As [`Session::give_up`](crate::Session::give_up).
    pub fn give_up(&mut self) {
        self.progress.give_up();
    }

    /// The first requests of the stream, in the order in which changes are sent.
    pub fn open(&mut self, handler: &impl Handler) -> Vec<DiscoveryRequest> {
        let mut requests = Vec::new();
        for type_url in self.wildcards.clone() {
            // Without names: some servers look an asterisk up as a name.
            let asked = self.asked.entry(type_url.clone()).or_default();
            requests.push(asked.request(&type_url));
            self.progress.asked(&type_url, [WILDCARD.to_owned()]);
        }
        requests.extend(self.follow(handler));
        requests.sort_by_key(|request| place(&request.type_url));
        if let Some(request) = requests.first_mut() {
            request.node = self.node.take();
        }
        requests
    }

    /// Hands a response to the handler and answers it, unless it is a version that was refused before: a server that sends that
    /// again at once, and again, is answered by [`release`](Self::release).
    pub fn answer(
        &mut self,
        response: DiscoveryResponse,
        handler: &mut impl Handler,
    ) -> Reaction<DiscoveryRequest> {
        let (type_url, version) = (response.type_url.clone(), response.version_info.clone());
        let Some(asked) = self.asked.get_mut(&type_url) else {
            return Reaction::default();
        };
        asked.nonce.clone_from(&response.nonce);
        let whole = self.wildcards.contains(&type_url);
        let (update, mut nacks) = update(response, asked, whole, handler);
        self.progress.dropped(&type_url, [&WILDCARD.to_owned()]);
        let given = update.resources.iter().map(|(name, _, _)| name);
        self.progress.dropped(&type_url, given);
        nacks.extend(handler.apply(update));
        asked.refusal = (!nacks.is_empty()).then(|| error_detail(&nacks));
        let repeated = !nacks.is_empty() && asked.refused.as_ref() == Some(&version);
        if nacks.is_empty() {
            asked.accepted = version;
            asked.refused = None;
        } else {
            asked.refused = Some(version);
        }
        asked.held = true;
        let mut requests = self.follow(handler);
        if !repeated && let Some(asked) = self.asked.get_mut(&type_url).filter(|asked| asked.held) {
            requests.insert(0, asked.request(&type_url));
        }
        Reaction {
            requests,
            nacks: Some(nacks),
            repeated,
        }
    }

    /// Whether a response waits for its answer.
    pub fn holds(&self) -> bool {
        self.asked.values().any(|asked| asked.held)
    }

    /// The answers that were held back.
    pub fn release(&mut self) -> Vec<DiscoveryRequest> {
        let held = self.asked.iter_mut().filter(|(_, asked)| asked.held);
        held.map(|(type_url, asked)| asked.request(type_url))
            .collect()
    }

    /// Brings the names to what the handler wants now. A request that changes them answers the last response, too.
    fn follow(&mut self, handler: &impl Handler) -> Vec<DiscoveryRequest> {
        let mut wanted = handler.subscriptions();
        for type_url in self.asked.keys() {
            wanted.entry(type_url.clone()).or_default();
        }
        wanted.retain(|type_url, _| !self.wildcards.contains(type_url));
        let mut requests = Vec::new();
        for (type_url, names) in wanted {
            requests.extend(self.subscribe(&type_url, names, handler));
        }
        requests.sort_by_key(|request| place(&request.type_url));
        requests
    }

    fn subscribe(
        &mut self,
        type_url: &str,
        names: BTreeSet<String>,
        handler: &impl Handler,
    ) -> Option<DiscoveryRequest> {
        // A first request without names would be a wildcard.
        let known = self.asked.get(type_url).map(|asked| &asked.names);
        if known.map_or(names.is_empty(), |known| *known == names) {
            return None;
        }
        let versions = handler.versions(type_url);
        let asked = self.asked.entry(type_url.to_owned()).or_default();
        let new = names.difference(&asked.names);
        let lacking = new.filter(|name| !versions.contains_key(*name)).cloned();
        self.progress.asked(type_url, lacking);
        self.progress
            .dropped(type_url, asked.names.difference(&names));
        asked.names = names;
        Some(asked.request(type_url))
    }
}

/// What a response changes, and what of it cannot even be named.
fn update(
    response: DiscoveryResponse,
    asked: &Asked,
    whole: bool,
    handler: &impl Handler,
) -> (Update, Vec<Nack>) {
    let DiscoveryResponse {
        type_url,
        version_info,
        resources,
        ..
    } = response;
    let mut nacks = Vec::new();
    let mut named = Vec::new();
    let mut given = BTreeSet::new();
    for (index, any) in resources.into_iter().enumerate() {
        match named_resource(any) {
            Ok((name, body)) => {
                given.insert(name.clone());
                if let Some(body) = body.filter(|_| whole || asked.names.contains(&name)) {
                    named.push((name, version_info.clone(), body));
                }
            }
            Err(problem) => {
                let name = format!("resources[{index}]");
                let kind = type_url.rsplit('.').next().unwrap_or_default();
                let message = format!("{kind} {name}: {problem}");
                nacks.push(Nack { name, message });
            }
        }
    }
    // One that cannot be named may be any that is there: then nothing is taken for gone.
    let removed = match whole && nacks.is_empty() {
        true => handler
            .versions(&type_url)
            .into_keys()
            .filter(|name| !given.contains(name))
            .collect(),
        false => Vec::new(),
    };
    let update = Update {
        type_url,
        resources: named,
        removed,
    };
    (update, nacks)
}

/// A resource with its name, which is its first field in every type that there is; or in the wrapper that tells it. `None`: a
/// heartbeat.
fn named_resource(any: Any) -> Result<(String, Option<Any>), String> {
    if any.type_url.rsplit('/').next() == Some(&Resource::full_name()) {
        let resource = Resource::decode(any.value.as_slice()).map_err(|error| error.to_string())?;
        return match resource.name.is_empty() {
            true => Err("has no name".to_owned()),
            false => Ok((resource.name, resource.resource)),
        };
    }
    let name =
        Named::decode(any.value.as_slice()).map_err(|error| format!("has no name: {error}"))?;
    match name.name.is_empty() {
        true => Err("has no name".to_owned()),
        false => Ok((name.name, Some(any))),
    }
}

/// The first field of Listener, RouteConfiguration, Cluster, Secret (`name`) and ClusterLoadAssignment (`cluster_name`).
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}
