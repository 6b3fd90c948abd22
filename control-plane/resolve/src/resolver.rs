//! The facets in their order, and what each passes on to the next.
//!
//! ```text
//! nodes ─▶ workloads ─▶ endpoints            routes, gateways ◀─ services, nodes
//!             └────────▶ address sets ─▶ pod policies ◀─ services, policies, namespaces
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_model::{Enrolment, Mesh, NodeName, ObjectKey};
use heddle_resources::{ChangeSet, Cluster, Kind};

use crate::{
    Problem, RouteStatus, Settings, Statuses,
    authorization::{self, Authorization},
    changes::{self, Changes},
    endpoints::{EndpointIndex, services_of_pod},
    gateways,
    names::{RawKey, cluster_id, id, in_namespace},
    network_policy::NetworkPolicies,
    nodes,
    pod_policy::PolicySources,
    pods,
    problem::{Facet, ProblemBook, Report},
    retain,
    routes::{self, LinkedRoute, LinkedRoutes, Linker, RawRoute, RouteKind},
    services::Services,
    workloads::Workloads,
};

/// Everything that follows from the objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// What the data plane should do.
    pub mesh: Mesh,
    /// What the API server should be told.
    pub statuses: Statuses,
    /// What people should be told: sorted, no duplicates.
    pub problems: Vec<Problem>,
}

/// Resolves a cluster once.
pub fn resolve(cluster: &Cluster, settings: &Settings) -> Resolved {
    let mut resolver = Resolver::new(settings.clone());
    resolver.update(&Arc::new(cluster.clone()), &changes::everything(cluster));
    resolver.resolved
}

/// Resolves a cluster and then its changes, at the cost of what they touch.
#[derive(Debug)]
pub struct Resolver {
    settings: Settings,
    cluster: Arc<Cluster>,
    resolved: Resolved,
    workloads: Workloads,
    services: Services,
    endpoints: EndpointIndex,
    network_policies: NetworkPolicies,
    authorization: BTreeMap<RawKey, Authorization>,
    routes: LinkedRoutes,
    problems: ProblemBook,
}

impl Resolver {
    /// A resolver that knows no object yet.
    pub fn new(settings: Settings) -> Self {
        let mesh = Mesh::empty(
            settings.trust_domain.clone(),
            settings.cluster_domain.clone(),
        );
        Self {
            settings,
            cluster: Arc::default(),
            resolved: Resolved {
                mesh,
                statuses: Statuses::default(),
                problems: Vec::new(),
            },
            workloads: Workloads::default(),
            services: Services::default(),
            endpoints: EndpointIndex::default(),
            network_policies: NetworkPolicies::default(),
            authorization: BTreeMap::new(),
            routes: LinkedRoutes::new(),
            problems: ProblemBook::default(),
        }
    }

    /// What follows from the objects that were seen last.
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Follows a change: `changes` names every object that is different in `cluster` from the last call (more does no harm).
    /// Entries of the result that are equal to the ones before keep their `Arc`.
    pub fn update(&mut self, cluster: &Arc<Cluster>, changes: &ChangeSet) -> &Resolved {
        let changes = Changes::of(changes);
        let old = std::mem::replace(&mut self.cluster, cluster.clone());
        let nodes_changed = self.update_nodes(&changes);
        let dirty_pods = self.dirty_pods(&changes, nodes_changed);
        let pods = self.workloads.update(
            &self.cluster,
            &dirty_pods,
            &mut self.resolved.mesh,
            &mut self.problems,
        );
        let services = self.services.update(
            &self.cluster,
            &changes.services,
            &mut self.resolved.mesh,
            &mut self.problems,
        );
        self.update_endpoints(&old, &changes, &services, &pods, nodes_changed);
        self.update_policies(&changes, &services, &pods);
        let links_changed = changes.gateway_objects
            || nodes_changed
            || !services.is_empty()
            || !changes.namespaces.is_empty();
        if self.read_routes(&changes) || links_changed {
            self.follow_references(&changes, &services);
            self.link_routes();
        }
        if let Some(problems) = self.problems.take_if_changed() {
            self.resolved.problems = problems;
        }
        &self.resolved
    }

