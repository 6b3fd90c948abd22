use heddle_proto::{
    envoy::data::dns::v3::dns_table::{
        AddressList, DnsService, DnsServiceList, DnsServiceTarget, dns_endpoint::EndpointConfig,
        dns_service_target::EndpointType,
    },
    heddle::v1,
    pack,
};

use super::refused;
use crate::{
    DnsAnswer, Tunnel,
    decode::{self, Resident},
    testing::*,
};

#[test]
fn a_workload_is_read() {
    let wire = workload("cart-7d4", &[[10, 1, 0, 4]]);
    let found = decode::workload("shop/cart-7d4", &pack(&wire), &trust_domain()).expect("valid");
    let Resident::Pod(pod) = found else {
        panic!("not a pod");
    };
    assert_eq!(pod.identity.to_string(), POD_IDENTITY);
    assert_eq!(pod.tunnel, Tunnel::Hbone);
    assert_eq!(pod.addresses[0].to_string(), "10.1.0.4");
}

#[test]
fn a_nodes_own_addresses_have_no_identity() {
    let wire = v1::Workload {
        name: "node-a".to_owned(),
        addresses: vec![vec![10, 0, 0, 1]],
        ..v1::Workload::default()
    };
    let found = decode::workload("node/node-a", &pack(&wire), &trust_domain()).expect("valid");
    assert!(matches!(found, Resident::Node(node) if &*node.name == "node-a"));
}

#[test]
fn a_workload_that_is_not_understood_is_refused() {
    let with = |change: fn(&mut v1::Workload)| {
        let mut wire = workload("cart-7d4", &[[10, 1, 0, 4]]);
        change(&mut wire);
        decode::workload("shop/cart-7d4", &pack(&wire), &trust_domain())
    };
    refused(
        with(|w| w.addresses.push(vec![1, 2, 3])),
        "addresses[1]",
        "3 bytes",
    );
    refused(with(|w| w.tunnel = 7), "tunnel", "unknown value 7");
    refused(
        with(|w| w.namespace = "Bad".to_owned()),
        "namespace",
        "namespace",
    );
    refused(with(|w| w.namespace.clear()), "namespace", "missing");
    refused(
        with(|w| w.service_account.clear()),
        "service_account",
        "empty",
    );
    refused(with(|w| w.name = "other".to_owned()), "name", "shop/other");
}

#[test]
fn an_address_set_is_read() {
    let found =
        decode::address_set(&pack(&address_set(&[[10, 0, 0, 2], [10, 0, 0, 1]]))).expect("valid");
    assert_eq!(found.len(), 2);
    let bad = v1::AddressSet {
        addresses: vec![Vec::new()],
    };
    refused(decode::address_set(&pack(&bad)), "addresses[0]", "0 bytes");
}

#[test]
fn only_the_trust_bundle_is_taken_of_secrets() {
    let pem = "-----BEGIN CERTIFICATE-----\n";
    let found = decode::trust_bundle("ROOTCA", &pack(&roots(pem))).expect("valid");
    assert_eq!(&*found, pem);
    refused(
        decode::trust_bundle("OTHER", &pack(&roots(pem))),
        "",
        "ROOTCA",
    );
    refused(
        decode::trust_bundle("ROOTCA", &pack(&roots("no PEM"))),
        "validation_context.trusted_ca",
        "no certificate",
    );
}

fn service(host: &str, port: u32, count: usize) -> EndpointConfig {
    let target = DnsServiceTarget {
        port,
        endpoint_type: Some(EndpointType::HostName(host.to_owned())),
        ..DnsServiceTarget::default()
    };
    let service = DnsService {
        targets: vec![target],
        ..DnsService::default()
    };
    EndpointConfig::ServiceList(DnsServiceList {
        services: vec![service; count],
    })
}

fn addresses(list: &[&str]) -> EndpointConfig {
    EndpointConfig::AddressList(AddressList {
        address: list.iter().map(ToString::to_string).collect(),
    })
}

#[test]
fn dns_names_are_read() {
    let wire = dns(vec![
        (
            "Cart.Shop.svc.cluster.local.",
            addresses(&["10.96.0.1", "fd00::1"]),
        ),
        (
            "pg.shop.svc.cluster.local",
            EndpointConfig::ClusterName("shop/pg:5432".to_owned()),
        ),
        (
            "_http._tcp.cart.shop.svc.cluster.local",
            service("cart.shop.svc.cluster.local", 80, 1),
        ),
    ]);
    let records = decode::dns_table(&pack(&wire)).expect("valid");
    assert_eq!(&*records[0].name, "cart.shop.svc.cluster.local");
    assert!(matches!(&records[0].answer, DnsAnswer::Addresses(list) if list.len() == 2));
    assert_eq!(records[1].answer, DnsAnswer::Cluster("shop/pg:5432".into()));
    assert_eq!(
        records[2].answer,
        DnsAnswer::Service {
            target: "cart.shop.svc.cluster.local".into(),
            port: 80
        }
    );
}

#[test]
fn dns_records_that_are_not_understood_are_refused() {
    let one = |name: &str, answer| decode::dns_table(&pack(&dns(vec![(name, answer)])));
    refused(
        one("", addresses(&[])),
        "virtual_domains[0].name",
        "no DNS name",
    );
    refused(
        one("a..b", addresses(&[])),
        "virtual_domains[0].name",
        "no DNS name",
    );
    refused(
        one("a", addresses(&["10.0.0.1", "x"])),
        "virtual_domains[0].endpoint.address_list.address[1]",
        "IP address",
    );
    refused(
        one("a", service("b", 80, 2)),
        "virtual_domains[0].endpoint.service_list.services",
        "exactly one",
    );
    refused(
        one("a", service("b", 70_000, 1)),
        "virtual_domains[0].endpoint.service_list.services[0].targets[0].port",
        "70000",
    );
}
