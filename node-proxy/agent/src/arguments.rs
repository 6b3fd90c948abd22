//! The command line.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use heddle_identity::{InvalidSpiffeId, SpiffeId, TrustDomain};
use heddle_proto::{
    envoy::config::core::v3::{Node, node::UserAgentVersionType},
    google::protobuf::{Struct, Value, value::Kind},
    names::{ROLE, ROLE_NODE},
};

/// Heddle's node proxy.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "heddle-node-proxy", version)]
pub(crate) struct Arguments {
    /// Name of the node, as Kubernetes has it.
    #[arg(long, env = "NODE_NAME")]
    pub(crate) node: String,
    /// The control plane: `https://host:15012`.
    #[arg(long)]
    pub(crate) control_plane: String,
    /// The variant of xDS to speak. Heddle's control plane needs delta; others may speak one only.
    #[arg(long, value_enum, default_value_t = XdsProtocol::Delta)]
    pub(crate) xds_protocol: XdsProtocol,
    /// A name in the control plane's certificate.
    #[arg(long, default_value = "localhost")]
    pub(crate) control_plane_name: String,
    /// File with the roots that the control plane's certificate must chain to, PEM; read anew for each connection.
    #[arg(long)]
    pub(crate) control_plane_roots: PathBuf,
    /// File with the token that proves the node; read anew for each use.
    #[arg(long)]
    pub(crate) token_file: PathBuf,
    /// Folder of the pods' network namespaces, one file each: `<namespace>_<pod>`.
    #[arg(long, default_value = "/run/netns")]
    pub(crate) netns_dir: PathBuf,
    /// Where the CNI plugin asks; what it told is kept beside, as `.json`. Without: no plugin.
    #[arg(long)]
    pub(crate) cni_socket: Option<PathBuf>,
    /// Where a node proxy that is being replaced hands its listening sockets to the next; by default `handover.sock` beside --cni-socket.
    #[arg(long)]
    pub(crate) handover_socket: Option<PathBuf>,
    /// Keep the CNI plugin in this folder of network configurations; without: whoever else puts it there. Needs --cni-socket.
    #[arg(long, requires = "cni_socket")]
    pub(crate) cni_conf_dir: Option<PathBuf>,
    /// The folder of CNI plugins.
    #[arg(long, default_value = "/opt/cni/bin")]
    pub(crate) cni_bin_dir: PathBuf,
    /// The plugin's binary, which is copied there.
    #[arg(long, default_value = "/heddle-cni")]
    pub(crate) cni_binary: PathBuf,
    /// How long a new pod may wait for its capture, in seconds.
    #[arg(long, default_value_t = 20)]
    pub(crate) cni_time_limit: u64,
    /// What becomes of a new pod while no node proxy can be reached.
    #[arg(long, value_enum, default_value_t = WhenUnreachable::Fail)]
    pub(crate) cni_when_unreachable: WhenUnreachable,
    /// Namespaces whose pods start in any case while nothing is known of them; by default kube-system and --namespace.
    #[arg(long, value_delimiter = ',')]
    pub(crate) cni_critical: Option<Vec<String>>,
    /// Tell the API server whether pods are enrolled, and ask it at the end whether the mesh is being taken away.
    #[arg(long)]
    pub(crate) kubernetes: bool,
    /// The namespace that Heddle is installed in; the proxy's own identity is in it.
    #[arg(long, env = "POD_NAMESPACE", default_value = "heddle-system")]
    pub(crate) namespace: String,
    /// With --kubernetes: the DaemonSet that this proxy belongs to.
    #[arg(long, default_value = "heddle-node-proxy")]
    pub(crate) daemonset: String,
    /// The node's `/proc`, where the namespaces of pods that no plugin told of are found.
    #[arg(long, default_value = "/proc")]
    pub(crate) proc_dir: PathBuf,
    /// Where the last good configuration is kept.
    #[arg(long, default_value = "/var/lib/heddle/last-good")]
    pub(crate) last_good: PathBuf,
    /// The node's own addresses, beside those that the control plane tells.
    #[arg(long, value_delimiter = ',')]
    pub(crate) node_address: Vec<IpAddr>,
    /// The cluster's resolvers, for names that are not the mesh's.
    #[arg(long, value_delimiter = ',', default_value = "10.96.0.10:53")]
    pub(crate) resolvers: Vec<SocketAddr>,
    /// The root of trust of all identities.
    #[arg(long, default_value = "cluster.local")]
    pub(crate) trust_domain: TrustDomain,
    /// DNS suffix of Services.
    #[arg(long, default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
    /// Threads that carry traffic; 0: one for each core.
    #[arg(long, default_value_t = 0)]
    pub(crate) workers: usize,
    /// Metrics, health and state, plain HTTP.
    #[arg(long, default_value = "0.0.0.0:15020")]
    pub(crate) metrics_listen: SocketAddr,
    /// Health and state on a unix socket too: while two proxies of a node overlap, this one tells of this one.
    #[arg(long)]
    pub(crate) admin_socket: Option<PathBuf>,
    /// Seconds that open connections get after a signal to end.
    #[arg(long, default_value_t = 20)]
    pub(crate) drain_seconds: u64,
    /// What to log, as in `info,access=off`.
    #[arg(long, env = "HEDDLE_LOG", default_value = "info")]
    pub(crate) log: String,
}

/// What becomes of a new pod while no node proxy can be reached.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum WhenUnreachable {
    /// The kubelet tries again.
    Fail,
    /// It starts, and is captured when a node proxy is there.
    Pass,
    /// It starts if its namespace was outside of the mesh when that was last known.
    Known,
}

/// The variants of xDS, on an aggregated stream.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum XdsProtocol {
    /// What changed is told.
    Delta,
    /// All Listeners, all Clusters; of other types what was asked for.
    StateOfTheWorld,
}

impl From<XdsProtocol> for heddle_xds_client::Variant {
    fn from(protocol: XdsProtocol) -> Self {
        match protocol {
            XdsProtocol::Delta => Self::Delta,
            XdsProtocol::StateOfTheWorld => Self::StateOfTheWorld,
        }
    }
}

impl Arguments {
    /// The proxy's own identity, for Gateways.
    pub(crate) fn identity(&self) -> Result<SpiffeId, InvalidSpiffeId> {
        let trust_domain = &self.trust_domain;
        let namespace = &self.namespace;
        format!("spiffe://{trust_domain}/ns/{namespace}/sa/heddle-node-proxy").parse()
    }

    /// The namespaces that a node, or the mesh itself, needs.
    pub(crate) fn critical(&self) -> Vec<String> {
        let named = self.cni_critical.clone();
        named.unwrap_or_else(|| vec!["kube-system".to_owned(), self.namespace.clone()])
    }

    /// What the control plane is told of us.
    pub(crate) fn node(&self) -> Node {
        let role = Value {
            kind: Some(Kind::StringValue(ROLE_NODE.to_owned())),
        };
        Node {
            id: self.node.clone(),
            metadata: Some(Struct {
                fields: [(ROLE.to_owned(), role)].into(),
            }),
            user_agent_name: "heddle-node-proxy".to_owned(),
            user_agent_version_type: Some(UserAgentVersionType::UserAgentVersion(
                env!("CARGO_PKG_VERSION").to_owned(),
            )),
            ..Node::default()
        }
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}
