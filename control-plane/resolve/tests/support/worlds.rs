//! Random worlds: well-typed objects from small alphabets, so that they meet, with strange values among them.

use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
};
use serde_json::{Value, json};

/// What may happen to a world.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// An object appears or is replaced.
    Put(Value),
    /// The object of the same kind and name goes.
    Remove(Value),
}

/// A change of one object.
pub(crate) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => document().prop_map(Change::Put),
        1 => document().prop_map(Change::Remove),
    ]
}

/// Any object.
pub(crate) fn document() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => pod(),
        3 => service(),
        3 => slice(),
        2 => node(),
        2 => namespace(),
        4 => network_policy(),
        2 => authorization(),
        4 => route("HTTPRoute"),
        2 => route("GRPCRoute"),
        2 => gateway(),
        1 => class(),
        1 => grant(),
    ]
}

/// Mostly one of these, sometimes something strange.
fn word(usual: &'static [&'static str]) -> BoxedStrategy<String> {
    const STRANGE: &[&str] = &[
        "",
        "*",
        "/",
        "é",
        "A",
        "-",
        "a b",
        "\u{0}",
        "::",
        "0.0.0.0/0",
        "99999h",
        "(",
        "*.",
        ".",
        "a..b",
        "None",
    ];
    prop_oneof![
        40 => select(usual).prop_map(str::to_owned),
        1 => select(STRANGE).prop_map(str::to_owned),
        1 => Just("x".repeat(300)),
    ]
    .boxed()
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![8 => select(&[53_i64, 80, 81, 8080][..]), 1 => select(&[0_i64, -1, 65535, 65536, 2147483647, -2147483648][..])]
}

fn namespace_name() -> BoxedStrategy<String> {
    word(&["shop", "pay"])
}

fn name() -> BoxedStrategy<String> {
    word(&["a", "b"])
}

fn labels() -> BoxedStrategy<Value> {
    let mesh = btree_map(
        word(&["heddle.dev/mesh"]),
        word(&["enabled", "disabled"]),
        0..2,
    );
    let app = btree_map(word(&["app", "tier"]), word(&["web", "db"]), 0..3);
    (mesh, app)
        .prop_map(|(mesh, app)| {
            json!(
                mesh.into_iter()
                    .chain(app)
                    .collect::<std::collections::BTreeMap<_, _>>()
            )
        })
        .boxed()
}

fn time() -> BoxedStrategy<Value> {
    prop_oneof![
        2 => Just(Value::Null),
        1 => select(&["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"][..]).prop_map(Value::from),
    ]
    .boxed()
}

fn metadata() -> BoxedStrategy<Value> {
    (namespace_name(), name(), labels(), time(), any::<bool>())
        .prop_map(|(namespace, name, labels, created, terminating)| {
            let deleted = if terminating { json!("2026-02-01T00:00:00Z") } else { Value::Null };
            json!({"namespace": namespace, "name": name, "labels": labels, "creationTimestamp": created, "deletionTimestamp": deleted})
        })
        .boxed()
}

fn selector() -> BoxedStrategy<Value> {
    let operator = word(&["In", "NotIn", "Exists", "DoesNotExist"]);
    let expression = (
        word(&["app", "tier"]),
        operator,
        vec(word(&["web", "db"]), 0..2),
    )
        .prop_map(
            |(key, operator, values)| json!({"key": key, "operator": operator, "values": values}),
        );
    let matched = btree_map(word(&["app"]), word(&["web", "db"]), 0..2);
    (matched, vec(expression, 0..2))
        .prop_map(
            |(labels, expressions)| json!({"matchLabels": labels, "matchExpressions": expressions}),
        )
        .boxed()
}

