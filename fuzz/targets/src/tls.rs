//! What a peer of the mesh's TLS sends after the handshake. Records are decrypted before anything of them is read, and lengths in their headers
//! are looked at by tests of `heddle-tls`.

/// Handshake messages out of records: it does not matter how those cut them.
pub fn tls_messages(bytes: &[u8]) {
    heddle_tls::fuzzing::messages(bytes);
}
