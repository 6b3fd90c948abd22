//! RBAC rules.

use heddle_proto::envoy::config::{
    core::v3::TypedExtensionConfig,
    rbac::v3::{Permission, Policy, Principal, permission::Rule, principal::Identifier},
};
use serde_json::{Map, Value, json};

use super::{
    fields::{Fields, cidr, string},
    own, route,
};
use crate::policy::{HttpRbac, NetworkRbac, Rules};

pub(super) fn network(filter: &NetworkRbac) -> Value {
    Fields::new()
        .text("stat_prefix", &filter.stat_prefix)
        .keep("rules", filter.rules.as_ref().map_or(Value::Null, rules))
        .value()
}

pub(super) fn http(filter: &HttpRbac) -> Value {
    Fields::new()
        .keep("rules", filter.rules.as_ref().map_or(Value::Null, rules))
        .value()
}

/// The action is always ALLOW.
pub(super) fn rules(rules: &Rules) -> Value {
    let policies: Map<String, Value> = rules
        .policies
        .iter()
        .map(|(name, rule)| (name.clone(), policy(rule)))
        .collect();
    json!({ "action": "ALLOW", "policies": policies })
}

fn policy(policy: &Policy) -> Value {
    Fields::new()
        .list("permissions", policy.permissions.iter().map(permission))
        .list("principals", policy.principals.iter().map(principal))
        .value()
}

fn permission(permission: &Permission) -> Value {
    let all = |rules: &[Permission]| -> Value { rules.iter().map(self::permission).collect() };
    match &permission.rule {
        Some(Rule::Any(any)) => json!({ "any": any }),
        Some(Rule::AndRules(set)) => json!({ "and_rules": all(&set.rules) }),
        Some(Rule::OrRules(set)) => json!({ "or_rules": all(&set.rules) }),
        Some(Rule::NotRule(rule)) => json!({ "not_rule": self::permission(rule) }),
        Some(Rule::DestinationIp(block)) => json!({ "destination_ip": cidr(block) }),
        Some(Rule::DestinationPort(port)) => json!({ "destination_port": port }),
        Some(Rule::DestinationPortRange(range)) => {
            json!({ "destination_port_range": { "start": range.start, "end": range.end } })
        }
        Some(Rule::Header(header)) => json!({ "header": route::header(header) }),
        Some(Rule::UrlPath(path)) => {
            use heddle_proto::envoy::r#type::matcher::v3::path_matcher::Rule as PathRule;
            let path = path.rule.as_ref().map(|PathRule::Path(path)| path);
            json!({ "url_path": string(path) })
        }
        Some(Rule::Matcher(config)) => json!({ "matcher": extension(config) }),
        _ => Value::Null,
    }
}

fn principal(principal: &Principal) -> Value {
    let all = |ids: &[Principal]| -> Value { ids.iter().map(self::principal).collect() };
    match &principal.identifier {
        Some(Identifier::Any(any)) => json!({ "any": any }),
        Some(Identifier::AndIds(set)) => json!({ "and_ids": all(&set.ids) }),
        Some(Identifier::OrIds(set)) => json!({ "or_ids": all(&set.ids) }),
        Some(Identifier::NotId(id)) => json!({ "not_id": self::principal(id) }),
        Some(Identifier::DirectRemoteIp(block)) => json!({ "direct_remote_ip": cidr(block) }),
        Some(Identifier::Authenticated(authenticated)) => {
            json!({ "authenticated": { "principal_name": string(authenticated.principal_name.as_ref()) } })
        }
        Some(Identifier::Custom(config)) => json!({ "custom": extension(config) }),
        _ => Value::Null,
    }
}

fn extension(config: &TypedExtensionConfig) -> Value {
    config
        .typed_config
        .as_ref()
        .map_or(Value::Null, own::rbac_extension)
}
