//! Limits and times on the way out.

use std::time::Duration;

/// Limits and times on the way out.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Endpoints that are tried for one connection or request, each once.
    pub most_endpoints: usize,
    /// Limit for all attempts to connect together; one attempt has the cluster's `connect_timeout`.
    pub connect_deadline: Duration,
    /// Limit for one attempt to connect to an address that is of no cluster.
    pub address_connect_timeout: Duration,
    /// The port for HBONE; another one than 15008 only in tests.
    pub hbone_port: u16,
    /// Sizes and times of HBONE tunnels.
    pub hbone: heddle_hbone::Settings,
    /// A tunnel without streams is closed after this time.
    pub tunnel_idle: Duration,
    /// An HTTP connection without requests is closed after this time.
    pub http_idle: Duration,
    /// HTTP/1.1 connections without requests that are kept for one origin and endpoint.
    pub http1_idle_connections: usize,
    /// Requests in one HTTP/2 connection before another connection is made.
    pub http2_streams: usize,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            most_endpoints: 3,
            connect_deadline: Duration::from_secs(10),
            address_connect_timeout: Duration::from_secs(5),
            hbone_port: heddle_hbone::PORT,
            hbone: heddle_hbone::Settings::CLIENT,
            tunnel_idle: Duration::from_secs(5 * 60),
            http_idle: Duration::from_secs(60),
            // As many as Envoy lets a cluster have (circuit breakers, `max_connections`): fewer are closed and made anew whenever more requests
            // than that are under way.
            http1_idle_connections: 1024,
            http2_streams: 100,
        }
    }
}
