//! Listeners that are bound, and those that contradict each other.

use heddle_proto::{envoy::config::listener::v3::Listener as WireListener, pack, type_url};

use super::{config, good};
use crate::{Nack, Store, Update, testing::*};

fn bytes(name: &str, port: u32) -> WireListener {
    plain(name, port, tcp_proxy("a"))
}

fn all(listeners: &[WireListener], removed: &[&str]) -> Update {
    let resource = |l: &WireListener| (l.name.clone(), "1".to_owned(), pack(l));
    Update {
        type_url: type_url::LISTENER.to_owned(),
        resources: listeners.iter().map(resource).collect(),
        removed: removed.iter().map(ToString::to_string).collect(),
    }
}

/// Names and ports of what is open.
fn open(store: &Store) -> Vec<(String, u16)> {
    let config = config(store);
    let listeners = config.bound.values();
    listeners
        .map(|l| (l.name.to_string(), l.address.port()))
        .collect()
}

fn expected(open: &[(&str, u16)]) -> Vec<(String, u16)> {
    open.iter()
        .map(|(name, port)| ((*name).to_owned(), *port))
        .collect()
}

#[track_caller]
fn refused_for_its_address(nacks: &[Nack], name: &str, other: &str) {
    let [nack] = nacks else { panic!("{nacks:?}") };
    assert_eq!(nack.name, name);
    let text = format!("Listener {name}: address: is the listener {other:?}'s already");
    assert_eq!(nack.message, text);
}

#[test]
fn of_two_listeners_at_one_address_the_second_is_refused_by_its_name() {
    let mut together = store();
    let nacks = together.apply(all(&[bytes("a", 80), bytes("b", 80), bytes("c", 81)], &[]));
    refused_for_its_address(&nacks, "b", "a");
    assert_eq!(open(&together), expected(&[("a", 80), ("c", 81)]));
    let mut later = store();
    good(&mut later, one("b", &bytes("b", 80)));
    refused_for_its_address(&later.apply(one("a", &bytes("a", 80))), "a", "b");
    assert_eq!(open(&later), expected(&[("b", 80)]));
}

#[test]
fn addresses_may_be_handed_on_and_swapped_within_one_update() {
    let mut store = store();
    good(&mut store, all(&[bytes("a", 80), bytes("b", 81)], &[]));
    good(&mut store, all(&[bytes("a", 81), bytes("b", 80)], &[]));
    assert_eq!(open(&store), expected(&[("a", 81), ("b", 80)]));
    good(&mut store, all(&[bytes("c", 81)], &["a"]));
    assert_eq!(open(&store), expected(&[("b", 80), ("c", 81)]));
}

#[test]
fn a_listener_that_is_refused_keeps_its_address() {
    let mut store = store();
    good(&mut store, all(&[bytes("z", 80)], &[]));
    let mut bad = bytes("z", 82);
    bad.filter_chains.clear();
    let nacks = store.apply(all(&[bytes("a", 80), bad], &[]));
    assert_eq!(nacks.len(), 1, "{nacks:?}");
    assert_eq!(
        open(&store),
        expected(&[("z", 80)]),
        "two at one address would share its connections"
    );
    good(&mut store, all(&[], &["z"]));
    assert_eq!(open(&store), expected(&[("a", 80)]));
}

#[test]
fn listeners_of_gateways_may_share_an_address_but_not_with_others() {
    let mut store = store();
    let gateways = [gateway("gateway/a", 80), gateway("gateway/b", 80)];
    good(&mut store, all(&gateways, &[]));
    for name in ["gateway/a", "gateway/b"] {
        good(&mut store, one(name, &routes(name, vec![to("c")])));
    }
    assert_eq!(
        open(&store),
        expected(&[("gateway/a", 80), ("gateway/b", 80)])
    );
    let mut other = bytes("other", 80);
    other.address = Some(address("0.0.0.0", 80));
    refused_for_its_address(&store.apply(one("other", &other)), "other", "gateway/a");
}

#[test]
fn removing_everything_closes_everything_and_leaves_nothing_behind() {
    let mut store = store();
    let web = plain("web", 80, http(rds("routes")));
    good(&mut store, all(&[web, bytes("a", 81)], &[]));
    good(&mut store, one("routes", &routes("routes", vec![to("c")])));
    assert_eq!(open(&store), expected(&[("a", 81), ("web", 80)]));
    good(&mut store, all(&[], &["web", "a"]));
    assert_eq!(open(&store), []);
    assert!(config(&store).routes.is_empty());
    assert!(store.good().is_empty());
    assert_eq!(store.referenced(), crate::Referenced::default());
}
