//! The running parts: pods' servers, the control plane, the node proxies.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use heddle_testbed::{FABRIC_ADDRESS, Pod, Process, Testbed};

use super::{
    FOLDER,
    lesson::{Lesson, Runs},
    programs::{Programs, text},
};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A testbed with the folder's nodes and pods, and the mesh's programs in it.
pub(super) struct Mesh {
    pub(super) bed: Testbed,
    pub(super) manifests: PathBuf,
    pub(super) programs: Programs,
    apps: Vec<Process>,
    control_plane: Option<Process>,
    proxies: BTreeMap<String, Process>,
    /// How many node proxies were started: each has a socket of its own for questions.
    started: u32,
}

impl Mesh {
    /// Nodes, pods and the pods' servers: no mesh yet.
    pub(super) fn new(manifests: &Path) -> anyhow::Result<Self> {
        let lesson = Lesson::read(manifests)?;
        let mut mesh = Self {
            bed: Testbed::new(&FOLDER.join("logs"))?,
            manifests: manifests.to_owned(),
            programs: Programs::find()?,
            apps: Vec::new(),
            control_plane: None,
            proxies: BTreeMap::new(),
            started: 0,
        };
        for node in lesson.nodes {
            mesh.bed.add_node(node)?;
        }
        for runs in lesson.pods {
            mesh.add_pod(runs)?;
        }
        mesh.write_tokens()?;
        Ok(mesh)
    }

    fn add_pod(&mut self, runs: Runs) -> anyhow::Result<()> {
        let name = runs.pod.netns();
        self.bed.add_pod(runs.pod.clone())?;
        let mut command = self.bed.in_pod(&runs.pod, &text(&self.programs.heddle));
        command.arg("app").args(runs.app);
        self.apps.push(self.bed.start(&name, command)?);
        Ok(())
    }

    /// A token for each node, as an installer would hand out.
    fn write_tokens(&self) -> anyhow::Result<()> {
        let mut all = String::from("tokens:\n");
        for node in self.bed.nodes() {
            let mut random = [0; 16];
            fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
            let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            fs::write(FOLDER.join(format!("{}.token", node.name)), &token)?;
            all += &format!("  - {{node: {}, token: {token}}}\n", node.name);
        }
        fs::write(FOLDER.join("tokens.yaml"), all)?;
        Ok(())
    }

