//! A change costs what it touches: counted in entries that are new in memory.

mod support;

use std::{collections::BTreeMap, fmt::Display, sync::Arc};

use heddle_model::Mesh;
use heddle_resolve::Resolver;
use heddle_resources::{ChangeSet, Cluster};
use support::{objects, settings};

/// Twenty Services with three pods each, slices for half of them, a policy that speaks of the pods of one of them, a route.
fn world() -> Cluster {
    let mut yaml = String::from(
        r"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {heddle.dev/mesh: enabled}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: p}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: s1}}}]}, {from: [{podSelector: {matchLabels: {app: s2}}}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: r}
spec: {parentRefs: [{group: '', kind: Service, name: s1}], rules: [{backendRefs: [{name: s2, port: 80}]}]}
",
    );
    for service in 0..20 {
        yaml.push_str(&format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{namespace: shop, name: s{service}}}\nspec: {{clusterIP: 10.96.0.{service}, selector: {{app: s{service}}}, ports: [{{port: 80}}]}}\n"
        ));
        for pod in 0..3 {
            yaml.push_str(&pod_yaml(service, pod, true));
        }
        if service % 2 == 0 {
            yaml.push_str(&slice_yaml(service, 3));
        }
    }
    support::cluster(objects(&yaml).expect("good YAML"))
}

fn pod_yaml(service: usize, pod: usize, ready: bool) -> String {
    let ready = if ready { "True" } else { "False" };
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{namespace: shop, name: s{service}-{pod}, labels: {{app: s{service}}}}}\nspec: {{containers: []}}\nstatus: {{podIP: 10.244.{service}.{pod}, conditions: [{{type: Ready, status: \"{ready}\"}}]}}\n"
    )
}

fn slice_yaml(service: usize, endpoints: usize) -> String {
    let list: Vec<String> = (0..endpoints)
        .map(|pod| format!("{{addresses: [10.244.{service}.{pod}]}}"))
        .collect();
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{namespace: shop, name: s{service}-x, labels: {{kubernetes.io/service-name: s{service}}}}}\naddressType: IPv4\nports: [{{port: 80}}]\nendpoints: [{}]\n",
        list.join(", ")
    )
}

/// Names of entries that are new in memory, or gone.
fn touched(old: &Mesh, new: &Mesh) -> Vec<String> {
    fn compare<K: Ord + Display, V>(
        what: &str,
        old: &BTreeMap<K, Arc<V>>,
        new: &BTreeMap<K, Arc<V>>,
        to: &mut Vec<String>,
    ) {
        let same = |key: &K| matches!((old.get(key), new.get(key)), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
        to.extend(
            new.keys()
                .filter(|key| !same(key))
                .map(|key| format!("{what} {key}")),
        );
        to.extend(
            old.keys()
                .filter(|key| !new.contains_key(key))
                .map(|key| format!("-{what} {key}")),
        );
    }
    let mut names = Vec::new();
    compare("service", &old.services, &new.services, &mut names);
    compare("endpoints", &old.endpoints, &new.endpoints, &mut names);
    compare("route", &old.routes, &new.routes, &mut names);
    compare("workload", &old.workloads, &new.workloads, &mut names);
    compare("policy", &old.policies, &new.policies, &mut names);
    compare("set", &old.address_sets, &new.address_sets, &mut names);
    names
}

/// What a change of some objects touches.
fn cost(yaml: &str) -> Vec<String> {
    let mut cluster = world();
    let mut resolver = Resolver::new(settings());
    let all: ChangeSet = objects_of(&cluster);
    let before = resolver.update(&Arc::new(cluster.clone()), &all).clone();
    let mut changes = ChangeSet::new();
    for object in objects(yaml).expect("good YAML") {
        changes.insert(object.id());
        cluster.insert(object);
    }
    let after = resolver.update(&Arc::new(cluster), &changes);
    touched(&before.mesh, &after.mesh)
}

fn objects_of(cluster: &Cluster) -> ChangeSet {
    use heddle_resources::{Kind, ObjectId};
    let namespaced = |kind: Kind, key: &(Arc<str>, Arc<str>)| ObjectId {
        kind,
        namespace: key.0.clone(),
        name: key.1.clone(),
    };
    let mut all = ChangeSet::new();
    all.extend(cluster.pods.keys().map(|key| namespaced(Kind::Pod, key)));
    all.extend(
        cluster
            .services
            .keys()
            .map(|key| namespaced(Kind::Service, key)),
    );
    all.extend(
        cluster
            .endpoint_slices
            .keys()
            .map(|key| namespaced(Kind::EndpointSlice, key)),
    );
    all.extend(
        cluster
            .http_routes
            .keys()
            .map(|key| namespaced(Kind::HTTPRoute, key)),
    );
    all.extend(
        cluster
            .network_policies
            .keys()
            .map(|key| namespaced(Kind::NetworkPolicy, key)),
    );
    all.extend(cluster.namespaces.keys().map(|name| ObjectId {
        kind: Kind::Namespace,
        namespace: "".into(),
        name: name.clone(),
    }));
    all
}

#[test]
fn an_endpoint_that_goes_touches_its_service_port_alone() {
    assert_eq!(cost(&slice_yaml(4, 2)), ["endpoints shop/s4:80"]);
}

#[test]
fn a_pod_that_becomes_unready_touches_its_service_port_alone() {
    assert_eq!(cost(&pod_yaml(1, 0, false)), ["endpoints shop/s1:80"]);
}

#[test]
fn a_pod_behind_slices_that_becomes_unready_touches_nothing() {
    assert_eq!(cost(&pod_yaml(2, 0, false)), [""; 0]);
}

#[test]
fn a_new_pod_touches_itself_its_service_port_and_the_sets_that_it_enters() {
    let touched = cost(&pod_yaml(1, 7, true));
    assert_eq!(
        touched,
        [
            "endpoints shop/s1:80",
            "workload shop/s1-7",
            "policy shop/s1-7",
            "set shop/{app=s1}"
        ]
    );
}

#[test]
fn objects_that_nothing_depends_on_touch_nothing() {
    assert_eq!(
        cost("apiVersion: v1\nkind: Secret\nmetadata: {namespace: shop, name: x}\n"),
        [""; 0]
    );
    assert_eq!(
        cost(
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {heddle.dev/mesh: enabled, more: labels}}\n"
        ),
        [""; 0]
    );
}

#[test]
fn a_service_whose_port_gets_a_name_touches_its_own_entry() {
    let yaml = "apiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: s3}\nspec: {clusterIP: 10.96.0.3, selector: {app: s3}, ports: [{name: http, port: 80}]}\n";
    assert_eq!(cost(yaml), ["service shop/s3"]);
}

#[test]
fn a_route_with_ten_thousand_rules_is_put_in_order() {
    let rules: Vec<String> = (0..10_000)
        .map(|n| {
            format!(
                "{{matches: [{{path: {{value: /{n}}}}}], backendRefs: [{{name: s2, port: 80}}]}}"
            )
        })
        .collect();
    let yaml = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{namespace: shop, name: large}}\nspec: {{parentRefs: [{{group: '', kind: Service, name: s3}}], rules: [{}]}}\n",
        rules.join(", ")
    );
    assert_eq!(cost(&yaml), ["route shop/s3:80"]);
}

