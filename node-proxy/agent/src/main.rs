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

mod addresses;
mod admin;
mod arguments;
mod bound;
mod configuration;
mod dns;
mod enrolment;
mod following;
mod keeper;
mod kubernetes;
mod namespaces;
mod outside;
mod packets;
mod plugin;
mod pods;
mod processes;
mod sockets;
mod succession;
mod worker;

use std::{collections::BTreeMap, io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use heddle_cert_client::{Certificates, GrpcIssuer, Token};
use heddle_config::SharedConfig;
use heddle_telemetry::{MAX_SERIES, Metrics};
use heddle_xds_client::{Backoff, Client, FileToken, Keepalive, Server, StatusHandle, Tls};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments::Arguments,
    bound::BoundListeners,
    configuration::Configuration,
    following::Following,
    keeper::{Keeper, Left},
    kubernetes::{ApiServer, Conditions},
    outside::OutsideFile,
    plugin::{InPlace, Plugin},
    pods::{Pods, Released},
    sockets::Sockets,
    succession::{Inheritance, Predecessor, Successors},
    worker::Workers,
};

/// A request allocates often: preloaded, it saved a fifteenth of a request's CPU time against glibc's (docs/performance.md). Without huge
/// pages, which cost a proxy at rest some ten megabytes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the pods' ports are still served when the mesh is taken away.
const LEAVING: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&arguments.log))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    // Each proxied connection is two open files, and many runtimes begin with 1,024 of them.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
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
    // First the end is announced; what listens ends only when it is known what shall become of the pods.
    let ending = ending_on_signals()?;
    let shutdown = CancellationToken::new();
    let metrics = Arc::new(Metrics::new(MAX_SERIES));
    let own = arguments.identity()?;
    let roots = arguments.control_plane_roots.clone();
    let token = Token::File(arguments.token_file.clone());
    let issuer = GrpcIssuer::new(
        &arguments.control_plane,
        heddle_cert_client::Roots::File(roots.clone()),
        &arguments.control_plane_name,
        token,
    );
    let certificates = Certificates::start(issuer, heddle_cert_client::Settings::default());
    let configuration = Configuration::open(arguments.trust_domain.clone(), &arguments.last_good);
    let (config, changed) = (configuration.shared(), configuration.changes());
    let from_disk = configuration.is_from_disk();
    let keeping = tokio::spawn(configuration.keep(arguments.last_good.clone()));
    let client = Client::new(heddle_xds_client::Settings {
        servers: vec![Server {
            uri: arguments.control_plane.clone(),
            tls: Some(Tls {
                roots: heddle_xds_client::Roots::File(roots),
                server_name: arguments.control_plane_name.clone(),
            }),
        }],
        node: arguments.node(),
        token: Arc::new(FileToken(arguments.token_file.clone())),
        wildcards: heddle_xds_client::Settings::node_wildcards(arguments.xds_protocol.into()),
        variant: arguments.xds_protocol.into(),
        backoff: Backoff::default(),
        keepalive: Keepalive::default(),
    });
    let status = client.status();
    let streaming = tokio::spawn(async move { client.run(configuration).await });
    let api = match arguments.kubernetes {
        true => Some(ApiServer::of_the_cluster()?),
        false => None,
    };
    let workers = Workers::start(&arguments, &config, &certificates, &metrics)?;
    let (board, in_place) = (admin::Board::default(), InPlace::new(&arguments, &metrics));
    let admin = admin::serve(
        &arguments,
        Arc::clone(&metrics),
        certificates.clone(),
        status.clone(),
        board.clone(),
        in_place.clone(),
    );
    let admin = tokio::spawn(admin.await?);
    let mut following = Following::new(certificates, own.clone());
    let succeeding = inheritance(&arguments, &mut following, &config, &changed, &status);
    let inheritance = tokio::select! {
        inheritance = succeeding => inheritance,
        () = ending.cancelled() => return Ok(()),
    };
    let successors = match succession::place(&arguments) {
        Some(place) => Successors::open(place)?,
        None => Successors::none(),
    };
    let superseded = successors.superseded();
    let registrations = enrolment::Registrations::new()?;
    let asked = match &arguments.cni_socket {
        Some(socket) => Some(enrolment::Server::open(socket, registrations.clone())?),
        None => None,
    };
    let asked = asked.map(|server| tokio::spawn(server.serve_while_ours(superseded.clone())));
    let plugin = Plugin::keep(&arguments, superseded.clone(), in_place)?;
    let conditions = api
        .clone()
        .map(|api| Conditions::start(api, superseded, shutdown.clone()));
    let keeper = Keeper {
        pods: Pods::new(&arguments, config.clone(), &registrations, shutdown.clone())?,
        config,
        following,
        workers,
        registrations,
        outside: OutsideFile::new(&arguments),
        bound: BoundListeners::new(own, shutdown.clone())?,
        sockets: Sockets::inherited(inheritance.sockets),
        board,
        status,
        from_disk,
        conditions: conditions.clone(),
        successors,
    };
    let Left {
        workers,
        pods,
        bound,
        successors,
    } = keeper.run(changed, ending).await;
    if let Some(asked) = asked {
        // Whoever waits for a pod's capture asks our successor.
        asked.abort();
    }
    // What becomes of a node that a successor has is the successor's to say.
    let ours = !*successors.superseded().borrow();
    let taken_away = ours && is_taken_away(&arguments, api.as_ref()).await;
    let (superseded, released, limit) = if taken_away {
        let released = leave(plugin, conditions, &pods).await;
        (false, released, arguments.drain().saturating_sub(LEAVING))
    } else {
        let handed = successors.finish(|| keeper::passed(&pods, &bound));
        (handed.await, pods.released(), arguments.drain())
    };
    tracing::info!("draining");
    let queries = pods.queries();
    // Second handles would keep the sockets open, and nobody would take what arrives.
    drop((pods, bound));
    shutdown.cancel();
    queries.close();
    tokio::join!(workers.drain(limit), queries.wait());
    tokio::task::block_in_place(|| released.restore());
    streaming.abort();
    admin.abort();
    if superseded {
        // The last good configuration is the successor's to write.
        keeping.abort();
    }
    // With the stream the store's owner is gone: what is not written yet is written now. A panic there is logged already.
    let _ = keeping.await;
    drop(inheritance.tie);
    Ok(())
}

