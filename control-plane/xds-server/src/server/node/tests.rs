use heddle_proto::google::protobuf::{Struct, Value};
use tonic::Code;

use super::*;

const WORKLOAD: &str = "spiffe://cluster.local/ns/shop/sa/edge";

fn view(identity: &str, metadata: &[(&str, &str)]) -> Result<View, Status> {
    let value = |text: &str| Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    };
    let fields = metadata
        .iter()
        .map(|(key, text)| ((*key).to_owned(), value(text)));
    let node = Node {
        id: identity.to_owned(),
        metadata: Some(Struct {
            fields: fields.collect(),
        }),
        ..Node::default()
    };
    let identity = NodeIdentity {
        node: identity.into(),
        expires: None,
    };
    view_of(Some(&node), &identity, &Settings::default())
}

fn gateway(identity: &str, name: &str) -> Result<View, Status> {
    view(identity, &[(ROLE, ROLE_GATEWAY), (GATEWAY, name)])
}

#[test]
fn a_workload_serves_gateways_of_its_own_namespace_only() {
    let served = gateway(WORKLOAD, "shop/web").unwrap();
    assert_eq!(served.role, Role::Gateway);
    assert_eq!(served.gateway.as_deref(), Some("shop/web"));
    for other in ["shop2/web", "sho/web", "edge/web", "cluster.local/web"] {
        let refused = gateway(WORKLOAD, other).unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{other}");
    }
    assert!(gateway("node-a", "shop/web").is_ok());
}

#[test]
fn a_workload_is_no_node_but_may_be_a_client() {
    let refused = view(WORKLOAD, &[(ROLE, ROLE_NODE)]).unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        view(WORKLOAD, &[(ROLE, ROLE_CLIENT)]).unwrap().role,
        Role::Client
    );
    assert_eq!(view(WORKLOAD, &[]).unwrap().role, Role::Client);
}

#[test]
fn a_gateway_has_to_say_which_one() {
    let nameless = view("node-a", &[(ROLE, ROLE_GATEWAY)]).unwrap_err();
    assert_eq!(nameless.code(), Code::InvalidArgument);
    for name in ["", "web", "/web", "shop/", "shop/web/http"] {
        let refused = gateway("node-a", name).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}");
        assert!(refused.message().contains("node.metadata.gateway"));
    }
}

#[test]
fn a_workload_that_names_another_namespace_account_or_pod_is_refused_and_told_both_names() {
    let identity = NodeIdentity {
        node: WORKLOAD.into(),
        expires: None,
    };
    for other in [
        "spiffe://cluster.local/ns/bank/sa/edge",
        "spiffe://cluster.local/ns/shop/sa/pay",
        "spiffe://cluster.local/ns/shop/sa/edge/pod/edge-7d4",
        "shop/edge-7d4",
        "node-a",
    ] {
        let node = Node {
            id: other.to_owned(),
            ..Node::default()
        };
        let refused = view_of(Some(&node), &identity, &Settings::default()).unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{other}");
        for name in [WORKLOAD, other] {
            assert!(refused.message().contains(name), "{}", refused.message());
        }
    }
}
