use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_proto::{
    Message,
    envoy::{config::core::v3::Locality, service::discovery::v3::Resource as WireResource},
    google::protobuf::Any,
    type_url,
};
use proptest::prelude::*;

use crate::{Placement, Resource, ResourcesOfType, Role, Scope, Snapshot, View, diff};

fn resource(name: &str, scope: Scope, content: &str) -> Arc<Resource> {
    let message = Locality {
        zone: content.to_owned(),
        ..Locality::default()
    };
    Arc::new(Resource::new(
        type_url::LISTENER,
        name,
        scope,
        Vec::new(),
        &message,
    ))
}

fn set(resources: impl IntoIterator<Item = Arc<Resource>>) -> ResourcesOfType {
    resources
        .into_iter()
        .map(|resource| (Arc::clone(&resource.name), resource))
        .collect()
}

/// One resource for each scope; node a runs pods of `shop`, node b none.
fn snapshot() -> Snapshot {
    let resources = set([
        resource("everyone", Scope::Nodes, ""),
        resource("only-a", Scope::Node("a".into()), ""),
        resource("shop", Scope::NodesWithNamespace("shop".into()), ""),
    ]);
    let placement: Placement = BTreeMap::from([("a".into(), BTreeSet::from(["shop".into()]))]);
    Snapshot {
        types: BTreeMap::from([(type_url::LISTENER, Arc::new(resources))]),
        envoy: BTreeMap::new(),
        placement: Arc::new(placement),
    }
}

fn visible(role: Role, node: &str) -> Vec<String> {
    let view = View {
        role,
        node: node.into(),
        gateway: None,
    };
    let snapshot = snapshot();
    let resources = snapshot.visible(&view, type_url::LISTENER);
    resources
        .map(|resource| resource.name.to_string())
        .collect()
}

#[test]
fn a_node_sees_what_is_for_all_for_itself_and_for_the_namespaces_of_its_pods() {
    assert_eq!(visible(Role::Node, "a"), ["everyone", "only-a", "shop"]);
}

#[test]
fn a_node_does_not_see_what_is_for_another() {
    assert_eq!(visible(Role::Node, "b"), ["everyone"]);
}

#[test]
fn a_node_that_has_no_pods_sees_no_namespace() {
    assert_eq!(visible(Role::Node, "unheard-of"), ["everyone"]);
}

#[test]
fn other_roles_see_nothing_of_a_nodes() {
    for role in [Role::Gateway, Role::Client, Role::Grpc] {
        assert_eq!(visible(role, "a"), [""; 0], "{role:?}");
    }
}

#[test]
fn what_a_view_may_not_see_cannot_be_found_by_its_name() {
    let snapshot = snapshot();
    let view = |node: &str| View {
        role: Role::Node,
        node: node.into(),
        gateway: None,
    };
    assert!(
        snapshot
            .find(&view("a"), type_url::LISTENER, "only-a")
            .is_some()
    );
    assert!(
        snapshot
            .find(&view("b"), type_url::LISTENER, "only-a")
            .is_none()
    );
    assert!(
        snapshot
            .find(&view("a"), type_url::LISTENER, "unknown")
            .is_none()
    );
    assert!(
        snapshot
            .find(&view("a"), type_url::CLUSTER, "only-a")
            .is_none()
    );
}

#[test]
fn the_version_is_of_the_content_alone() {
    let version = |name, scope, content| resource(name, scope, content).version.clone();
    let one = version("a", Scope::Nodes, "x");
    assert_eq!(one, version("b", Scope::Node("n".into()), "x"));
    assert_ne!(one, version("a", Scope::Nodes, "y"));
}

#[test]
fn the_version_of_a_content_is_the_same_on_every_replica_and_release() {
    let resource = resource("a", Scope::Nodes, "zone-a");
    assert_eq!(resource.version.as_str(), "0a413f5a577ab1bf");
}

#[test]
fn both_encodings_hold_the_same_message() {
    let resource = resource("shop/cart:80", Scope::Nodes, "zone-a");
    let any = Any::decode(&resource.any[..]).unwrap();
    assert_eq!(any.type_url, type_url::LISTENER);
    assert_eq!(any.value, resource.body);
    let delta = WireResource::decode(&resource.delta[..]).unwrap();
    assert_eq!(delta.name, "shop/cart:80");
    assert_eq!(delta.version, resource.version.as_str());
    assert_eq!(delta.resource, Some(any));
}

#[test]
fn a_resource_that_only_moved_to_other_viewers_is_another() {
    assert_ne!(
        *resource("a", Scope::Nodes, "x"),
        *resource("a", Scope::Node("n".into()), "x")
    );
}

fn sets() -> impl Strategy<Value = ResourcesOfType> {
    prop::collection::btree_map("[a-e]", "[xyz]", 0..5).prop_map(|contents| {
        set(contents
            .into_iter()
            .map(|(name, content)| resource(&name, Scope::Nodes, &content)))
    })
}

proptest! {
    #[test]
    fn the_difference_leads_from_the_old_set_to_the_new(old in sets(), new in sets()) {
        let told = diff(&old, &new);
        let mut held = old.clone();
        for name in &told.removed {
            prop_assert!(held.remove(name).is_some(), "{name} was never there");
        }
        for resource in &told.changed {
            let before = held.insert(Arc::clone(&resource.name), Arc::clone(resource));
            prop_assert!(before.is_none_or(|before| before.version != resource.version));
        }
        prop_assert_eq!(&held, &new);
        prop_assert_eq!(told.is_empty(), old == new);
    }
}
