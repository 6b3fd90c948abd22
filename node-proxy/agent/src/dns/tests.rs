use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use heddle_config::{NetworkPolicy, PodConfig, PodName, PodUid, ProxyConfig};
use heddle_dns::Transport;
use heddle_identity::Namespace;
use heddle_routing::policy::{Permission, Policy, Principal, Protocol, Rbac, RbacAction};

use super::may_send;

fn name() -> PodName {
    PodName {
        namespace: Namespace::new("shop").unwrap(),
        name: "cart-7d4".into(),
    }
}

/// A configuration with one pod, which has one IPv4 address.
fn with(egress: NetworkPolicy) -> ProxyConfig {
    let pod = PodConfig {
        name: name(),
        uid: PodUid("uid".into()),
        identity: "spiffe://cluster.local/ns/shop/sa/cart".parse().unwrap(),
        addresses: vec!["10.244.1.5".parse().unwrap()],
        permissive: true,
        ingress: NetworkPolicy::Open,
        egress,
        authorization: None,
        http_ports: BTreeMap::new(),
    };
    let mut config = ProxyConfig::default();
    config.pods.insert(name(), Arc::new(pod));
    config
}

/// UDP to port 53 of one address.
fn udp_to_one() -> NetworkPolicy {
    let permissions = vec![
        Permission::DestinationBlock("10.244.1.2/32".parse().unwrap()),
        Permission::DestinationPorts(53, 53),
        Permission::Protocol(Protocol::Udp),
    ];
    let policy = Policy {
        name: "NetworkPolicy shop/cart egress rule 0".into(),
        permissions: vec![Permission::All(permissions)],
        principals: vec![Principal::Any],
    };
    NetworkPolicy::Isolated {
        by: vec!["NetworkPolicy shop/cart".into()],
        rules: Arc::new(Rbac {
            action: RbacAction::Allow,
            policies: vec![policy],
        }),
    }
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_pod_that_is_not_isolated_may_ask_anybody() {
    let config = with(NetworkPolicy::Open);
    assert!(may_send(&config, &name(), Transport::Tcp, &[]));
}

#[test]
fn a_pod_that_nothing_is_known_about_may_ask_nobody() {
    let all = addresses(&["10.244.1.2:53"]);
    assert!(!may_send(
        &ProxyConfig::default(),
        &name(),
        Transport::Udp,
        &all
    ));
}

#[test]
fn an_isolated_pod_may_ask_if_one_of_the_addresses_is_allowed() {
    let config = with(udp_to_one());
    let may = |transport, texts: &[&str]| may_send(&config, &name(), transport, &addresses(texts));
    assert!(may(Transport::Udp, &["10.96.0.10:53", "10.244.1.2:53"]));
    assert!(!may(Transport::Udp, &["10.96.0.10:53", "10.244.1.3:53"]));
    assert!(!may(Transport::Udp, &["10.244.1.2:5353"]));
    assert!(!may(Transport::Tcp, &["10.244.1.2:53"]), "UDP only");
    assert!(!may(Transport::Udp, &["[fd00::2]:53"]), "no IPv6 address");
}
