//! Pods as the data plane knows them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use heddle_model::{Enrolment, Mesh, Node, NodeName, ObjectKey, ServiceAccount, Workload};
use heddle_resources::{
    Cluster, Kind, ObjectId, Pod, k8s_openapi::apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    claims::Claims,
    names::{RawKey, excerpt, id, object_key},
    namespaces::inherited,
    pods,
    problem::{Facet, ProblemBook, Report},
    retain,
    selector::Labels,
    settings::MESH_LABEL,
};

/// Among pods with one address: not terminating beats terminating, then newer beats older.
type Rank = (bool, Option<Time>);

/// All pods that run or are about to.
#[derive(Debug, Default)]
pub(crate) struct Workloads {
    pods: BTreeMap<RawKey, PodState>,
    claims: Claims<Rank>,
}

/// A pod and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct PodState {
    /// The object.
    pub(crate) pod: Arc<Pod>,
    /// Its key in the model.
    pub(crate) key: ObjectKey,
    /// Its entry in the model, with the addresses that are really its own.
    pub(crate) workload: Arc<Workload>,
    read: Read,
}

/// What is read off the object alone.
#[derive(Clone, Debug)]
struct Read {
    addresses: Vec<IpAddr>,
    service_account: ServiceAccount,
    problems: Vec<crate::Problem>,
}

impl Workloads {
    /// A pod.
    pub(crate) fn get(&self, key: &RawKey) -> Option<&PodState> {
        self.pods.get(key)
    }

    /// All pods.
    pub(crate) fn all(&self) -> &BTreeMap<RawKey, PodState> {
        &self.pods
    }

    /// Reads these pods again. Returns them and all others whose entry may have changed with them (they share an address).
    pub(crate) fn update(
        &mut self,
        cluster: &Cluster,
        dirty: &BTreeSet<RawKey>,
        mesh: &mut Mesh,
        problems: &mut ProblemBook,
    ) -> BTreeSet<RawKey> {
        let mut affected = dirty.clone();
        let mut fresh: BTreeMap<RawKey, (Arc<Pod>, ObjectKey, Read)> = BTreeMap::new();
        for key in dirty {
            let pod = cluster.pods.get(key).filter(|pod| !pods::is_finished(pod));
            let mut report = Report::on(id(Kind::Pod, key));
            let read = pod.and_then(|pod| {
                read(key, pod, &mut report).map(|(of, read)| (pod.clone(), of, read))
            });
            let claimed = match &read {
                // The addresses of a pod in the node's network are the node's: it does not own them.
                Some((pod, _, read)) if !pods::is_host_network(pod) => read.addresses.clone(),
                _ => Vec::new(),
            };
            let rank = pod.map_or((false, None), |pod| {
                (
                    !pods::is_terminating(pod),
                    pod.metadata.creation_timestamp.clone(),
                )
            });
            affected.extend(self.claims.set(key, &claimed, &rank));
            match read {
                Some(read) => {
                    fresh.insert(key.clone(), read);
                }
                None => {
                    if let Some(gone) = self.pods.remove(key) {
                        mesh.workloads.remove(&gone.key);
                    }
                    problems.set(Facet::Workload, id(Kind::Pod, key), report.into_problems());
                }
            }
        }
        for key in &affected {
            let known = || {
                self.pods
                    .get(key)
                    .map(|state| (state.pod.clone(), state.key.clone(), state.read.clone()))
            };
            if let Some((pod, of, read)) = fresh.remove(key).or_else(known) {
                self.rebuild(cluster, key, pod, of, read, mesh, problems);
            }
        }
        affected
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one entry, taken apart by the caller"
    )]
    fn rebuild(
        &mut self,
        cluster: &Cluster,
        key: &RawKey,
        pod: Arc<Pod>,
        of: ObjectKey,
        read: Read,
        mesh: &mut Mesh,
        problems: &mut ProblemBook,
    ) {
        let mut report = Report::on(id(Kind::Pod, key));
        let addresses = self.own_addresses(key, &pod, &read.addresses, &mut report);
        let workload = workload(
            cluster,
            key,
            &pod,
            &of,
            &read,
            addresses,
            &mesh.nodes,
            &mut report,
        );
        retain::put(&mut mesh.workloads, of.clone(), Some(workload));
        let mut found = read.problems.clone();
        found.extend(report.into_problems());
        problems.set(Facet::Workload, id(Kind::Pod, key), found);
        if let Some(workload) = mesh.workloads.get(&of).cloned() {
            self.pods.insert(
                key.clone(),
                PodState {
                    pod,
                    key: of,
                    workload,
                    read,
                },
            );
        }
    }

    fn own_addresses(
        &self,
        key: &RawKey,
        pod: &Pod,
        listed: &[IpAddr],
        report: &mut Report,
    ) -> Vec<IpAddr> {
        if pods::is_host_network(pod) {
            return listed.to_vec();
        }
        let mut own = Vec::new();
        for address in listed {
            match self.claims.winner(address) {
                Some(winner) if winner != key => report.add(
                    "status.podIPs",
                    format!("{address} belongs to {}: the newer pod, or the one that is not terminating", id(Kind::Pod, winner)),
                ),
                _ => own.push(*address),
            }
        }
        own
    }
}

