use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use heddle_routing::policy::{
    AddressSets, Permission, Policy, Principal, Protocol, Rbac, RbacAction,
};

use super::{PacketPolicy, Ruleset, ServiceAddress, compile};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn sets(sets: &[(&str, &[&str])]) -> AddressSets {
    let set = |addresses: &[&str]| -> Arc<BTreeSet<IpAddr>> {
        Arc::new(addresses.iter().map(|text| address(text)).collect())
    };
    AddressSets(
        sets.iter()
            .map(|(name, all)| ((*name).into(), set(all)))
            .collect(),
    )
}

fn allow(policies: Vec<Policy>) -> Rbac {
    Rbac {
        action: RbacAction::Allow,
        policies,
    }
}

fn rule(name: &str, permissions: Vec<Permission>, principals: Vec<Principal>) -> Policy {
    Policy {
        name: name.into(),
        permissions,
        principals,
    }
}

fn port(protocol: Protocol, first: u16, last: u16) -> Permission {
    Permission::All(vec![
        Permission::Protocol(protocol),
        Permission::DestinationPorts(first, last),
    ])
}

fn source(block: &str) -> Principal {
    Principal::SourceBlock(block.parse().unwrap())
}

fn destination(block: &str) -> Permission {
    Permission::DestinationBlock(block.parse().unwrap())
}

fn compiled(ingress: Option<&Rbac>, egress: Option<&Rbac>, sets: &AddressSets) -> Ruleset {
    compile(&PacketPolicy {
        pod_addresses: &[address("10.244.1.5"), address("fd00:1::5")],
        node_addresses: &[
            address("172.18.0.11"),
            address("fd00::11"),
            address("10.244.1.1"),
        ],
        ingress,
        egress,
        sets,
        services: &[],
    })
}

#[test]
fn a_pod_that_is_not_isolated_has_no_table() {
    let found = compiled(None, None, &AddressSets::default());
    crate::golden::check("open.nft", &found.to_string());
}

#[test]
fn an_isolated_pod_without_rules_refuses_everything() {
    let found = compiled(
        Some(&allow(vec![])),
        Some(&allow(vec![])),
        &AddressSets::default(),
    );
    crate::golden::check("isolated.nft", &found.to_string());
}

#[test]
fn peers_and_ports_become_sets_and_ranges() {
    let sets = sets(&[
        ("shop/app=web", &["10.244.1.7", "10.244.2.9", "fd00:2::9"]),
        ("shop/nobody", &[]),
    ]);
    let ingress = allow(vec![
        rule(
            "NetworkPolicy shop/dns ingress rule 0",
            vec![Permission::OneOf(vec![
                port(Protocol::Udp, 53, 53),
                port(Protocol::Tcp, 53, 53),
                port(Protocol::Udp, 5353, 5400),
                Permission::Protocol(Protocol::Sctp),
            ])],
            vec![
                Principal::SourceSet("shop/app=web".into()),
                Principal::SourceSet("shop/nobody".into()),
                source("192.0.2.0/24"),
                source("192.0.2.128/25"),
                source("198.51.100.0/24"),
            ],
        ),
        rule(
            "NetworkPolicy shop/dns ingress rule 1",
            vec![Permission::Any],
            vec![Principal::All(vec![
                source("10.0.0.0/8"),
                Principal::Not(Box::new(Principal::OneOf(vec![
                    source("10.1.0.0/16"),
                    source("10.2.0.0/16"),
                ]))),
            ])],
        ),
    ]);
    crate::golden::check(
        "ingress.nft",
        &compiled(Some(&ingress), None, &sets).to_string(),
    );
}

#[test]
fn egress_has_destinations_and_ports() {
    let sets = sets(&[("kube-system/kube-dns", &["10.244.1.2", "10.244.2.2"])]);
    let egress = allow(vec![rule(
        "NetworkPolicy shop/cart egress rule 0",
        vec![Permission::All(vec![
            Permission::OneOf(vec![
                Permission::DestinationSet("kube-system/kube-dns".into()),
                destination("2001:db8::/32"),
                destination("0.0.0.0/0"),
            ]),
            Permission::OneOf(vec![
                port(Protocol::Udp, 53, 53),
                port(Protocol::Tcp, 53, 53),
            ]),
        ])],
        vec![Principal::Any],
    )]);
    crate::golden::check(
        "egress.nft",
        &compiled(None, Some(&egress), &sets).to_string(),
    );
}

