use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use heddle_identity::SpiffeId;
use http::request::Parts;

use super::{get, regex};
use crate::{
    HeaderMatcher, PathMatcher, StringMatcher,
    policy::{
        AddressSets, Decision, Permission, Policy, Principal, Protocol, Rbac, RbacAction, Subject,
    },
};

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(super) fn subject<'a>(
    request: Option<&'a Parts>,
    identity: Option<&'a SpiffeId>,
) -> Subject<'a> {
    Subject {
        protocol: Protocol::Tcp,
        source: ip("10.1.0.1"),
        destination: ip("10.2.0.1"),
        port: 8080,
        identity,
        request,
    }
}

pub(super) fn rbac(action: RbacAction, permission: Permission, principal: Principal) -> Rbac {
    Rbac {
        action,
        policies: vec![Policy {
            name: "rule".into(),
            permissions: vec![permission],
            principals: vec![principal],
        }],
    }
}

pub(super) fn allows(permission: Permission, principal: Principal, subject: &Subject<'_>) -> bool {
    let rules = rbac(RbacAction::Allow, permission, principal);
    rules.decide(subject, &sets()).is_allowed()
}

fn sets() -> AddressSets {
    let set = |addresses: &[&str]| -> Arc<BTreeSet<IpAddr>> {
        Arc::new(addresses.iter().copied().map(ip).collect())
    };
    AddressSets(HashMap::from([
        ("clients".into(), set(&["10.1.0.1", "fd00::1"])),
        ("servers".into(), set(&["10.2.0.1"])),
        ("nobody".into(), set(&[])),
    ]))
}

#[test]
fn without_policies_allow_refuses_and_deny_allows() {
    let none = |action| Rbac {
        action,
        policies: Vec::new(),
    };
    let subject = subject(None, None);
    assert_eq!(
        none(RbacAction::Allow).decide(&subject, &sets()),
        Decision::Deny { policy: None }
    );
    assert_eq!(
        none(RbacAction::Deny).decide(&subject, &sets()),
        Decision::Allow { policy: None }
    );
}

#[test]
fn a_decision_names_the_policy_that_matched() {
    let rules = |action| rbac(action, Permission::Any, Principal::Any);
    let policy = Some("rule".into());
    let subject = subject(None, None);
    assert_eq!(
        rules(RbacAction::Allow).decide(&subject, &sets()),
        Decision::Allow {
            policy: policy.clone()
        }
    );
    assert_eq!(
        rules(RbacAction::Deny).decide(&subject, &sets()),
        Decision::Deny { policy }
    );
}

#[test]
fn conditions_on_what_is_done() {
    use Permission as P;
    let not = |p| P::Not(Box::new(p));
    let block = |text: &str| P::DestinationBlock(text.parse().expect("a block"));
    for (permission, expected) in [
        (P::Any, true),
        (P::DestinationPorts(8080, 8080), true),
        (P::DestinationPorts(8000, 9000), true),
        (P::DestinationPorts(8081, 9000), false),
        (P::Protocol(Protocol::Tcp), true),
        (P::Protocol(Protocol::Udp), false),
        (block("10.2.0.0/16"), true),
        (block("10.3.0.0/16"), false),
        (block("::/0"), false),
        (P::DestinationSet("servers".into()), true),
        (P::DestinationSet("nobody".into()), false),
        (not(P::DestinationSet("nobody".into())), true),
        (not(P::Any), false),
        (P::All(vec![P::Any, block("10.0.0.0/8")]), true),
        (P::All(vec![P::Any, not(P::Any)]), false),
        (P::OneOf(vec![not(P::Any), P::Any]), true),
        (P::OneOf(vec![]), false),
    ] {
        let label = format!("{permission:?}");
        assert_eq!(
            allows(permission, Principal::Any, &subject(None, None)),
            expected,
            "{label}"
        );
    }
}

