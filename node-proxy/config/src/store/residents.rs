//! Who is at which address, while pods come and go.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::kept::Change;
use crate::{Workload, Workloads, decode::Resident};

/// Which pods claim an address, the latest last. An address goes to a new pod before the old one is removed, so there
/// may be two for a moment: the latest counts.
#[derive(Debug, Default)]
pub(super) struct Claims(HashMap<IpAddr, Vec<Arc<str>>>);

impl Claims {
    /// Takes one change over into `workloads`.
    pub(super) fn apply(&mut self, change: Change<Resident>, workloads: &mut Workloads) {
        let Change { name, old, new } = change;
        if let Some(Resident::Node(node)) = &old {
            workloads.nodes.remove(&node.name);
        }
        if let Some(Resident::Node(node)) = &new {
            workloads
                .nodes
                .insert(Arc::clone(&node.name), Arc::clone(node));
        }
        let (old, new) = (pod(old), pod(new));
        match &new {
            Some(pod) => workloads.by_name.insert(Arc::clone(&name), Arc::clone(pod)),
            None => workloads.by_name.remove(&name),
        };
        let (before, now) = (claimed(old.as_deref()), claimed(new.as_deref()));
        for address in before.iter().filter(|address| !now.contains(address)) {
            self.release(*address, &name);
        }
        for address in now.iter().filter(|address| !before.contains(address)) {
            self.0.entry(*address).or_default().push(Arc::clone(&name));
        }
        for address in before.iter().chain(now) {
            self.publish(*address, workloads);
        }
    }

    fn release(&mut self, address: IpAddr, name: &str) {
        if let Some(claims) = self.0.get_mut(&address) {
            claims.retain(|claim| **claim != *name);
            if claims.is_empty() {
                self.0.remove(&address);
            }
        }
    }

    fn publish(&self, address: IpAddr, workloads: &mut Workloads) {
        let latest = self.0.get(&address).and_then(|claims| claims.last());
        match latest.and_then(|name| workloads.by_name.get(name)) {
            Some(workload) => workloads.by_address.insert(address, Arc::clone(workload)),
            None => workloads.by_address.remove(&address),
        };
    }
}

fn pod(resident: Option<Resident>) -> Option<Arc<Workload>> {
    match resident? {
        Resident::Pod(pod) => Some(pod),
        Resident::Node(_) => None,
    }
}

/// The addresses that tell who is there: not those of a pod in its node's network.
fn claimed(pod: Option<&Workload>) -> &[IpAddr] {
    match pod {
        Some(pod) if !pod.host_network => &pod.addresses,
        _ => &[],
    }
}
