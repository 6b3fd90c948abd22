//! RBAC rules (envoy.config.rbac.v3).

use std::sync::Arc;

use heddle_identity::SpiffeId;
use heddle_proto::{
    Name,
    envoy::config::{
        core::v3::TypedExtensionConfig,
        rbac::v3::{
            Permission as WirePermission, Policy as WirePolicy, Principal as WirePrincipal,
            Rbac as WireRbac, permission::Rule, principal::Identifier, rbac::Action,
        },
        route::v3::HeaderMatcher as WireHeader,
    },
    heddle::v1::{
        DestinationAddressSet, SourceAddressSet, TransportProtocol,
        transport_protocol::Protocol as WireProtocol,
    },
};
use heddle_routing::{
    HeaderMatcher, StringMatcher,
    policy::{Permission, Policy, Principal, Protocol, Rbac, RbacAction},
};

use super::{
    error::{At, Decoded, each, refuse, unsupported},
    matchers,
    values::{block, port, type_name, unpack_some},
};

/// envoy.config.rbac.v3.RBAC. What is not understood is refused as a whole: leaving out one condition would let more
/// through than was meant.
pub(crate) fn rules(rbac: &WireRbac) -> Decoded<Rbac> {
    let action = match Action::try_from(rbac.action) {
        Ok(Action::Allow) => RbacAction::Allow,
        Ok(Action::Deny) => RbacAction::Deny,
        Ok(Action::Log) | Err(_) => return refuse("must be ALLOW or DENY").at("action"),
    };
    let mut named: Vec<(&String, &WirePolicy)> = rbac.policies.iter().collect();
    named.sort_by_key(|(name, _)| *name);
    let policies = named
        .into_iter()
        .map(|(name, wire)| policy(name, wire).at(format_args!("policies[{name:?}]")))
        .collect::<Decoded<_>>()?;
    Ok(Rbac { action, policies })
}

fn policy(name: &str, policy: &WirePolicy) -> Decoded<Policy> {
    unsupported(policy.condition.is_some(), "condition")?;
    unsupported(policy.checked_condition.is_some(), "checked_condition")?;
    unsupported(policy.cel_config.is_some(), "cel_config")?;
    Ok(Policy {
        name: Arc::from(name),
        permissions: some("permissions", &policy.permissions, permission)?,
        principals: some("principals", &policy.principals, principal)?,
    })
}

/// At least one (rbac.v3: `min_items: 1`). An empty list would read as "all hold".
fn some<T, U>(field: &str, list: &[T], decode: impl FnMut(&T) -> Decoded<U>) -> Decoded<Vec<U>> {
    if list.is_empty() {
        return refuse("must not be empty").at(field);
    }
    each(field, list, decode)
}

fn permission(wire: &WirePermission) -> Decoded<Permission> {
    let Some(rule) = &wire.rule else {
        return refuse("has no rule");
    };
    match rule {
        Rule::Any(any) => always(*any).map(|()| Permission::Any),
        Rule::AndRules(set) => {
            let all = some("rules", &set.rules, permission).at("and_rules")?;
            Ok(Permission::All(all))
        }
        Rule::OrRules(set) => {
            let any = some("rules", &set.rules, permission).at("or_rules")?;
            Ok(Permission::OneOf(any))
        }
        Rule::NotRule(inner) => {
            let inner = permission(inner).at("not_rule")?;
            Ok(Permission::Not(Box::new(inner)))
        }
        Rule::Header(matcher) => Ok(Permission::Header(policy_header(matcher).at("header")?)),
        Rule::UrlPath(matcher) => {
            let path = matchers::policy_path(matcher).at("url_path")?;
            Ok(Permission::Path(path))
        }
        Rule::DestinationIp(range) => {
            let block = block(range).at("destination_ip")?;
            Ok(Permission::DestinationBlock(block))
        }
        Rule::DestinationPort(value) => {
            let port = port(*value).at("destination_port")?;
            Ok(Permission::DestinationPorts(port, port))
        }
        Rule::DestinationPortRange(range) => {
            port_range(range.start, range.end).at("destination_port_range")
        }
        Rule::Matcher(extension) => permission_extension(extension).at("matcher"),
        Rule::Metadata(_) => not_understood("metadata"),
        Rule::RequestedServerName(_) => not_understood("requested_server_name"),
        Rule::UriTemplate(_) => not_understood("uri_template"),
        Rule::SourcedMetadata(_) => not_understood("sourced_metadata"),
    }
}

