//! Where a client stands, as people ask for it.

use std::time::Duration;

use heddle_proto::{Message, google::protobuf::Any};
use heddle_snapshot::Resource;

use super::support::*;
use crate::session::{Progress, Running};

/// `"NAME HAS WANTS progress"`, with the contents; `-`: nothing, `?`: not known.
fn standings(stream: &Stream) -> Vec<String> {
    let content = |resource: &Resource| Any::decode(&*resource.body).unwrap().type_url;
    let show = |standing: crate::session::Standing| {
        let has = match &standing.running {
            Running::Nothing => "-".to_owned(),
            Running::Unknown => "?".to_owned(),
            Running::Version(version) => format!("version {version}"),
            Running::Resource(resource) => content(resource),
        };
        let wants = standing
            .wanted
            .as_deref()
            .map_or_else(|| "-".to_owned(), content);
        let progress = match standing.progress {
            Progress::Synced => "synced",
            Progress::NotSent => "not sent",
            Progress::Unanswered => "unanswered",
            Progress::Refused => "refused",
        };
        assert_eq!(
            standing.refusal.is_some(),
            standing.progress == Progress::Refused
        );
        format!("{} {has} {wants} {progress}", standing.name)
    };
    stream.session.standings().into_iter().map(show).collect()
}

#[test]
fn a_resource_goes_from_unanswered_to_synced() {
    let mut stream = Stream::delta(&[(CDS, "a=1")]);
    stream.subscribe(CDS, &["*"]);
    assert_eq!(standings(&stream), ["a - 1 unanswered"]);
    stream.ack_delta(CDS);
    assert_eq!(standings(&stream), ["a 1 1 synced"]);
}

#[test]
fn while_an_update_is_on_its_way_the_client_runs_the_old_and_what_comes_behind_is_not_sent() {
    let mut stream = Stream::delta(&[(CDS, "a=1"), (LDS, "l=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    stream.subscribe(LDS, &["*"]);
    stream.ack_delta(LDS);
    stream.push(snapshot(&[(CDS, "a=2"), (LDS, "l=2")]));
    assert_eq!(standings(&stream), ["a 1 2 unanswered", "l 1 2 not sent"]);
    // A third version while the second is unanswered: the newest is what is wanted.
    stream.push(snapshot(&[(CDS, "a=3"), (LDS, "l=3")]));
    assert_eq!(standings(&stream), ["a 1 3 not sent", "l 1 3 not sent"]);
}

#[test]
fn a_refused_update_leaves_the_old_running() {
    let mut stream = Stream::delta(&[(CDS, "a=1 b=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.ack_delta(CDS);
    stream.push(snapshot(&[(CDS, "a=2 b=2")]));
    stream.nack_delta(CDS, "a: bad");
    assert_eq!(standings(&stream), ["a 1 2 refused", "b 2 2 synced"]);
    stream.push(snapshot(&[(CDS, "a=1 b=2")]));
    assert_eq!(standings(&stream), ["a 1 1 synced", "b 2 2 synced"]);
}

#[test]
fn a_refusal_that_names_nothing_leaves_open_what_runs_of_several() {
    let mut stream = Stream::delta(&[(CDS, "a=1 b=1")]);
    stream.subscribe(CDS, &["*"]);
    stream.nack_delta(CDS, "no");
    assert_eq!(standings(&stream), ["a ? 1 refused", "b ? 1 refused"]);
}

#[test]
fn a_refusal_that_names_nothing_means_the_one_resource_of_its_response() {
    let mut stream = Stream::delta(&[(RDS, "a=1 b=1")]);
    stream.subscribe(RDS, &["a", "b"]);
    stream.ack_delta(RDS);
    stream.push(snapshot(&[(RDS, "a=2 b=1")]));
    // As Envoy says it.
    stream.nack_delta(RDS, "invalid perl operator: (?x");
    assert_eq!(standings(&stream), ["a 1 2 refused", "b 1 1 synced"]);
    stream.push(snapshot(&[(RDS, "a=1 b=1")]));
    assert_eq!(standings(&stream), ["a 1 1 synced", "b 1 1 synced"]);
}

#[test]
fn what_was_asked_for_and_is_not_there_is_listed_and_what_is_to_go_still_runs() {
    let mut stream = Stream::delta(&[(EDS, "a=1")]);
    stream.subscribe(EDS, &["a", "b"]);
    stream.ack_delta(EDS);
    assert_eq!(standings(&stream), ["a 1 1 synced", "b - - synced"]);
    stream.push(snapshot(&[]));
    assert_eq!(standings(&stream), ["a 1 - unanswered", "b - - synced"]);
    stream.ack_delta(EDS);
    assert_eq!(standings(&stream), ["a - - synced", "b - - synced"]);
}

#[test]
fn a_client_that_comes_back_runs_what_it_told_of() {
    let mut stream = Stream::delta(&[(CDS, "a=1")]);
    let mut request = subscription(CDS, &["*"], &[]);
    request
        .initial_resource_versions
        .insert("a".to_owned(), "old".to_owned());
    stream.send_delta(request);
    assert_eq!(standings(&stream), ["a version old 1 unanswered"]);
}

#[test]
fn the_oldest_unanswered_response_counts() {
    let mut stream = Stream::delta(&[(CDS, "a=1"), (LDS, "l=1")]);
    assert_eq!(stream.session.unanswered_for(stream.now), None);
    stream.subscribe(CDS, &["*"]);
    stream.wait(Duration::from_secs(7));
    stream.subscribe(LDS, &["*"]);
    let age = |stream: &Stream| stream.session.unanswered_for(stream.now);
    assert_eq!(age(&stream), Some(Duration::from_secs(7)));
    stream.ack_delta(CDS);
    assert_eq!(age(&stream), Some(Duration::ZERO));
    stream.ack_delta(LDS);
    assert_eq!(age(&stream), None);
}
