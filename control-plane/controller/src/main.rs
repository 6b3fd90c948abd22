//! `heddle-control-plane`: reads Kubernetes objects, computes the mesh, streams it to proxies and signs their certificates.
//!
//! ```text
//! source ─▶ pipeline: resolve ─▶ translate ─▶ snapshot ─▶ xDS server ─┐
//!              └─▶ board (statuses, problems, mesh) ─▶ admin          ├─ TLS, port 15012
//!                                    └─▶ placement ─▶ certificates ───┘
//! ```
//!
//! It keeps no state of its own but the certificate authority (a folder, on Kubernetes a Secret): the objects are the database, and any replica
//! serves any proxy. On Kubernetes one replica leads, and writes statuses, the Secret and the trust bundle; nothing else needs a leader.

mod admin;
mod arguments;
mod authentication;
mod board;
mod concerns;
mod expiries;
mod kubernetes;
mod metrics;
mod pipeline;
mod problems;
mod refusals;
mod serving;
mod transitions;

use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use heddle_issuer::{CertificateService, Issuer};
use heddle_xds_server::{
    BootstrapTokens, Connections,
    server::{Server, Settings},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Admin,
    arguments::Arguments,
    authentication::{TokenCaller, Tokens},
    board::Board,
    kubernetes::{Authority, Replica},
    metrics::Metrics,
    pipeline::Pipeline,
};

/// Thousands of streams that join or change at once allocate and free alike; glibc's takes half as much again for a change (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long streams may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(log_filter(
            &arguments.log,
        )))
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    // Each client is an open file, and many runtimes begin with 1,024 of them.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    // Several crates of the build know more than one provider; this one counts.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What goes wrong with the API server is told once, in our words; its client would repeat it at each attempt. Whoever wants that can name it.
fn log_filter(wanted: &str) -> String {
    format!("kube_client=off,kube_runtime=error,{wanted}")
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let shutdown = shutdown_on_signals()?;
    let board = Board::new(arguments.node_proxy_identity());
    let replica = match arguments.kubernetes {
        true => {
            let concerns = board.concerns().clone();
            Some(Replica::join(&arguments, concerns, shutdown.clone()).await?)
        }
        false => None,
    };
    let ended = serve(&arguments, board, replica.as_ref(), &shutdown).await;
    // However it ended: another replica shall not wait for the lease to run out.
    shutdown.cancel();
    if let Some(replica) = replica {
        replica.leave().await;
    }
    ended
}

async fn serve(
    arguments: &Arguments,
    board: Board,
    replica: Option<&Replica>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new());
    // First of all, so that a replica that waits can say for what.
    let admin = Admin {
        board: board.clone(),
        metrics: Arc::clone(&metrics),
        xds: Arc::default(),
    };
    let serving_clients = Arc::clone(&admin.xds);
    let admin = tokio::spawn(admin::serve(arguments.metrics_listen, admin).await?);
    let authority = match replica {
        Some(replica) => tokio::select! {
            authority = replica.authority(arguments) => Some(authority.context("certificate authority")?),
            () = shutdown.cancelled() => return Ok(()),
        },
        None => None,
    };
    let (trust_domain, settings) = (
        arguments.trust_domain.clone(),
        heddle_issuer::Settings::default(),
    );
    let issuer = match &authority {
        Some(authority) => Issuer::load(authority.folder(), trust_domain, settings),
        None => Issuer::open(&arguments.ca_dir, trust_domain, settings),
    };
    let issuer = Arc::new(issuer.context("certificate authority")?);
    let bootstrap = arguments.bootstrap_tokens.as_ref();
    let tokens = Arc::new(Tokens {
        trust_domain: arguments.trust_domain.clone(),
        bootstrap: bootstrap.map(BootstrapTokens::open).transpose()?,
        reviews: replica.map(|replica| replica.reviews(arguments)),
    });
    let client = replica.map(|replica| &replica.client);
    let source = pipeline::source(arguments, client).await?;
    board.wait_for(source.obstacles());
    let pipeline = Pipeline::new(
        arguments,
        Arc::clone(&issuer),
        board.clone(),
        Arc::clone(&metrics),
    );
    let snapshots = pipeline.snapshots();
    if let Some(replica) = replica {
        replica.write_statuses(pipeline.facts());
        replica.publish_roots(arguments, &issuer.trust_bundle());
    }
    let mut pipeline = tokio::spawn(pipeline.run(source));
    let observer = board.clone();
    let xds = Server::with_observer(
        snapshots,
        Arc::clone(&tokens),
        Settings::default(),
        move |notice| {
            observer.note(&notice);
        },
    );
    let _ = serving_clients.set(xds.clone());
    // A proxy that is told of an empty mesh would forget what it knows: nobody is served before the first snapshot.
    tokio::select! {
        () = board.ready() => {}
        ended = &mut pipeline => return pipeline_ended(ended),
        () = shutdown.cancelled() => return Ok(()),
    }
    let certificates = CertificateService::new(
        Arc::clone(&issuer),
        Arc::new(TokenCaller(tokens)),
        Arc::new(board.clone()),
    )
    .observed_by({
        let metrics = Arc::clone(&metrics);
        move |outcome| metrics.certificate(outcome)
    })
    .signed_to({
        let board = board.clone();
        move |signed| board.expiries().note(signed)
    });
    let keeper = keep(authority, Arc::clone(&issuer));
    let connections = Connections::new(arguments.connection_limits());
    metrics.connections(connections.clone());
    let incoming = serving::listen(arguments, issuer, connections, shutdown.clone()).await?;
    let drain = shutdown.clone();
    let server = heddle_xds_server::server::http2(tonic::transport::Server::builder())
        .layer(Connections::layer::<_, serving::PeerInfo>())
        .add_routes(xds.clone().into_routes())
        .add_service(certificates.into_service())
        .serve_with_incoming_shutdown(incoming, async move { drain.cancelled().await });
    let mut server = tokio::spawn(server);
    tracing::info!(address = %arguments.listen, "serving xDS and certificates");
    board.serving(true);
    tokio::select! {
        ended = &mut pipeline => return pipeline_ended(ended),
        ended = &mut server, if !shutdown.is_cancelled() => {
            ended.context("the xDS server broke")?.context("the xDS server ended")?;
        }
        () = keeper => {
            tracing::warn!("the certificate authority has changed: ending, to be started again with it");
            shutdown.cancel();
        }
        () = shutdown.cancelled() => {}
    }
    tracing::info!("draining");
    board.serving(false);
    // Proxies keep what they have and go to another replica; a stream that does not end is cut.
    let _ = tokio::time::timeout(DRAIN, xds.drain()).await;
    server.abort();
    admin.abort();
    Ok(())
}

/// Returns when the authority that the cluster has is another one; never without a cluster.
async fn keep(authority: Option<Authority>, issuer: Arc<Issuer>) {
    match authority {
        Some(authority) => authority.keep(issuer).await,
        None => std::future::pending().await,
    }
}

fn pipeline_ended(ended: Result<(), tokio::task::JoinError>) -> anyhow::Result<()> {
    ended.context("the pipeline broke")?;
    anyhow::bail!("the source of objects has ended")
}

fn shutdown_on_signals() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut stream, token) = (signal(kind)?, token.clone());
        tokio::spawn(async move {
            stream.recv().await;
            token.cancel();
        });
    }
    Ok(token)
}

#[cfg(test)]
mod tests;
