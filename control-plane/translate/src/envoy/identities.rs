//! Who is at which address, of what is reached by mutual TLS.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use heddle_model::{Enrolment, Mesh, PodKey, SpiffeId, Workload};

/// The pods of the mesh by address.
#[derive(Debug, Default)]
pub(super) struct Identities {
    workloads: BTreeMap<PodKey, Arc<Workload>>,
    by_address: BTreeMap<IpAddr, SpiffeId>,
    /// Also those whose pods have no address yet: their tunnels shall stand before the first endpoint needs one.
    all: BTreeSet<SpiffeId>,
}

impl Identities {
    /// Reads all workloads anew if any of them changed.
    pub(super) fn update(&mut self, mesh: &Mesh) {
        if self.workloads == mesh.workloads {
            return;
        }
        self.workloads.clone_from(&mesh.workloads);
        self.by_address.clear();
        self.all.clear();
        for workload in self.workloads.values() {
            if workload.enrolment != Enrolment::Mesh || workload.host_network {
                continue;
            }
            let id = workload.spiffe_id(&mesh.trust_domain);
            for address in &workload.addresses {
                self.by_address.insert(*address, id.clone());
            }
            self.all.insert(id);
        }
    }

    /// Who is at this address; `None`: not in the mesh.
    pub(super) fn at(&self, address: IpAddr) -> Option<&SpiffeId> {
        self.by_address.get(&address)
    }

    /// Everyone, sorted.
    pub(super) fn all(&self) -> impl Iterator<Item = &SpiffeId> {
        self.all.iter()
    }
}
