//! What finding a route costs by the size of the table: the last of so many prefixes, with as many hosts as routes or one.

use std::{hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use heddle_routing::{
    Action, DirectResponse, Domain, HeaderOps, PathMatcher, Route, RouteMatch, RouteTable,
    VirtualHost,
};
use http::{Request, request::Parts};

fn route(number: usize) -> Arc<Route> {
    Arc::new(Route {
        name: format!("route {number}").into(),
        origin: None,
        matches: RouteMatch {
            path: PathMatcher::ElementPrefix(format!("/route/{number:04}").into()),
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: Action::Respond(DirectResponse {
            status: 200,
            body: "".into(),
        }),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    })
}

fn host(domain: Domain, routes: Vec<Arc<Route>>) -> VirtualHost {
    VirtualHost {
        name: "host".into(),
        domains: vec![domain],
        routes: routes.into(),
    }
}

fn table(hosts: Vec<VirtualHost>) -> RouteTable {
    RouteTable {
        name: "table".into(),
        virtual_hosts: hosts.into(),
    }
}

fn request(number: usize) -> Parts {
    let uri = format!("/route/{number:04}/of/some/depth");
    let request = Request::builder().uri(uri).body(());
    request.expect("a request").into_parts().0
}

fn matcher(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matcher: the last of so many routes");
    for routes in [1, 100, 5000] {
        let all = host(Domain::Any, (0..routes).map(route).collect());
        let one_host = table(vec![all]);
        let request = request(routes - 1);
        group.bench_function(BenchmarkId::new("one host", routes), |bencher| {
            bencher.iter(|| one_host.find(black_box("www.example.com"), black_box(&request)));
        });
        let named = |number| Domain::Exact(format!("host-{number}.example.com").into());
        let hosts = (0..routes).map(|number| host(named(number), vec![route(number)]));
        let many_hosts = table(hosts.collect());
        let name = format!("host-{}.example.com", routes - 1);
        group.bench_function(BenchmarkId::new("a host each", routes), |bencher| {
            bencher.iter(|| many_hosts.find(black_box(&name), black_box(&request)));
        });
    }
    group.finish();
}

criterion_group!(benches, matcher);
criterion_main!(benches);
