//! The state-of-the-world variant.

use heddle_proto::envoy::service::discovery::v3::DiscoveryRequest;

use super::support::*;

#[test]
fn clusters_without_names_are_a_wildcard_and_come_as_a_whole() {
    let mut stream = Stream::world(&[(CDS, "a=1 b=1")]);
    assert_eq!(stream.want(CDS, &[]), ["CDS +a +b"]);
    assert_eq!(stream.want(CDS, &[]), NOTHING);
    assert_eq!(stream.push(snapshot(&[(CDS, "a=2 b=1")])), ["CDS +a +b"]);
}

#[test]
fn what_is_absent_from_clusters_and_listeners_is_deleted() {
    let mut stream = Stream::world(&[(CDS, "a b")]);
    stream.want(CDS, &[]);
    stream.want(CDS, &[]);
    assert_eq!(stream.push(snapshot(&[(CDS, "b")])), ["CDS +b"]);
    stream.want(CDS, &[]);
    assert_eq!(stream.push(snapshot(&[])), ["CDS"]);
}

#[test]
fn a_removal_waits_until_the_additions_are_accepted() {
    let mut stream = Stream::world(&[(CDS, "old keep")]);
    stream.want(CDS, &[]);
    stream.want(CDS, &[]);
    assert_eq!(
        stream.push(snapshot(&[(CDS, "keep new")])),
        ["CDS +keep +new +old"]
    );
    assert_eq!(stream.want(CDS, &[]), ["CDS +keep +new"]);
    assert_eq!(stream.want(CDS, &[]), NOTHING);
}

#[test]
fn the_first_wildcard_is_answered_even_if_there_is_nothing() {
    let mut stream = Stream::world(&[]);
    assert_eq!(stream.want(LDS, &[]), ["LDS"]);
}

#[test]
fn an_empty_list_after_names_means_nothing() {
    let mut stream = Stream::world(&[(CDS, "a b")]);
    assert_eq!(stream.want(CDS, &["a"]), ["CDS +a"]);
    assert_eq!(stream.want(CDS, &[]), NOTHING);
    assert_eq!(stream.push(snapshot(&[(CDS, "a=2 b=2")])), NOTHING);
}

#[test]
fn an_explicit_wildcard_counts_as_a_name_for_later_empty_lists() {
    let mut stream = Stream::world(&[(CDS, "a")]);
    assert_eq!(stream.want(CDS, &["*"]), ["CDS +a"]);
    assert_eq!(stream.want(CDS, &[]), NOTHING);
    assert_eq!(stream.push(snapshot(&[(CDS, "a=2")])), NOTHING);
}

#[test]
fn dropping_the_wildcard_keeps_the_names() {
    let mut stream = Stream::world(&[(EDS, "a b")]);
    assert_eq!(stream.want(EDS, &["*", "a"]), ["EDS +a +b"]);
    assert_eq!(stream.want(EDS, &["a"]), NOTHING);
    assert_eq!(stream.push(snapshot(&[(EDS, "a=2 b=2")])), ["EDS +a"]);
}

#[test]
fn endpoints_come_one_by_one_and_are_never_deleted() {
    let mut stream = Stream::world(&[(EDS, "a=1 b=1")]);
    assert_eq!(stream.want(EDS, &["a", "b"]), ["EDS +a +b"]);
    stream.want(EDS, &["a", "b"]);
    assert_eq!(stream.push(snapshot(&[(EDS, "a=2 b=1")])), ["EDS +a"]);
    stream.want(EDS, &["a", "b"]);
    assert_eq!(stream.push(snapshot(&[(EDS, "a=2")])), NOTHING);
}

#[test]
fn a_name_that_does_not_exist_yet_is_sent_when_it_appears() {
    let mut stream = Stream::world(&[]);
    assert_eq!(stream.want(EDS, &["later"]), NOTHING);
    assert_eq!(stream.push(snapshot(&[(EDS, "later")])), ["EDS +later"]);
}

#[test]
fn newly_added_names_are_sent_even_if_they_were_sent_before() {
    let mut stream = Stream::world(&[(EDS, "a b")]);
    stream.want(EDS, &["a", "b"]);
    assert_eq!(stream.want(EDS, &["a"]), NOTHING);
    assert_eq!(stream.want(EDS, &["a", "b"]), ["EDS +b"]);
}

#[test]
fn a_listener_that_is_added_by_name_comes_with_all_others() {
    let mut stream = Stream::world(&[(LDS, "a b c")]);
    assert_eq!(stream.want(LDS, &["a"]), ["LDS +a"]);
    assert_eq!(stream.want(LDS, &["a", "b"]), ["LDS +a +b"]);
}

#[test]
fn a_request_with_a_stale_nonce_is_not_answered() {
    let mut stream = Stream::world(&[(EDS, "a=1 b=1")]);
    stream.want(EDS, &["a"]);
    let first = stream.nonce(EDS);
    stream.want(EDS, &["a"]);
    assert_eq!(stream.push(snapshot(&[(EDS, "a=2 b=1")])), ["EDS +a"]);
    assert_eq!(stream.send_world(wanted(EDS, &["a", "b"], &first)), NOTHING);
    assert_eq!(
        stream.want(EDS, &["a", "b"]),
        ["EDS +b"],
        "the answer to the last one brings the names again"
    );
}

#[test]
fn an_acknowledgement_may_change_the_subscription() {
    let mut stream = Stream::world(&[(EDS, "a b")]);
    assert_eq!(stream.want(EDS, &["a"]), ["EDS +a"]);
    assert_eq!(stream.want(EDS, &["a", "b"]), ["EDS +b"]);
}

#[test]
fn several_requests_may_get_one_response() {
    let mut stream = Stream::world(&[(EDS, "a b c")]);
    let nonce = stream.nonce(EDS);
    for names in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
        stream
            .session
            .state_of_the_world(&wanted(EDS, names, &nonce), stream.now)
            .unwrap();
    }
    assert_eq!(stream.sent(), ["EDS +a +b +c"]);
}

#[test]
fn the_first_request_of_a_stream_is_answered_whatever_version_it_tells() {
    let mut stream = Stream::world(&[(CDS, "a")]);
    let mut version = String::new();
    for response in {
        stream
            .session
            .state_of_the_world(&wanted(CDS, &[], ""), stream.now)
            .unwrap();
        stream.session.poll(stream.now)
    } {
        version = response.version();
    }
    let mut again = Stream::world(&[(CDS, "a")]);
    let request = DiscoveryRequest {
        version_info: version,
        ..wanted(CDS, &[], "")
    };
    assert_eq!(again.send_world(request), ["CDS +a"]);
}

#[test]
fn a_response_version_changes_if_and_only_if_its_content_does() {
    let version = |types| {
        let mut stream = Stream::world(types);
        stream
            .session
            .state_of_the_world(&wanted(CDS, &[], ""), stream.now)
            .unwrap();
        stream.session.poll(stream.now)[0].version()
    };
    assert_eq!(version(&[(CDS, "a=1 b=1")]), version(&[(CDS, "b=1 a=1")]));
    assert_ne!(version(&[(CDS, "a=1 b=1")]), version(&[(CDS, "a=1 b=2")]));
    assert_ne!(version(&[(CDS, "a=1 b=1")]), version(&[(CDS, "a=1")]));
}

#[test]
fn an_unknown_type_is_ignored() {
    let mut stream = Stream::world(&[(CDS, "a")]);
    assert_eq!(
        stream.want("type.googleapis.com/foreign.Thing", &[]),
        NOTHING
    );
    assert_eq!(stream.want(CDS, &[]), ["CDS +a"]);
}
