//! What means harm, at the real doors: refused there, and everybody else is served as before.

use std::time::Duration;

use heddle_hbone::client::Tunnel;
use heddle_telemetry::ResponseFlag;
use http::{HeaderMap, StatusCode};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::spawn_local,
};
use tokio_rustls::TlsConnector;

use super::{
    super::{
        bad_http::{goaway, rapid_resets},
        mtls::Authority,
        world::{self, OWN, PEER, id, worker},
    },
    Mesh, SocketAddr, http_app, http1,
};
use crate::Settings;

impl Mesh {
    /// A mesh whose `cart-1` answers HTTP.
    async fn http() -> Self {
        Self::new(true, http_app).await
    }

    /// A good client gets its answer through all of the mesh.
    async fn still_serves(&self) {
        for address in [self.service, self.gateway] {
            let mut client = http1(address).await;
            let answer = client.send_request(world::get("/good")).await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    }

    /// Ends the mesh; a connection must have been refused or broken off for this reason.
    async fn ends_with(self, flag: ResponseFlag) {
        let metrics = self.stop().await.encode();
        let name = "heddle_tcp_connections_failed_total{";
        let flag = format!("flag=\"{flag}\"");
        let failed = |line: &str| line.starts_with(name) && line.contains(&flag);
        assert!(metrics.lines().any(failed), "{flag} is not in {metrics}");
    }

    /// Whether any request has come as far as the proxy of `cart-1`.
    fn reached_the_pod(&self) -> bool {
        let metrics = self.metrics.encode();
        let reached = |line: &str| {
            line.starts_with("heddle_http_requests_total{")
                && line.contains("reporter=\"destination\"")
        };
        metrics.lines().any(reached)
    }

    /// A tunnel to `cart-1` of a client that is PEER by a certificate of this authority.
    async fn tunnel(&self, of: &std::sync::Arc<Authority>) -> Result<Tunnel, String> {
        let certificates = of.certificates(&[PEER], &self.authority);
        let config = certificates.client_config(&id(PEER), &id(OWN)).await;
        let stream = TcpStream::connect(self.mtls).await.unwrap();
        let name = ServerName::IpAddress(self.mtls.ip().into());
        let stream = TlsConnector::from(config.unwrap())
            .connect(name, stream)
            .await
            .map_err(|error| error.to_string())?;
        let settings = heddle_hbone::Settings::CLIENT;
        let (tunnel, driver) = heddle_hbone::client::connect(stream, settings)
            .await
            .map_err(|error| error.to_string())?;
        spawn_local(driver);
        Ok(tunnel)
    }
}

/// Sends bytes and gives all that is answered until the connection ends.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let bytes = bytes.to_vec();
    let writing = spawn_local(async move {
        // The other side may have refused before all of it is written.
        let _ = writer.write_all(&bytes).await;
        let _ = writer.shutdown().await;
        writer
    });
    let mut answer = Vec::new();
    // A reset behind the answer is an end, too.
    let _ = reader.read_to_end(&mut answer).await;
    drop(writing.await);
    answer
}

#[tokio::test]
async fn plain_text_to_a_strict_pod_is_refused() {
    worker(async {
        let mesh = Mesh::http().await;
        let answer = exchange(mesh.plain, b"GET / HTTP/1.1\r\nhost: cart\r\n\r\n").await;
        assert_eq!(String::from_utf8_lossy(&answer), "");
        assert!(!mesh.reached_the_pod());
        mesh.still_serves().await;
        mesh.ends_with(ResponseFlag::PlaintextRefused).await;
    })
    .await;
}

