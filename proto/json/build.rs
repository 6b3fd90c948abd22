//! Collects the descriptors of every message that stands on an xDS stream of ours, or in an answer about clients: Envoy's out of the
//! descriptor set that the crate of its types brings along, ours from our own files.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::PathBuf,
};

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// What the files below do not import, because it only stands in an `Any`, is named here too.
const ROOTS: &[&str] = &[
    "envoy/admin/v3/config_dump.proto",
    "envoy/config/bootstrap/v3/bootstrap.proto",
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/rbac/v3/rbac.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/data/dns/v3/dns_table.proto",
    "envoy/extensions/filters/http/rbac/v3/rbac.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.proto",
    "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/filters/network/rbac/v3/rbac.proto",
    "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto",
    "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.proto",
    "envoy/extensions/transport_sockets/tls/v3/secret.proto",
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
    "envoy/service/discovery/v3/discovery.proto",
    "envoy/service/status/v3/csds.proto",
];
const OURS: &[&str] = &[
    "heddle/v1/workload.proto",
    "heddle/v1/rbac.proto",
    "heddle/v1/listener.proto",
];

type Files = BTreeMap<String, FileDescriptorProto>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../proto");
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    let mut known = Files::new();
    let ours = protox::compile(OURS, ["../proto"])?;
    let envoys = FileDescriptorSet::decode(&*fs::read(envoys_descriptors()?)?)?;
    for mut file in ours.file.into_iter().chain(envoys.file) {
        // Comments and positions are not looked at.
        file.source_code_info = None;
        known.insert(file.name().to_owned(), file);
    }
    let mut set = FileDescriptorSet::default();
    let mut seen = BTreeSet::new();
    for root in ROOTS.iter().chain(OURS) {
        collect(root, &known, &mut seen, &mut set)?;
    }
    let target = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(target, set.encode_to_vec())?;
    Ok(())
}

/// A file after all that it imports.
fn collect(
    name: &str,
    known: &Files,
    seen: &mut BTreeSet<String>,
    set: &mut FileDescriptorSet,
) -> Result<(), String> {
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let file = known
        .get(name)
        .ok_or_else(|| format!("no descriptor of {name}"))?;
    for import in &file.dependency {
        collect(import, known, seen, set)?;
    }
    set.file.push(file.clone());
    Ok(())
}

/// The crate of Envoy's types has it among its sources, but does not export it.
fn envoys_descriptors() -> Result<PathBuf, Box<dyn std::error::Error>> {
    // What other platforms need may not be there.
    let platform = ["--filter-platform".to_owned(), env::var("TARGET")?];
    let metadata = cargo_metadata::MetadataCommand::new()
        .other_options(platform)
        .exec()?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "envoy-types")
        .ok_or("no crate envoy-types")?;
    let folder = package.manifest_path.parent().ok_or("no folder")?;
    Ok(folder.join("src/generated/types.bin").into())
}
