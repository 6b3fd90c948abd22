//! From Kubernetes objects to the bytes that proxies get: resolve and translate together.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may be short about what cannot happen in them"
)]

use std::{collections::BTreeMap, sync::Arc};

use heddle_model::{MtlsMode, TrustDomain};
use heddle_resolve::{Resolver, Settings, resolve};
use heddle_resources::{ChangeSet, Cluster, Header, Object};
use heddle_snapshot::{Snapshot, Version};
use heddle_translate::{Counts, Translator, translate};
use serde_json::Value;

const ROOTS: &str = "-----BEGIN CERTIFICATE-----\nthe mesh's root\n-----END CERTIFICATE-----\n";

fn settings() -> Settings {
    Settings {
        trust_domain: TrustDomain::new("cluster.local").unwrap(),
        cluster_domain: "cluster.local".into(),
        mtls: MtlsMode::Permissive,
    }
}

fn objects(text: &str) -> Vec<Object> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let read = |document: Value| match Header::read(&document).unwrap() {
        Header::Ours(id) => Object::parse(id.kind, document).unwrap(),
        other => panic!("{other:?} is not read"),
    };
    documents.into_iter().map(read).collect()
}

fn pod(number: usize, ready: bool) -> String {
    let ready = if ready { "True" } else { "False" };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: shop, name: cart-{number}, uid: u{number}, labels: {{app: cart}}}}\n\
         spec: {{nodeName: node-a, serviceAccountName: cart, containers: [{{name: c, ports: [{{name: web, containerPort: 808{number}}}]}}]}}\n\
         status: {{phase: Running, podIP: 10.244.1.{number}, podIPs: [{{ip: 10.244.1.{number}}}], conditions: [{{type: Ready, status: \"{ready}\"}}]}}\n"
    )
}

/// Every kind of resource: a Service with pods, routes of both roles, a Gateway, policies whose named port has several numbers.
fn world() -> String {
    let rest = r#"---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {heddle.dev/mesh: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: pay, labels: {heddle.dev/mesh: enabled}}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: cart}
spec: {clusterIP: 10.96.0.1, selector: {app: cart}, ports: [{name: http, port: 80, targetPort: web}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: cart-canary}
spec: {clusterIP: 10.96.0.2, selector: {app: canary}, ports: [{name: http, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: heddle}
spec: {controllerName: heddle.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: shop, name: web}
spec: {gatewayClassName: heddle, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: canary}
spec:
  parentRefs: [{group: "", kind: Service, name: cart}, {name: web}]
  hostnames: [b.example.com, a.example.com]
  rules: [{matches: [{headers: [{name: b, value: x}, {name: a, value: x}]}, {}], backendRefs: [{name: cart, port: 80, weight: 9}, {name: cart-canary, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: pay, name: consumer}
spec:
  parentRefs: [{group: "", kind: Service, name: cart, namespace: shop}]
  rules: [{backendRefs: [{name: cart-canary, namespace: shop, port: 80}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: z}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}]}], egress: [{ports: [{port: web}, {port: 53, protocol: UDP}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: a}
spec: {podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}
"#;
    format!(
        "{}---\n{}---\n{}{rest}",
        pod(1, true),
        pod(2, true),
        pod(3, true)
    )
}

fn versions(snapshot: &Snapshot) -> BTreeMap<(&str, &str), &Version> {
    let of_all_types = snapshot.types.iter().flat_map(|(type_url, resources)| {
        let versions = resources.iter();
        versions.map(move |(name, resource)| ((*type_url, &**name), &resource.version))
    });
    of_all_types.collect()
}

#[test]
fn the_order_of_the_objects_is_no_part_of_the_bytes() {
    let cluster = |objects: Vec<Object>| {
        let mut cluster = Cluster::default();
        objects
            .into_iter()
            .for_each(|object| cluster.insert(object));
        cluster
    };
    let mut objects = objects(&world());
    let first = translate(&resolve(&cluster(objects.clone()), &settings()).mesh, ROOTS);
    assert!(versions(&first).len() > 15, "{:#?}", versions(&first));
    for turn in 0..objects.len() {
        // One by one into a living pipeline, in another order each time.
        objects.rotate_left(1);
        objects.reverse();
        let (mut resolver, mut translator) = (Resolver::new(settings()), Translator::new());
        let mut all = Cluster::default();
        let mut last = None;
        for object in &objects {
            all.insert(object.clone());
            let resolved = resolver.update(&Arc::new(all.clone()), &ChangeSet::from([object.id()]));
            last = Some(translator.update(&resolved.mesh, ROOTS).snapshot);
        }
        assert_eq!(versions(&last.unwrap()), versions(&first), "turn {turn}");
    }
}

#[test]
fn a_pod_that_becomes_unready_is_one_resource() {
    let mut cluster = Cluster::default();
    let mut ids = ChangeSet::new();
    for object in objects(&world()) {
        ids.insert(object.id());
        cluster.insert(object);
    }
    let (mut resolver, mut translator) = (Resolver::new(settings()), Translator::new());
    let resolved = resolver.update(&Arc::new(cluster.clone()), &ids);
    let before = translator.update(&resolved.mesh, ROOTS).snapshot;
    let unready = objects(&pod(2, false)).remove(0);
    let id = unready.id();
    cluster.insert(unready);
    let resolved = resolver.update(&Arc::new(cluster), &ChangeSet::from([id]));
    let update = translator.update(&resolved.mesh, ROOTS);
    let one = Counts {
        encoded: 1,
        changed: 1,
        removed: 0,
    };
    assert_eq!(update.counts, one);
    let (before, after) = (versions(&before), versions(&update.snapshot));
    let changed: Vec<&str> = after
        .iter()
        .filter(|(key, version)| before.get(*key) != Some(*version))
        .map(|((_, name), _)| *name)
        .collect();
    assert_eq!(changed, ["shop/cart:80"]);
}