fn principal(wire: &WirePrincipal) -> Decoded<Principal> {
    let Some(identifier) = &wire.identifier else {
        return refuse("has no identifier");
    };
    let source = |range, field: &str| Ok(Principal::SourceBlock(block(range).at(field)?));
    match identifier {
        Identifier::Any(any) => always(*any).map(|()| Principal::Any),
        Identifier::AndIds(set) => {
            let all = some("ids", &set.ids, principal).at("and_ids")?;
            Ok(Principal::All(all))
        }
        Identifier::OrIds(set) => {
            let any = some("ids", &set.ids, principal).at("or_ids")?;
            Ok(Principal::OneOf(any))
        }
        Identifier::NotId(inner) => {
            let inner = principal(inner).at("not_id")?;
            Ok(Principal::Not(Box::new(inner)))
        }
        Identifier::Authenticated(who) => {
            let name = who.principal_name.as_ref().map(identity).transpose();
            Ok(Principal::Authenticated(
                name.at("authenticated.principal_name")?,
            ))
        }
        // No header and no PROXY protocol changes who the peer is here, so all three mean the same.
        Identifier::DirectRemoteIp(range) => source(range, "direct_remote_ip"),
        Identifier::RemoteIp(range) => source(range, "remote_ip"),
        Identifier::SourceIp(range) => source(range, "source_ip"),
        Identifier::Custom(extension) => principal_extension(extension).at("custom"),
        Identifier::Header(_) => not_understood("header"),
        Identifier::UrlPath(_) => not_understood("url_path"),
        Identifier::Metadata(_) => not_understood("metadata"),
        Identifier::FilterState(_) => not_understood("filter_state"),
        Identifier::SourcedMetadata(_) => not_understood("sourced_metadata"),
    }
}

fn not_understood<T>(field: &str) -> Decoded<T> {
    refuse("not understood by this proxy").at(field)
}

fn always(any: bool) -> Decoded<()> {
    if any {
        return Ok(());
    }
    refuse("must be true").at("any")
}

/// An identity that is no SPIFFE id of ours would never match; that is a slip worth telling.
fn identity(
    matcher: &heddle_proto::envoy::r#type::matcher::v3::StringMatcher,
) -> Decoded<StringMatcher> {
    let matcher = matchers::string(matcher)?;
    if let StringMatcher::Exact(name) = &matcher {
        name.parse::<SpiffeId>().at("exact")?;
    }
    Ok(matcher)
}

/// `:path` holds the query and is not normalised: a rule on it could be passed by.
fn policy_header(matcher: &WireHeader) -> Decoded<HeaderMatcher> {
    let matcher = matchers::header(matcher)?;
    if &*matcher.name == ":path" {
        return refuse("use url_path for a condition on the path").at("name");
    }
    Ok(matcher)
}

/// Start inclusive, end exclusive (type.v3.Int32Range).
fn port_range(start: i32, end: i32) -> Decoded<Permission> {
    let first = u16::try_from(start);
    let last = u16::try_from(i64::from(end) - 1);
    match (first, last) {
        (Ok(first), Ok(last)) if first <= last => Ok(Permission::DestinationPorts(first, last)),
        _ => refuse(format_args!(
            "{start} to {end} (exclusive) is no range of ports"
        )),
    }
}

fn permission_extension(extension: &TypedExtensionConfig) -> Decoded<Permission> {
    let any = extension.typed_config.as_ref();
    let name = any.map(type_name).unwrap_or_default();
    if name == DestinationAddressSet::full_name() {
        let set: DestinationAddressSet = unpack_some(any)?;
        return Ok(Permission::DestinationSet(set_name(&set.name)?));
    }
    if name == TransportProtocol::full_name() {
        let transport: TransportProtocol = unpack_some(any)?;
        return match WireProtocol::try_from(transport.protocol) {
            Ok(WireProtocol::Tcp) => Ok(Permission::Protocol(Protocol::Tcp)),
            Ok(WireProtocol::Udp) => Ok(Permission::Protocol(Protocol::Udp)),
            Ok(WireProtocol::Sctp) => Ok(Permission::Protocol(Protocol::Sctp)),
            Ok(WireProtocol::Unspecified) | Err(_) => refuse("unknown protocol").at("protocol"),
        };
    }
    refuse(format_args!("unknown matcher {name:?}"))
}

fn principal_extension(extension: &TypedExtensionConfig) -> Decoded<Principal> {
    let any = extension.typed_config.as_ref();
    let name = any.map(type_name).unwrap_or_default();
    if name == SourceAddressSet::full_name() {
        let set: SourceAddressSet = unpack_some(any)?;
        return Ok(Principal::SourceSet(set_name(&set.name)?));
    }
    refuse(format_args!("unknown principal {name:?}"))
}

fn set_name(name: &str) -> Decoded<Arc<str>> {
    if name.is_empty() {
        return refuse("missing").at("name");
    }
    Ok(name.into())
}
