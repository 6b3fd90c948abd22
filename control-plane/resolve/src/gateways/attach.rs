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
    /// The routes of each listener, by index, with each of their hosts there.
    pub(super) routes: BTreeMap<ListenerAt, Vec<(usize, HostAt)>>,
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
                let routes = attached.routes.entry((at, listener)).or_default();
                for host in hosts {
                    // Another parentRef may have brought it here already.
                    let mut own = routes.iter().rev().take_while(|(of, _)| *of == index);
                    if own.all(|(_, known)| *known != host) {
                        routes.push((index, host));
                    }
                }
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
    let is_own = gateway.raw.0 == route.key.0;
    let allowed = |listener: &Listener| {
        listener.kinds.contains(&route.kind)
            && match &listener.namespaces {
                AllowedNamespaces::All => true,
                AllowedNamespaces::Same => is_own,
                AllowedNamespaces::Selected(selector) => {
                    selector.matches(&namespaces::labels(cluster, &route.key.0))
                }
                AllowedNamespaces::None => false,
            }
    };
    let (mut meant, mut permitted) = (false, false);
    let mut places = Places::new();
    let mut conflict = false;
    for (position, listener) in gateway.listeners.iter_mut().enumerate() {
        if !is_meant(listener, parent) {
            continue;
        }
        meant = true;
        if !allowed(listener) {
            continue;
        }
        permitted = true;
        // attachedRoutes counts by parentRef and allowedRoutes alone (ListenerStatus.attachedRoutes).
        listener.attached.insert(index);
        let hosts = hosts_at(listener, route);
        if hosts.is_empty() {
            continue;
        }
        match take(hosts, route.kind, taken.entry((at, position)).or_default()) {
            Some(hosts) => places.push((position, hosts)),
            None => conflict = true,
        }
    }
    if !places.is_empty() {
        return (Verdict::Attached, places);
    }
    if !meant {
        let message = "the Gateway has no listener with this sectionName and port".to_owned();
        return (Verdict::Refused("NoMatchingParent", message), places);
    }
    if !permitted {
        let message = "no listener allows routes of this kind from this namespace".to_owned();
        return (Verdict::Refused("NotAllowedByListeners", message), places);
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

/// Takes hosts at a listener for routes of this kind, if no other kind has them: HTTPRoutes and GRPCRoutes do not share a host; the older stays
/// (GRPCRouteSpec).
fn take(
    hosts: Vec<HostAt>,
    kind: RouteKind,
    taken: &mut BTreeMap<RouteKind, BTreeSet<HostMatch>>,
) -> Option<Vec<HostAt>> {
    let meets = |at: &HostAt| {
        let of_others = taken.iter().filter(|(other, _)| **other != kind);
        of_others
            .flat_map(|(_, others)| others)
            .any(|other| hosts::intersection(other, &at.host).is_some())
    };
    if hosts.iter().any(meets) {
        return None;
    }
    let own = taken.entry(kind).or_default();
    for at in &hosts {
        if !own.contains(&at.host) {
            own.insert(at.host.clone());
        }
    }
    Some(hosts)
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
