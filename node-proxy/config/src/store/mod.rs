//! All resources that the proxy was told, and the configuration made of them.

mod kept;
mod listeners;
mod residents;
mod upstreams;

#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use arc_swap::ArcSwap;
use heddle_identity::TrustDomain;
use heddle_proto::{names::ROOT_CA_SECRET, type_url};
use heddle_routing::RouteTable;

use self::{
    kept::{Kept, Outcome},
    listeners::{Active, Addresses, awaited, tls_of},
    residents::Claims,
    upstreams::Upstreams,
};
use crate::{
    Cluster, ClusterKind, ClusterTls, DnsRecord, EndpointSet, Nack, ProxyConfig, Referenced,
    SharedConfig, Update,
    decode::{self, Listener, Resident, Secret},
};

/// All resources that the proxy was told, and the configuration made of them.
///
/// One owner changes it ([`apply`](Self::apply)), many readers see whole configurations ([`shared`](Self::shared)). A
/// resource that is not understood harms only itself: its last good value stays; one that has none is absent. A pod whose
/// listener is absent is not in [`ProxyConfig::pods`]: it must get nothing, not everything.
#[derive(Debug)]
pub struct Store {
    trust_domain: TrustDomain,
    listeners: Kept<Listener>,
    routes: Kept<Arc<RouteTable>>,
    clusters: Kept<KeptCluster>,
    endpoints: Kept<Arc<EndpointSet>>,
    workloads: Kept<Resident>,
    address_sets: Kept<Arc<BTreeSet<IpAddr>>>,
    secrets: Kept<Secret>,
    dns: Kept<Vec<Arc<DnsRecord>>>,
    /// Route tables that were refused or do not exist, and are referred to.
    missing_routes: BTreeSet<String>,
    active: Active,
    upstreams: Upstreams,
    claims: Claims,
    /// As published; changed first, then cloned (pointers only) and swapped in.
    config: ProxyConfig,
    shared: SharedConfig,
    revision: u64,
}

#[derive(Clone, Debug)]
struct KeptCluster {
    cluster: Arc<Cluster>,
    /// Endpoints that stand in the cluster itself.
    endpoints: Option<Arc<EndpointSet>>,
}

