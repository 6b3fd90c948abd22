//! Candidates by hand, and two campaigns for one lease in memory.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    jiff::Timestamp,
};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::tests::server::{Fault, Server};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/heddle-system/leases/l";

fn candidate(name: &str) -> Candidate {
    Candidate::new(Settings::new(name))
}

fn lease(spec: LeaseSpec) -> Lease {
    Lease {
        spec: Some(spec),
        ..Lease::default()
    }
}

fn held_by(name: &str) -> Lease {
    let mut other = candidate(name);
    match other.look(None, Instant::now(), Timestamp::UNIX_EPOCH) {
        Move::Create(spec) => lease(spec),
        other => panic!("{other:?}"),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn without_a_lease_it_is_made_and_leads_only_once_it_is_written() {
    let (mut a, now) = (candidate("a"), Instant::now());
    let Move::Create(spec) = a.look(None, now, Timestamp::UNIX_EPOCH) else {
        panic!("not made");
    };
    assert_eq!(spec.holder_identity.as_deref(), Some("a"));
    assert_eq!(
        (spec.lease_duration_seconds, spec.lease_transitions),
        (Some(15), Some(0))
    );
    assert!(!a.leads(now));
    a.won(now);
    assert!(a.leads(now) && a.leads(now + seconds(9)));
    assert!(
        !a.leads(now + seconds(10)),
        "before anybody else may take it"
    );
}

#[test]
fn anothers_lease_is_left_alone_until_it_was_seen_unchanged_for_its_duration() {
    let (mut b, start) = (candidate("b"), Instant::now());
    let mut held = held_by("a");
    // Its times are those of another clock, and tell nothing.
    assert_eq!(b.look(Some(&held), start, Timestamp::now()), Move::Wait);
    assert_eq!(
        b.look(Some(&held), start + seconds(14), Timestamp::now()),
        Move::Wait
    );
    // A renewal begins it anew.
    held.spec.as_mut().unwrap().renew_time = None;
    assert_eq!(
        b.look(Some(&held), start + seconds(14), Timestamp::now()),
        Move::Wait
    );
    assert_eq!(
        b.look(Some(&held), start + seconds(28), Timestamp::now()),
        Move::Wait
    );
    let Move::Replace(spec) = b.look(Some(&held), start + seconds(29), Timestamp::now()) else {
        panic!("not taken");
    };
    assert_eq!(
        (spec.holder_identity.as_deref(), spec.lease_transitions),
        (Some("b"), Some(1))
    );
}

#[test]
fn a_duration_that_makes_no_sense_counts_as_ours() {
    for duration in [None, Some(-1), Some(0), Some(i32::MAX)] {
        let (mut b, start) = (candidate("b"), Instant::now());
        let mut held = held_by("a");
        held.spec.as_mut().unwrap().lease_duration_seconds = duration;
        assert_eq!(b.look(Some(&held), start, Timestamp::now()), Move::Wait);
        assert_eq!(
            b.look(Some(&held), start + seconds(14), Timestamp::now()),
            Move::Wait
        );
        assert_ne!(
            b.look(Some(&held), start + seconds(15), Timestamp::now()),
            Move::Wait
        );
    }
}

#[test]
fn a_renewal_keeps_when_and_how_often_it_was_taken() {
    let (mut a, now) = (candidate("a"), Instant::now());
    let held = held_by("a");
    let wall = Timestamp::from_second(1000).unwrap();
    let Move::Replace(spec) = a.look(Some(&held), now, wall) else {
        panic!("not renewed");
    };
    assert_eq!(spec.acquire_time, held.spec.as_ref().unwrap().acquire_time);
    assert_eq!(spec.renew_time.unwrap().0, wall);
    assert_eq!(spec.lease_transitions, Some(0));
}

#[test]
fn who_sees_another_holder_leads_no_more() {
    let (mut a, now) = (candidate("a"), Instant::now());
    a.look(None, now, Timestamp::now());
    a.won(now);
    a.look(Some(&held_by("b")), now, Timestamp::now());
    assert!(!a.leads(now));
}

#[test]
fn a_released_lease_is_free_at_once() {
    let a = candidate("a");
    let freed = a.release(&held_by("a"), Timestamp::now()).unwrap();
    assert_eq!(a.release(&held_by("b"), Timestamp::now()), None);
    let taken = candidate("b").look(Some(&lease(freed)), Instant::now(), Timestamp::now());
    assert!(matches!(taken, Move::Replace(spec) if spec.holder_identity.as_deref() == Some("b")));
}

fn run(server: &Server, name: &str) -> (Campaign, CancellationToken) {
    let stop = CancellationToken::new();
    let settings = Settings::new(name);
    let campaign = campaign(
        server.client(),
        "heddle-system",
        "l",
        settings,
        stop.clone(),
    );
    (campaign, stop)
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_the_other_follows_at_once_when_it_leaves() {
    let server = Server::new();
    let (mut a, stop) = run(&server, "a");
    a.leading.wait_for(|leads| *leads).await.unwrap();
    let (mut b, _) = run(&server, "b");
    tokio::time::sleep(seconds(60)).await;
    assert!(*a.leading.borrow() && !*b.leading.borrow());
    let left = Instant::now();
    stop.cancel();
    a.ended.await.unwrap();
    assert_eq!(server.get(PATH)["spec"].get("holderIdentity"), None);
    b.leading.wait_for(|leads| *leads).await.unwrap();
    assert!(left.elapsed() <= seconds(3));
    assert_eq!(server.get(PATH)["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_steps_down_before_another_takes_over() {
    let server = Server::new();
    let (mut a, _stop) = run(&server, "a");
    a.leading.wait_for(|leads| *leads).await.unwrap();
    let won = Instant::now();
    // From now on nothing is written any more.
    let faults = (0..1000).map(|_| ("PUT", Fault::Status(500)));
    server.state().faults.extend(faults);
    a.leading.wait_for(|leads| !*leads).await.unwrap();
    let lost = won.elapsed();
    assert!(lost <= seconds(10), "{lost:?}");
    server.state().faults.clear();
    a.leading.wait_for(|leads| *leads).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_costs_the_lead_in_time() {
    let server = Server::new();
    let (mut a, _stop) = run(&server, "a");
    a.leading.wait_for(|leads| *leads).await.unwrap();
    let won = Instant::now();
    let faults = (0..1000).map(|_| ("GET", Fault::Hang));
    server.state().faults.extend(faults);
    a.leading.wait_for(|leads| !*leads).await.unwrap();
    assert!(won.elapsed() <= seconds(10));
}

#[tokio::test(start_paused = true)]
async fn who_is_faster_wins_and_the_other_waits() {
    let server = Server::new();
    let other = json!({"holderIdentity": "b", "leaseDurationSeconds": 15});
    server.put(
        PATH,
        json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": ""}}),
    );
    server
        .state()
        .faults
        .push(("PUT", Fault::Write("spec", other)));
    let (a, _stop) = run(&server, "a");
    server.until(|server| server.count("PUT") == 1).await;
    tokio::time::sleep(seconds(10)).await;
    assert!(!*a.leading.borrow());
    assert_eq!(server.get(PATH)["spec"]["holderIdentity"], "b");
}
