//! `heddle-control-plane`: reads Kubernetes objects, computes the mesh, streams it to proxies and signs their certificates.
//!
//! ```text
//! source ─▶ pipeline: resolve ─▶ translate ─▶ snapshot ─▶ xDS server ─┐
//!              └─▶ board (statuses, problems, mesh) ─▶ admin          ├─ TLS, port 15012
//!                                    └─▶ placement ─▶ certificates ───┘
//! ```
//!
//! It keeps no state of its own but the certificate authority's folder: the objects are the database, and any replica serves any proxy.

mod admin;
mod arguments;
mod authentication;
mod board;
mod metrics;
mod pipeline;
mod problems;
mod serving;
mod transitions;

use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use heddle_issuer::{CertificateService, Issuer};
use heddle_xds_server::{
    BootstrapTokens,
    server::{Server, Settings},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments::Arguments, authentication::TokenCaller, board::Board, metrics::Metrics,
    pipeline::Pipeline,
};

/// How long streams may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&arguments.log))
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
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

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let shutdown = shutdown_on_signals()?;
    let issuer = Issuer::open(
        &arguments.ca_dir,
        arguments.trust_domain.clone(),
        heddle_issuer::Settings::default(),
    );
    let issuer = Arc::new(issuer.context("certificate authority")?);
    let tokens = BootstrapTokens::open(&arguments.bootstrap_tokens)?;
    let tokens = Arc::new(tokens);
    let (board, metrics) = (Board::new(), Arc::new(Metrics::new()));
    let source = pipeline::source(&arguments).await?;
    let pipeline = Pipeline::new(
        &arguments,
        Arc::clone(&issuer),
        board.clone(),
        Arc::clone(&metrics),
    );
    let snapshots = pipeline.snapshots();
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
    let admin = admin::serve(
        arguments.metrics_listen,
        board.clone(),
        Arc::clone(&metrics),
        xds.clone(),
    );
    let admin = tokio::spawn(admin.await?);
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
    .observed_by(move |outcome| metrics.certificate(outcome));
    let incoming = serving::listen(&arguments, issuer, shutdown.clone()).await?;
    let drain = shutdown.clone();
    let server = heddle_xds_server::server::http2(tonic::transport::Server::builder())
        .add_service(xds.clone().into_service())
        .add_service(certificates.into_service())
        .serve_with_incoming_shutdown(incoming, async move { drain.cancelled().await });
    let mut server = tokio::spawn(server);
    tracing::info!(address = %arguments.listen, "serving xDS and certificates");
    tokio::select! {
        ended = &mut pipeline => return pipeline_ended(ended),
        ended = &mut server, if !shutdown.is_cancelled() => {
            ended.context("the xDS server broke")?.context("the xDS server ended")?;
        }
        () = shutdown.cancelled() => {}
    }
    tracing::info!("draining");
    // Proxies keep what they have and go to another replica; a stream that does not end is cut.
    let _ = tokio::time::timeout(DRAIN, xds.drain()).await;
    server.abort();
    admin.abort();
    Ok(())
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
