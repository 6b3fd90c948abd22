use std::{sync::Arc, time::Duration};

use heddle_identity::SpiffeId;
use heddle_proto::{
    google::protobuf::{Struct, Value, value::Kind},
    istio::auth::{
        IstioCertificateRequest, istio_certificate_service_server::IstioCertificateService,
    },
};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject};
use time::OffsetDateTime;
use tonic::{Code, Request, Status, metadata::MetadataMap};

use crate::{
    Authority, CallerNode, CertificateService, CsrError, Issuer, IssuerError, Outcome, Pace,
    Placement, RootState, Rotation, RotationSettings, Settings, Step,
};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn csr_with(names: &[&str]) -> String {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    let uri = |name: &&str| SanType::URI((*name).try_into().unwrap());
    params.subject_alt_names = names.iter().map(uri).collect();
    let key = KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

fn issuer(folder: &std::path::Path, now: OffsetDateTime) -> Issuer {
    let trust_domain = "cluster.local".parse().unwrap();
    Issuer::open_at(folder, trust_domain, Settings::default(), now).unwrap()
}

/// Verifies a leaf against a bundle the way a peer does.
fn verifies(leaf_pem: &str, bundle_pem: &str, at: OffsetDateTime) -> bool {
    let leaf = CertificateDer::from_pem_slice(leaf_pem.as_bytes()).unwrap();
    let roots: Vec<_> = CertificateDer::pem_slice_iter(bundle_pem.as_bytes())
        .map(Result::unwrap)
        .collect();
    let anchors: Vec<_> = roots
        .iter()
        .map(|root| webpki::anchor_from_trusted_cert(root).unwrap())
        .collect();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(at.unix_timestamp().unsigned_abs()));
    webpki::EndEntityCert::try_from(&leaf)
        .unwrap()
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &[],
            time,
            webpki::KeyUsage::client_auth(),
            None,
            None,
        )
        .is_ok()
}

