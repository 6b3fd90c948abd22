//! The node proxy, and its control plane in this process.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, process::Command, sync::Arc};

use anyhow::Context;
use heddle_interop_xds::heddle::{TokenIsNode, serve};
use heddle_proto::{Message, Name};
use heddle_snapshot::{Resource, Scope, Snapshot};
use heddle_xds_server::{Server, Settings};
use tokio::{runtime::Runtime, sync::watch};

use super::{Ports, resources};
use crate::{
    cases::Door,
    heddle::{HEDDLE_PATH, LOG, program},
    machine::Cores,
    paths::MeasuredPath,
    site::Site,
};

type OfType = (&'static str, Arc<BTreeMap<Arc<str>, Arc<Resource>>>);

/// Serves node proxies what they are to be. Nothing changes until it is dropped.
pub(super) struct ControlPlane {
    runtime: Runtime,
}

impl ControlPlane {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build()?;
        Ok(Self { runtime })
    }

    /// Serves these listeners and their clusters, and tells where.
    fn serve(&self, ports: Ports, doors: &[Door]) -> anyhow::Result<SocketAddr> {
        let listeners = resources::listeners(ports, doors);
        let snapshot = Snapshot {
            types: BTreeMap::from([
                of_type(&listeners, |listener| &listener.name),
                of_type(&resources::clusters(), |cluster| &cluster.name),
            ]),
            ..Snapshot::default()
        };
        let (sender, newest) = watch::channel(Arc::new(snapshot));
        // The server ends with its last sender.
        std::mem::forget(sender);
        let server = Server::new(newest, TokenIsNode, Settings::default());
        self.runtime.block_on(serve(server))
    }
}

fn of_type<M: Message + Name>(all: &[M], name: impl Fn(&M) -> &String) -> OfType {
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

/// Starts a node proxy with these doors.
pub(super) fn start(
    site: &mut Site,
    programs: &Path,
    cores: &Cores,
    control_plane: &ControlPlane,
    folder: &Path,
    doors: &[Door],
) -> anyhow::Result<MeasuredPath> {
    let ports = Ports::HEDDLE;
    let address = control_plane.serve(ports, doors)?;
    let folder = folder.join("heddle");
    fs::create_dir_all(folder.join("netns"))?;
    for (name, text) in [("token", "node-a"), ("roots.pem", "")] {
        fs::write(folder.join(name), text)?;
    }
    let node_proxy = program(programs, "heddle-node-proxy")?;
    let version = Command::new(&node_proxy).arg("--version").output();
    let version = version.with_context(|| node_proxy.display().to_string())?;
    let mut command = Site::here(&node_proxy, cores);
    command
        .args(["--node", "node-a", "--workers", "1", "--drain-seconds", "1"])
        .args(["--control-plane", &format!("http://{address}")])
        .args(["--metrics-listen", "127.0.0.1:0"])
        .args(["--log", LOG]);
    for (option, name) in [
        ("--control-plane-roots", "roots.pem"),
        ("--token-file", "token"),
        ("--netns-dir", "netns"),
        ("--last-good", "last-good"),
    ] {
        command.arg(option).arg(folder.join(name));
    }
    Ok(MeasuredPath {
        name: HEDDLE_PATH,
        version: String::from_utf8_lossy(&version.stdout).trim().to_owned(),
        client: None,
        doors: ports.doors(doors),
        proxies: vec![site.start("single-heddle", command)?],
    })
}
