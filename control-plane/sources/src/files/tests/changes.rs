//! What an edit changes, and what stays.

use heddle_resources::Object;

use super::*;

#[test]
fn several_documents_lists_json_and_folders_are_read() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: d}}\n";
    let json = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"e\"}\n}\n";
    let windows = format!(
        "\u{feff}%YAML 1.2\r\n---\r\n{}\r\n...\r\n---\r\n# nothing\r\n",
        service("a", 1)
    );
    let mut manifests = Manifests::new(&[
        ("one.yaml", &windows),
        (
            "two.yml",
            &format!(
                "# head\n---\n---\n{}--- # tail\n{}",
                service("b", 1),
                service("c", 1)
            ),
        ),
        ("deep/er/list.yaml", list),
        ("deep/e.json", json),
        ("notes.txt", "not: [read"),
        (".hidden.yaml", "not: [read"),
        (".git/x.yaml", "not: [read"),
    ]);
    let update = manifests.refresh();
    assert_eq!(shown(&update), [""; 0]);
    assert_eq!(update.changes, services(&["a", "b", "c", "d", "e"]));
}

#[test]
fn an_edit_changes_what_it_touches_and_counts_its_generation() {
    let mut manifests = Manifests::new(&[(
        "a.yaml",
        &format!("{}---\n{}", service("a", 1), service("b", 1)),
    )]);
    let first = manifests.refresh();
    manifests.write(
        "a.yaml",
        &format!("# a comment\n{}---\n{}", service("a", 1), service("b", 2)),
    );
    let second = manifests.refresh();
    assert_eq!(second.changes, services(&["b"]));
    let generation = |update: &Update, name: &str| {
        update
            .cluster
            .get(&id(Kind::Service, name))
            .unwrap()
            .metadata()
            .generation
    };
    assert_eq!(
        (generation(&first, "b"), generation(&second, "b")),
        (Some(1), Some(2))
    );
    assert_eq!(generation(&second, "a"), Some(1));
    manifests.write("b.yaml", "# nothing\n");
    assert!(manifests.refresh().changes.is_empty());
    manifests.remove("a.yaml");
    let last = manifests.refresh();
    assert_eq!(
        (last.changes, last.cluster.services.len()),
        (services(&["a", "b"]), 0)
    );
}

#[test]
fn a_document_that_becomes_invalid_keeps_its_last_good_object() {
    let text = |port: &str| {
        format!(
            "{}---\n{}",
            service("a", 1).replace("port: 1", port),
            service("b", 1)
        )
    };
    let mut manifests = Manifests::new(&[("a.yaml", &text("port: 1"))]);
    manifests.refresh();
    manifests.write(
        "a.yaml",
        &text("port: high").replace("port: 1}", "port: 2}"),
    );
    let broken = manifests.refresh();
    assert_eq!(
        (port(&broken.cluster, "a"), port(&broken.cluster, "b")),
        (Some(1), Some(2))
    );
    assert_eq!(broken.changes, services(&["b"]));
    assert_eq!(
        shown(&broken),
        [
            "a.yaml#1 Service default/a: is invalid: the last good version stays in effect",
            r#"a.yaml#1 Service default/a: spec.ports[0].port: must be a whole number, not the string "high""#,
        ]
    );
    manifests.write("a.yaml", &text("port: 3"));
    let mended = manifests.refresh();
    assert_eq!(port(&mended.cluster, "a"), Some(3));
    assert!(mended.problems.is_empty());
}

#[test]
fn while_a_part_of_a_file_cannot_be_read_nothing_of_it_is_removed() {
    let mut manifests = Manifests::new(&[
        (
            "a.yaml",
            &format!("{}---\n{}", service("a", 1), service("b", 1)),
        ),
        ("z.yaml", ""),
    ]);
    manifests.refresh();
    manifests.write(
        "a.yaml",
        &format!(
            "{}---\n{}",
            service("a", 2),
            service("b", 1).replace("metadata", "  meta")
        ),
    );
    let broken = manifests.refresh();
    assert_eq!(
        (port(&broken.cluster, "a"), port(&broken.cluster, "b")),
        (Some(2), Some(1))
    );
    let told = shown(&broken).join("\n");
    assert!(told.contains("a.yaml Service default/b: is not found in this file while a part of it cannot be read: the last good version stays"), "{told}");
    // Defined elsewhere, it is no longer this file's.
    manifests.write("z.yaml", &service("b", 9));
    assert_eq!(port(&manifests.refresh().cluster, "b"), Some(9));
    manifests.remove("z.yaml");
    assert_eq!(
        port(&manifests.refresh().cluster, "b"),
        None,
        "it was z.yaml's, and that is gone"
    );
}

#[test]
fn a_file_that_is_gone_takes_its_objects_along_even_if_it_was_broken() {
    let mut manifests = Manifests::new(&[("a.yaml", &service("a", 1))]);
    manifests.refresh();
    manifests.write("a.yaml", "[");
    assert_eq!(port(&manifests.refresh().cluster, "a"), Some(1));
    manifests.remove("a.yaml");
    let gone = manifests.refresh();
    assert_eq!((gone.cluster.services.len(), gone.problems.len()), (0, 0));
}

#[test]
fn an_object_can_move_to_another_file() {
    let mut manifests = Manifests::new(&[("a.yaml", &service("a", 1)), ("b.yaml", "")]);
    manifests.refresh();
    manifests.write("b.yaml", &service("a", 1));
    manifests.write("a.yaml", "");
    let moved = manifests.refresh();
    assert!(moved.changes.is_empty() && moved.problems.is_empty());
    let place = &moved.places[&id(Kind::Service, "a")];
    assert_eq!(place.to_string(), "b.yaml#1");
    assert_eq!(port(&moved.cluster, "a"), Some(1));
}

#[test]
fn an_object_is_completed_as_an_api_server_would() {
    let mut manifests = Manifests::new(&[("a.yaml", &service("a", 1))]);
    let Some(Object::Service(first)) = manifests.refresh().cluster.get(&id(Kind::Service, "a"))
    else {
        panic!("no service");
    };
    assert_eq!(first.metadata.namespace.as_deref(), Some("default"));
    let uid = first.metadata.uid.clone().unwrap();
    assert_eq!((uid.len(), uid.as_bytes()[14]), (36, b'8'));
    let (again, _) = crate::files::read(manifests.folder.path()).unwrap();
    assert_eq!(
        again.services.first_key_value().unwrap().1.metadata.uid,
        Some(uid)
    );
}

mod any_order {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Edits one after the other lead to the same objects as reading the result once.
        #[test]
        fn what_is_in_effect_after_good_edits_is_what_is_written(
            edits in prop::collection::vec((0..3usize, prop::collection::vec((0..4usize, 1..4u16), 0..4)), 1..8)
        ) {
            let mut manifests = Manifests::new(&[]);
            for (file, content) in edits {
                let documents: Vec<_> = content.iter().map(|(name, port)| service(&format!("s{name}"), *port)).collect();
                manifests.write(&format!("f{file}.yaml"), &documents.join("---\n"));
                manifests.refresh();
            }
            let (fresh, problems) = crate::files::read(manifests.folder.path()).unwrap();
            let last = manifests.refresh();
            prop_assert_eq!(problems.as_slice(), &*last.problems);
            let ports = |cluster: &Cluster| -> Vec<_> {
                (0..4).map(|name| port(cluster, &format!("s{name}"))).collect()
            };
            prop_assert_eq!(ports(&fresh), ports(&last.cluster));
        }
    }
}
