use std::fs;

use proptest::prelude::*;

use super::{config, good, service};
use crate::{
    Store,
    last_good::{self, Damage, LoadError},
    testing::*,
};

fn filled() -> Store {
    let mut store = store();
    service(&mut store, "shop/cart:80", "10.96.0.1");
    good(&mut store, one(POD, &pod(&PodRules::default())));
    good(&mut store, one("shop/a", &workload("a", &[[10, 1, 0, 1]])));
    good(&mut store, one("set", &address_set(&[[10, 1, 0, 1]])));
    good(
        &mut store,
        one("ROOTCA", &roots("-----BEGIN CERTIFICATE-----")),
    );
    store
}

#[test]
fn what_is_saved_is_loaded_into_the_same_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("last-good");
    let before = filled();
    last_good::save(&path, &before.good()).expect("saved");
    let mut after = store();
    for update in last_good::load(&path).expect("loaded") {
        good(&mut after, update);
    }
    assert_eq!(
        format!("{:?}", config(&before).pods),
        format!("{:?}", config(&after).pods)
    );
    assert_eq!(before.good(), after.good());
    assert_eq!(before.referenced(), after.referenced());
    assert_eq!(
        config(&after).outbound.len(),
        1,
        "the listener has its routes"
    );
    for url in heddle_proto::type_url::PUSH_ORDER {
        assert_eq!(before.versions(url), after.versions(url));
    }
}

#[test]
fn a_second_save_replaces_the_first_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("last-good");
    last_good::save(&path, &filled().good()).expect("saved");
    last_good::save(&path, &[]).expect("saved");
    assert!(last_good::load(&path).expect("loaded").is_empty());
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
}

#[test]
fn a_missing_foreign_or_damaged_file_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("last-good");
    assert!(matches!(
        last_good::load(&path),
        Err(LoadError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound
    ));
    fs::write(&path, "heddle last good configuration 9\n").expect("written");
    assert!(matches!(last_good::load(&path), Err(LoadError::Format(_))));
    let mut bytes = last_good::encode(&filled().good());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).expect("written");
    let error = last_good::load(&path).expect_err("damaged");
    assert!(matches!(error, LoadError::Damaged(_)));
    assert!(error.to_string().contains("last-good"), "{error}");
}

#[test]
fn a_file_cut_anywhere_is_refused_whole() {
    let bytes = last_good::encode(&filled().good());
    for length in 0..bytes.len() {
        assert!(
            last_good::decode(&bytes[..length]).is_err(),
            "cut at {length}"
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(last_good::decode(&bytes), Err(Damage::Format));
    }

    #[test]
    fn arbitrary_content_under_a_right_hash_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let empty = last_good::encode(&[]);
        let first_line = empty.split_inclusive(|byte| *byte == b'\n').next().expect("a line");
        let hash = blake3::hash(&bytes);
        let _ = last_good::decode(&[first_line, hash.as_bytes(), &bytes].concat());
    }
}
