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
use crate::routes::in_order;

/// One entry for each port of a Gateway that is served.
pub(super) fn listeners(
    gateway: &OurGateway<'_>,
    attached: &Attached,
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
            .flat_map(|(index, listener)| of_listener(gateway, *index, listener, &group, attached))
            .collect();
        hosts.sort_by(|a, b| {
            let order = |host: &GatewayVirtualHost| {
                (Reverse(hosts::specificity(&host.host)), host.host.clone())
            };
            order(a).cmp(&order(b))
        });
        served.push((key.clone(), GatewayListener { key, port, hosts }));
    }
    served
}

/// The hosts of one listener. Its own name is always among them: what no route of it answers is 404, and is not for another listener to answer.
fn of_listener(
    gateway: &OurGateway<'_>,
    index: usize,
    listener: &Listener,
    group: &[(usize, &Listener)],
    attached: &Attached,
) -> Vec<GatewayVirtualHost> {
    let none = BTreeMap::new();
    let routes = attached
        .routes
        .get(&(gateway.raw.clone(), index))
        .unwrap_or(&none);
    let mut names: BTreeSet<&HostMatch> = routes.values().flatten().map(|at| &at.host).collect();
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
            rules: rules(host, routes, attached),
        })
        .collect()
}

/// The rules for a host: of all routes whose host names contain it, those with the longer names first (HTTPRouteSpec.hostnames).
fn rules(
    host: &HostMatch,
    routes: &BTreeMap<usize, Vec<HostAt>>,
    attached: &Attached,
) -> Vec<RouteRule> {
    let mut candidates = Vec::new();
    for (route, names) in routes {
        let meant = names.iter().filter(|at| hosts::covers(&at.host, host));
        let best = meant.map(|at| hosts::specificity(&at.written)).max();
        let Some(best) = best else {
            continue;
        };
        for candidate in attached.rules.get(route).into_iter().flatten() {
            let mut candidate = candidate.clone();
            candidate.host = best;
            candidates.push(candidate);
        }
    }
    in_order(candidates)
}