fn address() -> BoxedStrategy<String> {
    word(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"])
}

fn int_or_string() -> BoxedStrategy<Value> {
    prop_oneof![
        number().prop_map(Value::from),
        word(&["http", "dns"]).prop_map(Value::from)
    ]
    .boxed()
}

fn protocol() -> BoxedStrategy<Value> {
    option::of(word(&["TCP", "UDP", "SCTP"]))
        .prop_map(|protocol| json!(protocol))
        .boxed()
}

fn pod() -> BoxedStrategy<Value> {
    let port = (option::of(word(&["http", "dns"])), number(), protocol())
        .prop_map(|(name, number, protocol)| json!({"name": name, "containerPort": number, "protocol": protocol}));
    let spec = (
        any::<bool>(),
        option::of(name()),
        option::of(word(&["node-a"])),
        vec(port, 0..3),
        option::of(name()),
    );
    let status = (
        option::of(address()),
        vec(address(), 0..2),
        any::<bool>(),
        option::of(word(&["Running", "Succeeded"])),
    );
    (metadata(), spec, status, select(&["strict", "odd", ""][..]))
        .prop_map(|(mut metadata, (host, account, node, ports, hostname), (ip, ips, ready, phase), mtls)| {
            if !mtls.is_empty() {
                metadata["annotations"] = json!({"heddle.dev/mtls": mtls, "heddle.dev/forward-client-identity": "true"});
            }
            let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
            let ready = if ready { "True" } else { "False" };
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                "spec": {"hostNetwork": host, "serviceAccountName": account, "nodeName": node, "hostname": hostname, "subdomain": "a",
                    "containers": [{"name": "c", "ports": ports}]},
                "status": {"podIP": ip, "podIPs": ips, "phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
            })
        })
        .boxed()
}

fn service() -> BoxedStrategy<Value> {
    let port = (option::of(word(&["http", "grpc", "tcp-db"])), number(), protocol(), option::of(int_or_string()))
        .prop_map(|(name, port, protocol, target)| json!({"name": name, "port": port, "protocol": protocol, "targetPort": target}));
    let kind = option::of(word(&["ClusterIP", "ExternalName"]));
    let selected = option::of(btree_map(word(&["app"]), word(&["web", "db"]), 0..2));
    (metadata(), kind, option::of(word(&["10.96.0.1", "10.96.0.2", "None"])), selected, vec(port, 0..3), any::<bool>())
        .prop_map(|(metadata, kind, ip, selector, ports, not_ready)| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {
                "type": kind, "clusterIP": ip, "selector": selector, "ports": ports, "externalName": "example.com",
                "publishNotReadyAddresses": not_ready,
            }})
        })
        .boxed()
}

fn slice() -> BoxedStrategy<Value> {
    let endpoint = (vec(address(), 0..2), option::of(any::<bool>()), option::of(any::<bool>()), option::of(word(&["node-a"])))
        .prop_map(|(addresses, ready, terminating, node)| {
            json!({"addresses": addresses, "conditions": {"ready": ready, "terminating": terminating}, "nodeName": node})
        });
    let port = (
        option::of(word(&["http", "grpc"])),
        option::of(number()),
        protocol(),
    )
        .prop_map(
            |(name, port, protocol)| json!({"name": name, "port": port, "protocol": protocol}),
        );
    (metadata(), option::of(name()), word(&["IPv4", "IPv6"]), vec(endpoint, 0..3), vec(port, 0..3))
        .prop_map(|(mut metadata, service, family, endpoints, ports)| {
            if let Some(service) = service {
                metadata["labels"]["kubernetes.io/service-name"] = json!(service);
            }
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
                "addressType": family, "endpoints": endpoints, "ports": ports})
        })
        .boxed()
}

fn node() -> BoxedStrategy<Value> {
    (word(&["node-a"]), option::of(word(&["eu-1", "eu-2"])), vec(address(), 0..2))
        .prop_map(|(name, zone, addresses)| {
            let labels = zone.map(|zone| json!({"topology.kubernetes.io/zone": zone}));
            let addresses: Vec<Value> =
                addresses.iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": {"addresses": addresses}})
        })
        .boxed()
}

fn namespace() -> BoxedStrategy<Value> {
    (namespace_name(), labels())
        .prop_map(|(name, labels)| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))
        .boxed()
}

