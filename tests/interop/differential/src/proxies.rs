//! Envoy and the node proxy as processes, with the same listeners (but for their loopback address), routes and clusters.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use heddle_interop_xds::fixed::Fixed;
use tokio::net::TcpStream;

/// How often something is looked at that is to come, and how often at most.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: usize = 600;

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
pub(crate) fn envoy(program: &Path, folder: &Path, fixed: Fixed) -> Result<Proxy> {
    let mut command = Command::new(program);
    // Each cluster has one endpoint, so that one worker is as good as many.
    command.args(fixed.envoy(&folder.join("envoy.pb"))?);
    Proxy::start(command, &folder.join("envoy.log"))
}

/// Starts the node proxy, and its control plane in this process.
pub(crate) async fn node_proxy(program: &Path, folder: &Path, fixed: &Fixed) -> Result<Proxy> {
    let mut command = Command::new(program);
    command
        .args(fixed.node_proxy(folder).await?)
        .args(["--metrics-listen", "127.0.0.1:0"])
        .args(["--log", "info,access=off"]);
    Proxy::start(command, &folder.join("node-proxy.log"))
}
