//! Metrics, health and state.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use anyhow::Context;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use heddle_cert_client::Certificates;
use heddle_redirect::{Netns, socket};
use heddle_telemetry::Metrics;
use heddle_xds_client::StatusHandle;
use tokio::net::{TcpListener, UnixListener};

use crate::{arguments::Arguments, plugin::InPlace, pods::State as PodState};

/// What the node was brought to, as last looked at.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Brought>>);

#[derive(Clone, Default)]
struct Brought {
    /// Each pod, and whether it is captured or why not.
    pods: BTreeMap<String, PodState>,
    /// A whole configuration has been followed once.
    once_whole: bool,
}

impl Board {
    /// `whole`: the configuration that was followed had nothing outstanding.
    pub(crate) fn set(&self, pods: BTreeMap<String, PodState>, whole: bool) {
        let mut brought = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        brought.pods = pods;
        brought.once_whole |= whole;
    }

    fn get(&self) -> Brought {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[derive(Clone)]
struct Admin {
    metrics: Arc<Metrics>,
    certificates: Certificates,
    status: StatusHandle,
    board: Board,
    /// Whether the CNI plugin is in place.
    plugin: InPlace,
}

/// Binds the port; the returned future serves it.
pub(crate) async fn serve(
    arguments: &Arguments,
    metrics: Arc<Metrics>,
    certificates: Certificates,
    status: StatusHandle,
    board: Board,
    plugin: InPlace,
) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
    let address = arguments.metrics_listen;
    // Two proxies of a node overlap while one replaces the other.
    let listener = socket::listen(&Netns::current()?, address);
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let listener = TcpListener::from_std(listener)?;
    let own = arguments
        .admin_socket
        .as_deref()
        .map(own_socket)
        .transpose()?;
    let router = Router::new()
        .route(
            "/metrics",
            get(|State(admin): State<Admin>| async move { admin.metrics.encode() }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/debug/state", get(state))
        .with_state(Admin {
            metrics,
            certificates,
            status,
            board,
            plugin,
        });
    Ok(async move {
        let own = async {
            match own {
                Some(own) => axum::serve(own, router.clone()).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = axum::serve(listener, router.clone()).into_future() => ended,
            ended = own => ended,
        };
        if let Err(error) = ended {
            tracing::error!(%error, "the admin server ended");
        }
    })
}

/// The socket of this process alone; a former one's file is in the way.
fn own_socket(path: &Path) -> anyhow::Result<UnixListener> {
    // Whether it was there or not: binding tells.
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))
}

/// Ready: a whole configuration is followed (the control plane's, or the last good one), each pod that runs is captured, each identity
/// certified.
async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    let brought = admin.board.get();
    let open = brought
        .pods
        .iter()
        .filter(|(_, state)| matches!(state, PodState::Failed(_)));
    let mut lacking: Vec<_> = open.map(|(pod, why)| format!("{pod}: {why}")).collect();
    if !admin.certificates.is_complete() {
        lacking.push("certificates are missing".to_owned());
    }
    if !brought.once_whole {
        lacking.push(
            "no whole configuration yet, or the node proxy that is being replaced still has the node".to_owned(),
        );
    }
    if lacking.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, lacking.join("\n") + "\n")
    }
}

/// For people: the stream, the pods, the certificates.
async fn state(State(admin): State<Admin>) -> String {
    let status = admin.status.get();
    let mut text = if status.connected {
        "xDS: connected\n".to_owned()
    } else {
        format!(
            "xDS: not connected: {}\n",
            status.last_error.unwrap_or_default()
        )
    };
    text += &format!(
        "  {} responses accepted, {} refused\n",
        status.acks, status.nacks
    );
    for refused in &status.last_refused {
        text += &format!("  refused: {refused}\n");
    }
    if let Some(problem) = admin.plugin.get() {
        let stands = problem.map_or_else(
            || "in place".to_owned(),
            |why| format!("not in place: {why}"),
        );
        text += &format!("CNI plugin: {stands}\n");
    }
    for (pod, state) in admin.board.get().pods {
        text += &format!("pod {pod}: {state}\n");
    }
    for certificate in admin.certificates.states() {
        let left = certificate
            .not_after
            .and_then(|end| end.duration_since(SystemTime::now()).ok());
        let left = left.map_or_else(
            || "none".to_owned(),
            |left| format!("{} s left", left.as_secs()),
        );
        let error = certificate
            .last_error
            .map(|error| format!(" ({error})"))
            .unwrap_or_default();
        text += &format!("certificate {}: {left}{error}\n", certificate.identity);
    }
    text
}
