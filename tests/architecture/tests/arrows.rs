//! The arrows between crates are those of ARCHITECTURE.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

type Arrows = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata works in this workspace")
}

/// Rows of the table below the heading "Arrows": `| crate | may depend on |`.
fn drawn() -> Arrows {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let section = text.split("## Arrows").nth(1).expect("a section `Arrows`");
    let section = section.split("\n## ").next().unwrap_or_default();
    section
        .lines()
        .filter(|line| line.starts_with("| heddle"))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let name = cells.next().expect("a name").to_owned();
            let targets = cells.next().expect("a second column");
            let targets = targets.split(',').map(|cell| cell.trim().to_owned());
            (name, targets.filter(|cell| !cell.is_empty()).collect())
        })
        .collect()
}

fn built(metadata: &Metadata) -> Arrows {
    let ours = |name: &str| name.starts_with("heddle");
    metadata
        .packages
        .iter()
        .map(|package| {
            let dependencies = package.dependencies.iter();
            let targets = dependencies
                .filter(|d| d.kind == DependencyKind::Normal && ours(&d.name))
                .map(|d| d.name.clone());
            (package.name.to_string(), targets.collect())
        })
        .collect()
}

#[test]
fn every_crate_has_a_row_and_no_arrow_is_missing_from_it() {
    let (drawn, built) = (drawn(), built(&metadata()));
    let names = |arrows: &Arrows| arrows.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&drawn), names(&built), "rows of the table / crates");
    for (name, targets) in &built {
        let surplus: Vec<_> = targets.difference(&drawn[name]).collect();
        assert!(
            surplus.is_empty(),
            "{name} depends on {surplus:?}, which ARCHITECTURE.md does not allow"
        );
    }
}

#[test]
fn the_arrows_have_no_cycle() {
    let mut arrows = drawn();
    while !arrows.is_empty() {
        let leaves: Vec<_> = arrows
            .iter()
            .filter(|(_, targets)| targets.iter().all(|target| !arrows.contains_key(target)))
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!leaves.is_empty(), "a cycle among {:?}", arrows.keys());
        arrows.retain(|name, _| !leaves.contains(name));
    }
}

/// Which crates may name a dependency that stands for an effect.
#[test]
fn effects_stay_at_the_edge() {
    let allowed: [(&str, &[&str]); 5] = [
        (
            "kube",
            &[
                "heddle-resources",
                "heddle-sources",
                "heddle-status",
                "heddle-control-plane",
                "heddle",
            ],
        ),
        ("rustix", &["heddle-redirect", "heddle-bench"]),
        ("envoy-types", &["heddle-proto"]),
        (
            "nix",
            &[
                "heddle-redirect",
                "heddle-testbed",
                "heddle-scenarios",
                "heddle-bench",
                "heddle-node-proxy",
                "heddle",
            ],
        ),
        ("axum", &["heddle-control-plane", "heddle-node-proxy"]),
    ];
    let metadata = metadata();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let rule = allowed.iter().find(|(name, _)| *name == dependency.name);
            let Some((name, users)) = rule else { continue };
            assert!(
                dependency.kind != DependencyKind::Normal || users.contains(&package.name.as_str()),
                "{} names {name}; only {users:?} may",
                package.name
            );
        }
    }
}

#[test]
fn pure_crates_have_no_way_to_do_io() {
    let pure = [
        "heddle-identity",
        "heddle-model",
        "heddle-resolve",
        "heddle-translate",
        "heddle-snapshot",
        "heddle-routing",
    ];
    let effects = [
        "tokio", "tonic", "hyper", "notify", "nix", "socket2", "kube",
    ];
    for package in &metadata().packages {
        if !pure.contains(&package.name.as_str()) {
            continue;
        }
        for dependency in &package.dependencies {
            assert!(
                dependency.kind != DependencyKind::Normal
                    || !effects.contains(&dependency.name.as_str()),
                "{} is pure and must not depend on {}",
                package.name,
                dependency.name
            );
        }
    }
}
