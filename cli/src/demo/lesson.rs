//! What stands in the folder, as far as the demo has to know: nodes, pods and what runs in them, weights.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, sync::Arc};

use anyhow::{Context, bail};
use heddle_resources::{Cluster, HTTPRoute, Service};
use heddle_testbed::{Node, Pod};

/// Which of the sample applications stands in for a pod's image, with its arguments.
const APP: &str = "demo.heddle.dev/app";

/// The nodes and pods to make.
#[derive(Debug)]
pub(super) struct Lesson {
    pub(super) nodes: Vec<Node>,
    pub(super) pods: Vec<Runs>,
}

/// A pod, and what runs in it.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    pub(super) pod: Pod,
    pub(super) app: Vec<String>,
}

impl Lesson {
    /// Reads the folder. What the control plane would complain about is left to it.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let (cluster, _) = heddle_sources::files::read(folder)?;
        let nodes: Vec<_> = cluster
            .nodes
            .values()
            .map(|node| read_node(node))
            .collect::<Result<_, _>>()?;
        let pods = cluster
            .pods
            .values()
            .map(|pod| read_pod(pod))
            .collect::<Result<_, _>>()?;
        if nodes.is_empty() {
            bail!("{}: no Node in it, so nothing to run on", folder.display());
        }
        Ok(Self { nodes, pods })
    }
}

fn read_node(node: &heddle_resources::Node) -> anyhow::Result<Node> {
    let name = node.metadata.name.clone().unwrap_or_default();
    let range = node.spec.as_ref().and_then(|spec| spec.pod_cidr.as_deref());
    let addresses = node
        .status
        .as_ref()
        .and_then(|status| status.addresses.as_deref());
    let address = addresses
        .unwrap_or_default()
        .iter()
        .find(|address| address.type_ == "InternalIP");
    let context = || format!("Node {name}: the demo needs spec.podCIDR and an InternalIP");
    Ok(Node {
        address: address
            .with_context(context)?
            .address
            .parse()
            .with_context(context)?,
        pods: range.with_context(context)?.parse().with_context(context)?,
        name,
    })
}

fn read_pod(pod: &heddle_resources::Pod) -> anyhow::Result<Runs> {
    let (metadata, spec) = (&pod.metadata, pod.spec.as_ref());
    let name = metadata.name.clone().unwrap_or_default();
    let namespace = metadata
        .namespace
        .clone()
        .unwrap_or_else(|| "default".into());
    let context =
        || format!("Pod {namespace}/{name}: the demo needs spec.nodeName and status.podIP");
    let node = spec.and_then(|spec| spec.node_name.clone());
    let address = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ip.as_deref());
    let address: Ipv4Addr = address
        .with_context(context)?
        .parse()
        .with_context(context)?;
    let annotations = metadata.annotations.as_ref();
    let app = annotations.and_then(|annotations| annotations.get(APP));
    Ok(Runs {
        pod: Pod {
            node: node.with_context(context)?,
            namespace,
            name,
            address,
        },
        app: app
            .map_or("idle", String::as_str)
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    })
}

/// What a route's rule wants: each backend Service with its share, and the pods behind it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) service: String,
    /// 0 to 1.
    pub(super) share: f64,
    pub(super) pods: Vec<String>,
    /// SPIFFE id of the pods.
    pub(super) identity: String,
}

/// The last rule of an HTTPRoute, which in the lesson is the one that matches the path alone.
pub(super) fn wanted(folder: &Path, namespace: &str, route: &str) -> anyhow::Result<Vec<Wanted>> {
    let (cluster, _) = heddle_sources::files::read(folder)?;
    let key = (namespace.into(), route.into());
    let route = cluster
        .http_routes
        .get(&key)
        .with_context(|| format!("no HTTPRoute {namespace}/{route} in {}", folder.display()))?;
    let weights = weights(route);
    let total: i32 = weights.values().sum();
    Ok(weights
        .into_iter()
        .map(|(service, weight)| {
            let pods = pods_behind(&cluster, namespace, &service);
            let account = pods
                .first()
                .and_then(|pod| service_account(pod))
                .unwrap_or("default");
            Wanted {
                share: f64::from(weight) / f64::from(total.max(1)),
                identity: format!("spiffe://cluster.local/ns/{namespace}/sa/{account}"),
                pods: pods
                    .iter()
                    .filter_map(|pod| pod.metadata.name.clone())
                    .collect(),
                service,
            }
        })
        .collect())
}

fn service_account(pod: &heddle_resources::Pod) -> Option<&str> {
    pod.spec.as_ref()?.service_account_name.as_deref()
}

fn weights(route: &HTTPRoute) -> BTreeMap<String, i32> {
    let rule = route.spec.rules.iter().flatten().last();
    let backends = rule.and_then(|rule| rule.backend_refs.as_ref());
    backends
        .into_iter()
        .flatten()
        .map(|backend| (backend.name.clone(), backend.weight.unwrap_or(1)))
        .collect()
}

fn pods_behind(
    cluster: &Cluster,
    namespace: &str,
    service: &str,
) -> Vec<Arc<heddle_resources::Pod>> {
    let service = cluster.services.get(&(namespace.into(), service.into()));
    let Some(selector) = service.and_then(|service| selector(service)) else {
        return Vec::new();
    };
    let chosen = cluster.pods.iter().filter(|((home, _), pod)| {
        let labels = pod.metadata.labels.as_ref();
        let has = |(key, value): (&String, &String)| {
            labels.and_then(|labels| labels.get(key)) == Some(value)
        };
        **home == *namespace && selector.iter().all(has)
    });
    chosen.map(|(_, pod)| Arc::clone(pod)).collect()
}

fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    service.spec.as_ref()?.selector.as_ref()
}
