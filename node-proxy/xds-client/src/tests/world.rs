//! The state of the world.

use heddle_proto::{
    Message, Name,
    envoy::{
        config::{cluster::v3::Cluster, listener::v3::Listener},
        service::discovery::v3::{DiscoveryRequest, DiscoveryResponse, Resource},
    },
    pack,
};

use super::*;
use crate::WorldSession;

fn session() -> WorldSession {
    let wildcards = Settings::node_wildcards(Variant::StateOfTheWorld);
    let node = Node {
        id: "node-a".to_owned(),
        ..Node::default()
    };
    WorldSession::new(node, wildcards)
}

fn begun(fake: &Fake) -> WorldSession {
    let mut session = session();
    session.open(fake);
    session
}

fn listener(name: &str) -> Any {
    pack(&Listener {
        name: name.to_owned(),
        ..Listener::default()
    })
}

/// Resources of all types are told by their first field, so that a Listener may stand for any.
fn told(type_url: &str, version: &str, names: &[&str]) -> DiscoveryResponse {
    DiscoveryResponse {
        type_url: type_url.to_owned(),
        version_info: version.to_owned(),
        nonce: format!("nonce of {version}"),
        resources: names.iter().map(|name| listener(name)).collect(),
        ..DiscoveryResponse::default()
    }
}

fn refusing(name: &str) -> Fake {
    Fake {
        bad: vec![name.to_owned()],
        ..Fake::default()
    }
}

/// Takes over what is told, as the real store does.
fn keep(fake: &mut Fake, names: &[&str]) {
    fake.versions = names
        .iter()
        .map(|n| (n.to_string(), "1".to_owned()))
        .collect();
}

#[test]
fn it_begins_with_everything_of_two_types_and_what_is_wanted_by_name() {
    let mut fake = Fake::default();
    fake.want(type_url::SECRET, &["ROOTCA"]);
    fake.want(type_url::ROUTE_CONFIGURATION, &[]);
    let requests = session().open(&fake);
    let asked = |r: &DiscoveryRequest| (r.type_url.clone(), r.resource_names.clone());
    assert_eq!(
        requests.iter().map(asked).collect::<Vec<_>>(),
        [
            (type_url::SECRET.to_owned(), vec!["ROOTCA".to_owned()]),
            (type_url::CLUSTER.to_owned(), vec![]),
            (type_url::LISTENER.to_owned(), vec![]),
        ]
    );
    let nodes: Vec<bool> = requests.iter().map(|r| r.node.is_some()).collect();
    assert_eq!(nodes, [true, false, false]);
}

#[test]
fn an_accepted_response_is_acknowledged_with_its_version_and_nonce() {
    let mut fake = Fake::default();
    let mut session = begun(&fake);
    let reaction = session.answer(told(type_url::LISTENER, "7", &["a"]), &mut fake);
    let [ack] = reaction.requests.as_slice() else {
        panic!("{reaction:?}");
    };
    assert_eq!(
        (ack.version_info.as_str(), ack.response_nonce.as_str()),
        ("7", "nonce of 7")
    );
    assert!(ack.error_detail.is_none() && ack.resource_names.is_empty());
    assert_eq!(fake.updates[0].resources[0].0, "a");
    assert_eq!(fake.updates[0].resources[0].1, "7");
}

#[test]
fn what_is_absent_from_the_whole_world_is_gone_and_an_empty_one_removes_everything() {
    let mut fake = Fake::default();
    let mut session = begun(&fake);
    keep(&mut fake, &["a", "b"]);
    session.answer(told(type_url::LISTENER, "1", &["b", "c"]), &mut fake);
    assert_eq!(fake.updates[0].removed, ["a"]);
    session.answer(told(type_url::CLUSTER, "2", &[]), &mut fake);
    fake.updates[1].removed.sort();
    assert_eq!(fake.updates[1].removed, ["a", "b"]);
}

#[test]
fn of_what_is_asked_for_by_name_nothing_is_told_as_gone() {
    let mut fake = Fake::default();
    fake.want(type_url::CLUSTER_LOAD_ASSIGNMENT, &["a", "b"]);
    let mut session = begun(&fake);
    keep(&mut fake, &["a", "b"]);
    session.answer(
        told(type_url::CLUSTER_LOAD_ASSIGNMENT, "1", &["a"]),
        &mut fake,
    );
    session.answer(told(type_url::CLUSTER_LOAD_ASSIGNMENT, "2", &[]), &mut fake);
    assert!(fake.updates.iter().all(|update| update.removed.is_empty()));
}

#[test]
fn what_was_not_asked_for_is_dropped() {
    let mut fake = Fake::default();
    fake.want(type_url::CLUSTER_LOAD_ASSIGNMENT, &["a"]);
    let mut session = begun(&fake);
    session.answer(
        told(type_url::CLUSTER_LOAD_ASSIGNMENT, "1", &["a", "huge"]),
        &mut fake,
    );
    assert_eq!(fake.updates[0].resources.len(), 1);
    let other = session.answer(told(type_url::DNS_TABLE, "1", &["a"]), &mut fake);
    assert!(other.nacks.is_none() && other.requests.is_empty());
}

#[test]
fn a_refusal_tells_the_version_that_was_accepted_last() {
    let mut fake = refusing("bad");
    let mut session = begun(&fake);
    session.answer(told(type_url::LISTENER, "1", &["good"]), &mut fake);
    let nack = session.answer(told(type_url::LISTENER, "2", &["good", "bad"]), &mut fake);
    let [request] = nack.requests.as_slice() else {
        panic!("{nack:?}");
    };
    assert_eq!(
        (
            request.version_info.as_str(),
            request.response_nonce.as_str()
        ),
        ("1", "nonce of 2")
    );
    assert_eq!(request.error_detail.as_ref().unwrap().message, "bad: bad");
    assert!(!nack.repeated);
    let ack = session.answer(told(type_url::LISTENER, "3", &["good"]), &mut fake);
    assert_eq!(ack.requests[0].version_info, "3");
    assert!(ack.requests[0].error_detail.is_none());
}

