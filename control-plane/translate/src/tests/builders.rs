//! Small meshes. Each builder makes an entry from a few words; `variant` picks between entries that differ.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use heddle_model::*;

pub(super) const ROOTS: &str = "-----BEGIN CERTIFICATE-----\n";

pub(super) fn empty() -> Mesh {
    Mesh::empty(trust_domain(), "cluster.local")
}

fn trust_domain() -> TrustDomain {
    TrustDomain::new("cluster.local").unwrap()
}

pub(super) fn namespace(index: usize) -> Namespace {
    Namespace::new(["shop", "infra", "checkout"][index % 3]).unwrap()
}

pub(super) fn key(index: usize) -> ObjectKey {
    ObjectKey::new(namespace(index), format!("thing-{index}"))
}

pub(super) fn port(number: u16) -> PortNumber {
    PortNumber::new(number).unwrap()
}

pub(super) fn port_key(index: usize, number: u16) -> ServicePortKey {
    ServicePortKey {
        service: key(index),
        port: port(number),
        transport: Transport::Tcp,
    }
}

pub(super) fn ip(host: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(host % 250).unwrap()])
}

pub(super) fn node_name(index: usize) -> NodeName {
    NodeName(format!("node-{}", index % 2).into())
}

pub(super) fn set_name(index: usize) -> AddressSetName {
    AddressSetName(format!("pods/set-{index}").into())
}

pub(super) fn table_key(index: usize) -> RouteTableKey {
    RouteTableKey {
        port: port_key(index, 80),
        consumer: (index % 2 == 1).then(|| namespace(index + 1)),
    }
}

pub(super) fn gateway_key(index: usize) -> GatewayListenerKey {
    GatewayListenerKey {
        gateway: key(index),
        section: "http".into(),
    }
}

fn object(kind: ObjectKind, index: usize) -> ObjectRef {
    ObjectRef {
        kind,
        key: key(index),
    }
}

pub(super) fn service(index: usize, variant: usize) -> Service {
    let kind = match variant % 4 {
        0 | 1 => ServiceKind::ClusterIp {
            addresses: vec![ip(100 + index)],
        },
        2 => ServiceKind::Headless,
        _ => ServiceKind::ExternalName {
            hostname: format!("db-{variant}.example.com").into(),
        },
    };
    let protocol = [
        AppProtocol::Detect,
        AppProtocol::Http,
        AppProtocol::Http2,
        AppProtocol::Opaque,
    ][(variant / 4) % 4];
    let named = |name: &str, number, transport, protocol| ServicePort {
        name: Some(name.into()),
        port: port(number),
        transport,
        protocol,
    };
    let ports = vec![
        named("web", 80, Transport::Tcp, protocol),
        named("dns", 80, Transport::Udp, AppProtocol::Opaque),
        named("db", 5432, Transport::Tcp, AppProtocol::Opaque),
    ];
    let external = matches!(kind, ServiceKind::ExternalName { .. });
    Service {
        key: key(index),
        kind,
        ports: if external { Vec::new() } else { ports },
        clients: ClientSettings::default(),
    }
}

pub(super) fn endpoints(index: usize, variant: usize) -> Endpoints {
    let endpoint = |host: usize| Endpoint {
        address: ip(host),
        port: port(8080),
        health: if host.is_multiple_of(3) {
            EndpointHealth::Draining
        } else {
            EndpointHealth::Ready
        },
        node: Some(node_name(host)),
        zone: host.is_multiple_of(2).then(|| "zone-a".into()),
        hostname: host.is_multiple_of(5).then(|| format!("db-{host}").into()),
    };
    Endpoints {
        key: port_key(index, 80),
        endpoints: (index..index + variant % 4).map(endpoint).collect(),
    }
}

