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
    /// How long to wait for its pods to end: `120s`, `2m`.
    #[arg(long, default_value = "120s", value_parser = duration)]
    timeout: Duration,
}

const LOOK: Duration = Duration::from_millis(500);

/// Whole seconds or minutes.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 60),
        (None, None) => (text, 1),
    };
    let number = number.parse::<u64>().ok();
    let seconds = number.and_then(|number| number.checked_mul(unit));
    let seconds = seconds.ok_or("expected seconds or minutes, as in 120s or 2m")?;
    Ok(Duration::from_secs(seconds))
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // Several crates of the build know more than one provider; this one counts.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::try_default().await;
    let client = client.context("no API server: set KUBECONFIG, or run this in a pod")?;
    uninstall(client, &arguments).await
}

async fn uninstall(client: Client, arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments {
        namespace,
        daemonset,
        timeout,
    } = arguments;
    let api: Api<DaemonSet> = Api::namespaced(client, namespace);
    match api.delete(daemonset, &DeleteParams::foreground()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            println!("{namespace}/{daemonset} is gone already");
            return Ok(());
        }
        deleted => drop(deleted.with_context(|| format!("deleting {namespace}/{daemonset}"))?),
    }
    println!("waiting until the node proxies have given pods' networking back");
    let deadline = Instant::now() + *timeout;
    let mut told = None;
    // It is gone when the last of its pods is: that is what deletion in the foreground means.
    while let Some(left) = api.get_opt(daemonset).await? {
        let pods = left
            .status
            .map_or(0, |status| status.current_number_scheduled);
        if Instant::now() > deadline {
            bail!(
                "{pods} node proxies still run after {timeout:?}: kubectl -n {namespace} get pods -o wide shows where"
            );
        }
        if told.replace(pods) != Some(pods) {
            println!("{pods} node proxies still run");
        }
        sleep(LOOK).await;
    }
    println!("all node proxies have ended");
    Ok(())
}

#[cfg(test)]
mod tests;
