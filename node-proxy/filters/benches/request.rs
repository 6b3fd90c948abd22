//! What a request costs between two connections, without the connections: read, made ready, routed, its headers rewritten, written, and the
//! same for its answer. Memory stands for the sockets.

use std::{hint::black_box, rc::Rc, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use heddle_config::{ClusterName, ProxyConfig, SharedConfig};
use heddle_filters::{Body, Client, Failure, Forward, Outbound, empty, outbound, text};
use heddle_http1::{Encoder, Out, request_head, response_head, write_request, write_response};
use heddle_routing::{
    Action, Domain, HeaderOp, HeaderOps, PathMatcher, Route, RouteMatch, RouteTable, VirtualHost,
    WeightedCluster, WeightedClusters,
};
use heddle_telemetry::{Direction, Metrics};
use heddle_upstream::{Answer, Target};
use http::{HeaderName, HeaderValue, Request, Response};

const REQUEST: &str = "GET /bench HTTP/1.1\r\nHost: server.bench\r\nUser-Agent: heddle-bench\r\nAccept: */*\r\nX-Mark: load\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n";
const BODY: [u8; 100] = [b'x'; 100];

const ROUTES: &str = "server.bench:80";

/// Writes each request and reads each answer.
struct Written;

impl Forward for Written {
    async fn send(&self, _: &ClusterName, request: Box<Request<Body>>) -> Result<Answer, Failure> {
        let (parts, _body) = request.into_parts();
        let mut out = Out::default();
        write_request(
            &parts.method,
            &parts.uri,
            &parts.headers,
            Encoder::None,
            &mut out,
        );
        black_box(out);
        let head = response_head(&Bytes::from_static(ANSWER.as_bytes()));
        let (head, _) = head.expect("well formed").expect("whole");
        let mut response = Response::new(text(Bytes::from_static(&BODY)));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(Answer {
            response,
            target: Target {
                address: ([10, 244, 2, 10], 8080).into(),
                workload: None,
                mtls: false,
                tls: None,
            },
        })
    }
}

/// One prefix route to one cluster.
fn config(request_headers: HeaderOps) -> SharedConfig {
    let cluster = WeightedCluster {
        cluster: Some("server".into()),
        weight: 1,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    };
    let forward = heddle_routing::Forward {
        clusters: WeightedClusters::new(vec![cluster]).expect("a cluster"),
        path_rewrite: None,
        host_rewrite: None,
        timeout: None,
        retry: None,
    };
    let route = Route {
        name: "route".into(),
        origin: None,
        matches: RouteMatch {
            path: PathMatcher::ElementPrefix("/bench".into()),
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: Action::Forward(forward.into()),
        request_headers,
        response_headers: HeaderOps::default(),
    };
    let table = RouteTable {
        name: ROUTES.into(),
        virtual_hosts: vec![VirtualHost {
            name: "server".into(),
            domains: vec![Domain::Exact("server.bench".into())],
            routes: vec![Arc::new(route)].into(),
        }]
        .into(),
    };
    let mut config = ProxyConfig::default();
    config.routes.insert(ROUTES.into(), Arc::new(table));
    Arc::new(ArcSwap::from_pointee(config))
}

fn context(config: SharedConfig) -> Outbound<Written> {
    Outbound {
        config,
        routes: ROUTES.into(),
        direction: Direction::Gateway,
        client: Client::new(([10, 244, 1, 10], 40_000).into(), None, None),
        asked: ([10, 96, 0, 50], 80).into(),
        forward: Written,
        tunnels: Rc::new(|_| {}),
        metrics: Arc::new(Metrics::default()),
    }
}

async fn carry(context: &Outbound<Written>, bytes: &Bytes) -> Out {
    let (head, _) = request_head(bytes).expect("well formed").expect("whole");
    let mut request = Request::new(empty());
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers;
    let (parts, _body) = outbound(context, request).await.into_parts();
    assert_eq!(parts.status, 200);
    let mut out = Out::default();
    let encoder = Encoder::Length(BODY.len() as u64);
    write_response(parts.status, None, &parts.headers, encoder, &mut out);
    out
}

fn request(criterion: &mut Criterion) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    let bytes = Bytes::from_static(REQUEST.as_bytes());
    let set = HeaderOp::Set(
        HeaderName::from_static("x-from"),
        HeaderValue::from_static("bench"),
    );
    let mut group = criterion.benchmark_group("request: a request and its answer");
    for (name, ops) in [
        ("one route", HeaderOps::default()),
        ("a header set", HeaderOps(vec![set])),
    ] {
        let context = context(config(ops));
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(carry(black_box(&context), &bytes)));
        });
    }
    group.finish();
}

criterion_group!(benches, request);
criterion_main!(benches);
