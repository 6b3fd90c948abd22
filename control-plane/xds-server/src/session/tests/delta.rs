//! The incremental variant.

use std::{collections::HashMap, sync::Arc};

use heddle_proto::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use heddle_snapshot::Scope;

use super::support::*;
use crate::session::{Limits, NAME_COST, Variant, Violation};

/// A client that comes back and tells what it has.
fn returning(type_url: &str, subscribe: &[&str], has: &[(&str, &str)]) -> DeltaDiscoveryRequest {
    let has: HashMap<_, _> = has
        .iter()
        .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
        .collect();
    DeltaDiscoveryRequest {
        initial_resource_versions: has,
        ..subscription(type_url, subscribe, &[])
    }
}

fn version(name: &str, content: &str) -> String {
    resource(EDS, name, content, Scope::Nodes)
        .version
        .as_str()
        .to_owned()
}

#[test]
fn a_first_request_without_names_is_a_wildcard() {
    let mut stream = Stream::delta(&[(CDS, "a b")]);
    assert_eq!(stream.subscribe(CDS, &[]), ["CDS +a +b"]);
}

#[test]
fn a_later_request_without_names_is_none() {
    let mut stream = Stream::delta(&[(CDS, "a b")]);
    assert_eq!(stream.subscribe(CDS, &["a"]), ["CDS +a"]);
    assert_eq!(stream.ack_delta(CDS), NOTHING);
    assert_eq!(stream.subscribe(CDS, &[]), NOTHING);
}

#[test]
fn an_explicit_wildcard_and_names_may_be_mixed() {
    let mut stream = Stream::delta(&[(CDS, "a b")]);
    assert_eq!(stream.subscribe(CDS, &["*", "a"]), ["CDS +a +b"]);
    stream.ack_delta(CDS);
    assert_eq!(stream.unsubscribe(CDS, &["*"]), NOTHING);
    assert_eq!(stream.push(snapshot(&[(CDS, "a=2 b=2")])), ["CDS +a"]);
}

#[test]
fn the_first_wildcard_is_answered_even_if_there_is_nothing() {
    let mut stream = Stream::delta(&[]);
    assert_eq!(stream.subscribe(CDS, &["*"]), ["CDS"]);
    assert_eq!(stream.ack_delta(CDS), NOTHING);
}

#[test]
fn a_name_that_does_not_exist_is_told_at_once_and_sent_when_it_appears() {
    let mut stream = Stream::delta(&[(EDS, "a")]);
    assert_eq!(stream.subscribe(EDS, &["a", "later"]), ["EDS +a -later"]);
    stream.ack_delta(EDS);
    assert_eq!(stream.push(snapshot(&[(EDS, "a later")])), ["EDS +later"]);
}

#[test]
fn a_name_that_is_subscribed_again_is_answered_again() {
    let mut stream = Stream::delta(&[(EDS, "a b")]);
    assert_eq!(stream.subscribe(EDS, &["a", "b"]), ["EDS +a +b"]);
    stream.ack_delta(EDS);
    assert_eq!(stream.subscribe(EDS, &["a"]), ["EDS +a"]);
    stream.ack_delta(EDS);
    assert_eq!(stream.subscribe(EDS, &["missing"]), ["EDS -missing"]);
    stream.ack_delta(EDS);
    assert_eq!(stream.subscribe(EDS, &["missing"]), ["EDS -missing"]);
}

