//! Who is at which address, of what is reached by mutual TLS.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use heddle_model::{Enrolment, Mesh, SpiffeId};

/// The pods of the mesh by address.
#[derive(Debug, Default)]
pub(super) struct Identities {
    by_address: BTreeMap<IpAddr, SpiffeId>,
    /// Also those whose pods have no address yet: their tunnels shall stand before the first endpoint needs one.
    all: BTreeSet<SpiffeId>,
}

impl Identities {
    /// Reads all workloads.
    pub(super) fn of(mesh: &Mesh) -> Self {
        let mut found = Self::default();
        for workload in mesh.workloads.values() {
            if workload.enrolment != Enrolment::Mesh || workload.host_network {
                continue;
            }
            let id = workload.spiffe_id(&mesh.trust_domain);
            for address in &workload.addresses {
                found.by_address.insert(*address, id.clone());
            }
            found.all.insert(id);
        }
        found
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
