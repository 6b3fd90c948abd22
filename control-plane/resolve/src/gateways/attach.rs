//! Attaching routes to listeners.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::HostMatch;
use heddle_resources::Cluster;

use super::{
    OurGateway, hosts,
    listeners::{AllowedNamespaces, Listener},
};
use crate::{
    ParentRef,
    names::RawKey,
    namespaces,
    routes::{LinkedRoute, RefKind, Route, RouteKind, Verdict, parent_kind},
};

/// A listener: (index of its Gateway, index of the listener).
pub(super) type ListenerAt = (usize, usize);

/// What came of attaching.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub(super) verdicts: BTreeMap<(usize, usize), Verdict>,
    /// The routes of each listener, by (Gateway, index of the listener), with their hosts there.
    pub(super) routes: BTreeMap<(RawKey, usize), BTreeMap<usize, Vec<HostAt>>>,
}

/// A host of a route at a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostAt {
    /// What the route and the listener both mean.
    pub(super) host: HostMatch,
    /// What the route says: this, not the intersection, decides between routes.
    pub(super) written: HostMatch,
}

/// The hosts that routes of each kind have taken at a listener.
type Taken = BTreeMap<ListenerAt, BTreeMap<RouteKind, BTreeSet<HostMatch>>>;

/// Attaches all routes, the oldest first. They come in the order of their names.
pub(super) fn attach(
    cluster: &Cluster,
    gateways: &mut [OurGateway<'_>],
    routes: &[&LinkedRoute],
) -> Attached {
    let mut attached = Attached::default();
    let names: Vec<RawKey> = gateways.iter().map(|gateway| gateway.raw.clone()).collect();
    let by_key: BTreeMap<(&str, &str), usize> = names
        .iter()
        .enumerate()
        .map(|(index, (namespace, name))| ((&**namespace, &**name), index))
        .collect();
    let mut order: Vec<(usize, &LinkedRoute)> = routes.iter().copied().enumerate().collect();
    // Stable: among those of the same moment, the first name is the first.
    order.sort_by(|(_, a), (_, b)| a.route.created.cmp(&b.route.created));
    let mut taken = Taken::new();
    for (index, linked) in order {
        let route = &linked.route;
        let has_rules = linked
            .of_gateways
            .as_ref()
            .is_some_and(|linked| !linked.candidates.is_empty() || route.written_rules == 0);
        for (number, parent) in route.parents.iter().enumerate() {
            if parent_kind(parent) != RefKind::Gateway {
                continue;
            }
            let namespace = parent.namespace.as_deref().unwrap_or(&route.key.0);
            let Some(at) = by_key.get(&(namespace, parent.name.as_str())).copied() else {
                // Somebody else's, or nobody's yet.
                continue;
            };
            let Some(gateway) = gateways.get_mut(at) else {
                continue;
            };
            let (verdict, places) = place(cluster, at, gateway, index, route, parent, &mut taken);
            attached.verdicts.insert((index, number), verdict);
            for (listener, hosts) in places.into_iter().filter(|_| has_rules) {
                let routes = attached
                    .routes
                    .entry((gateway.raw.clone(), listener))
                    .or_default();
                let known = routes.entry(index).or_default();
                let new: Vec<HostAt> = hosts
                    .into_iter()
                    .filter(|host| !known.contains(host))
                    .collect();
                known.extend(new);
            }
        }
    }
    attached
}

type Places = Vec<(usize, Vec<HostAt>)>;

/// Asks the listeners that a parentRef means, in the order in which the standard names the reasons.
fn place(
    cluster: &Cluster,
    at: usize,
    gateway: &mut OurGateway<'_>,
    index: usize,
    route: &Route,
    parent: &ParentRef,
    taken: &mut Taken,
) -> (Verdict, Places) {
    let gateway_namespace = gateway.raw.0.clone();
    let meant: Vec<usize> = positions(&gateway.listeners, |listener| is_meant(listener, parent));
    if meant.is_empty() {
        let message = "the Gateway has no listener with this sectionName and port".to_owned();
        return (Verdict::Refused("NoMatchingParent", message), Vec::new());
    }
    let allowed = |listener: &Listener| {
        listener.kinds.contains(&route.kind)
            && match &listener.namespaces {
                AllowedNamespaces::All => true,
                AllowedNamespaces::Same => gateway_namespace == route.key.0,
                AllowedNamespaces::Selected(selector) => {
                    selector.matches(&namespaces::labels(cluster, &route.key.0))
                }
                AllowedNamespaces::None => false,
            }
    };
    let mut permitted = BTreeSet::new();
    for position in meant {
        if let Some(listener) = gateway
            .listeners
            .get_mut(position)
            .filter(|listener| allowed(listener))
        {
            // attachedRoutes counts by parentRef and allowedRoutes alone (ListenerStatus.attachedRoutes).
            listener.attached.insert(index);
            permitted.insert(position);
        }
    }
    if permitted.is_empty() {
        let message = "no listener allows routes of this kind from this namespace".to_owned();
        return (
            Verdict::Refused("NotAllowedByListeners", message),
            Vec::new(),
        );
    }
    let mut places = Places::new();
    let mut conflict = false;
    for position in permitted {
        let Some(listener) = gateway.listeners.get(position) else {
            continue;
        };
        let hosts = hosts_at(listener, route);
        if hosts.is_empty() {
            continue;
        }
        let taken = taken.entry((at, position)).or_default();
        let meets = |at: &HostAt| {
            taken
                .iter()
                .filter(|(kind, _)| **kind != route.kind)
                .flat_map(|(_, others)| others)
                .any(|other| hosts::intersection(other, &at.host).is_some())
        };
        // HTTPRoutes and GRPCRoutes do not share a host; the older stays (GRPCRouteSpec).
        if hosts.iter().any(meets) {
            conflict = true;
            continue;
        }
        let own = taken.entry(route.kind).or_default();
        own.extend(hosts.iter().map(|at| at.host.clone()));
        places.push((position, hosts));
    }
    if !places.is_empty() {
        return (Verdict::Attached, places);
    }
    let verdict = if conflict {
        let message = "an older route of another kind has the same host name".to_owned();
        Verdict::Refused("Conflicted", message)
    } else {
        let message = "no listener has a host name in common with the route".to_owned();
        Verdict::Refused("NoMatchingListenerHostname", message)
    };
    (verdict, places)
}

fn positions(listeners: &[Listener], wanted: impl Fn(&Listener) -> bool) -> Vec<usize> {
    listeners
        .iter()
        .enumerate()
        .filter(|(_, listener)| wanted(listener))
        .map(|(index, _)| index)
        .collect()
}

fn is_meant(listener: &Listener, parent: &ParentRef) -> bool {
    parent
        .section_name
        .as_deref()
        .is_none_or(|name| name == listener.name)
        && parent.port.is_none_or(|port| port == listener.written_port)
}

/// The hosts of a route at a listener.
fn hosts_at(listener: &Listener, route: &Route) -> Vec<HostAt> {
    let every = [HostMatch::Any];
    let written = route.hosts.as_deref().unwrap_or(&every);
    let common = written.iter().filter_map(|written| {
        let host = hosts::intersection(&listener.host, written)?;
        Some(HostAt {
            host,
            written: written.clone(),
        })
    });
    common.collect()
}
