//! Whatever the bytes: no panic, and never more access than was meant.

use heddle_proto::{
    Message,
    envoy::config::{
        cluster::v3::cluster::DiscoveryType,
        core::v3::HealthStatus,
        rbac::v3::{permission::Rule, principal::Identifier},
    },
    google::protobuf::Any,
    pack, type_url,
};
use heddle_routing::policy::{AddressSets, Protocol, Subject};
use proptest::prelude::*;

use crate::{
    NetworkPolicy, PodConfig,
    decode::{self, Listener},
    testing::*,
};

/// Every decoder.
fn decode_as_anything(name: &str, value: &[u8]) {
    let any = |type_url: &str| Any {
        type_url: type_url.to_owned(),
        value: value.to_vec(),
    };
    let _ = decode::listener(name, &any(type_url::LISTENER), &trust_domain());
    let _ = decode::route_configuration(name, &any(type_url::ROUTE_CONFIGURATION));
    let _ = decode::cluster(name, &any(type_url::CLUSTER));
    let _ = decode::load_assignment(name, &any(type_url::CLUSTER_LOAD_ASSIGNMENT));
    let _ = decode::workload(name, &any(type_url::WORKLOAD), &trust_domain());
    let _ = decode::address_set(&any(type_url::ADDRESS_SET));
    let _ = decode::trust_bundle("ROOTCA", &any(type_url::SECRET));
    let _ = decode::dns_table(&any(type_url::DNS_TABLE));
}

fn restricted() -> PodRules {
    let only = |port| {
        allow(
            Rule::DestinationPort(port),
            Identifier::DirectRemoteIp(block("10.1.0.0", 16)),
        )
    };
    PodRules {
        network_policy: Some(only(8080)),
        authorization: Some(only(8080)),
        egress: Some(only(8080)),
        http_ports: vec![8080],
        strict: true,
    }
}

/// Valid resources of every type.
fn valid() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let name = "shop/cart:80";
    let endpoints = vec![endpoint("10.1.0.1", 8080, HealthStatus::Healthy)];
    vec![
        (POD, type_url::LISTENER, pod(&restricted()).encode_to_vec()),
        (
            name,
            type_url::LISTENER,
            outbound_detect(name, "10.96.0.1").encode_to_vec(),
        ),
        (
            name,
            type_url::ROUTE_CONFIGURATION,
            routes(name, vec![to(name)]).encode_to_vec(),
        ),
        (
            name,
            type_url::CLUSTER,
            cluster(name, DiscoveryType::Eds).encode_to_vec(),
        ),
        (
            name,
            type_url::CLUSTER_LOAD_ASSIGNMENT,
            assignment(name, endpoints).encode_to_vec(),
        ),
        (
            "shop/a",
            type_url::WORKLOAD,
            workload("a", &[[10, 1, 0, 1]]).encode_to_vec(),
        ),
    ]
}

/// Whether a stranger gets in, and whether the pod gets out to where it may not.
fn is_wide_open(pod: &PodConfig) -> bool {
    let lets = |policy: &NetworkPolicy| match policy {
        NetworkPolicy::Open => true,
        NetworkPolicy::Isolated { rules, .. } => {
            let stranger = Subject {
                protocol: Protocol::Tcp,
                source: [192, 0, 2, 1].into(),
                destination: [192, 0, 2, 2].into(),
                port: 22,
                identity: None,
                request: None,
            };
            rules
                .decide(&stranger, &AddressSets::default())
                .is_allowed()
        }
    };
    lets(&pod.ingress) || lets(&pod.egress) || pod.authorization.is_none() || pod.permissive
}

#[test]
fn a_truncated_pod_listener_is_refused_or_as_strict_as_the_whole() {
    let whole = pod(&restricted()).encode_to_vec();
    for length in 0..whole.len() {
        let any = Any {
            type_url: type_url::LISTENER.to_owned(),
            value: whole[..length].to_vec(),
        };
        if let Ok(Listener::Pod(pod)) = decode::listener(POD, &any, &trust_domain()) {
            assert!(!is_wide_open(&pod), "cut at {length} of {}", whole.len());
        }
    }
}

#[test]
fn the_whole_pod_listener_is_strict() {
    let Ok(Listener::Pod(pod)) = decode::listener(POD, &pack(&pod(&restricted())), &trust_domain())
    else {
        panic!("not a pod");
    };
    assert!(!is_wide_open(&pod));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_as_anything("shop/cart:80", &bytes);
    }

    #[test]
    fn damaged_resources_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let all = valid();
        let (name, _, mut bytes) = all[which.index(all.len())].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        decode_as_anything(name, &bytes);
    }

    #[test]
    fn any_expression_is_compiled_or_refused_without_panic(pattern in "\\PC{0,40}") {
        use heddle_proto::envoy::config::route::v3::{route::Action, route_match::PathSpecifier};
        let matches = matching(PathSpecifier::SafeRegex(regex(&pattern)));
        let table = routes("r", vec![route(matches, Action::Route(weighted(&[("c", 1)])))]);
        let _ = decode::route_configuration("r", &pack(&table));
    }
}
