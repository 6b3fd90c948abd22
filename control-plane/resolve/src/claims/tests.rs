use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::Claims;
use crate::names::RawKey;

fn key(name: &str) -> RawKey {
    (Arc::from("shop"), Arc::from(name))
}

fn address() -> IpAddr {
    [10, 0, 0, 1].into()
}

#[test]
fn the_greatest_rank_wins_and_between_equals_the_first_name() {
    let mut claims = Claims::default();
    claims.set(&key("b"), &[address()], &1);
    assert_eq!(claims.winner(&address()), Some(&key("b")));
    claims.set(&key("a"), &[address()], &1);
    assert_eq!(claims.winner(&address()), Some(&key("a")));
    claims.set(&key("c"), &[address()], &2);
    assert_eq!(claims.winner(&address()), Some(&key("c")));
}

#[test]
fn a_claim_that_is_given_up_leaves_the_address_to_the_next() {
    let mut claims = Claims::default();
    claims.set(&key("a"), &[address()], &1);
    claims.set(&key("b"), &[address()], &2);
    let affected = claims.set(&key("b"), &[], &2);
    assert_eq!(affected, BTreeSet::from([key("a"), key("b")]));
    assert_eq!(claims.winner(&address()), Some(&key("a")));
    claims.set(&key("a"), &[], &1);
    assert_eq!(claims.winner(&address()), None);
}
