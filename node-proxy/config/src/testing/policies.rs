//! RBAC.

use heddle_proto::{
    Message, Name,
    envoy::{
        config::{
            core::v3::{CidrRange, TypedExtensionConfig},
            rbac::v3::{
                Permission, Policy, Principal, Rbac, permission::Rule, principal::Identifier,
            },
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    pack,
};

use super::number;

pub(crate) fn extension<M: Message + Name>(message: &M) -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: "extension".to_owned(),
        typed_config: Some(pack(message)),
    }
}

pub(crate) fn permission(rule: Rule) -> Permission {
    Permission { rule: Some(rule) }
}

pub(crate) fn principal(identifier: Identifier) -> Principal {
    Principal {
        identifier: Some(identifier),
    }
}

pub(crate) fn policy(rule: Rule, identifier: Identifier) -> Policy {
    Policy {
        permissions: vec![permission(rule)],
        principals: vec![principal(identifier)],
        ..Policy::default()
    }
}

/// ALLOW with one policy.
pub(crate) fn allow(rule: Rule, identifier: Identifier) -> Rbac {
    Rbac {
        policies: [("rule".to_owned(), policy(rule, identifier))].into(),
        ..Rbac::default()
    }
}

pub(crate) fn allow_all() -> Rbac {
    allow(Rule::Any(true), Identifier::Any(true))
}

pub(crate) fn block(prefix: &str, length: u32) -> CidrRange {
    CidrRange {
        address_prefix: prefix.to_owned(),
        prefix_len: number(length),
    }
}

pub(crate) fn exact(text: &str) -> StringMatcher {
    StringMatcher {
        match_pattern: Some(MatchPattern::Exact(text.to_owned())),
        ..StringMatcher::default()
    }
}
