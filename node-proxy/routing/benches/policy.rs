//! What a decision about a request costs by the number of rules: the last one allows, the others name other callers and other paths.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use heddle_identity::SpiffeId;
use heddle_routing::{
    HeaderMatcher, PathMatcher, StringMatcher,
    policy::{AddressSets, Permission, Policy, Principal, Protocol, Rbac, RbacAction, Subject},
};
use http::Request;

fn identity(account: &str) -> String {
    format!("spiffe://cluster.local/ns/bench/sa/{account}")
}

/// A GET to a path, by elements, from one caller: as AuthorizationPolicy rules become.
fn rule(name: String, account: &str, path: &str) -> Policy {
    let method = HeaderMatcher {
        name: ":method".into(),
        value: Some(StringMatcher::Exact("GET".into())),
        invert: false,
    };
    let paths = [
        PathMatcher::Exact(path.into()),
        PathMatcher::Prefix(format!("{path}/").into()),
    ];
    Policy {
        name: name.into(),
        permissions: vec![Permission::All(vec![
            Permission::OneOf(vec![Permission::Header(method)]),
            Permission::OneOf(paths.map(Permission::Path).into()),
        ])],
        principals: vec![Principal::Authenticated(Some(StringMatcher::Exact(
            identity(account).into(),
        )))],
    }
}

fn rules(count: usize) -> Rbac {
    let other = |number: usize| {
        let (account, path) = (format!("caller-{number:02}"), format!("/bench/{number:02}"));
        rule(format!("rule {number:02}"), &account, &path)
    };
    let last = rule("rule z".to_owned(), "client", "/bench");
    Rbac {
        action: RbacAction::Allow,
        policies: (0..count - 1).map(other).chain([last]).collect(),
    }
}

fn policy(criterion: &mut Criterion) {
    let request = Request::get("/bench").header("host", "server.bench");
    let (request, ()) = request.body(()).expect("a request").into_parts();
    let caller: SpiffeId = identity("client").parse().expect("an identity");
    let subject = Subject {
        protocol: Protocol::Tcp,
        source: [10, 244, 1, 10].into(),
        destination: [10, 244, 2, 10].into(),
        port: 8080,
        identity: Some(&caller),
        request: Some(&request),
    };
    let sets = AddressSets::default();
    let mut group = criterion.benchmark_group("policy: a request, the last of so many rules");
    for count in [1, 10, 100] {
        let rules = rules(count);
        assert!(rules.decide(&subject, &sets).is_allowed());
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| rules.decide(black_box(&subject), black_box(&sets)));
        });
    }
    group.finish();
}

criterion_group!(benches, policy);
criterion_main!(benches);