#[test]
fn nothing_is_sent_when_nothing_changed() {
    let mut stream = Stream::delta(&[(CDS, "a=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    assert_eq!(stream.push(snapshot(&[(CDS, "a=1")])), NOTHING);
}

#[test]
fn only_the_changed_and_the_removed_are_told() {
    let mut stream = Stream::delta(&[(CDS, "a=1 b=1 c=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    assert_eq!(stream.push(snapshot(&[(CDS, "a=1 b=2")])), ["CDS +b"]);
    assert_eq!(stream.ack_delta(CDS), ["CDS -c"]);
    assert_eq!(stream.ack_delta(CDS), NOTHING);
}

#[test]
fn subscriptions_count_even_with_a_stale_nonce() {
    let mut stream = Stream::delta(&[(EDS, "a b")]);
    stream.subscribe(EDS, &["a"]);
    stream.ack_delta(EDS);
    let stale = DeltaDiscoveryRequest {
        response_nonce: "77".to_owned(),
        ..subscription(EDS, &["b"], &[])
    };
    assert_eq!(stream.send_delta(stale), ["EDS +b"]);
}

#[test]
fn a_stale_nonce_is_no_acknowledgement() {
    let mut stream = Stream::delta(&[(EDS, "a b")]);
    stream.subscribe(EDS, &["a"]);
    let stale = DeltaDiscoveryRequest {
        response_nonce: "77".to_owned(),
        ..subscription(EDS, &["b"], &[])
    };
    assert_eq!(
        stream.send_delta(stale),
        NOTHING,
        "the first response is unanswered"
    );
    assert_eq!(stream.ack_delta(EDS), ["EDS +b"]);
}

#[test]
fn an_acknowledgement_may_change_the_subscription() {
    let mut stream = Stream::delta(&[(EDS, "a b")]);
    stream.subscribe(EDS, &["a"]);
    let both = DeltaDiscoveryRequest {
        response_nonce: stream.nonce(EDS),
        ..subscription(EDS, &["b"], &["a"])
    };
    assert_eq!(stream.send_delta(both), ["EDS +b"]);
    stream.ack_delta(EDS);
    assert_eq!(stream.push(snapshot(&[(EDS, "a=2 b")])), NOTHING);
}

#[test]
fn an_unsubscribed_name_needs_no_answer_and_gets_no_updates() {
    let mut stream = Stream::delta(&[(EDS, "a")]);
    stream.subscribe(EDS, &["a"]);
    stream.ack_delta(EDS);
    assert_eq!(stream.unsubscribe(EDS, &["a", "phantom"]), NOTHING);
    assert_eq!(stream.push(snapshot(&[(EDS, "a=2")])), NOTHING);
}

#[test]
fn a_name_that_the_wildcard_still_covers_is_answered_when_it_is_unsubscribed() {
    let mut stream = Stream::delta(&[(CDS, "a b")]);
    stream.subscribe(CDS, &["*", "a", "missing"]);
    stream.ack_delta(CDS);
    assert_eq!(
        stream.unsubscribe(CDS, &["a", "missing"]),
        ["CDS +a -missing"]
    );
}

#[test]
fn a_client_that_comes_back_gets_only_what_it_does_not_have() {
    let mut stream = Stream::delta(&[(EDS, "same=1 changed=2 new=1")]);
    let has = [
        ("same", &*version("same", "1")),
        ("changed", &*version("changed", "1")),
        ("gone", "0"),
    ];
    assert_eq!(
        stream.send_delta(returning(EDS, &["*"], &has)),
        ["EDS +changed +new"]
    );
    assert_eq!(stream.ack_delta(EDS), ["EDS -gone"]);
}

#[test]
fn a_client_that_comes_back_with_names_is_told_what_is_gone() {
    let mut stream = Stream::delta(&[(EDS, "same=1")]);
    let has = [
        ("same", &*version("same", "1")),
        ("gone", "0"),
        ("not wanted", "0"),
    ];
    assert_eq!(
        stream.send_delta(returning(EDS, &["same", "gone"], &has)),
        ["EDS -gone"]
    );
}

#[test]
fn versions_that_a_client_tells_later_do_not_count() {
    let mut stream = Stream::delta(&[(EDS, "a=1 b=1")]);
    stream.subscribe(EDS, &["a"]);
    stream.ack_delta(EDS);
    let has = [("b", &*version("b", "1"))];
    assert_eq!(stream.send_delta(returning(EDS, &["b"], &has)), ["EDS +b"]);
}

#[test]
fn an_up_to_date_client_that_comes_back_gets_an_empty_answer() {
    let mut stream = Stream::delta(&[(EDS, "a=1")]);
    let has = [("a", &*version("a", "1"))];
    assert_eq!(stream.send_delta(returning(EDS, &["*"], &has)), ["EDS"]);
}

#[test]
fn an_unknown_type_is_ignored() {
    let mut stream = Stream::delta(&[(CDS, "a")]);
    assert_eq!(
        stream.subscribe("type.googleapis.com/foreign.Thing", &["*"]),
        NOTHING
    );
    assert_eq!(stream.subscribe("", &[]), NOTHING);
    assert_eq!(stream.subscribe(CDS, &["*"]), ["CDS +a"]);
}

#[test]
fn while_a_response_is_unanswered_changes_are_merged_and_the_newest_wins() {
    let mut stream = Stream::delta(&[(EDS, "a=1")]);
    stream.subscribe(EDS, &["*"]);
    assert_eq!(stream.push(snapshot(&[(EDS, "a=2 passing")])), NOTHING);
    assert_eq!(stream.push(snapshot(&[(EDS, "a=3 b")])), NOTHING);
    assert_eq!(stream.ack_delta(EDS), ["EDS +a +b"]);
    assert_eq!(
        stream.ack_delta(EDS),
        NOTHING,
        "what only passed by was never told"
    );
}

#[test]
fn a_change_that_is_taken_back_meanwhile_is_not_told() {
    let mut stream = Stream::delta(&[(EDS, "a=1")]);
    stream.subscribe(EDS, &["*"]);
    stream.push(snapshot(&[(EDS, "a=2")]));
    stream.push(snapshot(&[(EDS, "a=1")]));
    assert_eq!(stream.ack_delta(EDS), NOTHING);
}

#[test]
fn a_client_sees_only_its_view() {
    let base = snapshot(&[(LDS, "all")]);
    let pods = [
        ("mine", Scope::Node("node-a".into())),
        ("other", Scope::Node("node-b".into())),
        ("shop", Scope::NodesWithNamespace("shop".into())),
    ];
    let mut stream = Stream::new(Variant::Delta, scoped(&base, LDS, &pods, &[]));
    assert_eq!(
        stream.subscribe(LDS, &["*", "other"]),
        ["LDS +all +mine -other"]
    );
    stream.ack_delta(LDS);
    assert_eq!(
        stream.push(scoped(&base, LDS, &pods, &["shop"])),
        ["LDS +shop"]
    );
    stream.ack_delta(LDS);
    assert_eq!(stream.push(scoped(&base, LDS, &pods, &[])), ["LDS -shop"]);
}

#[test]
fn a_large_change_is_told_in_several_responses_below_the_limit() {
    let size = resource(EDS, "a", "1", Scope::Nodes).delta.len();
    let limits = Limits {
        response_bytes: 2 * size,
        ..Limits::default()
    };
    let mut stream = Stream::with_limits(
        Variant::Delta,
        snapshot(&[(EDS, "a=1 b=1 c=1 d=1 e=1")]),
        limits,
    );
    assert_eq!(stream.subscribe(EDS, &["*"]), ["EDS +a +b"]);
    assert_eq!(stream.ack_delta(EDS), ["EDS +c +d"]);
    assert_eq!(stream.ack_delta(EDS), ["EDS +e"]);
    assert_eq!(stream.ack_delta(EDS), NOTHING);
}

#[test]
fn too_many_names_too_long_names_and_too_many_requests_end_the_stream() {
    let limits = Limits {
        names: 2,
        name_length: 5,
        burst: 10,
        requests_per_second: 1,
        ..Limits::default()
    };
    let mut stream = Stream::with_limits(Variant::Delta, snapshot(&[]), limits);
    stream.subscribe(EDS, &["a", "b"]);
    stream.subscribe(EDS, &["a", "b"]);
    let (session, now) = (&mut stream.session, stream.now);
    let names = violation(session, &subscription(EDS, &["c"], &[]), now);
    assert_eq!(
        names,
        Violation::Names {
            type_url: EDS.to_owned(),
            limit: 2
        }
    );
    let long = violation(session, &subscription(EDS, &["longer"], &[]), now);
    assert_eq!(
        long,
        Violation::NameLength {
            length: 6,
            limit: 5
        }
    );
    for _ in 0..6 {
        session.delta(&subscription("?", &[], &[]), now).unwrap();
    }
    assert_eq!(
        violation(session, &subscription("?", &[], &[]), now),
        Violation::Rate(1)
    );
}

#[test]
fn the_names_of_all_types_together_are_bounded_and_dropping_some_makes_room() {
    let limits = Limits {
        name_bytes: 3 * (NAME_COST + 1),
        ..Limits::default()
    };
    let mut stream = Stream::with_limits(Variant::Delta, snapshot(&[]), limits);
    stream.subscribe(EDS, &["a", "b"]);
    stream.subscribe(EDS, &["a"]);
    stream.subscribe(RDS, &["c"]);
    stream.unsubscribe(EDS, &["a"]);
    stream.subscribe(RDS, &["d"]);
    let request = subscription(CDS, &["e"], &[]);
    let limit = 3 * (NAME_COST + 1);
    assert_eq!(
        violation(&mut stream.session, &request, stream.now),
        Violation::NameBytes { limit }
    );
}

#[test]
fn names_that_come_and_go_in_one_request_cost_no_more_than_their_number() {
    let mut stream = Stream::delta(&[]);
    let names: Vec<String> = (0..100_000).map(|name| name.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Were each compared with each, this would take minutes.
    let sent = stream.send_delta(subscription(EDS, &names, &names));
    assert_eq!(sent, NOTHING);
}

#[test]
fn a_name_that_exists_is_held_once_for_all_clients() {
    let mut stream = Stream::delta(&[(EDS, "a=1")]);
    stream.subscribe(EDS, &["a", "never"]);
    let mut kept = stream
        .session
        .types
        .values()
        .flat_map(|of| of.subscription.names.iter());
    let (known, _) = stream.session.pinned.types[EDS].get_key_value("a").unwrap();
    assert!(Arc::ptr_eq(kept.next().unwrap(), known));
    assert_eq!(&**kept.next().unwrap(), "never");
}
