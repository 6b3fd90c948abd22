use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Kind;

/// An object of any kind; `version` makes its content differ.
fn object(kind: Kind, namespace: &str, name: &str, version: u32) -> Object {
    let namespace = kind.is_namespaced().then_some(namespace);
    let document = json!({
        "apiVersion": kind.api_version(),
        "kind": kind.as_str(),
        "metadata": {"name": name, "namespace": namespace, "labels": {"version": version.to_string()}},
        "spec": {
            "gatewayClassName": "c", "listeners": [], "controllerName": "example.com/c", "from": [], "to": [],
        },
        "addressType": "IPv4",
        "endpoints": [],
    });
    Object::from_value(kind, document).unwrap()
}

#[test]
fn an_object_of_every_kind_is_found_replaced_and_removed() {
    for kind in Kind::ALL {
        let mut cluster = Cluster::default();
        let (old, new) = (
            object(*kind, "shop", "cart", 1),
            object(*kind, "shop", "cart", 2),
        );
        let id = old.id();
        assert_eq!(cluster.get(&id), None);
        cluster.insert(old.clone());
        assert_eq!((cluster.get(&id), cluster.count(*kind)), (Some(old), 1));
        cluster.insert(new.clone());
        assert_eq!((cluster.get(&id), cluster.count(*kind)), (Some(new), 1));
        assert!(cluster.remove(&id));
        assert!(!cluster.remove(&id));
        assert_eq!(cluster, Cluster::default());
    }
}

#[test]
fn a_change_of_one_kind_leaves_the_others_shared() {
    let mut cluster = Cluster::default();
    cluster.insert(object(Kind::Service, "shop", "cart", 1));
    cluster.insert(object(Kind::Pod, "shop", "cart-1", 1));
    let before = cluster.clone();
    cluster.insert(object(Kind::Pod, "shop", "cart-2", 1));
    assert!(Arc::ptr_eq(&before.services, &cluster.services));
    assert_eq!((before.pods.len(), cluster.pods.len()), (1, 2));
    assert!(!cluster.remove(&object(Kind::Service, "shop", "other", 1).id()));
    assert!(Arc::ptr_eq(&before.services, &cluster.services));
}

fn any_object() -> impl Strategy<Value = Object> {
    (0..Kind::ALL.len(), 0..2u8, 0..3u8).prop_map(|(kind, namespace, name)| {
        object(
            Kind::ALL[kind],
            &format!("n{namespace}"),
            &format!("o{name}"),
            1,
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_in_which_objects_come_does_not_matter(
        (objects, shuffled) in prop::collection::vec(any_object(), 0..20)
            .prop_flat_map(|objects| (Just(objects.clone()), Just(objects).prop_shuffle()))
    ) {
        let collect = |objects: Vec<Object>| {
            let mut cluster = Cluster::default();
            objects.into_iter().for_each(|object| cluster.insert(object));
            cluster
        };
        prop_assert_eq!(collect(objects), collect(shuffled));
    }
}
