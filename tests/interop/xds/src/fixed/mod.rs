//! Listeners and clusters that never change, for a node proxy and for an Envoy: what compares the two gives both the very same messages.
//!
//! A node proxy gets them from a control plane in this process, an Envoy from its bootstrap file. Starting the programs is the caller's.

pub mod messages;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use heddle_proto::{
    Message, Name,
    envoy::{
        config::{cluster::v3::Cluster, listener::v3::Listener},
        extensions::transport_sockets::tls::v3::Secret,
    },
};
use heddle_snapshot::{Resource, Scope, Snapshot};
use heddle_xds_server::{Server, Settings};
use tokio::sync::watch;

use crate::heddle::{TokenIsNode, serve};

/// The node that a node proxy with these arguments is.
const NODE: &str = "node-a";

/// What a proxy is to be.
#[derive(Clone, Debug, Default)]
pub struct Fixed {
    /// Its listeners, bound on the node.
    pub listeners: Vec<Listener>,
    /// Where they lead.
    pub clusters: Vec<Cluster>,
    /// What listeners and clusters name by SDS: a node proxy's from the same stream (`ads`), an Envoy's without any source, because its bootstrap
    /// has them.
    pub secrets: Vec<Secret>,
}

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
    #[prost(message, repeated, tag = "3")]
    secrets: Vec<Secret>,
}

impl Fixed {
    /// Writes a bootstrap file, and gives the arguments of an Envoy with one worker that reads it.
    pub fn envoy(self, file: &Path) -> io::Result<Vec<OsString>> {
        let bootstrap = Bootstrap {
            static_resources: Some(StaticResources {
                listeners: self.listeners,
                clusters: self.clusters,
                secrets: self.secrets,
            }),
        };
        fs::write(file, bootstrap.encode_to_vec())?;
        let rest = ["--concurrency", "1", "--disable-hot-restart"];
        let log = ["--log-level", "error"];
        let file = ["-c".into(), file.into()];
        Ok(file
            .into_iter()
            .chain(rest.into_iter().chain(log).map(OsString::from))
            .collect())
    }

    /// Serves it on loopback until the runtime ends, and gives the arguments of a node proxy with one worker that gets it from there. Its
    /// files lie in `folder`, which is made. What it logs, and where its metrics are, is the caller's to say.
    pub async fn node_proxy(&self, folder: &Path) -> anyhow::Result<Vec<OsString>> {
        let (sender, newest) = watch::channel(Arc::new(self.snapshot()));
        // The server ends with its last sender.
        std::mem::forget(sender);
        let address = serve(Server::new(newest, TokenIsNode, Settings::default())).await?;
        fs::create_dir_all(folder.join("netns"))?;
        // The server believes everyone, in plain text.
        for (name, text) in [("token", NODE), ("roots.pem", "")] {
            fs::write(folder.join(name), text)?;
        }
        let mut arguments: Vec<OsString> =
            ["--node", NODE, "--workers", "1", "--drain-seconds", "1"]
                .map(OsString::from)
                .into();
        arguments.extend(["--control-plane".into(), format!("http://{address}").into()]);
        for (option, name) in [
            ("--control-plane-roots", "roots.pem"),
            ("--token-file", "token"),
            ("--netns-dir", "netns"),
            ("--last-good", "last-good"),
        ] {
            arguments.extend([option.into(), PathBuf::into_os_string(folder.join(name))]);
        }
        Ok(arguments)
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            types: BTreeMap::from([
                of_type(&self.listeners, |listener| &listener.name),
                of_type(&self.clusters, |cluster| &cluster.name),
                of_type(&self.secrets, |secret| &secret.name),
            ]),
            ..Snapshot::default()
        }
    }
}

type OfType = (&'static str, Arc<BTreeMap<Arc<str>, Arc<Resource>>>);

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