fn network_policy() -> BoxedStrategy<Value> {
    let cidr = word(&["10.0.0.0/8", "10.0.0.0/31", "fd00::/8"]);
    let block = option::of(
        (cidr.clone(), vec(cidr, 0..2))
            .prop_map(|(cidr, except)| json!({"cidr": cidr, "except": except})),
    );
    let peer = (option::weighted(0.6, selector()), option::weighted(0.4, selector()), block)
        .prop_map(|(pods, namespaces, block)| json!({"podSelector": pods, "namespaceSelector": namespaces, "ipBlock": block}));
    let port = (
        option::of(int_or_string()),
        option::weighted(0.2, number()),
        protocol(),
    )
        .prop_map(
            |(port, end, protocol)| json!({"port": port, "endPort": end, "protocol": protocol}),
        );
    let rule = (vec(peer, 0..3), vec(port, 0..3)).boxed();
    let types = option::of(vec(word(&["Ingress", "Egress"]), 0..2));
    (metadata(), option::of(selector()), vec(rule.clone(), 0..3), vec(rule, 0..3), types)
        .prop_map(|(metadata, pods, ingress, egress, types)| {
            let ingress: Vec<Value> = ingress.into_iter().map(|(from, ports)| json!({"from": from, "ports": ports})).collect();
            let egress: Vec<Value> = egress.into_iter().map(|(to, ports)| json!({"to": to, "ports": ports})).collect();
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata,
                "spec": {"podSelector": pods, "ingress": ingress, "egress": egress, "policyTypes": types}})
        })
        .boxed()
}

fn authorization() -> BoxedStrategy<Value> {
    let sources = option::of((
        vec(word(&["a", "shop/b"]), 0..2),
        vec(word(&["spiffe://x/ns/a/sa/b"]), 0..2),
    ))
    .prop_map(|sources| {
        sources.map(|(accounts, spiffe)| json!({"serviceAccounts": accounts, "spiffe": spiffe}))
    });
    let http = option::of((
        vec(word(&["GET", "get"]), 0..2),
        vec(word(&["/a", "/b/"]), 0..2),
    ))
    .prop_map(|http| {
        http.map(|(methods, paths)| {
            let paths: Vec<Value> = paths.iter().map(|path| json!({"value": path})).collect();
            json!({"methods": methods, "paths": paths})
        })
    });
    let rule = (sources, vec(select(&[0_u16, 80, 8080][..]), 0..2), http).prop_map(
        |(sources, ports, http)| json!({"sources": sources, "ports": ports, "http": http}),
    );
    (metadata(), selector(), vec(rule, 0..3))
        .prop_map(|(metadata, pods, rules)| {
            json!({"apiVersion": "heddle.dev/v1alpha1", "kind": "AuthorizationPolicy", "metadata": metadata,
                "spec": {"podSelector": pods, "rules": rules}})
        })
        .boxed()
}

fn reference() -> BoxedStrategy<Value> {
    let kind = prop_oneof![6 => Just(("", "Service")), 5 => Just(("gateway.networking.k8s.io", "Gateway")), 1 => Just(("x", "Y"))];
    (kind, name(), option::of(namespace_name()), option::weighted(0.6, number()))
        .prop_map(|((group, kind), name, namespace, port)| json!({"group": group, "kind": kind, "name": name, "namespace": namespace, "port": port}))
        .boxed()
}

