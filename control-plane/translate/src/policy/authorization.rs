//! AuthorizationPolicy.

use heddle_model::{AuthorizationRule, HttpAccess, Sources};
use heddle_proto::envoy::{
    config::{
        rbac::v3::{
            Permission, Policy, Principal,
            permission::Rule,
            principal::{Authenticated, Identifier},
        },
        route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
    },
    r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};

use super::{
    Rules, all_of, any_permission, any_principal, one_of, path_rule, permission, principal,
};

/// Who may do what. The same rules judge connections and requests: a condition on a request never holds for what is not
/// HTTP, so that nothing gets in by not being read as HTTP.
pub(crate) fn authorization_rules(rules: &[AuthorizationRule]) -> Rules {
    let policies = rules
        .iter()
        .filter_map(|rule| {
            let principals = principals(&rule.sources);
            (!principals.is_empty()).then(|| {
                let policy = Policy {
                    permissions: vec![access(rule)],
                    principals,
                    ..Policy::default()
                };
                (format!("{} rule {}", rule.policy, rule.index), policy)
            })
        })
        .collect();
    Rules { policies }
}

fn principals(sources: &Sources) -> Vec<Principal> {
    match sources {
        Sources::Anyone => vec![any_principal()],
        Sources::Identities(identities) => identities
            .iter()
            .map(|identity| {
                principal(Identifier::Authenticated(Authenticated {
                    principal_name: Some(exact(&identity.to_string())),
                }))
            })
            .collect(),
    }
}

fn access(rule: &AuthorizationRule) -> Permission {
    let mut conditions = Vec::new();
    let ports = rule
        .ports
        .iter()
        .map(|port| permission(Rule::DestinationPort(port.get().into())));
    conditions.extend(one_of_unless_empty(ports));
    if let Some(http) = &rule.http {
        conditions.extend(requests(http));
    }
    if conditions.is_empty() {
        return any_permission();
    }
    all_of(conditions)
}

fn requests(http: &HttpAccess) -> Vec<Permission> {
    let methods = http
        .methods
        .iter()
        .map(|name| method(HeaderMatchSpecifier::StringMatch(exact(name))));
    let paths = http.paths.iter().map(path_rule);
    let conditions: Vec<_> = one_of_unless_empty(methods)
        .into_iter()
        .chain(one_of_unless_empty(paths))
        .collect();
    if conditions.is_empty() {
        // Any request, but a request: every one has a method, and nothing else does.
        return vec![method(HeaderMatchSpecifier::PresentMatch(true))];
    }
    conditions
}

fn method(condition: HeaderMatchSpecifier) -> Permission {
    permission(Rule::Header(HeaderMatcher {
        name: ":method".to_owned(),
        header_match_specifier: Some(condition),
        ..HeaderMatcher::default()
    }))
}

fn one_of_unless_empty(rules: impl ExactSizeIterator<Item = Permission>) -> Option<Permission> {
    (rules.len() > 0).then(|| one_of(rules.collect()))
}

fn exact(value: &str) -> StringMatcher {
    StringMatcher {
        match_pattern: Some(MatchPattern::Exact(value.to_owned())),
        ..StringMatcher::default()
    }
}