/// The mesh leaves this node, and most likely all others at the same time.
async fn leave(plugin: Option<Plugin>, conditions: Option<Conditions>, pods: &Pods) -> Released {
    tracing::info!("the mesh is being taken away from this node");
    let released = tokio::task::block_in_place(|| {
        if let Some(plugin) = plugin {
            plugin.uninstall();
        }
        pods.release_all()
    });
    if let Some(conditions) = conditions {
        conditions.want(BTreeMap::new());
    }
    // What other nodes that have not come so far still send by mutual TLS is taken.
    tokio::time::sleep(LEAVING).await;
    released
}

/// What a predecessor leaves; nothing, if there is none.
async fn inheritance(
    arguments: &Arguments,
    following: &mut Following,
    config: &SharedConfig,
    changed: &watch::Receiver<u64>,
    status: &StatusHandle,
) -> Inheritance {
    let Some(place) = succession::place(arguments) else {
        return Inheritance::default();
    };
    match Predecessor::find(&place).await {
        Some(predecessor) => {
            keeper::succeed(predecessor, following, config, changed.clone(), status).await
        }
        None => Inheritance::default(),
    }
}

async fn is_taken_away(arguments: &Arguments, api: Option<&ApiServer>) -> bool {
    match api {
        Some(api) => {
            kubernetes::is_taken_away(api, &arguments.namespace, &arguments.daemonset).await
        }
        None => false,
    }
}

fn ending_on_signals() -> anyhow::Result<CancellationToken> {
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