#[test]
fn a_signed_certificate_states_the_identity_and_verifies() {
    let (folder, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
    let issuer = issuer(folder.path(), now);
    let chain = issuer
        .sign_at(&csr_with(&[CART]), &id(CART), None, now)
        .unwrap();
    let leaf = CertificateDer::from_pem_slice(chain[0].as_bytes()).unwrap();
    assert_eq!(heddle_identity::spiffe_id_of(&leaf).unwrap(), id(CART));
    let bundle = issuer.trust_bundle().borrow().to_string();
    assert!(verifies(&chain[0], &bundle, now));
    assert!(!verifies(
        &chain[0],
        &bundle,
        now + Duration::from_secs(25 * 3600)
    ));
    assert_eq!(chain[1], bundle);
}

#[test]
fn the_lifetime_is_bounded_on_both_sides() {
    let (folder, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
    let issuer = issuer(folder.path(), now);
    let bundle = issuer.trust_bundle().borrow().to_string();
    let sign = |seconds| {
        let validity = Some(Duration::from_secs(seconds));
        issuer
            .sign_at(&csr_with(&[]), &id(CART), validity, now)
            .unwrap()
            .remove(0)
    };
    let long = sign(u64::from(u32::MAX));
    assert!(!verifies(
        &long,
        &bundle,
        now + Duration::from_secs(24 * 3600 + 5)
    ));
    let short = sign(1);
    assert!(verifies(&short, &bundle, now + Duration::from_secs(50)));
    assert!(!verifies(&short, &bundle, now + Duration::from_secs(70)));
}

#[test]
fn a_request_that_names_somebody_else_is_refused() {
    let (folder, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
    let issuer = issuer(folder.path(), now);
    let other = "spiffe://cluster.local/ns/shop/sa/admin";
    for names in [&[other][..], &[CART, other]] {
        let error = issuer
            .sign_at(&csr_with(names), &id(CART), None, now)
            .unwrap_err();
        assert!(
            matches!(error, IssuerError::Csr(CsrError::OtherName { .. })),
            "{error}"
        );
    }
}

#[test]
fn an_identity_of_another_trust_domain_is_refused() {
    let (folder, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
    let foreign = id("spiffe://other.example/ns/shop/sa/cart");
    let error = issuer(folder.path(), now).sign_at(&csr_with(&[]), &foreign, None, now);
    assert!(matches!(
        error.unwrap_err(),
        IssuerError::TrustDomain { .. }
    ));
}

#[test]
fn garbage_and_forged_requests_are_refused() {
    let (folder, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
    let issuer = issuer(folder.path(), now);
    let good = csr_with(&[]);
    let mut der = pem::parse(&good).unwrap().into_contents();
    let last = der.len() - 1;
    der[last] ^= 1;
    let forged = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der));
    let renamed = good.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    let huge = "x".repeat(20_000);
    for bad in [
        "",
        "garbage",
        &good[..good.len() / 2],
        &forged,
        &renamed,
        &huge,
    ] {
        let error = issuer.sign_at(bad, &id(CART), None, now).unwrap_err();
        assert!(matches!(error, IssuerError::Csr(_)), "{error}");
    }
}

/// Signed with RSA (2048 bits) and SHA-1; a good request in all other respects.
const SHA1: &str = "-----BEGIN CERTIFICATE REQUEST-----\n\
    MIICRTCCAS0CAQAwADCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBALX6\n\
    ReC0nAjPFc8p2LHuHompsTga+iKGlR/td+OA1RgMpr0XbFcKmMwgyOJohvF4+BQq\n\
    okjJtttg5TW+80rq5uPjgcMgVzJ9xQmv3GwItD7B2hXaMn4wUcOlfE6tXSiStusO\n\
    WYwH6xup78oZ4ESYhzj5o5e0ASxMUZYLqG61uIrcflcRBBCAaLEhbjlRh3CBxGKd\n\
    v7c3zFBD2mHiMJQZiz30zLp0SbphRQyr+ueFRkuwigArJIaySFK8euW+Oy4SuQ2p\n\
    n49MvLtRKvQDqMXTiQPJqfG5Xb85aWw6qJ1nShU7Y0nU2RLIPFUS+/IjWQdZ05U2\n\
    YrEMv8VrK3RBR6wo4KMCAwEAAaAAMA0GCSqGSIb3DQEBBQUAA4IBAQBLV0UHPoFC\n\
    66ekKwI21hIpBZ2StzXoQx9RfCoKnx3zCrKZ/76939rabgllASdQw9hQjOsyWnrb\n\
    I1woRuVScqMAYdlcqn5eV7Iy5PjAkXDI2fxZamNKG0EwDsTEE+Bti+YkW/aHrjFQ\n\
    a9Lwl6ooAJdyW4ksopN9AuP0JqYPpIMfS+dAIPuSj44/ndk4xlG+CYrBPe6CP0S4\n\
    Wobj8WIqW9RGD6FhI2+l9E0BsyOvBhLcZE6fVVt9/RooccsJ5IYBBADigKxabzQB\n\
    YLRh3df1A/Y9f+mwW76LW/Snzy8bSBv1lGUUoCaxa3YZSBklHM5PUcrYMEwm5KRu\n\
    d/xZN6C+nRrj\n\
    -----END CERTIFICATE REQUEST-----\n";

#[test]
fn a_request_that_is_signed_with_sha1_is_refused_and_one_with_sha256_is_not() {
    let (folder, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
    let issuer = issuer(folder.path(), now);
    let error = issuer.sign_at(SHA1, &id(CART), None, now).unwrap_err();
    let IssuerError::Csr(CsrError::SignatureAlgorithm(algorithm)) = error else {
        panic!("{error}");
    };
    assert_eq!(
        algorithm, "1.2.840.113549.1.1.5",
        "sha1WithRSAEncryption (RFC 8017)"
    );
    for algorithm in [
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(Vec::<String>::new()).unwrap();
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        assert!(issuer.sign_at(&csr, &id(CART), None, now).is_ok());
    }
}

#[test]
fn the_folder_keeps_the_root_and_nobody_else_can_read_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
    let first = issuer(folder.path(), now)
        .trust_bundle()
        .borrow()
        .to_string();
    let second = issuer(folder.path(), now)
        .trust_bundle()
        .borrow()
        .to_string();
    assert_eq!(first, second);
    let mode = std::fs::metadata(folder.path().join("root-1.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_users_own_ca_is_used_and_left_alone() {
    let (own, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let now = OffsetDateTime::now_utc();
    issuer(theirs.path(), now);
    for (from, to) in [("root-1.crt", "tls.crt"), ("root-1.key", "tls.key")] {
        std::fs::copy(theirs.path().join(from), own.path().join(to)).unwrap();
    }
    let issuer = issuer(own.path(), now);
    let chain = issuer
        .sign_at(&csr_with(&[]), &id(CART), None, now)
        .unwrap();
    assert!(verifies(&chain[0], &issuer.trust_bundle().borrow(), now));
    assert!(!own.path().join("rotation.json").exists());
}

#[test]
fn a_leaf_is_no_authority() {
    let (folder, now) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
    let issuer = issuer(folder.path(), now);
    let serving = issuer
        .serving_certificate(&id(CART), &["localhost".into(), "::1".into()])
        .unwrap();
    let refused = Authority::load(&serving.chain_pem, &serving.key_pem);
    assert!(refused.is_err());
}

#[test]
fn a_rotation_breaks_no_certificate() {
    let (folder, begin) = (tempfile::tempdir().unwrap(), OffsetDateTime::now_utc());
    let issuer = issuer(folder.path(), begin);
    let sign = |now| {
        issuer
            .sign_at(&csr_with(&[]), &id(CART), None, now)
            .unwrap()
            .remove(0)
    };
    let bundle = || issuer.trust_bundle().borrow().to_string();
    let (old_leaf, old_bundle) = (sign(begin), bundle());
    assert_eq!(issuer.rotate_at(begin, true).unwrap(), [Step::Introduce(2)]);
    // Both are trusted, the old one signs: who has not heard of the new root yet loses nothing.
    assert!(verifies(&sign(begin), &old_bundle, begin));
    let later = begin + Duration::from_secs(2 * 24 * 3600);
    let before_switch = sign(later - Duration::from_secs(1));
    assert_eq!(issuer.rotate_at(later, false).unwrap(), [Step::Promote(2)]);
    assert!(verifies(&before_switch, &bundle(), later));
    assert!(
        !verifies(&sign(later), &old_bundle, later),
        "the new root signs"
    );
    assert!(verifies(&sign(later), &bundle(), later));
    let end = later + RotationSettings::default().leaf_lifetime;
    assert_eq!(issuer.rotate_at(end, false).unwrap(), [Step::Drop(1)]);
    assert!(!verifies(&old_leaf, &bundle(), begin));
    assert!(!folder.path().join("root-1.key").exists());
}

proptest! {
    /// Whatever the pace of the checks and the operator's wishes: exactly one root signs, at most two are trusted, none signs before
    /// it was trusted for the time of distribution, and none goes while something it signed may still be in use.
    #[test]
    fn a_live_certificate_never_lacks_its_root(
        pauses in prop::collection::vec((1_u64..4_000_000, any::<bool>()), 1..200)
    ) {
        let settings = RotationSettings {
            root_lifetime: Duration::from_secs(30_000_000),
            renew_before: Duration::from_secs(9_000_000),
            distribution: Duration::from_secs(200_000),
            leaf_lifetime: Duration::from_secs(90_000),
        };
        let mut now = OffsetDateTime::UNIX_EPOCH;
        let mut rotation = Rotation::default();
        let mut signed_until = std::collections::BTreeMap::new();
        for (pause, requested) in pauses {
            while let Some(step) = rotation.step(&settings, now, requested) {
                match step {
                    Step::Promote(id) if rotation.signing().is_some() => {
                        let root = rotation.roots.iter().find(|root| root.id == id).unwrap();
                        prop_assert!(now >= root.trusted_since + settings.distribution);
                    }
                    Step::Drop(id) => {
                        let last: OffsetDateTime = signed_until[&id];
                        prop_assert!(now >= last + settings.leaf_lifetime);
                    }
                    _ => {}
                }
                rotation = rotation.after(step, now, now + settings.root_lifetime);
            }
            let signing = rotation.roots.iter().filter(|root| root.state == RootState::Signs);
            prop_assert_eq!(signing.count(), 1);
            prop_assert!(rotation.roots.len() <= 2);
            signed_until.insert(rotation.signing().unwrap(), now);
            now += Duration::from_secs(pause);
        }
    }
}

/// Callers say which node they are; `cart` runs on node-a.
struct Fixed;

impl CallerNode for Fixed {
    fn node<'a>(
        &'a self,
        metadata: &'a MetadataMap,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Arc<str>, Status>> + Send + 'a>> {
        let node = metadata.get("x-node").and_then(|value| value.to_str().ok());
        let node = node
            .map(Into::into)
            .ok_or_else(|| Status::unauthenticated("no token"));
        Box::pin(std::future::ready(node))
    }
}

impl Placement for Fixed {
    fn may(&self, node: &str, identity: &SpiffeId) -> bool {
        node == "node-a" && *identity == id(CART)
    }
}

async fn create(
    node: Option<&'static str>,
    identity: Option<&str>,
    csr: &str,
) -> Result<usize, Code> {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Arc::new(issuer(folder.path(), OffsetDateTime::now_utc()));
    let service = CertificateService::new(issuer, Arc::new(Fixed), Arc::new(Fixed));
    ask(&service, node, identity, csr).await
}

async fn ask(
    service: &CertificateService,
    node: Option<&'static str>,
    identity: Option<&str>,
    csr: &str,
) -> Result<usize, Code> {
    let metadata = identity.map(|identity| {
        let value = Value {
            kind: Some(Kind::StringValue(identity.into())),
        };
        Struct {
            fields: [("ImpersonatedIdentity".into(), value)].into(),
        }
    });
    let mut request = Request::new(IstioCertificateRequest {
        csr: csr.into(),
        validity_duration: 3600,
        metadata,
    });
    if let Some(node) = node {
        request
            .metadata_mut()
            .insert("x-node", node.parse().unwrap());
    }
    let response = service
        .create_certificate(request)
        .await
        .map_err(|status| status.code())?;
    Ok(response.into_inner().cert_chain.len())
}

#[tokio::test]
async fn a_node_gets_certificates_only_for_the_accounts_that_run_there() {
    let csr = csr_with(&[]);
    assert_eq!(create(Some("node-a"), Some(CART), &csr).await, Ok(2));
    assert_eq!(
        create(Some("node-b"), Some(CART), &csr).await,
        Err(Code::PermissionDenied)
    );
    let other = "spiffe://cluster.local/ns/shop/sa/other";
    assert_eq!(
        create(Some("node-a"), Some(other), &csr).await,
        Err(Code::PermissionDenied)
    );
    assert_eq!(
        create(None, Some(CART), &csr).await,
        Err(Code::Unauthenticated)
    );
}

#[tokio::test]
async fn a_request_without_an_identity_or_with_garbage_is_an_invalid_argument() {
    let csr = csr_with(&[]);
    for (identity, csr) in [
        (None, csr.as_str()),
        (Some("nobody"), &csr),
        (Some(CART), "garbage"),
    ] {
        assert_eq!(
            create(Some("node-a"), identity, csr).await,
            Err(Code::InvalidArgument)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_asks_too_often_is_refused_for_a_while_and_each_answer_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Arc::new(issuer(folder.path(), OffsetDateTime::now_utc()));
    let counted = Arc::new(std::sync::Mutex::new(Vec::new()));
    let counter = Arc::clone(&counted);
    let service = CertificateService::new(issuer, Arc::new(Fixed), Arc::new(Fixed))
        .at_pace(Pace {
            burst: 3,
            per_second: 1,
        })
        .observed_by(move |outcome| counter.lock().unwrap().push(outcome));
    let csr = csr_with(&[]);
    let other = "spiffe://cluster.local/ns/shop/sa/other";
    let (node_a, node_b) = (Some("node-a"), Some("node-b"));
    let refused = Err(Code::PermissionDenied);
    assert_eq!(ask(&service, node_a, Some(CART), &csr).await, Ok(2));
    assert_eq!(ask(&service, node_a, Some(other), &csr).await, refused);
    let garbage = ask(&service, node_a, Some(CART), "garbage").await;
    assert_eq!(garbage, Err(Code::InvalidArgument));
    let too_many = ask(&service, node_a, Some(CART), &csr).await;
    assert_eq!(too_many, Err(Code::ResourceExhausted));
    assert_eq!(ask(&service, node_b, Some(CART), &csr).await, refused);
    let unknown = ask(&service, None, Some(CART), &csr).await;
    assert_eq!(unknown, Err(Code::Unauthenticated));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&service, node_a, Some(CART), &csr).await, Ok(2));
    assert_eq!(
        *counted.lock().unwrap(),
        [
            Outcome::Signed,
            Outcome::NotPermitted,
            Outcome::Invalid,
            Outcome::TooMany,
            Outcome::NotPermitted,
            Outcome::Unauthenticated,
            Outcome::Signed,
        ]
    );
}

#[test]
fn a_folder_that_is_loaded_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let load = || {
        let trust_domain = "cluster.local".parse().unwrap();
        Issuer::load(folder.path(), trust_domain, Settings::default())
    };
    let names = || std::fs::read_dir(folder.path()).unwrap().count();
    let error = load().err().unwrap().to_string();
    assert!(error.contains("holds no root that signs"), "{error}");
    assert_eq!(names(), 0, "no root is made");
    let opened = issuer(folder.path(), OffsetDateTime::now_utc());
    let loaded = load().unwrap();
    assert_eq!(
        *loaded.trust_bundle().borrow(),
        *opened.trust_bundle().borrow()
    );
    // Ten years ago a step of the rotation was due long before now, and the root has ended.
    let old = tempfile::tempdir().unwrap();
    let then = OffsetDateTime::now_utc() - Duration::from_secs(11 * 365 * 24 * 3600);
    issuer(old.path(), then);
    let trust_domain = "cluster.local".parse().unwrap();
    let loaded = Issuer::load(old.path(), trust_domain, Settings::default());
    let error = loaded.err().unwrap().to_string();
    assert!(
        error.starts_with("the CA's certificate has expired at "),
        "{error}"
    );
    assert!(
        !old.path().join("root-2.crt").exists(),
        "no root is rotated"
    );
}
