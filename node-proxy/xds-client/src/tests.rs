use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use heddle_proto::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource, ResourceName,
        },
    },
    google::protobuf::Any,
    type_url,
};
use proptest::prelude::*;

use crate::{Backoff, Handler, Nack, Session, Settings, Update, Variant};

mod world;

/// Wants some routes and refuses some names.
#[derive(Default)]
struct Fake {
    wanted: BTreeMap<String, BTreeSet<String>>,
    versions: HashMap<String, String>,
    bad: Vec<String>,
    updates: Vec<Update>,
}

impl Fake {
    fn want(&mut self, type_url: &str, names: &[&str]) {
        let names = names.iter().map(ToString::to_string).collect();
        self.wanted.insert(type_url.to_owned(), names);
    }
}

impl Handler for Fake {
    fn apply(&mut self, update: Update) -> Vec<Nack> {
        let refused = update
            .resources
            .iter()
            .filter(|(name, _, _)| self.bad.contains(name));
        let nack = |(name, _, _): &(String, String, Any)| Nack {
            name: name.clone(),
            message: format!("{name}: bad"),
        };
        let nacks = refused.map(nack).collect();
        self.updates.push(update);
        nacks
    }

    fn subscriptions(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.wanted.clone()
    }

    fn versions(&self, _: &str) -> HashMap<String, String> {
        self.versions.clone()
    }
}

fn session() -> Session {
    let node = Node {
        id: "node-a".to_owned(),
        ..Node::default()
    };
    Session::new(
        node,
        vec![type_url::CLUSTER.to_owned(), type_url::LISTENER.to_owned()],
    )
}

