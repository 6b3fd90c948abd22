//! Make before break.

use std::time::Duration;

use super::support::*;
use crate::session::Variant;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A delta client that has all types, and has accepted all.
fn settled(types: &[(heddle_snapshot::TypeUrl, &str)]) -> Stream {
    let mut stream = Stream::new(Variant::Delta, snapshot(types));
    for type_url in [CDS, EDS, LDS, RDS] {
        stream.subscribe(type_url, &["*"]);
        while !stream.ack_delta(type_url).is_empty() {}
    }
    assert_eq!(stream.sent(), NOTHING);
    stream
}

#[test]
fn a_change_goes_type_by_type_each_after_the_acknowledgement_of_the_one_before() {
    let mut stream = settled(&[(CDS, "a=1"), (EDS, "a=1"), (LDS, "a=1"), (RDS, "a=1")]);
    let next = snapshot(&[(CDS, "a=2"), (EDS, "a=2"), (LDS, "a=2"), (RDS, "a=2")]);
    // But for endpoints: an Envoy does not answer for a cluster without them.
    assert_eq!(stream.push(next), ["CDS +a", "EDS +a"]);
    assert_eq!(stream.sent(), NOTHING);
    assert_eq!(stream.ack_delta(EDS), NOTHING);
    assert_eq!(stream.ack_delta(CDS), ["LDS +a"]);
    assert_eq!(stream.ack_delta(LDS), ["RDS +a"]);
    assert_eq!(stream.ack_delta(RDS), NOTHING);
}

#[test]
fn removals_come_last_and_in_reverse() {
    let mut stream = settled(&[
        (CDS, "old"),
        (EDS, "old"),
        (LDS, "old"),
        (RDS, "old keep=1"),
    ]);
    let next = snapshot(&[(CDS, "new"), (RDS, "keep=2")]);
    assert_eq!(stream.push(next), ["CDS +new"]);
    assert_eq!(stream.ack_delta(CDS), ["RDS +keep"]);
    assert_eq!(stream.ack_delta(RDS), ["LDS -old"]);
    assert_eq!(stream.ack_delta(LDS), ["RDS -old"]);
    assert_eq!(stream.ack_delta(RDS), ["CDS -old"]);
    assert_eq!(stream.ack_delta(CDS), ["EDS -old"]);
    assert_eq!(stream.ack_delta(EDS), NOTHING);
}

#[test]
fn a_silent_client_holds_up_other_types_only_for_a_while() {
    let mut stream = settled(&[(CDS, "a=1"), (RDS, "a=1")]);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "a=2"), (RDS, "a=2")])),
        ["CDS +a"]
    );
    assert_eq!(
        stream.session.deadline(stream.now),
        Some(stream.now + TIMEOUT)
    );
    assert_eq!(stream.wait(TIMEOUT - Duration::from_millis(1)), NOTHING);
    assert_eq!(stream.wait(Duration::from_millis(1)), ["RDS +a"]);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "a=3"), (RDS, "a=2")])),
        NOTHING
    );
    assert_eq!(
        stream.wait(TIMEOUT),
        NOTHING,
        "never two unanswered responses of one type"
    );
    assert_eq!(stream.session.deadline(stream.now), None);
    assert_eq!(
        stream.ack_delta(CDS),
        ["CDS +a"],
        "the late answer frees its type"
    );
}

#[test]
fn a_change_under_way_is_finished_before_the_newest_begins() {
    let mut stream = settled(&[(CDS, "a=1"), (RDS, "a=1")]);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "a=2"), (RDS, "a=2")])),
        ["CDS +a"]
    );
    // A route to a cluster that the client has not been told of must not overtake that cluster.
    assert_eq!(
        stream.push(snapshot(&[(CDS, "a=2 b"), (RDS, "a=to-b")])),
        NOTHING
    );
    assert_eq!(stream.ack_delta(CDS), ["RDS +a"]);
    assert_eq!(stream.ack_delta(RDS), ["CDS +b"]);
    assert_eq!(stream.ack_delta(CDS), ["RDS +a"]);
}

#[test]
fn the_endpoints_of_a_changed_cluster_are_sent_again() {
    let mut stream = settled(&[(CDS, "a=1 b=1"), (EDS, "a=1 b=1")]);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "a=2 b=1"), (EDS, "a=1 b=1")])),
        ["CDS +a", "EDS +a"]
    );
    assert_eq!(stream.ack_delta(CDS), NOTHING);
    assert_eq!(stream.ack_delta(EDS), NOTHING);
}