    /// Tells whether a node is different in what others take from it.
    fn update_nodes(&mut self, changes: &Changes) -> bool {
        let mut changed = false;
        for name in &changes.nodes {
            let (node, report) = match self.cluster.nodes.get(name) {
                Some(object) => nodes::node(name, object),
                None => (None, Report::on(cluster_id(Kind::Node, name))),
            };
            self.problems.set(
                Facet::Node,
                cluster_id(Kind::Node, name),
                report.into_problems(),
            );
            changed |= retain::put(&mut self.resolved.mesh.nodes, NodeName(name.clone()), node);
        }
        changed
    }

    fn dirty_pods(&self, changes: &Changes, nodes_changed: bool) -> BTreeSet<RawKey> {
        let mut dirty = changes.pods.clone();
        if nodes_changed {
            dirty.extend(self.workloads.all().keys().cloned());
        }
        for namespace in &changes.namespaces {
            dirty.extend(in_namespace(self.workloads.all(), namespace).map(|(key, _)| key.clone()));
        }
        dirty
    }

    fn update_endpoints(
        &mut self,
        old: &Cluster,
        changes: &Changes,
        services: &BTreeSet<RawKey>,
        pods: &BTreeSet<RawKey>,
        nodes_changed: bool,
    ) {
        let mut dirty = services.clone();
        for slice in &changes.endpoint_slices {
            dirty.extend(
                self.endpoints
                    .slice_changed(&self.cluster, slice, &mut self.problems),
            );
        }
        if nodes_changed {
            dirty.extend(self.services.all().keys().cloned());
        } else {
            for key in pods {
                let labels: Vec<_> = [old.pods.get(key), self.cluster.pods.get(key)]
                    .into_iter()
                    .flatten()
                    .map(|pod| pods::labels(pod))
                    .collect();
                dirty.extend(services_of_pod(&self.services, &key.0, &labels));
            }
        }
        for service in &dirty {
            let mesh = &mut self.resolved.mesh;
            self.endpoints.update(
                &self.cluster,
                service,
                &self.services,
                &self.workloads,
                mesh,
                &mut self.problems,
            );
        }
    }

    fn update_policies(
        &mut self,
        changes: &Changes,
        services: &BTreeSet<RawKey>,
        pods: &BTreeSet<RawKey>,
    ) {
        let mut namespaces = self.network_policies.update(
            &self.cluster,
            &changes.network_policies,
            pods,
            &self.workloads,
            &mut self.resolved.mesh,
            &mut self.problems,
        );
        for key in &changes.authorization {
            let at = id(Kind::AuthorizationPolicy, key);
            let mut report = Report::on(at.clone());
            let object = self.cluster.authorization_policies.get(key);
            let read = object.and_then(|object| {
                authorization::read(key, object, &self.settings.trust_domain, &mut report)
            });
            self.problems
                .set(Facet::Authorization, at, report.into_problems());
            match read {
                Some(read) => self.authorization.insert(key.clone(), read),
                None => self.authorization.remove(key),
            };
            namespaces.insert(key.0.clone());
        }
        namespaces.extend(services.iter().map(|(namespace, _)| namespace.clone()));
        let mut dirty = pods.clone();
        for namespace in &namespaces {
            dirty.extend(in_namespace(self.workloads.all(), namespace).map(|(key, _)| key.clone()));
        }
        for key in &dirty {
            self.update_pod_policy(key);
        }
    }

    fn update_pod_policy(&mut self, key: &RawKey) {
        let sources = PolicySources {
            cluster: &self.cluster,
            settings: &self.settings,
            services: &self.services,
            network_policies: &self.network_policies,
            authorization: &self.authorization,
        };
        let at = id(Kind::Pod, key);
        let mut report = Report::on(at.clone());
        let state = self.workloads.get(key);
        let of_mesh = state.filter(|state| state.workload.enrolment != Enrolment::Outside);
        let policy = of_mesh.map(|state| sources.policy(key, state, &mut report));
        self.problems
            .set(Facet::PodPolicy, at, report.into_problems());
        // A pod whose name is broken never had an entry.
        if let Ok(of) = crate::names::object_key(key) {
            retain::put(&mut self.resolved.mesh.policies, of, policy);
        }
    }

