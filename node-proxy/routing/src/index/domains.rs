//! Virtual hosts by their domains.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Deref,
    sync::Arc,
};

use crate::{Domain, VirtualHost};

/// The virtual hosts of a table, in any order.
#[derive(Clone, Debug, Default)]
pub struct VirtualHosts {
    hosts: Vec<VirtualHost>,
    exact: HashMap<Arc<str>, u32>,
    /// By length.
    suffixes: BTreeMap<usize, HashMap<Arc<str>, u32>>,
    /// By length.
    prefixes: BTreeMap<usize, HashMap<Arc<str>, u32>>,
    any: Option<u32>,
}

impl VirtualHosts {
    /// The virtual host for a host without a port, in any case: exact, longest suffix, longest prefix, any (route.v3.VirtualHost.domains).
    pub(crate) fn find(&self, host: &str) -> Option<&VirtualHost> {
        let place = if self.is_any_only() {
            self.any
        } else {
            self.place(&lower(host)).or(self.any)
        };
        self.hosts.get(place? as usize)
    }

    fn is_any_only(&self) -> bool {
        self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty()
    }

    fn place(&self, host: &str) -> Option<u32> {
        if let Some(place) = self.exact.get(host) {
            return Some(*place);
        }
        // At least one character is left over.
        let suffixes = self.suffixes.range(..host.len()).rev();
        let suffix = suffixes
            .filter_map(|(length, places)| places.get(host.get(host.len() - length..)?))
            .next();
        let prefixes = self.prefixes.range(..host.len()).rev();
        suffix.copied().or_else(|| {
            prefixes
                .filter_map(|(length, places)| places.get(host.get(..*length)?))
                .next()
                .copied()
        })
    }
}

fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    }
}

impl From<Vec<VirtualHost>> for VirtualHosts {
    fn from(hosts: Vec<VirtualHost>) -> Self {
        let mut all = Self::default();
        for (place, host) in (0..).zip(&hosts) {
            for domain in &host.domains {
                // Of two equal domains the first counts (Envoy refuses them).
                match domain {
                    Domain::Any => {
                        all.any.get_or_insert(place);
                    }
                    Domain::Exact(name) => {
                        all.exact.entry(lowered(name)).or_insert(place);
                    }
                    Domain::Suffix(suffix) => {
                        let of_length = all.suffixes.entry(suffix.len()).or_default();
                        of_length.entry(lowered(suffix)).or_insert(place);
                    }
                    Domain::Prefix(prefix) => {
                        let of_length = all.prefixes.entry(prefix.len()).or_default();
                        of_length.entry(lowered(prefix)).or_insert(place);
                    }
                }
            }
        }
        Self { hosts, ..all }
    }
}

fn lowered(name: &Arc<str>) -> Arc<str> {
    match lower(name) {
        Cow::Borrowed(_) => Arc::clone(name),
        Cow::Owned(lower) => lower.into(),
    }
}

impl Deref for VirtualHosts {
    type Target = [VirtualHost];

    fn deref(&self) -> &Self::Target {
        &self.hosts
    }
}
