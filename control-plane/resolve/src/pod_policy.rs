//! Everything that applies to one pod of the mesh.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_model::{AppProtocol, AuthorizationRule, MtlsMode, PodPolicy, PortNumber, Transport};
use heddle_resources::{Cluster, Kind, Pod};

use crate::{
    Settings, authorization,
    authorization::Authorization,
    names::{RawKey, excerpt, id, in_namespace, port_number, transport},
    namespaces::inherited,
    network_policy::NetworkPolicies,
    pods,
    problem::Report,
    selector::Labels,
    services::{Services, TargetPort, app_protocol},
    settings::{FORWARD_IDENTITY_ANNOTATION, MTLS_ANNOTATION},
    workloads::PodState,
};

/// What a pod's policy is made of.
#[derive(Clone, Copy)]
pub(crate) struct PolicySources<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) settings: &'a Settings,
    pub(crate) services: &'a Services,
    pub(crate) network_policies: &'a NetworkPolicies,
    pub(crate) authorization: &'a BTreeMap<RawKey, Authorization>,
}

impl PolicySources<'_> {
    /// The policy of one pod of the mesh.
    pub(crate) fn policy(&self, key: &RawKey, state: &PodState, report: &mut Report) -> PodPolicy {
        let labels = pods::labels(&state.pod);
        let (ingress, egress) = self.network_policies.isolation(&key.0, &state.pod);
        let authorization = authorization::rules(self.authorization, &key.0, labels);
        let forward_client_identity = self.forwards_identity(key, &state.pod, report);
        let http_ports = self.http_ports(
            key,
            &state.pod,
            authorization.as_deref(),
            forward_client_identity,
        );
        PodPolicy {
            pod: state.key.clone(),
            ingress,
            egress,
            mtls: self.mtls(key, &state.pod, report),
            authorization,
            http_ports,
            forward_client_identity,
        }
    }

    fn namespace_annotations(&self, key: &RawKey) -> Option<&Labels> {
        self.cluster
            .namespaces
            .get(&key.0)
            .and_then(|namespace| namespace.metadata.annotations.as_ref())
    }

    fn mtls(&self, key: &RawKey, pod: &Pod, report: &mut Report) -> MtlsMode {
        let own = id(Kind::Pod, key);
        let said = inherited(
            pod.metadata.annotations.as_ref(),
            &own,
            self.namespace_annotations(key),
            MTLS_ANNOTATION,
        );
        match said {
            None => self.settings.mtls,
            Some(("strict", _)) => MtlsMode::Strict,
            Some(("permissive", _)) => MtlsMode::Permissive,
            Some((other, at)) => {
                let message = format!(
                    "{} is neither strict nor permissive; to be safe it is taken for strict",
                    excerpt(other)
                );
                report.add_about(
                    at.into_owned(),
                    format!("metadata.annotations[{MTLS_ANNOTATION}]"),
                    message,
                );
                MtlsMode::Strict
            }
        }
    }

    fn forwards_identity(&self, key: &RawKey, pod: &Pod, report: &mut Report) -> bool {
        let own = id(Kind::Pod, key);
        let name = FORWARD_IDENTITY_ANNOTATION;
        match inherited(
            pod.metadata.annotations.as_ref(),
            &own,
            self.namespace_annotations(key),
            name,
        ) {
            None | Some(("false", _)) => false,
            Some(("true", _)) => true,
            Some((other, at)) => {
                let message = format!(
                    "{} is neither true nor false; it is taken for false",
                    excerpt(other)
                );
                report.add_about(
                    at.into_owned(),
                    format!("metadata.annotations[{name}]"),
                    message,
                );
                false
            }
        }
    }

    /// Ports that must be read as HTTP on arrival. A rule about requests that names no port means every port that may speak HTTP; what is not read cannot be
    /// allowed by such a rule. To tell the application its caller's identity only ports that are declared HTTP are read: reading others might break them.
    fn http_ports(
        &self,
        key: &RawKey,
        pod: &Pod,
        authorization: Option<&[AuthorizationRule]>,
        forward_identity: bool,
    ) -> BTreeSet<PortNumber> {
        let mut ports = BTreeSet::new();
        let rules = authorization
            .unwrap_or_default()
            .iter()
            .filter(|rule| rule.http.is_some());
        let mut any_port = false;
        for rule in rules {
            any_port |= rule.ports.is_empty();
            ports.extend(&rule.ports);
        }
        if any_port || forward_identity {
            for (port, protocol) in self.declared_protocols(&key.0, pod) {
                let is_http = matches!(protocol, AppProtocol::Http | AppProtocol::Http2);
                if is_http || (any_port && protocol == AppProtocol::Detect) {
                    ports.insert(port);
                }
            }
        }
        ports
    }

    /// What is spoken on the pod's TCP ports: as a Service that leads there says, else as the container's port name says.
    /// Of several Services the one that says most counts, HTTP before anything else.
    fn declared_protocols(
        &self,
        namespace: &Arc<str>,
        pod: &Pod,
    ) -> BTreeMap<PortNumber, AppProtocol> {
        let weight = |protocol: AppProtocol| match protocol {
            AppProtocol::Detect => 0,
            AppProtocol::Opaque => 1,
            AppProtocol::Http => 2,
            AppProtocol::Http2 => 3,
        };
        let mut declared: BTreeMap<PortNumber, AppProtocol> = BTreeMap::new();
        let labels = pods::labels(pod);
        let selecting = in_namespace(self.services.all(), namespace)
            .filter(|(_, service)| service.selects(labels));
        for (_, service) in selecting {
            for (port, target) in service.model.ports.iter().zip(&service.targets) {
                let number = match &target.port {
                    TargetPort::Number(number) => Some(*number),
                    TargetPort::Named(name) => pods::named_port(pod, name, port.transport),
                };
                let Some(number) = number.filter(|_| port.transport == Transport::Tcp) else {
                    continue;
                };
                let known = declared.entry(number).or_insert(port.protocol);
                if weight(port.protocol) > weight(*known) {
                    *known = port.protocol;
                }
            }
        }
        for port in pods::container_ports(pod) {
            let number = port_number(port.container_port);
            let is_tcp = transport(port.protocol.as_deref()) == Some(Transport::Tcp);
            if let Some(number) = number.filter(|_| is_tcp) {
                declared
                    .entry(number)
                    .or_insert_with(|| app_protocol(None, port.name.as_deref(), Transport::Tcp));
            }
        }
        declared
    }
}
