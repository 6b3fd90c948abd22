//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::ValueEnum;
use heddle_model::{MtlsMode, TrustDomain};

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
    /// Folder of the certificate authority; made if absent.
    #[arg(long, default_value = "/var/lib/heddle/ca")]
    pub(crate) ca_dir: PathBuf,
    /// File of bootstrap tokens: which token belongs to which node.
    #[arg(long)]
    pub(crate) bootstrap_tokens: PathBuf,
    /// The root of trust of all identities.
    #[arg(long, default_value = "cluster.local")]
    pub(crate) trust_domain: TrustDomain,
    /// DNS suffix of Services.
    #[arg(long, default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
    /// Whether pods take plain text where neither the pod nor its namespace says.
    #[arg(long, value_enum, default_value_t = Mtls::Permissive)]
    pub(crate) mtls: Mtls,
    /// What to log, as in `info,heddle_xds_server=debug`.
    #[arg(long, env = "HEDDLE_LOG", default_value = "info")]
    pub(crate) log: String,
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
