//! Health, metrics and debugging: plain HTTP on a port of its own.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use anyhow::Context;
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use heddle_xds_server::server::Server;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{board::Board, metrics::Metrics};

/// What is told about.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) board: Board,
    pub(crate) metrics: Arc<Metrics>,
    /// Empty until there is one.
    pub(crate) xds: Arc<OnceLock<Server>>,
}

/// Binds the port; the returned future serves it.
pub(crate) async fn serve(
    address: SocketAddr,
    admin: Admin,
) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let router = router(admin);
    Ok(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the admin server ended");
        }
    })
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(text))
        .route("/debug/status", get(status))
        .route("/debug/problems", get(problems))
        .route("/debug/clients", get(clients))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.board.unready() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why.join("\n") + "\n"),
    }
}

async fn text(State(admin): State<Admin>) -> String {
    let streams = admin.xds.get().map_or(0, |xds| xds.clients().len());
    admin
        .metrics
        .streams
        .set(i64::try_from(streams).unwrap_or(i64::MAX));
    admin.metrics.text()
}

async fn status(State(admin): State<Admin>) -> Json<Value> {
    let round = admin.board.round();
    let statuses = round.map(|round| serde_json::to_value(&round.statuses).unwrap_or_default());
    Json(statuses.unwrap_or_default())
}

async fn problems(State(admin): State<Admin>) -> Json<Value> {
    let problems = admin.board.round().map(|round| round.problems.clone());
    Json(json!({
        "problems": problems.unwrap_or_default(),
        "refused": admin.board.refused(),
        "own": admin.board.concerns().now(),
        "waits_for": admin.board.obstacles(),
    }))
}

async fn clients(State(admin): State<Admin>) -> Json<Value> {
    let clients = admin.xds.get().map(Server::clients).unwrap_or_default();
    let rows = clients.iter().map(|client| {
        let types = client.types.iter().map(|of_type| {
            json!({
                "type": of_type.type_url,
                "wildcard": of_type.wildcard,
                "names": of_type.names,
                "responses": of_type.counters.responses,
                "accepted": of_type.counters.accepted,
                "refused": of_type.counters.refused,
                "last_refusal": of_type.counters.last_refusal,
            })
        });
        json!({
            "node": client.node,
            "role": client.role.map(|role| format!("{role:?}").to_lowercase()),
            "variant": format!("{:?}", client.variant),
            "peer": client.peer.map(|peer| peer.to_string()),
            "types": types.collect::<Vec<_>>(),
        })
    });
    Json(Value::Array(rows.collect()))
}
