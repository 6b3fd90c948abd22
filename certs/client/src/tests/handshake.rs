//! Real handshakes between what `configs` makes, with certificates of all kinds.

use std::{sync::Arc, time::SystemTime};

use heddle_identity::SpiffeId;
use rustls::{CipherSuite, pki_types::ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::authority::{Authority, HOUR, Leaf, id};
use crate::{configs::Configs, own::OwnCertificate, peer_identity, trust::Trust};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

/// One side of a handshake: what it trusts and what it shows.
struct Side {
    trust: Arc<Trust>,
    configs: Configs,
    own: Arc<OwnCertificate>,
}

impl Side {
    fn new(trusted: &str, own: Arc<OwnCertificate>) -> Self {
        let trust = Arc::new(Trust::default());
        trust.set(trusted).expect("a bundle");
        Self {
            configs: Configs::new(trust.clone()),
            trust,
            own,
        }
    }
}

type Seen = Result<SpiffeId, String>;

/// What the server (as CART) and the client (as WEB, expecting CART) say of each other.
async fn handshake(server: &Side, client: &Side) -> (Seen, Seen) {
    let server_config = server
        .configs
        .server(&id(CART), &server.own)
        .expect("server");
    let client_config = client
        .configs
        .client(&id(WEB), &client.own, &id(CART))
        .expect("client");
    let (near, far) = tokio::io::duplex(64 << 10);
    let accept = async {
        let mut stream = TlsAcceptor::from(server_config).accept(far).await?;
        stream.write_all(b"!").await?;
        stream.flush().await?;
        let shown = stream.get_ref().1.peer_certificates();
        Ok::<_, std::io::Error>(peer_identity(shown.unwrap_or_default()).expect("authenticated"))
    };
    let connect = async {
        let name = ServerName::try_from("192.0.2.1").expect("an address");
        let mut stream = TlsConnector::from(client_config)
            .connect(name, near)
            .await?;
        // In TLS 1.3 the client is done before the server has judged it; the first byte tells.
        stream.read_u8().await?;
        let session = stream.get_ref().1;
        assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
        let suite = session.negotiated_cipher_suite().expect("a suite").suite();
        assert_eq!(suite, CipherSuite::TLS13_AES_128_GCM_SHA256);
        let shown = session.peer_certificates();
        Ok::<_, std::io::Error>(peer_identity(shown.unwrap_or_default()).expect("authenticated"))
    };
    let (server, client) = tokio::join!(accept, connect);
    (
        server.map_err(|e| e.to_string()),
        client.map_err(|e| e.to_string()),
    )
}

/// Both of the same root; the client shows `leaf`.
async fn server_judges(leaf: &Leaf<'_>) -> Seen {
    let root = Authority::new("root");
    let server = Side::new(&root.pem, root.leaf(&Leaf::of(&[CART])));
    let client = Side::new(&root.pem, root.leaf(leaf));
    handshake(&server, &client).await.0
}

/// Both of the same root; the server shows `leaf`.
async fn client_judges(leaf: &Leaf<'_>) -> Seen {
    let root = Authority::new("root");
    let server = Side::new(&root.pem, root.leaf(leaf));
    let client = Side::new(&root.pem, root.leaf(&Leaf::of(&[WEB])));
    handshake(&server, &client).await.1
}

#[track_caller]
fn refused_with(seen: Seen, text: &str) {
    let error = seen.expect_err("must be refused");
    assert!(error.contains(text), "{error:?} does not say {text:?}");
}

#[tokio::test]
async fn both_sides_learn_who_the_other_is() {
    assert_eq!(server_judges(&Leaf::of(&[WEB])).await, Ok(id(WEB)));
    assert_eq!(client_judges(&Leaf::of(&[CART])).await, Ok(id(CART)));
}

#[tokio::test]
async fn a_certificate_of_another_root_is_refused_by_either_side() {
    let (ours, foreign) = (Authority::new("root"), Authority::new("root"));
    let good = Side::new(&ours.pem, ours.leaf(&Leaf::of(&[CART])));
    let client = Side::new(&ours.pem, foreign.leaf(&Leaf::of(&[WEB])));
    refused_with(handshake(&good, &client).await.0, "UnknownIssuer");

    let server = Side::new(&ours.pem, foreign.leaf(&Leaf::of(&[CART])));
    let good = Side::new(&ours.pem, ours.leaf(&Leaf::of(&[WEB])));
    refused_with(handshake(&server, &good).await.1, "UnknownIssuer");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let now = SystemTime::now();
    let leaf = |uris| Leaf {
        uris,
        from: now - HOUR * 2,
        to: now - HOUR,
    };
    refused_with(server_judges(&leaf(&[WEB])).await, "Expired");
    refused_with(client_judges(&leaf(&[CART])).await, "Expired");
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused() {
    let now = SystemTime::now();
    let leaf = |uris| Leaf {
        uris,
        from: now + HOUR,
        to: now + HOUR * 2,
    };
    refused_with(server_judges(&leaf(&[WEB])).await, "NotValidYet");
    refused_with(client_judges(&leaf(&[CART])).await, "NotValidYet");
}

#[tokio::test]
async fn a_client_of_another_trust_domain_is_refused_even_under_our_root() {
    let other = "spiffe://other.example/ns/shop/sa/web";
    let seen = server_judges(&Leaf::of(&[other])).await;
    refused_with(seen, "is not of the trust domain cluster.local");
}

#[tokio::test]
async fn a_certificate_with_two_uris_is_refused() {
    refused_with(server_judges(&Leaf::of(&[WEB, CART])).await, "2 URI names");
    refused_with(client_judges(&Leaf::of(&[CART, WEB])).await, "2 URI names");
}

#[tokio::test]
async fn a_certificate_without_a_spiffe_id_is_refused() {
    refused_with(server_judges(&Leaf::of(&[])).await, "0 URI names");
    refused_with(
        client_judges(&Leaf::of(&["https://shop/cart"])).await,
        "does not read spiffe://",
    );
}

#[tokio::test]
async fn a_server_with_another_service_account_is_refused() {
    let seen = client_judges(&Leaf::of(&["spiffe://cluster.local/ns/shop/sa/other"])).await;
    refused_with(
        seen,
        "expected spiffe://cluster.local/ns/shop/sa/cart, found spiffe://cluster.local/ns/shop/sa/other",
    );
}

#[tokio::test]
async fn nobody_is_authenticated_while_there_is_no_trust_bundle() {
    let root = Authority::new("root");
    let server = Side::new(&root.pem, root.leaf(&Leaf::of(&[CART])));
    let client = Side::new(&root.pem, root.leaf(&Leaf::of(&[WEB])));
    client.trust.set("").expect("withdrawn");
    refused_with(
        handshake(&server, &client).await.1,
        "the trust bundle is empty",
    );
}

#[tokio::test]
async fn roots_rotate_through_an_overlap_even_if_they_share_a_name() {
    let (old, new) = (Authority::new("root"), Authority::new("root"));
    let both = format!("{}{}", old.pem, new.pem);
    let server = Side::new(&old.pem, old.leaf(&Leaf::of(&[CART])));
    let mut client = Side::new(&old.pem, old.leaf(&Leaf::of(&[WEB])));
    assert!(handshake(&server, &client).await.0.is_ok(), "old root");

    server.trust.set(&both).expect("a bundle");
    client.trust.set(&both).expect("a bundle");
    assert!(
        handshake(&server, &client).await.0.is_ok(),
        "old leaves, both roots"
    );

    client.own = new.leaf(&Leaf::of(&[WEB]));
    let (at_server, at_client) = handshake(&server, &client).await;
    assert!(
        at_server.is_ok() && at_client.is_ok(),
        "one leaf of each root"
    );

    // The very same configurations refuse at once what the new bundle does not hold.
    client.trust.set(&new.pem).expect("a bundle");
    refused_with(handshake(&server, &client).await.1, "UnknownIssuer");
}

#[tokio::test]
async fn configurations_are_kept_until_the_certificate_changes() {
    let root = Authority::new("root");
    let side = Side::new(&root.pem, root.leaf(&Leaf::of(&[WEB])));
    let make = |own| {
        side.configs
            .client(&id(WEB), own, &id(CART))
            .expect("client")
    };
    assert!(Arc::ptr_eq(&make(&side.own), &make(&side.own)));
    let renewed = root.leaf(&Leaf::of(&[WEB]));
    assert!(!Arc::ptr_eq(&make(&side.own), &make(&renewed)));
}

#[tokio::test]
async fn sessions_are_never_resumed() {
    let root = Authority::new("root");
    let server = Side::new(&root.pem, root.leaf(&Leaf::of(&[CART])));
    let client = Side::new(&root.pem, root.leaf(&Leaf::of(&[WEB])));
    assert!(handshake(&server, &client).await.0.is_ok());
    // A resumed session would not look at the certificate, and let this one in.
    server
        .trust
        .set(&Authority::new("root").pem)
        .expect("a bundle");
    refused_with(handshake(&server, &client).await.0, "UnknownIssuer");
}

#[test]
fn a_malformed_trust_bundle_changes_nothing() {
    let root = Authority::new("root");
    let trust = Trust::default();
    assert!(trust.set(&root.pem).expect("a bundle"));
    let cut = &root.pem[..root.pem.len() / 2];
    for bad in [
        "no certificate",
        cut,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(trust.set(bad).is_err(), "{bad:?} was taken");
        assert!(!trust.is_empty());
    }
    assert!(
        !trust.set(&root.pem).expect("a bundle"),
        "the same text is no change"
    );
}
