//! Who speaks with whom, and who does not.

use std::io::ErrorKind;

use rustls::{AlertDescription, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{SUITES, World, fault, name, pattern};

const SIZE: usize = 200_000;

#[tokio::test]
async fn each_end_sees_the_others_certificate() {
    let world = World::new();
    let (near, far) = duplex(1 << 16);
    let (client, server) = world.handshake(&world.client, near, far).await;
    let (client, server) = (client.expect("connected"), server.expect("accepted"));
    assert_eq!(client.peer.len(), 1);
    assert_eq!(server.peer.len(), 1);
    assert_ne!(client.peer, server.peer);
}

#[tokio::test]
async fn a_client_speaks_with_rustls_under_every_suite() {
    for suite in SUITES {
        let world = World::with(suite);
        let (near, far) = duplex(1 << 14);
        let acceptor = TlsAcceptor::from(world.server.clone());
        let serve = async {
            let mut server = acceptor.accept(far).await.expect("accepted");
            let mut heard = vec![0; SIZE];
            server.read_exact(&mut heard).await.expect("heard");
            server.write_all(&heard).await.expect("said");
            server.shutdown().await.expect("ended");
            assert_eq!(server.read(&mut heard).await.expect("an end"), 0);
        };
        let ask = async {
            let client = crate::connect(world.client.clone(), name(), near).await;
            let mut client = client.expect("connected").stream;
            client.write_all(&pattern(SIZE)).await.expect("said");
            client.flush().await.expect("sent");
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.expect("heard");
            assert!(heard == pattern(SIZE), "{suite:?}");
            client.shutdown().await.expect("ended");
        };
        tokio::join!(serve, ask);
    }
}

#[tokio::test]
async fn a_server_speaks_with_rustls_under_every_suite() {
    for suite in SUITES {
        let world = World::with(suite);
        let (near, far) = duplex(1 << 14);
        let serve = async {
            let server = crate::accept(world.server.clone(), far).await;
            let mut server = server.expect("accepted").stream;
            let mut heard = vec![0; SIZE];
            server.read_exact(&mut heard).await.expect("heard");
            server.write_all(&heard).await.expect("said");
            server.shutdown().await.expect("ended");
        };
        let ask = async {
            let connector = TlsConnector::from(world.client.clone());
            let mut client = connector.connect(name(), near).await.expect("connected");
            client.write_all(&pattern(SIZE)).await.expect("said");
            client.flush().await.expect("sent");
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.expect("heard");
            assert!(heard == pattern(SIZE), "{suite:?}");
        };
        tokio::join!(serve, ask);
    }
}

#[tokio::test]
async fn what_comes_right_behind_the_handshake_is_not_lost() {
    let world = World::new();
    let (near, far) = duplex(1 << 20);
    // The client's last flight and its data are written before the server is polled again, so that it reads both at once; the data's last
    // record is cut by the size of that read.
    let ask = async {
        let connector = TlsConnector::from(world.client.clone());
        let mut client = connector.connect(name(), near).await.expect("connected");
        client.write_all(&pattern(SIZE)).await.expect("said");
        client.shutdown().await.expect("ended");
        client
    };
    let (_client, server) = tokio::join!(ask, crate::accept(world.server.clone(), far));
    let mut heard = Vec::new();
    let mut server = server.expect("accepted").stream;
    server.read_to_end(&mut heard).await.expect("heard");
    assert!(heard == pattern(SIZE));
}

#[tokio::test]
async fn a_client_without_certificate_is_refused_and_told_so() {
    let world = World::new();
    let (near, far) = duplex(1 << 16);
    let (client, server) = world.handshake(&world.nobody, near, far).await;
    let refused = server.expect_err("nobody");
    assert_eq!(fault(&refused), &Error::NoCertificatesPresented);
    // In TLS 1.3 the client is done before the server has judged it.
    let told = client.expect("connected").stream.read_u8().await;
    let told = told.expect_err("refused");
    let alert = AlertDescription::CertificateRequired;
    assert_eq!(fault(&told), &Error::AlertReceived(alert));
}

#[tokio::test]
async fn a_client_that_distrusts_the_server_tells_it() {
    let (world, other) = (World::new(), World::new());
    let (near, far) = duplex(1 << 16);
    let (client, server) = world.handshake(&other.client, near, far).await;
    let distrust = client.expect_err("another authority");
    assert!(matches!(fault(&distrust), Error::InvalidCertificate(_)));
    let told = server.expect_err("distrusted");
    assert!(matches!(fault(&told), Error::AlertReceived(_)), "{told}");
}

#[tokio::test]
async fn a_peer_that_hangs_up_in_the_handshake_is_an_unexpected_end() {
    let world = World::new();
    let (near, far) = duplex(1 << 16);
    drop(far);
    let client = crate::connect(world.client.clone(), name(), near).await;
    let kind = client.expect_err("nobody there").kind();
    assert!(matches!(
        kind,
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe
    ));
    let (near, mut far) = duplex(1 << 16);
    far.shutdown().await.expect("ended");
    let server = crate::accept(world.server.clone(), near).await;
    assert_eq!(
        server.expect_err("nobody there").kind(),
        ErrorKind::UnexpectedEof
    );
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_refused() {
    let world = World::new();
    let (near, mut far) = duplex(1 << 16);
    let said = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    far.write_all(said).await.expect("said");
    let refused = crate::accept(world.server.clone(), near).await;
    assert!(matches!(
        fault(&refused.expect_err("no TLS")),
        Error::InvalidMessage(_)
    ));
}

#[tokio::test]
async fn without_leave_to_take_keys_out_there_is_no_connection() {
    let world = World::new();
    let mut closed = (*world.client).clone();
    closed.enable_secret_extraction = false;
    let (near, far) = duplex(1 << 16);
    let (client, _) = world.handshake(&closed.into(), near, far).await;
    let refused = client.expect_err("no keys");
    assert!(matches!(fault(&refused), Error::General(_)), "{refused}");
}