fn http_rule() -> BoxedStrategy<Value> {
    let path = (
        select(&["Exact", "PathPrefix", "RegularExpression"][..]),
        word(&["/", "/a", "/a/b/"]),
    )
        .prop_map(|(kind, value)| json!({"type": kind, "value": value}));
    let header = (
        word(&["x-a", "X-A"]),
        select(&["Exact", "RegularExpression"][..]),
        word(&["1", ".*"]),
    )
        .prop_map(|(name, kind, value)| json!({"name": name, "type": kind, "value": value}));
    let matched = (option::of(path), vec(header.clone(), 0..2), vec(header, 0..2), option::of(select(&["GET", "PUT"][..])))
        .prop_map(|(path, headers, query, method)| json!({"path": path, "headers": headers, "queryParams": query, "method": method}));
    let replace = select(&["/", "x", "/y/"][..]);
    let filter = prop_oneof![
        word(&["X-B"]).prop_map(|name| json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": name, "value": "v"}]}})),
        replace.prop_map(|path| json!({"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": path}}})),
        number().prop_map(|status| json!({"type": "RequestRedirect", "requestRedirect": {"statusCode": status}})),
        Just(json!({"type": "RequestMirror"})),
    ];
    let timeout = option::of(word(&["1s", "0s", "500ms"]));
    (vec(matched, 0..3), vec(filter, 0..2), backends(), timeout.clone(), timeout, option::of(number()))
        .prop_map(|(matches, filters, backends, request, backend, attempts)| {
            json!({"matches": matches, "filters": filters, "backendRefs": backends,
                "timeouts": {"request": request, "backendRequest": backend}, "retry": {"attempts": attempts, "codes": [503]}})
        })
        .boxed()
}

fn grpc_rule() -> BoxedStrategy<Value> {
    let method = (option::of(word(&["a.B", "c"])), option::of(word(&["M"])), select(&["Exact", "RegularExpression"][..]))
        .prop_map(|(service, method, kind)| json!({"method": {"service": service, "method": method, "type": kind}}));
    (vec(method, 0..3), backends())
        .prop_map(|(matches, backends)| json!({"matches": matches, "backendRefs": backends}))
        .boxed()
}

fn backends() -> BoxedStrategy<Value> {
    let backend = (
        reference(),
        option::of(select(&[0_i64, 1, 90, -1, 2_000_000][..])),
    )
        .prop_map(|(mut backend, weight)| {
            if backend["kind"] != "Y" {
                backend["kind"] = json!("Service");
                backend["group"] = json!("");
            }
            backend["weight"] = json!(weight);
            backend
        });
    vec(backend, 0..3).prop_map(Value::from).boxed()
}

fn route(kind: &'static str) -> BoxedStrategy<Value> {
    let rule = if kind == "HTTPRoute" {
        http_rule()
    } else {
        grpc_rule()
    };
    let hosts = vec(word(&["a.example.com", "*.example.com", "*.com"]), 0..2);
    (
        metadata(),
        vec(reference(), 0..3),
        hosts,
        vec(rule, 0..3),
        option::of(0..5_i64),
    )
        .prop_map(move |(mut metadata, parents, hosts, rules, generation)| {
            metadata["generation"] = json!(generation);
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata,
                "spec": {"parentRefs": parents, "hostnames": hosts, "rules": rules}})
        })
        .boxed()
}

fn gateway() -> BoxedStrategy<Value> {
    let from = (
        select(&["All", "Same", "Selector"][..]),
        option::of(selector()),
    )
        .prop_map(|(from, selector)| json!({"namespaces": {"from": from, "selector": selector}}));
    let listener = (name(), number(), word(&["HTTP", "HTTP", "TCP"]), option::of(word(&["a.example.com", "*.example.com"])), option::of(from))
        .prop_map(|(name, port, protocol, host, allowed)| json!({"name": name, "port": port, "protocol": protocol, "hostname": host, "allowedRoutes": allowed}));
    (metadata(), vec(listener, 0..3), word(&["heddle", "heddle", "other"]))
        .prop_map(|(metadata, listeners, class)| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata,
                "spec": {"gatewayClassName": class, "listeners": listeners}})
        })
        .boxed()
}

fn class() -> BoxedStrategy<Value> {
    (word(&["heddle"]), select(&["heddle.dev/gateway-controller", "heddle.dev/gateway-controller", "x"][..]))
        .prop_map(|(name, controller)| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": name},
                "spec": {"controllerName": controller}})
        })
        .boxed()
}

fn grant() -> BoxedStrategy<Value> {
    (metadata(), namespace_name(), option::of(name()))
        .prop_map(|(metadata, from, name)| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant", "metadata": metadata, "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": from}],
                "to": [{"group": "", "kind": "Service", "name": name}],
            }})
        })
        .boxed()
}