pub(super) fn rule(index: usize, variant: usize) -> RouteRule {
    let kind = if variant.is_multiple_of(3) {
        ObjectKind::GRPCRoute
    } else {
        ObjectKind::HTTPRoute
    };
    let header = |name: &str| HeaderMutation::Set {
        name: name.into(),
        value: "100%".into(),
    };
    let backend = |weight, backend| WeightedBackend {
        weight,
        backend,
        request_headers: vec![header("x-backend")],
        response_headers: Vec::new(),
    };
    let action = match variant % 4 {
        0 => RouteAction::Respond {
            status: 500,
            reason: "no such Service".into(),
        },
        1 => RouteAction::Redirect(Redirect {
            scheme: Some("https".into()),
            host: None,
            port: None,
            path: Some(PathRewrite::Prefix("/new".into())),
            status: 301,
        }),
        _ => RouteAction::Forward {
            backends: vec![
                backend(9, Backend::Service(port_key(variant % 5, 80))),
                backend(
                    0,
                    Backend::Invalid {
                        reason: "no such Service".into(),
                    },
                ),
            ],
            rewrite_path: Some(PathRewrite::Prefix("/".into())),
            rewrite_host: Some("inner.example.com".into()),
            timeouts: Timeouts {
                request: Some(Duration::from_millis(1500)),
                backend_request: None,
            },
            retry: Some(RetryPolicy {
                attempts: 2,
                status_codes: vec![502, 503],
                backoff: Some(Duration::from_millis(100)),
            }),
        },
    };
    RouteRule {
        origin: RouteOrigin {
            route: object(kind, index),
            rule: variant,
            match_index: 0,
            name: None,
        },
        matches: RouteMatch {
            path: PathMatch::Prefix("/api".into()),
            method: variant.is_multiple_of(2).then(|| "GET".into()),
            headers: vec![HeaderMatch {
                name: "x-canary".into(),
                value: StringMatch::Exact("yes".into()),
            }],
            query: vec![QueryMatch {
                name: "q".into(),
                value: StringMatch::Regex("a+".into()),
            }],
        },
        action,
        request_headers: vec![HeaderMutation::Remove {
            name: "x-secret".into(),
        }],
        response_headers: vec![HeaderMutation::Add {
            name: "x-by".into(),
            value: "heddle".into(),
        }],
    }
}

pub(super) fn table(index: usize, variant: usize) -> RouteTable {
    RouteTable {
        key: table_key(index),
        rules: (variant..variant + 3)
            .map(|variant| rule(index, variant).into())
            .collect(),
    }
}

pub(super) fn gateway(index: usize, variant: usize) -> GatewayListener {
    let host = |host, rules| GatewayVirtualHost { host, rules };
    GatewayListener {
        key: gateway_key(index),
        port: port(if variant.is_multiple_of(5) { 8080 } else { 80 }),
        hosts: vec![
            host(
                HostMatch::Exact("www.example.com".into()),
                vec![rule(index, variant).into()],
            ),
            host(HostMatch::Wildcard("example.com".into()), Vec::new()),
            host(HostMatch::Any, vec![rule(index, variant + 1).into()]),
        ],
    }
}

pub(super) fn workload(index: usize, variant: usize) -> Workload {
    Workload {
        key: key(index),
        uid: format!("uid-{index}-{}", variant % 3).into(),
        addresses: if variant.is_multiple_of(7) {
            Vec::new()
        } else {
            vec![ip(index)]
        },
        service_account: ServiceAccount::new("default").unwrap(),
        node: (!variant.is_multiple_of(5)).then(|| node_name(variant)),
        zone: Some("zone-a".into()),
        enrolment: match variant % 8 {
            0 | 4 => Enrolment::Outside,
            5 => Enrolment::Grpc,
            _ => Enrolment::Mesh,
        },
        host_network: variant.is_multiple_of(6),
        owner: "thing".into(),
        app: "thing".into(),
        version: format!("v{variant}").into(),
    }
}

