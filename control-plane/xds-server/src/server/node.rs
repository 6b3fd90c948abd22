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
    Ok(View {
        role,
        node: identity.node.clone(),
        gateway: match role {
            Role::Gateway => Some(gateway_of(node)?),
            Role::Node | Role::Client | Role::Grpc => None,
        },
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
            "the token belongs to node {:?}, it cannot speak for node {:?}",
            identity.node, node.id
        )));
    }
    Ok(())
}

/// `metadata.gateway`: one that does not exist (yet) is no error, it has nothing to serve.
fn gateway_of(node: &Node) -> Result<Arc<str>, Status> {
    let value = node
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.fields.get(GATEWAY))
        .and_then(|value| value.kind.as_ref());
    match value {
        Some(Kind::StringValue(name))
            if name.split('/').filter(|part| !part.is_empty()).count() == 2 =>
        {
            Ok(name.as_str().into())
        }
        _ => Err(Status::invalid_argument(
            "node.metadata.role is gateway: node.metadata.gateway must say which one, as <namespace>/<name>",
        )),
    }
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
