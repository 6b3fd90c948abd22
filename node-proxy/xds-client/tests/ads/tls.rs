//! Whom the client trusts.

use heddle_xds_client::{Roots, Server, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Identity, ServerTlsConfig};

use crate::{handler::Recorder, server::ControlPlane, settings, start, stream::opened, until};

/// A root, and a server with a certificate of it for `control-plane.test`.
async fn server() -> (String, ControlPlane) {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root =
        CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key")).expect("a root");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["control-plane.test".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &root).expect("signed");
    let identity = Identity::from_pem(leaf.pem(), key.serialize_pem());
    let server = ControlPlane::with_tls(ServerTlsConfig::new().identity(identity)).await;
    (root.pem(), server)
}

fn verified(server: &ControlPlane, roots: Roots, name: &str) -> Vec<Server> {
    vec![Server {
        uri: format!("https://{}", server.address),
        tls: Some(Tls {
            roots,
            server_name: name.to_owned(),
        }),
    }]
}

#[tokio::test]
async fn a_control_plane_with_the_right_certificate_is_trusted() {
    let (root, mut server) = server().await;
    let servers = verified(&server, Roots::Pem(root), "control-plane.test");
    let _client = start(settings(servers), &Recorder::default());
    opened(&mut server).await;
}

#[tokio::test]
async fn another_root_or_another_name_is_not_trusted() {
    let (root, server) = server().await;
    let (other_root, _other) = self::server().await;
    for (roots, name) in [(other_root, "control-plane.test"), (root, "another.test")] {
        let client = start(
            settings(verified(&server, Roots::Pem(roots), name)),
            &Recorder::default(),
        );
        until(&client.status, "a refused certificate", |status| {
            status
                .last_error
                .as_deref()
                .is_some_and(|error| error.contains("certificate"))
        })
        .await;
        assert_eq!(client.status.get().streams, 0);
    }
}

#[tokio::test]
async fn roots_in_a_file_are_read_for_each_connection() {
    let (root, mut server) = server().await;
    let (other_root, _other) = self::server().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("roots.pem");
    let servers = verified(&server, Roots::File(file.clone()), "control-plane.test");
    let client = start(settings(servers), &Recorder::default());
    let refused = |what: &'static str| {
        move |status: &heddle_xds_client::Status| {
            let error = status.last_error.as_deref();
            error.is_some_and(|error| error.contains(what))
        }
    };
    until(
        &client.status,
        "a missing file",
        refused("cannot read the roots"),
    )
    .await;
    std::fs::write(&file, other_root).expect("written");
    until(
        &client.status,
        "a refused certificate",
        refused("certificate"),
    )
    .await;
    std::fs::write(&file, root).expect("written");
    opened(&mut server).await;
}
