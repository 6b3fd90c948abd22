//! NACKs.

use heddle_proto::envoy::service::discovery::v3::DiscoveryRequest;

use super::support::*;

#[test]
fn a_refused_version_is_reported_and_not_sent_again() {
    let mut stream = Stream::delta(&[(CDS, "a=1 b=1")]);
    stream.subscribe(CDS, &["*"]);
    assert_eq!(stream.nack_delta(CDS, "a: bad name\n"), NOTHING);
    assert_eq!(stream.events(), ["refused a: bad name"]);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "a=1 b=2")])),
        ["CDS +b"],
        "b was accepted, a is not tried again"
    );
    let refusals = &stream.session.state()[0].refusals;
    assert_eq!(refusals.len(), 1);
    assert_eq!(&*refusals[0].origin[0], "Origin a");
}

#[test]
fn another_version_of_a_refused_resource_is_sent_and_clears_the_refusal() {
    let mut stream = Stream::delta(&[(CDS, "a=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.nack_delta(CDS, "a: bad");
    stream.events();
    assert_eq!(stream.push(snapshot(&[(CDS, "a=2")])), ["CDS +a"]);
    assert_eq!(stream.events(), NOTHING, "not accepted yet");
    stream.ack_delta(CDS);
    assert_eq!(stream.events(), ["cleared a"]);
}

#[test]
fn a_refused_resource_that_never_came_needs_no_removal() {
    let mut stream = Stream::delta(&[(CDS, "a=1 b")]);
    stream.subscribe(CDS, &["*"]);
    stream.nack_delta(CDS, "a: bad");
    assert_eq!(stream.push(snapshot(&[(CDS, "b")])), NOTHING);
    assert_eq!(stream.events(), ["refused a: bad", "cleared a"]);
}

#[test]
fn a_refused_update_leaves_a_resource_that_is_removed_later() {
    let mut stream = Stream::delta(&[(CDS, "a=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    stream.push(snapshot(&[(CDS, "a=2")]));
    stream.nack_delta(CDS, "a: bad");
    assert_eq!(stream.push(snapshot(&[])), ["CDS -a"]);
}

#[test]
fn going_back_to_the_accepted_version_sends_nothing_and_clears_the_refusal() {
    let mut stream = Stream::delta(&[(CDS, "a=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    stream.push(snapshot(&[(CDS, "a=2")]));
    stream.nack_delta(CDS, "a: bad");
    assert_eq!(stream.push(snapshot(&[(CDS, "a=1")])), NOTHING);
    assert_eq!(stream.events(), ["refused a: bad", "cleared a"]);
}

#[test]
fn a_refusal_that_names_nothing_concerns_all_of_the_response() {
    let mut stream = Stream::delta(&[(CDS, "a=1 b=1")]);
    stream.subscribe(CDS, &["*"]);
    assert_eq!(stream.nack_delta(CDS, "no"), NOTHING);
    assert_eq!(stream.events(), ["refused a: no", "refused b: no"]);
    assert_eq!(stream.push(snapshot(&[(CDS, "a=2")])), ["CDS +a"]);
    assert_eq!(stream.ack_delta(CDS), ["CDS -b"], "the client may have it");
}

#[test]
fn what_a_refusal_leaves_unnamed_is_in_doubt_if_it_says_so() {
    let mut stream = Stream::delta(&[(CDS, "a=1 b=1")]);
    stream.subscribe(CDS, &["*"]);
    assert_eq!(
        stream.nack_delta(CDS, "Cluster a: bad; and 1 more"),
        NOTHING
    );
    assert_eq!(
        stream.events(),
        ["refused a: bad", "refused b: Cluster a: bad; and 1 more"]
    );
}

#[test]
fn asking_again_for_a_refused_resource_is_answered() {
    let mut stream = Stream::delta(&[(EDS, "a=1")]);
    stream.subscribe(EDS, &["a"]);
    stream.nack_delta(EDS, "a: bad");
    assert_eq!(stream.subscribe(EDS, &["a"]), ["EDS +a"]);
}

#[test]
fn only_error_detail_makes_a_refusal() {
    let mut stream = Stream::world(&[(CDS, "a")]);
    stream.want(CDS, &[]);
    let nonce = stream.nonce(CDS);
    let odd = DiscoveryRequest {
        version_info: "another".to_owned(),
        ..wanted(CDS, &[], &nonce)
    };
    assert_eq!(stream.send_world(odd), NOTHING);
    assert_eq!(stream.session.state()[0].counters.accepted, 1);
    assert_eq!(stream.events(), NOTHING);
}

#[test]
fn the_whole_world_keeps_the_last_good_version_of_a_refused_resource() {
    let mut stream = Stream::world(&[(CDS, "a=1 b=1")]);
    stream.want(CDS, &[]);
    stream.want(CDS, &[]);
    let good = stream.session.state()[0].counters.responses;
    assert_eq!(good, 1);
    stream.push(snapshot(&[(CDS, "a=2 b=1")]));
    assert_eq!(
        stream.nack_world(CDS, &[], "Error adding/updating cluster(s) a: bad"),
        NOTHING
    );
    stream.session.snapshot(snapshot(&[(CDS, "a=2 b=2")]));
    let responses = stream.session.poll(stream.now);
    let sent: Vec<_> = responses[0]
        .resources
        .iter()
        .map(|sent| (&*sent.name, sent.version.as_str()))
        .collect();
    let version = |name, content| {
        resource(CDS, name, content, heddle_snapshot::Scope::Nodes)
            .version
            .as_str()
            .to_owned()
    };
    assert_eq!(
        sent,
        [("a", &*version("a", "1")), ("b", &*version("b", "2"))]
    );
}

#[test]
fn a_refusal_does_not_hold_up_the_types_behind_it() {
    let mut stream = Stream::delta(&[(CDS, "a=1"), (RDS, "r=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    stream.subscribe(RDS, &["*"]);
    stream.ack_delta(RDS);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "a=2"), (RDS, "r=2")])),
        ["CDS +a"]
    );
    assert_eq!(stream.nack_delta(CDS, "a: bad"), ["RDS +r"]);
}

#[test]
fn a_refusal_with_a_stale_nonce_is_ignored() {
    let mut stream = Stream::delta(&[(CDS, "a=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    assert_eq!(stream.nack_delta(CDS, "a: bad"), NOTHING);
    assert_eq!(stream.events(), NOTHING);
}