fn read(key: &RawKey, pod: &Arc<Pod>, report: &mut Report) -> Option<(ObjectKey, Read)> {
    let of = object_key(key)
        .map_err(|(field, message)| report.add(field, message))
        .ok()?;
    let spec = pod.spec.as_ref();
    let account = spec
        .and_then(|spec| {
            spec.service_account_name
                .as_deref()
                .or(spec.service_account.as_deref())
        })
        .filter(|name| !name.is_empty())
        .unwrap_or("default");
    let service_account = match ServiceAccount::new(account) {
        Ok(account) => account,
        Err(error) => {
            report.add(
                "spec.serviceAccountName",
                format!("{error}; a pod without an identity is left out"),
            );
            return None;
        }
    };
    let mut own = Report::on(id(Kind::Pod, key));
    let addresses = pods::addresses(pod, &mut own);
    Some((
        of,
        Read {
            addresses,
            service_account,
            problems: own.into_problems(),
        },
    ))
}

#[allow(
    clippy::too_many_arguments,
    reason = "the sources of one entry's fields"
)]
fn workload(
    cluster: &Cluster,
    key: &RawKey,
    pod: &Pod,
    of: &ObjectKey,
    read: &Read,
    addresses: Vec<IpAddr>,
    nodes: &BTreeMap<NodeName, Arc<Node>>,
    report: &mut Report,
) -> Workload {
    let labels = pods::labels(pod);
    let label = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| labels.get(*name))
            .map(|value| Arc::from(value.as_str()))
    };
    let node = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref())
        .filter(|name| !name.is_empty())
        .map(|name| NodeName(Arc::from(name)));
    let zone = node
        .as_ref()
        .and_then(|node| nodes.get(node))
        .and_then(|node| node.zone.clone());
    let owner: Arc<str> = owner(pod).map_or_else(|| key.1.clone(), Arc::from);
    Workload {
        key: of.clone(),
        uid: uid(key, pod),
        addresses,
        service_account: read.service_account.clone(),
        node,
        zone,
        enrolment: enrolment(cluster, key, pod, report),
        host_network: pods::is_host_network(pod),
        app: label(["app.kubernetes.io/name", "app"]).unwrap_or_else(|| owner.clone()),
        version: label(["app.kubernetes.io/version", "version"]).unwrap_or_else(|| Arc::from("")),
        owner,
    }
}

/// metadata.uid, else one that is always the same for the same name.
fn uid(key: &RawKey, pod: &Pod) -> Arc<str> {
    match pod.metadata.uid.as_deref() {
        Some(uid) if !uid.is_empty() => Arc::from(uid),
        _ => {
            let hash = blake3::hash(format!("pod/{}/{}", key.0, key.1).as_bytes()).to_hex();
            let hash = hash.as_str();
            Arc::from(format!(
                "{}-{}-{}-{}-{}",
                &hash[..8],
                &hash[8..12],
                &hash[12..16],
                &hash[16..20],
                &hash[20..32]
            ))
        }
    }
}

/// The controller's name; of a ReplicaSet without the hash that its Deployment gave it.
fn owner(pod: &Pod) -> Option<&str> {
    let owners = pod.metadata.owner_references.iter().flatten();
    let controller = owners
        .into_iter()
        .find(|owner| owner.controller == Some(true))?;
    let name = controller.name.as_str();
    if controller.kind != "ReplicaSet" {
        return Some(name);
    }
    match name.rsplit_once('-') {
        Some((deployment, hash)) if !deployment.is_empty() && !hash.is_empty() => Some(deployment),
        _ => Some(name),
    }
}

fn enrolment(cluster: &Cluster, key: &RawKey, pod: &Pod, report: &mut Report) -> Enrolment {
    if pods::is_host_network(pod) {
        return Enrolment::Outside;
    }
    let own_id = id(Kind::Pod, key);
    let namespace: Option<&Labels> = cluster
        .namespaces
        .get(&key.0)
        .and_then(|namespace| namespace.metadata.labels.as_ref());
    let mut said = inherited(Some(pods::labels(pod)), &own_id, namespace, MESH_LABEL);
    while let Some((value, at)) = said {
        match value {
            "enabled" => return Enrolment::Mesh,
            "disabled" => return Enrolment::Outside,
            "grpc" => return Enrolment::Grpc,
            _ => {
                let at: ObjectId = at.into_owned();
                let of_pod = at == own_id;
                let message = format!(
                    "{} is neither enabled nor disabled nor grpc; it is ignored",
                    excerpt(value)
                );
                report.add_about(at, format!("metadata.labels[{MESH_LABEL}]"), message);
                said = if of_pod {
                    inherited(None, &own_id, namespace, MESH_LABEL)
                } else {
                    None
                };
            }
        }
    }
    Enrolment::Outside
}