fn response(type_url: &str, names: &[&str]) -> DeltaDiscoveryResponse {
    let resource = |name: &&str| Resource {
        name: (*name).to_owned(),
        version: "1".to_owned(),
        resource: Some(Any::default()),
        ..Resource::default()
    };
    DeltaDiscoveryResponse {
        type_url: type_url.to_owned(),
        nonce: "n".to_owned(),
        resources: names.iter().map(resource).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}

fn names(request: &DeltaDiscoveryRequest) -> (&[String], &[String]) {
    (
        &request.resource_names_subscribe,
        &request.resource_names_unsubscribe,
    )
}

#[test]
fn only_the_first_request_says_who_asks() {
    let mut fake = Fake::default();
    fake.want(type_url::SECRET, &["ROOTCA"]);
    let requests = session().open(&fake);
    let nodes: Vec<bool> = requests
        .iter()
        .map(|request| request.node.is_some())
        .collect();
    assert_eq!(nodes, [true, false, false]);
    assert_eq!(names(&requests[0]), (&["ROOTCA".to_owned()][..], &[][..]));
    assert_eq!(names(&requests[1]), (&["*".to_owned()][..], &[][..]));
}

#[test]
fn a_stream_is_complete_when_everything_was_answered_also_what_was_asked_for_later_or_does_not_exist()
 {
    let (mut fake, mut session) = (Fake::default(), session());
    assert!(!session.is_complete(), "nothing was asked for yet");
    session.open(&fake);
    assert!(!session.is_complete());
    fake.want(type_url::CLUSTER_LOAD_ASSIGNMENT, &["a", "b", "gone"]);
    session.answer(response(type_url::CLUSTER, &["a", "b"]), &mut fake);
    session.answer(response(type_url::LISTENER, &[]), &mut fake);
    assert!(!session.is_complete(), "a, b and gone are awaited");
    let mut rest = response(type_url::CLUSTER_LOAD_ASSIGNMENT, &["a"]);
    rest.removed_resources = vec!["gone".to_owned()];
    session.answer(rest, &mut fake);
    assert!(!session.is_complete(), "b is awaited");
    fake.want(type_url::CLUSTER_LOAD_ASSIGNMENT, &["a"]);
    session.answer(response(type_url::CLUSTER, &["a"]), &mut fake);
    assert!(session.is_complete(), "b is of no interest any more");
}

#[test]
fn what_the_handler_had_before_is_not_awaited() {
    let (mut fake, mut session) = (Fake::default(), session());
    fake.want(type_url::ROUTE_CONFIGURATION, &["a"]);
    fake.versions.insert("a".to_owned(), "1".to_owned());
    session.open(&fake);
    session.answer(response(type_url::CLUSTER, &[]), &mut fake);
    assert!(!session.is_complete());
    session.answer(response(type_url::LISTENER, &[]), &mut fake);
    assert!(session.is_complete());
}

/// Everything a node proxy asks for, wanted in the worst order.
fn all_wanted() -> (Session, Fake) {
    let mut wildcards = Settings::node_wildcards(Variant::Delta);
    wildcards.reverse();
    let mut fake = Fake::default();
    fake.want(type_url::SECRET, &["ROOTCA"]);
    fake.want(type_url::CLUSTER_LOAD_ASSIGNMENT, &["a"]);
    fake.want(type_url::ROUTE_CONFIGURATION, &["a"]);
    (Session::new(Node::default(), wildcards), fake)
}

fn types(requests: &[DeltaDiscoveryRequest]) -> Vec<&str> {
    requests.iter().map(|r| r.type_url.as_str()).collect()
}

#[test]
fn a_stream_begins_with_the_types_in_the_order_of_a_change() {
    let (mut session, fake) = all_wanted();
    assert_eq!(types(&session.open(&fake)), type_url::PUSH_ORDER);
}

#[test]
fn names_that_are_wanted_later_are_asked_for_in_the_order_of_a_change() {
    let (mut session, mut fake) = all_wanted();
    let wanted = std::mem::take(&mut fake.wanted);
    session.open(&fake);
    fake.wanted = wanted;
    let reaction = session.answer(response(type_url::CLUSTER, &["a"]), &mut fake);
    let later = [
        type_url::SECRET,
        type_url::CLUSTER_LOAD_ASSIGNMENT,
        type_url::ROUTE_CONFIGURATION,
    ];
    assert_eq!(types(&reaction.requests[1..]), later);
}

#[test]
fn a_type_without_names_is_not_asked_for() {
    // An empty first request would be a wildcard.
    let mut fake = Fake::default();
    fake.want(type_url::ROUTE_CONFIGURATION, &[]);
    assert_eq!(session().open(&fake).len(), 2);
}

#[test]
fn versions_of_names_that_are_not_wanted_are_not_told() {
    let mut fake = Fake::default();
    fake.want(type_url::ROUTE_CONFIGURATION, &["a"]);
    fake.versions = [("a", "1"), ("b", "2")]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .into();
    let requests = session().open(&fake);
    assert_eq!(
        requests[0].initial_resource_versions.len(),
        2,
        "a wildcard wants all"
    );
    let routes = &requests[2].initial_resource_versions;
    assert_eq!(routes.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn subscriptions_follow_the_handler_after_each_response() {
    let mut fake = Fake::default();
    let mut session = session();
    session.open(&fake);
    fake.want(type_url::ROUTE_CONFIGURATION, &["a", "b"]);
    let reaction = session.answer(response(type_url::LISTENER, &["l"]), &mut fake);
    assert_eq!(reaction.requests.len(), 2);
    assert_eq!(reaction.requests[0].response_nonce, "n");
    assert_eq!(names(&reaction.requests[1]).0, ["a", "b"]);
    fake.want(type_url::ROUTE_CONFIGURATION, &["b", "c"]);
    let reaction = session.answer(response(type_url::LISTENER, &["l"]), &mut fake);
    assert_eq!(
        names(&reaction.requests[1]),
        (&["c".to_owned()][..], &["a".to_owned()][..])
    );
    fake.wanted.clear();
    let reaction = session.answer(response(type_url::LISTENER, &["l"]), &mut fake);
    assert_eq!(names(&reaction.requests[1]).1, ["b", "c"]);
    let reaction = session.answer(response(type_url::LISTENER, &["l"]), &mut fake);
    assert_eq!(reaction.requests.len(), 1);
}

#[test]
fn a_response_that_was_not_asked_for_is_not_answered() {
    let mut fake = Fake::default();
    let mut session = session();
    session.open(&fake);
    let reaction = session.answer(response("type.googleapis.com/x", &["a"]), &mut fake);
    assert!(reaction.requests.is_empty() && reaction.nacks.is_none());
    assert!(fake.updates.is_empty());
}

#[test]
fn names_that_nobody_asked_for_are_dropped() {
    let mut fake = Fake::default();
    fake.want(type_url::CLUSTER_LOAD_ASSIGNMENT, &["a"]);
    let mut session = session();
    session.open(&fake);
    let huge = response(type_url::CLUSTER_LOAD_ASSIGNMENT, &["a", "huge"]);
    session.answer(huge, &mut fake);
    assert_eq!(fake.updates[0].resources.len(), 1);
}

#[test]
fn names_that_a_server_never_speaks_of_are_given_up() {
    let (mut fake, mut session) = (Fake::default(), session());
    fake.want(type_url::SECRET, &["ROOTCA"]);
    session.open(&fake);
    session.answer(response(type_url::CLUSTER, &[]), &mut fake);
    session.give_up();
    assert!(!session.is_complete(), "listeners are awaited");
    session.answer(response(type_url::LISTENER, &[]), &mut fake);
    assert!(session.is_complete());
}

#[test]
fn a_nack_names_every_bad_resource_as_far_as_there_is_room() {
    let mut fake = Fake::default();
    let all: Vec<String> = (0..3000).map(|n| format!("bad-{n:04}")).collect();
    fake.bad = all.clone();
    let mut session = session();
    session.open(&fake);
    let few = session.answer(
        response(type_url::LISTENER, &["good", "bad-0001", "bad-0002"]),
        &mut fake,
    );
    let detail = few.requests[0].error_detail.as_ref().expect("a NACK");
    assert_eq!(
        (detail.code, detail.message.as_str()),
        (3, "bad-0001: bad; bad-0002: bad")
    );
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let many = session.answer(response(type_url::LISTENER, &names), &mut fake);
    let message = &many.requests[0]
        .error_detail
        .as_ref()
        .expect("a NACK")
        .message;
    assert!(
        message.len() < 50_000 && message.ends_with(" more"),
        "{} bytes",
        message.len()
    );
}

#[test]
fn a_heartbeat_changes_nothing_and_both_ways_to_remove_count() {
    let mut fake = Fake::default();
    let mut session = session();
    session.open(&fake);
    let mut response = response(type_url::LISTENER, &["a"]);
    response.resources[0].resource = None;
    response.removed_resources = vec!["b".to_owned()];
    response.removed_resource_names = vec![ResourceName {
        name: "c".to_owned(),
        ..ResourceName::default()
    }];
    session.answer(response, &mut fake);
    assert!(fake.updates[0].resources.is_empty());
    assert_eq!(fake.updates[0].removed, ["b", "c"]);
}

#[test]
fn pauses_double_up_to_the_longest() {
    let backoff = Backoff::default();
    let longest = |failures| backoff.pause(failures, 1.0).as_millis();
    assert_eq!(
        [0, 1, 2, 3, 8, 100, u32::MAX].map(longest),
        [0, 100, 200, 400, 2000, 2000, 2000]
    );
    assert_eq!(backoff.pause(1, 0.0), Duration::from_millis(50));
}

#[test]
fn a_control_plane_that_is_back_is_found_within_two_seconds() {
    let backoff = Backoff::default();
    assert!(backoff.pause(1, 1.0) <= Duration::from_millis(200));
    assert!(backoff.pause(u32::MAX, 1.0) <= Duration::from_secs(2));
}

proptest! {
    #[test]
    fn no_pause_is_longer_than_the_longest(failures in any::<u32>(), random in any::<f64>()) {
        let backoff = Backoff::default();
        prop_assert!(backoff.pause(failures, random) <= backoff.longest);
    }

    #[test]
    fn a_session_asks_for_exactly_what_is_wanted(
        steps in prop::collection::vec(prop::collection::btree_set("[a-d]", 0..4), 1..6),
    ) {
        let mut fake = Fake::default();
        let mut session = session();
        session.open(&fake);
        let mut held: BTreeSet<String> = BTreeSet::new();
        for wanted in steps {
            fake.wanted.insert(type_url::ROUTE_CONFIGURATION.to_owned(), wanted.clone());
            let reaction = session.answer(response(type_url::LISTENER, &[]), &mut fake);
            for request in reaction.requests.iter().filter(|r| r.type_url == type_url::ROUTE_CONFIGURATION) {
                for name in &request.resource_names_unsubscribe {
                    prop_assert!(held.remove(name));
                }
                for name in &request.resource_names_subscribe {
                    prop_assert!(held.insert(name.clone()));
                }
            }
            prop_assert_eq!(&held, &wanted);
        }
    }
}
