mod bound;
mod fail_closed;
mod last_good;
mod sharing;
mod tls;
mod warming;

use std::sync::Arc;

use crate::{ProxyConfig, Store, Update, testing::*};

/// Applies an update that must be good.
#[track_caller]
fn good(store: &mut Store, update: Update) {
    let nacks = store.apply(update);
    assert!(nacks.is_empty(), "{nacks:?}");
}

fn config(store: &Store) -> Arc<ProxyConfig> {
    store.shared().load_full()
}

/// A Service with routes, cluster and one endpoint.
#[track_caller]
fn service(store: &mut Store, name: &str, ip: &str) {
    use heddle_proto::envoy::config::{
        cluster::v3::cluster::DiscoveryType, core::v3::HealthStatus,
    };
    good(store, one(name, &cluster(name, DiscoveryType::Eds)));
    let endpoints = vec![endpoint("10.1.0.1", 8080, HealthStatus::Healthy)];
    good(store, one(name, &assignment(name, endpoints)));
    good(store, one(name, &outbound_http(name, ip)));
    good(store, one(name, &routes(name, vec![to(name)])));
}
