//! Signing requests and the names in certificates.

use heddle_identity::SpiffeId;
use heddle_issuer::PublicKey;

use crate::constant;

/// A signing request: the bytes as the PEM text, and as what the PEM text holds.
pub fn certificate_request(bytes: &[u8]) {
    let wanted: SpiffeId = constant("spiffe://cluster.local/ns/shop/sa/cart");
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = PublicKey::from_csr(text, &wanted);
    }
    let text = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", bytes));
    let _ = PublicKey::from_csr(&text, &wanted);
}

/// A SPIFFE id as it stands in a peer's certificate: what is read is written as it was.
pub fn spiffe_id(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(id) = text.parse::<SpiffeId>() {
        assert_eq!(id.to_string(), text);
    }
}
