//! What a client says about itself in its first request.

use std::sync::Arc;

use heddle_proto::{
    envoy::config::core::v3::Node,
    google::protobuf::value::Kind,
    names::{GATEWAY, ROLE, ROLE_CLIENT, ROLE_GATEWAY, ROLE_GRPC, ROLE_NODE},
};
use heddle_snapshot::{Role, View};
use tonic::Status;

use super::Settings;
use crate::NodeIdentity;

/// Checks `Node` against the token's owner, and finds out what the client may see.
pub(super) fn view_of(
    node: Option<&Node>,
    identity: &NodeIdentity,
    settings: &Settings,
) -> Result<View, Status> {
    let node = node.ok_or_else(|| {
        Status::invalid_argument("the first request of a stream must have a node")
    })?;
    check_id(node, identity, settings)?;
    let role = role_of(node)?;
    let gateway = match role {
        Role::Gateway => Some(gateway_of(node)?),
        Role::Node | Role::Client | Role::Grpc => None,
    };
    check_role(role, gateway.as_deref(), identity)?;
    Ok(View {
        role,
        node: identity.node.clone(),
        gateway,
    })
}

/// A token speaks for its own node only.
pub(super) fn check_id(
    node: &Node,
    identity: &NodeIdentity,
    settings: &Settings,
) -> Result<(), Status> {
    let limit = settings.node_id_length;
    if node.id.is_empty() || node.id.len() > limit {
        let length = node.id.len();
        return Err(Status::invalid_argument(format!(
            "node.id has {length} bytes, 1 to {limit} are allowed"
        )));
    }
    if *node.id != *identity.node {
        return Err(Status::permission_denied(format!(
            "the token or certificate belongs to {:?}, it cannot speak for node {:?}",
            identity.node, node.id
        )));
    }
    Ok(())
}

/// A workload speaks for itself only: no node's resources, and of Gateways those of its own namespace.
fn check_role(role: Role, gateway: Option<&str>, identity: &NodeIdentity) -> Result<(), Status> {
    let allowed = match role {
        _ if !identity.is_workload() => true,
        Role::Node => false,
        Role::Client | Role::Grpc => true,
        Role::Gateway => {
            let of_gateway = gateway.and_then(|name| name.split('/').next());
            of_gateway.is_some() && of_gateway == namespace_of(&identity.node)
        }
    };
    if allowed {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "{:?} is a workload: its node.metadata.role is client, grpc, or gateway for a Gateway of its own namespace",
        identity.node
    )))
}

/// Of a workload's SPIFFE id, `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
fn namespace_of(identity: &str) -> Option<&str> {
    let mut parts = identity.strip_prefix("spiffe://")?.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("ns"), Some(namespace)) => Some(namespace),
        _ => None,
    }
}

/// `metadata.gateway`: one that does not exist (yet) is no error, it has nothing to serve.
fn gateway_of(node: &Node) -> Result<Arc<str>, Status> {
    let value = node
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.fields.get(GATEWAY))
        .and_then(|value| value.kind.as_ref());
    match value {
        Some(Kind::StringValue(name)) if is_gateway_name(name) => Ok(name.as_str().into()),
        _ => Err(Status::invalid_argument(
            "node.metadata.role is gateway: node.metadata.gateway must say which one, as <namespace>/<name>",
        )),
    }
}

/// `<namespace>/<name>`.
fn is_gateway_name(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    matches!(&parts[..], [namespace, name] if !namespace.is_empty() && !name.is_empty())
}

/// `metadata.role`. Without one a client gets a role that sees nothing of any node: gRPC's by its user agent, else an Envoy's.
fn role_of(node: &Node) -> Result<Role, Status> {
    let role = node
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.fields.get(ROLE));
    let Some(role) = role else {
        return Ok(
            if node
                .user_agent_name
                .to_ascii_lowercase()
                .starts_with("grpc")
            {
                Role::Grpc
            } else {
                Role::Client
            },
        );
    };
    let Some(Kind::StringValue(role)) = &role.kind else {
        return Err(Status::invalid_argument(
            "node.metadata.role is not a string",
        ));
    };
    match role.as_str() {
        ROLE_NODE => Ok(Role::Node),
        ROLE_GATEWAY => Ok(Role::Gateway),
        ROLE_CLIENT => Ok(Role::Client),
        ROLE_GRPC => Ok(Role::Grpc),
        other => Err(Status::invalid_argument(format!(
            "node.metadata.role is {:?}, known are node, gateway, client and grpc",
            other.chars().take(40).collect::<String>()
        ))),
    }
}

#[cfg(test)]
mod tests;