    /// Starts the control plane and a proxy on each node, and waits until all are ready.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        self.start_control_plane()?;
        self.wait("the control plane", |mesh| mesh.is_control_plane_ready())?;
        for node in self.node_names() {
            self.start_proxy(&node)?;
        }
        self.wait("the node proxies", |mesh| {
            mesh.node_names()
                .iter()
                .all(|node| mesh.is_proxy_ready(node))
        })
    }

    pub(super) fn node_names(&self) -> Vec<String> {
        self.bed.nodes().map(|node| node.name.clone()).collect()
    }

    pub(super) fn start_control_plane(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.programs.control_plane);
        command
            .args(["--manifests", &text(&self.manifests)])
            .args(["--ca-dir", &text(&FOLDER.join("ca"))])
            .args(["--bootstrap-tokens", &text(&FOLDER.join("tokens.yaml"))])
            .args(["--server-name", &format!("localhost,{FABRIC_ADDRESS}")]);
        self.control_plane = Some(self.bed.start("control-plane", command)?);
        Ok(())
    }

    pub(super) fn start_proxy(&mut self, node: &str) -> anyhow::Result<()> {
        let process = self.run_proxy(node)?;
        self.proxies.insert(node.to_owned(), process);
        Ok(())
    }

    /// Starts another proxy beside the one that runs; when it is ready the former is told to end, as a DaemonSet's surge does. Returns when it
    /// has ended.
    pub(super) fn replace_proxy(&mut self, node: &str) -> anyhow::Result<()> {
        let mut new = self.run_proxy(node)?;
        let socket = admin_socket(self.started);
        let begin = Instant::now();
        while !UnixStream::connect(&socket).is_ok_and(is_ready) {
            if new.ended().is_some() || begin.elapsed() > LONG {
                bail!("{node}: the next proxy is not ready\n{}", tail(&new.log()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let former = self.proxies.insert(node.to_owned(), new);
        let Some(mut former) = former else {
            return Ok(());
        };
        former.terminate()?;
        if former.wait(LONG).is_none() {
            let log = tail(&former.log());
            bail!("{node}: the former proxy does not end\n{log}");
        }
        Ok(())
    }

    fn run_proxy(&mut self, node: &str) -> anyhow::Result<Process> {
        self.started += 1;
        let file = |name: String| text(&FOLDER.join(name));
        let mut command = self.bed.on_node(node, &text(&self.programs.node_proxy));
        command
            .args(["--node", node])
            .args([
                "--control-plane",
                &format!("https://{FABRIC_ADDRESS}:15012"),
            ])
            .args(["--control-plane-roots", &file("ca/root-1.crt".into())])
            .args(["--token-file", &file(format!("{node}.token"))])
            .args(["--last-good", &file(format!("{node}.last-good"))])
            .args(["--handover-socket", &file(format!("{node}.handover"))])
            .args(["--admin-socket", &text(&admin_socket(self.started))])
            .args(["--drain-seconds", "4"]);
        self.bed.start(node, command)
    }

    /// As `kill -9`.
    pub(super) fn kill_control_plane(&mut self) {
        self.control_plane = None;
    }

    /// As `kill -9`.
    pub(super) fn kill_proxy(&mut self, node: &str) {
        self.proxies.remove(node);
    }

    /// Starts again what has ended, as a kubelet would; tells what it was.
    pub(super) fn restart_ended(&mut self) -> anyhow::Result<Vec<String>> {
        let mut restarted = Vec::new();
        let has_ended = |process: &mut Process| process.ended().is_some();
        if self.control_plane.as_mut().is_none_or(has_ended) {
            self.start_control_plane()?;
            restarted.push("control-plane".to_owned());
        }
        for node in self.node_names() {
            if self.proxies.get_mut(&node).is_none_or(has_ended) {
                self.start_proxy(&node)?;
                restarted.push(node);
            }
        }
        Ok(restarted)
    }

    pub(super) fn is_control_plane_ready(&self) -> bool {
        let to = SocketAddr::from((LOCALHOST, 15014));
        let stream = TcpStream::connect_timeout(&to, PATIENCE);
        let stream = stream.and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        stream.is_ok_and(is_ready)
    }

    pub(super) fn is_proxy_ready(&self, node: &str) -> bool {
        let to = SocketAddr::from((LOCALHOST, 15020));
        self.bed.connect(node, to, PATIENCE).is_ok_and(is_ready)
    }

    fn wait(&mut self, what: &str, is_there: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !is_there(self) {
            self.complain_about_ended()?;
            if begin.elapsed() > Duration::from_secs(20) {
                bail!("{what}: not ready within 20 s\n{}", self.last_words());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn complain_about_ended(&mut self) -> anyhow::Result<()> {
        for process in self
            .control_plane
            .iter_mut()
            .chain(self.proxies.values_mut())
        {
            if let Some(status) = process.ended() {
                bail!(
                    "{} ended ({status}):\n{}",
                    process.name(),
                    tail(&process.log())
                );
            }
        }
        Ok(())
    }

    /// Keeps the logs, which lie in memory, from growing without end.
    pub(super) fn trim_logs(&self) -> std::io::Result<()> {
        let processes = self.control_plane.iter().chain(self.proxies.values());
        processes
            .chain(&self.apps)
            .try_for_each(|process| process.trim_log(LONGEST_LOG))
    }

    /// The end of every log of the mesh's programs, for an error message.
    pub(super) fn last_words(&self) -> String {
        let processes = self.control_plane.iter().chain(self.proxies.values());
        let words =
            processes.map(|process| format!("-- {}\n{}", process.name(), tail(&process.log())));
        words.collect::<Vec<_>>().join("\n")
    }

    /// A pod of the testbed by `namespace/name`.
    pub(super) fn pod(&self, name: &str) -> anyhow::Result<&Pod> {
        let netns = name.replace('/', "_");
        let mut pods = self.bed.pods();
        let pod = pods.find(|pod| pod.netns() == netns);
        pod.with_context(|| format!("no pod {name} in {}", self.manifests.display()))
    }

    /// `heddle <arguments>`, to be run in a pod; `None`: in the fabric, outside of every node.
    pub(super) fn heddle_in(
        &self,
        pod: Option<&str>,
        arguments: &[&str],
    ) -> anyhow::Result<Command> {
        let mut command = match pod {
            Some(pod) => self
                .bed
                .in_pod(self.pod(pod)?, &text(&self.programs.heddle)),
            None => Command::new(&self.programs.heddle),
        };
        command.args(arguments);
        Ok(command)
    }
}

/// Bytes; some 50,000 lines of the access log.
const LONGEST_LOG: u64 = 32 << 20;

/// For a node proxy to come or to go.
const LONG: Duration = Duration::from_secs(30);

/// Where the nth node proxy is asked.
fn admin_socket(nth: u32) -> PathBuf {
    FOLDER.join(format!("admin-{nth}.sock"))
}

/// For one look at a health port.
const PATIENCE: Duration = Duration::from_secs(1);

fn is_ready(mut stream: impl Read + Write) -> bool {
    let mut answer = String::new();
    let asked = stream
        .write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        .and_then(|()| stream.read_to_string(&mut answer));
    asked.is_ok() && answer.split(' ').nth(1) == Some("200")
}

/// The last lines, without the access log.
fn tail(log: &str) -> String {
    let lines: Vec<_> = log
        .lines()
        .filter(|line| !line.contains("access: "))
        .collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
