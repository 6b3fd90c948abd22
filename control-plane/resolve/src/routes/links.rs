//! Each route with what came of linking it, kept while nothing that it refers to changes.
//!
//! A rule that comes out as it was keeps its `Arc`: who made something of it knows by its address that it still holds. What a route is told is kept
//! in the same way, so that of thousands of routes on one Gateway only the changed one is worked out again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    RefKind, RouteKind,
    backends::{Linked, Linker, References},
    conditions::{Verdict, problems, route_status},
    parent_kind,
    read::{Action, Route},
};
use crate::{Problem, RouteStatus, names::RawKey};

/// A route and its links.
#[derive(Debug)]
pub(crate) struct LinkedRoute {
    pub(crate) route: Arc<Route>,
    /// As Services that are its parents see it; `None`: it has none.
    pub(crate) of_mesh: Option<Arc<Linked>>,
    /// As Gateways that are its parents see it; `None`: it has none.
    pub(crate) of_gateways: Option<Arc<Linked>>,
    /// Whether it has to be linked again.
    stale: bool,
    told: Option<Told>,
}

/// What a route was told last, and why.
#[derive(Debug)]
struct Told {
    verdicts: Vec<(usize, Verdict)>,
    links: [Option<Arc<Linked>>; 2],
}

/// What a route is told.
#[derive(Debug)]
pub(crate) struct News {
    /// `None`: no parent is ours.
    pub(crate) status: Option<RouteStatus>,
    pub(crate) problems: Vec<Problem>,
}

impl LinkedRoute {
    /// A route as it was read now. `before`: as it was known until now; rules that stay equal stay the same.
    pub(crate) fn new(route: Route, before: Option<Self>) -> Self {
        let (of_mesh, of_gateways) =
            before.map_or((None, None), |before| (before.of_mesh, before.of_gateways));
        Self {
            route: Arc::new(route),
            of_mesh,
            of_gateways,
            stale: true,
            told: None,
        }
    }

    /// Takes in that Services changed.
    pub(crate) fn services_changed(&mut self, services: &BTreeSet<RawKey>) {
        self.stale |= !services.is_empty() && refers_to(&self.route, services);
    }

    /// Takes in that it may refer to others than before.
    pub(crate) fn grants_changed(&mut self) {
        self.stale = true;
    }

    /// Follows its references, where they may lead elsewhere than before.
    pub(crate) fn link(&mut self, linker: Linker<'_>) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let has = |wanted: RefKind| {
            let mut parents = self.route.parents.iter();
            parents.any(|parent| parent_kind(parent) == wanted)
        };
        let link = |wanted: RefKind, references: References, old: Option<Arc<Linked>>| {
            has(wanted).then(|| linker.link(&self.route, references, old))
        };
        let of_mesh = link(RefKind::Service, References::Free, self.of_mesh.clone());
        let of_gateways = link(
            RefKind::Gateway,
            References::NeedGrants,
            self.of_gateways.clone(),
        );
        (self.of_mesh, self.of_gateways) = (of_mesh, of_gateways);
    }

    /// What it is told now; `None`: what it was told before. The verdicts are by the index of its parentRefs; a parent that is not ours has none.
    pub(crate) fn tell(&mut self, mut verdicts: Vec<(usize, Verdict)>) -> Option<News> {
        verdicts.sort_by_key(|(number, _)| *number);
        let same = |told: &Told| {
            told.verdicts == verdicts
                && is_same(&told.links[0], &self.of_mesh)
                && is_same(&told.links[1], &self.of_gateways)
        };
        if self.told.as_ref().is_some_and(same) {
            return None;
        }
        let said: Vec<_> = verdicts
            .iter()
            .filter_map(|(number, verdict)| {
                let parent = self.route.parents.get(*number)?;
                let linked = match parent_kind(parent) {
                    RefKind::Service => &self.of_mesh,
                    RefKind::Gateway | RefKind::Other => &self.of_gateways,
                };
                let unresolved = linked.as_ref().map(|linked| &linked.unresolved[..]);
                Some((*number, parent, verdict, unresolved.unwrap_or_default()))
            })
            .collect();
        let news = News {
            status: route_status(&self.route, &said),
            problems: problems(&self.route, &said),
        };
        self.told = Some(Told {
            verdicts,
            links: [self.of_mesh.clone(), self.of_gateways.clone()],
        });
        Some(news)
    }
}

/// The verdicts of all parents, by route.
pub(crate) fn by_route(
    routes: usize,
    all: impl IntoIterator<Item = BTreeMap<(usize, usize), Verdict>>,
) -> Vec<Vec<(usize, Verdict)>> {
    let mut sorted = vec![Vec::new(); routes];
    for ((index, number), verdict) in all.into_iter().flatten() {
        if let Some(of_route) = sorted.get_mut(index) {
            of_route.push((number, verdict));
        }
    }
    sorted
}

fn is_same(a: &Option<Arc<Linked>>, b: &Option<Arc<Linked>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn refers_to(route: &Route, services: &BTreeSet<RawKey>) -> bool {
    let mut backends = route.rules.iter().flat_map(|rule| match &rule.action {
        Action::Forward { backends, .. } => &backends[..],
        Action::Redirect(_) | Action::Refuse { .. } => &[],
    });
    backends.any(|backend| {
        let namespace = backend.written.namespace.as_deref();
        let namespace = namespace.unwrap_or(&route.key.0);
        services
            .iter()
            .any(|service| *service.1 == *backend.written.name && *service.0 == *namespace)
    })
}

/// All routes by name, those of both kinds with the same name beside each other.
pub(crate) type LinkedRoutes = BTreeMap<(RawKey, RouteKind), LinkedRoute>;
