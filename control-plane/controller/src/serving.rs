//! TLS on the port that proxies connect to, with a certificate of the mesh's own authority that is renewed in time.
//!
//! How many connections there are and how long one may be without a stream is bounded here; what waits in a handshake counts as well.
//!
//! A client may show a certificate of that authority: gRPC's own xDS clients have no other word for who they are. Their connection ends with it.

mod expiring;

use std::{io, sync::Arc, time::Duration};

use anyhow::Context;
use arc_swap::ArcSwap;
use heddle_issuer::{Issuer, ServingCertificate};
use heddle_xds_server::{Connections, server::Watched};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{interval, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use self::expiring::Expiring;
use crate::arguments::Arguments;

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a new serving certificate is made: well within its day.
const RENEWAL: Duration = Duration::from_secs(6 * 3600);

/// Accepted connections, after their handshake.
pub(crate) type Incoming = ReceiverStream<io::Result<Watched<Expiring>>>;

/// What a connection tells about itself.
pub(crate) type PeerInfo = <Expiring as Connected>::ConnectInfo;

/// Binds the port and accepts until shutdown.
pub(crate) async fn listen(
    arguments: &Arguments,
    issuer: Arc<Issuer>,
    connections: Connections,
    shutdown: CancellationToken,
) -> anyhow::Result<Incoming> {
    let identity = arguments.identity();
    let hosts = arguments.server_name.clone();
    let mut roots = issuer.trust_bundle();
    let make = move || {
        let certificate = issuer.serving_certificate(&identity, &hosts)?;
        config(&certificate, &issuer.trust_bundle().borrow())
    };
    let current = Arc::new(ArcSwap::new(make()?));
    let listener = TcpListener::bind(arguments.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let (sender, receiver) = mpsc::channel(64);
    let renewed = Arc::clone(&current);
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let mut ticks = interval(RENEWAL);
        ticks.tick().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                // Who may be trusted has changed.
                Ok(()) = roots.changed() => {}
            }
            match make() {
                Ok(config) => renewed.store(config),
                Err(error) => tracing::error!("the serving certificate was not renewed: {error:#}"),
            }
        }
    });
    tokio::spawn(accept(listener, connections, current, sender, shutdown));
    Ok(ReceiverStream::new(receiver))
}

fn config(certificate: &ServingCertificate, roots: &str) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes())?;
    let mut trusted = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        trusted.add(root?)?;
    }
    let clients = WebPkiClientVerifier::builder(Arc::new(trusted)).allow_unauthenticated();
    let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_client_cert_verifier(clients.build()?)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would bring a client certificate with it past the end of its root.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

async fn accept(
    listener: TcpListener,
    connections: Connections,
    config: Arc<ArcSwap<ServerConfig>>,
    sender: mpsc::Sender<io::Result<Watched<Expiring>>>,
    shutdown: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors: wait for some to come back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Nobody waits for a place: one peer with many connections that say nothing would keep all others out.
        let Ok(place) = connections.admit(peer.ip()) else {
            continue;
        };
        let (acceptor, sender) = (TlsAcceptor::from(config.load_full()), sender.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                // The server is gone if nobody receives: then the connection may go as well.
                Ok(Ok(stream)) => {
                    let watched = place.watch(Expiring::new(stream));
                    drop(sender.send(Ok(watched)).await);
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
        });
    }
}

#[cfg(test)]
mod tests;