#[test]
fn conditions_on_who_does_it() {
    use Principal as P;
    let not = |p| P::Not(Box::new(p));
    let block = |text: &str| P::SourceBlock(text.parse().expect("a block"));
    let exact = |text: &str| P::Authenticated(Some(StringMatcher::Exact(text.into())));
    let own = "spiffe://cluster.local/ns/shop/sa/web";
    let identity: SpiffeId = own.parse().expect("valid");
    for (principal, proven, unproven) in [
        (P::Any, true, true),
        (P::SourceSet("clients".into()), true, true),
        (P::SourceSet("nobody".into()), false, false),
        (block("10.1.0.1/32"), true, true),
        (
            P::All(vec![
                block("10.0.0.0/8"),
                not(P::OneOf(vec![block("10.1.0.0/16")])),
            ]),
            false,
            false,
        ),
        (P::Authenticated(None), true, false),
        (exact(own), true, false),
        (
            exact("spiffe://cluster.local/ns/shop/sa/other"),
            false,
            false,
        ),
        (not(exact(own)), false, true),
    ] {
        let label = format!("{principal:?}");
        let judge = |identity| allows(Permission::Any, principal.clone(), &subject(None, identity));
        assert_eq!(judge(Some(&identity)), proven, "{label}, proven");
        assert_eq!(judge(None), unproven, "{label}, unproven");
    }
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_the_same_address() {
    let mut mapped = subject(None, None);
    mapped.source = ip("::ffff:10.1.0.1");
    mapped.destination = ip("::ffff:10.2.0.1");
    assert!(allows(
        Permission::DestinationSet("servers".into()),
        Principal::SourceSet("clients".into()),
        &mapped
    ));
    let block = Principal::SourceBlock("10.1.0.0/16".parse().expect("a block"));
    assert!(allows(Permission::Any, block, &mapped));
}

#[test]
fn a_missing_set_allows_nobody_negated_or_not_and_a_denial_by_it_holds() {
    let subject = subject(None, None);
    let missing = || Principal::SourceSet("missing".into());
    let not_missing = || Principal::Not(Box::new(missing()));
    assert!(!allows(Permission::Any, missing(), &subject));
    assert!(!allows(Permission::Any, not_missing(), &subject));
    let deny = rbac(RbacAction::Deny, Permission::Any, missing());
    assert!(!deny.decide(&subject, &sets()).is_allowed());
}

#[test]
fn a_condition_on_a_request_allows_no_other_bytes_negated_or_not() {
    let method = |invert| {
        Permission::Header(HeaderMatcher {
            name: ":method".into(),
            value: None,
            invert,
        })
    };
    let path = || Permission::Path(PathMatcher::Prefix("/".into()));
    let bytes = subject(None, None);
    for permission in [
        method(false),
        method(true),
        path(),
        Permission::Not(Box::new(path())),
        Permission::Not(Box::new(method(false))),
        Permission::OneOf(vec![path(), method(true)]),
    ] {
        let label = format!("{permission:?}");
        assert!(!allows(permission, Principal::Any, &bytes), "{label}");
    }
    let either = Permission::OneOf(vec![path(), Permission::DestinationPorts(8080, 8080)]);
    assert!(allows(either, Principal::Any, &bytes));
}

#[test]
fn a_denial_of_requests_refuses_bytes_that_may_be_such_a_request() {
    let path = Permission::Path(PathMatcher::Exact("/admin".into()));
    let deny = rbac(RbacAction::Deny, path, Principal::Any);
    assert!(!deny.decide(&subject(None, None), &sets()).is_allowed());
    assert!(
        deny.decide(&subject(Some(&get("/", &[])), None), &sets())
            .is_allowed()
    );
    assert!(
        !deny
            .decide(&subject(Some(&get("/admin", &[])), None), &sets())
            .is_allowed()
    );
}

#[test]
fn methods_and_headers_are_judged_as_routes_judge_them() {
    let header = |name: &str, value: &str| {
        Permission::Header(HeaderMatcher {
            name: name.into(),
            value: Some(StringMatcher::Exact(value.into())),
            invert: false,
        })
    };
    let request = get("/a", &[("x-a", "1")]);
    let subject = subject(Some(&request), None);
    assert!(allows(header(":method", "GET"), Principal::Any, &subject));
    assert!(!allows(header(":method", "POST"), Principal::Any, &subject));
    assert!(allows(header("x-a", "1"), Principal::Any, &subject));
}

#[test]
fn an_expression_on_a_header_that_is_no_text_allows_nothing_and_a_denial_by_it_holds() {
    let mut request = get("/", &[]);
    let value = http::HeaderValue::from_bytes(b"\xff").expect("obs-text");
    request.headers.insert("x-a", value);
    let subject = subject(Some(&request), None);
    let matcher = |invert| {
        Permission::Header(HeaderMatcher {
            name: "x-a".into(),
            value: Some(StringMatcher::Regex(regex("ok"))),
            invert,
        })
    };
    assert!(!allows(matcher(true), Principal::Any, &subject));
    let deny = rbac(RbacAction::Deny, matcher(false), Principal::Any);
    assert!(!deny.decide(&subject, &sets()).is_allowed());
}

#[test]
fn policies_are_asked_in_their_order() {
    let policy = |name: &str, port| Policy {
        name: name.into(),
        permissions: vec![Permission::DestinationPorts(port, port)],
        principals: vec![Principal::Any],
    };
    let rules = Rbac {
        action: RbacAction::Allow,
        policies: vec![policy("a", 1), policy("b", 8080), policy("c", 8080)],
    };
    assert_eq!(
        rules.decide(&subject(None, None), &sets()),
        Decision::Allow {
            policy: Some("b".into())
        }
    );
}
