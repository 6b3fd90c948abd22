use heddle_proto::{
    envoy::{
        config::{
            core::v3::TrafficDirection,
            listener::v3::Listener as WireListener,
            rbac::v3::{Rbac, permission::Rule, principal::Identifier},
        },
        extensions::filters::network::{
            http_connection_manager::v3::{
                HttpConnectionManager,
                http_connection_manager::{ForwardClientCertDetails, SetCurrentClientCertDetails},
            },
            rbac::v3::Rbac as NetworkRbac,
        },
    },
    google::protobuf::BoolValue,
    heddle::v1::{
        ListenerScope,
        listener_scope::{Kind, Outbound, Pod},
    },
    names, pack, unpack,
};

use super::refused;
use crate::{
    NetworkPolicy, PodConfig,
    decode::{DecodeError, Listener, listener},
    testing::*,
};

fn decode(wire: &WireListener) -> Result<Listener, DecodeError> {
    listener(&wire.name, &pack(wire), &trust_domain())
}

#[track_caller]
fn valid(wire: &WireListener) -> PodConfig {
    match decode(wire).expect("valid") {
        Listener::Pod(pod) => (*pod).clone(),
        other => panic!("{other:?}"),
    }
}

fn full() -> PodRules {
    PodRules {
        network_policy: Some(allow_all()),
        authorization: Some(allow_all()),
        egress: Some(allow_all()),
        http_ports: vec![8080, 9090],
        strict: false,
    }
}

#[test]
fn an_unrestricted_pod_is_open() {
    let pod = valid(&pod(&PodRules::default()));
    assert_eq!(pod.name.to_string(), "shop/cart-7d4");
    assert_eq!(pod.identity.to_string(), POD_IDENTITY);
    let addresses: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.1.0.4", "fd00::4"]);
    assert!(pod.permissive);
    assert!(matches!(pod.ingress, NetworkPolicy::Open));
    assert!(matches!(pod.egress, NetworkPolicy::Open));
    assert!(pod.authorization.is_none());
    assert!(pod.http_ports.is_empty());
}

#[test]
fn everything_that_restricts_a_pod_is_read() {
    let pod = valid(&pod(&full()));
    for policy in [&pod.ingress, &pod.egress] {
        let NetworkPolicy::Isolated { by, rules } = policy else {
            panic!("open");
        };
        assert_eq!(
            by.iter().map(|n| &**n).collect::<Vec<_>>(),
            ["NetworkPolicy shop/cart"]
        );
        assert_eq!(rules.policies.len(), 1);
    }
    assert_eq!(pod.authorization.expect("rules").policies.len(), 1);
    assert_eq!(
        pod.http_ports.keys().copied().collect::<Vec<_>>(),
        [8080, 9090]
    );
}

#[test]
fn a_pod_is_strict_without_chains_for_plain_text() {
    let strict = PodRules {
        strict: true,
        ..full()
    };
    assert!(!valid(&pod(&strict)).permissive);
}

#[test]
fn isolation_without_a_rule_allows_nobody() {
    let rules = PodRules {
        network_policy: Some(Rbac::default()),
        egress: Some(Rbac::default()),
        ..PodRules::default()
    };
    let pod = valid(&pod(&rules));
    for policy in [pod.ingress, pod.egress] {
        let NetworkPolicy::Isolated { rules, .. } = policy else {
            panic!("open");
        };
        assert!(rules.policies.is_empty());
    }
}

/// Changes the HttpConnectionManager of every chain that has one.
fn with_manager(wire: &mut WireListener, change: impl Fn(&mut HttpConnectionManager)) {
    use heddle_proto::envoy::config::listener::v3::filter::ConfigType;
    for chain in &mut wire.filter_chains {
        let Some(last) = chain.filters.last_mut() else {
            continue;
        };
        let Some(ConfigType::TypedConfig(any)) = &last.config_type else {
            continue;
        };
        if let Ok(mut manager) = unpack::<HttpConnectionManager>(any) {
            change(&mut manager);
            last.config_type = Some(ConfigType::TypedConfig(pack(&manager)));
        }
    }
}

