//! Listeners that speak TLS, and their certificates.

use std::sync::Arc;

use heddle_proto::{
    envoy::config::{cluster::v3::cluster::DiscoveryType, listener::v3::Listener},
    type_url,
};

use super::{config, good};
use crate::{ClusterTls, Store, testing::*};

fn bytes() -> Listener {
    plain("web", 8443, tcp_proxy("a"))
}

fn encrypted(secret: &str) -> Listener {
    with_tls(bytes(), &server_context(secret))
}

fn new_certificate(store: &mut Store, name: &str) {
    let (chain, key) = pair();
    good(store, one(name, &certificate(name, &chain, &key)));
}

#[test]
fn a_listener_is_not_open_before_its_certificate_is_there() {
    let mut store = store();
    good(&mut store, one("web", &encrypted("cert")));
    assert!(config(&store).bound.is_empty());
    assert!(
        store.referenced().secrets.contains("cert"),
        "it must be asked for"
    );
    store.apply(removal(type_url::SECRET, "cert"));
    store.apply(garbage(type_url::SECRET, "cert"));
    assert!(
        config(&store).bound.is_empty(),
        "it must not open without a certificate, whatever is said"
    );
    new_certificate(&mut store, "cert");
    assert!(config(&store).bound["web"].tls.is_some());
    assert!(config(&store).server_tls.contains_key("web"));
}

#[test]
fn the_predecessor_stays_until_the_certificate_is_there() {
    let mut store = store();
    good(&mut store, one("web", &encrypted("cert")));
    new_certificate(&mut store, "cert");
    let before = Arc::clone(&config(&store).server_tls["web"]);
    good(&mut store, one("web", &encrypted("other")));
    assert!(Arc::ptr_eq(&before, &config(&store).server_tls["web"]));
    let secrets = store.referenced().secrets;
    assert!(secrets.contains("cert") && secrets.contains("other"));
    new_certificate(&mut store, "other");
    assert!(!Arc::ptr_eq(&before, &config(&store).server_tls["web"]));
    assert!(!store.referenced().secrets.contains("cert"));
}

#[test]
fn a_new_certificate_is_followed_and_a_bad_one_or_its_removal_is_not() {
    let mut store = store();
    good(&mut store, one("web", &encrypted("cert")));
    new_certificate(&mut store, "cert");
    let before = Arc::clone(&config(&store).server_tls["web"]);
    let nacks = store.apply(garbage(type_url::SECRET, "cert"));
    assert!(nacks[0].message.starts_with("Secret cert: "), "{nacks:?}");
    store.apply(removal(type_url::SECRET, "cert"));
    assert!(Arc::ptr_eq(&before, &config(&store).server_tls["web"]));
    new_certificate(&mut store, "cert");
    assert!(!Arc::ptr_eq(&before, &config(&store).server_tls["web"]));
}

#[test]
fn what_has_nothing_to_do_with_a_certificate_leaves_its_sessions_alone() {
    let mut store = store();
    good(&mut store, one("web", &encrypted("cert")));
    new_certificate(&mut store, "cert");
    let before = Arc::clone(&config(&store).server_tls["web"]);
    good(
        &mut store,
        one("other", &plain("other", 8080, tcp_proxy("a"))),
    );
    assert!(Arc::ptr_eq(&before, &config(&store).server_tls["web"]));
}

#[test]
fn keys_are_forgotten_with_their_listener_and_never_written_down() {
    let mut store = store();
    good(
        &mut store,
        one("ROOTCA", &roots("-----BEGIN CERTIFICATE-----")),
    );
    good(&mut store, one("web", &encrypted("cert")));
    new_certificate(&mut store, "cert");
    let kept = format!("{:?}", store.good());
    assert!(kept.contains("ROOTCA") && !kept.contains("tls_certificate"));
    let names: Vec<_> = store
        .good()
        .into_iter()
        .flat_map(|u| u.resources)
        .map(|r| r.0)
        .collect();
    assert_eq!(names, ["ROOTCA", "web"]);
    good(&mut store, removal(type_url::LISTENER, "web"));
    assert_eq!(store.versions(type_url::SECRET).len(), 1);
    assert!(config(&store).server_tls.is_empty());
}

#[test]
fn a_proxy_that_begins_with_what_was_good_waits_for_its_certificates() {
    let mut before = store();
    good(&mut before, one("web", &encrypted("cert")));
    new_certificate(&mut before, "cert");
    let mut after = store();
    for update in before.good() {
        good(&mut after, update);
    }
    assert!(config(&after).bound.is_empty());
    new_certificate(&mut after, "cert");
    assert!(config(&after).bound.contains_key("web"));
}

fn tls_cluster() -> heddle_proto::envoy::config::cluster::v3::Cluster {
    to_tls(
        cluster("a", DiscoveryType::Eds),
        &client_context("roots", "a.example"),
    )
}

fn is_ready(store: &Store) -> bool {
    let tls = config(store)
        .clusters
        .get("a")
        .map(|cluster| cluster.tls.clone());
    matches!(tls, Some(ClusterTls::Ready(_)))
}

#[test]
fn a_cluster_is_not_used_before_it_is_known_whom_to_trust() {
    let mut store = store();
    good(&mut store, one("a", &tls_cluster()));
    assert!(config(&store).clusters.is_empty());
    assert!(store.referenced().secrets.contains("roots"));
    let (pem, _) = pair();
    good(&mut store, one("roots", &trusted("roots", &pem)));
    assert!(is_ready(&store));
}

#[test]
fn a_cluster_goes_from_plain_text_to_tls_only_when_that_is_ready_and_back() {
    let mut store = store();
    let plain = cluster("a", DiscoveryType::Eds);
    good(&mut store, one("a", &plain));
    good(&mut store, one("a", &tls_cluster()));
    assert_eq!(config(&store).clusters["a"].tls, ClusterTls::None);
    let (pem, _) = pair();
    good(&mut store, one("roots", &trusted("roots", &pem)));
    assert!(is_ready(&store));
    store.apply(removal(type_url::SECRET, "roots"));
    assert!(is_ready(&store), "the last good roots stay");
    good(&mut store, one("a", &plain));
    assert_eq!(config(&store).clusters["a"].tls, ClusterTls::None);
    assert!(store.versions(type_url::SECRET).is_empty());
}

#[test]
fn connections_are_told_apart_by_the_roots_that_they_were_made_with() {
    let mut store = store();
    good(&mut store, one("a", &tls_cluster()));
    let ((one_pem, _), (other_pem, _)) = (pair(), pair());
    good(&mut store, one("roots", &trusted("roots", &one_pem)));
    let before = config(&store).clusters["a"].tls.clone();
    good(&mut store, one("b", &cluster("b", DiscoveryType::Eds)));
    assert_eq!(before, config(&store).clusters["a"].tls);
    good(&mut store, one("roots", &trusted("roots", &other_pem)));
    assert_ne!(before, config(&store).clusters["a"].tls);
}
