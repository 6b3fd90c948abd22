//! What a route does with a request.

use std::{sync::Arc, time::Duration};

use heddle_proto::envoy::config::route::v3::{
    DirectResponseAction, RedirectAction, RetryPolicy as WireRetry, RouteAction,
    WeightedCluster as WireWeighted,
    redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
    route_action::{ClusterSpecifier, HostRewriteSpecifier},
    weighted_cluster::ClusterWeight,
};
use heddle_routing::{
    ClusterName, DirectResponse, Forward, HeaderOps, PathRewrite, Redirect, RedirectPath,
    WeightedCluster, WeightedClusters,
};

use super::{
    error::{At, Decoded, each, refuse, unsupported},
    headers::{ChangesHeaders, in_order},
    regex,
    retry::retry_policy,
    values::{inline_text, limit, non_empty, port},
};

/// A cluster of this name is never sent: what is routed there is answered 500.
const INVALID_BACKEND: &str = "invalid-backend";
/// route.v3.RouteAction.timeout, if absent.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// config.route.v3.RouteAction; `host_retry` is the virtual host's retry policy.
pub(super) fn forward(wire: &RouteAction, host_retry: Option<&WireRetry>) -> Decoded<Forward> {
    refuse_extras(wire)?;
    let timeout = match &wire.timeout {
        Some(timeout) => limit(timeout).at("timeout")?,
        None => Some(DEFAULT_TIMEOUT),
    };
    let retry = wire.retry_policy.as_ref().or(host_retry);
    Ok(Forward {
        clusters: clusters(wire.cluster_specifier.as_ref())?,
        path_rewrite: path_rewrite(wire)?,
        host_rewrite: host_rewrite(wire.host_rewrite_specifier.as_ref())?,
        timeout,
        retry: retry.map(retry_policy).transpose().at("retry_policy")?,
    })
}

/// What would send the request elsewhere, change it, or refuse it. Priorities, idle timeouts, hashing hints and upgrades
/// (always possible here) are let pass.
fn refuse_extras(wire: &RouteAction) -> Decoded<()> {
    unsupported(wire.metadata_match.is_some(), "metadata_match")?;
    unsupported(wire.path_rewrite_policy.is_some(), "path_rewrite_policy")?;
    unsupported(!wire.path_rewrite.is_empty(), "path_rewrite")?;
    unsupported(
        wire.retry_policy_typed_config.is_some(),
        "retry_policy_typed_config",
    )?;
    unsupported(
        !wire.request_mirror_policies.is_empty(),
        "request_mirror_policies",
    )?;
    unsupported(!wire.rate_limits.is_empty(), "rate_limits")?;
    unsupported(wire.cors.is_some(), "cors")?;
    unsupported(
        wire.internal_redirect_policy.is_some(),
        "internal_redirect_policy",
    )?;
    unsupported(wire.hedge_policy.is_some(), "hedge_policy")?;
    unsupported(wire.max_stream_duration.is_some(), "max_stream_duration")?;
    let connect = wire
        .upgrade_configs
        .iter()
        .any(|u| u.connect_config.is_some());
    unsupported(connect, "upgrade_configs.connect_config")
}

