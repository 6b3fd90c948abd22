//! Services and their ports.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use heddle_model::{Mesh, PortNumber, Service, ServiceKind};
use heddle_resources::{
    Cluster, Kind,
    k8s_openapi::{api::core::v1::ServiceSpec, apimachinery::pkg::apis::meta::v1::Time},
};

use crate::{
    claims::Claims,
    names::{RawKey, address, excerpt, id, is_dns_subdomain, object_key},
    problem::{Facet, ProblemBook, Report},
    retain,
    selector::Labels,
};

mod clients;
mod ports;
mod protocol;

pub(crate) use protocol::{app_protocol, is_tls};

/// Among Services with one address the oldest keeps it.
type Rank = Reverse<Option<Time>>;

/// All Services.
#[derive(Debug, Default)]
pub(crate) struct Services {
    known: BTreeMap<RawKey, ServiceState>,
    claims: Claims<Rank>,
}

/// A Service, with what its endpoints are found by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServiceState {
    /// Its entry in the model.
    pub(crate) model: Service,
    /// Where each of `model.ports` leads to on a pod.
    pub(crate) targets: Vec<Target>,
    /// spec.selector; `None` where there is none or an empty one: somebody else writes its EndpointSlices.
    pub(crate) selector: Option<Labels>,
    /// spec.publishNotReadyAddresses.
    pub(crate) publish_not_ready: bool,
    /// Address families of its endpoints, where they are computed from pods.
    pub(crate) families: Families,
}

/// Where a Service port leads to on a pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    /// Index in spec.ports.
    pub(crate) index: usize,
    /// targetPort.
    pub(crate) port: TargetPort,
    /// Whether appProtocol says that the server speaks TLS, which a route cannot.
    pub(crate) tls: bool,
}

/// targetPort.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TargetPort {
    /// The same on each pod.
    Number(PortNumber),
    /// What each pod calls so.
    Named(String),
}

/// Which families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    pub(crate) fn contains(self, address: &IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }
}