#[tokio::test]
async fn plain_text_to_the_port_of_mutual_tls_is_refused() {
    worker(async {
        let mesh = Mesh::http().await;
        let answer = exchange(mesh.mtls, b"GET / HTTP/1.1\r\nhost: cart\r\n\r\n").await;
        assert!(!answer.starts_with(b"HTTP"));
        assert!(!mesh.reached_the_pod());
        mesh.still_serves().await;
        mesh.ends_with(ResponseFlag::TlsFailure).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_with_a_certificate_of_another_root_is_refused() {
    worker(async {
        let mesh = Mesh::http().await;
        // In TLS 1.3 a client is through before the server has looked at its certificate.
        if let Ok(tunnel) = mesh.tunnel(&Authority::new()).await {
            assert!(tunnel.open(mesh.app, HeaderMap::new()).await.is_err());
        }
        assert!(!mesh.reached_the_pod());
        mesh.still_serves().await;
        mesh.ends_with(ResponseFlag::TlsFailure).await;
    })
    .await;
}

#[tokio::test]
async fn connect_to_an_address_that_is_not_the_pods_is_refused() {
    worker(async {
        let mesh = Mesh::http().await;
        let tunnel = mesh.tunnel(&mesh.authority).await.unwrap();
        // Another pod's, the node's, the caller's own Service: all of them could be connected from here.
        for elsewhere in [mesh.service, mesh.gateway, ([127, 0, 0, 1], 80).into()] {
            let refused = tunnel.open(elsewhere, HeaderMap::new()).await.unwrap_err();
            let status = StatusCode::BAD_REQUEST;
            assert!(refused.to_string().contains(status.as_str()), "{refused}");
        }
        assert!(tunnel.open(mesh.app, HeaderMap::new()).await.is_ok());
        drop(tunnel);
        mesh.still_serves().await;
        mesh.ends_with(ResponseFlag::NotThisPod).await;
    })
    .await;
}

#[tokio::test]
async fn requests_that_can_be_read_in_two_ways_get_to_nobody() {
    worker(async {
        let mesh = Mesh::http().await;
        for bad in [
            &b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
            b"GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b: c\r\n\r\n",
        ] {
            for address in [mesh.service, mesh.gateway] {
                let answer = exchange(address, bad).await;
                let answer = String::from_utf8_lossy(&answer);
                assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
                assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
            }
        }
        assert!(!mesh.reached_the_pod());
        mesh.still_serves().await;
        mesh.ends_with(ResponseFlag::ClientProtocolError).await;
    })
    .await;
}

#[tokio::test]
async fn a_header_of_one_mebibyte_gets_to_nobody() {
    worker(async {
        let mesh = Mesh::http().await;
        let mut bytes = b"GET / HTTP/1.1\r\nhost: a\r\nx: ".to_vec();
        bytes.extend(vec![b'y'; 1 << 20]);
        bytes.extend(b"\r\n\r\n");
        for address in [mesh.service, mesh.gateway] {
            // What was not read of the request resets the connection, and that may overtake the answer.
            let answer = exchange(address, &bytes).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
                "{answer}"
            );
        }
        assert!(!mesh.reached_the_pod());
        mesh.still_serves().await;
        mesh.ends_with(ResponseFlag::ClientProtocolError).await;
    })
    .await;
}

#[tokio::test]
async fn rapid_resets_end_their_connection_and_no_other() {
    worker(async {
        let mesh = Mesh::http().await;
        let mut other = http1(mesh.gateway).await;
        let answer = exchange(mesh.gateway, &rapid_resets(5_000)).await;
        // ENHANCE_YOUR_CALM (RFC 9113 section 7), unless the reset behind it has overtaken it.
        assert!(matches!(goaway(&answer), None | Some(11)));
        let answer = other.send_request(world::get("/good")).await.unwrap();
        assert_eq!(answer.status(), 200);
        drop((answer, other));
        mesh.still_serves().await;
        mesh.ends_with(ResponseFlag::ClientProtocolError).await;
    })
    .await;
}

#[tokio::test]
async fn heads_that_drip_in_are_cut_off_while_others_are_served() {
    worker(async {
        let mut settings = Settings {
            linger: Duration::ZERO,
            ..Settings::default()
        };
        settings.http.header_time = Duration::from_millis(300);
        let mesh = Mesh::with(true, http_app, settings).await;
        let drippers: Vec<_> = (0..50)
            .map(|index| {
                let address = [mesh.service, mesh.gateway][index % 2];
                spawn_local(async move {
                    let mut client = TcpStream::connect(address).await.unwrap();
                    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
                    // Ends only when the other side ends it.
                    for _ in 0..1_000 {
                        if client.write_all(b"x: y\r\n").await.is_err() {
                            return true;
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    false
                })
            })
            .collect();
        mesh.still_serves().await;
        for dripper in drippers {
            assert!(dripper.await.unwrap(), "it drips for ever");
        }
        mesh.still_serves().await;
        mesh.ends_with(ResponseFlag::IdleTimeout).await;
    })
    .await;
}
