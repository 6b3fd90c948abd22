//! TLS, with certificates that come by SDS.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use heddle_interop_proxy::{Node, Variant, apps, apps::App, eventually, resources as r};
use heddle_proto::{envoy::config::listener::v3::Listener, google::protobuf::Any, pack, type_url};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

crate::in_both_variants!(
    a_listener_with_tls_opens_with_its_certificate_and_not_before,
    requests_over_tls_are_told_to_the_server_as_https,
    a_new_certificate_is_used_for_new_connections_and_open_ones_go_on,
    a_certificate_that_does_not_fit_its_key_is_refused_and_the_last_good_one_stays,
    a_cluster_is_spoken_to_by_tls_if_its_server_is_who_it_must_be_and_not_at_all_else,
);

/// A certificate, and what its client trusts.
struct Identity {
    chain: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Identity {
    fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["web.example".to_owned()])?;
        Ok(Self {
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        })
    }

    fn secret(&self, name: &str) -> Any {
        pack(&r::certificate(name, &self.chain, &self.key))
    }

    /// For a server that is this.
    fn server(&self) -> Result<Arc<rustls::ServerConfig>> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)?;
        Ok(Arc::new(config))
    }

    /// Connects as a client that trusts this certificate alone.
    async fn connect(&self, port: u16, alpn: &[&str]) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("web.example")?;
        Ok(TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?)
    }
}

fn web(port: u16) -> Listener {
    let inline = r::http_inline(r::routes("inline", &[("*", "app")]));
    r::over_tls(r::listener("web", port, inline), "cert")
}

fn bytes(port: u16) -> Listener {
    r::over_tls(r::listener("bytes", port, r::bytes("app")), "cert")
}

async fn a_listener_with_tls_opens_with_its_certificate_and_not_before(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::http("app").await?;
    let (port, marker) = (apps::free_port()?, apps::free_port()?);
    let world = [
        pack(&web(port)),
        pack(&r::listener("marker", marker, r::bytes("app"))),
        pack(&r::fixed("app", &[app.address])),
    ];
    let versions = node.serve(&world).await?;
    node.accepted(&versions, type_url::LISTENER).await?;
    eventually("the other listener", async || apps::is_open(marker).await).await?;
    ensure!(!apps::is_open(port).await, "open without a certificate");
    let identity = Identity::new()?;
    let versions = node
        .serve(&[&world[..], &[identity.secret("cert")]].concat())
        .await?;
    node.accepted(&versions, type_url::SECRET).await?;
    eventually("the listener", async || apps::is_open(port).await).await?;
    let mut stream = identity.connect(port, &["http/1.1"]).await?;
    ensure!(apps::get_on(&mut stream, "web.example").await? == (200, "app".to_owned()));
    let both = identity.connect(port, &["http/1.1", "h2"]).await?;
    ensure!(both.get_ref().1.alpn_protocol() == Some(&b"h2"[..]));
    let plain = apps::get(port, "web.example").await;
    ensure!(plain.is_err(), "plain text is answered: {plain:?}");
    Ok(())
}

async fn requests_over_tls_are_told_to_the_server_as_https(variant: Variant) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::http_mirror().await?;
    let port = apps::free_port()?;
    let identity = Identity::new()?;
    let world = [
        pack(&web(port)),
        pack(&r::fixed("app", &[app.address])),
        identity.secret("cert"),
    ];
    node.serve(&world).await?;
    eventually("the listener", async || apps::is_open(port).await).await?;
    let mut stream = identity.connect(port, &["http/1.1"]).await?;
    let (_, head) = apps::get_on(&mut stream, "web.example").await?;
    ensure!(head.contains("x-forwarded-proto: https"), "{head}");
    Ok(())
}

/// What an echo server says first, and what it echoes.
async fn talk(stream: &mut BufReader<TlsStream<TcpStream>>, text: &str) -> Result<bool> {
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await?;
    Ok(back == text.as_bytes())
}