#[test]
fn a_service_may_be_sent_to_if_all_its_endpoints_may() {
    let sets = sets(&[("dns", &["10.244.1.2", "10.244.2.2"])]);
    let egress = allow(vec![rule(
        "NetworkPolicy shop/cart egress rule 0",
        vec![Permission::All(vec![
            Permission::DestinationSet("dns".into()),
            port(Protocol::Udp, 5353, 5353),
        ])],
        vec![Principal::Any],
    )]);
    let service = |address: &str, endpoints: &[&str]| ServiceAddress {
        address: address.parse().unwrap(),
        port: 53,
        protocol: Protocol::Udp,
        endpoints: endpoints.iter().map(|text| text.parse().unwrap()).collect(),
    };
    let found = compile(&PacketPolicy {
        pod_addresses: &[address("10.244.1.5")],
        node_addresses: &[],
        ingress: None,
        egress: Some(&egress),
        sets: &sets,
        services: &[
            service("10.96.0.10", &["10.244.1.2:5353", "10.244.2.2:5353"]),
            service("10.96.0.11", &["10.244.1.2:5353", "10.244.2.3:5353"]),
            service("10.96.0.12", &["10.244.1.2:5354"]),
            service("10.96.0.13", &[]),
            service("fd00:96::10", &["[fd00:1::2]:5353"]),
        ],
    });
    crate::golden::check("services.nft", &found.to_string());
}

#[test]
fn what_a_packet_cannot_answer_never_allows() {
    let asks = |principal: Principal| {
        let rules = allow(vec![rule(
            "NetworkPolicy a/b ingress rule 0",
            vec![Permission::Any],
            vec![principal],
        )]);
        compiled(Some(&rules), None, &AddressSets::default()).to_string()
    };
    let nothing = compiled(Some(&allow(vec![])), None, &AddressSets::default()).to_string();
    let identity = Principal::Authenticated(None);
    assert_eq!(asks(identity.clone()), nothing);
    assert_eq!(asks(Principal::Not(Box::new(identity.clone()))), nothing);
    assert_eq!(asks(Principal::SourceSet("gone".into())), nothing);
    assert_eq!(
        asks(Principal::Not(Box::new(Principal::SourceSet(
            "gone".into()
        )))),
        nothing
    );
    assert_eq!(
        asks(Principal::All(vec![source("10.0.0.0/8"), identity.clone()])),
        nothing
    );
    assert_ne!(
        asks(Principal::OneOf(vec![source("10.0.0.0/8"), identity])),
        nothing
    );
}

#[test]
fn with_deny_what_a_packet_cannot_answer_refuses() {
    let rules = Rbac {
        action: RbacAction::Deny,
        policies: vec![
            rule(
                "one",
                vec![Permission::DestinationPorts(80, 80)],
                vec![Principal::Authenticated(None)],
            ),
            rule(
                "two",
                vec![Permission::Not(Box::new(port(Protocol::Udp, 1, 9)))],
                vec![source("::/0")],
            ),
        ],
    };
    crate::golden::check(
        "deny.nft",
        &compiled(Some(&rules), None, &AddressSets::default()).to_string(),
    );
}

#[test]
fn a_name_cannot_end_the_string_it_stands_in() {
    let rules = allow(vec![rule(
        "x\" accept\n\t\taccept comment \"",
        vec![Permission::Any],
        vec![source("10.0.0.0/8")],
    )]);
    let text = compiled(Some(&rules), None, &AddressSets::default()).to_string();
    assert!(
        text.contains("counter accept comment \"x acceptaccept comment \"\n"),
        "{text}"
    );
}

#[test]
fn a_condition_that_is_too_deep_is_left_out_and_told() {
    let mut permission = Permission::DestinationPorts(1, 1);
    for port in 0..40 {
        permission = Permission::All(vec![
            Permission::OneOf(vec![
                Permission::Protocol(Protocol::Sctp),
                destination("10.0.0.0/8"),
            ]),
            Permission::OneOf(vec![permission, destination(&format!("192.0.2.{port}/32"))]),
        ]);
    }
    let good = rule("good", vec![Permission::Any], vec![source("10.0.0.0/8")]);
    let deep = rule("deep", vec![permission], vec![Principal::Any]);
    let found = compiled(
        Some(&allow(vec![deep, good])),
        None,
        &AddressSets::default(),
    );
    assert_eq!(
        found.problems(),
        ["deep: nested too deeply for packet rules"]
    );
    assert!(!found.to_string().contains("comment \"deep\""));
    assert!(found.to_string().contains("comment \"good\""));
}
