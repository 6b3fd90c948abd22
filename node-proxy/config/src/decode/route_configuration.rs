//! RouteConfiguration: hosts and routes.

use std::{collections::HashMap, sync::Arc};

use heddle_proto::{
    envoy::config::{
        core::v3::Metadata,
        route::v3::{
            RetryPolicy as WireRetry, Route as WireRoute, RouteConfiguration,
            VirtualHost as WireHost, route::Action as WireAction, virtual_host::TlsRequirementType,
        },
    },
    google::protobuf::value::Kind,
    names,
};
use heddle_routing::{Action, Domain, HeaderOp, Origin, Route, RouteTable, VirtualHost};

use super::{
    error::{At, Decoded, each, refuse, unsupported},
    headers::{Changes, ChangesHeaders, in_order},
    matchers::route_match,
    route_action::{direct_response, forward, redirect},
};

/// config.route.v3.RouteConfiguration; `name` is what the table is kept under.
///
/// The port of the host is ignored, whatever `ignore_port_in_host_matching` says; a port in a domain too. Statistics,
/// tracing and buffer limits are not looked at; all else that is not understood is refused.
pub(crate) fn route_table(name: Arc<str>, wire: &RouteConfiguration) -> Decoded<RouteTable> {
    unsupported(wire.vhds.is_some(), "vhds")?;
    unsupported(
        !wire.cluster_specifier_plugins.is_empty(),
        "cluster_specifier_plugins",
    )?;
    unsupported(
        !wire.request_mirror_policies.is_empty(),
        "request_mirror_policies",
    )?;
    unsupported(!wire.vhost_header.is_empty(), "vhost_header")?;
    unsupported(
        wire.ignore_path_parameters_in_path_matching,
        "ignore_path_parameters_in_path_matching",
    )?;
    unsupported(
        !wire.typed_per_filter_config.is_empty(),
        "typed_per_filter_config",
    )?;
    unsupported(!wire.route_specifiers.is_empty(), "route_specifiers")?;
    let around = wire.header_changes()?;
    let virtual_hosts = each("virtual_hosts", &wire.virtual_hosts, |host| {
        virtual_host(host, &around, wire.most_specific_header_mutations_wins)
    })?;
    unique_domains(&virtual_hosts).at("virtual_hosts")?;
    Ok(RouteTable {
        name,
        virtual_hosts: virtual_hosts.into(),
    })
}

fn unique_domains(hosts: &[VirtualHost]) -> Decoded<()> {
    let mut owners: HashMap<String, usize> = HashMap::new();
    for (index, host) in hosts.iter().enumerate() {
        for domain in &host.domains {
            let owner = owners.entry(format!("{domain:?}")).or_insert(index);
            if *owner != index {
                return refuse(format_args!("{domain:?} stands in two virtual hosts"));
            }
        }
    }
    Ok(())
}

fn virtual_host(wire: &WireHost, around: &Changes, specific_wins: bool) -> Decoded<VirtualHost> {
    unsupported(wire.matcher.is_some(), "matcher")?;
    unsupported(
        wire.require_tls != i32::from(TlsRequirementType::None),
        "require_tls",
    )?;
    unsupported(!wire.rate_limits.is_empty(), "rate_limits")?;
    unsupported(wire.cors.is_some(), "cors")?;
    unsupported(
        !wire.typed_per_filter_config.is_empty(),
        "typed_per_filter_config",
    )?;
    unsupported(
        wire.retry_policy_typed_config.is_some(),
        "retry_policy_typed_config",
    )?;
    unsupported(wire.hedge_policy.is_some(), "hedge_policy")?;
    unsupported(
        !wire.request_mirror_policies.is_empty(),
        "request_mirror_policies",
    )?;
    unsupported(!wire.route_specifiers.is_empty(), "route_specifiers")?;
    if wire.domains.is_empty() {
        return refuse("must not be empty").at("domains");
    }
    let own = wire.header_changes()?;
    let level = Level {
        host: &own,
        around,
        specific_wins,
        retry: wire.retry_policy.as_ref(),
    };
    Ok(VirtualHost {
        name: wire.name.as_str().into(),
        domains: each("domains", &wire.domains, |text| domain(text))?,
        routes: each("routes", &wire.routes, |wire| {
            Ok(Arc::new(route(wire, &level)?))
        })?
        .into(),
    })
}

