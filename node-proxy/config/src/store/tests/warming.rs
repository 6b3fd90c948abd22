use heddle_proto::type_url;

use super::{config, good};
use crate::{OutboundListener, OutboundProtocol, Store, testing::*};

const NAME: &str = "shop/cart:80";

fn in_force(store: &Store) -> Option<OutboundListener> {
    config(store)
        .outbound
        .values()
        .next()
        .map(|listener| (**listener).clone())
}

#[test]
fn a_listener_waits_for_its_routes_while_its_predecessor_stays() {
    let mut store = store();
    let opaque = outbound(NAME, "10.96.0.1", 80, vec![tcp_proxy(NAME)]);
    good(&mut store, one(NAME, &opaque));
    good(&mut store, one(NAME, &outbound_http(NAME, "10.96.0.1")));
    assert!(matches!(
        in_force(&store).expect("a listener").protocol,
        OutboundProtocol::Opaque { .. }
    ));
    assert!(
        store.referenced().routes.contains(NAME),
        "it must be asked for"
    );
    good(&mut store, one(NAME, &routes(NAME, vec![to(NAME)])));
    assert!(matches!(
        in_force(&store).expect("a listener").protocol,
        OutboundProtocol::Http { .. }
    ));
}

#[test]
fn a_new_listener_comes_into_force_with_its_routes() {
    let mut store = store();
    good(&mut store, one(NAME, &outbound_http(NAME, "10.96.0.1")));
    assert!(in_force(&store).is_none());
    good(&mut store, one(NAME, &routes(NAME, vec![to(NAME)])));
    assert!(in_force(&store).is_some());
}

#[test]
fn routes_that_are_refused_or_do_not_exist_are_not_waited_for() {
    for answer in [
        garbage(type_url::ROUTE_CONFIGURATION, NAME),
        removal(type_url::ROUTE_CONFIGURATION, NAME),
    ] {
        let mut store = store();
        good(&mut store, one(NAME, &outbound_http(NAME, "10.96.0.1")));
        store.apply(answer);
        assert!(
            in_force(&store).is_some(),
            "requests must be answered 404, not slip past"
        );
        assert!(config(&store).routes.is_empty());
    }
}

#[test]
fn the_old_routes_are_kept_while_the_old_listener_is() {
    let mut store = store();
    let with_routes = |table: &str| outbound(NAME, "10.96.0.1", 80, vec![http(rds(table))]);
    good(&mut store, one(NAME, &with_routes("old")));
    good(&mut store, one("old", &routes("old", vec![to(NAME)])));
    good(&mut store, one(NAME, &with_routes("new")));
    assert!(config(&store).routes.contains_key("old"));
    let wanted: Vec<String> = store.referenced().routes.into_iter().collect();
    assert_eq!(wanted, ["new", "old"]);
    good(&mut store, one("new", &routes("new", vec![to(NAME)])));
    let wanted: Vec<String> = store.referenced().routes.into_iter().collect();
    assert_eq!(wanted, ["new"]);
}

#[test]
fn a_listener_that_goes_takes_its_predecessor_along() {
    let mut store = store();
    let opaque = outbound(NAME, "10.96.0.1", 80, vec![tcp_proxy(NAME)]);
    good(&mut store, one(NAME, &opaque));
    good(&mut store, one(NAME, &outbound_http(NAME, "10.96.0.1")));
    good(&mut store, removal(type_url::LISTENER, NAME));
    assert!(in_force(&store).is_none());
    assert!(store.referenced().routes.is_empty());
}
