use heddle_identity::SpiffeId;
use heddle_xds_server::ConnectionLimits;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::*;

/// Only a guard against hanging: no test depends on how long anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_peer_that_never_finishes_its_handshakes_keeps_nobody_out() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::TempDir::new().unwrap();
    let settings = heddle_issuer::Settings::default();
    let issuer = Issuer::open(folder.path(), "cluster.local".parse().unwrap(), settings).unwrap();
    let identity: SpiffeId = "spiffe://cluster.local/ns/mesh/sa/control-plane"
        .parse()
        .unwrap();
    let certificate = issuer
        .serving_certificate(&identity, &["localhost".to_owned()])
        .unwrap();
    let roots = issuer.trust_bundle().borrow().clone();
    let served = config(&certificate, &roots).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Connections::new(ConnectionLimits {
        per_peer: 300,
        ..ConnectionLimits::default()
    });
    let (sender, mut receiver) = mpsc::channel(64);
    let shutdown = CancellationToken::new();
    let config = Arc::new(ArcSwap::new(served));
    let ended = shutdown.clone();
    tokio::spawn(accept(listener, connections.clone(), config, sender, ended));

    // From another address of the loopback, as from another machine.
    let mut silent = Vec::new();
    for _ in 0..400 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(address).await.unwrap());
    }
    let mut trusted = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        trusted.add(root.unwrap()).unwrap();
    }
    let mut client = ClientConfig::builder()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let handshake = TlsConnector::from(Arc::new(client)).connect(name, stream);
    let connection = timeout(PATIENCE, handshake).await.unwrap().unwrap();
    let accepted = timeout(PATIENCE, receiver.recv()).await.unwrap();
    assert!(accepted.unwrap().is_ok());
    let counts = connections.counts();
    assert_eq!(counts.refused_by_peer, 100);
    drop((connection, silent));
    shutdown.cancel();
}
