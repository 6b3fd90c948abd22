use super::*;

const PACE: Pace = Pace {
    burst: 3,
    per_second: 2,
};

fn node(name: &str) -> Arc<str> {
    name.into()
}

#[test]
fn a_node_may_ask_in_a_burst_and_then_at_its_pace() {
    let (mut buckets, begin) = (Buckets::new(PACE), Instant::now());
    let a = node("a");
    for _ in 0..3 {
        assert_eq!(buckets.take(&a, begin), Ok(()));
    }
    let after = Duration::from_millis(500);
    let refused = |first| Err(TooMany { after, first });
    assert_eq!(buckets.take(&a, begin), refused(true));
    assert_eq!(buckets.take(&a, begin), refused(false));
    assert_eq!(buckets.take(&a, begin + after), Ok(()));
    assert_eq!(buckets.take(&a, begin + after), refused(true));
    let rested = begin + Duration::from_secs(3600);
    for _ in 0..3 {
        assert_eq!(buckets.take(&a, rested), Ok(()));
    }
    assert_eq!(
        buckets.take(&a, rested),
        refused(true),
        "a long rest saves no more than a burst"
    );
}

#[test]
fn one_node_takes_nothing_from_another() {
    let (mut buckets, now) = (Buckets::new(PACE), Instant::now());
    while buckets.take(&node("a"), now).is_ok() {}
    assert_eq!(buckets.take(&node("b"), now), Ok(()));
}

#[test]
fn nodes_that_have_rested_are_forgotten_and_others_are_not() {
    let (mut buckets, begin) = (Buckets::new(PACE), Instant::now());
    while buckets
        .take(&node("busy"), begin + Duration::from_secs(9))
        .is_ok()
    {}
    for number in 0..FEW - 1 {
        assert!(buckets.take(&node(&number.to_string()), begin).is_ok());
    }
    let later = begin + Duration::from_secs(9);
    assert!(buckets.take(&node("busy"), later).is_err());
    assert_eq!(buckets.nodes.len(), 1);
}
