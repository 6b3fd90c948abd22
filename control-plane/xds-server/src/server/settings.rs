//! How the server treats its clients.

use std::time::Duration;

use crate::session::Limits;

/// Settings of the server. The defaults are meant for use.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds of one stream.
    pub limits: Limits,
    /// Largest request accepted, in bytes.
    pub request_bytes: usize,
    /// Longest `Node.id`, in bytes.
    pub node_id_length: usize,
    /// Streams that one node may have open at a time.
    pub streams_per_node: usize,
    /// Streams that one workload identity may have open at a time. All pods of a service account share it, and each gRPC process has one
    /// for each target (gRFC A71).
    pub streams_per_workload: usize,
    /// Streams in total.
    pub streams: usize,
    /// How long a stream may stay silent before its first request.
    pub first_request_timeout: Duration,
    /// How often the token of an open stream is checked again, beside the moment when it expires.
    pub recheck_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            request_bytes: 4 << 20,
            node_id_length: 253,
            // An Envoy with a stream for each type has five, and there are two of it while one replaces the other.
            streams_per_node: 16,
            streams_per_workload: 4096,
            streams: 20_000,
            first_request_timeout: Duration::from_secs(10),
            recheck_interval: Duration::from_secs(60),
        }
    }
}

/// Sets up HTTP/2 for long, mostly silent streams: dead peers are noticed within a minute, also behind a NAT that forgot
/// them, and one connection cannot open streams without end.
pub fn http2(server: tonic::transport::Server) -> tonic::transport::Server {
    server
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .tcp_keepalive(Some(Duration::from_secs(60)))
        .tcp_nodelay(true)
        .max_concurrent_streams(64)
        .http2_max_header_list_size(16 << 10)
}
