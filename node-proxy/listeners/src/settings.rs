//! Limits and times on the way in.

use std::{net::IpAddr, sync::Arc, time::Duration};

use heddle_hbone::CopyLimits;

/// Limits and times on the way in. The defaults are safe against clients that mean harm.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For everything that is read as HTTP.
    pub http: HttpSettings,
    /// Connections that one pod may have open, over all its listeners and workers, HBONE streams counted too; more are
    /// refused at once.
    pub connections_per_pod: usize,
    /// TLS handshakes under way at one pod, over all workers; more wait. Counted for each pod by itself, so that silent clients
    /// of one pod keep no other pod's clients waiting.
    pub handshakes: usize,
    /// Limit for a TLS handshake, waiting included.
    pub handshake_timeout: Duration,
    /// How long a silent client is waited for, once its upstream is connected, where the protocol must be told from its
    /// first bytes.
    pub detect_silence: Duration,
    /// Limit for connecting to a pod's own application.
    pub application_connect_timeout: Duration,
    /// How long open connections may go on after the shutdown began.
    pub drain: Duration,
    /// For how much of that time idle connections are kept; the rest is for requests that begin in their last moment.
    pub linger: Duration,
    /// How often to look whether the policy changed.
    pub policy_check: Duration,
    /// How long silent connections are kept.
    pub copy: CopyLimits,
    /// For HBONE connections.
    pub hbone: heddle_hbone::Settings,
    /// The node's own addresses, beside those that the configuration tells. What comes from them is always let in, as
    /// NetworkPolicy demands (kubelet's probes).
    pub node_addresses: Vec<IpAddr>,
    /// The node's name, by which the configuration tells its addresses.
    pub node: Arc<str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: HttpSettings::default(),
            connections_per_pod: 20_000,
            handshakes: 256,
            handshake_timeout: Duration::from_secs(10),
            detect_silence: Duration::from_millis(50),
            application_connect_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(20),
            linger: Duration::from_secs(15),
            policy_check: Duration::from_millis(200),
            copy: CopyLimits::default(),
            hbone: heddle_hbone::Settings::SERVER,
            node_addresses: Vec::new(),
            node: Arc::default(),
        }
    }
}

/// Limits and times for connections that are read as HTTP.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Bytes of a request's head (431 beyond), and of an HTTP/2 header list.
    pub header_bytes: usize,
    /// Header lines of an HTTP/1 request (431 beyond).
    pub header_count: usize,
    /// From the first byte of a head to its last (slowloris).
    pub header_time: Duration,
    /// A connection on which no byte moves for this long is closed.
    pub idle: Duration,
    /// Requests at once in one HTTP/2 connection.
    pub streams: u32,
    /// HTTP/2 streams that a client may reset before they were looked at (rapid reset, CVE-2023-44487); one more ends the
    /// connection.
    pub pending_resets: usize,
    /// HTTP/2 streams that may be reset for the client's errors (CVE-2025-8671); one more ends the connection.
    pub error_resets: usize,
    /// How often a quiet HTTP/2 client is asked for a sign of life.
    pub ping_interval: Duration,
    /// How long it may take to give one.
    pub ping_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            header_count: 100,
            header_time: Duration::from_secs(10),
            idle: Duration::from_secs(60 * 60),
            streams: 250,
            pending_resets: 20,
            error_resets: 200,
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(20),
        }
    }
}