#[test]
fn the_callers_identity_is_told_if_asked_for_and_never_taken_from_the_client() {
    let with = |details: ForwardClientCertDetails, uri| {
        let mut wire = pod(&full());
        with_manager(&mut wire, |manager| {
            manager.forward_client_cert_details = details.into();
            manager.set_current_client_cert_details = Some(SetCurrentClientCertDetails {
                uri,
                ..SetCurrentClientCertDetails::default()
            });
        });
        decode(&wire)
    };
    let told = |result| match result {
        Ok(Listener::Pod(pod)) => pod.http_ports[&8080].forward_identity,
        other => panic!("{other:?}"),
    };
    assert!(told(with(ForwardClientCertDetails::SanitizeSet, true)));
    assert!(!told(with(ForwardClientCertDetails::SanitizeSet, false)));
    assert!(!told(with(ForwardClientCertDetails::Sanitize, true)));
    for details in [
        ForwardClientCertDetails::ForwardOnly,
        ForwardClientCertDetails::AppendForward,
        ForwardClientCertDetails::AlwaysForwardOnly,
    ] {
        refused(
            with(details, true),
            "filter_chains[0].filters.forward_client_cert_details",
            "claim any identity",
        );
    }
}

#[track_caller]
fn refused_with(change: impl FnOnce(&mut WireListener), field: &str, words: &str) {
    let mut wire = pod(&full());
    change(&mut wire);
    refused(decode(&wire), field, words);
}

fn scope_of(wire: &mut WireListener, change: impl FnOnce(&mut Pod)) {
    let metadata = wire.metadata.as_mut().expect("metadata");
    let any = metadata
        .typed_filter_metadata
        .get_mut(names::LISTENER_SCOPE)
        .expect("scope");
    let mut scope: ListenerScope = unpack(any).expect("valid");
    if let Some(Kind::Pod(pod)) = &mut scope.kind {
        change(pod);
    }
    *any = pack(&scope);
}

#[test]
fn chains_that_contradict_each_other_are_refused() {
    // Order: tls/8080, tls/9090, tls, raw/8080, raw/9090, raw.
    refused_with(
        |l| drop(l.filter_chains.remove(2)),
        "filter_chains",
        "other ports",
    );
    refused_with(
        |l| drop(l.filter_chains.remove(3)),
        "filter_chains",
        "differ in ports",
    );
    refused_with(
        |l| drop(l.filter_chains.remove(5)),
        "filter_chains",
        "differ in ports",
    );
    refused_with(
        |l| drop(l.filter_chains[5].filters.remove(0)),
        "filter_chains",
        "same network policy",
    );
    refused_with(
        |l| drop(l.filter_chains[2].filters.remove(1)),
        "filter_chains",
        "same authorization",
    );
    refused_with(
        |l| {
            let other = allow(Rule::DestinationPort(1), Identifier::Any(true));
            l.filter_chains[0].filters[0] = network_rbac(names::FILTER_NETWORK_POLICY, &other);
        },
        "filter_chains",
        "same network policy",
    );
    refused_with(
        |l| l.filter_chains.push(l.filter_chains[0].clone()),
        "filter_chains[6]",
        "second chain",
    );
    refused_with(|l| l.filter_chains.clear(), "filter_chains", "empty");
    refused_with(
        |l| l.default_filter_chain = Some(l.filter_chains[2].clone()),
        "default_filter_chain",
        "not understood",
    );
    refused_with(
        |l| l.filter_chains[2].filters[2] = l.filter_chains[0].filters[1].clone(),
        "filter_chains[2].filters[2].http_filters[0]",
        "second RBAC filter",
    );
}

