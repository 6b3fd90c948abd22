//! Resolvers that are a Service's address.

use std::{net::SocketAddr, sync::Arc};

use heddle_config::{
    ClusterKind, Endpoint, EndpointHealth, EndpointSet, OutboundListener, OutboundProtocol,
    ProxyConfig, SharedConfig,
};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use tokio::net::UdpSocket;

use super::{
    addresses, cluster, lesson, query,
    server::{Here, anybody, ask_udp, resolver, serve, silent_resolver},
};
use crate::{Context, Transport, Zone, resolvers::targets};

const VIP: &str = "10.96.0.10:53";

fn vip() -> SocketAddr {
    address(VIP)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// kube-dns with these pods behind its UDP port.
fn kube_dns(endpoints: &[(SocketAddr, EndpointHealth)]) -> ProxyConfig {
    let mut config = lesson();
    addresses(&mut config, "kube-dns.kube-system", &["10.96.0.10"]);
    port(&mut config, "kube-system/kube-dns:53/udp", endpoints);
    config
}

fn healthy(endpoints: &[SocketAddr]) -> ProxyConfig {
    let healthy = |address: &SocketAddr| (*address, EndpointHealth::Healthy);
    kube_dns(&endpoints.iter().map(healthy).collect::<Vec<_>>())
}

fn port(config: &mut ProxyConfig, name: &str, endpoints: &[(SocketAddr, EndpointHealth)]) {
    cluster(config, name, ClusterKind::Eds(name.into()));
    let endpoint = |(address, health): &(SocketAddr, EndpointHealth)| Endpoint {
        address: *address,
        health: *health,
        hostname: None,
        weight: 1,
    };
    let set = EndpointSet {
        endpoints: endpoints.iter().map(endpoint).collect(),
    };
    config.endpoints.insert(name.into(), Arc::new(set));
}

/// The Service's port 53 for TCP too, with this pod behind it.
fn with_tcp(mut config: ProxyConfig, endpoint: &str) -> ProxyConfig {
    let name = "kube-system/kube-dns:53";
    port(
        &mut config,
        name,
        &[(address(endpoint), EndpointHealth::Healthy)],
    );
    let listener = OutboundListener {
        name: name.into(),
        client_namespace: None,
        addresses: vec![vip()],
        protocol: OutboundProtocol::Opaque {
            cluster: name.into(),
        },
    };
    config.outbound.insert(vip(), Arc::new(listener));
    config
}

/// Whom a pod's server would ask.
fn asked(
    config: ProxyConfig,
    resolvers: &[&str],
    transport: Transport,
    turn: u16,
    allowed: impl Fn(Transport, &[SocketAddr]) -> bool + Send + Sync + 'static,
) -> Vec<String> {
    let context = Context {
        config: SharedConfig::new(arc_swap::ArcSwap::from_pointee(config)),
        zone: Zone::new("cluster.local"),
        resolvers: resolvers.iter().map(|text| address(text)).collect(),
        dial: Box::new(Here),
        allowed: Box::new(allowed),
    };
    let targets = targets(&context, transport, turn);
    targets.iter().map(ToString::to_string).collect()
}

fn three() -> ProxyConfig {
    healthy(&["10.244.1.1:5353", "10.244.1.2:5353", "10.244.1.3:5353"].map(address))
}

#[test]
fn an_address_that_is_no_services_is_asked_itself() {
    let before = asked(ProxyConfig::default(), &[VIP], Transport::Udp, 0, anybody);
    assert_eq!(before, [VIP], "nothing is known yet");
    let other = asked(three(), &["192.0.2.53:53"], Transport::Udp, 0, anybody);
    assert_eq!(other, ["192.0.2.53:53"]);
}

#[test]
fn each_pod_behind_a_services_address_gets_its_turn_to_be_asked_first() {
    let first = |turn| asked(three(), &[VIP], Transport::Udp, turn, anybody);
    assert_eq!(
        first(0),
        ["10.244.1.1:5353", "10.244.1.2:5353", "10.244.1.3:5353"]
    );
    assert_eq!(
        first(1),
        ["10.244.1.2:5353", "10.244.1.3:5353", "10.244.1.1:5353"]
    );
}

#[test]
fn a_pod_that_is_going_is_asked_only_if_no_other_is_there() {
    use EndpointHealth::{Draining, Healthy};
    let [going, staying] = ["10.244.1.1:5353", "10.244.1.2:5353"].map(address);
    let both = kube_dns(&[(going, Draining), (staying, Healthy)]);
    assert_eq!(
        asked(both, &[VIP], Transport::Udp, 0, anybody),
        ["10.244.1.2:5353"]
    );
    let one = kube_dns(&[(going, Draining)]);
    assert_eq!(
        asked(one, &[VIP], Transport::Udp, 0, anybody),
        ["10.244.1.1:5353"]
    );
}

#[test]
fn a_service_without_anybody_behind_it_is_not_asked() {
    assert!(asked(healthy(&[]), &[VIP], Transport::Udp, 0, anybody).is_empty());
    let no_tcp = asked(three(), &[VIP], Transport::Tcp, 0, anybody);
    assert!(no_tcp.is_empty(), "{no_tcp:?}");
}

#[test]
fn each_transport_has_its_own_port_behind_the_address() {
    let config = || with_tcp(three(), "10.244.1.9:5354");
    let by_udp = asked(config(), &[VIP], Transport::Udp, 0, anybody);
    assert_eq!(by_udp[0], "10.244.1.1:5353");
    let by_tcp = asked(config(), &[VIP], Transport::Tcp, 0, anybody);
    assert_eq!(by_tcp, ["10.244.1.9:5354"]);
}

#[test]
fn a_second_resolver_comes_before_the_second_pod_of_the_first() {
    let both = asked(three(), &[VIP, "192.0.2.53:53"], Transport::Udp, 0, anybody);
    assert_eq!(
        both,
        ["10.244.1.1:5353", "192.0.2.53:53", "10.244.1.2:5353"]
    );
}

#[test]
fn only_pods_that_the_policy_allows_are_asked() {
    let only_second = |_: Transport, any: &[SocketAddr]| any.contains(&address("10.244.1.2:5353"));
    assert_eq!(
        asked(three(), &[VIP], Transport::Udp, 0, only_second),
        ["10.244.1.2:5353"]
    );
    let the_service = |_: Transport, any: &[SocketAddr]| any.contains(&vip());
    let behind = asked(three(), &[VIP], Transport::Udp, 0, the_service);
    assert_eq!(behind.len(), 3, "who may reach the Service may reach it");
    let udp_only = |transport: Transport, _: &[SocketAddr]| transport == Transport::Udp;
    let config = with_tcp(three(), "10.244.1.9:5354");
    assert!(asked(config, &[VIP], Transport::Tcp, 0, udp_only).is_empty());
}

#[tokio::test]
async fn a_name_outside_is_answered_by_a_pod_behind_the_resolvers_address() {
    let config = healthy(&[resolver().await]);
    let server = serve(config, vec![vip()], anybody).await;
    let question = query("example.com.", RecordType::A).to_vec().unwrap();
    let response = Message::from_vec(&ask_udp(server.address, &question).await).unwrap();
    assert_eq!(response.answers.len(), 1);
}

#[tokio::test]
async fn a_pod_that_refuses_is_passed_over() {
    // Connected to itself it takes nothing from others: they are told that nobody is there, and the port stays ours.
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let gone = closed.local_addr().unwrap();
    closed.connect(gone).await.unwrap();
    let config = healthy(&[gone, resolver().await]);
    let server = serve(config, vec![vip()], anybody).await;
    let mut question = query("example.com.", RecordType::A);
    // The one that is gone comes first.
    question.metadata.id = 2;
    let bytes = ask_udp(server.address, &question.to_vec().unwrap()).await;
    assert_eq!(Message::from_vec(&bytes).unwrap().answers.len(), 1);
}

// The clock stands, and jumps to the next time limit whenever nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_answer_is_passed_over() {
    let silent = silent_resolver().await;
    let config = healthy(&[silent.local_addr().unwrap(), resolver().await]);
    let server = serve(config, vec![vip()], anybody).await;
    let mut question = query("example.com.", RecordType::A);
    question.metadata.id = 2;
    let bytes = ask_udp(server.address, &question.to_vec().unwrap()).await;
    assert_eq!(Message::from_vec(&bytes).unwrap().answers.len(), 1);
    let mut buffer = [0; 512];
    let asked = silent.try_recv(&mut buffer);
    assert!(asked.is_ok(), "the silent one was asked first");
}

#[tokio::test]
async fn if_nobody_behind_the_address_is_ready_a_name_outside_is_a_server_failure() {
    let server = serve(healthy(&[]), vec![vip()], anybody).await;
    let question = query("example.com.", RecordType::A).to_vec().unwrap();
    let response = Message::from_vec(&ask_udp(server.address, &question).await).unwrap();
    assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
}
