//! What fuzzing drives: for each parser of bytes from the wire one function of any bytes.
//!
//! None may panic, whatever the bytes; where a parser has a promise beyond that (what it reads it writes again, every
//! response is answered once), the function asserts it. libFuzzer calls them from `fuzz/fuzz_targets`; this crate's own test
//! calls them with changed valid messages, so that `cargo test` exercises them with the stable compiler.

mod certificates;
mod config;
mod dns;
mod first_bytes;
mod hbone;
mod http1;
mod tls;
mod xds;

pub use certificates::{certificate_request, spiffe_id};
pub use config::{
    config_address_set, config_cluster, config_dns_table, config_listener, config_load_assignment,
    config_route_configuration, config_trust_bundle, config_workload, last_good,
};
pub use dns::dns_message;
pub use first_bytes::{http1_framing, protocol_detection};
pub use hbone::{hbone_client, hbone_server};
pub use http1::{http1_request, http1_response};
pub use tls::tls_messages;
pub use xds::xds_session;

/// A target: its name (that of its libFuzzer program and of its corpus) and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 20] = [
    ("certificate_request", certificate_request),
    ("config_address_set", config_address_set),
    ("config_cluster", config_cluster),
    ("config_dns_table", config_dns_table),
    ("config_listener", config_listener),
    ("config_load_assignment", config_load_assignment),
    ("config_route_configuration", config_route_configuration),
    ("config_trust_bundle", config_trust_bundle),
    ("config_workload", config_workload),
    ("dns_message", dns_message),
    ("hbone_client", hbone_client),
    ("hbone_server", hbone_server),
    ("http1_framing", http1_framing),
    ("http1_request", http1_request),
    ("http1_response", http1_response),
    ("last_good", last_good),
    ("protocol_detection", protocol_detection),
    ("spiffe_id", spiffe_id),
    ("tls_messages", tls_messages),
    ("xds_session", xds_session),
];

/// A value that is known to be valid.
fn constant<T: std::str::FromStr>(text: &str) -> T {
    match text.parse() {
        Ok(value) => value,
        Err(_) => unreachable!("{text} is valid"),
    }
}
