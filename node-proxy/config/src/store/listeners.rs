//! Which listeners are in force.
//!
//! A listener that refers to a route table comes into force when that table is there: until then its predecessor stays,
//! so that no request falls between the two (Envoy calls it warming). A table that was refused, or that the control plane
//! says does not exist, is not waited for: the listener then has no routes, and requests are answered 404.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use heddle_routing::RouteTable;

use super::kept::Kept;
use crate::{OutboundListener, OutboundProtocol, ProxyConfig, decode::Listener};

/// Listeners in force, and those that wait.
#[derive(Debug, Default)]
pub(super) struct Active {
    in_force: BTreeMap<Arc<str>, Listener>,
    waiting: bool,
    /// Tables that stand in listeners, as they are in the configuration.
    inline: BTreeSet<Arc<str>>,
}

impl Active {
    /// Whether a listener waits for its route table.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Decides anew which listeners are in force. `missing`: route tables that are not waited for.
    pub(super) fn settle(
        &mut self,
        listeners: &Kept<Listener>,
        missing: &BTreeSet<String>,
        config: &mut ProxyConfig,
    ) {
        self.in_force.retain(|name, _| listeners.contains(name));
        self.waiting = false;
        for (name, listener) in listeners.iter() {
            let known =
                |routes: &str| config.routes.contains_key(routes) || missing.contains(routes);
            if awaited(listener).is_none_or(known) {
                self.in_force.insert(Arc::clone(name), listener.clone());
            } else {
                self.waiting = true;
            }
        }
        self.publish_inline(config);
        publish(self.in_force.values(), config);
    }

    fn publish_inline(&mut self, config: &mut ProxyConfig) {
        for name in std::mem::take(&mut self.inline) {
            config.routes.remove(&name);
        }
        for table in self.in_force.values().filter_map(inline_table) {
            self.inline.insert(Arc::clone(&table.name));
            config
                .routes
                .insert(Arc::clone(&table.name), Arc::clone(table));
        }
    }

    /// Route tables that the listeners in force refer to by name.
    pub(super) fn referenced(&self) -> impl Iterator<Item = &str> {
        self.in_force.values().filter_map(awaited)
    }
}

/// The route table that a listener refers to by name.
pub(super) fn awaited(listener: &Listener) -> Option<&str> {
    match listener {
        Listener::Pod(_) | Listener::Outbound(_, Some(_)) | Listener::Gateway(_, Some(_)) => None,
        Listener::Gateway(gateway, None) => Some(&gateway.routes),
        Listener::Outbound(outbound, None) => match &outbound.protocol {
            OutboundProtocol::Http { routes } | OutboundProtocol::Detect { routes, .. } => {
                Some(routes)
            }
            OutboundProtocol::Opaque { .. } => None,
        },
    }
}

fn inline_table(listener: &Listener) -> Option<&Arc<RouteTable>> {
    match listener {
        Listener::Outbound(_, table) | Listener::Gateway(_, table) => table.as_ref(),
        Listener::Pod(_) => None,
    }
}

fn publish<'a>(listeners: impl Iterator<Item = &'a Listener>, config: &mut ProxyConfig) {
    config.outbound.clear();
    config.outbound_for.clear();
    config.pods.clear();
    config.gateways.clear();
    for listener in listeners {
        match listener {
            Listener::Pod(pod) => {
                config.pods.insert(pod.name.clone(), Arc::clone(pod));
            }
            Listener::Gateway(gateway, _) => {
                config
                    .gateways
                    .insert(Arc::clone(&gateway.name), Arc::clone(gateway));
            }
            Listener::Outbound(outbound, _) => publish_outbound(outbound, config),
        }
    }
}

fn publish_outbound(listener: &Arc<OutboundListener>, config: &mut ProxyConfig) {
    for address in listener.addresses.iter().copied() {
        match &listener.client_namespace {
            None => claim(&mut config.outbound, address, listener),
            Some(namespace) => {
                claim(
                    &mut config.outbound_for,
                    (namespace.clone(), address),
                    listener,
                );
            }
        }
    }
}

/// Of two listeners at one address the first by name counts. That happens for a moment, when a Service gets the address
/// of one that is just going.
fn claim<K: Eq + Hash>(
    map: &mut HashMap<K, Arc<OutboundListener>>,
    key: K,
    listener: &Arc<OutboundListener>,
) {
    match map.entry(key) {
        Entry::Vacant(free) => {
            free.insert(Arc::clone(listener));
        }
        Entry::Occupied(taken) => tracing::warn!(
            listener = %listener.name,
            in_force = %taken.get().name,
            "two listeners at one address"
        ),
    }
}
