//! What the node proxy says to, and asks of, the API server itself: whether each pod is enrolled, and whether the mesh is being taken away.
//!
//! Nothing of the data path waits for it, and nothing is decided by it while traffic is served: configuration comes from the control plane.

mod client;
mod conditions;

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;

pub(crate) use client::ApiServer;
pub(crate) use conditions::{Conditions, Wanted};

/// How long the API server may take to say whether the mesh is being taken away.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether this node's proxy ends because its DaemonSet is being deleted, or is gone; not because it is replaced.
///
/// Without a clear answer it is not: the successor finds everything as it was.
pub(crate) async fn is_taken_away(api: &ApiServer, namespace: &str, daemonset: &str) -> bool {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{daemonset}");
    let asked = api.send(Method::GET, &path, "application/json", Vec::new());
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((StatusCode::NOT_FOUND, _))) => true,
        // Our own account is gone: so is everything that was installed with it.
        Ok(Ok((StatusCode::UNAUTHORIZED, _))) => true,
        Ok(Ok((StatusCode::OK, body))) => is_being_deleted(&body),
        Ok(Ok((status, _))) => unknown(&format!("the API server answers {status}")),
        Ok(Err(error)) => unknown(&format!("{error:#}")),
        Err(_) => unknown("the API server does not answer"),
    }
}

fn is_being_deleted(object: &[u8]) -> bool {
    let object: Value = serde_json::from_slice(object).unwrap_or_default();
    object
        .pointer("/metadata/deletionTimestamp")
        .is_some_and(Value::is_string)
}

fn unknown(why: &str) -> bool {
    tracing::warn!("not known whether the mesh is being taken away, so all stays: {why}");
    false
}

#[cfg(test)]
mod tests;
