//! Who owns an address when several objects claim it.
//!
//! Kubernetes gives a pod's address to the next pod as soon as the first is gone, and both objects may exist for a moment. If both counted,
//! the new pod's traffic could be taken for the old pod's: identity and policy must follow one owner.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::names::RawKey;

/// All claims. `R` ranks them: the greatest wins; between equals the smallest key.
#[derive(Debug)]
pub(crate) struct Claims<R> {
    by_address: BTreeMap<IpAddr, BTreeMap<RawKey, R>>,
    by_owner: BTreeMap<RawKey, Vec<IpAddr>>,
}

impl<R> Default for Claims<R> {
    fn default() -> Self {
        Self {
            by_address: BTreeMap::new(),
            by_owner: BTreeMap::new(),
        }
    }
}

impl<R: Ord + Clone> Claims<R> {
    /// Replaces the claims of one object; returns all objects that share an address with it, before or after.
    pub(crate) fn set(
        &mut self,
        owner: &RawKey,
        addresses: &[IpAddr],
        rank: &R,
    ) -> BTreeSet<RawKey> {
        let mut affected = BTreeSet::new();
        for address in self.by_owner.remove(owner).unwrap_or_default() {
            if let Some(claims) = self.by_address.get_mut(&address) {
                affected.extend(claims.keys().cloned());
                claims.remove(owner);
                if claims.is_empty() {
                    self.by_address.remove(&address);
                }
            }
        }
        for address in addresses {
            let claims = self.by_address.entry(*address).or_default();
            claims.insert(owner.clone(), rank.clone());
            affected.extend(claims.keys().cloned());
        }
        if !addresses.is_empty() {
            self.by_owner.insert(owner.clone(), addresses.to_vec());
        }
        affected
    }

    /// The owner of an address.
    pub(crate) fn winner(&self, address: &IpAddr) -> Option<&RawKey> {
        let claims = self.by_address.get(address)?;
        // `max_by` keeps the last of equals; reversed, that is the smallest key.
        claims
            .iter()
            .rev()
            .max_by(|a, b| a.1.cmp(b.1))
            .map(|(owner, _)| owner)
    }
}

#[cfg(test)]
mod tests;
