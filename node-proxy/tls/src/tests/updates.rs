//! Keys that change (section 4.6.3).

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{SUITES, World, name, pattern};

const SIZE: usize = 500_000;

#[tokio::test]
async fn a_key_that_is_used_up_is_followed_by_another() {
    for suite in SUITES {
        let world = World::with(suite);
        let (mut client, mut server) = world.pair(1 << 14).await;
        client.parts().3.sealer().limit(3);
        let mut heard = vec![0; SIZE];
        let data = pattern(SIZE);
        let say = async {
            client.write_all(&data).await.expect("said");
            client.flush().await.expect("sent");
        };
        let (_, read) = tokio::join!(say, server.read_exact(&mut heard));
        read.expect("heard");
        assert!(heard == data, "{suite:?}");
        // All went over more records than the first key might take.
        let taken = client.parts().3.sealer().taken();
        assert!(taken > 3, "the next key has a limit of its own: {taken}");
    }
}

#[tokio::test]
async fn rustls_follows_our_keys() {
    let world = World::new();
    let (near, far) = duplex(1 << 14);
    let serve = async {
        let acceptor = TlsAcceptor::from(world.server.clone());
        let mut server = acceptor.accept(far).await.expect("accepted");
        let mut heard = vec![0; SIZE];
        server.read_exact(&mut heard).await.expect("heard");
        assert!(heard == pattern(SIZE));
    };
    let ask = async {
        let client = crate::connect(world.client.clone(), name(), near).await;
        let mut client = client.expect("connected").stream;
        client.parts().3.sealer().limit(2);
        client.write_all(&pattern(SIZE)).await.expect("said");
        client.flush().await.expect("sent");
        client
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn who_asks_for_a_new_key_gets_one_with_the_next_data() {
    let world = World::new();
    let (near, far) = duplex(1 << 16);
    let (client, server) = tokio::join!(
        TlsConnector::from(world.client.clone()).connect(name(), near),
        crate::accept(world.server.clone(), far)
    );
    let mut client = client.expect("connected");
    let mut server = server.expect("accepted").stream;
    for round in 0..3 {
        for _ in 0..2 {
            server.write_all(b"before").await.expect("said");
            server.flush().await.expect("sent");
            let mut heard = [0; 6];
            client.read_exact(&mut heard).await.expect("heard");
            assert_eq!(&heard, b"before");
        }
        let before = server.parts().3.sealer().taken();
        assert!(before >= 2, "{before} records with one key");
        // rustls asks for ours when it changes its own.
        let session = client.get_mut().1;
        session.refresh_traffic_keys().expect("asked");
        client.write_all(b"now").await.expect("said");
        client.flush().await.expect("sent");
        let mut heard = [0; 3];
        server.read_exact(&mut heard).await.expect("heard");
        assert_eq!(&heard, b"now", "round {round}");
        server.write_all(b"after").await.expect("said");
        server.flush().await.expect("sent");
        assert_eq!(server.parts().3.sealer().taken(), 1, "a new key");
        let mut heard = [0; 5];
        client.read_exact(&mut heard).await.expect("heard");
        assert_eq!(&heard, b"after");
    }
}
