//! A small mesh for tests: an authority, a configuration to fill, origins and an upstream.

use std::{
    collections::BTreeSet,
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use heddle_cert_client::{Certificates, Issue, IssueError, Settings};
use heddle_config::{
    Cluster, ClusterKind, Endpoint, EndpointHealth, EndpointSet, NetworkPolicy, PodConfig, PodName,
    PodUid, ProxyConfig, SharedConfig, Tunnel, UpstreamHttp, Workload,
};
use heddle_identity::SpiffeId;
use heddle_redirect::Netns;
use heddle_telemetry::Metrics;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
};
use tokio::task::LocalSet;

use crate::{Destination, Origin, Upstream, UpstreamSettings};

pub(super) const CLIENT: &str = "spiffe://cluster.local/ns/shop/sa/web";
pub(super) const SERVER: &str = "spiffe://cluster.local/ns/shop/sa/cart";

pub(super) fn id(text: &str) -> SpiffeId {
    text.parse().expect("a SPIFFE id")
}

/// Runs a test as a worker does.
pub(super) async fn worker<F: Future>(test: F) -> F::Output {
    LocalSet::new().run_until(test).await
}

/// A loopback address that no other test of this process uses.
pub(super) fn own_address() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    IpAddr::from([127, 77, n[2], n[3]])
}

/// An address that nobody listens on.
pub(super) fn dead() -> SocketAddr {
    SocketAddr::new(own_address(), 9)
}

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("root").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Certificates of these identities.
    pub(super) fn certificates(self: &Arc<Self>, identities: &[&str]) -> Certificates {
        let settings = Settings {
            wait_limit: Duration::from_millis(300),
            ..Settings::default()
        };
        let certificates = Certificates::start(Signer(self.clone()), settings);
        certificates.set_trust_bundle(&self.pem).expect("a bundle");
        let identities: BTreeSet<SpiffeId> = identities.iter().map(|i| id(i)).collect();
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
        let mut request = CertificateSigningRequestParams::from_pem(&csr_pem).expect("a request");
        let now = SystemTime::now();
        request.params.not_before = (now - Duration::from_secs(60)).into();
        request.params.not_after = (now + validity).into();
        let leaf = request.signed_by(&self.0.issuer).expect("signed");
        Ok(vec![leaf.pem(), self.0.pem.clone()])
    }
}

pub(super) struct World {
    pub(super) authority: Arc<Authority>,
    pub(super) config: SharedConfig,
    pub(super) metrics: Arc<Metrics>,
    pub(super) upstream: Upstream,
    pub(super) origin: Origin,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(UpstreamSettings::default())
    }

    pub(super) fn with(settings: UpstreamSettings) -> Self {
        let authority = Arc::new(Authority::new());
        let certificates = authority.certificates(&[CLIENT]);
        let config: SharedConfig = Arc::new(ArcSwap::from_pointee(ProxyConfig::default()));
        let metrics = Arc::<Metrics>::default();
        Self {
            upstream: Upstream::new(config.clone(), certificates, metrics.clone(), settings),
            origin: origin("web-1", NetworkPolicy::Open),
            authority,
            config,
            metrics,
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut ProxyConfig)) {
        let mut config = ProxyConfig::clone(&self.config.load());
        change(&mut config);
        self.config.store(Arc::new(config));
    }

    /// A cluster `c` of these endpoints.
    pub(super) fn cluster(&self, addresses: &[SocketAddr]) -> Destination {
        self.cluster_of(UpstreamHttp::AsClient, addresses)
    }

    pub(super) fn cluster_of(&self, http: UpstreamHttp, addresses: &[SocketAddr]) -> Destination {
        let endpoints = addresses.iter().map(|address| Endpoint {
            address: *address,
            health: EndpointHealth::Healthy,
            hostname: None,
            weight: 1,
        });
        let set = EndpointSet {
            endpoints: endpoints.collect(),
        };
        self.change(|config| {
            let cluster = Cluster {
                name: "c".into(),
                kind: ClusterKind::Eds("c".into()),
                http,
                connect_timeout: Duration::from_secs(5),
                tls: heddle_config::ClusterTls::None,
            };
            config.clusters.insert("c".into(), Arc::new(cluster));
            config.endpoints.insert("c".into(), Arc::new(set));
        });
        Destination::Cluster("c".into())
    }

    /// Gives each attempt to connect to the cluster so much time.
    pub(super) fn connect_within(&self, limit: Duration) {
        self.change(|config| {
            let cluster = config.clusters.get_mut("c").expect("a cluster");
            Arc::make_mut(cluster).connect_timeout = limit;
        });
    }

    /// Says that the pod at this address is `identity` and speaks HBONE.
    pub(super) fn in_mesh(&self, address: IpAddr, identity: &str) {
        self.workload(address, identity, "uid-1");
    }

    pub(super) fn workload(&self, address: IpAddr, identity: &str, uid: &str) {
        let identity = id(identity);
        let workload = Workload {
            name: PodName {
                namespace: identity.namespace.clone(),
                name: format!("pod-{address}").into(),
            },
            uid: PodUid(uid.into()),
            addresses: vec![address],
            identity,
            node: "node-b".into(),
            zone: "".into(),
            tunnel: Tunnel::Hbone,
            host_network: false,
            owner: "cart".into(),
            app: "cart".into(),
            version: "".into(),
        };
        self.change(|config| {
            config
                .workloads
                .by_address
                .insert(address, Arc::new(workload));
        });
    }
}

/// A pod in this test's own network namespace.
pub(super) fn pod(name: &str, egress: NetworkPolicy) -> Arc<PodConfig> {
    let identity = id(CLIENT);
    Arc::new(PodConfig {
        name: PodName {
            namespace: identity.namespace.clone(),
            name: name.into(),
        },
        uid: PodUid(format!("uid-of-{name}").into()),
        identity,
        addresses: vec!["127.0.0.1".parse().expect("an address")],
        permissive: true,
        ingress: NetworkPolicy::Open,
        egress,
        authorization: None,
        http_ports: Default::default(),
    })
}

pub(super) fn origin(name: &str, egress: NetworkPolicy) -> Origin {
    Origin::pod(Netns::current().expect("/proc"), pod(name, egress))
}
