//! The addresses that selectors mean at this moment.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

/// Address sets by name. What refers to a set that is not there does not match: not negated either.
#[derive(Clone, Debug, Default)]
pub struct AddressSets(pub HashMap<Arc<str>, Arc<BTreeSet<IpAddr>>>);

impl AddressSets {
    /// Whether the named set holds the address.
    pub fn contains(&self, name: &str, address: IpAddr) -> bool {
        self.find(name, address).unwrap_or(false)
    }

    /// Whether the named set holds the address; `None`: there is no such set.
    pub fn find(&self, name: &str, address: IpAddr) -> Option<bool> {
        self.0.get(name).map(|set| set.contains(&address))
    }
}
