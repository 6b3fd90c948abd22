//! Golden folders: `tests/golden/<topic>/<case>/in.yaml`, ordinary Kubernetes objects after those of `tests/golden/_base.yaml`, must
//! become exactly the `out.<kind>.yaml` beside it. A topic shows the kinds of resources that it is about; `whole` shows all but
//! gRPC's own view, which `grpc` shows, and the edition that Envoys read, which `envoy` shows.
//!
//! Each folder is one test, with the folder as its name. `HEDDLE_UPDATE_GOLDEN=1` rewrites the outputs and deletes stale ones; read
//! the difference before you commit it: a golden file that records a bug is worse than none.

#[path = "../../resolve/tests/golden_harness/mod.rs"]
mod golden_harness;

use std::{collections::BTreeMap, fs, path::Path, process::ExitCode};

use golden_harness::{Case, compare, run};
use heddle_model::{Mesh, MtlsMode, TrustDomain};
use heddle_proto::type_url;
use heddle_resolve::{Settings, resolve};
use heddle_resources::{Cluster, Header, Object};
use heddle_snapshot::{Scope, Snapshot};
use heddle_translate::{render, translate};
use serde_json::Value;

/// Stands for the mesh's roots; nothing here reads certificates.
const ROOTS: &str = "-----BEGIN CERTIFICATE-----\nthe mesh's root\n-----END CERTIFICATE-----\n";

/// Which kinds a topic shows.
const SHOWN: [(&str, &[&str]); 9] = [
    ("clusters", &["clusters"]),
    ("dns", &["dns"]),
    ("endpoints", &["endpoints"]),
    ("gateways", &["listeners", "routes"]),
    ("listeners", &["listeners"]),
    ("mesh", &["clusters", "listeners", "routes"]),
    ("pods", &["listeners", "address_sets"]),
    ("routes", &["routes"]),
    ("workloads", &["workloads"]),
];

fn main() -> ExitCode {
    run(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
        check,
    )
}

fn check(case: &Case) -> Result<(), String> {
    let base = case.topic.with_file_name("_base.yaml");
    let mut cluster = Cluster::default();
    for path in [base, case.folder.join("in.yaml")] {
        let add = |cluster: &mut Cluster| -> Result<(), String> {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            objects(&text)?
                .into_iter()
                .for_each(|object| cluster.insert(object));
            Ok(())
        };
        add(&mut cluster).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let outputs = outputs(case, &mesh(&cluster));
    let named: Vec<(&str, String)> = outputs
        .iter()
        .map(|(name, text)| (&**name, text.clone()))
        .collect();
    compare(case, &named)
}

fn mesh(cluster: &Cluster) -> Mesh {
    let settings = Settings {
        trust_domain: TrustDomain::new("cluster.local").expect("a trust domain"),
        cluster_domain: "cluster.local".into(),
        mtls: MtlsMode::Permissive,
    };
    resolve(cluster, &settings).mesh
}

fn outputs(case: &Case, mesh: &Mesh) -> Vec<(String, String)> {
    let topic = case.name.split('/').next().unwrap_or_default();
    let snapshot = translate(mesh, ROOTS);
    if topic == "grpc" {
        return grpc(&snapshot);
    }
    let shown = SHOWN
        .iter()
        .find(|(of, _)| *of == topic)
        .map(|(_, kinds)| *kinds);
    let edition = match topic {
        "envoy" => render::envoy(&snapshot),
        _ => render::snapshot(&snapshot),
    };
    edition
        .into_iter()
        .filter(|(kind, _)| shown.is_none_or(|kinds| kinds.contains(kind)))
        .map(|(kind, resources)| (format!("out.{kind}.yaml"), render::yaml(&resources)))
        .collect()
}

/// gRPC's own view, whole, as its clients would show it (protobuf's canonical JSON).
fn grpc(snapshot: &Snapshot) -> Vec<(String, String)> {
    let types = [
        ("listeners", type_url::LISTENER),
        ("routes", type_url::ROUTE_CONFIGURATION),
        ("clusters", type_url::CLUSTER),
    ];
    let shown = types.map(|(kind, type_url)| {
        let of_type = snapshot.types.get(type_url).into_iter();
        let of_grpc = of_type
            .flat_map(|all| all.values())
            .filter(|resource| matches!(resource.scope, Scope::Grpc | Scope::GrpcServer(_)));
        let resources: BTreeMap<String, Value> = of_grpc
            .map(|resource| {
                let mut value = heddle_proto_json::any(type_url, &resource.body).expect("known");
                value["#scope"] = format!("{:?}", resource.scope).into();
                value["#origin"] = resource.origin.join(", ").into();
                (resource.name.to_string(), value)
            })
            .collect();
        (format!("out.{kind}.yaml"), render::yaml(&resources))
    });
    shown.into()
}

fn objects(text: &str) -> Result<Vec<Object>, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    documents.into_iter().map(object).collect()
}

fn object(document: Value) -> Result<Object, String> {
    let id = match Header::read(&document).map_err(|error| format!("{error:?}"))? {
        Header::Ours(id) => id,
        other => return Err(format!("{other:?} is not read")),
    };
    Object::parse(id.kind, document).map_err(|violations| format!("{id:?}: {violations:?}"))
}
