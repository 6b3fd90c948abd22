//! The hosts of a Gateway's ports, with the rules of each.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_model::{
    GatewayListener, GatewayListenerKey, GatewayVirtualHost, HostMatch, PortNumber, RouteRule,
};

use super::{
    OurGateway,
    attach::{Attached, HostAt},
    hosts,
    listeners::Listener,
};
use crate::routes::{HostRank, LinkedRoute, in_order};

/// One entry for each port of a Gateway that is served.
pub(super) fn listeners(
    (at, gateway): (usize, &OurGateway<'_>),
    attached: &Attached,
    linked: &[&LinkedRoute],
) -> Vec<(GatewayListenerKey, GatewayListener)> {
    let mut ports: BTreeMap<PortNumber, Vec<(usize, &Listener)>> = BTreeMap::new();
    for (index, listener) in gateway
        .listeners
        .iter()
        .enumerate()
        .filter(|(_, listener)| listener.is_valid())
    {
        if let Some(port) = listener.port {
            ports.entry(port).or_default().push((index, listener));
        }
    }
    let mut served = Vec::new();
    for (port, group) in ports {
        let Some((_, first)) = group.first() else {
            continue;
        };
        let key = GatewayListenerKey {
            gateway: gateway.key.clone(),
            section: Arc::from(first.name.as_str()),
        };
        let mut hosts: Vec<GatewayVirtualHost> = group
            .iter()
            .flat_map(|(index, listener)| {
                let routes = attached.routes.get(&(at, *index));
                of_listener(listener, &group, routes.map_or(&[], Vec::as_slice), linked)
            })
            .collect();
        hosts.sort_by(|a, b| {
            let (first, second) = (hosts::specificity(&a.host), hosts::specificity(&b.host));
            second.cmp(&first).then_with(|| a.host.cmp(&b.host))
        });
        served.push((key.clone(), GatewayListener { key, port, hosts }));
    }
    served
}

/// The hosts of one listener. Its own name is always among them: what no route of it answers is 404, and is not for another listener to answer.
fn of_listener(
    listener: &Listener,
    group: &[(usize, &Listener)],
    routes: &[(usize, HostAt)],
    linked: &[&LinkedRoute],
) -> Vec<GatewayVirtualHost> {
    let routes = RoutesByHost::of(routes);
    let mut names: BTreeSet<&HostMatch> = routes.0.keys().copied().collect();
    names.insert(&listener.host);
    let belongs_to_another = |host: &HostMatch| {
        group.iter().any(|(_, other)| {
            other.host != listener.host
                && hosts::covers(&listener.host, &other.host)
                && hosts::covers(&other.host, host)
        })
    };
    names
        .into_iter()
        .filter(|host| !belongs_to_another(host))
        .map(|host| GatewayVirtualHost {
            host: host.clone(),
            rules: rules(&routes.meant_by(host), linked),
        })
        .collect()
}

/// A route, and how specific its host name is that a host is meant by.
type Meant = (usize, HostRank);

/// The routes of a listener by their hosts there.
struct RoutesByHost<'a>(BTreeMap<&'a HostMatch, Vec<Meant>>);

impl<'a> RoutesByHost<'a> {
    fn of(routes: &'a [(usize, HostAt)]) -> Self {
        let mut by_host = BTreeMap::<_, Vec<Meant>>::new();
        for (route, at) in routes {
            let meant = (*route, hosts::specificity(&at.written));
            by_host.entry(&at.host).or_default().push(meant);
        }
        Self(by_host)
    }

    /// The routes whose host names contain a host, each with the most specific of these.
    fn meant_by(&self, host: &HostMatch) -> Vec<Meant> {
        let covering = hosts::covering(host);
        let mut meant: Vec<Meant> = covering
            .iter()
            .filter_map(|wide| self.0.get(wide))
            .flatten()
            .copied()
            .collect();
        meant.sort_by_key(|(route, specificity)| (*route, Reverse(*specificity)));
        meant.dedup_by_key(|(route, _)| *route);
        meant
    }
}

/// The rules of routes, those with the longer host names first (HTTPRouteSpec.hostnames).
fn rules(meant: &[Meant], linked: &[&LinkedRoute]) -> Vec<Arc<RouteRule>> {
    in_order(meant.iter().flat_map(|(route, specificity)| {
        let linked = linked.get(*route).and_then(|one| one.of_gateways.as_ref());
        let candidates = linked.into_iter().flat_map(|linked| &linked.candidates);
        candidates.map(|candidate| (*specificity, candidate))
    }))
}
