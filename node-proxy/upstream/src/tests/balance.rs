//! The choice of an endpoint; no clock, no chance.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use heddle_config::{Endpoint, EndpointHealth};

use crate::{
    balance::{Balancer, EndpointLoad},
    ewma::PeakEwma,
    rest::Rest,
};

fn address(n: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], n))
}

fn endpoint(n: u16, weight: u32, health: EndpointHealth) -> Endpoint {
    Endpoint {
        address: address(n),
        health,
        hostname: None,
        weight,
    }
}

fn balancer(endpoints: &[Endpoint]) -> (Balancer, HashMap<SocketAddr, Arc<EndpointLoad>>) {
    let mut loads = HashMap::new();
    let balancer = Balancer::new(endpoints, |address| {
        let load = Arc::<EndpointLoad>::default();
        loads.insert(address, load.clone());
        load
    });
    (balancer, loads)
}

fn healthy(weights: &[u32]) -> (Balancer, HashMap<SocketAddr, Arc<EndpointLoad>>) {
    let endpoints: Vec<_> = (1..)
        .zip(weights)
        .map(|(n, weight)| endpoint(n, *weight, EndpointHealth::Healthy))
        .collect();
    balancer(&endpoints)
}

/// Numbers spread evenly over the whole range.
fn numbers(count: u64) -> impl Iterator<Item = u64> {
    // The golden ratio: both halves of each number are spread, and not alike.
    (0..count).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn shares(balancer: &Balancer, now: Instant) -> HashMap<u16, u32> {
    let mut shares = HashMap::new();
    for random in numbers(10_000) {
        let chosen = balancer.pick(&[], now, random).expect("an endpoint");
        *shares.entry(chosen.address.port()).or_default() += 1;
    }
    shares
}

#[test]
fn draining_endpoints_are_chosen_only_if_none_is_healthy() {
    use EndpointHealth::{Draining, Healthy};
    let now = Instant::now();
    let (mixed, _) = balancer(&[
        endpoint(1, 1, Draining),
        endpoint(2, 1, Healthy),
        endpoint(3, 1, Draining),
    ]);
    assert_eq!(shares(&mixed, now), HashMap::from([(2, 10_000)]));
    assert!(
        mixed.pick(&[address(2)], now, 0).is_none(),
        "not even as a second try"
    );
    let (draining, _) = balancer(&[endpoint(1, 1, Draining), endpoint(2, 1, Draining)]);
    assert_eq!(shares(&draining, now).len(), 2);
}

#[test]
fn nothing_to_choose_from_is_no_choice() {
    let (none, _) = balancer(&[]);
    assert!(none.pick(&[], Instant::now(), u64::MAX).is_none());
}

#[test]
fn a_lone_endpoint_is_always_chosen() {
    let (one, _) = healthy(&[7]);
    assert_eq!(shares(&one, Instant::now()), HashMap::from([(1, 10_000)]));
}

#[test]
fn weights_are_kept_among_the_equally_busy() {
    let (weighted, _) = healthy(&[1, 2, 7]);
    let shares = shares(&weighted, Instant::now());
    for (port, wanted) in [(1, 1000), (2, 2000), (3, 7000)] {
        assert!(shares[&port].abs_diff(wanted) < 50, "{shares:?}");
    }
}

#[test]
fn the_two_that_are_drawn_are_never_the_same() {
    let (three, loads) = healthy(&[1, 5, 1]);
    let now = Instant::now();
    let _busy = loads[&address(2)].begin();
    // Number 2 is busier than either other, so it would win only against itself.
    assert!(!shares(&three, now).contains_key(&2));
}

#[test]
fn the_one_with_less_pending_is_chosen_of_two() {
    let (two, loads) = healthy(&[1, 1]);
    let now = Instant::now();
    let pending = loads[&address(1)].begin();
    assert_eq!(shares(&two, now), HashMap::from([(2, 10_000)]));
    drop(pending);
    assert_eq!(shares(&two, now).len(), 2);
}

#[test]
fn a_slow_endpoint_gets_less_until_the_fast_one_has_much_pending() {
    let (two, loads) = healthy(&[1, 1]);
    let now = Instant::now();
    loads[&address(1)].observe(now, Duration::from_millis(10));
    loads[&address(2)].observe(now, Duration::from_millis(1));
    assert_eq!(shares(&two, now), HashMap::from([(2, 10_000)]));
    let _pending: Vec<_> = (0..10).map(|_| loads[&address(2)].begin()).collect();
    assert_eq!(shares(&two, now), HashMap::from([(1, 10_000)]));
}

#[test]
fn a_new_endpoint_is_neither_flooded_nor_starved() {
    let (two, loads) = healthy(&[1, 1]);
    let now = Instant::now();
    loads[&address(1)].observe(now, Duration::from_millis(3));
    let shares = shares(&two, now);
    assert!(shares[&1].abs_diff(5000) < 100, "{shares:?}");
}

#[test]
fn a_failed_endpoint_is_left_alone_and_tried_again_later() {
    let (two, loads) = healthy(&[1, 1]);
    let begin = Instant::now();
    loads[&address(1)].fail(begin);
    loads[&address(2)].observe(begin, Duration::from_millis(10));
    assert_eq!(shares(&two, begin), HashMap::from([(2, 10_000)]));
    let later = begin + Duration::from_secs(60);
    loads[&address(2)].observe(later, Duration::from_millis(10));
    assert_eq!(shares(&two, later), HashMap::from([(1, 10_000)]));
}

#[test]
fn an_endpoint_that_could_not_be_connected_rests_however_busy_the_others_are() {
    let (three, loads) = healthy(&[1, 1, 1]);
    let begin = Instant::now();
    // Before the others were ever measured, and with much pending on them.
    loads[&address(1)].fail_to_connect(begin);
    let _pending: Vec<_> = (0..5_000)
        .flat_map(|_| [loads[&address(2)].begin(), loads[&address(3)].begin()])
        .collect();
    assert!(!shares(&three, begin).contains_key(&1));
    let later = begin + Duration::from_millis(1100);
    assert!(shares(&three, later).contains_key(&1));
}

#[test]
fn of_many_endpoints_the_one_that_does_not_rest_is_found() {
    let (five, loads) = healthy(&[1, 1, 1, 1, 1]);
    let now = Instant::now();
    for n in 1..5 {
        loads[&address(n)].fail_to_connect(now);
    }
    assert_eq!(shares(&five, now), HashMap::from([(5, 10_000)]));
    // Not even then is nobody asked.
    loads[&address(5)].fail_to_connect(now);
    assert_eq!(shares(&five, now).len(), 5);
    let second = five.pick(&[address(5)], now, 0).expect("an endpoint");
    assert_ne!(second.address, address(5));
}

#[test]
fn rests_grow_from_one_second_to_thirty_and_an_answer_ends_them() {
    let mut now = Instant::now();
    let mut rest = Rest::default();
    let mut lengths = Vec::new();
    for _ in 0..40 {
        rest.begin(now);
        let begun = now;
        // What fails meanwhile had begun before.
        rest.begin(now);
        while rest.lasts(now) {
            now += Duration::from_millis(500);
        }
        lengths.push((now - begun).as_secs());
    }
    assert_eq!(lengths[..7], [1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(lengths[39], 30);

    let (two, loads) = healthy(&[1, 1]);
    loads[&address(1)].fail_to_connect(now);
    assert_eq!(shares(&two, now), HashMap::from([(2, 10_000)]));
    loads[&address(1)].observe(now, Duration::from_millis(1));
    assert_eq!(shares(&two, now).len(), 2);
}

#[test]
fn each_endpoint_is_tried_once() {
    let (three, _) = healthy(&[1, 1, 1]);
    let now = Instant::now();
    for random in numbers(100) {
        let mut tried = Vec::new();
        while let Some(chosen) = three.pick(&tried, now, random) {
            assert!(!tried.contains(&chosen.address));
            tried.push(chosen.address);
        }
        assert_eq!(tried.len(), 3);
    }
}

#[test]
fn latency_rises_at_once_and_falls_slowly() {
    let now = Instant::now();
    let mut ewma = PeakEwma::default();
    assert_eq!(ewma.value(now), None);
    ewma.observe(now, Duration::from_millis(1));
    ewma.observe(now, Duration::from_millis(100));
    assert_eq!(ewma.value(now), Some(0.1));
    let later = now + Duration::from_secs(1);
    ewma.observe(later, Duration::from_millis(1));
    let value = ewma.value(later).expect("measured");
    assert!(value > 0.085 && value < 0.095, "{value}");
}

#[test]
fn a_time_that_runs_backwards_harms_nothing() {
    let now = Instant::now();
    let mut ewma = PeakEwma::default();
    ewma.observe(now + Duration::from_secs(5), Duration::from_millis(10));
    ewma.observe(now, Duration::from_millis(1));
    assert!(ewma.value(now).is_some_and(f64::is_finite));
}
