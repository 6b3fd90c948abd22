//! `heddle-node-proxy`: one for each node, for all of its pods.
//!
//! ```text
//! control runtime: xDS ─▶ store ─▶ ProxyConfig ─┬─▶ pods: namespaces, sockets, rules, DNS
//!                  certificates ◀──────────────┘            │ listening sockets
//!                  admin                                    ▼
//! workers (one thread a core): accept ─▶ route, judge, balance ─▶ upstream
//! ```
//!
//! This binary only wires: what is decided lies in `heddle-routing`, what is sent in `heddle-upstream`, what is accepted in
//! `heddle-listeners`, what is known in `heddle-config`. With no control plane it goes on with what it knows.

mod admin;
mod arguments;
mod configuration;
mod dns;
mod gateways;
mod packets;
mod pods;
mod worker;

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use heddle_cert_client::{Certificates, GrpcIssuer, Token};
use heddle_config::SharedConfig;
use heddle_identity::SpiffeId;
use heddle_telemetry::{MAX_SERIES, Metrics};
use heddle_xds_client::{Backoff, Client, FileToken, Keepalive, Server, Tls};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments::Arguments, configuration::Configuration, gateways::Gateways, pods::Pods,
    worker::Workers,
};

/// How often the state of the namespaces is looked at without a reason: a pod's namespace may appear at any time.
const LOOK: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&arguments.log))
        .with_writer(std::io::stderr)
        .init();
    // Several crates of the build know more than one provider; this one counts.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let shutdown = shutdown_on_signals()?;
    let metrics = Arc::new(Metrics::new(MAX_SERIES));
    let own = arguments.identity()?;
    let roots = std::fs::read_to_string(&arguments.control_plane_roots)?;
    let token = Token::File(arguments.token_file.clone());
    let issuer = GrpcIssuer::new(
        &arguments.control_plane,
        &roots,
        &arguments.control_plane_name,
        token,
    )?;
    let certificates = Certificates::start(issuer, heddle_cert_client::Settings::default());
    let (configuration, changed) = Configuration::open(&arguments);
    let config = configuration.shared();
    let client = Client::new(heddle_xds_client::Settings {
        servers: vec![Server {
            uri: arguments.control_plane.clone(),
            tls: Some(Tls {
                roots,
                server_name: arguments.control_plane_name.clone(),
            }),
        }],
        node: arguments.node(),
        token: Arc::new(FileToken(arguments.token_file.clone())),
        wildcards: heddle_xds_client::Settings::node_wildcards(),
        backoff: Backoff::default(),
        keepalive: Keepalive::default(),
    });
    let status = client.status();
    let streaming = tokio::spawn(async move { client.run(configuration).await });
    let workers = Workers::start(&arguments, &config, &certificates, &metrics)?;
    let pods = Pods::new(&arguments, config.clone(), shutdown.clone());
    let gateways = Gateways::new(own.clone(), shutdown.clone())?;
    let board = admin::Board::default();
    let admin = admin::serve(
        &arguments,
        Arc::clone(&metrics),
        certificates.clone(),
        status,
        board.clone(),
    );
    let admin = tokio::spawn(admin.await?);
    let keeping = Keeper {
        config,
        certificates,
        own,
        workers,
        pods,
        gateways,
        board,
    };
    let workers = keeping.run(changed, shutdown).await;
    tracing::info!("draining");
    workers.drain(arguments.drain()).await;
    streaming.abort();
    admin.abort();
    Ok(())
}

/// Brings the node to what the configuration says: level-triggered, whatever happened before.
struct Keeper {
    config: SharedConfig,
    certificates: Certificates,
    own: SpiffeId,
    workers: Workers,
    pods: Pods,
    gateways: Gateways,
    board: admin::Board,
}

impl Keeper {
    /// Until shutdown; gives the workers back.
    async fn run(
        mut self,
        mut changed: watch::Receiver<u64>,
        shutdown: CancellationToken,
    ) -> Workers {
        let mut trusted: Arc<str> = "".into();
        loop {
            let config = self.config.load_full();
            if config.trust_bundle != trusted {
                trusted = Arc::clone(&config.trust_bundle);
                if let Err(error) = self.certificates.set_trust_bundle(&trusted) {
                    tracing::error!(%error, "the trust bundle was not taken; the last one stays in force");
                }
            }
            let identities = config.pods.values().map(|pod| pod.identity.clone());
            let wanted: BTreeSet<_> = identities.chain([self.own.clone()]).collect();
            self.certificates.want(wanted);
            tokio::task::block_in_place(|| {
                self.pods.look(&config, &self.workers);
                self.gateways.look(&config, &self.workers);
            });
            self.board.set(self.pods.states());
            tokio::select! {
                () = shutdown.cancelled() => return self.workers,
                Ok(()) = changed.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
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