impl Store {
    /// An empty store: nothing is routed, nobody is allowed.
    pub fn new(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            listeners: Kept::default(),
            routes: Kept::default(),
            clusters: Kept::default(),
            endpoints: Kept::default(),
            workloads: Kept::default(),
            address_sets: Kept::default(),
            secrets: Kept::default(),
            dns: Kept::default(),
            missing_routes: BTreeSet::new(),
            active: Active::default(),
            upstreams: Upstreams::default(),
            claims: Claims::default(),
            config: ProxyConfig::default(),
            shared: Arc::new(ArcSwap::default()),
            revision: 0,
        }
    }

    /// The configuration as readers see it.
    pub fn shared(&self) -> SharedConfig {
        Arc::clone(&self.shared)
    }

    /// Grows with each configuration that is published.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Takes an update in and publishes the configuration that follows. Good resources apply; each bad one is returned
    /// and keeps its last good value. Only what the update touches is built anew.
    pub fn apply(&mut self, update: Update) -> Vec<Nack> {
        let (changed, nacks) = match update.type_url.as_str() {
            type_url::LISTENER => self.apply_listeners(update),
            type_url::ROUTE_CONFIGURATION => self.apply_routes(update),
            type_url::CLUSTER => self.apply_clusters(update),
            type_url::CLUSTER_LOAD_ASSIGNMENT => self.apply_endpoints(update),
            type_url::WORKLOAD => self.apply_workloads(update),
            type_url::ADDRESS_SET => self.apply_address_sets(update),
            type_url::SECRET => self.apply_secrets(update),
            type_url::DNS_TABLE => self.apply_dns(update),
            _ => (false, unknown_type(&update)),
        };
        if changed {
            self.revision += 1;
            self.shared.store(Arc::new(self.config.clone()));
        }
        nacks
    }

    /// Names to subscribe to: what the listeners and clusters refer to, those in force and those that wait.
    pub fn referenced(&self) -> Referenced {
        let waiting = self
            .listeners
            .iter()
            .filter_map(|(_, listener)| awaited(listener));
        let routes = waiting.chain(self.active.referenced()).map(str::to_owned);
        let endpoints = self
            .clusters
            .iter()
            .filter_map(|(_, kept)| match &kept.cluster.kind {
                ClusterKind::Eds(name) if kept.endpoints.is_none() => Some(name.to_string()),
                _ => None,
            });
        let waiting = self.listeners.iter().filter_map(|(_, l)| tls_of(l));
        let secrets = waiting
            .map(|tls| &*tls.certificate)
            .chain(self.active.secrets())
            .chain(self.upstreams.secrets())
            .chain(
                self.clusters
                    .iter()
                    .flat_map(|(_, kept)| upstreams::secrets_of(&kept.cluster.tls)),
            )
            .map(str::to_owned);
        Referenced {
            routes: routes.collect(),
            secrets: secrets.collect(),
            endpoints: endpoints.collect(),
        }
    }

    /// Versions of the good resources of a type, by name: what a new stream is told that this client has already.
    pub fn versions(&self, type_url: &str) -> HashMap<String, String> {
        match type_url {
            type_url::LISTENER => self.listeners.versions(),
            type_url::ROUTE_CONFIGURATION => self.routes.versions(),
            type_url::CLUSTER => self.clusters.versions(),
            type_url::CLUSTER_LOAD_ASSIGNMENT => self.endpoints.versions(),
            type_url::WORKLOAD => self.workloads.versions(),
            type_url::ADDRESS_SET => self.address_sets.versions(),
            type_url::SECRET => self.secrets.versions(),
            type_url::DNS_TABLE => self.dns.versions(),
            _ => HashMap::new(),
        }
    }

    /// All good resources as they were sent, in an order in which they can be applied to an empty store: what
    /// [`last_good`](crate::last_good) keeps on disk.
    pub fn good(&self) -> Vec<Update> {
        let all = type_url::PUSH_ORDER.into_iter().map(|url| match url {
            type_url::LISTENER => self.listeners.as_update(url),
            type_url::ROUTE_CONFIGURATION => self.routes.as_update(url),
            type_url::CLUSTER => self.clusters.as_update(url),
            type_url::CLUSTER_LOAD_ASSIGNMENT => self.endpoints.as_update(url),
            type_url::WORKLOAD => self.workloads.as_update(url),
            type_url::ADDRESS_SET => self.address_sets.as_update(url),
            // Keys are never written down.
            type_url::SECRET => self
                .secrets
                .as_update_of(url, |secret| secret.certificate().is_none()),
            _ => self.dns.as_update(type_url::DNS_TABLE),
        });
        all.filter(|update| !update.resources.is_empty()).collect()
    }

    fn apply_listeners(&mut self, update: Update) -> (bool, Vec<Nack>) {
        let trust_domain = &self.trust_domain;
        let addresses = RefCell::new(Addresses::beside(&self.listeners, &update));
        let Outcome { changes, nacks } = self.listeners.apply(update, |name, body| {
            let listener = decode::listener(name, body, trust_domain)?;
            match addresses.borrow_mut().claim(&listener) {
                Ok(()) => Ok(listener),
                Err(other) => Err(decode::taken(&other)),
            }
        });
        if changes.is_empty() {
            return (false, nacks);
        }
        self.settle_listeners();
        let referenced = self.referenced();
        for name in self.routes.retain(&referenced.routes) {
            self.config.routes.remove(&name);
        }
        self.missing_routes
            .retain(|name| referenced.routes.contains(name));
        self.retain_secrets(referenced.secrets);
        (true, nacks)
    }

    fn settle_listeners(&mut self) {
        self.active.settle(
            &self.listeners,
            &self.missing_routes,
            &self.secrets,
            &mut self.config,
        );
    }

    fn apply_routes(&mut self, update: Update) -> (bool, Vec<Nack>) {
        let removed = update.removed.clone();
        let Outcome { changes, nacks } = self.routes.apply(update, |name, body| {
            decode::route_configuration(name, body).map(Arc::new)
        });
        let refused = nacks.iter().map(|nack| nack.name.clone());
        let missing: Vec<String> = refused
            .chain(removed)
            .filter(|name| !self.routes.contains(name))
            .collect();
        let changed = !changes.is_empty();
        for change in changes {
            self.missing_routes.remove(&*change.name);
            match change.new {
                Some(table) => self.config.routes.insert(change.name, table),
                None => self.config.routes.remove(&change.name),
            };
        }
        self.missing_routes.extend(missing);
        let waited = self.active.is_waiting();
        if waited {
            self.settle_listeners();
        }
        (changed || waited, nacks)
    }

    fn apply_clusters(&mut self, update: Update) -> (bool, Vec<Nack>) {
        let Outcome { changes, nacks } = self.clusters.apply(update, |name, body| {
            let (cluster, endpoints) = decode::cluster(name, body)?;
            Ok(KeptCluster {
                cluster: Arc::new(cluster),
                endpoints: endpoints.map(Arc::new),
            })
        });
        if changes.is_empty() {
            return (false, nacks);
        }
        for change in changes {
            if change.new.is_none() {
                self.upstreams.forget(&change.name);
                self.publish_cluster(&change.name, None);
            } else {
                self.settle_cluster(&change.name);
            }
        }
        let referenced = self.referenced();
        for name in self.endpoints.retain(&referenced.endpoints) {
            self.config.endpoints.remove(&name);
        }
        self.retain_secrets(referenced.secrets);
        (true, nacks)
    }

    /// Brings a cluster into force; one that waits for what its TLS needs leaves its predecessor there.
    fn settle_cluster(&mut self, name: &Arc<str>) {
        let Some(kept) = self.clusters.get(name).cloned() else {
            return;
        };
        let tls = match &kept.cluster.tls {
            ClusterTls::Told(told) => match self.upstreams.ready(name, told, &self.secrets) {
                Some(ready) => ClusterTls::Ready(ready),
                None => return,
            },
            other => {
                self.upstreams.forget(name);
                other.clone()
            }
        };
        let cluster = match tls == kept.cluster.tls {
            true => kept.cluster,
            false => Arc::new(Cluster {
                tls,
                ..Cluster::clone(&kept.cluster)
            }),
        };
        let endpoints = kept.endpoints;
        self.publish_cluster(name, Some(KeptCluster { cluster, endpoints }));
    }

    fn publish_cluster(&mut self, name: &Arc<str>, kept: Option<KeptCluster>) {
        let inline: Arc<str> = decode::inline_endpoints(name).into();
        match kept.as_ref().and_then(|kept| kept.endpoints.clone()) {
            Some(endpoints) => self.config.endpoints.insert(inline, endpoints),
            None => self.config.endpoints.remove(&inline),
        };
        match kept {
            Some(kept) => self.config.clusters.insert(Arc::clone(name), kept.cluster),
            None => self.config.clusters.remove(name),
        };
    }

    /// Clusters that speak TLS, with what their secrets are now.
    fn settle_encrypted_clusters(&mut self) {
        let encrypted = self
            .clusters
            .iter()
            .filter(|(_, kept)| matches!(kept.cluster.tls, ClusterTls::Told(_)));
        let names: Vec<Arc<str>> = encrypted.map(|(name, _)| Arc::clone(name)).collect();
        for name in names {
            self.settle_cluster(&name);
        }
    }

    fn apply_endpoints(&mut self, update: Update) -> (bool, Vec<Nack>) {
        let Outcome { changes, nacks } = self.endpoints.apply(update, |name, body| {
            decode::load_assignment(name, body).map(Arc::new)
        });
        let changed = !changes.is_empty();
        for change in changes {
            match change.new {
                Some(set) => self.config.endpoints.insert(change.name, set),
                None => self.config.endpoints.remove(&change.name),
            };
        }
        (changed, nacks)
    }

    fn apply_workloads(&mut self, update: Update) -> (bool, Vec<Nack>) {
        let trust_domain = &self.trust_domain;
        let Outcome { changes, nacks } = self.workloads.apply(update, |name, body| {
            decode::workload(name, body, trust_domain)
        });
        let changed = !changes.is_empty();
        for change in changes {
            self.claims.apply(change, &mut self.config.workloads);
        }
        (changed, nacks)
    }

    fn apply_address_sets(&mut self, update: Update) -> (bool, Vec<Nack>) {
        let Outcome { changes, nacks } = self
            .address_sets
            .apply(update, |_, body| decode::address_set(body).map(Arc::new));
        let changed = !changes.is_empty();
        for change in changes {
            match change.new {
                Some(set) => self.config.address_sets.0.insert(change.name, set),
                None => self.config.address_sets.0.remove(&change.name),
            };
        }
        (changed, nacks)
    }

    fn apply_secrets(&mut self, mut update: Update) -> (bool, Vec<Nack>) {
        // A listener's certificate is used until there is another one, or the listener goes (as Envoy does).
        update.removed.retain(|name| name == ROOT_CA_SECRET);
        let Outcome { changes, nacks } = self.secrets.apply(update, decode::secret);
        if changes.is_empty() {
            return (false, nacks);
        }
        if changes.iter().any(|change| &*change.name == ROOT_CA_SECRET) {
            self.config.trust_bundle = match self.secrets.get(ROOT_CA_SECRET) {
                Some(Secret::TrustBundle(pem)) => Arc::clone(pem),
                _ => Arc::default(),
            };
        }
        self.settle_listeners();
        self.settle_encrypted_clusters();
        self.retain_secrets(self.referenced().secrets);
        (true, nacks)
    }

    /// Drops keys that nothing refers to any more.
    fn retain_secrets(&mut self, mut referenced: BTreeSet<String>) {
        referenced.insert(ROOT_CA_SECRET.to_owned());
        self.secrets.retain(&referenced);
    }

    fn apply_dns(&mut self, update: Update) -> (bool, Vec<Nack>) {
        let Outcome { changes, nacks } = self.dns.apply(update, |_, body| decode::dns_table(body));
        if changes.is_empty() {
            return (false, nacks);
        }
        // Two tables may hold one name, so all are gone through; of equal names the last table's counts.
        let records = self.dns.iter().flat_map(|(_, records)| records);
        self.config.dns = records
            .map(|r| (Arc::clone(&r.name), Arc::clone(r)))
            .collect();
        (true, nacks)
    }
}

fn unknown_type(update: &Update) -> Vec<Nack> {
    let nack = |(name, _, _): &(String, String, _)| Nack {
        name: name.clone(),
        message: format!("{name}: unknown type {}", update.type_url),
    };
    update.resources.iter().map(nack).collect()
}
