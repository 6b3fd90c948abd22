//! Groups of pods that policies speak of, and their addresses, kept up to date pod by pod.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use heddle_model::{AddressSet, AddressSetName, Mesh, PortNumber, Transport};
use heddle_resources::Cluster;
use ipnet::IpNet;

use crate::{
    names::{RawKey, transport_name},
    namespaces, pods, retain,
    selector::{Labels, Selector},
    workloads::{PodState, Workloads},
};

/// Which pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Members {
    /// By labels.
    Pods {
        namespaces: NamespaceScope,
        pods: Selector,
    },
    /// By address: for named ports, which an ipBlock cannot resolve by itself.
    Block { cidr: IpNet, except: Vec<IpNet> },
}

/// Which namespaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NamespaceScope {
    /// The policy's own.
    Only(Arc<str>),
    /// By labels.
    Matching(Selector),
}

impl Members {
    /// Every pod of the cluster.
    pub(super) fn everyone() -> Self {
        Self::Pods {
            namespaces: NamespaceScope::Matching(Selector::default()),
            pods: Selector::default(),
        }
    }

    /// The addresses of a pod that belong to the group.
    fn addresses(&self, key: &RawKey, state: &PodState, namespace: &Labels) -> Vec<IpAddr> {
        let own = &state.workload.addresses;
        match self {
            Self::Pods { namespaces, pods } => {
                let of_namespace = match namespaces {
                    NamespaceScope::Only(name) => *name == key.0,
                    NamespaceScope::Matching(selector) => selector.matches(namespace),
                };
                if of_namespace && pods.matches(pods::labels(&state.pod)) {
                    own.clone()
                } else {
                    Vec::new()
                }
            }
            Self::Block { cidr, except } => {
                let inside = |address: &&IpAddr| {
                    cidr.contains(*address) && !except.iter().any(|net| net.contains(*address))
                };
                own.iter().filter(inside).copied().collect()
            }
        }
    }
}

/// `shop/{app=cart}`, `{team=a}/{}`, `[10.0.0.0/8-10.1.0.0/16]`.
impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods {
                namespaces: NamespaceScope::Only(name),
                pods,
            } => write!(f, "{name}/{{{pods}}}"),
            Self::Pods {
                namespaces: NamespaceScope::Matching(selector),
                pods,
            } => write!(f, "{{{selector}}}/{{{pods}}}"),
            Self::Block { cidr, except } => {
                write!(f, "[{cidr}")?;
                except.iter().try_for_each(|net| write!(f, "-{net}"))?;
                f.write_str("]")
            }
        }
    }
}

/// A group: members, and perhaps only those that have a port of this name, told apart by its number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub(crate) members: Members,
    pub(crate) port: Option<(Arc<str>, Transport)>,
}

impl GroupKey {
    /// The name of the set of those with this number (`None`: of all).
    pub(crate) fn set_name(&self, number: Option<PortNumber>) -> AddressSetName {
        let mut text = self.members.to_string();
        if let (Some((name, transport)), Some(number)) = (&self.port, number) {
            // Whatever a port is called, its name ends at the quote.
            text.push_str(&format!(
                ":{name:?}={number}/{}",
                transport_name(*transport)
            ));
        }
        // A selector may be long; names go into every policy that uses them.
        const LONGEST: usize = 160;
        if text.len() > LONGEST {
            let hash = blake3::hash(text.as_bytes()).to_hex();
            let short: String = text.chars().take(LONGEST / 4).collect();
            text = format!("{short}#{}", &hash.as_str()[..32]);
        }
        AddressSetName(Arc::from(text))
    }
}

type Membership = (Option<PortNumber>, Vec<IpAddr>);

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<GroupKey, BTreeMap<RawKey, Membership>>,
}

impl Groups {
    /// The numbers that the members' port has.
    pub(crate) fn numbers(&self, group: &GroupKey) -> BTreeSet<PortNumber> {
        self.groups
            .get(group)
            .into_iter()
            .flat_map(|members| members.values())
            .filter_map(|(number, _)| *number)
            .collect()
    }

