//! The addresses that selectors mean at this moment.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

/// Address sets by name. A set that is not there is empty: what refers to it does not match.
#[derive(Clone, Debug, Default)]
pub struct AddressSets(pub HashMap<Arc<str>, Arc<BTreeSet<IpAddr>>>);

impl AddressSets {
    /// Whether the named set holds the address.
    pub fn contains(&self, name: &str, address: IpAddr) -> bool {
        self.0.get(name).is_some_and(|set| set.contains(&address))
    }
}
