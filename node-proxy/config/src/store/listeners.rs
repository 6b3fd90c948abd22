//! Which listeners are in force.
//!
//! A listener that refers to a route table comes into force when that table is there: until then its predecessor stays,
//! so that no request falls between the two (Envoy calls it warming). A table that was refused, or that the control plane
//! says does not exist, is not waited for: the listener then has no routes, and requests are answered 404. A secret is waited for
//! whatever happens: without its certificate a listener must not speak at all.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::Entry},
    hash::Hash,
    net::SocketAddr,
    sync::Arc,
};

use foldhash::HashMap;
use heddle_routing::RouteTable;

use super::kept::Kept;
use crate::{
    BoundListener, BoundProtocol, Certificate, OutboundListener, OutboundProtocol, ProxyConfig,
    ServerTls, Update,
    decode::{Listener, Secret},
};

/// Listeners in force, and those that wait.
#[derive(Debug, Default)]
pub(super) struct Active {
    in_force: BTreeMap<Arc<str>, Listener>,
    waiting: bool,
    /// Tables that stand in listeners, as they are in the configuration.
    inline: BTreeSet<Arc<str>>,
    /// What is needed for TLS, by listener.
    tls: BTreeMap<Arc<str>, Encrypted>,
}

/// TLS of a listener in force.
#[derive(Debug)]
struct Encrypted {
    told: Arc<ServerTls>,
    certificate: Certificate,
    config: Arc<rustls::ServerConfig>,
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
        secrets: &Kept<Secret>,
        config: &mut ProxyConfig,
    ) {
        self.in_force.retain(|name, _| listeners.contains(name));
        self.waiting = false;
        for (name, listener) in listeners.iter() {
            let known =
                |routes: &str| config.routes.contains_key(routes) || missing.contains(routes);
            let certified = self.is_certified(name, listener, secrets);
            if certified && awaited(listener).is_none_or(known) {
                self.in_force.insert(Arc::clone(name), listener.clone());
            } else {
                self.waiting = true;
            }
        }
        self.publish_inline(config);
        self.publish_tls(secrets, config);
        publish(self.in_force.values(), config);
    }

    /// Whether what a listener needs for TLS is there.
    fn is_certified(&self, name: &Arc<str>, listener: &Listener, secrets: &Kept<Secret>) -> bool {
        let Some(told) = tls_of(listener) else {
            return true;
        };
        let known = self.tls.get(name);
        certificate(told, secrets).is_some()
            || known.is_some_and(|known| Arc::ptr_eq(&known.told, told))
    }

    /// With the newest certificate; if that cannot be used, with the one before.
    fn publish_tls(&mut self, secrets: &Kept<Secret>, config: &mut ProxyConfig) {
        let mut before = std::mem::take(&mut self.tls);
        for (name, listener) in &self.in_force {
            let Some(told) = tls_of(listener) else {
                continue;
            };
            if let Some(encrypted) = encrypted(told, before.remove(name), secrets) {
                self.tls.insert(Arc::clone(name), encrypted);
            }
        }
        let all = self.tls.iter();
        config.server_tls = all
            .map(|(name, encrypted)| (Arc::clone(name), Arc::clone(&encrypted.config)))
            .collect();
    }

    /// Secrets that the listeners in force refer to.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let tls = self.in_force.values().filter_map(tls_of);
        tls.map(|tls| &*tls.certificate)
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

/// TLS that a listener speaks.
pub(super) fn tls_of(listener: &Listener) -> Option<&Arc<ServerTls>> {
    match listener {
        Listener::Bound(bound, _) => bound.tls.as_ref(),
        Listener::Outbound(..) | Listener::Pod(_) => None,
    }
}

fn certificate<'a>(told: &ServerTls, secrets: &'a Kept<Secret>) -> Option<&'a Certificate> {
    secrets.get(&told.certificate)?.certificate()
}

fn encrypted(
    told: &Arc<ServerTls>,
    known: Option<Encrypted>,
    secrets: &Kept<Secret>,
) -> Option<Encrypted> {
    let known = known.filter(|known| Arc::ptr_eq(&known.told, told));
    let Some(certificate) = certificate(told, secrets) else {
        return known;
    };
    let in_use = |known: &Encrypted| known.certificate.is(certificate);
    if known.as_ref().is_some_and(in_use) {
        return known;
    }
    match told.config(certificate) {
        Ok(config) => Some(Encrypted {
            told: Arc::clone(told),
            certificate: certificate.clone(),
            config: Arc::new(config),
        }),
        Err(error) => {
            tracing::error!(secret = %told.certificate, %error, "a certificate cannot be used");
            known
        }
    }
}

