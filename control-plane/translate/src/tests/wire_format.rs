//! Our ordered RBAC messages are Envoy's on the wire.

use std::collections::{BTreeMap, HashMap};

use heddle_proto::{
    Message, Name,
    envoy::{
        config::rbac::v3::{
            Permission, Policy, Principal, Rbac, permission::Rule, principal::Identifier,
        },
        extensions::filters::{http::rbac::v3 as http, network::rbac::v3 as network},
    },
};

use crate::policy::{HttpRbac, NetworkRbac, Rules};

fn policy() -> Policy {
    Policy {
        permissions: vec![Permission {
            rule: Some(Rule::Any(true)),
        }],
        principals: vec![Principal {
            identifier: Some(Identifier::Any(true)),
        }],
        ..Policy::default()
    }
}

fn ours() -> Rules {
    Rules {
        policies: BTreeMap::from([("a".to_owned(), policy()), ("b".to_owned(), policy())]),
    }
}

fn envoys() -> Rbac {
    Rbac {
        policies: HashMap::from([("a".to_owned(), policy()), ("b".to_owned(), policy())]),
        ..Rbac::default()
    }
}

#[test]
fn envoy_reads_our_network_filter() {
    let ours = NetworkRbac {
        rules: Some(ours()),
        stat_prefix: "x".to_owned(),
    };
    let read = network::Rbac::decode(&ours.encode_to_vec()[..]).unwrap();
    assert_eq!(read.rules, Some(envoys()));
    assert_eq!(read.stat_prefix, "x");
    assert_eq!(NetworkRbac::type_url(), network::Rbac::type_url());
}

#[test]
fn envoy_reads_our_http_filter() {
    let ours = HttpRbac {
        rules: Some(ours()),
    };
    let read = http::Rbac::decode(&ours.encode_to_vec()[..]).unwrap();
    assert_eq!(read.rules, Some(envoys()));
    assert_eq!(HttpRbac::type_url(), http::Rbac::type_url());
}

#[test]
fn we_send_no_action_because_allow_is_the_default() {
    assert_eq!(
        Rules::default().encode_to_vec(),
        Rbac::default().encode_to_vec()
    );
}
