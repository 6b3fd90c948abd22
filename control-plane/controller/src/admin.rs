//! Health, metrics and debugging: plain HTTP on a port of its own. The Client Status Discovery Service is here too, as gRPC without TLS, for
//! callers on loopback only (docs/decisions/0010).

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use heddle_xds_server::{ClientStatusService, server::Server};
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
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!(%error, "the admin server ended");
        }
    })
}

/// Every method of the Client Status Discovery Service.
const CLIENT_STATUS: &str = "/envoy.service.status.v3.ClientStatusDiscoveryService/{method}";

fn router(admin: Admin) -> Router {
    let board = admin.board.clone();
    let expiry = Arc::new(move |name: &str| board.expiry_of(name));
    let status_of_clients = ClientStatusService::new(Arc::clone(&admin.xds), expiry);
    let guarded = Router::new()
        .route_service(CLIENT_STATUS, status_of_clients.into_service())
        .route("/debug/certificates", get(certificates))
        .layer(from_fn(only_from_here));
    Router::new()
        .merge(guarded)
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(text))
        .route("/debug/status", get(status))
        .route("/debug/problems", get(problems))
        .route("/debug/clients", get(clients))
        .with_state(admin)
}

/// It tells the whole configuration of every client. Who is on loopback is on this machine, or was let into this pod by the API server
/// (`pods/portforward`).
async fn only_from_here(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if peer.ip().to_canonical().is_loopback() {
        return next.run(request).await;
    }
    tonic::Status::permission_denied(
        "client status is told on loopback only: ask on the control plane's own machine, by a tunnel (ssh -L, kubectl port-forward) or with `heddle status`",
    )
    .into_http::<axum::body::Body>()
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
    let statuses = round.map(|round| serde_json::to_value(&*round.statuses).unwrap_or_default());
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

/// What this replica has signed and still counts: a client may have its stream at another. `holder` is a node or a SPIFFE id, `expires` in
/// seconds since 1970.
async fn certificates(State(admin): State<Admin>) -> Json<Value> {
    let given = admin.board.certificates().into_iter().map(|given| {
        let expires = given.end.duration_since(SystemTime::UNIX_EPOCH);
        json!({
            "holder": &*given.holder,
            "identity": given.identity.to_string(),
            "expires": expires.unwrap_or_default().as_secs(),
        })
    });
    Json(json!({"certificates": given.collect::<Vec<_>>()}))
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
