//! Routes.

use heddle_proto::{
    envoy::{
        config::route::v3::{
            HeaderMatcher, QueryParameterMatcher, RedirectAction, RetryPolicy, Route, RouteAction,
            RouteConfiguration, RouteMatch, VirtualHost,
            header_matcher::HeaderMatchSpecifier,
            query_parameter_matcher::QueryParameterMatchSpecifier,
            redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
            route::Action,
            route_action::{ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier},
            route_match::PathSpecifier,
            weighted_cluster::ClusterWeight,
        },
        r#type::matcher::v3::RegexMatchAndSubstitute,
    },
    google::protobuf::value::Kind,
};
use serde_json::{Value, json};

use super::fields::{Fields, duration, header_option, regex, string, texts};

pub(super) fn configuration(config: &RouteConfiguration) -> Value {
    Fields::new()
        .text("name", &config.name)
        .flag(
            "ignore_port_in_host_matching",
            config.ignore_port_in_host_matching,
        )
        .list(
            "virtual_hosts",
            config.virtual_hosts.iter().map(virtual_host),
        )
        .value()
}

fn virtual_host(host: &VirtualHost) -> Value {
    Fields::new()
        .text("name", &host.name)
        .list("domains", texts(&host.domains))
        .list("routes", host.routes.iter().map(route))
        .value()
}

fn route(route: &Route) -> Value {
    let shown = Fields::new()
        .text("name", &route.name)
        .text("#origin", &origin(route))
        .put(
            "match",
            route.r#match.as_ref().map_or(Value::Null, route_match),
        );
    let shown = match &route.action {
        Some(Action::Route(to)) => shown.put("route", forward(to)),
        Some(Action::Redirect(to)) => shown.put("redirect", redirect(to)),
        Some(Action::DirectResponse(answer)) => {
            shown.put("direct_response", json!({ "status": answer.status }))
        }
        _ => shown,
    };
    shown
        .list(
            "request_headers_to_add",
            route.request_headers_to_add.iter().map(header_option),
        )
        .list(
            "request_headers_to_remove",
            texts(&route.request_headers_to_remove),
        )
        .list(
            "response_headers_to_add",
            route.response_headers_to_add.iter().map(header_option),
        )
        .list(
            "response_headers_to_remove",
            texts(&route.response_headers_to_remove),
        )
        .value()
}

fn origin(route: &Route) -> String {
    let fields = route
        .metadata
        .iter()
        .flat_map(|metadata| metadata.filter_metadata.values())
        .flat_map(|fields| fields.fields.values());
    fields
        .filter_map(|value| match &value.kind {
            Some(Kind::StringValue(text)) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn route_match(matches: &RouteMatch) -> Value {
    let shown = match &matches.path_specifier {
        Some(PathSpecifier::Prefix(path)) => Fields::new().text("prefix", path),
        Some(PathSpecifier::Path(path)) => Fields::new().text("path", path),
        Some(PathSpecifier::PathSeparatedPrefix(path)) => {
            Fields::new().text("path_separated_prefix", path)
        }
        Some(PathSpecifier::SafeRegex(expression)) => {
            Fields::new().put("safe_regex", regex(expression))
        }
        _ => Fields::new(),
    };
    shown
        .list("headers", matches.headers.iter().map(header))
        .list(
            "query_parameters",
            matches.query_parameters.iter().map(query),
        )
        .value()
}

/// Also used by RBAC.
pub(super) fn header(header: &HeaderMatcher) -> Value {
    let shown = Fields::new().text("name", &header.name);
    match &header.header_match_specifier {
        Some(HeaderMatchSpecifier::StringMatch(value)) => {
            shown.put("string_match", string(Some(value)))
        }
        Some(HeaderMatchSpecifier::PresentMatch(present)) => shown.flag("present_match", *present),
        _ => shown,
    }
    .value()
}

fn query(query: &QueryParameterMatcher) -> Value {
    let shown = Fields::new().text("name", &query.name);
    match &query.query_parameter_match_specifier {
        Some(QueryParameterMatchSpecifier::StringMatch(value)) => {
            shown.put("string_match", string(Some(value)))
        }
        _ => shown,
    }
    .value()
}

fn forward(to: &RouteAction) -> Value {
    let clusters = match &to.cluster_specifier {
        Some(ClusterSpecifier::WeightedClusters(clusters)) => {
            let clusters: Vec<Value> = clusters.clusters.iter().map(cluster_weight).collect();
            json!({ "weighted_clusters": clusters })
        }
        Some(ClusterSpecifier::Cluster(name)) => json!({ "cluster": name }),
        _ => Value::Null,
    };
    let host = match &to.host_rewrite_specifier {
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => host,
        _ => "",
    };
    let not_found = ClusterNotFoundResponseCode::try_from(to.cluster_not_found_response_code)
        .unwrap_or(ClusterNotFoundResponseCode::ServiceUnavailable);
    Fields::new()
        .join(clusters)
        .text("cluster_not_found_response_code", not_found.as_str_name())
        .text("prefix_rewrite", &to.prefix_rewrite)
        .put(
            "regex_rewrite",
            to.regex_rewrite.as_ref().map_or(Value::Null, substitution),
        )
        .text("host_rewrite_literal", host)
        .put("timeout", duration(to.timeout.as_ref()))
        .put(
            "retry_policy",
            to.retry_policy.as_ref().map_or(Value::Null, retry_policy),
        )
        .value()
}

fn cluster_weight(cluster: &ClusterWeight) -> Value {
    Fields::new()
        .text("name", &cluster.name)
        .keep(
            "weight",
            json!(cluster.weight.as_ref().map(|weight| weight.value)),
        )
        .list(
            "request_headers_to_add",
            cluster.request_headers_to_add.iter().map(header_option),
        )
        .list(
            "request_headers_to_remove",
            texts(&cluster.request_headers_to_remove),
        )
        .list(
            "response_headers_to_add",
            cluster.response_headers_to_add.iter().map(header_option),
        )
        .list(
            "response_headers_to_remove",
            texts(&cluster.response_headers_to_remove),
        )
        .value()
}

fn substitution(rewrite: &RegexMatchAndSubstitute) -> Value {
    json!({
        "pattern": rewrite.pattern.as_ref().map(regex),
        "substitution": rewrite.substitution,
    })
}

fn retry_policy(retry: &RetryPolicy) -> Value {
    let back_off = retry.retry_back_off.as_ref().map(|back_off| {
        Fields::new()
            .put("base_interval", duration(back_off.base_interval.as_ref()))
            .put("max_interval", duration(back_off.max_interval.as_ref()))
            .value()
    });
    Fields::new()
        .text("retry_on", &retry.retry_on)
        .put(
            "num_retries",
            json!(retry.num_retries.as_ref().map(|retries| retries.value)),
        )
        .list(
            "retriable_status_codes",
            retry.retriable_status_codes.iter().map(|code| json!(code)),
        )
        .put("per_try_timeout", duration(retry.per_try_timeout.as_ref()))
        .put("retry_back_off", json!(back_off))
        .value()
}

fn redirect(to: &RedirectAction) -> Value {
    let code =
        RedirectResponseCode::try_from(to.response_code).map_or("?", |code| code.as_str_name());
    let scheme = match &to.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => scheme,
        _ => "",
    };
    let shown = Fields::new()
        .text("scheme_redirect", scheme)
        .text("host_redirect", &to.host_redirect)
        .number("port_redirect", to.port_redirect);
    let shown = match &to.path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(path)) => shown.text("path_redirect", path),
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => shown.text("prefix_rewrite", prefix),
        _ => shown,
    };
    shown.text("response_code", code).value()
}