fn domain(text: &str) -> Decoded<Domain> {
    let host = heddle_routing::host_without_port(text).to_ascii_lowercase();
    let domain = match host.as_str() {
        "" => return refuse("is empty"),
        "*" => return Ok(Domain::Any),
        host => match (host.strip_prefix('*'), host.strip_suffix('*')) {
            (Some(suffix), _) => Domain::Suffix(suffix.into()),
            (None, Some(prefix)) => Domain::Prefix(prefix.into()),
            (None, None) => Domain::Exact(host.into()),
        },
    };
    let (Domain::Exact(fixed) | Domain::Suffix(fixed) | Domain::Prefix(fixed)) = &domain else {
        return Ok(domain);
    };
    if fixed.contains('*') {
        return refuse(format_args!("{text:?}: '*' may only stand at one end"));
    }
    Ok(domain)
}

/// What a route inherits.
struct Level<'a> {
    host: &'a Changes,
    around: &'a Changes,
    /// Apply from the outermost level inwards, so that the innermost has the last word; else outwards.
    specific_wins: bool,
    retry: Option<&'a WireRetry>,
}

impl Level<'_> {
    fn combine(
        &self,
        own: Vec<HeaderOp>,
        pick: impl Fn(&Changes) -> Vec<HeaderOp>,
    ) -> heddle_routing::HeaderOps {
        let (host, around) = (pick(self.host), pick(self.around));
        if self.specific_wins {
            in_order([around, host, own])
        } else {
            in_order([own, host, around])
        }
    }
}

fn route(wire: &WireRoute, level: &Level<'_>) -> Decoded<Route> {
    unsupported(
        !wire.typed_per_filter_config.is_empty(),
        "typed_per_filter_config",
    )?;
    unsupported(!wire.route_specifiers.is_empty(), "route_specifiers")?;
    let Some(matches) = &wire.r#match else {
        return refuse("missing").at("match");
    };
    let own = wire.header_changes()?;
    Ok(Route {
        name: wire.name.as_str().into(),
        origin: wire.metadata.as_ref().and_then(origin),
        matches: route_match(matches).at("match")?,
        action: action(wire.action.as_ref(), level)?,
        request_headers: level.combine(own.request, |changes| changes.request.clone()),
        response_headers: level.combine(own.response, |changes| changes.response.clone()),
    })
}

fn action(action: Option<&WireAction>, level: &Level<'_>) -> Decoded<Action> {
    match action {
        Some(WireAction::Route(to)) => {
            let forward = forward(to, level.retry).at("route")?;
            Ok(Action::Forward(forward.into()))
        }
        Some(WireAction::Redirect(to)) => Ok(Action::Redirect(redirect(to).at("redirect")?)),
        Some(WireAction::DirectResponse(answer)) => Ok(Action::Respond(
            direct_response(answer).at("direct_response")?,
        )),
        Some(WireAction::FilterAction(_)) => {
            refuse("not understood by this proxy").at("filter_action")
        }
        Some(WireAction::NonForwardingAction(_)) => {
            refuse("not understood by this proxy").at("non_forwarding_action")
        }
        None => refuse("missing").at("action"),
    }
}

/// `HTTPRoute/shop/cart/0`. For logs and metrics only, so what does not read like it is no error.
fn origin(metadata: &Metadata) -> Option<Origin> {
    let fields = &metadata.filter_metadata.get(names::ROUTE_ORIGIN)?.fields;
    let Some(Kind::StringValue(text)) = &fields.get("origin")?.kind else {
        return None;
    };
    let parts: Vec<&str> = text.split('/').collect();
    let [kind, namespace, name, rule] = parts.as_slice() else {
        return None;
    };
    Some(Origin {
        kind: Arc::from(*kind),
        namespace: Arc::from(*namespace),
        name: Arc::from(*name),
        rule: rule.parse().ok()?,
    })
}
