//! Threads that carry traffic: one for each core, pinned, each with a runtime, pools and listening sockets of its own.

use std::{net::TcpListener, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use anyhow::Context;
use heddle_cert_client::Certificates;
use heddle_config::{BoundListener, SharedConfig};
use heddle_identity::SpiffeId;
use heddle_listeners::{
    BoundContext, PodContext, Settings, Worker, serve_bound, serve_inbound, serve_mtls,
    serve_outbound,
};
use heddle_redirect::Netns;
use heddle_telemetry::Metrics;
use heddle_upstream::{Upstream, UpstreamSettings};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::LocalSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::arguments::Arguments;

/// For how much of the drain idle connections are kept.
const LINGER: f32 = 0.75;

/// A socket of a pod's, for one worker.
pub(crate) struct PodSocket {
    pub(crate) pod: PodContext,
    pub(crate) port: Port,
    pub(crate) listener: TcpListener,
    pub(crate) shutdown: CancellationToken,
}

/// What comes to a pod's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// What the pod sends.
    Outbound,
    /// What it receives in plain text.
    Inbound,
    /// What it receives by mutual TLS.
    Mtls,
}

impl Port {
    pub(crate) const ALL: [Self; 3] = [Self::Outbound, Self::Inbound, Self::Mtls];

    /// Where it is, in the pod's namespace.
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Outbound => 15001,
            Self::Inbound => 15006,
            Self::Mtls => 15008,
        }
    }
}

/// A socket of a Gateway's listener, for one worker.
pub(crate) struct BoundSockets {
    pub(crate) listener: TcpListener,
    pub(crate) bound: Arc<BoundListener>,
    pub(crate) identity: SpiffeId,
    pub(crate) netns: Netns,
    pub(crate) shutdown: CancellationToken,
}

enum Command {
    Pod(PodSocket),
    Bound(BoundSockets),
    /// Finish what is open, and then answer.
    Drain(oneshot::Sender<()>),
}

/// A worker, from outside.
pub(crate) struct Handle(mpsc::UnboundedSender<Command>);

impl Handle {
    pub(crate) fn serve_pod(&self, socket: PodSocket) {
        // A worker ends only when the process does.
        let _ = self.0.send(Command::Pod(socket));
    }

    pub(crate) fn serve_bound(&self, sockets: BoundSockets) {
        let _ = self.0.send(Command::Bound(sockets));
    }
}

/// All workers.
pub(crate) struct Workers {
    handles: Vec<Handle>,
    settings: Arc<Settings>,
}

impl Workers {
    /// Starts the threads.
    pub(crate) fn start(
        arguments: &Arguments,
        config: &SharedConfig,
        certificates: &Certificates,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let count = if arguments.workers == 0 {
            cores
        } else {
            arguments.workers
        };
        let settings = Arc::new(Settings {
            drain: arguments.drain(),
            linger: arguments.drain().mul_f32(LINGER),
            node_addresses: arguments.node_address.clone(),
            node: arguments.node.as_str().into(),
            ..Settings::default()
        });
        let mut handles = Vec::new();
        for index in 0..count {
            let (sender, commands) = mpsc::unbounded_channel();
            let seed = Seed {
                config: config.clone(),
                certificates: certificates.clone(),
                metrics: Arc::clone(metrics),
                settings: Arc::clone(&settings),
            };
            thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    pin(index);
                    if let Err(error) = seed.run(commands) {
                        tracing::error!(%error, "a worker ended");
                    }
                })
                .context("cannot start a worker")?;
            handles.push(Handle(sender));
        }
        Ok(Self { handles, settings })
    }

    /// How many there are; at least one.
    pub(crate) fn count(&self) -> usize {
        self.handles.len()
    }

    /// A worker for each of so many sockets.
    pub(crate) fn deal<T>(&self, sockets: Vec<T>) -> impl Iterator<Item = (&Handle, T)> {
        self.handles.iter().cycle().zip(sockets)
    }

    /// What the listeners were set up with.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns when all connections have ended, or the limit is over.
    pub(crate) async fn drain(self, limit: Duration) {
        let mut answers = Vec::new();
        for handle in &self.handles {
            let (sender, receiver) = oneshot::channel();
            let _ = handle.0.send(Command::Drain(sender));
            answers.push(receiver);
        }
        let all = async {
            for answer in answers {
                // A worker that is gone has nothing left to finish.
                let _ = answer.await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("connections were cut at the end of the drain time");
        }
    }
}

/// The nth of the cores that this process may use.
fn pin(index: usize) {
    let this_thread = Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(this_thread) else {
        return;
    };
    let cores: Vec<_> = (0..CpuSet::count())
        .filter(|cpu| allowed.is_set(*cpu) == Ok(true))
        .collect();
    let Some(core) = cores.get(index % cores.len().max(1)) else {
        return;
    };
    let mut one = CpuSet::new();
    // A thread that is not pinned works all the same.
    let _ = one
        .set(*core)
        .and_then(|()| sched_setaffinity(this_thread, &one));
}

/// What a worker is made of, on its own thread.
struct Seed {
    config: SharedConfig,
    certificates: Certificates,
    metrics: Arc<Metrics>,
    settings: Arc<Settings>,
}

impl Seed {
    fn run(self, commands: mpsc::UnboundedReceiver<Command>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let local = LocalSet::new();
        local.block_on(&runtime, async move {
            let upstream = Upstream::new(
                self.config.clone(),
                self.certificates.clone(),
                Arc::clone(&self.metrics),
                UpstreamSettings::default(),
            );
            let worker = Worker::new(
                self.config,
                upstream,
                self.certificates,
                self.metrics,
                self.settings,
            );
            serve(worker, commands).await;
        });
        Ok(())
    }
}

async fn serve(worker: Worker, mut commands: mpsc::UnboundedReceiver<Command>) {
    let stop = CancellationToken::new();
    let (enforcer, until) = (worker.clone(), stop.clone());
    tokio::task::spawn_local(async move { enforcer.enforce_policy(until).await });
    let serving = TaskTracker::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Pod(socket) => serve_pod(&worker, &serving, socket),
            Command::Bound(sockets) => {
                let context = BoundContext::new(
                    Arc::clone(&sockets.bound.name),
                    sockets.netns,
                    sockets.identity.clone(),
                    sockets.identity.namespace,
                    &worker.path.settings,
                );
                let task = serve_bound(sockets.listener, context, worker.clone(), sockets.shutdown);
                serving.spawn_local(ended("bound", task));
            }
            Command::Drain(done) => {
                serving.close();
                serving.wait().await;
                stop.cancel();
                // Whoever asked may have given up.
                let _ = done.send(());
            }
        }
    }
}

fn serve_pod(worker: &Worker, serving: &TaskTracker, socket: PodSocket) {
    let PodSocket {
        pod,
        port,
        listener,
        shutdown,
    } = socket;
    let worker = worker.clone();
    match port {
        Port::Inbound => {
            let task = serve_inbound(listener, pod, worker, shutdown);
            serving.spawn_local(ended("inbound", task));
        }
        Port::Mtls => {
            let task = serve_mtls(listener, pod, worker, shutdown);
            serving.spawn_local(ended("mtls", task));
        }
        Port::Outbound => {
            let (upstream, uid) = (worker.upstream.clone(), pod.uid.clone());
            let task = serve_outbound(listener, pod, worker, shutdown);
            serving.spawn_local(async move {
                ended("outbound", task).await;
                // The pod is gone, or we are going: its tunnels and pooled connections serve nobody any more.
                upstream.forget(&uid);
            });
        }
    }
}

async fn ended(what: &'static str, task: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "the {what} listener ended");
    }
}