/// The route table that a listener refers to by name.
pub(super) fn awaited(listener: &Listener) -> Option<&str> {
    match listener {
        Listener::Pod(_) | Listener::Outbound(_, Some(_)) | Listener::Bound(_, Some(_)) => None,
        Listener::Bound(bound, None) => match &bound.protocol {
            BoundProtocol::Http { routes } => Some(routes),
            BoundProtocol::Opaque { .. } => None,
        },
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
        Listener::Outbound(_, table) | Listener::Bound(_, table) => table.as_ref(),
        Listener::Pod(_) => None,
    }
}

fn publish<'a>(listeners: impl Iterator<Item = &'a Listener>, config: &mut ProxyConfig) {
    config.outbound.clear();
    config.outbound_for.clear();
    config.pods.clear();
    let before = std::mem::take(&mut config.bound);
    for listener in listeners {
        match listener {
            Listener::Pod(pod) => {
                config.pods.insert(pod.name.clone(), Arc::clone(pod));
            }
            Listener::Bound(bound, _) => publish_bound(bound, &before, config),
            Listener::Outbound(outbound, _) => publish_outbound(outbound, config),
        }
    }
    config.bound_addresses = config.bound.values().map(|bound| bound.address).collect();
}

/// A listener of another control plane has its address for itself: whoever has it keeps it, then the first by name counts.
/// [`Addresses`] has told the control plane in most cases.
fn publish_bound(
    bound: &Arc<BoundListener>,
    before: &BTreeMap<Arc<str>, Arc<BoundListener>>,
    config: &mut ProxyConfig,
) {
    let other = config
        .bound
        .values()
        .find(|other| excludes(other, bound))
        .map(|other| Arc::clone(&other.name));
    if let Some(other) = other {
        let had_it = |name: &str| {
            let before = before.get(name);
            before.is_some_and(|before| before.address == bound.address)
        };
        tracing::warn!(listener = %bound.name, %other, address = %bound.address, "two listeners at one address");
        if had_it(&other) || !had_it(&bound.name) {
            return;
        }
        config.bound.remove(&other);
    }
    let name = Arc::clone(&bound.name);
    config.bound.insert(name, Arc::clone(bound));
}

/// Whether the two cannot both be open.
fn excludes(one: &BoundListener, other: &BoundListener) -> bool {
    one.name != other.name
        && one.address == other.address
        && !(one.is_gateways && other.is_gateways)
}

/// Which addresses are taken by bound listeners, while an update is taken in.
#[derive(Default)]
pub(super) struct Addresses(BTreeMap<SocketAddr, Vec<Arc<BoundListener>>>);

impl Addresses {
    /// Those of listeners that the update does not touch.
    pub(super) fn beside(listeners: &Kept<Listener>, update: &Update) -> Self {
        let touched: BTreeSet<&str> = update
            .resources
            .iter()
            .map(|(name, _, _)| name)
            .chain(&update.removed)
            .map(String::as_str)
            .collect();
        let mut addresses = Self::default();
        for (name, listener) in listeners.iter() {
            if let (Listener::Bound(bound, _), false) = (listener, touched.contains(&**name)) {
                addresses.hold(bound);
            }
        }
        addresses
    }

    fn hold(&mut self, bound: &Arc<BoundListener>) {
        let there = self.0.entry(bound.address).or_default();
        there.push(Arc::clone(bound));
    }

    /// Takes a listener's address for it; `Err`: the name of the listener that has it.
    pub(super) fn claim(&mut self, listener: &Listener) -> Result<(), Arc<str>> {
        let Listener::Bound(bound, _) = listener else {
            return Ok(());
        };
        let there = self.0.entry(bound.address).or_default();
        if let Some(other) = there.iter().find(|other| excludes(other, bound)) {
            return Err(Arc::clone(&other.name));
        }
        there.push(Arc::clone(bound));
        Ok(())
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
