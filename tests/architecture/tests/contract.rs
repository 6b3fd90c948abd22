//! What the control plane writes, the node proxy reads: every resource that `translate` makes of every golden input and of
//! the lesson is understood by `config`, on every node that may see it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use heddle_config::{Nack, ProxyConfig, Store, Update};
use heddle_identity::TrustDomain;
use heddle_model::{Enrolment, Mesh, MtlsMode, PodKey};
use heddle_proto::{Message, google::protobuf::Any, type_url};
use heddle_resolve::{Settings, resolve};
use heddle_resources::{Cluster, Header, Object};
use heddle_snapshot::{Role, Snapshot, View};
use serde_json::Value;

const ROOTS: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn trust_domain() -> TrustDomain {
    TrustDomain::new("cluster.local").expect("a trust domain")
}

fn add(cluster: &mut Cluster, path: &Path) {
    let text = fs::read_to_string(path).expect("readable");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        let header = Header::read(&document);
        let Ok(Header::Ours(id)) = header else {
            panic!("{}: {header:?}", path.display());
        };
        let object = Object::parse(id.kind, document);
        cluster.insert(object.unwrap_or_else(|bad| panic!("{}: {bad:?}", path.display())));
    }
}

fn mesh(files: &[PathBuf]) -> Mesh {
    let mut cluster = Cluster::default();
    files.iter().for_each(|file| add(&mut cluster, file));
    let settings = Settings {
        trust_domain: trust_domain(),
        cluster_domain: "cluster.local".into(),
        mtls: MtlsMode::Permissive,
    };
    resolve(&cluster, &settings).mesh
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

/// The files of each case.
fn cases() -> Vec<(String, Vec<PathBuf>)> {
    let golden = repository().join("control-plane/translate/tests/golden");
    let topics = entries(&golden).into_iter().filter(|path| path.is_dir());
    let mut cases: Vec<(String, Vec<PathBuf>)> = topics
        .flat_map(|topic| entries(&topic))
        .map(|folder| {
            let files = vec![golden.join("_base.yaml"), folder.join("in.yaml")];
            (folder.display().to_string(), files)
        })
        .collect();
    let lesson = entries(&repository().join("examples/lesson"));
    let lesson = lesson
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    cases.push(("the lesson".to_owned(), lesson.collect()));
    cases
}

/// Tells a node's proxy everything that it may see, in the order in which it is sent.
fn told(snapshot: &Snapshot, node: &str) -> (Store, Vec<Nack>) {
    let view = View {
        role: Role::Node,
        node: node.into(),
        gateway: None,
    };
    let mut store = Store::new(trust_domain());
    let mut nacks = Vec::new();
    for type_url in type_url::PUSH_ORDER {
        let resources = snapshot.visible(&view, type_url).map(|resource| {
            let any = Any::decode(&resource.any[..]).expect("an Any");
            (
                resource.name.to_string(),
                resource.version.as_str().to_owned(),
                any,
            )
        });
        nacks.extend(store.apply(Update {
            type_url: type_url.to_owned(),
            resources: resources.collect(),
            removed: Vec::new(),
        }));
    }
    (store, nacks)
}

/// What the mesh says about a node's pods is what its proxy knows.
fn knows_its_pods(case: &str, mesh: &Mesh, node: &str, config: &ProxyConfig) {
    let here = |key: &PodKey| {
        let pod = &mesh.workloads[key];
        // A pod whose own gRPC library is in the mesh is no affair of the node proxy's.
        pod.enrolment != Enrolment::Grpc
            && pod.node.as_ref().is_some_and(|name| &*name.0 == node)
            && !pod.addresses.is_empty()
    };
    for (key, policy) in mesh.policies.iter().filter(|(key, _)| here(key)) {
        let pod = config
            .pods
            .values()
            .find(|pod| pod.name.to_string() == key.to_string());
        let pod = pod.unwrap_or_else(|| panic!("{case}: {node} does not know its pod {key}"));
        assert_eq!(
            pod.permissive,
            policy.mtls == MtlsMode::Permissive,
            "{case}: {key}"
        );
        assert_eq!(
            pod.authorization.is_some(),
            policy.authorization.is_some(),
            "{case}: {key}"
        );
        assert_eq!(
            pod.http_ports.len(),
            policy.http_ports.len(),
            "{case}: {key}"
        );
        assert_eq!(
            pod.identity,
            mesh.workloads[key].spiffe_id(&mesh.trust_domain)
        );
    }
}

#[test]
fn the_node_proxy_understands_whatever_the_control_plane_sends() {
    let cases = cases();
    assert!(cases.len() > 40, "only {} inputs were found", cases.len());
    for (case, files) in cases {
        let mesh = mesh(&files);
        let snapshot = heddle_translate::translate(&mesh, ROOTS);
        for node in mesh.nodes.keys() {
            let (store, nacks) = told(&snapshot, &node.0);
            assert_eq!(nacks, [], "{case} on {node}");
            let config = store.shared().load_full();
            knows_its_pods(&case, &mesh, &node.0, &config);
            assert_eq!(config.dns.is_empty(), mesh.services.is_empty(), "{case}");
            assert_eq!(config.bound.len(), mesh.gateways.len(), "{case}");
            assert_eq!(
                config.address_sets.0.len(),
                mesh.address_sets.len(),
                "{case}"
            );
        }
    }
}
