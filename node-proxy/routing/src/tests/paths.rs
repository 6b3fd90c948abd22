//! That no spelling of a path gets past a policy.

use super::{
    get,
    policy::{allows, rbac, subject},
    regex,
};
use crate::{
    PathMatcher,
    policy::{AddressSets, Permission, Principal, RbacAction},
};

fn allowed(matcher: PathMatcher, path: &str) -> bool {
    let request = get(path, &[]);
    allows(
        Permission::Path(matcher),
        Principal::Any,
        &subject(Some(&request), None),
    )
}

fn denied(matcher: PathMatcher, path: &str) -> bool {
    let request = get(path, &[]);
    let deny = rbac(RbacAction::Deny, Permission::Path(matcher), Principal::Any);
    let decision = deny.decide(&subject(Some(&request), None), &AddressSets::default());
    !decision.is_allowed()
}

fn public() -> PathMatcher {
    PathMatcher::Prefix("/public/".into())
}

/// Ways to write a path that some server takes for `/admin`.
const DISGUISES: [&str; 28] = [
    "/public/../admin",
    "/public/%2e%2e/admin",
    "/public/%2E%2E/admin",
    "/public/.%2e/admin",
    "/public/..%2fadmin",
    "/public%2f..%2fadmin",
    "/public/%252e%252e/admin",
    "/public/..%252fadmin",
    "/public/..%5cadmin",
    "/public/..\\admin",
    "/public/..;/admin",
    "/public/..;a=b/admin",
    "/public/%2e%2e;/admin",
    "/public//../../admin",
    "/public/./../admin",
    "/public/x/../../admin",
    "//admin",
    "/./admin",
    "/%61dmin",
    "/%2561dmin",
    "/admin;x",
    "/admin%00/public/",
    "/admin%3f/public/",
    "/admin%23/public/",
    "/x/..//admin",
    "/admin/.",
    "/public/..%c0%afadmin",
    "/%c0%ae%c0%ae/admin",
];

#[test]
fn a_disguise_of_a_denied_path_is_denied() {
    for path in DISGUISES {
        let admin = PathMatcher::ElementPrefix("/admin".into());
        assert!(denied(admin, path), "{path} got past the denial of /admin");
    }
}

#[test]
fn a_disguise_is_not_allowed_as_another_path() {
    for path in DISGUISES {
        assert!(!allowed(public(), path), "{path} was taken for /public/");
    }
}

#[test]
fn a_disguise_does_not_become_allowed_by_negation() {
    for path in DISGUISES {
        let request = get(path, &[]);
        let admin = Permission::Path(PathMatcher::ElementPrefix("/admin".into()));
        let not_admin = Permission::Not(Box::new(admin));
        let subject = subject(Some(&request), None);
        assert!(!allows(not_admin, Principal::Any, &subject), "{path}");
    }
}

#[test]
fn a_disguise_of_an_allowed_path_is_not_allowed_either() {
    // A server that reads it literally would find another path.
    for path in [
        "/x/../public/a",
        "//public/a",
        "/%70ublic/a",
        "/.;/public/a",
    ] {
        assert!(!allowed(public(), path), "{path}");
    }
}

#[test]
fn honest_paths_are_judged_as_they_stand() {
    for path in [
        "/public/",
        "/public/a/b",
        "/public/a%20b",
        "/public/%C3%A9",
        "/public/a.b",
        "/public/.well-known/x",
        "/public/a..b",
        "/public/100%25",
        "/public/a;v=1",
        "/public/a?x=../../admin",
    ] {
        assert!(allowed(public(), path), "{path} was refused");
    }
    for path in ["/", "/publi", "/public", "/admin", "/private/public/"] {
        assert!(!allowed(public(), path), "{path} was allowed");
    }
}

#[test]
fn what_stays_below_the_prefix_in_every_reading_is_allowed() {
    for path in [
        "/public/a/../b",
        "/public/a//b",
        "/public/a%2fb",
        "/public/./b",
    ] {
        assert!(allowed(public(), path), "{path} was refused");
    }
}

#[test]
fn a_rule_for_all_paths_holds_for_odd_ones() {
    for path in DISGUISES.iter().filter(|path| !path.contains("%c0")) {
        assert!(allowed(PathMatcher::Prefix("/".into()), path), "{path}");
    }
}

#[test]
fn expressions_are_judged_on_every_reading() {
    let user = || PathMatcher::Regex(regex("/users/[^/]+"));
    assert!(allowed(user(), "/users/ann"));
    assert!(!allowed(user(), "/users/ann%2fsecrets"));
    assert!(!allowed(user(), "/users/.."));
}

#[test]
fn an_odd_path_that_is_too_long_to_judge_matches_no_allowance_and_every_denial() {
    let long = format!("/public/{}", "%41".repeat(4096));
    assert!(!allowed(public(), &long));
    assert!(denied(PathMatcher::Exact("/admin".into()), &long));
    let plain = format!("/public/{}", "a".repeat(12_000));
    assert!(allowed(public(), &plain));
}