#[test]
fn an_envoy_that_answers_for_a_new_cluster_only_when_it_has_endpoints_gets_them() {
    let mut stream = Stream::delta(&[(CDS, "a"), (EDS, "a"), (RDS, "r=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    stream.subscribe(EDS, &["a"]);
    stream.ack_delta(EDS);
    stream.subscribe(RDS, &["r"]);
    stream.ack_delta(RDS);
    let next = snapshot(&[(CDS, "a b"), (EDS, "a b"), (RDS, "r=2")]);
    assert_eq!(stream.push(next), ["CDS +b"]);
    assert_eq!(stream.subscribe(EDS, &["b"]), ["EDS +b"]);
    assert_eq!(stream.ack_delta(EDS), NOTHING);
    assert_eq!(stream.ack_delta(CDS), ["RDS +r"]);
}

#[test]
fn the_endpoints_of_a_changed_cluster_are_sent_again_to_a_state_of_the_world_client() {
    let mut stream = Stream::world(&[(CDS, "a=1 b=1"), (EDS, "a=1 b=1")]);
    assert_eq!(stream.want(CDS, &[]), ["CDS +a +b"]);
    stream.want(CDS, &[]);
    assert_eq!(stream.want(EDS, &["a", "b"]), ["EDS +a +b"]);
    stream.want(EDS, &["a", "b"]);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "a=2 b=1"), (EDS, "a=1 b=1")])),
        ["CDS +a +b", "EDS +a"]
    );
    assert_eq!(stream.want(CDS, &[]), NOTHING);
}

#[test]
fn routes_to_a_new_cluster_wait_until_the_client_has_its_endpoints() {
    let mut stream = Stream::delta(&[(CDS, "a"), (EDS, "a"), (RDS, "r=to-a")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    stream.subscribe(EDS, &["a"]);
    stream.ack_delta(EDS);
    stream.subscribe(RDS, &["r"]);
    stream.ack_delta(RDS);
    let next = snapshot(&[(CDS, "a b"), (EDS, "a b"), (RDS, "r=to-b")]);
    assert_eq!(stream.push(next), ["CDS +b"]);
    assert_eq!(
        stream.ack_delta(CDS),
        NOTHING,
        "the client is about to ask for the endpoints"
    );
    assert_eq!(stream.subscribe(EDS, &["b"]), ["EDS +b"]);
    assert_eq!(stream.ack_delta(EDS), ["RDS +r"]);
}

#[test]
fn a_client_that_never_asks_for_the_endpoints_gets_the_routes_nevertheless() {
    let mut stream = Stream::delta(&[(CDS, "a"), (EDS, "a"), (RDS, "r=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    stream.subscribe(EDS, &["a"]);
    stream.ack_delta(EDS);
    stream.subscribe(RDS, &["r"]);
    stream.ack_delta(RDS);
    stream.push(snapshot(&[(CDS, "a b"), (EDS, "a b"), (RDS, "r=2")]));
    assert_eq!(stream.ack_delta(CDS), NOTHING);
    assert_eq!(
        stream.session.deadline(stream.now),
        Some(stream.now + TIMEOUT)
    );
    assert_eq!(stream.wait(TIMEOUT), ["RDS +r"]);
}

#[test]
fn an_endpoint_change_is_one_resource_and_goes_out_at_once() {
    let mut stream = settled(&[(CDS, "a b"), (EDS, "a=1 b=1"), (RDS, "r")]);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "a b"), (EDS, "a=1 b=2"), (RDS, "r")])),
        ["EDS +b"]
    );
}

#[test]
fn a_state_of_the_world_client_loses_a_cluster_only_after_it_accepted_the_routes() {
    let mut stream = Stream::world(&[(CDS, "old"), (RDS, "r=to-old")]);
    stream.want(CDS, &[]);
    stream.want(CDS, &[]);
    stream.want(RDS, &["r"]);
    stream.want(RDS, &["r"]);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "new"), (RDS, "r=to-new")])),
        ["CDS +new +old"]
    );
    assert_eq!(stream.want(CDS, &[]), ["RDS +r"]);
    assert_eq!(stream.want(RDS, &["r"]), ["CDS +new"]);
    assert_eq!(stream.want(CDS, &[]), NOTHING);
}
