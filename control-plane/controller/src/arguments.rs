//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::ValueEnum;
use heddle_identity::{Namespace, ServiceAccount, SpiffeId};
use heddle_model::{MtlsMode, TrustDomain};
use heddle_xds_server::ConnectionLimits;

/// Heddle's control plane.
#[derive(clap::Parser, Debug)]
#[command(name = "heddle-control-plane", version)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["manifests", "kubernetes"]))]
pub(crate) struct Arguments {
    /// Folder of Kubernetes YAML to read and watch.
    #[arg(long, env = "HEDDLE_MANIFESTS")]
    pub(crate) manifests: Option<PathBuf>,
    /// Read from the Kubernetes API server that the environment names (in the cluster, or KUBECONFIG).
    #[arg(long)]
    pub(crate) kubernetes: bool,
    /// Where proxies connect: xDS and certificates, TLS.
    #[arg(long, default_value = "0.0.0.0:15012")]
    pub(crate) listen: SocketAddr,
    /// Metrics, health and debugging, plain HTTP.
    #[arg(long, default_value = "0.0.0.0:15014")]
    pub(crate) metrics_listen: SocketAddr,
    /// Host names and addresses that proxies reach it by; they stand in its certificate.
    #[arg(long, value_delimiter = ',', default_value = "localhost,127.0.0.1,::1")]
    pub(crate) server_name: Vec<String>,
    /// Folder of the certificate authority; made if absent. With --kubernetes the Secret of --ca-secret counts, and this replica's copy of it
    /// lies here in `secret`: keep it in memory.
    #[arg(long, default_value = "/var/lib/heddle/ca")]
    pub(crate) ca_dir: PathBuf,
    /// File of bootstrap tokens: which token belongs to which node. With --kubernetes it is optional, and counts beside the tokens of the
    /// node proxy's service account.
    #[arg(long, required_unless_present = "kubernetes")]
    pub(crate) bootstrap_tokens: Option<PathBuf>,
    /// The namespace that Heddle is installed in: part of its own identities; on Kubernetes the Lease, the Secret and the trust bundle lie there.
    #[arg(long, env = "POD_NAMESPACE", default_value = "heddle-system")]
    pub(crate) namespace: Namespace,
    /// With --kubernetes: this replica's name, unlike all others'; without one a random name is made.
    #[arg(long, env = "POD_NAME")]
    pub(crate) pod_name: Option<String>,
    /// With --kubernetes: the Lease whose holder writes statuses.
    #[arg(long, default_value = "heddle-control-plane")]
    pub(crate) lease: String,
    /// With --kubernetes: the Secret of the certificate authority, in the namespace of --namespace. The leader makes it if absent; one of
    /// cert-manager's layout (tls.crt, tls.key, ca.crt) is used as it is.
    #[arg(long, default_value = "heddle-ca")]
    pub(crate) ca_secret: String,
    /// With --kubernetes: the ConfigMap that the leader keeps the trusted roots in (key ca.crt), in the namespace of --namespace, where
    /// node proxies run: nobody else needs them.
    #[arg(long, default_value = "heddle-trust-bundle")]
    pub(crate) trust_bundle: String,
    /// With --kubernetes: do not keep the trusted roots in the ClusterTrustBundle heddle.dev:mesh:roots as well, where the API server has
    /// such objects. For a second mesh in one cluster.
    #[arg(long)]
    pub(crate) no_cluster_trust_bundle: bool,
    /// With --kubernetes: the audience that a projected token must be bound to, a node proxy's or a workload's.
    #[arg(long, default_value = "heddle-control-plane")]
    pub(crate) token_audience: String,
    /// The service account of node proxies, in the namespace of --namespace.
    #[arg(long, default_value = "heddle-node-proxy")]
    pub(crate) node_proxy_service_account: ServiceAccount,
    /// The service account of the control plane, in the namespace of --namespace: its name in its own certificate.
    #[arg(long, default_value = "heddle-control-plane")]
    pub(crate) service_account: ServiceAccount,
    /// The root of trust of all identities.
    #[arg(long, default_value = "cluster.local")]
    pub(crate) trust_domain: TrustDomain,
    /// DNS suffix of Services.
    #[arg(long, default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
    /// Whether pods take plain text where neither the pod nor its namespace says.
    #[arg(long, value_enum, default_value_t = Mtls::Permissive)]
    pub(crate) mtls: Mtls,
    /// Connections to --listen in total. Each takes a descriptor: at most a process's limit of open files less a few.
    #[arg(long, default_value_t = ConnectionLimits::default().total)]
    pub(crate) max_connections: usize,
    /// Connections to --listen from one address. Where a load balancer hides the addresses of proxies, all of them together.
    #[arg(long, default_value_t = ConnectionLimits::default().per_peer)]
    pub(crate) max_connections_per_peer: usize,
    /// What to log, as in `info,heddle_xds_server=debug`.
    #[arg(long, env = "HEDDLE_LOG", default_value = "info")]
    pub(crate) log: String,
}

impl Arguments {
    /// Who the control plane is.
    pub(crate) fn identity(&self) -> SpiffeId {
        self.own(&self.service_account)
    }

    /// How many connections may be open, and for how long without a stream.
    pub(crate) fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            total: self.max_connections,
            per_peer: self.max_connections_per_peer,
            ..ConnectionLimits::default()
        }
    }

    /// Who node proxies are, where they speak for themselves.
    pub(crate) fn node_proxy_identity(&self) -> SpiffeId {
        self.own(&self.node_proxy_service_account)
    }

    fn own(&self, account: &ServiceAccount) -> SpiffeId {
        SpiffeId {
            trust_domain: self.trust_domain.clone(),
            namespace: self.namespace.clone(),
            service_account: account.clone(),
        }
    }
}

/// Whether pods take plain text.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Mtls {
    /// Both.
    Permissive,
    /// Mutual TLS only.
    Strict,
}

impl From<Mtls> for MtlsMode {
    fn from(mtls: Mtls) -> Self {
        match mtls {
            Mtls::Permissive => Self::Permissive,
            Mtls::Strict => Self::Strict,
        }
    }
}