#[test]
fn rules_that_are_announced_must_be_there() {
    refused_with(
        |l| {
            for chain in &mut l.filter_chains {
                chain.filters.remove(0);
            }
        },
        "network_policy",
        "there are no rules",
    );
    refused_with(
        |l| scope_of(l, |pod| pod.egress = None),
        "metadata.pod.egress.rbac",
        "there are no rules",
    );
    refused_with(
        |l| {
            scope_of(l, |pod| {
                if let Some(egress) = &mut pod.egress {
                    egress.rbac = vec![0xff];
                }
            });
        },
        "metadata.pod.egress.rbac",
        "malformed",
    );
    refused_with(
        |l| {
            let empty = filter(names::FILTER_NETWORK_POLICY, &NetworkRbac::default());
            l.filter_chains[0].filters[0] = empty;
        },
        "filter_chains[0].filters[0].rules",
        "missing",
    );
}

#[test]
fn anything_less_than_mutual_tls_with_the_pods_identity_is_refused() {
    refused_with(
        |l| l.filter_chains[0].transport_socket = None,
        "filter_chains[0].transport_socket",
        "missing",
    );
    refused_with(
        |l| l.filter_chains[3].transport_socket = Some(mutual_tls(POD_IDENTITY)),
        "filter_chains[3].transport_socket",
        "contradicts",
    );
    refused_with(
        |l| {
            let other = "spiffe://cluster.local/ns/shop/sa/other";
            l.filter_chains[0].transport_socket = Some(mutual_tls(other));
        },
        "filter_chains[0].transport_socket.tls_certificate_sds_secret_configs",
        POD_IDENTITY,
    );
    refused_with(
        |l| {
            use heddle_proto::envoy::config::core::v3::transport_socket::ConfigType;
            use heddle_proto::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
            let socket = l.filter_chains[0]
                .transport_socket
                .as_mut()
                .expect("a socket");
            if let Some(ConfigType::TypedConfig(any)) = &mut socket.config_type {
                let mut tls: DownstreamTlsContext = unpack(any).expect("valid");
                tls.require_client_certificate = Some(BoolValue { value: false });
                *any = pack(&tls);
            }
        },
        "filter_chains[0].transport_socket.require_client_certificate",
        "must be true",
    );
    refused_with(
        |l| {
            let conditions = l.filter_chains[3].filter_chain_match.as_mut();
            conditions.expect("conditions").transport_protocol.clear();
        },
        "filter_chains[3].filter_chain_match.transport_protocol",
        "neither tls nor raw_buffer",
    );
}

#[test]
fn a_pods_listener_leads_to_the_pod_and_nowhere_else() {
    refused_with(
        |l| l.filter_chains[2].filters[2] = tcp_proxy("shop/other:80"),
        "filter_chains[2].filters",
        "shop/other:80",
    );
    refused_with(
        |l| with_manager(l, |manager| manager.route_specifier = Some(rds("routes"))),
        "filter_chains[0].filters.route_config",
        "in the listener",
    );
}

#[test]
fn who_the_pod_is_must_be_told_whole() {
    refused_with(
        |l| scope_of(l, |pod| pod.namespace.clear()),
        "metadata.pod.namespace",
        "namespace",
    );
    refused_with(
        |l| scope_of(l, |pod| pod.service_account.clear()),
        "metadata.pod.service_account",
        "service account",
    );
    refused_with(
        |l| scope_of(l, |pod| pod.uid.clear()),
        "metadata.pod.uid",
        "missing",
    );
    refused_with(
        |l| scope_of(l, |pod| pod.name = "another".to_owned()),
        "name",
        "pod/shop/another",
    );
    refused_with(
        |l| l.traffic_direction = TrafficDirection::Outbound.into(),
        "traffic_direction",
        "contradicts",
    );
    refused_with(
        |l| l.metadata = scope(Kind::Outbound(Outbound::default())),
        "metadata",
        "must be a pod's",
    );
}
