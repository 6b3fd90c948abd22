use std::net::IpAddr;

use heddle_identity::SpiffeId;
use heddle_proto::{
    envoy::{
        config::{
            core::v3::CidrRange,
            rbac::v3::{
                Policy, Rbac,
                permission::{self, Rule},
                principal::{self, Authenticated, Identifier},
                rbac::Action,
            },
            route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
        },
        r#type::{
            matcher::v3::{PathMatcher, StringMatcher, path_matcher, string_matcher::MatchPattern},
            v3::Int32Range,
        },
    },
    heddle::v1::{self, DestinationAddressSet, SourceAddressSet, TransportProtocol},
};
use heddle_routing::policy::{AddressSets, Protocol, Subject};
use http::Request;

use super::refused;
use crate::{decode::rbac::rules, testing::*};

/// Whether `rule` by `identifier` allows the client 10.1.0.4, `shop/cart`, to GET /a at 10.2.0.4:8080.
fn allows(rule: Rule, identifier: Identifier) -> bool {
    let rbac = rules(&allow(rule, identifier)).expect("valid");
    let identity: SpiffeId = POD_IDENTITY.parse().expect("valid");
    let (request, ()) = Request::get("/a").body(()).expect("valid").into_parts();
    let subject = Subject {
        protocol: Protocol::Tcp,
        source: IpAddr::from([10, 1, 0, 4]),
        destination: IpAddr::from([10, 2, 0, 4]),
        port: 8080,
        identity: Some(&identity),
        request: Some(&request),
    };
    let sets = AddressSets(
        [(
            "set".into(),
            std::sync::Arc::new([IpAddr::from([10, 1, 0, 4])].into()),
        )]
        .into(),
    );
    rbac.decide(&subject, &sets).is_allowed()
}

fn range(start: i32, end: i32) -> Rule {
    Rule::DestinationPortRange(Int32Range { start, end })
}

fn path(pattern: MatchPattern) -> Rule {
    Rule::UrlPath(PathMatcher {
        rule: Some(path_matcher::Rule::Path(StringMatcher {
            match_pattern: Some(pattern),
            ..StringMatcher::default()
        })),
    })
}

fn method(specifier: Option<HeaderMatchSpecifier>) -> Rule {
    Rule::Header(HeaderMatcher {
        name: ":method".to_owned(),
        header_match_specifier: specifier,
        ..HeaderMatcher::default()
    })
}

fn transport(protocol: v1::transport_protocol::Protocol) -> Rule {
    Rule::Matcher(extension(&TransportProtocol {
        protocol: protocol.into(),
    }))
}

#[test]
fn every_condition_on_what_is_done_is_understood() {
    use v1::transport_protocol::Protocol as P;
    let set = |rules: Vec<Rule>| permission::Set {
        rules: rules.into_iter().map(permission).collect(),
    };
    let exact_method = |m: &str| method(Some(HeaderMatchSpecifier::StringMatch(exact(m))));
    for (rule, expected) in [
        (Rule::Any(true), true),
        (Rule::DestinationPort(8080), true),
        (Rule::DestinationPort(80), false),
        (range(8080, 8081), true),
        (range(8000, 8080), false),
        (range(1, 65536), true),
        (Rule::DestinationIp(block("10.2.0.0", 16)), true),
        (Rule::DestinationIp(block("10.3.0.0", 16)), false),
        (
            Rule::AndRules(set(vec![Rule::Any(true), range(1, 2)])),
            false,
        ),
        (Rule::OrRules(set(vec![Rule::Any(true), range(1, 2)])), true),
        (Rule::NotRule(Box::new(permission(range(1, 2)))), true),
        (transport(P::Tcp), true),
        (transport(P::Udp), false),
        (transport(P::Sctp), false),
        (
            Rule::Matcher(extension(&DestinationAddressSet {
                name: "set".to_owned(),
            })),
            false,
        ),
        (exact_method("GET"), true),
        (exact_method("POST"), false),
        (method(Some(HeaderMatchSpecifier::PresentMatch(true))), true),
        (path(MatchPattern::Exact("/a".to_owned())), true),
        (path(MatchPattern::Prefix("/a/".to_owned())), false),
        (path(MatchPattern::Suffix("a".to_owned())), true),
        (path(MatchPattern::Contains("b".to_owned())), false),
        (path(MatchPattern::SafeRegex(regex("/[a-z]"))), true),
    ] {
        let label = format!("{rule:?}");
        assert_eq!(allows(rule, Identifier::Any(true)), expected, "{label}");
    }
}

#[test]
fn every_condition_on_who_does_it_is_understood() {
    let set = |ids: Vec<Identifier>| principal::Set {
        ids: ids.into_iter().map(principal).collect(),
    };
    let who = |name: Option<StringMatcher>| {
        Identifier::Authenticated(Authenticated {
            principal_name: name,
        })
    };
    let within = |prefix, length| Identifier::DirectRemoteIp(block(prefix, length));
    for (identifier, expected) in [
        (Identifier::Any(true), true),
        (who(None), true),
        (who(Some(exact(POD_IDENTITY))), true),
        (
            who(Some(exact("spiffe://cluster.local/ns/shop/sa/other"))),
            false,
        ),
        (within("10.1.0.0", 16), true),
        (Identifier::RemoteIp(block("10.1.0.0", 16)), true),
        (within("10.9.0.0", 16), false),
        (
            Identifier::AndIds(set(vec![
                within("10.0.0.0", 8),
                Identifier::NotId(Box::new(principal(Identifier::OrIds(set(vec![within(
                    "10.1.0.0", 16,
                )]))))),
            ])),
            false,
        ),
        (
            Identifier::Custom(extension(&SourceAddressSet {
                name: "set".to_owned(),
            })),
            true,
        ),
        (
            Identifier::Custom(extension(&SourceAddressSet {
                name: "other".to_owned(),
            })),
            false,
        ),
    ] {
        let label = format!("{identifier:?}");
        assert_eq!(allows(Rule::Any(true), identifier), expected, "{label}");
    }
}

