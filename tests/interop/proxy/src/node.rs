//! A node proxy and its control plane.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use heddle_interop_xds::go_control_plane::{Answer, GoControlPlane, Versions};
use heddle_proto::google::protobuf::Any;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::apps;

/// Fails a test that would hang; never decides one.
const LIMIT: Duration = Duration::from_secs(30);
/// How often something is looked at that is to come.
const LOOK: Duration = Duration::from_millis(20);

/// The variants of xDS that the proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// What changed.
    Delta,
    /// All of a type.
    World,
}

impl Variant {
    fn flag(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::World => "state-of-the-world",
        }
    }
}

/// A node proxy and its control plane. Both are killed when it is dropped.
pub struct Node {
    /// The control plane.
    pub control_plane: GoControlPlane,
    /// Where the proxy's admin server listens.
    pub admin: SocketAddr,
    variant: Variant,
    folder: TempDir,
    proxy: Option<Child>,
}

impl Node {
    /// Starts both on 127.0.0.1. What the proxy logs is shown if the test fails.
    pub async fn start(variant: Variant) -> Result<Self> {
        Self::start_at(variant, Ipv4Addr::LOCALHOST.into()).await
    }

    /// As [`start`](Self::start), on this address of the machine.
    pub async fn start_at(variant: Variant, ip: IpAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let control_plane = GoControlPlane::start_at(ip).await?;
        fs::write(
            folder.path().join("roots.pem"),
            control_plane.roots().await?,
        )?;
        fs::write(folder.path().join("token"), "a token that nobody looks at")?;
        fs::create_dir(folder.path().join("netns"))?;
        let mut node = Self {
            control_plane,
            admin: apps::free_at(ip)?,
            variant,
            folder,
            proxy: None,
        };
        node.start_proxy()?;
        Ok(node)
    }

    /// Starts the proxy (again).
    pub fn start_proxy(&mut self) -> Result<()> {
        let folder = self.folder.path();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        let child = Command::new(program()?)
            .args(["--node", "node-a", "--workers", "1", "--drain-seconds", "1"])
            .args([
                "--control-plane",
                &format!("https://{}", self.control_plane.tls()),
            ])
            .args(["--control-plane-name", "localhost"])
            .args(["--xds-protocol", self.variant.flag()])
            .args(["--metrics-listen", &self.admin.to_string()])
            .arg("--control-plane-roots")
            .arg(folder.join("roots.pem"))
            .arg("--token-file")
            .arg(folder.join("token"))
            .arg("--netns-dir")
            .arg(folder.join("netns"))
            .arg("--last-good")
            .arg(folder.join("last-good"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("the node proxy cannot be started")?;
        self.proxy = Some(child);
        Ok(())
    }

    /// Kills the proxy at once.
    pub async fn kill_proxy(&mut self) -> Result<()> {
        if let Some(mut proxy) = self.proxy.take() {
            proxy.kill().await?;
        }
        Ok(())
    }

    /// Serves these resources and no others, and returns what the proxy said to the types that it must have answered by then.
    pub async fn serve(&self, resources: &[Any]) -> Result<Versions> {
        self.control_plane.serve(resources).await
    }

    /// Waits for the proxy's answer to a type's version; an empty text is an ACK.
    pub async fn answer(&self, versions: &Versions, type_url: &str) -> Result<String> {
        let version = versions.get(type_url).context("it has a version")?;
        let find = async || -> Result<Option<Answer>> {
            let answers = self.control_plane.answers().await?;
            let is_it = |a: &Answer| a.type_url == type_url && a.version == *version;
            Ok(answers.into_iter().find(is_it))
        };
        let what = format!("an answer to {type_url}");
        let answer = soon(&what, async {
            loop {
                if let Some(answer) = find().await? {
                    return Ok::<_, anyhow::Error>(answer);
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(answer.await??.error)
    }

    /// Waits until a type's version is accepted whole.
    pub async fn accepted(&self, versions: &Versions, type_url: &str) -> Result<()> {
        let error = self.answer(versions, type_url).await?;
        ensure!(error.is_empty(), "{type_url} is refused: {error}");
        Ok(())
    }

    /// Bytes of memory that the proxy holds (`VmRSS`).
    pub fn memory(&self) -> Result<u64> {
        let process = self.proxy.as_ref().and_then(Child::id).context("it runs")?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kibibytes.context("it has a VmRSS")?.parse::<u64>()? * 1024)
    }

    /// Whether the proxy still runs.
    pub fn is_running(&mut self) -> bool {
        let proxy = self.proxy.as_mut();
        proxy.is_some_and(|proxy| matches!(proxy.try_wait(), Ok(None)))
    }

    /// Where the last good configuration is kept.
    pub fn last_good(&self) -> PathBuf {
        self.folder.path().join("last-good")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Shown if the test fails.
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        eprintln!("-- the node proxy's log\n{log}");
    }
}

/// Two above a test program, which lies in `<target>/debug/deps`.
fn program() -> Result<PathBuf> {
    let own = env::current_exe().context("this program's own file")?;
    let folder = own.ancestors().nth(2).unwrap_or_else(|| Path::new("/"));
    let program = folder.join("heddle-node-proxy");
    if !program.is_file() {
        bail!(
            "{} is not there: scripts/interop.sh proxy builds it",
            program.display()
        );
    }
    Ok(program)
}

/// The result, or an error if it takes so long that it will not come.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => Ok(value),
        Err(_) => bail!("waited in vain for {what}"),
    }
}

/// Waits until something is so.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Result<()> {
    soon(what, async {
        while !is_so().await {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await
}
