//! NetworkPolicies: who may connect to whom.
//!
//! A policy is read once for each version of it ([`read`]). What it means depends on pods that come and go, and that part is kept apart: the
//! addresses that a selector means are an [`AddressSet`](heddle_model::AddressSet), maintained pod by pod ([`groups`]).
//!
//! What cannot be read allows nothing: a broken peer or port empties its rule, a broken selector of pods isolates the whole namespace.

pub(crate) mod groups;
pub(crate) mod read;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_model::{Isolation, Mesh, NetworkRule};
use heddle_resources::{Cluster, Kind, Pod};

use crate::{
    names::{RawKey, id, in_namespace},
    pods,
    problem::{Facet, ProblemBook, Report},
    selector::Labels,
    workloads::Workloads,
};
use groups::{GroupKey, Groups};
use read::{Policy, PortSpecs};

/// All NetworkPolicies.
#[derive(Debug, Default)]
pub(crate) struct NetworkPolicies {
    policies: BTreeMap<RawKey, State>,
    groups: Groups,
    /// Policies of which an egress rule names ports, by the groups of pods whose numbers they follow.
    followers: BTreeMap<GroupKey, BTreeSet<RawKey>>,
}

#[derive(Debug)]
struct State {
    policy: Policy,
    egress: Arc<Vec<NetworkRule>>,
}

impl NetworkPolicies {
    /// Reads these policies again and follows these pods. Returns the namespaces in which the meaning of a policy is different now.
    pub(crate) fn update(
        &mut self,
        cluster: &Cluster,
        dirty: &BTreeSet<RawKey>,
        pods: &BTreeSet<RawKey>,
        workloads: &Workloads,
        mesh: &mut Mesh,
        problems: &mut ProblemBook,
    ) -> BTreeSet<Arc<str>> {
        let mut changed = BTreeSet::new();
        for key in dirty {
            let mut report = Report::on(id(Kind::NetworkPolicy, key));
            let policy = cluster
                .network_policies
                .get(key)
                .and_then(|object| read::read(key, object, &mut report));
            problems.set(
                Facet::NetworkPolicy,
                id(Kind::NetworkPolicy, key),
                report.into_problems(),
            );
            changed.insert(key.0.clone());
            match policy {
                Some(policy) => {
                    let state = State {
                        policy,
                        egress: Arc::default(),
                    };
                    self.policies.insert(key.clone(), state);
                }
                None => {
                    self.policies.remove(key);
                    problems.set(Facet::NamedPorts, id(Kind::NetworkPolicy, key), Vec::new());
                }
            }
        }
        if !dirty.is_empty() {
            self.follow_groups(cluster, workloads, mesh);
        }
        let renumbered = self.groups.follow(cluster, pods, workloads, mesh);
        let followers = renumbered
            .iter()
            .filter_map(|group| self.followers.get(group))
            .flatten();
        let stale: BTreeSet<RawKey> = dirty.iter().chain(followers).cloned().collect();
        for key in &stale {
            if let Some(state) = self.policies.get_mut(key) {
                let egress = rules::egress(&state.policy, &self.groups);
                if *state.egress != egress {
                    state.egress = Arc::new(egress);
                    changed.insert(key.0.clone());
                }
            }
        }
        self.check_named_ports(&stale, pods, workloads, problems);
        changed
    }

    /// Makes the groups exactly those that the policies speak of.
    fn follow_groups(&mut self, cluster: &Cluster, workloads: &Workloads, mesh: &mut Mesh) {
        let mut wanted = BTreeSet::new();
        self.followers.clear();
        for (key, state) in &self.policies {
            let (plain, numbered) = rules::groups(&state.policy);
            for group in &numbered {
                self.followers
                    .entry(group.clone())
                    .or_default()
                    .insert(key.clone());
            }
            wanted.extend(plain);
            wanted.extend(numbered);
        }
        self.groups.set(cluster, wanted, workloads, mesh);
    }

    /// A port name that no pod has is most likely a mistake: it allows nothing.
    fn check_named_ports(
        &self,
        stale: &BTreeSet<RawKey>,
        pods: &BTreeSet<RawKey>,
        workloads: &Workloads,
        problems: &mut ProblemBook,
    ) {
        let namespaces: BTreeSet<&Arc<str>> = pods.iter().map(|(namespace, _)| namespace).collect();
        for (key, state) in &self.policies {
            let of_pods = namespaces.contains(&key.0) && state.policy.names_ingress_ports();
            if !of_pods && !stale.contains(key) {
                continue;
            }
            let mut report = Report::on(id(Kind::NetworkPolicy, key));
            unknown_ingress_ports(&state.policy, workloads, &mut report);
            rules::unknown_egress_ports(&state.policy, &self.groups, &mut report);
            problems.set(
                Facet::NamedPorts,
                id(Kind::NetworkPolicy, key),
                report.into_problems(),
            );
        }
    }

    /// What the policies of a namespace mean for one of its pods: (ingress, egress).
    pub(crate) fn isolation(&self, namespace: &Arc<str>, pod: &Pod) -> (Isolation, Isolation) {
        let (mut ingress, mut egress) = (Isolation::Open, Isolation::Open);
        let labels = pods::labels(pod);
        for (_, state) in in_namespace(&self.policies, namespace) {
            let policy = &state.policy;
            if !selects(policy, labels) {
                continue;
            }
            if policy.ingress.is_some() {
                isolate(&mut ingress, policy, rules::ingress(policy, pod));
            }
            if policy.egress.is_some() {
                isolate(&mut egress, policy, state.egress.as_ref().clone());
            }
        }
        (ingress, egress)
    }
}

fn selects(policy: &Policy, labels: &Labels) -> bool {
    // A selector that cannot be read may mean any pod of the namespace; to be safe it means all.
    policy
        .pods
        .as_ref()
        .is_none_or(|selector| selector.matches(labels))
}

fn isolate(isolation: &mut Isolation, policy: &Policy, more: Vec<NetworkRule>) {
    match isolation {
        Isolation::Open => {
            *isolation = Isolation::Isolated {
                by: vec![policy.object.clone()],
                rules: more,
            }
        }
        Isolation::Isolated { by, rules } => {
            by.push(policy.object.clone());
            rules.extend(more);
        }
    }
}

fn unknown_ingress_ports(policy: &Policy, workloads: &Workloads, report: &mut Report) {
    if !policy.names_ingress_ports() {
        return;
    }
    let pods: Vec<&Arc<Pod>> = in_namespace(workloads.all(), &policy.namespace)
        .filter(|(_, state)| {
            !state.workload.host_network && selects(policy, pods::labels(&state.pod))
        })
        .map(|(_, state)| &state.pod)
        .collect();
    if pods.is_empty() {
        return;
    }
    for rule in policy.ingress.iter().flatten() {
        let PortSpecs::These(ports) = &rule.ports else {
            continue;
        };
        for port in ports {
            if let read::PortSpec::Named {
                field,
                name,
                transport,
            } = port
                && !pods
                    .iter()
                    .any(|pod| pods::named_port(pod, name, *transport).is_some())
            {
                report.add(
                    field.as_str(),
                    rules::nobody_has(name, *transport, "selected pod"),
                );
            }
        }
    }
}
