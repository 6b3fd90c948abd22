//! What the control plane does on Kubernetes beside reading: one replica leads, writes statuses and keeps the certificate authority's
//! Secret; node proxies and workloads are known by their service accounts' tokens.

mod authority;
mod bundle;
mod cache;
mod claims;
mod reviews;

use std::sync::Arc;

use heddle_resolve::CONTROLLER_NAME;
use heddle_status::{
    Facts, Writer,
    lease::{self, Campaign, Settings},
};
use kube::{Api, Client};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{arguments::Arguments, concerns::Concerns};
use bundle::Target;

pub(crate) use authority::Authority;
pub(crate) use reviews::Reviews;

/// This replica's part in the cluster.
pub(crate) struct Replica {
    pub(crate) client: Client,
    name: String,
    campaign: Campaign,
    concerns: Concerns,
}

impl Replica {
    /// Connects to the API server and begins to run for the lead.
    pub(crate) async fn join(
        arguments: &Arguments,
        concerns: Concerns,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        let client = heddle_sources::kubernetes::connect().await?;
        Ok(Self::with(client, arguments, concerns, shutdown))
    }

    fn with(
        client: Client,
        arguments: &Arguments,
        concerns: Concerns,
        shutdown: CancellationToken,
    ) -> Self {
        let random = || format!("heddle-control-plane-{:08x}", rand::random::<u32>());
        let name = arguments.pod_name.clone().unwrap_or_else(random);
        // A pod that is started again must not take its predecessor's writes for its own.
        let identity = format!("{name}_{:08x}", rand::random::<u32>());
        let campaign = lease::campaign(
            client.clone(),
            arguments.namespace.as_str(),
            &arguments.lease,
            Settings::new(identity),
            shutdown,
        );
        Self {
            client,
            name,
            campaign,
            concerns,
        }
    }

    /// Whether this replica leads.
    pub(crate) fn leading(&self) -> watch::Receiver<bool> {
        self.campaign.leading.clone()
    }

    /// Begins to write statuses, while this replica leads.
    pub(crate) fn write_statuses(&self, facts: watch::Receiver<Option<Facts>>) -> JoinHandle<()> {
        let writer = Writer::new(self.client.clone(), CONTROLLER_NAME, &self.name);
        tokio::spawn(heddle_status::run(writer, facts, self.leading()))
    }

    /// The certificate authority's Secret, copied to the folder that the arguments name; waits until there is one.
    pub(crate) async fn authority(&self, arguments: &Arguments) -> anyhow::Result<Authority> {
        let concern = self.concerns.of("certificate authority");
        let authority = Authority::new(self.client.clone(), self.leading(), arguments, concern);
        authority.obtain().await
    }

    /// Begins to publish the trusted roots, while this replica leads.
    pub(crate) fn publish_roots(&self, arguments: &Arguments, bundle: &watch::Receiver<Arc<str>>) {
        let config_map = Target::ConfigMap {
            api: Api::namespaced(self.client.clone(), arguments.namespace.as_str()),
            name: arguments.trust_bundle.clone(),
        };
        let mut targets = vec![("ConfigMap", config_map)];
        if !arguments.no_cluster_trust_bundle {
            let target = Target::ClusterTrustBundle(self.client.clone());
            targets.push(("ClusterTrustBundle", target));
        }
        for (part, target) in targets {
            let concern = self.concerns.of(part);
            let publish = bundle::publish(target, bundle.clone(), self.leading(), concern);
            tokio::spawn(publish);
        }
    }

    /// Node proxies, and workloads that speak for themselves, by their pods' tokens.
    pub(crate) fn reviews(&self, arguments: &Arguments) -> Reviews {
        let node_proxy = arguments.node_proxy_identity();
        Reviews::new(self.client.clone(), &arguments.token_audience, &node_proxy)
    }

    /// Waits until the lease is released, after a shutdown.
    pub(crate) async fn leave(self) {
        let _ = self.campaign.ended.await;
    }
}

#[cfg(test)]
mod tests;