impl ServiceState {
    /// Whether its selector selects a pod with these labels.
    pub(crate) fn selects(&self, labels: &Labels) -> bool {
        let Some(selector) = &self.selector else {
            return false;
        };
        selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl Services {
    /// A Service.
    pub(crate) fn get(&self, key: &RawKey) -> Option<&ServiceState> {
        self.known.get(key)
    }

    /// All Services.
    pub(crate) fn all(&self) -> &BTreeMap<RawKey, ServiceState> {
        &self.known
    }

    /// Reads these Services again. Returns those that are different now, also others that shared an address with them.
    pub(crate) fn update(
        &mut self,
        cluster: &Cluster,
        dirty: &BTreeSet<RawKey>,
        mesh: &mut Mesh,
        problems: &mut ProblemBook,
    ) -> BTreeSet<RawKey> {
        let mut affected = dirty.clone();
        for key in dirty {
            // What is left out claims nothing.
            let object = cluster
                .services
                .get(key)
                .filter(|_| object_key(key).is_ok());
            let spec = object.and_then(|service| service.spec.as_ref());
            let claimed = spec
                .map(|spec| cluster_ips(spec, &mut Report::on(id(Kind::Service, key))))
                .unwrap_or_default();
            let created = object.and_then(|service| service.metadata.creation_timestamp.clone());
            affected.extend(self.claims.set(key, &claimed, &Reverse(created)));
        }
        let mut changed = BTreeSet::new();
        for key in affected {
            let mut report = Report::on(id(Kind::Service, &key));
            let new = cluster
                .services
                .get(&key)
                .and_then(|service| self.read(&key, service, &mut report));
            problems.set(
                Facet::Service,
                id(Kind::Service, &key),
                report.into_problems(),
            );
            if self.known.get(&key) == new.as_ref() {
                continue;
            }
            match new {
                Some(state) => {
                    retain::put(
                        &mut mesh.services,
                        state.model.key.clone(),
                        Some(state.model.clone()),
                    );
                    self.known.insert(key.clone(), state);
                }
                None => {
                    if let Some(old) = self.known.remove(&key) {
                        mesh.services.remove(&old.model.key);
                    }
                }
            }
            changed.insert(key);
        }
        changed
    }

    fn read(
        &self,
        key: &RawKey,
        service: &heddle_resources::Service,
        report: &mut Report,
    ) -> Option<ServiceState> {
        let of = object_key(key)
            .map_err(|(field, message)| report.add(field, message))
            .ok()?;
        let Some(spec) = &service.spec else {
            report.add("spec", "is missing; the Service is left out");
            return None;
        };
        let kind = self.kind(key, spec, report)?;
        let (ports, targets) = match kind {
            ServiceKind::ExternalName { .. } => (Vec::new(), Vec::new()),
            _ => ports::read(spec, report),
        };
        Some(ServiceState {
            families: families(spec, &kind),
            model: Service {
                key: of,
                kind,
                ports,
                clients: clients::read(service.metadata.annotations.as_ref(), report),
            },
            targets,
            selector: spec
                .selector
                .clone()
                .filter(|selector| !selector.is_empty()),
            publish_not_ready: spec.publish_not_ready_addresses == Some(true),
        })
    }

    fn kind(&self, key: &RawKey, spec: &ServiceSpec, report: &mut Report) -> Option<ServiceKind> {
        match spec.type_.as_deref() {
            Some("ExternalName") => return external_name(spec, report),
            None | Some("ClusterIP" | "NodePort" | "LoadBalancer") => {}
            Some(other) => {
                report.add(
                    "spec.type",
                    format!(
                        "{} is not a type of Service; it is left out",
                        excerpt(other)
                    ),
                );
                return None;
            }
        }
        if is_headless(spec) {
            return Some(ServiceKind::Headless);
        }
        let mut addresses = Vec::new();
        let claimed = cluster_ips(spec, report);
        if claimed.is_empty() {
            report.add(
                "spec.clusterIP",
                "there is no address yet: the Service cannot be reached by clients",
            );
        }
        for address in claimed {
            match self.claims.winner(&address) {
                Some(winner) if winner != key => {
                    let winner = id(Kind::Service, winner);
                    report.add(
                        "spec.clusterIPs",
                        format!("{address} is already the address of {winner}; it is left out"),
                    );
                }
                _ => addresses.push(address),
            }
        }
        Some(ServiceKind::ClusterIp { addresses })
    }
}

fn is_headless(spec: &ServiceSpec) -> bool {
    let first = spec
        .cluster_ips
        .as_ref()
        .and_then(|list| list.first())
        .or(spec.cluster_ip.as_ref());
    first.is_some_and(|value| value == "None")
}

fn external_name(spec: &ServiceSpec, report: &mut Report) -> Option<ServiceKind> {
    let written = spec.external_name.as_deref().unwrap_or_default();
    let hostname = written
        .strip_suffix('.')
        .unwrap_or(written)
        .to_ascii_lowercase();
    if !is_dns_subdomain(&hostname) {
        report.add(
            "spec.externalName",
            format!(
                "{} is not a DNS name; the Service is left out",
                excerpt(written)
            ),
        );
        return None;
    }
    Some(ServiceKind::ExternalName {
        hostname: Arc::from(hostname),
    })
}

/// spec.clusterIPs, else spec.clusterIP: the primary first, no duplicates.
fn cluster_ips(spec: &ServiceSpec, report: &mut Report) -> Vec<IpAddr> {
    if is_headless(spec) || spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let listed: Vec<&String> = match &spec.cluster_ips {
        Some(list) if !list.is_empty() => list.iter().collect(),
        _ => spec.cluster_ip.iter().collect(),
    };
    let mut addresses = Vec::new();
    for text in listed.into_iter().filter(|text| !text.is_empty()) {
        match address(text) {
            Some(address)
                if address.is_unspecified() || address.is_loopback() || address.is_multicast() =>
            {
                report.add(
                    "spec.clusterIPs",
                    format!("{address} cannot be the address of a Service; it is left out"),
                );
            }
            Some(address) if !addresses.contains(&address) => addresses.push(address),
            Some(_) => {}
            None => report.add(
                "spec.clusterIPs",
                format!("{} is not an IP address; it is left out", excerpt(text)),
            ),
        }
    }
    addresses
}

/// spec.ipFamilies, else those of its addresses, else (headless, nothing said) both.
fn families(spec: &ServiceSpec, kind: &ServiceKind) -> Families {
    let listed: Vec<&str> = spec
        .ip_families
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    if !listed.is_empty() {
        return Families {
            v4: listed.contains(&"IPv4"),
            v6: listed.contains(&"IPv6"),
        };
    }
    match kind {
        ServiceKind::ClusterIp { addresses } if !addresses.is_empty() => Families {
            v4: addresses.iter().any(IpAddr::is_ipv4),
            v6: addresses.iter().any(IpAddr::is_ipv6),
        },
        _ => Families { v4: true, v6: true },
    }
}
