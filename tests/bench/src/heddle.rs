//! Heddle: the control plane in the fabric, a node proxy with one worker on each node.

use std::{
    fs::{self, File},
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use heddle_testbed::FABRIC_ADDRESS;
use nix::unistd::Pid;

use crate::{
    cases::Door,
    machine::Cores,
    paths::MeasuredPath,
    policy, server,
    site::{CLIENTS_NODE, FOLDER, GUARDED, HEDDLE, SERVERS_NODE, Site},
};

const MESH: &str = include_str!("../mesh/mesh.yaml");
/// The Services in `mesh.yaml`.
const SERVICE: [u8; 4] = [10, 96, 0, 50];
const READING_SERVICE: [u8; 4] = [10, 96, 0, 51];
const GUARDED_SERVICE: [u8; 4] = [10, 96, 0, 52];
const NEAR_SERVICE: [u8; 4] = [10, 96, 0, 53];

/// As users get it: HTTP is read by the client's proxy, and by the server's only where something asks for it.
pub(crate) const HEDDLE_PATH: &str = "Heddle";
/// Both proxies read HTTP, as both Envoys do.
pub(crate) const READING_PATH: &str = "Heddle, HTTP read twice";
/// Errors and warnings would disturb nobody; the access log would.
pub(crate) const LOG: &str = "info,access=off";

/// The running mesh.
pub(crate) struct Mesh {
    /// The clients' node's first.
    proxies: Vec<Pid>,
    version: String,
}

impl Mesh {
    /// Starts it; it may not be ready yet.
    pub(crate) fn start(site: &mut Site, programs: &Path, cores: &Cores) -> anyhow::Result<Self> {
        let control_plane = program(programs, "heddle-control-plane")?;
        let node_proxy = program(programs, "heddle-node-proxy")?;
        let folder = Path::new(FOLDER);
        fs::create_dir_all(folder.join("mesh"))?;
        let policy = policy::authorization_policy(GUARDED);
        for (name, text) in [("mesh.yaml", MESH), ("policy.yaml", &policy)] {
            fs::write(folder.join("mesh").join(name), text)?;
            site.shown.file(&format!("heddle-{name}"), text);
        }
        write_tokens(folder)?;
        site.start("control-plane", control_plane_command(&control_plane))?;
        wait_for_control_plane().with_context(|| site.last_words())?;
        let mut proxies = Vec::new();
        for node in [CLIENTS_NODE, SERVERS_NODE] {
            let mut command = site.on_node(node, &node_proxy, cores);
            proxy_arguments(&mut command, node);
            proxies.push(site.start(node, command)?);
        }
        Ok(Self {
            proxies,
            version: version(&node_proxy)?,
        })
    }

    /// To the Services whose server's proxy passes bytes on or asks a policy, to the one whose server's proxy reads HTTP for no other reason, and
    /// to the one on the clients' own node.
    pub(crate) fn paths(&self, site: &Site) -> anyhow::Result<[MeasuredPath; 3]> {
        let plain = MeasuredPath {
            name: HEDDLE_PATH,
            version: self.version.clone(),
            client: Some(site.netns(HEDDLE, "client")?),
            doors: [
                (Door::MeshHttp, SocketAddr::from((SERVICE, 80))),
                (Door::MeshBytes, SocketAddr::from((SERVICE, server::BYTES))),
                (Door::MeshPolicy, SocketAddr::from((GUARDED_SERVICE, 80))),
            ]
            .into(),
            tls: None,
            proxies: self.proxies.clone(),
            limit_of: None,
        };
        let reading = MeasuredPath {
            name: READING_PATH,
            version: String::new(),
            client: plain.client.clone(),
            doors: [(Door::MeshHttp, SocketAddr::from((READING_SERVICE, 80)))].into(),
            tls: None,
            proxies: self.proxies.clone(),
            limit_of: None,
        };
        let near = MeasuredPath {
            name: HEDDLE_PATH,
            version: String::new(),
            client: plain.client.clone(),
            doors: [(Door::SameNode, SocketAddr::from((NEAR_SERVICE, 80)))].into(),
            tls: None,
            proxies: self.proxies[..1].to_vec(),
            limit_of: None,
        };
        Ok([plain, reading, near])
    }
}

/// What a program of ours says that it is.
pub(crate) fn version(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| program.display().to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub(crate) fn program(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    if !path.is_file() {
        bail!(
            "{} is not there; scripts/bench.sh builds it",
            path.display()
        );
    }
    Ok(path)
}

/// A token for each node, as an installer would hand out.
fn write_tokens(folder: &Path) -> anyhow::Result<()> {
    let mut all = String::from("tokens:\n");
    for node in [CLIENTS_NODE, SERVERS_NODE] {
        let mut random = [0; 16];
        File::open("/dev/urandom")?
            .read_exact(&mut random)
            .context("/dev/urandom")?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(folder.join(format!("{node}.token")), &token)?;
        all += &format!("  - {{node: {node}, token: {token}}}\n");
    }
    Ok(fs::write(folder.join("tokens.yaml"), all)?)
}

fn control_plane_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--manifests", &format!("{FOLDER}/mesh")])
        .args(["--ca-dir", &format!("{FOLDER}/ca")])
        .args(["--bootstrap-tokens", &format!("{FOLDER}/tokens.yaml")])
        .args(["--server-name", &format!("localhost,{FABRIC_ADDRESS}")])
        // What arrives in plain text is refused: an answer is a proof that both proxies carried it.
        .args(["--mtls", "strict"]);
    command
}

/// It listens once its authority and its first snapshot are there; a proxy reads the authority's root when it starts.
fn wait_for_control_plane() -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, 15012)) {
            Ok(_) => return Ok(()),
            Err(error) if begin.elapsed() > Duration::from_secs(20) => {
                return Err(error).context("the control plane does not listen");
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn proxy_arguments(command: &mut Command, node: &str) {
    let control_plane = format!("https://{FABRIC_ADDRESS}:15012");
    command
        .args(["--node", node])
        .args(["--control-plane", &control_plane])
        .args(["--control-plane-roots", &format!("{FOLDER}/ca/root-1.crt")])
        .args(["--token-file", &format!("{FOLDER}/{node}.token")])
        .args(["--last-good", &format!("{FOLDER}/{node}.last-good")])
        .args(["--workers", "1"])
        .args(["--log", LOG]);
}
