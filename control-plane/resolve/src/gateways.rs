//! Gateways of our classes, their listeners and the routes attached to them.
//!
//! For now one address serves all: a Gateway is reached at the addresses of the nodes, so that a port can belong to one Gateway only (the oldest), and only HTTP is
//! served; other protocols are refused by condition. Listeners of one Gateway that share a port are one
//! [`GatewayListener`](heddle_model::GatewayListener), under the name of the first, with the hosts of all: a request goes to the listener with the most specific
//! host name alone (listener isolation), and there to the routes in the order of their host names.

mod attach;
mod classes;
mod hosts;
mod listeners;
mod status;
mod virtual_hosts;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use heddle_model::{GatewayKey, GatewayListener, GatewayListenerKey, Mesh};
use heddle_resources::{Cluster, Kind};

pub(crate) use hosts::parse as parse_host;

use crate::{
    Problem,
    names::{RawKey, id, object_key},
    problem::Report,
    routes::{LinkedRoute, Verdict},
    status::{GatewayClassStatus, GatewayStatus},
};
use listeners::Listener;

/// A Gateway of ours.
#[derive(Debug)]
struct OurGateway<'a> {
    raw: RawKey,
    key: GatewayKey,
    object: &'a heddle_resources::Gateway,
    listeners: Vec<Listener>,
    /// Why the whole Gateway is refused: (reason, message).
    refused: Option<(&'static str, String)>,
}

/// What came of the Gateways.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    pub(crate) listeners: BTreeMap<GatewayListenerKey, GatewayListener>,
    pub(crate) statuses: BTreeMap<GatewayKey, GatewayStatus>,
    pub(crate) classes: BTreeMap<Arc<str>, GatewayClassStatus>,
    /// By (index of the route, index of its parentRef); only parents that are ours.
    pub(crate) verdicts: BTreeMap<(usize, usize), Verdict>,
    pub(crate) problems: Vec<Problem>,
}

/// Works out all Gateways and the routes attached to them.
pub(crate) fn resolve(cluster: &Cluster, mesh: &Mesh, routes: &[&LinkedRoute]) -> Gateways {
    let mut result = Gateways::default();
    let (classes, statuses) = classes::ours(cluster);
    result.classes = statuses;
    let mut gateways = ours(cluster, &classes, &mut result.problems);
    listeners::refuse_taken_ports(&mut gateways);
    let attached = attach::attach(cluster, &mut gateways, routes);
    let addresses: BTreeSet<IpAddr> = mesh
        .nodes
        .values()
        .flat_map(|node| node.addresses.iter().copied())
        .collect();
    for (at, gateway) in gateways.iter().enumerate() {
        let status = status::gateway(gateway, &addresses);
        if status::is_served(&status) {
            result
                .listeners
                .extend(virtual_hosts::listeners((at, gateway), &attached, routes));
        }
        status::problems(gateway, &status, &mut result.problems);
        result.statuses.insert(gateway.key.clone(), status);
    }
    result.verdicts = attached.verdicts;
    result
}

/// The Gateways of our classes, the oldest first.
fn ours<'a>(
    cluster: &'a Cluster,
    classes: &BTreeMap<Arc<str>, classes::Class>,
    problems: &mut Vec<Problem>,
) -> Vec<OurGateway<'a>> {
    let mut gateways = Vec::new();
    for (raw, object) in cluster.gateways.iter() {
        let Some(class) = classes.get(object.spec.gateway_class_name.as_str()) else {
            continue;
        };
        let mut report = Report::on(id(Kind::Gateway, raw));
        match object_key(raw) {
            Err((field, message)) => report.add(field, message),
            Ok(key) => gateways.push(OurGateway {
                raw: raw.clone(),
                key,
                object,
                listeners: listeners::read(&object.spec.listeners, &mut report),
                refused: status::refusal(object, class),
            }),
        }
        problems.extend(report.into_problems());
    }
    gateways.sort_by(|a, b| {
        let created = |gateway: &OurGateway<'_>| gateway.object.metadata.creation_timestamp.clone();
        (created(a), &a.raw).cmp(&(created(b), &b.raw))
    });
    gateways
}
