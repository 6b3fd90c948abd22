//! What a RouteConfiguration costs to decode into a table, index included, by its routes.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use heddle_config::decode::route_configuration;
use heddle_proto::{
    envoy::config::route::v3::{
        Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route::Action,
        route_action::ClusterSpecifier, route_match::PathSpecifier,
    },
    google::protobuf::Any,
    pack,
};

fn route(number: usize) -> Route {
    Route {
        name: format!("HTTPRoute bench/server rule {number} match 0"),
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::PathSeparatedPrefix(format!(
                "/route/{number:04}"
            ))),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster("bench/server:80".to_owned())),
            ..RouteAction::default()
        })),
        ..Route::default()
    }
}

fn configuration(routes: usize) -> Any {
    pack(&RouteConfiguration {
        name: "table".to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: "server".to_owned(),
            domains: vec!["server.bench".to_owned()],
            routes: (0..routes).map(route).collect(),
            ..VirtualHost::default()
        }],
        ..RouteConfiguration::default()
    })
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode: a RouteConfiguration of so many routes");
    for routes in [1, 100, 5000] {
        let any = configuration(routes);
        route_configuration("table", &any).expect("understood");
        group.throughput(Throughput::Elements(routes as u64));
        group.bench_function(BenchmarkId::from_parameter(routes), |bencher| {
            bencher.iter(|| route_configuration("table", black_box(&any)));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
