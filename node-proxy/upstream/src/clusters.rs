//! What this worker knows of clusters beyond the configuration: their balancers and their endpoints' load.

use std::{
    collections::HashMap,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Weak},
};

use foldhash::fast::RandomState;
use heddle_config::{Cluster, ClusterKind, ClusterTls, EndpointSet, ProxyConfig};
use heddle_routing::ClusterName;

use crate::{
    ConnectError,
    balance::{Balancer, EndpointLoad},
};

/// Balancers by cluster, load by endpoint.
#[derive(Default)]
pub(crate) struct Clusters {
    known: HashMap<ClusterName, Known, RandomState>,
    loads: Loads,
}

struct Known {
    /// What the balancer was made from. Held, so that its address is not used for something else.
    from: Arc<EndpointSet>,
    balancer: Rc<Balancer>,
}

/// A cluster that can be connected to.
pub(crate) struct Choice {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) balancer: Rc<Balancer>,
}

impl Clusters {
    /// Finds a cluster. Its balancer is made anew only if its endpoints have changed; what was learned about an endpoint is kept.
    pub(crate) fn find(
        &mut self,
        config: &ProxyConfig,
        name: &ClusterName,
    ) -> Result<Choice, ConnectError> {
        let cluster = config
            .clusters
            .get(name)
            .ok_or_else(|| ConnectError::NoCluster(name.clone()))?;
        // Never in plain text instead: a cluster whose TLS is not ready is not for use.
        let is_unready = matches!(cluster.tls, ClusterTls::Told(_));
        if is_unready || !matches!(cluster.kind, ClusterKind::Eds(_)) {
            return Err(ConnectError::NotForConnecting(name.clone()));
        }
        let endpoints = config
            .endpoints_of(cluster)
            .ok_or_else(|| ConnectError::NoEndpoint(name.clone()))?;
        Ok(Choice {
            cluster: cluster.clone(),
            balancer: self.balancer(config, name, endpoints),
        })
    }

    fn balancer(
        &mut self,
        config: &ProxyConfig,
        name: &ClusterName,
        endpoints: &Arc<EndpointSet>,
    ) -> Rc<Balancer> {
        if let Some(known) = self.known.get(name)
            && Arc::ptr_eq(&known.from, endpoints)
        {
            return known.balancer.clone();
        }
        let balancer = Rc::new(Balancer::new(&endpoints.endpoints, |address| {
            self.loads.of(address)
        }));
        self.forget_removed(config);
        self.known.insert(
            name.clone(),
            Known {
                from: endpoints.clone(),
                balancer: balancer.clone(),
            },
        );
        balancer
    }

    fn forget_removed(&mut self, config: &ProxyConfig) {
        if self.known.len() > config.clusters.len() {
            self.known
                .retain(|name, _| config.clusters.contains_key(name));
        }
    }
}

/// The load of each endpoint that some balancer has.
#[derive(Default)]
struct Loads {
    by_address: HashMap<SocketAddr, Weak<EndpointLoad>>,
    /// Look for leftovers when there are so many.
    sweep_at: usize,
}

impl Loads {
    fn of(&mut self, address: SocketAddr) -> Arc<EndpointLoad> {
        if let Some(load) = self.by_address.get(&address).and_then(Weak::upgrade) {
            return load;
        }
        if self.by_address.len() >= self.sweep_at {
            self.by_address.retain(|_, load| load.strong_count() > 0);
            self.sweep_at = (self.by_address.len() * 2).max(64);
        }
        let load = Arc::<EndpointLoad>::default();
        self.by_address.insert(address, Arc::downgrade(&load));
        load
    }
}
