//! What Gateways and listeners are told.

use std::{collections::BTreeSet, net::IpAddr};

use heddle_resources::{Gateway, Kind};

use super::{OurGateway, classes::Class, listeners::Listener};
use crate::{
    Problem,
    names::{address, excerpt, id},
    status::{Condition, ConditionType, Conditions, GatewayStatus, ListenerStatus},
};

/// The API's limit on status.addresses.
const MAX_ADDRESSES: usize = 16;

/// Why a whole Gateway is refused, whatever its listeners are.
pub(super) fn refusal(gateway: &Gateway, class: &Class) -> Option<(&'static str, String)> {
    let spec = &gateway.spec;
    if !class.accepted {
        let message = format!(
            "spec.gatewayClassName: the class {} is not accepted",
            excerpt(&spec.gateway_class_name)
        );
        return Some(("InvalidParameters", message));
    }
    if spec
        .infrastructure
        .as_ref()
        .is_some_and(|infrastructure| infrastructure.parameters_ref.is_some())
    {
        let message = "spec.infrastructure.parametersRef: a Gateway takes no parameters";
        return Some(("InvalidParameters", message.to_owned()));
    }
    let wanted = spec.addresses.iter().flatten().enumerate();
    for (index, wanted) in wanted {
        let kind = wanted.r#type.as_deref().unwrap_or("IPAddress");
        if kind != "IPAddress" {
            let message = format!(
                "spec.addresses[{index}].type: {} is not supported",
                excerpt(kind)
            );
            return Some(("UnsupportedAddress", message));
        }
    }
    None
}

/// The addresses that a Gateway has: those that it asks for, if they are ours, else the nodes'. The error is for `Programmed`.
fn addresses(
    gateway: &Gateway,
    nodes: &BTreeSet<IpAddr>,
) -> Result<Vec<IpAddr>, (&'static str, String)> {
    let wanted: Vec<&str> = gateway
        .spec
        .addresses
        .iter()
        .flatten()
        .filter_map(|wanted| wanted.value.as_deref())
        .filter(|value| !value.is_empty())
        .collect();
    let mut given = Vec::new();
    for text in &wanted {
        match address(text).filter(|address| nodes.contains(address)) {
            Some(address) => given.push(address),
            None => {
                return Err((
                    "AddressNotUsable",
                    format!("{} is not an address of a node", excerpt(text)),
                ));
            }
        }
    }
    if wanted.is_empty() {
        given.extend(nodes.iter().take(MAX_ADDRESSES));
    }
    if given.is_empty() {
        return Err(("AddressNotAssigned", "no node has an address".to_owned()));
    }
    Ok(given)
}

/// The status of a Gateway.
pub(super) fn gateway(gateway: &OurGateway<'_>, nodes: &BTreeSet<IpAddr>) -> GatewayStatus {
    let conditions = Conditions {
        generation: gateway.object.metadata.generation,
    };
    let valid = gateway
        .listeners
        .iter()
        .filter(|listener| listener.is_valid())
        .count();
    let accepted = accepted(gateway, valid, conditions);
    let (addresses, programmed) = if accepted.status {
        match addresses(gateway.object, nodes) {
            Ok(addresses) => (
                addresses,
                conditions.yes(ConditionType::Programmed, "Programmed"),
            ),
            Err((reason, message)) => (
                Vec::new(),
                conditions.no(ConditionType::Programmed, reason, message),
            ),
        }
    } else {
        let message = "the Gateway is not accepted";
        (
            Vec::new(),
            conditions.no(ConditionType::Programmed, "Invalid", message),
        )
    };
    let served = programmed.status;
    GatewayStatus {
        addresses,
        listeners: gateway
            .listeners
            .iter()
            .map(|one| listener(one, served, conditions))
            .collect(),
        conditions: vec![accepted, programmed],
    }
}

fn accepted(gateway: &OurGateway<'_>, valid: usize, conditions: Conditions) -> Condition {
    let all = gateway.listeners.len();
    match &gateway.refused {
        Some((reason, message)) => conditions.no(ConditionType::Accepted, reason, message.as_str()),
        None if valid == all && all > 0 => conditions.yes(ConditionType::Accepted, "Accepted"),
        None => {
            let message = format!("{} of {all} listeners cannot be served", all - valid);
            // With one good listener the Gateway still works.
            conditions.state(
                ConditionType::Accepted,
                valid > 0,
                "ListenersNotValid",
                message,
            )
        }
    }
}

fn listener(listener: &Listener, served: bool, conditions: Conditions) -> ListenerStatus {
    let accepted = match &listener.refused {
        None => conditions.yes(ConditionType::Accepted, "Accepted"),
        Some((reason, message)) => conditions.no(ConditionType::Accepted, reason, message.as_str()),
    };
    let resolved = match &listener.unresolved {
        None => conditions.yes(ConditionType::ResolvedRefs, "ResolvedRefs"),
        Some((reason, message)) => {
            conditions.no(ConditionType::ResolvedRefs, reason, message.as_str())
        }
    };
    let conflicted = match &listener.conflict {
        None => conditions.no(ConditionType::Conflicted, "NoConflicts", ""),
        Some((reason, message)) => {
            conditions.state(ConditionType::Conflicted, true, reason, message.clone())
        }
    };
    let programmed = match (listener.is_valid(), served) {
        (true, true) => conditions.yes(ConditionType::Programmed, "Programmed"),
        (true, false) => conditions.no(
            ConditionType::Programmed,
            "Pending",
            "the Gateway is not programmed",
        ),
        (false, _) => conditions.no(
            ConditionType::Programmed,
            "Invalid",
            "the listener cannot be served",
        ),
    };
    ListenerStatus {
        name: listener.name.clone(),
        supported_kinds: listener.kinds.iter().map(|kind| kind.name()).collect(),
        attached_routes: listener.attached.len(),
        conditions: vec![accepted, programmed, resolved, conflicted],
    }
}

/// Whether its listeners are to be opened. Where no node is known yet they may be: nodes come with their addresses.
pub(super) fn is_served(status: &GatewayStatus) -> bool {
    status
        .conditions
        .iter()
        .all(|condition| condition.status || condition.reason == "AddressNotAssigned")
}

/// The same in words, for those who cannot read a status (a folder of YAML has none).
pub(super) fn problems(
    gateway: &OurGateway<'_>,
    status: &GatewayStatus,
    problems: &mut Vec<Problem>,
) {
    let object = id(Kind::Gateway, &gateway.raw);
    let mut add = |field: String, message: &str| {
        problems.push(Problem {
            object: object.clone(),
            field,
            message: message.to_owned(),
        });
    };
    // `Invalid` only repeats what another condition says.
    let telling =
        |condition: &&Condition| !condition.message.is_empty() && condition.reason != "Invalid";
    for condition in status.conditions.iter().filter(telling) {
        add("spec".to_owned(), &condition.message);
    }
    for (index, listener) in gateway.listeners.iter().enumerate() {
        for (_, message) in [&listener.refused, &listener.conflict, &listener.unresolved]
            .into_iter()
            .flatten()
        {
            add(format!("spec.listeners[{index}]"), message);
        }
    }
}