/// A Gateway with this many routes.
fn gateway_world(routes: usize) -> Cluster {
    let mut cluster = world();
    let mut yaml = String::from(
        r"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: heddle}
spec: {controllerName: heddle.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: shop, name: web}
spec: {gatewayClassName: heddle, listeners: [{name: http, port: 80, protocol: HTTP}]}
",
    );
    for number in 0..routes {
        yaml.push_str(&gateway_route(number, &format!("s{}", number % 20)));
    }
    for object in objects(&yaml).expect("good YAML") {
        cluster.insert(object);
    }
    cluster
}

fn gateway_route(number: usize, backend: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{namespace: shop, name: r{number}}}\nspec: {{parentRefs: [{{name: web}}], hostnames: [h{}.example.com], rules: [{{matches: [{{path: {{value: /{number}}}}}], backendRefs: [{{name: {backend}, port: 80}}]}}]}}\n",
        number % 7
    )
}

/// The rules and the statuses of routes that a change of some objects makes anew: (rules, statuses).
fn cost_of_gateway(yaml: &str) -> (usize, usize) {
    let mut cluster = gateway_world(100);
    let mut all: ChangeSet = objects_of(&cluster);
    let gateway_objects = [("GatewayClass", "", "heddle"), ("Gateway", "shop", "web")];
    all.extend(
        gateway_objects.map(|(kind, namespace, name)| heddle_resources::ObjectId {
            kind: heddle_resources::Kind::of("gateway.networking.k8s.io/v1", kind).expect("a kind"),
            namespace: namespace.into(),
            name: name.into(),
        }),
    );
    let mut resolver = Resolver::new(settings());
    let before = resolver.update(&Arc::new(cluster.clone()), &all).clone();
    assert_eq!(before.statuses.http_routes.len(), 101);
    let mut changes = ChangeSet::new();
    for object in objects(yaml).expect("good YAML") {
        changes.insert(object.id());
        cluster.insert(object);
    }
    let after = resolver.update(&Arc::new(cluster), &changes);
    let rules = |mesh: &Mesh| -> std::collections::HashSet<_> {
        let hosts = mesh
            .gateways
            .values()
            .flat_map(|listener| listener.hosts.clone());
        hosts
            .flat_map(|host| host.rules)
            .map(|rule| Arc::as_ptr(&rule).addr())
            .collect()
    };
    let (old, new) = (rules(&before.mesh), rules(&after.mesh));
    assert_eq!(new.len(), 100);
    let statuses = after.statuses.http_routes.iter();
    let statuses = statuses.filter(|(key, status)| {
        let known = before.statuses.http_routes.get(*key);
        !known.is_some_and(|known| Arc::ptr_eq(known, status))
    });
    (new.difference(&old).count(), statuses.count())
}

#[test]
fn one_of_a_hundred_routes_of_a_gateway_costs_one_rule() {
    assert_eq!(cost_of_gateway(&gateway_route(42, "s1")), (1, 0));
}

#[test]
fn a_route_whose_backend_is_gone_costs_one_rule_and_one_status() {
    assert_eq!(cost_of_gateway(&gateway_route(42, "nobody")), (1, 1));
}

#[test]
fn a_service_without_the_port_costs_the_rules_and_statuses_that_refer_to_it() {
    let yaml = "apiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: s3}\nspec: {clusterIP: 10.96.0.3, selector: {app: s3}, ports: [{port: 81}]}\n";
    assert_eq!(cost_of_gateway(yaml), (5, 5));
}
