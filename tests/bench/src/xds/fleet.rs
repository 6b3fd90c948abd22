//! The server's process and all streams to it.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::unistd::Pid;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
    task::JoinSet,
};

use crate::{
    Arguments, Case, Size,
    client::Client,
    counters::{Memory, cpu_time},
};

/// The server.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    /// From objects to the first snapshot.
    pub(crate) built: Duration,
    pid: Pid,
    input: ChildStdin,
    _process: Child,
}

impl Served {
    /// Starts this program once more, as the server.
    pub(crate) async fn start(size: Size) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", "--services", &size.services.to_string()])
            .args(["--endpoints", &size.endpoints.to_string()])
            .args(["--routes", &size.routes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().context("an output")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let line = line.context("the server ended at once")?;
        let (address, micros) = line.split_once(' ').context("an address and a time")?;
        Ok(Self {
            address: address.parse()?,
            built: Duration::from_micros(micros.parse()?),
            pid: Pid::from_raw(process.id().context("it runs")?.try_into()?),
            input: process.stdin.take().context("an input")?,
            _process: process,
        })
    }

    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu_time(&[self.pid])
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        Memory::of(&[self.pid])
    }

    /// Replaces an object.
    pub(crate) async fn change(
        &mut self,
        case: Case,
        number: usize,
        generation: usize,
    ) -> Result<()> {
        let case = match case {
            Case::Endpoints => "endpoints",
            Case::Routes => "routes",
        };
        let line = format!("{case} {number} {generation}\n");
        Ok(self.input.write_all(line.as_bytes()).await?)
    }
}

/// That a stream has a resource and has acknowledged it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) name: Arc<str>,
    pub(crate) at: Instant,
}

/// What all streams took together.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes: AtomicU64,
    pub(crate) resources: AtomicU64,
    pub(crate) responses: AtomicU64,
}

/// All streams, up to date and listening.
pub(crate) struct Fleet {
    pub(crate) arrivals: mpsc::UnboundedReceiver<Arrival>,
    pub(crate) traffic: Arc<Traffic>,
    /// Until the last was up to date.
    pub(crate) took: Duration,
    /// Bytes of the first synchronization of all.
    pub(crate) bytes: u64,
    tasks: JoinSet<Result<()>>,
}

impl Fleet {
    /// Opens all at once and waits until the last is up to date.
    pub(crate) async fn join(server: &Served, arguments: &Arguments) -> Result<Self> {
        let begin = Instant::now();
        let mut joining = JoinSet::new();
        for number in 0..arguments.streams {
            let (address, protocol) = (server.address, arguments.protocol);
            joining.spawn(async move {
                let node = format!("node-{number}");
                let mut client = Client::open(address, protocol, &node).await?;
                let bytes = client.synchronize().await.with_context(|| node.clone())?;
                anyhow::Ok((client, bytes))
            });
        }
        let (mut clients, mut bytes) = (Vec::new(), 0);
        while let Some(joined) = joining.join_next().await {
            let (client, taken) = joined??;
            clients.push(client);
            bytes += taken as u64;
        }
        let took = begin.elapsed();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let traffic = Arc::new(Traffic::default());
        let mut tasks = JoinSet::new();
        for client in clients {
            tasks.spawn(listen(client, sender.clone(), Arc::clone(&traffic)));
        }
        Ok(Self {
            arrivals,
            traffic,
            took,
            bytes,
            tasks,
        })
    }

    /// An error if a stream has ended.
    pub(crate) async fn check(&mut self) -> Result<()> {
        match self.tasks.try_join_next() {
            Some(ended) => ended?.context("a stream ended"),
            None => Ok(()),
        }
    }
}

async fn listen(
    mut client: Client,
    arrivals: mpsc::UnboundedSender<Arrival>,
    traffic: Arc<Traffic>,
) -> Result<()> {
    loop {
        let told = client.take().await?;
        let at = Instant::now();
        traffic.responses.fetch_add(1, Ordering::Relaxed);
        traffic
            .bytes
            .fetch_add(told.bytes as u64, Ordering::Relaxed);
        traffic
            .resources
            .fetch_add(told.names.len() as u64, Ordering::Relaxed);
        for name in told.names {
            let name = name.into();
            if arrivals.send(Arrival { name, at }).is_err() {
                return Ok(());
            }
        }
    }
}