    /// Makes the groups exactly these; new ones are filled from all pods.
    pub(crate) fn set(
        &mut self,
        cluster: &Cluster,
        wanted: BTreeSet<GroupKey>,
        workloads: &Workloads,
        mesh: &mut Mesh,
    ) {
        let gone: Vec<GroupKey> = self
            .groups
            .keys()
            .filter(|group| !wanted.contains(*group))
            .cloned()
            .collect();
        for group in gone {
            for name in self.set_names(&group) {
                mesh.address_sets.remove(&name);
            }
            self.groups.remove(&group);
        }
        let mut labels: BTreeMap<Arc<str>, Labels> = BTreeMap::new();
        for group in wanted {
            if self.groups.contains_key(&group) {
                continue;
            }
            let mut members = BTreeMap::new();
            for (key, state) in workloads.all() {
                let labels = labels
                    .entry(key.0.clone())
                    .or_insert_with(|| namespaces::labels(cluster, &key.0));
                if let Some(membership) = membership(&group, key, state, labels) {
                    members.insert(key.clone(), membership);
                }
            }
            self.groups.insert(group.clone(), members);
            self.publish(&group, &BTreeSet::new(), mesh);
        }
    }

    /// Lets these pods enter and leave. Returns the groups whose port has other numbers now.
    pub(crate) fn follow(
        &mut self,
        cluster: &Cluster,
        pods: &BTreeSet<RawKey>,
        workloads: &Workloads,
        mesh: &mut Mesh,
    ) -> Vec<GroupKey> {
        let mut labels: BTreeMap<Arc<str>, Labels> = BTreeMap::new();
        let mut changed: BTreeMap<GroupKey, BTreeSet<AddressSetName>> = BTreeMap::new();
        let mut before: BTreeMap<GroupKey, BTreeSet<PortNumber>> = BTreeMap::new();
        for key in pods {
            let labels = labels
                .entry(key.0.clone())
                .or_insert_with(|| namespaces::labels(cluster, &key.0));
            for (group, members) in &mut self.groups {
                let new = workloads
                    .get(key)
                    .and_then(|state| membership(group, key, state, labels));
                if members.get(key) == new.as_ref() {
                    continue;
                }
                if !changed.contains_key(group) {
                    let numbers: BTreeSet<PortNumber> =
                        members.values().filter_map(|(number, _)| *number).collect();
                    changed.insert(group.clone(), names(group, &numbers));
                    before.insert(group.clone(), numbers);
                }
                match new {
                    Some(new) => members.insert(key.clone(), new),
                    None => members.remove(key),
                };
            }
        }
        let mut renumbered = Vec::new();
        for (group, old_names) in changed {
            self.publish(&group, &old_names, mesh);
            if before.get(&group) != Some(&self.numbers(&group)) {
                renumbered.push(group);
            }
        }
        renumbered
    }

    fn set_names(&self, group: &GroupKey) -> BTreeSet<AddressSetName> {
        names(group, &self.numbers(group))
    }

    /// Writes the sets of a group into the mesh and removes those that it does not have any more.
    fn publish(&self, group: &GroupKey, old: &BTreeSet<AddressSetName>, mesh: &mut Mesh) {
        let Some(members) = self.groups.get(group) else {
            return;
        };
        let mut sets: BTreeMap<AddressSetName, BTreeSet<IpAddr>> = BTreeMap::new();
        if group.port.is_none() {
            sets.insert(group.set_name(None), BTreeSet::new());
        }
        for (number, addresses) in members.values() {
            sets.entry(group.set_name(*number))
                .or_default()
                .extend(addresses);
        }
        for name in old.iter().filter(|name| !sets.contains_key(*name)) {
            mesh.address_sets.remove(name);
        }
        for (name, addresses) in sets {
            let set = AddressSet {
                name: name.clone(),
                addresses,
            };
            retain::put(&mut mesh.address_sets, name, Some(set));
        }
    }
}

fn names(group: &GroupKey, numbers: &BTreeSet<PortNumber>) -> BTreeSet<AddressSetName> {
    match group.port {
        None => BTreeSet::from([group.set_name(None)]),
        Some(_) => numbers
            .iter()
            .map(|number| group.set_name(Some(*number)))
            .collect(),
    }
}

/// What a pod adds to a group. Pods in the node's network are never in one: their address is the node's.
fn membership(
    group: &GroupKey,
    key: &RawKey,
    state: &PodState,
    namespace: &Labels,
) -> Option<Membership> {
    if state.workload.host_network {
        return None;
    }
    let addresses = group.members.addresses(key, state, namespace);
    if addresses.is_empty() {
        return None;
    }
    match &group.port {
        None => Some((None, addresses)),
        Some((name, transport)) => {
            let number = pods::named_port(&state.pod, name, *transport)?;
            Some((Some(number), addresses))
        }
    }
}
