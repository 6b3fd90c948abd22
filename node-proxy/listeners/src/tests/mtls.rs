use std::{
    collections::BTreeSet,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use heddle_cert_client::{Certificates, Issue, IssueError, Settings as CertSettings};
use heddle_config::{InboundHttp, PodName, PodUid, Tunnel as Reach, Workload};
use heddle_hbone::{HboneStream, client::Tunnel};
use heddle_identity::SpiffeId;
use heddle_routing::{
    StringMatcher,
    policy::{Permission, Principal},
};
use heddle_telemetry::ResponseFlag;
use http::StatusCode;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::Instant,
};
use tokio_rustls::TlsConnector;

use super::world::*;
use crate::{ConnectionInfo, PodContext};

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(super) fn new() -> Arc<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Arc::new(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// Certificates of these identities, whose holder trusts `roots`.
    pub(super) fn certificates(
        self: &Arc<Self>,
        identities: &[&str],
        roots: &Self,
    ) -> Certificates {
        let certificates = Certificates::start(Signer(Arc::clone(self)), CertSettings::default());
        certificates.set_trust_bundle(&roots.pem).unwrap();
        let identities: BTreeSet<SpiffeId> = identities.iter().map(|text| id(text)).collect();
        certificates.want(identities);
        certificates
    }
}

struct Signer(Arc<Authority>);

impl Issue for Signer {
    async fn issue(
        &self,
        csr_pem: String,
        _: &SpiffeId,
        validity: Duration,
    ) -> Result<Vec<String>, IssueError> {
        let mut request = CertificateSigningRequestParams::from_pem(&csr_pem).unwrap();
        let now = SystemTime::now();
        request.params.not_before = (now - Duration::from_secs(60)).into();
        request.params.not_after = (now + validity).into();
        let leaf = request.signed_by(&self.0.issuer).unwrap();
        Ok(vec![leaf.pem(), self.0.pem.clone()])
    }
}

/// A pod that takes mutual TLS, and a peer's certificates.
struct Mesh {
    world: Rc<World>,
    server: Certificates,
    client: Certificates,
}

impl Mesh {
    fn new() -> Self {
        let authority = Authority::new();
        Self {
            server: authority.certificates(&[OWN], &authority),
            client: authority.certificates(&[PEER], &authority),
            world: Rc::new(World::new()),
        }
    }

    async fn connect(&self, app: &App) -> std::io::Result<Tunnel> {
        self.connect_to(&self.world.pod, app).await
    }

    /// A connection at a pod's door; nothing is said on it yet.
    fn arrive(&self, pod: &PodContext, app: &App) -> DuplexStream {
        let (client, server) = tokio::io::duplex(256 * 1024);
        let info = ConnectionInfo::new(at(CLIENT), at("10.1.0.9:15008"));
        let (world, pod, app) = (Rc::clone(&self.world), pod.clone(), app.clone());
        let certificates = self.server.clone();
        self.world.drain.spawn(async move {
            let (path, drain) = (&world.path, &world.drain);
            crate::mtls::take(server, info, &pod, path, &certificates, drain, app).await;
        });
        client
    }

    async fn connect_to(&self, pod: &PodContext, app: &App) -> std::io::Result<Tunnel> {
        let client = self.arrive(pod, app);
        let config = self
            .client
            .client_config(&id(PEER), &id(OWN))
            .await
            .unwrap();
        let name = ServerName::try_from("peer").unwrap();
        let io = TlsConnector::from(config).connect(name, client).await?;
        let (tunnel, driver) = heddle_hbone::client::connect(io, heddle_hbone::Settings::CLIENT)
            .await
            .map_err(std::io::Error::other)?;
        tokio::task::spawn_local(driver);
        Ok(tunnel)
    }

    async fn open(&self, app: &App, to: &str) -> Result<HboneStream, String> {
        let tunnel = self.connect(app).await.map_err(|error| error.to_string())?;
        let opened = tunnel.open(at(to), http::HeaderMap::new()).await;
        opened.map_err(|error| error.to_string())
    }

