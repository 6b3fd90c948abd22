//! Sizes and times of an HBONE connection.

use std::time::Duration;

/// Sizes and times of an HBONE connection, either end. The defaults are those that ztunnel chose, where they matter to the
/// other end, so that the two work well together.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes that the peer may have under way on one stream.
    pub stream_window: u32,
    /// Bytes that the peer may have under way on all streams together. Several times the stream's: if it were the same, one
    /// stream that nobody reads would stop all others.
    pub connection_window: u32,
    /// Largest frame that the peer may send.
    pub max_frame_size: u32,
    /// Bytes that we keep for one stream until the peer takes them; beyond, writers wait.
    pub send_buffer: usize,
    /// Streams that a client may have open in one connection (server).
    pub max_concurrent_streams: u32,
    /// Streams that are opened in one connection before another connection is made (client). Less than the server's limit, so
    /// that no stream waits for another to end.
    pub streams_per_tunnel: usize,
    /// Bytes of headers that the peer may send.
    pub header_list: u32,
    /// Streams that the peer may reset before we have looked at them (rapid reset, CVE-2023-44487); one more ends the
    /// connection.
    pub pending_resets: usize,
    /// Streams that we may reset for the peer's errors (CVE-2025-8671); one more ends the connection.
    pub error_resets: usize,
    /// A quiet connection is asked for a sign of life this often.
    pub ping_interval: Duration,
    /// A peer that gives no sign of life for so long is gone.
    pub ping_timeout: Duration,
    /// Limit for the HTTP/2 handshake.
    pub handshake_timeout: Duration,
}

impl Settings {
    /// For the end that opens streams.
    pub const CLIENT: Self = Self {
        stream_window: 4 << 20,
        connection_window: 16 << 20,
        max_frame_size: 1 << 20,
        send_buffer: 400 << 10,
        max_concurrent_streams: 0,
        streams_per_tunnel: 100,
        header_list: 16 << 10,
        pending_resets: 20,
        error_resets: 1024,
        ping_interval: Duration::from_secs(10),
        ping_timeout: Duration::from_secs(20),
        handshake_timeout: Duration::from_secs(10),
    };

    /// For the end that takes streams.
    pub const SERVER: Self = Self {
        max_concurrent_streams: 200,
        header_list: 64 << 10,
        ..Self::CLIENT
    };
}