    /// Reads the routes that changed; tells whether there are any.
    fn read_routes(&mut self, changes: &Changes) -> bool {
        let http = changes.http_routes.iter().map(|key| {
            let raw = self.cluster.http_routes.get(key);
            (
                key,
                RouteKind::Http,
                raw.map(|object| RawRoute::from_http(id(Kind::HTTPRoute, key), object)),
            )
        });
        let grpc = changes.grpc_routes.iter().map(|key| {
            let raw = self.cluster.grpc_routes.get(key);
            (
                key,
                RouteKind::Grpc,
                raw.map(|object| RawRoute::from_grpc(id(Kind::GRPCRoute, key), object)),
            )
        });
        let changed: Vec<_> = http.chain(grpc).collect();
        for (key, kind, raw) in &changed {
            let at = id(kind.kind(), key);
            let place = ((*key).clone(), *kind);
            let before = self.routes.remove(&place);
            match raw.as_ref().map(routes::read) {
                Some(Ok(route)) => {
                    self.problems.set(Facet::Routes, at, route.problems.clone());
                    self.routes.insert(place, LinkedRoute::new(route, before));
                    continue;
                }
                Some(Err(problems)) => self.problems.set(Facet::Routes, at, problems),
                None => self.problems.set(Facet::Routes, at, Vec::new()),
            }
            if let Some(before) = before {
                self.forget_route(&before);
            }
        }
        !changed.is_empty()
    }

    /// Nothing is told to a route that is gone, or cannot even be named.
    fn forget_route(&mut self, gone: &LinkedRoute) {
        let route = &gone.route;
        let at = id(route.kind.kind(), &route.key);
        self.problems.set(Facet::Links, at, Vec::new());
        self.put_status(route.kind, route.object.key.clone(), None);
    }

    fn put_status(&mut self, kind: RouteKind, key: ObjectKey, status: Option<RouteStatus>) {
        let statuses = &mut self.resolved.statuses;
        let of_kind = match kind {
            RouteKind::Http => &mut statuses.http_routes,
            RouteKind::Grpc => &mut statuses.grpc_routes,
        };
        retain::put(of_kind, key, status);
    }

    /// Follows the references of the routes that changed, or that refer to something that did.
    fn follow_references(&mut self, changes: &Changes, services: &BTreeSet<RawKey>) {
        let linker = Linker {
            cluster: &self.cluster,
            services: &self.services,
        };
        for route in self.routes.values_mut() {
            route.services_changed(services);
            if changes.grants {
                route.grants_changed();
            }
            route.link(linker);
        }
    }

    /// Attaches all routes to Services and Gateways again.
    fn link_routes(&mut self) {
        let linker = Linker {
            cluster: &self.cluster,
            services: &self.services,
        };
        let routes: Vec<&LinkedRoute> = self.routes.values().collect();
        let services = routes::attach_to_services(&routes, linker);
        let gateways = gateways::resolve(&self.cluster, &self.resolved.mesh, &routes);
        let verdicts = routes::by_route(routes.len(), [services.verdicts, gateways.verdicts]);
        let told: Vec<_> = self
            .routes
            .values_mut()
            .zip(verdicts)
            .filter_map(|(route, verdicts)| {
                let news = route.tell(verdicts)?;
                Some((Arc::clone(&route.route), news))
            })
            .collect();
        for (route, news) in told {
            let at = id(route.kind.kind(), &route.key);
            self.problems.set(Facet::Links, at, news.problems);
            self.put_status(route.kind, route.object.key.clone(), news.status);
        }
        retain::replace(&mut self.resolved.mesh.routes, services.tables);
        retain::replace(&mut self.resolved.mesh.gateways, gateways.listeners);
        let statuses = &mut self.resolved.statuses;
        retain::replace(&mut statuses.gateways, gateways.statuses);
        retain::replace(&mut statuses.gateway_classes, gateways.classes);
        self.problems.replace(Facet::Gateways, gateways.problems);
    }
}
