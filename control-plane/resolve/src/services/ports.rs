//! spec.ports of a Service.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use heddle_model::{PortNumber, ServicePort, Transport};
use heddle_resources::k8s_openapi::{
    api::core::v1::{ServicePort as PortObject, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{Target, TargetPort, app_protocol, is_tls};
use crate::{
    names::{excerpt, is_dns_label, no_port, port_number, transport},
    problem::Report,
};

/// The ports that can be honoured, sorted, with their targets.
pub(super) fn read(spec: &ServiceSpec, report: &mut Report) -> (Vec<ServicePort>, Vec<Target>) {
    let listed = spec.ports.as_deref().unwrap_or_default();
    let mut good: BTreeMap<(PortNumber, Transport), (ServicePort, Target)> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (index, object) in listed.iter().enumerate() {
        let field = |name: &str| format!("spec.ports[{index}]{name}");
        match port(index, object, listed.len()) {
            Err((name, message)) => {
                report.add(field(name), format!("{message}; the port is left out"))
            }
            Ok((port, target)) => {
                if port
                    .name
                    .as_ref()
                    .is_some_and(|name| !names.insert(name.clone()))
                {
                    report.add(
                        field(".name"),
                        "another port has the same name; the port is left out",
                    );
                    continue;
                }
                let Entry::Vacant(free) = good.entry((port.port, port.transport)) else {
                    let message =
                        "another port has the same number and protocol; the port is left out";
                    report.add(field(".port"), message);
                    continue;
                };
                free.insert((port, target));
            }
        }
    }
    good.into_values().unzip()
}

fn port(
    index: usize,
    object: &PortObject,
    count: usize,
) -> Result<(ServicePort, Target), (&'static str, String)> {
    let number = port_number(object.port).ok_or_else(|| (".port", no_port(object.port)))?;
    let written = object.protocol.as_deref();
    let transport = transport(written).ok_or_else(|| {
        (
            ".protocol",
            format!(
                "{} is not TCP, UDP or SCTP",
                excerpt(written.unwrap_or_default())
            ),
        )
    })?;
    let name = object.name.as_deref().filter(|name| !name.is_empty());
    if let Some(name) = name.filter(|name| !is_dns_label(name)) {
        return Err((
            ".name",
            format!("{} is not a name (RFC 1123 label)", excerpt(name)),
        ));
    }
    if name.is_none() && count > 1 {
        return Err((
            ".name",
            "where there are several ports each needs a name".to_owned(),
        ));
    }
    let target = match &object.target_port {
        // Zero and the empty string are how clients write "not set".
        None | Some(IntOrString::Int(0)) => TargetPort::Number(number),
        Some(IntOrString::String(name)) if name.is_empty() => TargetPort::Number(number),
        Some(IntOrString::Int(value)) => {
            TargetPort::Number(port_number(*value).ok_or_else(|| (".targetPort", no_port(*value)))?)
        }
        Some(IntOrString::String(name)) => TargetPort::Named(name.clone()),
    };
    let port = ServicePort {
        name: name.map(Arc::from),
        port: number,
        transport,
        protocol: app_protocol(object.app_protocol.as_deref(), name, transport),
    };
    let target = Target {
        index,
        port: target,
        tls: object.app_protocol.as_deref().is_some_and(is_tls),
    };
    Ok((port, target))
}