#[test]
fn policies_are_sorted_by_name() {
    let all = || policy(Rule::Any(true), Identifier::Any(true));
    let rbac = Rbac {
        policies: ["c", "a", "b"].map(|name| (name.to_owned(), all())).into(),
        ..Rbac::default()
    };
    let rbac = rules(&rbac).expect("valid");
    let names: Vec<&str> = rbac.policies.iter().map(|p| &*p.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn a_condition_that_is_not_understood_refuses_all_the_rules() {
    let rule = |rule| rules(&allow(rule, Identifier::Any(true)));
    let who = |identifier| rules(&allow(Rule::Any(true), identifier));
    let place = |rest: &str| format!("policies[\"rule\"].{rest}");
    let header = |name: &str| {
        Rule::Header(HeaderMatcher {
            name: name.to_owned(),
            ..HeaderMatcher::default()
        })
    };
    for (result, field, words) in [
        (rule(Rule::Any(false)), "permissions[0].any", "must be true"),
        (
            rule(Rule::DestinationPort(70_000)),
            "permissions[0].destination_port",
            "70000",
        ),
        (
            rule(range(10, 10)),
            "permissions[0].destination_port_range",
            "no range",
        ),
        (
            rule(range(-1, 10)),
            "permissions[0].destination_port_range",
            "no range",
        ),
        (
            rule(range(1, i32::MIN)),
            "permissions[0].destination_port_range",
            "no range",
        ),
        (
            rule(range(1, 65_537)),
            "permissions[0].destination_port_range",
            "no range",
        ),
        (
            rule(Rule::AndRules(permission::Set::default())),
            "permissions[0].and_rules.rules",
            "must not be empty",
        ),
        (
            rule(Rule::NotRule(Box::default())),
            "permissions[0].not_rule",
            "has no rule",
        ),
        (
            rule(header(":path")),
            "permissions[0].header.name",
            "url_path",
        ),
        (
            rule(header("no header")),
            "permissions[0].header.name",
            "header name",
        ),
        (
            rule(Rule::RequestedServerName(exact("a"))),
            "permissions[0].requested_server_name",
            "not understood",
        ),
        (
            rule(Rule::Matcher(extension(&v1::AddressSet::default()))),
            "permissions[0].matcher",
            "unknown matcher \"heddle.v1.AddressSet\"",
        ),
        (
            rule(transport(v1::transport_protocol::Protocol::Unspecified)),
            "permissions[0].matcher.protocol",
            "unknown",
        ),
        (
            rule(Rule::DestinationIp(CidrRange {
                address_prefix: "10.0.0.0".to_owned(),
                prefix_len: None,
            })),
            "permissions[0].destination_ip.prefix_len",
            "missing",
        ),
        (
            rule(Rule::DestinationIp(block("10.0.0.0", 33))),
            "permissions[0].destination_ip.prefix_len",
            "too long",
        ),
        (
            rule(path(MatchPattern::SafeRegex(regex("(")))),
            "permissions[0].url_path.path.safe_regex.regex",
            "not a regular expression",
        ),
        (
            who(Identifier::Header(HeaderMatcher::default())),
            "principals[0].header",
            "not understood",
        ),
        (
            who(Identifier::Authenticated(Authenticated {
                principal_name: Some(exact("cart")),
            })),
            "principals[0].authenticated.principal_name.exact",
            "spiffe://",
        ),
        (
            who(Identifier::Custom(extension(
                &DestinationAddressSet::default(),
            ))),
            "principals[0].custom",
            "unknown principal",
        ),
        (
            who(Identifier::Custom(extension(&SourceAddressSet::default()))),
            "principals[0].custom.name",
            "missing",
        ),
    ] {
        refused(result, &place(field), words);
    }
}

#[test]
fn a_policy_must_say_what_and_who() {
    let with = |policy| {
        rules(&Rbac {
            policies: [("p".to_owned(), policy)].into(),
            ..Rbac::default()
        })
    };
    let whole = || policy(Rule::Any(true), Identifier::Any(true));
    refused(
        with(Policy {
            permissions: Vec::new(),
            ..whole()
        }),
        "policies[\"p\"].permissions",
        "empty",
    );
    refused(
        with(Policy {
            principals: Vec::new(),
            ..whole()
        }),
        "policies[\"p\"].principals",
        "empty",
    );
    refused(
        with(Policy {
            condition: Some(Default::default()),
            ..whole()
        }),
        "policies[\"p\"].condition",
        "not understood",
    );
}

#[test]
fn the_action_is_allow_or_deny() {
    let with = |action| {
        rules(&Rbac {
            action,
            ..Rbac::default()
        })
    };
    assert!(with(Action::Deny.into()).is_ok());
    refused(with(Action::Log.into()), "action", "ALLOW or DENY");
    refused(with(99), "action", "ALLOW or DENY");
}
