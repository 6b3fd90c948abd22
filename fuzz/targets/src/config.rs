//! The decoders of xDS resources, and the file that keeps them.

use heddle_config::{
    decode,
    last_good::{decode as decode_file, encode as encode_file},
};
use heddle_identity::TrustDomain;
use heddle_proto::{
    Message,
    envoy::{
        config::{
            cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
            route::v3::RouteConfiguration,
        },
        extensions::transport_sockets::tls::v3::Secret,
    },
    google::protobuf::Any,
    heddle::v1::Workload,
    type_url,
};

use crate::constant;

/// A resource; its own name, so that the decoders look beyond that.
fn resource<M: Message + Default>(
    type_url: &str,
    bytes: &[u8],
    name: impl Fn(M) -> String,
) -> (String, Any) {
    let any = Any {
        type_url: type_url.to_owned(),
        value: bytes.to_vec(),
    };
    (M::decode(bytes).map(name).unwrap_or_default(), any)
}

fn trust_domain() -> TrustDomain {
    constant("cluster.local")
}

/// A Listener.
pub fn config_listener(bytes: &[u8]) {
    let (name, any) = resource(type_url::LISTENER, bytes, |wire: Listener| wire.name);
    let _ = decode::listener(&name, &any, &trust_domain());
}

/// A RouteConfiguration.
pub fn config_route_configuration(bytes: &[u8]) {
    let type_url = type_url::ROUTE_CONFIGURATION;
    let (name, any) = resource(type_url, bytes, |wire: RouteConfiguration| wire.name);
    let _ = decode::route_configuration(&name, &any);
}

/// A Cluster.
pub fn config_cluster(bytes: &[u8]) {
    let (name, any) = resource(type_url::CLUSTER, bytes, |wire: Cluster| wire.name);
    let _ = decode::cluster(&name, &any);
}

/// A ClusterLoadAssignment.
pub fn config_load_assignment(bytes: &[u8]) {
    let type_url = type_url::CLUSTER_LOAD_ASSIGNMENT;
    let name = |wire: ClusterLoadAssignment| wire.cluster_name;
    let (name, any) = resource(type_url, bytes, name);
    let _ = decode::load_assignment(&name, &any);
}

/// A Workload.
pub fn config_workload(bytes: &[u8]) {
    let name = |wire: Workload| format!("{}/{}", wire.namespace, wire.name);
    let (name, any) = resource(type_url::WORKLOAD, bytes, name);
    let _ = decode::workload(&name, &any, &trust_domain());
}

/// An AddressSet.
pub fn config_address_set(bytes: &[u8]) {
    let (_, any) = resource(type_url::ADDRESS_SET, bytes, |(): ()| String::new());
    let _ = decode::address_set(&any);
}

/// A Secret: the roots to trust.
pub fn config_trust_bundle(bytes: &[u8]) {
    let (name, any) = resource(type_url::SECRET, bytes, |wire: Secret| wire.name);
    let _ = decode::trust_bundle(&name, &any);
    let _ = decode::secret(&name, &any);
}

/// A DnsTable.
pub fn config_dns_table(bytes: &[u8]) {
    let (_, any) = resource(type_url::DNS_TABLE, bytes, |(): ()| String::new());
    let _ = decode::dns_table(&any);
}

/// The last good configuration: the bytes as they are, and as the content of a file whose hash is right.
pub fn last_good(bytes: &[u8]) {
    let _ = decode_file(bytes);
    let mut file = encode_file(&[]);
    file.truncate(file.len() - blake3::OUT_LEN);
    file.extend(blake3::hash(bytes).as_bytes());
    file.extend(bytes);
    if let Ok(updates) = decode_file(&file) {
        let again = decode_file(&encode_file(&updates));
        assert_eq!(
            again.as_deref(),
            Ok(&updates[..]),
            "written, read otherwise"
        );
    }
}
