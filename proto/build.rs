//! Generates the code for our own `.proto` files with a compiler written in Rust, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/heddle/v1/workload.proto",
        "proto/heddle/v1/rbac.proto",
        "proto/heddle/v1/listener.proto",
        "proto/istio/ca.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    let mut config = tonic_prost_build::Config::new();
    // Messages know what they are called, so that they can be packed into an `Any`.
    config
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com");
    tonic_prost_build::configure()
        .btree_map(".")
        // One set of well-known types in the whole build: the ones beside the Envoy types.
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::envoy_types::pb::google::protobuf")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