async fn a_new_certificate_is_used_for_new_connections_and_open_ones_go_on(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::echo("app").await?;
    let port = apps::free_port()?;
    let (old, new) = (Identity::new()?, Identity::new()?);
    let world = |identity: &Identity| {
        vec![
            pack(&bytes(port)),
            pack(&r::fixed("app", &[app.address])),
            identity.secret("cert"),
        ]
    };
    node.serve(&world(&old)).await?;
    eventually("the listener", async || apps::is_open(port).await).await?;
    let mut open = BufReader::new(old.connect(port, &[]).await?);
    let mut name = String::new();
    open.read_line(&mut name).await?;
    ensure!(name == "app\n" && talk(&mut open, "before").await?);
    let versions = node.serve(&world(&new)).await?;
    node.accepted(&versions, type_url::SECRET).await?;
    new.connect(port, &[])
        .await
        .context("the new certificate")?;
    ensure!(
        old.connect(port, &[]).await.is_err(),
        "the old certificate is still used"
    );
    ensure!(
        talk(&mut open, "after").await?,
        "the open connection was dropped"
    );
    Ok(())
}

async fn a_certificate_that_does_not_fit_its_key_is_refused_and_the_last_good_one_stays(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let app = App::echo("app").await?;
    let port = apps::free_port()?;
    let (good, other) = (Identity::new()?, Identity::new()?);
    let world = |secret: Option<Any>| {
        let mut world = vec![pack(&bytes(port)), pack(&r::fixed("app", &[app.address]))];
        world.extend(secret);
        world
    };
    node.serve(&world(Some(good.secret("cert")))).await?;
    eventually("the listener", async || apps::is_open(port).await).await?;
    let bad = pack(&r::certificate("cert", &good.chain, &other.key));
    let versions = node.serve(&world(Some(bad))).await?;
    let error = node.answer(&versions, type_url::SECRET).await?;
    let expected = "Secret cert: tls_certificate.private_key: does not fit the certificate";
    ensure!(error.starts_with(expected), "{error}");
    good.connect(port, &[]).await?;
    // Removed, it is used as before.
    node.serve(&world(None)).await?;
    let marker = apps::free_port()?;
    let more = [
        world(None),
        vec![pack(&r::listener("marker", marker, r::bytes("app")))],
    ]
    .concat();
    node.serve(&more).await?;
    eventually("what comes after the removal", async || {
        apps::is_open(marker).await
    })
    .await?;
    good.connect(port, &[]).await?;
    Ok(())
}

async fn a_cluster_is_spoken_to_by_tls_if_its_server_is_who_it_must_be_and_not_at_all_else(
    variant: Variant,
) -> Result<()> {
    let node = Node::start(variant).await?;
    let (identity, stranger) = (Identity::new()?, Identity::new()?);
    let app = apps::https("encrypted", identity.server()?).await?;
    let port = apps::free_port()?;
    let world = |name: &str, trusted: Option<&Identity>| {
        let inline = r::http_inline(r::routes("inline", &[("*", "app")]));
        let mut world = vec![
            pack(&r::listener("web", port, inline)),
            pack(&r::by_tls(r::fixed("app", &[app.address]), "roots", name)),
        ];
        world.extend(trusted.map(|t| pack(&r::trusted("roots", &t.chain))));
        world
    };
    let status = async || apps::get(port, "x").await.map(|answer| answer.0);
    node.serve(&world("web.example", None)).await?;
    eventually("the listener", async || status().await.ok() == Some(503)).await?;
    node.serve(&world("web.example", Some(&identity))).await?;
    eventually(
        "the answer",
        async || matches!(apps::get(port, "x").await, Ok((200, body)) if body == "encrypted"),
    )
    .await?;
    node.serve(&world("web.example", Some(&stranger))).await?;
    eventually("other roots", async || status().await.ok() == Some(503)).await?;
    node.serve(&world("web.example", Some(&identity))).await?;
    eventually("the roots again", async || status().await.ok() == Some(200)).await?;
    node.serve(&world("other.example", Some(&identity))).await?;
    eventually("another name", async || status().await.ok() == Some(503)).await
}