pub(super) fn policy(index: usize, variant: usize) -> PodPolicy {
    let network_rule = |rule: usize| NetworkRule {
        policy: object(ObjectKind::NetworkPolicy, index),
        index: rule,
        peers: (!rule.is_multiple_of(3)).then(|| {
            vec![
                Peer::Pods(set_name(rule)),
                Peer::Block {
                    cidr: "10.0.0.0/8".parse().unwrap(),
                    except: vec!["10.1.0.0/16".parse().unwrap()],
                },
            ]
        }),
        ports: if rule.is_multiple_of(2) {
            Ports::All
        } else {
            let range = PortRange {
                transport: Transport::Udp,
                first: Some(port(53)),
                last: Some(port(u16::MAX)),
            };
            Ports::These(if rule.is_multiple_of(5) {
                Vec::new()
            } else {
                vec![range]
            })
        },
    };
    let isolation = |isolated: bool| {
        if isolated {
            Isolation::Isolated {
                by: vec![object(ObjectKind::NetworkPolicy, index)],
                rules: (0..variant % 12).map(network_rule).collect(),
            }
        } else {
            Isolation::Open
        }
    };
    let authorization = AuthorizationRule {
        policy: object(ObjectKind::AuthorizationPolicy, index),
        index: 0,
        sources: Sources::Identities(vec![SpiffeId::new(
            trust_domain(),
            namespace(index),
            ServiceAccount::new("default").unwrap(),
        )]),
        ports: vec![port(8080)],
        http: Some(HttpAccess {
            methods: vec!["GET".into()],
            paths: vec![PathMatch::Prefix("/api".into())],
        }),
    };
    PodPolicy {
        pod: key(index),
        ingress: isolation(variant.is_multiple_of(2)),
        egress: isolation(variant.is_multiple_of(3)),
        mtls: if variant.is_multiple_of(4) {
            MtlsMode::Strict
        } else {
            MtlsMode::Permissive
        },
        authorization: variant.is_multiple_of(3).then(|| vec![authorization]),
        http_ports: BTreeSet::from([port(8080)]),
        forward_client_identity: variant.is_multiple_of(2),
    }
}

pub(super) fn set(index: usize, variant: usize) -> AddressSet {
    AddressSet {
        name: set_name(index),
        addresses: (0..variant % 5).map(ip).collect(),
    }
}

pub(super) fn node(index: usize, variant: usize) -> Node {
    Node {
        name: node_name(index),
        addresses: BTreeSet::from([ip(200 + variant % 10)]),
        zone: Some("zone-a".into()),
    }
}

/// Puts one entry into a mesh, or takes it out.
pub(super) fn change(mesh: &mut Mesh, kind: usize, index: usize, variant: Option<usize>) {
    macro_rules! entry {
        ($map:ident, $key:expr, $make:ident) => {
            match variant {
                Some(variant) => mesh
                    .$map
                    .insert($key, Arc::new($make(index, variant)))
                    .is_some(),
                None => mesh.$map.remove(&$key).is_some(),
            }
        };
    }
    match kind % 9 {
        0 => entry!(services, key(index), service),
        1 => entry!(endpoints, port_key(index, 80), endpoints),
        2 => entry!(routes, table_key(index), table),
        3 => entry!(gateways, gateway_key(index), gateway),
        4 => entry!(workloads, key(index), workload),
        5 => entry!(policies, key(index), policy),
        6 => entry!(address_sets, set_name(index), set),
        7 => entry!(nodes, node_name(index), node),
        _ => {
            mesh.cluster_domain = if variant.is_some() {
                "cluster.local"
            } else {
                "mesh.example"
            }
            .into();
            true
        }
    };
}

/// A mesh with something of every kind.
pub(super) fn full() -> Mesh {
    let mut mesh = empty();
    for index in 0..6 {
        for kind in 0..8 {
            change(&mut mesh, kind, index, Some(index * 5 + 1));
        }
    }
    mesh
}
