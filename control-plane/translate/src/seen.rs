//! Which parts of a mesh are others than at the last update.
//!
//! Most changes touch one part: endpoints come and go all day, while Services and routes stay. Resources are made from some parts each, so
//! what was made from others need not even be walked.

use std::{collections::BTreeMap, sync::Arc};

use heddle_model::{Mesh, ServicePortKey};

/// The mesh of the last update.
#[derive(Debug, Default)]
pub(crate) struct Seen(Option<Mesh>);

/// The parts that are others.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) services: bool,
    pub(crate) endpoints: Endpoints,
    /// Routes or the listeners of Gateways.
    pub(crate) routing: bool,
    pub(crate) workloads: bool,
    pub(crate) policies: bool,
    pub(crate) address_sets: bool,
    pub(crate) nodes: bool,
}

/// Which endpoints are others.
#[derive(Debug)]
pub(crate) enum Endpoints {
    /// Nobody knows: all are to be looked at.
    Any,
    /// Those of these ports.
    Of(Vec<ServicePortKey>),
}

impl Changes {
    const EVERYTHING: Self = Self {
        services: true,
        endpoints: Endpoints::Any,
        routing: true,
        workloads: true,
        policies: true,
        address_sets: true,
        nodes: true,
    };

    /// Whether any endpoints are others.
    pub(crate) fn endpoints(&self) -> bool {
        !matches!(&self.endpoints, Endpoints::Of(ports) if ports.is_empty())
    }
}

impl Seen {
    /// Takes in the mesh as it is now, and tells what is another in it. What is equal costs a comparison of addresses for each entry.
    pub(crate) fn take_in(&mut self, mesh: &Mesh) -> Changes {
        let Some(known) = &mut self.0 else {
            self.0 = Some(mesh.clone());
            return Changes::EVERYTHING;
        };
        if known.trust_domain != mesh.trust_domain || known.cluster_domain != mesh.cluster_domain {
            known.clone_from(mesh);
            return Changes::EVERYTHING;
        }
        let routes = follow(&mut known.routes, &mesh.routes);
        let gateways = follow(&mut known.gateways, &mesh.gateways);
        Changes {
            services: follow(&mut known.services, &mesh.services),
            endpoints: Endpoints::Of(differences(&mut known.endpoints, &mesh.endpoints)),
            routing: routes || gateways,
            workloads: follow(&mut known.workloads, &mesh.workloads),
            policies: follow(&mut known.policies, &mesh.policies),
            address_sets: follow(&mut known.address_sets, &mesh.address_sets),
            nodes: follow(&mut known.nodes, &mesh.nodes),
        }
    }
}

/// Goes over to what is there now; tells whether it is something else.
fn follow<K: Ord + Clone, V: Eq>(
    known: &mut BTreeMap<K, Arc<V>>,
    now: &BTreeMap<K, Arc<V>>,
) -> bool {
    let other = known != now;
    if other {
        known.clone_from(now);
    }
    other
}

/// The same at the cost of what changed; tells the keys of it.
fn differences<K: Ord + Clone, V: Eq>(
    known: &mut BTreeMap<K, Arc<V>>,
    now: &BTreeMap<K, Arc<V>>,
) -> Vec<K> {
    let mut other = Vec::new();
    let (mut old, mut new) = (known.iter().peekable(), now.iter().peekable());
    while let Some(order) = order(old.peek(), new.peek()) {
        let before = order.is_le().then(|| old.next()).flatten();
        let after = order.is_ge().then(|| new.next()).flatten();
        if before.map(|(_, value)| value) != after.map(|(_, value)| value) {
            other.extend(after.or(before).map(|(key, _)| key.clone()));
        }
    }
    for key in &other {
        match now.get(key) {
            Some(value) => known.insert(key.clone(), Arc::clone(value)),
            None => known.remove(key),
        };
    }
    other
}

/// Which of two entries comes first; `None`: there are none. What has ended comes last.
fn order<K: Ord, V>(old: Option<&(&K, V)>, new: Option<&(&K, V)>) -> Option<std::cmp::Ordering> {
    use std::cmp::Ordering;
    Some(match (old, new) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some((old, _)), Some((new, _))) => old.cmp(new),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = BTreeMap<u8, Arc<u8>>> {
        let values = (0..3_u8).prop_map(Arc::new);
        prop::collection::btree_map(0..8_u8, values, 0..8)
    }

    proptest! {
        #[test]
        fn the_differences_are_the_keys_whose_entries_are_not_equal(before in entries(), now in entries()) {
            let expected: Vec<u8> = (0..8).filter(|key| before.get(key) != now.get(key)).collect();
            let mut known = before;
            prop_assert_eq!(differences(&mut known, &now), expected);
            prop_assert_eq!(&known, &now);
            prop_assert!(differences(&mut known, &now).is_empty());
        }
    }
}
