//! Envoy and the node proxy as processes, with the same listeners (but for their loopback address), routes and clusters.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use heddle_interop_xds::heddle::{TokenIsNode, serve};
use heddle_proto::{
    Message, Name,
    envoy::config::{cluster::v3::Cluster, listener::v3::Listener},
};
use heddle_snapshot::{Resource, Scope, Snapshot};
use heddle_xds_server::{Server, Settings};
use tokio::{net::TcpStream, sync::watch};

/// How often something is looked at that is to come, and how often at most.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: usize = 600;

/// config.bootstrap.v3.Bootstrap, as far as it is needed here.
#[derive(Clone, PartialEq, prost::Message)]
struct Bootstrap {
    #[prost(message, optional, tag = "2")]
    static_resources: Option<StaticResources>,
}

/// config.bootstrap.v3.Bootstrap.StaticResources.
#[derive(Clone, PartialEq, prost::Message)]
struct StaticResources {
    #[prost(message, repeated, tag = "1")]
    listeners: Vec<Listener>,
    #[prost(message, repeated, tag = "2")]
    clusters: Vec<Cluster>,
}

/// A running proxy; killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    log: std::path::PathBuf,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn start(mut command: Command, log: &Path) -> Result<Self> {
        let program = command.get_program().to_owned();
        let file = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Waits until it listens on all of these.
    pub(crate) async fn listens(&mut self, addresses: &[SocketAddr]) -> Result<()> {
        for _ in 0..LOOKS {
            if let Some(status) = self.child.try_wait()? {
                bail!("{status}:\n{}", self.told());
            }
            let mut open = 0;
            for address in addresses {
                open += usize::from(TcpStream::connect(address).await.is_ok());
            }
            if open == addresses.len() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("does not listen everywhere:\n{}", self.told())
    }

    /// Fails if it has ended.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("a proxy ended: {status}:\n{}", self.told()),
        }
    }

    /// The end of its log.
    pub(crate) fn told(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// Starts Envoy.
pub(crate) fn envoy(
    program: &Path,
    folder: &Path,
    listeners: Vec<Listener>,
    clusters: Vec<Cluster>,
) -> Result<Proxy> {
    let bootstrap = Bootstrap {
        static_resources: Some(StaticResources {
            listeners,
            clusters,
        }),
    };
    let file = folder.join("envoy.pb");
    fs::write(&file, bootstrap.encode_to_vec())?;
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(&file)
        // Each cluster has one endpoint, so that one worker is as good as many.
        .args(["--concurrency", "1", "--disable-hot-restart"])
        .args(["--log-level", "error"]);
    Proxy::start(command, &folder.join("envoy.log"))
}

/// Starts the node proxy, and its control plane in this process.
pub(crate) async fn node_proxy(
    program: &Path,
    folder: &Path,
    listeners: &[Listener],
    clusters: &[Cluster],
) -> Result<Proxy> {
    let snapshot = Snapshot {
        types: BTreeMap::from([
            resources(listeners, |listener| &listener.name),
            resources(clusters, |cluster| &cluster.name),
        ]),
        ..Snapshot::default()
    };
    let (sender, newest) = watch::channel(Arc::new(snapshot));
    let address = serve(Server::new(newest, TokenIsNode, Settings::default())).await?;
    // Nothing changes until this process ends.
    std::mem::forget(sender);
    for (name, text) in [("token", "node-a"), ("roots.pem", "")] {
        fs::write(folder.join(name), text)?;
    }
    fs::create_dir(folder.join("netns"))?;
    let mut command = Command::new(program);
    command
        .args(["--node", "node-a", "--workers", "1", "--drain-seconds", "1"])
        .args(["--control-plane", &format!("http://{address}")])
        .args(["--metrics-listen", "127.0.0.1:0"])
        .args(["--log", "info,access=off"]);
    for (option, name) in [
        ("--control-plane-roots", "roots.pem"),
        ("--token-file", "token"),
        ("--netns-dir", "netns"),
        ("--last-good", "last-good"),
    ] {
        command.arg(option).arg(folder.join(name));
    }
    Proxy::start(command, &folder.join("node-proxy.log"))
}

type OfType = (&'static str, Arc<BTreeMap<Arc<str>, Arc<Resource>>>);

fn resources<M: Message + Name>(all: &[M], name: impl Fn(&M) -> &String) -> OfType {
    let type_url: &'static str = String::leak(format!("type.googleapis.com/{}", M::full_name()));
    let resource = |message: &M| {
        let name: Arc<str> = name(message).as_str().into();
        let resource = Resource::new(
            type_url,
            Arc::clone(&name),
            Scope::Nodes,
            Vec::new(),
            message,
        );
        (name, Arc::new(resource))
    };
    (type_url, Arc::new(all.iter().map(resource).collect()))
}