fn clusters(specifier: Option<&ClusterSpecifier>) -> Decoded<WeightedClusters> {
    match specifier {
        Some(ClusterSpecifier::Cluster(name)) => {
            let only = WeightedCluster {
                cluster: cluster_name(name).at("cluster")?,
                weight: 1,
                request_headers: HeaderOps::default(),
                response_headers: HeaderOps::default(),
            };
            match WeightedClusters::new(vec![only]) {
                Some(clusters) => Ok(clusters),
                None => refuse("has no weight").at("cluster"),
            }
        }
        Some(ClusterSpecifier::WeightedClusters(wire)) => weighted(wire).at("weighted_clusters"),
        Some(ClusterSpecifier::ClusterHeader(_)) => not_understood("cluster_header"),
        Some(ClusterSpecifier::ClusterSpecifierPlugin(_)) => {
            not_understood("cluster_specifier_plugin")
        }
        Some(ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => {
            not_understood("inline_cluster_specifier_plugin")
        }
        None => refuse("missing").at("cluster_specifier"),
    }
}

fn not_understood<T>(field: &str) -> Decoded<T> {
    refuse("not understood by this proxy").at(field)
}

fn weighted(wire: &WireWeighted) -> Decoded<WeightedClusters> {
    unsupported(
        wire.random_value_specifier.is_some(),
        "random_value_specifier",
    )?;
    let clusters = each("clusters", &wire.clusters, weighted_cluster)?;
    let total: u64 = clusters.iter().map(|c| u64::from(c.weight)).sum();
    if total > u64::from(u32::MAX) {
        return refuse("the sum of weights is larger than 4294967295").at("clusters");
    }
    match WeightedClusters::new(clusters) {
        Some(clusters) => Ok(clusters),
        None => refuse("the sum of weights is 0").at("clusters"),
    }
}

fn weighted_cluster(wire: &ClusterWeight) -> Decoded<WeightedCluster> {
    unsupported(!wire.cluster_header.is_empty(), "cluster_header")?;
    unsupported(wire.metadata_match.is_some(), "metadata_match")?;
    unsupported(
        !wire.typed_per_filter_config.is_empty(),
        "typed_per_filter_config",
    )?;
    unsupported(
        wire.host_rewrite_specifier.is_some(),
        "host_rewrite_specifier",
    )?;
    let changes = wire.header_changes()?;
    Ok(WeightedCluster {
        cluster: cluster_name(&wire.name).at("name")?,
        weight: wire.weight.as_ref().map_or(0, |weight| weight.value),
        request_headers: in_order([changes.request]),
        response_headers: in_order([changes.response]),
    })
}

fn cluster_name(name: &str) -> Decoded<Option<ClusterName>> {
    match name {
        "" => refuse("missing"),
        INVALID_BACKEND => Ok(None),
        name => Ok(Some(Arc::from(name))),
    }
}

fn path_rewrite(wire: &RouteAction) -> Decoded<Option<PathRewrite>> {
    match (non_empty(&wire.prefix_rewrite), &wire.regex_rewrite) {
        (None, None) => Ok(None),
        (Some(prefix), None) => Ok(Some(PathRewrite::Prefix(prefix))),
        (None, Some(rewrite)) => {
            let (regex, text) = regex::substitution(rewrite).at("regex_rewrite")?;
            Ok(Some(PathRewrite::Regex(regex, text)))
        }
        (Some(_), Some(_)) => refuse("contradicts prefix_rewrite").at("regex_rewrite"),
    }
}

fn host_rewrite(specifier: Option<&HostRewriteSpecifier>) -> Decoded<Option<Arc<str>>> {
    match specifier {
        None => Ok(None),
        Some(HostRewriteSpecifier::AutoHostRewrite(auto)) if !auto.value => Ok(None),
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
            Ok(Some(authority(host).at("host_rewrite_literal")?))
        }
        Some(_) => refuse("only host_rewrite_literal is understood").at("host_rewrite_specifier"),
    }
}

fn authority(host: &str) -> Decoded<Arc<str>> {
    match host.parse::<http::uri::Authority>() {
        Ok(authority) if !authority.as_str().contains('@') => Ok(host.into()),
        _ => refuse(format_args!("{host:?} is no host")),
    }
}

/// config.route.v3.RedirectAction.
pub(super) fn redirect(wire: &RedirectAction) -> Decoded<Redirect> {
    let scheme = match &wire.scheme_rewrite_specifier {
        None | Some(SchemeRewriteSpecifier::HttpsRedirect(false)) => None,
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https"),
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => match scheme.as_str() {
            known @ ("http" | "https") => Some(known),
            other => {
                return refuse(format_args!("{other:?} is neither http nor https"))
                    .at("scheme_redirect");
            }
        },
    };
    let host = match non_empty(&wire.host_redirect) {
        Some(host) => Some(authority(&host).at("host_redirect")?),
        None => None,
    };
    let port = port(wire.port_redirect).at("port_redirect")?;
    Ok(Redirect {
        scheme: scheme.map(Arc::from),
        host,
        port: (port != 0).then_some(port),
        path: redirect_path(wire.path_rewrite_specifier.as_ref())?,
        status: redirect_status(wire.response_code).at("response_code")?,
        strip_query: wire.strip_query,
    })
}

fn redirect_path(specifier: Option<&PathRewriteSpecifier>) -> Decoded<Option<RedirectPath>> {
    match specifier {
        None => Ok(None),
        Some(PathRewriteSpecifier::PathRedirect(path)) => {
            Ok(Some(RedirectPath::Full(path.as_str().into())))
        }
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => {
            Ok(Some(RedirectPath::Prefix(prefix.as_str().into())))
        }
        Some(PathRewriteSpecifier::RegexRewrite(_)) => not_understood("regex_rewrite"),
        Some(PathRewriteSpecifier::PathRewrite(_)) => not_understood("path_rewrite"),
    }
}

fn redirect_status(code: i32) -> Decoded<u16> {
    match RedirectResponseCode::try_from(code) {
        Ok(RedirectResponseCode::MovedPermanently) => Ok(301),
        Ok(RedirectResponseCode::Found) => Ok(302),
        Ok(RedirectResponseCode::SeeOther) => Ok(303),
        Ok(RedirectResponseCode::TemporaryRedirect) => Ok(307),
        Ok(RedirectResponseCode::PermanentRedirect) => Ok(308),
        Err(_) => refuse(format_args!("unknown code {code}")),
    }
}

/// config.route.v3.DirectResponseAction.
pub(super) fn direct_response(wire: &DirectResponseAction) -> Decoded<DirectResponse> {
    unsupported(wire.body_format.is_some(), "body_format")?;
    let Ok(status @ 200..=599) = u16::try_from(wire.status) else {
        return refuse("must be 200 to 599").at("status");
    };
    let body = wire.body.as_ref().map(inline_text).transpose().at("body")?;
    Ok(DirectResponse {
        status,
        body: body.unwrap_or_default(),
    })
}
