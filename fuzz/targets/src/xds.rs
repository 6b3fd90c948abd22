//! Responses of a control plane, with the real store behind the session.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use heddle_config::Store;
use heddle_proto::{
    Message, Nack, Update,
    envoy::{config::core::v3::Node, service::discovery::v3::DeltaDiscoveryResponse},
    type_url,
};
use heddle_xds_client::{Handler, Session};

use crate::constant;

struct Kept(Store);

impl Handler for Kept {
    fn apply(&mut self, update: Update) -> Vec<Nack> {
        self.0.apply(update)
    }

    fn subscriptions(&self) -> BTreeMap<String, BTreeSet<String>> {
        let wanted = self.0.referenced();
        BTreeMap::from([
            (type_url::ROUTE_CONFIGURATION.to_owned(), wanted.routes),
            (
                type_url::CLUSTER_LOAD_ASSIGNMENT.to_owned(),
                wanted.endpoints,
            ),
        ])
    }

    fn versions(&self, type_url: &str) -> HashMap<String, String> {
        self.0.versions(type_url)
    }
}

/// One response on a new stream: answered once with its own nonce if it was asked for, with an error exactly if something
/// was refused; after that the store still gives out what it has taken.
pub fn xds_session(bytes: &[u8]) {
    let Ok(response) = DeltaDiscoveryResponse::decode(bytes) else {
        return;
    };
    let mut kept = Kept(Store::new(constant("cluster.local")));
    let wildcards = type_url::PUSH_ORDER.map(str::to_owned).to_vec();
    let mut session = Session::new(Node::default(), wildcards.clone());
    session.open(&kept);
    let asked_for = wildcards.contains(&response.type_url);
    let nonce = response.nonce.clone();
    let reaction = session.answer(response, &mut kept);
    assert_eq!(reaction.nacks.is_some(), asked_for);
    if let Some(nacks) = reaction.nacks {
        let answer = &reaction.requests[0];
        assert_eq!(answer.response_nonce, nonce);
        assert_eq!(answer.error_detail.is_some(), !nacks.is_empty());
    }
    let mut again = Store::new(constant("cluster.local"));
    for update in kept.0.good() {
        assert_eq!(again.apply(update), [], "what was taken is refused later");
    }
}