    async fn refused(&self, to: &str, status: StatusCode, flag: ResponseFlag) {
        let app = App::parrot();
        let error = self.open(&app, to).await.unwrap_err();
        assert!(error.contains(status.as_str()), "{error}");
        assert!(app.seen.borrow().is_empty());
        assert!(self.world.failed(flag));
    }
}

#[tokio::test]
async fn a_proven_peer_gets_through_to_the_application_which_sees_its_address() {
    worker(async {
        let mesh = Mesh::new();
        let app = App::parrot();
        let mut stream = mesh.open(&app, "10.1.0.9:5432").await.unwrap();
        stream.write_all(b"abc").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "abc");
        assert_eq!(*app.seen.borrow(), [(at("10.1.0.9:5432"), at(CLIENT))]);
        drop(stream);
        while !mesh.world.closed("-") {
            tokio::task::yield_now().await;
        }
        assert!(mesh.world.counted(
            "heddle_tcp_received_bytes_total{",
            &["direction=\"inbound\",mtls=\"true\"} 3"]
        ));
    })
    .await;
}

#[tokio::test]
async fn connect_to_anybody_elses_address_or_to_the_proxy_is_refused() {
    worker(async {
        let mesh = Mesh::new();
        mesh.refused(
            "10.1.0.10:80",
            StatusCode::BAD_REQUEST,
            ResponseFlag::NotThisPod,
        )
        .await;
        mesh.refused(
            "127.0.0.1:80",
            StatusCode::BAD_REQUEST,
            ResponseFlag::NotThisPod,
        )
        .await;
        mesh.refused(
            "10.1.0.9:15001",
            StatusCode::FORBIDDEN,
            ResponseFlag::OwnPort,
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn the_policies_see_the_real_port_the_real_client_and_its_identity() {
    worker(async {
        let mesh = Mesh::new();
        mesh.world.change_pod(|pod| pod.ingress = only_port(15008));
        mesh.refused(
            "10.1.0.9:80",
            StatusCode::FORBIDDEN,
            ResponseFlag::NetworkPolicy,
        )
        .await;

        let allow = |identity: &str| {
            let principal = Principal::Authenticated(Some(StringMatcher::Exact(identity.into())));
            Some(Arc::new(rbac(
                Permission::Any,
                principal,
                "AuthorizationPolicy a/b rule 0",
            )))
        };
        mesh.world.change_pod(|pod| {
            pod.ingress = only_port(80);
            pod.authorization = allow(OWN);
        });
        mesh.refused(
            "10.1.0.9:80",
            StatusCode::FORBIDDEN,
            ResponseFlag::Authorization,
        )
        .await;
        mesh.world.change_pod(|pod| pod.authorization = allow(PEER));
        assert!(mesh.open(&App::parrot(), "10.1.0.9:80").await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn streams_count_as_connections_of_the_pod() {
    worker(async {
        let mut mesh = Mesh::new();
        mesh.world = Rc::new(World::with(|settings| settings.connections_per_pod = 1));
        let tunnel = mesh.connect(&App::parrot()).await.unwrap();
        let open = || tunnel.open(at("10.1.0.9:80"), http::HeaderMap::new());
        let first = open().await.unwrap();
        assert!(open().await.unwrap_err().to_string().contains("503"));
        assert!(mesh.world.failed(ResponseFlag::ConnectionLimit));
        drop(first);
        while mesh.world.pod.connections.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(open().await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_200_means_that_the_application_is_connected() {
    worker(async {
        let mesh = Mesh::new();
        let error = mesh.open(&App::absent(), "10.1.0.9:80").await.unwrap_err();
        assert!(error.contains("503"), "{error}");
        assert!(mesh.world.failed(ResponseFlag::ConnectFailure));
    })
    .await;
}

#[tokio::test]
async fn http_ports_are_read_as_http_and_the_application_is_told_who_calls() {
    worker(async {
        let mesh = Mesh::new();
        mesh.world.change_pod(|pod| {
            pod.http_ports.insert(
                8080,
                InboundHttp {
                    forward_identity: true,
                },
            );
        });
        let app = App::new(|mut io| async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(io.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let told = format!("x-forwarded-client-cert: By={OWN};URI={PEER}\r\n");
            assert!(head.contains(&told), "{head}");
            io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
            let _ = io.read_to_end(&mut Vec::new()).await;
        });
        let mut stream = mesh.open(&app, "10.1.0.9:8080").await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"),
            "{answer}"
        );
        // The connection that was made ahead is the one that is used.
        assert_eq!(app.seen.borrow().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_peer_of_another_root_gets_no_further_than_the_handshake() {
    worker(async {
        let (ours, theirs) = (Authority::new(), Authority::new());
        let mesh = Mesh {
            world: Rc::new(World::new()),
            server: ours.certificates(&[OWN], &ours),
            // Trusts us; we do not trust it.
            client: theirs.certificates(&[PEER], &ours),
        };
        assert!(mesh.open(&App::parrot(), "10.1.0.9:80").await.is_err());
        assert!(mesh.world.failed(ResponseFlag::TlsFailure));
    })
    .await;
}

#[tokio::test]
async fn an_identity_at_another_pods_address_is_refused() {
    worker(async {
        let mesh = Mesh::new();
        let mut somebody = Workload {
            name: PodName {
                namespace: "shop".parse().unwrap(),
                name: "other".into(),
            },
            uid: PodUid("uid-9".into()),
            addresses: vec![at(CLIENT).ip()],
            identity: id("spiffe://cluster.local/ns/shop/sa/other"),
            node: "b".into(),
            zone: "".into(),
            tunnel: Reach::Hbone,
            host_network: false,
            owner: "other".into(),
            app: "other".into(),
            version: "".into(),
        };
        let put = |workload: &Workload| {
            let workload = Arc::new(workload.clone());
            mesh.world.change(|config| {
                config
                    .workloads
                    .by_address
                    .insert(at(CLIENT).ip(), workload);
            });
        };
        put(&somebody);
        assert!(mesh.open(&App::parrot(), "10.1.0.9:80").await.is_err());
        assert!(mesh.world.failed(ResponseFlag::IdentityMismatch));
        somebody.identity = id(PEER);
        put(&somebody);
        assert!(mesh.open(&App::parrot(), "10.1.0.9:80").await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn plain_text_on_the_mtls_port_and_a_pod_without_certificate_are_refused() {
    worker(async {
        let mesh = Mesh::new();
        let (mut client, server) = tokio::io::duplex(1024);
        let info = ConnectionInfo::new(at(CLIENT), at("10.1.0.9:15008"));
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let (pod, path, drain) = (&mesh.world.pod, &mesh.world.path, &mesh.world.drain);
        crate::mtls::take(server, info, pod, path, &mesh.server, drain, App::parrot()).await;
        assert!(mesh.world.failed(ResponseFlag::TlsFailure));

        let (_client, server) = tokio::io::duplex(1024);
        mesh.world
            .change_pod(|pod| pod.identity = id("spiffe://cluster.local/ns/shop/sa/nobody"));
        tokio::time::pause();
        crate::mtls::take(server, info, pod, path, &mesh.server, drain, App::parrot()).await;
        assert!(mesh.world.failed(ResponseFlag::IdentityUnavailable));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends_is_given_up() {
    worker(async {
        let mesh = Mesh::new();
        let (_client, server) = tokio::io::duplex(1024);
        let info = ConnectionInfo::new(at(CLIENT), at("10.1.0.9:15008"));
        let (pod, path, drain) = (&mesh.world.pod, &mesh.world.path, &mesh.world.drain);
        crate::mtls::take(server, info, pod, path, &mesh.server, drain, App::parrot()).await;
        assert!(mesh.world.failed(ResponseFlag::TlsFailure));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn silent_clients_of_one_pod_keep_those_of_another_waiting_for_nothing() {
    worker(async {
        let mut mesh = Mesh::new();
        mesh.world = Rc::new(World::with(|settings| settings.handshakes = 1));
        let (pod, path) = (&mesh.world.pod, &mesh.world.path);
        let netns = pod.netns.clone();
        let other = PodContext::new(pod.name.clone(), pod.uid.clone(), netns, &path.settings);
        let app = App::parrot();
        let silent = mesh.arrive(pod, &app);
        while pod.handshakes.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        mesh.connect_to(&other, &app).await.unwrap();
        assert!(began.elapsed() < path.settings.handshake_timeout);
        drop(silent);
    })
    .await;
}
