//! Policy as RBAC rules (envoy.config.rbac.v3).
//!
//! Action ALLOW with one policy for each rule of the user's: allowed is what any of them matches. A rule that can match
//! nothing is left out; no policy at all allows nobody.

mod authorization;
mod network;
mod path;
mod rules;

pub(crate) use authorization::authorization_rules;
pub(crate) use network::{egress_rules, ingress_rules, ingress_rules_at};
pub(crate) use path::path_rule;
pub(crate) use rules::{HttpRbac, NetworkRbac, Rules};

use heddle_proto::envoy::config::rbac::v3::{
    Permission, Principal,
    permission::{self, Rule},
    principal::{self, Identifier},
};

fn permission(rule: Rule) -> Permission {
    Permission { rule: Some(rule) }
}

fn any_permission() -> Permission {
    permission(Rule::Any(true))
}

fn all_of(rules: Vec<Permission>) -> Permission {
    permission(Rule::AndRules(permission::Set { rules }))
}

fn one_of(rules: Vec<Permission>) -> Permission {
    permission(Rule::OrRules(permission::Set { rules }))
}

fn not(rule: Permission) -> Permission {
    permission(Rule::NotRule(Box::new(rule)))
}

fn principal(identifier: Identifier) -> Principal {
    Principal {
        identifier: Some(identifier),
    }
}

fn any_principal() -> Principal {
    principal(Identifier::Any(true))
}

fn all_ids(ids: Vec<Principal>) -> Principal {
    principal(Identifier::AndIds(principal::Set { ids }))
}

fn one_id(ids: Vec<Principal>) -> Principal {
    principal(Identifier::OrIds(principal::Set { ids }))
}

fn not_id(id: Principal) -> Principal {
    principal(Identifier::NotId(Box::new(id)))
}
