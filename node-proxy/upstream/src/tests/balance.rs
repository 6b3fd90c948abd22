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
