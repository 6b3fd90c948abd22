//! The first bytes of a client's connection.

use heddle_listeners::fuzzing;

/// Telling HTTP/1, HTTP/2 and everything else apart.
pub fn protocol_detection(bytes: &[u8]) {
    fuzzing::detect(bytes);
}

/// Finding where requests of HTTP/1 begin and end, and what no head may hold.
pub fn http1_framing(bytes: &[u8]) {
    fuzzing::follow_http1(bytes);
}
