//! `heddle uninstall-nodes`: deletes the DaemonSet of the node proxies in the foreground, so that each of its pods still finds it being deleted
//! and gives the networking of its node's pods back.

use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::{Api, Client, api::DeleteParams};
use tokio::time::{Instant, sleep};

/// What to take away.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The namespace that Heddle is installed in.
    #[arg(long, default_value = "heddle-system")]
    namespace: String,
    /// The DaemonSet of the node proxies.
    #[arg(long, default_value = "heddle-node-proxy")]
    daemonset: String,
    /// How long to wait for its pods to end.
    #[arg(long, default_value_t = 120)]
    timeout_seconds: u64,
}

const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // Several crates of the build know more than one provider; this one counts.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let Arguments {
        namespace,
        daemonset,
        timeout_seconds,
    } = arguments;
    let client = Client::try_default().await.context("no API server")?;
    let api: Api<DaemonSet> = Api::namespaced(client, &namespace);
    match api.delete(&daemonset, &DeleteParams::foreground()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            println!("{namespace}/{daemonset} is gone already");
            return Ok(());
        }
        deleted => drop(deleted.with_context(|| format!("deleting {namespace}/{daemonset}"))?),
    }
    println!("waiting for the node proxies to give pods' networking back");
    let deadline = Instant::now() + Duration::from_secs(timeout_seconds);
    while let Some(left) = api.get_opt(&daemonset).await? {
        if Instant::now() > deadline {
            let pods = left
                .status
                .map_or(0, |status| status.current_number_scheduled);
            bail!(
                "{pods} node proxies still run after {timeout_seconds} s: kubectl -n {namespace} get pods -o wide shows where"
            );
        }
        sleep(LOOK).await;
    }
    println!("all node proxies have ended");
    Ok(())
}
