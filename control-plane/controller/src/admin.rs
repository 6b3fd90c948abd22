//! Health, metrics and debugging: plain HTTP on a port of its own.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use heddle_xds_server::server::Server;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{board::Board, metrics::Metrics};

#[derive(Clone)]
struct Admin {
    board: Board,
    metrics: Arc<Metrics>,
    xds: Server,
}

/// Binds the port; the returned future serves it.
pub(crate) async fn serve(
    address: SocketAddr,
    board: Board,
    metrics: Arc<Metrics>,
    xds: Server,
) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(text))
        .route("/debug/status", get(status))
        .route("/debug/problems", get(problems))
        .route("/debug/clients", get(clients))
        .with_state(Admin {
            board,
            metrics,
            xds,
        });
    Ok(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the admin server ended");
        }
    })
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.board.round() {
        Some(_) => (StatusCode::OK, "ready\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no snapshot yet\n"),
    }
}

async fn text(State(admin): State<Admin>) -> String {
    let streams = admin.xds.clients().len();
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
    }))
}

async fn clients(State(admin): State<Admin>) -> Json<Value> {
    let clients = admin.xds.clients();
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
