//! What the tests share.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::future::LocalBoxFuture;
use heddle_config::{
    ClusterName, NetworkPolicy, PodConfig, PodName, PodUid, ProxyConfig, SharedConfig,
};
use heddle_routing::{
    Action, Domain, HeaderOps, PathMatcher, Route, RouteMatch, RouteTable, VirtualHost,
    WeightedCluster, WeightedClusters,
};
use heddle_telemetry::{Direction, Metrics};
use heddle_upstream::{Answer, Target};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;

use crate::{Body, Client, Failure, Forward, Outbound, outbound, text};

/// What an upstream was asked.
pub(super) struct Seen {
    pub(super) cluster: ClusterName,
    pub(super) head: http::request::Parts,
    pub(super) body: Bytes,
    pub(super) trailers: Option<http::HeaderMap>,
}

/// What an upstream does with a request.
pub(super) type Step =
    Box<dyn FnOnce(Request<Body>) -> LocalBoxFuture<'static, Result<Answer, Failure>>>;

/// An upstream that does what it is told, one step for each try.
#[derive(Clone, Default)]
pub(super) struct Script {
    pub(super) steps: Rc<RefCell<VecDeque<Step>>>,
    pub(super) seen: Rc<RefCell<Vec<Seen>>>,
}

impl Script {
    pub(super) fn then(self, step: Step) -> Self {
        self.steps.borrow_mut().push_back(step);
        self
    }

    /// Reads the request, then answers.
    pub(super) fn answers(self, status: u16, body: &'static str) -> Self {
        let seen = Rc::clone(&self.seen);
        self.then(Box::new(move |request| {
            Box::pin(async move {
                read(request, &seen).await;
                Ok(answer(status, text(body)))
            })
        }))
    }

    pub(super) fn fails(self, failure: Failure) -> Self {
        self.then(Box::new(move |_| Box::pin(async move { Err(failure) })))
    }

    pub(super) fn hangs(self) -> Self {
        self.then(Box::new(|request| {
            Box::pin(async move {
                let _held = request;
                std::future::pending().await
            })
        }))
    }

    pub(super) fn tries(&self) -> usize {
        self.seen.borrow().len()
    }
}

async fn read(request: Request<Body>, seen: &RefCell<Vec<Seen>>) {
    let cluster = request.extensions().get::<ClusterName>().cloned().unwrap();
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    seen.borrow_mut().push(Seen {
        cluster,
        head,
        body: body.to_bytes(),
        trailers,
    });
}

impl Forward for Script {
    async fn send(
        &self,
        cluster: &ClusterName,
        mut request: Box<Request<Body>>,
    ) -> Result<Answer, Failure> {
        request.extensions_mut().insert(Arc::clone(cluster));
        let step = self.steps.borrow_mut().pop_front();
        step.expect("one try more than expected")(*request).await
    }
}

pub(super) fn answer(status: u16, body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Answer {
        response,
        target: Target {
            address: "10.1.0.9:8080".parse().unwrap(),
            workload: None,
            mtls: true,
            tls: None,
        },
    }
}

/// A cluster and its weight.
pub(super) fn share(cluster: Option<&str>, weight: u32) -> WeightedCluster {
    WeightedCluster {
        cluster: cluster.map(Arc::from),
        weight,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    }
}

/// A forwarding action to one cluster, without anything else.
pub(super) fn forward() -> heddle_routing::Forward {
    heddle_routing::Forward {
        clusters: WeightedClusters::new(vec![share(Some("shop/cart:80"), 1)]).unwrap(),
        path_rewrite: None,
        host_rewrite: None,
        timeout: None,
        retry: None,
    }
}

pub(super) fn route(path: PathMatcher, action: Action) -> Route {
    Route {
        name: "HTTPRoute shop/cart rule 0 match 0".into(),
        origin: None,
        matches: RouteMatch {
            path,
            headers: Vec::new(),
            query: Vec::new(),
        },
        action,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    }
}

pub(super) fn prefix(path: &str) -> PathMatcher {
    PathMatcher::ElementPrefix(path.into())
}

pub(super) fn config(routes: Vec<Route>) -> SharedConfig {
    let table = RouteTable {
        name: "shop/cart:80".into(),
        virtual_hosts: vec![VirtualHost {
            name: "all".into(),
            domains: vec![Domain::Any],
            routes: routes.into_iter().map(Arc::new).collect::<Vec<_>>().into(),
        }]
        .into(),
    };
    let mut config = ProxyConfig::default();
    config.routes.insert("shop/cart:80".into(), Arc::new(table));
    Arc::new(ArcSwap::from_pointee(config))
}

pub(super) fn client(address: &str) -> Client {
    Client::new(address.parse().unwrap(), None, None)
}

pub(super) fn pod() -> PodConfig {
    PodConfig {
        name: PodName {
            namespace: "shop".parse().unwrap(),
            name: "cart-1".into(),
        },
        uid: PodUid("uid-1".into()),
        identity: "spiffe://cluster.local/ns/shop/sa/cart".parse().unwrap(),
        addresses: vec!["10.1.0.9".parse().unwrap()],
        permissive: true,
        ingress: NetworkPolicy::Open,
        egress: NetworkPolicy::Open,
        authorization: None,
        http_ports: BTreeMap::new(),
    }
}

/// The outbound path of one connection.
pub(super) struct World {
    pub(super) context: Outbound<Script>,
    pub(super) metrics: Arc<Metrics>,
}

impl World {
    pub(super) fn new(routes: Vec<Route>, script: &Script) -> Self {
        Self::of(config(routes), script, Direction::Outbound)
    }

    pub(super) fn of(config: SharedConfig, script: &Script, direction: Direction) -> Self {
        let metrics = Arc::new(Metrics::default());
        Self {
            context: Outbound {
                config,
                routes: "shop/cart:80".into(),
                direction,
                client: client("10.1.0.5:40000"),
                asked: "10.96.0.7:80".parse().unwrap(),
                forward: script.clone(),
                tunnels: Rc::new(|_| panic!("no tunnel was asked for")),
                metrics: Arc::clone(&metrics),
            },
            metrics,
        }
    }

    pub(super) async fn ask(&self, request: Request<Body>) -> Whole {
        whole(outbound(&self.context, request).await).await
    }

    /// Whether a request with this code and flag was counted.
    pub(super) fn counted(&self, code: u16, flag: &str) -> bool {
        counted(&self.metrics, code, flag)
    }
}

pub(super) fn counted(metrics: &Metrics, code: u16, flag: &str) -> bool {
    metrics.encode().lines().any(|line| {
        line.starts_with("heddle_http_requests_total{")
            && line.contains(&format!("code=\"{code}\""))
            && line.contains(&format!("flag=\"{flag}\""))
            && line.ends_with(" 1")
    })
}

/// A response with its body read.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Result<String, String>,
}

pub(super) async fn whole(response: Response<Body>) -> Whole {
    let (head, body) = response.into_parts();
    Whole {
        status: head.status.as_u16(),
        headers: head.headers,
        body: match body.collect().await {
            Ok(body) => Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap()),
            Err(error) => Err(error.to_string()),
        },
    }
}

pub(super) fn get(path: &str) -> Request<Body> {
    post(path, "")
}

pub(super) fn post(path: &str, body: &'static str) -> Request<Body> {
    Request::builder()
        .method(if body.is_empty() { "GET" } else { "POST" })
        .uri(path)
        .header("host", "cart")
        .body(if body.is_empty() {
            crate::empty()
        } else {
            text(body)
        })
        .unwrap()
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
