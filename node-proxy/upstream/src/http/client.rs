//! How HTTP is spoken to a server, and what it may cost us: a server is trusted no more than a client.

use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

/// Bytes of a response's head, and of an HTTP/2 header list. Of an HTTP/1 head, hyper takes 100 lines.
pub const RESPONSE_HEADER_BYTES: usize = 64 * 1024;
/// Bytes of an HTTP/1 connection that are read ahead, or wait to be written.
const HTTP1_BUFFER: usize = 256 * 1024;
/// Bytes that the server may have under way on one HTTP/2 stream, and on all of a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// HTTP/2 streams that we have given up and still remember, so that frames that were on their way to them do no harm.
const RESET_STREAMS: usize = 256;
/// HTTP/2 streams that may be reset for the server's errors; one more ends the connection.
const ERROR_RESETS: usize = 1024;
/// A quiet connection with requests is asked for a sign of life this often, and given up after this time.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// For HTTP/1.1 connections to servers.
pub(super) fn http1_client() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_header_size(RESPONSE_HEADER_BYTES)
        .max_buf_size(HTTP1_BUFFER);
    builder
}

/// For HTTP/2 connections to servers; `executor` runs what belongs to the connection.
pub fn http2_client<E: Clone>(executor: E) -> http2::Builder<E> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // RESPONSE_HEADER_BYTES fits by far.
        .max_header_list_size(RESPONSE_HEADER_BYTES as u32)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
