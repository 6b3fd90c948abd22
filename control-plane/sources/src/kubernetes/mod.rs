//! The Kubernetes API server as a source: one watch for each kind.
//!
//! A kind is listed by a streaming list where the server has them and by pages where not, then watched with bookmarks; a watch that ends is
//! resumed, one that is too old starts again, and errors are retried with growing pauses, for ever. While a kind cannot be watched, its
//! last known objects stay in effect.
//!
//! The first update comes when every kind has been listed once: nothing is decided on half the policies. The exception are kinds
//! that the server does not know (the CRDs of the Gateway API and our own may be installed later): they count as empty, and are looked for
//! again every few seconds.
//!
//! The server validates what it stores. An object that cannot be read all the same (a field of a newer version with another type) is a
//! problem, and its last good version stays. Managed fields are thrown away.

mod collector;
mod crds;
mod failure;
mod follow;
mod pause;

use std::collections::BTreeSet;

use heddle_resources::{
    AuthorizationPolicy, ConfigMap, EndpointSlice, GRPCRoute, Gateway, GatewayClass, HTTPRoute,
    Kind, Namespace, NetworkPolicy, Node, Pod, ReferenceGrant, Secret, Service, ServiceAccount,
};
use kube::Client;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinSet,
};

use crate::{Updates, updates::Publisher};
use collector::Collector;
use follow::{Report, follow};

/// A client of the API server that the environment names: the pod's service account, or KUBECONFIG.
///
/// # Errors
/// Nothing is named, or what is named cannot be used.
pub async fn connect() -> Result<Client, kube::Error> {
    Client::try_default().await
}

/// How many reports may lie before the collector: a longer list waits for it.
const BACKLOG: usize = 1024;

/// Watches all kinds. Must be called inside a tokio runtime.
pub fn watch(client: Client) -> Updates {
    watch_kinds(client, Kind::ALL.iter().copied().collect())
}

/// Watches some kinds; the others are as if the cluster had none.
fn watch_kinds(client: Client, kinds: BTreeSet<Kind>) -> Updates {
    Updates::start(|publisher| async move {
        let (sender, reports) = channel(BACKLOG);
        // Held here: when this source is dropped, so are its watches.
        let mut watches = JoinSet::new();
        for kind in &kinds {
            spawn(*kind, &client, &sender, &mut watches);
        }
        if kinds.contains(&Kind::GatewayClass) {
            watches.spawn(crds::follow(client.clone(), sender.clone()));
        }
        drop(sender);
        collect(Collector::new(kinds), reports, &publisher).await;
    })
}

fn spawn(kind: Kind, client: &Client, sender: &Sender<Report>, watches: &mut JoinSet<()>) {
    let (client, sender) = (client.clone(), sender.clone());
    match kind {
        Kind::Namespace => watches.spawn(follow::<Namespace>(kind, client, sender)),
        Kind::Node => watches.spawn(follow::<Node>(kind, client, sender)),
        Kind::Pod => watches.spawn(follow::<Pod>(kind, client, sender)),
        Kind::ServiceAccount => watches.spawn(follow::<ServiceAccount>(kind, client, sender)),
        Kind::Service => watches.spawn(follow::<Service>(kind, client, sender)),
        Kind::EndpointSlice => watches.spawn(follow::<EndpointSlice>(kind, client, sender)),
        Kind::HTTPRoute => watches.spawn(follow::<HTTPRoute>(kind, client, sender)),
        Kind::GRPCRoute => watches.spawn(follow::<GRPCRoute>(kind, client, sender)),
        Kind::ReferenceGrant => watches.spawn(follow::<ReferenceGrant>(kind, client, sender)),
        Kind::GatewayClass => watches.spawn(follow::<GatewayClass>(kind, client, sender)),
        Kind::Gateway => watches.spawn(follow::<Gateway>(kind, client, sender)),
        Kind::NetworkPolicy => watches.spawn(follow::<NetworkPolicy>(kind, client, sender)),
        Kind::Secret => watches.spawn(follow::<Secret>(kind, client, sender)),
        Kind::ConfigMap => watches.spawn(follow::<ConfigMap>(kind, client, sender)),
        Kind::AuthorizationPolicy => {
            watches.spawn(follow::<AuthorizationPolicy>(kind, client, sender))
        }
    };
}

/// Takes all reports that have come together, publishes once, and so on.
async fn collect(mut collector: Collector, mut reports: Receiver<Report>, publisher: &Publisher) {
    let mut taken = Vec::new();
    while reports.recv_many(&mut taken, BACKLOG).await > 0 {
        for report in taken.drain(..) {
            collector.take(report);
        }
        publisher.hindered(collector.obstacles());
        if let Some(update) = collector.update() {
            publisher.publish(update);
        }
    }
}

#[cfg(test)]
mod tests;
