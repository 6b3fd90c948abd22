//! The way to the control planes: an address, or a tunnel of the API server's into each of their pods, where they listen on loopback.

use std::{net::SocketAddr, sync::Mutex};

use anyhow::{Context, bail};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use tonic::transport::{Channel, Endpoint};

/// Where they tell (docs/decisions/0010).
const PORT: u16 = 15014;
/// Who they are, by the labels of the chart.
const LABELS: &str = "app.kubernetes.io/name=heddle,app.kubernetes.io/component=control-plane";

/// Which control planes.
#[derive(clap::Args, Debug)]
pub(crate) struct Reach {
    /// A control plane without Kubernetes: address and port of its --metrics-listen, on this machine (or this end of `ssh -L`). Of several,
    /// all of them.
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',', conflicts_with_all = ["context", "kubeconfig"])]
    address: Vec<SocketAddr>,
    /// On Kubernetes: which context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
    /// On Kubernetes: which kubeconfig; without it KUBECONFIG, else ~/.kube/config.
    #[arg(long)]
    kubeconfig: Option<std::path::PathBuf>,
    /// On Kubernetes: the namespace that Heddle is installed in.
    #[arg(short, long, default_value = "heddle-system")]
    namespace: String,
}

/// A control plane that can be asked.
#[derive(Debug)]
pub(super) struct ControlPlane {
    /// What to call it.
    pub(super) name: String,
    pub(super) channel: Channel,
}

impl Reach {
    /// All control planes that run, at least one; and what is wrong with those that cannot be reached.
    pub(super) async fn all(&self) -> anyhow::Result<(Vec<ControlPlane>, Vec<String>)> {
        match self.address.is_empty() {
            false => self.by_address().await,
            true => self.by_kubernetes().await,
        }
    }

    async fn by_address(&self) -> anyhow::Result<(Vec<ControlPlane>, Vec<String>)> {
        let (mut reached, mut problems) = (Vec::new(), Vec::new());
        for address in &self.address {
            match direct(*address).await {
                Ok(one) => reached.push(one),
                Err(error) => problems.push(format!("{error:#}")),
            }
        }
        if reached.is_empty() {
            bail!(problems.join("\n"));
        }
        Ok((reached, problems))
    }

    async fn by_kubernetes(&self) -> anyhow::Result<(Vec<ControlPlane>, Vec<String>)> {
        let namespace = &self.namespace;
        let api: Api<Pod> = Api::namespaced(self.client().await?, namespace);
        let pods = api.list(&ListParams::default().labels(LABELS)).await;
        let pods = pods.with_context(|| format!("looking for control planes in {namespace}"))?;
        let (mut reached, mut problems) = (Vec::new(), Vec::new());
        for pod in &pods.items {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            let Some(name) = pod
                .metadata
                .name
                .as_deref()
                .filter(|_| phase == Some("Running"))
            else {
                continue;
            };
            match tunnel(&api, name).await {
                Ok(one) => reached.push(one),
                Err(error) => {
                    problems.push(format!("{namespace}/{name} cannot be asked: {error:#}"))
                }
            }
        }
        if reached.is_empty() {
            problems.push(format!(
                "no control plane runs in {namespace}: kubectl -n {namespace} get pods -l {LABELS}"
            ));
            bail!(problems.join("\n"));
        }
        Ok((reached, problems))
    }

    async fn client(&self) -> anyhow::Result<Client> {
        // Several crates of the build know more than one provider; this one counts.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path)
                    .with_context(|| format!("reading {}", path.display()))?;
                kube::Config::from_custom_kubeconfig(file, &options).await?
            }
            None if self.context.is_some() => kube::Config::from_kubeconfig(&options).await?,
            None => kube::Config::infer().await.context(
                "no cluster is known: set KUBECONFIG, or name a control plane without Kubernetes with --address 127.0.0.1:15014",
            )?,
        };
        Ok(Client::try_from(config)?)
    }
}

async fn direct(address: SocketAddr) -> anyhow::Result<ControlPlane> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.connect().await.with_context(|| {
        format!("{address} cannot be reached: does the control plane run, and is this its --metrics-listen?")
    })?;
    Ok(ControlPlane {
        name: address.to_string(),
        channel,
    })
}

/// Like `kubectl port-forward`, for one connection.
async fn tunnel(api: &Api<Pod>, name: &str) -> anyhow::Result<ControlPlane> {
    let mut forwarder = api.portforward(name, &[PORT]).await.context(
        "the API server makes no tunnel (it needs the right to create pods/portforward)",
    )?;
    let stream = forwarder.take_stream(PORT).context("no stream")?;
    // One connection is all that is asked for; it lives as long as the channel.
    let once = Mutex::new(Some((stream, forwarder)));
    let connector = tower::service_fn(move |_| {
        let taken = once.lock().ok().and_then(|mut once| once.take());
        async move {
            match taken {
                Some((stream, forwarder)) => {
                    tokio::spawn(async move { drop(forwarder.join().await) });
                    Ok(TokioIo::new(stream))
                }
                None => Err(std::io::Error::other("the tunnel has ended")),
            }
        }
    });
    let endpoint = Endpoint::from_static("http://control-plane");
    let channel = endpoint.connect_with_connector(connector).await?;
    Ok(ControlPlane {
        name: name.to_owned(),
        channel,
    })
}
