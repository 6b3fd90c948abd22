use std::sync::Arc;

use heddle_config::{InboundHttp, NetworkPolicy, ProxyConfig};
use heddle_filters::Failure;
use heddle_routing::{
    StringMatcher,
    policy::{Permission, Principal},
};
use heddle_telemetry::ResponseFlag;

use super::world::*;
use crate::judge::{self, Arrival};

fn arrival(identity: Option<&str>) -> Arrival {
    Arrival {
        source: at(CLIENT),
        destination: at("10.1.0.9:8080"),
        identity: identity.map(id),
        from_node: false,
    }
}

fn flag(result: Result<(), Failure>) -> Option<ResponseFlag> {
    result.err().map(|failure| failure.flag)
}

#[test]
fn a_strict_pod_takes_no_plain_text_except_from_its_node() {
    let mut pod = pod_config();
    pod.permissive = false;
    let config = ProxyConfig::default();
    let judge = |arrival| flag(judge::arrival(&config, &pod, &arrival));
    assert_eq!(judge(arrival(None)), Some(ResponseFlag::PlaintextRefused));
    assert_eq!(judge(arrival(Some(PEER))), None);
    let probe = Arrival {
        from_node: true,
        ..arrival(None)
    };
    assert_eq!(judge(probe), None);
}

#[test]
fn network_policy_sees_the_real_port_and_its_refusal_names_it() {
    let config = ProxyConfig::default();
    let mut pod = pod_config();
    pod.ingress = only_port(8080);
    assert!(judge::arrival(&config, &pod, &arrival(Some(PEER))).is_ok());
    pod.ingress = only_port(15008);
    let refusal = judge::arrival(&config, &pod, &arrival(Some(PEER))).unwrap_err();
    assert_eq!(refusal.flag, ResponseFlag::NetworkPolicy);
    assert_eq!(
        refusal.reason,
        "NetworkPolicy shop/cart: no rule allows 10.1.0.5 on port 8080"
    );
    assert_eq!(&*refusal.policies[0], "NetworkPolicy shop/cart");
}

#[test]
fn a_gateway_on_the_node_needs_no_network_policy_but_is_authorized_by_its_identity() {
    let config = ProxyConfig::default();
    let mut pod = pod_config();
    pod.ingress = only_port(1);
    let gateway = Arrival {
        from_node: true,
        ..arrival(Some(PEER))
    };
    assert_eq!(flag(judge::arrival(&config, &pod, &gateway)), None);
    let nobody = Principal::Authenticated(Some(StringMatcher::Exact("x".into())));
    pod.authorization = Some(Arc::new(rbac(
        Permission::Any,
        nobody,
        "AuthorizationPolicy a/b rule 0",
    )));
    assert_eq!(
        flag(judge::arrival(&config, &pod, &gateway)),
        Some(ResponseFlag::Authorization)
    );
}

#[test]
fn authorization_is_asked_for_connections_of_bytes_and_left_to_requests_on_http_ports() {
    let config = ProxyConfig::default();
    let mut pod = pod_config();
    let web = Principal::Authenticated(Some(StringMatcher::Exact(PEER.into())));
    pod.authorization = Some(Arc::new(rbac(
        Permission::Any,
        web,
        "AuthorizationPolicy a/b rule 0",
    )));
    assert_eq!(
        flag(judge::arrival(&config, &pod, &arrival(Some(PEER)))),
        None
    );
    assert_eq!(
        flag(judge::arrival(&config, &pod, &arrival(None))),
        Some(ResponseFlag::Authorization)
    );
    pod.http_ports.insert(
        8080,
        InboundHttp {
            forward_identity: false,
        },
    );
    assert_eq!(flag(judge::arrival(&config, &pod, &arrival(None))), None);
}

#[test]
fn egress_policy_sees_the_endpoint_and_never_keeps_a_pod_from_itself() {
    let config = ProxyConfig::default();
    let mut pod = pod_config();
    pod.egress = only_port(8080);
    let source = POD.parse().unwrap();
    let judge = |to| flag(judge::departure(&config, &pod, source, at(to)));
    assert_eq!(judge("10.1.0.77:8080"), None);
    assert_eq!(judge("10.1.0.77:80"), Some(ResponseFlag::NetworkPolicy));
    assert_eq!(judge("10.1.0.9:80"), None);
}

#[test]
fn an_isolated_pod_without_rules_lets_nobody_in() {
    let mut pod = pod_config();
    let NetworkPolicy::Isolated { by, rules } = only_port(1) else {
        unreachable!()
    };
    let mut rules = (*rules).clone();
    rules.policies.clear();
    pod.ingress = NetworkPolicy::Isolated {
        by,
        rules: Arc::new(rules),
    };
    let judged = judge::arrival(&ProxyConfig::default(), &pod, &arrival(Some(PEER)));
    assert_eq!(flag(judged), Some(ResponseFlag::NetworkPolicy));
}