#[test]
fn a_version_that_is_sent_again_after_it_was_refused_is_refused_again_only_when_released() {
    let mut fake = refusing("bad");
    let mut session = begun(&fake);
    session.answer(told(type_url::LISTENER, "1", &["bad"]), &mut fake);
    let again = session.answer(told(type_url::LISTENER, "1", &["bad"]), &mut fake);
    assert!(again.repeated && again.requests.is_empty() && session.holds());
    let cluster = session.answer(told(type_url::CLUSTER, "1", &["c"]), &mut fake);
    assert_eq!(cluster.requests.len(), 1, "other types do not wait");
    let released = session.release();
    assert_eq!(released.len(), 1);
    assert!(released[0].error_detail.is_some());
    assert!(!session.holds() && session.release().is_empty());
}

#[test]
fn new_names_are_asked_for_with_the_versions_and_nonces_of_their_type() {
    let mut fake = Fake::default();
    fake.want(type_url::ROUTE_CONFIGURATION, &["a"]);
    let mut session = begun(&fake);
    session.answer(told(type_url::ROUTE_CONFIGURATION, "5", &["a"]), &mut fake);
    fake.want(type_url::ROUTE_CONFIGURATION, &["b"]);
    fake.want(type_url::SECRET, &["s"]);
    let reaction = session.answer(told(type_url::LISTENER, "1", &[]), &mut fake);
    let types: Vec<&str> = reaction
        .requests
        .iter()
        .map(|r| r.type_url.as_str())
        .collect();
    assert_eq!(
        types,
        [
            type_url::LISTENER,
            type_url::SECRET,
            type_url::ROUTE_CONFIGURATION
        ]
    );
    let routes = &reaction.requests[2];
    assert_eq!(routes.resource_names, ["b"]);
    assert_eq!(
        (routes.version_info.as_str(), routes.response_nonce.as_str()),
        ("5", "nonce of 5")
    );
}

#[test]
fn a_response_that_changes_its_own_types_names_is_answered_once() {
    let mut fake = Fake::default();
    fake.want(type_url::ROUTE_CONFIGURATION, &["a"]);
    let mut session = begun(&fake);
    fake.want(type_url::ROUTE_CONFIGURATION, &["a", "b"]);
    let reaction = session.answer(told(type_url::ROUTE_CONFIGURATION, "5", &["a"]), &mut fake);
    let [only] = reaction.requests.as_slice() else {
        panic!("{reaction:?}");
    };
    assert_eq!(only.resource_names, ["a", "b"]);
    assert_eq!(
        (only.version_info.as_str(), only.response_nonce.as_str()),
        ("5", "nonce of 5")
    );
}

#[test]
fn resources_may_be_wrapped_and_a_wrapper_without_a_body_is_a_heartbeat() {
    let mut fake = Fake::default();
    let mut session = begun(&fake);
    keep(&mut fake, &["b"]);
    let wrapped = |name: &str, body: Option<Any>| {
        pack(&Resource {
            name: name.to_owned(),
            resource: body,
            ..Resource::default()
        })
    };
    let mut response = told(type_url::CLUSTER, "1", &[]);
    let cluster = pack(&Cluster::default());
    response.resources = vec![wrapped("a", Some(cluster)), wrapped("b", None)];
    session.answer(response, &mut fake);
    assert_eq!(fake.updates[0].resources.len(), 1);
    assert_eq!(fake.updates[0].resources[0].2.type_url, Cluster::type_url());
    assert!(fake.updates[0].removed.is_empty(), "b still holds");
}

#[test]
fn a_resource_that_cannot_be_named_is_refused_by_its_place_and_nothing_is_taken_for_gone() {
    let mut fake = Fake::default();
    let mut session = begun(&fake);
    keep(&mut fake, &["a", "b"]);
    let mut response = told(type_url::LISTENER, "1", &["a", ""]);
    let garbage = Any {
        type_url: Listener::type_url(),
        value: vec![0xff; 5],
    };
    response.resources.push(garbage);
    let reaction = session.answer(response, &mut fake);
    assert!(fake.updates[0].removed.is_empty());
    let message = &reaction.requests[0].error_detail.as_ref().unwrap().message;
    assert!(
        message.starts_with(
            "Listener resources[1]: has no name; Listener resources[2]: has no name: "
        ),
        "{message}"
    );
}

#[test]
fn names_that_are_never_answered_are_given_up_but_not_the_world() {
    let mut fake = Fake::default();
    fake.want(type_url::SECRET, &["ROOTCA"]);
    let mut session = begun(&fake);
    session.answer(told(type_url::CLUSTER, "1", &[]), &mut fake);
    session.give_up();
    assert!(!session.is_complete(), "listeners are awaited");
    session.answer(told(type_url::LISTENER, "1", &[]), &mut fake);
    assert!(session.is_complete());
}

#[test]
fn no_bytes_make_a_session_panic() {
    let mut fake = Fake::default();
    let valid = told(type_url::LISTENER, "1", &["a", "b"]).encode_to_vec();
    for place in 0..valid.len() {
        for bit in 0..8 {
            let mut bytes = valid.clone();
            bytes[place] ^= 1 << bit;
            if let Ok(response) = DiscoveryResponse::decode(bytes.as_slice()) {
                begun(&fake).answer(response, &mut fake);
            }
        }
    }
}
