use std::{collections::BTreeSet, net::IpAddr, path::Path, time::Duration};

use heddle_config::{Update, last_good};
use heddle_identity::TrustDomain;
use heddle_proto::{google::protobuf::Any, heddle::v1::AddressSet, pack, type_url};
use heddle_xds_client::Handler;

use super::Configuration;

fn open(path: &Path) -> Configuration {
    Configuration::open(TrustDomain::new("cluster.local").unwrap(), path)
}

/// An address set of this name that holds the address.
fn set(name: &str, address: [u8; 4]) -> Update {
    let set = AddressSet {
        addresses: vec![address.to_vec()],
    };
    one(name, pack(&set))
}

fn one(name: &str, body: Any) -> Update {
    Update {
        type_url: type_url::ADDRESS_SET.to_owned(),
        resources: vec![(name.to_owned(), format!("{:?}", body.value), body)],
        removed: Vec::new(),
    }
}

fn held(configuration: &Configuration, set: &str) -> Option<BTreeSet<IpAddr>> {
    let config = configuration.shared().load_full();
    config.address_sets.0.get(set).map(|set| (**set).clone())
}

#[test]
fn the_last_good_configuration_is_in_force_before_any_control_plane_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last-good");
    last_good::save(&path, &[set("web", [10, 244, 1, 5])]).unwrap();
    let configuration = open(&path);
    assert_eq!(
        held(&configuration, "web"),
        Some(["10.244.1.5".parse().unwrap()].into())
    );
    let versions = configuration.versions(type_url::ADDRESS_SET);
    assert_eq!(
        versions.keys().collect::<Vec<_>>(),
        ["web"],
        "and the control plane is told that it is there already"
    );
}

#[test]
fn without_a_last_good_configuration_it_begins_with_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = open(&folder.path().join("last-good"));
    assert_eq!(held(&configuration, "web"), None);
}

#[test]
fn only_what_changes_the_configuration_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let mut configuration = open(&folder.path().join("last-good"));
    let mut changes = configuration.changes();
    assert!(configuration.apply(set("web", [10, 0, 0, 1])).is_empty());
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert!(configuration.apply(set("web", [10, 0, 0, 1])).is_empty());
    let garbage = Any {
        type_url: type_url::ADDRESS_SET.to_owned(),
        value: vec![0xff],
    };
    assert_eq!(configuration.apply(one("bad", garbage)).len(), 1);
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_in_is_on_disk_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/on/demand/last-good");
    let mut configuration = open(&path);
    let keeping = configuration.keep(path.clone());
    configuration.apply(set("web", [10, 0, 0, 1]));
    configuration.apply(set("web", [10, 0, 0, 2]));
    drop(configuration);
    keeping.await;
    let expected = Some(["10.0.0.2".parse().unwrap()].into());
    assert_eq!(held(&open(&path), "web"), expected);
}

// The clock stands, and jumps to the next time limit whenever nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn a_configuration_that_never_rests_is_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last-good");
    let mut configuration = open(&path);
    let _keeping = tokio::spawn(configuration.keep(path.clone()));
    for nth in 0..100 {
        configuration.apply(set("web", [10, 0, 0, nth]));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(held(&open(&path), "web").is_some());
}
